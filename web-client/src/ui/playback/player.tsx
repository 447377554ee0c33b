import { useEffect, useRef } from 'preact/hooks';
import { r } from '../../i18n/recording/texts';
import type { RecordingFile } from '../../lib';
import { fileKey } from '../../lib';

/** Where to go; a new object each time, so that the same place can be sought twice. */
export interface Wish {
  readonly seconds: number;
  readonly play: boolean;
}

/**
 * Plays a file. Its address may change while it plays, for it expires; then
 * the player goes on where it was.
 */
export function Player(props: {
  file: RecordingFile;
  wish: Wish | null;
  onTime: (seconds: number) => void;
  onFailed: () => void;
}) {
  const { file, wish } = props;
  const element = useRef<HTMLVideoElement>(null);
  const shown = useRef('');
  const key = fileKey(file);
  useEffect(() => {
    const video = element.current;
    if (video === null || file.url === null) return undefined;
    const sameFile = shown.current === key;
    const resumeAt = sameFile ? video.currentTime : 0;
    const goesOn = sameFile && !video.paused && !video.ended;
    const { playbackRate } = video;
    shown.current = key;
    video.src = file.url;
    if (!sameFile) return undefined;
    const resume = () => {
      video.currentTime = resumeAt;
      video.playbackRate = playbackRate;
      if (goesOn) void video.play().catch(() => undefined);
    };
    video.addEventListener('loadedmetadata', resume, { once: true });
    return () => video.removeEventListener('loadedmetadata', resume);
  }, [key, file.url]);
  useEffect(() => {
    const video = element.current;
    if (video === null || wish === null) return undefined;
    const seek = () => {
      video.currentTime = wish.seconds;
      if (wish.play) void video.play().catch(() => undefined);
    };
    if (video.readyState >= HTMLMediaElement.HAVE_METADATA) {
      seek();
      return undefined;
    }
    video.addEventListener('loadedmetadata', seek, { once: true });
    return () => video.removeEventListener('loadedmetadata', seek);
  }, [wish]);
  return (
    <video
      ref={element}
      class={`player ${file.kind}`}
      controls
      playsInline
      preload="metadata"
      aria-label={r('player.title')}
      data-testid="player"
      data-file={key}
      onTimeUpdate={(event) => props.onTime(event.currentTarget.currentTime)}
      onSeeked={(event) => props.onTime(event.currentTarget.currentTime)}
      onError={props.onFailed}
    />
  );
}

/** Whether this browser plays a type. */
export function canPlay(mediaType: string): boolean {
  const type = mediaType === '' ? 'video/mp4' : mediaType;
  return document.createElement('video').canPlayType(type) !== '';
}
