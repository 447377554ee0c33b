// What screen readers are told (WAI-ARIA 1.2 §6.6.1: live regions).
import { signal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';

/** So long a text stays for whoever reads the page line by line; then it is old. */
const STAYS_MS = 60_000;

/** A text that is told; the same text told again is another one. */
export interface Announced {
  readonly text: string;
  readonly count: number;
}

class Region {
  readonly said = signal<Announced>({ text: '', count: 0 });
  private timer: ReturnType<typeof setTimeout> | undefined;

  say(text: string): void {
    clearTimeout(this.timer);
    this.said.value = { text, count: this.said.value.count + 1 };
    this.timer = setTimeout(() => this.withdraw(text), STAYS_MS);
  }

  /** Removes a text that is not so any more. */
  withdraw(text: string): void {
    const { said } = this;
    if (said.value.text === text) said.value = { text: '', count: said.value.count };
  }
}

const polite = new Region();
const assertive = new Region();

/** What is being told when a sentence is finished. */
export const politely = polite.said;
/** What is being told at once. */
export const atOnce = assertive.said;

/** Has a screen reader say something when it has finished its sentence. */
export function announce(text: string): void {
  polite.say(text);
}

/** Has a screen reader say something at once. */
export function announceAtOnce(text: string): void {
  assertive.say(text);
}

/** Tells at once that something is wrong, while it is, and then `over`; `null` when all is well. */
export function useAlarm(text: string | null, over: string): void {
  const said = useRef<string | null>(null);
  useEffect(() => {
    if (text !== null) announceAtOnce(text);
    else if (said.current !== null) {
      assertive.withdraw(said.current);
      announce(over);
    }
    said.current = text;
  }, [text]);
  // What is not shown any more is not told of either.
  useEffect(() => () => assertive.withdraw(said.current ?? ''), []);
}
