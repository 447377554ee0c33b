// A second client of the channel, written from docs/MODERATION.md alone and
// sharing nothing with the web client: it does what a page script may do,
// friendly or not.
(() => {
  const text = new TextEncoder();
  const base64url = (bytes) =>
    btoa(String.fromCharCode(...new Uint8Array(bytes)))
      .replaceAll('+', '-')
      .replaceAll('/', '_')
      .replaceAll('=', '');
  const part = (value) => base64url(text.encode(JSON.stringify(value)));
  const sha256 = async (value) =>
    base64url(await crypto.subtle.digest('SHA-256', text.encode(value)));

  const CURVE = { name: 'ECDSA', namedCurve: 'P-256' };

  class RawClient {
    constructor(identity) {
      this.identity = identity;
      this.waiting = new Map();
      this.waiters = [];
      this.messages = [];
      this.lastId = 0;
      this.tracks = new Map();
      /** What each section of the server's last offer carries. */
      this.sections = [];
      this.subscribing = null;
      this.publishing = null;
      this.iceServers = [];
      this.offers = Promise.resolve();
    }

    async connect() {
      const { session, tenant, user, name = user, roles = ['participant'] } = this.identity;
      const pair = await crypto.subtle.generateKey(CURVE, false, ['sign', 'verify']);
      const { crv, kty, x, y } = await crypto.subtle.exportKey('jwk', pair.publicKey);
      const response = await fetch('/dev/token', {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({
          tenant_id: tenant,
          user_id: user,
          name,
          roles,
          jkt: await sha256(JSON.stringify({ crv, kty, x, y })),
        }),
      });
      const { access_token: token } = await response.json();
      const url = `${location.origin.replace('http', 'ws')}/moderation?session_id=${session}`;
      this.socket = new WebSocket(url, 'cabildo.v1');
      const hello = this.next(({ type }) => type === 'hello');
      this.socket.addEventListener('message', ({ data }) => this.handle(JSON.parse(data)));
      this.closed = new Promise((resolve) => {
        this.socket.addEventListener('close', ({ code }) => resolve(code));
      });
      const { nonce } = await hello;
      const header = { typ: 'dpop+jwt', alg: 'ES256', jwk: { crv, kty, x, y } };
      const claims = {
        htm: 'GET',
        htu: `${location.origin}/moderation`,
        iat: Math.floor(Date.now() / 1000),
        jti: crypto.randomUUID(),
        ath: await sha256(token),
        nonce,
      };
      const input = `${part(header)}.${part(claims)}`;
      const signature = await crypto.subtle.sign(
        { name: 'ECDSA', hash: 'SHA-256' },
        pair.privateKey,
        text.encode(input),
      );
      const welcome = this.next(({ type }) => type === 'welcome');
      this.send({ type: 'authenticate', token, dpop: `${input}.${base64url(signature)}` });
      return welcome;
    }

    send(message) {
      this.socket.send(JSON.stringify(message));
    }

    /** Sends a request; answers its `ack`, or its `error`. */
    request(message) {
      const id = (this.lastId += 1);
      const answer = new Promise((resolve) => this.waiting.set(id, resolve));
      this.send({ ...message, id });
      return answer;
    }

    /** The next message that `wanted` is true of. */
    next(wanted) {
      return new Promise((resolve) => this.waiters.push({ wanted, resolve }));
    }

    /** A message that came already, or the next one. */
    seen(wanted) {
      const found = this.messages.find(wanted);
      return found === undefined ? this.next(wanted) : Promise.resolve(found);
    }

    handle(message) {
      this.messages.push(message);
      if (message.type === 'welcome') this.iceServers = message.ice_servers;
      for (const track of message.type === 'welcome' ? message.tracks : []) {
        this.tracks.set(track.track, track);
      }
      if (message.type === 'track_published') this.tracks.set(message.track, message);
      if (message.type === 'track_unpublished') this.tracks.delete(message.track);
      if (message.type === 'offer') this.offers = this.offers.then(() => this.answer(message));
      if (message.type === 'answer') this.answerSdp = message.sdp;
      if (message.type === 'ack' || message.type === 'error') {
        this.waiting.get(message.ref)?.(message);
        this.waiting.delete(message.ref);
      }
      this.waiters = this.waiters.filter(({ wanted, resolve }) => {
        if (!wanted(message)) return true;
        resolve(message);
        return false;
      });
    }

    configuration() {
      return { bundlePolicy: 'max-bundle', iceServers: this.iceServers };
    }

    /** Takes the server's offer; sound and pictures play, so that they are decoded. */
    async answer({ sdp, tracks }) {
      if (this.subscribing === null) {
        this.subscribing = new RTCPeerConnection(this.configuration());
        this.subscribing.addEventListener('track', ({ track }) => {
          const element = document.createElement(track.kind);
          element.autoplay = true;
          element.playsInline = true;
          element.srcObject = new MediaStream([track]);
          document.body.append(element);
        });
      }
      this.sections = tracks;
      await this.subscribing.setRemoteDescription({ type: 'offer', sdp });
      await this.subscribing.setLocalDescription();
      await this.request({
        type: 'answer',
        transport: 'subscribe',
        sdp: this.subscribing.localDescription.sdp,
      });
    }

    subscribe(track, wanted = {}) {
      return this.request({ type: 'subscribe', track, ...wanted });
    }

    /**
     * Publishes the fake devices. `codec` is the one video format offered;
     * `layers` is how many encodings, each twice the size of the one before.
     */
    async publish({ audio = true, video = true, codec = 'VP8', layers = 1 } = {}) {
      const stream = await navigator.mediaDevices.getUserMedia({ audio, video });
      const peer = new RTCPeerConnection(this.configuration());
      this.publishing = peer;
      for (const track of stream.getTracks()) {
        const init = { direction: 'sendonly', streams: [stream] };
        if (track.kind === 'video' && layers > 1) {
          // Left alone, browsers send VP9 and AV1 as one layered stream.
          const mode = codec === 'VP9' || codec === 'AV1' ? { scalabilityMode: 'L1T1' } : {};
          init.sendEncodings = Array.from({ length: layers }, (_, index) => ({
            rid: `layer${index}`,
            scaleResolutionDownBy: 2 ** (layers - 1 - index),
            ...mode,
          }));
        }
        const transceiver = peer.addTransceiver(track, init);
        if (track.kind === 'video') {
          const formats = RTCRtpSender.getCapabilities('video').codecs;
          const isWanted = ({ mimeType }) => mimeType.toUpperCase() === `VIDEO/${codec}`;
          transceiver.setCodecPreferences([
            ...formats.filter(isWanted),
            ...formats.filter(({ mimeType }) => mimeType.toUpperCase() === 'VIDEO/RTX'),
          ]);
        }
      }
      await peer.setLocalDescription();
      const done = await this.request({
        type: 'offer',
        transport: 'publish',
        sdp: peer.localDescription.sdp,
      });
      if (done.type === 'error') return done;
      await peer.setRemoteDescription({ type: 'answer', sdp: this.answerSdp });
      return done;
    }

    /** Sends all encodings of its picture but these, as `layers_unseen` suggests. */
    async leaveOut(rids) {
      const senders = this.publishing.getSenders();
      const sender = senders.find(({ track }) => track?.kind === 'video');
      const parameters = sender.getParameters();
      for (const encoding of parameters.encodings) {
        encoding.active = !rids.includes(encoding.rid);
      }
      await sender.setParameters(parameters);
    }

    /** Restarts ICE of what it sends; its keys and sections stay. */
    async restartPublishing() {
      const peer = this.publishing;
      peer.restartIce();
      await peer.setLocalDescription();
      const sdp = peer.localDescription.sdp;
      const done = await this.request({ type: 'offer', transport: 'publish', sdp });
      await peer.setRemoteDescription({ type: 'answer', sdp: this.answerSdp });
      return done;
    }

    /** Has the server offer an ICE restart of what it receives. */
    restartSubscribing() {
      return this.request({ type: 'restart_ice', transport: 'subscribe' });
    }

    leave() {
      this.publishing?.close();
      this.subscribing?.close();
      this.socket.close(1000);
      return this.closed;
    }
  }

  window.RawClient = RawClient;
})();
