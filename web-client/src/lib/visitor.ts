import { browserKeeping } from './keeping';

/** What an identity service gives back: parameters of the address it returns to. */
export type Returned = Readonly<Record<string, string>>;

/** The ways in which a page can visit an identity service. */
export interface Visitor {
  /** Leaves this page; it does not return here by itself. */
  leave(url: string): void;
  /** Visits without showing anything, where the service allows it. */
  inFrame(url: string, state: string): Promise<Returned>;
  /**
   * Visits in a small window beside the page; only on a press of the person. It
   * waits until the visit returns, takes too long, or is given up by `signal`.
   */
  inWindow(url: string, state: string, signal?: AbortSignal): Promise<Returned>;
  /** Where visits return to. */
  readonly returnTo: string;
}

/** Name of the page that visits return to. */
export const RETURN_PATH = '/signed-in';
const CHANNEL = 'cabildo.signed-in';
/** A silent visit has nobody to wait for. */
const FRAME_WITHIN_MS = 10_000;
/** A person may have to find their second factor. */
const WINDOW_WITHIN_MS = 600_000;
/** A page that waits answers at once; a browser that is busy may take a moment. */
const HEARD_WITHIN_MS = 3_000;

/** What pages tell each other of visits: how one returned, or that this was heard. */
type Told = Returned | { readonly heard: string };

/** Visits by this window. */
export class PageVisitor implements Visitor {
  readonly returnTo = window.location.origin + RETURN_PATH;

  leave(url: string): void {
    window.location.assign(url);
  }

  async inFrame(url: string, state: string): Promise<Returned> {
    const frame = document.createElement('iframe');
    frame.hidden = true;
    frame.title = '';
    // A login page must not take this page elsewhere.
    frame.setAttribute('sandbox', 'allow-scripts allow-same-origin allow-forms');
    const returned = awaitReturn(state, FRAME_WITHIN_MS);
    frame.src = url;
    document.body.append(frame);
    try {
      return await returned;
    } finally {
      frame.remove();
    }
  }

  /**
   * Whether the window still exists is not asked: one whose service sets
   * `Cross-Origin-Opener-Policy` seems closed to us from its first page on.
   */
  async inWindow(url: string, state: string, signal?: AbortSignal): Promise<Returned> {
    const opened = window.open(url, 'cabildo-sign-in', 'popup,width=480,height=640');
    if (opened === null) throw new Error('the browser opened no window');
    try {
      return await awaitReturn(state, WINDOW_WITHIN_MS, signal);
    } catch (error) {
      opened.close();
      throw error;
    }
  }
}

/** Waits until the page of returns tells of a visit with this `state`. */
async function awaitReturn(
  state: string,
  withinMs: number,
  signal?: AbortSignal,
): Promise<Returned> {
  const channel = new BroadcastChannel(CHANNEL);
  let timer: ReturnType<typeof setTimeout> | undefined;
  let giveUp: (() => void) | undefined;
  try {
    return await new Promise<Returned>((resolve, reject) => {
      timer = setTimeout(() => reject(new Error('the visit did not return')), withinMs);
      giveUp = () => reject(new Error('the visit was given up'));
      signal?.addEventListener('abort', giveUp);
      if (signal?.aborted === true) giveUp();
      channel.onmessage = ({ data }: MessageEvent<Told>) => {
        if (!('state' in data) || data.state !== state) return;
        channel.postMessage({ heard: state });
        resolve(data);
      };
    });
  } finally {
    clearTimeout(timer);
    if (giveUp !== undefined) signal?.removeEventListener('abort', giveUp);
    channel.close();
  }
}

/** The parameters with which a visit came back, from query and fragment. */
export function returnedIn(address: string): Returned {
  const url = new URL(address);
  const fragment = new URLSearchParams(url.hash.slice(1));
  return Object.fromEntries([...url.searchParams, ...fragment]);
}

/** Tells the page that waits for a visit how it ended; answers whether there is such a page. */
export async function tellReturn(returned: Returned): Promise<boolean> {
  const channel = new BroadcastChannel(CHANNEL);
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    return await new Promise<boolean>((resolve) => {
      timer = setTimeout(() => resolve(false), HEARD_WITHIN_MS);
      channel.onmessage = ({ data }: MessageEvent<Told>) => {
        if ('heard' in data && data.heard === returned.state) resolve(true);
      };
      channel.postMessage(returned);
    });
  } finally {
    clearTimeout(timer);
    channel.close();
  }
}

const TRIES = 'cabildo.sign_in.tries';
/** Visits by leaving the page that may follow one another without a press. */
const TRIES_MAX = 3;
const TRIES_WITHIN_MS = 120_000;

/** Counts a visit by leaving the page; false when it would be one too many. */
export function mayLeave(nowMs: number, keeping = browserKeeping()): boolean {
  // What can't be counted is not repeated.
  if (!keeping.lasts) return false;
  const before = (keeping.getItem(TRIES) ?? '').split(' ').map(Number);
  const recent = before.filter((at) => at > 0 && Math.abs(nowMs - at) < TRIES_WITHIN_MS);
  if (recent.length >= TRIES_MAX) return false;
  keeping.setItem(TRIES, [...recent, nowMs].join(' '));
  return true;
}

/** Forgets the visits so far: the person asked for one, or one succeeded. */
export function forgetVisits(keeping = browserKeeping()): void {
  keeping.removeItem(TRIES);
}
