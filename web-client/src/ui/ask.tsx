import { useMemo, useState } from 'preact/hooks';
import type { Key } from '../i18n/catalogues';
import { t } from '../i18n/i18n';
import { m } from '../i18n/meeting';
import type { ClientMessage, RequestView, RoomClient, RoomState } from '../lib';
import { myPlace } from '../lib';
import { noteWithdrawal } from './answers';
import { Button, Dialog, Field, Options, toast } from './components';
import { Decisions } from './decisions';
import { kindText } from './floor_card';
import { askToNotify } from './floor_came';
import { TURN_SLIP_MS, useTurnBegan } from './hooks';
import { keep, useKept } from './kept';
import { announce } from './live_regions';
import { SETTLE_MS, useSettling } from './settling';

/** Kinds of requests, the plain one first. */
export const KINDS = ['normal', 'point_of_order', 'intervention', 'interposed_question'] as const;
const STANCES = ['pro', 'contra', 'neutral'] as const;
/** As the server takes. */
const NOTE_MAX = 500;

/** Asking for the floor, withdrawing, and giving it back: one button each. */
export function Ask(props: { client: RoomClient; state: RoomState; connected: boolean }) {
  const { client, state, connected } = props;
  const [choosing, setChoosing] = useKept('ask.open', false);
  const [busy, setBusy] = useState(false);
  const decisions = useMemo(() => new Decisions(client), [client]);
  const place = myPlace(state);
  const send = (message: ClientMessage, said?: string) => {
    setBusy(true);
    askToNotify();
    void decisions.send(message).then((done) => {
      setBusy(false);
      // What was written stays until it has arrived.
      if (done && message.type === 'request_speech') forgetWritten();
      if (done && said !== undefined) announce(said);
    });
  };
  const ready = connected && !busy;
  const speaks = place.kind === 'speaking' || place.kind === 'paused';
  const mine = ownRequests(state);
  const began = useTurnBegan(state);
  const end = () => {
    if (performance.now() - began.current < TURN_SLIP_MS) toast(t('ask.justStarted'));
    else send({ type: 'end_speech' });
  };
  // One button takes the place of another whenever the floor changes.
  const box = useSettling<HTMLDivElement>(
    [speaks ? state.floor.turn?.turn_id : '', ...mine.map((one) => one.request_id)].join(' '),
    speaks ? TURN_SLIP_MS : SETTLE_MS,
  );
  const order = (
    <PointOfOrder
      state={state}
      mine={mine}
      ready={ready}
      onAsk={() => send({ type: 'request_speech', kind: 'point_of_order' }, m('order.sent'))}
    />
  );
  if (speaks || mine.length > 0) {
    return (
      <div
        class="own-requests"
        ref={box}
        // A turn that comes takes the place of what was to be pressed.
        data-hands-over={speaks ? undefined : 'controls'}
        data-hands-over-to="floor"
      >
        {speaks && (
          <Button
            label={t('ask.end')}
            icon="stop"
            look="danger wide"
            testId="end-turn"
            once
            disabled={!ready}
            onPress={end}
          />
        )}
        {mine.map((request, index) => (
          <Button
            key={request.request_id}
            label={
              mine.length === 1
                ? t('ask.withdraw')
                : m('ask.withdrawKind', { kind: kindText(request.kind) })
            }
            icon="close"
            testId={index === 0 ? 'withdraw' : `withdraw-${request.kind}`}
            once
            disabled={!ready}
            onPress={() => {
              noteWithdrawal(request.request_id);
              send({ type: 'cancel_speech', request_id: request.request_id });
            }}
          />
        ))}
        {order}
      </div>
    );
  }
  const open = state.floor.open && ready;
  return (
    <div class="ask" ref={box} data-hands-over="controls" data-hands-over-to="floor">
      <Button
        label={state.floor.open ? t('ask.button') : t('ask.closed')}
        icon="hand"
        look="main"
        testId="ask-floor"
        once
        disabled={!open}
        onPress={() => send({ type: 'request_speech', kind: 'normal' }, t('ask.sent'))}
      />
      {state.floor.open ? (
        <Button
          label={t('ask.more')}
          icon="more"
          compact
          testId="ask-more"
          disabled={!open}
          onPress={() => setChoosing(true)}
        />
      ) : (
        order
      )}
      {choosing && (
        <AskDialog
          onClose={() => setChoosing(false)}
          onAsk={(message) => send(message, t('ask.sent'))}
        />
      )}
    </div>
  );
}

/** What somebody has asked and that was not answered by a turn or a refusal yet. */
function ownRequests(state: RoomState): readonly RequestView[] {
  const { queue, requested } = state.floor;
  return [...queue, ...requested].filter(
    (one) => one.user_id === state.you.user_id && !one.in_hall,
  );
}

/** The next request is written anew. */
function forgetWritten(): void {
  keep('ask.note', '');
  keep('ask.stance', '');
  keep('ask.kind', 'normal');
}

/** A point of order goes beside any other request, and past a closed list where it may. */
function PointOfOrder(props: {
  state: RoomState;
  mine: readonly RequestView[];
  ready: boolean;
  onAsk: () => void;
}) {
  const { floor } = props.state;
  const taken = floor.open || floor.points_of_order_pass_closed_list;
  if (!taken || props.mine.some(({ kind }) => kind === 'point_of_order')) return null;
  return (
    <Button
      label={m('order.ask')}
      icon="hand"
      testId="ask-order"
      once
      disabled={!props.ready}
      onPress={props.onAsk}
    />
  );
}

function AskDialog(props: { onClose: () => void; onAsk: (message: ClientMessage) => void }) {
  const [kind, setKind] = useKept<string>('ask.kind', 'normal');
  const [stance, setStance] = useKept('ask.stance', '');
  const [note, setNote] = useKept('ask.note', '');
  return (
    <Dialog title={t('ask.title')} testId="ask-dialog" onClose={props.onClose}>
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          props.onAsk({
            type: 'request_speech',
            kind,
            ...(stance === '' ? {} : { stance }),
            ...(note.trim() === '' ? {} : { note: note.trim() }),
          });
          props.onClose();
        }}
      >
        <Field label={t('ask.kind')}>
          <select
            data-testid="ask-kind"
            value={kind}
            onChange={(event) => setKind(event.currentTarget.value)}
          >
            <Options values={KINDS} text={(one): Key => `kind.${one}`} />
          </select>
        </Field>
        <Field label={t('ask.stance')}>
          <select
            data-testid="ask-stance"
            value={stance}
            onChange={(event) => setStance(event.currentTarget.value)}
          >
            <option value="">{t('stance.none')}</option>
            <Options values={STANCES} text={(one): Key => `stance.${one}`} />
          </select>
        </Field>
        <Field label={t('ask.note')}>
          <textarea
            data-testid="ask-note"
            rows={3}
            maxLength={NOTE_MAX}
            value={note}
            onInput={(event) => setNote(event.currentTarget.value)}
          />
        </Field>
        <div class="spread">
          <Button label={t('common.cancel')} onPress={props.onClose} />
          <Button label={t('ask.button')} look="main" type="submit" testId="ask-send" />
        </div>
      </form>
    </Dialog>
  );
}
