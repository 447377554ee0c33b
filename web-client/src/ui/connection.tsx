import type { ComponentChildren } from 'preact';
import { isKey, t } from '../i18n/i18n';
import type { Key } from '../i18n/catalogues';
import { number } from '../i18n/texts';
import type { ChannelStatus, Judgement, QualityCause } from '../lib';
import { canCarryMedia, forgetVisits } from '../lib';
import type { Ending } from './ending';
import { useNow } from './hooks';
import { Icon } from './icons';

/** After so long without a first connection the person is told what may be in the way. */
const BLOCKED_AFTER_MS = 10_000;

/** Whether and how well we are connected, in words, with seconds while we are not. */
export function ConnectionState(props: {
  status: ChannelStatus;
  quality: Judgement | null;
  /** Whether the server answers, as far as it was asked. */
  answering?: boolean;
}) {
  const { status, answering = true } = props;
  const quality = props.quality?.quality ?? null;
  const cause = props.quality?.cause ?? null;
  const lost = status.phase === 'reconnecting';
  const connecting = status.phase === 'connecting';
  const now = useNow(500, lost || connecting);
  if (lost) {
    const seconds = Math.max(0, Math.round((now - status.sinceMs) / 1000));
    return (
      <span class="connection lost" data-testid="connection-state" data-phase="reconnecting">
        <Icon name="lost" />
        {t('connection.reconnecting', { seconds })}
      </span>
    );
  }
  if (connecting && now - status.sinceMs > BLOCKED_AFTER_MS) {
    return (
      <span
        class="connection lost"
        role="status"
        data-testid="connection-state"
        data-phase="connecting"
        data-blocked="true"
      >
        <Icon name="lost" />
        {t('connection.blocked')}
      </span>
    );
  }
  if (status.phase === 'open' && !answering) {
    return (
      <span
        class="connection lost"
        role="status"
        data-testid="connection-state"
        data-phase="open"
        data-answering="false"
      >
        <Icon name="lost" />
        {t('connection.unanswered')}
      </span>
    );
  }
  if (status.phase === 'open' && !canCarryMedia()) {
    return (
      <span
        class="connection lost"
        role="status"
        data-testid="connection-state"
        data-phase="open"
        data-media="none"
      >
        <Icon name="lost" />
        {t('connection.no_media')}
      </span>
    );
  }
  const key: Key =
    status.phase !== 'open'
      ? 'connection.connecting'
      : quality === null
        ? 'connection.open'
        : `connection.${quality}`;
  return (
    <span
      class={`connection ${quality ?? ''}`}
      data-testid="connection-state"
      data-phase={status.phase}
      data-quality={quality ?? undefined}
      data-cause={status.phase === 'open' ? cause?.kind : undefined}
    >
      <Icon name="signal" />
      {status.phase === 'open' && cause !== null
        ? t('connection.because', { state: t(key), cause: causeText(cause) })
        : t(key)}
    </span>
  );
}

/** What is wrong with the connection, in words. */
function causeText(cause: QualityCause): string {
  switch (cause.kind) {
    case 'delay':
      return t('connection.delay', { seconds: number(cause.ms / 1000, 1) });
    case 'uplink_jitter':
    case 'downlink_jitter':
      return t(`connection.${cause.kind}`, { ms: number(cause.ms) });
    case 'downlink_bandwidth':
      return t('connection.downlink_bandwidth', { kbps: number(cause.kbps) });
    case 'relayed_by_tcp':
      return t('connection.relayed_by_tcp');
    case 'no_media':
      return t('connection.nothing_arrives');
    case 'sent_lost':
    case 'received_lost': {
      // A loss that is told is never told as nothing.
      const percent = number(Math.max(1, cause.share * 100));
      return t(`connection.${cause.kind}`, { percent });
    }
  }
}

/** Why the room is closed to this page, and the way back if there is one. */
export function Closed(props: {
  reason: Ending;
  code: string | null;
  again: string;
  /** What can be done once it is over. */
  children?: ComponentChildren;
}) {
  const { reason, code, again } = props;
  // The reason that the page knows says more than the server's code.
  const known = reason === 'removed' || reason === 'cancelled';
  const why = code === null || known ? null : `error.${code}`;
  const back = reason === 'left' || reason === 'replaced' || reason === 'sign_in_required';
  return (
    <main
      class="page stack"
      data-testid="closed"
      data-reason={reason === 'removed' ? 'forbidden' : reason}
      data-removed={reason === 'removed' ? 'true' : undefined}
    >
      <h1>{t(`closed.${reason}.title`)}</h1>
      <p>{why !== null && isKey(why) ? t(why) : t(`closed.${reason}.text`)}</p>
      {back && (
        <p>
          <a class="button main" href={again} data-testid="rejoin" onClick={() => forgetVisits()}>
            {t('closed.rejoin')}
          </a>
        </p>
      )}
      {props.children}
    </main>
  );
}
