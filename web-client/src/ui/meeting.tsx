import { useEffect, useState } from 'preact/hooks';
import { s } from '../i18n/captions';
import { t } from '../i18n/i18n';
import { m } from '../i18n/meeting';
import type {
  ApiClient,
  AudioOutput,
  RoomClient,
  RoomSnapshot,
  RoomState,
  TokenSource,
  Witness,
} from '../lib';
import { canShareScreen, holdsFloor, isModerated, mayWatch, openCamera, openScreen } from '../lib';
import { AnnouncementBanner } from './announcement';
import { Answers } from './answers';
import { Ask } from './ask';
import { CaptionDialog, Captions, useCaptionChoice } from './captions';
import { Chat } from './chat';
import { Button, LanguageSwitch, toast } from './components';
import { ConnectionState } from './connection';
import type { ChosenDevices } from './devices_dialog';
import { DevicesDialog } from './devices_dialog';
import { useFloorCame } from './floor_came';
import { FloorCard } from './floor_card';
import { useRoom } from './hooks';
import { LeaveDialog, leavingCosts, useAskBeforeClosing } from './leave';
import { MeetingLink } from './meeting_link';
import type { Media } from './microphone';
import { MicrophoneButton, MicrophoneLine } from './microphone';
import { PeopleList } from './people_list';
import { useKept } from './kept';
import { Notices } from './notices';
import { OwnAttendance } from './own_attendance';
import { QuorumLine } from './quorum';
import { ConsentBanner, LiveIndicator, RecordingIndicator } from './recording';
import { RenewalNotice } from './renewal';
import { RoomClosed } from './room_closed';
import { SpeakingList } from './speaking_list';
import type { Layout } from './stage';
import { Stage } from './stage';
import { Votes } from './votes';
import { WitnessAlarm, WitnessIndicator } from './witness';

interface MeetingProps {
  readonly client: RoomClient;
  readonly session: string;
  readonly output: AudioOutput;
  readonly witness: Witness;
  readonly tokens: TokenSource;
  readonly api: ApiClient;
  readonly soundBlocked: boolean;
  /** Devices chosen on the join page, or in the meeting. */
  readonly devices: ChosenDevices;
  readonly onDevices: (change: Partial<ChosenDevices>) => void;
  readonly again: string;
  readonly onLeave: () => void;
}

type Panel = 'none' | 'chat' | 'people' | 'list';

/** The meeting of a participant. */
export function Meeting(props: MeetingProps) {
  const { client } = props;
  const snapshot = useRoom(client);
  const { state, status } = snapshot;
  const [panel, setPanel] = useKept<Panel>('panel', 'none');
  const [layout, setLayout] = useKept<Layout>('layout', 'speaker');
  const [ownHidden, setOwnHidden] = useKept('own.hidden', false);
  const [settings, setSettings] = useState(false);
  const [captions, setCaptions] = useCaptionChoice();
  const [captioning, setCaptioning] = useState(false);
  const [leaving, setLeaving] = useState(false);
  const [read, setRead] = useState(0);
  const lastLine = state?.chat.at(-1)?.seq ?? 0;
  useEffect(() => {
    if (panel === 'chat') setRead(lastLine);
  }, [panel, lastLine]);
  const title = state === null ? t('app.name') : `${state.session.title} · ${t('app.name')}`;
  useEffect(() => {
    document.title = title;
  }, [title]);
  useFloorCame(state, title);
  useAskBeforeClosing(status.phase !== 'closed' && state !== null && holdsFloor(state));
  if (status.phase === 'closed')
    return (
      <RoomClosed
        {...{ status, state }}
        api={props.api}
        session={props.session}
        again={props.again}
        watches={state === null ? null : mayWatch(state.you.roles)}
      />
    );
  if (state === null) {
    return (
      <main key="waiting" class="page stack">
        <ConnectionState status={status} quality={null} />
      </main>
    );
  }
  const publishes = state.you.roles.some((role) => role !== 'observer');
  const costs = leavingCosts(state);
  const leave = () => {
    if (costs === null) props.onLeave();
    else setLeaving(true);
  };
  const panelButton = (which: Panel) => ({
    pressed: panel === which,
    onPress: () => setPanel(panel === which ? 'none' : which),
  });
  const unread = state.chat.filter((line) => line.seq > read).length;
  return (
    <main key="meeting" class={`meeting ${panel === 'none' ? 'alone' : ''}`} data-testid="meeting">
      <header class="top">
        <h1 title={state.session.title}>{state.session.title}</h1>
        <RecordingIndicator state={state} />
        <LiveIndicator state={state} />
        <WitnessIndicator witness={props.witness} session={state.session.id} />
        <ConnectionState
          status={status}
          quality={snapshot.quality}
          answering={snapshot.answering}
        />
      </header>
      <Notices look="consent-area" handsOverTo="floor">
        <WitnessAlarm witness={props.witness} session={state.session.id} />
        <RenewalNotice client={client} renewal={snapshot.renewal} tokens={props.tokens} />
        <MeetingLink state={state} />
        <OwnAttendance api={props.api} state={state} />
        <AnnouncementBanner state={state} />
        <Votes client={client} state={state} />
        <Answers state={state} />
        {!isModerated(state) && (
          <p class="no-moderator" role="status" data-testid="no-moderator">
            {t('meeting.noModerator')}
          </p>
        )}
        <ConsentBanner client={client} state={state} onLeave={props.onLeave} />
      </Notices>
      <FloorCard client={client} state={state}>
        <QuorumLine quorum={state.quorum} />
      </FloorCard>
      <Stage
        client={client}
        snapshot={snapshot}
        state={state}
        layout={layout}
        ownHidden={ownHidden}
        onHideOwn={() => setOwnHidden(true)}
      />
      <Captions client={client} state={state} choice={captions} />
      {panel !== 'none' && (
        <div class="panel" data-hands-over="back">
          {panel === 'chat' ? (
            <Chat client={client} state={state} onClose={() => setPanel('none')} />
          ) : panel === 'list' ? (
            <SpeakingList state={state} onClose={() => setPanel('none')} />
          ) : (
            <PeopleList state={state} onClose={() => setPanel('none')} />
          )}
        </div>
      )}
      <Bar {...props} onLeave={leave} snapshot={snapshot} state={state}>
        <Button
          label={t(layout === 'speaker' ? 'layout.grid' : 'layout.speaker')}
          icon={layout === 'speaker' ? 'grid' : 'speaker'}
          compact
          testId="layout-button"
          onPress={() => setLayout(layout === 'speaker' ? 'grid' : 'speaker')}
        />
        <Button
          label={m('list.title')}
          icon="list"
          compact
          testId="list-button"
          {...panelButton('list')}
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
          {...panelButton('chat')}
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
          {...panelButton('people')}
        />
        <Button
          label={s('title')}
          icon="captions"
          compact
          testId="captions-button"
          onPress={() => setCaptioning(true)}
        />
        <Button
          label={m('devices.title')}
          icon="settings"
          compact
          testId="devices-button"
          onPress={() => setSettings(true)}
        />
      </Bar>
      {settings && (
        <DevicesDialog
          media={client.media}
          output={props.output}
          chosen={props.devices}
          publishes={publishes}
          ownHidden={ownHidden}
          onChoose={props.onDevices}
          onHideOwn={setOwnHidden}
          onClose={() => setSettings(false)}
        />
      )}
      {captioning && (
        <CaptionDialog
          client={client}
          state={state}
          choice={captions}
          onChange={setCaptions}
          onClose={() => setCaptioning(false)}
        />
      )}
      {leaving && (
        <LeaveDialog
          client={client}
          state={state}
          costs={costs ?? 'waiting'}
          onLeave={props.onLeave}
          onClose={() => setLeaving(false)}
        />
      )}
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
      <MicrophoneButton media={media} state={media.microphone} device={devices.microphone} />
      <Button
        label={t(camera ? 'camera.turnOff' : 'camera.turnOn')}
        icon={camera ? 'camera' : 'cameraOff'}
        compact
        look={camera ? 'on' : ''}
        testId="camera-button"
        onPress={() => {
          if (camera) media.setTrack('camera', null);
          else void startCamera(media, devices.camera, props.state.you.may_be_seen);
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
            else void startScreen(media, props.state.you.may_be_seen);
          }}
        />
      )}
    </>
  );
}

/** `seen` says whether the session's rule shows it to others now. */
async function startCamera(media: Media, device: string, seen: boolean): Promise<void> {
  const { track, problem } = await openCamera(device);
  if (track === null) {
    toast(t(`device.camera.${problem}`));
    return;
  }
  media.setTrack('camera', track);
  if (!seen) toast(m('camera.notYet'));
}

async function startScreen(media: Media, seen: boolean): Promise<void> {
  const { track, sound, problem } = await openScreen();
  if (track === null) {
    toast(t(problem === 'denied' ? 'device.screen.denied' : 'device.screen.failed'));
    return;
  }
  media.setTrack('screen', track);
  media.setTrack('screen_audio', sound);
  if (!seen) toast(m('share.notYet'));
}

function stopScreen(media: Media): void {
  media.setTrack('screen', null);
  media.setTrack('screen_audio', null);
}
