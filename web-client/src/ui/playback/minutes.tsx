import { useEffect, useState } from 'preact/hooks';
import { exactTime } from '../../i18n/texts';
import { r } from '../../i18n/recording/texts';
import { language as shownLanguage } from '../../i18n/i18n';
import type { Minutes, MinutesLanguage, MinutesVersion } from '../../lib';
import {
  MINUTES_LANGUAGES,
  confirmMinutes,
  listMinutes,
  minutesLanguage,
  minutesProblem,
  readMinutes,
} from '../../lib';
import { Button, Dialog, Field, Notice, showFailure, toast } from '../components';
import { Failure } from '../sign_in';
import type { Access } from '../access';

/** The minutes of a session: read by all who may, edited and confirmed by moderators. */
export function MinutesOf(props: { access: Access; session: string; mayConfirm: boolean }) {
  const { access, session } = props;
  const [isOpen, setOpen] = useState(false);
  return (
    <section class="card stack" aria-labelledby="minutes" data-testid="minutes">
      <h2 id="minutes">{r('minutes.title')}</h2>
      {isOpen ? (
        <Reader access={access} session={session} mayConfirm={props.mayConfirm} />
      ) : (
        <>
          <p class="quiet">{r('minutes.what')}</p>
          <div class="row">
            <Button
              label={r('minutes.open')}
              look="main"
              testId="minutes-open"
              onPress={() => setOpen(true)}
            />
          </div>
        </>
      )}
    </section>
  );
}

function Reader(props: { access: Access; session: string; mayConfirm: boolean }) {
  const { access, session, mayConfirm } = props;
  const { api, tokens } = access;
  const [versions, setVersions] = useState<readonly MinutesVersion[]>([]);
  const [minutes, setMinutes] = useState<Minutes | null>(null);
  const [edited, setEdited] = useState<string | null>(null);
  const [failure, setFailure] = useState<unknown>(null);
  const [draftIn, setDraftIn] = useState<MinutesLanguage>(minutesLanguage(shownLanguage.value));
  const show = async (which: 'newest' | MinutesLanguage) => {
    try {
      const all = await listMinutes(api, session);
      setVersions(all);
      const wanted = which === 'newest' ? (all.length > 0 ? 'confirmed' : draftIn) : which;
      const read = await readMinutes(api, session, wanted);
      setMinutes(read);
      setDraftIn(read.language);
      setFailure(null);
    } catch (error) {
      setFailure(error);
    }
  };
  useEffect(() => void show('newest'), []);
  useUnsaved(edited !== null && edited !== minutes?.text);
  return (
    <>
      {failure !== null && (
        <Failure
          error={failure}
          tokens={tokens}
          testId="minutes-failure"
          onSignedIn={() => location.reload()}
        />
      )}
      <Versions versions={versions} />
      {minutes !== null && edited === null && (
        <>
          <div class="row">
            <Field label={r('minutes.draftIn')}>
              <select
                data-testid="minutes-language"
                value={draftIn}
                onChange={(event) => setDraftIn(minutesLanguage(event.currentTarget.value))}
              >
                {MINUTES_LANGUAGES.map((one) => (
                  <option key={one} value={one}>
                    {r(`language.${one}`)}
                  </option>
                ))}
              </select>
            </Field>
            <Button
              label={r('minutes.draft')}
              testId="minutes-draft"
              onPress={() => void show(draftIn)}
            />
            {versions.length > 0 && minutes.version === null && (
              <Button
                label={r('minutes.newest')}
                testId="minutes-newest"
                onPress={() => void show('newest')}
              />
            )}
            {mayConfirm && (
              <Button
                label={r('minutes.edit')}
                look="main"
                testId="minutes-edit"
                onPress={() => setEdited(minutes.text)}
              />
            )}
          </div>
          <p class="quiet" role="status" data-testid="minutes-state">
            {minutes.version === null
              ? r('minutes.isDraft')
              : r('minutes.isConfirmed', { version: minutes.version })}
          </p>
          <div
            class="minutes-text"
            tabIndex={0}
            role="region"
            aria-label={r('minutes.title')}
            lang={minutes.language}
            data-testid="minutes-text"
          >
            {minutes.text}
          </div>
        </>
      )}
      {minutes !== null && edited !== null && (
        <Editor
          text={edited}
          language={minutes.language}
          onChange={setEdited}
          onCancel={() => setEdited(null)}
          onConfirm={async () => {
            const { language } = minutes;
            const confirmed = await confirmMinutes(api, session, { language, text: edited });
            toast(r('minutes.confirmed', { version: confirmed.version }));
            setEdited(null);
            await show('newest');
          }}
        />
      )}
    </>
  );
}

function Versions({ versions }: { versions: readonly MinutesVersion[] }) {
  if (versions.length === 0) return <p class="quiet">{r('minutes.none')}</p>;
  return (
    <ol class="lines minutes-versions" reversed aria-label={r('minutes.versions')}>
      {versions.map((one) => (
        <li key={one.version} data-testid="minutes-version" data-version={one.version}>
          <div>
            <strong>{r('minutes.version', { version: one.version })}</strong> ·{' '}
            {exactTime(Date.parse(one.confirmed_at))} · {one.confirmed_by}
          </div>
          <div class="quiet hash">
            SHA-256 <code>{one.sha256}</code>
          </div>
        </li>
      ))}
    </ol>
  );
}

function Editor(props: {
  text: string;
  language: MinutesLanguage;
  onChange: (text: string) => void;
  onCancel: () => void;
  onConfirm: () => Promise<void>;
}) {
  const [asking, setAsking] = useState(false);
  const [sending, setSending] = useState(false);
  const problem = minutesProblem(props.text);
  const confirm = () => {
    setAsking(false);
    setSending(true);
    props
      .onConfirm()
      .catch(showFailure)
      .finally(() => setSending(false));
  };
  return (
    <>
      <Field label={r('minutes.text')}>
        <textarea
          class="minutes-text"
          data-testid="minutes-editor"
          lang={props.language}
          rows={24}
          spellcheck
          value={props.text}
          onInput={(event) => props.onChange(event.currentTarget.value)}
        />
      </Field>
      {problem !== null && (
        <Notice look="warn" testId="minutes-problem">
          <p>{r(`minutes.problem.${problem}`)}</p>
        </Notice>
      )}
      <div class="row">
        <Button
          label={r('minutes.confirm')}
          look="main"
          testId="minutes-confirm"
          disabled={problem !== null || sending}
          onPress={() => setAsking(true)}
        />
        <Button
          label={r('minutes.cancel')}
          testId="minutes-cancel"
          disabled={sending}
          onPress={props.onCancel}
        />
      </div>
      {asking && (
        <Dialog
          title={r('minutes.ask.title')}
          testId="minutes-ask"
          onClose={() => setAsking(false)}
        >
          <p>{r('minutes.ask.text')}</p>
          <div class="row">
            <Button
              label={r('minutes.confirm')}
              look="main"
              testId="minutes-confirm-yes"
              onPress={confirm}
            />
            <Button label={r('minutes.cancel')} onPress={() => setAsking(false)} />
          </div>
        </Dialog>
      )}
    </>
  );
}

/** Has the browser ask before a page with text that was not confirmed is left. */
function useUnsaved(isUnsaved: boolean) {
  useEffect(() => {
    if (!isUnsaved) return undefined;
    const ask = (event: BeforeUnloadEvent) => event.preventDefault();
    window.addEventListener('beforeunload', ask);
    return () => window.removeEventListener('beforeunload', ask);
  }, [isUnsaved]);
}
