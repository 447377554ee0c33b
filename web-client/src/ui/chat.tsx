import { useEffect, useRef, useState } from 'preact/hooks';
import { t, timeOfDay } from '../i18n/i18n';
import type { RoomClient, RoomState } from '../lib';
import { Button, showFailure } from './components';

/** As the server takes. */
const TEXT_MAX = 2_000;

/** The chat: what was written, and a line to write. */
export function Chat(props: { client: RoomClient; state: RoomState; onClose?: () => void }) {
  const { client, state } = props;
  const [text, setText] = useState('');
  const bottom = useRef<HTMLDivElement>(null);
  const count = state.chat.length;
  useEffect(() => bottom.current?.scrollIntoView({ block: 'end' }), [count]);
  const maySend = state.you.roles.some((role) => role === 'participant' || role === 'moderator');
  const send = () => {
    const line = text.trim();
    if (line === '') return;
    client
      .command({ type: 'chat', text: line })
      .then(() => setText((now) => (now.trim() === line ? '' : now)))
      .catch(showFailure);
  };
  return (
    <section class="sheet" aria-label={t('chat.title')} data-testid="chat">
      <header>
        <h2>{t('chat.title')}</h2>
        {props.onClose && (
          <Button label={t('common.close')} icon="close" compact onPress={props.onClose} />
        )}
      </header>
      <div class="scroll" role="log" aria-label={t('chat.title')} tabIndex={0}>
        {count === 0 && <p class="quiet">{t('chat.empty')}</p>}
        <ul class="lines">
          {state.chat.map((line) => (
            <li key={line.seq} data-testid="chat-line">
              <div class="quiet">
                <strong class="name">{line.name}</strong> · {timeOfDay(line.at)}
              </div>
              <div class="line-text">{line.text}</div>
            </li>
          ))}
        </ul>
        <div ref={bottom} />
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
