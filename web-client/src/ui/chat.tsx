import { useEffect, useRef, useState } from 'preact/hooks';
import { t, timeOfDay } from '../i18n/i18n';
import type { RoomClient, RoomState } from '../lib';
import { meaningOf, textOf } from '../lib';
import { Button, showFailure } from './components';
import { useKept } from './kept';
import { NameNotice } from './people_list';

/** As the server takes. */
const TEXT_MAX = 2_000;

/** The chat: what was written, and a line to write. */
export function Chat(props: { client: RoomClient; state: RoomState; onClose?: () => void }) {
  const { client, state } = props;
  const [text, setText] = useKept(`chat.${state.session.id}`, '');
  const [sending, setSending] = useState(false);
  const written = useRef(text);
  written.current = text;
  const scroller = useRef<HTMLDivElement>(null);
  const count = state.chat.length;
  useEffect(() => {
    const element = scroller.current;
    // Not scrollIntoView, which would move the whole page as well.
    if (element !== null) element.scrollTop = element.scrollHeight;
  }, [count]);
  const maySend = state.you.roles.some((role) => role === 'participant' || role === 'moderator');
  const send = () => {
    const line = text.trim();
    // A second press while the first is under way would say it twice.
    if (line === '' || sending) return;
    setSending(true);
    client
      .command({ type: 'chat', text: line })
      .then(() => {
        if (written.current.trim() === line) setText('');
      })
      .catch(showFailure)
      .finally(() => setSending(false));
  };
  return (
    <section class="sheet" aria-label={t('chat.title')} data-testid="chat">
      <header>
        <h2>{t('chat.title')}</h2>
        {props.onClose && (
          <Button label={t('common.close')} icon="close" compact onPress={props.onClose} />
        )}
      </header>
      <div ref={scroller} class="scroll" role="log" aria-label={t('chat.title')} tabIndex={0}>
        {count === 0 && <p class="quiet">{t('chat.empty')}</p>}
        <ul class="lines">
          {state.chat.map((line) => (
            <li key={line.seq} class={meaningOf(line)} data-testid="chat-line">
              <div class="quiet">
                <strong class="name">{line.name}</strong>{' '}
                <NameNotice notice={state.participants.get(line.user_id)?.name_notice} /> ·{' '}
                {timeOfDay(line.at)}
              </div>
              <div class="line-text">
                {meaningOf(line) === 'announcement' && (
                  <strong class="badge">{t('announcement.title')}</strong>
                )}{' '}
                {textOf(line)}
              </div>
            </li>
          ))}
        </ul>
      </div>
      {maySend && (
        <form
          onSubmit={(event) => {
            event.preventDefault();
            send();
          }}
        >
          <input
            data-testid="chat-input"
            aria-label={t('chat.input')}
            placeholder={t('chat.input')}
            maxLength={TEXT_MAX}
            value={text}
            onInput={(event) => setText(event.currentTarget.value)}
          />
          <Button label={t('common.send')} type="submit" look="main" testId="chat-send" />
        </form>
      )}
    </section>
  );
}
