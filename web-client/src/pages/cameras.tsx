import { useEffect, useRef, useState } from 'preact/hooks';
import { c, cameraWord } from '../i18n/cameras';
import { t } from '../i18n/i18n';
import { exactTimeOfDay, number } from '../i18n/texts';
import { SignInRequired } from '../lib';
import type { Access } from '../ui/access';
import {
  accessOf,
  devPerson,
  isUuid,
  openDoor,
  readLink,
  rememberPerson,
  sessionIn,
  signedIn,
} from '../ui/access';
import { boot } from '../ui/boot';
import type { RecordedCamera } from '../ui/camera_recording';
import { RecordingDialog, playerPath, recordingText } from '../ui/camera_recording';
import {
  Button,
  Dialog,
  Field,
  Notice,
  PageHeader,
  failureText,
  showFailure,
  toast,
} from '../ui/components';
import { DevForm } from '../ui/dev_form';
import { announce } from '../ui/live_regions';
import { Failure } from '../ui/sign_in';

interface Health {
  readonly health: 'online' | 'degraded' | 'offline';
  readonly fault: string | null;
  readonly codec: string | null;
  readonly audioCodec: string | null;
  readonly audioFault: string | null;
  readonly bitrateBps: number;
  readonly frameRate: number;
  readonly gopPictures: number | null;
  readonly clockDriftPpm: number | null;
  readonly hasBFrames: boolean;
  readonly lastProbeAt: string | null;
}

interface Camera extends RecordedCamera {
  readonly rtspUrl: string;
  readonly viewers: number;
  readonly health: Health;
}

interface Listed {
  readonly tenantId: string;
  readonly cameras: readonly Camera[];
}

const TRANSPORTS = ['auto', 'tcp', 'udp'] as const;
/** How often the list is read again, and the pictures. */
const LIST_EVERY_MS = 5_000;
const PREVIEW_EVERY_MS = 15_000;
/** A viewer waits for a whole picture; longer than this is worth a word. */
const GOP_S_MAX = 4;
/** A clock that drifts as much as this is told in percent. */
const PERCENT_FROM_PPM = 10_000;

/** Signs in, on a development server by asking who one is. */
function Cameras() {
  const [person, setPerson] = useState(() => devPerson(readLink(), 'operator'));
  const [access, setAccess] = useState<Access | null>(null);
  const [asks, setAsks] = useState(false);
  const [failure, setFailure] = useState<unknown>(null);
  const enter = async () => {
    try {
      const door = await openDoor();
      if (door.config.dev && !isUuid(person.tenant)) {
        setAsks(true);
        return;
      }
      rememberPerson(person);
      const found = accessOf(door, null, person);
      await signedIn(found);
      setFailure(null);
      setAccess(found);
    } catch (error) {
      if (!(error instanceof SignInRequired)) setFailure(error);
    }
  };
  useEffect(() => void enter(), []);
  return (
    <main class="page wide stack" data-testid="cameras-page">
      <PageHeader title={c('title')} />
      {failure !== null && (
        <Failure
          error={failure}
          tokens={null}
          testId="enter-failure"
          onSignedIn={() => void enter()}
        />
      )}
      {access === null && asks && (
        <>
          <DevForm person={person} onChange={(change) => setPerson({ ...person, ...change })} />
          <Button label={t('join.join')} look="main" onPress={() => void enter()} />
        </>
      )}
      {access !== null && <List access={access} />}
    </main>
  );
}

function List({ access }: { access: Access }) {
  const [listed, setListed] = useState<Listed | null>(null);
  const [failure, setFailure] = useState<unknown>(null);
  const read = () =>
    access.api.request<Listed>('GET', '/gateway/cameras').then(
      (answer) => {
        setListed(answer);
        setFailure(null);
      },
      (error: unknown) => setFailure(error),
    );
  useEffect(() => {
    void read();
    const timer = setInterval(() => void read(), LIST_EVERY_MS);
    return () => clearInterval(timer);
  }, []);
  const cameras = listed?.cameras ?? null;
  return (
    <>
      {failure !== null && (
        <Notice look="danger" testId="cameras-failure">
          <p>{failureText(failure)}</p>
        </Notice>
      )}
      {cameras === null && failure === null && <p role="status">{t('common.loading')}</p>}
      {cameras?.length === 0 && <p data-testid="no-cameras">{c('none')}</p>}
      {cameras !== null && cameras.length > 0 && (
        <ul class="cameras">
          {cameras.map((camera) => (
            <li key={camera.cameraId}>
              <Card access={access} camera={camera} onChange={() => void read()} />
            </li>
          ))}
        </ul>
      )}
      {listed !== null && (
        <Add access={access} tenant={listed.tenantId} onAdded={() => void read()} />
      )}
    </>
  );
}

function Card(props: { access: Access; camera: Camera; onChange: () => void }) {
  const { access, camera, onChange } = props;
  const { health } = camera;
  const [dialog, setDialog] = useState<'remove' | 'bridge' | 'recording' | null>(null);
  const [checking, setChecking] = useState(false);
  const [link, setLink] = useState<string | null>(null);
  const named = { camera: camera.cameraId };
  const check = () => {
    setChecking(true);
    access.api
      .request('POST', `/gateway/cameras/${encodeURIComponent(camera.cameraId)}/sync-health`)
      .then(() => announce(c('checked', named)), showFailure)
      .finally(() => {
        setChecking(false);
        onChange();
      });
  };
  const copyLink = async () => {
    try {
      const address = `${location.origin}${await playerPath(access, camera)}`;
      try {
        await navigator.clipboard.writeText(address);
        toast(c('linked'));
      } catch {
        setLink(address);
      }
    } catch (error) {
      showFailure(error);
    }
  };
  return (
    <article class="camera" data-testid={`camera-${camera.cameraId}`} data-health={health.health}>
      <h2>{camera.cameraId}</h2>
      <Preview access={access} camera={camera} />
      <p>
        <span class="badge" data-testid="camera-health">
          {c(`health.${health.health}`)}
        </span>
      </p>
      {health.fault !== null && (
        <Notice look={health.health === 'offline' ? 'danger' : 'warn'} testId="camera-fault">
          <p>{cameraWord('fault', health.fault)}</p>
        </Notice>
      )}
      {warnings(health).map((warning) => (
        <Notice key={warning} look="warn" testId="camera-warning">
          <p>{warning}</p>
        </Notice>
      ))}
      <dl>
        <dt>{c('codec')}</dt>
        <dd>{[health.codec, health.audioCodec].filter(Boolean).join(' + ') || '—'}</dd>
        <dt>{c('rate')}</dt>
        <dd>{number(health.frameRate, 1)}</dd>
        <dt>{c('bitrate')}</dt>
        <dd>{number(health.bitrateBps / 1_000)} kbit/s</dd>
        <dt>{c('drift')}</dt>
        <dd data-testid="camera-drift">{driftText(health.clockDriftPpm)}</dd>
        <dt>{c('viewers')}</dt>
        <dd data-testid="camera-viewers">{number(camera.viewers)}</dd>
        <dt>{c('checkedAt')}</dt>
        <dd>
          {health.lastProbeAt === null
            ? c('never')
            : exactTimeOfDay(Date.parse(health.lastProbeAt))}
        </dd>
        <dt>{c('recording')}</dt>
        <dd data-testid="camera-recording">{recordingText(camera.recording)}</dd>
      </dl>
      <p class="quiet address">{camera.rtspUrl}</p>
      <div class="camera-actions">
        <Button
          label={c('link')}
          icon="copy"
          about={camera.cameraId}
          testId="camera-link"
          onPress={() => void copyLink()}
        />
        <Button
          label={c('bridge')}
          icon="camera"
          about={camera.cameraId}
          testId="camera-bridge"
          onPress={() => setDialog('bridge')}
        />
        <Button
          label={c('recording')}
          icon="record"
          about={camera.cameraId}
          testId="camera-record"
          onPress={() => setDialog('recording')}
        />
        <Button
          label={c('check')}
          about={camera.cameraId}
          testId="camera-check"
          disabled={checking}
          onPress={check}
        />
        <Button
          label={c('remove')}
          icon="close"
          about={camera.cameraId}
          testId="camera-remove"
          onPress={() => setDialog('remove')}
        />
      </div>
      {link !== null && (
        <Field label={c('linkShown')}>
          <input readOnly value={link} onFocus={(event) => event.currentTarget.select()} />
        </Field>
      )}
      {dialog === 'remove' && <Remove {...props} onClose={() => setDialog(null)} />}
      {dialog === 'recording' && <RecordingDialog {...props} onClose={() => setDialog(null)} />}
      {dialog === 'bridge' && <Bridge {...props} onClose={() => setDialog(null)} />}
    </article>
  );
}

/** How much faster than the server's the camera's clock is; only what can be seen is in percent. */
function driftText(ppm: number | null): string {
  if (ppm === null) return '—';
  const sign = ppm > 0 ? '+' : '';
  return Math.abs(ppm) < PERCENT_FROM_PPM
    ? `${sign}${number(ppm)} ppm`
    : `${sign}${number(ppm / 10_000, 1)} %`;
}

/** What is worth changing in the camera, in words. */
function warnings(health: Health): readonly string[] {
  const seconds =
    health.gopPictures === null || health.frameRate <= 0
      ? 0
      : health.gopPictures / health.frameRate;
  return [
    ...(health.hasBFrames ? [c('warn.bframes')] : []),
    ...(health.codec === 'h265' ? [c('warn.hevc')] : []),
    ...(health.audioFault === null ? [] : [c('warn.sound')]),
    ...(seconds > GOP_S_MAX ? [c('warn.gop', { seconds: number(seconds) })] : []),
  ];
}

/** The newest whole picture, as a film of one picture that the browser decodes. */
function Preview({ access, camera }: { access: Access; camera: Camera }) {
  const [address, setAddress] = useState<string | null>(null);
  const shown = useRef<string | null>(null);
  useEffect(() => {
    let gone = false;
    const path = `/gateway/cameras/${encodeURIComponent(camera.cameraId)}/preview`;
    const show = (next: string | null) => {
      if (shown.current !== null) URL.revokeObjectURL(shown.current);
      shown.current = next;
      setAddress(next);
    };
    const read = () =>
      access.api.file(path).then(
        (blob) => {
          if (!gone && blob.size > 0) show(URL.createObjectURL(blob));
        },
        // The list says what is wrong.
        () => undefined,
      );
    void read();
    const timer = setInterval(() => void read(), PREVIEW_EVERY_MS);
    return () => {
      gone = true;
      clearInterval(timer);
      show(null);
    };
  }, [camera.cameraId]);
  return (
    <div class="camera-preview" data-testid="camera-preview">
      {address === null ? (
        <span class="quiet">{c('noPreview')}</span>
      ) : (
        <video
          src={address}
          muted
          playsInline
          preload="auto"
          aria-label={c('preview', { camera: camera.cameraId })}
          onError={() => setAddress(null)}
        />
      )}
    </div>
  );
}

interface DialogProps {
  readonly access: Access;
  readonly camera: Camera;
  readonly onChange: () => void;
  readonly onClose: () => void;
}

function Remove({ access, camera, onChange, onClose }: DialogProps) {
  const named = { camera: camera.cameraId };
  const remove = () => {
    const body = { tenantId: camera.tenantId, cameraId: camera.cameraId };
    access.api
      .request('POST', '/gateway/deprovision', { body })
      .then(() => toast(c('removed', named)), showFailure)
      .finally(() => {
        onClose();
        onChange();
      });
  };
  return (
    <Dialog title={c('remove')} testId="remove-dialog" onClose={onClose}>
      <p>{c('removeAsk', named)}</p>
      <div class="camera-actions">
        <Button label={c('remove')} look="danger" testId="remove-sure" once onPress={remove} />
        <Button label={c('cancel')} onPress={onClose} />
      </div>
    </Dialog>
  );
}

/** Only a moderator of the session may; the server says so to others. */
function Bridge({ access, camera, onClose }: DialogProps) {
  const [text, setText] = useState('');
  const [problem, setProblem] = useState<string | null>(null);
  const bridge = () => {
    const session = sessionIn(text);
    if (session === null) {
      setProblem(c('unsession'));
      return;
    }
    access.api
      .request('POST', `/api/v1/sessions/${session}/cameras`, {
        body: { camera_id: camera.cameraId },
      })
      .then(
        () => {
          toast(c('bridged', { camera: camera.cameraId }));
          onClose();
        },
        (error: unknown) => setProblem(failureText(error)),
      );
  };
  return (
    <Dialog title={c('bridge')} testId="bridge-dialog" onClose={onClose}>
      <Field label={c('session')}>
        <input
          data-testid="bridge-session"
          value={text}
          spellcheck={false}
          onInput={(event) => setText(event.currentTarget.value)}
        />
      </Field>
      {problem !== null && (
        <Notice look="danger" testId="bridge-problem">
          <p>{problem}</p>
        </Notice>
      )}
      <div class="camera-actions">
        <Button label={c('bridge')} look="main" testId="bridge-sure" once onPress={bridge} />
        <Button label={c('cancel')} onPress={onClose} />
      </div>
    </Dialog>
  );
}

function Add(props: { access: Access; tenant: string; onAdded: () => void }) {
  const { access, tenant, onAdded } = props;
  const [id, setId] = useState('');
  const [address, setAddress] = useState('');
  const [transport, setTransport] = useState<string>('auto');
  const [problem, setProblem] = useState<string | null>(null);
  const add = async () => {
    try {
      const body = { tenantId: tenant, cameraId: id.trim(), rtspUrl: address.trim(), transport };
      await access.api.request('POST', '/gateway/provision', { body });
      toast(c('saved', { camera: id.trim() }));
      setId('');
      setAddress('');
      setProblem(null);
      onAdded();
    } catch (error) {
      setProblem(failureText(error));
    }
  };
  return (
    <form
      class="camera stack"
      data-testid="add-camera"
      onSubmit={(event) => {
        event.preventDefault();
        void add();
      }}
    >
      <h2>{c('add')}</h2>
      <Field label={c('id')}>
        <input
          required
          maxLength={128}
          placeholder="hall-1"
          title={c('idHint')}
          data-testid="add-id"
          value={id}
          onInput={(event) => setId(event.currentTarget.value)}
        />
      </Field>
      <Field label={c('address')}>
        <input
          required
          type="password"
          autoComplete="off"
          maxLength={2048}
          data-testid="add-address"
          value={address}
          onInput={(event) => setAddress(event.currentTarget.value)}
        />
      </Field>
      <p class="quiet">{c('addressHint')}</p>
      <Field label={c('transport')}>
        <select
          data-testid="add-transport"
          value={transport}
          onChange={(event) => setTransport(event.currentTarget.value)}
        >
          {TRANSPORTS.map((one) => (
            <option key={one} value={one}>
              {c(`transport.${one}`)}
            </option>
          ))}
        </select>
      </Field>
      {problem !== null && (
        <Notice look="danger" testId="add-problem">
          <p>{problem}</p>
        </Notice>
      )}
      <Button label={c('save')} look="main" type="submit" testId="add-save" />
    </form>
  );
}

void boot(<Cameras />);
