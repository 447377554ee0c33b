import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { PageVisitor, tellReturn } from './visitor';

/** A window that a provider with `Cross-Origin-Opener-Policy` has taken from us. */
const severed = () => ({ closed: true, close: vi.fn() });
let opened: ReturnType<typeof severed> | null;

beforeEach(() => {
  opened = severed();
  vi.stubGlobal('window', { location: { origin: 'https://h.example' }, open: () => opened });
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

describe('a visit in a window', () => {
  it('is waited for although the window seems closed', async () => {
    const visit = new PageVisitor().inWindow('https://id.example', 's');
    const elsewhere = tellReturn({ state: 'of somebody else', code: 'x' });
    expect(await tellReturn({ state: 's', code: 'c' })).toBe(true);
    expect(await visit).toEqual({ state: 's', code: 'c' });
    expect(await elsewhere).toBe(false);
    expect(opened?.close).not.toHaveBeenCalled();
  });

  it('is given up when the person says so', async () => {
    const begun = new AbortController();
    const visit = new PageVisitor().inWindow('https://id.example', 's', begun.signal);
    begun.abort();
    await expect(visit).rejects.toThrow('given up');
    expect(opened?.close).toHaveBeenCalled();
  });

  it('ends when it takes too long', async () => {
    vi.useFakeTimers();
    const visit = new PageVisitor().inWindow('https://id.example', 's');
    const ended = expect(visit).rejects.toThrow('did not return');
    await vi.advanceTimersByTimeAsync(600_000);
    await ended;
  });

  it('fails at once when the browser opens no window', async () => {
    opened = null;
    await expect(new PageVisitor().inWindow('https://id.example', 's')).rejects.toThrow(
      'no window',
    );
  });
});
