import { signal } from '@preact/signals';
import { t } from '../i18n/i18n';
import { toast } from './components';
import { keep, kept } from './kept';
import { announceAtOnce } from './live_regions';
import { forgetDecision, noteDecision } from './undo_stack';

/** How long something that can't be taken back waits for second thoughts. */
export const SECOND_THOUGHTS_MS = 5_000;

/** What was left behind is read by whoever comes back, and they may not look at once. */
const LEFT_MS = 20_000;
const LEFT_KEY = 'left.undone';

interface Waiting {
  readonly text: string;
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
  waiting.set(key, { text, timer, dismiss });
  noteDecision(key, () => undo(key));
  leaving.value = new Set(waiting.keys());
}

/**
 * What still waits when the page is left is not carried out: nobody could take it back any more.
 * The page says so when it is back.
 */
export function tellWhatWasLeft(): () => void {
  for (const what of kept<readonly string[]>(LEFT_KEY, [])) {
    const text = t('undo.left', { what });
    toast(text, undefined, LEFT_MS);
    announceAtOnce(text);
  }
  keep(LEFT_KEY, []);
  const handleLeaving = () =>
    keep(
      LEFT_KEY,
      [...waiting.values()].map(({ text }) => text),
    );
  // A page that comes back as it was goes on waiting.
  const handleReturn = () => keep(LEFT_KEY, []);
  window.addEventListener('pagehide', handleLeaving);
  window.addEventListener('pageshow', handleReturn);
  return () => {
    window.removeEventListener('pagehide', handleLeaving);
    window.removeEventListener('pageshow', handleReturn);
  };
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
