import type { RefObject } from 'preact';
import { useLayoutEffect, useRef } from 'preact/hooks';
import { isDangerous } from './focus';
import { settleRows } from './settling';

/** Where the focus was: the control and the place of its row. */
interface Place {
  readonly element: HTMLElement;
  readonly row: number;
  readonly control: number;
}

/**
 * Lets the arrow keys go from row to row of a list, on the same control, and keeps the
 * focus where work goes on: when the row that has it is removed, the row that takes its
 * place gets it. The element `home` gets it when there is none, and wherever the next key could
 * destroy something about somebody else. A row that slid under the pointer takes no press for a
 * moment.
 */
export function useRows<List extends HTMLElement>(home?: RefObject<HTMLElement>): RefObject<List> {
  const list = useRef<List>(null);
  const place = useRef<Place | null>(null);
  // Before anybody can press a key in the list or something of it can go.
  useLayoutEffect(() => {
    const element = list.current;
    if (element === null) return undefined;
    const handleFocus = (event: FocusEvent) => {
      place.current = placeOf(element, event.target);
    };
    const handleLoss = (event: FocusEvent) => {
      // To somewhere else: the person left. To nowhere: the control was removed.
      if (event.relatedTarget !== null) place.current = null;
    };
    const handleKey = (event: KeyboardEvent) => {
      const at = placeOf(element, event.target);
      const step = STEPS[event.key];
      if (at === null || step === undefined || event.altKey || event.ctrlKey || event.metaKey)
        return;
      if (isChoosing(event.target)) return;
      const row = step(at.row, element.children.length);
      const next = controlAt(element, row, at.control);
      if (next === undefined) return;
      next.focus();
      event.preventDefault();
    };
    element.dataset.handsOver = 'rows';
    element.addEventListener('focusin', handleFocus);
    element.addEventListener('focusout', handleLoss);
    element.addEventListener('keydown', handleKey);
    const changes = new MutationObserver(() => {
      const at = place.current;
      if (at === null || at.element.isConnected) return;
      const lost = document.activeElement === document.body || document.activeElement === null;
      place.current = null;
      if (!lost) return;
      const row = Math.min(at.row, element.children.length - 1);
      const next = controlAt(element, row, at.control);
      if (next === undefined || isDangerous(next) || isDangerous(at.element))
        home?.current?.focus();
      else next.focus();
    });
    changes.observe(element, { childList: true });
    const stopSettling = settleRows(element);
    return () => {
      element.removeEventListener('focusin', handleFocus);
      element.removeEventListener('focusout', handleLoss);
      element.removeEventListener('keydown', handleKey);
      changes.disconnect();
      stopSettling();
    };
  }, []);
  return list;
}

const STEPS: Readonly<Record<string, (row: number, rows: number) => number>> = {
  ArrowUp: (row) => row - 1,
  ArrowDown: (row) => row + 1,
  Home: () => 0,
  End: (_, rows) => rows - 1,
};

function placeOf(list: HTMLElement, target: EventTarget | null): Place | null {
  if (!(target instanceof HTMLElement)) return null;
  const rows = [...list.children];
  const row = rows.findIndex((one) => one.contains(target));
  const found = rows[row];
  return found === undefined
    ? null
    : { element: target, row, control: controlsOf(found).indexOf(target) };
}

function controlAt(list: HTMLElement, row: number, control: number): HTMLElement | undefined {
  const found = list.children[row];
  if (found === undefined) return undefined;
  const controls = controlsOf(found);
  return controls[Math.max(0, Math.min(control, controls.length - 1))];
}

function controlsOf(row: Element): HTMLElement[] {
  return [...row.querySelectorAll<HTMLElement>('button, a[href], input, select')];
}

/** Arrow keys inside these choose or write. */
function isChoosing(target: EventTarget | null): boolean {
  return target instanceof HTMLInputElement || target instanceof HTMLSelectElement;
}
