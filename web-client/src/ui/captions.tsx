import { useLayoutEffect, useRef, useState } from 'preact/hooks';
import { s } from '../i18n/captions';
import { t, timeOfDay } from '../i18n/i18n';
import type { Caption, RoomClient, RoomState } from '../lib';
import { isInterrupted, shownCaptions, shownSoFar } from '../lib';
import { Button, Check, Dialog, showFailure, toast } from './components';
import { Fit } from './fit';
import { useNow } from './hooks';
import { Icon } from './icons';
import { useKept } from './kept';
import { OwnLanguage } from './spoken_language';

/** Between two looks at whether a caption has been on the picture long enough. */
const LOOK_MS = 1_000;
/** Captions on the picture at once. */
const SHOWN = 2;
/** As the server takes. */
const TEXT_MAX = 1_500;
/** Pieces that the console lists; the transcript of the session has them all. */
const LISTED = 30;

const SIZES = ['small', 'medium', 'large'] as const;
const PLACES = ['bottom', 'top'] as const;

/** How somebody wants captions. */
export interface CaptionChoice {
  readonly shown: boolean;
  readonly size: (typeof SIZES)[number];
  readonly place: (typeof PLACES)[number];
  /** Whether a screen reader says them, which would talk over the meeting. */
  readonly aloud: boolean;
}

const FIRST: CaptionChoice = { shown: true, size: 'medium', place: 'bottom', aloud: false };

/** How captions are wanted; a reload does not lose it. */
export function useCaptionChoice(): [CaptionChoice, (change: Partial<CaptionChoice>) => void] {
  const [choice, setChoice] = useKept<CaptionChoice>('captions', FIRST);
  return [choice, (change) => setChoice({ ...choice, ...change })];
}

/** Why there are no captions, in words; null when there are. */
export function captionsOff(state: RoomState): string | null {
  if (state.transcription.state === 'on')
    return isInterrupted(state.captions) ? s('interrupted') : null;
  return state.transcription.state === 'unavailable' ? s('unavailable') : s('off');
}

/** What was just said, where and as large as it is wanted. */
export function Captions(props: { client: RoomClient; state: RoomState; choice: CaptionChoice }) {
  const { client, state, choice } = props;
  const { captions, transcription } = state;
  const waits = choice.shown && (captions.length > 0 || state.soFar !== null);
  const nowMs = client.clock.now(useNow(LOOK_MS, waits));
  if (!choice.shown) return null;
  if (transcription.state === 'off') return null;
  const off = captionsOff(state);
  if (off !== null)
    return (
      <p class="captions-off" role="status" data-testid="captions-off">
        <Icon name="captions" /> {off}
      </p>
    );
  const soFar = shownSoFar(state.soFar, nowMs);
  const count = soFar === null ? SHOWN : SHOWN - 1;
  return (
    <div
      class={`captions ${choice.size} ${choice.place}`}
      role="region"
      aria-label={s('title')}
      aria-live={choice.aloud ? 'polite' : 'off'}
      data-testid="captions"
    >
      {shownCaptions(captions, nowMs, count).map((one) => (
        <p key={one.seq} data-testid="caption" data-user={one.participant}>
          <strong class="name">{one.name}:</strong>{' '}
          <span lang={one.language ?? undefined}>{one.text}</span>
        </p>
      ))}
      {soFar !== null && (
        // A screen reader says it once, when it stays.
        <p class="so-far" aria-hidden data-testid="caption-so-far" data-user={soFar.participant}>
          <strong class="name">{soFar.name}:</strong>{' '}
          <span lang={soFar.language ?? undefined}>{soFar.text} …</span>
        </p>
      )}
    </div>
  );
}

/** What was just said, for the projector. */
export function HallCaptions({ client, state }: { client: RoomClient; state: RoomState }) {
  const waits = state.captions.length > 0 || state.soFar !== null;
  const nowMs = client.clock.now(useNow(LOOK_MS, waits));
  if (state.transcription.state === 'off') return null;
  const off = captionsOff(state);
  if (off !== null)
    return (
      <p class="hall-captions off" data-testid="captions-off">
        {off}
      </p>
    );
  const soFar = shownSoFar(state.soFar, nowMs);
  const newest = soFar ?? shownCaptions(state.captions, nowMs, 1)[0];
  if (newest === undefined) return null;
  const text = `${newest.name}: ${newest.text}${soFar === null ? '' : ' …'}`;
  return (
    <section
      class={`hall-captions ${soFar === null ? '' : 'so-far'}`}
      aria-label={s('title')}
      lang={newest.language ?? undefined}
      data-testid="hall-caption"
    >
      <Fit text={text} min={14} max={48} />
    </section>
  );
}

/** Chooses how captions are shown, and which language of one's own they are in. */
export function CaptionDialog(props: {
  client: RoomClient;
  state: RoomState;
  choice: CaptionChoice;
  onChange: (change: Partial<CaptionChoice>) => void;
  onClose: () => void;
}) {
  const { choice, onChange } = props;
  const off = captionsOff(props.state);
  return (
    <Dialog title={s('settings')} testId="caption-settings" onClose={props.onClose}>
      {off !== null && (
        <p role="status" data-testid="captions-off-why">
          {off}
        </p>
      )}
      <Check
        label={s('show')}
        checked={choice.shown}
        testId="captions-shown"
        onChange={(shown) => onChange({ shown })}
      />
      <Choices
        name={s('size')}
        of={SIZES}
        value={choice.size}
        text={(one) => s(`size.${one}`)}
        onChange={(size) => onChange({ size })}
      />
      <Choices
        name={s('place')}
        of={PLACES}
        value={choice.place}
        text={(one) => s(`place.${one}`)}
        onChange={(place) => onChange({ place })}
      />
      <Check
        label={s('aloud')}
        checked={choice.aloud}
        testId="captions-aloud"
        onChange={(aloud) => onChange({ aloud })}
      />
      <OwnLanguage client={props.client} state={props.state} />
      <p class="quiet">{s('made')}</p>
      <Button label={t('common.close')} look="main" onPress={props.onClose} />
    </Dialog>
  );
}

function Choices<Value extends string>(props: {
  name: string;
  of: readonly Value[];
  value: Value;
  text: (value: Value) => string;
  onChange: (value: Value) => void;
}) {
  return (
    <label class="field">
      <span>{props.name}</span>
      <select
        value={props.value}
        onChange={(event) => {
          const chosen = props.of.find((one) => one === event.currentTarget.value);
          if (chosen !== undefined) props.onChange(chosen);
        }}
      >
        {props.of.map((one) => (
          <option key={one} value={one}>
            {props.text(one)}
          </option>
        ))}
      </select>
    </label>
  );
}

/** What was said, for the moderator to correct. */
export function ConsoleTranscript({ client, state }: { client: RoomClient; state: RoomState }) {
  const [editing, setEditing] = useState<ReadonlyMap<number, Caption>>(new Map());
  const off = captionsOff(state);
  const newest = state.captions.slice(-LISTED);
  // What is being corrected stays, however much is said or corrected meanwhile.
  const listed = new Set(newest.map(({ seq }) => seq));
  const older = [...editing.values()].filter(({ seq }) => !listed.has(seq));
  const pieces = [...older, ...newest].toSorted((a, b) => b.seq - a.seq);
  const close = (seq: number) =>
    setEditing((now) => new Map([...now].filter(([other]) => other !== seq)));
  return (
    <section class="card transcript" aria-label={s('transcript')} data-testid="transcript">
      <h2>{s('transcript')}</h2>
      {off !== null ? (
        <p class="quiet" data-testid="captions-off">
          {off}
        </p>
      ) : (
        pieces.length === 0 && <p class="quiet">{s('none')}</p>
      )}
      <ul class="lines scroll" tabIndex={0} aria-label={s('transcript')}>
        {pieces.map((one) => (
          <li key={one.seq} data-testid="transcript-piece" data-seq={one.seq}>
            <div class="quiet">
              <strong class="name">{one.name}</strong> · {timeOfDay(one.from)}
              {one.corrected && <> · {s('corrected')}</>}
            </div>
            {editing.has(one.seq) ? (
              <Correction client={client} piece={one} onClose={() => close(one.seq)} />
            ) : (
              <div class="row">
                <span class="line-text" lang={one.language ?? undefined}>
                  {one.text ?? s('gap')}
                </span>
                {one.text !== null && (
                  <Button
                    label={s('correct')}
                    name={s('correctOf', { name: one.name })}
                    look="small"
                    testId="correct-button"
                    onPress={() => setEditing((now) => new Map(now).set(one.seq, one))}
                  />
                )}
              </div>
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}

function Correction(props: { client: RoomClient; piece: Caption; onClose: () => void }) {
  const { client, piece } = props;
  const [text, setText] = useState(piece.text ?? '');
  const [sending, setSending] = useState(false);
  const form = useRef<HTMLFormElement>(null);
  useLayoutEffect(() => form.current?.querySelector('input')?.focus(), []);
  const close = () => {
    if (form.current?.contains(document.activeElement)) form.current.closest('ul')?.focus();
    props.onClose();
  };
  const send = () => {
    const corrected = text.trim();
    if (corrected === '' || sending) return;
    if (corrected === piece.text) {
      close();
      return;
    }
    setSending(true);
    client
      .command({ type: 'correct_transcript', seq: piece.seq, text: corrected })
      .then(() => {
        toast(s('saved'));
        close();
      })
      .catch(showFailure)
      .finally(() => setSending(false));
  };
  return (
    <form
      ref={form}
      class="row"
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      <input
        data-testid="correction-input"
        aria-label={s('correctOf', { name: piece.name })}
        maxLength={TEXT_MAX}
        value={text}
        onInput={(event) => setText(event.currentTarget.value)}
      />
      <Button label={s('save')} type="submit" look="main small" testId="correction-save" />
      <Button label={s('cancel')} look="small" onPress={close} />
    </form>
  );
}
