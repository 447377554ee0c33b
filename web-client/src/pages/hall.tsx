import { useEffect, useMemo } from 'preact/hooks';
import { clock, t } from '../i18n/i18n';
import type { RoomState, TimedTurn } from '../lib';
import { RoomClient, announced, announcementAfter, presenceOf, turnTime } from '../lib';
import type { Access } from '../ui/access';
import { readLink } from '../ui/access';
import { boot, expose } from '../ui/boot';
import { HallCaptions } from '../ui/captions';
import { ConnectionState } from '../ui/connection';
import { Fit } from '../ui/fit';
import { kindText } from '../ui/floor_card';
import { Follower } from '../ui/follower';
import { useCalmRoom, useNow } from '../ui/hooks';
import type { IconName } from '../ui/icons';
import { Icon } from '../ui/icons';
import { narrate } from '../ui/narrator';
import { HallQuorum } from '../ui/quorum';
import { RecordingIndicator } from '../ui/recording';
import { RoomClosed } from '../ui/room_closed';
import { HallVote } from '../ui/votes';

const link = readLink();
/** Names shown of those who come next. */
const NEXT_SHOWN = 3;
/** How long an announcement stays: nobody is at a projector to put it away. */
const ANNOUNCED_MS = 120_000;

/** The display of the hall: it follows and offers nothing. */
function Hall({ access, session }: { access: Access; session: string }) {
  const client = useMemo(() => {
    const { key, tokens } = access;
    const made = new RoomClient({
      sessionId: session,
      key,
      tokens,
      media: false,
      reliedOn: true,
      onEvent: narrate,
    });
    if (link.debug) expose(made);
    return made;
  }, []);
  const { state, status, answering } = useCalmRoom(client);
  useEffect(() => client.join(), []);
  useEffect(keepAwake, []);
  if (status.phase === 'closed')
    return (
      <RoomClosed
        {...{ status, state, session }}
        api={access.api}
        again={location.href}
        watches={null}
      />
    );
  const turn = state?.floor.turn ?? null;
  const next = state?.floor.queue.slice(0, NEXT_SHOWN) ?? [];
  return (
    <main class="hall" data-testid="hall">
      <header>
        <h1>
          <Fit text={state?.session.title ?? t('hall.waiting')} min={10} max={40} />
        </h1>
        {state !== null && <RecordingIndicator state={state} />}
        {state !== null && <HallQuorum quorum={state.quorum} />}
        {(status.phase !== 'open' || !answering) && (
          <ConnectionState status={status} quality={null} answering={answering} />
        )}
      </header>
      {state !== null && <Announced client={client} state={state} />}
      {state !== null && <HallVote client={client} state={state} />}
      {state !== null && turn !== null ? (
        <Now client={client} state={state} turn={turn} />
      ) : (
        <section class="now" aria-label={t('meeting.floor')}>
          {state !== null && (
            <div class="holder" data-testid="floor-holder">
              <Fit text={t('floor.nobody')} min={24} max={160} />
            </div>
          )}
        </section>
      )}
      {state !== null && <HallCaptions client={client} state={state} />}
      <section class="next" aria-labelledby="next">
        <h2 id="next">{t('hall.next')}</h2>
        {next.length === 0 ? (
          state !== null && <p>{t('hall.nobodyNext')}</p>
        ) : (
          <ol data-testid="hall-next">
            {next.map((request, index) => (
              <li key={request.request_id}>
                <Fit text={`${index + 1}. ${request.name}`} min={9} max={56} />
              </li>
            ))}
          </ol>
        )}
      </section>
    </main>
  );
}

/** What must not be mistaken from twenty metres, the gravest first. */
type Warning = 'paused' | 'absent' | 'muted' | 'off' | 'over';

const WARNINGS: Readonly<Record<Warning, IconName>> = {
  paused: 'pause',
  absent: 'lost',
  muted: 'locked',
  off: 'microphoneOff',
  over: 'waiting',
};

function warningsOf(state: RoomState, turn: TimedTurn, over: boolean): readonly Warning[] {
  const presence = presenceOf(state, turn);
  const one = turn.in_hall ? undefined : state.participants.get(turn.user_id);
  const found: Warning[] = [];
  if (!turn.running) found.push('paused');
  if (presence === 'away' || presence === 'absent') found.push('absent');
  else if (one?.muted === true) found.push('muted');
  else if (one?.audio === false && turn.running) found.push('off');
  if (over) found.push('over');
  return found;
}

/** Who has the floor and for how long, and what keeps them from being heard. */
function Now({ client, state, turn }: { client: RoomClient; state: RoomState; turn: TimedTurn }) {
  const now = useNow(250, turn.running);
  const { leftMs, level } = turnTime(turn, client.clock.now(now));
  const warnings = warningsOf(state, turn, leftMs < 0);
  return (
    <section
      class={`now ${level} ${warnings.join(' ')}`}
      aria-label={t('meeting.floor')}
      data-testid="hall-now"
      data-warnings={warnings.join(' ')}
    >
      <p class="quiet">
        {t(turn.running ? 'floor.speaking' : 'floor.paused')} · {kindText(turn.kind)}
        {turn.in_hall && ` · ${t('floor.inHall')}`}
        {state.floor.interrupted.map((one) => ` · ${t('floor.interrupted', { name: one.name })}`)}
      </p>
      <div class="holder" data-testid="floor-holder" data-user={turn.user_id}>
        <Fit text={turn.name} min={12} max={200} />
      </div>
      <div
        class={`countdown ${level}`}
        role="timer"
        aria-label={t(leftMs < 0 ? 'floor.timeOver' : 'floor.timeLeft')}
        data-testid="time-left"
      >
        <Fit text={clock(leftMs)} min={24} max={640} />
      </div>
      {warnings.length > 0 && (
        <p class="warnings" role="status">
          {warnings.map((one) => (
            <span key={one} class={one} data-testid={`hall-${one}`}>
              <Icon name={WARNINGS[one]} />
              {t(`hall.warning.${one}`)}
            </span>
          ))}
        </p>
      )}
    </section>
  );
}

/** The newest announcement, for a while. */
function Announced({ client, state }: { client: RoomClient; state: RoomState }) {
  const line = announcementAfter(state.chat, 0);
  const now = client.clock.now(useNow(5_000, line !== null));
  if (line === null || now - Date.parse(line.at) > ANNOUNCED_MS) return null;
  return (
    <section class="announced" aria-label={t('announcement.title')} data-testid="announcement">
      <Fit text={announced(line)} min={20} max={64} />
    </section>
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

void boot(
  <Follower
    title="role.hall"
    role="observer"
    name="role.hall"
    waits
    room={(access, session) => <Hall access={access} session={session} />}
  />,
);
