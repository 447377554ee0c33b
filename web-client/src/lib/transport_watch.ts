/** A path may be gone for a moment when a phone changes cells. */
const DISCONNECTED_MS = 3_000;
/** From the end of a negotiation to a working transport. */
const CONNECT_WITHIN_MS = 6_000;
/** After everything was tried, one try in this time. */
const LAST_RESORT_EVERY_MS = 30_000;

/** What can be done for a transport that does not work, mildest first. */
export interface Remedies {
  /** New ICE credentials on the same association. */
  restartIce(): void;
  /** A new peer connection. */
  renew(): void;
  /** A new connection to the room. */
  rejoin(): void;
}

/**
 * Watches one peer connection at a time and applies ever stronger remedies
 * until it works. A working transport starts again with the mildest.
 */
export class TransportWatch {
  private peer: RTCPeerConnection | null = null;
  private worked = false;
  private level = 0;
  private rejoined = false;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly remedies: Remedies) {}

  /** From now on, this connection is the one that matters. */
  watch(peer: RTCPeerConnection): void {
    this.stop();
    this.peer = peer;
    this.worked = false;
    peer.onconnectionstatechange = () => {
      if (this.peer === peer) this.handleState(peer.connectionState);
    };
  }

  /** Descriptions were exchanged: the transport must work soon. */
  handleNegotiated(): void {
    if (this.peer?.connectionState !== 'connected') this.wait(CONNECT_WITHIN_MS);
  }

  /** Watches nothing any more. */
  stop(): void {
    clearTimeout(this.timer);
    if (this.peer !== null) this.peer.onconnectionstatechange = null;
    this.peer = null;
  }

  private handleState(state: RTCPeerConnectionState): void {
    if (state === 'connected') {
      clearTimeout(this.timer);
      this.worked = true;
      this.level = 0;
      this.rejoined = false;
    } else if (state === 'failed') {
      this.escalate();
    } else if (state === 'disconnected') {
      this.wait(DISCONNECTED_MS);
    }
  }

  private wait(ms: number): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.escalate(), ms);
  }

  private escalate(): void {
    clearTimeout(this.timer);
    const level = this.worked ? this.level : Math.max(1, this.level);
    this.level = level + 1;
    if (level === 0) {
      this.remedies.restartIce();
      this.wait(CONNECT_WITHIN_MS);
    } else if (level === 1) {
      this.remedies.renew();
      this.wait(CONNECT_WITHIN_MS);
    } else if (!this.rejoined) {
      this.rejoined = true;
      this.level = 1;
      this.remedies.rejoin();
      this.wait(LAST_RESORT_EVERY_MS);
    } else {
      // The network lets no media through: keep the room, go on trying.
      this.remedies.renew();
      this.wait(LAST_RESORT_EVERY_MS);
    }
  }
}
