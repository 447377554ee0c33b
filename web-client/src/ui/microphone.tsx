import { useEffect, useRef, useState } from 'preact/hooks';
import { t } from '../i18n/i18n';
import type { MicrophoneState, RoomClient, RoomSnapshot, RoomState } from '../lib';
import { isUnheard, measureLevel, microphoneState, openMicrophone } from '../lib';
import { Button, toast } from './components';
import type { IconName } from './icons';
import { Icon } from './icons';
import { useAlarm } from './live_regions';

/** What a person's media goes through. */
export type Media = NonNullable<RoomClient['media']>;

const ICONS: Readonly<Record<MicrophoneState, IconName>> = {
  listening_only: 'ear',
  unplugged: 'microphoneOff',
  disconnected: 'lost',
  off: 'microphoneOff',
  open: 'microphone',
  muted_by_moderator: 'locked',
  closed_by_floor: 'waiting',
  elsewhere: 'microphone',
  system_muted: 'microphoneOff',
  not_arriving: 'lost',
  silent: 'microphoneOff',
};
/** Zeros for this long are no pause between two words. */
const SILENT_AFTER_MS = 1_200;

/** The truth about one's own microphone, looked at again whenever a part of it changes. */
function useMicrophone(media: Media, snapshot: RoomSnapshot, state: RoomState): MicrophoneState {
  const [silent, setSilent] = useState(false);
  const own = media.microphone;
  const track = media.trackOf('microphone');
  useEffect(() => {
    setSilent(false);
    if (track === null || !own.on) return undefined;
    return measureLevel(track, ({ emptySinceMs }) => {
      setSilent(emptySinceMs !== null && performance.now() - emptySinceMs > SILENT_AFTER_MS);
    });
  }, [track, own.on]);
  const connected = snapshot.status.phase === 'open' && snapshot.answering;
  return microphoneState(state, { ...own, silent }, { connected, arriving: media.arriving });
}

/** The truth about one's own microphone, in words and a drawing, with its level. */
export function MicrophoneLine(props: { media: Media; snapshot: RoomSnapshot; state: RoomState }) {
  const { media, snapshot, state } = props;
  const microphone = useMicrophone(media, snapshot, state);
  const unheard = isUnheard(state, microphone);
  const text = t(unheard ? `mic.unheard.${microphone as Unheard}` : `mic.${microphone}`);
  useAlarm(unheard ? text : null, text);
  const { present, on } = media.microphone;
  return (
    <div
      class={`mic-state ${microphone} ${unheard ? 'unheard' : ''}`}
      data-testid="mic-state"
      data-state={microphone}
      data-unheard={unheard}
      role="status"
    >
      <Icon name={ICONS[microphone]} />
      <span>{text}</span>
      {present && on && <Level track={media.trackOf('microphone')} label={t('join.level')} />}
    </div>
  );
}

type Unheard = Exclude<MicrophoneState, 'closed_by_floor' | 'elsewhere' | 'open'>;

/** A live meter of a microphone. */
export function Level(props: { track: MediaStreamTrack | null; label: string }) {
  const { track } = props;
  const bar = useRef<HTMLSpanElement>(null);
  const meter = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (track === null) return undefined;
    return measureLevel(track, ({ level }) => {
      if (bar.current !== null) bar.current.style.transform = `scaleX(${level})`;
      meter.current?.setAttribute('aria-valuenow', String(Math.round(level * 100)));
    });
  }, [track]);
  return (
    <div
      ref={meter}
      class="level"
      role="meter"
      aria-label={props.label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={0}
      data-testid="mic-level"
    >
      <span ref={bar} />
    </div>
  );
}

/**
 * Opens and closes the microphone, and asks for one where there is none. `state` is
 * the microphone as the page last saw it: a component is drawn again only when a
 * property changes, and `media` stays the same object. `device` is the one to open.
 */
export function MicrophoneButton(props: {
  media: Media;
  state: Media['microphone'];
  device?: string;
}) {
  const { media } = props;
  const { present, on } = props.state;
  const label = t(!present ? 'mic.add' : on ? 'mic.turnOff' : 'mic.turnOn');
  return (
    <Button
      label={label}
      icon={on && present ? 'microphone' : 'microphoneOff'}
      compact
      look={on && present ? 'on' : ''}
      testId="mic-button"
      onPress={() => {
        // A second press may come before the first one is drawn.
        const now = media.microphone;
        if (now.present) media.setMicrophoneOn(!now.on);
        else void startMicrophone(media, props.device);
      }}
    />
  );
}

async function startMicrophone(media: Media, device?: string): Promise<void> {
  let opened = await openMicrophone(device);
  // The one chosen before may be gone; the usual one is better than none.
  if (opened.problem === 'missing' && device !== undefined && device !== '') {
    opened = await openMicrophone();
  }
  if (opened.track === null) {
    toast(t(`device.microphone.${opened.problem}`));
    return;
  }
  media.setTrack('microphone', opened.track);
  media.setMicrophoneOn(true);
}
