import { useState } from 'preact/hooks';
import { t } from '../i18n/i18n';
import type { Command, Presence, RequestView, RoomClient, RoomState } from '../lib';
import { isPerson, presenceOf } from '../lib';
import { Button, Dialog } from './components';
import type { Back } from './decisions';
import { Countdown, Holder } from './floor_card';

/** Sends a command; failures are shown. */
export interface Send {
  (message: Command, back?: Back): void;
  /** Sends by what is shown now, however late: as from a dialog that stands open. */
  asShown(): (message: Command) => void;
}

/** Sends by what was shown when the component that asks appeared. */
export function useAsShown(send: Send): (message: Command) => void {
  return useState(() => send.asShown())[0];
}

/** The running turn and everything that can be done with it. */
export function ConsoleTurn(props: {
  client: RoomClient;
  state: RoomState;
  send: Send;
  onStart: (request: RequestView) => void;
  onOpenFloor: () => void;
}) {
  const { client, state, send } = props;
  const turn = state.floor.turn;
  const next = state.floor.queue[0];
  const none = turn === null;
  const open = state.floor.moderation === 'open';
  return (
    <section
      id="turn"
      class="card turn-card"
      aria-label={t('console.turn')}
      data-testid="turn-card"
    >
      <div class="turn-now">
        <div>
          <Holder state={state} />
          {next !== undefined && (
            <span class="quiet name" data-testid="next-name">
              {t('console.nextIs', { name: next.name })}{' '}
              <PresenceBadge presence={presenceOf(state, next)} />
            </span>
          )}
        </div>
        {turn !== null && <Countdown client={client} turn={turn} />}
      </div>
      <div class="row">
        <Button
          label={t('console.start')}
          {...(next === undefined ? {} : { about: next.name })}
          icon="play"
          look="main small"
          testId="start-next"
          shortcut="n"
          once
          meaning={next?.request_id}
          disabled={next === undefined}
          onPress={() => {
            if (next !== undefined) props.onStart(next);
          }}
        />
        <Button
          label={t(turn?.running === false ? 'console.resume' : 'console.pause')}
          icon={turn?.running === false ? 'play' : 'pause'}
          testId={turn?.running === false ? 'resume-turn' : 'pause-turn'}
          look="small"
          shortcut="p"
          once
          meaning={turn?.turn_id}
          disabled={none}
          onPress={() => send({ type: turn?.running === false ? 'resume_turn' : 'pause_turn' })}
        />
        {[30, 60].map((seconds) => (
          <Button
            key={seconds}
            label={t('console.extend', { seconds })}
            about={t('console.extendName', { seconds })}
            look="small"
            testId={`extend-${seconds}`}
            shortcut={seconds === 30 ? 'e' : 'Shift+E'}
            meaning={turn?.turn_id ?? ''}
            disabled={none}
            onPress={() => send({ type: 'extend_turn', seconds })}
          />
        ))}
        <Button
          label={t('console.stop')}
          icon="stop"
          look="small danger"
          testId="stop-turn"
          shortcut="s"
          once
          meaning={turn?.turn_id}
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
          once
          onPress={() => send({ type: state.floor.open ? 'close_queue' : 'open_queue' })}
        />
        <span class="badge" data-testid="moderation-mode">
          {t(open ? 'session.moderation.open' : 'session.moderation.moderated')}
        </span>
        <Button
          label={t(open ? 'console.setModerated' : 'console.setOpen')}
          look="small"
          testId="toggle-moderation"
          once
          onPress={() => {
            if (open) send({ type: 'set_moderation', moderation: 'moderated' });
            else props.onOpenFloor();
          }}
        />
      </div>
    </section>
  );
}

/** Says that somebody who asked, or speaks, is not there; nothing when they are. */
export function PresenceBadge({ presence }: { presence: Presence }) {
  if (presence !== 'away' && presence !== 'absent') return null;
  return (
    <span class="badge warn" data-testid="presence" data-presence={presence}>
      {t(`presence.${presence}`)}
    </span>
  );
}

/** Asks before everybody may speak. */
export function OpenFloorDialog(props: { state: RoomState; send: Send; onClose: () => void }) {
  const people = [...props.state.participants.values()];
  const count = people.filter(isPerson).length;
  const send = useAsShown(props.send);
  return (
    <Dialog title={t('console.openTitle')} testId="open-floor-dialog" onClose={props.onClose}>
      <p>{t('console.openText', { count })}</p>
      <div class="spread">
        <Button label={t('common.cancel')} testId="open-floor-cancel" onPress={props.onClose} />
        <Button
          label={t('console.setOpen')}
          look="danger"
          testId="open-floor-confirm"
          once
          onPress={() => {
            send({ type: 'set_moderation', moderation: 'open' });
            props.onClose();
          }}
        />
      </div>
    </Dialog>
  );
}

/** Asks before the floor is given to somebody who is not there. */
export function AbsentDialog(props: { request: RequestView; send: Send; onClose: () => void }) {
  const { name, request_id } = props.request;
  const send = useAsShown(props.send);
  return (
    <Dialog
      title={t('console.absentTitle', { name })}
      testId="absent-dialog"
      onClose={props.onClose}
    >
      <p>{t('console.absentText')}</p>
      <div class="spread">
        <Button label={t('common.cancel')} testId="absent-cancel" onPress={props.onClose} />
        <Button
          label={t('console.absentStart')}
          look="danger"
          testId="absent-confirm"
          once
          onPress={() => {
            send({ type: 'start_turn', request_id });
            props.onClose();
          }}
        />
      </div>
    </Dialog>
  );
}
