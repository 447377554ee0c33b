/** Longer than any gap between the server's reports while sound is sent, ms. */
const SILENT_AFTER_MS = 1_500;

/** Whether what a transport sends arrives, by the reports that come back for it. */
export class PathWatch {
  private received = -1;
  private lifeMs: number | null = null;
  /** Whether it works, as far as is known. */
  works = true;

  /** Nothing is sent now, or another transport is. */
  reset(nowMs: number): void {
    this.received = -1;
    this.lifeMs = nowMs;
    this.works = true;
  }

  /** What `getStats` of the transport says. */
  handleReport(
    connected: boolean,
    report: readonly Readonly<Record<string, unknown>>[],
    nowMs: number,
  ): void {
    this.lifeMs ??= nowMs;
    if (connected) {
      const transport = report.find(({ type }) => type === 'transport');
      const received = transport?.packetsReceived;
      // A browser that does not count tells by its connection state alone.
      if (typeof received !== 'number') this.lifeMs = nowMs;
      else if (received !== this.received) {
        this.received = received;
        this.lifeMs = nowMs;
      }
    }
    this.works = nowMs - this.lifeMs < SILENT_AFTER_MS;
  }
}
