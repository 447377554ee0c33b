import type { Bytes } from './bytes';
import { compare, concat, textOf, utf8 } from './bytes';
import { Refused, demand } from './problem';

/** A value of the subset that evidence is written in. */
export type Cbor = number | bigint | string | Bytes | null | readonly Cbor[] | CborMap;
export type CborMap = ReadonlyMap<number | string, Cbor>;

/** Deeper than anything in the format, shallow enough for any stack. */
const DEEPEST = 8;

const UNSIGNED = 0;
const NEGATIVE = 1;
const OCTETS = 2;
const TEXT = 3;
const ARRAY = 4;
const MAP = 5;
const NULL = 0xf6;

/** Reads exactly one value in core deterministic encoding (RFC 8949 §4.2.1). */
export function decode(bytes: Bytes): Cbor {
  const { value, end } = decodeAt(bytes, 0);
  demand(end === bytes.length, 'MALFORMED', 'bytes follow the value');
  return value;
}

/** Reads one value of a sequence (RFC 8742) and says where it ends. */
export function decodeAt(bytes: Bytes, at: number): { value: Cbor; end: number } {
  const reader = new Reader(bytes, at);
  const value = reader.value(0);
  return { value, end: reader.at };
}

class Reader {
  constructor(
    private readonly bytes: Bytes,
    public at: number,
  ) {}

  value(depth: number): Cbor {
    demand(depth <= DEEPEST, 'NOT_CANONICAL', 'nested too deeply');
    const first = this.octet();
    if (first === NULL) return null;
    const major = first >> 5;
    demand(major <= MAP, 'NOT_CANONICAL', 'a tag, a float or a simple value');
    const argument = this.argument(first & 31);
    switch (major) {
      case UNSIGNED:
        return argument;
      case NEGATIVE:
        return typeof argument === 'number' ? -1 - argument : -1n - argument;
      case OCTETS:
        return this.take(argument);
      case TEXT:
        return textOf(this.take(argument));
      case ARRAY:
        return this.array(argument, depth);
      default:
        return this.map(argument, depth);
    }
  }

  private octet(): number {
    const octet = this.bytes[this.at];
    if (octet === undefined) throw new Refused('MALFORMED', 'ends too early');
    this.at += 1;
    return octet;
  }

  /** The number beside a major type, in its shortest form only. */
  private argument(short: number): number | bigint {
    if (short < 24) return short;
    demand(short !== 31, 'NOT_CANONICAL', 'an indefinite length');
    demand(short < 28, 'MALFORMED', 'a reserved length');
    const width = 1 << (short - 24);
    let value = 0n;
    for (let count = 0; count < width; count += 1) value = (value << 8n) | BigInt(this.octet());
    const least = width === 1 ? 24n : 1n << BigInt(width * 4);
    demand(value >= least, 'NOT_CANONICAL', 'a number in more bytes than it needs');
    return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;
  }

  /** Checks a length against what is left before anything is made of that size. */
  private length(argument: number | bigint, bytesEach: number): number {
    const left = this.bytes.length - this.at;
    const fits = typeof argument === 'number' && argument * bytesEach <= left;
    demand(fits, 'MALFORMED', 'longer than what is there');
    return argument;
  }

  private take(argument: number | bigint): Bytes {
    const length = this.length(argument, 1);
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  private array(argument: number | bigint, depth: number): readonly Cbor[] {
    const length = this.length(argument, 1);
    const items: Cbor[] = [];
    for (let count = 0; count < length; count += 1) items.push(this.value(depth + 1));
    return items;
  }

  private map(argument: number | bigint, depth: number): CborMap {
    const length = this.length(argument, 2);
    const map = new Map<number | string, Cbor>();
    let before: Bytes | null = null;
    for (let count = 0; count < length; count += 1) {
      const start = this.at;
      const key = this.value(depth + 1);
      const encoded = this.bytes.subarray(start, this.at);
      const known = typeof key === 'number' || typeof key === 'string';
      demand(known, 'NOT_CANONICAL', 'a map key that is neither a number nor text');
      const ascends = before === null || compare(before, encoded) < 0;
      demand(ascends, 'NOT_CANONICAL', 'map keys twice or out of order');
      before = encoded;
      map.set(key, this.value(depth + 1));
    }
    return map;
  }
}

/** Writes what hashes and signatures are taken over. */
export function encode(value: number | string | Uint8Array | readonly unknown[]): Bytes {
  if (typeof value === 'number') return head(UNSIGNED, value);
  if (typeof value === 'string') {
    const bytes = utf8(value);
    return concat(head(TEXT, bytes.length), bytes);
  }
  if (value instanceof Uint8Array) return concat(head(OCTETS, value.length), value);
  const items = value as readonly (number | string | Uint8Array)[];
  return concat(head(ARRAY, items.length), ...items.map(encode));
}

function head(major: number, argument: number): Bytes {
  const first = major << 5;
  if (argument < 24) return Uint8Array.of(first | argument);
  const width = argument < 0x100 ? 1 : argument < 0x1_0000 ? 2 : argument < 0x1_0000_0000 ? 4 : 8;
  const bytes = new Uint8Array(1 + width);
  bytes[0] = first | (24 + Math.log2(width));
  let left = argument;
  for (let at = width; at > 0; at -= 1) {
    bytes[at] = left % 256;
    left = Math.floor(left / 256);
  }
  return bytes;
}

// What a value must be, refused as malformed where it is not.

export function arrayOf(value: Cbor | undefined, length?: number): readonly Cbor[] {
  const right = Array.isArray(value) && (length === undefined || value.length === length);
  demand(right, 'MALFORMED', `not an array${length === undefined ? '' : ` of ${length}`}`);
  return value as readonly Cbor[];
}

export function octetsOf(value: Cbor | undefined, length?: number): Bytes {
  if (!(value instanceof Uint8Array)) throw new Refused('MALFORMED', 'not a byte string');
  const right = length === undefined || value.length === length;
  demand(right, 'MALFORMED', `not ${length ?? ''} bytes`);
  return value;
}

/** A number from 0 that this machine counts exactly. */
export function unsignedOf(value: Cbor | undefined): number {
  const right = typeof value === 'number' && value >= 0;
  demand(right, 'MALFORMED', 'not a number from 0');
  return value;
}

/** A number from 0 to 2^64 - 1. */
export function unsigned64Of(value: Cbor | undefined): number | bigint {
  const right = (typeof value === 'number' || typeof value === 'bigint') && value >= 0;
  demand(right, 'MALFORMED', 'not a number from 0');
  return value;
}

export function stringOf(value: Cbor | undefined): string {
  demand(typeof value === 'string', 'MALFORMED', 'not text');
  return value;
}

export function mapOf(value: Cbor | undefined): CborMap {
  if (!(value instanceof Map)) throw new Refused('MALFORMED', 'not a map');
  return value as CborMap;
}
