import { describe, expect, it } from 'vitest';
import type { AnnouncedVote } from './room_state';
import { votePhase, votesAfter } from './votes';

const at = (seq: number, ends_at: string | null): AnnouncedVote => ({
  seq,
  vote_id: `vote-${seq}`,
  title: 'Presupuesto',
  started_at: '2027-01-15T08:00:00.000Z',
  ends_at,
});

describe('an announced vote', () => {
  it('is over from the moment that governance named', () => {
    const vote = at(1, '2027-01-15T08:10:00.000Z');
    expect(votePhase(vote, Date.parse('2027-01-15T08:09:59.999Z'))).toBe('open');
    expect(votePhase(vote, Date.parse('2027-01-15T08:10:00.000Z'))).toBe('over');
  });

  it('stays open when nobody said until when', () => {
    expect(votePhase(at(1, null), Date.parse('2030-01-01T00:00:00.000Z'))).toBe('open');
  });

  it('is shown until it is read, the newest first', () => {
    const votes = [at(3, null), at(7, null), at(9, null)];
    expect(votesAfter(votes, 3).map(({ seq }) => seq)).toEqual([9, 7]);
    expect(votesAfter(votes, 9)).toEqual([]);
  });
});
