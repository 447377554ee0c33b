import type { ParticipantView, RequestView } from '../generated/wire';
import type { RoomState, TimedTurn } from './room_state';

/** How a turn's time stands. */
export interface TurnTime {
  readonly usedMs: number;
  /** Negative once the time given is exceeded. */
  readonly leftMs: number;
  readonly level: 'calm' | 'soon' | 'last' | 'over';
}

/** The time of a turn at `serverNowMs`, ms since the epoch by the server's clock. */
export function turnTime(turn: TimedTurn, serverNowMs: number): TurnTime {
  const sinceMs = turn.running ? Math.max(0, serverNowMs - turn.asOfMs) : 0;
  const usedMs = turn.used_ms + sinceMs;
  const leftMs = turn.limit_s * 1000 - usedMs;
  const level =
    leftMs < 0 ? 'over' : leftMs <= 10_000 ? 'last' : leftMs <= 30_000 ? 'soon' : 'calm';
  return { usedMs, leftMs, level };
}

/** Where I stand with the floor. */
export type MyPlace =
  | { readonly kind: 'none' }
  | { readonly kind: 'requested'; readonly request: RequestView }
  | { readonly kind: 'waiting'; readonly request: RequestView; readonly ahead: number }
  | { readonly kind: 'speaking' | 'paused' | 'interrupted'; readonly turn: TimedTurn };

/** My own place: a turn first, then the list, then what a moderator must still see. */
export function myPlace(state: RoomState): MyPlace {
  const me = state.you.user_id;
  const { turn, interrupted, queue, requested } = state.floor;
  if (turn?.user_id === me && !turn.in_hall) {
    return { kind: turn.running ? 'speaking' : 'paused', turn };
  }
  const waits = interrupted.find((one) => one.user_id === me && !one.in_hall);
  if (waits !== undefined) return { kind: 'interrupted', turn: waits };
  const ahead = queue.findIndex((one) => one.user_id === me);
  const approved = queue[ahead];
  if (approved !== undefined) return { kind: 'waiting', request: approved, ahead };
  const request = requested.find((one) => one.user_id === me);
  return request === undefined ? { kind: 'none' } : { kind: 'requested', request };
}

/** The id of the recorder, which stands among the people of a room and of its record. */
export const RECORDER_USER_ID = 'cabildo:recorder';

/** The recorder stands among the people while it records, and is none. */
export function isRecorder(one: ParticipantView): boolean {
  return one.roles.includes('recorder');
}

/** A camera that the server calls stands among the people, and is none. */
export function isCamera(one: ParticipantView): boolean {
  return one.roles.includes('camera');
}

/** Whether somebody is a person, or a device of one. */
export function isPerson(one: ParticipantView): boolean {
  return !isRecorder(one) && !isCamera(one);
}

/** Made once: comparing by a locale is dear, and lists of hundreds are sorted often. */
const BY_NAME = new Intl.Collator();

/** People in the order the console and the list of people show them. */
export function people(state: RoomState): readonly ParticipantView[] {
  const rank = (one: ParticipantView) =>
    one.user_id === state.floor.turn?.user_id
      ? 0
      : one.roles.includes('moderator')
        ? 1
        : one.roles.includes('hall')
          ? 2
          : isRecorder(one)
            ? 4
            : 3;
  return [...state.participants.values()].sort(
    (a, b) =>
      rank(a) - rank(b) || BY_NAME.compare(a.name, b.name) || (a.user_id < b.user_id ? -1 : 1),
  );
}

/** How somebody is there: connected, away for a moment, in the hall, or not at all. */
export type Presence = 'here' | 'away' | 'hall' | 'absent';

/** The presence of whoever asked for the floor or holds it. */
export function presenceOf(
  state: RoomState,
  who: { readonly user_id: string; readonly in_hall: boolean },
): Presence {
  if (who.in_hall) return 'hall';
  const one = state.participants.get(who.user_id);
  if (one === undefined) return 'absent';
  return one.connections === 0 ? 'away' : 'here';
}

/** What is heard of somebody, over all their connections. */
export type Heard = 'muted' | 'speaking' | 'heard' | 'waiting' | 'silent' | 'away';

/** What others hear of a participant now, by what is published and let through. */
export function heardOf(state: RoomState, one: ParticipantView): Heard {
  if (one.connections === 0) return 'away';
  if (one.muted) return 'muted';
  if (state.speakers.some((speaker) => speaker.user_id === one.user_id)) return 'speaking';
  if (!one.audio) return 'silent';
  return one.may_be_heard ? 'heard' : 'waiting';
}

/** The order that `moved` one step, or null when it cannot. */
export function movedOrder(
  queue: readonly RequestView[],
  requestId: string,
  toIndex: number,
): string[] | null {
  const order = queue.map((one) => one.request_id);
  const from = order.indexOf(requestId);
  const to = Math.max(0, Math.min(order.length - 1, toIndex));
  if (from < 0 || from === to) return null;
  order.splice(from, 1);
  order.splice(to, 0, requestId);
  return order;
}
