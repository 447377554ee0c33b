import { signal } from '@preact/signals';

/** The local time, renewed each second by one timer, however many look at it. */
const second = signal(Date.now());
let timer: ReturnType<typeof setInterval> | undefined;

/** The local time to the second; whoever reads it is drawn again when it changes. */
export function everySecond(): number {
  timer ??= setInterval(() => {
    if (!document.hidden) second.value = Date.now();
  }, 1_000);
  return second.value;
}
