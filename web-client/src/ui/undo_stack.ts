/** Something a person decided here, and how it is taken back; null when it can't be. */
interface Entry {
  readonly key: string;
  readonly undo: (() => void) | null;
}

/** The newest last. */
let entries: readonly Entry[] = [];

/** Notes what was decided, until `forgetDecision`; what was noted before keeps its place. */
export function noteDecision(key: string, undo: (() => void) | null): void {
  const entry = { key, undo };
  entries = entries.some((one) => one.key === key)
    ? entries.map((one) => (one.key === key ? entry : one))
    : [...entries, entry];
}

/** What was decided can't be taken back any more, or was. */
export function forgetDecision(key: string): void {
  entries = entries.filter((one) => one.key !== key);
}

/** Takes back what was decided last, and never what was decided before it. */
export function undoNewest(): 'undone' | 'not_undoable' | 'nothing' {
  const newest = entries.at(-1);
  if (newest === undefined) return 'nothing';
  if (newest.undo === null) return 'not_undoable';
  newest.undo();
  return 'undone';
}
