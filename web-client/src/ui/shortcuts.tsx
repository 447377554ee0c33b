import { useEffect } from 'preact/hooks';
import type { Key } from '../i18n/i18n';
import { t } from '../i18n/i18n';
import { Dialog } from './components';

/** What a key does on the console. */
export interface Shortcut {
  readonly keys: string;
  readonly text: Key;
  /** Absent where the key is handled by what has the focus. */
  readonly run?: () => void;
}

/** Runs shortcuts while nobody types and no dialog is open. */
export function useShortcuts(shortcuts: readonly Shortcut[]): void {
  useEffect(() => {
    const handle = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
      if (document.querySelector('dialog[open]') !== null) return;
      const pressed =
        event.shiftKey && event.key.length === 1 && /[a-z]/i.test(event.key)
          ? `⇧ ${event.key.toUpperCase()}`
          : event.key.length === 1
            ? event.key.toUpperCase()
            : event.key;
      const shortcut = shortcuts.find((one) => one.run !== undefined && one.keys === pressed);
      if (shortcut === undefined) return;
      event.preventDefault();
      shortcut.run?.();
    };
    document.addEventListener('keydown', handle);
    return () => document.removeEventListener('keydown', handle);
  });
}

/** The list of all shortcuts. */
export function ShortcutHelp(props: { shortcuts: readonly Shortcut[]; onClose: () => void }) {
  return (
    <Dialog title={t('console.shortcuts')} testId="shortcuts" onClose={props.onClose}>
      <dl class="shortcuts">
        {props.shortcuts.map(({ keys, text }) => (
          <>
            <dt>
              <kbd>{keys}</kbd>
            </dt>
            <dd>{t(text)}</dd>
          </>
        ))}
      </dl>
      <form method="dialog">
        <button class="button wide">{t('common.close')}</button>
      </form>
    </Dialog>
  );
}

function isTyping(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable || /^(input|textarea|select)$/i.test(target.tagName))
  );
}
