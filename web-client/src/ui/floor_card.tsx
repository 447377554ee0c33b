import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import type { Key } from '../i18n/catalogues';
import { clock, isKey, t } from '../i18n/i18n';
import { m } from '../i18n/meeting';
import type { MyPlace, RoomClient, RoomState, TimedTurn } from '../lib';
import { myPlace, presenceOf, turnTime } from '../lib';
import { useNow } from './hooks';
import { announceAtOnce } from './live_regions';

/** The word for a kind of request; a kind of a later version is shown as it is. */
export function kindText(kind: string): string {
  const key = `kind.short.${kind}`;
  return isKey(key) ? t(key) : kind;
}

/** The time left of a turn, counted here between the server's words. */
export function Countdown({ client, turn }: { client: RoomClient; turn: TimedTurn }) {
  const now = useNow(250, turn.running);
  const { leftMs, level } = turnTime(turn, client.clock.now(now));
  const label = t(leftMs < 0 ? 'floor.timeOver' : 'floor.timeLeft');
  return (
    <div class={`countdown ${level}`} role="timer" aria-label={label} data-testid="time-left">
      {clock(leftMs)}
    </div>
  );
}

/** The holder's name, large. */
export function Holder({ state }: { state: RoomState }) {
  const turn = state.floor.turn;
  const presence = turn === null ? 'here' : presenceOf(state, turn);
  const absent = presence === 'away' || presence === 'absent';
  const headline: Key =
    turn === null ? 'floor.nobody' : turn.running ? 'floor.speaking' : 'floor.paused';
  return (
    <div>
      {turn !== null && (
        <div class="quiet">
          {t(headline)} · {kindText(turn.kind)}
          {turn.in_hall && ` · ${t('floor.inHall')}`}
        </div>
      )}
      <div
        class="holder name"
        data-testid="floor-holder"
        data-user={turn?.user_id}
        title={turn?.name}
      >
        {turn === null ? t(headline) : turn.name}
      </div>
      {absent && (
        <div class="absent" role="status" data-testid="holder-presence" data-presence={presence}>
          {t(`presence.${presence}`)}
        </div>
      )}
      {state.floor.interrupted.map((one) => (
        <div class="quiet" key={one.turn_id}>
          {t('floor.interrupted', { name: one.name })}
        </div>
      ))}
    </div>
  );
}

/** The floor as a participant needs it. */
export function FloorCard(props: {
  client: RoomClient;
  state: RoomState;
  children?: ComponentChildren;
}) {
  const { client, state } = props;
  const turn = state.floor.turn;
  const place = myPlace(state);
  const mine = place.kind === 'speaking';
  return (
    <section
      id="floor"
      class={`floor ${mine ? 'mine' : ''}`}
      aria-label={t('meeting.floor')}
      data-testid="floor"
    >
      <Holder state={state} />
      {turn !== null && <Countdown client={client} turn={turn} />}
      {mine && <OwnTime client={client} turn={place.turn} />}
      <div class="place" data-testid="my-place" data-place={place.kind}>
        {placeText(place)}
      </div>
      {props.children}
    </section>
  );
}

/** That one's own time runs out: the speaker must not be the last to see it. */
function OwnTime({ client, turn }: { client: RoomClient; turn: TimedTurn }) {
  const now = useNow(250);
  const { level } = turnTime(turn, client.clock.now(now));
  const over = useRef('');
  useEffect(() => {
    // The server tells of 30 and 10 seconds; of the end only the clock does, and of each end of a
    // time that is made longer.
    if (level !== 'over') over.current = '';
    else if (over.current !== turn.turn_id) {
      over.current = turn.turn_id;
      announceAtOnce(m('time.over'));
    }
  }, [level, turn.turn_id]);
  if (level === 'calm') return null;
  return (
    <div class={`own-time ${level}`} data-testid="own-time" data-level={level}>
      {m(`time.${level}`)}
    </div>
  );
}

function placeText(place: MyPlace): string {
  switch (place.kind) {
    case 'none':
      return t('place.none');
    case 'requested':
      return t('place.requested');
    case 'waiting':
      return place.ahead === 0 ? t('place.next') : t('place.waiting', { ahead: place.ahead });
    case 'speaking':
      return t('floor.youSpeak');
    case 'paused':
      return t('floor.youPaused');
    case 'interrupted':
      return t('floor.youInterrupted');
  }
}
