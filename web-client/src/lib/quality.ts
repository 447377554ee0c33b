/** How good the connection is, in words for people. */
export type Quality = 'good' | 'fair' | 'poor';

/** What is measured of one transport over an interval. */
export interface Measurement {
  /** Lost of all packets, 0 to 1; `null` when nothing was sent. */
  readonly loss: number | null;
  /** Milliseconds; `null` when not known. */
  readonly roundTripMs: number | null;
}

/** The grade of the worst of some measurements; `null` when nothing is known. */
export function grade(measurements: readonly Measurement[]): Quality | null {
  const losses = measurements.flatMap(({ loss }) => (loss === null ? [] : [loss]));
  const trips = measurements.flatMap(({ roundTripMs }) =>
    roundTripMs === null ? [] : [roundTripMs],
  );
  if (losses.length === 0 && trips.length === 0) return null;
  const loss = Math.max(0, ...losses);
  const roundTripMs = Math.max(0, ...trips);
  // Speech with error correction holds to some 5 % of loss; a conversation
  // turns into people talking over each other from some 600 ms.
  if (loss > 0.08 || roundTripMs > 600) return 'poor';
  if (loss > 0.02 || roundTripMs > 250) return 'fair';
  return 'good';
}

interface Counters {
  received: number;
  lost: number;
}

/** Measures peer connections by the difference between two readings. */
export class QualityMeter {
  private readonly last = new Map<string, Counters>();

  /** What one report says since the one before of the same `name`. */
  measure(name: string, report: Iterable<Readonly<Record<string, unknown>>>): Measurement {
    let roundTripMs: number | null = null;
    let reportedLoss: number | null = null;
    const now: Counters = { received: 0, lost: 0 };
    for (const entry of report) {
      if (entry.type === 'candidate-pair' && entry.nominated === true) {
        roundTripMs = milliseconds(entry.currentRoundTripTime) ?? roundTripMs;
      } else if (entry.type === 'remote-inbound-rtp') {
        reportedLoss = Math.max(reportedLoss ?? 0, number(entry.fractionLost) ?? 0);
        roundTripMs ??= milliseconds(entry.roundTripTime);
      } else if (entry.type === 'inbound-rtp') {
        now.received += number(entry.packetsReceived) ?? 0;
        now.lost += number(entry.packetsLost) ?? 0;
      }
    }
    const before = this.last.get(name) ?? { received: 0, lost: 0 };
    this.last.set(name, now);
    const received = Math.max(0, now.received - before.received);
    const lost = Math.max(0, now.lost - before.lost);
    const countedLoss = received + lost === 0 ? null : lost / (received + lost);
    return { loss: reportedLoss ?? countedLoss, roundTripMs };
  }
}

function number(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}

function milliseconds(seconds: unknown): number | null {
  const value = number(seconds);
  return value === null ? null : value * 1000;
}
