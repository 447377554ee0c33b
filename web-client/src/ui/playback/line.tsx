import { useMemo, useState } from 'preact/hooks';
import { clock, language } from '../../i18n/i18n';
import { exactTimeOfDay } from '../../i18n/texts';
import type { RecordingKey } from '../../i18n/recording/texts';
import { isRecordingKey, r } from '../../i18n/recording/texts';
import type { RecordingFile, Timeline, TimelineItem } from '../../lib';
import { itemsShown, lastBegun, partAround, spanOf, toldTruly } from '../../lib';
import { Field } from '../components';
import { useFollowing } from '../hooks';
import { recordedName } from '../recorded_name';
import type { Copies } from './copies';
import { CopyItem } from './copies';
import { fileText } from './files';

const SHOWS = ['all', 'turn', 'transcript', 'vote', 'gap'] as const;
/** Kinds drawn on the strip, each in its lane. */
const LANES: Readonly<Record<string, string>> = {
  turn: 'turn',
  gap: 'gap',
  track_gap: 'gap track',
  vote: 'vote',
  recording: 'recorded',
};
/** Turns shorter than this part of the line have no room for a name. */
const NAMED = 0.06;

/** What happened when; whatever is chosen is sought. */
export function Line(props: {
  timeline: Timeline;
  /** For the names of tracks. */
  files: readonly RecordingFile[];
  /** Where the player is, ms since 1970. */
  atMs: number;
  onSeek: (at: string) => void;
  copies: Copies;
}) {
  const { atMs, onSeek, files, copies } = props;
  const timeline = useMemo(() => toldTruly(props.timeline), [props.timeline]);
  // Made again only when what it says changes: the player tells its time several times a second.
  const say = useMemo(() => (item: TimelineItem) => itemText(item, files), [files, language.value]);
  const [kind, setKind] = useState<(typeof SHOWS)[number]>('all');
  const [search, setSearch] = useState('');
  const all = useMemo(
    () => itemsShown(timeline.items, kind, search, say),
    [timeline, kind, search, say],
  );
  const at = lastBegun(all, atMs);
  const items = useMemo(() => partAround(all, at), [all, at]);
  const current = all[at];
  const first = items[0] === undefined ? 0 : all.indexOf(items[0]);
  return (
    <section class="card stack" aria-labelledby="line" data-testid="timeline">
      <h2 id="line">{r('line.title')}</h2>
      <Strip timeline={timeline} say={say} atMs={atMs} onSeek={onSeek} />
      <div class="line-tools">
        <Field label={r('line.search')}>
          <input
            type="search"
            data-testid="line-search"
            value={search}
            onInput={(event) => setSearch(event.currentTarget.value)}
          />
        </Field>
        <Field label={r('line.show')}>
          <select
            data-testid="line-show"
            value={kind}
            onChange={(event) => setKind(event.currentTarget.value as (typeof SHOWS)[number])}
          >
            {SHOWS.map((one) => (
              <option key={one} value={one}>
                {r(`show.${one}`)}
              </option>
            ))}
          </select>
        </Field>
      </div>
      <p class="quiet" role="status">
        {timeline.items.length === 0
          ? r('line.none')
          : all.length === 0
            ? r('line.nothing')
            : r('count', { count: all.length })}
        {items.length < all.length &&
          ` · ${r('spoken.part', { shown: items.length, count: all.length })}`}
      </p>
      <Items
        items={items}
        first={first}
        say={say}
        current={current}
        copies={copies}
        onSeek={onSeek}
      />
    </section>
  );
}

function Items(props: {
  items: readonly TimelineItem[];
  /** The place of the first of them among all: a row stays the same one when the part moves on. */
  first: number;
  say: (item: TimelineItem) => string;
  /** What the player is at. */
  current: TimelineItem | undefined;
  onSeek: (at: string) => void;
  copies: Copies;
}) {
  const { items, current } = props;
  const now = items.findIndex((item) => item === current);
  const list = useFollowing<HTMLOListElement>(now, [current, items]);
  return (
    <ol class="line-items" ref={list} tabIndex={0} aria-label={r('line.title')}>
      {items.map((item, at) => (
        <li key={props.first + at} class="line-row">
          <button
            type="button"
            class={`line-item ${item.kind}`}
            data-testid="line-item"
            data-kind={item.kind}
            aria-current={at === now ? 'true' : undefined}
            onClick={() => props.onSeek(item.from)}
          >
            <span class="line-time">{exactTimeOfDay(Date.parse(item.from))}</span>
            <span class="line-what">
              <span class="badge">{kindText(item.kind)}</span> {props.say(item)}
            </span>
          </button>
          <CopyItem
            item={item}
            text={`${kindText(item.kind)}: ${props.say(item)}`}
            copies={props.copies}
          />
        </li>
      ))}
    </ol>
  );
}

/** An overview for eyes and pointers; the list says the same to everybody. */
function Strip(props: {
  timeline: Timeline;
  say: (item: TimelineItem) => string;
  atMs: number;
  onSeek: (at: string) => void;
}) {
  const { timeline, atMs } = props;
  const { say } = props;
  const line = useMemo(
    () => ({ fromMs: Date.parse(timeline.from), toMs: Date.parse(timeline.to) }),
    [timeline],
  );
  const drawn = useMemo(() => drawnItems(timeline, line, say), [timeline, line, say]);
  const whole = Math.max(1, line.toMs - line.fromMs);
  const head = Math.min(1, Math.max(0, (atMs - line.fromMs) / whole));
  return (
    <div
      class="strip"
      aria-hidden="true"
      data-testid="strip"
      onClick={(event) => {
        const box = event.currentTarget.getBoundingClientRect();
        const part = (event.clientX - box.left) / box.width;
        props.onSeek(new Date(line.fromMs + part * whole).toISOString());
      }}
    >
      {drawn}
      <span class="strip-head" style={{ left: `${head * 100}%` }} />
    </div>
  );
}

function drawnItems(
  timeline: Timeline,
  line: { readonly fromMs: number; readonly toMs: number },
  say: (item: TimelineItem) => string,
) {
  return timeline.items.map((item, at) => {
    const lane = LANES[item.kind];
    if (lane === undefined) return null;
    const { start, length } = spanOf(item, line);
    return (
      <span
        key={at}
        class={`strip-item ${lane}`}
        title={`${kindText(item.kind)} ${say(item)}`}
        style={{ left: `${start * 100}%`, width: `${length * 100}%` }}
      >
        {lane === 'turn' && length >= NAMED && recordedName(item)}
      </span>
    );
  });
}

function kindText(kind: string): string {
  const key = `kind.${kind === 'track_gap' ? 'gap' : kind}`;
  return r(isRecordingKey(key) ? key : ('kind.other' satisfies RecordingKey));
}

/** What an item says, in words: the server's codes are not for people. */
function itemText(item: TimelineItem, files: readonly RecordingFile[]): string {
  const lengthMs = item.to === null ? 0 : Date.parse(item.to) - Date.parse(item.from);
  const length = clock(lengthMs);
  switch (item.kind) {
    case 'pause':
      return r('item.paused', { length });
    case 'gap':
    case 'track_gap': {
      const file = files.find((one) => one.track !== null && one.track === item.track);
      const what = file === undefined ? r('source.other') : fileText(file);
      return r('item.gapOf', { what, length, why: wordOf('gap', item.text, 'gap.unknown') });
    }
    case 'left':
      return `${recordedName(item)} — ${wordOf('left', item.text, 'left.left')}`;
    case 'undone':
      return `${recordedName(item)} — ${wordOf('undone', item.text, 'undone.other')}`;
    case 'turn':
    case 'undone_turn':
    case 'chair': {
      const lasting = lengthMs > 0 ? ` (${r('item.lasting', { length })})` : '';
      return `${recordedName(item)}${lasting}`;
    }
    default: {
      const parts = [recordedName(item), item.text].filter((one) => one !== null && one !== '');
      return parts.join(item.kind === 'transcript' ? ': ' : ' — ');
    }
  }
}

function wordOf(group: string, code: string | null, other: RecordingKey): string {
  const key = `${group}.${code ?? ''}`;
  return r(isRecordingKey(key) ? key : other);
}
