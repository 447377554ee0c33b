import { useEffect, useState } from 'preact/hooks';
import { t } from '../i18n/i18n';
import { m } from '../i18n/meeting';
import type { AudioOutput, DeviceList } from '../lib';
import { listDevices, openCamera, openMicrophone, watchDevices } from '../lib';
import { Button, Check, Dialog, toast } from './components';
import { Choose } from './device_check';
import { canNotify } from './floor_came';
import { useKept } from './kept';
import type { Media } from './microphone';
import { Level } from './microphone';
import { playTone } from './tone';

/** The devices that are chosen. */
export interface ChosenDevices {
  readonly microphone: string;
  readonly camera: string;
  readonly loudspeaker: string;
}

/** Other devices, the level of the microphone and a tone, without leaving the meeting. */
export function DevicesDialog(props: {
  media: Media | null;
  output: AudioOutput;
  chosen: ChosenDevices;
  publishes: boolean;
  ownHidden: boolean;
  onChoose: (change: Partial<ChosenDevices>) => void;
  onHideOwn: (hidden: boolean) => void;
  onClose: () => void;
}) {
  const { media, chosen, onChoose } = props;
  const [devices, setDevices] = useState<DeviceList | null>(null);
  const [sounds, setSounds] = useState(false);
  const [notify, setNotify] = useKept('notify', true);
  // The track is another object after another microphone was opened.
  const [microphone, setMicrophone] = useState(media?.trackOf('microphone') ?? null);
  const read = () => void listDevices().then(setDevices);
  useEffect(() => {
    read();
    return watchDevices(read);
  }, []);
  const chooseMicrophone = async (id: string) => {
    onChoose({ microphone: id });
    if (media?.microphone.present !== true) return;
    const { track, problem } = await openMicrophone(id);
    if (track === null) {
      onChoose({ microphone: chosen.microphone });
      toast(t(`device.microphone.${problem}`));
      return;
    }
    media.setTrack('microphone', track);
    setMicrophone(track);
  };
  const chooseCamera = async (id: string) => {
    onChoose({ camera: id });
    if (!media?.trackOf('camera')) return;
    const { track, problem } = await openCamera(id);
    if (track === null) {
      onChoose({ camera: chosen.camera });
      toast(t(`device.camera.${problem}`));
    } else media.setTrack('camera', track);
  };
  const chooseLoudspeaker = (id: string) => {
    onChoose({ loudspeaker: id });
    void props.output.setSink(id);
  };
  const test = () => {
    setSounds(true);
    playTone(chosen.loudspeaker)
      .catch(() => toast(m('devices.testHint')))
      .finally(() => setSounds(false));
  };
  const denied = canNotify() && Notification.permission === 'denied';
  return (
    <Dialog title={m('devices.title')} testId="devices-dialog" onClose={props.onClose}>
      {props.publishes && (
        <>
          <Choose
            label={t('join.microphone')}
            devices={devices?.microphones}
            value={chosen.microphone}
            testId="choose-microphone"
            onChange={(id) => void chooseMicrophone(id)}
          />
          {microphone === null ? (
            <p class="quiet">{m('devices.none')}</p>
          ) : (
            <div>
              <Level track={microphone} label={t('join.level')} />
              <p class="quiet">{t('join.levelHint')}</p>
            </div>
          )}
          <Choose
            label={t('join.camera')}
            devices={devices?.cameras}
            value={chosen.camera}
            testId="choose-camera"
            onChange={(id) => void chooseCamera(id)}
          />
        </>
      )}
      <Choose
        label={t('join.loudspeaker')}
        devices={devices?.loudspeakers}
        value={chosen.loudspeaker}
        testId="choose-loudspeaker"
        onChange={chooseLoudspeaker}
      />
      <div>
        <Button
          label={m(sounds ? 'devices.testing' : 'devices.test')}
          icon="sound"
          testId="test-tone"
          disabled={sounds}
          onPress={test}
        />
        <p class="quiet">{m('devices.testHint')}</p>
      </div>
      <div>
        {props.publishes && (
          <Check
            label={m('devices.hideOwn')}
            checked={props.ownHidden}
            testId="hide-own-check"
            onChange={props.onHideOwn}
          />
        )}
        {canNotify() && (
          <Check
            label={m('devices.notify')}
            checked={notify && !denied}
            testId="notify"
            onChange={(wanted) => {
              setNotify(wanted);
              if (wanted) void Notification.requestPermission().catch(() => undefined);
            }}
          />
        )}
        {denied && <p class="quiet">{m('devices.notifyDenied')}</p>}
      </div>
      <Button
        label={t('common.close')}
        look="wide"
        testId="devices-close"
        onPress={props.onClose}
      />
    </Dialog>
  );
}
