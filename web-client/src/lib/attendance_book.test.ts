import { describe, expect, it, vi } from 'vitest';
import type { Told } from '../generated/wire';
import type { ApiClient } from './api_client';
import type { Attendee, EligiblePerson, Page } from './attendance';
import { AttendanceBook } from './attendance_book';
import { plain } from './plain';

const eligible = (user_id: string, name: string, unit: string): EligiblePerson => ({
  user_id,
  name,
  weight: '1.25',
  units: [{ id: unit, weight: '1.25', represented_by: null }],
  present: false,
  method: null,
});
const PEOPLE = [
  eligible('u1', 'José Peña', 'Torre A 101'),
  eligible('u2', 'Ana Ruiz', 'Torre B 102'),
  eligible('u3', 'Mariana López', 'Torre B 103'),
];
const gone: Attendee = {
  user_id: 'u3',
  name: 'Mariana López',
  eligible: true,
  present: false,
  method: 'qr',
  place: 'hall',
  weight: '1.25',
  units: [{ id: 'Torre B 103', weight: '1.25' }],
  represents: [],
  intervals: [{ from: '', until: '', method: 'qr', place: 'hall', cause: 'marked_left' }],
  earlier_intervals: 0,
  present_s: 60,
  decision: null,
};

/** Lists of one entry a page; `between` runs before each answer. */
function serving(between: (path: string) => void = () => undefined) {
  const paths: string[] = [];
  const page = <Item>(items: readonly Item[], query: URLSearchParams): Page<Item> => {
    const at = Number(query.get('cursor') ?? 0);
    const next = at + 1 < items.length ? String(at + 1) : null;
    return { items: items.slice(at, at + 1), next_cursor: next };
  };
  const request = (_method: string, path: string) => {
    paths.push(path);
    between(path);
    const url = new URL(path, 'http://localhost');
    const answer = url.pathname.endsWith('/eligible')
      ? { ...page(PEOPLE, url.searchParams), total: PEOPLE.length }
      : page([gone], url.searchParams);
    return Promise.resolve(answer);
  };
  return { api: { request } as unknown as Pick<ApiClient, 'request'>, paths };
}

function entered(user_id: string, name: string): Told {
  return {
    type: 'attendance_changed',
    seq: 1,
    at: '',
    change: 'validated',
    user_id,
    name,
    present: true,
    method: 'manual',
    place: 'hall',
    cause: null,
    by: 'chair',
    weight: '1.25',
  };
}

describe('the attendance book', () => {
  it('reads every page of both lists', async () => {
    const { api, paths } = serving();
    const book = new AttendanceBook(api, 's');
    await book.load();
    expect(paths).toHaveLength(4);
    expect(book.view).toMatchObject({ total: 3, loading: false, failure: null });
    expect(book.view.entries.get('u3')).toMatchObject({ left: true, cause: 'marked_left' });
    expect(book.view.entries.get('u1')).toMatchObject({ left: false, present: false });
  });

  it('finds people by the beginning of any word, whatever the marks', async () => {
    const book = new AttendanceBook(serving().api, 's');
    await book.load();
    const found = (query: string) => book.search(query, 10).map((one) => one.user_id);
    expect(found('jose PENA')).toEqual(['u1']);
    expect(found('torre b')).toEqual(['u2', 'u3']);
    // Whose name begins so comes before whose name only has it inside.
    expect(found('ana')).toEqual(['u2', 'u3']);
    expect(found('b 103 mar')).toEqual(['u3']);
    expect(found('  ')).toEqual([]);
    expect(plain('ÁÑü')).toBe('anu');
  });

  it('keeps what is told while it reads', async () => {
    let told = false;
    const { api } = serving((path) => {
      if (told || !path.includes('cursor=1')) return;
      told = true;
      book.handleEvent(entered('u1', 'José Peña'));
      book.handleEvent(entered('u2', 'Ana Ruiz'));
    });
    const book = new AttendanceBook(api, 's');
    await book.load();
    expect(told).toBe(true);
    expect(book.view.entries.get('u1')).toMatchObject({
      present: true,
      method: 'manual',
      units: [{ id: 'Torre A 101' }],
    });
    expect(book.view.entries.get('u2')).toMatchObject({
      present: true,
      eligible: true,
      units: [{ id: 'Torre B 102' }],
    });
  });

  it('keeps what is newer than an answer, and does not go back behind one', async () => {
    const book = new AttendanceBook(serving().api, 's');
    await book.load();
    const present = () => book.view.entries.get('u3')?.present;
    const answer = (last_seq: number, is: boolean, represents: string[] = []) => {
      book.handleAnswer({ ...gone, present: is, represents, last_seq });
    };
    const event = (seq: number, is: boolean) => {
      book.handleEvent({ ...entered('u3', 'Mariana López'), seq, present: is } as Told);
    };
    event(7, false);
    answer(6, true);
    expect(present()).toBe(false);
    answer(9, true);
    event(8, false);
    expect(present()).toBe(true);
    event(10, false);
    answer(9, true);
    expect(present()).toBe(false);

    const delegated = { type: 'delegation_changed', delegate: 'u3', by: 'chair', at: '' } as const;
    const unit = 'Torre A 101';
    const seen = () => [
      book.view.entries.get('u3')?.represents,
      book.view.entries.get('u1')?.units[0]?.represented_by,
    ];
    answer(12, true, [unit]);
    book.handleEvent({ ...delegated, unit, represented: false, seq: 11 });
    expect(seen()).toEqual([[unit], 'u3']);
    book.handleEvent({ ...delegated, unit, represented: false, seq: 13 });
    answer(12, true, [unit]);
    expect(seen()).toEqual([[], null]);
    book.handleEvent({ ...delegated, unit, represented: true, seq: 14 });
    answer(13, true);
    expect(seen()).toEqual([[unit], 'u3']);
  });

  it('reads the lists again when another eligible list is told, also while it reads', async () => {
    let list = 'a';
    const paths: string[] = [];
    let between: () => void = () => undefined;
    const request = (_method: string, path: string) => {
      paths.push(path);
      const items = path.includes('/eligible')
        ? [eligible('u1', list === 'a' ? 'José Peña' : 'José Paz', 'Torre A 101')]
        : [];
      const page = { items, next_cursor: null, total: items.length, sha256: list };
      between();
      return Promise.resolve(page);
    };
    const api = { request } as unknown as Pick<ApiClient, 'request'>;
    const book = new AttendanceBook(api, 's');
    const name = () => book.view.entries.get('u1')?.name;
    await book.load();
    book.handleList('a');
    expect(paths).toHaveLength(2);
    list = 'b';
    book.handleList('b');
    await vi.waitFor(() => expect(name()).toBe('José Paz'));
    await vi.waitFor(() => expect(book.view.loading).toBe(false));
    expect(paths).toHaveLength(4);
    between = () => {
      between = () => undefined;
      list = 'a';
      book.handleList('a');
    };
    await book.load();
    await vi.waitFor(() => expect(name()).toBe('José Peña'));
    expect(paths).toHaveLength(8);
  });

  it('shows who represents a unit, and no longer', async () => {
    const book = new AttendanceBook(serving().api, 's');
    await book.load();
    const change = { type: 'delegation_changed', unit: 'Torre A 101', delegate: 'u2' } as const;
    const by = 'chair';
    book.handleEvent({ ...change, represented: true, by, seq: 2, at: '' });
    expect(book.view.entries.get('u1')?.units[0]?.represented_by).toBe('u2');
    expect(book.view.entries.get('u2')?.represents).toEqual(['Torre A 101']);
    book.handleEvent({ ...change, represented: false, by, seq: 3, at: '' });
    expect(book.view.entries.get('u1')?.units[0]?.represented_by).toBeNull();
    expect(book.view.entries.get('u2')?.represents).toEqual([]);
  });

  it('searches 5,000 people without reading their names again', async () => {
    const many = Array.from({ length: 5_000 }, (_, at) =>
      eligible(`user-${at}`, `Núria Peña ${at}`, `Torre ${at}`),
    );
    const request = () => Promise.resolve({ items: many, next_cursor: null, total: many.length });
    const empty = () => Promise.resolve({ items: [], next_cursor: null });
    const api = {
      request: (_: string, path: string) => (path.includes('/eligible') ? request() : empty()),
    } as unknown as Pick<ApiClient, 'request'>;
    const book = new AttendanceBook(api, 's');
    await book.load();
    book.search('x', 50);
    // Names are made comparable once a change of the list, and only what is typed at each key.
    const made = vi.spyOn(String.prototype, 'normalize');
    for (let at = 0; at < 100; at += 1) book.search(`nuria ${at}`, 50);
    expect(made).toHaveBeenCalledTimes(100);
    made.mockRestore();
    expect(book.search('nuria 4711', 50).map((one) => one.user_id)).toEqual(['user-4711']);
  });

  it('says why it could not be read, and reads again', async () => {
    let failing = true;
    const { api } = serving(() => {
      if (failing) throw new Error('away');
    });
    const book = new AttendanceBook(api, 's');
    await book.load();
    expect(book.view.failure).toBeInstanceOf(Error);
    failing = false;
    await book.load();
    expect(book.view).toMatchObject({ failure: null, total: 3 });
  });
});
