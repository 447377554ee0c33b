import { expect, it } from 'vitest';
import type { RowPlace } from './settling';
import { slidRows } from './settling';

/** Rows of a height of 40, one below the other. */
function list(...rows: string[]): ReadonlyMap<string, RowPlace> {
  return new Map(rows.map((row, index) => [row, { left: 0, top: index * 40, height: 40 }]));
}

it('finds rows that one above them pushed to where another one was, and that one', () => {
  expect(slidRows(list('ana', 'ben'), list('order', 'ana', 'ben'))).toEqual(['order', 'ana']);
});

it('finds the row that took the place of one that went', () => {
  expect(slidRows(list('ana', 'ben', 'cam'), list('ben', 'cam'))).toEqual(['ben', 'cam']);
  expect(slidRows(list('ana', 'ben'), list('ana', 'cam'))).toEqual(['cam']);
});

it('leaves alone what stayed, what is added below, and the first of an empty list', () => {
  expect(slidRows(list('ana'), list('ana', 'ben'))).toEqual([]);
  expect(slidRows(list(), list('ana'))).toEqual([]);
  expect(slidRows(list('ana', 'ben'), list('ana'))).toEqual([]);
});

it('finds the row that one which grew pushed over another, and none pushed off its own place', () => {
  const before = list('ana', 'ben', 'cam');
  const after = new Map(before);
  after.set('ana', { left: 0, top: 0, height: 60 });
  after.set('ben', { left: 0, top: 60, height: 40 });
  after.set('cam', { left: 0, top: 100, height: 40 });
  expect(slidRows(before, after)).toEqual(['ben']);
  after.set('ben', { left: 0, top: 43, height: 40 });
  expect(slidRows(before, after)).not.toContain('ben');
});

it('tells columns apart', () => {
  const before = new Map([['ana', { left: 0, top: 0, height: 40 }]]);
  const after = new Map([...before, ['ben', { left: 200, top: 0, height: 40 }]]);
  expect(slidRows(before, after)).toEqual([]);
});
