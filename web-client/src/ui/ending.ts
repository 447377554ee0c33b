import type { ClosedReason, Session } from '../lib';

/** Why a room is closed to a page. */
export type Ending = ClosedReason | 'cancelled';

/** Whether a session was cancelled before it had begun: there is nothing of it to check or watch. */
export function neverHeld({ status, started_at }: Pick<Session, 'status' | 'started_at'>): boolean {
  return status === 'cancelled' && started_at === null;
}

/** Whether nobody can enter a session any more. */
export function isOver({ status }: Pick<Session, 'status'>): boolean {
  return status === 'completed' || status === 'cancelled';
}

/**
 * Why a page is no longer in the room: the channel's reason, how the session ended by the room's
 * last event (null when that did not come), and the session as the server knows it, if it was asked.
 */
export function endingOf(
  reason: ClosedReason,
  ended: string | null,
  session: Pick<Session, 'status'> | null,
): Ending {
  const cancelled = ended === 'cancelled' || session?.status === 'cancelled';
  return reason === 'over' && cancelled ? 'cancelled' : reason;
}
