import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { t } from '../i18n/i18n';
import type { Ack, Command } from '../lib';
import { ChannelError } from '../lib';
import { toast } from './components';
import { Decisions } from './decisions';
import { undoNewest } from './undo_stack';

vi.mock('./components', async (original) => ({
  ...(await original<object>()),
  toast: vi.fn(() => () => undefined),
}));

function decisions() {
  const sent: string[] = [];
  const clock = { ms: 0 };
  const command = (message: Command) => {
    sent.push(message.type);
    return Promise.resolve({ type: 'ack' as const, ref: '1', seq: 1 });
  };
  return { sent, clock, decisions: new Decisions({ command, lastSeq: 7 }, () => clock.ms) };
}

const ask: Command = { type: 'request_speech', kind: 'normal' };

it('takes two quick presses as one', async () => {
  const { sent, clock, decisions: one } = decisions();
  expect(await one.send(ask)).toBe(true);
  clock.ms = 900;
  expect(await one.send(ask)).toBe(false);
  clock.ms = 1_900;
  expect(await one.send(ask)).toBe(true);
  expect(sent).toEqual(['request_speech', 'request_speech']);
});

it('takes a press as meant when something else was decided between', async () => {
  const { sent, clock, decisions: one } = decisions();
  await one.send(ask);
  clock.ms = 300;
  await one.send({ type: 'end_speech' });
  clock.ms = 600;
  expect(await one.send(ask)).toBe(true);
  expect(sent).toEqual(['request_speech', 'end_speech', 'request_speech']);
});

it('takes presses of different things as meant, and of the next speaker as one', async () => {
  const { sent, decisions: one } = decisions();
  await one.send(ask);
  expect(await one.send({ type: 'request_speech', kind: 'point_of_order' })).toBe(true);
  await one.send({ type: 'approve_speech', request_id: 'a' });
  expect(await one.send({ type: 'approve_speech', request_id: 'b' })).toBe(true);
  expect(await one.send({ type: 'approve_speech', request_id: 'b' })).toBe(false);
  await one.send({ type: 'start_turn', request_id: 'a' });
  expect(await one.send({ type: 'start_turn', request_id: 'b' })).toBe(false);
  expect(sent).toHaveLength(5);
});

it('decides by what was shown when it was begun, and not by what came since', async () => {
  const sent: Command[] = [];
  const client = {
    lastSeq: 7,
    command: (message: Command) => {
      sent.push(message);
      return Promise.resolve({ type: 'ack' as const, ref: '1', seq: 1 });
    },
  };
  const decide = new Decisions(client).asShown();
  client.lastSeq = 12;
  decide({ type: 'start_turn', request_id: 'a' });
  await Promise.resolve();
  expect(sent).toEqual([{ type: 'start_turn', request_id: 'a', seen: 7 }]);
});

const PAUSE = {
  said: 'paused',
  made: 'paused',
  command: { type: 'start_recording' },
  saidBack: 'recorded',
} as const;
const RESUME = {
  said: 'recorded',
  made: 'recording',
  command: { type: 'pause_recording' },
  saidBack: 'paused',
} as const;

beforeEach(() => void vi.useFakeTimers());
// What a test leaves can't be taken back in the next.
afterEach(() => {
  vi.runAllTimers();
  vi.useRealTimers();
});

it('takes back by its opposite what the server can not take back', async () => {
  const { sent, decisions: one } = decisions();
  await one.send({ type: 'pause_recording' }, PAUSE);
  expect(undoNewest()).toBe('undone');
  expect(sent).toEqual(['pause_recording', 'start_recording']);
  expect(undoNewest()).not.toBe('undone');
  expect(sent).toHaveLength(2);
});

it('offers no way back from a recording that was stopped meanwhile, or resumed', async () => {
  const { sent, decisions: one } = decisions();
  await one.send({ type: 'pause_recording' }, PAUSE);
  one.handleRecording('paused');
  await one.send({ type: 'start_recording' }, RESUME);
  one.handleRecording('recording');
  expect(undoNewest()).toBe('undone');
  expect(sent.at(-1)).toBe('pause_recording');
  expect(undoNewest()).toBe('nothing');
  await one.send({ type: 'pause_recording' }, PAUSE);
  one.handleRecording('stopped');
  expect(undoNewest()).toBe('nothing');
});

it('keeps the way back when it is told again how the recording stood before', async () => {
  const { sent, decisions: one } = decisions();
  one.handleRecording('recording');
  await one.send({ type: 'pause_recording' }, PAUSE);
  one.handleRecording('recording');
  one.handleRecording('paused');
  expect(undoNewest()).toBe('undone');
  expect(sent).toEqual(['pause_recording', 'start_recording']);
});

it('takes back what was just decided and not what was decided before, without an answer yet', async () => {
  const sent: string[] = [];
  const answers: (() => void)[] = [];
  const command = (message: Command) => {
    sent.push(message.type);
    return new Promise<Ack>((resolve) => {
      answers.push(() => resolve({ type: 'ack', ref: '1', action_id: 'a' }));
    });
  };
  const one = new Decisions({ command, lastSeq: 7 });
  const stopped = one.send({ type: 'stop_turn' });
  answers[0]?.();
  await stopped;
  const paused = one.send({ type: 'pause_recording' }, PAUSE);
  expect(undoNewest()).toBe('undone');
  expect(sent).toEqual(['stop_turn', 'pause_recording']);
  answers[1]?.();
  await paused;
  expect(sent).toEqual(['stop_turn', 'pause_recording', 'start_recording']);
  expect(undoNewest()).toBe('undone');
  expect(sent.at(-1)).toBe('undo');
});

it('offers the way back again that was pressed while there was no connection', async () => {
  const sent: string[] = [];
  let connected = true;
  const command = (message: Command) => {
    if (!connected) return Promise.reject(new ChannelError('NOT_CONNECTED', ''));
    sent.push(message.type);
    return Promise.resolve<Ack>({ type: 'ack', ref: '1', action_id: 'a' });
  };
  const one = new Decisions({ command, lastSeq: 7 });
  await one.send({ type: 'stop_turn' });
  connected = false;
  expect(undoNewest()).toBe('undone');
  await vi.advanceTimersByTimeAsync(0);
  connected = true;
  expect(undoNewest()).toBe('undone');
  expect(sent).toEqual(['stop_turn', 'undo']);
});

it('says when a decision that was taken back before its answer can not be', async () => {
  const answers: (() => void)[] = [];
  const command = () =>
    new Promise<Ack>((resolve) => {
      answers.push(() => resolve({ type: 'ack', ref: '1' }));
    });
  const one = new Decisions({ command, lastSeq: 7 });
  const stopped = one.send({ type: 'stop_turn' });
  expect(undoNewest()).toBe('undone');
  vi.mocked(toast).mockClear();
  answers[0]?.();
  await stopped;
  expect(toast).toHaveBeenCalledWith(t('undo.impossible'));
  expect(undoNewest()).toBe('not_undoable');
});
