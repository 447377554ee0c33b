import { describe, expect, it } from 'vitest';
import { columnsFor, initialsOf, roomFor } from './tiles';

describe('the grid', () => {
  it.each([
    [1, { width: 1000, height: 600 }, 1],
    [2, { width: 1000, height: 300 }, 2],
    [2, { width: 300, height: 600 }, 1],
    [9, { width: 1600, height: 900 }, 3],
    [13, { width: 1280, height: 540 }, 5],
    [5, { width: 0, height: 0 }, 1],
  ])('%i tiles in %o stand in %i columns', (count, size, columns) => {
    expect(columnsFor(count, size)).toBe(columns);
  });

  it('has room for two at least', () => {
    expect(roomFor({ width: 10, height: 10 })).toBe(2);
    expect(roomFor({ width: 375, height: 300 })).toBe(12);
  });
});

describe('initials', () => {
  it.each([
    ['Ana María Fernández', 'AM'],
    ['ñuflo', 'Ñ'],
    ['  3.º B · Íñigo  Pérez', 'BÍ'],
    ['Þórdís Kolbrún', 'ÞK'],
    ['李小龙', '李'],
    ['123', '?'],
    ['', '?'],
  ])('of %s are %s', (name, initials) => expect(initialsOf(name)).toBe(initials));
});
