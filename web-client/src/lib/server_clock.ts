/**
 * The server's clock as seen from here. Of the readings of the last minutes the
 * one with the shortest round trip is believed: its error is at most half of it.
 */
export class ServerClock {
  private best: { offsetMs: number; roundTripMs: number; takenMs: number } | null = null;

  /** A reading taken at `receivedMs`; `sentMs` is when it was asked for, if it was. */
  handleReading(serverTime: string, sentMs: number | null, receivedMs: number): void {
    const serverMs = Date.parse(serverTime);
    if (Number.isNaN(serverMs)) return;
    const roundTripMs = sentMs === null ? UNKNOWN_ROUND_TRIP_MS : Math.max(0, receivedMs - sentMs);
    const offsetMs = serverMs + (sentMs === null ? 0 : roundTripMs / 2) - receivedMs;
    if (this.best !== null) {
      const recent = receivedMs - this.best.takenMs < FORGET_AFTER_MS;
      if (recent && roundTripMs > SLOWEST_ROUND_TRIP_MS) return;
      const worse = roundTripMs > this.best.roundTripMs;
      // Two readings can't differ by more, unless one of the clocks was set meanwhile.
      const within = (roundTripMs + this.best.roundTripMs) / 2 + RESOLUTION_MS;
      const differenceMs = offsetMs - this.best.offsetMs;
      // A late message makes the server's clock look slow, and never fast.
      const wasSet = sentMs === null ? differenceMs > within : Math.abs(differenceMs) > within;
      if (worse && recent && !wasSet) return;
    }
    this.best = { offsetMs, roundTripMs, takenMs: receivedMs };
  }

  /** Server time minus local time, milliseconds. */
  get offsetMs(): number {
    return this.best?.offsetMs ?? 0;
  }

  /** Now by the server's clock, milliseconds since the epoch. */
  now(localMs: number = Date.now()): number {
    return localMs + this.offsetMs;
  }
}

/** What a reading that nobody asked for counts as: worse than any usual answer. */
const UNKNOWN_ROUND_TRIP_MS = 2_000;
/** Slower answers say too little while there is a better reading. */
const SLOWEST_ROUND_TRIP_MS = 10_000;
/** Dates of answers have whole seconds, and clocks drift between two readings. */
const RESOLUTION_MS = 2_000;
/** Clocks drift; an old reading gives way to a worse new one. */
const FORGET_AFTER_MS = 300_000;
