import { useState } from 'preact/hooks';
import { c } from '../i18n/cameras';
import { exactTime, megabytes, number } from '../i18n/texts';
import type { Access } from './access';
import { Button, Dialog, Field, Notice, failureText, toast } from './components';

/** How a camera is recorded, and what is kept of it. */
export interface Recording {
  readonly enabled: boolean;
  readonly maxAgeHours: number | null;
  readonly maxBytes: number | null;
  readonly bytes: number;
  readonly since: string | null;
}

/** The camera of a link, and what is recorded of it. */
export interface RecordedCamera {
  readonly tenantId: string;
  readonly cameraId: string;
  readonly recording: Recording | null;
}

const BYTES_PER_GB = 1_000_000_000;
/** How much of a recording a link from this page plays. */
const PLAYED_MS = 3_600_000;

/** Whether a camera is recorded, and what is kept of it. */
export function recordingText(recording: Recording | null): string {
  if (recording === null) return c('recording.off');
  const state = c(recording.enabled ? 'recording.on' : 'recording.off');
  if (recording.since === null) return state;
  const since = exactTime(Date.parse(recording.since));
  const { bytes } = recording;
  const size = bytes < BYTES_PER_GB ? megabytes(bytes) : `${number(bytes / BYTES_PER_GB, 2)} GB`;
  return `${state} · ${c('recording.since', { since, size })}`;
}

/** The path of a page that plays a camera: live, or from and to these moments. */
export async function playerPath(
  access: Access,
  { tenantId, cameraId }: RecordedCamera,
  span: Readonly<Record<string, string>> = {},
): Promise<string> {
  const body = { tenantId, cameraId };
  const { token } = await access.api.request<{ token: string }>('POST', '/gateway/sessions', {
    body,
  });
  const query = new URLSearchParams({ tenant: tenantId, camera: cameraId, token, ...span });
  return `/player?${query.toString()}`;
}

/** A moment as a field for date and time has it, in this browser's time zone. */
function fieldOf(at: number): string {
  const local = new Date(at - new Date(at).getTimezoneOffset() * 60_000);
  return local.toISOString().slice(0, 16);
}

/** Has a camera recorded or not, and plays what is recorded from a moment on. */
export function RecordingDialog(props: {
  access: Access;
  camera: RecordedCamera;
  onChange: () => void;
  onClose: () => void;
}) {
  const { access, camera, onChange, onClose } = props;
  const { recording } = camera;
  const since = recording?.since ?? null;
  const [at, setAt] = useState(since === null ? '' : fieldOf(Date.parse(since) + 60_000));
  const [problem, setProblem] = useState<string | null>(null);
  const enabled = recording?.enabled ?? false;
  const change = () => {
    const path = `/gateway/cameras/${encodeURIComponent(camera.cameraId)}/recording`;
    const body = {
      enabled: !enabled,
      maxAgeHours: recording?.maxAgeHours ?? null,
      maxBytes: recording?.maxBytes ?? null,
    };
    access.api
      .request('PUT', path, { body })
      .then(() => {
        toast(c(enabled ? 'recording.stopped' : 'recording.started', { camera: camera.cameraId }));
        onClose();
      })
      .catch((error: unknown) => setProblem(failureText(error)))
      .finally(onChange);
  };
  const play = async () => {
    const from = Date.parse(at);
    if (Number.isNaN(from)) {
      setProblem(c('recording.noMoment'));
      return;
    }
    try {
      const span = {
        from: new Date(from).toISOString(),
        to: new Date(from + PLAYED_MS).toISOString(),
      };
      location.assign(await playerPath(access, camera, span));
    } catch (error) {
      setProblem(failureText(error));
    }
  };
  return (
    <Dialog title={c('recording')} testId="recording-dialog" onClose={onClose}>
      <p>{recordingText(recording)}</p>
      {since !== null && (
        <>
          <Field label={c('recording.from')}>
            <input
              type="datetime-local"
              data-testid="recording-from"
              min={fieldOf(Date.parse(since))}
              value={at}
              onInput={(event) => setAt(event.currentTarget.value)}
            />
          </Field>
          <Button
            label={c('recording.play')}
            icon="play"
            look="main"
            testId="recording-play"
            onPress={() => void play()}
          />
        </>
      )}
      {problem !== null && (
        <Notice look="danger" testId="recording-problem">
          <p>{problem}</p>
        </Notice>
      )}
      <p class="quiet">{c('recording.hint')}</p>
      <div class="camera-actions">
        <Button
          label={c(enabled ? 'recording.stop' : 'recording.start')}
          testId="recording-change"
          once
          onPress={change}
        />
        <Button label={c('cancel')} onPress={onClose} />
      </div>
    </Dialog>
  );
}
