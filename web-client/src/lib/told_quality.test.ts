import { describe, expect, it } from 'vitest';
import type { PersonQualityView } from '../generated/wire';
import type { Judgement } from './quality';
import type { PeopleQuality, ToldQuality } from './told_quality';
import { ownJudgement, qualityAfter, qualityWithout } from './told_quality';

const since = '2026-01-01T10:00:00Z';
const of = (user_id: string, level: string, cause: string | null, value: number | null) =>
  ({ user_id, level, cause, value, since }) satisfies PersonQualityView;
const told = (level: 'fair' | 'poor' | 'lost', cause: ToldQuality['cause'], value: number | null) =>
  ({ level, cause, value, since }) satisfies ToldQuality;

describe('what the server says of connections', () => {
  it('keeps those that are not good, until they are or their people leave', () => {
    const none: PeopleQuality = new Map();
    const two = qualityAfter(none, [
      of('ana', 'poor', 'uplink_loss', 12),
      of('luis', 'fair', 'relayed_by_tcp', null),
    ]);
    expect(none.size).toBe(0);
    expect([...two]).toEqual([
      ['ana', told('poor', 'uplink_loss', 12)],
      ['luis', told('fair', 'relayed_by_tcp', null)],
    ]);
    const one = qualityAfter(two, [of('luis', 'good', null, null)]);
    expect([...one.keys()]).toEqual(['ana']);
    expect(qualityWithout(one, 'luis')).toBe(one);
    expect(qualityWithout(one, 'ana').size).toBe(0);
  });

  it('takes a level that it does not know for none, and a cause for an unknown one', () => {
    const known = qualityAfter(new Map(), [
      of('ana', 'sublime', null, null),
      of('luis', 'poor', 'moon_phase', 3),
    ]);
    expect([...known]).toEqual([['luis', told('poor', null, 3)]]);
    expect(ownJudgement(null, known.get('luis'))).toBeNull();
  });

  const good: Judgement = { quality: 'good', cause: null };
  const lossy: Judgement = { quality: 'fair', cause: { kind: 'received_lost', share: 0.04 } };

  it.each<[string, Judgement | null, ToldQuality | undefined, Judgement | null]>([
    ['nothing is told', lossy, undefined, lossy],
    ['the page knows nothing', null, told('poor', 'delay', 700), poor({ kind: 'delay', ms: 700 })],
    [
      'the server knows of something worse',
      lossy,
      told('poor', 'uplink_loss', 12),
      poor({ kind: 'sent_lost', share: 0.12 }),
    ],
    ['both are as bad', lossy, told('fair', 'delay', 300), lossy],
    [
      'only the server knows that it is TCP',
      good,
      told('fair', 'relayed_by_tcp', null),
      { quality: 'fair', cause: { kind: 'relayed_by_tcp' } },
    ],
    ['nothing arrives there', good, told('lost', 'no_media', null), poor({ kind: 'no_media' })],
    [
      'the path is narrow',
      good,
      told('poor', 'downlink_bandwidth', 300),
      poor({ kind: 'downlink_bandwidth', kbps: 300 }),
    ],
  ])('says to a person when %s', (_, measured, of, said) => {
    expect(ownJudgement(measured, of)).toEqual(said);
  });
});

function poor(cause: Judgement['cause']): Judgement {
  return { quality: 'poor', cause };
}
