import type { ComponentChildren, RefObject } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { t } from '../i18n/i18n';
import { m } from '../i18n/meeting';
import type { ParticipantView, RoomClient, RoomSnapshot, RoomState, TrackView } from '../lib';
import { givesFloor, isRecorder, people } from '../lib';
import { Button } from './components';
import { useLast } from './hooks';
import { useKept } from './kept';
import { columnsFor, initialsOf, roomFor } from './tiles';

/** How pictures are laid out. */
export type Layout = 'speaker' | 'grid';

/** Small pictures beside the large one; more are reached by scrolling. */
const STRIP_MAX = 24;
/** Tiles of people without a picture, in the grid. */
const FACES_MAX = 48;

/** What a tile shows: somebody's camera or screen, or somebody without a picture. */
type Shown =
  | { readonly id: string; readonly track: TrackView; readonly person: null }
  | { readonly id: string; readonly track: null; readonly person: ParticipantView };

interface StageProps {
  readonly client: RoomClient;
  readonly snapshot: RoomSnapshot;
  readonly state: RoomState;
  readonly layout: Layout;
  /** Whether the person does not want to see themselves. */
  readonly ownHidden: boolean;
  readonly onHideOwn: () => void;
}

/** Every picture, the most important one large or all alike. */
export function Stage(props: StageProps) {
  const { client, snapshot, state, layout } = props;
  const [pinned, setPinned] = useKept<string | null>(`pinned.${state.session.id}`, null);
  const stage = useRef<HTMLElement>(null);
  const [full, toggleFull] = useFullScreen(stage);
  const stale = snapshot.status.phase !== 'open';
  const pictures = ranked(state);
  const own = props.ownHidden ? null : (client.media?.trackOf('camera') ?? null);
  const tile = (shown: Shown) => {
    const isPinned = shown.id === pinned;
    const pin = (
      <Button
        label={m(isPinned ? 'stage.unpin' : 'stage.pin', { name: nameOf(state, shown) })}
        icon="pin"
        compact
        look={`small pin ${isPinned ? 'on' : ''}`}
        pressed={isPinned}
        testId={`pin-${shown.id}`}
        onPress={() => setPinned(isPinned ? null : shown.id)}
      />
    );
    return shown.track === null ? (
      <Face key={shown.id} one={shown.person} state={state} stale={stale}>
        {pin}
      </Face>
    ) : (
      <Tile
        key={shown.id}
        client={client}
        track={shown.track}
        state={state}
        stale={stale}
        media={snapshot.media.get(shown.track.track) ?? null}
        undecodable={snapshot.undecodable.has(shown.track.track)}
        paused={snapshot.paused.has(shown.track.track)}
      >
        {pin}
      </Tile>
    );
  };
  const ownTile = own !== null && (
    <OwnTile
      key="own"
      media={own}
      seen={state.you.may_be_seen}
      stopped={state.you.pictures_stopped}
      onHide={props.onHideOwn}
    />
  );
  const fullButton = document.fullscreenEnabled && (
    <Button
      label={m(full ? 'stage.notFull' : 'stage.full')}
      icon="full"
      compact
      look="small full-button"
      testId="full-button"
      onPress={toggleFull}
    />
  );
  const attributes = {
    ref: stage,
    'aria-label': t('meeting.stage'),
    'data-testid': 'stage',
    tabIndex: 0,
  };
  if (layout === 'grid') {
    const shown = inGrid(state, pictures, pinned);
    return (
      <section {...attributes} class="stage grid">
        <Grid
          tiles={shown.map(tile)}
          last={ownTile === false ? null : ownTile}
          none={<p class="no-picture">{t('meeting.noPicture')}</p>}
        />
        {fullButton}
      </section>
    );
  }
  const all = bySpeaker(state, pictures, pinned);
  const [large, ...small] = all;
  return (
    <section {...attributes} class="stage speaker">
      {large === undefined ? <p class="no-picture">{t('meeting.noPicture')}</p> : tile(large)}
      {(small.length > 0 || own !== null) && (
        <div class="strip" tabIndex={0} role="group" aria-label={t('meeting.others')}>
          {small.slice(0, STRIP_MAX).map(tile)}
          {ownTile}
        </div>
      )}
      {fullButton}
    </section>
  );
}

/** Fills its box with tiles, as large as they can be without one lying on another. */
function Grid(props: {
  tiles: readonly ComponentChildren[];
  last: ComponentChildren;
  none: ComponentChildren;
}) {
  const box = useRef<HTMLDivElement>(null);
  const [size, setSize] = useState({ width: 0, height: 0 });
  useLayoutEffect(() => {
    const element = box.current;
    if (element === null) return undefined;
    const measure = () => setSize({ width: element.clientWidth, height: element.clientHeight });
    measure();
    const sizes = new ResizeObserver(measure);
    sizes.observe(element);
    return () => sizes.disconnect();
  }, []);
  const all = props.tiles.length + (props.last === null ? 0 : 1);
  const room = roomFor(size);
  const crowded = all > room;
  // One place is for the number of those that have none, and one for oneself.
  const shown = crowded
    ? props.tiles.slice(0, Math.max(1, room - 1 - (props.last === null ? 0 : 1)))
    : props.tiles;
  const count = shown.length + (props.last === null ? 0 : 1) + (crowded ? 1 : 0);
  const columns = columnsFor(count, size);
  useLayoutEffect(() => {
    box.current?.style.setProperty('--columns', String(columns));
  }, [columns]);
  return (
    <div ref={box} class="tiles" data-testid="tiles" data-columns={columns}>
      {all === 0 && props.none}
      {shown}
      {crowded && (
        <p class="tile more" data-testid="more-tiles">
          {m('stage.more', { count: props.tiles.length - shown.length })}
        </p>
      )}
      {props.last}
    </div>
  );
}

/** Others' pictures: screens, the floor, who is heard, moderators, the hall, the rest. */
export function ranked(state: RoomState): TrackView[] {
  const turn = state.floor.turn;
  const speaking = new Map(state.speakers.map(({ user_id }, index) => [user_id, index]));
  const rank = (track: TrackView): number => {
    const roles = state.participants.get(track.user_id)?.roles ?? [];
    const holds = turn !== null && givesFloor(turn, { roles, user_id: track.user_id });
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

/** What others may see now; a picture that the session's rule withholds is none. */
function visible(state: RoomState, pictures: readonly TrackView[]): readonly TrackView[] {
  return pictures.filter((one) => state.participants.get(one.user_id)?.may_be_seen !== false);
}

function ofTrack(track: TrackView): Shown {
  return { id: track.track, track, person: null };
}

function ofPerson(person: ParticipantView): Shown {
  return { id: `face-${person.user_id}`, track: null, person };
}

function pinnedFirst(shown: readonly Shown[], pinned: string | null): readonly Shown[] {
  const one = shown.find(({ id }) => id === pinned);
  return one === undefined ? shown : [one, ...shown.filter((other) => other !== one)];
}

/** The holder of the floor first where no screen is shared, with or without a picture. */
function bySpeaker(
  state: RoomState,
  pictures: readonly TrackView[],
  pinned: string | null,
): readonly Shown[] {
  const having = visible(state, pictures).map(ofTrack);
  const face = [...state.participants.values()].map(ofPerson).find(({ id }) => id === pinned);
  const shown = face === undefined ? having : [face, ...having];
  const turn = state.floor.turn;
  const holder =
    turn === null || turn.in_hall || turn.user_id === state.you.user_id
      ? undefined
      : state.participants.get(turn.user_id);
  const seen = shown.some(({ track, person }) => (track ?? person).user_id === holder?.user_id);
  if (holder === undefined || seen) return pinnedFirst(shown, pinned);
  const screens = shown.filter(({ track }) => track?.source === 'screen');
  const rest = shown.filter(({ track }) => track?.source !== 'screen');
  return pinnedFirst([...screens, ofPerson(holder), ...rest], pinned);
}

/** Pictures, then those who have none, up to as many as could ever have room. */
function inGrid(
  state: RoomState,
  pictures: readonly TrackView[],
  pinned: string | null,
): readonly Shown[] {
  const seen = visible(state, pictures);
  const having = new Set(seen.map(({ user_id }) => user_id));
  const others = people(state).filter(
    (one) =>
      one.user_id !== state.you.user_id &&
      !having.has(one.user_id) &&
      !isRecorder(one) &&
      one.roles.some((role) => role === 'participant' || role === 'moderator'),
  );
  const faces = others.slice(0, FACES_MAX).map(ofPerson);
  return pinnedFirst([...seen.map(ofTrack), ...faces], pinned);
}

function nameOf(state: RoomState, shown: Shown): string {
  const user = shown.track?.user_id ?? shown.person?.user_id ?? '';
  return state.participants.get(user)?.name ?? user;
}

function useFullScreen(element: RefObject<HTMLElement>): [boolean, () => void] {
  const [full, setFull] = useState(false);
  useEffect(() => {
    const look = () => setFull(document.fullscreenElement === element.current);
    document.addEventListener('fullscreenchange', look);
    return () => document.removeEventListener('fullscreenchange', look);
  }, []);
  const toggle = () => {
    if (document.fullscreenElement !== null) void document.exitFullscreen();
    else void element.current?.requestFullscreen().catch(() => undefined);
  };
  return [full, toggle];
}

/** Somebody's picture; it is received while it is in view. */
export function Tile(props: {
  client: RoomClient;
  track: TrackView;
  state: RoomState;
  stale: boolean;
  media: MediaStreamTrack | null;
  /** Whether this browser can't decode it. */
  undecodable: boolean;
  /** Whether the network does not carry it now. */
  paused: boolean;
  children?: ComponentChildren;
}) {
  const { client, track, state, stale } = props;
  const element = useRef<HTMLElement>(null);
  const session = client.media;
  useEffect(() => {
    const tile = element.current;
    if (tile === null || session === null) return undefined;
    let inView = false;
    const tell = () => {
      // A tall tile shows no more of a wide picture than its width allows.
      const lines = Math.min(tile.clientHeight, (tile.clientWidth * 9) / 16);
      const height = Math.round(lines * devicePixelRatio);
      session.setView(track.track, { visible: inView && !document.hidden, height });
    };
    const views = new IntersectionObserver(([entry]) => {
      inView = entry?.isIntersecting === true;
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
      {media === null ? <Initials name={name} /> : <Picture media={media} name={caption} />}
      {props.undecodable && (
        <p class="undecodable" role="status" data-testid={`undecodable-${track.track}`}>
          {m('stage.undecodable', { codec: codecName(track.codec), name })}
        </p>
      )}
      {props.paused && (
        <p class="undecodable" role="status" data-testid={`paused-${track.track}`}>
          {m('stage.paused', { name })}
        </p>
      )}
      {(stale || away) && (
        <span class="when-stale">{t(away && !stale ? 'presence.away' : 'meeting.stale')}</span>
      )}
      <figcaption title={caption}>{caption}</figcaption>
      {props.children}
    </figure>
  );
}

/** A format as people know it. */
function codecName(codec: string): string {
  return codec === 'h264' ? 'H.264' : codec.toUpperCase();
}

/** Somebody without a picture. */
function Face(props: {
  one: ParticipantView;
  state: RoomState;
  stale: boolean;
  children?: ComponentChildren;
}) {
  const { one, state } = props;
  const away = one.connections === 0;
  const speaking = state.speakers.some(({ user_id }) => user_id === one.user_id);
  return (
    <figure
      class={`tile face ${props.stale || away ? 'stale' : ''} ${speaking ? 'speaking' : ''}`}
      data-testid={`face-${one.user_id}`}
    >
      <Initials name={one.name} />
      {away && <span class="when-stale">{t('presence.away')}</span>}
      <figcaption title={one.name}>{one.name}</figcaption>
      {props.children}
    </figure>
  );
}

const TONES = 6;

/** The first letters of a name, where there is no picture. */
function Initials({ name }: { name: string }) {
  let sum = 0;
  for (const letter of name) sum += letter.codePointAt(0) ?? 0;
  return (
    <span class={`initials tone-${sum % TONES}`} aria-hidden="true">
      {initialsOf(name)}
    </span>
  );
}

function OwnTile(props: {
  media: MediaStreamTrack;
  seen: boolean;
  /** Whether a moderator stopped it. */
  stopped: boolean;
  onHide: () => void;
}) {
  const unseen = props.stopped ? 'stage.stopped' : 'stage.unseen';
  return (
    <figure
      class={`tile own ${props.seen ? '' : 'unseen'}`}
      data-testid="own-tile"
      data-seen={props.seen}
    >
      <Picture media={props.media} name={t('common.you')} mirrored />
      <figcaption title={m(props.seen ? 'stage.shown' : unseen)}>
        {props.seen ? t('common.you') : m(props.stopped ? unseen : 'stage.onlyYou')}
      </figcaption>
      <Button
        label={m('stage.hideOwn')}
        icon="close"
        compact
        look="small pin"
        testId="hide-own"
        onPress={props.onHide}
      />
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
