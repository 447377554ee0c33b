import type { Progress, Report } from '../../verify';
import type { Answer, Task } from '../../verify/worker';

/** How a verification stands. */
export type Run =
  | { readonly phase: 'idle' }
  | {
      readonly phase: 'running';
      readonly progress: Progress | null;
      /** Of the recording, since its first object; null before. */
      readonly bytesPerSecond: number | null;
    }
  | { readonly phase: 'cancelled' }
  | { readonly phase: 'failed'; readonly detail: string }
  | { readonly phase: 'done'; readonly report: Report; readonly bytesPerSecond: number | null };

/** Verifies apart from the page, which stays awake meanwhile. */
export class Verifier {
  private worker: Worker | null = null;
  private stopped: (() => void) | null = null;

  constructor(private readonly onRun: (run: Run) => void) {
    // Fetched now, so that it is there when the network is not.
    this.worker = makeWorker();
  }

  async run(task: Task): Promise<Report | null> {
    this.cancel();
    const worker = this.worker ?? makeWorker();
    this.worker = worker;
    const speed = new Speed();
    this.onRun({ phase: 'running', progress: null, bytesPerSecond: null });
    return new Promise((resolve) => {
      this.stopped = () => resolve(null);
      worker.onmessage = ({ data }: MessageEvent<Answer>) => {
        if (data.type === 'progress') {
          const bytesPerSecond = speed.after(data.progress);
          this.onRun({ phase: 'running', progress: data.progress, bytesPerSecond });
          return;
        }
        this.stopped = null;
        if (data.type === 'report') {
          const bytesPerSecond = speed.whole(data.report);
          this.onRun({ phase: 'done', report: data.report, bytesPerSecond });
          resolve(data.report);
        } else {
          this.onRun({ phase: 'failed', detail: data.detail });
          resolve(null);
        }
      };
      worker.onerror = (event) => {
        this.stopped = null;
        this.onRun({ phase: 'failed', detail: event.message });
        resolve(null);
      };
      worker.postMessage(task);
    });
  }

  /** Ends a run that goes on; its result is lost. */
  cancel(): void {
    if (this.stopped === null) return;
    this.worker?.terminate();
    this.worker = makeWorker();
    this.stopped();
    this.stopped = null;
    this.onRun({ phase: 'cancelled' });
  }
}

function makeWorker(): Worker {
  return new Worker(new URL('../../verify/worker.ts', import.meta.url), { type: 'module' });
}

/** How fast objects are checked. */
export class Speed {
  private sinceMs: number | null = null;

  constructor(private readonly now: () => number = () => performance.now()) {}

  after(progress: Progress): number | null {
    if (progress.phase !== 'objects') return null;
    this.sinceMs ??= this.now();
    return rate(progress.done, this.now() - this.sinceMs);
  }

  /** Over the whole report, what was read of the log included. */
  whole(report: Report): number | null {
    return rate(report.checked.objectBytes ?? 0, report.elapsedMs);
  }
}

function rate(bytes: number, ms: number): number | null {
  return bytes > 0 && ms > 0 ? (bytes * 1000) / ms : null;
}
