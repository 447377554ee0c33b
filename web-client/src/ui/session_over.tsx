import { useEffect, useState } from 'preact/hooks';
import { t } from '../i18n/i18n';
import type { Session } from '../lib';
import { mayWatch } from '../lib';
import type { Access } from './access';
import { rolesOf } from './access';
import { AfterEnd } from './after_end';
import { PageHeader } from './components';
import { neverHeld } from './ending';

/** For whoever opens a page of a session that nobody can enter any more. */
export function SessionOver({ access, found }: { access: Access; found: Session }) {
  const [watches, setWatches] = useState(false);
  useEffect(() => {
    rolesOf(access).then(
      (roles) => setWatches(mayWatch(roles)),
      () => undefined,
    );
  }, []);
  const reason = found.status === 'cancelled' ? 'cancelled' : 'over';
  return (
    <main class="page stack" data-testid="closed" data-reason={reason}>
      <PageHeader title={t(`closed.${reason}.title`)} />
      <p class="name">{found.title}</p>
      <p>{t(reason === 'over' ? 'join.over' : 'closed.cancelled.text')}</p>
      {!neverHeld(found) && <AfterEnd session={found.id} {...{ reason, watches }} />}
    </main>
  );
}
