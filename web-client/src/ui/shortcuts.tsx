import { useEffect } from 'preact/hooks';
import type { Key } from '../i18n/i18n';
import { t } from '../i18n/i18n';
import { Check, Dialog } from './components';

/** What a key does on the console. */
export interface Shortcut {
  readonly keys: string;
  /** What it does, by the name of a text or as it is. */
  readonly text?: Key;
  readonly name?: string;
  /** Absent where the key is handled by what has the focus. */
  readonly run?: () => void;
}

/**
 * Runs shortcuts while nobody types and no dialog is open. Those of one key can be
 * switched off (WCAG 2.1.4): speech input and a slipped hand press keys by mistake.
 */
export function useShortcuts(shortcuts: readonly Shortcut[], on: boolean): void {
  useEffect(() => {
    const handle = (event: KeyboardEvent) => {
      // A held key decides once.
      if (!on || event.repeat) return;
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
export function ShortcutHelp(props: {
  shortcuts: readonly Shortcut[];
  on: boolean;
  onSwitch: (on: boolean) => void;
  onClose: () => void;
}) {
  return (
    <Dialog title={t('console.shortcuts')} testId="shortcuts" onClose={props.onClose}>
      <Check
        label={t('console.shortcutsOn')}
        checked={props.on}
        testId="shortcuts-on"
        onChange={props.onSwitch}
      />
      <dl class="shortcuts">
        {props.shortcuts.map(({ keys, text, name }) => (
          <>
            <dt>
              <kbd>{keys}</kbd>
            </dt>
            <dd>{text === undefined ? name : t(text)}</dd>
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
