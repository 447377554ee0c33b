import type { RoomState } from './room_state';

/** What is true of my microphone. */
export type MicrophoneState =
  | 'listening_only'
  | 'unplugged'
  | 'disconnected'
  | 'muted_by_moderator'
  | 'off'
  | 'elsewhere'
  | 'system_muted'
  | 'not_arriving'
  | 'silent'
  | 'closed_by_floor'
  | 'open';

/** My own microphone, as the browser knows it. */
export interface OwnMicrophone {
  readonly present: boolean;
  /** What its owner wants. */
  readonly on: boolean;
  /** It was there and is gone. */
  readonly unplugged: boolean;
  /** The system or another program gives no sound of it. */
  readonly systemMuted: boolean;
  /** Nothing but zeros has come from it for a while. */
  readonly silent: boolean;
}

/** Whether what I send reaches the server. */
export interface OwnPath {
  /** The channel is open, and the server answered lately. */
  readonly connected: boolean;
  /** The transport of what I send works. */
  readonly arriving: boolean;
}

/** The truth about my microphone, the strongest reason why nobody hears me first. */
export function microphoneState(
  state: RoomState,
  own: OwnMicrophone,
  path: OwnPath,
): MicrophoneState {
  if (own.unplugged && own.on) return 'unplugged';
  const closed = own.present ? 'off' : 'listening_only';
  if (!path.connected) return own.present && own.on ? 'disconnected' : closed;
  if (!own.present || !own.on) {
    if (isHeardElsewhere(state)) return 'elsewhere';
    if (!own.present) return closed;
  }
  if (state.you.muted) return 'muted_by_moderator';
  if (!own.on) return 'off';
  if (!state.you.may_be_heard) return 'closed_by_floor';
  if (own.systemMuted) return 'system_muted';
  if (!path.arriving) return 'not_arriving';
  return own.silent ? 'silent' : 'open';
}

/** Whether I am heard through another tab or device, while nothing is sent from here. */
function isHeardElsewhere({ you, participants }: RoomState): boolean {
  const me = participants.get(you.user_id);
  return me !== undefined && me.connections > 1 && me.audio && you.may_be_heard && !you.muted;
}

/** Whether I am expected to be heard: I hold the running turn. */
export function holdsFloor(state: RoomState): boolean {
  const turn = state.floor.turn;
  return turn?.running === true && !turn.in_hall && turn.user_id === state.you.user_id;
}

/** Whether somebody who speaks now would speak to nobody without knowing it. */
export function isUnheard(state: RoomState, microphone: MicrophoneState): boolean {
  switch (microphone) {
    case 'unplugged':
    case 'disconnected':
    case 'system_muted':
    case 'not_arriving':
    case 'silent':
      return true;
    case 'muted_by_moderator':
    case 'off':
    case 'listening_only':
      return holdsFloor(state);
    case 'closed_by_floor':
    case 'elsewhere':
    case 'open':
      return false;
  }
}
