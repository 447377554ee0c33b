// A network between browsers and a server that loses, delays and holds up what it carries.
import { createSocket } from 'node:dgram';
import { once } from 'node:events';

/** The first byte of RTP and RTCP (RFC 7983 §7). */
const isMedia = (datagram) => datagram[0] >= 128 && datagram[0] <= 191;
/** Whether it is a connectivity check: a binding request of STUN (RFC 8489 §5). */
const isCheck = (datagram) => datagram[0] === 0 && datagram[1] === 1;

/**
 * Numbers from 0 to 1, always the same ones, so that no run is luckier than another. The
 * generator is Park and Miller's.
 */
function numbers(seed) {
  let state = seed;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

/** What waits for longer than this is dropped. */
const QUEUE_MS = 300;

/** Nothing is lost, late or held up. */
const PERFECT = { loss: 0, delayMs: 0, jitterMs: 0, kbps: Infinity, blocked: false };

/** One direction of one client. Datagrams stay in order. */
class Way {
  #chance = numbers(1);
  #jitter = numbers(2);
  /** When the last datagram is through the narrowest place, and when it arrives. */
  #throughMs = 0;
  #arrivesMs = 0;

  /** In how many milliseconds a datagram arrives; `null` if it is lost. */
  carry(bytes, isMediaOfAnyKind, { loss, delayMs, jitterMs, kbps, blocked }) {
    if (blocked) return null;
    // Every datagram of media takes a number, so that the same ones are lost whatever goes between.
    if (isMediaOfAnyKind && this.#chance() < loss) return null;
    const now = performance.now();
    const throughMs = Math.max(now, this.#throughMs) + (bytes * 8) / kbps;
    if (throughMs - now > QUEUE_MS) return null;
    this.#throughMs = throughMs;
    const late = delayMs + (jitterMs === 0 ? 0 : jitterMs * this.#jitter());
    this.#arrivesMs = Math.max(this.#arrivesMs, throughMs + late);
    return this.#arrivesMs - now;
  }
}

/**
 * Passes datagrams on between clients and a server. Of what is lost by chance only media is,
 * since checks and handshakes are repeated until they pass; what is too much or blocked is lost
 * whatever it is.
 */
export class WeakNetwork {
  #socket = createSocket('udp4');
  /** A socket towards the server for each client, by its address. */
  #clients = new Map();
  #closed = false;
  /** Port of the server's media. */
  serverPort = null;
  media = 0;
  lost = 0;
  /** Connectivity checks that clients have sent. */
  checks = 0;

  constructor(conditions, address) {
    this.address = address;
    this.set(conditions);
  }

  /**
   * A network with such `conditions`: `loss` (of media, 0 to 1), `delayMs` and up to `jitterMs` more
   * in each direction, `kbps` in each direction, `blocked`, and `back`, those that differ towards
   * clients. Its `port` is what clients are to be told; it and the server are at `address`.
   */
  static async start(conditions, address = '127.0.0.1') {
    const network = new WeakNetwork(conditions, address);
    network.#socket.on('message', (datagram, from) => network.#fromClient(datagram, from));
    network.#socket.bind(0, address);
    await once(network.#socket, 'listening');
    return network;
  }

  /** Other conditions from now on. */
  set(conditions) {
    this.conditions = { ...PERFECT, ...conditions };
  }

  get port() {
    return this.#socket.address().port;
  }

  /**
   * Every client has another port towards the server from now on, as when a router has forgotten
   * its flow; nothing reaches it by the port that it had.
   */
  changePorts() {
    for (const { socket } of this.#clients.values()) socket.close();
    this.#clients.clear();
  }

  close() {
    this.#closed = true;
    this.#socket.close();
    this.changePorts();
  }

  #fromClient(datagram, from) {
    if (this.serverPort === null) return;
    if (isCheck(datagram)) this.checks += 1;
    const name = `${from.address}:${from.port}`;
    let client = this.#clients.get(name);
    if (client === undefined) {
      const back = new Way();
      client = { socket: createSocket('udp4'), there: new Way() };
      client.socket.on('message', (answer) =>
        this.#carry(answer, back, { ...this.conditions, ...this.conditions.back }, () =>
          this.#socket.send(answer, from.port, from.address),
        ),
      );
      this.#clients.set(name, client);
    }
    const { socket, there } = client;
    this.#carry(datagram, there, this.conditions, () =>
      socket.send(datagram, this.serverPort, this.address),
    );
  }

  #carry(datagram, way, conditions, deliver) {
    const media = isMedia(datagram);
    const inMs = way.carry(datagram.length, media, conditions);
    if (media) this.media += 1;
    if (inMs === null) {
      if (media) this.lost += 1;
    } else if (inMs < 1) {
      deliver();
    } else {
      setTimeout(() => this.#closed || deliver(), inMs);
    }
  }
}

/** For a page: whatever a server offers or answers, its media is reached at this port. */
export const reachedAt = (port) => `{
  const original = RTCPeerConnection.prototype.setRemoteDescription;
  RTCPeerConnection.prototype.setRemoteDescription = function ({ type, sdp }) {
    const candidate = /^(a=candidate:\\S+ \\d+ udp \\d+ \\S+) \\d+ (.*)$/gim;
    return original.call(this, { type, sdp: sdp.replace(candidate, '$1 ${port} $2') });
  };
}`;
