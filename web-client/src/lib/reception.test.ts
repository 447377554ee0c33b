import { describe, expect, it } from 'vitest';
import type { RoomState } from './room_state';
import { ReceptionMeter, receptionOfPeople, sameReception } from './reception';

const row = (mid: string, packetsReceived: number, packetsLost = 0, jitter = 0) => ({
  type: 'inbound-rtp',
  mid,
  packetsReceived,
  packetsLost,
  jitter,
});
const trackAt = (mid: string) => (mid === 'x' ? undefined : `track-${mid}`);

describe('reception', () => {
  it('grades each track by what came and was lost since the report before', () => {
    const meter = new ReceptionMeter();
    const first = [row('0', 100, 50), row('1', 100), row('2', 100), row('3', 100), row('x', 1)];
    expect(meter.measure(first, trackAt).size).toBe(0);
    const next = [
      row('0', 200, 50),
      row('1', 195, 5),
      row('2', 180, 20),
      row('3', 100),
      row('x', 9),
    ];
    expect([...meter.measure(next, trackAt)]).toEqual([
      ['track-0', 'good'],
      ['track-1', 'fair'],
      ['track-2', 'poor'],
    ]);
  });

  it('hears gaps in jitter too', () => {
    const meter = new ReceptionMeter();
    meter.measure([row('0', 1), row('1', 1)], trackAt);
    const now = meter.measure([row('0', 50, 0, 0.07), row('1', 50, 0, 0.2)], trackAt);
    expect([...now.values()]).toEqual(['fair', 'poor']);
  });

  it('says the worst of a person', () => {
    const tracks = new Map(
      ['a', 'b', 'c'].map((track, at) => [track, { track, user_id: at < 2 ? 'ana' : 'ben' }]),
    ) as unknown as RoomState['tracks'];
    const people = receptionOfPeople(
      { tracks },
      new Map([
        ['a', 'poor'],
        ['b', 'good'],
        ['c', 'fair'],
        ['gone', 'poor'],
      ]),
    );
    expect([...people]).toEqual([
      ['ana', 'poor'],
      ['ben', 'fair'],
    ]);
  });

  it('compares readings', () => {
    const one = new Map([['a', 'good' as const]]);
    expect(sameReception(one, new Map(one))).toBe(true);
    expect(sameReception(one, new Map([['a', 'fair' as const]]))).toBe(false);
    expect(sameReception(one, new Map())).toBe(false);
  });
});
