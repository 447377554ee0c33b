/** What a page keeps texts in. It never throws. */
export interface Keeping {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
  /** Whether what is kept is still there after a reload. */
  readonly lasts: boolean;
}

const PROBE = 'cabildo.probe';

/**
 * Keeps in the browser's storage where it lets us, and in memory where it does
 * not: a policy, a private window or a full quota may forbid it at any moment.
 */
export function keepingIn(open: () => Storage): Keeping {
  const memory = new Map<string, string>();
  let storage: Storage | null = null;
  try {
    storage = open();
    storage.setItem(PROBE, '1');
    storage.removeItem(PROBE);
  } catch {
    storage = null;
  }
  const lasts = storage !== null;
  return {
    lasts,
    getItem(key) {
      const held = memory.get(key);
      if (held !== undefined) return held;
      try {
        return storage?.getItem(key) ?? null;
      } catch {
        return null;
      }
    },
    setItem(key, value) {
      try {
        if (storage !== null) {
          storage.setItem(key, value);
          memory.delete(key);
          return;
        }
      } catch {
        // Held in memory instead.
      }
      memory.set(key, value);
    },
    removeItem(key) {
      memory.delete(key);
      try {
        storage?.removeItem(key);
      } catch {
        // It was not kept there.
      }
    },
  };
}

let tab: Keeping | null = null;
let browser: Keeping | null = null;

/** Kept as long as the tab. */
export function tabKeeping(): Keeping {
  return (tab ??= keepingIn(() => window.sessionStorage));
}

/** Kept for all tabs and visits. */
export function browserKeeping(): Keeping {
  return (browser ??= keepingIn(() => window.localStorage));
}
