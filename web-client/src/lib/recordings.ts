import { plain } from './plain';

/** Whether somebody with these roles may watch recordings. */
export function mayWatch(roles: readonly string[]): boolean {
  return roles.some((role) => role === 'moderator' || role === 'auditor');
}

/** A recording and where to watch it, as the REST API tells. */
export interface RecordingAddresses {
  readonly session_id: string;
  readonly title: string;
  readonly state: 'none' | 'recording' | 'sealing' | 'making' | 'ready' | 'erased';
  readonly pending_tracks: number;
  /** Until when the addresses are good, RFC 3339. */
  readonly expires_at: string;
  /** Of what was recorded, sealed: about the size of the whole with its proof. */
  readonly sealed_bytes: number;
  readonly timeline_url: string;
  readonly files: readonly RecordingFile[];
}

/** A file of a recording for people. */
export interface RecordingFile {
  readonly of: 'combined' | 'track';
  readonly track: string | null;
  readonly user_id: string | null;
  readonly name: string | null;
  readonly source: string | null;
  readonly kind: 'audio' | 'video';
  readonly container: string;
  readonly media_type: string;
  readonly state: 'waiting' | 'building' | 'ready' | 'failed' | 'erased';
  readonly progress_permille: number;
  /** When its first frame was captured, RFC 3339. */
  readonly from: string;
  readonly duration_ms: number;
  readonly size_bytes: number;
  readonly url: string | null;
  /** What the file of the whole session does without, although it was recorded. */
  readonly lacks: readonly RecordingLack[];
}

/** A time during which the file of the whole session does without a track. */
export interface RecordingLack {
  readonly track: string;
  readonly user_id: string;
  readonly name: string;
  readonly source: string;
  readonly from: string;
  readonly to: string;
  readonly reason: string;
}

/** When a lack begins and ends in the playing time of its file, in milliseconds. */
export function lackSpan(file: RecordingFile, lack: RecordingLack): readonly [number, number] {
  const begun = Date.parse(file.from);
  const within = (at: string) => Math.min(Math.max(0, Date.parse(at) - begun), file.duration_ms);
  return [within(lack.from), within(lack.to)];
}

/** What happened when. */
export interface Timeline {
  readonly from: string;
  readonly to: string;
  readonly items: readonly TimelineItem[];
}

/** Something on the time line; `to` is null for what takes no time. */
export interface TimelineItem {
  readonly kind: string;
  readonly from: string;
  readonly to: string | null;
  readonly user_id: string | null;
  readonly name: string | null;
  readonly text: string | null;
  readonly track: string | null;
  /** The entries of the log that say so. */
  readonly entries: readonly number[];
}

/** While files are made, ms between two looks; each look is noted down, so they grow rarer. */
const LOOK_FIRST_MS = 4_000;
const LOOK_LAST_MS = 30_000;
/** Addresses are renewed this long before they expire, ms. */
const RENEW_BEFORE_MS = 60_000;

/** When to look again, ms from now, or null when nothing is on its way. */
export function lookAgainMs(view: RecordingAddresses, looks: number): number | null {
  const isMoving =
    ['recording', 'sealing', 'making'].includes(view.state) ||
    view.files.some(({ state }) => state === 'waiting' || state === 'building');
  return isMoving ? Math.min(LOOK_LAST_MS, LOOK_FIRST_MS * 1.5 ** looks) : null;
}

/** When to renew the addresses, ms from `nowMs`. */
export function renewInMs(view: RecordingAddresses, nowMs: number): number {
  const left = Date.parse(view.expires_at) - nowMs;
  // A short-lived address is renewed at half its life.
  return Math.max(1_000, left - Math.min(RENEW_BEFORE_MS, left / 2));
}

/** The file to show first: of the whole session where there is one that this browser plays. */
export function fileToPlay(
  files: readonly RecordingFile[],
  plays: (mediaType: string) => boolean,
): RecordingFile | null {
  const ready = files.filter(({ url }) => url !== null);
  const combined = ready.filter(({ of }) => of === 'combined');
  return combined.find(({ media_type }) => plays(media_type)) ?? combined[0] ?? null;
}

/** What names a file for as long as the page is open; its address changes. */
export function fileKey(file: RecordingFile): string {
  return `${file.of}/${file.track ?? ''}/${file.container}`;
}

/** Which part of a file a time is in, seconds; outside it, its nearest end. */
export function secondsIn(file: RecordingFile, at: string): number {
  const seconds = (Date.parse(at) - Date.parse(file.from)) / 1000;
  return Math.min(Math.max(0, seconds), file.duration_ms / 1000);
}

/**
 * The time line as people are to read it: a pause that was decided is no gap, and
 * what is missing of one track is told apart from what is missing of all.
 */
export function toldTruly(timeline: Timeline): Timeline {
  const pauses = new Set<string>();
  const items = timeline.items.flatMap((item): TimelineItem[] => {
    if (item.kind !== 'gap') return [item];
    if (item.text !== 'paused')
      return [{ ...item, kind: item.track === null ? 'gap' : 'track_gap' }];
    // A pause stands in every track; it is told once.
    const key = item.from.slice(0, 'yyyy-mm-ddThh:mm:ss'.length);
    if (pauses.has(key)) return [];
    pauses.add(key);
    return [{ ...item, kind: 'pause' }];
  });
  return { ...timeline, items };
}

/** Items by time, those wanted only; `say` is what an item is shown as. */
export function itemsShown(
  items: readonly TimelineItem[],
  kind: string,
  search: string,
  say: (item: TimelineItem) => string = (item) => `${item.name ?? ''} ${item.text ?? ''}`,
): readonly TimelineItem[] {
  const words = plain(search).split(/\s+/).filter(Boolean);
  return items
    .filter((item) => kind === 'all' || item.kind === kind || item.kind === `track_${kind}`)
    .filter((item) => {
      if (words.length === 0) return true;
      const text = plain(say(item));
      return words.every((word) => text.includes(word));
    })
    .sort((a, b) => Date.parse(a.from) - Date.parse(b.from));
}

/** Where an item lies on a line from 0 to 1; points have no length. */
export function spanOf(
  item: TimelineItem,
  line: { readonly fromMs: number; readonly toMs: number },
): { readonly start: number; readonly length: number } {
  const whole = Math.max(1, line.toMs - line.fromMs);
  const place = (at: string) => Math.min(1, Math.max(0, (Date.parse(at) - line.fromMs) / whole));
  const start = place(item.from);
  return { start, length: item.to === null ? 0 : Math.max(0, place(item.to) - start) };
}
