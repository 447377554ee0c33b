import { dateTime, t } from '../i18n/i18n';
import type { Session } from '../lib';
import { Notice } from './components';

/** What everybody should know of a session before being in it. */
export function SessionFacts({ session }: { session: Session }) {
  return (
    <div class="stack">
      <p class="row">
        <span class="badge" data-testid="session-status">
          {t(`session.status.${session.status}`)}
        </span>
        <span class="badge">{t(`session.modality.${session.modality}`)}</span>
        <span class="badge">{t(`session.moderation.${session.moderation}`)}</span>
      </p>
      {session.status === 'scheduled' && session.scheduled_start_at !== null && (
        <p>{t('session.startsAt', { when: dateTime(session.scheduled_start_at) })}</p>
      )}
      {session.recording.enabled && (
        <Notice look="warn" testId="recording-policy">
          <p>{t('session.recorded', { days: session.recording.retention_days })}</p>
        </Notice>
      )}
      {session.live_viewing && (
        <Notice look="warn" testId="live-viewing-policy">
          <p>{t('session.watched')}</p>
        </Notice>
      )}
      {session.transcription.enabled && (
        <Notice testId="transcription-policy">
          <p>{t('session.transcribed')}</p>
        </Notice>
      )}
    </div>
  );
}
