import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { toast, toasts } from './toasts';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

const shown = () => toasts.value.map((one) => one.text);

it('takes away the oldest sentence, and none that can still be undone', () => {
  const undo = { label: 'Undo', run: () => undefined };
  const dismiss = toast('removing Ana', undo, 5_000);
  for (const text of ['one', 'two', 'three', 'four']) toast(text);
  expect(shown()).toEqual(['removing Ana', 'two', 'three', 'four']);
  toast('removing Bea', undo, 6_000);
  dismiss();
  expect(shown()).toEqual(['two', 'three', 'four', 'removing Bea']);
  vi.advanceTimersByTime(6_000);
  expect(shown()).toEqual(['two', 'three', 'four']);
  vi.advanceTimersByTime(1_000);
  expect(shown()).toEqual([]);
});
