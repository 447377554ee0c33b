import { useEffect, useRef, useState } from 'preact/hooks';
import { number } from '../i18n/texts';
import { r } from '../i18n/recording/texts';
import type { RecordingAddresses, RecordingFile, Timeline } from '../lib';
import { ApiError, fileKey, fileToPlay, lookAgainMs, renewInMs, secondsIn } from '../lib';
import type { Access } from '../ui/access';
import { rolesOf } from '../ui/access';
import { boot } from '../ui/boot';
import { Notice, PageHeader } from '../ui/components';
import { Follower } from '../ui/follower';
import { Icon } from '../ui/icons';
import { Files, fileText } from '../ui/playback/files';
import { CopiesCard, useCopies } from '../ui/playback/copies';
import { Line } from '../ui/playback/line';
import { MinutesOf } from '../ui/playback/minutes';
import type { Wish } from '../ui/playback/player';
import { Player, canPlay } from '../ui/playback/player';
import { Spoken } from '../ui/playback/spoken';
import { ReadFailure, isAboutSignIn } from '../ui/sign_in';

/** Where those who may watch what was recorded. */
function Recording({ access, session }: { access: Access; session: string }) {
  const { view, failure } = useAddresses(access, session);
  const { timeline, failed: lineFailed } = useTimeline(view);
  const [chosen, setChosen] = useState<string | null>(null);
  const [wish, setWish] = useState<Wish | null>(null);
  const [seconds, setSeconds] = useState(0);
  const [broken, setBroken] = useState<string | null>(null);
  const copies = useCopies(access.api, session);
  const file =
    view === null
      ? null
      : (view.files.find((one) => one.url !== null && fileKey(one) === chosen) ??
        fileToPlay(view.files, canPlay));
  const atMs = file === null ? 0 : Date.parse(file.from) + seconds * 1000;
  const [mayConfirm, setMayConfirm] = useState(false);
  useEffect(() => {
    // Whoever can't be asked for is no moderator; the page says elsewhere that nobody has signed in.
    rolesOf(access).then(
      (roles) => setMayConfirm(roles.includes('moderator')),
      () => setMayConfirm(false),
    );
  }, []);
  const seek = (at: string) => {
    if (file !== null) setWish({ seconds: secondsIn(file, at), play: true });
  };
  return (
    <main class="page wide stack" data-testid="recording" data-state={view?.state}>
      <PageHeader title={view?.title ?? r('title')} />
      <ReadFailure error={failure} tokens={access.tokens} testId="recording-failure" />
      {view !== null && <StateNotice view={view} />}
      <div class="watch">
        <div class="stack watch-player">
          {file !== null && (
            <figure class="stack-tight">
              <Player
                file={file}
                wish={wish}
                onTime={setSeconds}
                onFailed={() => setBroken(file.url)}
              />
              <figcaption class="quiet">{r('player.of', { what: fileText(file) })}</figcaption>
            </figure>
          )}
          {file !== null && broken === file.url && (
            <Notice look="danger" testId="player-failed">
              <p>{r('player.failed')}</p>
            </Notice>
          )}
          <p class="logged quiet" data-testid="logged">
            <Icon name="locked" />
            <span>
              {r('logged')} <a href={`/verify?session=${session}`}>{r('verify')}</a>
            </span>
          </p>
        </div>
        <div class="stack watch-line">
          {timeline !== null && (
            <Line
              timeline={timeline}
              files={view?.files ?? []}
              atMs={atMs}
              copies={copies}
              onSeek={seek}
            />
          )}
          {lineFailed && (
            <Notice look="warn">
              <p>{r('line.failed')}</p>
            </Notice>
          )}
        </div>
        <div class="watch-files">
          {view !== null && view.files.length > 0 && (
            <Files
              files={view.files}
              shown={file === null ? null : fileKey(file)}
              onPlay={(next) => {
                // One clock for all: another track goes on at the same moment.
                const at = new Date(atMs).toISOString();
                setWish({ seconds: file === null ? 0 : secondsIn(next, at), play: true });
                setChosen(fileKey(next));
              }}
            />
          )}
          {view !== null && isOver(view) && (
            <CopiesCard
              copies={copies}
              span={spanOf(timeline)}
              atMs={atMs}
              bytes={view.sealed_bytes}
            />
          )}
        </div>
      </div>
      {view !== null && view.state !== 'erased' && (
        <>
          <Spoken
            api={access.api}
            session={session}
            state={view.state}
            atMs={atMs}
            onSeek={file === null ? null : seek}
          />
          <MinutesOf access={access} session={session} mayConfirm={mayConfirm} />
        </>
      )}
    </main>
  );
}

/** Whether the log is closed or about to be: a bundle of a running session would end in between. */
function isOver(view: RecordingAddresses): boolean {
  return view.state !== 'recording';
}

function spanOf(timeline: Timeline | null) {
  if (timeline === null || timeline.items.length === 0) return null;
  return { fromMs: Date.parse(timeline.from), toMs: Date.parse(timeline.to) };
}

function StateNotice({ view }: { view: RecordingAddresses }) {
  const combined = view.files.filter(({ of }) => of === 'combined');
  const failed = combined.length > 0 && combined.every(({ state }) => state === 'failed');
  if (view.state === 'ready' && !failed) return null;
  const made = progressOf(view.files);
  const key = view.state === 'ready' || failed ? 'state.failed' : (`state.${view.state}` as const);
  return (
    <div role="status" data-testid="recording-state" data-state={failed ? 'failed' : view.state}>
      <Notice {...(failed ? { look: 'warn' as const } : {})}>
        <p>{r(key, { count: view.pending_tracks })}</p>
        {view.state === 'making' && !failed && (
          <p class="making">
            <progress max={1} value={made} aria-label={r('title')} />
            <span>{r('progress', { percent: number(made * 100) })}</span>
          </p>
        )}
      </Notice>
    </div>
  );
}

/** How far all files together are, 0 to 1. */
function progressOf(files: readonly RecordingFile[]): number {
  if (files.length === 0) return 0;
  const made = files.reduce(
    (sum, file) => sum + (file.state === 'ready' ? 1000 : file.progress_permille),
    0,
  );
  return made / (files.length * 1000);
}

/** The addresses, looked at again while files are made and renewed before they expire. */
function useAddresses(access: Access, session: string) {
  const [view, setView] = useState<RecordingAddresses | null>(null);
  const [failure, setFailure] = useState<unknown>(null);
  useEffect(() => {
    let stopped = false;
    let looks = 0;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const look = async () => {
      let next: number;
      try {
        const path = `/api/v1/sessions/${encodeURIComponent(session)}/recording-url`;
        const found = await access.api.request<RecordingAddresses>('GET', path);
        if (stopped) return;
        setView(found);
        setFailure(null);
        const renew = renewInMs(found, access.api.clock.now());
        next = Math.min(renew, lookAgainMs(found, looks) ?? renew);
        looks += 1;
      } catch (error) {
        if (stopped) return;
        setFailure(error);
        if (isAboutSignIn(error)) return;
        const final = error instanceof ApiError && [403, 404].includes(error.status);
        if (final) return;
        next = lookAgainAfterFailureMs;
      }
      timer = setTimeout(() => void look(), next);
    };
    void look();
    return () => {
      stopped = true;
      clearTimeout(timer);
    };
  }, []);
  return { view, failure };
}

const lookAgainAfterFailureMs = 10_000;

/** The time line, read once there is something to watch, and again when its address was renewed. */
function useTimeline(view: RecordingAddresses | null) {
  const [timeline, setTimeline] = useState<Timeline | null>(null);
  const [failed, setFailed] = useState(false);
  const read = useRef('');
  const watchable = view !== null && view.state !== 'none' && view.state !== 'erased';
  const ready = view?.files.filter(({ state }) => state === 'ready').length ?? 0;
  useEffect(() => {
    const key = `${view?.state ?? ''}/${ready}`;
    if (view === null || !watchable || read.current === key) return;
    read.current = key;
    fetch(view.timeline_url, { headers: { Accept: 'application/json' } })
      .then(async (response) => {
        if (!response.ok) throw new ApiError(response.status, `HTTP_${response.status}`, '');
        setTimeline((await response.json()) as Timeline);
        setFailed(false);
      })
      .catch(() => setFailed(true));
  }, [view?.state, ready]);
  return { timeline, failed };
}

void boot(
  <Follower
    title="role.recorder"
    role="moderator"
    name="role.moderator"
    waits={false}
    room={(access, session) => <Recording access={access} session={session} />}
  />,
);
