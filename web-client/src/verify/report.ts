import type { Code, Place, Problem } from './problem';
import { Refused } from './problem';

/** What can have been checked. */
export const CHECKS = [
  'head',
  'heads',
  'jws',
  'entries',
  'tracks',
  'segments',
  'close',
  'objects',
  'objectBytes',
  'receipts',
  'consistency',
  'held',
  'operator',
  'checkpoint',
  'events',
  'subjects',
  'opened',
  'packets',
] as const;
export type Check = (typeof CHECKS)[number];

/** What was not checked; the first group makes a verdict incomplete. */
export const NEEDED = [
  'keysUntrusted',
  'objectsNotGiven',
  'clipObject',
  'heldUnlinked',
  'receiptOlder',
  'proofNotGiven',
  'entriesNotGiven',
  'headsNotGiven',
  'keysNotGiven',
  'interrupted',
] as const;
export const OPTIONAL = [
  'truth',
  'beforeServer',
  'content',
  'recording',
  'notClosed',
  'absentExplained',
  'noOperator',
  'operatorKey',
  'ed25519',
  'checkpointOther',
  'timestamps',
  'consistencyUnheld',
  'noHeld',
  'timeNotTold',
] as const;
export type Unchecked = (typeof NEEDED)[number] | (typeof OPTIONAL)[number];

export type Verdict = 'valid' | 'invalid' | 'incomplete';

/** A track, for people who read the report. */
export interface TrackReport {
  readonly id: string;
  readonly number: number;
  readonly media: 'audio' | 'video';
  readonly codec: string;
  readonly segments: number;
  readonly gaps: number;
  /** Milliseconds of it that no entry accounts for. */
  readonly unaccountedMs: number;
  readonly fromMs: number | null;
  readonly toMs: number | null;
  readonly erased: boolean;
}

/** Something that was revealed and fits its commitment. */
export interface Disclosed {
  readonly kind: 'event' | 'subject';
  readonly entry: number;
  readonly text: string;
}

/** What the verifier says. */
export interface Report {
  readonly verdict: Verdict;
  readonly kind: 'proof' | 'full' | 'clip';
  readonly session: string | null;
  readonly iss: string | null;
  readonly status: string | null;
  readonly head: { readonly treeSize: number; readonly iat: number } | null;
  readonly startedMs: number | null;
  readonly closed: boolean;
  readonly checked: Readonly<Partial<Record<Check, number>>>;
  readonly notChecked: readonly { readonly what: Unchecked; readonly count: number }[];
  readonly problems: readonly Problem[];
  /** Problems beyond those that are listed. */
  readonly moreProblems: number;
  readonly tracks: readonly TrackReport[];
  readonly disclosed: readonly Disclosed[];
  readonly elapsedMs: number;
}

/** How far a long check is. */
export interface Progress {
  readonly phase: 'entries' | 'heads' | 'objects';
  readonly done: number;
  readonly total: number;
}

const MOST_PROBLEMS = 200;
const MOST_DISCLOSED = 2000;
/** Not false, only absent: the verdict is incomplete, as the program ends with 3. */
const ABSENCES: ReadonlySet<Code> = new Set(['OBJECT_MISSING', 'NOT_CLOSED']);

/** Collects what is found. */
export class Findings {
  kind: Report['kind'] = 'proof';
  session: string | null = null;
  iss: string | null = null;
  status: string | null = null;
  head: Report['head'] = null;
  startedMs: number | null = null;
  closed = false;
  tracks: readonly TrackReport[] = [];
  private readonly checked: Partial<Record<Check, number>> = {};
  private readonly notChecked = new Map<Unchecked, number>();
  private readonly problems: Problem[] = [];
  private readonly disclosed: Disclosed[] = [];
  private more = 0;
  private isFalse = false;
  private isAbsent = false;
  private readonly startMs = performance.now();

  /** Something holds. */
  passed(check: Check, count = 1): void {
    this.checked[check] = (this.checked[check] ?? 0) + count;
  }

  /** Something could not be told. */
  left(what: Unchecked, count = 1): void {
    this.notChecked.set(what, (this.notChecked.get(what) ?? 0) + count);
  }

  readonly say = (code: Code, place: Place, detail: string): void => {
    if (ABSENCES.has(code)) this.isAbsent = true;
    else this.isFalse = true;
    if (this.problems.length < MOST_PROBLEMS) this.problems.push({ code, place, detail });
    else this.more += 1;
  };

  reveal(disclosed: Disclosed): void {
    if (this.disclosed.length < MOST_DISCLOSED) this.disclosed.push(disclosed);
  }

  /** Runs one check; what it refuses becomes a problem in that place. */
  async attempt<T>(place: Place, run: () => T | Promise<T>): Promise<T | null> {
    try {
      return await run();
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.say(error.code, place, error.detail);
      return null;
    }
  }

  report(): Report {
    const incomplete = this.isAbsent || [...this.notChecked.keys()].some((what) => isNeeded(what));
    return {
      verdict: this.isFalse ? 'invalid' : incomplete ? 'incomplete' : 'valid',
      kind: this.kind,
      session: this.session,
      iss: this.iss,
      status: this.status,
      head: this.head,
      startedMs: this.startedMs,
      closed: this.closed,
      checked: this.checked,
      notChecked: [...this.notChecked].map(([what, count]) => ({ what, count })),
      problems: this.problems,
      moreProblems: this.more,
      tracks: this.tracks,
      disclosed: this.disclosed,
      elapsedMs: performance.now() - this.startMs,
    };
  }
}

/** Whether a verdict without this is incomplete. */
export function isNeeded(what: Unchecked): boolean {
  return (NEEDED as readonly string[]).includes(what);
}
