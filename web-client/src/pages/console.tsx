import { useEffect, useMemo, useState } from 'preact/hooks';
import { t } from '../i18n/i18n';
import type { ClientMessage, RequestView, RoomState } from '../lib';
import { AudioOutput, RoomClient } from '../lib';
import type { Access } from '../ui/access';
import { readLink } from '../ui/access';
import { boot, expose } from '../ui/boot';
import { Chat } from '../ui/chat';
import { Button, Check, LanguageSwitch, Notice, showFailure } from '../ui/components';
import { Closed, ConnectionState } from '../ui/connection';
import type { Removed } from '../ui/console_people';
import { ConsolePeople, HallSpeaker } from '../ui/console_people';
import { DenyDialog, Queue, Requested } from '../ui/console_queue';
import { ConsoleTurn } from '../ui/console_turn';
import { undo } from '../ui/delayed';
import { Follower } from '../ui/follower';
import { useRoom } from '../ui/hooks';
import { MicrophoneButton, MicrophoneLine } from '../ui/meeting';
import { narrate } from '../ui/narrator';
import { ConsentBanner, RecordingControl, RecordingIndicator } from '../ui/recording';
import { WitnessAlarm, WitnessIndicator, makeWitness } from '../ui/witness';
import type { Shortcut } from '../ui/shortcuts';
import { ShortcutHelp, useShortcuts } from '../ui/shortcuts';

const link = readLink();

/** The moderator's page: the list, the turn, the people. */
function Console({ access, session }: { access: Access; session: string }) {
  const [blocked, setBlocked] = useState(false);
  const { client, output, witness } = useMemo(() => makeRoom(access, session, setBlocked), []);
  const snapshot = useRoom(client);
  const { state, status } = snapshot;
  const [denied, setDenied] = useState<RequestView | null>(null);
  const [help, setHelp] = useState(false);
  const [listening, setListening] = useState(true);
  const [removed, setRemoved] = useState<readonly Removed[]>([]);
  const send = (message: ClientMessage) => void client.command(message).catch(showFailure);
  const shortcuts = shortcutsOf(state, send, setDenied, () => setHelp(true));

  useEffect(() => client.join(), []);
  useShortcuts(status.phase === 'open' ? shortcuts : []);
  useEffect(() => {
    if (state !== null) document.title = `${t('console.title')}: ${state.session.title}`;
  }, [state?.session.title]);

  if (status.phase === 'closed')
    return <Closed reason={status.reason} code={status.code} again={location.href} />;
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
    <main data-testid="console">
      <header class="console-top">
        <h1 class="name">{state.session.title}</h1>
        <RecordingIndicator state={state} />
        <WitnessIndicator witness={witness} session={state.session.id} />
        <ConnectionState status={status} quality={snapshot.quality} />
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
              <MicrophoneLine state={state} own={client.media.microphone} />
              <MicrophoneButton media={client.media} own={client.media.microphone} />
            </>
          )}
          <Button
            label={t('console.shortcuts')}
            icon="keyboard"
            compact
            shortcut="?"
            testId="shortcuts-button"
            onPress={() => setHelp(true)}
          />
          <LanguageSwitch />
        </div>
      </header>
      <WitnessAlarm witness={witness} session={state.session.id} />
      <ConsentBanner client={client} state={state} />
      <div class="console">
        <div class="stack">
          <ConsoleTurn client={client} state={state} send={send} />
          <Requested client={client} state={state} send={send} onDeny={setDenied} />
          <Queue client={client} state={state} send={send} />
          <HallSpeaker send={send} />
          <RecordingControl state={state} send={send} />
        </div>
        <div class="stack">
          <ConsolePeople
            state={state}
            send={send}
            removed={removed}
            onRemoved={(one) => setRemoved((before) => [...before, one])}
            onAdmitted={(userId) =>
              setRemoved((before) => before.filter((one) => one.user_id !== userId))
            }
          />
          <div class="card chat-card">
            <Chat client={client} state={state} />
          </div>
        </div>
      </div>
      {denied !== null && (
        <DenyDialog request={denied} send={send} onClose={() => setDenied(null)} />
      )}
      {help && <ShortcutHelp shortcuts={shortcuts} onClose={() => setHelp(false)} />}
    </main>
  );
}

function shortcutsOf(
  state: RoomState | null,
  send: (message: ClientMessage) => void,
  deny: (request: RequestView) => void,
  help: () => void,
): Shortcut[] {
  const floor = state?.floor;
  const turn = floor?.turn ?? null;
  const first = floor?.requested[0];
  const extend = (seconds: number) => {
    if (turn !== null) send({ type: 'extend_turn', seconds });
  };
  return [
    { keys: 'N', text: 'console.shortcut.next', run: () => send({ type: 'start_turn' }) },
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
        if (first !== undefined) deny(first);
      },
    },
    {
      keys: 'O',
      text: 'console.shortcut.queue',
      run: () => send({ type: floor?.open === true ? 'close_queue' : 'open_queue' }),
    },
    { keys: 'H', text: 'console.shortcut.hall', run: () => focus('hall-name') },
    { keys: 'C', text: 'console.shortcut.chat', run: () => focus('chat-input') },
    { keys: 'Z', text: 'console.shortcut.undo', run: () => void undo() },
    { keys: 'Alt + ↑ ↓', text: 'console.shortcut.move' },
    { keys: '?', text: 'console.shortcut.help', run: help },
  ];
}

function focus(testId: string): void {
  document.querySelector<HTMLElement>(`[data-testid="${testId}"]`)?.focus();
}

function makeRoom(access: Access, session: string, onBlocked: (blocked: boolean) => void) {
  const output = new AudioOutput(onBlocked);
  const witness = makeWitness(session);
  const client = new RoomClient({
    sessionId: session,
    key: access.key,
    tokens: access.tokens,
    onEvent: narrate,
    onRefused: showFailure,
    onEvidence: (head) => witness.handleHead(head),
    onResumed: () => witness.handleResume(),
    onSound: (track, media) => {
      if (media === null) output.stop(track);
      else output.play(track, media);
    },
  });
  if (link.debug) expose(client);
  return { client, output, witness };
}

boot(
  <Follower
    title="console.title"
    role="moderator"
    name="role.moderator"
    room={(access, session) => <Console access={access} session={session} />}
  />,
);
