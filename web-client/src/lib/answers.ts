import type { Told } from '../generated/wire';

/** What became of one's own request, to be read. */
export interface Answer {
  readonly seq: number;
  readonly kind: 'approved' | 'denied' | 'withdrawn';
  readonly request_id: string;
  readonly reason: string | null;
}

/** Answers kept unread; older ones are dropped. */
export const ANSWERS_MAX = 10;

/**
 * The unread answers of `me` after an event. `withdrew` says whether the person took
 * back that request themselves. What is granted needs no reading once the turn begins.
 */
export function answersAfter(
  answers: readonly Answer[],
  event: Told,
  me: string,
  withdrew: (requestId: string) => boolean,
): readonly Answer[] {
  if (event.type === 'queue_updated') {
    // A withdrawal that was taken back is told by the list alone.
    const back = new Set(event.placed.map(({ request_id }) => request_id));
    const stays = (one: Answer) => one.kind !== 'withdrawn' || !back.has(one.request_id);
    return answers.every(stays) ? answers : answers.filter(stays);
  }
  if (!('user_id' in event) || event.user_id !== me) return answers;
  if (!('request_id' in event) || answers.some(({ seq }) => seq === event.seq)) return answers;
  const { seq, request_id } = event;
  const others = answers.filter((one) => one.request_id !== request_id);
  const add = (kind: Answer['kind'], reason: string | null = null) =>
    [...others, { seq, kind, request_id, reason }].slice(-ANSWERS_MAX);
  switch (event.type) {
    case 'speech_approved':
      return add('approved');
    case 'speech_denied':
      return add('denied', event.reason);
    case 'speech_cancelled':
      return withdrew(request_id) ? others : add('withdrawn');
    case 'turn_started':
      return others;
    // A decision that was taken back is no answer any more.
    case 'speech_request_received':
      return others;
    default:
      return answers;
  }
}
