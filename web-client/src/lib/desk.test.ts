import { describe, expect, it } from 'vitest';
import type { ApiClient, RequestOptions } from './api_client';
import { AttendanceBook } from './attendance_book';
import type { BookEntry } from './attendance_book';
import { DESK_STEPS_MAX, Desk, badgeOwner, badgeText } from './desk';
import { ApiError } from './errors';
import { keepingIn } from './keeping';

const ana: BookEntry = {
  user_id: 'ana/1',
  name: 'Ana',
  eligible: true,
  weight: '1',
  units: [],
  present: false,
  method: null,
  place: null,
  cause: null,
  left: false,
  represents: ['T1'],
};

function world() {
  const calls: { method: string; path: string; body: unknown; key: string | undefined }[] = [];
  let refusal: ApiError | null = null;
  const request = (method: string, path: string, options: RequestOptions = {}) => {
    const { body, idempotencyKey: key } = options;
    calls.push({ method, path: path.replace('/api/v1/sessions/s/attendance', ''), body, key });
    if (refusal !== null) return Promise.reject(refusal);
    return Promise.resolve({ ...ana, intervals: [], represents: [], units: [] });
  };
  const api = { request } as unknown as Pick<ApiClient, 'request'>;
  const keeping = keepingIn(() => {
    throw new Error('none');
  });
  const open = () => new Desk(api, 's', new AttendanceBook(api, 's'), keeping);
  return {
    calls,
    open,
    refuse: (code: string | null) => (refusal = code === null ? null : new ApiError(409, code, '')),
  };
}

describe('the registration desk', () => {
  it('registers with new delegations, and takes back exactly what it did', async () => {
    const { calls, open } = world();
    const desk = open();
    const step = await desk.register(ana, ['T1', 'T2']);
    expect(step).toMatchObject({ state: 'done', represents: ['T2'], entered: true });
    expect(calls[0]).toMatchObject({ path: '/register-attendee', body: { represents: ['T2'] } });
    expect(desk.last?.id).toBe(step.id);
    expect(await desk.undo(step.id)).toMatchObject({ state: 'undone' });
    expect(calls.slice(1).map(({ method, path }) => `${method} ${path}`)).toEqual([
      'DELETE /units/T2/delegate',
      'POST /ana%2F1/mark-left',
    ]);
    expect(calls[2]?.body).toEqual({ mistake: true });
    expect(desk.last).toBeNull();
  });

  it('leaves somebody in who was in before, and takes back only delegations', async () => {
    const { calls, open } = world();
    const desk = open();
    const inside = { ...ana, present: true, place: 'hall' };
    const again = await desk.register(inside);
    expect(Desk.undoable(again)).toBe(false);
    const step = await desk.register(inside, ['T3']);
    await desk.undo(step.id);
    expect(calls.map(({ path }) => path)).toEqual([
      '/register-attendee',
      '/register-attendee',
      '/units/T3/delegate',
    ]);
  });

  it('keeps what was refused, with its code, and sends it again as the same request', async () => {
    const { calls, open, refuse } = world();
    const desk = open();
    refuse('DELEGATION_LIMIT_REACHED');
    const step = await desk.register(ana, ['T2']);
    expect(step).toMatchObject({ state: 'failed', refused: 'DELEGATION_LIMIT_REACHED' });
    expect(await desk.undo(step.id)).toBeNull();
    refuse(null);
    expect(await desk.retry(step.id)).toMatchObject({ state: 'done', refused: null });
    expect(calls[1]?.key).toBe(calls[0]?.key);
  });

  it('puts somebody back who was marked as left by mistake', async () => {
    const { calls, open } = world();
    const desk = open();
    const step = await desk.leave({ ...ana, present: true, place: 'hall' });
    await desk.undo(step.id);
    expect(calls.map(({ path }) => path)).toEqual(['/ana%2F1/mark-left', '/register-attendee']);
    // Whoever was connected comes back by themselves.
    expect(Desk.undoable(await desk.leave({ ...ana, present: true, place: 'remote' }))).toBe(false);
  });

  it('says that a step could not be taken back, and keeps it', async () => {
    const { open, refuse } = world();
    const desk = open();
    const step = await desk.register(ana);
    refuse('NOT_PRESENT');
    expect(await desk.undo(step.id)).toMatchObject({ state: 'done', refused: 'NOT_PRESENT' });
  });

  it('loses no step by a reload, and keeps no more than it shows', async () => {
    const { open } = world();
    const desk = open();
    for (let at = 0; at < DESK_STEPS_MAX + 5; at += 1) await desk.register(ana);
    const after = open();
    expect(after.steps).toEqual(desk.steps);
    expect(after.steps).toHaveLength(DESK_STEPS_MAX);
  });
});

describe('an undo that did not finish', () => {
  it('takes back what is left when a delegation has ended already', async () => {
    const { calls, open, refuse } = world();
    const desk = open();
    const step = await desk.register({ ...ana, present: true, place: 'hall' }, ['T2']);
    refuse('DELEGATION_CONFLICT');
    expect(await desk.undo(step.id)).toMatchObject({ state: 'undone' });
    expect(calls.at(-1)?.method).toBe('DELETE');
  });
});

describe('a badge', () => {
  it('names its owner at its session only', () => {
    const text = badgeText('s', 'ana:1 é');
    expect(badgeOwner('s', text)).toBe('ana:1 é');
    expect(badgeOwner('other', text)).toBeNull();
    expect(badgeOwner('s', 'ana')).toBeNull();
    expect(badgeOwner('s', 'cabildo:attendee:s:%E0%A4%A')).toBeNull();
  });
});
