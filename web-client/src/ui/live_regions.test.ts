import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { announce, announceAtOnce, atOnce, politely } from './live_regions';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  vi.runAllTimers();
  vi.useRealTimers();
});

it('tells the same text again as something new', () => {
  announceAtOnce('Nobody hears you');
  const first = atOnce.value;
  announceAtOnce('Nobody hears you');
  expect(atOnce.value.text).toBe(first.text);
  expect(atOnce.value.count).not.toBe(first.count);
});

it('keeps a text for a while, and the newest for as long', () => {
  announce('Ana speaks');
  vi.advanceTimersByTime(50_000);
  announce('Ben speaks');
  vi.advanceTimersByTime(50_000);
  expect(politely.value.text).toBe('Ben speaks');
  vi.advanceTimersByTime(10_000);
  expect(politely.value.text).toBe('');
});
