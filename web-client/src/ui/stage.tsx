import { useEffect, useRef } from 'preact/hooks';
import { t } from '../i18n/i18n';
import type { RoomClient, RoomSnapshot, RoomState, TrackView } from '../lib';
import { useLast } from './hooks';

/** How pictures are laid out. */
export type Layout = 'speaker' | 'grid';

/** Small pictures beside the large one. */
const STRIP_MAX = 6;

/** Every picture, the most important one large or all alike. */
export function Stage(props: {
  client: RoomClient;
  snapshot: RoomSnapshot;
  state: RoomState;
  layout: Layout;
}) {
  const { client, snapshot, state, layout } = props;
  const stale = snapshot.status.phase !== 'open';
  const pictures = ranked(state);
  const own = client.media?.trackOf('camera') ?? null;
  const tile = (track: TrackView) => (
    <Tile
      key={track.track}
      client={client}
      track={track}
      state={state}
      stale={stale}
      media={snapshot.media.get(track.track) ?? null}
    />
  );
  const ownTile = own !== null && <OwnTile key="own" media={own} />;
  const none = <p class="no-picture">{t('meeting.noPicture')}</p>;
  if (layout === 'grid') {
    return (
      <section class="stage grid" aria-label={t('meeting.stage')} data-testid="stage" tabIndex={0}>
        {pictures.length === 0 && own === null && none}
        {pictures.map(tile)}
        {ownTile}
      </section>
    );
  }
  const [large, ...small] = pictures;
  return (
    <section class="stage speaker" aria-label={t('meeting.stage')} data-testid="stage" tabIndex={0}>
      {large === undefined ? none : tile(large)}
      {(small.length > 0 || own !== null) && (
        <div class="strip" tabIndex={0} role="group" aria-label={t('meeting.others')}>
          {small.slice(0, STRIP_MAX).map(tile)}
          {ownTile}
        </div>
      )}
    </section>
  );
}

/** Others' pictures: screens, the floor, who is heard, moderators, the hall, the rest. */
export function ranked(state: RoomState): TrackView[] {
  const turn = state.floor.turn;
  const speaking = new Map(state.speakers.map(({ user_id }, index) => [user_id, index]));
  const rank = (track: TrackView): number => {
    const roles = state.participants.get(track.user_id)?.roles ?? [];
    const holds =
      turn !== null && (turn.in_hall ? roles.includes('hall') : turn.user_id === track.user_id);
    if (track.source === 'screen') return 0;
    if (holds) return 1;
    const place = speaking.get(track.user_id);
    if (place !== undefined && turn === null) return 2 + place;
    return roles.includes('moderator') ? 10 : roles.includes('hall') ? 11 : 12;
  };
  return [...state.tracks.values()]
    .filter((track) => track.kind === 'video' && track.user_id !== state.you.user_id)
    .sort((a, b) => rank(a) - rank(b) || (a.track < b.track ? -1 : 1));
}

function Tile(props: {
  client: RoomClient;
  track: TrackView;
  state: RoomState;
  stale: boolean;
  media: MediaStreamTrack | null;
}) {
  const { client, track, state, stale } = props;
  const element = useRef<HTMLElement>(null);
  const session = client.media;
  useEffect(() => {
    const tile = element.current;
    if (tile === null || session === null) return undefined;
    let visible = false;
    const tell = () => {
      // A tall tile shows no more of a wide picture than its width allows.
      const lines = Math.min(tile.clientHeight, (tile.clientWidth * 9) / 16);
      const height = Math.round(lines * devicePixelRatio);
      session.setView(track.track, { visible: visible && !document.hidden, height });
    };
    const views = new IntersectionObserver(([entry]) => {
      visible = entry?.isIntersecting === true;
      tell();
    });
    const sizes = new ResizeObserver(tell);
    views.observe(tile);
    sizes.observe(tile);
    document.addEventListener('visibilitychange', tell);
    return () => {
      views.disconnect();
      sizes.disconnect();
      document.removeEventListener('visibilitychange', tell);
      session.setView(track.track, null);
    };
  }, [session, track.track]);
  const name = state.participants.get(track.user_id)?.name ?? track.user_id;
  const caption = track.source === 'screen' ? t('meeting.screenOf', { name }) : name;
  const away = state.participants.get(track.user_id)?.connections === 0;
  const speaking = state.speakers.some((one) => one.user_id === track.user_id);
  // The last picture stays while there is no newer one.
  const media = useLast(props.media);
  return (
    <figure
      ref={element}
      class={`tile ${stale || away ? 'stale' : ''} ${speaking ? 'speaking' : ''}`}
      data-testid={`tile-${track.track}`}
    >
      {media === null ? null : <Picture media={media} name={caption} />}
      {(stale || away) && (
        <span class="when-stale">{t(away && !stale ? 'presence.away' : 'meeting.stale')}</span>
      )}
      <figcaption>{caption}</figcaption>
    </figure>
  );
}

function OwnTile({ media }: { media: MediaStreamTrack }) {
  return (
    <figure class="tile" data-testid="own-tile">
      <Picture media={media} name={t('common.you')} mirrored />
      <figcaption>{t('common.you')}</figcaption>
    </figure>
  );
}

/** A playing picture without sound. */
export function Picture(props: { media: MediaStreamTrack; name: string; mirrored?: boolean }) {
  const element = useRef<HTMLVideoElement>(null);
  useEffect(() => {
    const video = element.current;
    if (video === null) return;
    video.srcObject = new MediaStream([props.media]);
    void video.play().catch(() => undefined);
  }, [props.media]);
  return (
    <video
      ref={element}
      class={props.mirrored === true ? 'mirror' : ''}
      muted
      autoplay
      playsInline
      aria-label={t('meeting.pictureOf', { name: props.name })}
    />
  );
}
