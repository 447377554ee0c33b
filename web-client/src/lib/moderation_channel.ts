import type {
  ClientMessage,
  EligibleListView,
  EvidenceView,
  IceServer,
  PersonQualityView,
  ServerMessage,
  Told,
  Welcome,
} from '../generated/wire';
import type { SpokenSoFar } from './captions';
import type { ChannelStatus, ClosedReason, Renewal } from './channel_status';
import type { DpopKey } from './dpop_key';
import { ApiError, ChannelError, SignInRequired } from './errors';
import { Heartbeat } from './heartbeat';
import { tabKeeping } from './keeping';
import type { Ack, Command } from './requests';
import { REQUEST_WITHIN_MS, Requests, isDecision } from './requests';
import { ServerClock } from './server_clock';
import type { TokenSource } from './token_source';
import { claimsOf } from './token_source';

/** Subprotocol and version of the channel. */
export const SUBPROTOCOL = 'cabildo.v1';

/** The server closes a connection that has not spoken within 5 s; more means a dead path. */
const HANDSHAKE_MS = 8_000;
/**
 * First retries are spread over this time, so that a server that lost everybody is not called by
 * all at once. Whoever moderates or is to be heard does not wait.
 */
const SPREAD_MS = 500;
/** Later ones double from here to the cap. */
const BACKOFF_MS_FIRST = 250;
const BACKOFF_MS_MAX = 5_000;
/** A connection that lasted this long was a good one: what follows its loss is a first retry. */
const STABLE_AFTER_MS = 3_000;
/** Refusals of a fresh token in a row after which the person must sign in anew. */
const UNAUTHORISED_MAX = 3;

/** Between two attempts to renew a token: growing from the first to the last. */
const RENEW_AGAIN_MS_FIRST = 2_000;
const RENEW_AGAIN_MS_MAX = 10_000;

/** The parts of `WebSocket` that the channel uses. */
export interface SocketLike {
  onopen: ((event: Event) => void) | null;
  onmessage: ((event: MessageEvent) => void) | null;
  onclose: ((event: CloseEvent) => void) | null;
  send(data: string): void;
  close(code?: number, reason?: string): void;
}

/** A message about media transports. */
export type SignalMessage = Extract<
  ServerMessage,
  { type: 'offer' | 'answer' | 'transport_state' | 'video_paused' | 'layers_unseen' }
>;

/** What the channel tells its owner. */
export interface ChannelHandlers {
  onRenewal?(renewal: Renewal): void;
  /** Whether the server answers as fast as somebody who is to be heard needs it. */
  onAnswering?(answering: boolean): void;
  onStatus?(status: ChannelStatus): void;
  onWelcome?(welcome: Welcome): void;
  onEvent?(event: Told): void;
  onSignal?(message: SignalMessage): void;
  /** Relay servers with new credentials. */
  onIceServers?(servers: IceServer[]): void;
  /** What whoever has the floor is still saying. */
  onSpokenSoFar?(message: SpokenSoFar): void;
  /** How good some people's connections are now. */
  onConnections?(people: PersonQualityView[]): void;
  /** What of the eligible list does not hold. */
  onEligibleList?(list: EligibleListView): void;
  /** A signed head of the session's record. */
  onEvidence?(head: EvidenceView): void;
  /** A reading of the server's clock; `sentMs` is known when it answers a ping. */
  onServerTime?(serverTime: string, sentMs: number | null): void;
}

/** What a channel needs. */
export interface ChannelOptions {
  readonly sessionId: string;
  readonly key: Pick<DpopKey, 'proof'>;
  readonly tokens: TokenSource;
  readonly handlers: ChannelHandlers;
  /** `http(s)://host` of the server; the page's own by default. */
  readonly origin?: string;
  /** Where resume state survives a reload; none keeps it in memory. */
  readonly storage?: Pick<Storage, 'getItem' | 'setItem' | 'removeItem'> | null;
  readonly createSocket?: (url: string, protocol: string) => SocketLike;
  /** In [0, 1). */
  readonly random?: () => number;
  /** Tells of `online` and `visibilitychange`. */
  readonly wakeUps?: { readonly window: EventTarget; readonly document: Document } | null;
}

/** Whether a token ends later than the connection. */
function outlives(token: string, endsAtMs: number): boolean {
  return (claimsOf(token).exp ?? 0) * 1000 > endsAtMs;
}

/** Whether asking for a token again would be in vain. */
function isFinal(error: unknown): boolean {
  return (
    error instanceof ApiError &&
    ['SIGN_IN_REFUSED', 'SIGN_IN_MISSING', 'SIGN_IN_LOOP'].includes(error.code)
  );
}

interface ResumeState {
  readonly resume_token: string;
  readonly last_seq: number;
}

/**
 * The moderation channel: one WebSocket that is kept alive. It authenticates or
 * resumes, answers for requests, renews the token in band, and after any loss
 * reconnects so that no event is missed or told twice.
 */
export class ModerationChannel {
  private readonly origin: string;
  private readonly storageKey: string;
  private readonly createSocket: (url: string, protocol: string) => SocketLike;
  private readonly random: () => number;

  private socket: SocketLike | null = null;
  private currentStatus: ChannelStatus = { phase: 'idle' };
  private resume: ResumeState | null = null;
  /** Who the server says that I am. */
  private me = '';
  /** Whether others wait for me: I moderate, or am to be heard. */
  private moderates = false;
  private watchful = false;
  /** Whether a moderator has removed me. */
  private removed = false;
  /** Whether this page was ever welcomed. */
  private entered = false;
  private nonce = '';
  private readonly clock = new ServerClock();
  private welcomed = false;
  private welcomedAtMs = 0;
  private attempt = 0;
  private unauthorised = 0;
  private handshakeWasResume = false;
  private refusal: string | null = null;
  /** The token of this connection, as far as this page knows it. */
  private token: string | null = null;
  /** The last token that the server refused. */
  private refusedToken: string | null = null;
  private expiring: { endsAtMs: number; attempt: number } | null = null;
  private renewalTimer: ReturnType<typeof setTimeout> | undefined;
  private readonly requests: Requests;
  private readonly heartbeat = new Heartbeat({
    send: () => this.sendPing(),
    answering: (answering) => this.options.handlers.onAnswering?.(answering),
    lost: () => this.lose(),
  });
  private retryTimer: ReturnType<typeof setTimeout> | undefined;
  private handshakeTimer: ReturnType<typeof setTimeout> | undefined;
  private stopListening: () => void = () => undefined;

  constructor(private readonly options: ChannelOptions) {
    this.origin = options.origin ?? window.location.origin;
    this.storageKey = `cabildo.resume.${options.sessionId}`;
    this.createSocket = options.createSocket ?? ((url, protocol) => new WebSocket(url, protocol));
    this.random = options.random ?? Math.random;
    this.requests = new Requests(this.random());
    this.resume = this.storedResume();
  }

  get status(): ChannelStatus {
    return this.currentStatus;
  }

  /** `seq` of the last event told. */
  get lastSeq(): number {
    return this.resume?.last_seq ?? 0;
  }

  /** Connects, and keeps connected until `leave` or a final refusal. */
  connect(): void {
    if (this.currentStatus.phase !== 'idle' && this.currentStatus.phase !== 'closed') return;
    this.attempt = 0;
    this.unauthorised = 0;
    this.listen();
    this.setStatus({ phase: 'connecting', sinceMs: Date.now() });
    this.open();
  }

  /** Leaves for good: the next connection is a new one. */
  leave(): void {
    this.finish('left');
  }

  /**
   * Drops the connection and makes a new one, as after the loss of a good one. `fresh` gives up
   * resuming: the server then makes new transports.
   */
  reconnect(fresh = false): void {
    if (this.currentStatus.phase === 'closed' || this.currentStatus.phase === 'idle') return;
    if (fresh) this.setResume(null);
    this.attempt = 0;
    this.lose();
  }

  /** Sends a request and waits until the server has carried it out or refused it. */
  request(message: Command, timeoutMs = REQUEST_WITHIN_MS): Promise<Ack> {
    return this.track(message, timeoutMs).answer;
  }

  /** As `request`, and tells the `id` that an `answer` refers to. */
  track(message: Command, timeoutMs = REQUEST_WITHIN_MS): { id: number; answer: Promise<Ack> } {
    const id = this.requests.nextId();
    if (!this.welcomed || this.socket === null) {
      const error = new ChannelError('NOT_CONNECTED', 'there is no connection');
      return { id, answer: Promise.reject(error) };
    }
    const answer = this.requests.answerTo(id, timeoutMs);
    const seen = isDecision(message) ? { seen: this.lastSeq } : {};
    this.socket.send(JSON.stringify({ ...seen, ...message, id }));
    return { id, answer };
  }

  private open(): void {
    clearTimeout(this.retryTimer);
    this.refusal = null;
    const address = `${this.origin.replace(/^http/, 'ws')}/moderation?session_id=${encodeURIComponent(this.options.sessionId)}`;
    let socket: SocketLike;
    try {
      socket = this.createSocket(address, SUBPROTOCOL);
    } catch {
      this.retry();
      return;
    }
    this.socket = socket;
    this.handshakeTimer = setTimeout(() => this.lose(), HANDSHAKE_MS);
    socket.onmessage = (event) => {
      if (this.socket === socket && typeof event.data === 'string') this.handleFrame(event.data);
    };
    socket.onclose = (event) => {
      if (this.socket === socket) this.handleClose(event.code);
    };
  }

  private handleFrame(text: string): void {
    let message: ServerMessage | Told;
    try {
      message = JSON.parse(text) as ServerMessage | Told;
    } catch {
      return;
    }
    switch (message.type) {
      case 'hello':
        this.nonce = message.nonce;
        this.clock.handleReading(message.server_time, null, Date.now());
        void this.introduce(this.socket, this.resume);
        return;
      case 'welcome':
        this.handleWelcome(message);
        return;
      case 'token_expiring':
        this.nonce = message.nonce;
        this.handleExpiring(Date.parse(message.expires_at));
        return;
      case 'token_renewed':
        this.setResume({ resume_token: message.resume_token, last_seq: this.lastSeq });
        this.options.handlers.onIceServers?.(message.ice_servers);
        return;
      case 'ack':
        this.requests.handleAck(message, this.lastSeq);
        return;
      case 'pending':
        this.requests.handlePending(message.ref);
        return;
      case 'error':
        this.handleError(message);
        return;
      case 'pong': {
        const sentMs = this.heartbeat.handlePong();
        this.options.handlers.onServerTime?.(message.server_time, sentMs);
        return;
      }
      case 'offer':
      case 'answer':
      case 'transport_state':
      case 'video_paused':
      case 'layers_unseen':
        this.options.handlers.onSignal?.(message);
        return;
      case 'track_refused':
        // The page knows it from its own answer.
        return;
      case 'connection_quality':
        if (this.welcomed) this.options.handlers.onConnections?.(message.people);
        return;
      case 'eligible_list':
        if (this.welcomed) this.options.handlers.onEligibleList?.(message);
        return;
      case 'evidence_head':
        if (this.welcomed) this.options.handlers.onEvidence?.(message);
        return;
      case 'transcript_chunk':
        if ('seq' in message) this.handleEvent(message);
        else if (this.welcomed) this.options.handlers.onSpokenSoFar?.(message);
        return;
      default:
        this.handleEvent(message);
    }
  }

  /** The client's first message: `resume` when there is something to resume. */
  private async introduce(socket: SocketLike | null, resume: ResumeState | null): Promise<void> {
    if (socket === null) return;
    this.handshakeWasResume = resume !== null;
    if (resume !== null) {
      // What this page did not enter with, an earlier one did: its peer
      // connections went with it.
      const lost = this.entered ? {} : { media_lost: true };
      socket.send(JSON.stringify({ type: 'resume', ...resume, ...lost } satisfies ClientMessage));
      return;
    }
    try {
      const tokens = this.options.tokens;
      let { token } = await tokens.current();
      if (token === this.refusedToken) ({ token } = await tokens.renew());
      const dpop = await this.proof(token);
      if (this.socket !== socket) return;
      this.token = token;
      socket.send(JSON.stringify({ type: 'authenticate', token, dpop } satisfies ClientMessage));
    } catch (error) {
      if (this.socket !== socket) return;
      if (error instanceof SignInRequired || isFinal(error)) this.finish('sign_in_required');
      else this.lose();
    }
  }

  private proof(token: string): Promise<string> {
    return this.options.key.proof({
      method: 'GET',
      url: `${this.origin}/moderation`,
      accessToken: token,
      nonce: this.nonce,
      nowMs: this.clock.now(),
    });
  }

  /** The token of the connection ends; a new one is fetched while half its life is left. */
  private handleExpiring(endsAtMs: number): void {
    const leftMs = endsAtMs - this.clock.now();
    const { exp = 0, iat = 0 } = claimsOf(this.token ?? '');
    const halfMs = exp > iat ? (exp - iat) * 500 : leftMs;
    this.expiring = { endsAtMs, attempt: 0 };
    this.renewIn(Math.max(0, leftMs - halfMs));
  }

  /** Fetches a new token now: the person has signed in, or asks for it. */
  renewNow(): void {
    if (this.expiring !== null) this.renewIn(0);
  }

  private renewIn(ms: number): void {
    clearTimeout(this.renewalTimer);
    this.renewalTimer = setTimeout(() => void this.renewToken(this.socket), ms);
  }

  private async renewToken(socket: SocketLike | null): Promise<void> {
    const expiring = this.expiring;
    if (socket === null || expiring === null) return;
    try {
      const tokens = this.options.tokens;
      let { token } = await tokens.current();
      // One that outlives the connection's is used at once.
      if (!outlives(token, expiring.endsAtMs)) ({ token } = await tokens.renew());
      const dpop = await this.proof(token);
      if (this.socket !== socket) return;
      await this.request({ type: 'renew_token', token, dpop });
      this.token = token;
      this.setRenewal({ state: 'fine' });
    } catch (error) {
      // The old token carries the connection until it ends; it is tried until then.
      if (this.socket !== socket || this.expiring !== expiring) return;
      expiring.attempt += 1;
      const needsPerson = error instanceof SignInRequired || isFinal(error);
      if (needsPerson || expiring.attempt > 1) {
        this.setRenewal({ state: 'failing', endsAtMs: expiring.endsAtMs, needsPerson });
      }
      this.renewIn(Math.min(RENEW_AGAIN_MS_MAX, RENEW_AGAIN_MS_FIRST * expiring.attempt));
    }
  }

  private setRenewal(renewal: Renewal): void {
    this.options.handlers.onRenewal?.(renewal);
  }

  private handleWelcome(welcome: Extract<ServerMessage, { type: 'welcome' }>): void {
    clearTimeout(this.handshakeTimer);
    this.welcomed = true;
    this.me = welcome.you.user_id;
    this.moderates = welcome.you.roles.includes('moderator');
    this.removed = false;
    this.entered = true;
    this.welcomedAtMs = performance.now();
    this.unauthorised = 0;
    this.setRenewal({ state: 'fine' });
    const last_seq = welcome.resumed ? this.lastSeq : welcome.seq;
    this.setResume({ resume_token: welcome.resume_token, last_seq });
    this.options.handlers.onServerTime?.(welcome.server_time, null);
    this.options.handlers.onWelcome?.(welcome);
    this.setStatus({ phase: 'open' });
    this.heartbeat.start();
  }

  private handleEvent(event: Told): void {
    if (!this.welcomed || typeof event.seq !== 'number') return;
    const expected = this.lastSeq + 1;
    if (event.seq < expected) return;
    if (event.seq > expected) {
      // Something was lost between us: ask for it again from the last one seen.
      this.lose();
      return;
    }
    if (this.resume !== null) this.setResume({ ...this.resume, last_seq: event.seq });
    if (event.type === 'participant_left' && event.user_id === this.me) {
      this.removed = event.reason === 'removed';
    }
    this.options.handlers.onEvent?.(event);
    this.requests.handleSeq(event.seq);
  }

  private handleError(message: Extract<ServerMessage, { type: 'error' }>): void {
    if (!this.welcomed) {
      // The server closes after this, with a code that says what helps.
      this.refusal = message.code;
      return;
    }
    if (message.ref !== undefined) {
      this.requests.settle(message.ref)?.reject(new ChannelError(message.code, message.message));
    }
  }

  /** Asks the server often whether it is still there: somebody relies on being heard. */
  setWatchful(watchful: boolean): void {
    this.watchful = watchful;
    this.heartbeat.setWatchful(watchful);
  }

  private sendPing(): boolean {
    if (!this.welcomed || this.socket === null) return false;
    this.socket.send(JSON.stringify({ type: 'ping' } satisfies ClientMessage));
    return true;
  }

  private handleClose(code: number): void {
    switch (code) {
      case 4401:
        this.handleUnauthorised();
        return;
      case 4403:
        this.finish(this.removed ? 'removed' : 'forbidden');
        return;
      case 4404:
        this.finish('not_found');
        return;
      case 4409:
        this.finish('replaced');
        return;
      case 4410:
        this.finish('over');
        return;
      default:
        this.lose();
    }
  }

  private handleUnauthorised(): void {
    this.unauthorised += 1;
    if (this.unauthorised > UNAUTHORISED_MAX) {
      this.finish('sign_in_required');
      return;
    }
    // A resume that was refused says nothing about the token.
    if (this.handshakeWasResume && !this.welcomed) this.unauthorised -= 1;
    else this.refusedToken = this.token;
    this.setResume(null);
    this.lose();
  }

  /** The connection is lost: all that hung on it fails, and a new one is made. */
  private lose(): void {
    // A server that welcomes and hangs up again must not be called in a loop.
    const lastedMs = performance.now() - this.welcomedAtMs;
    if (this.welcomed && lastedMs >= STABLE_AFTER_MS) this.attempt = 0;
    this.drop(4000);
    if (this.currentStatus.phase === 'open') {
      this.setStatus({ phase: 'reconnecting', sinceMs: Date.now(), attempt: 0 });
    }
    this.retry();
  }

  private retry(): void {
    clearTimeout(this.retryTimer);
    const delay = this.backoffMs(this.attempt);
    this.attempt += 1;
    if (this.currentStatus.phase === 'reconnecting') {
      this.setStatus({ ...this.currentStatus, attempt: this.attempt });
    }
    this.retryTimer = setTimeout(() => this.open(), delay);
  }

  private backoffMs(attempt: number): number {
    if (attempt === 0) return this.moderates || this.watchful ? 0 : SPREAD_MS * this.random();
    const full = Math.min(BACKOFF_MS_MAX, BACKOFF_MS_FIRST * 2 ** (attempt - 1));
    return full * (0.5 + this.random() / 2);
  }

  private finish(reason: ClosedReason): void {
    this.drop(1000);
    this.stopListening();
    clearTimeout(this.retryTimer);
    this.setResume(null);
    this.setStatus({ phase: 'closed', reason, code: this.refusal });
  }

  private drop(code: number): void {
    const socket = this.socket;
    this.socket = null;
    this.welcomed = false;
    clearTimeout(this.handshakeTimer);
    clearTimeout(this.renewalTimer);
    this.heartbeat.stop();
    this.expiring = null;
    if (socket !== null) {
      socket.onmessage = null;
      socket.onclose = null;
      socket.close(code);
    }
    this.requests.fail();
  }

  /** The device woke or is back on a network: doubt the path, or retry now. */
  private wake(): void {
    if (this.welcomed) this.heartbeat.probe();
    else if (this.socket === null) this.open();
  }

  private listen(): void {
    const wakeUps =
      this.options.wakeUps === undefined
        ? typeof window === 'undefined'
          ? null
          : { window, document }
        : this.options.wakeUps;
    if (wakeUps === null) return;
    const online = () => this.wake();
    const visible = () => {
      if (wakeUps.document.visibilityState === 'visible') this.wake();
    };
    wakeUps.window.addEventListener('online', online);
    wakeUps.document.addEventListener('visibilitychange', visible);
    this.stopListening = () => {
      wakeUps.window.removeEventListener('online', online);
      wakeUps.document.removeEventListener('visibilitychange', visible);
    };
  }

  private setStatus(status: ChannelStatus): void {
    this.currentStatus = status;
    this.options.handlers.onStatus?.(status);
  }

  private setResume(resume: ResumeState | null): void {
    this.resume = resume;
    const storage = this.storage();
    try {
      if (resume === null) storage?.removeItem(this.storageKey);
      else storage?.setItem(this.storageKey, JSON.stringify(resume));
    } catch {
      // A full or forbidden storage costs resuming after a reload, nothing else.
    }
  }

  private storedResume(): ResumeState | null {
    try {
      const text = this.storage()?.getItem(this.storageKey) ?? null;
      const value = text === null ? null : (JSON.parse(text) as Partial<ResumeState> | null);
      return typeof value?.resume_token === 'string' && typeof value.last_seq === 'number'
        ? { resume_token: value.resume_token, last_seq: value.last_seq }
        : null;
    } catch {
      return null;
    }
  }

  private storage(): Pick<Storage, 'getItem' | 'setItem' | 'removeItem'> | null {
    if (this.options.storage !== undefined) return this.options.storage;
    return typeof window === 'undefined' ? null : tabKeeping();
  }
}
