import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { encodingsOf, layerFor, preferred } from './encodings';
import type { RoomSnapshot } from './room_client';
import { RoomClient } from './room_client';
import { QualityMeter, judge, sameJudgement } from './quality';
import { withOpusOptions } from './sdp';
import {
  FakePeer,
  FakeSocket,
  FakeStorage,
  FakeTokens,
  FakeTrack,
  START,
  at,
  participant,
  track,
  welcome,
} from './testing/fakes';

beforeEach(() => {
  FakePeer.made = [];
  FakePeer.answer = 'answer';
  vi.useFakeTimers({ now: Date.parse(START) });
});
afterEach(() => vi.useRealTimers());

const settle = () => vi.advanceTimersByTimeAsync(0);
const mediaTrack = (kind: 'audio' | 'video') => new FakeTrack(kind) as unknown as MediaStreamTrack;

function setUp() {
  const sockets: FakeSocket[] = [];
  const refused: string[] = [];
  const storage = new FakeStorage();
  const create = () =>
    new RoomClient({
      sessionId: 's1',
      key: { proof: () => Promise.resolve('proof') },
      tokens: new FakeTokens(),
      origin: 'https://h.example',
      storage,
      wakeUps: null,
      createPeer: (configuration) => FakePeer.create(configuration),
      onRefused: ({ code }) => refused.push(code),
      createSocket: (url, protocol) => {
        const socket = new FakeSocket(url, protocol);
        socket.answersPings = true;
        sockets.push(socket);
        return socket;
      },
    });
  const socket = () => sockets.at(-1) ?? new FakeSocket('', '');
  const enter = async (more = {}) => {
    await settle();
    socket().says({
      type: 'hello',
      nonce: 'n',
      version: 'cabildo.v1',
      server_time: new Date().toISOString(),
    });
    await settle();
    socket().says(welcome(more));
    await settle();
  };
  /** The server answers the last offer, then acknowledges it. */
  const answer = async (sdp = 'v=0\r\n', tracks: { mid: string; track: string }[] = []) => {
    const offer = socket().last('offer');
    socket().says({ type: 'answer', ref: offer?.id, transport: 'publish', sdp, tracks });
    socket().says({ type: 'ack', ref: offer?.id });
    await settle();
  };
  /** The server offers these sections of a transport with this `o=` session id. */
  const offers = async (tracks: { mid: string; track: string }[], origin = '1') => {
    const sdp = `${tracks.map(({ mid }) => mid).join(' ')}\no=- ${origin} 1 IN IP4 0.0.0.0`;
    socket().says({ type: 'offer', transport: 'subscribe', sdp, tracks });
    await settle();
  };
  return { room: create(), create, socket, sockets, enter, answer, offers, refused };
}

const published = (id: string, user: string, more = {}) => track(id, user, more);
const picture = { kind: 'video', source: 'camera', codec: 'vp8', layers: 3 };

describe('publishing', () => {
  it('offers what is to be sent, names its sections and takes the answer', async () => {
    const { room, socket, enter, answer } = setUp();
    room.media?.setTrack('microphone', mediaTrack('audio'));
    room.media?.setTrack('camera', mediaTrack('video'));
    room.join();
    await enter();
    expect(socket().last('offer')).toMatchObject({
      transport: 'publish',
      tracks: [
        { mid: '0', source: 'microphone' },
        { mid: '1', source: 'camera' },
      ],
    });
    const peer = FakePeer.made[0];
    expect(peer?.transceivers[1]?.sendEncodings?.map(({ rid }) => rid)).toEqual(['q', 'h', 'f']);
    await answer('a=rtpmap:111 opus/48000/2\r\n');
    expect(peer?.remoteSdp).toContain('usedtx=1');
  });

  it('tells of what the server refuses beside what it takes', async () => {
    const { room, socket, enter, refused } = setUp();
    room.media?.setTrack('microphone', mediaTrack('audio'));
    room.media?.setTrack('camera', mediaTrack('video'));
    room.join();
    await enter();
    const offer = socket().last('offer');
    const message = 'it names no codec that is forwarded here';
    socket().says({
      type: 'answer',
      ref: offer?.id,
      transport: 'publish',
      sdp: 'v=0\r\n',
      tracks: [{ mid: '0', track: 't1' }],
      refused: [
        { mid: '1', media: 'video', code: 'CODEC_UNSUPPORTED', message },
        { mid: 'unknown', media: 'video', code: 'CODEC_UNSUPPORTED', message },
      ],
    });
    socket().says({ type: 'ack', ref: offer?.id });
    await settle();
    expect(refused).toEqual(['CAMERA_REFUSED']);
    expect(room.media?.trackOf('microphone')).not.toBeNull();
  });

  it('takes relay servers from the welcome, and their new credentials afterwards', async () => {
    const { room, socket, enter, answer, offers } = setUp();
    const server = (credential: string) => ({ urls: ['turn:h'], username: 'u', credential });
    room.media?.setTrack('microphone', mediaTrack('audio'));
    room.join();
    await enter({ ice_servers: [server('old')] });
    await answer();
    await offers([{ mid: '0', track: 't1' }]);
    const servers = () => FakePeer.made.map(({ configuration }) => configuration.iceServers);
    expect(servers()).toEqual([[server('old')], [server('old')]]);
    const ice_servers = [server('new')];
    const expires_at = new Date().toISOString();
    socket().says({ type: 'token_renewed', expires_at, resume_token: 'r', ice_servers });
    expect(servers()).toEqual([ice_servers, ice_servers]);
    expect(FakePeer.made[0]?.configuration.bundlePolicy).toBe('max-bundle');
  });

  it('keeps the section of a microphone that was unplugged for the next one', async () => {
    const { room, socket, enter, answer } = setUp();
    const microphone = new FakeTrack('audio');
    room.media?.setMicrophoneOn(true);
    room.media?.setTrack('microphone', microphone as unknown as MediaStreamTrack);
    room.join();
    await enter();
    await answer();
    microphone.onended?.();
    await settle();
    expect(room.media?.microphone).toMatchObject({ present: false, on: true, unplugged: true });
    const section = FakePeer.made[0]?.transceivers[0];
    expect([section?.direction, section?.sender.track]).toEqual(['sendonly', null]);
    const other = mediaTrack('audio');
    room.media?.setTrack('microphone', other);
    await settle();
    expect(section?.sender.track).toBe(other);
    expect(other.enabled).toBe(true);
    expect(room.media?.microphone).toMatchObject({ present: true, unplugged: false });
    expect(socket().all('offer')).toHaveLength(1);
  });

  it('takes another peer connection after its last section, and waits for none', async () => {
    const { room, sockets, enter, answer } = setUp();
    room.media?.setTrack('camera', mediaTrack('video'));
    room.join();
    await enter();
    await answer();
    FakePeer.made[0]?.becomes('connected');
    room.media?.setTrack('camera', null);
    await settle();
    FakePeer.made[0]?.becomes('new');
    await answer();
    await vi.advanceTimersByTimeAsync(60_000);
    expect([sockets.length, FakePeer.made.length]).toEqual([1, 1]);
    room.media?.setTrack('camera', mediaTrack('video'));
    await settle();
    expect(FakePeer.made).toHaveLength(2);
  });

  it('adds and takes away by renegotiation, one at a time, with a new section each time', async () => {
    const { room, socket, enter, answer } = setUp();
    room.media?.setTrack('microphone', mediaTrack('audio'));
    room.join();
    await enter();
    room.media?.setTrack('camera', mediaTrack('video'));
    await settle();
    expect(socket().all('offer')).toHaveLength(1);
    await answer();
    expect(socket().all('offer')).toHaveLength(2);
    await answer();
    room.media?.setTrack('camera', null);
    await settle();
    await answer();
    expect(FakePeer.made[0]?.transceivers[1]?.direction).toBe('stopped');
    expect(socket().last('offer')?.tracks).toEqual([{ mid: '0', source: 'microphone' }]);
    room.media?.setTrack('camera', mediaTrack('video'));
    await settle();
    expect(FakePeer.made).toHaveLength(1);
    expect(socket().last('offer')?.tracks).toEqual([
      { mid: '0', source: 'microphone' },
      { mid: '2', source: 'camera' },
    ]);
    expect(socket().all('offer')).toHaveLength(4);
  });

  it('publishes pictures anew in H.264 once the session is watched, and the sound goes on', async () => {
    const { room, socket, enter, answer } = setUp();
    const [microphone, camera, screen] = ['audio', 'video', 'video'] as const;
    room.media?.setTrack('microphone', mediaTrack(microphone));
    room.media?.setTrack('camera', mediaTrack(camera));
    room.join();
    await enter();
    await answer();
    const changed = (seq: number, live_viewing: boolean) =>
      socket().says({ type: 'live_viewing_changed', seq, at: START, live_viewing });
    changed(11, true);
    await settle();
    const peer = FakePeer.made[0];
    expect(peer?.transceivers.map(({ direction }) => direction)).toEqual([
      'sendonly',
      'stopped',
      'sendonly',
    ]);
    expect(socket().last('offer')?.tracks).toEqual([
      { mid: '0', source: 'microphone' },
      { mid: '2', source: 'camera' },
    ]);
    await answer();
    expect(room.snapshot.state?.session.live_viewing).toBe(true);
    // What is H.264 stays, also when viewers may not look any more and then may again.
    changed(12, false);
    await settle();
    room.media?.setTrack('screen', mediaTrack(screen));
    await settle();
    await answer();
    const offers = socket().all('offer').length;
    changed(13, true);
    await settle();
    await answer();
    expect(socket().all('offer')).toHaveLength(offers + 1);
    expect(peer?.transceivers.map(({ direction }) => direction)).toEqual([
      'sendonly',
      'stopped',
      'sendonly',
      'stopped',
      'sendonly',
    ]);
    expect(FakePeer.made).toHaveLength(1);
  });

  it('takes another peer connection when all that is published is published anew', async () => {
    const { room, socket, enter, answer } = setUp();
    room.media?.setTrack('camera', mediaTrack('video'));
    room.join();
    await enter();
    await answer();
    socket().says({ type: 'live_viewing_changed', seq: 11, at: START, live_viewing: true });
    await settle();
    expect(FakePeer.made.map(({ closed }) => closed)).toEqual([true, false]);
    expect(socket().last('offer')?.tracks).toEqual([{ mid: '0', source: 'camera' }]);
  });

  it('changes the device without a word to the server', async () => {
    const { room, socket, enter, answer } = setUp();
    room.media?.setTrack('microphone', mediaTrack('audio'));
    room.join();
    await enter();
    await answer();
    const other = mediaTrack('audio');
    room.media?.setTrack('microphone', other);
    await settle();
    expect(socket().all('offer')).toHaveLength(1);
    expect(FakePeer.made[0]?.transceivers[0]?.sender.track).toBe(other);
  });

  it('rolls back what was refused and says why', async () => {
    const { room, socket, enter, refused } = setUp();
    room.media?.setTrack('screen', mediaTrack('video'));
    room.join();
    await enter();
    const ref = socket().last('offer')?.id;
    socket().says({ type: 'error', ref, code: 'TRACK_LIMIT_REACHED', message: '' });
    await settle();
    expect(refused).toEqual(['TRACK_LIMIT_REACHED']);
    expect(FakePeer.made[0]?.rollbacks).toBe(1);
  });

  it('tells the server what is sent, and not that nothing is', async () => {
    const { room, socket, enter } = setUp();
    room.join();
    await enter();
    expect(socket().all('set_media')).toHaveLength(0);
    const microphone = mediaTrack('audio');
    room.media?.setTrack('microphone', microphone);
    expect(microphone.enabled).toBe(false);
    room.media?.setMicrophoneOn(true);
    expect(microphone.enabled).toBe(true);
    expect(socket().all('set_media')).toHaveLength(1);
    expect(socket().last('set_media')).toMatchObject({ audio: true, video: false, screen: false });
  });
});

describe('subscribing', () => {
  const tracks = [
    published('m-ana', 'ana'),
    published('m-ben', 'ben'),
    published('v-ben', 'ben', picture),
    published('v-chair', 'chair', picture),
  ];

  it('wants all sound but the own, and pictures only when they are in view', async () => {
    const { room, socket, enter } = setUp();
    room.join();
    await enter({ tracks });
    expect(socket().all('subscribe')).toMatchObject([{ track: 'm-ben', paused: false }]);
    room.media?.setView('v-ben', { visible: true, height: 200 });
    room.media?.setView('v-chair', { visible: false, height: 720 });
    expect(socket().all('subscribe')).toHaveLength(2);
    expect(socket().last('subscribe')).toMatchObject({ track: 'v-ben', max_layer: 0 });
    room.media?.setView('v-ben', { visible: true, height: 900 });
    expect(socket().last('subscribe')).toMatchObject({ track: 'v-ben', max_layer: 2 });
    room.media?.setView('v-ben', { visible: false, height: 900 });
    expect(socket().last('subscribe')).toMatchObject({ track: 'v-ben', paused: true });
    room.media?.setView('v-ben', null);
    expect(socket().last('unsubscribe')).toMatchObject({ track: 'v-ben' });
  });

  it('answers offers and knows whose media each section is', async () => {
    const { room, socket, enter, offers } = setUp();
    room.join();
    await enter({ tracks });
    await offers([
      { mid: 'a', track: 'm-ben' },
      { mid: 'b', track: 'v-ben' },
    ]);
    expect(socket().last('answer')).toMatchObject({ transport: 'subscribe', sdp: 'answer' });
    const of = (snapshot: RoomSnapshot) => [...snapshot.media.keys()];
    expect(of(room.snapshot)).toEqual(['m-ben', 'v-ben']);
    const section = room.snapshot.media.get('v-ben');
    await offers([
      { mid: 'a', track: 'm-ben' },
      { mid: 'b', track: 'v-chair' },
    ]);
    expect(of(room.snapshot)).toEqual(['m-ben', 'v-chair']);
    expect(room.snapshot.media.get('v-chair')).toBe(section);
  });

  it('tells which pictures this browser can not decode, until it is offered none of them', async () => {
    const { room, enter, offers } = setUp();
    room.join();
    await enter({ tracks });
    FakePeer.answer =
      'v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\nm=video 0 UDP/TLS/RTP/SAVPF 108\r\na=mid:1\r\na=inactive\r\n';
    await offers([
      { mid: '0', track: 'm-ben' },
      { mid: '1', track: 'v-ben' },
    ]);
    expect([...room.snapshot.undecodable]).toEqual(['v-ben']);
    expect([...room.snapshot.media.keys()]).toEqual(['m-ben']);
    FakePeer.answer = 'v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n';
    await offers([{ mid: '0', track: 'm-ben' }]);
    expect(room.snapshot.undecodable.size).toBe(0);
  });

  it('does not ask again for what was refused until it is wanted differently', async () => {
    const { room, socket, enter } = setUp();
    room.join();
    await enter({ tracks });
    socket().says({
      type: 'error',
      ref: socket().last('subscribe')?.id,
      code: 'TRACK_LIMIT_REACHED',
      message: '',
    });
    await settle();
    socket().says({ type: 'participant_joined', seq: 11, at: at(1), ...participant('eva') });
    expect(socket().all('subscribe')).toHaveLength(1);
  });
});

describe('losing and finding again', () => {
  it('keeps peer connections through a resumed socket and makes all anew otherwise', async () => {
    const { room, socket, sockets, enter, answer, offers } = setUp();
    room.media?.setTrack('microphone', mediaTrack('audio'));
    room.join();
    await enter({ tracks: [published('m-ben', 'ben')] });
    await answer();
    await offers([{ mid: 'a', track: 'm-ben' }]);
    for (const peer of FakePeer.made) peer.becomes('connected');
    socket().closes(1006);
    await vi.advanceTimersByTimeAsync(500);
    await enter({ resumed: true, tracks: [published('m-ben', 'ben')] });
    expect(sockets).toHaveLength(2);
    expect(FakePeer.made).toHaveLength(2);
    expect(socket().all('offer')).toHaveLength(0);
    expect(socket().all('restart_ice')).toHaveLength(0);
    expect(room.snapshot.media.size).toBe(1);
    await vi.advanceTimersByTimeAsync(4_000);
    socket().closes(1006);
    await vi.advanceTimersByTimeAsync(500);
    await enter({ resumed: false, tracks: [published('m-ben', 'ben')] });
    expect(FakePeer.made.slice(0, 2).every(({ closed }) => closed)).toBe(true);
    expect(socket().all('offer')).toHaveLength(1);
    expect(socket().all('subscribe')).toHaveLength(1);
    expect(room.snapshot.media.size).toBe(0);
  });

  it('after a reload gives the old transports up and makes all anew', async () => {
    const first = setUp();
    first.room.join();
    await first.enter();
    const again = first.create();
    again.media?.setTrack('microphone', mediaTrack('audio'));
    again.join();
    await first.enter({ resumed: true, tracks: [published('m-ben', 'ben')] });
    expect(first.socket().last('resume')).toMatchObject({ media_lost: true });
    expect(first.socket().all('restart_ice')).toEqual([]);
    expect(first.socket().last('subscribe')).toMatchObject({ track: 'm-ben' });
    expect(first.socket().last('offer')).toMatchObject({ transport: 'publish' });
  });

  it('enters anew when the server keeps the old transports after a reload', async () => {
    const first = setUp();
    first.room.join();
    await first.enter();
    const again = first.create();
    again.media?.setTrack('microphone', mediaTrack('audio'));
    again.join();
    await first.enter({ resumed: true });
    const ref = first.socket().last('offer')?.id;
    first.socket().says({ type: 'error', ref, code: 'SIGNALLING_STATE_CONFLICT', message: '' });
    await vi.advanceTimersByTimeAsync(500);
    await first.enter({ resumed: false });
    expect(first.socket().all('authenticate')).toHaveLength(1);
    expect(first.socket().all('offer')).toHaveLength(1);
    // The same refusal of a new connection is told, not answered by another one.
    const second = first.socket().last('offer')?.id;
    first.socket().says({
      type: 'error',
      ref: second,
      code: 'SIGNALLING_STATE_CONFLICT',
      message: '',
    });
    await vi.advanceTimersByTimeAsync(10);
    expect(first.refused).toEqual(['SIGNALLING_STATE_CONFLICT']);
  });

  it('answers an offer of another transport with another peer connection', async () => {
    const { room, enter, offers } = setUp();
    room.join();
    await enter({ tracks: [published('m-ben', 'ben')] });
    await offers([{ mid: 'a', track: 'm-ben' }], '1');
    await offers([{ mid: 'a', track: 'm-ben' }], '1');
    expect(FakePeer.made).toHaveLength(1);
    await offers([{ mid: 'a', track: 'm-ben' }], '2');
    expect(FakePeer.made.map(({ closed }) => closed)).toEqual([true, false]);
    expect(room.snapshot.media.size).toBe(1);
  });

  it('knows what the network does not carry until it is told otherwise or a connection is new', async () => {
    const { room, socket, enter } = setUp();
    room.join();
    await enter({ tracks: [published('v-ben', 'ben')] });
    socket().says({ type: 'video_paused', tracks: ['v-ben'] });
    expect([...room.snapshot.paused]).toEqual(['v-ben']);
    socket().says({ type: 'video_paused', tracks: [] });
    expect(room.snapshot.paused.size).toBe(0);
    socket().says({ type: 'video_paused', tracks: ['v-ben'] });
    socket().says({ type: 'transport_state', transport: 'subscribe', state: 'lost' });
    expect(room.snapshot.paused.size).toBe(0);
  });

  it('sends only the encodings that somebody looks at', async () => {
    const { room, socket, enter, answer } = setUp();
    room.media?.setTrack('camera', mediaTrack('video'));
    room.join();
    await enter();
    await answer('v=0\r\n', [{ mid: '0', track: 'v-me' }]);
    const active = () => {
      const [camera] = FakePeer.made[0]?.transceivers ?? [];
      return camera?.sender.getParameters().encodings.filter((it) => it.active);
    };
    const is = (...rids: string[]) => rids.map((rid) => ({ rid, active: true }));
    expect(active()).toEqual(is('q', 'h', 'f'));
    socket().says({ type: 'layers_unseen', track: 'v-me', rids: ['f', 'h'] });
    await settle();
    expect(active()).toEqual(is('q'));
    socket().says({ type: 'layers_unseen', track: 'v-other', rids: ['q'] });
    socket().says({ type: 'layers_unseen', track: 'v-me', rids: ['f'] });
    socket().says({ type: 'layers_unseen', track: 'v-me', rids: [] });
    await settle();
    expect(active()).toEqual(is('q', 'h', 'f'));
  });

  it('makes a transport anew that the server gave up', async () => {
    const { room, socket, enter, answer, offers } = setUp();
    room.media?.setTrack('microphone', mediaTrack('audio'));
    room.join();
    await enter({ tracks: [published('m-ben', 'ben')] });
    await answer();
    await offers([{ mid: 'a', track: 'm-ben' }]);
    socket().says({ type: 'transport_state', transport: 'publish', state: 'lost' });
    socket().says({ type: 'transport_state', transport: 'subscribe', state: 'lost' });
    await settle();
    expect(FakePeer.made.slice(0, 2).every(({ closed }) => closed)).toBe(true);
    expect(socket().all('offer')).toHaveLength(2);
    expect(socket().all('subscribe')).toHaveLength(2);
    await offers([{ mid: 'a', track: 'm-ben' }]);
    expect(FakePeer.made).toHaveLength(4);
    expect(room.snapshot.media.size).toBe(1);
  });

  it('tries new credentials, then a new transport, then a new connection', async () => {
    const { room, socket, sockets, enter, answer } = setUp();
    room.media?.setTrack('microphone', mediaTrack('audio'));
    room.join();
    await enter();
    await answer();
    FakePeer.made[0]?.becomes('connected');
    await vi.advanceTimersByTimeAsync(4_000);
    FakePeer.made[0]?.becomes('disconnected');
    await vi.advanceTimersByTimeAsync(3_000);
    expect(FakePeer.made[0]?.iceRestarts).toBe(1);
    await answer();
    await vi.advanceTimersByTimeAsync(6_000);
    expect(FakePeer.made).toHaveLength(2);
    await answer();
    await vi.advanceTimersByTimeAsync(6_600);
    expect(sockets).toHaveLength(2);
    await enter();
    expect(socket().all('authenticate')).toHaveLength(1);
  });

  it('starts over when its transports are given up in the middle of a negotiation', async () => {
    const { room, socket, answer, offers } = setUp();
    room.media?.setTrack('microphone', mediaTrack('audio'));
    room.join();
    await settle();
    socket().says({
      type: 'hello',
      nonce: 'n',
      version: 'cabildo.v1',
      server_time: new Date().toISOString(),
    });
    await settle();
    socket().says(welcome({ tracks: [published('m-ben', 'ben')] }));
    socket().says({ type: 'transport_state', transport: 'publish', state: 'lost' });
    await settle();
    expect(socket().all('offer')).toHaveLength(1);
    await answer();
    socket().says({
      type: 'offer',
      transport: 'subscribe',
      sdp: 'a',
      tracks: [{ mid: 'a', track: 'm-ben' }],
    });
    await Promise.resolve();
    socket().says({ type: 'transport_state', transport: 'subscribe', state: 'lost' });
    await settle();
    expect(socket().all('answer')).toHaveLength(0);
    await offers([{ mid: 'a', track: 'm-ben' }]);
    expect(socket().all('answer')).toHaveLength(1);
    expect(room.snapshot.media.size).toBe(1);
  });

  it('leaves a blip alone', async () => {
    const { room, enter, answer } = setUp();
    room.media?.setTrack('microphone', mediaTrack('audio'));
    room.join();
    await enter();
    await answer();
    const peer = FakePeer.made[0];
    peer?.becomes('connected');
    peer?.becomes('disconnected');
    await vi.advanceTimersByTimeAsync(2_000);
    peer?.becomes('connected');
    await vi.advanceTimersByTimeAsync(20_000);
    expect([FakePeer.made.length, peer?.iceRestarts]).toEqual([1, 0]);
  });

  it('offers again what the lost connection left unanswered', async () => {
    const { room, socket, enter } = setUp();
    room.media?.setTrack('microphone', mediaTrack('audio'));
    room.join();
    await enter();
    socket().closes(1006);
    await settle();
    await enter({ resumed: true });
    expect(FakePeer.made).toHaveLength(1);
    expect(FakePeer.made[0]?.rollbacks).toBe(1);
    expect(socket().all('offer')).toHaveLength(1);
  });
});

describe('the small rules', () => {
  it('asks for error correction and silence suppression in every Opus format, once', () => {
    const sdp =
      'a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;usedtx=0\r\na=rtpmap:0 PCMU/8000\r\n';
    const changed = withOpusOptions(sdp);
    expect(changed).toContain('a=fmtp:111 minptime=10;useinbandfec=1;usedtx=1\r\n');
    expect(withOpusOptions(changed)).toBe(changed);
    expect(withOpusOptions('a=rtpmap:96 opus/48000/2\r\n')).toContain(
      'a=fmtp:96 useinbandfec=1;usedtx=1',
    );
    expect(withOpusOptions('a=rtpmap:0 PCMU/8000\r\n')).toBe('a=rtpmap:0 PCMU/8000\r\n');
  });

  it('sends several encodings, layered codecs as several streams', () => {
    expect(encodingsOf('camera', 'vp8')?.some((one) => 'scalabilityMode' in one)).toBe(false);
    expect(encodingsOf('camera', 'av1')?.every((one) => 'scalabilityMode' in one)).toBe(true);
    expect(encodingsOf('microphone', 'vp8')).toBeUndefined();
  });

  it.each([
    [1280, 720, [4, 2, 1]],
    [960, 540, [4, 2, 1]],
    [640, 480, [2, 1]],
    [640, 360, [2, 1]],
    [320, 240, [1]],
  ])('sends a picture of %i by %i whole, and smaller', (width, height, scales) => {
    const encodings = encodingsOf('camera', 'vp8', width * height);
    expect(encodings?.map((one) => one.scaleResolutionDownBy)).toEqual(scales);
    const formats = ['video/rtx', 'video/H264', 'video/VP8'].map((mimeType) => ({ mimeType }));
    expect(preferred(formats, 'vp8').map(({ mimeType }) => mimeType)).toEqual([
      'video/VP8',
      'video/rtx',
      'video/H264',
    ]);
  });

  it.each([
    [100, 3, 0],
    [400, 3, 1],
    [720, 3, 2],
    [720, 1, 0],
    [0, 3, 0],
  ])('a picture %i high of %i layers needs layer %i', (height, layers, expected) =>
    expect(layerFor(height, layers)).toBe(expected),
  );

  it('judges a connection by the worst of its parts, and says why', () => {
    const fine = { loss: 0, roundTripMs: 40 };
    expect(judge(null, null)).toBeNull();
    expect(judge({ loss: null, roundTripMs: null }, null)).toBeNull();
    expect(judge(fine, { loss: null, roundTripMs: null })).toEqual({
      quality: 'good',
      cause: null,
    });
    expect(judge({ loss: 0.05, roundTripMs: 40 }, fine)).toEqual({
      quality: 'fair',
      cause: { kind: 'sent_lost', share: 0.05 },
    });
    expect(judge({ loss: 0.05, roundTripMs: 40 }, { loss: 0.2, roundTripMs: 900 })).toEqual({
      quality: 'poor',
      cause: { kind: 'received_lost', share: 0.2 },
    });
    expect(judge(fine, { loss: 0, roundTripMs: 900 })).toEqual({
      quality: 'poor',
      cause: { kind: 'delay', ms: 900 },
    });
    expect(judge({ loss: 0.05, roundTripMs: 300 }, { loss: 0.05, roundTripMs: 40 })).toEqual({
      quality: 'fair',
      cause: { kind: 'sent_lost', share: 0.05 },
    });
  });

  it('a judgement is told again when its cause changes, and only then', () => {
    const of = (loss: number) => judge({ loss, roundTripMs: 40 }, null);
    expect(sameJudgement(of(0), of(0.001))).toBe(true);
    expect(sameJudgement(of(0.05), of(0.05))).toBe(true);
    expect(sameJudgement(of(0.05), of(0.06))).toBe(false);
    expect(sameJudgement(of(0.05), null)).toBe(false);
  });

  it('counts loss between two readings, not since the beginning', () => {
    const meter = new QualityMeter();
    const reading = (packetsReceived: number, packetsLost: number) => [
      { type: 'inbound-rtp', packetsReceived, packetsLost },
      { type: 'candidate-pair', nominated: true, currentRoundTripTime: 0.05 },
    ];
    expect(meter.measure('s', reading(100, 100)).loss).toBe(0.5);
    expect(meter.measure('s', reading(200, 100))).toEqual({ loss: 0, roundTripMs: 50 });
    expect(meter.measure('s', reading(200, 100)).loss).toBeNull();
  });
});
