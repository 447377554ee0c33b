import { useEffect, useState } from 'preact/hooks';
import { language, t } from '../i18n/i18n';
import { l } from '../i18n/spoken_language';
import type { ParticipantView, RoomClient, RoomState } from '../lib';
import { choosesLanguage, languageName, languageOf, spokenLanguages } from '../lib';
import { Button, Dialog, Field, showFailure, toast } from './components';
import type { Send } from './console_turn';

/** The choice that stands for the language of the session; no tag is empty. */
const OF_SESSION = '';

/** What a person is told whose language a moderator has set. */
export function languageSaid(tag: string | null): string {
  return tag === null
    ? l('saidToYouSession')
    : l('saidToYou', { language: languageName(tag, language.value) });
}

/** Chooses the language that one speaks; nothing while that can't be said. */
export function OwnLanguage({ client, state }: { client: RoomClient; state: RoomState }) {
  const { user_id, roles } = state.you;
  if (!choosesLanguage(state) || !roles.some((role) => role !== 'observer')) return null;
  const set = (tag: string | null) => {
    client
      .command({ type: 'set_language', language: tag })
      .then(() => toast(l('saved')))
      .catch(showFailure);
  };
  return (
    <LanguageForm
      state={state}
      label={l('own')}
      about={l('why')}
      chosen={languageOf(state, user_id)}
      testId="own-language"
      onSet={set}
    />
  );
}

/** Opens the choice of the language that somebody speaks, and says it when it is another one. */
export function LanguageButton({ one, onPress }: { one: ParticipantView; onPress: () => void }) {
  const { name, language: tag } = one;
  const label =
    tag === undefined
      ? l('of', { name })
      : l('ofNow', { name, language: languageName(tag, language.value) });
  return (
    <Button
      label={label}
      icon="captions"
      compact
      look={tag === undefined ? 'small' : 'small on'}
      testId={`language-${one.user_id}`}
      onPress={onPress}
    />
  );
}

/** Chooses the language that somebody else or a device speaks. */
export function LanguageDialog(props: {
  state: RoomState;
  one: ParticipantView;
  send: Send;
  onClose: () => void;
}) {
  const { state, one, send, onClose } = props;
  const { user_id, name } = one;
  const title = l('of', { name });
  return (
    <Dialog title={title} testId="language-dialog" onClose={onClose}>
      <LanguageForm
        state={state}
        label={title}
        about={l('ofWhy')}
        chosen={one.language ?? null}
        testId="their-language"
        onSet={(tag) => {
          send({ type: 'set_language', language: tag, user_id });
          onClose();
        }}
      />
      <Button label={t('common.close')} onPress={onClose} />
    </Dialog>
  );
}

/** A choice that is sent once it is made: with the keyboard one passes others on the way to it. */
function LanguageForm(props: {
  state: RoomState;
  label: string;
  about: string;
  /** What is spoken as far as everybody was told; null for the language of the session. */
  chosen: string | null;
  testId: string;
  onSet: (tag: string | null) => void;
}) {
  const { transcription } = props.state;
  const chosen = props.chosen ?? OF_SESSION;
  const [wanted, setWanted] = useState(chosen);
  useEffect(() => setWanted(chosen), [chosen]);
  return (
    <form
      class="stack"
      onSubmit={(event) => {
        event.preventDefault();
        if (wanted !== chosen) props.onSet(wanted === OF_SESSION ? null : wanted);
      }}
    >
      <Field label={props.label}>
        <select
          data-testid={props.testId}
          value={wanted}
          onChange={(event) => setWanted(event.currentTarget.value)}
        >
          <option value={OF_SESSION}>{ofSession(transcription.language)}</option>
          {spokenLanguages(transcription.languages, props.chosen, language.value).map(
            ({ tag, name }) => (
              <option key={tag} value={tag}>
                {name}
              </option>
            ),
          )}
        </select>
      </Field>
      <p class="quiet">{props.about}</p>
      {wanted !== chosen && (
        <Button label={l('set')} type="submit" look="main" testId={`${props.testId}-set`} />
      )}
    </form>
  );
}

function ofSession(tag: string | null): string {
  if (tag === null) return l('sessionRecognised');
  return l('sessionNamed', { language: languageName(tag, language.value) });
}
