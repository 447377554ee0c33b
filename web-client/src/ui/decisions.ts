import { t } from '../i18n/i18n';
import type { Key } from '../i18n/catalogues';
import type { Ack, Command, RoomClient } from '../lib';
import { ChannelError, isDecision } from '../lib';
import { showFailure, toast } from './components';
import { announce } from './live_regions';
import { forgetDecision, noteDecision } from './undo_stack';

/** Presses of one kind that follow faster, with no other between, are one press that slipped. */
const REPEAT_MS = 1_000;
/** As long as the server takes a decision back. */
const UNDO_MS = 10_000;

/** Decisions that do the same: one press is enough. What may be pressed on and on has no group. */
function groupOf(message: Command): string | null {
  switch (message.type) {
    case 'extend_turn':
    case 'reorder_queue':
    case 'add_speaker':
    case 'undo':
      return null;
    case 'stop_turn':
    case 'end_speech':
      return 'stop';
    // The second press on "next" would be of the one after.
    case 'start_turn':
      return message.type;
    default:
      return JSON.stringify({ ...message, seen: undefined });
  }
}

const UNDO_TEXTS: Readonly<Partial<Record<Command['type'], Key>>> = {
  start_turn: 'undo.start_turn',
  stop_turn: 'undo.stop_turn',
  end_speech: 'undo.stop_turn',
  approve_speech: 'undo.approve_speech',
  deny_speech: 'undo.deny_speech',
  cancel_speech: 'undo.cancel_speech',
  remove_participant: 'undo.remove_participant',
  set_moderation: 'undo.set_moderation',
};

/** How a decision is taken back that the server keeps no state before of. */
export interface Back {
  /** What was decided. */
  readonly said: string;
  /** Decides the opposite. */
  readonly command: Command;
  /** State that the decision leads to; the way back is offered while it is so. */
  readonly made?: string;
  /** How it stands after `command`. */
  readonly saidBack: string;
}

/** Decisions sent by this page. */
let sent = 0;

/**
 * Sends what a person decides: a double click or a held key decides once, and
 * what the server can take back is offered to be taken back.
 */
export class Decisions {
  private last: { group: string; ms: number } | null = null;
  private readonly open = new Set<string>();
  /** The way back by an opposite that is offered; such decisions are all about the recording. */
  private offered: { readonly made: string; readonly end: () => void } | null = null;
  /** How the recording stands, as far as this page was told. */
  private stands: string | null = null;

  constructor(
    private readonly client: Pick<RoomClient, 'command' | 'lastSeq'>,
    /** A clock that nobody sets. */
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** Sends a decision, unless it repeats one; answers whether it was carried out. */
  async send(message: Command, back?: Back): Promise<boolean> {
    const group = groupOf(message);
    if (group !== null && this.isRepeat(group)) return false;
    if (group !== null) this.open.add(group);
    sent += 1;
    const key = `sent-${sent}`;
    // Whoever undoes before the answer is there means this decision and none before it.
    const answered = { undo: false };
    if (message.type in UNDO_TEXTS || back !== undefined) {
      noteDecision(key, () => {
        forgetDecision(key);
        answered.undo = true;
      });
    } else if (isDecision(message)) noteDecision(key, null);
    try {
      const ack = await this.client.command(message);
      const way = wayBack(message, ack, back);
      if (way === undefined) {
        if (isDecision(message)) noteForAWhile(key, null);
        // Whoever pressed "undo" before the answer is told that it did nothing.
        if (answered.undo) toast(t('undo.impossible'));
      } else if (answered.undo) this.takeBack(way);
      else this.offerUndo(key, way);
      return true;
    } catch (error) {
      forgetDecision(key);
      showFailure(error);
      return false;
    } finally {
      if (group !== null) {
        this.open.delete(group);
        // To decide again what was taken back is no slip.
        if (!answered.undo) this.last = { group, ms: this.now() };
      }
    }
  }

  /**
   * Decides by what is shown now, however late it is sent: when it has changed meanwhile, the
   * server refuses.
   */
  asShown(): (message: Command) => void {
    const seen = this.client.lastSeq;
    return (message) => void this.send({ ...message, seen });
  }

  private isRepeat(group: string): boolean {
    if (this.open.has(group)) return true;
    return this.last?.group === group && this.now() - this.last.ms < REPEAT_MS;
  }

  /**
   * The page was told how the recording stands: ends the offer of a way back from what is no
   * longer so. It may be told again how it stood before a decision that is answered already.
   */
  handleRecording(now: string): void {
    if (this.stands === now) return;
    this.stands = now;
    if (this.offered !== null && this.offered.made !== now) this.offered.end();
  }

  private offerUndo(key: string, back: Back): void {
    const end = () => {
      forgetDecision(key);
      dismiss();
    };
    const undo = () => {
      end();
      this.takeBack(back);
    };
    const dismiss = toast(back.said, { label: t('common.undo'), run: undo }, UNDO_MS);
    announce(back.said);
    noteForAWhile(key, undo);
    if (back.made === undefined) return;
    this.offered?.end();
    this.offered = { made: back.made, end };
  }

  private takeBack(back: Back): void {
    this.last = null;
    this.client.command(back.command).then(
      () => toast(back.saidBack),
      (error: unknown) => {
        showFailure(error);
        // What was never sent is offered again, for when there is a connection.
        if (!(error instanceof ChannelError) || error.code !== 'NOT_CONNECTED') return;
        sent += 1;
        this.offerUndo(`sent-${sent}`, back);
      },
    );
  }
}

/** How a decision that was carried out is taken back; nothing when it can't be. */
function wayBack(message: Command, ack: Ack, back: Back | undefined): Back | undefined {
  const said = UNDO_TEXTS[message.type];
  if (said !== undefined && ack.action_id !== undefined) {
    const command: Command = { type: 'undo', action_id: ack.action_id };
    return { said: t(said), command, saidBack: t('undo.done') };
  }
  return back;
}

/** Notes a decision for as long as the server takes one back. */
function noteForAWhile(key: string, undo: (() => void) | null): void {
  noteDecision(key, undo);
  setTimeout(() => forgetDecision(key), UNDO_MS);
}
