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

/** The server's clock, 7 h ahead of this page's. */
const serverNow = () => Date.now() + 7 * 3_600_000;

function world() {
  const calls: { method: string; path: string; body: unknown; key: string | undefined }[] = [];
  let refusal: ApiError | null = null;
  let decided = true;
  let present = true;
  const request = (method: string, path: string, options: RequestOptions = {}) => {
    const { body, idempotencyKey: key } = options;
    calls.push({ method, path: path.replace('/api/v1/sessions/s/attendance', ''), body, key });
    if (refusal !== null) return Promise.reject(refusal);
    present = path.endsWith('/mark-left') ? false : path.endsWith('/take-back') ? !present : true;
    const { decision } = body as { decision?: string };
    const made = decided
      ? { id: decision, action: 'register' }
      : { id: 'another', action: 'register' };
    const interval = { from: '', until: null, method: 'manual', place: 'hall', cause: null };
    const now = { ...ana, present, place: 'hall', intervals: [interval], decision: made };
    return Promise.resolve({ ...now, represents: [], units: [], last_seq: calls.length });
  };
  const api = { request } as unknown as Pick<ApiClient, 'request'>;
  const keeping = keepingIn(() => {
    throw new Error('none');
  });
  const book = new AttendanceBook(api, 's');
  const open = () => new Desk(api, 's', book, keeping, serverNow);
  return {
    calls,
    book,
    open,
    refuse: (code: string | null) => (refusal = code === null ? null : new ApiError(409, code, '')),
    /** Whether the server decides something, or it was so already. */
    decides: (does: boolean) => (decided = does),
  };
}

describe('the registration desk', () => {
  it('registers with new delegations, and takes back what it decided by its name', async () => {
    const { calls, open } = world();
    const desk = open();
    const step = await desk.register(ana, ['T1', 'T2']);
    expect(step).toMatchObject({ state: 'done', represents: ['T2'], changed: true });
    const decision = step.id;
    expect(calls[0]).toMatchObject({
      path: '/register-attendee',
      body: { represents: ['T2'], decision },
      key: decision,
    });
    expect(desk.last?.id).toBe(step.id);
    expect(await desk.undo(step.id)).toMatchObject({ state: 'undone' });
    expect(calls[1]).toMatchObject({ path: '/ana%2F1/take-back', body: { decision } });
    expect(desk.last).toBeNull();
  });

  it('takes back a step that is on its way, once it is answered', async () => {
    const { calls, open, refuse } = world();
    const desk = open();
    const registered = desk.register(ana);
    const newest = desk.last;
    expect(newest?.state).toBe('sending');
    expect(await desk.undo(newest?.id ?? '')).toMatchObject({ state: 'undone', user_id: 'ana/1' });
    expect((await registered).state).toBe('done');
    expect(calls.map(({ path }) => path)).toEqual(['/register-attendee', '/ana%2F1/take-back']);
    refuse('DELEGATION_LIMIT_REACHED');
    void desk.register(ana);
    expect(await desk.undo(desk.last?.id ?? '')).toBeNull();
    expect(calls).toHaveLength(3);
  });

  it('takes nothing back that another desk had done', async () => {
    const { calls, open, decides } = world();
    const desk = open();
    decides(false);
    const again = await desk.register(ana);
    expect(again).toMatchObject({ state: 'done', changed: false });
    expect(desk.undoable(again)).toBe(false);
    expect(await desk.undo(again.id)).toBeNull();
    expect(calls).toHaveLength(1);
  });

  it('never passes over the newest step to take an older one back', async () => {
    const { open, decides, refuse } = world();
    const desk = open();
    await desk.register(ana);
    decides(false);
    const newest = await desk.leave({ ...ana, user_id: 'eva', present: true, place: 'remote' });
    expect(desk.last?.id).toBe(newest.id);
    refuse('NOT_PRESENT');
    const failed = await desk.leave({ ...ana, user_id: 'ivo', present: true, place: 'hall' });
    expect(desk.last?.id).toBe(failed.id);
  });

  it('says that somebody is another way than a step has left them', async () => {
    const { book, open } = world();
    const desk = open();
    const step = await desk.register(ana);
    expect(desk.isSuperseded(step)).toBe(false);
    const left = { ...ana, present: false, place: 'hall', intervals: [], decision: null };
    book.handleAnswer({ ...left, earlier_intervals: 0, present_s: 0, last_seq: 9 });
    expect(desk.isSuperseded(step)).toBe(true);
    expect(desk.undoable(step)).toBe(false);
  });

  it('keeps the time by the clock of the server', async () => {
    const { open } = world();
    const step = await open().register(ana);
    expect(Math.abs(step.atMs - serverNow())).toBeLessThan(60_000);
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

  it('puts somebody back who was marked as left by mistake, wherever they were', async () => {
    for (const place of ['hall', 'remote']) {
      const { calls, open } = world();
      const desk = open();
      const step = await desk.leave({ ...ana, present: true, place });
      expect(await desk.undo(step.id)).toMatchObject({ state: 'undone' });
      expect(calls.map(({ path }) => path)).toEqual(['/ana%2F1/mark-left', '/ana%2F1/take-back']);
    }
  });

  it('says that a step could not be taken back, and keeps it', async () => {
    const { open, refuse } = world();
    const desk = open();
    const step = await desk.register(ana);
    refuse('DECISION_STALE');
    expect(await desk.undo(step.id)).toMatchObject({ state: 'done', refused: 'DECISION_STALE' });
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

describe('a badge', () => {
  it('names its owner at its session only', () => {
    const text = badgeText('s', 'ana:1 é');
    expect(badgeOwner('s', text)).toBe('ana:1 é');
    expect(badgeOwner('other', text)).toBeNull();
    expect(badgeOwner('s', 'ana')).toBeNull();
    expect(badgeOwner('s', 'cabildo:attendee:s:%E0%A4%A')).toBeNull();
  });
});
