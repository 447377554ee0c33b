import type { AnnouncedVote } from './room_state';

/** How a vote stands: without an end, nobody here knows when it is over. */
export type VotePhase = 'open' | 'over';

/** How a vote stands at a time of the server. */
export function votePhase(vote: AnnouncedVote, nowMs: number): VotePhase {
  return vote.ends_at !== null && Date.parse(vote.ends_at) <= nowMs ? 'over' : 'open';
}

/** The votes that were announced after the event `readSeq`, the newest first. */
export function votesAfter(
  votes: readonly AnnouncedVote[],
  readSeq: number,
): readonly AnnouncedVote[] {
  return votes.filter((one) => one.seq > readSeq).toReversed();
}
