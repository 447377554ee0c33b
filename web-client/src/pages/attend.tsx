import { useEffect, useState } from 'preact/hooks';
import { a } from '../i18n/attend';
import type { Session } from '../lib';
import type { Access } from '../ui/access';
import { Attend } from '../ui/attend';
import { boot } from '../ui/boot';
import { PageHeader } from '../ui/components';
import { Follower } from '../ui/follower';
import { SessionFacts } from '../ui/session_facts';

/** For people in a hall: proves presence without entering the room. */
function AttendPage({ access, session }: { access: Access; session: string }) {
  const [found, setFound] = useState<Session | null>(null);
  useEffect(() => {
    // Without it everything works, and only the facts are missing.
    access.api.session(session).then(setFound, () => undefined);
  }, []);
  return (
    <main class="page stack">
      <PageHeader title={a('title')} />
      {found !== null && (
        <>
          <h2 class="name">{found.title}</h2>
          <SessionFacts session={found} />
        </>
      )}
      <Attend api={access.api} session={session} hall={found?.modality !== 'virtual'} />
      <p>
        <a href={`/join${location.search}`} data-testid="attend-enter">
          {a('enter')}
        </a>
      </p>
    </main>
  );
}

boot(
  <Follower
    title="attend.title"
    role="participant"
    name="role.participant"
    waits
    room={(access, session) => <AttendPage access={access} session={session} />}
  />,
);
