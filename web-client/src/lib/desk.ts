import type { ApiClient } from './api_client';
import type { AttendeeAnswer } from './attendance';
import { attendancePath } from './attendance';
import type { AttendanceBook, BookEntry } from './attendance_book';
import { newId } from './encoding';
import { ApiError } from './errors';

/** Something that was done at the desk. */
export interface DeskStep {
  readonly id: string;
  readonly what: 'register' | 'leave';
  readonly user_id: string;
  readonly name: string;
  /** Units of others that a registration delegates. */
  readonly represents: readonly string[];
  /** Whether anything is another than before: somebody may have been in already. */
  readonly changed: boolean;
  readonly state: 'sending' | 'done' | 'failed' | 'undoing' | 'undone';
  /** The code of the refusal, of this or of taking it back; null when there is none. */
  readonly refused: string | null;
  readonly atMs: number;
}

/** Where steps outlive a reload. */
export interface DeskKeeping {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
}

/** Steps kept: what is older is looked up in the list itself. */
export const DESK_STEPS_MAX = 30;

/** The registration desk: each step is told to the server and can be taken back. */
export class Desk {
  private current: readonly DeskStep[];
  private readonly listeners = new Set<(steps: readonly DeskStep[]) => void>();
  private readonly key: string;
  /** Steps on their way, by their ids. */
  private readonly sending = new Map<string, Promise<DeskStep>>();

  constructor(
    private readonly api: Pick<ApiClient, 'request'>,
    private readonly session: string,
    private readonly book: AttendanceBook,
    private readonly keeping: DeskKeeping,
    private readonly now: () => number,
  ) {
    this.key = `cabildo.desk.${session}`;
    this.current = this.kept();
  }

  /** The newest first. */
  get steps(): readonly DeskStep[] {
    return this.current;
  }

  subscribe(listener: (steps: readonly DeskStep[]) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Registers somebody in the hall, with the units of others that they represent. */
  register(entry: BookEntry, represents: readonly string[] = []): Promise<DeskStep> {
    const added = represents.filter((unit) => !entry.represents.includes(unit));
    return this.send(this.begin('register', entry, added));
  }

  /** Marks somebody as left. */
  leave(entry: BookEntry): Promise<DeskStep> {
    return this.send(this.begin('leave', entry, []));
  }

  /** Sends a step again that was refused or did not arrive. */
  async retry(id: string): Promise<DeskStep | null> {
    const step = this.current.find((one) => one.id === id && one.state === 'failed');
    return step === undefined ? null : this.send(step);
  }

  /** Whether a step can be taken back, as far as this page knows. */
  undoable(step: DeskStep): boolean {
    return step.state === 'done' && step.changed && !this.isSuperseded(step);
  }

  /** Whether somebody is another way now than a step has left them, as by another desk. */
  isSuperseded(step: DeskStep): boolean {
    const entry = this.book.view.entries.get(step.user_id);
    if (step.state !== 'done' || entry === undefined) return false;
    // Where somebody is is read after whether they are.
    const inside = entry.present && (entry.place === 'hall' || entry.place === null);
    return step.what === 'register' ? !inside : entry.present;
  }

  /**
   * Takes a step back, and nothing that was decided since; null when it can't be. One that is on
   * its way is taken back once it is answered.
   */
  async undo(id: string): Promise<DeskStep | null> {
    await this.sending.get(id);
    const step = this.current.find((one) => one.id === id);
    if (step === undefined || !this.undoable(step)) return null;
    this.put({ ...step, state: 'undoing', refused: null });
    try {
      await this.ask(`/${encodeURIComponent(step.user_id)}/take-back`, { decision: step.id });
      return this.put({ ...step, state: 'undone', refused: null });
    } catch (error) {
      return this.put({ ...step, state: 'done', refused: codeOf(error) });
    }
  }

  /** The newest step that has not been taken back, whether or not it can be. */
  get last(): DeskStep | null {
    return this.current.find((step) => step.state !== 'undone') ?? null;
  }

  /** Ends the delegation of a unit. */
  async endDelegation(unit: string): Promise<void> {
    const path = `/units/${encodeURIComponent(unit)}/delegate`;
    await this.api.request('DELETE', attendancePath(this.session, path));
  }

  private begin(what: DeskStep['what'], entry: BookEntry, represents: readonly string[]): DeskStep {
    const { user_id, name } = entry;
    const atMs = this.now();
    const made = { id: newId(), what, user_id, name, represents, changed: false, atMs };
    return { ...made, state: 'sending', refused: null };
  }

  private send(step: DeskStep): Promise<DeskStep> {
    this.put({ ...step, state: 'sending', refused: null });
    const done = this.outcomeOf(step).finally(() => this.sending.delete(step.id));
    this.sending.set(step.id, done);
    return done;
  }

  private async outcomeOf(step: DeskStep): Promise<DeskStep> {
    const { id: decision, user_id, represents } = step;
    try {
      const answer =
        step.what === 'register'
          ? await this.ask('/register-attendee', { user_id, represents, decision }, decision)
          : await this.ask(leftPath(user_id), { decision }, decision);
      const changed = answer.decision?.id === decision;
      return this.put({ ...step, changed, state: 'done', refused: null });
    } catch (error) {
      return this.put({ ...step, state: 'failed', refused: codeOf(error) });
    }
  }

  /** A step that is sent again has the same key, so that it is never done twice. */
  private async ask(path: string, body: object, idempotencyKey?: string): Promise<AttendeeAnswer> {
    const answer = await this.api.request<AttendeeAnswer>(
      'POST',
      attendancePath(this.session, path),
      idempotencyKey === undefined ? { body } : { body, idempotencyKey },
    );
    this.book.handleAnswer(answer);
    return answer;
  }

  private put(step: DeskStep): DeskStep {
    const known = this.current.some((one) => one.id === step.id);
    this.current = known
      ? this.current.map((one) => (one.id === step.id ? step : one))
      : [step, ...this.current].slice(0, DESK_STEPS_MAX);
    this.keeping.setItem(this.key, JSON.stringify(this.current));
    for (const listener of this.listeners) listener(this.current);
    return step;
  }

  /** What was on its way when the page was left may have arrived: it is sent again by a press. */
  private kept(): readonly DeskStep[] {
    try {
      const value: unknown = JSON.parse(this.keeping.getItem(this.key) ?? '[]');
      const steps = Array.isArray(value) ? (value as readonly DeskStep[]) : [];
      return steps.map((step) =>
        step.state === 'sending'
          ? { ...step, state: 'failed', refused: 'NETWORK' }
          : step.state === 'undoing'
            ? { ...step, state: 'done' }
            : step,
      );
    } catch {
      return [];
    }
  }
}

function leftPath(user: string): string {
  return `/${encodeURIComponent(user)}/mark-left`;
}

function codeOf(error: unknown): string {
  return error instanceof ApiError ? error.code : 'PAGE_FAILED';
}

const BADGE = 'cabildo:attendee:';

/** What the code of a badge says: whom it names at which session, and nothing that opens a door. */
export function badgeText(session: string, user: string): string {
  return `${BADGE}${session}:${encodeURIComponent(user)}`;
}

/** Whom a badge names; null for other texts and badges of other sessions. */
export function badgeOwner(session: string, text: string): string | null {
  const before = `${BADGE}${session}:`;
  if (!text.startsWith(before)) return null;
  try {
    return decodeURIComponent(text.slice(before.length));
  } catch {
    return null;
  }
}
