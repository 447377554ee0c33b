import { useEffect, useMemo } from 'preact/hooks';
import { t } from '../i18n/i18n';
import { RoomClient } from '../lib';
import type { Access } from '../ui/access';
import { readLink } from '../ui/access';
import { boot, expose } from '../ui/boot';
import { Closed, ConnectionState } from '../ui/connection';
import { Countdown, Holder } from '../ui/floor_card';
import { Follower } from '../ui/follower';
import { useRoom } from '../ui/hooks';
import { narrate } from '../ui/narrator';
import { HallQuorum } from '../ui/quorum';
import { RecordingIndicator } from '../ui/recording';

const link = readLink();
/** Names shown of those who come next. */
const NEXT_SHOWN = 3;

/** The display of the hall: it follows and offers nothing. */
function Hall({ access, session }: { access: Access; session: string }) {
  const client = useMemo(() => {
    const { key, tokens } = access;
    const made = new RoomClient({
      sessionId: session,
      key,
      tokens,
      media: false,
      onEvent: narrate,
    });
    if (link.debug) expose(made);
    return made;
  }, []);
  const { state, status } = useRoom(client);
  useEffect(() => client.join(), []);
  useEffect(keepAwake, []);
  if (status.phase === 'closed')
    return <Closed reason={status.reason} code={status.code} again={location.href} />;
  const turn = state?.floor.turn ?? null;
  const next = state?.floor.queue.slice(0, NEXT_SHOWN) ?? [];
  return (
    <main class="hall" data-testid="hall">
      <header>
        <h1 class="name">{state?.session.title ?? t('hall.waiting')}</h1>
        {state !== null && <RecordingIndicator state={state} />}
        {state !== null && <HallQuorum quorum={state.quorum} />}
        {status.phase !== 'open' && <ConnectionState status={status} quality={null} />}
      </header>
      <section class="now" aria-label={t('meeting.floor')}>
        {state !== null && <Holder state={state} />}
        {turn !== null && <Countdown client={client} turn={turn} />}
      </section>
      <section class="next" aria-labelledby="next">
        <h2 id="next">{t('hall.next')}</h2>
        {next.length === 0 ? (
          <p>{t('hall.nobodyNext')}</p>
        ) : (
          <ol data-testid="hall-next">
            {next.map((request, index) => (
              <li key={request.request_id}>
                {index + 1}. {request.name}
              </li>
            ))}
          </ol>
        )}
      </section>
    </main>
  );
}

/** Keeps the projector lit; the lock ends whenever the page is hidden. */
function keepAwake(): () => void {
  let lock: WakeLockSentinel | null = null;
  const ask = () => {
    if (document.visibilityState !== 'visible' || !('wakeLock' in navigator)) return;
    navigator.wakeLock.request('screen').then(
      (taken) => (lock = taken),
      () => undefined,
    );
  };
  ask();
  document.addEventListener('visibilitychange', ask);
  return () => {
    document.removeEventListener('visibilitychange', ask);
    void lock?.release();
  };
}

boot(
  <Follower
    title="role.hall"
    role="observer"
    name="role.hall"
    waits
    room={(access, session) => <Hall access={access} session={session} />}
  />,
);
