import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Key } from '../i18n/catalogues';
import { t } from '../i18n/i18n';
import type { Session } from '../lib';
import { ApiError, SignInRequired } from '../lib';
import type { Access, Door } from './access';
import {
  accessOf,
  devPerson,
  isUuid,
  openDoor,
  readLink,
  rememberPerson,
  signedIn,
} from './access';
import { Button, PageHeader } from './components';
import { DevForm } from './dev_form';
import { isOver, neverHeld } from './ending';
import { SessionFacts } from './session_facts';
import { SessionOver } from './session_over';
import { Failure } from './sign_in';

const link = readLink();
/** How often a page that waits for the start asks whether it has come. */
const POLL_MS = 5_000;

/**
 * For pages that enter a room without a join page: signs in, on a development
 * server by asking who one is, waits for the start where `waits`, and then shows
 * the room.
 */
export function Follower(props: {
  title: Key;
  role: string;
  /** What somebody without a name is called on a development server. */
  name: Key;
  /** Whether the page is only good while the session runs. */
  waits: boolean;
  /** `found` is the session, where it could be read. */
  room: (access: Access, session: string, found: Session | null) => ComponentChildren;
  /** What else is shown to whoever waits for the start. */
  waiting?: (access: Access, session: Session) => ComponentChildren;
}) {
  const [person, setPerson] = useState(() => {
    const found = devPerson(link, props.role);
    return found.name === '' ? { ...found, name: t(props.name) } : found;
  });
  const [entered, setEntered] = useState<{ access: Access; session: string } | null>(null);
  const [failure, setFailure] = useState<unknown>(null);
  const [access, setAccess] = useState<Access | null>(null);
  const [awaited, setAwaited] = useState<Session | null>(null);
  const [asks, setAsks] = useState(false);
  const [over, setOver] = useState(false);
  /** Loaded when it is wanted: links name a session. */
  const [chooser, setChooser] = useState<ComponentChildren>(null);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const session = link.session ?? link.sessionId;
  const enter = async () => {
    clearTimeout(timer.current);
    try {
      const door: Door = await openDoor();
      if (session === null) {
        const { ChooseSession } = await import('./choose_session');
        setChooser(<ChooseSession />);
        return;
      }
      if (door.config.dev && !isUuid(person.tenant)) {
        setAsks(true);
        return;
      }
      rememberPerson(person);
      const found = accessOf(door, session, person);
      setAccess(found);
      await signedIn(found);
      const asked = found.api.session(session);
      const awaits = await (props.waits ? asked : asked.catch(() => null));
      setFailure(null);
      setAwaited(awaits);
      if (awaits !== null && (props.waits ? isOver : neverHeld)(awaits)) setOver(true);
      else if (props.waits && awaits?.status === 'scheduled')
        timer.current = setTimeout(() => void enter(), POLL_MS);
      else setEntered({ access: found, session });
    } catch (error) {
      if (error instanceof SignInRequired) return;
      setFailure(error);
      // A server or network that is away comes back; a hall has nobody at the keyboard.
      const passes = error instanceof ApiError && (error.status === 0 || error.status >= 500);
      if (passes && !error.code.startsWith('SIGN_IN_') && error.code !== 'INSECURE_PAGE') {
        timer.current = setTimeout(() => void enter(), POLL_MS);
      }
    }
  };
  useEffect(() => {
    void enter();
    return () => clearTimeout(timer.current);
  }, []);
  if (entered !== null) return <>{props.room(entered.access, entered.session, awaited)}</>;
  if (over && access !== null && awaited !== null)
    return <SessionOver access={access} found={awaited} />;
  return (
    <main class="page stack" data-testid="waiting-room">
      <PageHeader title={awaited?.title ?? t(props.title)} />
      {chooser}
      {failure !== null && (
        <Failure
          error={failure}
          tokens={access?.tokens ?? null}
          testId="enter-failure"
          onSignedIn={() => void enter()}
        />
      )}
      {awaited !== null && failure === null && (
        <>
          <p role="status" data-testid="awaits-start">
            {t('follower.waits')}
          </p>
          <SessionFacts session={awaited} />
          {access !== null && props.waiting?.(access, awaited)}
        </>
      )}
      {asks && (
        <DevForm person={person} onChange={(change) => setPerson({ ...person, ...change })} />
      )}
      {(asks || failure !== null) && session !== null && (
        <Button
          label={t(asks ? 'join.join' : 'common.retry')}
          look="main"
          onPress={() => void enter()}
        />
      )}
    </main>
  );
}
