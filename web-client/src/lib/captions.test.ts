import { describe, expect, it } from 'vitest';
import type { Caption } from './captions';
import {
  CAPTIONS_MAX,
  CAPTION_MS,
  NAMES_MAX,
  captionsAfter,
  SO_FAR_MS,
  isInterrupted,
  namesWith,
  shownCaptions,
  shownSoFar,
} from './captions';
import { after, saying, stateOf } from './room_state';
import { START, at, participant, turn, welcome } from './testing/fakes';

const chunk = (seq: number, user: string, text: string, ms = 0) => ({
  type: 'transcript_chunk' as const,
  seq,
  at: at(ms),
  participant: user,
  text,
  confidence: 0.9,
  from: at(ms),
  to: at(ms),
  final: true,
  engine: 'whisper',
  language: 'es',
});

const soFar = (user: string, text: string, fromMs: number, toMs: number) => ({
  type: 'transcript_chunk' as const,
  participant: user,
  text,
  confidence: 0.5,
  from: at(fromMs),
  to: at(toMs),
  final: false,
  engine: 'whisper',
  language: 'es',
});

describe('captions', () => {
  it('are shown once, with the name of whoever spoke', () => {
    const nameOf = (userId: string) => userId.toUpperCase();
    const once = captionsAfter([], chunk(7, 'ana', 'Buenas tardes.'), nameOf);
    const twice = captionsAfter(once, chunk(7, 'ana', 'Buenas tardes.'), nameOf);
    expect(twice).toBe(once);
    expect(once).toMatchObject([{ seq: 7, name: 'ANA', text: 'Buenas tardes.', corrected: false }]);
  });

  it('are in the language of each text, so that it is read aloud as such', () => {
    const texts = [
      chunk(7, 'ana', 'Buenas tardes.'),
      { ...chunk(8, 'bob', 'Good evening.'), language: 'en-GB' },
      { ...chunk(9, 'eve', 'Mba’éichapa.'), language: 'und' },
    ];
    const state = texts.reduce(after, stateOf(welcome({ seq: 6 })));
    expect(state.captions.map(({ language }) => language)).toEqual(['es', 'en-GB', null]);
    const said = saying(state, { ...soFar('bob', 'And', 5_000, 6_000), language: 'en-GB' });
    expect(said.soFar?.language).toBe('en-GB');
  });

  it('are corrected in their place, and a gap is not', () => {
    const gap = {
      type: 'transcript_gap' as const,
      seq: 8,
      at: at(1),
      participant: 'ana',
      from: at(0),
      to: at(1),
      cause: 'overload',
    };
    const nameOf = () => 'Ana';
    const said = captionsAfter(captionsAfter([], chunk(7, 'ana', 'boto'), nameOf), gap, nameOf);
    const correct = (of: number) => ({
      type: 'transcript_corrected' as const,
      seq: 9,
      at: at(2),
      of,
      text: 'voto',
      by: 'chair',
    });
    expect(captionsAfter(said, correct(7), nameOf)).toMatchObject([
      { seq: 7, text: 'voto', corrected: true },
      { seq: 8, text: null },
    ]);
    expect(captionsAfter(said, correct(8), nameOf)).toBe(said);
    expect(captionsAfter(said, correct(99), nameOf)).toBe(said);
  });

  it('stay on the picture for a moment, the newest few', () => {
    const said = (seq: number, ms: number): Caption => ({
      seq,
      participant: 'ana',
      name: 'Ana',
      text: seq === 3 ? null : 'x',
      corrected: false,
      cause: null,
      language: null,
      from: at(ms),
      to: at(ms),
    });
    const captions = [said(1, 0), said(2, 5_000), said(3, 5_500), said(4, 6_000)];
    const shown = (ms: number) =>
      shownCaptions(captions, Date.parse(START) + ms, 2).map((one) => one.seq);
    expect(shown(6_500)).toEqual([2, 4]);
    expect(shown(5_500 + CAPTION_MS)).toEqual([4]);
    expect(shown(6_001 + CAPTION_MS)).toEqual([]);
  });

  it('say that they are interrupted until there is text again', () => {
    const gap = (seq: number, cause: string) => ({
      type: 'transcript_gap' as const,
      seq,
      at: at(seq),
      participant: 'ana',
      from: at(seq),
      to: at(seq),
      cause,
    });
    const nameOf = () => 'Ana';
    const crowded = captionsAfter([], gap(1, 'overload'), nameOf);
    expect(isInterrupted([])).toBe(false);
    expect(isInterrupted(crowded)).toBe(false);
    const failed = captionsAfter(crowded, gap(2, 'engine_unavailable'), nameOf);
    expect(isInterrupted(failed)).toBe(true);
    expect(isInterrupted(captionsAfter(failed, chunk(3, 'ana', 'ya'), nameOf))).toBe(false);
  });

  it('and names are bounded', () => {
    let captions: readonly Caption[] = [];
    let names: ReadonlyMap<string, string> = new Map();
    for (let number = 1; number <= 500; number += 1) {
      captions = captionsAfter(captions, chunk(number, 'ana', 'x'), () => 'Ana');
      names = namesWith(names, `user-${number}`, 'Somebody');
    }
    expect(captions).toHaveLength(CAPTIONS_MAX);
    expect(captions.at(-1)?.seq).toBe(500);
    expect(names.size).toBe(NAMES_MAX);
    expect(names.has('user-500')).toBe(true);
  });
});

describe('a room', () => {
  it('shows what was said, also of those who have left and of the hall', () => {
    const room = stateOf(welcome());
    const ben = participant('ben');
    const events = [
      { type: 'participant_joined' as const, seq: 2001, at: at(1), ...ben },
      { type: 'participant_left' as const, seq: 2002, at: at(2), user_id: 'ben', reason: 'left' },
      {
        type: 'turn_started' as const,
        seq: 2003,
        at: at(3),
        ...turn('t', 'julio', { in_hall: true }),
      },
      {
        type: 'turn_ended' as const,
        seq: 2004,
        at: at(4),
        ...turn('t', 'julio', { in_hall: true }),
        reason: 'stopped',
      },
      chunk(2005, 'ben', 'hasta luego', 5),
      chunk(2006, 'julio', 'desde la sala', 6),
      chunk(2007, 'nobody', 'anónimo', 7),
    ];
    const state = events.reduce(after, room);
    expect(state.captions.map((one) => [one.name, one.text])).toEqual([
      [ben.name, 'hasta luego'],
      [turn('t', 'julio').name, 'desde la sala'],
      ['nobody', 'anónimo'],
    ]);
  });

  it('shows what is still being said until its text replaces it', () => {
    const room = saying(stateOf(welcome()), soFar('ana', 'buenas', 5_000, 6_000));
    const longer = saying(room, soFar('ana', 'buenas tardes', 5_000, 7_000));
    expect(longer.soFar).toMatchObject({ participant: 'ana', text: 'buenas tardes' });
    // Text of what was said before it, and of somebody else, replaces nothing.
    const before = after(longer, { ...chunk(2001, 'ana', 'antes'), from: at(1), to: at(4_000) });
    const other = after(before, { ...chunk(2002, 'ben', 'yo no'), from: at(1), to: at(9_000) });
    expect(other.soFar?.text).toBe('buenas tardes');
    const said = { ...chunk(2003, 'ana', 'Buenas tardes.'), from: at(5_000), to: at(8_000) };
    const replaced = after(other, said);
    expect(replaced.soFar).toBeNull();
    expect(replaced.captions.map(({ text }) => text)).toEqual(['antes', 'yo no', 'Buenas tardes.']);
    expect(saying(replaced, soFar('ana', 'buenas', 5_000, 7_000)).soFar).toBeNull();
    // The hall's microphone: it was somebody else who had the turn of the hall.
    const hall = saying(replaced, soFar('julio', 'des', 9_000, 10_000));
    const theirs = { ...chunk(2004, 'rosa', 'Desde'), from: at(9_000), to: at(12_000) };
    expect(after(hall, theirs).soFar).toBeNull();
  });

  it('shows nothing of whoever is muted, has no turn any more, has left or is noise', () => {
    const room = saying(stateOf(welcome()), soFar('ana', 'buenas', 0, 1_000));
    const muted = { type: 'user_muted' as const, user_id: 'ana', by: 'chair' };
    const ended = { type: 'turn_ended' as const, ...turn('t', 'ana'), reason: 'stopped' };
    const left = { type: 'participant_left' as const, user_id: 'ana', reason: 'left' };
    const over = { type: 'session_ended' as const, reason: 'completed' };
    for (const event of [muted, ended, left, over]) {
      expect(after(room, { seq: 2001, at: at(1_000), ...event }).soFar).toBeNull();
    }
    const shown = (ms: number) => shownSoFar(room.soFar, Date.parse(START) + ms);
    expect(shown(SO_FAR_MS)).toBe(room.soFar);
    expect(shown(1_000 + SO_FAR_MS)).toBeNull();
    const gap = { type: 'transcript_gap' as const, participant: 'ana', cause: 'overload' };
    const event = { seq: 2001, at: at(1_000), ...gap, from: at(0), to: at(1_000) };
    expect(after(room, event).soFar).toBeNull();
  });

  it('takes what was said while the connection was lost, once', () => {
    const room = stateOf(welcome({ seq: 10 }));
    const missed = after(room, chunk(9, 'ana', 'mientras tanto'));
    expect(missed.captions).toHaveLength(1);
    const again = stateOf(welcome({ seq: 12 }), { captions: missed.captions });
    expect(after(again, chunk(9, 'ana', 'mientras tanto')).captions).toHaveLength(1);
  });
});
