import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { Key } from '../i18n/i18n';
import { t } from '../i18n/i18n';
import { SignInRequired } from '../lib';
import type { Access } from './access';
import { accessOf, devPerson, isUuid, openDoor, readLink, rememberPerson } from './access';
import { Button, Notice, PageHeader, failureText } from './components';
import { DevForm } from './dev_form';

const link = readLink();

/**
 * For pages that enter a room without a join page: signs in, on a development
 * server by asking who one is, and then shows the room.
 */
export function Follower(props: {
  title: Key;
  role: string;
  /** What somebody without a name is called on a development server. */
  name: Key;
  room: (access: Access, session: string) => ComponentChildren;
}) {
  const [person, setPerson] = useState(() => {
    const found = devPerson(link, props.role);
    return found.name === '' ? { ...found, name: t(props.name) } : found;
  });
  const [entered, setEntered] = useState<{ access: Access; session: string } | null>(null);
  const [failure, setFailure] = useState('');
  const [asks, setAsks] = useState(false);
  const session = link.session ?? link.sessionId;
  const enter = async () => {
    setFailure('');
    try {
      const door = await openDoor();
      if (session === null) return;
      if (door.config.dev && !isUuid(person.tenant)) {
        setAsks(true);
        return;
      }
      rememberPerson(person);
      const access = accessOf(door, session, person);
      await access.tokens.current();
      setEntered({ access, session });
    } catch (error) {
      if (!(error instanceof SignInRequired)) setFailure(failureText(error));
    }
  };
  useEffect(() => void enter(), []);
  if (entered !== null) return <>{props.room(entered.access, entered.session)}</>;
  return (
    <main class="page stack">
      <PageHeader title={t(props.title)} />
      {session === null && (
        <Notice look="danger">
          <p>{t('join.noSession')}</p>
        </Notice>
      )}
      {failure !== '' && (
        <Notice look="danger">
          <p>{failure}</p>
        </Notice>
      )}
      {asks && (
        <DevForm person={person} onChange={(change) => setPerson({ ...person, ...change })} />
      )}
      {(asks || failure !== '') && session !== null && (
        <Button label={t('join.join')} look="main" onPress={() => void enter()} />
      )}
    </main>
  );
}
