/**
 * Waits for what a peer connection does, but no longer than it is open: on a
 * closed one, promises neither resolve nor reject (W3C WebRTC §4.4.1.2), and
 * whoever waited for them alone would wait for ever.
 */
export class Closing {
  private fail: (reason: Error) => void = () => undefined;
  private readonly closed = new Promise<never>((_, reject) => (this.fail = reject));

  constructor() {
    // Nobody may be waiting when it closes.
    this.closed.catch(() => undefined);
  }

  /** Ends every wait, those that begin later included. */
  close(): void {
    this.fail(new Error('the peer connection was closed'));
  }

  /** What `work` gives; rejects when the connection is closed before. */
  during<T>(work: Promise<T>): Promise<T> {
    return Promise.race([work, this.closed]);
  }
}
