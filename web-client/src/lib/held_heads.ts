import { browserKeeping } from './keeping';

/** Heads of one session's record that this browser has kept, as base64url of COSE. */
export interface HeldHeads {
  readonly first: string;
  /** The newest that was checked. */
  readonly newest: string;
  /** Heads that contradict each other; never dropped for newer ones. */
  readonly conflicts: readonly string[];
  /** When anything of this was last kept, ms since 1970. */
  readonly atMs: number;
}

type Store = Pick<Storage, 'getItem' | 'setItem'>;
type Shelf = Record<string, HeldHeads>;

const KEY = 'cabildo.heads';
/** Sessions remembered; the longest unvisited are dropped, those with conflicts last. */
const SESSIONS_MAX = 50;
const CONFLICTS_MAX = 8;

/** Keeps heads between visits, so that a record that is rewritten is found out. */
export class HeldHeadStore {
  constructor(
    private readonly storage: Store | null = browserStorage(),
    private readonly now: () => number = Date.now,
  ) {}

  of(session: string): HeldHeads | null {
    const shelf = this.read();
    return Object.hasOwn(shelf, session) ? (shelf[session] ?? null) : null;
  }

  /** Keeps a head that was checked as the newest. */
  keep(session: string, head: string): void {
    const held = this.of(session);
    this.write(session, {
      first: held?.first ?? head,
      newest: head,
      conflicts: held?.conflicts ?? [],
      atMs: this.now(),
    });
  }

  /** Keeps a head that contradicts what is held. */
  keepConflict(session: string, head: string): void {
    const held = this.of(session);
    const conflicts = [...new Set([...(held?.conflicts ?? []), head])].slice(0, CONFLICTS_MAX);
    this.write(session, {
      first: held?.first ?? head,
      newest: held?.newest ?? head,
      conflicts,
      atMs: this.now(),
    });
  }

  /** The file of held heads that a person saves, or null when there are none. */
  file(session: string): string | null {
    const held = this.of(session);
    if (held === null) return null;
    const heads = [...new Set([held.first, held.newest, ...held.conflicts])];
    return JSON.stringify({ v: 1, session, heads });
  }

  private read(): Shelf {
    try {
      const value: unknown = JSON.parse(this.storage?.getItem(KEY) ?? '{}');
      if (typeof value !== 'object' || value === null) return {};
      return Object.fromEntries(
        Object.entries(value).filter((entry): entry is [string, HeldHeads] => isHeld(entry[1])),
      );
    } catch {
      return {};
    }
  }

  private write(session: string, held: HeldHeads): void {
    const all = Object.entries({ ...this.read(), [session]: held });
    const kept = all
      .sort(([, a], [, b]) => rank(b) - rank(a) || b.atMs - a.atMs)
      .slice(0, SESSIONS_MAX);
    if (!kept.some(([name]) => name === session)) kept.splice(-1, 1, [session, held]);
    try {
      this.storage?.setItem(KEY, JSON.stringify(Object.fromEntries(kept)));
    } catch {
      // A full or forbidden storage costs the memory between visits only.
    }
  }
}

function rank(held: HeldHeads): number {
  return held.conflicts.length > 0 ? 1 : 0;
}

function isHeld(value: unknown): value is HeldHeads {
  const held = value as Partial<HeldHeads> | null;
  return (
    typeof held?.first === 'string' &&
    typeof held.newest === 'string' &&
    typeof held.atMs === 'number' &&
    Array.isArray(held.conflicts)
  );
}

function browserStorage(): Store | null {
  try {
    return typeof window === 'undefined' ? null : browserKeeping();
  } catch {
    return null;
  }
}
