import type { BundleFile } from './bundle';
import { verifyBundle, verifyProof } from './bundle';
import type { Bytes } from './bytes';
import type { Progress, Report } from './report';

/** A file and where it lies in what was chosen. */
export interface ChosenFile {
  readonly path: string;
  readonly file: File;
}

/** What the page asks. */
export interface Task {
  readonly proof?: Bytes;
  readonly files?: readonly ChosenFile[];
  readonly trusted: Bytes | null;
  readonly held: readonly Bytes[];
}

/** What it hears. */
export type Answer =
  | { readonly type: 'progress'; readonly progress: Progress }
  | { readonly type: 'report'; readonly report: Report }
  | { readonly type: 'failed'; readonly detail: string };

/** Often enough for a bar that moves. */
const EVERY_MS = 100;

function answer(message: Answer): void {
  self.postMessage(message);
}

let lastMs = 0;

function tell(progress: Progress): void {
  const now = performance.now();
  if (now - lastMs < EVERY_MS) return;
  lastMs = now;
  answer({ type: 'progress', progress });
}

self.onmessage = (event: MessageEvent<Task>) => {
  const { proof, files = [], trusted, held } = event.data;
  const options = { trusted, held, onProgress: tell };
  const run =
    proof === undefined
      ? verifyBundle(files.map(bundleFile), options)
      : verifyProof(proof, options);
  run.then(
    (report) => answer({ type: 'report', report }),
    (error: unknown) => answer({ type: 'failed', detail: String(error) }),
  );
};

function bundleFile({ path, file }: ChosenFile): BundleFile {
  return {
    path,
    size: file.size,
    read: async () => new Uint8Array(await file.arrayBuffer()),
  };
}
