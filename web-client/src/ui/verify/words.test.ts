import { beforeEach, describe, expect, it } from 'vitest';
import { language } from '../../i18n/i18n';
import { isVerifyKey } from '../../i18n/verify/texts';
import type { Report } from '../../verify';
import { isNeeded } from '../../verify';
import { CODES } from '../../verify/problem';
import { CHECKS, NEEDED, OPTIONAL } from '../../verify/report';
import { hasBundle } from './chosen';
import { Speed } from './run';
import { checkedSentences, placeText, uncheckedSentences } from './words';

const REPORT: Report = {
  verdict: 'valid',
  kind: 'full',
  session: 's',
  iss: 'i',
  status: 'closed',
  head: null,
  startedMs: null,
  closed: true,
  checked: { head: 1, objects: 1, entries: 1200, objectBytes: 5_000_000, packets: 3 },
  notChecked: [
    { what: 'truth', count: 1 },
    { what: 'objectsNotGiven', count: 2 },
  ],
  problems: [],
  moreProblems: 0,
  tracks: [],
  disclosed: [],
  elapsedMs: 500,
};

beforeEach(() => void (language.value = 'en'));

describe('the words of a report', () => {
  it('exist for everything that a verifier can say', () => {
    const untold = ['objectBytes', 'packets'];
    const keys = [
      ...CODES.map((code) => `code.${code}`),
      ...[...NEEDED, ...OPTIONAL].map((what) => `unchecked.${what}`),
      ...CHECKS.filter((check) => !untold.includes(check)).map((check) => `check.${check}`),
    ];
    expect(keys.filter((key) => !isVerifyKey(key))).toEqual([]);
  });

  it('tell what was checked, with numbers', () => {
    expect(checkedSentences(REPORT)).toEqual([
      'The signature of the server over the whole record is genuine.',
      '1,200 entries of the record, in order and unchanged.',
      'One sealed segment of the recording, identical to what was recorded.',
    ]);
  });

  it('tell first what the verdict lacks', () => {
    const needed = (what: string) => (NEEDED as readonly string[]).includes(what);
    const [first, second] = uncheckedSentences(REPORT, needed);
    expect(first).toBe('The recording: none of the 2 segments was given.');
    expect(second).toMatch(/^Whether what was said is true/);
    expect(isNeeded('objectsNotGiven')).toBe(true);
    expect(isNeeded('truth')).toBe(false);
  });

  it('name a place by track, segment and time, and nobody', () => {
    const at = Date.UTC(2026, 2, 1, 10, 0, 0);
    const track = {
      number: 3,
      media: 'audio',
      codec: 'opus',
      segments: 1,
      gaps: 0,
      unaccountedMs: 0,
    } as const;
    const tracks = [{ ...track, id: 'abcdef0123456789', fromMs: at, toMs: at, erased: false }];
    const place = { track: 'abcdef0123456789', segment: 0, fromMs: at, toMs: at + 4000, entry: 12 };
    const text = placeText(place, tracks);
    expect(text).toMatch(/^track 3 · segment 1 · from .*:00:00.* to .*:00:04.* · entry 12$/);
    expect(placeText({ track: 'abcdef0123456789' }, [])).toBe('track abcdef01');
    expect(placeText({ file: 'operator' }, [])).toBe('in the operator log');
    expect(placeText({ file: 'objects/x/1' }, [])).toBe('in objects/x/1');
    expect(placeText({}, [])).toBe('as a whole');
  });
});

describe('what was chosen', () => {
  it('is a bundle when it holds one, however deep', () => {
    const file = new File([], 'x');
    const chosen = (...paths: string[]) => paths.map((path) => ({ path, file }));
    expect(hasBundle(chosen('a/b/bundle.json', 'a/b/x'))).toBe(true);
    expect(hasBundle(chosen('bundle.json'))).toBe(true);
    expect(hasBundle(chosen('notbundle.json', 'a/bundle.json.bak'))).toBe(false);
  });
});

describe('speed', () => {
  it('counts from the first object', () => {
    let now = 0;
    const speed = new Speed(() => now);
    expect(speed.after({ phase: 'entries', done: 5, total: 9 })).toBeNull();
    expect(speed.after({ phase: 'objects', done: 10, total: 100 })).toBeNull();
    now = 500;
    expect(speed.after({ phase: 'objects', done: 50, total: 100 })).toBe(100);
    expect(speed.whole(REPORT)).toBe(10_000_000);
  });
});
