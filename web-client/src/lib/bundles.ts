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

/** How far it is; `expected` is what the server reckons with, and may be a little off. */
export interface BundleProgress {
  readonly received: number;
  readonly expected: number | null;
}

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

/** Takes a bundle from the server, to its last byte or not at all. */
export async function takeBundle(
  api: ApiClient,
  path: string,
  signal: AbortSignal,
  onProgress: (progress: BundleProgress) => void,
): Promise<Bundle> {
  const response = await api.stream(path, signal);
  const stated = Number(response.headers.get('Cabildo-Expected-Bytes') ?? Number.NaN);
  const expected = Number.isFinite(stated) ? stated : null;
  const disposition = response.headers.get('Content-Disposition') ?? '';
  const name = /filename="([\w.-]+)"/.exec(disposition)?.[1] ?? 'cabildo.tar';
  let received = 0;
  const counted = response.body?.pipeThrough(
    new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>({
      transform(piece, passOn) {
        received += piece.byteLength;
        onProgress({ received, expected });
        passOn.enqueue(piece);
      },
    }),
  );
  // Browsers keep what they collect for a blob on disk, so memory does not grow with it.
  const file = await new Response(counted ?? null).blob().catch((cause: unknown) => {
    if (signal.aborted) throw cause;
    throw new ApiError(0, 'BUNDLE_CUT_OFF', 'the bundle was cut off');
  });
  return { name, file: file.slice(0, file.size, 'application/x-tar') };
}
