// A network between browsers and a server that loses a part of the media.
import { createSocket } from 'node:dgram';
import { once } from 'node:events';

/** The first byte of RTP and RTCP (RFC 7983 §7). */
const isMedia = (datagram) => datagram[0] >= 128 && datagram[0] <= 191;

/**
 * Passes datagrams on between clients and a server, all of them in both directions but a part of
 * the media, which it loses: always the same places, so that no run is luckier than another.
 * Connectivity checks and handshakes pass, since both are repeated until they do.
 */
export class LossyNetwork {
  #socket = createSocket('udp4');
  /** A socket towards the server for each client, by its address. */
  #clients = new Map();
  #random = 1;
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
    for (const client of this.#clients.values()) client.close();
  }

  #fromClient(datagram, from) {
    if (this.serverPort === null || this.#loses(datagram)) return;
    const name = `${from.address}:${from.port}`;
    let client = this.#clients.get(name);
    if (client === undefined) {
      client = createSocket('udp4');
      client.on('message', (answer) => {
        if (!this.#loses(answer)) this.#socket.send(answer, from.port, from.address);
      });
      this.#clients.set(name, client);
    }
    client.send(datagram, this.serverPort, '127.0.0.1');
  }

  #loses(datagram) {
    if (!isMedia(datagram)) return false;
    this.#random = (this.#random * 1_103_515_245 + 12_345) % 2_147_483_648;
    const isLost = this.#random / 2_147_483_648 < this.ratio;
    this.media += 1;
    if (isLost) this.lost += 1;
    return isLost;
  }
}
