import { Closing } from './closing';
import { ChannelError } from './errors';
import type { SignalMessage } from './moderation_channel';
import type { PeerFactory, Signalling } from './publisher';
import { isLoss } from './publisher';
import { refusedSections } from './sdp';
import { TransportWatch } from './transport_watch';

/** The server's allowance of messages refills within a second. */
const RATE_LIMITED_MS = 1_000;

/** What is wanted of a track. */
export interface Want {
  /** Highest encoding, 0 the lowest; absent: the best. */
  readonly maxLayer?: number;
  readonly paused: boolean;
}

/** What a subscriber needs. */
export interface SubscriberOptions {
  readonly signalling: Signalling;
  readonly createPeer: PeerFactory;
  /** A track's media began, changed, or (null) ended. */
  readonly onMedia: (track: string, media: MediaStreamTrack | null) => void;
  /** The tracks that this browser can't decode, after each offer. */
  readonly onUndecodable?: (tracks: ReadonlySet<string>) => void;
}

/**
 * The subscribe transport: what this client receives. The server offers; this
 * side says what it wants and answers.
 */
export class Subscriber {
  private readonly watch: TransportWatch;
  private iceServers: RTCIceServer[] = [];
  private peer: RTCPeerConnection | null = null;
  private closing = new Closing();
  /** Which of the server's transports the last offer was of. */
  private origin: string | null = null;
  private wanted: ReadonlyMap<string, Want> = new Map();
  /** What the server was told, or is being told. */
  private readonly told = new Map<string, Want>();
  /** What the server refused; asked again when it is wanted differently. */
  private readonly refused = new Map<string, Want>();
  private media = new Map<string, MediaStreamTrack>();
  /** Track ids by the section that carries them. */
  private sections: ReadonlyMap<string, string> = new Map();
  private answering: Promise<void> = Promise.resolve();
  /** Whether the server may still hold a transport that our next peer has no keys for. */
  private replaces = false;
  private retry: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly options: SubscriberOptions) {
    this.watch = new TransportWatch({
      restartIce: () => this.restartIce(),
      renew: () => {
        this.closePeer();
        this.replaces = true;
        this.restartIce();
      },
      rejoin: () => this.options.signalling.reconnect(true),
    });
  }

  /** The peer connection, while there is one. */
  get connection(): RTCPeerConnection | null {
    return this.peer;
  }

  /** The track that a section of the connection carries. */
  trackAt(mid: string): string | undefined {
    return this.sections.get(mid);
  }

  /** Says everything that is wanted. */
  setWanted(wanted: ReadonlyMap<string, Want>): void {
    this.wanted = wanted;
    for (const [track, refused] of this.refused) {
      if (!same(refused, wanted.get(track))) this.refused.delete(track);
    }
    this.tell();
  }

  /** Servers for the next transport and the next ICE restart. */
  setIceServers(iceServers: RTCIceServer[]): void {
    this.iceServers = iceServers;
    this.peer?.setConfiguration(this.configuration());
  }

  /** The room is (still or again) there; `setWanted` follows. */
  handleWelcome(iceServers: RTCIceServer[], resumed: boolean): void {
    this.setIceServers(iceServers);
    this.refused.clear();
    if (!resumed) {
      this.close();
    } else if (this.peer === null && this.told.size > 0) {
      this.replaces = true;
      this.restartIce();
    }
  }

  handleOffer(message: Extract<SignalMessage, { type: 'offer' }>): void {
    this.answering = this.answering.then(() => this.answer(message)).catch(() => undefined);
  }

  /** The server gave the transport up, and with it what was subscribed to. */
  handleLost(): void {
    this.close();
    this.tell();
  }

  close(): void {
    clearTimeout(this.retry);
    this.closePeer();
    this.replaces = false;
    this.told.clear();
  }

  private async answer(message: Extract<SignalMessage, { type: 'offer' }>): Promise<void> {
    // When the server's end is another one, so must ours be.
    const origin = originOf(message.sdp);
    if (this.origin !== null && this.origin !== origin) this.closePeer();
    this.origin = origin;
    const peer = (this.peer ??= this.make());
    const closing = this.closing;
    try {
      await closing.during(peer.setRemoteDescription({ type: 'offer', sdp: message.sdp }));
      await closing.during(peer.setLocalDescription());
    } catch (error) {
      // The server waits for the answer to this offer, so it makes no other:
      // only a new connection starts over.
      if (this.peer === peer) {
        this.closePeer();
        this.options.signalling.reconnect(true);
      }
      throw error;
    }
    if (this.peer !== peer) return;
    const sdp = peer.localDescription?.sdp ?? '';
    this.map(peer, message, refusedSections(sdp));
    this.watch.handleNegotiated();
    // Not waited for: a lost answer is mended by the watch, and the next offer must not wait.
    const replaces = this.replaces;
    this.replaces = false;
    const answer = { type: 'answer', transport: 'subscribe', sdp } as const;
    void this.options.signalling.request(answer).catch((error: unknown) => {
      const refused = error instanceof ChannelError && error.code === 'SIGNALLING_STATE_CONFLICT';
      // A transport keeps its certificate: only a new connection gets another.
      if (refused && replaces) this.options.signalling.reconnect(true);
    });
  }

  /** Tells which media belongs to which track from now on. */
  private map(
    peer: RTCPeerConnection,
    message: Extract<SignalMessage, { type: 'offer' }>,
    refused: ReadonlySet<string>,
  ): void {
    const byMid = new Map(peer.getTransceivers().map((one) => [one.mid, one]));
    const media = new Map<string, MediaStreamTrack>();
    const undecodable = message.tracks.filter(({ mid }) => refused.has(mid));
    this.options.onUndecodable?.(new Set(undecodable.map(({ track }) => track)));
    for (const { mid, track } of message.tracks) {
      const transceiver = refused.has(mid) ? undefined : byMid.get(mid);
      if (transceiver !== undefined) media.set(track, transceiver.receiver.track);
    }
    const before = this.media;
    this.media = media;
    this.sections = new Map(message.tracks.map(({ mid, track }) => [mid, track]));
    for (const track of before.keys()) {
      if (!media.has(track)) this.options.onMedia(track, null);
    }
    for (const [track, one] of media) {
      if (before.get(track) !== one) this.options.onMedia(track, one);
    }
  }

  private tell(): void {
    for (const track of [...this.told.keys()]) {
      if (this.wanted.has(track)) continue;
      this.told.delete(track);
      void this.options.signalling.request({ type: 'unsubscribe', track }).catch(() => undefined);
    }
    for (const [track, want] of this.wanted) {
      if (same(this.told.get(track), want) || same(this.refused.get(track), want)) continue;
      // What is not there yet need not be asked for only to be paused.
      if (want.paused && !this.told.has(track)) continue;
      this.told.set(track, want);
      void this.subscribe(track, want);
    }
  }

  private async subscribe(track: string, want: Want): Promise<void> {
    try {
      await this.options.signalling.request({
        type: 'subscribe',
        track,
        paused: want.paused,
        ...(want.maxLayer === undefined ? {} : { max_layer: want.maxLayer }),
      });
    } catch (error) {
      if (this.told.get(track) !== want) return;
      this.told.delete(track);
      if (!(error instanceof ChannelError) || isLoss(error)) return;
      if (error.code === 'RATE_LIMITED') {
        clearTimeout(this.retry);
        this.retry = setTimeout(() => this.tell(), RATE_LIMITED_MS);
      } else {
        this.refused.set(track, want);
      }
    }
  }

  private restartIce(): void {
    void this.options.signalling
      .request({ type: 'restart_ice', transport: 'subscribe' })
      .catch(() => undefined);
  }

  private make(): RTCPeerConnection {
    const peer = this.options.createPeer(this.configuration());
    this.watch.watch(peer);
    this.closing = new Closing();
    return peer;
  }

  private configuration(): RTCConfiguration {
    return { bundlePolicy: 'max-bundle', iceServers: this.iceServers };
  }

  private closePeer(): void {
    this.watch.stop();
    this.peer?.close();
    this.closing.close();
    this.peer = null;
    const media = this.media;
    this.media = new Map();
    for (const track of media.keys()) this.options.onMedia(track, null);
  }
}

/** The session id of the `o=` line (RFC 8866 §5.2). */
function originOf(sdp: string): string | null {
  return /^o=\S+ (\S+)/m.exec(sdp)?.[1] ?? null;
}

function same(a: Want | undefined, b: Want | undefined): boolean {
  if (a === undefined || b === undefined) return false;
  return a.paused === b.paused && a.maxLayer === b.maxLayer;
}
