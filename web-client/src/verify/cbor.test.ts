import { describe, expect, it } from 'vitest';
import { fromBase64Url, toBase64Url } from './bytes';
import { decode, encode } from './cbor';
import { Refused } from './problem';
import { cbor } from './testing/writer';

const bytes = (hex: string) => new Uint8Array(Buffer.from(hex, 'hex'));
const codeOf = (run: () => unknown) => {
  try {
    run();
  } catch (error) {
    if (error instanceof Refused) return error.code;
    throw error;
  }
  return null;
};

describe('the reader of CBOR', () => {
  it.each([
    ['00', 0],
    ['17', 23],
    ['1818', 24],
    ['190100', 256],
    ['1a00010000', 65_536],
    ['1b0000000100000000', 4_294_967_296],
    ['1bffffffffffffffff', 18_446_744_073_709_551_615n],
    ['26', -7],
    ['39018a', -395],
    ['60', ''],
    ['6161', 'a'],
    ['f6', null],
    ['80', []],
    ['820102', [1, 2]],
  ])('reads %s', (source, value) => expect(decode(bytes(source))).toEqual(value));

  it('reads maps and byte strings', () => {
    const map = new Map<number | string, number>([
      [1, 2],
      ['a', 3],
    ]);
    expect(decode(bytes('a20102616103'))).toEqual(map);
    expect(decode(bytes('420102'))).toEqual(Uint8Array.of(1, 2));
  });

  it.each([
    ['1817', 'a number in two bytes that fits in one'],
    ['190017', 'a number in three bytes'],
    ['1a0000ffff', 'a number in five bytes'],
    ['1b00000000ffffffff', 'a number in nine bytes'],
    ['5801ff', 'a length in two bytes'],
    ['5fff', 'byte strings without end'],
    ['7fff', 'text without end'],
    ['9fff', 'an array without end'],
    ['bfff', 'a map without end'],
    ['a202010100', 'keys out of order'],
    ['a201000101', 'a key twice'],
    ['a1616100ff', 'a break'],
    ['a14100f6', 'a key of bytes'],
    ['f4', 'false'],
    ['f5', 'true'],
    ['f7', 'undefined'],
    ['f0', 'a simple value'],
    ['f93c00', 'half a float'],
    ['fa3f800000', 'a float'],
    ['fb3ff0000000000000', 'a double'],
    ['c000', 'a tag'],
    ['d200', 'tag 18 inside'],
    ['818181818181818181818100', 'deep nesting'],
    [`${'81'.repeat(100_000)}00`, 'nesting to fill a stack'],
  ])('refuses %.24s, %s', (source) => {
    const code = codeOf(() => decode(bytes(source)));
    expect(['NOT_CANONICAL', 'MALFORMED']).toContain(code);
  });

  it.each(['', '18', '1a0000', '42ff', '61', '8201', 'a101', '1c', '62c328', '61ff', '0000'])(
    'refuses what ends too early, goes on, or is no text: %s',
    (source) => expect(codeOf(() => decode(bytes(source)))).toBe('MALFORMED'),
  );

  it.each(['5bffffffffffffffff', '9bffffffffffffffff', 'bb7fffffffffffffff', '9affffffff00'])(
    'makes nothing of a size that is not there: %s',
    (source) => expect(codeOf(() => decode(bytes(source)))).toBe('MALFORMED'),
  );

  it('never does anything but read or refuse', () => {
    let seed = 1;
    const next = () => (seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648);
    for (let round = 0; round < 20_000; round += 1) {
      const noise = Uint8Array.from({ length: next() % 24 }, () => next() >> 16);
      const code = codeOf(() => {
        const value = decode(noise);
        // What was read is the only way to write it.
        if (typeof value !== 'bigint') expect(cbor(value as never)).toEqual(noise);
      });
      expect([null, 'MALFORMED', 'NOT_CANONICAL']).toContain(code);
    }
  });

  it('writes what it reads', () => {
    const value = ['Signature1', Uint8Array.of(1, 2), 70_000, [0, 23, 24, 4_294_967_296]];
    expect(decode(encode(value))).toEqual(value);
    expect(encode(value)).toEqual(cbor(value as never));
  });
});

describe('base64url', () => {
  it('reads its only form', () => {
    for (let length = 0; length < 70; length += 1) {
      const noise = crypto.getRandomValues(new Uint8Array(length));
      const text = Buffer.from(noise).toString('base64url');
      expect(toBase64Url(noise)).toBe(text);
      expect(fromBase64Url(text)).toEqual(noise);
    }
  });

  it.each([
    ['QQ==', 'MALFORMED'],
    ['Q', 'MALFORMED'],
    ['QR', 'NOT_CANONICAL'],
    ['Q Q', 'MALFORMED'],
    ['+/+/', 'MALFORMED'],
  ])('refuses %s', (text, code) => expect(codeOf(() => fromBase64Url(text))).toBe(code));
});
