import type {
  ParticipantView,
  QuorumState,
  RequestView,
  TrackView,
  TurnView,
  Welcome,
} from '../../generated/wire';
import type { SocketLike } from '../moderation_channel';
import type { AccessToken, TokenSource } from '../token_source';

type Sent = Record<string, unknown> & { type: string; id?: number };

/** A socket whose other end is the test. */
export class FakeSocket implements SocketLike {
  onopen: SocketLike['onopen'] = null;
  onmessage: SocketLike['onmessage'] = null;
  onclose: SocketLike['onclose'] = null;
  readonly sent: Sent[] = [];
  closed: number | null = null;
  answersPings = false;

  constructor(
    readonly url: string,
    readonly protocol: string,
  ) {}

  send(data: string): void {
    if (this.closed !== null) throw new Error('sent on a closed socket');
    const message = JSON.parse(data) as Sent;
    this.sent.push(message);
    if (message.type === 'ping' && this.answersPings) {
      queueMicrotask(() => this.says({ type: 'pong', server_time: new Date().toISOString() }));
    }
  }

  close(code = 1000): void {
    this.closed = code;
  }

  /** The server says something. */
  says(message: object): void {
    this.onmessage?.(new MessageEvent('message', { data: JSON.stringify(message) }));
  }

  /** The server, or the network, closes. */
  closes(code: number): void {
    this.closed = code;
    this.onclose?.({ code } as CloseEvent);
  }

  /** What was sent of a type, the last first. */
  last(type: string): Sent | undefined {
    return this.sent.findLast((message) => message.type === type);
  }

  all(type: string): Sent[] {
    return this.sent.filter((message) => message.type === type);
  }

  /** Acknowledges everything sent so far that waits for it. */
  acknowledge(): void {
    for (const { id } of this.sent.splice(0))
      if (id !== undefined) this.says({ type: 'ack', ref: id });
  }
}

/** Tokens that count how often they were renewed. */
export class FakeTokens implements TokenSource {
  renewals = 0;

  current(): Promise<AccessToken> {
    return Promise.resolve({ token: `token-${this.renewals}`, expiresAtMs: Infinity });
  }

  renew(): Promise<AccessToken> {
    this.renewals += 1;
    return this.current();
  }
}

/** A storage in memory. */
export class FakeStorage {
  readonly values = new Map<string, string>();
  getItem(key: string): string | null {
    return this.values.get(key) ?? null;
  }
  setItem(key: string, value: string): void {
    this.values.set(key, value);
  }
  removeItem(key: string): void {
    this.values.delete(key);
  }
}

export const START = '2026-03-01T10:00:00.000Z';

/** A time `ms` after the start. */
export function at(ms: number): string {
  return new Date(Date.parse(START) + ms).toISOString();
}

export function participant(user_id: string, more: Partial<ParticipantView> = {}): ParticipantView {
  return {
    user_id,
    name: user_id.toUpperCase(),
    roles: ['participant'],
    connections: 1,
    audio: false,
    video: false,
    screen: false,
    muted: false,
    pictures_stopped: false,
    may_be_heard: false,
    may_be_seen: false,
    joined_at: START,
    ...more,
  };
}

export function track(id: string, user_id: string, more: Partial<TrackView> = {}): TrackView {
  return {
    track: id,
    user_id,
    kind: 'audio',
    source: 'microphone',
    codec: 'opus',
    layers: 1,
    ...more,
  };
}

export function request(
  request_id: string,
  user_id: string,
  more: Partial<RequestView> = {},
): RequestView {
  return {
    request_id,
    user_id,
    name: user_id.toUpperCase(),
    kind: 'normal',
    stance: null,
    note: null,
    requested_at: START,
    in_hall: false,
    previous_turns: 0,
    ...more,
  };
}

export function turn(turn_id: string, user_id: string, more: Partial<TurnView> = {}): TurnView {
  return {
    turn_id,
    request_id: `request-${turn_id}`,
    user_id,
    name: user_id.toUpperCase(),
    kind: 'normal',
    limit_s: 120,
    used_ms: 0,
    running: true,
    in_hall: false,
    ...more,
  };
}

/** A quorum by weight that is not reached. */
export function quorum(more: Partial<QuorumState> = {}): QuorumState {
  return {
    call: 'first',
    heads_present: 81,
    heads_total: 200,
    weight_present: '40.5',
    weight_total: '100',
    heads_needed: null,
    weight_needed: '1/2',
    comparison: 'more_than',
    reached: false,
    since: null,
    roll_known: true,
    turned: false,
    ...more,
  };
}

/** A moderated room with Ana (me), Ben and the chair. */
export function welcome(more: Partial<Welcome> = {}): Welcome & { type: 'welcome' } {
  return {
    type: 'welcome',
    you: {
      user_id: 'ana',
      name: 'ANA',
      roles: ['participant'],
      connection_id: 'c1',
      muted: false,
      pictures_stopped: false,
      may_be_heard: false,
      may_be_seen: false,
    },
    session: {
      id: 's1',
      title: 'Assembly',
      modality: 'mixed',
      provider: 'webrtc',
      meeting_url: null,
      recording: false,
      live_viewing: false,
      started_at: START,
    },
    participants: [
      participant('ana'),
      participant('ben'),
      participant('chair', { roles: ['moderator'], may_be_heard: true }),
    ],
    tracks: [],
    votes: [],
    chair: { user_id: 'chair', name: 'CHAIR' },
    floor: {
      moderation: 'moderated',
      open: true,
      requested: [],
      queue: [],
      turn: null,
      interrupted: [],
      default_turn_s: 120,
      max_turn_s: 600,
      auto_start: false,
      points_of_order_pass_closed_list: true,
      media_policy: 'floor',
    },
    quorum: null,
    transcription: { state: 'off', language: null, languages: [] },
    recording: { state: 'stopped', enabled: false, retention_days: 30, acknowledged: false },
    evidence: null,
    ice_servers: [],
    resume_token: 'resume-1',
    server_time: START,
    seq: 10,
    resumed: false,
    ...more,
  };
}

/** A media track that only knows whether it was stopped. */
export class FakeTrack extends EventTarget {
  enabled = true;
  stopped = false;
  onended: (() => void) | null = null;
  constructor(readonly kind: 'audio' | 'video') {
    super();
  }
  stop(): void {
    this.stopped = true;
  }
  getSettings(): MediaTrackSettings {
    return {};
  }
}

interface FakeTransceiver {
  mid: string | null;
  direction: string;
  stop(): void;
  sender: {
    track: FakeTrack | null;
    replaceTrack(track: FakeTrack | null): Promise<void>;
    getParameters(): { encodings: { rid?: string; active: boolean }[] };
    setParameters(parameters: { encodings: { rid?: string; active: boolean }[] }): Promise<void>;
  };
  receiver: { track: FakeTrack };
  sendEncodings: readonly { rid?: string }[] | undefined;
}

/** A peer connection that speaks descriptions of one word. */
export class FakePeer {
  static made: FakePeer[] = [];
  /** What it answers to offers. */
  static answer = 'answer';
  connectionState = 'new';
  signalingState = 'stable';
  onconnectionstatechange: (() => void) | null = null;
  localDescription: { type: string; sdp: string } | null = null;
  remoteSdp: string | null = null;
  closed = false;
  iceRestarts = 0;
  rollbacks = 0;
  readonly transceivers: FakeTransceiver[] = [];

  constructor(public configuration: RTCConfiguration) {
    FakePeer.made.push(this);
  }

  static create(configuration: RTCConfiguration): RTCPeerConnection {
    return new FakePeer(configuration) as unknown as RTCPeerConnection;
  }

  setConfiguration(configuration: RTCConfiguration): void {
    if (this.closed) throw new DOMException('closed', 'InvalidStateError');
    this.configuration = configuration;
  }

  addTransceiver(
    track: FakeTrack,
    init: { direction: string; sendEncodings?: readonly { rid?: string }[] },
  ): FakeTransceiver {
    const transceiver = makeTransceiver(init.direction, track, init.sendEncodings);
    this.transceivers.push(transceiver);
    return transceiver;
  }

  getTransceivers(): FakeTransceiver[] {
    return this.transceivers;
  }

  createOffer(options: { iceRestart: boolean }): Promise<{ type: string; sdp: string }> {
    if (options.iceRestart) this.iceRestarts += 1;
    return this.whileOpen({ type: 'offer', sdp: `offer-${this.transceivers.length}` });
  }

  setLocalDescription(description?: { type: string; sdp?: string }): Promise<void> {
    if (description?.type === 'rollback') {
      this.rollbacks += 1;
      this.signalingState = 'stable';
      return this.whileOpen(undefined);
    }
    for (const [index, transceiver] of this.transceivers.entries())
      transceiver.mid ??= String(index);
    const type = description?.type ?? 'answer';
    this.localDescription = { type, sdp: description?.sdp ?? FakePeer.answer };
    this.signalingState = type === 'offer' ? 'have-local-offer' : 'stable';
    return this.whileOpen(undefined);
  }

  /** An offer's text lists the mids it has, separated by spaces. */
  setRemoteDescription(description: { type: string; sdp: string }): Promise<void> {
    this.remoteSdp = description.sdp;
    if (description.type === 'offer') {
      for (const mid of (description.sdp.split('\n')[0] ?? '').split(' ')) {
        if (this.transceivers.some((one) => one.mid === mid)) continue;
        const transceiver = makeTransceiver('recvonly', null, undefined);
        transceiver.mid = mid;
        this.transceivers.push(transceiver);
      }
    } else {
      this.signalingState = 'stable';
    }
    return this.whileOpen(undefined);
  }

  /** As browsers do it: what is under way when the connection closes never ends. */
  private whileOpen<T>(value: T): Promise<T> {
    return new Promise((resolve) => {
      queueMicrotask(() => {
        if (!this.closed) resolve(value);
      });
    });
  }

  becomes(state: string): void {
    this.connectionState = state;
    this.onconnectionstatechange?.();
  }

  close(): void {
    this.closed = true;
  }

  getStats() {
    return Promise.resolve(new Map<string, unknown>());
  }
}

function makeTransceiver(
  direction: string,
  sent: FakeTrack | null,
  sendEncodings: readonly { rid?: string }[] | undefined,
): FakeTransceiver {
  let encodings = (sendEncodings ?? []).map(({ rid }) => ({
    ...(rid === undefined ? {} : { rid }),
    active: true,
  }));
  const sender = {
    track: sent,
    getParameters: () => structuredClone({ encodings }),
    setParameters(parameters: { encodings: typeof encodings }) {
      encodings = parameters.encodings;
      return Promise.resolve();
    },
    replaceTrack(track: FakeTrack | null) {
      sender.track = track;
      return Promise.resolve();
    },
  };
  const transceiver: FakeTransceiver = {
    mid: null,
    direction,
    sender,
    receiver: { track: new FakeTrack('audio') },
    sendEncodings,
    stop() {
      transceiver.direction = 'stopped';
    },
  };
  return transceiver;
}
