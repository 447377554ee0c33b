import { useMemo, useState } from 'preact/hooks';
import type { Key } from '../i18n/i18n';
import { t } from '../i18n/i18n';
import type { ClientMessage, RoomClient, RoomState } from '../lib';
import { myPlace } from '../lib';
import { Button, Dialog, Field, Options, announce } from './components';
import { Decisions } from './decisions';
import { useKept } from './kept';

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
    void decisions.send(message).then((done) => {
      setBusy(false);
      if (done && said !== undefined) announce(said);
    });
  };
  if (place.kind === 'speaking' || place.kind === 'paused') {
    return (
      <Button
        label={t('ask.end')}
        icon="stop"
        look="danger wide"
        testId="end-turn"
        once
        disabled={!connected || busy}
        onPress={() => send({ type: 'end_speech' })}
      />
    );
  }
  if (place.kind === 'requested' || place.kind === 'waiting') {
    const { request_id } = place.request;
    return (
      <Button
        label={t('ask.withdraw')}
        icon="close"
        look="wide"
        testId="withdraw"
        once
        disabled={!connected || busy}
        onPress={() => send({ type: 'cancel_speech', request_id })}
      />
    );
  }
  const open = state.floor.open && connected && !busy;
  return (
    <div class="ask">
      <Button
        label={state.floor.open ? t('ask.button') : t('ask.closed')}
        icon="hand"
        look="main"
        testId="ask-floor"
        once
        disabled={!open}
        onPress={() => send({ type: 'request_speech', kind: 'normal' }, t('ask.sent'))}
      />
      <Button
        label={t('ask.more')}
        icon="more"
        compact
        testId="ask-more"
        disabled={!open}
        onPress={() => setChoosing(true)}
      />
      {choosing && (
        <AskDialog
          onClose={() => setChoosing(false)}
          onAsk={(message) => send(message, t('ask.sent'))}
        />
      )}
    </div>
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
          setNote('');
          setStance('');
          setKind('normal');
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
