import { useEffect, useState } from 'preact/hooks';
import { connectionText } from '../i18n/connections';
import { errorText, t } from '../i18n/i18n';
import { h, reportWord } from '../i18n/report';
import { exactTime, exactTimeOfDay } from '../i18n/texts';
import type { Session } from '../lib';
import { plain, toldOf } from '../lib';
import type { Access } from '../ui/access';
import { methodText } from '../ui/attendance';
import { boot } from '../ui/boot';
import { Button, Field, Notice, PageHeader } from '../ui/components';
import { Documents } from '../ui/documents';
import { kindText } from '../ui/floor_card';
import { Follower } from '../ui/follower';
import { recordedName } from '../ui/recorded_name';
import { ReadFailure } from '../ui/sign_in';

interface Entry {
  readonly at: string;
  readonly kind: string;
  readonly cause: string | null;
  readonly detail: string | null;
  readonly value: number | null;
  readonly until: string | null;
  readonly by: string | null;
  readonly undone_by: string | null;
}

interface Person {
  readonly user_id: string;
  readonly name: string;
  readonly entries: readonly Entry[];
}

interface Report {
  readonly made_at: string;
  readonly participants: readonly Person[];
}

/** Names shown at once; whoever is not among them is found by the search. */
const NAMES_MAX = 100;

/** Each person's story, for moderators and auditors. */
function ReportPage(props: { access: Access; session: string; found: Session | null }) {
  const { access, session } = props;
  const [report, setReport] = useState<Report | null>(null);
  const [failure, setFailure] = useState<unknown>(null);
  const [chosen, setChosen] = useState(new URLSearchParams(location.search).get('user_id'));
  const [query, setQuery] = useState('');
  useEffect(() => {
    const path = `/api/v1/sessions/${encodeURIComponent(session)}/report`;
    access.api.request<Report>('GET', path).then(setReport, setFailure);
  }, []);
  const words = plain(query.trim());
  const found = report?.participants.filter((one) => plain(nameOf(one)).includes(words)) ?? [];
  const person = report?.participants.find((one) => one.user_id === chosen) ?? null;
  return (
    <main class="page wide stack" data-testid="report">
      <PageHeader title={h('title')} />
      {props.found?.status === 'cancelled' && (
        <Notice look="warn" testId="report-cancelled">
          <p>{t('closed.cancelled.title')}</p>
        </Notice>
      )}
      <p class="no-print">{h('intro')}</p>
      <Documents access={access} session={session} />
      <ReadFailure error={failure} tokens={access.tokens} testId="report-failure" />
      {report === null && failure === null && <p role="status">{t('common.loading')}</p>}
      {report !== null && (
        <div class="report">
          <nav class="stack no-print" aria-label={h('people')}>
            <Field label={h('search')}>
              <input
                type="search"
                autoComplete="off"
                data-testid="report-search"
                value={query}
                onInput={(event) => setQuery(event.currentTarget.value)}
              />
            </Field>
            {found.length === 0 && <p>{h('nobody')}</p>}
            <ul class="report-people" tabIndex={0} aria-label={h('people')}>
              {found.slice(0, NAMES_MAX).map((one) => (
                <li key={one.user_id}>
                  <Button
                    label={nameOf(one)}
                    look={one === person ? 'main wide' : 'wide'}
                    pressed={one === person}
                    testId={`report-${one.user_id}`}
                    onPress={() => setChosen(one.user_id)}
                  />
                </li>
              ))}
            </ul>
          </nav>
          {person === null ? (
            <p>{h('choose')}</p>
          ) : (
            <Story person={person} people={report.participants} madeAt={report.made_at} />
          )}
        </div>
      )}
    </main>
  );
}

function nameOf(person: Person): string {
  const name = recordedName(person);
  return name === '' ? person.user_id : name;
}

function Story(props: { person: Person; people: readonly Person[]; madeAt: string }) {
  const { person, people, madeAt } = props;
  const named = (user: string) => {
    const found = people.find((one) => one.user_id === user);
    return found === undefined ? user : nameOf(found);
  };
  return (
    <section class="stack" aria-labelledby="story" data-testid="story" data-user={person.user_id}>
      <h2 id="story" class="name">
        {nameOf(person)}
      </h2>
      <p class="quiet">
        {h('entries', { count: person.entries.length })} ·{' '}
        {h('madeAt', { when: exactTime(Date.parse(madeAt)) })}
      </p>
      <div class="no-print">
        <Button label={h('print')} testId="report-print" onPress={() => window.print()} />
      </div>
      <table>
        <thead>
          <tr>
            <th scope="col">{h('time')}</th>
            <th scope="col">{h('what')}</th>
            <th scope="col">{h('why')}</th>
          </tr>
        </thead>
        <tbody>
          {person.entries.map((entry, at) => (
            <tr
              key={at}
              data-testid="report-entry"
              data-kind={entry.kind}
              data-undone={entry.undone_by !== null}
            >
              <td>
                <time dateTime={entry.at} title={exactTime(Date.parse(entry.at))}>
                  {exactTimeOfDay(Date.parse(entry.at))}
                </time>
              </td>
              <td>
                {reportWord('kind', entry.kind) ?? h('kind.other')}
                {detailText(entry)}
              </td>
              <td>{causeText(entry, named)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

/** What the detail says depends on the kind of the entry. */
function detailText({ kind, detail, until }: Entry): string {
  if (detail === null) return '';
  if (kind.startsWith('speech_') || kind.startsWith('turn_')) return ` · ${kindText(detail)}`;
  if (kind.startsWith('attendance_') || kind === 'validation_refused')
    return ` · ${methodText(detail)}`;
  if (kind === 'connection_bad' && until !== null)
    return ` · ${h('until', { when: exactTimeOfDay(Date.parse(until)) })}`;
  return kind.startsWith('delegat') ? ` · ${detail}` : '';
}

/** Why, who decided it, and who took that back. */
function causeText(entry: Entry, named: (user: string) => string): string {
  const { cause, by, undone_by } = entry;
  return [
    ...(cause === null ? [] : [reasonText(entry, cause)]),
    ...(by === null ? [] : [h('by', { who: named(by) })]),
    ...(undone_by === null ? [] : [h('undone', { who: named(undone_by) })]),
  ].join(' · ');
}

/** What a moderator wrote, a word of the record, or the code of a refusal. */
function reasonText({ kind, detail, value }: Entry, cause: string): string {
  if (kind === 'connection_bad') {
    const told = toldOf({ level: detail ?? '', cause, value });
    return told === null ? '' : connectionText(told);
  }
  if (kind === 'speech_denied') return `“${cause}”`;
  const code = cause.toUpperCase();
  return (
    reportWord('cause', cause) ?? errorText(kind === 'validation_refused' ? proof(code) : code)
  );
}

/** The record has reasons of a proof without what all their codes begin with. */
function proof(reason: string): string {
  if (reason === 'SERVICE_UNAVAILABLE') return 'DEPENDENCY_UNAVAILABLE';
  const whole = ['INVALID', 'EXPIRED', 'REPLAYED', 'WRONG_CONTEXT'].includes(reason);
  return whole ? `PROOF_${reason}` : reason;
}

void boot(
  <Follower
    title="attendance.title"
    role="moderator"
    name="role.moderator"
    waits={false}
    room={(access, session, found) => (
      <ReportPage access={access} session={session} found={found} />
    )}
  />,
);
