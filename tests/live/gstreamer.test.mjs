// GStreamer as Debian ships it, on which many encoders and players are built: it publishes by WHIP
// and receives by WHEP in a meeting of browsers. Its libnice uses no loopback interface, sends no
// checks once it is connected, and nominates once.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { asGovernance, call, startedSession } from './api.mjs';
import { launch, messages, rawClient, received, screenshot } from './browser.mjs';
import { verify } from './cabildo.mjs';
import { Sound, deviation, pictures } from './clock.mjs';
import { download } from './download.mjs';
import { hears, hearsNothing, hearsPitch, sees } from './listen.mjs';
import { ADDRESS, isInside, startServer } from './network.mjs';
import { approve, holdsNobody, openConsole, press, startTurn, stateOf } from './pages.mjs';
import { Peer } from './peer.mjs';
import { Person } from './person.mjs';
import { story } from './story.mjs';
import { until } from './until.mjs';
import { WeakNetwork } from './weak_network.mjs';

/** What GStreamer plays, and what the microphones of the browsers do. */
const TONE_HZ = 660;
const MICROPHONE_HZ = 440;
/** A transport without a sign of life ends after 30 s. */
const LONGER_THAN_CONSENT_MS = 35_000;
/**
 * How far a recorded picture may be from the time it shows. The sender reports of this GStreamer give
 * what it sends times that are one to two seconds too early.
 */
const EARLY_MS = 3_000;
const LATE_MS = 200;
/** How late a picture may be when it is received. */
const RECEIVED_LATE_MS = 2_000;
/** How long the files of a recording may take to be made. */
const RECORDING_MS = 120_000;

/** Who publishes by GStreamer, and in what. */
const CODECS = { hall: 'h264', stage: 'vp8' };

async function open(stage) {
  stage.directory = mkdtempSync(join(tmpdir(), 'cabildo-gstreamer-'));
  stage.server = await startServer('gstreamer');
  stage.network = await WeakNetwork.start({}, ADDRESS);
  stage.network.serverPort = stage.server.port.media;
  stage.browser = await launch({ hertz: MICROPHONE_HZ, gestures: false });
  stage.session = await startedSession(stage.server, {
    moderation: 'moderated',
    media_policy: 'all',
    recording: { enabled: true, retention_days: 30 },
  });
  stage.people = {};
  stage.peers = {};
  stage.marks = {};
  stage.stop = () => {
    Object.values(stage.peers).forEach((peer) => peer.kill());
    stage.network.close();
    rmSync(stage.directory, { recursive: true, force: true });
  };
}

/** Connects a GStreamer of somebody through the network; with VP8 its candidates follow its offer. */
async function connect(stage, kind, user, codec) {
  const { server, session, network, people, peers } = stage;
  people[user] ??= await Person.of(server, { tenant: session.tenant_id, user });
  const token = await people[user].mediaToken(session.id, kind);
  const endpoint = `${server.origin}/api/v1/sessions/${session.id}/${kind}`;
  const peer = new Peer(kind, endpoint, token, 'gstreamer.py', [
    codec,
    `${ADDRESS}:${network.port}`,
    ...(codec === 'vp8' ? ['trickle'] : []),
  ]);
  peers[user] = peer;
  const answered = await peer.told('an answer', ({ event }) => event === 'answered');
  assert.equal(answered.status, 201, answered.body);
  await peer.told('a connection', ({ state }) => state === 'connected');
  if (codec === 'vp8') {
    const trickled = await peer.told('its candidates', ({ event }) => event === 'trickled');
    assert.equal(trickled.status, 204, trickled.body);
  }
  stage.connectedAt = Date.now();
  stage.marks[user] = { connected: stage.connectedAt };
}

/** Gives somebody the floor. */
async function giveFloor({ pages }, user, request) {
  assert.equal((await request).type, 'ack');
  await approve(pages.chair, user);
  await startTurn(pages.chair, user);
}

async function endTurn({ pages }) {
  await press(pages.chair, 'stop-turn');
  await holdsNobody(pages.chair);
}

/** Waits until a GStreamer has decoded sound of a pitch that came after now. */
async function hearsTone(peer, hertz) {
  const from = peer.events.length;
  await until(`a tone of ${hertz} Hz`, async (seen) => {
    const sounds = peer.events.slice(from).filter(({ event }) => event === 'audio');
    seen.last = sounds.at(-1);
    return sounds.some((one) => one.rms > 500 && Math.abs(one.hertz - hertz) < 30);
  });
}

/** Waits until a GStreamer has decoded this many more pictures that show when they were taken. */
async function seesClock(peer, frames = 20) {
  const from = peer.events.length;
  await until('pictures of a clock', async (seen) => {
    const shown = peer.events.slice(from).filter(({ event }) => event === 'video');
    seen.last = shown.at(-1);
    const isRight = ({ width, late_ms }) =>
      width === 640 && late_ms !== null && late_ms < RECEIVED_LATE_MS;
    const right = shown.filter(isRight);
    return right.length > 1 && right.at(-1).frames - right[0].frames >= frames;
  });
}

const ask = { type: 'request_speech', kind: 'normal' };

const STEPS = {
  'what GStreamer publishes in H.264 and VP8 is seen': async (stage) => {
    const { browser, server, session, pages } = stage;
    pages.chair = await openConsole(browser, server, session, { user: 'chair' });
    for (const [user, codec] of Object.entries(CODECS)) await connect(stage, 'whip', user, codec);
    await sees(pages.chair, Object.keys(CODECS));
    for (const [user, codec] of Object.entries(CODECS)) {
      const row = await received(pages.chair, user, 'video');
      assert.deepEqual([row.codec, row.width, row.height], [codec, 640, 360]);
    }
    await screenshot(pages.chair, 'gstreamer-console');
  },

  'GStreamer sees and hears what a browser publishes in H.264 and VP8': async (stage) => {
    const { browser, server, session, pages } = stage;
    for (const codec of ['h264', 'vp8']) {
      const user = `ana-${codec}`;
      const identity = { session: session.id, tenant: session.tenant_id, user };
      const page = await rawClient(browser, server, identity, { clock: 'grey' });
      pages[user] = page;
      const published = await page.evaluate(
        (name) => window.client.publish({ codec: name }),
        codec.toUpperCase(),
      );
      assert.equal(published.type, 'ack', JSON.stringify(published));
      await giveFloor(
        stage,
        user,
        page.evaluate((wish) => window.client.request(wish), ask),
      );
      await connect(stage, 'whep', `viewer-${codec}`, codec);
      const viewer = stage.peers[`viewer-${codec}`];
      await Promise.all([seesClock(viewer), hearsTone(viewer, MICROPHONE_HZ)]);
      await endTurn(stage);
      await page.context().close();
      delete pages[user];
    }
  },

  'it is heard while its person has the floor, and only then': async (stage) => {
    const { session, pages, people } = stage;
    stage.channels = {};
    await hearsNothing(pages.chair, Object.keys(CODECS), 'hall');
    for (const user of Object.keys(CODECS)) {
      stage.channels[user] = await people[user].enter(session.id);
      await giveFloor(stage, user, stage.channels[user].request(ask));
      stage.marks[user].from = Date.now();
      await hears(pages.chair, user, 200);
      await hearsPitch(pages.chair, user, TONE_HZ);
      stage.marks[user].to = Date.now();
      await endTurn(stage);
    }
    await hearsNothing(pages.chair, Object.keys(CODECS), 'hall');
  },

  'they stay although they send no checks': async (stage, t) => {
    const { pages, peers, channels, network } = stage;
    await giveFloor(stage, 'stage', channels.stage.request(ask));
    const before = network.checks;
    const left = Math.max(0, stage.connectedAt + LONGER_THAN_CONSENT_MS - Date.now());
    await new Promise((resolve) => setTimeout(resolve, left));
    t.diagnostic(`${network.checks - before} checks in ${left} ms`);
    await Promise.all([
      sees(pages.chair, Object.keys(CODECS)),
      hears(pages.chair, 'stage'),
      hearsTone(peers['viewer-vp8'], TONE_HZ),
    ]);
  },

  'media goes on after the path has changed': async (stage, t) => {
    const { pages, peers, network } = stage;
    network.changePorts();
    const changed = Date.now();
    await Promise.all([
      sees(pages.chair, Object.keys(CODECS)),
      hears(pages.chair, 'stage'),
      hearsTone(peers['viewer-vp8'], TONE_HZ),
    ]);
    t.diagnostic(`seen and heard again ${Date.now() - changed} ms after the change`);
    await endTurn(stage);
    await giveFloor(stage, 'hall', stage.channels.hall.request(ask));
    await hearsTone(peers['viewer-h264'], TONE_HZ);
    await endTurn(stage);
  },

  'DELETE ends it and frees its place': async (stage) => {
    const { pages, peers, channels } = stage;
    for (const [user, peer] of Object.entries(peers)) {
      const events = await peer.stop();
      assert.equal(events.find(({ event }) => event === 'deleted').status, 200, user);
      assert.deepEqual(
        events.filter(({ event }) => event === 'failed'),
        [],
      );
      await channels[user]?.leave();
    }
    await until('a room without them', async (seen) => {
      seen.last = (await stateOf(pages.chair)).people;
      return Object.keys(peers).every((user) => !seen.last.includes(user));
    });
    const gone = await messages(pages.chair, 'track_unpublished');
    const theirs = gone.filter(({ user_id }) => user_id in CODECS);
    assert.equal(theirs.length, 2 * Object.keys(CODECS).length, JSON.stringify(gone));
  },

  'its pictures and sound are in the recording, which verifies': async (stage, t) => {
    const { server, session, marks } = stage;
    const ended = await asGovernance(server, 'POST', `/api/v1/sessions/${session.id}/end`);
    assert.equal(ended.status, 200, JSON.stringify(ended.body));
    const identity = { tenant: session.tenant_id, user: 'auditor', roles: ['auditor'] };
    const auditor = await Person.of(server, identity);
    // Not the combined file, which takes longer and has tests of its own.
    const files = await until(
      'the files of single tracks',
      async (seen) => {
        const tracks = (await auditor.recording(session.id)).files.filter(
          ({ of }) => of === 'track',
        );
        seen.last = tracks.map(({ state }) => state);
        return tracks.length > 0 && seen.last.every((state) => state === 'ready') && tracks;
      },
      RECORDING_MS,
    );
    const filesOf = (user, kind) => files.filter((it) => it.user_id === user && it.kind === kind);
    for (const user of Object.keys(CODECS)) {
      const [video] = filesOf(user, 'video');
      const path = await download(server, video, stage.directory);
      // Pictures that waited at their sender for the connection came long after they were taken.
      const { connected } = marks[user];
      const taken = ({ at, shows }) => (shows ?? at) >= connected;
      const found = deviation((await pictures(path, Date.parse(video.from))).filter(taken));
      t.diagnostic(`${user}: ${JSON.stringify(found)}`);
      assert.ok(found.read > 200 && found.read >= found.frames * 0.98, JSON.stringify(found));
      assert.ok(found.least >= -EARLY_MS && found.greatest <= LATE_MS, JSON.stringify(found));
      const [audio] = filesOf(user, 'audio');
      const heard = await download(server, audio, stage.directory);
      const sound = await Sound.read(heard, Date.parse(audio.from));
      const { from, to } = marks[user];
      const heardMs = sound.share(TONE_HZ, from - EARLY_MS, to) * (to - from + EARLY_MS);
      assert.ok(heardMs > 0.9 * (to - from), `${heardMs} of ${to - from} ms of ${user}`);
    }
    const proof = `/api/v1/sessions/${session.id}/audit-proof`;
    await until('a closed log', async (seen) => {
      seen.last = (await call(server, 'GET', proof)).body.status;
      return seen.last === 'closed';
    });
    const done = await verify(server.origin + proof);
    assert.equal(done.code, 0, done.stdout + done.stderr);
  },
};

if (isInside(import.meta.url)) story('GStreamer in a meeting', open, STEPS);
