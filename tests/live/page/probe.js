// Runs in every page before its own scripts, and watches from outside: it keeps
// each peer connection and socket the page makes, and what passes over them.
// What is measured is therefore the browser's account, not the client's.
(() => {
  const probe = { peers: [], received: [], sent: [], hasMicrophone: false };
  window.__probe = probe;

  const NativePeer = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends NativePeer {
    constructor(...input) {
      super(...input);
      probe.peers.push(this);
    }
  };

  const NativeSocket = window.WebSocket;
  window.WebSocket = class extends NativeSocket {
    constructor(...input) {
      super(...input);
      this.addEventListener('message', ({ data }) => probe.received.push(JSON.parse(data)));
    }

    send(text) {
      probe.sent.push(JSON.parse(text));
      super.send(text);
    }
  };

  // A weak test machine encodes for everybody at once: the device is a small
  // camera. Voice processing would take a steady tone for noise and remove it.
  const devices = navigator.mediaDevices;
  if (devices !== undefined) {
    const native = devices.getUserMedia.bind(devices);
    const small = (video) => ({
      ...(typeof video === 'object' ? { deviceId: video.deviceId } : {}),
      width: 640,
      height: 360,
      frameRate: 15,
    });
    const plain = (audio) => ({
      ...(typeof audio === 'object' ? { deviceId: audio.deviceId } : {}),
      echoCancellation: false,
      noiseSuppression: false,
      autoGainControl: false,
    });
    devices.getUserMedia = async ({ audio, video }) => {
      const stream = await native({
        audio: audio ? plain(audio) : false,
        video: video ? small(video) : false,
      });
      probe.hasMicrophone ||= stream.getAudioTracks().length > 0;
      return stream;
    };
  }

  /** Events in the order in which they came. */
  probe.events = () =>
    probe.received.filter(({ seq, type }) => seq !== undefined && type !== 'welcome');

  /** Every track told of, by id. */
  const tracks = () => {
    const known = new Map();
    for (const message of probe.received) {
      for (const track of message.type === 'welcome' ? message.tracks : [])
        known.set(track.track, track);
      if (message.type === 'track_published') known.set(message.track, message);
    }
    return known;
  };

  const isOpen = (peer) => peer.connectionState !== 'closed';

  /** What the browser has received, one row for each section in use. */
  probe.inbound = async () => {
    const offer = probe.received.findLast(({ type }) => type === 'offer');
    const known = tracks();
    const rows = [];
    for (const peer of probe.peers) {
      if (!isOpen(peer) || peer.remoteDescription?.type !== 'offer') continue;
      for (const report of (await peer.getStats()).values()) {
        if (report.type !== 'inbound-rtp') continue;
        const id = offer?.tracks.find(({ mid }) => mid === report.mid)?.track;
        const track = known.get(id);
        rows.push({
          track: id,
          user: track?.user_id,
          source: track?.source,
          codec: track?.codec,
          kind: report.kind,
          packets: report.packetsReceived,
          frames: report.framesDecoded ?? 0,
          keyFrames: report.keyFramesDecoded ?? 0,
          width: report.frameWidth ?? 0,
          height: report.frameHeight ?? 0,
          energy: report.totalAudioEnergy ?? 0,
          lost: report.packetsLost,
          freezes: report.freezeCount ?? 0,
          samples: report.totalSamplesReceived ?? 0,
          concealed: report.concealedSamples ?? 0,
        });
      }
    }
    return rows;
  };

  /** What the browser has sent, one row for each encoding. */
  probe.outbound = async () => {
    const rows = [];
    for (const peer of probe.peers) {
      if (!isOpen(peer) || peer.remoteDescription?.type === 'offer') continue;
      const reports = await peer.getStats();
      for (const report of reports.values()) {
        if (report.type !== 'outbound-rtp') continue;
        rows.push({
          kind: report.kind,
          rid: report.rid,
          packets: report.packetsSent,
          frames: report.framesEncoded ?? 0,
          width: report.frameWidth ?? 0,
          codec: reports.get(report.codecId)?.mimeType,
        });
      }
    }
    return rows;
  };

  /** The loudest frequency of somebody's sound as it arrives, in hertz. */
  probe.pitch = async (user) => {
    const offer = probe.received.findLast(({ type }) => type === 'offer');
    const known = tracks();
    const peer = probe.peers.findLast(
      (one) => isOpen(one) && one.remoteDescription?.type === 'offer',
    );
    const section = offer?.tracks.find(({ track }) => {
      const found = known.get(track);
      return found?.user_id === user && found.kind === 'audio';
    });
    const transceiver = peer?.getTransceivers().find(({ mid }) => mid === section?.mid);
    if (transceiver === undefined) return null;
    const context = new AudioContext();
    const analyser = new AnalyserNode(context, { fftSize: 8192 });
    context
      .createMediaStreamSource(new MediaStream([transceiver.receiver.track]))
      .connect(analyser);
    const levels = new Float32Array(analyser.frequencyBinCount);
    try {
      const deadline = performance.now() + 10_000;
      for (;;) {
        await new Promise((resolve) => setTimeout(resolve, 100));
        analyser.getFloatFrequencyData(levels);
        const loudest = levels.reduce((best, level, bin) => (level > levels[best] ? bin : best), 1);
        if (levels[loudest] > -50) return (loudest * context.sampleRate) / analyser.fftSize;
        if (performance.now() > deadline) return null;
      }
    } finally {
      await context.close();
    }
  };
})();
