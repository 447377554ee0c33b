/**
 * Plays remote sound. Every track has an element of its own, since browsers
 * only decode what is attached to a playing one. A browser may refuse to play
 * before the person has touched the page; then `blocked` is true until `unblock`.
 */
export class AudioOutput {
  private readonly elements = new Map<string, HTMLAudioElement>();
  private refused = false;
  private sinkId = '';

  constructor(
    private readonly onBlocked: (blocked: boolean) => void,
    private readonly page: Document = document,
  ) {}

  /** Whether the browser waits for a touch. */
  get blocked(): boolean {
    return this.refused;
  }

  play(track: string, media: MediaStreamTrack): void {
    this.stop(track);
    const element = this.page.createElement('audio');
    element.autoplay = true;
    element.srcObject = new MediaStream([media]);
    element.hidden = true;
    this.page.body.append(element);
    this.elements.set(track, element);
    void this.direct(element);
    void this.start(element);
  }

  stop(track: string): void {
    const element = this.elements.get(track);
    if (element === undefined) return;
    element.pause();
    element.srcObject = null;
    element.remove();
    this.elements.delete(track);
  }

  close(): void {
    for (const track of [...this.elements.keys()]) this.stop(track);
  }

  /** To be called from a touch or key handler. */
  async unblock(): Promise<void> {
    this.setBlocked(false);
    await Promise.all([...this.elements.values()].map((element) => this.start(element)));
  }

  /** Plays through the loudspeaker with this device id; empty: the usual one. */
  async setSink(sinkId: string): Promise<void> {
    this.sinkId = sinkId;
    await Promise.all([...this.elements.values()].map((element) => this.direct(element)));
  }

  private async start(element: HTMLAudioElement): Promise<void> {
    try {
      await element.play();
    } catch (error) {
      if (error instanceof DOMException && error.name === 'NotAllowedError') this.setBlocked(true);
    }
  }

  private async direct(element: HTMLAudioElement): Promise<void> {
    try {
      if (this.sinkId !== '' && 'setSinkId' in element) await element.setSinkId(this.sinkId);
    } catch {
      // The device is gone: the browser's usual output is better than silence.
    }
  }

  private setBlocked(blocked: boolean): void {
    if (this.refused === blocked) return;
    this.refused = blocked;
    this.onBlocked(blocked);
  }
}
