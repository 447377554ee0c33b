import { useMemo, useRef, useState } from 'preact/hooks';
import { c } from '../i18n/chair';
import { connectionText, sinceText } from '../i18n/connections';
import type { Key } from '../i18n/catalogues';
import { t, timeOfDay } from '../i18n/i18n';
import { number } from '../i18n/texts';
import type {
  BookEntry,
  BookView,
  Heard,
  ParticipantView,
  PeopleQuality,
  Quality,
  RoomState,
  ToldQuality,
} from '../lib';
import {
  choosesLanguage,
  plain,
  heardOf,
  isPerson,
  isRecorder,
  newId,
  people,
  receptionOfPeople,
} from '../lib';
import type { Reception } from '../lib';
import { AttendanceCell } from './attendance';
import { KINDS } from './ask';
import { Button, Options, failureText } from './components';
import type { Send } from './console_turn';
import type { Decisions } from './decisions';
import { afterSecondThoughts, leaving } from './delayed';
import { Icon } from './icons';
import { useKept } from './kept';
import { MicrophoneBadge, PersonName, RecorderName } from './people_list';
import { useRows } from './rows';
import { LanguageButton, LanguageDialog } from './spoken_language';

/** Rows drawn at once; the rest comes by searching, or so many more on request. */
const ROWS_AT_ONCE = 60;

const FILTERS = [
  'all',
  'present',
  'hall',
  'absent',
  'away',
  'heard',
  'muted',
  'poor',
  'moderator',
  'unproven',
  'left',
] as const;
type Filter = (typeof FILTERS)[number];
/** Those whose number is always shown. */
const COUNTED = ['present', 'hall', 'absent', 'away', 'poor'] as const satisfies readonly Filter[];

function filterText(filter: Filter): string {
  return filter === 'absent' || filter === 'poor' || filter === 'moderator'
    ? c(`filter.${filter}`)
    : t(`console.filter.${filter}`);
}

/** Everybody, with what a moderator may do to them, and how their attendance stands. */
export function ConsolePeople(props: {
  state: RoomState;
  book: BookView;
  reception: Reception;
  connections: PeopleQuality;
  send: Send;
}) {
  const { state, book, connections, send } = props;
  const [search, setSearch] = useKept('people.search', '');
  const [filter, setFilter] = useKept<Filter>('people.filter', 'all');
  const [rows, setRows] = useState(ROWS_AT_ONCE);
  const heading = useRef<HTMLHeadingElement>(null);
  const list = useRows<HTMLUListElement>(heading);
  const [spoken, setSpoken] = useState<string | null>(null);
  const asked = spoken === null ? undefined : state.participants.get(spoken);
  const chooses = choosesLanguage(state);
  const { participants, tracks, speakers } = state;
  const holder = state.floor.turn?.user_id;
  const everybody = useMemo(() => people(state), [participants, holder]);
  const reception = useMemo(
    () => receptionOfPeople({ tracks }, props.reception),
    [tracks, props.reception],
  );
  const speaks = useMemo(() => new Set(speakers.map(({ user_id }) => user_id)), [speakers]);
  const all = useMemo(
    () => rowsOf(state, everybody, book, reception, connections),
    [everybody, book.entries, reception, connections, speakers, tracks, state.floor],
  );
  const counts = useMemo(
    () => COUNTED.map((one) => all.filter((row) => passes(row, one)).length),
    [all],
  );
  const words = plain(search.trim());
  const found = all.filter((row) => passes(row, filter) && plain(row.name).includes(words));
  const shown = found.slice(0, rows);
  return (
    <section class="card pane" aria-labelledby="people">
      <h2 id="people" ref={heading} tabIndex={-1}>
        {t('people.title')}{' '}
        <span class="quiet">{t('people.count', { count: everybody.filter(isPerson).length })}</span>
      </h2>
      <div class="row people-search" role="search">
        <input
          type="search"
          data-testid="people-search"
          aria-label={t('console.search')}
          placeholder={t('console.search')}
          autoComplete="off"
          value={search}
          onInput={(event) => setSearch(event.currentTarget.value)}
        />
        <select
          data-testid="people-filter"
          aria-label={t('console.filter')}
          value={filter}
          onChange={(event) => setFilter(event.currentTarget.value as Filter)}
        >
          {FILTERS.map((one) => (
            <option key={one} value={one}>
              {filterText(one)}
            </option>
          ))}
        </select>
      </div>
      <div class="row people-counts">
        {COUNTED.map((one, index) => (
          <button
            key={one}
            type="button"
            class="chip"
            aria-pressed={filter === one}
            data-testid={`count-${one}`}
            data-count={counts[index]}
            onClick={() => setFilter(filter === one ? 'all' : one)}
          >
            {c(`count.${one}`)} <strong>{number(counts[index] ?? 0)}</strong>
          </button>
        ))}
      </div>
      <div class="pane-scroll" tabIndex={0} role="group" aria-labelledby="people">
        {book.loading && book.total === null && <p class="quiet">{t('attendance.loading')}</p>}
        {book.failure !== null && (
          <p class="quiet" data-testid="attendance-failure">
            {t('attendance.failed', { why: failureText(book.failure) })}
          </p>
        )}
        {found.length === 0 && <p class="quiet">{t('console.nobodyFound')}</p>}
        <ul ref={list}>
          {shown.map(({ one, entry, heard, quality, told, silent }) =>
            one === null ? (
              <Outside key={entry.user_id} entry={entry} />
            ) : isRecorder(one) ? (
              <li class="person" key={one.user_id} data-testid={`person-${one.user_id}`}>
                <RecorderName state={state} />
              </li>
            ) : (
              <Person
                key={one.user_id}
                one={one}
                entry={entry}
                heard={heard}
                quality={quality}
                told={told}
                silent={silent}
                own={one.user_id === state.you.user_id}
                speaking={speaks.has(one.user_id)}
                onLanguage={chooses ? setSpoken : null}
                send={send}
              />
            ),
          )}
        </ul>
        {shown.length < found.length && (
          <Button
            label={c('people.more', { count: found.length - shown.length })}
            testId="people-more"
            onPress={() => setRows(rows + ROWS_AT_ONCE)}
          />
        )}
        {asked !== undefined && chooses && (
          <LanguageDialog state={state} one={asked} send={send} onClose={() => setSpoken(null)} />
        )}
        {state.removed.length > 0 && (
          <>
            <h3>{t('console.removed')}</h3>
            <ul>
              {state.removed.map(({ user_id, name }) => (
                <li class="person" key={user_id}>
                  <span class="name">{name}</span>
                  <Button
                    label={t('console.admit')}
                    about={name}
                    look="small"
                    testId={`admit-${user_id}`}
                    once
                    onPress={() => send({ type: 'admit', user_id })}
                  />
                </li>
              ))}
            </ul>
          </>
        )}
      </div>
    </section>
  );
}

interface Known {
  readonly name: string;
  readonly heard: Heard;
  readonly quality: Quality | undefined;
  /** What the server says of their connection, when it is not good. */
  readonly told: ToldQuality | undefined;
  /** Their client says that the microphone is on, and no sound of it comes. */
  readonly silent: boolean;
}
type Row = Known &
  (
    | { readonly one: ParticipantView; readonly entry: BookEntry | undefined }
    | { readonly one: null; readonly entry: BookEntry }
  );

/** Everybody in the room, then those who attend, did or may, without being connected. */
function rowsOf(
  state: RoomState,
  everybody: readonly ParticipantView[],
  book: BookView,
  reception: ReadonlyMap<string, Quality>,
  connections: PeopleQuality,
): readonly Row[] {
  const sends = new Set(
    [...state.tracks.values()].filter((one) => one.kind === 'audio').map((one) => one.user_id),
  );
  const inside = everybody.map((one): Row => {
    const heard = heardOf(state, one);
    return {
      name: one.name,
      one,
      entry: book.entries.get(one.user_id),
      heard,
      quality: reception.get(one.user_id),
      told: connections.get(one.user_id),
      silent: one.audio && one.connections > 0 && !one.muted && !sends.has(one.user_id),
    };
  });
  const outside = [...book.entries.values()]
    .filter((entry) => !state.participants.has(entry.user_id))
    .sort((a, b) => a.name.localeCompare(b.name))
    .map((entry): Row => {
      return {
        name: entry.name,
        one: null,
        entry,
        heard: 'away',
        quality: undefined,
        told: undefined,
        silent: false,
      };
    });
  return [...inside, ...outside];
}

function passes({ one, entry, heard, quality, told, silent }: Row, filter: Filter): boolean {
  const present = entry?.present === true;
  switch (filter) {
    case 'present':
      return present;
    case 'hall':
      return one?.roles.includes('hall') === true || (present && entry.place === 'hall');
    case 'left':
      return entry?.left === true;
    case 'absent':
      return entry?.eligible === true && !present && one === null;
    default:
  }
  if (one === null) return false;
  switch (filter) {
    case 'all':
      return true;
    case 'unproven':
      return !present && isPerson(one);
    case 'heard':
      return heard === 'heard' || heard === 'speaking';
    case 'muted':
      return one.muted;
    case 'away':
      return one.connections === 0;
    case 'poor':
      return told !== undefined || silent || quality === 'fair' || quality === 'poor';
    case 'moderator':
      return one.roles.includes('moderator');
  }
}

/** Somebody who attends without being connected: there is nothing to mute. */
function Outside({ entry }: { entry: BookEntry }) {
  return (
    <li class="person" data-testid={`person-${entry.user_id}`}>
      <span class="name">{entry.name}</span>
      <AttendanceCell entry={entry} />
      <HistoryLink user={entry.user_id} name={entry.name} />
    </li>
  );
}

/** Opens what the record says of somebody, beside the console. */
function HistoryLink({ user, name }: { user: string; name: string }) {
  const query = new URLSearchParams(location.search);
  query.set('user_id', user);
  return (
    <a
      class="button small"
      href={`/report?${query.toString()}`}
      target="_blank"
      rel="noreferrer"
      data-testid={`history-${user}`}
      title={`${t('attendance.report')}: ${name}`}
      aria-label={`${t('attendance.report')}: ${name}`}
    >
      <Icon name="history" />
    </a>
  );
}

/** How somebody's sound and pictures arrive here, while any do. */
function QualityBadge({ quality, silent }: { quality: Quality | undefined; silent: boolean }) {
  if (quality === undefined && !silent) return null;
  const known = quality ?? 'silent';
  return (
    <span class={`connection ${quality ?? 'poor'}`} data-testid="quality" data-quality={known}>
      <Icon name={quality === 'good' ? 'signal' : 'lost'} />
      <span class={quality === 'good' ? 'visually-hidden' : ''}>{c(`quality.${known}`)}</span>
    </span>
  );
}

/** What the server says of somebody's connection, when it is not good. */
function ConnectionBadge({ told }: { told: ToldQuality }) {
  return (
    <span
      class={`connection ${told.level}`}
      data-testid="quality"
      data-quality={told.level}
      data-cause={told.cause ?? undefined}
      title={sinceText(timeOfDay(told.since))}
    >
      <Icon name={told.level === 'fair' ? 'signal' : 'lost'} />
      {connectionText(told)}
    </span>
  );
}

/** Drawn again only when something of this person changes. */
function Person(props: {
  one: ParticipantView;
  entry: BookEntry | undefined;
  heard: Heard;
  quality: Quality | undefined;
  told: ToldQuality | undefined;
  silent: boolean;
  own: boolean;
  speaking: boolean;
  /** Asks which language somebody speaks; null when that can't be said. */
  onLanguage: ((userId: string) => void) | null;
  send: Send;
}) {
  const { one, entry, send, onLanguage } = props;
  return (
    <li
      class={`person ${leaving.value.has(`remove-${one.user_id}`) ? 'leaving' : ''} ${one.connections === 0 ? 'gone' : ''}`}
      data-testid={`person-${one.user_id}`}
      data-muted={one.muted}
      data-heard={one.may_be_heard}
      data-away={one.connections === 0}
    >
      <MicrophoneBadge heard={props.heard} />
      <PersonName one={one} own={props.own} speaking={props.speaking} />
      {props.told === undefined ? (
        <QualityBadge quality={props.quality} silent={props.silent} />
      ) : (
        <ConnectionBadge told={props.told} />
      )}
      <AttendanceCell entry={entry} />
      {isPerson(one) && <HistoryLink user={one.user_id} name={one.name} />}
      {onLanguage !== null && <LanguageButton one={one} onPress={() => onLanguage(one.user_id)} />}
      <Button
        label={t(one.muted ? 'console.unmute' : 'console.mute')}
        name={`${t(one.muted ? 'console.unmute' : 'console.mute')}: ${one.name}`}
        icon={one.muted ? 'microphone' : 'microphoneOff'}
        compact
        look={one.muted ? 'small danger' : 'small'}
        testId={`${one.muted ? 'unmute' : 'mute'}-${one.user_id}`}
        once
        onPress={() =>
          send({ type: one.muted ? 'unmute_user' : 'mute_user', user_id: one.user_id })
        }
      />
      {!props.own && (
        <Button
          label={t('console.removeName', { name: one.name })}
          icon="remove"
          compact
          look="small danger"
          testId={`remove-${one.user_id}`}
          onPress={() => removePerson(one, send)}
        />
      )}
    </li>
  );
}

/** Removes somebody, unless it is taken back within seconds. */
export function removePerson(one: { user_id: string; name: string }, send: Send): void {
  const { user_id, name } = one;
  const decide = send.asShown();
  afterSecondThoughts(`remove-${user_id}`, t('console.removing', { name }), () =>
    decide({ type: 'remove_participant', user_id }),
  );
}

/** Puts a person in the hall, who has no device, into the list by name. */
export function HallSpeaker({ decisions }: { decisions: Decisions }) {
  const [name, setName] = useKept('hall.name', '');
  const typed = useRef(name);
  typed.current = name;
  const [kind, setKind] = useState<string>('normal');
  return (
    <section class="hall-speaker" aria-labelledby="hall-speaker">
      <form
        class="row"
        onSubmit={(event) => {
          event.preventDefault();
          const text = name.trim();
          if (text === '') return;
          setName('');
          const message = { type: 'add_speaker', user_id: hallUser(), name: text, kind } as const;
          void decisions.send(message).then((done) => {
            // What is typed meanwhile is the next one.
            if (!done && typed.current === '') setName(text);
          });
        }}
      >
        <h3 id="hall-speaker" class="visually-hidden">
          {t('console.hallSpeaker')}
        </h3>
        <input
          aria-label={t('console.hallName')}
          placeholder={t('console.hallName')}
          data-testid="hall-name"
          maxLength={100}
          autoComplete="off"
          value={name}
          onInput={(event) => setName(event.currentTarget.value)}
        />
        <select
          aria-label={t('ask.kind')}
          data-testid="hall-kind"
          value={kind}
          onChange={(event) => setKind(event.currentTarget.value)}
        >
          <Options values={KINDS} text={(one): Key => `kind.short.${one}`} />
        </select>
        <Button
          label={c('hallAdd')}
          name={t('console.addHall')}
          look="small"
          type="submit"
          testId="add-hall-speaker"
        />
      </form>
    </section>
  );
}

/** People without an account are told apart by an id of their own. */
function hallUser(): string {
  return `hall-${newId()}`;
}
