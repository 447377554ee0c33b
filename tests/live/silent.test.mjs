// Strangers open more connections than the server has descriptors, send nothing
// or read nothing on them, and open new ones when those are closed. A meeting
// that is recorded meanwhile loses nothing, and others can join it.
//   CABILDO_ATTACK=long    for a minute and a half instead of ten seconds
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { asGovernance, call, startedSession } from './api.mjs';
import { evidence, verify } from './cabildo.mjs';
import { entries } from './cbor.mjs';
import { Peer } from './peer.mjs';
import { Person } from './person.mjs';
import { Server } from './server.mjs';
import { story } from './story.mjs';
import { until } from './until.mjs';

const DESCRIPTORS = 1_024;
const SOCKETS = 1_100;
const ATTACK_MS = process.env.CABILDO_ATTACK === 'long' ? 90_000 : 10_000;
/** How soon a connection that the server closed is opened again. */
const REOPEN_MS = 1_000;
/** Strangers use addresses of their own; people come from 127.0.0.1. */
const HOSTILE = ['127.0.0.2', '127.0.0.3'];
/** Segments of a track follow each other within this time unless something is missing. */
const SEAM_MS_MAX = 100;

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
const EMPTY_SETTINGS = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);
const REQUEST = 'GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n';
const askWithoutReading = (socket) => socket.write(REQUEST.repeat(100));
/** What is sent on a connection, and nothing after it. */
const OPENINGS = [
  () => undefined,
  (socket) => socket.write(PREFACE.slice(0, 9)),
  (socket) => socket.write(Buffer.concat([Buffer.from(PREFACE), EMPTY_SETTINGS])),
  (socket) => socket.write('GET / HTTP/1.1\r\nHost: '),
  askWithoutReading,
];

/** Keeps `SOCKETS` connections open until it is stopped. */
class Strangers {
  constructor(server) {
    this.port = server.port.http;
    this.sockets = new Set();
    this.again = new Set();
    this.opened = 0;
    this.isOver = false;
    for (let count = 0; count < SOCKETS; count += 1) this.open();
  }

  open() {
    const number = (this.opened += 1);
    const socket = connect({
      host: '127.0.0.1',
      port: this.port,
      localAddress: HOSTILE[number % HOSTILE.length],
    });
    this.sockets.add(socket);
    const open = OPENINGS[number % OPENINGS.length];
    // Whoever does not read does not see either that the server closed the connection.
    if (open !== askWithoutReading) socket.resume();
    socket.once('connect', () => open(socket));
    // The server closing it is what the test is about.
    socket.on('error', () => undefined);
    socket.once('close', () => {
      this.sockets.delete(socket);
      if (!this.isOver) this.again.add(setTimeout(() => this.open(), REOPEN_MS));
    });
  }

  stop() {
    this.isOver = true;
    for (const timer of this.again) clearTimeout(timer);
    for (const socket of this.sockets) socket.destroy();
  }
}

/** A request on a connection of its own; answers its status. */
function fresh(server, path) {
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port: server.port.http, path, agent: false };
    const asked = request(options, (response) => {
      response.resume();
      response.once('end', () => resolve(response.statusCode));
      response.once('error', reject);
    });
    asked.setTimeout(10_000, () => asked.destroy(new Error(`${path}: no answer in 10 s`)));
    asked.once('error', reject);
    asked.end();
  });
}

async function open(stage) {
  stage.directory = mkdtempSync(join(tmpdir(), 'cabildo-silent-'));
  stage.server = await Server.start('silent', {}, { descriptors: DESCRIPTORS });
  stage.session = await startedSession(stage.server, {
    moderation: 'open',
    recording: { enabled: true, retention_days: 30 },
  });
  stage.keys = join(stage.directory, 'keys.json');
  const keys = await call(stage.server, 'GET', '/.well-known/cabildo-evidence-keys.json');
  writeFileSync(stage.keys, JSON.stringify(keys.body));
  stage.stop = () => {
    stage.strangers?.stop();
    stage.peer?.kill();
    rmSync(stage.directory, { recursive: true, force: true });
  };
}

const segments = async ({ server }) =>
  (await server.metrics()).cabildo_recorder_segments_total ?? 0;

async function moreSegments(stage) {
  const before = await segments(stage);
  await until('further segments', async (seen) => {
    seen.last = await segments(stage);
    return seen.last >= before + 2;
  });
}

const steps = {
  'a meeting is recorded': async (stage) => {
    const { server, session } = stage;
    const identity = { tenant: session.tenant_id, user: 'encoder' };
    const encoder = await Person.of(server, identity);
    const token = await encoder.mediaToken(session.id, 'whip');
    stage.peer = new Peer('whip', `${server.origin}/api/v1/sessions/${session.id}/whip`, token);
    await stage.peer.told('a connection', ({ state }) => state === 'connected');
    await moreSegments(stage);
  },

  'people join while silent connections fill the listener': async (stage, t) => {
    const { server, session } = stage;
    stage.strangers = new Strangers(server);
    const end = Date.now() + ATTACK_MS;
    let joined = 0;
    while (Date.now() < end || joined < 3) {
      // Whether it is ready is another question: on a busy machine its database may answer too late.
      assert.equal(await fresh(server, '/health/live'), 200);
      const user = `member-${joined}`;
      const person = await Person.of(server, { tenant: session.tenant_id, user });
      const channel = await person.enter(session.id);
      await channel.leave();
      joined += 1;
    }
    t.diagnostic(`${joined} people joined beside ${stage.strangers.opened} hostile connections`);
    assert.ok(stage.strangers.opened > SOCKETS, 'some were closed for others');
    await moreSegments(stage);
    stage.strangers.stop();
  },

  'nothing of the meeting is missing': async (stage) => {
    const { server, session } = stage;
    await stage.peer.stop();
    const ended = await asGovernance(server, 'POST', `/api/v1/sessions/${session.id}/end`);
    assert.equal(ended.status, 200, JSON.stringify(ended.body));
    await until('a closed log', async (seen) => {
      const proof = await call(server, 'GET', `/api/v1/sessions/${session.id}/audit-proof`);
      seen.last = proof.body.status;
      return seen.last === 'closed';
    });
    const out = join(stage.directory, 'bundle');
    const done = await evidence(server, 'export', session.id, '--out', out);
    assert.equal(done.code, 0, done.stderr);
    const verified = await verify(out, '--keys', stage.keys);
    assert.equal(verified.code, 0, verified.stdout + verified.stderr);
    const log = entries(readFileSync(join(out, 'entries.cborseq')));
    assert.deepEqual(
      log.filter(({ kind }) => kind === 'gap'),
      [],
    );
    const parts = log.filter(({ kind }) => kind === 'segment');
    const tracks = new Set(parts.map(({ track }) => track));
    assert.ok(tracks.size >= 2, `${tracks.size} tracks`);
    for (const track of tracks) {
      const own = parts.filter((part) => part.track === track);
      const seams = own.slice(1).map(({ fromMs }, at) => fromMs - own[at].toMs);
      assert.ok(Math.max(0, ...seams) <= SEAM_MS_MAX, `${seams}`);
    }
    const told = server.log();
    assert.ok(told.includes('the limit of file descriptors is low'), 'the operator is warned');
    assert.ok(!told.includes('Too many open files'), 'no descriptor was missing');
  },
};

story('A server with silent connections', open, steps);
