import { useEffect, useRef, useState } from 'preact/hooks';
import { megabytes } from '../../i18n/texts';
import { r } from '../../i18n/recording/texts';
import { t } from '../../i18n/i18n';
import type { ApiClient, BundleProgress, BundleWanted, TimelineItem } from '../../lib';
import { bundlePath, takeBundle } from '../../lib';
import { Button, Check, Dialog, Field, Notice, failureText } from '../components';
import { download } from '../download';
import { Icon } from '../icons';

/** A copy with its proof, while it is made and afterwards. */
type State =
  | { readonly now: 'nothing' }
  | { readonly now: 'taking'; readonly progress: BundleProgress }
  | { readonly now: 'saved'; readonly name: string }
  | { readonly now: 'failed'; readonly error: unknown };

/** What copies can be asked for, one at a time. */
export interface Copies {
  readonly state: State;
  readonly take: (wanted: BundleWanted) => void;
  readonly cancel: () => void;
}

/** Copies of a session with their proof. */
export function useCopies(api: ApiClient, session: string): Copies {
  const [state, setState] = useState<State>({ now: 'nothing' });
  const running = useRef<AbortController | null>(null);
  useEffect(() => () => running.current?.abort(), []);
  const take = (wanted: BundleWanted) => {
    if (running.current !== null) return;
    const begun = new AbortController();
    running.current = begun;
    setState({ now: 'taking', progress: { received: 0, expected: null, waitsFor: null } });
    const tell = (progress: BundleProgress) => setState({ now: 'taking', progress });
    takeBundle(api, bundlePath(session, wanted), begun.signal, tell)
      .then(({ name, file }) => {
        download(name, file);
        setState({ now: 'saved', name });
      })
      .catch((error: unknown) => {
        setState(begun.signal.aborted ? { now: 'nothing' } : { now: 'failed', error });
      })
      .finally(() => {
        running.current = null;
      });
  };
  return { state, take, cancel: () => running.current?.abort() };
}

/** The whole session or a part of it, to be checked without this server. */
export function CopiesCard(props: {
  copies: Copies;
  /** What was recorded, ms since 1970; null while that is not known. */
  span: { readonly fromMs: number; readonly toMs: number } | null;
  /** Where the player is. */
  atMs: number;
  /** About the size of the whole. */
  bytes: number;
}) {
  const { copies, span } = props;
  const busy = copies.state.now === 'taking';
  return (
    <section class="card stack" aria-labelledby="copies" data-testid="copies">
      <h2 id="copies">{r('copies.title')}</h2>
      <p>{r('copies.what')}</p>
      <div class="row">
        <Button
          label={r('copies.all')}
          icon="save"
          look="main"
          testId="copy-all"
          disabled={busy}
          onPress={() => copies.take({ kind: 'full' })}
        />
        <span class="quiet" data-testid="copy-size">
          {r('copies.size', { size: megabytes(props.bytes) })}
        </span>
      </div>
      {span !== null && <Clip copies={copies} span={span} atMs={props.atMs} busy={busy} />}
      <CopyState copies={copies} />
    </section>
  );
}

function Clip(props: {
  copies: Copies;
  span: { readonly fromMs: number; readonly toMs: number };
  atMs: number;
  busy: boolean;
}) {
  const { span, atMs } = props;
  const [from, setFrom] = useState(localText(span.fromMs));
  const [to, setTo] = useState(localText(span.toMs));
  const [subjects, setSubjects] = useState(false);
  const fromMs = Date.parse(from);
  const toMs = Date.parse(to);
  const isSpan = fromMs < toMs;
  return (
    <details class="clip" data-testid="clip">
      <summary>{r('copies.part')}</summary>
      <div class="stack">
        <p class="quiet">{r('copies.part.what')}</p>
        <Moment
          label={r('copies.from')}
          value={from}
          atMs={atMs}
          testId="clip-from"
          onSet={setFrom}
        />
        <Moment label={r('copies.to')} value={to} atMs={atMs} testId="clip-to" onSet={setTo} />
        {!isSpan && (
          <Notice look="warn" testId="clip-wrong">
            <p>{r('copies.wrong')}</p>
          </Notice>
        )}
        <Check
          label={r('copies.subjects')}
          checked={subjects}
          testId="clip-subjects"
          onChange={setSubjects}
        />
        <Button
          label={r('copies.part.take')}
          icon="save"
          testId="copy-clip"
          disabled={props.busy || !isSpan}
          onPress={() => props.copies.take({ kind: 'clip', fromMs, toMs, subjects })}
        />
      </div>
    </details>
  );
}

function Moment(props: {
  label: string;
  value: string;
  atMs: number;
  testId: string;
  onSet: (value: string) => void;
}) {
  return (
    <div class="clip-moment">
      <Field label={props.label}>
        <input
          type="datetime-local"
          step={1}
          required
          data-testid={props.testId}
          value={props.value}
          onInput={(event) => props.onSet(event.currentTarget.value)}
        />
      </Field>
      {props.atMs > 0 && (
        <Button
          label={r('copies.here')}
          about={props.label}
          look="small"
          testId={`${props.testId}-here`}
          onPress={() => props.onSet(localText(props.atMs))}
        />
      )}
    </div>
  );
}

/** A moment as a field for local times takes it: to the second. */
function localText(ms: number): string {
  const local = new Date(ms - new Date(ms).getTimezoneOffset() * 60_000);
  return local.toISOString().slice(0, 'yyyy-mm-ddThh:mm:ss'.length);
}

function CopyState({ copies }: { copies: Copies }) {
  const { state } = copies;
  return (
    <div role="status" data-testid="copy-state" data-state={state.now}>
      {state.now === 'taking' && (
        <div class="making">
          <progress
            aria-label={r('copies.taking')}
            {...(state.progress.expected === null
              ? {}
              : { max: Math.max(state.progress.expected, 1), value: state.progress.received })}
          />
          <div class="row">
            <span data-testid="copy-progress">{progressText(state.progress)}</span>
            <Button
              label={t('common.cancel')}
              look="small"
              testId="copy-cancel"
              onPress={copies.cancel}
            />
          </div>
        </div>
      )}
      {state.now === 'saved' && (
        <Notice testId="copy-saved">
          <p>
            {r('copies.saved', { name: state.name })}{' '}
            <a href="/verify" target="_blank" rel="noopener">
              {r('copies.check')}
            </a>
          </p>
        </Notice>
      )}
      {state.now === 'failed' && (
        <Notice look="danger" testId="copy-failed">
          <p>{failureText(state.error)}</p>
        </Notice>
      )}
    </div>
  );
}

function progressText({ received, expected, waitsFor }: BundleProgress): string {
  if (waitsFor === 'place') return r('copies.waits.place');
  const sizes = { received: megabytes(received), expected: megabytes(expected ?? 0) };
  const far = r(expected === null ? 'copies.progress.open' : 'copies.progress', sizes);
  return waitsFor === 'network' ? `${far}. ${r('copies.waits.network')}` : far;
}

/** What can be taken of one note of the time line. */
export function CopyItem(props: { item: TimelineItem; text: string; copies: Copies }) {
  const { item, text, copies } = props;
  const [open, setOpen] = useState(false);
  const fromMs = Date.parse(item.from);
  const toMs = item.to === null ? fromMs : Date.parse(item.to);
  const hasNote = item.entries.length > 0;
  // Of a gap nothing was kept.
  const hasSpan = fromMs < toMs && item.kind !== 'gap';
  if (!hasNote && !hasSpan) return null;
  const take = (wanted: BundleWanted) => {
    setOpen(false);
    copies.take(wanted);
    document.getElementById('copies')?.scrollIntoView({ block: 'nearest' });
  };
  return (
    <>
      <button
        type="button"
        class="button small line-copy"
        data-testid="line-copy"
        aria-label={r('copies.item', { what: text })}
        title={r('copies.item.short')}
        aria-disabled={copies.state.now === 'taking' ? 'true' : undefined}
        onClick={() => {
          if (copies.state.now !== 'taking') setOpen(true);
        }}
      >
        <Icon name="save" />
      </button>
      {open && (
        <Dialog title={r('copies.item.short')} testId="copy-item" onClose={() => setOpen(false)}>
          <p>
            <strong>{text}</strong>
          </p>
          {hasNote && (
            <div class="stack-tight">
              <p>{r('copies.note.what')}</p>
              <Button
                label={r('copies.note')}
                icon="save"
                testId="copy-note"
                onPress={() => take({ kind: 'entries', entries: item.entries })}
              />
            </div>
          )}
          {hasSpan && (
            <div class="stack-tight">
              <p>{r('copies.span.what')}</p>
              <Button
                label={r('copies.span')}
                icon="save"
                testId="copy-span"
                onPress={() => take({ kind: 'clip', fromMs, toMs, subjects: false })}
              />
            </div>
          )}
          <Button label={t('common.cancel')} onPress={() => setOpen(false)} />
        </Dialog>
      )}
    </>
  );
}
