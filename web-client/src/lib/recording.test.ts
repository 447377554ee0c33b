import { describe, expect, it } from 'vitest';
import type { Told } from '../generated/wire';
import { after, stateOf } from './room_state';
import { isRecorder, people } from './room_view';
import { START, participant, welcome } from './testing/fakes';

const RECORDER = participant('cabildo:recorder', { roles: ['recorder'], name: 'A recorder' });
const told = (seq: number, event: object) => ({ seq, at: START, ...event }) as Told;

describe('the recording of a room', () => {
  it('is as the welcome says, and then as it is told', () => {
    let state = stateOf(welcome());
    expect(state.recording).toMatchObject({ state: 'stopped', acknowledged: false });
    const by = 'chair';
    state = after(
      state,
      told(11, { type: 'recording_state', state: 'recording', by, retention_days: 90 }),
    );
    expect(state.recording).toEqual({
      state: 'recording',
      enabled: false,
      retention_days: 90,
      acknowledged: false,
    });
    state = after(
      state,
      told(12, { type: 'recording_state', state: 'paused', by, retention_days: 90 }),
    );
    expect(state.recording.state).toBe('paused');
  });

  it('is acknowledged by oneself only', () => {
    const state = stateOf(welcome());
    const other = after(state, told(11, { type: 'recording_acknowledged', user_id: 'ben' }));
    expect(other.recording.acknowledged).toBe(false);
    const mine = after(other, told(12, { type: 'recording_acknowledged', user_id: 'ana' }));
    expect(mine.recording.acknowledged).toBe(true);
    // What a resumed connection missed is in the state already.
    expect(after(mine, told(3, { type: 'recording_state', state: 'paused' }))).toBe(mine);
  });

  it('stands last among the people', () => {
    const { participants } = welcome();
    const state = stateOf(welcome({ participants: [RECORDER, ...participants] }));
    const last = people(state).at(-1);
    expect(last?.user_id).toBe('cabildo:recorder');
    expect(people(state).filter(isRecorder)).toHaveLength(1);
  });
});
