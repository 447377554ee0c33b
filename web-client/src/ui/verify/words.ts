import { exactTimeOfDay, number } from '../../i18n/texts';
import { isVerifyKey, v } from '../../i18n/verify/texts';
import type { Check, Place, Report, TrackReport } from '../../verify';

/** What has a sentence of its own among the checks, in the order they are told. */
const TOLD: readonly Check[] = [
  'head',
  'jws',
  'held',
  'consistency',
  'entries',
  'heads',
  'receipts',
  'tracks',
  'segments',
  'objects',
  'opened',
  'close',
  'events',
  'subjects',
  'operator',
  'checkpoint',
];

/** Sentences on what was checked. */
export function checkedSentences(report: Report): string[] {
  return TOLD.flatMap((check) => {
    const count = report.checked[check] ?? 0;
    const key = `check.${check}`;
    return count > 0 && isVerifyKey(key) ? [v(key, { count })] : [];
  });
}

/** Sentences on what was not, what is needed for the verdict first. */
export function uncheckedSentences(report: Report, needed: (what: string) => boolean): string[] {
  return [...report.notChecked]
    .sort((a, b) => Number(needed(b.what)) - Number(needed(a.what)))
    .flatMap(({ what, count }) => {
      const key = `unchecked.${what}`;
      return isVerifyKey(key) ? [v(key, { count })] : [];
    });
}

/** Where a problem is, without naming anybody. */
export function placeText(place: Place, tracks: readonly TrackReport[]): string {
  const parts: string[] = [];
  if (place.track !== undefined) {
    const known = tracks.find(({ id }) => id === place.track);
    const track = known === undefined ? place.track.slice(0, 8) : number(known.number);
    parts.push(v('place.track', { track }));
  }
  if (place.segment !== undefined) {
    parts.push(v('place.segment', { segment: number(place.segment + 1) }));
  }
  if (place.fromMs !== undefined && place.toMs !== undefined) {
    const span = { from: exactTimeOfDay(place.fromMs), to: exactTimeOfDay(place.toMs) };
    parts.push(v('place.time', span));
  }
  if (place.entry !== undefined) parts.push(v('place.entry', { entry: number(place.entry) }));
  if (place.head !== undefined) parts.push(v('place.head', { size: number(place.head) }));
  if (place.file !== undefined) {
    const key = `file.${place.file}`;
    parts.push(v('place.file', { file: isVerifyKey(key) ? v(key) : place.file }));
  }
  return parts.length === 0 ? v('place.somewhere') : parts.join(' · ');
}
