import { signal } from '@preact/signals';
import { t } from '../i18n/i18n';
import { toast } from './components';
import { forgetDecision, noteDecision } from './undo_stack';

/** How long something that can't be taken back waits for second thoughts. */
export const SECOND_THOUGHTS_MS = 5_000;

interface Waiting {
  readonly timer: ReturnType<typeof setTimeout>;
  readonly dismiss: () => void;
}

const waiting = new Map<string, Waiting>();
/** Keys of what waits, for showing rows as leaving. */
export const leaving = signal<ReadonlySet<string>>(new Set());

/** Does `act` after a while in which it can be undone. */
export function afterSecondThoughts(key: string, text: string, act: () => void): void {
  if (waiting.has(key)) return;
  const dismiss = toast(
    text,
    { label: t('common.undo'), run: () => undo(key) },
    SECOND_THOUGHTS_MS,
  );
  const timer = setTimeout(() => {
    forget(key);
    act();
  }, SECOND_THOUGHTS_MS);
  waiting.set(key, { timer, dismiss });
  noteDecision(key, () => undo(key));
  leaving.value = new Set(waiting.keys());
}

/** Takes back what waits under a key. */
function undo(key: string): void {
  const one = waiting.get(key);
  if (one === undefined) return;
  clearTimeout(one.timer);
  one.dismiss();
  forget(key);
}

function forget(key: string): void {
  waiting.delete(key);
  forgetDecision(key);
  leaving.value = new Set(waiting.keys());
}
