import { useEffect, useRef, useState } from 'preact/hooks';
import { t } from '../i18n/i18n';
import type { DeviceList, DeviceProblem } from '../lib';
import { listDevices, openCamera, openMicrophone, watchDevices } from '../lib';
import { Button, Check, Field, Notice } from './components';
import { Level } from './microphone';
import { Picture } from './stage';

/** What the person chose before joining; survives a reload within the tab. */
export interface Choices {
  readonly microphone: string;
  readonly camera: string;
  readonly loudspeaker: string;
  readonly muted: boolean;
  readonly video: boolean;
  readonly listenOnly: boolean;
  /** In the meeting there was no microphone; a reload opens none. */
  readonly noMicrophone: boolean;
  /** A screen was shared when the page was last seen. */
  readonly screen: boolean;
}

/** Calm defaults: nobody is heard by surprise. */
export const DEFAULT_CHOICES: Choices = {
  microphone: '',
  camera: '',
  loudspeaker: '',
  muted: true,
  video: true,
  listenOnly: false,
  noMicrophone: false,
  screen: false,
};

/** Devices that were opened for checking, to be taken into the meeting. */
export interface OpenDevices {
  microphone: MediaStreamTrack | null;
  camera: MediaStreamTrack | null;
}

/** Camera and microphone before joining: picture, level, choice, and how to mend. */
export function DeviceCheck(props: {
  choices: Choices;
  open: OpenDevices;
  onChange: (change: Partial<Choices>) => void;
}) {
  const { choices, open, onChange } = props;
  const [devices, setDevices] = useState<DeviceList | null>(null);
  const [problems, setProblems] = useState<{
    microphone: DeviceProblem | null;
    camera: DeviceProblem | null;
  }>({ microphone: null, camera: null });
  const [version, setVersion] = useState(0);

  const wanted = !choices.listenOnly;
  useOpened(wanted, choices.microphone, version, openMicrophone, (track, problem) => {
    open.microphone = track;
    setProblems((before) => ({ ...before, microphone: problem }));
    void listDevices().then(setDevices);
  });
  useOpened(wanted && choices.video, choices.camera, version, openCamera, (track, problem) => {
    open.camera = track;
    setProblems((before) => ({ ...before, camera: problem }));
    void listDevices().then(setDevices);
  });
  useEffect(() => watchDevices(() => void listDevices().then(setDevices)), []);

  return (
    <section class="stack" data-testid="device-check">
      {wanted && (
        <div class="two">
          <div class="preview">
            {open.camera !== null && choices.video ? (
              <Picture media={open.camera} name={t('common.you')} mirrored />
            ) : (
              <span>{t(problems.camera === null ? 'join.cameraOff' : 'join.noCamera')}</span>
            )}
          </div>
          <div class="stack">
            <div>
              <Level track={open.microphone} label={t('join.level')} />
              <p class="quiet">{t('join.levelHint')}</p>
            </div>
            {problems.microphone !== null && (
              <Problem
                text={t(`device.microphone.${problems.microphone}`)}
                testId="microphone-problem"
                onRetry={() => setVersion(version + 1)}
              />
            )}
            {problems.camera !== null && choices.video && (
              <Problem
                text={t(`device.camera.${problems.camera}`)}
                testId="camera-problem"
                onRetry={() => setVersion(version + 1)}
              />
            )}
            <Choose
              label={t('join.microphone')}
              devices={devices?.microphones}
              value={choices.microphone}
              testId="choose-microphone"
              onChange={(microphone) => onChange({ microphone })}
            />
            <Choose
              label={t('join.camera')}
              devices={devices?.cameras}
              value={choices.camera}
              testId="choose-camera"
              onChange={(camera) => onChange({ camera })}
            />
          </div>
        </div>
      )}
      <Choose
        label={t('join.loudspeaker')}
        devices={devices?.loudspeakers}
        value={choices.loudspeaker}
        testId="choose-loudspeaker"
        onChange={(loudspeaker) => onChange({ loudspeaker })}
      />
      <div>
        {wanted && (
          <>
            <Check
              label={t('join.muted')}
              checked={choices.muted}
              testId="join-muted"
              onChange={(muted) => onChange({ muted })}
            />
            <Check
              label={t('join.video')}
              checked={choices.video}
              testId="join-video"
              onChange={(video) => onChange({ video })}
            />
          </>
        )}
        <Check
          label={t('join.listenOnly')}
          checked={choices.listenOnly}
          testId="listen-only"
          onChange={(listenOnly) => onChange({ listenOnly })}
        />
      </div>
    </section>
  );
}

type Opener = typeof openMicrophone;

/** Keeps one device open while it is wanted, the chosen one. */
function useOpened(
  wanted: boolean,
  device: string,
  version: number,
  opener: Opener,
  done: (track: MediaStreamTrack | null, problem: DeviceProblem | null) => void,
): void {
  const current = useRef<MediaStreamTrack | null>(null);
  useEffect(() => {
    let stale = false;
    current.current?.stop();
    current.current = null;
    if (!wanted) {
      done(null, null);
      return undefined;
    }
    void opener(device).then(({ track, problem }) => {
      if (stale) {
        track?.stop();
        return;
      }
      current.current = track;
      done(track, problem);
    });
    return () => {
      stale = true;
    };
  }, [wanted, device, version]);
}

/** A choice among devices of one kind; nothing where there is no choice. */
export function Choose(props: {
  label: string;
  devices: readonly MediaDeviceInfo[] | undefined;
  value: string;
  testId: string;
  onChange: (id: string) => void;
}) {
  const devices = (props.devices ?? []).filter((one) => !['', 'default'].includes(one.deviceId));
  if (devices.length < 2) return null;
  return (
    <Field label={props.label}>
      <select
        data-testid={props.testId}
        value={props.value}
        onChange={(event) => props.onChange(event.currentTarget.value)}
      >
        <option value="">{t('join.default')}</option>
        {devices.map((one, index) => (
          <option key={one.deviceId} value={one.deviceId}>
            {one.label === '' ? t('join.deviceN', { n: index + 1 }) : one.label}
          </option>
        ))}
      </select>
    </Field>
  );
}

function Problem(props: { text: string; testId: string; onRetry: () => void }) {
  return (
    <Notice look="warn" testId={props.testId}>
      <p>{props.text}</p>
      <Button label={t('common.retry')} look="small" onPress={props.onRetry} />
    </Notice>
  );
}
