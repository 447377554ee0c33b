import { useLayoutEffect } from 'preact/hooks';
import { m } from '../i18n/meeting';
import type { RoomClient, RoomState } from '../lib';
import { myPlace } from '../lib';
import { Button, Dialog, showFailure } from './components';

/** Whether leaving now costs something that the person may not think of. */
export function leavingCosts(state: RoomState): 'speaking' | 'waiting' | null {
  const { kind } = myPlace(state);
  if (kind === 'speaking' || kind === 'paused' || kind === 'interrupted') return 'speaking';
  return kind === 'waiting' || kind === 'requested' ? 'waiting' : null;
}

/** The browser asks before the tab is closed in the middle of one's turn. */
export function useAskBeforeClosing(active: boolean): void {
  useLayoutEffect(() => {
    if (!active) return undefined;
    const ask = (event: BeforeUnloadEvent) => event.preventDefault();
    window.addEventListener('beforeunload', ask);
    return () => window.removeEventListener('beforeunload', ask);
  }, [active]);
}

/** Asks before somebody leaves who speaks or waits to. */
export function LeaveDialog(props: {
  client: RoomClient;
  state: RoomState;
  costs: 'speaking' | 'waiting';
  onLeave: () => void;
  onClose: () => void;
}) {
  const { client, state, costs, onLeave } = props;
  const holds = ['speaking', 'paused'].includes(myPlace(state).kind);
  return (
    <Dialog title={m('leave.title')} testId="leave-dialog" onClose={props.onClose}>
      <p>{m(`leave.${costs}`)}</p>
      <div class="spread">
        <Button label={m('leave.stay')} look="main" testId="leave-stay" onPress={props.onClose} />
        {holds && (
          <Button
            label={m('leave.endTurn')}
            testId="leave-end-turn"
            once
            onPress={() => {
              client
                .command({ type: 'end_speech' })
                .then(onLeave)
                .catch((error: unknown) => {
                  // What is told while the dialog is open lies behind it.
                  props.onClose();
                  showFailure(error);
                });
            }}
          />
        )}
        <Button
          label={m('leave.go')}
          icon="leave"
          look="danger"
          testId="leave-confirm"
          once
          onPress={onLeave}
        />
      </div>
    </Dialog>
  );
}
