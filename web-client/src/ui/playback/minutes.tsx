import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { exactTime } from '../../i18n/texts';
import { r } from '../../i18n/recording/texts';
import { language as shownLanguage, t } from '../../i18n/i18n';
import type { Minutes, MinutesLanguage, MinutesVersion } from '../../lib';
import {
  ApiError,
  MINUTES_LANGUAGES,
  confirmMinutes,
  listMinutes,
  minutesLanguage,
  minutesProblem,
  newId,
  readMinutes,
} from '../../lib';
import { Button, Dialog, Field, Notice, showFailure, toast } from '../components';
import { useAskBeforeClosing } from '../leave';
import { ReadFailure } from '../sign_in';
import type { Access } from '../access';

/** The minutes of a session: read by all who may, edited and confirmed by moderators. */
export function MinutesOf(props: { access: Access; session: string; mayConfirm: boolean }) {
  const { access, session } = props;
  const [isOpen, setOpen] = useState(false);
  const heading = useRef<HTMLHeadingElement>(null);
  return (
    <section class="card stack" aria-labelledby="minutes" data-testid="minutes">
      <h2 id="minutes" ref={heading} tabIndex={-1}>
        {r('minutes.title')}
      </h2>
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
              onPress={() => {
                // The button is gone then.
                heading.current?.focus();
                setOpen(true);
              }}
            />
          </div>
        </>
      )}
    </section>
  );
}

/** A text that is edited, in the language of what it began as. */
interface Edited {
  readonly text: string;
  readonly language: MinutesLanguage;
  readonly was: string;
  /** The newest confirmed version that this person has been shown; 0 when there was none. */
  readonly newest: number;
  /** The text that somebody else confirmed while this one was edited, and its version. */
  readonly other: { readonly version: number; readonly text: string } | null;
}

function Reader(props: { access: Access; session: string; mayConfirm: boolean }) {
  const { access, session, mayConfirm } = props;
  const { api, tokens } = access;
  const [versions, setVersions] = useState<readonly MinutesVersion[] | null>(null);
  const [minutes, setMinutes] = useState<Minutes | null>(null);
  const [edited, setEdited] = useState<Edited | null>(null);
  const [reading, setReading] = useState(false);
  const [failure, setFailure] = useState<unknown>(null);
  const [draftIn, setDraftIn] = useState<MinutesLanguage>(minutesLanguage(shownLanguage.value));
  const shown = useRef<HTMLDivElement>(null);
  const isFocused = useRef(false);
  const repeated = useRef({ text: '', newest: 0, key: '' });
  const show = async (which: 'newest' | MinutesLanguage) => {
    setReading(true);
    try {
      const all = await listMinutes(api, session);
      const wanted = which === 'newest' ? (all.length > 0 ? 'confirmed' : draftIn) : which;
      const read = await readMinutes(api, session, wanted);
      setVersions(all);
      setMinutes(read);
      setDraftIn(read.language);
      setFailure(null);
    } catch (error) {
      setFailure(error);
    }
    setReading(false);
  };
  const confirm = async (wanted: Edited) => {
    const { text, language, newest } = wanted;
    // Pressed again after an answer was lost, it is the same version.
    if (repeated.current.text !== text || repeated.current.newest !== newest) {
      repeated.current = { text, newest, key: newId() };
    }
    const minutes = { language, text, newest };
    const { key } = repeated.current;
    const confirmed = await confirmMinutes(api, session, minutes, key).catch(
      async (error: unknown) => {
        const isOlder = error instanceof ApiError && error.code === 'VERSION_CONFLICT';
        if (!isOlder) throw error;
        await compare(wanted);
        return null;
      },
    );
    if (confirmed === null) return;
    repeated.current = { text: '', newest: 0, key: '' };
    const { version } = confirmed;
    toast(r('minutes.confirmed', { version }));
    setMinutes({ ...minutes, version, newest: version });
    setVersions((all) => [confirmed, ...(all ?? [])]);
    showAgain();
  };
  /** Shows what somebody else confirmed meanwhile beside what is edited, which stays. */
  const compare = async (wanted: Edited) => {
    const all = await listMinutes(api, session);
    const other = await readMinutes(api, session, 'confirmed');
    const { newest, text } = other;
    setVersions(all);
    setMinutes(other);
    setEdited({ ...wanted, newest, other: { version: other.version ?? newest, text } });
  };
  /** Instead of the editor, which had the focus. */
  const showAgain = () => {
    isFocused.current = true;
    setEdited(null);
  };
  useEffect(() => void show('newest'), []);
  useLayoutEffect(() => {
    if (edited !== null || !isFocused.current) return;
    isFocused.current = false;
    shown.current?.focus();
  }, [edited]);
  useAskBeforeClosing(edited !== null && edited.text !== edited.was);
  return (
    <>
      <ReadFailure error={failure} tokens={tokens} testId="minutes-failure" />
      {failure !== null && minutes === null && (
        <div class="row">
          <Button
            label={t('common.retry')}
            disabled={reading}
            testId="minutes-retry"
            onPress={() => void show('newest')}
          />
        </div>
      )}
      {versions !== null && <Versions versions={versions} />}
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
              disabled={reading}
              onPress={() => void show(draftIn)}
            />
            {versions !== null && versions.length > 0 && minutes.version === null && (
              <Button
                label={r('minutes.newest')}
                testId="minutes-newest"
                disabled={reading}
                onPress={() => {
                  // The button is gone then.
                  shown.current?.focus();
                  void show('newest');
                }}
              />
            )}
            {mayConfirm && (
              <Button
                label={r('minutes.edit')}
                look="main"
                testId="minutes-edit"
                disabled={reading}
                onPress={() => {
                  const { text, language, newest } = minutes;
                  setEdited({ text, language, newest, was: text, other: null });
                }}
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
            ref={shown}
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
      {edited !== null && (
        <Editor
          edited={edited}
          onChange={(text) => setEdited({ ...edited, text })}
          onCancel={showAgain}
          onConfirm={() => confirm(edited)}
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

/** What somebody else confirmed meanwhile, with the lines that the own text lacks marked. */
function Other({ other, own }: { other: NonNullable<Edited['other']>; own: string }) {
  const { version, text } = other;
  const lines = new Set(own.split('\n'));
  return (
    <>
      <Notice look="danger" testId="minutes-conflict">
        <p>{r('minutes.conflict', { version })}</p>
      </Notice>
      <div
        class="minutes-text"
        tabIndex={0}
        role="region"
        aria-label={r('minutes.version', { version })}
        data-testid="minutes-other"
        data-version={version}
      >
        {text.split('\n').map((line, at) => (
          <div key={at}>{lines.has(line) ? line || '\u00a0' : <mark>{line || '\u00a0'}</mark>}</div>
        ))}
      </div>
    </>
  );
}

function Editor(props: {
  edited: Edited;
  onChange: (text: string) => void;
  onCancel: () => void;
  onConfirm: () => Promise<void>;
}) {
  const { edited } = props;
  const [asking, setAsking] = useState<'confirm' | 'discard' | null>(null);
  const [sending, setSending] = useState(false);
  const field = useRef<HTMLTextAreaElement>(null);
  useLayoutEffect(() => field.current?.focus(), []);
  const problem = minutesProblem(edited.text);
  const close = () => setAsking(null);
  const confirm = () => {
    setAsking(null);
    setSending(true);
    props
      .onConfirm()
      .catch(showFailure)
      .finally(() => setSending(false));
  };
  return (
    <>
      {edited.other !== null && <Other other={edited.other} own={edited.text} />}
      <Field label={r('minutes.text')}>
        <textarea
          class="minutes-text"
          data-testid="minutes-editor"
          lang={edited.language}
          rows={24}
          spellcheck
          readOnly={sending}
          ref={field}
          value={edited.text}
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
          onPress={() => setAsking('confirm')}
        />
        <Button
          label={r('minutes.cancel')}
          testId="minutes-cancel"
          disabled={sending}
          onPress={() => (edited.text === edited.was ? props.onCancel() : setAsking('discard'))}
        />
      </div>
      {asking === 'discard' && (
        <Dialog title={r('minutes.discard.title')} testId="minutes-discard" onClose={close}>
          <p>{r('minutes.discard.text')}</p>
          <div class="row">
            <Button
              label={r('minutes.discard')}
              look="danger"
              testId="minutes-discard-yes"
              onPress={props.onCancel}
            />
            <Button label={r('minutes.goOn')} look="main" onPress={close} />
          </div>
        </Dialog>
      )}
      {asking === 'confirm' && (
        <Dialog title={r('minutes.ask.title')} testId="minutes-ask" onClose={close}>
          <p>{r('minutes.ask.text')}</p>
          <div class="row">
            <Button
              label={r('minutes.confirm')}
              look="main"
              testId="minutes-confirm-yes"
              onPress={confirm}
            />
            <Button label={r('minutes.cancel')} onPress={close} />
          </div>
        </Dialog>
      )}
    </>
  );
}
