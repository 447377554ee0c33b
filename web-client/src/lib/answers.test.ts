import { describe, expect, it } from 'vitest';
import type { Told } from '../generated/wire';
import type { Answer } from './answers';
import { ANSWERS_MAX, answersAfter } from './answers';

const told = (seq: number, type: string, more: object = {}) =>
  ({ seq, at: '', type, user_id: 'ana', request_id: `r${seq}`, reason: null, ...more }) as Told;
const after = (events: readonly Told[], withdrew: (request: string) => boolean = () => false) =>
  events.reduce<readonly Answer[]>((all, event) => answersAfter(all, event, 'ana', withdrew), []);

describe('answers', () => {
  it('are those to one’s own requests', () => {
    const kinds = after([
      told(1, 'speech_approved'),
      told(2, 'speech_denied', { reason: 'late' }),
      told(3, 'speech_cancelled'),
      told(4, 'speech_denied', { user_id: 'ben' }),
      told(5, 'chat'),
    ]).map(({ kind, reason }) => [kind, reason]);
    expect(kinds).toEqual([
      ['approved', null],
      ['denied', 'late'],
      ['withdrawn', null],
    ]);
  });

  it('are told once, though events come again', () => {
    expect(after([told(1, 'speech_denied'), told(1, 'speech_denied')])).toHaveLength(1);
  });

  it('are not given to whoever withdrew themselves', () => {
    const own = (id: string) => id === 'r1';
    expect(after([told(1, 'speech_cancelled')], own)).toEqual([]);
  });

  it('go when the turn begins or the decision is taken back', () => {
    const request_id = 'r1';
    expect(after([told(1, 'speech_approved'), told(2, 'turn_started', { request_id })])).toEqual(
      [],
    );
    expect(
      after([told(1, 'speech_denied'), told(2, 'speech_request_received', { request_id })]),
    ).toEqual([]);
  });

  it('go when a withdrawn request is in the list again', () => {
    const placed = [{ request_id: 'r1' }];
    const back = { seq: 2, at: '', type: 'queue_updated', placed } as unknown as Told;
    expect(after([told(1, 'speech_cancelled'), back])).toEqual([]);
    expect(after([told(3, 'speech_denied'), back])).toHaveLength(1);
  });

  it('are bounded', () => {
    const many = Array.from({ length: 30 }, (_, at) => told(at + 1, 'speech_denied'));
    const kept = after(many);
    expect(kept).toHaveLength(ANSWERS_MAX);
    expect(kept.at(-1)?.seq).toBe(30);
  });
});
