// A network between browsers and a server that loses a part of the media.
import { createSocket } from 'node:dgram';
import { once } from 'node:events';

/** The first byte of RTP and RTCP (RFC 7983 §7). */
const isMedia = (datagram) => datagram[0] >= 128 && datagram[0] <= 191;

/**
 * Whether the next datagram of media is lost: always the same places, whatever goes another way,
 * so that no run is luckier than another. The generator is Park and Miller's.
 */
function losses(ratio) {
  let state = 1;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647 < ratio;
  };
}

/**
 * Passes datagrams on between clients and a server, all of them in both directions but a part of
 * the media, which it loses. Connectivity checks and handshakes pass, since both are repeated
 * until they do.
 */
export class LossyNetwork {
  #socket = createSocket('udp4');
  /** A socket towards the server for each client, by its address. */
  #clients = new Map();
  /** Port of the server's media. */
  serverPort = null;
  media = 0;
  lost = 0;

  constructor(ratio) {
    this.ratio = ratio;
  }

  /** A network that loses `ratio` of the media. Its `port` is what clients are to be told. */
  static async start(ratio) {
    const network = new LossyNetwork(ratio);
    network.#socket.on('message', (datagram, from) => network.#fromClient(datagram, from));
    network.#socket.bind(0, '127.0.0.1');
    await once(network.#socket, 'listening');
    return network;
  }

  get port() {
    return this.#socket.address().port;
  }

  close() {
    this.#socket.close();
    for (const { socket } of this.#clients.values()) socket.close();
  }

  #fromClient(datagram, from) {
    if (this.serverPort === null) return;
    const name = `${from.address}:${from.port}`;
    let client = this.#clients.get(name);
    if (client === undefined) {
      const [there, back] = [losses(this.ratio), losses(this.ratio)];
      client = { socket: createSocket('udp4'), there };
      client.socket.on('message', (answer) => {
        if (!this.#loses(answer, back)) this.#socket.send(answer, from.port, from.address);
      });
      this.#clients.set(name, client);
    }
    if (this.#loses(datagram, client.there)) return;
    client.socket.send(datagram, this.serverPort, '127.0.0.1');
  }

  #loses(datagram, next) {
    if (!isMedia(datagram)) return false;
    const isLost = next();
    this.media += 1;
    if (isLost) this.lost += 1;
    return isLost;
  }
}
