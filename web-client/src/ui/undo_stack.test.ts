import { expect, it } from 'vitest';
import { forgetDecision, noteDecision, undoNewest } from './undo_stack';

it('takes back the newest decision, and none before one that can not be', () => {
  const undone: string[] = [];
  const note = (key: string) =>
    noteDecision(key, () => {
      undone.push(key);
      forgetDecision(key);
    });
  expect(undoNewest()).toBe('nothing');
  note('approved');
  note('denied in five seconds');
  expect(undoNewest()).toBe('undone');
  expect(undone).toEqual(['denied in five seconds']);
  noteDecision('muted', null);
  expect(undoNewest()).toBe('not_undoable');
  forgetDecision('muted');
  expect(undoNewest()).toBe('undone');
  expect(undone).toEqual(['denied in five seconds', 'approved']);
});
