import type { Bytes } from './bytes';
import { concat } from './bytes';
import { demand } from './problem';

const LEAF = Uint8Array.of(0);
const NODE = Uint8Array.of(1);
const HASH = 32;
/** Hashes asked for at once: enough to keep WebCrypto busy, little memory. */
const BATCH = 1024;

export async function sha256(bytes: Bytes): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
}

export function leafHash(entry: Uint8Array): Promise<Bytes> {
  return sha256(concat(LEAF, entry));
}

function nodeHash(left: Uint8Array, right: Uint8Array): Promise<Bytes> {
  return sha256(concat(NODE, left, right));
}

/** A Merkle tree (RFC 9162 §2.1.1) that keeps every complete subtree's hash. */
export class Tree {
  private constructor(
    readonly size: number,
    private readonly levels: readonly Uint8Array[],
  ) {}

  static async of(
    entries: readonly Uint8Array[],
    onProgress: (done: number) => void = () => undefined,
  ): Promise<Tree> {
    const leaves = new Uint8Array(entries.length * HASH);
    await filled(leaves, entries.length, (at) => leafHash(entries[at] ?? LEAF), onProgress);
    const levels = [leaves];
    let below = leaves;
    for (let count = entries.length >> 1; count > 0; count >>= 1) {
      const level = new Uint8Array(count * HASH);
      const source = below;
      await filled(level, count, (at) => nodeHash(slot(source, at * 2), slot(source, at * 2 + 1)));
      levels.push(level);
      below = level;
    }
    return new Tree(entries.length, levels);
  }

  /** The root when the tree had `size` leaves; `size` from 1 to this tree's. */
  root(size: number): Promise<Uint8Array> {
    return this.range(0, size);
  }

  private async range(from: number, to: number): Promise<Uint8Array> {
    const count = to - from;
    let height = 0;
    while (2 ** (height + 1) <= count) height += 1;
    const complete = 2 ** height;
    const level = this.levels[height] ?? new Uint8Array(0);
    const left = slot(level, from / complete);
    if (complete === count) return left;
    return nodeHash(left, await this.range(from + complete, to));
  }
}

async function filled(
  into: Uint8Array,
  count: number,
  hash: (at: number) => Promise<Bytes>,
  onProgress: (done: number) => void = () => undefined,
): Promise<void> {
  for (let start = 0; start < count; start += BATCH) {
    const length = Math.min(BATCH, count - start);
    const hashes = await Promise.all(Array.from({ length }, (_, at) => hash(start + at)));
    hashes.forEach((one, at) => into.set(one, (start + at) * HASH));
    onProgress(start + length);
  }
}

function slot(level: Uint8Array, at: number): Uint8Array {
  return level.subarray(at * HASH, (at + 1) * HASH);
}

const half = (value: number) => Math.floor(value / 2);
const odd = (value: number) => value % 2 === 1;

/** The root that an inclusion path leads to (RFC 9162 §2.1.3.2). */
export async function rootOfInclusion(
  leaf: Bytes,
  index: number,
  size: number,
  path: readonly Bytes[],
): Promise<Bytes> {
  demand(index < size, 'RECEIPT_INVALID', 'the leaf is outside the tree');
  let first = index;
  let last = size - 1;
  let root = leaf;
  for (const sibling of path) {
    demand(last > 0, 'RECEIPT_INVALID', 'the path is too long');
    if (odd(first) || first === last) {
      root = await nodeHash(sibling, root);
      while (!odd(first) && first !== 0) {
        first = half(first);
        last = half(last);
      }
    } else {
      root = await nodeHash(root, sibling);
    }
    first = half(first);
    last = half(last);
  }
  demand(last === 0, 'RECEIPT_INVALID', 'the path is too short');
  return root;
}

/**
 * The two roots that a consistency path leads to (RFC 9162 §2.1.4.2): the one it
 * starts from, to be held against the root that is known, and the one at `size`.
 */
export async function rootsOfConsistency(
  before: { readonly size: number; readonly root: Bytes },
  size: number,
  path: readonly Bytes[],
): Promise<{ old: Bytes; root: Bytes }> {
  const sensible = before.size >= 1 && before.size < size && path.length > 0;
  demand(sensible, 'CONSISTENCY_INVALID', 'sizes that no proof is for');
  const power = Number.isInteger(Math.log2(before.size));
  const [start, ...rest] = power ? [before.root, ...path] : path;
  let first = before.size - 1;
  let last = size - 1;
  while (odd(first)) {
    first = half(first);
    last = half(last);
  }
  let old = start ?? before.root;
  let root = old;
  for (const sibling of rest) {
    demand(last > 0, 'CONSISTENCY_INVALID', 'the path is too long');
    if (odd(first) || first === last) {
      old = await nodeHash(sibling, old);
      root = await nodeHash(sibling, root);
      while (!odd(first) && first !== 0) {
        first = half(first);
        last = half(last);
      }
    } else {
      root = await nodeHash(root, sibling);
    }
    first = half(first);
    last = half(last);
  }
  demand(last === 0, 'CONSISTENCY_INVALID', 'the path is too short');
  return { old, root };
}
