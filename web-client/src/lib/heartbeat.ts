/** Kept short enough that a server's "silent" limit is never met. */
const PING_EVERY_MS = 10_000;
/** While somebody relies on being heard, the server is asked this often. */
const WATCHFUL_PING_EVERY_MS = 700;
/** An answer that takes longer is told, and waited for all the same. */
const ANSWER_WITHIN_MS = 1_000;
/** A pong that takes longer means that the path is gone. */
const PONG_WITHIN_MS = 8_000;
/** When the device woke or changed network, the path is doubted: a dead one shows sooner. */
const PROBE_WITHIN_MS = 2_500;

/** What a heartbeat does and tells. */
export interface HeartbeatHandlers {
  /** Sends a ping; false without a connection. */
  send(): boolean;
  /** Whether the server answers as fast as somebody who is to be heard needs it. */
  answering(answering: boolean): void;
  /** A pong did not come in time. */
  lost(): void;
}

/** Pings the server of one connection after the other, and notices when it is gone. */
export class Heartbeat {
  private pingTimer: ReturnType<typeof setTimeout> | undefined;
  private pongTimer: ReturnType<typeof setTimeout> | undefined;
  private answerTimer: ReturnType<typeof setTimeout> | undefined;
  private sentMs: number | null = null;
  private watchful = false;
  private answering = true;

  constructor(private readonly on: HeartbeatHandlers) {}

  /** Sends the next ping when it is due. */
  start(): void {
    clearTimeout(this.pingTimer);
    const every = this.watchful ? WATCHFUL_PING_EVERY_MS : PING_EVERY_MS;
    this.pingTimer = setTimeout(() => this.ping(PONG_WITHIN_MS), every);
  }

  /** The connection is gone. */
  stop(): void {
    clearTimeout(this.pingTimer);
    clearTimeout(this.pongTimer);
    this.sentMs = null;
    this.setAnswering(true);
  }

  /** The path is doubted: asks at once, and waits for less time. */
  probe(): void {
    this.ping(PROBE_WITHIN_MS);
  }

  /** When the ping was sent that a pong answers, if one was. */
  handlePong(): number | null {
    clearTimeout(this.pongTimer);
    const sentMs = this.sentMs;
    this.sentMs = null;
    this.setAnswering(true);
    this.start();
    return sentMs;
  }

  /** Asks the server often whether it is still there: somebody relies on being heard. */
  setWatchful(watchful: boolean): void {
    if (this.watchful === watchful) return;
    this.watchful = watchful;
    if (watchful && this.sentMs === null) this.ping(PONG_WITHIN_MS);
    if (!watchful) this.setAnswering(true);
  }

  private setAnswering(answering: boolean): void {
    clearTimeout(this.answerTimer);
    if (this.answering === answering) return;
    this.answering = answering;
    this.on.answering(answering);
  }

  private ping(withinMs: number): void {
    if (!this.on.send()) return;
    clearTimeout(this.pingTimer);
    clearTimeout(this.pongTimer);
    this.sentMs = Date.now();
    this.pongTimer = setTimeout(() => this.on.lost(), withinMs);
    clearTimeout(this.answerTimer);
    if (this.watchful) {
      this.answerTimer = setTimeout(() => this.setAnswering(false), ANSWER_WITHIN_MS);
    }
  }
}
