// The whole server is killed at random moments of a recorded meeting, again and
// again. Whatever was promised by a signed head before has to stand after it.
//   CABILDO_KILLS  how often (3)       CABILDO_SEED  which moments (random, told)
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { asGovernance, call, startedSession } from './api.mjs';
import { evidence, saveHeads, verify } from './cabildo.mjs';
import { entries } from './cbor.mjs';
import { Peer } from './peer.mjs';
import { Person } from './person.mjs';
import { Server } from './server.mjs';
import { story } from './story.mjs';
import { until } from './until.mjs';

const KILLS = Number(process.env.CABILDO_KILLS ?? 3);
/** The file of the whole meeting takes longer the longer the meeting was. */
const READY_MS = 120_000 + 20_000 * KILLS;
const SEED = Number(process.env.CABILDO_SEED ?? randomInt(2 ** 31));
/** A kill comes this long after the first head that covers media. */
const KILL_AFTER_MS = [0, 7_000];
/** One segment and one head interval (docs/EVIDENCE.md). */
const LOSS_MS_MAX = 4_000 + 2_000;
/** A session that is over is sealed, closed and made into files within about this time. */
const KILL_AFTER_END_MS = [0, 3_000];
const SERVER_DOWN = 3;

/** Numbers in 0 to 1 that a seed gives (mulberry32). */
function numbers(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

async function open(stage) {
  stage.directory = mkdtempSync(join(tmpdir(), 'cabildo-kill-'));
  stage.server = await Server.start('kill');
  stage.session = await startedSession(stage.server, {
    moderation: 'open',
    recording: { enabled: true, retention_days: 30 },
  });
  stage.random = numbers(SEED);
  stage.heads = [];
  stage.kills = [];
  const keys = await call(stage.server, 'GET', '/.well-known/cabildo-evidence-keys.json');
  stage.keys = join(stage.directory, 'keys.json');
  writeFileSync(stage.keys, JSON.stringify(keys.body));
  stage.stop = () => {
    stage.peer?.kill();
    rmSync(stage.directory, { recursive: true, force: true });
  };
}

const proofPath = ({ session }) => `/api/v1/sessions/${session.id}/audit-proof`;

/** The tracks of which a segment is in the vault of a development server. */
function kept({ server, session }) {
  const place = join(server.dataDir, 'vault', session.tenant_id, session.id);
  if (!existsSync(place)) return [];
  const tracks = readdirSync(place).filter((name) => name !== 'playable');
  return tracks.filter((track) => readdirSync(join(place, track)).length > 0);
}

/**
 * Publishes by WHIP and keeps every head that the room is told; answers when both
 * are under way.
 */
async function record(stage) {
  const { server, session } = stage;
  const tenant = session.tenant_id;
  // A connection outlives its server by 30 s, and a person has four at most.
  const name = (who) => `${who}-${stage.kills.length}`;
  const witness = await Person.of(server, { tenant, user: name('witness'), roles: ['observer'] });
  const channel = await witness.enter(session.id);
  const encoder = await Person.of(server, { tenant, user: name('encoder') });
  const token = await encoder.mediaToken(session.id, 'whip');
  stage.peer = new Peer('whip', `${server.origin}/api/v1/sessions/${session.id}/whip`, token);
  await stage.peer.told('a connection', ({ state }) => state === 'connected');
  const from = Date.now();
  const before = kept(stage).length;
  await until('a segment of its sound and one of its pictures', (seen) => {
    seen.last = kept(stage).length;
    return seen.last >= before + 2;
  });
  const size = channel.heads().at(-1)?.tree_size ?? 0;
  await channel.told('evidence_head', ({ tree_size }) => tree_size > size);
  return { channel, from };
}

/** Kills the server within some time; answers when it did, and after how long. */
async function killWithin(stage, [least, most]) {
  const wait = least + stage.random() * (most - least);
  await new Promise((resolve) => setTimeout(resolve, wait));
  const at = Date.now();
  await stage.server.stop('SIGKILL');
  return { at, wait };
}

async function round(stage) {
  const { channel, from } = await record(stage);
  stage.kills.push({ from, ...(await killWithin(stage, KILL_AFTER_MS)) });
  await channel.closed;
  stage.peer.kill();
  stage.heads.push(...channel.heads());
}

async function holdsAfterwards(stage) {
  const { server } = stage;
  await server.start();
  const newest = Math.max(...stage.heads.map(({ tree_size }) => tree_size));
  const proof = await until('a proof', async (seen) => {
    seen.last = await call(server, 'GET', proofPath(stage));
    return seen.last.status === 200 ? seen.last.body : null;
  });
  assert.ok(proof.head.tree_size >= newest, `${proof.head.tree_size} of ${newest} entries`);
  const heads = saveHeads(stage.directory, stage.session.id, stage.heads.slice(-64));
  const options = ['--heads', heads, '--keys', stage.keys];
  const done = await verify(server.origin + proofPath(stage), ...options);
  assert.equal(done.code, 0, done.stdout + done.stderr);
}

const steps = {};
for (let kill = 1; kill <= KILLS; kill += 1) {
  steps[`what was signed before kill ${kill} stands after it`] = async (stage, t) => {
    t.diagnostic(`seed ${SEED}`);
    await round(stage);
    await holdsAfterwards(stage);
  };
}

steps['what a kill after the end interrupts is finished by the next start'] = async (stage, t) => {
  const { server, session } = stage;
  const { channel } = await record(stage);
  const ended = await asGovernance(server, 'POST', `/api/v1/sessions/${session.id}/end`);
  assert.equal(ended.status, 200, JSON.stringify(ended.body));
  const { wait } = await killWithin(stage, KILL_AFTER_END_MS);
  t.diagnostic(`killed ${Math.round(wait)} ms after the end`);
  await channel.closed;
  stage.peer.kill();
  stage.heads.push(...channel.heads());
  await holdsAfterwards(stage);
  await until('a closed log', async (seen) => {
    seen.last = (await call(server, 'GET', proofPath(stage))).body.status;
    return seen.last === 'closed';
  });
  const tenant = session.tenant_id;
  const auditor = await Person.of(server, { tenant, user: 'auditor', roles: ['auditor'] });
  const { files } = await auditor.recordingReady(session.id, READY_MS);
  assert.deepEqual(
    files.filter(({ state }) => state !== 'ready'),
    [],
  );
};

steps['at the end all of it verifies, and little is missing'] = async (stage, t) => {
  const { server, session } = stage;
  const out = join(stage.directory, 'bundle');
  const done = await evidence(server, 'export', session.id, '--out', out);
  assert.equal(done.code, 0, done.stderr);
  const heads = saveHeads(stage.directory, session.id, stage.heads);
  const verified = await verify(out, '--heads', heads, '--keys', stage.keys);
  assert.equal(verified.code, 0, verified.stdout + verified.stderr);

  const log = entries(readFileSync(join(out, 'entries.cborseq')));
  const segments = log.filter(({ kind }) => kind === 'segment');
  const gaps = log.filter(({ kind, reason }) => kind === 'gap' && reason === SERVER_DOWN);
  const losses = [];
  for (const { from, at, wait } of stage.kills) {
    const before = segments.filter(({ fromMs, toMs }) => toMs >= from && fromMs <= at);
    const tracks = new Set(before.map(({ track }) => track));
    assert.ok(tracks.size > 0, `nothing of the time before the kill at ${at}`);
    // Of a track whose first segment was not sealed yet, all is lost.
    if (tracks.size < 2) losses.push(at - from);
    for (const track of tracks) {
      const last = Math.max(...before.filter((one) => one.track === track).map(({ toMs }) => toMs));
      losses.push(at - last);
      t.diagnostic(`killed after ${Math.round(wait)} ms: ${at - last} ms lost`);
      const gap = gaps.find((one) => one.track === track && one.fromMs <= at && one.toMs >= at);
      assert.ok(gap !== undefined, `no gap of ${track} over ${at}: ${JSON.stringify(gaps)}`);
    }
  }
  t.diagnostic(`lost at most ${Math.max(...losses)} ms in ${KILLS} kills`);
  assert.ok(Math.max(...losses) <= LOSS_MS_MAX, `${losses}`);
};

story('A server that is killed', open, steps, { stepMs: READY_MS + 300_000 });
