import type { Bytes } from './bytes';
import { equal, fromBase64, fromBase64Url, hex, utf8, concat } from './bytes';
import type { Json } from './json';
import { field, list, text } from './json';
import { sha256 } from './merkle';
import { Refused, demand } from './problem';

/** SubjectPublicKeyInfo of an uncompressed P-256 point, without the point (RFC 5480 §2). */
const SPKI_P256 = Uint8Array.of(
  ...[0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01],
  ...[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04],
);
/** Half of the order of P-256, rounded down; S of a signature is at most this. */
const HALF_ORDER = 0x7fffffff800000007fffffffffffffffde737d56d38bcf4279dce5617e3192a8n;
const ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
const MOST_KEYS = 1000;
const MOST_ISSUERS = 1000;

/** The log of an installation that its session heads go into. */
export interface OperatorKey {
  readonly origin: string;
  /** First four bytes of the key's hash, as a signed note names it. */
  readonly hint: Bytes;
  readonly raw: Bytes;
}

/** Keys that signatures are held against. */
export interface KeyList {
  /** The issuer that heads and receipts must name. */
  readonly iss: string;
  /** The issuers whose logs these keys sign. */
  readonly issuers: readonly string[];
  readonly keys: ReadonlyMap<string, CryptoKey>;
  readonly operator: OperatorKey | null;
}

/** Reads `keys.json`, or the document at `/.well-known/cabildo-evidence-keys.json`. */
export async function readKeys(document: Json): Promise<KeyList> {
  demand(field(document, 'v') === 1, 'MALFORMED', 'keys of another version');
  const entries = list(field(document, 'keys'), MOST_KEYS);
  const keys = new Map<string, CryptoKey>();
  for (const entry of entries) {
    const { kid, key } = await readKey(entry);
    keys.set(kid, key);
  }
  const operator = field(document, 'operator');
  const iss = text(field(document, 'iss'));
  const named = field(document, 'issuers') ?? [iss];
  const issuers = list(named, MOST_ISSUERS).map((one) => text(one));
  demand(issuers.includes(iss), 'MALFORMED', 'an issuer that is not among the issuers');
  return {
    iss,
    issuers,
    keys,
    operator: operator === undefined || operator === null ? null : await readOperator(operator),
  };
}

/** The same keys for a log of this issuer, if they sign its logs. */
export function keysFor(iss: string, keys: KeyList): KeyList {
  return keys.issuers.includes(iss) ? { ...keys, iss } : keys;
}

async function readKey(entry: Json): Promise<{ kid: string; key: CryptoKey }> {
  const spki = fromBase64Url(text(field(entry, 'spki')));
  const shaped = spki.length === SPKI_P256.length + 64;
  demand(shaped && equal(spki.subarray(0, SPKI_P256.length), SPKI_P256), 'MALFORMED', 'not P-256');
  const kid = fromBase64Url(text(field(entry, 'kid')));
  demand(equal(kid, await sha256(spki)), 'MALFORMED', 'a key id that is not its key hash');
  for (const [name, from] of [
    ['x', SPKI_P256.length],
    ['y', SPKI_P256.length + 32],
  ] as const) {
    const given = field(entry, name);
    const right =
      given === undefined || equal(fromBase64Url(text(given)), spki.slice(from, from + 32));
    demand(right, 'MALFORMED', 'coordinates of another key');
  }
  try {
    const kind = { name: 'ECDSA', namedCurve: 'P-256' };
    const key = await crypto.subtle.importKey('spki', spki, kind, false, ['verify']);
    return { kid: hex(kid), key };
  } catch {
    throw new Refused('MALFORMED', 'not a point of P-256');
  }
}

async function readOperator(operator: Json): Promise<OperatorKey> {
  const origin = text(field(operator, 'origin'));
  const vkey = text(field(operator, 'vkey'));
  // The key's own base64 may hold a plus, the name never does.
  const found = /^([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+={0,2})$/.exec(vkey);
  demand(found !== null, 'MALFORMED', 'not a verifier key');
  const [, name = '', hint = '', key = ''] = found;
  const typed = fromBase64(key);
  demand(typed.length === 33 && typed[0] === 1, 'MALFORMED', 'not an Ed25519 verifier key');
  demand(name === origin, 'MALFORMED', 'the verifier key of another log');
  const hash = (await sha256(concat(utf8(`${name}\n`), typed))).slice(0, 4);
  demand(hex(hash) === hint, 'MALFORMED', 'a verifier key whose hash is another');
  return { origin, hint: hash, raw: typed.slice(1) };
}

/** Whether an ES256 signature holds; with `lowS` only in the form that cannot be bent. */
export async function es256Holds(
  key: CryptoKey,
  signature: Bytes,
  signed: Bytes,
  lowS: boolean,
): Promise<boolean> {
  if (signature.length !== 64) return false;
  const r = BigInt(`0x${hex(signature.subarray(0, 32))}`);
  const s = BigInt(`0x${hex(signature.subarray(32))}`);
  if (r === 0n || s === 0n || r >= ORDER || s >= ORDER || (lowS && s > HALF_ORDER)) return false;
  const kind = { name: 'ECDSA', hash: 'SHA-256' };
  return crypto.subtle.verify(kind, key, signature, signed);
}

/** Whether an Ed25519 signature holds; null where this browser cannot tell. */
export async function ed25519Holds(
  raw: Bytes,
  signature: Bytes,
  signed: Bytes,
): Promise<boolean | null> {
  let key: CryptoKey;
  try {
    key = await crypto.subtle.importKey('raw', raw, 'Ed25519', false, ['verify']);
  } catch (error) {
    const unsupported = error instanceof DOMException && error.name === 'NotSupportedError';
    return unsupported ? null : false;
  }
  return crypto.subtle.verify('Ed25519', key, signature, signed);
}
