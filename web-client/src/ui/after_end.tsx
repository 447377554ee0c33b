import { t } from '../i18n/i18n';
import type { Ending } from './ending';
import { SaveProof, hasProof } from './witness';

/** What somebody can do when they are no longer in the room. */
export function AfterEnd(props: {
  session: string;
  reason: Ending;
  /** Whether their roles let them watch the recording. */
  watches: boolean;
}) {
  const { session, reason, watches } = props;
  if (reason !== 'over' && reason !== 'left' && reason !== 'cancelled') return null;
  const query = new URLSearchParams(location.search);
  query.delete('session');
  query.set('session_id', session);
  return (
    <section class="card stack" aria-labelledby="after" data-testid="after-end">
      <h2 id="after">{t('after.title')}</h2>
      {hasProof(session) && (
        <div class="stack">
          <p>{t('after.proof')}</p>
          <div class="row">
            <SaveProof session={session} />
          </div>
        </div>
      )}
      <div class="row">
        <a class="button" href={`/verify?session=${session}`} data-testid="after-verify">
          {t('after.verify')}
        </a>
        {watches && (
          <a class="button" href={`/recording?${query.toString()}`} data-testid="after-watch">
            {t('after.watch')}
          </a>
        )}
      </div>
    </section>
  );
}
