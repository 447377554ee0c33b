import type { ChatLine, RoomState } from './room_state';

/** Begins a message of a moderator that everybody has to see. */
const ANNOUNCEMENT = '📢 ';
/** Begins the message by which a moderator says that they chair from now on. */
const CHAIR = '⚖ ';

/** Who chairs, as far as the room was told. */
export interface Chair {
  readonly user_id: string;
  readonly name: string;
}

/** What a message means to everybody; only a moderator's means more than its text. */
export type Meaning = 'message' | 'announcement' | 'chair';

/** The text that is sent for an announcement. */
export function announcementOf(text: string): string {
  return ANNOUNCEMENT + text;
}

/** The text that is sent when somebody takes the chair; clients that know no better show it. */
export function chairTextOf(text: string): string {
  return CHAIR + text;
}

/** What a line of the chat means. */
export function meaningOf(line: Pick<ChatLine, 'text' | 'by_moderator'>): Meaning {
  if (line.by_moderator !== true) return 'message';
  if (line.text.startsWith(ANNOUNCEMENT)) return 'announcement';
  return line.text.startsWith(CHAIR) ? 'chair' : 'message';
}

/** What an announcement says. */
export function announced(line: Pick<ChatLine, 'text'>): string {
  return line.text.slice(ANNOUNCEMENT.length);
}

/** The text of a line without the mark that gives it its meaning. */
export function textOf(line: Pick<ChatLine, 'text' | 'by_moderator'>): string {
  const meaning = meaningOf(line);
  if (meaning === 'message') return line.text;
  return line.text.slice((meaning === 'announcement' ? ANNOUNCEMENT : CHAIR).length);
}

/** The newest announcement after the message `readSeq`, or null. */
export function announcementAfter(chat: readonly ChatLine[], readSeq: number): ChatLine | null {
  const last = chat.findLast((line) => meaningOf(line) === 'announcement');
  return last === undefined || last.seq <= readSeq ? null : last;
}

/** Whoever has moderated longest chairs until somebody says otherwise. */
export function firstModerator(state: Pick<RoomState, 'participants'>): Chair | null {
  const [first] = [...state.participants.values()]
    .filter((one) => one.roles.includes('moderator') && one.connections > 0)
    .sort((a, b) => Date.parse(a.joined_at) - Date.parse(b.joined_at));
  return first === undefined ? null : { user_id: first.user_id, name: first.name };
}

/** How the chair is there: `away` may come back, `gone` has left or moderates no more. */
export function chairPresence(state: RoomState): 'here' | 'away' | 'gone' | 'none' {
  if (state.chair === null) return 'none';
  const one = state.participants.get(state.chair.user_id);
  if (one?.roles.includes('moderator') !== true) return 'gone';
  return one.connections === 0 ? 'away' : 'here';
}

/** Whether somebody who moderates is connected at all. */
export function isModerated(state: RoomState): boolean {
  return firstModerator(state) !== null;
}
