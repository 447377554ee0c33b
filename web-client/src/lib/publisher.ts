import type { SectionSource } from '../generated/wire';
import { Closing } from './closing';
import type { VideoCodec, Source } from './encodings';
import { encodingsOf, preferred } from './encodings';
import { ChannelError } from './errors';
import type { ModerationChannel, SignalMessage } from './moderation_channel';
import { withOpusOptions } from './sdp';
import { TransportWatch } from './transport_watch';

/** Makes a peer connection; replaced in tests. */
export type PeerFactory = (configuration: RTCConfiguration) => RTCPeerConnection;

/** What a transport needs of the channel. */
export type Signalling = Pick<ModerationChannel, 'request' | 'track' | 'reconnect'>;

/** What a publisher needs. */
export interface PublisherOptions {
  readonly signalling: Signalling;
  readonly createPeer: PeerFactory;
  readonly videoCodec?: VideoCodec;
  /** A refusal that trying again won't mend. */
  readonly onRefused?: (error: ChannelError) => void;
}

type Answer = Extract<SignalMessage, { type: 'answer' }>;

interface Peer {
  readonly connection: RTCPeerConnection;
  readonly closing: Closing;
  readonly transceivers: Map<Source, RTCRtpTransceiver>;
  /** The codec that each camera and screen was to be published with. */
  readonly codecs: Map<Source, VideoCodec>;
  /** What the server calls the track of each section. */
  tracks: Answer['tracks'];
  restartIce: boolean;
  /** Whether the server may still hold the transport of a connection before this. */
  readonly replaces: boolean;
}

/** What people are told whose sound or pictures the server can't take. */
const REFUSED_CODES: ReadonlyMap<string, string> = new Map<Source, string>([
  ['microphone', 'MICROPHONE_REFUSED'],
  ['camera', 'CAMERA_REFUSED'],
  ['screen', 'SCREEN_REFUSED'],
]);

/**
 * The publish transport: what this client sends. It holds what should be sent
 * and makes the peer connection agree with it, whatever happens to either.
 */
export class Publisher {
  private readonly wanted = new Map<Source, MediaStreamTrack>();
  private readonly watch: TransportWatch;
  private iceServers: RTCIceServer[] = [];
  private peer: Peer | null = null;
  private dirty = false;
  /** Before the first welcome nothing is known to connect to. */
  private ready = false;
  private replaces = false;
  private negotiation: Promise<void> | null = null;
  private answers = new Map<number, Answer>();
  /** Encodings of tracks that nobody looks at. */
  private unseen = new Map<string, readonly string[]>();
  private activation = Promise.resolve();
  private awaited: number | null = null;
  private preference: VideoCodec = 'vp8';

  constructor(private readonly options: PublisherOptions) {
    this.watch = new TransportWatch({
      restartIce: () => {
        if (this.peer !== null) this.peer.restartIce = true;
        this.negotiate();
      },
      renew: () => this.renew(true),
      rejoin: () => this.options.signalling.reconnect(true),
    });
  }

  /** The peer connection, while there is one. */
  get connection(): RTCPeerConnection | null {
    return this.peer?.connection ?? null;
  }

  /** What is being sent for a source. */
  trackOf(source: Source): MediaStreamTrack | null {
    return this.wanted.get(source) ?? null;
  }

  /** Sends `track` as `source`, in place of what was sent; null sends nothing. */
  set(source: Source, track: MediaStreamTrack | null): void {
    if (track === null) this.wanted.delete(source);
    else this.wanted.set(source, track);
    const transceiver = this.peer?.transceivers.get(source);
    // The section of a microphone stays for the next one: it carries the transport of
    // the bundle, and has no encodings to lose.
    if (transceiver !== undefined && (track !== null || source === 'microphone')) {
      void transceiver.sender.replaceTrack(track).catch(() => this.renew(true));
      return;
    }
    if (transceiver !== undefined) {
      // What is sent later is another stream with sources of its own: an idle
      // section taken up again would come back with fewer encodings.
      transceiver.stop();
      this.peer?.transceivers.delete(source);
      this.peer?.codecs.delete(source);
    } else if (track === null) {
      return;
    } else if (this.peer?.transceivers.size === 0) {
      // Browsers drop the transport with its last section, and the server keeps the
      // association: only another peer connection gets through.
      this.renew(true);
      return;
    }
    this.negotiate();
  }

  /** Servers for the next transport and the next ICE restart. */
  setIceServers(iceServers: RTCIceServer[]): void {
    this.iceServers = iceServers;
    this.peer?.connection.setConfiguration(this.configuration());
  }

  /** The codec that cameras and screens are published with from now on; those that are stay as they are. */
  prefer(codec: VideoCodec): void {
    this.preference = codec;
  }

  /**
   * Publishes the cameras and screens anew that are published with another codec than is
   * preferred. Sound goes on, and each picture ends and begins anew by one offer.
   */
  republish(): void {
    const { peer } = this;
    const codec = this.codec();
    if (peer === null || !canSend(codec)) return;
    const others = [...peer.codecs].filter(([, published]) => published !== codec);
    if (others.length === 0) return;
    for (const [source] of others) {
      peer.transceivers.get(source)?.stop();
      peer.transceivers.delete(source);
      peer.codecs.delete(source);
    }
    // As in `set`: a transport is not continued after its last section.
    if (peer.transceivers.size === 0) this.renew(true);
    else this.negotiate();
  }

  /** The room is (still or again) there. */
  handleWelcome(iceServers: RTCIceServer[], resumed: boolean): void {
    this.setIceServers(iceServers);
    this.ready = true;
    if (!resumed) this.close();
    if (this.peer === null) this.replaces = resumed;
    if (this.peer === null ? this.wanted.size > 0 : this.dirty) this.negotiate();
  }

  handleAnswer(message: Answer): void {
    const id = message.ref === undefined ? this.awaited : Number(message.ref);
    if (id !== null) this.answers.set(id, message);
  }

  /** Nobody looks at these encodings of a track, and at all of its others somebody may. */
  handleUnseen(track: string, rids: readonly string[]): void {
    this.unseen.set(track, rids);
    if (this.peer !== null) this.activate(this.peer, track);
  }

  /** The server gave the transport up: only a new one helps. */
  handleLost(): void {
    this.renew(false);
  }

  /** Closes the transport; what is wanted stays wanted. */
  close(): void {
    this.watch.stop();
    this.peer?.connection.close();
    this.peer?.closing.close();
    this.peer = null;
    this.dirty = false;
    this.unseen.clear();
  }

  private renew(replaces: boolean): void {
    this.close();
    this.replaces = replaces;
    if (this.wanted.size > 0) this.negotiate();
  }

  private negotiate(): void {
    this.dirty = true;
    if (!this.ready) return;
    this.negotiation ??= this.negotiateWhileDirty().finally(() => (this.negotiation = null));
  }

  private async negotiateWhileDirty(): Promise<void> {
    while (this.dirty) {
      this.dirty = false;
      const peer = (this.peer ??= this.make());
      this.complete(peer);
      try {
        await this.exchange(peer);
      } catch (error) {
        if (this.peer !== peer) continue;
        await rollBack(peer.connection);
        // A lost connection leaves the change to the next welcome.
        this.dirty = true;
        if (error instanceof ChannelError && !isLoss(error)) {
          this.dirty = false;
          if (peer.replaces && error.code === 'SIGNALLING_STATE_CONFLICT') {
            // A transport keeps its certificate: only a new connection gets another.
            this.options.signalling.reconnect(true);
            return;
          }
          this.options.onRefused?.(error);
        }
        return;
      }
    }
  }

  private async exchange(peer: Peer): Promise<void> {
    const { connection, closing } = peer;
    const offer = await closing.during(connection.createOffer({ iceRestart: peer.restartIce }));
    await closing.during(connection.setLocalDescription(offer));
    const { id, answer } = this.options.signalling.track({
      type: 'offer',
      transport: 'publish',
      sdp: connection.localDescription?.sdp ?? offer.sdp ?? '',
      tracks: sections(peer),
    });
    this.awaited = id;
    // The answer comes before the acknowledgement of its offer.
    await answer;
    const answered = this.answers.get(id);
    this.answers.clear();
    if (answered === undefined) throw new ChannelError('TIMED_OUT', 'the offer was not answered');
    if (this.peer !== peer) return;
    const { sdp, refused = [] } = answered;
    const sources = new Map(sections(peer).map(({ mid, source }) => [mid, source]));
    const description = { type: 'answer', sdp: withOpusOptions(sdp) } as const;
    await closing.during(connection.setRemoteDescription(description));
    peer.tracks = answered.tracks;
    for (const track of this.unseen.keys()) this.activate(peer, track);
    for (const { mid, code, message } of refused) {
      const source = sources.get(mid);
      if (source === undefined) continue;
      this.options.onRefused?.(
        new ChannelError(REFUSED_CODES.get(source) ?? 'SECTION_REFUSED', `${code}: ${message}`),
      );
    }
    peer.restartIce = false;
    if (peer.transceivers.size > 0) this.watch.handleNegotiated();
  }

  private make(): Peer {
    const connection = this.options.createPeer(this.configuration());
    this.watch.watch(connection);
    return {
      connection,
      closing: new Closing(),
      transceivers: new Map(),
      codecs: new Map(),
      tracks: [],
      restartIce: false,
      replaces: this.replaces,
    };
  }

  /** Sends the encodings of a track that somebody looks at, and no others. */
  private activate(peer: Peer, track: string): void {
    // One after the other: what two changes at once lead to differs between browsers.
    const change = async () => {
      const section = peer.tracks.find((it) => it.track === track);
      const senders = [...peer.transceivers.values()].filter((it) => it.mid === section?.mid);
      const rids = this.unseen.get(track) ?? [];
      for (const { sender } of section === undefined ? [] : senders) {
        const parameters = sender.getParameters();
        const changed = parameters.encodings.filter(
          ({ rid, active }) => active === (rid !== undefined && rids.includes(rid)),
        );
        for (const encoding of changed) encoding.active = !encoding.active;
        if (changed.length > 0) await sender.setParameters(parameters);
      }
    };
    // A browser that does not do it sends on what it sent.
    this.activation = this.activation.then(change).catch(() => undefined);
  }

  private configuration(): RTCConfiguration {
    return { bundlePolicy: 'max-bundle', iceServers: this.iceServers };
  }

  private codec(): VideoCodec {
    return this.options.videoCodec ?? this.preference;
  }

  /** Adds what is wanted and not yet there. */
  private complete(peer: Peer): void {
    const codec = this.codec();
    for (const [source, track] of this.wanted) {
      if (peer.transceivers.has(source)) continue;
      const sendEncodings = encodingsOf(source, codec, pixelsOf(track));
      const transceiver = peer.connection.addTransceiver(track, {
        direction: 'sendonly',
        ...(sendEncodings === undefined ? {} : { sendEncodings }),
      });
      if (track.kind === 'video' && typeof RTCRtpSender !== 'undefined') {
        const formats = RTCRtpSender.getCapabilities('video')?.codecs;
        if (formats !== undefined) transceiver.setCodecPreferences(preferred(formats, codec));
      }
      peer.transceivers.set(source, transceiver);
      if (track.kind === 'video') peer.codecs.set(source, codec);
    }
  }
}

/** Whether the browser can send a codec, as far as it says. */
function canSend(codec: VideoCodec): boolean {
  if (typeof RTCRtpSender === 'undefined') return true;
  const formats = RTCRtpSender.getCapabilities('video')?.codecs;
  return formats?.some((it) => it.mimeType.toLowerCase() === `video/${codec}`) !== false;
}

/** The size of what a track shows, if the browser says so. */
function pixelsOf(track: MediaStreamTrack): number | undefined {
  const { width, height } = track.getSettings();
  return width === undefined || height === undefined ? undefined : width * height;
}

function sections(peer: Peer): SectionSource[] {
  return [...peer.transceivers].flatMap(([source, { mid }]) =>
    mid === null ? [] : [{ mid, source }],
  );
}

async function rollBack(connection: RTCPeerConnection): Promise<void> {
  try {
    if (connection.signalingState === 'have-local-offer') {
      await connection.setLocalDescription({ type: 'rollback' });
    }
  } catch {
    // A closed connection has nothing to roll back.
  }
}

/** Whether the request may be repeated on the next connection. */
export function isLoss(error: ChannelError): boolean {
  return ['NOT_CONNECTED', 'CONNECTION_LOST', 'TIMED_OUT'].includes(error.code);
}
