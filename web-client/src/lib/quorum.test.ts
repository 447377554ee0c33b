import { describe, expect, it } from 'vitest';
import { fraction, percentOf, quorumParts } from './quorum';
import { quorum } from './testing/fakes';

describe('a quorum', () => {
  it('shows first what decides it', () => {
    const byWeight = quorumParts(quorum());
    expect(byWeight[0]).toMatchObject({ of: 'weight', present: 40.5, total: 100, needed: 0.5 });
    expect(byWeight[1]).toMatchObject({ of: 'heads', needed: null });
    const byHeads = quorumParts(quorum({ weight_needed: null, heads_needed: '2/3' }));
    expect(byHeads[0].of).toBe('heads');
  });

  it('divides by nobody as by nothing', () => {
    const empty = quorum({ heads_total: 0, heads_present: 0, weight_total: '0' });
    expect(quorumParts(empty).map(({ share }) => share)).toEqual([0, 0]);
  });

  it.each([
    ['1/2', 0.5],
    ['1/0', null],
    ['', null],
    ['half', null],
  ])('reads %s as %s', (text, value) => expect(fraction(text)).toBe(value));

  it.each([
    // Rounding alone would show the 50 % that suffices, or hide that it was passed.
    [0.499_98, 0.5, 49.99],
    [0.500_01, 0.5, 50.01],
    [0.5, 0.5, 50],
    [0.123_456, null, 12.35],
    [2 / 3, null, 66.67],
  ])('shows a share of %f with %s needed as %f', (share, needed, shown) =>
    expect(percentOf(share, needed)).toBeCloseTo(shown, 6),
  );
});
