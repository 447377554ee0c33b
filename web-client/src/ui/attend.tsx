import { useEffect, useRef, useState } from 'preact/hooks';
import { a } from '../i18n/attend';
import { t, timeOfDay } from '../i18n/i18n';
import type { ApiClient, Attendee, Page } from '../lib';
import {
  ApiError,
  attendancePath,
  coarsePlace,
  codeIn,
  isWholeCode,
  openDetector,
  scan,
} from '../lib';
import { methodText, weightText } from './attendance';
import { Button, Check, Field, Notice, failureText } from './components';
import { useStable } from './hooks';
import { announce, announceAtOnce } from './live_regions';

/** Typing goes on this long after the last digit of longer codes than ours. */
const PAUSE_MS = 700;
/** Between two looks at what has become of the person's attendance, while the page is seen. */
const LOOK_MS = 10_000;

type Proof = { readonly token: string } | { readonly code: string; readonly channel: string };

/** Proving one's own presence, by a QR code or a code that was sent. */
export function Attend(props: {
  api: ApiClient;
  session: string;
  /** Where the person may say that they are in a hall. */
  hall: boolean;
  onDone?: (attendee: Attendee) => void;
}) {
  const { api, session } = props;
  const [way, setWay] = useState<'qr' | 'code'>('qr');
  const [place, setPlace] = useState('');
  const [located, setLocated] = useState(false);
  const [unlocated, setUnlocated] = useState(false);
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState<unknown>(null);
  const [done, setDone] = useState<Attendee | null>(null);
  /** When the desk marked them as left, while that stands. */
  const [leftAt, setLeftAt] = useState<string | null>(null);
  useOwnAttendance({ api, session, busy }, (attendee) => {
    const left = markedLeftAt(attendee);
    if (left !== null) {
      if (leftAt !== left) announceAtOnce(a('left', { time: timeOfDay(left) }));
      setDone(null);
    } else if (done !== null) {
      setDone({ ...attendee, method: attendee.method ?? done.method });
    } else if (leftAt !== null && attendee.present) {
      setDone(attendee);
      announceAtOnce(doneText(attendee));
    }
    setLeftAt(left);
  });
  const prove = async (proof: Proof) => {
    if (busy) return;
    setBusy(true);
    setFailure(null);
    announce(a('sending'));
    const where = located ? await coarsePlace() : null;
    setUnlocated(located && where === null);
    const body = {
      ...proof,
      ...(place === '' ? {} : { place }),
      ...(where === null ? {} : { location: { ...where, consent: true } }),
    };
    const route = 'token' in proof ? '/validate-qr' : '/validate-code';
    try {
      const attendee = await api.request<Attendee>('POST', attendancePath(session, route), {
        body,
      });
      setDone(attendee);
      setLeftAt(null);
      announceAtOnce(doneText(attendee));
      props.onDone?.(attendee);
    } catch (error) {
      setFailure(error);
    } finally {
      setBusy(false);
    }
  };
  if (done !== null) {
    return (
      <div
        class="stack"
        data-testid="attend-done"
        data-present={done.present}
        data-hands-over="itself"
      >
        <Notice>
          <p role="status">
            <strong>{doneText(done)}</strong>
          </p>
        </Notice>
        {done.eligible ? (
          <p>
            {a('weight', {
              weight: weightText(done.weight),
              units: done.units.map((unit) => unit.id).join(', '),
            })}
          </p>
        ) : (
          done.represents.length === 0 && <p>{a('notListed')}</p>
        )}
        {done.represents.length > 0 && (
          <p>{a('represents', { units: done.represents.join(', ') })}</p>
        )}
        {unlocated && <p class="quiet">{a('geoMissing')}</p>}
        <Button label={a('again')} look="small" onPress={() => setDone(null)} />
      </div>
    );
  }
  return (
    <div class="stack" data-testid="attend" data-busy={busy}>
      {leftAt !== null && (
        <Notice look="danger" testId="attend-left">
          <p>
            <strong>{a('left', { time: timeOfDay(leftAt) })}</strong> {a('left.do')}
          </p>
        </Notice>
      )}
      <p>{a('intro')}</p>
      <div class="row" role="group" aria-label={a('title')}>
        {(['qr', 'code'] as const).map((one) => (
          <Button
            key={one}
            label={a(`way.${one}`)}
            look={way === one ? 'main' : ''}
            pressed={way === one}
            testId={`attend-way-${one}`}
            onPress={() => {
              setWay(one);
              setFailure(null);
            }}
          />
        ))}
      </div>
      {failure !== null && (
        <Notice look="danger" testId="attend-failure">
          <p>
            {failureText(failure)}
            {failure instanceof ApiError &&
              failure.retryAfterS !== null &&
              ` ${a('wait', { seconds: failure.retryAfterS })}`}
          </p>
        </Notice>
      )}
      {props.hall && (
        <Field label={a('place')}>
          <select
            data-testid="attend-place"
            value={place}
            onChange={(event) => setPlace(event.currentTarget.value)}
          >
            <option value="">{a('place.unsaid')}</option>
            <option value="hall">{a('place.hall')}</option>
            <option value="remote">{a('place.remote')}</option>
          </select>
        </Field>
      )}
      {way === 'qr' ? (
        <Scanner busy={busy} onCode={(token) => void prove({ token })} />
      ) : (
        <CodeForm busy={busy} onCode={(code, channel) => void prove({ code, channel })} />
      )}
      <div>
        <Check label={a('geo')} checked={located} testId="attend-geo" onChange={setLocated} />
        <p class="quiet">{a('geoWhy')}</p>
      </div>
      {busy && <p role="status">{a('sending')}</p>}
    </div>
  );
}

/**
 * Tells what attendance knows of the person: at once, at intervals, and when the page is seen
 * again. While a proof is on its way nothing is told that may be older than it.
 */
function useOwnAttendance(
  of: { api: ApiClient; session: string; busy: boolean },
  onKnown: (attendee: Attendee) => void,
): void {
  const { api, session, busy } = of;
  const known = useStable(onKnown);
  useEffect(() => {
    if (busy) return undefined;
    let ended = false;
    const look = async () => {
      if (document.hidden) return;
      const path = attendancePath(session, '?own=true');
      // What can't be read now is read at the next look.
      const page = await api.request<Page<Attendee>>('GET', path).catch(() => null);
      const own = page?.items[0];
      if (!ended && own !== undefined) known(own);
    };
    const see = () => void look();
    see();
    const timer = setInterval(see, LOOK_MS);
    document.addEventListener('visibilitychange', see);
    return () => {
      ended = true;
      clearInterval(timer);
      document.removeEventListener('visibilitychange', see);
    };
  }, [api, session, busy]);
}

/** When somebody was marked as left, unless they are back. */
function markedLeftAt(attendee: Attendee): string | null {
  const last = attendee.intervals.at(-1);
  return !attendee.present && last?.cause === 'marked_left' ? last.until : null;
}

function doneText(attendee: Attendee): string {
  const how = methodText(attendee.method ?? 'channel');
  return a(attendee.present ? 'done.present' : 'done.connect', { how });
}

/** The camera, or a photo, until a code is seen. */
function Scanner(props: { busy: boolean; onCode: (token: string) => void }) {
  const [open, setOpen] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const video = useRef<HTMLVideoElement>(null);
  const onCode = useRef(props.onCode);
  onCode.current = props.onCode;
  useEffect(() => {
    if (!open) return undefined;
    const ends = new AbortController();
    const look = async (shown: HTMLVideoElement) => {
      const { stream, problem: why } = await rearCamera();
      if (stream === null) {
        setOpen(false);
        setProblem(t(`device.camera.${why}`));
        return;
      }
      const stop = () => {
        for (const track of stream.getTracks()) track.stop();
      };
      ends.signal.addEventListener('abort', stop);
      if (ends.signal.aborted) {
        stop();
        return;
      }
      shown.srcObject = stream;
      await shown.play().catch(() => undefined);
      const text = await scan(shown, await openDetector(), ends.signal);
      if (text === null) return;
      setOpen(false);
      onCode.current(text);
    };
    if (video.current !== null) {
      look(video.current).catch((error: unknown) => {
        setOpen(false);
        setProblem(failureText(error));
      });
    }
    return () => ends.abort();
  }, [open]);
  const read = async (file: File) => {
    setProblem(null);
    try {
      const picture = await createImageBitmap(file);
      const text = await (await openDetector())(picture);
      picture.close();
      if (text === null) setProblem(a('noCode'));
      else onCode.current(text);
    } catch {
      setProblem(a('noCode'));
    }
  };
  return (
    <div class="stack">
      {open && (
        <>
          <div class="preview">
            <video
              ref={video}
              muted
              playsInline
              aria-label={a('video')}
              data-testid="attend-video"
            />
          </div>
          <p role="status">{a('scanning')}</p>
        </>
      )}
      <div class="row">
        <Button
          label={a(open ? 'stopScan' : 'scan')}
          icon={open ? 'close' : 'camera'}
          look={open ? '' : 'main'}
          testId="attend-scan"
          disabled={props.busy}
          onPress={() => {
            setProblem(null);
            setOpen(!open);
          }}
        />
        <label class="button">
          {a('picture')}
          <input
            class="visually-hidden"
            type="file"
            accept="image/*"
            data-testid="attend-picture"
            onChange={(event) => {
              const file = event.currentTarget.files?.[0];
              event.currentTarget.value = '';
              if (file !== undefined) void read(file);
            }}
          />
        </label>
      </div>
      {problem !== null && (
        <Notice look="danger" testId="attend-problem">
          <p>{problem}</p>
        </Notice>
      )}
    </div>
  );
}

type CameraProblem = 'denied' | 'missing' | 'busy' | 'insecure' | 'failed';

/** The camera that looks away from the person, where there is one. */
async function rearCamera(): Promise<{
  stream: MediaStream | null;
  problem: CameraProblem;
}> {
  // Browsers hide the devices from pages that are not secure.
  const devices = (navigator as { mediaDevices?: MediaDevices }).mediaDevices;
  if (devices === undefined) return { stream: null, problem: 'insecure' };
  try {
    const video = { facingMode: 'environment', width: { ideal: 1280 } };
    return { stream: await devices.getUserMedia({ video }), problem: 'failed' };
  } catch (error) {
    const name = error instanceof DOMException ? error.name : '';
    const problem: CameraProblem =
      name === 'NotAllowedError'
        ? 'denied'
        : name === 'NotFoundError'
          ? 'missing'
          : name === 'NotReadableError'
            ? 'busy'
            : 'failed';
    return { stream: null, problem };
  }
}

/** A code that is sent by itself once it is whole, and by Enter whatever its form. */
function CodeForm(props: { busy: boolean; onCode: (code: string, channel: string) => void }) {
  const [code, setCode] = useState('');
  const [channel, setChannel] = useState('sms');
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);
  const send = (text: string) => {
    clearTimeout(timer.current);
    if (text !== '' && !props.busy) props.onCode(text, channel);
  };
  return (
    <form
      class="stack"
      onSubmit={(event) => {
        event.preventDefault();
        send(codeIn(code));
      }}
    >
      <Field label={a('channel')}>
        <select
          data-testid="attend-channel"
          value={channel}
          onChange={(event) => setChannel(event.currentTarget.value)}
        >
          <option value="sms">{a('channel.sms')}</option>
          <option value="email">{a('channel.email')}</option>
        </select>
      </Field>
      <Field label={a('code')}>
        <input
          class="attend-code"
          autoComplete="one-time-code"
          inputMode="numeric"
          autoCapitalize="off"
          spellcheck={false}
          maxLength={64}
          data-testid="attend-code"
          value={code}
          onInput={(event) => {
            clearTimeout(timer.current);
            const typed = event.currentTarget.value;
            const whole = codeIn(typed);
            const came = event.inputType !== 'insertText' && typed.length > code.length + 1;
            setCode(whole === '' || !isWholeCode(whole) ? typed : whole);
            if (!isWholeCode(whole)) return;
            if (came) send(whole);
            else timer.current = setTimeout(() => send(whole), PAUSE_MS);
          }}
          onPaste={(event) => {
            const pasted = codeIn(event.clipboardData?.getData('text') ?? '');
            if (!isWholeCode(pasted)) return;
            event.preventDefault();
            setCode(pasted);
            send(pasted);
          }}
        />
      </Field>
      <p class="quiet">{a('codeHint')}</p>
      <Button
        label={a('send')}
        look="main"
        type="submit"
        testId="attend-send"
        once
        disabled={props.busy || code.trim() === ''}
      />
    </form>
  );
}
