import type { PersonQualityView } from '../generated/wire';
import type { Judgement, Quality, QualityCause } from './quality';

/** How good a connection is that is not good, as the server measures it. */
export type ToldLevel = 'fair' | 'poor' | 'lost';
/** What the server says that is due to. */
export type ToldCause =
  | 'no_media'
  | 'uplink_loss'
  | 'downlink_loss'
  | 'downlink_bandwidth'
  | 'delay'
  | 'uplink_jitter'
  | 'downlink_jitter'
  | 'relayed_by_tcp';

/** What the server says of the connection of a person. */
export interface ToldQuality {
  readonly level: ToldLevel;
  /** Null when this page does not know the cause. */
  readonly cause: ToldCause | null;
  /** Percent, kilobits per second or milliseconds. */
  readonly value: number | null;
  /** RFC 3339. */
  readonly since: string;
}

/** Whose connections are not good; nothing bad is known of the others. */
export type PeopleQuality = ReadonlyMap<string, ToldQuality>;

const LEVELS: readonly string[] = ['fair', 'poor', 'lost'] satisfies readonly ToldLevel[];
const CAUSES: readonly string[] = [
  'no_media',
  'uplink_loss',
  'downlink_loss',
  'downlink_bandwidth',
  'delay',
  'uplink_jitter',
  'downlink_jitter',
  'relayed_by_tcp',
] satisfies readonly ToldCause[];

/** What the server's words say; null when nothing is wrong, or the level is one unknown here. */
export function toldOf(said: {
  readonly level: string;
  readonly cause: string | null;
  readonly value: number | null;
}): Omit<ToldQuality, 'since'> | null {
  const { level, cause, value } = said;
  if (!LEVELS.includes(level)) return null;
  const known = cause !== null && CAUSES.includes(cause) ? (cause as ToldCause) : null;
  return { level: level as ToldLevel, cause: known, value };
}

/** What is known after the server told of some people. */
export function qualityAfter(
  known: PeopleQuality,
  people: readonly PersonQualityView[],
): PeopleQuality {
  const all = new Map(known);
  for (const one of people) {
    const told = toldOf(one);
    if (told === null) all.delete(one.user_id);
    else all.set(one.user_id, { ...told, since: one.since });
  }
  return all;
}

/** What is known once somebody has left. */
export function qualityWithout(known: PeopleQuality, userId: string): PeopleQuality {
  if (!known.has(userId)) return known;
  const all = new Map(known);
  all.delete(userId);
  return all;
}

const WORSE: readonly Quality[] = ['good', 'fair', 'poor'];

/**
 * What this person is told of their own connection: what this page has measured, unless the server
 * knows of something worse.
 */
export function ownJudgement(
  measured: Judgement | null,
  told: ToldQuality | undefined,
): Judgement | null {
  const cause = told === undefined ? null : causeOf(told);
  if (told === undefined || cause === null) return measured;
  const quality: Quality = told.level === 'fair' ? 'fair' : 'poor';
  const known = measured?.quality ?? 'good';
  return WORSE.indexOf(quality) > WORSE.indexOf(known) ? { quality, cause } : measured;
}

function causeOf({ cause, value }: ToldQuality): QualityCause | null {
  switch (cause) {
    case 'no_media':
    case 'relayed_by_tcp':
      return { kind: cause };
    case 'uplink_loss':
      return { kind: 'sent_lost', share: (value ?? 0) / 100 };
    case 'downlink_loss':
      return { kind: 'received_lost', share: (value ?? 0) / 100 };
    case 'downlink_bandwidth':
      return { kind: cause, kbps: value ?? 0 };
    case 'delay':
    case 'uplink_jitter':
    case 'downlink_jitter':
      return { kind: cause, ms: value ?? 0 };
    case null:
      return null;
  }
}
