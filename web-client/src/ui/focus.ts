/**
 * Where the focus goes when the control that has it is removed from a part of the page, by the
 * part's `data-hands-over`:
 * - `controls`: to its first control that destroys nothing;
 * - `following`: to what follows in it and has a control, as the next of several notices;
 * - `back`: to where the focus was before it came into this part;
 * - `rows`: the part sees to it itself (rows.ts);
 * - `itself`: to the part as a whole.
 * Where there is no such thing, and a part has `data-hands-over-to`, to the element with that
 * id. Everywhere else it goes to the heading of the section, dialog or page.
 */
const HANDS_OVER = 'data-hands-over';
const SECTIONS = `section, dialog, main, [${HANDS_OVER}="itself"]`;
const CONTROLS = 'button, a[href], input, select, textarea';

/** The element that has the focus, and what it is in, the nearest first. */
interface Held {
  readonly element: HTMLElement;
  readonly parents: readonly HTMLElement[];
}

/** Keeps the focus where work goes on; once a page. */
export function keepFocus(): void {
  let held: Held | null = null;
  /** What had the focus last outside of parts that hand it back. */
  let before: HTMLElement | null = null;
  document.addEventListener('focusin', ({ target }) => {
    if (!(target instanceof HTMLElement)) return;
    held = { element: target, parents: parentsOf(target) };
    if (target.closest(`[${HANDS_OVER}="back"]`) === null) before = target;
  });
  document.addEventListener('pointerdown', ({ target }) => {
    // Whoever presses elsewhere has left the control.
    if (target instanceof Node && held?.element.contains(target) === false) held = null;
  });
  new MutationObserver((changes) => {
    if (held === null || held.element.isConnected) return;
    if (document.activeElement !== null && document.activeElement !== document.body) {
      held = null;
      return;
    }
    const next = successorOf(held, changes, before);
    if (next === null) return;
    held = null;
    focusOn(next);
  }).observe(document.body, { childList: true, subtree: true });
}

function parentsOf(element: HTMLElement): HTMLElement[] {
  const parents: HTMLElement[] = [];
  for (let one = element.parentElement; one !== null; one = one.parentElement) parents.push(one);
  return parents;
}

function successorOf(
  held: Held,
  changes: readonly MutationRecord[],
  before: HTMLElement | null,
): HTMLElement | null {
  const at = held.parents.findIndex((one) => one.isConnected);
  const removed = held.parents[at - 1] ?? held.element;
  const left = held.parents.slice(at).filter((one) => one !== document.documentElement);
  /** What now stands where the control was, or whatever it was in. */
  let here: Node | null =
    changes.find(({ removedNodes }) => [...removedNodes].includes(removed))?.nextSibling ?? null;
  // The part itself may be gone, as a panel that was closed.
  const goesBack = held.parents.some((one) => one.getAttribute(HANDS_OVER) === 'back');
  if (goesBack && before?.isConnected === true) return before;
  for (const part of left) {
    const way = part.getAttribute(HANDS_OVER);
    if (way === 'rows' && part === left[0]) return null;
    const found =
      way === 'controls' ? safeControlIn(part) : way === 'following' ? withControlFrom(here) : null;
    const to = part.getAttribute(`${HANDS_OVER}-to`);
    const next = found ?? (to === null ? null : document.getElementById(to));
    if (next !== null) return next;
    if (part.matches(SECTIONS)) return headingOf(part);
    here = part;
  }
  const page = document.querySelector<HTMLElement>('main');
  return page === null ? null : headingOf(page);
}

/** What destroys something is never pressed by a key that was meant for something else. */
export function isDangerous(control: Element): boolean {
  return control.classList.contains('danger');
}

function safeControlIn(part: HTMLElement): HTMLElement | null {
  const controls = [...part.querySelectorAll<HTMLElement>(CONTROLS)];
  return controls.find((one) => !isDangerous(one)) ?? null;
}

function withControlFrom(first: Node | null): HTMLElement | null {
  for (let one = first; one !== null; one = one.nextSibling) {
    if (one instanceof HTMLElement && one.isConnected && one.querySelector(CONTROLS) !== null)
      return one;
  }
  return null;
}

function headingOf(part: HTMLElement): HTMLElement {
  if (part.getAttribute(HANDS_OVER) === 'itself') return part;
  return part.querySelector<HTMLElement>('h1, h2, h3') ?? part;
}

/** Headings and sections take the focus only when it is handed to them. */
function focusOn(element: HTMLElement): void {
  if (!element.matches(CONTROLS) && !element.hasAttribute('tabindex')) {
    element.tabIndex = -1;
    element.addEventListener('blur', () => element.removeAttribute('tabindex'), { once: true });
  }
  element.focus();
}
