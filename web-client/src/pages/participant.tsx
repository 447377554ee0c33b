import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { chooseLanguage, t } from '../i18n/i18n';
import type { Session, Witness } from '../lib';
import {
  ApiError,
  AudioOutput,
  RoomClient,
  SignInRequired,
  claimsOf,
  openCamera,
  openMicrophone,
  tabKeeping,
} from '../lib';
import type { Access, DevPerson, Door } from '../ui/access';
import {
  accessOf,
  devPerson,
  isUuid,
  openDoor,
  readLink,
  rememberPerson,
  rememberVisit,
  signedIn,
} from '../ui/access';
import { handleAnswer } from '../ui/answers';
import { boot, expose } from '../ui/boot';
import { Button, Notice, PageHeader, failureText, showFailure, toast } from '../ui/components';
import { DevForm } from '../ui/dev_form';
import type { Choices, OpenDevices } from '../ui/device_check';
import { DEFAULT_CHOICES, DeviceCheck } from '../ui/device_check';
import { isOver } from '../ui/ending';
import { Meeting } from '../ui/meeting';
import { narrate } from '../ui/narrator';
import { SessionFacts } from '../ui/session_facts';
import { SessionOver } from '../ui/session_over';
import { Failure, isAboutSignIn } from '../ui/sign_in';
import { makeWitness } from '../ui/witness';

const link = readLink();
/** How often a page that waits for the start asks whether it has come. */
const POLL_MS = 5_000;

interface Room {
  readonly client: RoomClient;
  readonly output: AudioOutput;
  readonly witness: Witness;
}

/** From the link to the meeting, on one page, so that nothing reloads between. */
function Participant() {
  const [door, setDoor] = useState<Door | null>(null);
  const [failure, setFailure] = useState<unknown>(null);
  const [person, setPerson] = useState<DevPerson>(() => devPerson(link, 'participant'));
  const [choices, setChoices] = useState<Choices>(storedChoices);
  const [room, setRoom] = useState<Room | null>(null);
  const [over, setOver] = useState<Session | null>(null);
  const [blocked, setBlocked] = useState(false);
  const open = useRef<OpenDevices>({ microphone: null, camera: null });
  /** What is chosen now, for what outlives a drawing of the page. */
  const chosen = useRef(choices);
  chosen.current = choices;

  const access = useMemo(
    () => (door === null || !mayAsk(door, person) ? null : accessOf(door, link.session, person)),
    [door, person.tenant, person.user, person.name, person.role],
  );
  const enter = (devices: OpenDevices) => {
    if (access === null || link.session === null) return;
    rememberPerson(person);
    tabKeeping().setItem(joinedKey, JSON.stringify(choices));
    const made = makeRoom(access, link.session, setBlocked);
    const { client, output } = made;
    void output.setSink(choices.loudspeaker);
    client.media?.setMicrophoneOn(devices.microphone !== null && !choices.muted);
    if (devices.microphone !== null) client.media?.setTrack('microphone', devices.microphone);
    if (devices.camera !== null) client.media?.setTrack('camera', devices.camera);
    history.replaceState(null, '', `/meeting${location.search}`);
    if (choices.screen) toast(t('screen.said.reload'));
    client.subscribe(() => keepDevices(client, chosen.current));
    client.join();
    setRoom(made);
  };

  useEffect(() => {
    openDoor().then(setDoor, setFailure);
  }, []);
  useEffect(() => {
    // A reload in the middle of a meeting goes on with the meeting.
    if (access === null || link.session === null || room !== null || !hasJoined()) return;
    const resume = async (id: string) => {
      // What can't be asked goes on as far as it can.
      const found = await access.api.session(id).catch(() => null);
      if (found !== null && isOver(found)) setOver(found);
      else enter(await reopened(choices, person.role));
    };
    resume(link.session).catch(showFailure);
  }, [access === null]);

  if (link.session === null || !isUuid(link.session)) return <NoSession />;
  if (failure !== null) return <Failed text={failureText(failure)} />;
  if (over !== null && access !== null) return <SessionOver access={access} found={over} />;
  if (door === null || (hasJoined() && room === null))
    return <p class="page">{t('common.loading')}</p>;
  if (room !== null && access !== null) {
    return (
      <Meeting
        {...room}
        session={link.session}
        tokens={access.tokens}
        api={access.api}
        soundBlocked={blocked}
        devices={choices}
        onDevices={(change) => {
          chosen.current = { ...chosen.current, ...change };
          setChoices(chosen.current);
          keepDevices(room.client, chosen.current);
        }}
        again={`/join${location.search}`}
        onLeave={() => {
          tabKeeping().removeItem(joinedKey);
          room.output.close();
          room.witness.close();
          room.client.leave();
        }}
      />
    );
  }
  return (
    <Join
      door={door}
      access={access}
      person={person}
      choices={choices}
      open={open.current}
      onPerson={(change) => setPerson({ ...person, ...change })}
      onChoices={(change) => setChoices({ ...choices, ...change })}
      onJoin={() => enter(open.current)}
    />
  );
}

function Join(props: {
  door: Door;
  access: Access | null;
  person: DevPerson;
  choices: Choices;
  open: OpenDevices;
  onPerson: (change: Partial<DevPerson>) => void;
  onChoices: (change: Partial<Choices>) => void;
  onJoin: () => void;
}) {
  const { door, access, person } = props;
  const { session, failure, again } = useSession(access, person.tenant);
  const role = useRole(door, access, person);
  const moderates = role === 'moderator';
  // Who may not even read of the session is not invited into it.
  const refused = session === null && failure instanceof ApiError && failure.code === 'FORBIDDEN';
  const ready = session?.status === 'active' && (!door.config.dev || person.name.trim() !== '');
  const over = session !== null && isOver(session);
  useEffect(() => {
    if (over) releaseDevices(props.open);
  }, [over]);
  if (over && access !== null) return <SessionOver access={access} found={session} />;
  return (
    <main class="page stack" data-testid="join">
      <PageHeader title={session?.title ?? t('join.title')} />
      {failure !== null && (
        <Failure
          error={failure}
          tokens={access?.tokens ?? null}
          testId="join-failure"
          onSignedIn={again}
        />
      )}
      {session !== null && <SessionFacts session={session} />}
      {door.config.dev && <DevForm person={person} onChange={props.onPerson} />}
      {moderates && (
        <Notice testId="join-moderator">
          <p>{t('join.moderator')}</p>
        </Notice>
      )}
      {!refused && role === 'observer' && (
        <Notice>
          <p>{t('join.observer')}</p>
        </Notice>
      )}
      {session === null && failure === null && access !== null && <p>{t('common.loading')}</p>}
      {session !== null && role !== 'observer' && (
        <DeviceCheck choices={props.choices} open={props.open} onChange={props.onChoices} />
      )}
      {session?.status === 'active' && session.modality !== 'virtual' && role !== 'observer' && (
        <p>
          <a href={`/attend${location.search}`} data-testid="link-attend">
            {t('attend.inHall')}
          </a>
        </p>
      )}
      {session !== null && (
        <div class="join-bar">
          {session.status === 'scheduled' && (
            <p role="status" data-testid="join-waits">
              {t('join.notStarted')}
            </p>
          )}
          {moderates && (
            <Button
              label={t('join.console')}
              look="main wide"
              testId="console-button"
              onPress={() => {
                rememberPerson(person);
                releaseDevices(props.open);
                location.assign(consoleAddress(person));
              }}
            />
          )}
          <Button
            label={t(moderates ? 'join.asParticipant' : 'join.join')}
            look={moderates ? 'wide' : 'main wide'}
            testId="join-button"
            disabled={!ready}
            onPress={() => {
              const { id, title } = session;
              rememberVisit({ id, title, tenant: person.tenant, at: new Date().toISOString() });
              props.onJoin();
            }}
          />
        </div>
      )}
    </main>
  );
}

/** The console of this session, as the same person. */
function consoleAddress(person: DevPerson): string {
  const query = new URLSearchParams(location.search);
  if (query.has('role')) query.set('role', person.role);
  if (query.has('name') && person.name !== '') query.set('name', person.name);
  return `/console?${query}`;
}

function releaseDevices({ microphone, camera }: OpenDevices): void {
  microphone?.stop();
  camera?.stop();
}

/** The session, asked again until it has started. */
function useSession(access: Access | null, tenant: string) {
  const [session, setSession] = useState<Session | null>(null);
  const [failure, setFailure] = useState<unknown>(null);
  const [round, setRound] = useState(0);
  const current = useRef(access);
  current.current = access;
  useEffect(() => {
    if (current.current === null || link.session === null) return undefined;
    const id = link.session;
    let stopped = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const ask = async () => {
      try {
        if (current.current === null) return;
        await signedIn(current.current);
        const found = await current.current.api.session(id);
        if (stopped) return;
        setSession(found);
        setFailure(null);
        if (found.status === 'scheduled') timer = setTimeout(() => void ask(), POLL_MS);
      } catch (error) {
        if (stopped || error instanceof SignInRequired) return;
        // Devices that are being checked stay open while the server can't be reached.
        const passes = error instanceof ApiError && (error.status === 0 || error.status >= 500);
        if (!passes) setSession(null);
        setFailure(error);
        if (isAboutSignIn(error)) return;
        timer = setTimeout(() => void ask(), POLL_MS);
      }
    };
    void ask();
    return () => {
      stopped = true;
      clearTimeout(timer);
    };
  }, [access === null, tenant, round]);
  return { session, failure, again: () => setRound(round + 1) };
}

/** What the person will be; in production the token says so. */
function useRole(door: Door, access: Access | null, person: DevPerson): string {
  const [role, setRole] = useState('participant');
  useEffect(() => {
    if (door.config.dev || access === null) return;
    access.tokens.current().then(
      ({ token }) => {
        const { roles, locale } = claimsOf(token);
        chooseLanguage(locale).catch(showFailure);
        if (roles?.includes('moderator') === true) setRole('moderator');
        else if (roles?.every((one) => one === 'observer') === true) setRole('observer');
      },
      () => undefined,
    );
  }, [access === null]);
  return door.config.dev ? person.role : role;
}

function makeRoom(access: Access, session: string, onBlocked: (blocked: boolean) => void): Room {
  const output = new AudioOutput(onBlocked);
  const witness = makeWitness(session);
  const client = new RoomClient({
    sessionId: session,
    key: access.key,
    tokens: access.tokens,
    onEvent: (event, state) => {
      handleAnswer(event, state);
      narrate(event, state, client.media);
    },
    onRefused: showFailure,
    onEnded: (source) => {
      if (source === 'microphone') toast(t('mic.said.unplugged'));
      else if (source === 'camera') toast(t('camera.said.unplugged'));
    },
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

const joinedKey = `cabildo.joined.${link.session ?? ''}`;

function hasJoined(): boolean {
  return location.pathname.startsWith('/meeting') && tabKeeping().getItem(joinedKey) !== null;
}

function storedChoices(): Choices {
  try {
    const stored = JSON.parse(tabKeeping().getItem(joinedKey) ?? '{}') as Partial<Choices>;
    return { ...DEFAULT_CHOICES, ...stored };
  } catch {
    return DEFAULT_CHOICES;
  }
}

/** What a reload takes up again is what there is now, not what was chosen at first. */
function keepDevices({ media, snapshot }: RoomClient, choices: Choices): void {
  if (media === null || snapshot.status.phase === 'closed' || !hasJoined()) return;
  const { present, on } = media.microphone;
  const video = media.trackOf('camera') !== null;
  const screen = media.trackOf('screen') !== null;
  const now = { ...choices, muted: !on, noMicrophone: !present, video, screen };
  const text = JSON.stringify({ ...now, listenOnly: !present && !video });
  if (text !== tabKeeping().getItem(joinedKey)) tabKeeping().setItem(joinedKey, text);
}

/** The devices as they were chosen before the reload; what fails is left out. */
async function reopened(choices: Choices, role: string): Promise<OpenDevices> {
  if (choices.listenOnly || role === 'observer') return { microphone: null, camera: null };
  const [microphone, camera] = await Promise.all([
    choices.noMicrophone ? { track: null } : openMicrophone(choices.microphone),
    choices.video ? openCamera(choices.camera) : { track: null },
  ]);
  return { microphone: microphone.track, camera: camera.track };
}

/** A development server must be told a tenant before it names anybody. */
function mayAsk(door: Door, person: DevPerson): boolean {
  return !door.config.dev || isUuid(person.tenant);
}

function NoSession() {
  return (
    <main class="page stack">
      <PageHeader title={t('join.title')} />
      <Notice look="danger">
        <p>{t('join.noSession')}</p>
      </Notice>
      <p>
        <a class="button main" href="/">
          {t('start.title')}
        </a>
      </p>
    </main>
  );
}

function Failed({ text }: { text: string }) {
  return (
    <main class="page stack">
      <PageHeader title={t('error.title')} />
      <Notice look="danger">
        <p>{text}</p>
      </Notice>
      <p>
        <Button label={t('common.retry')} look="main" onPress={() => location.reload()} />
      </p>
    </main>
  );
}

void boot(<Participant />);
