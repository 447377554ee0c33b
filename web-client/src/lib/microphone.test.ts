import { describe, expect, it } from 'vitest';
import type { MicrophoneState } from './microphone';
import { isUnheard, microphoneState } from './microphone';
import { PathWatch } from './path_watch';
import type { RoomState } from './room_state';
import { stateOf } from './room_state';
import { turn, welcome } from './testing/fakes';

const ON = { present: true, on: true, unplugged: false, systemMuted: false, silent: false };
const WORKS = { connected: true, arriving: true };

function room(change: { muted?: boolean; floor?: boolean; tabs?: number } = {}): RoomState {
  const floor = change.floor === true;
  const { tabs = 1 } = change;
  const described = welcome();
  const me = described.you.user_id;
  // A tab that is not this one has its microphone on.
  const participants = described.participants.map((one) =>
    one.user_id === me && tabs > 1 ? { ...one, connections: tabs, audio: true } : one,
  );
  return stateOf({
    ...described,
    participants,
    you: { ...described.you, muted: change.muted === true, may_be_heard: floor && !change.muted },
    floor: { ...described.floor, turn: floor ? turn('t', described.you.user_id) : null },
  });
}

describe('the truth about my microphone', () => {
  const floor = room({ floor: true });
  const twoTabs = room({ floor: true, tabs: 2 });
  it.each<[MicrophoneState, boolean, MicrophoneState, Parameters<typeof microphoneState>]>([
    ['open', false, 'open', [floor, ON, WORKS]],
    ['closed_by_floor', false, 'closed_by_floor', [room(), ON, WORKS]],
    ['off', false, 'off', [room(), { ...ON, on: false }, WORKS]],
    ['off', true, 'off', [floor, { ...ON, on: false }, WORKS]],
    ['elsewhere', false, 'off', [twoTabs, { ...ON, on: false }, WORKS]],
    ['elsewhere', false, 'off', [twoTabs, { ...ON, present: false, on: false }, WORKS]],
    ['open', false, 'open', [twoTabs, ON, WORKS]],
    ['off', false, 'off', [room({ tabs: 2 }), { ...ON, on: false }, WORKS]],
    [
      'muted_by_moderator',
      true,
      'muted_by_moderator',
      [room({ muted: true, floor: true, tabs: 2 }), { ...ON, on: false }, WORKS],
    ],
    [
      'listening_only',
      true,
      'listening_only',
      [floor, { ...ON, present: false, on: false }, WORKS],
    ],
    ['unplugged', true, 'unplugged', [floor, { ...ON, present: false, unplugged: true }, WORKS]],
    ['disconnected', true, 'disconnected', [floor, ON, { connected: false, arriving: true }]],
    ['not_arriving', true, 'not_arriving', [floor, ON, { connected: true, arriving: false }]],
    ['system_muted', true, 'system_muted', [floor, { ...ON, systemMuted: true }, WORKS]],
    ['silent', true, 'silent', [floor, { ...ON, silent: true }, WORKS]],
    ['muted_by_moderator', false, 'muted_by_moderator', [room({ muted: true }), ON, WORKS]],
    [
      'muted_by_moderator',
      true,
      'muted_by_moderator',
      [room({ muted: true, floor: true }), ON, WORKS],
    ],
  ])('is %s (unheard: %s)', (state, unheard, _, given) => {
    const found = microphoneState(...given);
    expect(found).toBe(state);
    expect(isUnheard(given[0], found)).toBe(unheard);
  });
});

describe('PathWatch', () => {
  const report = (packetsReceived: number) => [{ type: 'transport', packetsReceived }];

  it('says within two seconds that no reports come back', () => {
    const path = new PathWatch();
    path.reset(0);
    path.handleReport(true, report(5), 500);
    path.handleReport(true, report(6), 1_000);
    expect(path.works).toBe(true);
    path.handleReport(true, report(6), 2_000);
    expect(path.works).toBe(true);
    path.handleReport(true, report(6), 2_600);
    expect(path.works).toBe(false);
    path.handleReport(true, report(7), 3_100);
    expect(path.works).toBe(true);
  });

  it('goes by the connection where the browser counts nothing', () => {
    const path = new PathWatch();
    path.reset(0);
    path.handleReport(true, [], 10_000);
    expect(path.works).toBe(true);
    path.handleReport(false, [], 11_600);
    expect(path.works).toBe(false);
  });
});
