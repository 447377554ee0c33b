import { describe, expect, it } from 'vitest';
import { lastBegun, partAround } from './long_list';

const FROM = Date.parse('2026-11-03T10:00:00Z');
const ITEMS = Array.from({ length: 3_000 }, (_, second) => ({
  from: new Date(FROM + second * 1_000).toISOString(),
}));

describe('a long list', () => {
  it('shows the part in which the current row is, wherever that is', () => {
    for (const at of [0, 1, 499, 500, 501, 1_234, 2_998, 2_999]) {
      const part = partAround(ITEMS, at);
      expect(part).toContain(ITEMS[at]);
      expect(part.length).toBeLessThanOrEqual(500);
    }
    expect(partAround(ITEMS, -1)).toEqual(ITEMS.slice(0, 500));
    expect(partAround(ITEMS, 1_000)[0]).toBe(partAround(ITEMS, 1_001)[0]);
    expect(partAround([], -1)).toEqual([]);
  });

  it('knows what has begun at a time', () => {
    expect(lastBegun(ITEMS, FROM - 1)).toBe(-1);
    expect(lastBegun(ITEMS, FROM)).toBe(0);
    expect(lastBegun(ITEMS, FROM + 1_999)).toBe(1);
    expect(lastBegun(ITEMS, FROM + 2_000_000)).toBe(2_000);
    expect(lastBegun(ITEMS, FROM + 9_000_000)).toBe(2_999);
    expect(lastBegun([], FROM)).toBe(-1);
    const same = [{ from: '2026-11-03T10:00:00Z' }, { from: '2026-11-03T10:00:00Z' }];
    expect(lastBegun(same, FROM)).toBe(1);
  });
});
