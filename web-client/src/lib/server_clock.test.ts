import { describe, expect, it } from 'vitest';
import { ServerClock } from './server_clock';

const START_MS = Date.parse('2026-03-01T10:00:00Z');
const DAYS_MS = 2 * 86_400_000;

function reading(clock: ServerClock, serverMs: number, localMs: number, roundTripMs: number): void {
  clock.handleReading(new Date(serverMs).toISOString(), localMs - roundTripMs, localMs);
}

describe('the clock of the server', () => {
  it('is that of the reading with the shortest way', () => {
    const clock = new ServerClock();
    reading(clock, START_MS + 600_000, START_MS, 20);
    reading(clock, START_MS + 601_900, START_MS + 1_000, 1_500);
    expect(clock.offsetMs).toBe(600_010);
  });

  it('is read anew when the clock of this device was set', () => {
    for (const stepMs of [-DAYS_MS, -600_000, 600_000, DAYS_MS]) {
      const clock = new ServerClock();
      reading(clock, START_MS, START_MS, 20);
      reading(clock, START_MS + 5_000, START_MS + 5_000 + stepMs, 300);
      expect(Math.abs(clock.now(START_MS + stepMs) - START_MS)).toBeLessThan(1_000);
    }
  });

  it('does not follow a message that came late', () => {
    const clock = new ServerClock();
    reading(clock, START_MS, START_MS, 20);
    const known = clock.offsetMs;
    // It was sent at the start and waited for a minute.
    clock.handleReading(new Date(START_MS).toISOString(), null, START_MS + 60_000);
    expect(clock.offsetMs).toBe(known);
  });

  it('follows a message that says that the clock of this device was set back', () => {
    const clock = new ServerClock();
    reading(clock, START_MS, START_MS, 20);
    clock.handleReading(new Date(START_MS + 600_000).toISOString(), null, START_MS + 1_000);
    expect(clock.offsetMs).toBe(599_000);
  });

  it('learns nothing from a very slow answer while it knows better', () => {
    const clock = new ServerClock();
    reading(clock, START_MS, START_MS, 20);
    const known = clock.offsetMs;
    reading(clock, START_MS + 600_000, START_MS + 60_000, 11_000);
    expect(clock.offsetMs).toBe(known);
    const first = new ServerClock();
    reading(first, START_MS + 600_000, START_MS, 11_000);
    expect(first.offsetMs).toBe(605_500);
  });
});
