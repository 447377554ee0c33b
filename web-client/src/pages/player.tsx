import { useEffect, useRef, useState } from 'preact/hooks';
import { c, cameraWord } from '../i18n/cameras';
import { exactTime, number } from '../i18n/texts';
import { LivePlayer } from '../lib/player';
import type { PlayerView } from '../lib/player';
import { boot } from '../ui/boot';
import { Button, Notice, PageHeader } from '../ui/components';

const STARTING: PlayerView = {
  state: 'starting',
  shownMs: null,
  behindMs: null,
  hasCaptions: false,
  code: null,
  unseen: null,
};
/** What stands before the id of a session that is watched. */
const SESSION = 'session:';

interface Watched {
  readonly camera: string;
  readonly address: string;
  /** Whether it was recorded, and is not live. */
  readonly isRecorded: boolean;
  /** Whether it is a session and no camera. */
  readonly isSession: boolean;
}

/** What the link says is to be watched; null when a part of it is missing. */
function watched(search: string = location.search): Watched | null {
  const parameters = new URLSearchParams(search);
  const [tenant, camera, token] = ['tenant', 'camera', 'token'].map(
    (name) => parameters.get(name)?.trim() ?? '',
  );
  if (!tenant || !camera || !token) return null;
  const path = [tenant, camera].map(encodeURIComponent).join('/');
  const isSession = camera.startsWith(SESSION);
  const from = parameters.get('from');
  if (from === null) {
    const query = new URLSearchParams({ token }).toString();
    const address = `/gateway/playback/${path}/index.m3u8?${query}`;
    return { camera, address, isRecorded: false, isSession };
  }
  const to = parameters.get('to');
  const query = new URLSearchParams({ token, from, ...(to === null ? {} : { to }) }).toString();
  const address = `/gateway/playback/${path}/recorded.m3u8?${query}`;
  return { camera, address, isRecorded: true, isSession };
}

function titleOf(found: Watched | null) {
  if (found?.isSession) return c('player.session');
  return c(found?.isRecorded ? 'player.recorded' : 'player.title');
}

/** A camera or a session, for whoever was given a link. */
function Player() {
  const found = watched();
  return (
    <main class="page wide stack" data-testid="player-page">
      <PageHeader title={titleOf(found)} />
      {found === null ? (
        <Notice look="danger" testId="player-incomplete">
          <p>{c('player.incomplete')}</p>
        </Notice>
      ) : (
        <Screen watched={found} />
      )}
    </main>
  );
}

function Screen({ watched }: { watched: Watched }) {
  const video = useRef<HTMLVideoElement>(null);
  const [view, setView] = useState(STARTING);
  const [muted, setMuted] = useState(true);
  const [paused, setPaused] = useState(false);
  const [captions, setCaptions] = useState(true);
  const player = useRef<LivePlayer | null>(null);
  useEffect(() => {
    if (video.current === null) return;
    const { address, isSession } = watched;
    const playing = new LivePlayer(video.current, address, setView, isSession);
    player.current = playing;
    return () => playing.stop();
  }, []);
  useEffect(() => player.current?.setCaptions(captions), [captions]);
  return (
    <>
      <div class="player" data-testid="player" data-state={view.state}>
        <video
          ref={video}
          playsInline
          controls={watched.isRecorded}
          muted={muted}
          aria-label={
            watched.isSession
              ? c('player.sessionVideo')
              : c('player.video', { camera: watched.camera })
          }
          data-testid="player-video"
          data-behind-ms={view.behindMs ?? undefined}
          onPause={() => setPaused(true)}
          onPlay={() => setPaused(false)}
        />
      </div>
      <div class="player-bar">
        <p role="status" data-testid="player-state">
          {watched.isRecorded ? recordedText(view) : stateText(view)}
        </p>
        {view.state !== 'over' && (
          <Button
            label={c(muted ? 'player.sound' : 'player.mute')}
            icon="sound"
            testId="player-sound"
            pressed={!muted}
            onPress={() => setMuted(!muted)}
          />
        )}
        {view.hasCaptions && view.state !== 'over' && (
          <Button
            label={c('player.captions')}
            icon="captions"
            testId="player-captions"
            pressed={captions}
            onPress={() => setCaptions(!captions)}
          />
        )}
        {paused && view.state !== 'over' && (
          <Button
            label={c('player.play')}
            icon="play"
            look="main"
            testId="player-play"
            onPress={() => void video.current?.play()}
          />
        )}
      </div>
      {view.unseen !== null && (
        <Notice testId="player-unseen">
          <p>{cameraWord('unseen', view.unseen)}</p>
        </Notice>
      )}
      {view.code !== null && (
        <Notice look={view.state === 'over' ? 'danger' : 'warn'} testId="player-failure">
          <p>{cameraWord('why', view.code)}</p>
        </Notice>
      )}
    </>
  );
}

/** When what is seen was recorded. */
function recordedText({ state, shownMs }: PlayerView): string {
  if (state === 'starting') return c('player.starting');
  if (shownMs === null) return c('player.recorded');
  return c('player.recordedAt', { moment: exactTime(shownMs) });
}

function stateText({ state, behindMs, code }: PlayerView): string {
  if (state === 'over' && code === 'PLAYBACK_SESSION_CLOSED') return c('player.closed');
  if (state !== 'playing') return c(`player.${state}`);
  if (behindMs === null) return c('player.live');
  return c('player.playing', { seconds: number(Math.max(0, behindMs) / 1_000, 1) });
}

void boot(<Player />);
