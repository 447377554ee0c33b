import type { Bytes } from './bytes';
import { equal, hex } from './bytes';
import type { Cbor } from './cbor';
import { arrayOf, decode, decodeAt, encode, mapOf, octetsOf, stringOf, unsignedOf } from './cbor';
import type { KeyList } from './keys';
import { es256Holds } from './keys';
import { sha256 } from './merkle';
import { Refused, demand } from './problem';

const TAG_SIGN1 = 0xd2;
const ES256 = -7;
const ALG = 1;
const KID = 4;
const CLAIMS = 15;
const TYP = 16;
const VDS = 395;
const VDP = 396;
const ISS = 1;
const SUB = 2;
const IAT = 6;
const INCLUSION = -1;
const CONSISTENCY = -2;
const HEAD_TYP = 'application/vnd.cabildo.head+cose';
const RECEIPT_TYP = 'application/vnd.cabildo.receipt+cose';
/** A head is some 350 bytes; a receipt of the largest tree some 2.5 KB. */
const LARGEST = 16 * 1024;
const LONGEST_PATH = 64;

export const OPERATOR_LOG = 'urn:cabildo:operator-log';

/** What is signed over in every message. */
interface Claims {
  readonly kid: string;
  readonly iss: string;
  readonly sub: string;
  /** Seconds since 1970. */
  readonly iat: number;
  readonly treeSize: number;
}

/** A tree head. */
export interface Head extends Claims {
  readonly root: Bytes;
  readonly previousSize: number;
  readonly previousRoot: Bytes;
  readonly cose: Bytes;
}

/** A receipt, its root still unknown. */
export interface Receipt extends Claims {
  readonly proof:
    | { readonly kind: 'inclusion'; readonly index: number; readonly path: readonly Bytes[] }
    | { readonly kind: 'consistency'; readonly from: number; readonly path: readonly Bytes[] };
  readonly message: Message;
}

interface Message {
  readonly protectedBytes: Bytes;
  readonly unprotected: Cbor;
  readonly payload: Cbor;
  readonly signature: Bytes;
}

/** Reads a head and checks its signature. */
export async function openHead(cose: Bytes, keys: KeyList): Promise<Head> {
  const message = readMessage(cose);
  const claims = readHeaders(message, HEAD_TYP, false);
  demand(mapOf(message.unprotected).size === 0, 'HEADER_INVALID', 'unprotected headers in a head');
  const payload = octetsOf(message.payload);
  const [version, size, root, previousSize, previousRoot] = arrayOf(decode(payload), 5);
  demand(version === 1, 'MALFORMED', 'a head of another version');
  const head = {
    ...claims,
    root: octetsOf(root, 32),
    previousSize: unsignedOf(previousSize),
    previousRoot: octetsOf(previousRoot, 32),
    cose,
  };
  const same = unsignedOf(size) === claims.treeSize;
  demand(same, 'HEADER_INVALID', 'the size in the headers is another than the payload says');
  demand(claims.treeSize >= 2, 'MALFORMED', 'a head of fewer than two entries');
  demand(head.previousSize < claims.treeSize, 'MALFORMED', 'a head before that is not smaller');
  if (head.previousSize === 0) {
    const empty = equal(head.previousRoot, await sha256(new Uint8Array(0)));
    demand(empty, 'ROOT_MISMATCH', 'a first head whose root before is not the empty one');
  }
  await checkSignature(message, payload, claims, keys);
  return head;
}

/** Reads a receipt; `checkReceipt` then takes the root that its path leads to. */
export function readReceipt(cose: Bytes): Receipt {
  const message = readMessage(cose);
  const claims = readHeaders(message, RECEIPT_TYP, true);
  demand(message.payload === null, 'HEADER_INVALID', 'a receipt with a payload');
  const outer = mapOf(message.unprotected);
  demand(outer.size === 1 && outer.has(VDP), 'HEADER_INVALID', 'unprotected headers of a receipt');
  const proofs = mapOf(outer.get(VDP));
  demand(proofs.size === 1, 'HEADER_INVALID', 'not one kind of proof');
  const kind = proofs.has(INCLUSION) ? INCLUSION : CONSISTENCY;
  const [wrapped] = arrayOf(proofs.get(kind), 1);
  const [first, second, third] = arrayOf(decode(octetsOf(wrapped)), 3);
  const nodes = arrayOf(third);
  const long = nodes.length >= 1 && nodes.length <= LONGEST_PATH;
  demand(long, 'RECEIPT_INVALID', 'a path of no length, or longer than any tree');
  const path = nodes.map((node) => octetsOf(node, 32));
  const size = unsignedOf(kind === INCLUSION ? first : second);
  const other = unsignedOf(kind === INCLUSION ? second : first);
  demand(size === claims.treeSize, 'HEADER_INVALID', 'the size in the headers is another');
  const proof =
    kind === INCLUSION
      ? { kind: 'inclusion' as const, index: other, path }
      : { kind: 'consistency' as const, from: other, path };
  return { ...claims, proof, message };
}

/** Checks a receipt's signature, which is over the root. */
export function checkReceipt(receipt: Receipt, root: Bytes, keys: KeyList): Promise<void> {
  return checkSignature(receipt.message, root, receipt, keys);
}

/** The tree size that a head states, before anything of it is checked. */
export function peekSize(cose: Bytes): number {
  return readHeaders(readMessage(cose), HEAD_TYP, false).treeSize;
}

/** The issuer that a head names, before anything of it is checked. */
export function peekIssuer(cose: Bytes): string {
  return readHeaders(readMessage(cose), HEAD_TYP, false).iss;
}

/** Where one message of a sequence ends. */
export function endOfMessage(bytes: Bytes, at: number): number {
  demand(bytes[at] === TAG_SIGN1, 'MALFORMED', 'not a COSE_Sign1 with its tag');
  return decodeAt(bytes, at + 1).end;
}

function readMessage(cose: Bytes): Message {
  demand(cose.length <= LARGEST, 'TOO_LARGE', 'a message longer than any of ours');
  demand(cose[0] === TAG_SIGN1, 'MALFORMED', 'not a COSE_Sign1 with its tag');
  const [head, unprotected, payload, signature] = arrayOf(decode(cose.subarray(1)), 4);
  return {
    protectedBytes: octetsOf(head),
    unprotected: unprotected ?? null,
    payload: payload ?? null,
    signature: octetsOf(signature, 64),
  };
}

function readHeaders(message: Message, typ: string, receipt: boolean): Claims {
  const headers = mapOf(decode(message.protectedBytes));
  const claims = mapOf(headers.get(CLAIMS));
  const exact =
    headers.size === (receipt ? 5 : 4) &&
    headers.get(ALG) === ES256 &&
    headers.get(TYP) === typ &&
    (!receipt || headers.get(VDS) === 1);
  demand(exact, 'HEADER_INVALID', 'not the headers that such a message has');
  demand(claims.size === 4, 'HEADER_INVALID', 'not the claims that such a message has');
  return {
    kid: hex(octetsOf(headers.get(KID), 32)),
    iss: stringOf(claims.get(ISS)),
    sub: stringOf(claims.get(SUB)),
    iat: unsignedOf(claims.get(IAT)),
    treeSize: unsignedOf(claims.get('tree_size')),
  };
}

async function checkSignature(
  message: Message,
  payload: Bytes,
  claims: Claims,
  keys: KeyList,
): Promise<void> {
  demand(claims.iss === keys.iss, 'HEADER_INVALID', 'signed in the name of another installation');
  const key = keys.keys.get(claims.kid);
  if (key === undefined) throw new Refused('UNKNOWN_KEY', `key ${claims.kid} is not in the list`);
  const nothing = new Uint8Array(0);
  const signed = encode(['Signature1', message.protectedBytes, nothing, payload]);
  const holds = await es256Holds(key, message.signature, signed, true);
  demand(holds, 'SIGNATURE_INVALID', 'the signature does not fit');
}
