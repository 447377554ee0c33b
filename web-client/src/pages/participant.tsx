import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { chooseLanguage, t } from '../i18n/i18n';
import type { Session, Witness } from '../lib';
import {
  AudioOutput,
  RoomClient,
  SignInRequired,
  claimsOf,
  openCamera,
  openMicrophone,
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
} from '../ui/access';
import { boot, expose } from '../ui/boot';
import { Button, Notice, PageHeader, failureText, showFailure } from '../ui/components';
import { DevForm } from '../ui/dev_form';
import type { Choices, OpenDevices } from '../ui/device_check';
import { DEFAULT_CHOICES, DeviceCheck } from '../ui/device_check';
import { Meeting } from '../ui/meeting';
import { narrate } from '../ui/narrator';
import { SessionFacts } from '../ui/session_facts';
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
  const [failure, setFailure] = useState('');
  const [person, setPerson] = useState<DevPerson>(() => devPerson(link, 'participant'));
  const [choices, setChoices] = useState<Choices>(storedChoices);
  const [room, setRoom] = useState<Room | null>(null);
  const [blocked, setBlocked] = useState(false);
  const open = useRef<OpenDevices>({ microphone: null, camera: null });

  const access = useMemo(
    () => (door === null || !mayAsk(door, person) ? null : accessOf(door, link.session, person)),
    [door, person.tenant, person.user, person.name, person.role],
  );
  const enter = (devices: OpenDevices) => {
    if (access === null || link.session === null) return;
    rememberPerson(person);
    sessionStorage.setItem(joinedKey, JSON.stringify(choices));
    const made = makeRoom(access, link.session, setBlocked);
    const { client, output } = made;
    void output.setSink(choices.loudspeaker);
    client.media?.setMicrophoneOn(devices.microphone !== null && !choices.muted);
    if (devices.microphone !== null) client.media?.setTrack('microphone', devices.microphone);
    if (devices.camera !== null) client.media?.setTrack('camera', devices.camera);
    history.replaceState(null, '', `/meeting${location.search}`);
    client.join();
    setRoom(made);
  };

  useEffect(() => {
    openDoor().then(setDoor, (error: unknown) => setFailure(failureText(error)));
  }, []);
  useEffect(() => {
    // A reload in the middle of a meeting goes on with the meeting.
    if (access === null || room !== null || !hasJoined()) return;
    void reopened(choices, person.role).then(enter, showFailure);
  }, [access === null]);

  if (link.session === null || !isUuid(link.session)) return <NoSession />;
  if (failure !== '') return <Failed text={failure} />;
  if (door === null || (hasJoined() && room === null))
    return <p class="page">{t('common.loading')}</p>;
  if (room !== null) {
    return (
      <Meeting
        {...room}
        soundBlocked={blocked}
        devices={{ microphone: choices.microphone, camera: choices.camera }}
        again={`/join${location.search}`}
        onLeave={() => {
          sessionStorage.removeItem(joinedKey);
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
  const { session, failure } = useSession(access, person.tenant);
  const role = useRole(door, access, person);
  const ready = session?.status === 'active' && (!door.config.dev || person.name.trim() !== '');
  return (
    <main class="page stack" data-testid="join">
      <PageHeader title={session?.title ?? t('join.title')} />
      {failure !== '' && (
        <Notice look="danger" testId="join-failure">
          <p>{failure}</p>
        </Notice>
      )}
      {session !== null && <SessionFacts session={session} />}
      {door.config.dev && <DevForm person={person} onChange={props.onPerson} />}
      {role === 'observer' ? (
        <Notice>
          <p>{t('join.observer')}</p>
        </Notice>
      ) : (
        <DeviceCheck choices={props.choices} open={props.open} onChange={props.onChoices} />
      )}
      {session?.status === 'scheduled' && <p role="status">{t('join.notStarted')}</p>}
      {(session?.status === 'completed' || session?.status === 'cancelled') && (
        <p role="status">{t('join.over')}</p>
      )}
      <div class="join-bar">
        <Button
          label={t('join.join')}
          look="main wide"
          testId="join-button"
          disabled={!ready}
          onPress={() => {
            if (session === null) return;
            const { id, title } = session;
            rememberVisit({ id, title, tenant: person.tenant, at: new Date().toISOString() });
            props.onJoin();
          }}
        />
      </div>
    </main>
  );
}

/** The session, asked again until it has started. */
function useSession(access: Access | null, tenant: string) {
  const [session, setSession] = useState<Session | null>(null);
  const [failure, setFailure] = useState('');
  const current = useRef(access);
  current.current = access;
  useEffect(() => {
    if (current.current === null || link.session === null) return undefined;
    const id = link.session;
    let stopped = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const ask = async () => {
      try {
        const found = await current.current?.api.session(id);
        if (stopped || found === undefined) return;
        setSession(found);
        setFailure('');
        if (found.status === 'scheduled') timer = setTimeout(() => void ask(), POLL_MS);
      } catch (error) {
        if (stopped || error instanceof SignInRequired) return;
        setSession(null);
        setFailure(failureText(error));
        timer = setTimeout(() => void ask(), POLL_MS);
      }
    };
    void ask();
    return () => {
      stopped = true;
      clearTimeout(timer);
    };
  }, [access === null, tenant]);
  return { session, failure };
}

/** What the person will be; in production the token says so. */
function useRole(door: Door, access: Access | null, person: DevPerson): string {
  const [role, setRole] = useState('participant');
  useEffect(() => {
    if (door.config.dev || access === null) return;
    access.tokens.current().then(
      ({ token }) => {
        const { roles, locale } = claimsOf(token);
        chooseLanguage(locale);
        if (roles?.every((one) => one === 'observer') === true) setRole('observer');
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

const joinedKey = `cabildo.joined.${link.session ?? ''}`;

function hasJoined(): boolean {
  return location.pathname.startsWith('/meeting') && sessionStorage.getItem(joinedKey) !== null;
}

function storedChoices(): Choices {
  try {
    const stored = JSON.parse(sessionStorage.getItem(joinedKey) ?? '{}') as Partial<Choices>;
    return { ...DEFAULT_CHOICES, ...stored };
  } catch {
    return DEFAULT_CHOICES;
  }
}

/** The devices as they were chosen before the reload; what fails is left out. */
async function reopened(choices: Choices, role: string): Promise<OpenDevices> {
  if (choices.listenOnly || role === 'observer') return { microphone: null, camera: null };
  const [microphone, camera] = await Promise.all([
    openMicrophone(choices.microphone),
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

boot(<Participant />);
