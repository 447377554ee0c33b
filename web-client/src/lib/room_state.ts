import type {
  FloorView,
  ParticipantView,
  QuorumState,
  RecordingView,
  RequestView,
  SessionView,
  SpeakerView,
  Told,
  TrackView,
  TranscriptionView,
  TurnView,
  VoteView,
  Welcome,
  You,
} from '../generated/wire';
import type { Chair } from './announcements';
import type { Caption, SoFar, SpokenSoFar } from './captions';
import { captionsAfter, isSpoken, knownTag, namesWith, soFarAfter } from './captions';

/** A turn and the server time that its `used_ms` is of, ms since the epoch. */
export interface TimedTurn extends TurnView {
  readonly asOfMs: number;
}

/** The floor, with turns that can be counted on locally. */
export interface Floor extends Omit<FloorView, 'turn' | 'interrupted'> {
  readonly turn: TimedTurn | null;
  readonly interrupted: readonly TimedTurn[];
}

/** A line of the chat. */
export interface ChatLine {
  readonly seq: number;
  readonly at: string;
  readonly user_id: string;
  readonly name: string;
  readonly text: string;
  /** Whether whoever wrote it moderated then. */
  readonly by_moderator?: boolean;
}

/** A vote of the assembly that governance said had started. It is held elsewhere. */
export interface AnnouncedVote {
  readonly seq: number;
  readonly vote_id: string;
  readonly title: string;
  readonly started_at: string;
  /** Until when votes can be cast; null when governance did not say. */
  readonly ends_at: string | null;
}

/** Somebody who was removed. */
export interface RemovedPerson {
  readonly user_id: string;
  readonly name: string;
}

/** What is known of the room. Values are never changed, only replaced. */
export interface RoomState {
  readonly you: You;
  readonly session: SessionView;
  readonly participants: ReadonlyMap<string, ParticipantView>;
  readonly tracks: ReadonlyMap<string, TrackView>;
  readonly floor: Floor;
  readonly speakers: readonly SpeakerView[];
  readonly chat: readonly ChatLine[];
  readonly recording: RecordingView;
  /** How many are present and whether they are a quorum; null when nobody counts it. */
  readonly quorum: QuorumState | null;
  /** Whether this person counts as present, once it was told while this client was here. */
  readonly present: boolean | null;
  /** People who were removed and may be let in again. */
  readonly removed: readonly RemovedPerson[];
  /** Who chairs, also while they are away; null until somebody who moderates has entered. */
  readonly chair: Chair | null;
  /** Votes that were announced while this client was here or were open when it came, the newest last. */
  readonly votes: readonly AnnouncedVote[];
  /** Whether what is said becomes text. */
  readonly transcription: TranscriptionView;
  /** What was said while this client was here, the newest last. */
  readonly captions: readonly Caption[];
  /** What whoever has the floor is saying; null when that is not known. */
  readonly soFar: SoFar | null;
  /** Names of people who have left, or had a turn in the hall. */
  readonly names: ReadonlyMap<string, string>;
  /** Why the session is over, once it is. */
  readonly ended: string | null;
  /** Events up to here are contained in the state that the server described. */
  readonly describedSeq: number;
}

/** Lines of chat kept; older ones are dropped. */
export const CHAT_LINES_MAX = 500;
/** Votes kept; older ones are dropped. No assembly votes on so much at a time. */
export const VOTES_MAX = 50;

/** What a state knows from events alone, so that the server's description adds to it. */
export interface Remembered {
  readonly chat?: readonly ChatLine[];
  readonly removed?: readonly RemovedPerson[];
  readonly votes?: readonly AnnouncedVote[];
  readonly captions?: readonly Caption[];
  readonly names?: ReadonlyMap<string, string>;
}

/** The state that a `welcome` describes, with what is remembered from before it. */
export function stateOf(welcome: Welcome, remembered: Remembered = {}): RoomState {
  const { chat = [], removed = [], votes = [] } = remembered;
  const { captions = [], names = new Map<string, string>() } = remembered;
  const asOfMs = Date.parse(welcome.server_time);
  const participants = new Map(welcome.participants.map((one) => [one.user_id, one]));
  const timed = (turn: TurnView): TimedTurn => ({ ...turn, asOfMs });
  // Whoever has a turn of the hall need not be a participant.
  const known = [welcome.floor.turn, ...welcome.floor.interrupted]
    .flatMap((turn) => (turn?.in_hall === true ? [turn] : []))
    .reduce<ReadonlyMap<string, string>>(
      (all, { user_id, name }) => namesWith(all, user_id, name),
      names,
    );
  return {
    you: welcome.you,
    session: welcome.session,
    participants,
    tracks: new Map(welcome.tracks.map((track) => [track.track, track])),
    floor: {
      ...welcome.floor,
      turn: welcome.floor.turn === null ? null : timed(welcome.floor.turn),
      interrupted: welcome.floor.interrupted.map(timed),
    },
    speakers: [],
    chat,
    recording: welcome.recording,
    quorum: welcome.quorum,
    present: null,
    removed: removed.filter((one) => !participants.has(one.user_id)),
    chair: welcome.chair,
    votes: withOpenVotes(votes, welcome),
    transcription: welcome.transcription,
    captions,
    soFar: null,
    names: known,
    ended: null,
    describedSeq: welcome.seq,
  };
}

/** The state after an event. */
export function after(state: RoomState, event: Told): RoomState {
  // What a resumed connection missed is already in the state it was welcomed
  // with; only what states do not contain is taken from it.
  const described = event.type !== 'chat' && event.type !== 'vote_announced' && !isSpoken(event);
  if (event.seq <= state.describedSeq && described)
    return event.type === 'turn_started' ? spoken(state, event) : state;
  switch (event.type) {
    case 'participant_joined':
    case 'participant_updated':
      return withParticipant(
        { ...state, removed: state.removed.filter((one) => one.user_id !== event.user_id) },
        participantOf(event),
      );
    case 'participant_left':
      return withoutParticipant(named(afterRemoval(state, event), event.user_id), event.user_id);
    case 'speech_request_received':
    case 'speech_approved':
    case 'speech_denied':
    case 'speech_cancelled':
      return afterRequest(state, event);
    case 'queue_updated':
      return afterQueueUpdate(state, event);
    case 'turn_started':
    case 'turn_paused':
    case 'turn_resumed':
    case 'turn_extended':
    case 'turn_warning':
    case 'turn_ended':
      return heardAnew(afterTurn(spoken(state, event), event));
    case 'user_muted':
      return heardAnew(withMute(state, event.user_id, true));
    case 'user_unmuted':
      return heardAnew(withMute(state, event.user_id, false));
    case 'pictures_stopped':
      return heardAnew(withPictures(state, event.user_id, true));
    case 'pictures_allowed':
      return heardAnew(withPictures(state, event.user_id, false));
    case 'language_changed':
      return withLanguage(state, event.user_id, event.language);
    case 'active_speakers':
      return { ...state, speakers: event.speakers };
    case 'track_published':
      return { ...state, tracks: with_(state.tracks, event.track, trackOf(event)) };
    case 'track_unpublished':
      return { ...state, tracks: without(state.tracks, event.track) };
    case 'moderation_changed':
      return heardAnew(
        withFloor(state, {
          moderation: event.moderation,
          media_policy: policyAfter(state.floor, event.moderation),
        }),
      );
    case 'chair_changed':
      return { ...state, chair: { user_id: event.user_id, name: event.name } };
    case 'recording_state':
      return withRecording(state, { state: event.state, retention_days: event.retention_days });
    case 'live_viewing_changed':
      return withLiveViewing(state, event.live_viewing);
    case 'meeting_changed':
      return { ...state, session: { ...state.session, meeting_url: event.meeting_url } };
    case 'recording_acknowledged':
      return event.user_id === state.you.user_id
        ? withRecording(state, { acknowledged: true })
        : state;
    case 'attendance_changed':
      return event.user_id === state.you.user_id ? { ...state, present: event.present } : state;
    case 'quorum_changed':
      return { ...state, quorum: quorumOf(event) };
    case 'vote_announced':
      return withVote(state, event);
    case 'chat':
      return withChat(state, event);
    case 'transcript_chunk':
    case 'transcript_gap':
    case 'transcript_corrected': {
      const captions = captionsAfter(state.captions, event, (userId) => nameOf(state, userId));
      const soFar = soFarAfter(state.soFar, event);
      return captions === state.captions ? state : { ...state, captions, soFar };
    }
    case 'session_ended':
      return {
        ...withFloor(state, { turn: null, interrupted: [], requested: [], queue: [] }),
        soFar: null,
        ended: event.reason,
      };
    default:
      return state;
  }
}

/** The state in which people outside the session may watch it, or may not. */
export function withLiveViewing(state: RoomState, live_viewing: boolean): RoomState {
  if (state.session.live_viewing === live_viewing) return state;
  return { ...state, session: { ...state.session, live_viewing } };
}

/** The state in which somebody is shown to say something. */
export function saying(state: RoomState, message: SpokenSoFar): RoomState {
  const { participant, text, from, to, language } = message;
  const isSaid = state.captions.some(
    (one) => one.participant === participant && Date.parse(one.to) > Date.parse(from),
  );
  if (isSaid) return state;
  const name = nameOf(state, participant);
  return { ...state, soFar: { participant, name, text, from, to, language: knownTag(language) } };
}

type EventOf<Type extends Told['type']> = Extract<Told, { type: Type }>;
type TurnEvent = EventOf<
  'turn_started' | 'turn_paused' | 'turn_resumed' | 'turn_extended' | 'turn_warning' | 'turn_ended'
>;
type RequestEvent = EventOf<
  'speech_request_received' | 'speech_approved' | 'speech_denied' | 'speech_cancelled'
>;

function afterTurn(state: RoomState, event: TurnEvent): RoomState {
  const { turn: current, interrupted } = state.floor;
  const turn = turnOf(event);
  if (event.type === 'turn_ended') {
    return withFloor(state, {
      turn: current?.turn_id === turn.turn_id ? null : current,
      interrupted: interrupted.filter((one) => one.turn_id !== turn.turn_id),
    });
  }
  // A question that goes on again, after a decision was taken back, interrupts anew.
  const returns =
    (event.type === 'turn_resumed' || event.type === 'turn_paused') &&
    turn.kind === 'interposed_question' &&
    current !== null &&
    current.turn_id !== turn.turn_id &&
    !interrupted.some((one) => one.turn_id === turn.turn_id);
  if (event.type === 'turn_started' || returns) {
    const others = interrupted.filter((one) => one.turn_id !== turn.turn_id);
    const waits =
      current !== null && current.turn_id !== turn.turn_id && turn.kind === 'interposed_question';
    return withFloor(state, {
      turn,
      interrupted: waits ? [...others, { ...current, running: false }] : others,
      requested: state.floor.requested.filter((one) => one.request_id !== turn.request_id),
      queue: state.floor.queue.filter((one) => one.request_id !== turn.request_id),
    });
  }
  const waiting = interrupted.findIndex((one) => one.turn_id === turn.turn_id);
  if (waiting >= 0 && current !== null && current.turn_id !== turn.turn_id) {
    return withFloor(state, { interrupted: interrupted.with(waiting, turn) });
  }
  return withFloor(state, {
    turn,
    interrupted: interrupted.filter((one) => one.turn_id !== turn.turn_id),
  });
}

function afterRequest(state: RoomState, event: RequestEvent): RoomState {
  const { requested, queue } = state.floor;
  const other = (one: RequestView) => one.request_id !== event.request_id;
  if (event.type === 'speech_request_received') {
    return withFloor(state, {
      requested: [...requested.filter(other), requestOf(event)],
      queue: queue.filter(other),
    });
  }
  if (event.type === 'speech_approved') {
    const approved = requested.find((one) => !other(one));
    // Where it stands in the list is told by the `queue_updated` that follows.
    return withFloor(state, {
      requested: requested.filter(other),
      queue: approved === undefined ? queue : [...queue.filter(other), approved],
    });
  }
  return withFloor(state, { requested: requested.filter(other), queue: queue.filter(other) });
}

/** What left or moved is taken out; then what came or moved is put at its place. */
function afterQueueUpdate(state: RoomState, event: EventOf<'queue_updated'>): RoomState {
  const known = new Map(state.floor.queue.map((one) => [one.request_id, one]));
  const gone = new Set([...event.removed, ...event.placed.map((one) => one.request_id)]);
  const queue = state.floor.queue.filter((one) => !gone.has(one.request_id));
  for (const { request_id, after: ahead, request } of event.placed) {
    const entry = request ?? known.get(request_id);
    if (entry === undefined) continue;
    const place = ahead === null ? 0 : queue.findIndex((one) => one.request_id === ahead) + 1;
    queue.splice(place, 0, entry);
  }
  const placed = (one: RequestView) => gone.has(one.request_id);
  const requested = state.floor.requested.filter((one) => !placed(one));
  return withFloor(state, { requested, queue, open: event.open });
}

function afterRemoval(state: RoomState, event: EventOf<'participant_left'>): RoomState {
  const one = state.participants.get(event.user_id);
  if (event.reason !== 'removed' || one === undefined) return state;
  const { user_id, name } = one;
  const others = state.removed.filter((other) => other.user_id !== user_id);
  return { ...state, removed: [...others, { user_id, name }] };
}

/** The name of somebody who is here, was here, or had a turn in the hall. */
function nameOf(state: RoomState, userId: string): string {
  return state.participants.get(userId)?.name ?? state.names.get(userId) ?? userId;
}

/** Remembers the name of somebody who leaves. */
function named(state: RoomState, userId: string): RoomState {
  const name = state.participants.get(userId)?.name;
  return name === undefined ? state : { ...state, names: namesWith(state.names, userId, name) };
}

/** Remembers the name of somebody in the hall who has a turn. */
function spoken(state: RoomState, { user_id, name, in_hall }: TurnEvent): RoomState {
  const names = in_hall ? namesWith(state.names, user_id, name) : state.names;
  return names === state.names ? state : { ...state, names };
}

function withRecording(state: RoomState, change: Partial<RecordingView>): RoomState {
  return { ...state, recording: { ...state.recording, ...change } };
}

function withParticipant(state: RoomState, participant: ParticipantView): RoomState {
  const participants = with_(state.participants, participant.user_id, participant);
  const media_policy = policyBy(state.floor, participant);
  const floor =
    media_policy === state.floor.media_policy ? state.floor : { ...state.floor, media_policy };
  if (participant.user_id !== state.you.user_id) return { ...state, participants, floor };
  const { name, roles, muted, pictures_stopped, may_be_heard, may_be_seen } = participant;
  const own = { name, roles, muted, pictures_stopped, may_be_heard, may_be_seen };
  const you = { ...state.you, ...own };
  return { ...state, participants, floor, you };
}

function withoutParticipant(state: RoomState, userId: string): RoomState {
  return {
    ...state,
    participants: without(state.participants, userId),
    tracks: new Map([...state.tracks].filter(([, track]) => track.user_id !== userId)),
    speakers: state.speakers.filter((speaker) => speaker.user_id !== userId),
    soFar: state.soFar?.participant === userId ? null : state.soFar,
  };
}

function withMute(state: RoomState, userId: string, muted: boolean): RoomState {
  const participant = state.participants.get(userId);
  const you = userId === state.you.user_id ? { ...state.you, muted } : state.you;
  return participant === undefined
    ? { ...state, you }
    : { ...state, you, participants: with_(state.participants, userId, { ...participant, muted }) };
}

function withPictures(state: RoomState, userId: string, pictures_stopped: boolean): RoomState {
  const one = state.participants.get(userId);
  const you = userId === state.you.user_id ? { ...state.you, pictures_stopped } : state.you;
  if (one === undefined) return { ...state, you };
  const participants = with_(state.participants, userId, { ...one, pictures_stopped });
  return { ...state, you, participants };
}

function withLanguage(state: RoomState, userId: string, language: string | null): RoomState {
  const one = state.participants.get(userId);
  if (one === undefined) return state;
  const changed = { ...one };
  if (language === null) delete changed.language;
  else changed.language = language;
  return { ...state, participants: with_(state.participants, userId, changed) };
}

/** Whom the server lets through follows from the floor, the mutes and the session's rule. */
function heardAnew(state: RoomState): RoomState {
  const participants = new Map(
    [...state.participants].map(([userId, one]) => [userId, passing(state.floor, one)] as const),
  );
  // Whoever is not heard any more is not shown to say anything, and whoever is will be again.
  return { ...state, soFar: null, participants, you: passing(state.floor, state.you) };
}

interface Passing {
  readonly user_id: string;
  readonly roles: readonly string[];
  readonly muted: boolean;
  readonly pictures_stopped: boolean;
  readonly may_be_heard: boolean;
  readonly may_be_seen: boolean;
}

function passing<Who extends Passing>(floor: Floor, who: Who): Who {
  const may_be_heard = isHeard(floor, who);
  const may_be_seen = isSeen(floor, who);
  return may_be_heard === who.may_be_heard && may_be_seen === who.may_be_seen
    ? who
    : { ...who, may_be_heard, may_be_seen };
}

function publishes(who: Passing): boolean {
  return who.roles.some((role) => ['participant', 'moderator', 'hall'].includes(role));
}

function holds(floor: Floor, who: Passing): boolean {
  return floor.turn?.running === true && givesFloor(floor.turn, who);
}

/** Whether a turn gives the floor to somebody: that of somebody in the hall, to its devices. */
export function givesFloor(
  turn: Pick<TurnView, 'in_hall' | 'user_id'>,
  who: { readonly user_id: string; readonly roles: readonly string[] },
): boolean {
  return turn.in_hall ? who.roles.includes('hall') : turn.user_id === who.user_id;
}

function isHeard(floor: Floor, who: Passing): boolean {
  if (who.muted || !publishes(who)) return false;
  return floor.moderation === 'open' || who.roles.includes('moderator') || holds(floor, who);
}

/** By the session's rule for cameras and screens, unless a moderator stopped them. */
function isSeen(floor: Floor, who: Passing): boolean {
  if (who.pictures_stopped || !publishes(who)) return false;
  const shown = who.roles.some((role) => role === 'moderator' || role === 'hall');
  return floor.media_policy === 'all' || shown || holds(floor, who);
}

/** A session that names no rule of its own has the one of its mode. */
function policyAfter(floor: Floor, moderation: string): string {
  const usual = (mode: string) => (mode === 'open' ? 'all' : 'floor');
  return floor.media_policy === usual(floor.moderation) ? usual(moderation) : floor.media_policy;
}

/** The rule, by what the server says of somebody who has no right of their own to be seen. */
function policyBy(floor: Floor, who: ParticipantView): string {
  const plain = who.roles.length === 1 && who.roles[0] === 'participant';
  const own = who.connections === 0 || who.pictures_stopped || holds(floor, who);
  if (!plain || own) return floor.media_policy;
  return who.may_be_seen ? 'all' : 'floor';
}

/** The state after the session's rule for cameras and screens was changed. */
export function withMediaPolicy(state: RoomState, media_policy: string): RoomState {
  return heardAnew(withFloor(state, { media_policy }));
}

function withChat(state: RoomState, event: EventOf<'chat'>): RoomState {
  if (state.chat.some((line) => line.seq === event.seq)) return state;
  const { seq, at, user_id, name, text } = event;
  const by_moderator = state.participants.get(user_id)?.roles.includes('moderator') === true;
  const line = { seq, at, user_id, name, text, by_moderator };
  return {
    ...state,
    chat: [...state.chat, line].slice(-CHAT_LINES_MAX),
  };
}

/** The votes that are remembered, and those of a `welcome` that are not. */
function withOpenVotes(
  votes: readonly AnnouncedVote[],
  welcome: Welcome,
): readonly AnnouncedVote[] {
  const isKnown = ({ vote_id, title, ends_at }: VoteView) =>
    votes.some((one) => one.vote_id === vote_id && one.title === title && one.ends_at === ends_at);
  const unknown = welcome.votes.filter((vote) => !isKnown(vote));
  if (unknown.length === 0) return votes;
  const others = votes.filter((one) => unknown.every(({ vote_id }) => vote_id !== one.vote_id));
  // They were announced by an event before it, and nobody here knows which.
  const added = unknown.map((vote) => ({ ...vote, seq: welcome.seq }));
  return [...others, ...added].slice(-VOTES_MAX);
}

function withVote(state: RoomState, event: EventOf<'vote_announced'>): RoomState {
  const { seq, vote_id, title, started_at, ends_at } = event;
  if (state.votes.some((one) => one.seq === seq)) return state;
  // What is announced again says anew until when.
  const others = state.votes.filter((one) => one.vote_id !== vote_id);
  const vote = { seq, vote_id, title, started_at, ends_at };
  return { ...state, votes: [...others, vote].slice(-VOTES_MAX) };
}

function withFloor(state: RoomState, change: Partial<Floor>): RoomState {
  return { ...state, floor: { ...state.floor, ...change } };
}

function with_<Value>(map: ReadonlyMap<string, Value>, key: string, value: Value) {
  return new Map(map).set(key, value);
}

function without<Value>(map: ReadonlyMap<string, Value>, key: string) {
  const copy = new Map(map);
  copy.delete(key);
  return copy;
}

function participantOf(
  event: EventOf<'participant_joined' | 'participant_updated'>,
): ParticipantView {
  const { user_id, name, roles, connections, audio, video, screen, muted } = event;
  const { pictures_stopped, may_be_heard, may_be_seen } = event;
  const { joined_at, language, name_notice, media_fault } = event;
  return {
    user_id,
    name,
    roles,
    connections,
    audio,
    video,
    screen,
    muted,
    pictures_stopped,
    may_be_heard,
    may_be_seen,
    joined_at,
    ...(language === undefined ? {} : { language }),
    ...(name_notice === undefined ? {} : { name_notice }),
    ...(media_fault === undefined ? {} : { media_fault }),
  };
}

function trackOf(event: EventOf<'track_published'>): TrackView {
  const { track, user_id, kind, source, codec, layers } = event;
  return { track, user_id, kind, source, codec, layers };
}

function quorumOf(event: EventOf<'quorum_changed'>): QuorumState {
  const { call, heads_present, heads_total, weight_present, weight_total } = event;
  const { heads_needed, weight_needed, comparison, reached, since, roll_known, turned } = event;
  return {
    call,
    heads_present,
    heads_total,
    weight_present,
    weight_total,
    heads_needed,
    weight_needed,
    comparison,
    reached,
    since,
    roll_known,
    turned,
  };
}

function requestOf(event: EventOf<'speech_request_received'>): RequestView {
  const { request_id, user_id, name, kind, stance, note } = event;
  const { requested_at, in_hall, previous_turns } = event;
  return { request_id, user_id, name, kind, stance, note, requested_at, in_hall, previous_turns };
}

function turnOf(event: TurnEvent): TimedTurn {
  const { turn_id, request_id, user_id, name, kind, limit_s, used_ms, running, in_hall } = event;
  const asOfMs = Date.parse(event.at);
  return { turn_id, request_id, user_id, name, kind, limit_s, used_ms, running, in_hall, asOfMs };
}
