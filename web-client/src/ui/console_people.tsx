import { useState } from 'preact/hooks';
import type { Key } from '../i18n/i18n';
import { t } from '../i18n/i18n';
import type { RoomState } from '../lib';
import { isRecorder, people } from '../lib';
import { KINDS } from './ask';
import { Button, Field, Options } from './components';
import type { Send } from './console_turn';
import { afterSecondThoughts, leaving } from './delayed';
import { MicrophoneBadge, PersonName, RecorderName } from './people_list';

/** Somebody who was removed from here and may be let in again. */
export interface Removed {
  readonly user_id: string;
  readonly name: string;
}

/** Everybody, with what a moderator may do to them. */
export function ConsolePeople(props: {
  state: RoomState;
  send: Send;
  removed: readonly Removed[];
  onRemoved: (removed: Removed) => void;
  onAdmitted: (userId: string) => void;
}) {
  const { state, send } = props;
  const everybody = people(state);
  return (
    <section class="card stack" aria-labelledby="people">
      <h2 id="people">
        {t('people.title')}{' '}
        <span class="quiet">
          {t('people.count', { count: everybody.filter((one) => !isRecorder(one)).length })}
        </span>
      </h2>
      <ul>
        {everybody.map((one) =>
          isRecorder(one) ? (
            <li class="person" key={one.user_id} data-testid={`person-${one.user_id}`}>
              <RecorderName state={state} />
            </li>
          ) : (
            <li
              class={`person ${leaving.value.has(`remove-${one.user_id}`) ? 'leaving' : ''}`}
              key={one.user_id}
              data-testid={`person-${one.user_id}`}
              data-muted={one.muted}
              data-heard={one.may_be_heard}
            >
              <MicrophoneBadge one={one} />
              <PersonName one={one} state={state} />
              <Button
                label={t(one.muted ? 'console.unmute' : 'console.mute')}
                about={one.name}
                icon={one.muted ? 'microphone' : 'microphoneOff'}
                look="small"
                testId={`${one.muted ? 'unmute' : 'mute'}-${one.user_id}`}
                onPress={() =>
                  send({ type: one.muted ? 'unmute_user' : 'mute_user', user_id: one.user_id })
                }
              />
              {one.user_id !== state.you.user_id && (
                <Button
                  label={t('console.removeName', { name: one.name })}
                  icon="remove"
                  compact
                  look="small danger"
                  testId={`remove-${one.user_id}`}
                  onPress={() => {
                    const { user_id, name } = one;
                    afterSecondThoughts(
                      `remove-${user_id}`,
                      t('console.removing', { name }),
                      () => {
                        send({ type: 'remove_participant', user_id });
                        props.onRemoved({ user_id, name });
                      },
                    );
                  }}
                />
              )}
            </li>
          ),
        )}
      </ul>
      {props.removed.length > 0 && (
        <>
          <h3>{t('console.removed')}</h3>
          <ul>
            {props.removed.map(({ user_id, name }) => (
              <li class="person" key={user_id}>
                <span class="name">{name}</span>
                <Button
                  label={t('console.admit')}
                  about={name}
                  look="small"
                  testId={`admit-${user_id}`}
                  onPress={() => {
                    send({ type: 'admit', user_id });
                    props.onAdmitted(user_id);
                  }}
                />
              </li>
            ))}
          </ul>
        </>
      )}
    </section>
  );
}

/** Puts a person in the hall, who has no device, into the list by name. */
export function HallSpeaker({ send }: { send: Send }) {
  const [name, setName] = useState('');
  const [kind, setKind] = useState<string>('normal');
  return (
    <section class="card" aria-labelledby="hall-speaker">
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          const text = name.trim();
          if (text === '') return;
          send({ type: 'add_speaker', user_id: hallUser(), name: text, kind });
          setName('');
        }}
      >
        <h2 id="hall-speaker">{t('console.hallSpeaker')}</h2>
        <div class="row">
          <Field label={t('console.hallName')}>
            <input
              data-testid="hall-name"
              maxLength={100}
              autoComplete="off"
              value={name}
              onInput={(event) => setName(event.currentTarget.value)}
            />
          </Field>
          <Field label={t('ask.kind')}>
            <select
              data-testid="hall-kind"
              value={kind}
              onChange={(event) => setKind(event.currentTarget.value)}
            >
              <Options values={KINDS} text={(one): Key => `kind.${one}`} />
            </select>
          </Field>
        </div>
        <Button label={t('console.addHall')} type="submit" testId="add-hall-speaker" />
      </form>
    </section>
  );
}

/** People without an account are told apart by an id of their own. */
function hallUser(): string {
  return `hall-${crypto.randomUUID()}`;
}
