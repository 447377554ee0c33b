// Waiting for conditions, never for time to pass; and where things are.
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../../', import.meta.url));
/** Screenshots and logs of the last run; not part of the repository. */
export const ARTEFACTS = fileURLToPath(new URL('../../artefacts/live/', import.meta.url));

/** How often a condition is looked at. */
const POLL_MS = 100;

/** The machine may be busy: a deadline says "never", not "slow". */
export const PATIENCE_MS = 60_000;

/** Rejects when `promise` has not settled in time. */
export function within(ms, what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${ms} ms`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/**
 * Looks until `look` answers something truthy, and answers that. What it saw
 * last is told on failure: `look` may leave it in `seen.last`.
 */
export async function until(what, look, ms = PATIENCE_MS) {
  const deadline = Date.now() + ms;
  const seen = { last: undefined };
  for (;;) {
    const found = await look(seen);
    if (found) return found;
    if (Date.now() > deadline) {
      throw new Error(`${what}: not within ${ms} ms; last seen ${JSON.stringify(seen.last)}`);
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
