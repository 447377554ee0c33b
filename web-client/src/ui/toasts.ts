import { signal } from '@preact/signals';

/** A sentence that is shown for a while. */
interface Toast {
  readonly id: number;
  readonly text: string;
  readonly action?: { readonly label: string; readonly run: () => void };
  readonly dismiss: () => void;
}

/** Long enough to read a sentence twice. */
const TOAST_MS = 7_000;
/** Most sentences at once that have no action. */
const PLAIN_MAX = 3;

/** What is shown now, the oldest first. */
export const toasts = signal<readonly Toast[]>([]);
let lastId = 0;

/**
 * Shows a sentence for a while; the returned function takes it away. When there are too many, the
 * oldest goes, but none with an action: nothing else may take away the time to undo something.
 */
export function toast(text: string, action?: Toast['action'], ms = TOAST_MS): () => void {
  lastId += 1;
  const id = lastId;
  const dismiss = () => {
    toasts.value = toasts.value.filter((one) => one.id !== id);
  };
  const all = [...toasts.value, { id, text, dismiss, ...(action ? { action } : {}) }];
  const plain = all.filter((one) => one.action === undefined).slice(-PLAIN_MAX);
  toasts.value = all.filter((one) => one.action !== undefined || plain.includes(one));
  setTimeout(dismiss, ms);
  return dismiss;
}
