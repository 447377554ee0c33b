import { describe, expect, it } from 'vitest';
import { lastBegun } from './long_list';
import type { RecordingAddresses, RecordingFile, TimelineItem } from './recordings';
import {
  fileToPlay,
  itemsShown,
  lackSpan,
  lookAgainMs,
  renewInMs,
  secondsIn,
  spanOf,
} from './recordings';

const FROM = Date.parse('2026-03-01T10:00:00Z');
const at = (seconds: number) => new Date(FROM + seconds * 1000).toISOString();

function file(more: Partial<RecordingFile> = {}): RecordingFile {
  return {
    of: 'combined',
    track: null,
    user_id: null,
    name: null,
    source: null,
    kind: 'video',
    container: 'mp4',
    media_type: 'video/mp4; codecs="avc1"',
    state: 'ready',
    progress_permille: 1000,
    from: at(0),
    duration_ms: 100_000,
    size_bytes: 1,
    url: '/api/v1/recordings/x',
    lacks: [],
    ...more,
  };
}

function view(more: Partial<RecordingAddresses> = {}): RecordingAddresses {
  return {
    session_id: 's',
    title: 't',
    state: 'ready',
    pending_tracks: 0,
    sealed_bytes: 1_000,
    expires_at: at(600),
    timeline_url: '/t',
    files: [file()],
    ...more,
  };
}

function item(kind: string, from: number, to: number | null, more: Partial<TimelineItem> = {}) {
  const end = to === null ? null : at(to);
  return {
    kind,
    from: at(from),
    to: end,
    user_id: null,
    name: null,
    text: null,
    track: null,
    entries: [],
    ...more,
  };
}

describe('a recording on its way', () => {
  it('is looked at ever more rarely, and not at all when it is there', () => {
    const making = view({ state: 'making', files: [file({ state: 'building', url: null })] });
    const waits = [0, 1, 2, 3, 20].map((looks) => lookAgainMs(making, looks));
    expect(waits).toEqual([4_000, 6_000, 9_000, 13_500, 30_000]);
    expect(lookAgainMs(view(), 0)).toBeNull();
    expect(lookAgainMs(view({ state: 'erased', files: [] }), 0)).toBeNull();
    expect(lookAgainMs(view({ files: [file(), file({ state: 'waiting' })] }), 0)).toBe(4_000);
  });

  it('has its addresses renewed before they expire', () => {
    expect(renewInMs(view(), FROM)).toBe(540_000);
    expect(renewInMs(view({ expires_at: at(40) }), FROM)).toBe(20_000);
    expect(renewInMs(view({ expires_at: at(-5) }), FROM)).toBe(1_000);
  });
});

describe('what is shown', () => {
  it('is the whole session, in a form that the browser plays', () => {
    const webm = file({ container: 'webm', media_type: 'video/webm' });
    const track = file({ of: 'track', track: 't' });
    const onlyWebm = (type: string) => type.startsWith('video/webm');
    expect(fileToPlay([track, file(), webm], onlyWebm)).toBe(webm);
    expect(fileToPlay([track, file({ url: null })], () => true)).toBeNull();
    const unplayable = file();
    expect(fileToPlay([unplayable], () => false)).toBe(unplayable);
  });

  it('is sought within the file', () => {
    expect(secondsIn(file(), at(12))).toBe(12);
    expect(secondsIn(file(), at(-3))).toBe(0);
    expect(secondsIn(file(), at(1000))).toBe(100);
  });
});

describe('the time line', () => {
  const items = [
    item('transcript', 30, 34, { name: 'Núria Ponç', text: 'La derrama es excesiva' }),
    item('turn', 10, 60, { name: 'Núria Ponç' }),
    item('gap', 70, 80),
    item('vote', 90, null, { text: 'Acta anterior' }),
  ];

  it('is by time, and found as people type', () => {
    const kinds = (kind: string, search: string) =>
      itemsShown(items, kind, search).map((one) => one.kind);
    expect(kinds('all', '')).toEqual(['turn', 'transcript', 'gap', 'vote']);
    expect(kinds('all', 'nuria')).toEqual(['turn', 'transcript']);
    expect(kinds('all', 'DERRAMA nuria')).toEqual(['transcript']);
    expect(kinds('vote', '')).toEqual(['vote']);
    expect(kinds('all', 'nobody')).toEqual([]);
  });

  it('knows where it is', () => {
    const shown = itemsShown(items, 'all', '');
    const now = (seconds: number) => lastBegun(shown, FROM + seconds * 1000);
    expect([0, 10, 31, 75, 999].map(now)).toEqual([-1, 0, 1, 2, 3]);
  });

  it('lays items out, cut at its ends', () => {
    const line = { fromMs: FROM, toMs: FROM + 100_000 };
    expect(spanOf(item('turn', 10, 60), line)).toEqual({ start: 0.1, length: 0.5 });
    expect(spanOf(item('vote', 90, null), line)).toEqual({ start: 0.9, length: 0 });
    expect(spanOf(item('turn', -50, 50), line)).toEqual({ start: 0, length: 0.5 });
    expect(spanOf(item('turn', 150, 200), line)).toEqual({ start: 1, length: 0 });
  });
});

describe('what a file lacks', () => {
  it('is told in the playing time of the file', () => {
    const lack = {
      track: 't',
      user_id: 'u',
      name: 'Ana',
      source: 'camera',
      from: at(3),
      to: at(8.5),
      reason: 'undecodable',
    };
    expect(lackSpan(file(), lack)).toEqual([3_000, 8_500]);
    expect(lackSpan(file(), { ...lack, from: at(-2), to: at(900) })).toEqual([0, 100_000]);
  });
});
