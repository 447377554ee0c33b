import type { RefObject } from 'preact';
import { useLayoutEffect, useRef } from 'preact/hooks';

/** What has just changed under a pointer takes no press of it for so long: nobody has read it yet. */
export const SETTLE_MS = 300;
/** Less than this is a border that changed, and hits the same control. */
const SLID_PX = 4;

const settling = new Map<HTMLElement, ReturnType<typeof setTimeout>>();

/** Keeps presses of a pointer from an element for a while; the keyboard is not kept from it. */
export function settle(element: HTMLElement, ms = SETTLE_MS): void {
  clearTimeout(settling.get(element));
  element.setAttribute('data-settling', '');
  const end = () => {
    settling.delete(element);
    element.removeAttribute('data-settling');
  };
  settling.set(element, setTimeout(end, ms));
}

/** Whether a press hit nothing because what is there has just changed. */
export function isPressOnSettling(event: MouseEvent): boolean {
  const { target, clientX: x, clientY: y } = event;
  if (event.detail === 0 || !(target instanceof Node)) return false;
  return [...settling.keys()].some((element) => {
    // What lies above it took the press, and that has not changed.
    if (!target.contains(element) || target === element) return false;
    const controls = element.matches(CONTROLS) ? [element] : element.querySelectorAll(CONTROLS);
    return [...controls].some((control) => {
      const box = control.getBoundingClientRect();
      return box.left <= x && x <= box.right && box.top <= y && y <= box.bottom;
    });
  });
}

const CONTROLS = 'button, a[href], input, select';

/** An element that takes no press of a pointer just after what it means has changed. */
export function useSettling<Box extends HTMLElement>(
  meaning: string | null,
  ms = SETTLE_MS,
): RefObject<Box> {
  const box = useRef<Box>(null);
  const before = useRef(meaning);
  useLayoutEffect(() => {
    if (before.current === meaning) return;
    before.current = meaning;
    if (box.current !== null) settle(box.current, ms);
  }, [meaning]);
  return box;
}

/** Where a row is, from a corner that stays. */
export interface RowPlace {
  readonly left: number;
  readonly top: number;
  readonly height: number;
}

/** Which rows are now where another one was, or part of another one. */
export function slidRows<Row>(
  before: ReadonlyMap<Row, RowPlace>,
  after: ReadonlyMap<Row, RowPlace>,
): readonly Row[] {
  const slid: Row[] = [];
  const old = [...before];
  for (const [row, now] of after) {
    const was = before.get(row);
    const stayed =
      was !== undefined &&
      Math.abs(was.top - now.top) <= SLID_PX &&
      Math.abs(was.left - now.left) <= SLID_PX;
    const covers = ([other, place]: [Row, RowPlace]) =>
      other !== row &&
      Math.abs(place.left - now.left) <= SLID_PX &&
      place.top < now.top + now.height - SLID_PX &&
      now.top < place.top + place.height - SLID_PX;
    if (!stayed && old.some(covers)) slid.push(row);
  }
  return slid;
}

/**
 * Settles each row of a list that comes to where another one was. Most lists begin at a place and
 * are scrolled; one that is `hung` stands in the window and grows upwards.
 */
export function settleRows(list: HTMLElement, hung = false): () => void {
  let places = placesOf(list, hung);
  const look = () => {
    const now = placesOf(list, hung);
    for (const row of slidRows(places, now)) settle(row);
    places = now;
  };
  const changes = new MutationObserver(look);
  changes.observe(list, { childList: true });
  // A row that grows or shrinks moves those below it.
  const sizes = new ResizeObserver(look);
  sizes.observe(list);
  return () => {
    changes.disconnect();
    sizes.disconnect();
  };
}

function placesOf(list: HTMLElement, hung: boolean): ReadonlyMap<HTMLElement, RowPlace> {
  const corner = hung ? { left: 0, top: 0 } : list.getBoundingClientRect();
  const rows = [...list.children].filter((one) => one instanceof HTMLElement);
  return new Map(
    rows.map((row) => {
      const box = row.getBoundingClientRect();
      const place = { left: box.left - corner.left, top: box.top - corner.top, height: box.height };
      return [row, place];
    }),
  );
}

/** Settles what stands below a box whenever the height of the box changes. */
export function settleBelow(box: HTMLElement, below: () => HTMLElement | null): () => void {
  let height = box.offsetHeight;
  const sizes = new ResizeObserver(() => {
    const now = box.offsetHeight;
    const moved = below();
    if (Math.abs(now - height) > SLID_PX && moved !== null) settle(moved);
    height = now;
  });
  sizes.observe(box);
  return () => sizes.disconnect();
}
