import { expect, it } from 'vitest';
import type { Command } from '../lib';
import { Decisions } from './decisions';
import { undoNewest } from './undo_stack';

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

it('takes back by its opposite what the server can not take back', async () => {
  const { sent, decisions: one } = decisions();
  const back = {
    said: 'paused',
    command: { type: 'start_recording' },
    saidBack: 'recorded',
  } as const;
  await one.send({ type: 'pause_recording' }, back);
  expect(undoNewest()).toBe('undone');
  expect(sent).toEqual(['pause_recording', 'start_recording']);
  expect(undoNewest()).not.toBe('undone');
  expect(sent).toHaveLength(2);
});
