import { useEffect, useRef, useState } from 'preact/hooks';
import { c, cameraWord } from '../i18n/cameras';
import { exactTime, number } from '../i18n/texts';
import { LivePlayer } from '../lib/player';
import type { PlayerView } from '../lib/player';
import { boot } from '../ui/boot';
import { Button, Notice, PageHeader } from '../ui/components';

const STARTING: PlayerView = {
  state: 'starting',
  behindMs: null,
  hasCaptions: false,
  code: null,
};

interface Watched {
  readonly camera: string;
  readonly address: string;
  /** Whether it was recorded, and is not live. */
  readonly isRecorded: boolean;
}

/** What the link says is to be watched; null when a part of it is missing. */
function watched(search: string = location.search): Watched | null {
  const parameters = new URLSearchParams(search);
  const [tenant, camera, token] = ['tenant', 'camera', 'token'].map(
    (name) => parameters.get(name)?.trim() ?? '',
  );
  if (!tenant || !camera || !token) return null;
  const path = [tenant, camera].map(encodeURIComponent).join('/');
  const from = parameters.get('from');
  if (from === null) {
    const query = new URLSearchParams({ token }).toString();
    return { camera, address: `/gateway/playback/${path}/index.m3u8?${query}`, isRecorded: false };
  }
  const to = parameters.get('to');
  const query = new URLSearchParams({ token, from, ...(to === null ? {} : { to }) }).toString();
  return { camera, address: `/gateway/playback/${path}/recorded.m3u8?${query}`, isRecorded: true };
}

/** A camera, for whoever was given a link. */
function Player() {
  const found = watched();
  return (
    <main class="page wide stack" data-testid="player-page">
      <PageHeader title={c(found?.isRecorded ? 'player.recorded' : 'player.title')} />
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
    const playing = new LivePlayer(video.current, watched.address, setView);
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
          aria-label={c('player.video', { camera: watched.camera })}
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
      {view.code !== null && (
        <Notice look={view.state === 'over' ? 'danger' : 'warn'} testId="player-failure">
          <p>{cameraWord('why', view.code)}</p>
        </Notice>
      )}
    </>
  );
}

/** When what is seen was recorded. */
function recordedText({ state, behindMs }: PlayerView): string {
  if (state === 'starting') return c('player.starting');
  if (behindMs === null) return c('player.recorded');
  return c('player.recordedAt', { moment: exactTime(Date.now() - behindMs) });
}

function stateText({ state, behindMs }: PlayerView): string {
  if (state !== 'playing') return c(`player.${state}`);
  if (behindMs === null) return c('player.live');
  return c('player.playing', { seconds: number(Math.max(0, behindMs) / 1_000, 1) });
}

boot(<Player />);
