/** How good the connection is, in words for people. */
export type Quality = 'good' | 'fair' | 'poor';

/** What is measured of one transport over an interval. */
export interface Measurement {
  /** Lost of all packets, 0 to 1; `null` when nothing was sent. */
  readonly loss: number | null;
  /** Milliseconds; `null` when not known. */
  readonly roundTripMs: number | null;
}

/** Why a connection is not good. */
export type QualityCause =
  /** Of all packets that are sent or that should arrive, `share` is lost, 0 to 1. */
  | { readonly kind: 'sent_lost' | 'received_lost'; readonly share: number }
  /** Packets take this long there and back; or what is sent, or received, comes so unevenly. */
  | { readonly kind: 'delay' | 'uplink_jitter' | 'downlink_jitter'; readonly ms: number }
  /** The network carries only so much of what is to be received. */
  | { readonly kind: 'downlink_bandwidth'; readonly kbps: number }
  /** The server gets nothing, or only by TCP. */
  | { readonly kind: 'no_media' | 'relayed_by_tcp' };

/** A grade, and what it is due to; `null` when it is good. */
export interface Judgement {
  readonly quality: Quality;
  readonly cause: QualityCause | null;
}

const WORST_FIRST: readonly Quality[] = ['poor', 'fair', 'good'];

/**
 * Judges a connection by the worst of what is measured of its two transports; `null` when nothing is
 * known. Of causes that are equally bad, what is sent comes first: only this side can help it.
 */
export function judge(
  publishing: Measurement | null,
  subscribing: Measurement | null,
): Judgement | null {
  const judged: { quality: Quality; cause: QualityCause }[] = [];
  for (const [kind, of] of [
    ['sent_lost', publishing],
    ['received_lost', subscribing],
  ] as const) {
    const loss = of?.loss ?? null;
    if (loss === null) continue;
    // Speech with error correction holds to some 5 % of loss.
    judged.push({
      quality: gradeOf(loss, 0.02, 0.08),
      cause: { kind, share: loss },
    });
  }
  const trips = [publishing, subscribing].flatMap((of) => of?.roundTripMs ?? []);
  if (trips.length > 0) {
    const ms = Math.max(...trips);
    // A conversation turns into people talking over each other from some 600 ms.
    judged.push({ quality: gradeOf(ms, 250, 600), cause: { kind: 'delay', ms } });
  }
  judged.sort((a, b) => WORST_FIRST.indexOf(a.quality) - WORST_FIRST.indexOf(b.quality));
  const worst = judged[0];
  if (worst === undefined) return null;
  return worst.quality === 'good' ? { quality: 'good', cause: null } : worst;
}

function gradeOf(value: number, good: number, fair: number): Quality {
  if (value > fair) return 'poor';
  return value > good ? 'fair' : 'good';
}

/** Whether two judgements say the same. */
export function sameJudgement(a: Judgement | null, b: Judgement | null): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
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
