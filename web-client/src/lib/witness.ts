import type { EvidenceView } from '../generated/wire';
import type * as verifying from '../verify/witness';
import type { Head, KeyList } from '../verify/witness';
import { ApiError } from './errors';
import type { HeldHeadStore } from './held_heads';
import type { ProofSource } from './proofs';

/** What a witness has seen. */
export interface WitnessView {
  /** Entries under the newest head whose signature holds; 0 before the first. */
  readonly treeSize: number;
  /** When the record was last shown to continue the one held, ms; null before. */
  readonly checkedAtMs: number | null;
  /** The code of what is wrong; it stays. */
  readonly failure: string | null;
}

type Tools = typeof verifying;

/** What a witness needs. */
export interface WitnessOptions {
  readonly session: string;
  readonly source: Pick<ProofSource, 'keys' | 'proof'>;
  readonly store: Pick<HeldHeadStore, 'of' | 'keep' | 'keepConflict'>;
  /** Loads what verifies; apart from the page's own script. */
  readonly load: () => Promise<Tools>;
  readonly now?: () => number;
  readonly random?: () => number;
}

/** Between two checks of consistency, ms, jittered so that a full room does not ask at once. */
const CHECK_EVERY_MS = 30_000;
/** After a connection was resumed, and the first time. */
const CHECK_SOON_MS = 2_000;
/** A key that is not known may be new: the list is asked for again, not more often. */
const KEYS_AGAIN_MS = 60_000;
/** Heads that wait to be looked at; of more, the newest count. */
const WAITING_MAX = 4;

/**
 * Makes a browser a witness: it checks the signature of every head that the room
 * tells, keeps the newest, and asks for proof that each continues the one before.
 */
export class Witness {
  private current: WitnessView = { treeSize: 0, checkedAtMs: null, failure: null };
  private readonly listeners = new Set<(view: WitnessView) => void>();
  private readonly waiting: EvidenceView[] = [];
  private working = false;
  private closed = false;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private dueMs = Infinity;
  private keys: KeyList | null = null;
  private keysAtMs = -Infinity;
  /** The newest head that was told. */
  private newest: Head | null = null;
  /** The newest head that was shown to continue those before; what is kept. */
  private held: Head | null = null;
  private readonly now: () => number;
  private readonly random: () => number;

  constructor(private readonly options: WitnessOptions) {
    this.now = options.now ?? Date.now;
    this.random = options.random ?? Math.random;
  }

  get view(): WitnessView {
    return this.current;
  }

  /** Calls `listener` on every change, until the returned function is called. */
  subscribe(listener: (view: WitnessView) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Takes a head that the room told. */
  handleHead(head: EvidenceView): void {
    if (this.closed || this.current.failure !== null) return;
    this.waiting.push(head);
    this.waiting.splice(0, this.waiting.length - WAITING_MAX);
    void this.work();
  }

  /** A connection was resumed: what was told meanwhile may be another record. */
  handleResume(): void {
    if (this.held !== null) this.schedule(CHECK_SOON_MS);
  }

  close(): void {
    this.closed = true;
    clearTimeout(this.timer);
  }

  private async work(): Promise<void> {
    if (this.working) return;
    this.working = true;
    try {
      for (let next = this.waiting.shift(); next !== undefined; next = this.waiting.shift()) {
        await this.take(next);
      }
    } finally {
      this.working = false;
    }
  }

  private async take(told: EvidenceView): Promise<void> {
    const { session } = this.options;
    await this.guarded(told.cose, async (tools) => {
      const head = await this.withKeys(tools, (keys) =>
        tools.openSessionHead(told.cose, session, keys),
      );
      const root = tools.toBase64Url(head.root);
      if (told.tree_size !== head.treeSize || told.root !== root) {
        throw new tools.Refused('HEADER_INVALID', 'told as another head than it is');
      }
      this.held ??= await this.heldBefore(tools);
      for (const known of [this.newest, this.held]) {
        if (known !== null && tools.contradict(known, head)) {
          throw new tools.Refused('FORKED_LOG', 'two heads that contradict each other');
        }
      }
      const isFirst = this.held === null;
      if (this.newest === null || head.treeSize > this.newest.treeSize) this.newest = head;
      if (isFirst) this.keep(tools, head);
      this.change({ treeSize: this.newest.treeSize });
      const soon = this.current.checkedAtMs === null;
      this.schedule(soon ? CHECK_SOON_MS : CHECK_EVERY_MS);
    });
  }

  /** The head that this browser kept when it was here before. */
  private async heldBefore(tools: Tools): Promise<Head | null> {
    const before = this.options.store.of(this.options.session);
    if (before === null) return null;
    try {
      return await this.withKeys(tools, (keys) =>
        tools.openSessionHead(before.newest, this.options.session, keys),
      );
    } catch (error) {
      // What this browser kept itself and cannot read any more witnesses nothing.
      if (error instanceof tools.Refused) return null;
      throw error;
    }
  }

  /** Asks for proof that the record continues the heads that are held. */
  private async check(): Promise<void> {
    const olds = [...new Set([this.held, this.newest])].filter((one) => one !== null);
    if (olds.length === 0) return;
    let last: Head | null = null;
    for (const old of olds) {
      const done = await this.guarded(null, async (tools) => {
        const proof = await this.proofFrom(old.treeSize);
        const head = await this.withKeys(tools, (keys) =>
          tools.continuation(proof, old, this.options.session, keys),
        );
        for (const known of [this.held, this.newest, last]) {
          if (known !== null && tools.contradict(known, head)) {
            this.options.store.keepConflict(this.options.session, tools.toBase64Url(head.cose));
            throw new tools.Refused('FORKED_LOG', 'two heads that contradict each other');
          }
        }
        if (last === null || head.treeSize > last.treeSize) last = head;
        this.keep(tools, last);
      });
      if (!done) return;
    }
    const newest = this.held;
    if (newest === null) return;
    if (this.newest === null || newest.treeSize > this.newest.treeSize) this.newest = newest;
    this.change({ checkedAtMs: this.now(), treeSize: this.newest.treeSize });
  }

  private async proofFrom(size: number): Promise<Uint8Array<ArrayBuffer>> {
    const { session, source } = this.options;
    try {
      return await source.proof(session, size);
    } catch (error) {
      // A record that is shorter than it was gives no receipt; its proof shows that it is.
      if (error instanceof ApiError && error.status === 422) return source.proof(session, null);
      throw error;
    }
  }

  private keep(tools: Tools, head: Head): void {
    this.held = head;
    this.options.store.keep(this.options.session, tools.toBase64Url(head.cose));
  }

  /** Runs with the published keys, and once more with new ones where a key is not known. */
  private async withKeys<T>(tools: Tools, run: (keys: KeyList) => Promise<T>): Promise<T> {
    this.keys ??= await this.loadKeys(tools);
    try {
      return await run(this.keys);
    } catch (error) {
      const isUnknown = error instanceof tools.Refused && error.code === 'UNKNOWN_KEY';
      if (!isUnknown || this.now() - this.keysAtMs < KEYS_AGAIN_MS) throw error;
      this.keys = await this.loadKeys(tools);
      return run(this.keys);
    }
  }

  private async loadKeys(tools: Tools): Promise<KeyList> {
    const keys = await tools.keysOf(await this.options.source.keys());
    this.keysAtMs = this.now();
    return keys;
  }

  /** What is refused is a failure that stays; what cannot be reached is tried again. */
  private async guarded(
    cose: string | null,
    run: (tools: Tools) => Promise<void>,
  ): Promise<boolean> {
    try {
      const tools = await this.options.load();
      try {
        await run(tools);
        return !this.closed;
      } catch (error) {
        if (error instanceof tools.Refused) {
          if (cose !== null) this.options.store.keepConflict(this.options.session, cose);
          clearTimeout(this.timer);
          this.change({ failure: error.code });
          return false;
        }
        throw error;
      }
    } catch {
      this.schedule(CHECK_EVERY_MS);
      return false;
    }
  }

  private schedule(afterMs: number): void {
    if (this.closed || this.current.failure !== null) return;
    const at = this.now() + afterMs * (1 + this.random() / 2);
    if (at >= this.dueMs) return;
    clearTimeout(this.timer);
    this.dueMs = at;
    this.timer = setTimeout(() => {
      this.dueMs = Infinity;
      void this.check();
    }, at - this.now());
  }

  private change(change: Partial<WitnessView>): void {
    if (this.closed) return;
    this.current = { ...this.current, ...change };
    for (const listener of this.listeners) listener(this.current);
  }
}
