import type { Bytes } from './bytes';
import { concat, equal, fromUuid, utf8 } from './bytes';
import { encode } from './cbor';
import { OBJECT_HEAD } from './entry';
import { Refused, demand } from './problem';

const CIPHERTEXT_CHUNK = 16_400;
const PLAIN_CHUNK = 16_384;
const SALT = 24;
const LABEL = utf8('c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0');
const SEGMENT = 1;

/** Which segment an object is; part of what its key is derived from. */
export interface SegmentName {
  readonly session: string;
  readonly track: string;
  readonly index: number;
  readonly epoch: number;
}

/** Opens a sealed segment with its disclosed key. */
export async function openSegment(object: Bytes, key: Bytes, name: SegmentName): Promise<Bytes> {
  const context = encode([
    SEGMENT,
    fromUuid(name.session),
    fromUuid(name.track),
    name.index,
    name.epoch,
  ]);
  const derived = await expand(key, concat(LABEL, object.subarray(0, SALT), context));
  const commitment = object.subarray(SALT, OBJECT_HEAD);
  demand(equal(derived.subarray(44, 76), commitment), 'WRONG_KEY', 'the key of another object');
  const raw = derived.slice(0, 32);
  const cipher = await crypto.subtle.importKey('raw', raw, 'AES-GCM', false, ['decrypt']);
  const chunks: Bytes[] = [];
  for (let at = OBJECT_HEAD; at <= object.length; at += CIPHERTEXT_CHUNK) {
    const nonce = derived.slice(32, 44);
    const view = new DataView(nonce.buffer);
    // XOR with a number of 64 bits whose upper half stays 0: no object has 2^32 chunks.
    view.setUint32(8, (view.getUint32(8) ^ chunks.length) >>> 0);
    chunks.push(await openChunk(cipher, nonce, object.subarray(at, at + CIPHERTEXT_CHUNK)));
  }
  const last = chunks.at(-1);
  const ends = last !== undefined && last.length < PLAIN_CHUNK;
  demand(ends, 'DECRYPTION_FAILED', 'the last chunk is missing');
  return concat(...chunks);
}

async function openChunk(cipher: CryptoKey, iv: Bytes, chunk: Bytes): Promise<Bytes> {
  try {
    const kind = { name: 'AES-GCM', iv, tagLength: 128 };
    return new Uint8Array(await crypto.subtle.decrypt(kind, cipher, chunk));
  } catch {
    throw new Refused('DECRYPTION_FAILED', 'a chunk does not open');
  }
}

/** The first 76 bytes of HKDF-Expand with SHA-512 (RFC 5869 §2.3), the key padded to 64 bytes. */
async function expand(key: Bytes, info: Bytes): Promise<Bytes> {
  const padded = concat(key, new Uint8Array(64 - key.length));
  const kind = { name: 'HMAC', hash: 'SHA-512' };
  const mac = await crypto.subtle.importKey('raw', padded, kind, false, ['sign']);
  const block = async (before: Bytes, counter: number) => {
    const signed = concat(before, info, Uint8Array.of(counter));
    return new Uint8Array(await crypto.subtle.sign('HMAC', mac, signed));
  };
  const first = await block(new Uint8Array(0), 1);
  const second = await block(first, 2);
  return concat(first, second).slice(0, 76);
}

/** Reads an opened segment as a journal and counts its RTP packets. */
export function countPackets(plain: Bytes): number {
  demand(plain.length >= 9 && plain[0] === 1, 'DECRYPTION_FAILED', 'not a piece of a journal');
  let at = 9;
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const octet = plain[at];
      demand(octet !== undefined, 'DECRYPTION_FAILED', 'a journal that ends too early');
      at += 1;
      value += (octet & 127) * 2 ** shift;
      if (octet < 128) {
        demand(octet !== 0 || shift === 0, 'DECRYPTION_FAILED', 'a number in too many bytes');
        return value;
      }
    }
    throw new Refused('DECRYPTION_FAILED', 'a number that is too large');
  };
  let packets = 0;
  while (at < plain.length) {
    const prefix = varint();
    varint();
    const kind = prefix % 4;
    at += Math.floor(prefix / 4);
    demand(at <= plain.length && kind <= 2, 'DECRYPTION_FAILED', 'a record that is none');
    if (kind === 0) packets += 1;
  }
  return packets;
}
