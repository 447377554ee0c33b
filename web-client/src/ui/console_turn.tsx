import { t } from '../i18n/i18n';
import type { ClientMessage, RoomClient, RoomState } from '../lib';
import { Button } from './components';
import { Countdown, Holder } from './floor_card';

/** Sends a command; failures are shown. */
export type Send = (message: ClientMessage) => void;

/** The running turn and everything that can be done with it. */
export function ConsoleTurn(props: { client: RoomClient; state: RoomState; send: Send }) {
  const { client, state, send } = props;
  const turn = state.floor.turn;
  const none = turn === null;
  return (
    <section class="card turn-card" aria-label={t('console.turn')} data-testid="turn-card">
      <div class="spread">
        <Holder state={state} />
        {turn !== null && <Countdown client={client} turn={turn} />}
      </div>
      <div class="row">
        <Button
          label={t('console.start')}
          icon="play"
          look="main"
          testId="start-next"
          shortcut="n"
          disabled={state.floor.queue.length === 0}
          onPress={() => send({ type: 'start_turn' })}
        />
        <Button
          label={t(turn?.running === false ? 'console.resume' : 'console.pause')}
          icon={turn?.running === false ? 'play' : 'pause'}
          testId={turn?.running === false ? 'resume-turn' : 'pause-turn'}
          shortcut="p"
          disabled={none}
          onPress={() => send({ type: turn?.running === false ? 'resume_turn' : 'pause_turn' })}
        />
        {[30, 60].map((seconds) => (
          <Button
            key={seconds}
            label={t('console.extend', { seconds })}
            about={t('console.extendName', { seconds })}
            testId={`extend-${seconds}`}
            shortcut={seconds === 30 ? 'e' : 'Shift+E'}
            disabled={none}
            onPress={() => send({ type: 'extend_turn', seconds })}
          />
        ))}
        <Button
          label={t('console.stop')}
          icon="stop"
          look="danger"
          testId="stop-turn"
          shortcut="s"
          disabled={none}
          onPress={() => send({ type: 'stop_turn' })}
        />
      </div>
      <div class="row">
        <span class="badge" data-testid="queue-open">
          {t(state.floor.open ? 'console.queueOpen' : 'console.queueClosed')}
        </span>
        <Button
          label={t(state.floor.open ? 'console.closeQueue' : 'console.openQueue')}
          look="small"
          testId="toggle-queue"
          shortcut="o"
          onPress={() => send({ type: state.floor.open ? 'close_queue' : 'open_queue' })}
        />
        <span class="badge" data-testid="moderation-mode">
          {t(
            state.floor.moderation === 'open'
              ? 'session.moderation.open'
              : 'session.moderation.moderated',
          )}
        </span>
        <Button
          label={t(state.floor.moderation === 'open' ? 'console.setModerated' : 'console.setOpen')}
          look="small"
          testId="toggle-moderation"
          onPress={() =>
            send({
              type: 'set_moderation',
              moderation: state.floor.moderation === 'open' ? 'moderated' : 'open',
            })
          }
        />
      </div>
    </section>
  );
}
