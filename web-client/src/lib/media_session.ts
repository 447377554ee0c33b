import type { TrackView, Welcome } from '../generated/wire';
import type { Source, VideoCodec } from './encodings';
import { layerFor } from './encodings';
import type { ChannelError } from './errors';
import type { SignalMessage } from './moderation_channel';
import type { PeerFactory, Signalling } from './publisher';
import { PathWatch } from './path_watch';
import { Publisher } from './publisher';
import type { Judgement, Measurement } from './quality';
import { QualityMeter, judge } from './quality';
import type { Reception } from './reception';
import { ReceptionMeter, sameReception } from './reception';
import type { RoomState } from './room_state';
import type { Want } from './subscriber';
import { Subscriber } from './subscriber';

/** Tracks of sound heard at once; beyond them those that are let through win. */
export const AUDIO_TRACKS_MAX = 40;
/** Pictures received at once; beyond them the largest win and the rest pause. */
export const VIDEO_TRACKS_MAX = 16;
const MEASURE_EVERY_MS = 2_000;
const PATH_EVERY_MS = 500;

/**
 * Whether this browser can send and receive media at all. Settings and extensions for
 * privacy take it away, and some browsers inside other applications do not have it.
 */
export function canCarryMedia(): boolean {
  return 'RTCPeerConnection' in globalThis;
}

/** How a picture is shown. */
export interface VideoView {
  readonly visible: boolean;
  /** Height in device pixels. */
  readonly height: number;
}

/** What a page is told of media. */
export interface MediaHandlers {
  /** A remote track's media began, changed, or (null) ended. */
  onMedia?(track: TrackView | null, id: string, media: MediaStreamTrack | null): void;
  /** The remote tracks that this browser can't decode. */
  onUndecodable?(tracks: ReadonlySet<string>): void;
  /** The tracks whose pictures the network does not carry now. */
  onPaused?(tracks: ReadonlySet<string>): void;
  /** What is sent has changed: a device was taken away, or sharing was stopped. */
  onLocal?(): void;
  /** A device was taken away, or the person stopped sharing in the browser's own bar. */
  onEnded?(source: Source): void;
  onQuality?(quality: Judgement | null): void;
  /** How well others' media arrives, by track. */
  onReception?(reception: Reception): void;
  /** The server takes no more of what is sent. */
  onRefused?(error: ChannelError): void;
}

/** What a media session needs. */
export interface MediaOptions {
  readonly signalling: Signalling;
  readonly handlers: MediaHandlers;
  readonly createPeer?: PeerFactory;
  readonly videoCodec?: VideoCodec;
}

/**
 * The media of one person in one room: what they send, and everything they
 * hear and see. It subscribes by itself: to all sound, and to pictures in view.
 */
export class MediaSession {
  readonly publisher: Publisher;
  readonly subscriber: Subscriber;
  private readonly meter = new QualityMeter();
  private readonly reception = new ReceptionMeter();
  private paused: ReadonlySet<string> = new Set();
  private received: Reception = new Map();
  private readonly views = new Map<string, VideoView>();
  private readonly local = new Map<Source, MediaStreamTrack>();
  private tracks: ReadonlyMap<string, TrackView> = new Map();
  private state: RoomState | null = null;
  private listening = true;
  private microphoneOn = false;
  private unplugged = false;
  /** Whether the devices were released; they are not opened before the next welcome. */
  private closed = false;
  private told = '';
  private timer: ReturnType<typeof setInterval> | undefined;
  private pathTimer: ReturnType<typeof setInterval> | undefined;
  private readonly path = new PathWatch();
  /** Without it the room goes on without media: the floor, the list and the chat. */
  private readonly able: boolean;

  constructor(private readonly options: MediaOptions) {
    const createPeer =
      options.createPeer ?? ((configuration) => new RTCPeerConnection(configuration));
    this.able = options.createPeer !== undefined || canCarryMedia();
    const { signalling, handlers } = options;
    this.publisher = new Publisher({
      signalling,
      createPeer,
      ...(options.videoCodec === undefined ? {} : { videoCodec: options.videoCodec }),
      onRefused: (error) => handlers.onRefused?.(error),
    });
    this.subscriber = new Subscriber({
      signalling,
      createPeer,
      onMedia: (id, media) => handlers.onMedia?.(this.tracks.get(id) ?? null, id, media),
      onUndecodable: (tracks) => handlers.onUndecodable?.(tracks),
    });
  }

  /** What is sent for a source. */
  trackOf(source: Source): MediaStreamTrack | null {
    return this.local.get(source) ?? null;
  }

  /** The microphone: whether it is there, and whether its owner wants it on. */
  get microphone(): {
    readonly present: boolean;
    readonly on: boolean;
    readonly unplugged: boolean;
    readonly systemMuted: boolean;
  } {
    const track = this.local.get('microphone');
    return {
      present: track !== undefined,
      on: this.microphoneOn,
      unplugged: this.unplugged,
      systemMuted: track?.muted === true,
    };
  }

  /** Sends `track` as `source`; null stops sending and releases the device. */
  setTrack(source: Source, track: MediaStreamTrack | null): void {
    if (this.closed) {
      // The person left while the browser asked for the device.
      track?.stop();
      return;
    }
    const before = this.local.get(source);
    const { handlers } = this.options;
    if (before === track) return;
    if (before !== undefined) {
      before.onended = before.onmute = before.onunmute = null;
      before.stop();
    }
    if (source === 'microphone') this.unplugged = false;
    if (track === null) {
      this.local.delete(source);
    } else {
      this.local.set(source, track);
      // The device was unplugged, or the person stopped sharing in the browser's own bar.
      track.onended = () => {
        this.setTrack(source, null);
        if (source === 'microphone') this.unplugged = true;
        handlers.onEnded?.(source);
        handlers.onLocal?.();
      };
      track.onmute = track.onunmute = () => handlers.onLocal?.();
      if (source === 'microphone') track.enabled = this.microphoneOn;
    }
    if (this.able) this.publisher.set(source, track);
    this.tellMedia();
    this.options.handlers.onLocal?.();
  }

  /** Opens or closes the own microphone; the device stays ready. */
  setMicrophoneOn(on: boolean): void {
    this.microphoneOn = on;
    if (!on) this.unplugged = false;
    const track = this.local.get('microphone');
    if (track !== undefined) track.enabled = on;
    this.tellMedia();
    this.options.handlers.onLocal?.();
  }

  /** Whether to receive sound at all. */
  setListening(listening: boolean): void {
    this.listening = listening;
    this.want();
  }

  /** How a picture is shown; null when it no longer is. */
  setView(track: string, view: VideoView | null): void {
    if (view === null) this.views.delete(track);
    else this.views.set(track, view);
    this.want();
  }

  handleWelcome(welcome: Welcome, state: RoomState): void {
    const { ice_servers, resumed } = welcome;
    this.closed = false;
    this.told = '';
    this.prefer(state);
    if (this.able) {
      this.publisher.handleWelcome(ice_servers, resumed);
      this.subscriber.handleWelcome(ice_servers, resumed);
    }
    this.handleState(state);
    this.tellMedia();
    this.timer ??= setInterval(() => void this.measure(), MEASURE_EVERY_MS);
    this.pathTimer ??= setInterval(() => void this.watchPath(), PATH_EVERY_MS);
  }

  /** Relay servers with new credentials, for what is connected or restarted from now on. */
  handleIceServers(servers: RTCIceServer[]): void {
    this.publisher.setIceServers(servers);
    this.subscriber.setIceServers(servers);
  }

  handleState(state: RoomState): void {
    this.state = state;
    this.tracks = state.tracks;
    this.prefer(state);
    // What is seen already need not end for codecs that only viewers from outside don't see.
    if (state.session.live_viewing) this.publisher.republish();
    this.want();
  }

  /** Viewers outside the session get the pictures as they come, in files that hold H.264. */
  private prefer({ session }: RoomState): void {
    this.publisher.prefer(session.live_viewing ? 'h264' : 'vp8');
  }

  handleSignal(message: SignalMessage): void {
    switch (message.type) {
      case 'answer':
        this.publisher.handleAnswer(message);
        return;
      case 'offer':
        this.subscriber.handleOffer(message);
        return;
      case 'video_paused':
        this.pause(message.tracks);
        return;
      case 'layers_unseen':
        this.publisher.handleUnseen(message.track, message.rids);
        return;
      case 'transport_state':
        if (message.state !== 'lost') return;
        if (message.transport === 'publish') this.publisher.handleLost();
        else {
          this.subscriber.handleLost();
          this.pause([]);
        }
    }
  }

  /** The network does not carry the pictures of these tracks now. */
  pause(tracks: readonly string[]): void {
    if (tracks.length + this.paused.size === 0) return;
    this.paused = new Set(tracks);
    this.options.handlers.onPaused?.(this.paused);
  }

  /** Stops everything and releases the devices. */
  close(): void {
    clearInterval(this.timer);
    clearInterval(this.pathTimer);
    this.timer = this.pathTimer = undefined;
    this.publisher.close();
    this.subscriber.close();
    this.closed = true;
    for (const track of this.local.values()) {
      track.onended = track.onmute = track.onunmute = null;
      track.stop();
    }
    this.local.clear();
  }

  private want(): void {
    const state = this.state;
    if (state !== null && this.able) {
      this.subscriber.setWanted(wantedTracks(state, this.views, this.listening));
    }
  }

  private tellMedia(): void {
    const media = {
      audio: this.microphoneOn && this.local.has('microphone'),
      video: this.local.has('camera'),
      screen: this.local.has('screen'),
    };
    const text = JSON.stringify(media);
    if (text === this.told) return;
    // An observer sends nothing, and may not even say so.
    if (this.told === '' && !media.audio && !media.video && !media.screen) return;
    this.told = text;
    void this.options.signalling.request({ type: 'set_media', ...media }).catch(() => {
      this.told = '';
    });
  }

  /** Whether what is sent arrives: the server answers every packet of sound. */
  get arriving(): boolean {
    return this.path.works;
  }

  private async watchPath(): Promise<void> {
    const before = this.path.works;
    const peer = this.publisher.connection;
    if (!this.microphoneOn || !this.local.has('microphone')) {
      this.path.reset(performance.now());
    } else {
      const connected = peer?.connectionState === 'connected';
      const report = connected ? await peer.getStats() : [];
      const entries = [...report.values()] as Readonly<Record<string, unknown>>[];
      this.path.handleReport(connected, entries, performance.now());
    }
    if (this.path.works !== before) this.options.handlers.onLocal?.();
  }

  private async measure(): Promise<void> {
    const measured: { publish?: Measurement; subscribe?: Measurement } = {};
    for (const [name, peer] of [
      ['publish', this.publisher.connection],
      ['subscribe', this.subscriber.connection],
    ] as const) {
      if (peer?.connectionState !== 'connected') continue;
      const report = await peer.getStats();
      const entries = [...report.values()] as Readonly<Record<string, unknown>>[];
      measured[name] = this.meter.measure(name, entries);
      if (name === 'subscribe') this.tellReception(entries);
    }
    // What does not arrive here may have been lost by the network of whoever sent it. The server knows,
    // and tells of what ours loses.
    const { publish = null, subscribe = null } = measured;
    const received = subscribe === null ? null : { ...subscribe, loss: null };
    this.options.handlers.onQuality?.(judge(publish, received));
  }

  private tellReception(entries: readonly Readonly<Record<string, unknown>>[]): void {
    const reception = this.reception.measure(entries, (mid) => this.subscriber.trackAt(mid));
    if (sameReception(reception, this.received)) return;
    this.received = reception;
    this.options.handlers.onReception?.(reception);
  }
}

/** What to subscribe to: all sound but the own, and the pictures in view. */
export function wantedTracks(
  state: RoomState,
  views: ReadonlyMap<string, VideoView>,
  listening: boolean,
): Map<string, Want> {
  const me = state.you.user_id;
  const others = [...state.tracks.values()].filter((track) => track.user_id !== me);
  const wanted = new Map<string, Want>();
  if (listening) {
    const sounds = others.filter((track) => track.kind === 'audio');
    const heard = (track: TrackView) =>
      state.participants.get(track.user_id)?.may_be_heard === true;
    const first = [...sounds.filter(heard), ...sounds.filter((track) => !heard(track))];
    for (const { track } of first.slice(0, AUDIO_TRACKS_MAX)) wanted.set(track, { paused: false });
  }
  const pictures = others
    .flatMap((track) => {
      const view = views.get(track.track);
      return track.kind !== 'video' || view === undefined ? [] : [{ track, view }];
    })
    .sort(
      (a, b) => Number(b.view.visible) - Number(a.view.visible) || b.view.height - a.view.height,
    );
  for (const [index, { track, view }] of pictures.entries()) {
    wanted.set(track.track, {
      paused: !view.visible || index >= VIDEO_TRACKS_MAX,
      maxLayer: layerFor(view.height, track.layers),
    });
  }
  return wanted;
}
