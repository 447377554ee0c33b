import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { d } from '../i18n/desk';
import { errorText, t } from '../i18n/i18n';
import { number } from '../i18n/texts';
import type { BookEntry, DeskStep, Session } from '../lib';
import { AttendanceBook, Desk, RoomClient, badgeOwner, tabKeeping } from '../lib';
import type { Access } from '../ui/access';
import { readLink } from '../ui/access';
import { presenceText, unitsText, useBook } from '../ui/attendance';
import { boot, expose } from '../ui/boot';
import { Button, Check, LanguageSwitch, Notice, failureText } from '../ui/components';
import { ConnectionState } from '../ui/connection';
import { Badge } from '../ui/desk/badge';
import { Delegations } from '../ui/desk/delegations';
import { Steps } from '../ui/desk/steps';
import { Follower } from '../ui/follower';
import { useRoom, useStable } from '../ui/hooks';
import { useKept } from '../ui/kept';
import { announce, announceAtOnce } from '../ui/live_regions';
import { tellQuorum } from '../ui/narrator';
import { QuorumCard, QuorumLine } from '../ui/quorum';
import { RenewalNotice } from '../ui/renewal';
import { RoomClosed } from '../ui/room_closed';

const link = readLink();
/** People shown at once; whoever is not among them is found by one letter more. */
const FOUND_MAX = 50;

/** The desk at the door: type, Enter, the next one. */
function DeskPage({ access, session }: { access: Access; session: string }) {
  const { client, book, desk } = useMemo(() => makeDesk(access, session), []);
  const { state, status, renewal, eligible } = useRoom(client);
  const view = useBook(book, state, eligible);
  const steps = useSteps(desk);
  const rules = useRules(access, session);
  const [query, setQuery] = useState('');
  /** Whom the keys are about; null until somebody is found. */
  const [chosen, setChosen] = useState<string | null>(null);
  const [shown, setShown] = useState<string | null>(null);
  const [delegating, setDelegating] = useState<string | null>(null);
  const [prints, setPrints] = useKept('desk.prints', false);
  /** Whose badge is printed, whoever is searched meanwhile. */
  const [printing, setPrinting] = useState<string | null>(null);
  const input = useRef<HTMLInputElement>(null);

  useEffect(() => client.join(), []);
  useEffect(() => {
    if (printing === null) return;
    window.print();
    setPrinting(null);
  }, [printing]);
  useEffect(() => {
    if (state !== null) document.title = `${d('title')}: ${state.session.title}`;
  }, [state?.session.title]);

  const found = useMemo(() => {
    const owner = badgeOwner(session, query.trim());
    const owned = owner === null ? undefined : view.entries.get(owner);
    return owned === undefined ? book.search(query, FOUND_MAX) : [owned];
  }, [query, view.entries]);
  const active = found.find((entry) => entry.user_id === chosen) ?? found[0] ?? null;
  const at = active === null ? -1 : found.indexOf(active);
  // It stays the same person when others are found above them.
  useEffect(() => setChosen(active?.user_id ?? null), [active?.user_id, chosen]);
  const onBadge =
    (printing === null ? active : view.entries.get(printing)) ??
    (shown === null ? null : (view.entries.get(shown) ?? null));

  const finish = (step: DeskStep) => {
    const { name } = step;
    if (step.state === 'failed') {
      announceAtOnce(d('said.failed', { name, why: errorText(step.refused ?? '') }));
    } else {
      announce(d(step.what === 'register' ? 'said.registered' : 'said.left', { name }));
    }
  };
  const registered = (step: DeskStep) => {
    finish(step);
    if (step.state === 'done' && prints) setPrinting(step.user_id);
  };
  const next = () => {
    setQuery('');
    setChosen(null);
    input.current?.focus();
  };
  const register = (entry: BookEntry) => {
    setShown(entry.user_id);
    if (entry.present && entry.place === 'hall') {
      announceAtOnce(d('said.already', { name: entry.name }));
      return;
    }
    next();
    void desk.register(entry).then(registered);
  };
  const leave = (entry: BookEntry) => {
    if (!entry.present) return;
    next();
    void desk.leave(entry).then(finish);
  };
  const undo = (step: DeskStep | null) => {
    input.current?.focus();
    if (step === null) {
      announce(d('nothingToUndo'));
      return;
    }
    const { name } = step;
    void desk.undo(step.id).then((after) => {
      if (after === null) announceAtOnce(d('said.notUndoable', { name }));
      else if (after.refused === null) announce(d('said.undone', { name }));
      else announceAtOnce(`${d('step.undoFailed')}. ${errorText(after.refused)}`);
    });
  };
  const keys: Readonly<Record<string, () => void>> = {
    ArrowDown: () => setChosen(found[at + 1]?.user_id ?? chosen),
    ArrowUp: () => setChosen(found[at - 1]?.user_id ?? chosen),
    Enter: () => {
      if (active !== null) register(active);
    },
    Escape: next,
    F2: () => {
      if (active !== null) setDelegating(active.user_id);
    },
    F4: () => {
      if (active !== null) leave(active);
    },
    F8: () => undo(desk.last),
    F9: () => {
      if (onBadge !== null) setPrinting(onBadge.user_id);
    },
  };
  useKeys(keys, input, delegating === null);
  useEffect(() => {
    document.getElementById(`found-${at}`)?.scrollIntoView({ block: 'nearest' });
  }, [at]);

  if (status.phase === 'closed')
    return (
      <RoomClosed
        {...{ status, state, session }}
        api={access.api}
        again={location.href}
        watches={null}
      />
    );
  if (state === null) {
    return (
      <main class="page">
        <ConnectionState status={status} quality={null} />
      </main>
    );
  }
  if (!state.you.roles.includes('moderator')) {
    return (
      <main class="page">
        <Notice look="danger">
          <p>{t('console.notModerator')}</p>
        </Notice>
      </main>
    );
  }
  const delegator = delegating === null ? undefined : view.entries.get(delegating);
  return (
    <main class="desk" data-testid="desk">
      <header class="desk-top">
        <h1 class="name">
          {d('title')} <span class="quiet">{state.session.title}</span>
        </h1>
        <p class="desk-count" data-testid="desk-count">
          <strong>{number(state.quorum?.heads_present ?? 0)}</strong>{' '}
          {d('presentNow', { count: state.quorum?.heads_present ?? 0 })}
        </p>
        <QuorumLine quorum={state.quorum} />
        <ConnectionState status={status} quality={null} />
        <LanguageSwitch />
      </header>
      <RenewalNotice client={client} renewal={renewal} tokens={access.tokens} />
      <div class="desk-main">
        <section class="card stack desk-find" aria-label={d('search')}>
          <label class="field">
            <span>{d('search')}</span>
            <input
              ref={input}
              type="text"
              role="combobox"
              aria-expanded={found.length > 0}
              aria-controls="found"
              aria-activedescendant={active === null ? undefined : `found-${at}`}
              aria-autocomplete="list"
              autoComplete="off"
              autoCapitalize="off"
              spellcheck={false}
              autoFocus
              data-testid="desk-search"
              value={query}
              onInput={(event) => {
                setQuery(event.currentTarget.value);
                setChosen(null);
              }}
            />
          </label>
          <p class="quiet" role="status" data-testid="desk-found">
            {foundText(query, found.length, view.total, view.loading)}
          </p>
          {view.failure !== null && (
            <Notice look="danger" testId="attendance-failure">
              <p>{t('attendance.failed', { why: failureText(view.failure) })}</p>
              <Button label={t('common.retry')} look="small" onPress={() => void book.load()} />
            </Notice>
          )}
          <ul class="desk-results" id="found" role="listbox" aria-label={d('results')}>
            {found.map((entry, index) => (
              <Found
                key={entry.user_id}
                entry={entry}
                index={index}
                active={entry === active}
                onChoose={() => {
                  setChosen(entry.user_id);
                  input.current?.focus();
                }}
              />
            ))}
          </ul>
          {query.trim() !== '' && found.length === 0 && view.total !== null && (
            <p data-testid="desk-nobody">{d('nobody')}</p>
          )}
          {active !== null && (
            <div class="desk-actions" role="group" aria-label={active.name}>
              <Button
                label={d(active.present && active.place === 'hall' ? 'registered' : 'register')}
                about={active.name}
                icon="check"
                look="main"
                testId="desk-register"
                shortcut="Enter"
                once
                disabled={active.present && active.place === 'hall'}
                onPress={() => register(active)}
              />
              <Button
                label={d('delegations')}
                about={active.name}
                testId="desk-delegations"
                shortcut="F2"
                onPress={() => setDelegating(active.user_id)}
              />
              <Button
                label={d('leave')}
                about={active.name}
                icon="leave"
                testId="desk-leave"
                shortcut="F4"
                once
                disabled={!active.present}
                onPress={() => leave(active)}
              />
            </div>
          )}
          <Legend />
        </section>
        <div class="desk-side">
          <QuorumCard {...{ quorum: state.quorum, eligible, api: access.api, session }} decides />
          <Steps
            desk={desk}
            steps={steps}
            onUndo={undo}
            onRetry={(step) => {
              void desk.retry(step.id).then((after) => {
                if (after !== null) finish(after);
              });
            }}
          />
          <section class="card stack desk-badge" aria-labelledby="badge">
            <h2 id="badge">{d('badge.preview')}</h2>
            {onBadge === null ? (
              <p class="quiet">{d('badge.none')}</p>
            ) : (
              <>
                <Badge session={session} title={state.session.title} entry={onBadge} />
                <Button
                  label={d('badge')}
                  testId="badge-print"
                  shortcut="F9"
                  onPress={() => setPrinting(onBadge.user_id)}
                />
              </>
            )}
            <Check
              label={d('printAtOnce')}
              checked={prints}
              testId="desk-prints"
              onChange={setPrints}
            />
          </section>
        </div>
      </div>
      {delegator !== undefined && (
        <Delegations
          entry={delegator}
          book={book}
          desk={desk}
          most={rules}
          onRegistered={registered}
          onClose={() => {
            setDelegating(null);
            input.current?.focus();
          }}
        />
      )}
    </main>
  );
}

function Found(props: { entry: BookEntry; index: number; active: boolean; onChoose: () => void }) {
  const { entry } = props;
  const status = entry.present ? 'present' : entry.left ? 'left' : 'none';
  return (
    <li
      id={`found-${props.index}`}
      role="option"
      aria-selected={props.active}
      class={`desk-row ${status}`}
      data-testid={`found-${entry.user_id}`}
      data-attendance={status}
      onClick={props.onChoose}
    >
      <span class="desk-name name">{entry.name}</span>
      <span class="quiet name" title={entry.units.map((unit) => unit.id).join(', ')}>
        {unitsText(entry)}
        {entry.represents.length > 0 &&
          ` · ${t('attendance.represents', { units: entry.represents.join(', ') })}`}
      </span>
      <span class="desk-status">{presenceText(entry)}</span>
    </li>
  );
}

function Legend() {
  const keys = [
    ['↑ ↓', 'keys.arrows'],
    ['Enter', 'keys.enter'],
    ['F2', 'keys.f2'],
    ['F4', 'keys.f4'],
    ['F8', 'keys.f8'],
    ['F9', 'keys.f9'],
  ] as const;
  return (
    <p class="desk-keys quiet" aria-label={d('keys')} role="note">
      {keys.map(([key, text]) => (
        <span key={key}>
          <kbd>{key}</kbd> {d(text)}
        </span>
      ))}
    </p>
  );
}

function foundText(query: string, found: number, total: number | null, loading: boolean): string {
  if (total === null) return t('attendance.loading');
  if (query.trim() === '') {
    const list = d('list', { count: total });
    return loading ? t('attendance.loading') : `${list}. ${d('hint')}`;
  }
  return found >= FOUND_MAX ? d('foundMore', { count: found }) : d('found', { count: found });
}

/** Keys work wherever the focus is, but in fields only those that write nothing. */
function useKeys(
  keys: Readonly<Record<string, () => void>>,
  input: { readonly current: HTMLInputElement | null },
  on: boolean,
): void {
  const handle = useStable((event: KeyboardEvent) => {
    if (!on || event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
    const writes = !/^F\d+$/.test(event.key);
    if (writes && event.target !== input.current) return;
    const run = keys[event.key];
    if (run === undefined) return;
    event.preventDefault();
    // A held Enter registers one person, not the first of every letter.
    if (!event.repeat || event.key.startsWith('Arrow')) run();
  });
  useLayoutEffect(() => {
    document.addEventListener('keydown', handle);
    return () => document.removeEventListener('keydown', handle);
  }, [handle]);
}

function useSteps(desk: Desk): readonly DeskStep[] {
  const [steps, setSteps] = useState(desk.steps);
  useEffect(() => {
    // What changed since the page was drawn.
    setSteps(desk.steps);
    return desk.subscribe(setSteps);
  }, [desk]);
  return steps;
}

/** How many units of others one person may represent, where the session says it. */
function useRules(access: Access, session: string): number | null {
  const [rules, setRules] = useState<Session['attendance'] | null>(null);
  useEffect(() => {
    // Without it the server still refuses what is too much.
    access.api.session(session).then(
      (found) => setRules(found.attendance ?? null),
      () => undefined,
    );
  }, []);
  return rules?.delegated_units_max ?? null;
}

function makeDesk(access: Access, session: string) {
  const book = new AttendanceBook(access.api, session);
  const client = new RoomClient({
    sessionId: session,
    key: access.key,
    tokens: access.tokens,
    media: false,
    onEvent: (event, now) => {
      book.handleEvent(event);
      if (event.type === 'quorum_changed' && event.turned && event.seq > now.describedSeq) {
        tellQuorum(event, now);
      }
    },
  });
  if (link.debug) expose(client);
  const desk = new Desk(access.api, session, book, tabKeeping(), () => client.clock.now());
  return { client, book, desk };
}

void boot(
  <Follower
    title="attendance.desk"
    role="moderator"
    name="role.moderator"
    waits
    room={(access, session) => <DeskPage access={access} session={session} />}
  />,
);
