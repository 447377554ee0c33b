import type { Quality } from './quality';
import type { RoomState } from './room_state';

/** How well each track arrives; a track of which nothing came lately is not in it. */
export type Reception = ReadonlyMap<string, Quality>;

interface Counters {
  readonly received: number;
  readonly lost: number;
}

/** Reads how well each of others' tracks arrives, from one report to the next. */
export class ReceptionMeter {
  private last = new Map<string, Counters>();

  /** What the reports say since the ones before; `trackAt` names the track of a section. */
  measure(
    entries: readonly Readonly<Record<string, unknown>>[],
    trackAt: (mid: string) => string | undefined,
  ): Reception {
    const now = new Map<string, Counters>();
    const reception = new Map<string, Quality>();
    for (const entry of entries) {
      if (entry.type !== 'inbound-rtp' || typeof entry.mid !== 'string') continue;
      const track = trackAt(entry.mid);
      if (track === undefined) continue;
      const counters = { received: count(entry.packetsReceived), lost: count(entry.packetsLost) };
      now.set(track, counters);
      const before = this.last.get(track);
      if (before === undefined) continue;
      const received = Math.max(0, counters.received - before.received);
      const lost = Math.max(0, counters.lost - before.lost);
      if (received + lost > 0)
        reception.set(track, gradeOf(lost / (received + lost), entry.jitter));
    }
    this.last = now;
    return reception;
  }
}

/** The limits of `grade`, and a jitter from which speech is heard with gaps. */
function gradeOf(loss: number, jitter: unknown): Quality {
  const jitterMs = typeof jitter === 'number' ? jitter * 1000 : 0;
  if (loss > 0.08 || jitterMs > 120) return 'poor';
  return loss > 0.02 || jitterMs > 60 ? 'fair' : 'good';
}

function count(value: unknown): number {
  return typeof value === 'number' && Number.isFinite(value) ? value : 0;
}

/** Whether two readings say the same. */
export function sameReception(a: Reception, b: Reception): boolean {
  return a.size === b.size && [...a].every(([track, quality]) => b.get(track) === quality);
}

const WORSE: readonly Quality[] = ['good', 'fair', 'poor'];

/** How well each person's media arrives here: the worst of their tracks. */
export function receptionOfPeople(
  state: Pick<RoomState, 'tracks'>,
  reception: Reception,
): ReadonlyMap<string, Quality> {
  const people = new Map<string, Quality>();
  for (const [id, quality] of reception) {
    const user = state.tracks.get(id)?.user_id;
    if (user === undefined) continue;
    const known = people.get(user) ?? 'good';
    people.set(user, WORSE.indexOf(quality) >= WORSE.indexOf(known) ? quality : known);
  }
  return people;
}
