import { useEffect, useState } from 'preact/hooks';
import { t } from '../i18n/i18n';
import type {
  ApiClient,
  AudioOutput,
  RoomClient,
  RoomSnapshot,
  RoomState,
  TokenSource,
  Witness,
} from '../lib';
import { canShareScreen, openCamera, openScreen } from '../lib';
import { Ask } from './ask';
import { Chat } from './chat';
import { Button, LanguageSwitch, toast } from './components';
import { Closed, ConnectionState } from './connection';
import { FloorCard } from './floor_card';
import { useRoom } from './hooks';
import { MeetingLink } from './meeting_link';
import type { Media } from './microphone';
import { MicrophoneButton, MicrophoneLine } from './microphone';
import { PeopleList } from './people_list';
import { useKept } from './kept';
import { OwnAttendance } from './own_attendance';
import { QuorumLine } from './quorum';
import { ConsentBanner, RecordingIndicator } from './recording';
import { RenewalNotice } from './renewal';
import type { Layout } from './stage';
import { Stage } from './stage';
import { WitnessAlarm, WitnessIndicator } from './witness';

interface MeetingProps {
  readonly client: RoomClient;
  readonly output: AudioOutput;
  readonly witness: Witness;
  readonly tokens: TokenSource;
  readonly api: ApiClient;
  readonly soundBlocked: boolean;
  /** Devices chosen on the join page. */
  readonly devices: { readonly microphone?: string; readonly camera?: string };
  readonly again: string;
  readonly onLeave: () => void;
}

/** The meeting of a participant. */
export function Meeting(props: MeetingProps) {
  const { client } = props;
  const snapshot = useRoom(client);
  const { state, status } = snapshot;
  const [panel, setPanel] = useKept<'none' | 'chat' | 'people'>('panel', 'none');
  const [layout, setLayout] = useKept<Layout>('layout', 'speaker');
  const [read, setRead] = useState(0);
  const lastLine = state?.chat.at(-1)?.seq ?? 0;
  useEffect(() => {
    if (panel === 'chat') setRead(lastLine);
  }, [panel, lastLine]);
  useEffect(() => {
    if (state !== null) document.title = `${state.session.title} · ${t('app.name')}`;
  }, [state?.session.title]);
  if (status.phase === 'closed')
    return <Closed reason={status.reason} code={status.code} again={props.again} />;
  if (state === null) {
    return (
      <main class="page stack">
        <ConnectionState status={status} quality={null} />
      </main>
    );
  }
  const unread = state.chat.filter((line) => line.seq > read).length;
  return (
    <main class={`meeting ${panel === 'none' ? 'alone' : ''}`} data-testid="meeting">
      <header class="top">
        <h1 title={state.session.title}>{state.session.title}</h1>
        <RecordingIndicator state={state} />
        <WitnessIndicator witness={props.witness} session={state.session.id} />
        <ConnectionState status={status} quality={snapshot.quality} />
      </header>
      <div class="consent-area">
        <WitnessAlarm witness={props.witness} session={state.session.id} />
        <RenewalNotice client={client} renewal={snapshot.renewal} tokens={props.tokens} />
        <MeetingLink state={state} />
        <OwnAttendance api={props.api} state={state} />
        <ConsentBanner client={client} state={state} onLeave={props.onLeave} />
      </div>
      <FloorCard client={client} state={state}>
        <QuorumLine quorum={state.quorum} />
      </FloorCard>
      <Stage client={client} snapshot={snapshot} state={state} layout={layout} />
      {panel !== 'none' && (
        <div class="panel">
          {panel === 'chat' ? (
            <Chat client={client} state={state} onClose={() => setPanel('none')} />
          ) : (
            <PeopleList state={state} onClose={() => setPanel('none')} />
          )}
        </div>
      )}
      <Bar {...props} snapshot={snapshot} state={state}>
        <Button
          label={t(layout === 'speaker' ? 'layout.grid' : 'layout.speaker')}
          icon={layout === 'speaker' ? 'grid' : 'speaker'}
          compact
          testId="layout-button"
          onPress={() => setLayout(layout === 'speaker' ? 'grid' : 'speaker')}
        />
        <Button
          label={t('chat.title')}
          name={
            unread > 0
              ? `${t('chat.title')}: ${t('chat.unread', { count: unread })}`
              : t('chat.title')
          }
          icon="chat"
          compact
          testId="chat-button"
          pressed={panel === 'chat'}
          onPress={() => setPanel(panel === 'chat' ? 'none' : 'chat')}
        >
          {unread > 0 && (
            <span class="unread" aria-hidden="true">
              {unread}
            </span>
          )}
        </Button>
        <Button
          label={t('people.title')}
          icon="people"
          compact
          testId="people-button"
          pressed={panel === 'people'}
          onPress={() => setPanel(panel === 'people' ? 'none' : 'people')}
        />
      </Bar>
    </main>
  );
}

interface BarProps extends MeetingProps {
  readonly snapshot: RoomSnapshot;
  readonly state: RoomState;
  readonly children: preact.ComponentChildren;
}

function Bar(props: BarProps) {
  const { client, state, snapshot, output } = props;
  const media = client.media;
  const connected = snapshot.status.phase === 'open';
  const publishes = state.you.roles.some((role) => role !== 'observer');
  const asks = state.you.roles.some((role) => role === 'participant' || role === 'moderator');
  return (
    <footer class="bar">
      {props.soundBlocked && (
        <Button
          label={t('connection.hear')}
          about={t('connection.hearWhy')}
          icon="sound"
          look="main wide"
          testId="hear-button"
          onPress={() => void output.unblock()}
        />
      )}
      {media !== null && publishes && (
        <MicrophoneLine media={media} snapshot={snapshot} state={state} />
      )}
      {asks && <Ask client={client} state={state} connected={connected} />}
      <div class="controls" role="group" aria-label={t('meeting.controls')}>
        {publishes && media !== null && <MediaButtons {...props} media={media} />}
        {props.children}
        <Button
          label={t('meeting.leave')}
          icon="leave"
          compact
          look="danger"
          testId="leave-button"
          onPress={props.onLeave}
        />
        <LanguageSwitch />
      </div>
    </footer>
  );
}

function MediaButtons(props: BarProps & { media: NonNullable<RoomClient['media']> }) {
  const { media, devices } = props;
  const camera = media.trackOf('camera') !== null;
  const screen = media.trackOf('screen') !== null;
  return (
    <>
      <MicrophoneButton
        media={media}
        state={media.microphone}
        {...(devices.microphone === undefined ? {} : { device: devices.microphone })}
      />
      <Button
        label={t(camera ? 'camera.turnOff' : 'camera.turnOn')}
        icon={camera ? 'camera' : 'cameraOff'}
        compact
        look={camera ? 'on' : ''}
        testId="camera-button"
        onPress={() => {
          if (camera) media.setTrack('camera', null);
          else void startCamera(media, devices.camera);
        }}
      />
      {canShareScreen() && (
        <Button
          label={t(screen ? 'screen.stop' : 'screen.share')}
          icon="screen"
          compact
          look={screen ? 'on' : ''}
          testId="screen-button"
          onPress={() => {
            if (screen) stopScreen(media);
            else void startScreen(media);
          }}
        />
      )}
    </>
  );
}

async function startCamera(media: Media, device?: string): Promise<void> {
  const { track, problem } = await openCamera(device);
  if (track === null) toast(t(`device.camera.${problem}`));
  else media.setTrack('camera', track);
}

async function startScreen(media: Media): Promise<void> {
  const { track, sound, problem } = await openScreen();
  if (track === null) {
    toast(t(problem === 'denied' ? 'device.screen.denied' : 'device.screen.failed'));
    return;
  }
  media.setTrack('screen', track);
  media.setTrack('screen_audio', sound);
}

function stopScreen(media: Media): void {
  media.setTrack('screen', null);
  media.setTrack('screen_audio', null);
}
