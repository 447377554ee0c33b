import type Hls from 'hls.js';

/** Where a player stands. */
export type PlayerState = 'starting' | 'playing' | 'waiting' | 'over';

/** What is shown of a player. */
export interface PlayerView {
  readonly state: PlayerState;
  /** When what is seen happened, by the times that the server writes, since the epoch. */
  readonly shownMs: number | null;
  /** How long ago that is. */
  readonly behindMs: number | null;
  /** Whether there is text of what is said. */
  readonly hasCaptions: boolean;
  /** Why nothing is played: a code of the server, or `NETWORK`. */
  readonly code: string | null;
  /** Why viewers of a session see a card and nobody. */
  readonly unseen: string | null;
}

/** Answers after which the same request can't succeed any more. */
const FINAL = new Set([400, 401, 403, 404, 409, 410]);
const VIEW_EVERY_MS = 500;
/** How often it is asked why nobody is seen. */
const STATE_EVERY_MS = 3_000;
/** How long texts that were shown are kept, so that a video that is set back shows them again. */
const CAPTIONS_KEPT_S = 30;
/** A clock of this device that is further off than this is corrected: the server's header has whole seconds. */
const CLOCK_OFF_MS = 2_000;
/** Pictures that don't come for so long are missed. */
const STALLED_MS = 3_000;
/** Further behind than the stream asks for by so much, the player leaves out what lies between. */
const LATE_S = 6;
/** A server that has nothing to show yet says so with 503 and is asked again. */
const RETRIES = { maxNumRetry: 600, retryDelayMs: 1_000, maxRetryDelayMs: 3_000 };
const LOADING = {
  default: {
    maxTimeToFirstByteMs: 15_000,
    maxLoadTimeMs: 30_000,
    timeoutRetry: RETRIES,
    errorRetry: RETRIES,
  },
};

/** Plays a stream with as little delay as the server offers, until it is stopped. */
export class LivePlayer {
  private hls: Hls | null = null;
  private readonly timer: ReturnType<typeof setInterval>;
  private code: string | null = null;
  private isOver = false;
  private lastTime = 0;
  /** By a clock that nobody sets; null before anything moved. */
  private lastMoved: number | null = null;
  /** Server time minus the time of this device, when that is much. */
  private clockOffsetMs = 0;
  private isStopped = false;
  private showsCaptions = true;
  private texts: TextTrack | null = null;
  private unseen: string | null = null;
  private stateAsked = Number.NEGATIVE_INFINITY;
  private hasEnded = false;

  constructor(
    private readonly video: HTMLVideoElement,
    private readonly address: string,
    private readonly show: (view: PlayerView) => void,
    /** Whether a session is watched, which may show nobody, and ends. */
    private readonly isSession = false,
  ) {
    if (isSession) video.addEventListener('ended', () => this.end(null));
    this.timer = setInterval(() => this.look(), VIEW_EVERY_MS);
    void this.start();
  }

  stop(): void {
    this.isStopped = true;
    clearInterval(this.timer);
    this.hls?.destroy();
    this.video.removeAttribute('src');
  }

  /** Shows text of what is said, or not. */
  setCaptions(isShown: boolean): void {
    this.showsCaptions = isShown;
    this.showCaptions();
  }

  private showCaptions(): void {
    const { hls } = this;
    if (hls !== null && hls.subtitleTracks.length > 0) {
      hls.subtitleTrack = this.showsCaptions ? 0 : -1;
    }
    for (const track of this.video.textTracks) {
      track.mode = this.showsCaptions ? 'showing' : 'hidden';
    }
  }

  /** Has the video show texts at their time. */
  private addCaptions(cues: readonly VTTCue[]): void {
    if (this.texts === null) {
      this.texts = this.video.addTextTrack('captions');
      this.showCaptions();
    }
    const { texts } = this;
    // Each file of captions may be loaded more than once.
    for (const cue of cues) if (!texts.cues?.getCueById(cue.id)) texts.addCue(cue);
    for (const cue of [...(texts.cues ?? [])]) {
      if (cue.endTime < this.video.currentTime - CAPTIONS_KEPT_S) texts.removeCue(cue);
    }
  }

  private async start(): Promise<void> {
    try {
      // Asked once before, since a player does not tell why it was refused.
      const first = await fetch(this.address, { cache: 'no-store' });
      this.compareClocks(first.headers.get('Date'));
      if (FINAL.has(first.status)) {
        this.end(await codeOf(first));
        return;
      }
      const { default: Hls } = await import('hls.js');
      if (this.isStopped) return;
      if (!Hls.isSupported()) {
        // Safari on phones plays it by itself.
        this.video.src = this.address;
        this.video.textTracks.addEventListener('addtrack', () => this.showCaptions());
        await this.video.play();
        return;
      }
      const hls = new Hls({
        enableWorker: false,
        lowLatencyMode: true,
        maxLiveSyncPlaybackRate: 1.5,
        backBufferLength: 10,
        manifestLoadPolicy: LOADING,
        playlistLoadPolicy: LOADING,
        fragLoadPolicy: LOADING,
        // By itself it makes tracks with an address that the policy of our pages forbids.
        renderTextTracksNatively: false,
      });
      this.hls = hls;
      hls.on(Hls.Events.ERROR, (_event, data) => {
        const status = data.response?.code ?? 0;
        if (FINAL.has(status)) void this.refused(data.url ?? this.address);
        else if (data.fatal && data.type === Hls.ErrorTypes.MEDIA_ERROR) hls.recoverMediaError();
        else if (data.fatal) hls.startLoad();
      });
      // It chooses a track, or none, after it has told.
      hls.on(Hls.Events.SUBTITLE_TRACKS_UPDATED, () => queueMicrotask(() => this.showCaptions()));
      hls.on(Hls.Events.CUES_PARSED, (_event, { cues }) =>
        this.addCaptions(cues as readonly VTTCue[]),
      );
      hls.loadSource(this.address);
      hls.attachMedia(this.video);
      await this.video.play();
    } catch (error) {
      // A browser that lets nothing begin by itself leaves that to whoever watches.
      if (error instanceof DOMException) return;
      this.code = 'NETWORK';
      if (!this.isStopped) setTimeout(() => void this.start(), RETRIES.maxRetryDelayMs);
    }
  }

  private compareClocks(date: string | null): void {
    const offsetMs = Date.parse(date ?? '') - Date.now();
    this.clockOffsetMs = Math.abs(offsetMs) > CLOCK_OFF_MS ? offsetMs : 0;
  }

  /** Finds out why a request was refused for good. A segment that is gone is no reason to end. */
  private async refused(url: string): Promise<void> {
    const answer = await fetch(url, { cache: 'no-store' }).catch(() => null);
    // It was not for good. Loading was stopped, and has to be begun again.
    if (answer === null || !FINAL.has(answer.status)) {
      this.hls?.startLoad();
      return;
    }
    const code = await codeOf(answer);
    if (code === 'PLAYBACK_SEGMENT_NOT_FOUND') this.hls?.startLoad();
    else this.end(code);
  }

  /** Asks why nobody is seen. What can't be known now is asked again. */
  private async askState(now: number): Promise<void> {
    const playlist = this.hls?.levels[0]?.uri;
    if (playlist === undefined || now - this.stateAsked < STATE_EVERY_MS) return;
    this.stateAsked = now;
    const answer = await fetch(new URL('state.json', playlist), { cache: 'no-store' });
    if (!answer.ok) return;
    const { unseen, ended } = (await answer.json()) as { unseen?: unknown; ended?: unknown };
    this.hasEnded = ended === true;
    this.unseen = typeof unseen === 'string' ? unseen : null;
  }

  private end(code: string | null): void {
    if (this.isStopped) return;
    this.code = code;
    this.isOver = true;
    this.hls?.destroy();
    this.hls = null;
    this.look();
  }

  /**
   * After a pause or a network that was away. The player itself runs faster only while it is a
   * little behind.
   */
  private catchUp(): void {
    const { hls, video } = this;
    const newest = hls?.liveSyncPosition ?? null;
    if (
      hls === null ||
      newest === null ||
      video.paused ||
      hls.levels[hls.currentLevel]?.details?.live !== true
    ) {
      return;
    }
    const isLate = hls.latency - (hls.targetLatency ?? 0) > LATE_S;
    if (isLate && newest - video.currentTime > LATE_S / 2) video.currentTime = newest;
  }

  private look(): void {
    if (this.isStopped) return;
    const now = performance.now();
    if (this.isSession) this.askState(now).catch(() => undefined);
    const { currentTime } = this.video;
    // A video whose player was taken away begins at zero, which is no progress.
    if (currentTime !== this.lastTime && !this.isOver) {
      this.lastTime = currentTime;
      this.lastMoved = now;
      this.code = null;
    }
    this.catchUp();
    const hasPlayed = this.lastMoved !== null;
    const moves = this.lastMoved !== null && now - this.lastMoved < STALLED_MS;
    const shownMs = moves ? (this.hls?.playingDate?.getTime() ?? null) : null;
    // A player may stop a moment before the end, and does not tell then that it was the end.
    if (this.hasEnded && !moves && !this.isOver) {
      this.end(null);
      return;
    }
    this.show({
      state: this.isOver ? 'over' : moves ? 'playing' : hasPlayed ? 'waiting' : 'starting',
      shownMs,
      behindMs: shownMs === null ? null : Date.now() + this.clockOffsetMs - shownMs,
      hasCaptions: (this.hls?.subtitleTracks ?? this.video.textTracks).length > 0,
      code: this.code,
      unseen: this.isOver ? null : this.unseen,
    });
  }
}

async function codeOf(answer: Response): Promise<string> {
  try {
    const { code } = (await answer.json()) as { code?: unknown };
    return typeof code === 'string' ? code : `HTTP_${answer.status}`;
  } catch {
    return `HTTP_${answer.status}`;
  }
}
