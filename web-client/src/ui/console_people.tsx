import { useState } from 'preact/hooks';
import type { Key } from '../i18n/i18n';
import { t } from '../i18n/i18n';
import type { BookEntry, BookView, ParticipantView, RoomState } from '../lib';
import { folded, heardOf, isPerson, isRecorder, newId, people } from '../lib';
import { AttendanceCell } from './attendance';
import { KINDS } from './ask';
import { Button, Field, Options, failureText } from './components';
import type { Send } from './console_turn';
import { afterSecondThoughts, leaving } from './delayed';
import { useKept } from './kept';
import { MicrophoneBadge, PersonName, RecorderName } from './people_list';

/** Rows drawn at once; the rest comes by searching, or on request. */
const ROWS_FIRST = 60;

const FILTERS = ['all', 'heard', 'muted', 'away', 'hall', 'present', 'unproven', 'left'] as const;
type Filter = (typeof FILTERS)[number];

/** Everybody, with what a moderator may do to them, and how their attendance stands. */
export function ConsolePeople(props: { state: RoomState; book: BookView; send: Send }) {
  const { state, book, send } = props;
  const [search, setSearch] = useKept('people.search', '');
  const [filter, setFilter] = useKept<Filter>('people.filter', 'all');
  const [all, setAll] = useState(false);
  const everybody = people(state);
  const words = folded(search.trim());
  const found: readonly Row[] = [
    ...everybody
      .filter((one) => passes(state, one, book.entries.get(one.user_id), filter))
      .map((one) => ({ name: one.name, one, entry: book.entries.get(one.user_id) })),
    ...outside(state, book, filter).map((entry) => ({ name: entry.name, one: null, entry })),
  ].filter(({ name }) => folded(name).includes(words));
  const shown = all ? found : found.slice(0, ROWS_FIRST);
  return (
    <section class="card stack pane" aria-labelledby="people">
      <h2 id="people">
        {t('people.title')}{' '}
        <span class="quiet">{t('people.count', { count: everybody.filter(isPerson).length })}</span>
      </h2>
      <div class="row">
        <Field label={t('console.search')}>
          <input
            type="search"
            data-testid="people-search"
            autoComplete="off"
            value={search}
            onInput={(event) => setSearch(event.currentTarget.value)}
          />
        </Field>
        <Field label={t('console.filter')}>
          <select
            data-testid="people-filter"
            value={filter}
            onChange={(event) => setFilter(event.currentTarget.value as Filter)}
          >
            <Options values={FILTERS} text={(one): Key => `console.filter.${one}`} />
          </select>
        </Field>
      </div>
      <div class="pane-scroll" tabIndex={0} role="group" aria-labelledby="people">
        {book.loading && book.total === null && <p class="quiet">{t('attendance.loading')}</p>}
        {book.failure !== null && (
          <p class="quiet" data-testid="attendance-failure">
            {t('attendance.failed', { why: failureText(book.failure) })}
          </p>
        )}
        {found.length === 0 && <p class="quiet">{t('console.nobodyFound')}</p>}
        <ul>
          {shown.map(({ one, entry }) =>
            one === null ? (
              <Outside key={entry.user_id} entry={entry} />
            ) : isRecorder(one) ? (
              <li class="person" key={one.user_id} data-testid={`person-${one.user_id}`}>
                <RecorderName state={state} />
              </li>
            ) : (
              <Person key={one.user_id} one={one} entry={entry} state={state} send={send} />
            ),
          )}
        </ul>
        {shown.length < found.length && (
          <Button
            label={t('console.showAll', { count: found.length })}
            testId="people-all"
            onPress={() => setAll(true)}
          />
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

type Row =
  | { readonly name: string; readonly one: ParticipantView; readonly entry: BookEntry | undefined }
  | { readonly name: string; readonly one: null; readonly entry: BookEntry };

/** Those who attend, or did, without being connected to the room. */
function outside(state: RoomState, book: BookView, filter: Filter): readonly BookEntry[] {
  if (filter !== 'present' && filter !== 'left') return [];
  return [...book.entries.values()]
    .filter((entry) => !state.participants.has(entry.user_id))
    .filter((entry) => (filter === 'present' ? entry.present : entry.left))
    .sort((a, b) => a.name.localeCompare(b.name));
}

function passes(
  state: RoomState,
  one: ParticipantView,
  entry: BookEntry | undefined,
  filter: Filter,
): boolean {
  switch (filter) {
    case 'present':
      return entry?.present === true;
    case 'unproven':
      return entry?.present !== true && isPerson(one);
    case 'left':
      return entry?.left === true;
    case 'all':
      return true;
    case 'heard':
      return ['heard', 'speaking'].includes(heardOf(state, one));
    case 'muted':
      return one.muted;
    case 'away':
      return one.connections === 0;
    case 'hall':
      return one.roles.includes('hall');
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
    >
      <span>
        {t('attendance.report')}
        <span class="visually-hidden">: {name}</span>
      </span>
    </a>
  );
}

function Person(props: {
  one: ParticipantView;
  entry: BookEntry | undefined;
  state: RoomState;
  send: Send;
}) {
  const { one, entry, state, send } = props;
  return (
    <li
      class={`person ${leaving.value.has(`remove-${one.user_id}`) ? 'leaving' : ''} ${one.connections === 0 ? 'gone' : ''}`}
      data-testid={`person-${one.user_id}`}
      data-muted={one.muted}
      data-heard={one.may_be_heard}
      data-away={one.connections === 0}
    >
      <MicrophoneBadge one={one} state={state} />
      <PersonName one={one} state={state} />
      <AttendanceCell entry={entry} />
      {isPerson(one) && <HistoryLink user={one.user_id} name={one.name} />}
      <Button
        label={t(one.muted ? 'console.unmute' : 'console.mute')}
        about={one.name}
        icon={one.muted ? 'microphone' : 'microphoneOff'}
        look="small"
        testId={`${one.muted ? 'unmute' : 'mute'}-${one.user_id}`}
        once
        onPress={() =>
          send({ type: one.muted ? 'unmute_user' : 'mute_user', user_id: one.user_id })
        }
      />
      {one.user_id !== state.you.user_id && (
        <Button
          label={t('console.removeName', { name: one.name })}
          icon="remove"
          compact
          look="small danger"
          testId={`remove-${one.user_id}`}
          onPress={() => {
            const { user_id, name } = one;
            afterSecondThoughts(`remove-${user_id}`, t('console.removing', { name }), () =>
              send({ type: 'remove_participant', user_id }),
            );
          }}
        />
      )}
    </li>
  );
}

/** Puts a person in the hall, who has no device, into the list by name. */
export function HallSpeaker({ send }: { send: Send }) {
  const [name, setName] = useKept('hall.name', '');
  const [kind, setKind] = useState<string>('normal');
  return (
    <section class="card" aria-labelledby="hall-speaker">
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          const text = name.trim();
          if (text === '') return;
          send({ type: 'add_speaker', user_id: hallUser(), name: text, kind });
          setName('');
        }}
      >
        <h2 id="hall-speaker">{t('console.hallSpeaker')}</h2>
        <div class="row">
          <Field label={t('console.hallName')}>
            <input
              data-testid="hall-name"
              maxLength={100}
              autoComplete="off"
              value={name}
              onInput={(event) => setName(event.currentTarget.value)}
            />
          </Field>
          <Field label={t('ask.kind')}>
            <select
              data-testid="hall-kind"
              value={kind}
              onChange={(event) => setKind(event.currentTarget.value)}
            >
              <Options values={KINDS} text={(one): Key => `kind.${one}`} />
            </select>
          </Field>
        </div>
        <Button label={t('console.addHall')} type="submit" testId="add-hall-speaker" />
      </form>
    </section>
  );
}

/** People without an account are told apart by an id of their own. */
function hallUser(): string {
  return `hall-${newId()}`;
}
