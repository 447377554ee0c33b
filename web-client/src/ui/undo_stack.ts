/** Something a person decided here, and how it is taken back; null when it can't be. */
interface Entry {
  readonly key: string;
  readonly undo: (() => void) | null;
}

/** The newest last. */
let entries: readonly Entry[] = [];

/** Notes what was decided, until `forgetDecision`. */
export function noteDecision(key: string, undo: (() => void) | null): void {
  entries = [...entries.filter((one) => one.key !== key), { key, undo }];
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
