import type { ChairView } from '../generated/wire';
import type { ChatLine, RoomState } from './room_state';

/** Begins a message of a moderator that everybody has to see. */
const ANNOUNCEMENT = '📢 ';
/** Began the message by which a moderator said that they chair, before the room kept it. */
const CHAIR = '⚖ ';

/** Who chairs, also while they are away and after they have left. */
export type Chair = Readonly<ChairView>;

/** What a message means to everybody; only a moderator's means more than its text. */
export type Meaning = 'message' | 'announcement' | 'chair';

/** The text that is sent for an announcement. */
export function announcementOf(text: string): string {
  return ANNOUNCEMENT + text;
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

/** How the chair is there: `away` may come back, `gone` has left or moderates no more. */
export function chairPresence(state: RoomState): 'here' | 'away' | 'gone' | 'none' {
  if (state.chair === null) return 'none';
  const one = state.participants.get(state.chair.user_id);
  if (one?.roles.includes('moderator') !== true) return 'gone';
  return one.connections === 0 ? 'away' : 'here';
}

/** Whether somebody who moderates is connected at all. */
export function isModerated(state: RoomState): boolean {
  return [...state.participants.values()].some(
    (one) => one.roles.includes('moderator') && one.connections > 0,
  );
}
