import { expect, it } from 'vitest';
import { endingOf, neverHeld } from './ending';

it('tells a session that was cancelled from one that is over', () => {
  expect(endingOf('over', 'completed', null)).toBe('over');
  expect(endingOf('over', 'cancelled', null)).toBe('cancelled');
  expect(endingOf('over', null, { status: 'cancelled' })).toBe('cancelled');
  expect(endingOf('over', null, { status: 'completed' })).toBe('over');
  expect(endingOf('over', null, null)).toBe('over');
});

it('says first what the person themselves has to know', () => {
  expect(endingOf('removed', 'cancelled', null)).toBe('removed');
  expect(endingOf('left', null, { status: 'cancelled' })).toBe('left');
});

it('has nothing of a session that was cancelled before it began', () => {
  expect(neverHeld({ status: 'cancelled', started_at: null })).toBe(true);
  expect(neverHeld({ status: 'cancelled', started_at: '2026-01-01T10:00:00Z' })).toBe(false);
  expect(neverHeld({ status: 'scheduled', started_at: null })).toBe(false);
});
