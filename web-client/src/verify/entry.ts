import type { Bytes } from './bytes';
import { toUuid } from './bytes';
import type { Cbor } from './cbor';
import { arrayOf, decode, octetsOf, stringOf, unsigned64Of, unsignedOf } from './cbor';
import { Refused, demand } from './problem';

/** Bytes of a sealed object before its first chunk: salt and commitment. */
export const OBJECT_HEAD = 56;
const CHUNK = 16_400;
const TAG = 16;
/** `close` names every track; thousands of them stay below this. */
const LARGEST = 1024 * 1024;

/** What was sealed, as the log holds it. */
export interface SegmentEntry {
  readonly kind: 'segment';
  readonly track: string;
  readonly index: number;
  readonly previous: Bytes | null;
  readonly size: number;
  readonly hash: Bytes;
  readonly commitment: Bytes;
  readonly fromMs: number;
  readonly toMs: number;
  /** 1 starts with a key frame, 2 the last, 4 sealed early, 8 packets lost inside. */
  readonly flags: number;
}

/** The last segment of a track, as `close` repeats it. */
export interface Tail {
  readonly track: string;
  readonly trackBytes: Bytes;
  readonly lastIndex: number;
  readonly hash: Bytes;
}

export type Body =
  | { readonly kind: 'genesis'; readonly log: Bytes; readonly kid: Bytes; readonly policy: Bytes }
  | {
      readonly kind: 'track';
      readonly track: string;
      readonly media: 'audio' | 'video';
      readonly codec: string;
      readonly subject: Bytes;
    }
  | SegmentEntry
  | { readonly kind: 'event'; readonly type: number; readonly commitment: Bytes }
  | {
      readonly kind: 'gap';
      readonly track: string;
      readonly fromMs: number;
      readonly toMs: number;
      readonly reason: number;
    }
  | {
      readonly kind: 'rest';
      readonly track: string;
      readonly fromMs: number;
      readonly toMs: number;
      /** `gated` by the floor or a mute; `silent`: the source sent nothing. */
      readonly state: 'gated' | 'silent';
      /** Entry of the decision that closed the gate. */
      readonly event: number | null;
    }
  | { readonly kind: 'erasure'; readonly target: number; readonly reason: number }
  | { readonly kind: 'key'; readonly kid: Bytes }
  | {
      readonly kind: 'close';
      readonly tails: readonly Tail[];
      readonly lastEvent: number;
      readonly reason: number;
    };

/** One entry of a log. */
export interface Entry {
  readonly version: 1 | 2;
  readonly seq: number;
  readonly atMs: number;
  readonly body: Body;
}

/** Reads one entry. */
export function readEntry(bytes: Bytes): Entry {
  demand(bytes.length <= LARGEST, 'TOO_LARGE', 'an entry longer than any of ours');
  return entryOf(decode(bytes));
}

/** The entry that a decoded value is. */
export function entryOf(value: Cbor): Entry {
  const [version, kind, seq, atMs, body] = arrayOf(value, 5);
  if (version !== 1 && version !== 2) {
    throw new Refused('MALFORMED', 'an entry of another version');
  }
  const number = unsignedOf(kind);
  const read = number === REST && version === 1 ? undefined : BODIES[number];
  if (read === undefined) throw new Refused('MALFORMED', 'an entry of no known kind');
  return { version, seq: unsignedOf(seq), atMs: unsignedOf(atMs), body: read(body) };
}

/** Kind of the entries that only logs of version 2 have. */
const REST = 8;

const BODIES: readonly ((body: Cbor | undefined) => Body)[] = [
  (body) => {
    const [log, kid, policy, interval, build] = arrayOf(body, 5);
    unsignedOf(interval);
    octetsOf(build, 32);
    return {
      kind: 'genesis',
      log: octetsOf(log, 16),
      kid: octetsOf(kid, 32),
      policy: octetsOf(policy, 32),
    };
  },
  (body) => {
    const [track, media, codec, rate, subject] = arrayOf(body, 5);
    unsignedOf(rate);
    demand(media === 'audio' || media === 'video', 'MALFORMED', 'neither sound nor picture');
    return {
      kind: 'track',
      track: toUuid(octetsOf(track, 16)),
      media,
      codec: stringOf(codec),
      subject: octetsOf(subject, 32),
    };
  },
  segmentOf,
  (body) => {
    const [type, commitment] = arrayOf(body, 2);
    return { kind: 'event', type: unsignedOf(type), commitment: octetsOf(commitment, 32) };
  },
  (body) => {
    const [track, from, to, reason] = arrayOf(body, 4);
    const span = spanOf(from, to);
    return {
      kind: 'gap',
      track: toUuid(octetsOf(track, 16)),
      ...span,
      reason: within(reason, 1, 5),
    };
  },
  (body) => {
    const [target, reason, key] = arrayOf(body, 3);
    octetsOf(key, 32);
    return { kind: 'erasure', target: unsignedOf(target), reason: within(reason, 1, 3) };
  },
  (body) => {
    const [kid] = arrayOf(body, 1);
    return { kind: 'key', kid: octetsOf(kid, 32) };
  },
  (body) => {
    const [tails, lastEvent, reason] = arrayOf(body, 3);
    return {
      kind: 'close',
      tails: arrayOf(tails).map(tailOf),
      lastEvent: unsignedOf(lastEvent),
      reason: within(reason, 1, 3),
    };
  },
  (body) => {
    const [track, from, to, state, event] = arrayOf(body, 5);
    const gated = within(state, 1, 2) === 1;
    demand(gated || event === null, 'MALFORMED', 'no decision makes a source silent');
    return {
      kind: 'rest',
      track: toUuid(octetsOf(track, 16)),
      ...spanOf(from, to),
      state: gated ? 'gated' : 'silent',
      event: event === null ? null : unsignedOf(event),
    };
  },
];

function segmentOf(body: Cbor | undefined): SegmentEntry {
  const [track, index, previous, suite, size, hash, commitment, rtp, times, flags] = arrayOf(
    body,
    10,
  );
  demand(suite === 1, 'MALFORMED', 'sealed by an unknown suite');
  const [rtpFirst, rtpLast] = arrayOf(rtp, 2);
  const ordered = unsigned64Of(rtpFirst) <= unsigned64Of(rtpLast);
  demand(ordered, 'MALFORMED', 'packet numbers that run backwards');
  const [from, to] = arrayOf(times, 2);
  const length = unsignedOf(size);
  // Every object ends with a chunk shorter than the others.
  const last = (length - OBJECT_HEAD) % CHUNK;
  demand(length >= OBJECT_HEAD + TAG && last >= TAG, 'MALFORMED', 'a size that no object has');
  return {
    kind: 'segment',
    track: toUuid(octetsOf(track, 16)),
    index: unsignedOf(index),
    previous: previous === null ? null : octetsOf(previous, 32),
    size: length,
    hash: octetsOf(hash, 32),
    commitment: octetsOf(commitment, 32),
    ...spanOf(from, to),
    flags: within(flags, 0, 15),
  };
}

function tailOf(value: Cbor): Tail {
  const [track, lastIndex, hash] = arrayOf(value, 3);
  const trackBytes = octetsOf(track, 16);
  return {
    track: toUuid(trackBytes),
    trackBytes,
    lastIndex: unsignedOf(lastIndex),
    hash: octetsOf(hash, 32),
  };
}

function spanOf(from: Cbor | undefined, to: Cbor | undefined): { fromMs: number; toMs: number } {
  const span = { fromMs: unsignedOf(from), toMs: unsignedOf(to) };
  demand(span.fromMs <= span.toMs, 'MALFORMED', 'a time that ends before it starts');
  return span;
}

function within(value: Cbor | undefined, least: number, most: number): number {
  const number = unsignedOf(value);
  demand(number >= least && number <= most, 'MALFORMED', 'a number that has no meaning');
  return number;
}
