import { useEffect, useState } from 'preact/hooks';
import type { EligibleListView } from '../generated/wire';
import { dateTime, t, timeOfDay } from '../i18n/i18n';
import { number } from '../i18n/texts';
import type { ApiClient, QuorumNow, QuorumPart, QuorumState } from '../lib';
import { attendancePath, percentOf, quorumParts } from '../lib';
import { Button, Dialog, Notice, failureText, showFailure } from './components';
import type { EligibleList } from './eligible_list';
import { Icon } from './icons';

/** Weights have six decimal places at most; nobody reads that many. */
const WEIGHT_DIGITS = 2;

function percent(share: number, needed: number | null): string {
  const value = percentOf(share, needed);
  return `${number(value, Number.isInteger(value) ? 0 : 2)} %`;
}

function amount(part: QuorumPart, value: number): string {
  return number(value, part.of === 'heads' || Number.isInteger(value) ? 0 : WEIGHT_DIGITS);
}

/** Whether it is a quorum, in words. */
export function quorumHeadline(quorum: QuorumState): string {
  if (!quorum.roll_known) return t('quorum.unknown');
  return t(quorum.reached ? 'quorum.reached' : 'quorum.notReached');
}

/** What is present of one of both parts, in words. */
export function quorumPartText(quorum: QuorumState, part: QuorumPart): string {
  const values = {
    present: amount(part, part.present),
    total: amount(part, part.total),
    percent: percent(part.share, part.needed),
  };
  const text = t(part.of === 'heads' ? 'quorum.heads' : 'quorum.weight', values);
  const needed = neededText(quorum, part);
  return needed === null ? text : `${text} · ${needed}`;
}

/** What the call needs of one of both parts; null when it does not matter. */
export function neededText(quorum: QuorumState, part: QuorumPart): string | null {
  if (part.needed === null) return null;
  const share = percent(part.needed, null);
  return t(quorum.comparison === 'more_than' ? 'quorum.needsMore' : 'quorum.needsAtLeast', {
    share,
  });
}

/** The quorum on one line, for whoever takes part. */
export function QuorumLine({ quorum }: { quorum: QuorumState | null }) {
  if (quorum?.roll_known !== true) return null;
  const [first] = quorumParts(quorum);
  return (
    <p
      class={`quorum-line ${quorum.reached ? 'reached' : ''}`}
      data-testid="quorum"
      data-reached={quorum.reached}
      title={quorumParts(quorum)
        .map((part) => quorumPartText(quorum, part))
        .join('; ')}
    >
      <Icon name={quorum.reached ? 'check' : 'waiting'} />
      <strong>{quorumHeadline(quorum)}</strong>{' '}
      <span>
        {t(first.of === 'heads' ? 'quorum.short.heads' : 'quorum.short.weight', {
          percent: percent(first.share, first.needed),
        })}
      </span>
    </p>
  );
}

/** The quorum for a projector: whether there is one, and by how much. */
export function HallQuorum({ quorum }: { quorum: QuorumState | null }) {
  if (quorum?.roll_known !== true) return null;
  return (
    <div
      class={`hall-quorum ${quorum.reached ? 'reached' : ''}`}
      data-testid="quorum"
      data-reached={quorum.reached}
    >
      <strong>{quorumHeadline(quorum)}</strong>
      {quorumParts(quorum).map((part) => (
        <span key={part.of}>
          {part.of === 'heads'
            ? t('quorum.hall.heads', {
                present: amount(part, part.present),
                total: amount(part, part.total),
              })
            : t('quorum.hall.weight', { percent: percent(part.share, part.needed) })}
        </span>
      ))}
    </div>
  );
}

/** A part as a bar with a mark at what is needed. */
export function QuorumBar({ quorum, part }: { quorum: QuorumState; part: QuorumPart }) {
  const text = quorumPartText(quorum, part);
  return (
    <div class="quorum-part" data-testid={`quorum-${part.of}`} data-present={part.present}>
      <span>{text}</span>
      {/* Widths come by attribute: the policy of the pages takes no inline styles. */}
      <svg class="quorum-bar" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">
        <rect class="back" width="100" height="6" />
        <rect class="fill" width={part.share * 100} height="6" />
        {part.needed !== null && (
          <rect class="mark" x={Math.max(0, part.needed * 100 - 0.4)} width="0.8" height="6" />
        )}
      </svg>
    </div>
  );
}

/** What of the eligible list does not hold; loaded when there is something. */
function ListProblems({ list }: { list: EligibleListView | null }) {
  const [shown, setShown] = useState<{ Of: typeof EligibleList } | null>(null);
  const some = list !== null && (list.refused !== null || list.delegations_left_out_total > 0);
  useEffect(() => {
    if (some && shown === null)
      import('./eligible_list').then(({ EligibleList: Of }) => setShown({ Of }), showFailure);
  }, [some]);
  return !some || shown === null ? null : <shown.Of list={list} />;
}

/** The quorum with everything that a moderator needs. */
export function QuorumCard(props: {
  quorum: QuorumState | null;
  eligible: EligibleListView | null;
  api: ApiClient;
  session: string;
  /** A second call may be begun from here. */
  decides: boolean;
}) {
  const { quorum } = props;
  const [history, setHistory] = useState(false);
  const [calling, setCalling] = useState(false);
  if (quorum === null) return null;
  const since =
    quorum.since === null
      ? null
      : t(quorum.reached ? 'quorum.since' : 'quorum.lostSince', { time: timeOfDay(quorum.since) });
  return (
    <section
      class={`card quorum-card ${quorum.reached ? 'reached' : ''}`}
      aria-labelledby="quorum"
      data-testid="quorum"
      data-reached={quorum.reached}
      data-call={quorum.call}
    >
      <div class="spread">
        <h2 id="quorum">
          <Icon name={quorum.reached ? 'check' : 'waiting'} /> {quorumHeadline(quorum)}
        </h2>
        <span class="badge">
          {t(quorum.call === 'second' ? 'quorum.call.second' : 'quorum.call.first')}
        </span>
      </div>
      {quorum.roll_known ? (
        quorumParts(quorum).map((part) => <QuorumBar key={part.of} quorum={quorum} part={part} />)
      ) : (
        <p class="quiet">{t('quorum.unknownText')}</p>
      )}
      <ListProblems list={props.eligible} />
      <div class="row">
        {since !== null && <span class="quiet">{since}</span>}
        <Button
          label={t('quorum.history')}
          look="small"
          testId="quorum-history-button"
          onPress={() => setHistory(true)}
        />
        {props.decides && quorum.call === 'first' && !quorum.reached && quorum.roll_known && (
          <Button
            label={t('quorum.secondCall')}
            look="small"
            testId="second-call"
            onPress={() => setCalling(true)}
          />
        )}
      </div>
      {history && <QuorumHistory {...props} onClose={() => setHistory(false)} />}
      {calling && <SecondCallDialog {...props} onClose={() => setCalling(false)} />}
    </section>
  );
}

function SecondCallDialog(props: { api: ApiClient; session: string; onClose: () => void }) {
  const [failure, setFailure] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const begin = () => {
    setBusy(true);
    props.api
      .request('POST', attendancePath(props.session, '/second-call'))
      .then(props.onClose, (error: unknown) => {
        setFailure(error);
        setBusy(false);
      });
  };
  return (
    <Dialog title={t('quorum.secondCallTitle')} testId="second-call-dialog" onClose={props.onClose}>
      <p>{t('quorum.secondCallText')}</p>
      {failure !== null && (
        <Notice look="danger">
          <p>{failureText(failure)}</p>
        </Notice>
      )}
      <div class="spread">
        <Button label={t('common.cancel')} onPress={props.onClose} />
        <Button
          label={t('quorum.secondCall')}
          look="main"
          testId="second-call-confirm"
          once
          disabled={busy}
          onPress={begin}
        />
      </div>
    </Dialog>
  );
}

function QuorumHistory(props: { api: ApiClient; session: string; onClose: () => void }) {
  const { api, session } = props;
  const [now, setNow] = useState<QuorumNow | null>(null);
  const [failure, setFailure] = useState<unknown>(null);
  useEffect(() => {
    api.request<QuorumNow>('GET', attendancePath(session, '/quorum')).then(setNow, setFailure);
  }, []);
  return (
    <Dialog title={t('quorum.history')} testId="quorum-history" onClose={props.onClose}>
      {failure !== null && (
        <Notice look="danger">
          <p>{failureText(failure)}</p>
        </Notice>
      )}
      {now === null && failure === null && <p>{t('common.loading')}</p>}
      {now?.history.length === 0 && <p>{t('quorum.never')}</p>}
      <ol class="quorum-changes" tabIndex={0} aria-label={t('quorum.history')}>
        {now?.history.toReversed().map((change) => (
          <li key={change.at} data-testid="quorum-change" data-reached={change.reached}>
            <time dateTime={change.at}>{dateTime(change.at)}</time>
            <span>
              <strong>{t(change.reached ? 'quorum.wasReached' : 'quorum.wasLost')}</strong>{' '}
              {t('quorum.then', {
                heads: change.heads_present,
                weight: number(
                  Number(change.weight_present),
                  Number.isInteger(Number(change.weight_present)) ? 0 : WEIGHT_DIGITS,
                ),
              })}{' '}
              · {t(change.call === 'second' ? 'quorum.call.second' : 'quorum.call.first')}
            </span>
          </li>
        ))}
      </ol>
      <Button label={t('common.close')} onPress={props.onClose} />
    </Dialog>
  );
}

/** Tells that a quorum was reached or lost. */
export function quorumSaid(quorum: QuorumState): string {
  const [first] = quorumParts(quorum);
  const text = t(quorum.reached ? 'quorum.said.reached' : 'quorum.said.lost');
  return `${text} ${quorumPartText(quorum, first)}`;
}
