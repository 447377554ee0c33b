import type { EligibleListView, EvidenceView, Told, TrackView, Welcome } from '../generated/wire';
import type { ChannelStatus, Renewal } from './channel_status';
import type { DpopKey } from './dpop_key';
import type { ChannelError } from './errors';
import { tabKeeping } from './keeping';
import { MediaSession } from './media_session';
import type { ChannelOptions } from './moderation_channel';
import { ModerationChannel } from './moderation_channel';
import type { Ack, Command } from './requests';
import type { Judgement } from './quality';
import { sameJudgement } from './quality';
import type { Reception } from './reception';
import type { AnnouncedVote, ChatLine, RemovedPerson, RoomState } from './room_state';
import { after, saying, stateOf, withMediaPolicy } from './room_state';
import { ServerClock } from './server_clock';
import type { PeopleQuality } from './told_quality';
import { ownJudgement, qualityAfter, qualityWithout } from './told_quality';
import type { TokenSource } from './token_source';
import type { PeerFactory } from './publisher';
import type { Source, VideoCodec } from './encodings';

/** Everything a page shows, replaced as a whole on every change. */
export interface RoomSnapshot {
  readonly status: ChannelStatus;
  /** What is known of the room; null before the first welcome. */
  readonly state: RoomState | null;
  readonly quality: Judgement | null;
  /** Whose connections are not good: to moderators of everybody, to others of themselves. */
  readonly connections: PeopleQuality;
  /** What of the eligible list does not hold, as moderators are told; null when nothing is known. */
  readonly eligible: EligibleListView | null;
  /** How well others' media arrives here, by track; only what arrives is in it. */
  readonly reception: Reception;
  /** Media of remote tracks by track id. */
  readonly media: ReadonlyMap<string, MediaStreamTrack>;
  /** Remote tracks that this browser can't decode. */
  readonly undecodable: ReadonlySet<string>;
  /** Remote tracks whose pictures the network does not carry now. */
  readonly paused: ReadonlySet<string>;
  /** Whether the server answers as fast as somebody who is to be heard needs it. */
  readonly answering: boolean;
  /** Whether the token of the connection is being kept good. */
  readonly renewal: Renewal;
  /** Counts changes of what this client sends. */
  readonly localVersion: number;
}

/** What a room client needs. */
export interface RoomClientOptions {
  readonly sessionId: string;
  readonly key: Pick<DpopKey, 'proof'>;
  readonly tokens: TokenSource;
  /** Without media, nothing is sent or received but messages. */
  readonly media?: boolean;
  /**
   * Whether others go by what this page shows, as a moderator's or a hall's: while somebody has
   * the floor, the server is asked often whether it is there.
   */
  readonly reliedOn?: boolean;
  readonly origin?: string;
  readonly storage?: ChannelOptions['storage'];
  readonly createSocket?: ChannelOptions['createSocket'];
  readonly createPeer?: PeerFactory;
  readonly videoCodec?: VideoCodec;
  readonly wakeUps?: ChannelOptions['wakeUps'];
  /** Called for every event once, after the snapshot has taken it in. */
  readonly onEvent?: (event: Told, state: RoomState) => void;
  /** A signed head of the session's record came. */
  readonly onEvidence?: (head: EvidenceView) => void;
  /** The connection before was continued. */
  readonly onResumed?: () => void;
  /** Sound came or went. */
  readonly onSound?: (track: string, media: MediaStreamTrack | null) => void;
  readonly onRefused?: (error: ChannelError) => void;
  /** A device was taken away, or the person stopped sharing in the browser's own bar. */
  readonly onEnded?: (source: Source) => void;
}

/** A room: the channel, its state and its media, kept in step. */
export class RoomClient {
  readonly channel: ModerationChannel;
  readonly clock = new ServerClock();
  private current: RoomSnapshot = {
    status: { phase: 'idle' },
    state: null,
    quality: null,
    connections: new Map(),
    eligible: null,
    reception: new Map(),
    media: new Map(),
    undecodable: new Set(),
    paused: new Set(),
    answering: true,
    renewal: { state: 'fine' },
    localVersion: 0,
  };
  /** How good this page finds its connection. */
  private measured: Judgement | null = null;
  private readonly own: MediaSession | null;
  /** Whether another service carries sound and picture, so that nothing of ours is sent. */
  private elsewhere = false;
  private readonly listeners = new Set<(snapshot: RoomSnapshot) => void>();
  private readonly chatKey: string;
  private readonly removedKey: string;
  private readonly votesKey: string;

  constructor(private readonly options: RoomClientOptions) {
    this.chatKey = `cabildo.chat.${options.sessionId}`;
    this.removedKey = `cabildo.removed.${options.sessionId}`;
    this.votesKey = `cabildo.votes.${options.sessionId}`;
    this.channel = new ModerationChannel({
      sessionId: options.sessionId,
      key: options.key,
      tokens: options.tokens,
      ...(options.origin === undefined ? {} : { origin: options.origin }),
      ...(options.storage === undefined ? {} : { storage: options.storage }),
      ...(options.createSocket === undefined ? {} : { createSocket: options.createSocket }),
      ...(options.wakeUps === undefined ? {} : { wakeUps: options.wakeUps }),
      handlers: {
        onStatus: (status) => this.change({ status }),
        onAnswering: (answering) => this.change({ answering }),
        onRenewal: (renewal) => {
          if (renewal.state !== 'fine' || this.current.renewal.state !== 'fine') {
            this.change({ renewal });
          }
        },
        onWelcome: (welcome) => this.handleWelcome(welcome),
        onEvent: (event) => this.handleEvent(event),
        onEvidence: (head) => this.options.onEvidence?.(head),
        onSignal: (message) => this.media?.handleSignal(message),
        onIceServers: (servers) => this.media?.handleIceServers(servers),
        onSpokenSoFar: (message) => {
          const { state } = this.current;
          if (state !== null) this.change({ state: saying(state, message) });
        },
        onConnections: (people) => this.judge(qualityAfter(this.current.connections, people)),
        onEligibleList: (eligible) => this.change({ eligible }),
        onServerTime: (time, sentMs) => this.clock.handleReading(time, sentMs, Date.now()),
      },
    });
    this.own = options.media === false ? null : this.makeMedia();
  }

  /** What is sent and received; null when nothing is. */
  get media(): MediaSession | null {
    return this.elsewhere ? null : this.own;
  }

  get snapshot(): RoomSnapshot {
    return this.current;
  }

  /** Calls `listener` on every change, until the returned function is called. */
  subscribe(listener: (snapshot: RoomSnapshot) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  join(): void {
    this.channel.connect();
  }

  leave(): void {
    this.own?.close();
    this.channel.leave();
    this.storage()?.removeItem(this.chatKey);
    this.storage()?.removeItem(this.removedKey);
    this.storage()?.removeItem(this.votesKey);
  }

  /** `seq` of the newest event that came, which pages show at once. */
  get lastSeq(): number {
    return this.channel.lastSeq;
  }

  /** Sends a command; rejects with `ChannelError` when it was refused or lost. */
  command(message: Command): Promise<Ack> {
    return this.channel.request(message);
  }

  /** The session's rule for cameras and screens was changed from here. */
  handleMediaPolicy(policy: 'floor' | 'all'): void {
    if (this.current.state === null) return;
    const state = withMediaPolicy(this.current.state, policy);
    this.change({ state });
    this.media?.handleState(state);
  }

  /** Takes whose connections are not good, and judges our own by that and by what was measured. */
  private judge(connections: PeopleQuality): void {
    const me = this.current.state?.you.user_id;
    const told = me === undefined ? undefined : connections.get(me);
    const quality = ownJudgement(this.measured, told);
    const isNews = connections !== this.current.connections;
    if (isNews || !sameJudgement(quality, this.current.quality)) {
      this.change({ connections, quality });
    }
  }

  private makeMedia(): MediaSession {
    const { createPeer, videoCodec } = this.options;
    return new MediaSession({
      signalling: this.channel,
      ...(createPeer === undefined ? {} : { createPeer }),
      ...(videoCodec === undefined ? {} : { videoCodec }),
      handlers: {
        onMedia: (track, id, media) => this.handleMedia(track, id, media),
        onUndecodable: (undecodable) => {
          if (undecodable.size + this.current.undecodable.size > 0) this.change({ undecodable });
        },
        onPaused: (paused) => this.change({ paused }),
        onLocal: () => {
          this.watch();
          this.change({ localVersion: this.current.localVersion + 1 });
        },
        onEnded: (source) => this.options.onEnded?.(source),
        onQuality: (measured) => {
          this.measured = measured;
          this.judge(this.current.connections);
        },
        onReception: (reception) => this.change({ reception }),
        onRefused: (error) => this.options.onRefused?.(error),
      },
    });
  }

  private handleWelcome(welcome: Welcome): void {
    // What is left out now is told anew after it.
    this.media?.pause([]);
    const known = this.current.state;
    const votes = known?.votes ?? (this.stored(this.votesKey) as readonly AnnouncedVote[]);
    const state = stateOf(welcome, {
      chat: known?.chat ?? (this.stored(this.chatKey) as readonly ChatLine[]),
      removed: known?.removed ?? (this.stored(this.removedKey) as readonly RemovedPerson[]),
      votes,
      ...(known !== null && { captions: known.captions, names: known.names }),
    });
    if (state.votes !== votes) this.store(this.votesKey, state.votes);
    this.elsewhere = state.session.provider !== 'webrtc';
    if (this.elsewhere) this.own?.close();
    // What does not hold, and who is not well connected, is told anew after it.
    this.change({ state, eligible: null });
    this.judge(new Map());
    this.media?.handleWelcome(welcome, state);
    this.watch();
    if (welcome.evidence !== null) this.options.onEvidence?.(welcome.evidence);
    if (welcome.resumed) this.options.onResumed?.();
  }

  private handleEvent(event: Told): void {
    if (this.current.state === null) return;
    const state = after(this.current.state, event);
    if (state !== this.current.state) {
      const { chat, removed, votes } = this.current.state;
      if (state.chat !== chat) this.store(this.chatKey, state.chat);
      if (state.removed !== removed) this.store(this.removedKey, state.removed);
      if (state.votes !== votes) this.store(this.votesKey, state.votes);
      this.change({ state });
      this.media?.handleState(state);
      this.watch();
    }
    if (event.type === 'participant_left') {
      this.judge(qualityWithout(this.current.connections, event.user_id));
    }
    this.options.onEvent?.(event, state);
  }

  /** Somebody relies on the server to be heard or to be shown a turn: it is asked often. */
  private watch(): void {
    const own = this.media?.microphone;
    const { state } = this.current;
    const speaks = own?.present === true && own.on && state?.you.may_be_heard === true;
    const shows = this.options.reliedOn === true && state?.floor.turn?.running === true;
    this.channel.setWatchful(speaks || shows);
  }

  private handleMedia(track: TrackView | null, id: string, media: MediaStreamTrack | null): void {
    const all = new Map(this.current.media);
    if (media === null) all.delete(id);
    else all.set(id, media);
    this.change({ media: all });
    const isSound = media === null || media.kind === 'audio' || track?.kind === 'audio';
    if (isSound) this.options.onSound?.(id, media);
  }

  private change(change: Partial<RoomSnapshot>): void {
    this.current = { ...this.current, ...change };
    for (const listener of this.listeners) listener(this.current);
  }

  private storage(): ChannelOptions['storage'] {
    if (this.options.storage !== undefined) return this.options.storage;
    return typeof window === 'undefined' ? null : tabKeeping();
  }

  /** What was told before a reload; a state from the server has none of it. */
  private stored(key: string): readonly unknown[] {
    try {
      const value: unknown = JSON.parse(this.storage()?.getItem(key) ?? '[]');
      return Array.isArray(value) ? value : [];
    } catch {
      return [];
    }
  }

  private store(key: string, value: unknown): void {
    try {
      this.storage()?.setItem(key, JSON.stringify(value));
    } catch {
      // A full storage costs these after a reload, nothing else.
    }
  }
}
