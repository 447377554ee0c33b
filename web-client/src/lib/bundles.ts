import type { ApiClient } from './api_client';
import { ApiError } from './errors';

/** What a bundle is to contain. */
export type BundleWanted =
  | { readonly kind: 'full' }
  | {
      readonly kind: 'clip';
      readonly fromMs: number;
      readonly toMs: number;
      /** Whether it says whose tracks these are. */
      readonly subjects: boolean;
    }
  | { readonly kind: 'entries'; readonly entries: readonly number[] };

/** A bundle that was received whole. */
export interface Bundle {
  readonly name: string;
  readonly file: Blob;
}

/** How far it is, and what it waits for. */
export interface BundleProgress {
  readonly received: number;
  /** Null until the server has begun. */
  readonly expected: number | null;
  /** `place`: as many are made as there may be at once. `network`: it was cut off and goes on. */
  readonly waitsFor: 'place' | 'network' | null;
}

/** How long to wait before a download that was cut off is continued, one time after the other. */
const CONTINUES_AFTER_MS = [500, 1_000, 2_000, 4_000, 8_000, 15_000, 30_000] as const;
/** When the server names no time at which there may be a place. */
const PLACE_AFTER_S = 5;
/** So many bytes are handed to the browser at once, which keeps them on disk. */
const KEPT_BYTES = 4 * 1024 * 1024;

/** Where the server makes a bundle. */
export function bundlePath(session: string, wanted: BundleWanted): string {
  const query = new URLSearchParams();
  if (wanted.kind === 'entries') {
    for (const entry of wanted.entries) query.append('seq', String(entry));
  } else if (wanted.kind === 'clip') {
    query.set('from', new Date(wanted.fromMs).toISOString());
    query.set('to', new Date(wanted.toMs).toISOString());
    if (wanted.subjects) query.set('subjects', 'true');
  }
  const asked = query.size === 0 ? '' : `?${query.toString()}`;
  return `/api/v1/sessions/${encodeURIComponent(session)}/bundle${asked}`;
}

/**
 * Takes a bundle from the server, to its last byte or not at all. It waits for its place, and goes
 * on where it was when the network was cut.
 */
export async function takeBundle(
  api: ApiClient,
  path: string,
  signal: AbortSignal,
  onProgress: (progress: BundleProgress) => void,
  waitMs: (ms: number, signal: AbortSignal) => Promise<void> = pause,
): Promise<Bundle> {
  const taken = new Taken();
  for (let cuts = 0; ;) {
    const before = taken.received;
    let retryMs: number;
    let waitsFor: 'place' | 'network';
    try {
      const response = await api.stream(path, signal, taken.rest());
      taken.begin(response);
      const tell = () => onProgress({ ...taken.progress(), waitsFor: null });
      await taken.collect(response, tell);
      return taken.bundle();
    } catch (cause: unknown) {
      if (signal.aborted) throw cause;
      if (cause instanceof ApiError && cause.code === 'BUNDLE_LIMIT_REACHED') {
        waitsFor = 'place';
        retryMs = (cause.retryAfterS ?? PLACE_AFTER_S) * 1_000;
      } else if (isCut(cause) && taken.rest() !== null) {
        waitsFor = 'network';
        cuts = taken.received > before ? 0 : cuts + 1;
        const wait = CONTINUES_AFTER_MS[cuts];
        if (wait === undefined) throw cutOff();
        retryMs = wait;
      } else throw isCut(cause) ? cutOff() : cause;
    }
    onProgress({ ...taken.progress(), waitsFor });
    await waitMs(retryMs, signal);
  }
}

/** What has come of a bundle. */
class Taken {
  received = 0;
  private tag: string | null = null;
  private expected: number | null = null;
  private name = 'cabildo.tar';
  private parts: Blob[] = [];
  private waiting: Uint8Array<ArrayBuffer>[] = [];
  private waitingBytes = 0;

  /** Where to go on, if the server can. */
  rest(): { readonly from: number; readonly tag: string } | null {
    return this.tag === null ? null : { from: this.received, tag: this.tag };
  }

  progress(): { readonly received: number; readonly expected: number | null } {
    return { received: this.received, expected: this.expected };
  }

  /** Reads what an answer says of itself. The server may have begun anew, with another bundle. */
  begin(response: Response): void {
    if (response.status !== 206) {
      this.received = this.waitingBytes = 0;
      this.parts = [];
      this.waiting = [];
    } else {
      const from = /^bytes (\d+)-/.exec(response.headers.get('Content-Range') ?? '')?.[1];
      if (Number(from) !== this.received) throw cutOff();
    }
    const tag = response.headers.get('ETag');
    this.tag = tag?.startsWith('"') === true ? tag : null;
    const stated = response.headers.get('Cabildo-Expected-Bytes');
    this.expected = stated === null || !Number.isFinite(Number(stated)) ? null : Number(stated);
    const disposition = response.headers.get('Content-Disposition') ?? '';
    this.name = /filename="([\w.-]+)"/.exec(disposition)?.[1] ?? this.name;
  }

  async collect(response: Response, onPiece: () => void): Promise<void> {
    const reader = response.body?.getReader();
    while (reader !== undefined) {
      const { done, value } = await reader.read();
      if (done) break;
      this.received += value.byteLength;
      this.waiting.push(value);
      this.waitingBytes += value.byteLength;
      if (this.waitingBytes >= KEPT_BYTES) this.hand();
      onPiece();
    }
    if (this.expected !== null && this.received < this.expected) throw cutOff();
  }

  bundle(): Bundle {
    this.hand();
    return { name: this.name, file: new Blob(this.parts, { type: 'application/x-tar' }) };
  }

  /** Browsers keep what a blob holds on disk, so memory does not grow with it. */
  private hand(): void {
    this.parts.push(new Blob(this.waiting));
    this.waiting = [];
    this.waitingBytes = 0;
  }
}

/** Whether it was the network that failed, or something between us and the server. */
function isCut(cause: unknown): boolean {
  if (!(cause instanceof ApiError)) return true;
  return ['NETWORK', 'BUNDLE_CUT_OFF', 'HTTP_502', 'HTTP_503', 'HTTP_504'].includes(cause.code);
}

function cutOff(): ApiError {
  return new ApiError(0, 'BUNDLE_CUT_OFF', 'the bundle was cut off');
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = () => {
      clearTimeout(timer);
      reject(signal.reason as Error);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', end);
      resolve();
    }, ms);
    signal.addEventListener('abort', end, { once: true });
  });
}
