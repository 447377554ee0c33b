import encodeQR from 'qr';
import decodeQR from 'qr/decode.js';
import { describe, expect, it } from 'vitest';
import { badgeText } from './desk';
import { coarse, codeIn, isWholeCode } from './presence';

describe('a code', () => {
  it.each([
    ['123456', '123456'],
    [' 123 456 ', '123456'],
    ['123-456', '123456'],
    ['Su código es 042913. No lo comparta.', '042913'],
    ['AB12CD', 'AB12CD'],
    ['AB123456', 'AB123456'],
    // A longer number is no code with something around it.
    ['12345678', '12345678'],
  ])('in "%s" is %s', (text, code) => expect(codeIn(text)).toBe(code));

  it('is whole with all its digits', () => {
    expect(['12345', '123456', '1234567', 'abcdef'].map(isWholeCode)).toEqual([
      false,
      true,
      false,
      false,
    ]);
  });
});

describe('a place', () => {
  it('leaves the browser to a tenth of a degree', () => {
    expect(coarse({ latitude: 40.416_775, longitude: -3.703_79 })).toEqual({
      latitude: 40.4,
      longitude: -3.7,
    });
  });
});

describe('the decoder that is loaded where a browser has none', () => {
  it('reads the code of a badge', () => {
    const text = badgeText('01890000-0000-7000-8000-0000000000aa', 'ana');
    const rows = encodeQR(text, 'raw', { border: 4 });
    const side = rows.length * 4;
    const data = new Uint8Array(side * side * 4).fill(255);
    for (let at = 0; at < side * side; at += 1) {
      const dark = rows[Math.floor(at / side / 4)]?.[Math.floor((at % side) / 4)] === true;
      if (dark) data.fill(0, at * 4, at * 4 + 3);
    }
    expect(decodeQR({ width: side, height: side, data })).toBe(text);
  });
});
