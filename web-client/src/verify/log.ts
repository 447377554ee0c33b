import type { Bytes } from './bytes';
import { compare, equal, hex } from './bytes';
import type { Body, Entry, SegmentEntry } from './entry';
import type { Code, Place } from './problem';

/** Events from this type on may follow the close. */
const FIRST_LATE_EVENT = 64;
const LAST_OF_TRACK = 2;
const OBJECT_LOST = 5;
/** Event type of what the room decided. */
const DECISION = 3;
/** Time between two packets that needs no account, in milliseconds. */
const UNTOLD_MS = 1_000;

/** A track as the log tells it. */
export interface TrackState {
  readonly id: string;
  /** 1 for the first track of the log; what people are told instead of the id. */
  readonly number: number;
  readonly seq: number;
  readonly media: 'audio' | 'video';
  readonly codec: string;
  readonly subject: Bytes;
  segments: number;
  fromMs: number | null;
  toMs: number | null;
  gaps: number;
  /** Until when its time is accounted for. */
  toldMs: number | null;
  /** Time that no entry accounts for, in milliseconds. */
  unaccountedMs: number;
  tail: Bytes | null;
  ended: boolean;
  erased: boolean;
}

/** A segment with the place it has in the log. */
export interface LoggedSegment extends SegmentEntry {
  readonly seq: number;
}

type Say = (code: Code, place: Place, detail: string) => void;
type BodyOf<K extends Body['kind']> = Extract<Body, { kind: K }>;

/** Walks a whole log from its first entry and says what breaks its rules. */
export class LogWalk {
  readonly tracks = new Map<string, TrackState>();
  readonly segments: LoggedSegment[] = [];
  /** As the genesis says; logs of version 1 do not account for every moment. */
  version: 1 | 2 | null = null;
  readonly events = new Map<number, { type: number; commitment: Bytes }>();
  /** Key changes: the entry, and the key of heads of larger trees. */
  readonly keys: { seq: number; kid: string }[] = [];
  genesis: BodyOf<'genesis'> | null = null;
  closedAt: number | null = null;
  gaps = 0;
  erasures = 0;
  eventsErased = false;
  private readonly lost: BodyOf<'gap'>[] = [];
  private readonly trackSeqs = new Map<number, TrackState>();
  private lastEvent = 0;
  private next = 0;

  constructor(private readonly say: Say) {}

  /** Takes the entry in place `seq` of the file. */
  handleEntry(entry: Entry): void {
    const seq = this.next;
    this.next += 1;
    const place = { entry: seq };
    if (entry.seq !== seq) {
      this.say('SEQUENCE_INVALID', place, `entry ${entry.seq} stands in place ${seq}`);
    }
    this.version ??= entry.version;
    if (entry.version !== this.version) {
      this.say('SEQUENCE_INVALID', place, 'an entry of another version than its log');
    }
    const { body } = entry;
    if ((seq === 0) !== (body.kind === 'genesis')) {
      this.say('SEQUENCE_INVALID', place, 'a log starts with its one genesis');
    }
    if (seq === 1 && !(body.kind === 'event' && body.type === 1)) {
      this.say('SEQUENCE_INVALID', place, 'the second entry is not the policy');
    }
    if (this.closedAt !== null && !mayFollowClose(body)) {
      this.say('SEQUENCE_INVALID', place, `${body.kind} after the close`);
    }
    this.handleBody(body, seq);
  }

  /** Passes over an entry that cannot be read. */
  skip(): void {
    this.next += 1;
  }

  /** Whether the log itself says that this object never reached the store, or its key is gone. */
  mayBeAbsent(segment: SegmentEntry): boolean {
    if (this.tracks.get(segment.track)?.erased === true) return true;
    return this.lost.some(
      (gap) =>
        gap.track === segment.track && gap.fromMs <= segment.fromMs && gap.toMs >= segment.toMs,
    );
  }

  private handleBody(body: Body, seq: number): void {
    switch (body.kind) {
      case 'genesis':
        this.genesis ??= body;
        break;
      case 'track':
        this.handleTrack(body, seq);
        break;
      case 'segment':
        this.handleSegment(body, seq);
        break;
      case 'event':
        this.events.set(seq, body);
        if (this.closedAt === null) this.lastEvent = seq;
        break;
      case 'gap':
        this.handleGap(body, seq);
        break;
      case 'rest':
        this.handleRest(body, seq);
        break;
      case 'erasure':
        this.handleErasure(body, seq);
        break;
      case 'key':
        this.keys.push({ seq, kid: hex(body.kid) });
        break;
      case 'close':
        this.handleClose(body, seq);
        break;
    }
  }

  private handleTrack(body: BodyOf<'track'>, seq: number): void {
    if (this.tracks.has(body.track)) {
      this.say('SEQUENCE_INVALID', { entry: seq, track: body.track }, 'a track begins twice');
      return;
    }
    const { track, media, codec, subject } = body;
    const state: TrackState = {
      id: track,
      number: this.tracks.size + 1,
      seq,
      media,
      codec,
      subject,
      segments: 0,
      fromMs: null,
      toMs: null,
      gaps: 0,
      toldMs: null,
      unaccountedMs: 0,
      tail: null,
      ended: false,
      erased: false,
    };
    this.tracks.set(track, state);
    this.trackSeqs.set(seq, state);
  }

  private handleSegment(body: SegmentEntry, seq: number): void {
    const { track: id, index, fromMs, toMs } = body;
    const place = { entry: seq, track: id, segment: index, fromMs, toMs };
    const track = this.tracks.get(id);
    if (track === undefined) {
      this.say('CHAIN_BROKEN', place, 'a segment of a track that has not begun');
      return;
    }
    this.segments.push({ ...body, seq });
    if (track.ended) this.say('CHAIN_BROKEN', place, 'a segment after the last of its track');
    if (index > track.segments) {
      const missing = { ...place, segment: track.segments };
      this.say('SEGMENT_MISSING', missing, `segment ${track.segments} is missing`);
    } else if (index < track.segments) {
      this.say('CHAIN_BROKEN', place, 'a segment twice or out of order');
    } else if (!linked(body.previous, track.tail)) {
      this.say('CHAIN_BROKEN', place, 'the segment before is another');
    }
    track.segments = index + 1;
    track.tail = body.hash;
    track.fromMs ??= fromMs;
    track.toMs = toMs;
    this.account(track, fromMs, toMs, seq);
    track.ended ||= (body.flags & LAST_OF_TRACK) !== 0;
  }

  private handleGap(body: BodyOf<'gap'>, seq: number): void {
    const track = this.tracks.get(body.track);
    if (track === undefined) {
      const { track: id, fromMs, toMs } = body;
      const place = { entry: seq, track: id, fromMs, toMs };
      this.say('CHAIN_BROKEN', place, 'a gap of a track that has not begun');
      return;
    }
    track.gaps += 1;
    this.gaps += 1;
    this.account(track, body.fromMs, body.toMs, seq);
    if (body.reason === OBJECT_LOST) this.lost.push(body);
  }

  private handleRest(body: BodyOf<'rest'>, seq: number): void {
    const { track: id, fromMs, toMs, state, event } = body;
    const place = { entry: seq, track: id, fromMs, toMs };
    const track = this.tracks.get(id);
    if (track === undefined) {
      this.say('CHAIN_BROKEN', place, 'a rest of a track that has not begun');
      return;
    }
    if (state === 'gated' && (event === null || this.events.get(event)?.type !== DECISION)) {
      track.unaccountedMs += toMs - fromMs;
      this.say('TIME_UNACCOUNTED', place, 'a closed gate without a decision before it');
    }
    this.account(track, fromMs, toMs, seq);
  }

  /** Says which time before a span of a track no entry accounts for. */
  private account(track: TrackState, fromMs: number, toMs: number, seq: number): void {
    if (this.version !== 2) return;
    const told = track.toldMs ?? fromMs;
    if (fromMs - told > UNTOLD_MS) {
      track.unaccountedMs += fromMs - told;
      const place = { entry: seq, track: track.id, fromMs: told, toMs: fromMs };
      this.say('TIME_UNACCOUNTED', place, `no entry accounts for ${fromMs - told} ms`);
    }
    track.toldMs = Math.max(track.toldMs ?? toMs, toMs);
  }

  private handleErasure(body: BodyOf<'erasure'>, seq: number): void {
    this.erasures += 1;
    if (body.target === 0) {
      this.eventsErased = true;
      return;
    }
    const track = this.trackSeqs.get(body.target);
    if (track === undefined) {
      this.say('ERASURE_INVALID', { entry: seq }, `entry ${body.target} is not a track before it`);
    } else {
      track.erased = true;
    }
  }

  private handleClose(body: BodyOf<'close'>, seq: number): void {
    this.closedAt ??= seq;
    if (body.lastEvent !== this.lastEvent) {
      const detail = `the close names event ${body.lastEvent}, the last is ${this.lastEvent}`;
      this.say('SEQUENCE_INVALID', { entry: seq }, detail);
    }
    body.tails.forEach((tail, at) => {
      const before = body.tails[at - 1];
      if (before !== undefined && compare(before.trackBytes, tail.trackBytes) >= 0) {
        this.say('NOT_CANONICAL', { entry: seq }, 'tracks of the close out of order');
      }
      const place = { entry: seq, track: tail.track, segment: tail.lastIndex };
      const track = this.tracks.get(tail.track);
      if (track === undefined || track.segments <= tail.lastIndex) {
        this.say('SEGMENT_MISSING', place, 'the close names a segment that is not there');
      } else if (track.segments - 1 !== tail.lastIndex || !linked(tail.hash, track.tail)) {
        this.say('CHAIN_BROKEN', place, 'the close ends the track with another segment');
      }
    });
    const named = new Set(body.tails.map((tail) => tail.track));
    for (const track of this.tracks.values()) {
      if (track.segments > 0 && !named.has(track.id)) {
        const place = { entry: seq, track: track.id };
        this.say('CHAIN_BROKEN', place, 'the close leaves a track out');
      }
    }
  }
}

function mayFollowClose(body: Body): boolean {
  return (
    body.kind === 'erasure' ||
    body.kind === 'key' ||
    (body.kind === 'event' && body.type >= FIRST_LATE_EVENT)
  );
}

function linked(previous: Bytes | null, tail: Bytes | null): boolean {
  if (previous === null || tail === null) return previous === tail;
  return equal(previous, tail);
}
