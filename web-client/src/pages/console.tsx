import { useEffect, useMemo, useState } from 'preact/hooks';
import { c } from '../i18n/chair';
import { t } from '../i18n/i18n';
import type { Command, RequestView, RoomState } from '../lib';
import {
  AttendanceBook,
  AudioOutput,
  RoomClient,
  chairPresence,
  openMicrophone,
  presenceOf,
} from '../lib';
import type { Access } from '../ui/access';
import { readLink } from '../ui/access';
import { boot, expose } from '../ui/boot';
import { AnnouncementBanner } from '../ui/announcement';
import { useBook } from '../ui/attendance';
import { ConsoleTranscript } from '../ui/captions';
import { AnnounceForm, ChairName, ChairWarning, takeChair } from '../ui/chair';
import { Chat } from '../ui/chat';
import { Button, Check, LanguageSwitch, Notice, showFailure, toast } from '../ui/components';
import { ConnectionState } from '../ui/connection';
import { ConsolePeople, HallSpeaker } from '../ui/console_people';
import { ConsolePictures } from '../ui/console_pictures';
import type { Wanted } from '../ui/console_queue';
import {
  DenyDialog,
  Queue,
  RequestSearch,
  Requested,
  byUrgency,
  isWanted,
} from '../ui/console_queue';
import type { Send } from '../ui/console_turn';
import { AbsentDialog, ConsoleTurn, OpenFloorDialog } from '../ui/console_turn';
import type { Back } from '../ui/decisions';
import { Decisions } from '../ui/decisions';
import { tellWhatWasLeft } from '../ui/delayed';
import type { Encoders } from '../ui/encoders';
import { Follower } from '../ui/follower';
import { TURN_SLIP_MS, useCalmRoom, useTurnBegan } from '../ui/hooks';
import { keep, kept, useKept } from '../ui/kept';
import { LiveViewingControl } from '../ui/live_viewing';
import { MeetingLink } from '../ui/meeting_link';
import { MicrophoneButton, MicrophoneLine } from '../ui/microphone';
import { narrate } from '../ui/narrator';
import { Notices } from '../ui/notices';
import { QuorumCard } from '../ui/quorum';
import { ConsentBanner, LiveIndicator, RecordingControl, StorageWarning } from '../ui/recording';
import { RenewalNotice } from '../ui/renewal';
import { RoomClosed } from '../ui/room_closed';
import type { ShortcutHelp } from '../ui/shortcut_help';
import type { Shortcut } from '../ui/shortcuts';
import { useShortcuts } from '../ui/shortcuts';
import { undoNewest } from '../ui/undo_stack';
import { Votes } from '../ui/votes';
import { WitnessAlarm, WitnessIndicator, makeWitness } from '../ui/witness';

const link = readLink();

/** The moderator's page: the list, the turn, the people. */
function Console({ access, session }: { access: Access; session: string }) {
  const [blocked, setBlocked] = useState(false);
  const { client, output, witness, book } = useMemo(
    () => makeRoom(access, session, setBlocked),
    [],
  );
  const decisions = useMemo(() => new Decisions(client), [client]);
  const snapshot = useCalmRoom(client);
  const { state, status } = snapshot;
  const attendance = useBook(book, state, snapshot.eligible);
  const [denied, setDenied] = useState<RequestView | null>(null);
  const [absent, setAbsent] = useState<RequestView | null>(null);
  const [opening, setOpening] = useState(false);
  const [help, setHelp] = useState<{ readonly Of: typeof ShortcutHelp } | null>(null);
  const openHelp = () => {
    import('../ui/shortcut_help').then(({ ShortcutHelp: Of }) => setHelp({ Of }), showFailure);
  };
  /** Loaded when it is wanted: most moderators never do. */
  const [encoders, setEncoders] = useState<{ readonly Of: typeof Encoders } | null>(null);
  const [wanted, setWanted] = useState<Wanted>({ words: '', kind: '' });
  const [keys, setKeys] = useKept('shortcuts', true);
  const [listening, setListening] = useKept('listening', true);
  const send = useMemo(() => sendBy(decisions), [decisions]);
  const turnBegan = useTurnBegan(state);
  const start = (request: RequestView) => {
    // Another moderator, or the first of two presses, has just given it. Where nobody has
    // the floor, no turn can be cut short by a slip.
    const runs = state !== null && state.floor.turn !== null;
    if (runs && performance.now() - turnBegan.current < TURN_SLIP_MS) {
      toast(t('console.justStarted'));
      return;
    }
    const presence = state === null ? 'here' : presenceOf(state, request);
    if (presence === 'away' || presence === 'absent') setAbsent(request);
    else send({ type: 'start_turn', request_id: request.request_id });
  };
  const shortcuts = shortcutsOf({
    state,
    wanted,
    send,
    start,
    deny: setDenied,
    help: openHelp,
    undo: () => {
      if (undoNewest() === 'not_undoable') toast(t('undo.impossible'));
    },
    takeChair: () => takeChair(client),
  });

  useEffect(() => {
    client.media?.setListening(listening);
    void reopenMicrophone(client, session);
    client.join();
  }, []);
  useEffect(tellWhatWasLeft, []);
  // Not by what was drawn: a decision may be made and answered before that.
  useEffect(
    () =>
      client.subscribe(({ state: now }) => {
        if (now !== null) decisions.handleRecording(now.recording.state);
      }),
    [client, decisions],
  );
  useShortcuts(status.phase === 'open' ? shortcuts : [], keys);
  useEffect(() => {
    if (state !== null) document.title = `${t('console.title')}: ${state.session.title}`;
  }, [state?.session.title]);

  if (status.phase === 'closed')
    return (
      <RoomClosed {...{ status, state, session }} api={access.api} again={location.href} watches />
    );
  if (state === null) {
    return (
      <main class="page">
        <ConnectionState status={status} quality={null} />
      </main>
    );
  }
  if (!state.you.roles.includes('moderator')) {
    return (
      <main class="page">
        <Notice look="danger">
          <p>{t('console.notModerator')}</p>
        </Notice>
      </main>
    );
  }
  return (
    <main class="console-page" data-testid="console">
      <header class="console-top">
        <h1 class="name">{state.session.title}</h1>
        <ChairName state={state} />
        <RecordingControl state={state} send={send} />
        <LiveIndicator state={state} />
        <LiveViewingControl api={access.api} state={state} />
        <WitnessIndicator witness={witness} session={state.session.id} />
        <ConnectionState
          status={status}
          quality={snapshot.quality}
          answering={snapshot.answering}
        />
        <div class="row">
          {blocked && (
            <Button
              label={t('connection.hear')}
              icon="sound"
              look="main small"
              testId="hear-button"
              onPress={() => void output.unblock()}
            />
          )}
          <Check
            label={t('console.listen')}
            checked={listening}
            testId="listen"
            onChange={(wanted) => {
              setListening(wanted);
              client.media?.setListening(wanted);
            }}
          />
          {client.media !== null && (
            <>
              <MicrophoneLine media={client.media} snapshot={snapshot} state={state} />
              <MicrophoneButton media={client.media} state={client.media.microphone} />
            </>
          )}
          <a
            class="button small"
            href={`/desk${location.search}`}
            target="_blank"
            rel="noreferrer"
            data-testid="link-desk"
          >
            {t('attendance.desk')}
          </a>
          <a
            class="button small"
            href={`/report${location.search}`}
            target="_blank"
            rel="noreferrer"
            data-testid="link-report"
          >
            {t('attendance.title')}
          </a>
          <Button
            label={c('encoders.open')}
            icon="camera"
            compact
            testId="encoders-button"
            onPress={() => {
              import('../ui/encoders').then(({ Encoders: Of }) => setEncoders({ Of }), showFailure);
            }}
          />
          <Button
            label={t('console.shortcuts')}
            icon="keyboard"
            compact
            shortcut="?"
            testId="shortcuts-button"
            onPress={openHelp}
          />
          <LanguageSwitch />
        </div>
      </header>
      <MeetingLink state={state} />
      <Notices look="console-notices" below=".console" handsOverTo="turn">
        <WitnessAlarm witness={witness} session={state.session.id} />
        <RenewalNotice client={client} renewal={snapshot.renewal} tokens={access.tokens} />
        <ChairWarning client={client} state={state} />
        <AnnouncementBanner state={state} />
        <Votes client={client} state={state} />
        <ConsentBanner client={client} state={state} />
        {state.recording.enabled && <StorageWarning api={access.api} />}
      </Notices>
      <div class="console">
        <div class="console-floor">
          <ConsoleTurn
            client={client}
            state={state}
            send={send}
            onStart={start}
            onOpenFloor={() => setOpening(true)}
          />
          <div class="console-lists">
            <RequestSearch state={state} wanted={wanted} onChange={setWanted} />
            <ConsolePictures
              client={client}
              api={access.api}
              snapshot={snapshot}
              state={state}
              send={send}
            />
            <div class="lists">
              <Requested
                client={client}
                state={state}
                wanted={wanted}
                send={send}
                onDeny={setDenied}
              />
              <Queue client={client} state={state} wanted={wanted} send={send} onStart={start}>
                <HallSpeaker decisions={decisions} />
              </Queue>
            </div>
          </div>
        </div>
        <div class="console-people">
          <QuorumCard
            {...{ quorum: state.quorum, eligible: snapshot.eligible, api: access.api, session }}
            decides
          />
          <ConsolePeople
            state={state}
            book={attendance}
            reception={snapshot.reception}
            connections={snapshot.connections}
            send={send}
          />
          <div class="card chat-card">
            <AnnounceForm client={client} />
            <Chat client={client} state={state} />
          </div>
          <ConsoleTranscript client={client} state={state} />
        </div>
      </div>
      {denied !== null && (
        <DenyDialog request={denied} send={send} onClose={() => setDenied(null)} />
      )}
      {absent !== null && (
        <AbsentDialog request={absent} send={send} onClose={() => setAbsent(null)} />
      )}
      {opening && <OpenFloorDialog state={state} send={send} onClose={() => setOpening(false)} />}
      {encoders !== null && (
        <encoders.Of api={access.api} session={session} onClose={() => setEncoders(null)} />
      )}
      {help !== null && (
        <help.Of shortcuts={shortcuts} on={keys} onSwitch={setKeys} onClose={() => setHelp(null)} />
      )}
    </main>
  );
}

function sendBy(decisions: Decisions): Send {
  const send = (message: Command, back?: Back) => void decisions.send(message, back);
  return Object.assign(send, { asShown: () => decisions.asShown() });
}

/** A reload takes the microphone up again as it was, and never opens one that was off. */
async function reopenMicrophone(client: RoomClient, session: string): Promise<void> {
  const media = client.media;
  if (media === null) return;
  const key = `console.microphone.${session}`;
  const before = kept<'none' | 'off' | 'on'>(key, 'none');
  if (before !== 'none') {
    const { track } = await openMicrophone();
    if (track !== null) {
      media.setMicrophoneOn(before === 'on');
      media.setTrack('microphone', track);
    }
  }
  client.subscribe(({ status }) => {
    if (status.phase === 'closed') return;
    const { present, on } = media.microphone;
    const now = !present ? 'none' : on ? 'on' : 'off';
    if (now !== kept(key, 'none')) keep(key, now);
  });
}

function shortcutsOf(does: {
  state: RoomState | null;
  wanted: Wanted;
  send: (message: Command) => void;
  start: (request: RequestView) => void;
  deny: (request: RequestView) => void;
  help: () => void;
  undo: () => void;
  takeChair: () => void;
}): Shortcut[] {
  const { send } = does;
  const floor = does.state?.floor;
  const turn = floor?.turn ?? null;
  const first = byUrgency(floor?.requested ?? []).find((one) => isWanted(one, does.wanted));
  const next = floor?.queue[0];
  const extend = (seconds: number) => {
    if (turn !== null) send({ type: 'extend_turn', seconds });
  };
  return [
    {
      keys: 'N',
      text: 'console.shortcut.next',
      run: () => {
        if (next !== undefined) does.start(next);
        else toast(t('error.QUEUE_EMPTY'));
      },
    },
    {
      keys: 'P',
      text: 'console.shortcut.pause',
      run: () => {
        if (turn !== null) send({ type: turn.running ? 'pause_turn' : 'resume_turn' });
      },
    },
    {
      keys: 'S',
      text: 'console.shortcut.stop',
      run: () => {
        if (turn !== null) send({ type: 'stop_turn' });
      },
    },
    { keys: 'E', text: 'console.shortcut.extend30', run: () => extend(30) },
    { keys: '⇧ E', text: 'console.shortcut.extend60', run: () => extend(60) },
    {
      keys: 'A',
      text: 'console.shortcut.approve',
      run: () => {
        if (first !== undefined) send({ type: 'approve_speech', request_id: first.request_id });
      },
    },
    {
      keys: 'D',
      text: 'console.shortcut.deny',
      run: () => {
        if (first !== undefined) does.deny(first);
      },
    },
    {
      keys: 'O',
      text: 'console.shortcut.queue',
      run: () => send({ type: floor?.open === true ? 'close_queue' : 'open_queue' }),
    },
    { keys: 'H', text: 'console.shortcut.hall', run: () => focus('hall-name') },
    { keys: 'F', text: 'console.shortcut.search', run: () => focus('people-search') },
    { keys: 'R', name: c('shortcut.requests'), run: () => focus('requests-search') },
    { keys: 'V', name: c('shortcut.pictures'), run: () => press('pictures-toggle') },
    { keys: 'T', name: c('shortcut.announce'), run: () => focus('announce-input') },
    { keys: 'C', text: 'console.shortcut.chat', run: () => focus('chat-input') },
    {
      keys: 'K',
      name: c('shortcut.chair'),
      run: () => {
        const { state } = does;
        if (state !== null && chairPresence(state) !== 'here') does.takeChair();
      },
    },
    { keys: 'L', name: c('shortcut.live'), run: () => press('live-open') },
    { keys: 'Z', text: 'console.shortcut.undo', run: does.undo },
    { keys: '↑ ↓', name: c('shortcut.rows') },
    { keys: 'Alt + ↑ ↓', text: 'console.shortcut.move' },
    { keys: '?', text: 'console.shortcut.help', run: does.help },
  ];
}

function press(testId: string): void {
  document.querySelector<HTMLElement>(`[data-testid="${testId}"]`)?.click();
}

function focus(testId: string): void {
  document.querySelector<HTMLElement>(`[data-testid="${testId}"]`)?.focus();
}

function makeRoom(access: Access, session: string, onBlocked: (blocked: boolean) => void) {
  const output = new AudioOutput(onBlocked);
  const witness = makeWitness(session);
  const book = new AttendanceBook(access.api, session);
  const client = new RoomClient({
    sessionId: session,
    key: access.key,
    tokens: access.tokens,
    reliedOn: true,
    onEvent: (event, now) => {
      book.handleEvent(event);
      narrate(event, now, client.media);
    },
    onRefused: showFailure,
    onEnded: (source) => {
      if (source === 'microphone') toast(t('mic.said.unplugged'));
    },
    onEvidence: (head) => witness.handleHead(head),
    onResumed: () => witness.handleResume(),
    onSound: (track, media) => {
      if (media === null) output.stop(track);
      else output.play(track, media);
    },
  });
  if (link.debug) expose(client);
  return { client, output, witness, book };
}

void boot(
  <Follower
    title="console.title"
    role="moderator"
    name="role.moderator"
    waits
    room={(access, session) => <Console access={access} session={session} />}
    waiting={(access, session) => session.recording.enabled && <StorageWarning api={access.api} />}
  />,
);
