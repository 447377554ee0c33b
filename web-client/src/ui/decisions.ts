import { t } from '../i18n/i18n';
import type { Key } from '../i18n/i18n';
import type { Command, RoomClient } from '../lib';
import { announce, showFailure, toast } from './components';

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

/**
 * Sends what a person decides: a double click or a held key decides once, and
 * what the server can take back is offered to be taken back.
 */
export class Decisions {
  private last: { group: string; ms: number } | null = null;
  private readonly open = new Set<string>();
  /** What can be taken back now, the last one last. */
  private undoable: { actionId: string; dismiss: () => void }[] = [];

  constructor(
    private readonly client: Pick<RoomClient, 'command'>,
    private readonly now: () => number = Date.now,
  ) {}

  /** Sends a decision, unless it repeats one; answers whether it was carried out. */
  async send(message: Command): Promise<boolean> {
    const group = groupOf(message);
    if (group !== null && this.isRepeat(group)) return false;
    if (group !== null) this.open.add(group);
    try {
      const { action_id } = await this.client.command(message);
      if (action_id !== undefined) this.offerUndo(message, action_id);
      return true;
    } catch (error) {
      showFailure(error);
      return false;
    } finally {
      if (group !== null) {
        this.open.delete(group);
        this.last = { group, ms: this.now() };
      }
    }
  }

  /** Takes the last decision back; false when there is none. */
  undoLast(): boolean {
    const last = this.undoable.at(-1);
    if (last === undefined) return false;
    this.undo(last.actionId);
    return true;
  }

  private isRepeat(group: string): boolean {
    if (this.open.has(group)) return true;
    return this.last?.group === group && this.now() - this.last.ms < REPEAT_MS;
  }

  private offerUndo(message: Command, actionId: string): void {
    const key = UNDO_TEXTS[message.type];
    if (key === undefined) return;
    const run = () => this.undo(actionId);
    const dismiss = toast(t(key), { label: t('common.undo'), run }, UNDO_MS);
    announce(t(key));
    this.undoable = [...this.undoable, { actionId, dismiss }];
    setTimeout(() => this.forget(actionId), UNDO_MS);
  }

  private undo(actionId: string): void {
    this.forget(actionId);
    this.client.command({ type: 'undo', action_id: actionId }).then(
      () => toast(t('undo.done')),
      (error: unknown) => showFailure(error),
    );
  }

  private forget(actionId: string): void {
    this.undoable.find((one) => one.actionId === actionId)?.dismiss();
    this.undoable = this.undoable.filter((one) => one.actionId !== actionId);
  }
}
