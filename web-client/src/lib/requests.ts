import type { ClientMessage, ServerMessage } from '../generated/wire';
import { ChannelError } from './errors';

/** How long an answer is waited for. */
export const REQUEST_WITHIN_MS = 10_000;
/** How long the outcome of a request that the server calls pending is waited for. */
const PENDING_WITHIN_MS = 120_000;
/** Ids of a page begin below this. */
const FIRST_ID_MAX = 2 ** 40;

/** The answer to a request. */
export type Ack = Extract<ServerMessage, { type: 'ack' }>;

/** What is sent. */
export type Command = ClientMessage & {
  /** `seq` of the newest event that its sender was shown; the newest that came, when missing. */
  readonly seen?: number;
};

/** Who waits for an answer. */
interface Pending {
  readonly resolve: (ack: Ack) => void;
  readonly reject: (error: ChannelError) => void;
  timer: ReturnType<typeof setTimeout>;
  /** The answer, while events of the request have still to come. */
  ack?: Ack;
}

/** Messages that decide something: they carry what their sender had seen. */
const DECISIONS: ReadonlySet<Command['type']> = new Set([
  'approve_speech',
  'deny_speech',
  'cancel_speech',
  'end_speech',
  'start_turn',
  'pause_turn',
  'resume_turn',
  'extend_turn',
  'stop_turn',
  'reorder_queue',
  'open_queue',
  'close_queue',
  'add_speaker',
  'set_moderation',
  'take_chair',
  'mute_user',
  'unmute_user',
  'stop_pictures',
  'allow_pictures',
  'remove_participant',
  'admit',
  'start_recording',
  'pause_recording',
  'stop_recording',
]);

/** Whether a message decides something. */
export function isDecision(message: Command): boolean {
  return DECISIONS.has(message.type);
}

/** Requests that wait for their answer. */
export class Requests {
  private readonly pending = new Map<number, Pending>();
  private lastId: number;

  /**
   * `random` is in [0, 1). Ids begin anywhere, since a page that resumes must not repeat
   * those from before its reload.
   */
  constructor(random: number) {
    this.lastId = Math.floor(random * FIRST_ID_MAX);
  }

  nextId(): number {
    this.lastId += 1;
    return this.lastId;
  }

  /** The answer to the request with this id, once it is sent. */
  answerTo(id: number, timeoutMs: number): Promise<Ack> {
    return new Promise<Ack>((resolve, reject) => {
      this.pending.set(id, { resolve, reject, timer: this.timeOut(id, timeoutMs) });
    });
  }

  /** The server has taken a request and can't tell its outcome yet. */
  handlePending(ref: string | number): void {
    const pending = this.pending.get(Number(ref));
    if (pending === undefined) return;
    clearTimeout(pending.timer);
    pending.timer = this.timeOut(Number(ref), PENDING_WITHIN_MS);
  }

  /**
   * A request was carried out. Whoever asked is told once its own events have come, since a
   * decision that is sent before would be about what was before.
   */
  handleAck(ack: Ack, lastSeq: number): void {
    const pending = this.pending.get(Number(ack.ref));
    if (pending === undefined) return;
    clearTimeout(pending.timer);
    pending.ack = ack;
    this.handleSeq(lastSeq);
  }

  /** All events up to `lastSeq` have come. */
  handleSeq(lastSeq: number): void {
    for (const [id, { ack, resolve }] of this.pending) {
      if (ack === undefined || (ack.last_seq ?? 0) > lastSeq) continue;
      this.pending.delete(id);
      resolve(ack);
    }
  }

  /** Takes a request out, to be resolved or rejected. */
  settle(ref: string | number): Pending | undefined {
    const pending = this.pending.get(Number(ref));
    if (pending !== undefined) {
      clearTimeout(pending.timer);
      this.pending.delete(Number(ref));
    }
    return pending;
  }

  /** The connection is lost, and every answer with it that has not come. */
  fail(): void {
    this.handleSeq(Infinity);
    for (const [, pending] of this.pending) {
      clearTimeout(pending.timer);
      pending.reject(new ChannelError('CONNECTION_LOST', 'the connection was lost'));
    }
    this.pending.clear();
  }

  private timeOut(id: number, timeoutMs: number): ReturnType<typeof setTimeout> {
    return setTimeout(() => {
      const error = new ChannelError('TIMED_OUT', 'the server did not answer in time');
      this.settle(id)?.reject(error);
    }, timeoutMs);
  }
}
