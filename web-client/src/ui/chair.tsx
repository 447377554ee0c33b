import { useEffect, useState } from 'preact/hooks';
import { c } from '../i18n/chair';
import type { RoomClient, RoomState } from '../lib';
import { announcementOf, chairPresence } from '../lib';
import { Button, Notice, showFailure, toast } from './components';
import { useKept } from './kept';
import { useAlarm } from './live_regions';

/** A lost connection that comes back within this is no reason to take the chair. */
const AWAY_AFTER_MS = 5_000;

/** Has this moderator chair from now on; everybody is told. */
export function takeChair(client: RoomClient): void {
  client.command({ type: 'take_chair' }).catch(showFailure);
}

/** Who chairs, where everything else about the session stands. */
export function ChairName({ state }: { state: RoomState }) {
  if (state.chair === null) return null;
  const own = state.chair.user_id === state.you.user_id;
  return (
    <span class="badge" data-testid="chair" data-user={state.chair.user_id}>
      {own ? c('chair.you') : c('chair.is', { name: state.chair.name })}
    </span>
  );
}

/** Warns another moderator when whoever chairs is away, and lets them go on with one press. */
export function ChairWarning({ client, state }: { client: RoomClient; state: RoomState }) {
  const presence = chairPresence(state);
  const missing = presence === 'away' || presence === 'gone';
  const [due, setDue] = useState(false);
  useEffect(() => {
    setDue(presence === 'gone');
    if (presence !== 'away') return undefined;
    const timer = setTimeout(() => setDue(true), AWAY_AFTER_MS);
    return () => clearTimeout(timer);
  }, [presence, state.chair?.user_id]);
  const { chair } = state;
  const text =
    chair === null
      ? ''
      : c(presence === 'gone' ? 'chair.gone' : 'chair.away', { name: chair.name });
  const shown = due && missing && chair !== null;
  useAlarm(shown ? text : null, chair === null ? '' : c('chair.is', { name: chair.name }));
  if (!shown) return null;
  return (
    <Notice look="danger" testId="chair-missing">
      <p>{text}</p>
      <Button
        label={c('chair.take')}
        look="main small"
        testId="take-chair"
        shortcut="k"
        once
        onPress={() => takeChair(client)}
      />
    </Notice>
  );
}

/** One line that every screen shows until it is read. */
export function AnnounceForm({ client }: { client: RoomClient }) {
  const [text, setText] = useKept('announce.text', '');
  const [sending, setSending] = useState(false);
  const send = () => {
    const line = text.trim();
    if (line === '' || sending) return;
    setSending(true);
    client
      .command({ type: 'chat', text: announcementOf(line) })
      .then(() => {
        setText('');
        toast(c('announce.sent'));
      })
      .catch(showFailure)
      .finally(() => setSending(false));
  };
  return (
    <form
      class="announce-form"
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      <input
        data-testid="announce-input"
        aria-label={c('announce')}
        placeholder={c('announce')}
        maxLength={500}
        value={text}
        onInput={(event) => setText(event.currentTarget.value)}
      />
      <Button label={c('announce.send')} type="submit" icon="sound" testId="announce-send" />
    </form>
  );
}
