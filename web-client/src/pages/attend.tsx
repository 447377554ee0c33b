import { a } from '../i18n/attend';
import type { Session } from '../lib';
import type { Access } from '../ui/access';
import { Attend } from '../ui/attend';
import { boot } from '../ui/boot';
import { PageHeader } from '../ui/components';
import { Follower } from '../ui/follower';
import { SessionFacts } from '../ui/session_facts';

/** For people in a hall: proves presence without entering the room. */
function AttendPage(props: { access: Access; session: string; found: Session | null }) {
  const { access, session, found } = props;
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

void boot(
  <Follower
    title="attend.title"
    role="participant"
    name="role.participant"
    waits
    room={(access, session, found) => (
      <AttendPage access={access} session={session} found={found} />
    )}
  />,
);
