// Reads a bundle's directory into cases for verifiers that others wrote. CBOR is
// read with the library of one of them, so that nothing of cabildo's is needed.

import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const cose = createRequire(import.meta.url)('@transmute/cose');

export const sha256 = (...parts) => {
  const hash = createHash('sha256');
  parts.forEach((part) => hash.update(part));
  return hash.digest();
};
export const leafOf = (entry) => sha256(Buffer.of(0), entry);
const b64 = (text) => Buffer.from(text, 'base64url');

/** The root of RFC 9162 §2.1.1 over leaf hashes. */
export function rootOf(leaves) {
  if (leaves.length === 0) return sha256();
  if (leaves.length === 1) return leaves[0];
  let split = 1;
  while (split * 2 < leaves.length) split *= 2;
  return sha256(Buffer.of(1), rootOf(leaves.slice(0, split)), rootOf(leaves.slice(split)));
}

/** How many bytes the CBOR item at `at` takes. */
function itemEnd(bytes, at) {
  const major = bytes[at] >> 5;
  const low = bytes[at] & 31;
  const width = low < 24 ? 0 : 1 << (low - 24);
  const argument = low < 24 ? low : Number(BigInt(`0x${bytes.toString('hex', at + 1, at + 1 + width)}`));
  let end = at + 1 + width;
  if (major === 2 || major === 3) return end + argument;
  const inner = { 4: argument, 5: 2 * argument, 6: 1 }[major] ?? 0;
  for (let item = 0; item < inner; item += 1) end = itemEnd(bytes, end);
  return end;
}

/** The items of a CBOR sequence. */
function items(bytes) {
  const found = [];
  for (let at = 0; at < bytes.length; ) {
    const end = itemEnd(bytes, at);
    found.push(bytes.subarray(at, end));
    at = end;
  }
  return found;
}

/** The proof in a receipt, decoded: sizes or size and index, and the path. */
export function proofOf(receipt) {
  const proofs = cose.cbor.decode(receipt).value[1].get(396);
  const kind = proofs.has(-1) ? -1 : -2;
  const [first, second, path] = cose.cbor.decode(proofs.get(kind)[0]);
  return { kind, first, second, path: path.map((hash) => Buffer.from(hash).toString('hex')) };
}

const kidOf = (bytes) => {
  const [headers] = cose.cbor.decode(bytes).value;
  return Buffer.from(cose.cbor.decode(headers).get(4)).toString('base64url');
};

/** Everything signed in a bundle, with what is needed to judge it. */
export async function readBundle(directory) {
  const file = (name) => readFile(join(directory, name));
  const proof = JSON.parse(await file('bundle.json'));
  const keys = new Map(JSON.parse(await file('keys.json')).keys.map((key) => [key.kid, key]));
  const entries = items(await file('entries.cborseq'));
  const heads = items(await file('heads.cborseq'));
  const leaves = entries.map(leafOf);
  const rootAt = (size) => rootOf(leaves.slice(0, size)).toString('hex');
  const base = (bytes) => {
    const key = keys.get(kidOf(bytes));
    return { cose: Buffer.from(bytes).toString('hex'), spki: b64(key.spki).toString('hex'), jwk: key };
  };
  // A proof that was asked for more; see scripts/foreign.
  if (process.env.CABILDO_PROOF) {
    const more = JSON.parse(await readFile(process.env.CABILDO_PROOF));
    proof.receipts.push(...more.receipts);
    proof.consistency.push(...more.consistency);
  }
  const inclusions = [...proof.receipts, ...(proof.close ? [proof.close] : [])];
  const inclusion = (entry, receipt) => ({
    kind: 'inclusion',
    ...base(receipt),
    entry: entry.toString('hex'),
  });
  const cases = [
    ...heads.map((head) => ({ kind: 'head', ...base(head) })),
    ...inclusions.map((item) => inclusion(b64(item.entry), b64(item.receipt))),
    ...proof.consistency.map((text) => {
      const { first, second, path } = proofOf(b64(text));
      const roots = { oldRoot: rootAt(first), newRoot: rootAt(second) };
      return { kind: 'consistency', ...base(b64(text)), ...roots, first, second, path };
    }),
  ];
  if (proof.operator) {
    cases.push(inclusion(b64(proof.operator.head), b64(proof.operator.receipt)));
  }
  const key = keys.get(JSON.parse(b64(proof.head.jws.split('.')[0])).kid);
  return { cases, jws: proof.head.jws, jwk: key, head: b64(proof.head.cose), proof };
}
