import { useEffect, useMemo, useState } from 'preact/hooks';
import type { EligibleListView } from '../generated/wire';
import { isKey, t } from '../i18n/i18n';
import { number } from '../i18n/texts';
import type { AttendanceBook, BookEntry, BookView, RoomState } from '../lib';

/**
 * What a book holds, and again whenever it changes; read anew after each lost connection, and when
 * there is another eligible list.
 */
export function useBook(
  book: AttendanceBook,
  state: RoomState | null,
  list: EligibleListView | null,
): BookView {
  const [view, setView] = useState(book.view);
  useEffect(() => {
    setView(book.view);
    return book.subscribe(setView);
  }, [book]);
  const described = state?.describedSeq;
  useEffect(() => {
    if (described !== undefined) void book.load();
  }, [book, described]);
  const sha256 = list?.sha256 ?? null;
  useEffect(() => {
    if (sha256 !== null) book.handleList(sha256);
  }, [book, sha256]);
  return view;
}

/** The word for how presence is known; one of a later version is shown as it is. */
export function methodText(method: string): string {
  const key = `attendance.method.${method}`;
  return isKey(key) ? t(key) : method;
}

/** A weight as the language writes it. */
export function weightText(weight: string): string {
  const value = Number(weight);
  return Number.isFinite(value) ? number(value, Number.isInteger(value) ? 0 : 2) : weight;
}

/** How somebody's presence stands, in words. */
export function presenceText(entry: BookEntry): string {
  if (!entry.present) return t(entry.left ? 'attendance.left' : 'attendance.absent');
  const how = entry.method === null ? [] : [methodText(entry.method)];
  const where =
    entry.place === 'hall'
      ? [t('attendance.place.hall')]
      : entry.place === 'remote'
        ? [t('attendance.place.remote')]
        : [];
  return [t('attendance.present'), ...where, ...how].join(' · ');
}

/** Units and weight in words; what is long is whole in its tooltip. */
export function unitsText(entry: BookEntry): string {
  const weight = t('attendance.weight', { weight: weightText(entry.weight) });
  const names = entry.units.map((unit) => unit.id);
  if (names.length === 0) return entry.eligible ? weight : t('attendance.notListed');
  const shown =
    names.length <= 3 ? names.join(', ') : t('attendance.units', { count: names.length });
  return `${shown} · ${weight}`;
}

/** Somebody's attendance in a list of people. */
export function AttendanceCell({ entry }: { entry: BookEntry | undefined }) {
  const status =
    entry === undefined ? 'none' : entry.present ? 'present' : entry.left ? 'left' : 'none';
  const units = useMemo(() => entry?.units.map((unit) => unit.id).join(', '), [entry]);
  return (
    <span
      class={`attendance ${status}`}
      data-testid={entry === undefined ? undefined : `attendance-${entry.user_id}`}
      data-attendance={status}
      data-method={entry?.method ?? undefined}
    >
      <span>{entry === undefined ? t('attendance.absent') : presenceText(entry)}</span>
      {entry !== undefined && (
        <span class="quiet" title={units}>
          {unitsText(entry)}
        </span>
      )}
      {entry !== undefined && entry.represents.length > 0 && (
        <span class="quiet">
          {t('attendance.represents', { units: entry.represents.join(', ') })}
        </span>
      )}
    </span>
  );
}
