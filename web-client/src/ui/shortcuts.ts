import { useLayoutEffect } from 'preact/hooks';
import type { Key } from '../i18n/catalogues';
import { useStable } from './hooks';

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
  // Effects run after the page was painted, and a key that comes before would still do what
  // held at the drawing before.
  const handle = useStable((event: KeyboardEvent) => {
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
  });
  useLayoutEffect(() => {
    document.addEventListener('keydown', handle);
    return () => document.removeEventListener('keydown', handle);
  }, [handle]);
}

function isTyping(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable || /^(input|textarea|select)$/i.test(target.tagName))
  );
}
