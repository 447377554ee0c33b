import { plain } from './plain';
import type { Told } from '../generated/wire';
import type { ApiClient } from './api_client';
import type { Attendee, AttendeeAnswer, EligiblePage, EligibleUnit, Page } from './attendance';
import { attendancePath } from './attendance';

/** What is known of one person's attendance. */
export interface BookEntry {
  readonly user_id: string;
  readonly name: string;
  /** Whether they are on the eligible list. */
  readonly eligible: boolean;
  /** Weight of their own units, a decimal number. */
  readonly weight: string;
  readonly units: readonly EligibleUnit[];
  readonly present: boolean;
  /** How it is known, or was last. */
  readonly method: string | null;
  readonly place: string | null;
  /** Why they left, when they did while this page was here. */
  readonly cause: string | null;
  /** Whether they were present before. */
  readonly left: boolean;
  /** Units of others that they represent. */
  readonly represents: readonly string[];
}

/** Everything the book holds, replaced as a whole on every change. */
export interface BookView {
  readonly entries: ReadonlyMap<string, BookEntry>;
  /** Members on the eligible list; null before its first page. */
  readonly total: number | null;
  readonly loading: boolean;
  /** Why the lists could not be read. */
  readonly failure: unknown;
}

/** As many as the server gives on one page. */
const PAGE = 200;
/** More than the largest list that the server takes: a server that never ends a list is not followed. */
const PAGES_MAX = 200;

/**
 * Who may attend and who does: read once from the server, then kept by the
 * events of the room, so that searching needs no server.
 */
export class AttendanceBook {
  private current: BookView = { entries: new Map(), total: null, loading: false, failure: null };
  private readonly listeners = new Set<(view: BookView) => void>();
  /** Counts loads; what an earlier one still brings is dropped. */
  private load_ = 0;
  private index: { readonly of: BookView['entries']; readonly texts: readonly Indexed[] } | null =
    null;

  /** Number of the newest event that is known of, by user and by unit. */
  private readonly people = new NewestSeq();
  private readonly units = new NewestSeq();

  /** Which eligible list was read, and which one was told while it was. */
  private list: string | null = null;
  private toldList: string | null = null;

  constructor(
    private readonly api: Pick<ApiClient, 'request'>,
    private readonly session: string,
  ) {}

  get view(): BookView {
    return this.current;
  }

  subscribe(listener: (view: BookView) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Reads everything anew; what is known meanwhile stays until it is replaced. */
  async load(): Promise<void> {
    this.load_ += 1;
    const load = this.load_;
    const changed = new Map<string, BookEntry>();
    this.changedWhileLoading = changed;
    this.change({ loading: true, failure: null });
    try {
      const entries = new Map(this.current.entries);
      const eligible = new Set<string>();
      for await (const page of this.pages<EligiblePage>('/eligible')) {
        if (load !== this.load_) return;
        this.list = page.sha256;
        for (const one of page.items) {
          eligible.add(one.user_id);
          const known = entries.get(one.user_id);
          entries.set(one.user_id, {
            user_id: one.user_id,
            name: one.name,
            eligible: true,
            weight: one.weight,
            units: one.units,
            present: one.present,
            method: one.method ?? known?.method ?? null,
            place: known?.place ?? null,
            cause: known?.cause ?? null,
            left: known?.left ?? false,
            represents: known?.represents ?? [],
          });
        }
        for (const [user, entry] of changed) entries.set(user, told(entry, entries.get(user)));
        this.change({ entries: new Map(entries), total: page.total });
      }
      const attendees = new Map<string, Attendee>();
      for await (const page of this.pages<Page<Attendee>>('')) {
        if (load !== this.load_) return;
        for (const one of page.items) attendees.set(one.user_id, one);
      }
      for (const user of entries.keys()) {
        if (!eligible.has(user) && !attendees.has(user)) entries.delete(user);
      }
      for (const one of attendees.values()) {
        entries.set(one.user_id, entryOf(one, entries.get(one.user_id)));
      }
      for (const [user, entry] of changed) entries.set(user, told(entry, entries.get(user)));
      this.change({ entries, loading: false });
      const list = this.toldList;
      this.toldList = null;
      if (list !== null) this.handleList(list);
    } catch (failure) {
      if (load === this.load_) this.change({ loading: false, failure });
    }
  }

  /** Which eligible list there is now: one that was not read replaces what is known. */
  handleList(sha256: string): void {
    if (this.current.loading) this.toldList = sha256;
    else if (sha256 !== this.list) void this.load();
  }

  /** What happened while a load was on its way is newer than what it brings. */
  private changedWhileLoading: Map<string, BookEntry> | null = null;

  handleEvent(event: Told): void {
    if (event.type === 'attendance_changed') {
      if (!this.people.advance(event.user_id, event.seq)) return;
      const known = this.current.entries.get(event.user_id);
      const { user_id, name, weight, present, method, place, cause } = event;
      this.put({
        user_id,
        name,
        eligible: known?.eligible ?? false,
        weight,
        units: known?.units ?? [],
        present,
        method,
        place,
        cause,
        left: !present && (event.change === 'left' || known?.left === true),
        represents: known?.represents ?? [],
      });
    } else if (event.type === 'delegation_changed' && this.units.advance(event.unit, event.seq)) {
      this.delegate(event.unit, event.delegate, event.represented);
    }
  }

  /**
   * Takes in what the server answered about somebody. An answer may come after an event that is
   * newer, as of another desk, and before events that it already knows of.
   */
  handleAnswer(answer: AttendeeAnswer): void {
    const { user_id, last_seq } = answer;
    const known = this.current.entries.get(user_id);
    const represents = answer.represents.filter((unit) => this.units.advance(unit, last_seq));
    if (this.people.advance(user_id, last_seq)) {
      // Units about which something newer is known are told by it.
      const newer = known?.represents.filter((unit) => this.units.isNewer(unit, last_seq)) ?? [];
      this.put({ ...entryOf(answer, known), represents: [...represents, ...newer] });
    }
    for (const unit of represents) this.delegate(unit, user_id, true);
  }

  /** People in whom every word of `query` is found, those whose name begins so first. */
  search(query: string, most: number): readonly BookEntry[] {
    const words = plain(query).split(/\s+/).filter(Boolean);
    if (words.length === 0) return [];
    const first: BookEntry[] = [];
    const others: BookEntry[] = [];
    for (const { entry, text, name } of this.indexed()) {
      if (!words.every((word) => text.includes(word))) continue;
      const begins = words.every((word) => name.includes(` ${word}`));
      (begins ? first : others).push(entry);
      if (first.length >= most) break;
    }
    return [...first, ...others].slice(0, most);
  }

  /** Names sorted, without marks and capitals: made once a change, not once a key. */
  private indexed(): readonly Indexed[] {
    const { entries } = this.current;
    if (this.index?.of !== entries) {
      const before = new Map(this.index?.texts.map((one) => [one.entry.user_id, one]));
      const texts = [...entries.values()].map((entry) => {
        const known = before.get(entry.user_id);
        const same = known?.entry.name === entry.name && known.entry.units === entry.units;
        return same ? { ...known, entry } : indexedOf(entry);
      });
      texts.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
      this.index = { of: entries, texts };
    }
    return this.index.texts;
  }

  private delegate(unit: string, delegate: string, represented: boolean): void {
    const entries = new Map(this.current.entries);
    for (const entry of entries.values()) {
      if (!entry.units.some((one) => one.id === unit)) continue;
      const units = entry.units.map((one) =>
        one.id === unit ? { ...one, represented_by: represented ? delegate : null } : one,
      );
      this.noteChange({ ...entry, units }, entries);
    }
    const who = entries.get(delegate);
    if (who !== undefined) {
      const others = who.represents.filter((one) => one !== unit);
      const represents = represented ? [...others, unit] : others;
      this.noteChange({ ...who, represents }, entries);
    }
    this.change({ entries });
  }

  private put(entry: BookEntry): void {
    const entries = new Map(this.current.entries);
    this.noteChange(entry, entries);
    this.change({ entries });
  }

  private noteChange(entry: BookEntry, entries: Map<string, BookEntry>): void {
    entries.set(entry.user_id, entry);
    if (this.current.loading) this.changedWhileLoading?.set(entry.user_id, entry);
  }

  private async *pages<One extends Page<unknown>>(rest: string): AsyncGenerator<One> {
    let cursor: string | null = null;
    for (let at = 0; at < PAGES_MAX; at += 1) {
      const query = new URLSearchParams({ limit: String(PAGE) });
      if (cursor !== null) query.set('cursor', cursor);
      const path = attendancePath(this.session, `${rest}?${query.toString()}`);
      const page: One = await this.api.request<One>('GET', path);
      yield page;
      cursor = page.next_cursor;
      if (cursor === null) return;
    }
  }

  private change(change: Partial<BookView>): void {
    this.current = { ...this.current, ...change };
    for (const listener of this.listeners) listener(this.current);
  }
}

/** The number of the newest event that is known of, by what the event is about. */
class NewestSeq {
  private readonly seqs = new Map<string, number>();

  /** Whether something newer is known than the room's state after event `seq`. */
  isNewer(subject: string, seq: number): boolean {
    return (this.seqs.get(subject) ?? 0) > seq;
  }

  /** Notes that the room's state after event `seq` is known, unless something newer is. */
  advance(subject: string, seq: number): boolean {
    if (this.isNewer(subject, seq)) return false;
    this.seqs.set(subject, seq);
    return true;
  }
}

/** What was told while the lists were read, with what only they know. */
function told(entry: BookEntry, listed: BookEntry | undefined): BookEntry {
  if (entry.eligible || listed === undefined) return entry;
  const { eligible, units } = listed;
  const represents = entry.represents.length > 0 ? entry.represents : listed.represents;
  return { ...entry, eligible, units, represents };
}

interface Indexed {
  readonly entry: BookEntry;
  /** Everything in which is searched. */
  readonly text: string;
  /** The name alone, a space before each of its words. */
  readonly name: string;
}

function indexedOf(entry: BookEntry): Indexed {
  const name = ` ${plain(entry.name)}`;
  const units = entry.units.map((unit) => plain(unit.id)).join(' ');
  return { entry, name, text: `${name} ${units} ${plain(entry.user_id)}` };
}

function entryOf(attendee: Attendee, known: BookEntry | undefined): BookEntry {
  const last = attendee.intervals.at(-1);
  const before = new Map(known?.units.map((unit) => [unit.id, unit.represented_by]));
  return {
    user_id: attendee.user_id,
    name: attendee.name,
    eligible: attendee.eligible,
    weight: attendee.weight,
    units: attendee.units.map((unit) => ({
      ...unit,
      represented_by: before.get(unit.id) ?? null,
    })),
    present: attendee.present,
    method: attendee.method,
    place: attendee.place,
    cause: attendee.present ? null : (last?.cause ?? null),
    left: !attendee.present && last !== undefined,
    represents: attendee.represents,
  };
}
