// Two servers on one PostgreSQL and one bucket. One records a meeting while the
// other starts, stops and is killed: the recording does not notice. Then the one
// that records is killed, and the other brings what it left to its end.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { asGovernance, call, startedSession } from './api.mjs';
import { Bucket } from './bucket.mjs';
import { cabildo, evidence, verify } from './cabildo.mjs';
import { entries } from './cbor.mjs';
import { startCameras } from './foreign_cameras.mjs';
import { Peer } from './peer.mjs';
import { Person } from './person.mjs';
import { Postgres } from './postgres.mjs';
import { Server } from './server.mjs';
import { story } from './story.mjs';
import { until } from './until.mjs';

const SEALED = 'cabildo_recorder_segments_total';
/** Reason of a gap and of a close (docs/EVIDENCE.md §Entries). */
const SERVER_DOWN = 3;
/** Longer than a lease: whoever waits for it to run out has to be given this long. */
const TAKE_OVER_MS = 120_000;

async function open(stage) {
  stage.directory = mkdtempSync(join(tmpdir(), 'cabildo-instances-'));
  stage.postgres = await Postgres.start();
  stage.bucket = await Bucket.start();
  const shared = {
    ...stage.bucket.environment,
    ...stage.postgres.environment,
    CABILDO_KEYS__DIRECTORY: join(stage.directory, 'keys'),
  };
  stage.server = await Server.start('first', shared);
  stage.other = new Server('second', shared);
  stage.session = await startedSession(stage.server, {
    moderation: 'open',
    recording: { enabled: true, retention_days: 30 },
  });
  stage.stop = async () => {
    stage.peer?.kill();
    stage.cameras?.stop();
    await stage.other.destroy();
    await stage.server.stop('SIGKILL');
    await stage.bucket.stop();
    stage.postgres.stop();
    rmSync(stage.directory, { recursive: true, force: true });
  };
}

const sealed = async (server) => (await server.metrics())[SEALED] ?? 0;

/** Waits until the first server has sealed some more segments. */
async function records(stage, segments) {
  const before = await sealed(stage.server);
  await until(
    `${segments} more segments`,
    async (seen) => {
      seen.last = (await sealed(stage.server)) - before;
      return seen.last >= segments;
    },
    120_000,
  );
}

/** Exports what there is with one of the servers, verifies it, and answers its entries. */
async function exported(stage, server, name) {
  const out = join(stage.directory, name);
  const done = await evidence(server, 'export', stage.session.id, '--out', out);
  assert.equal(done.code, 0, done.stderr + done.stdout);
  const verified = await verify(out);
  assert.notEqual(verified.report, null, verified.stderr);
  // Of a log that still grows nothing else is missing than its end.
  const missing = verified.report.problems.filter(({ code }) => code !== 'NOT_CLOSED');
  assert.deepEqual(missing, []);
  assert.equal(verified.code, verified.report.facts.closed === null ? 3 : 0, verified.stdout);
  return entries(readFileSync(join(out, 'entries.cborseq')));
}

const proofPath = ({ session }) => `/api/v1/sessions/${session.id}/audit-proof`;

/** Nothing says that anything was interrupted, and nobody's claim was taken. */
async function isUntouched(stage, name) {
  const log = await exported(stage, stage.server, name);
  const touched = log.filter(({ kind }) => kind === 'gap' || kind === 'close');
  assert.deepEqual(touched, [], name);
  const ended = 'SELECT count(*) FROM recorded_tracks WHERE ended_at IS NOT NULL';
  assert.equal(stage.postgres.sql('cabildo', ended), '0', 'a track was ended');
  const epochs = "SELECT max(epoch) FROM work_claims WHERE work = 'recording'";
  assert.equal(stage.postgres.sql('cabildo', epochs), '1', 'the recording changed owners');
  const proof = await verify(stage.server.origin + proofPath(stage));
  assert.equal(proof.code, 0, proof.stdout + proof.stderr);
  return log;
}

/** What is recorded of the camera, as one of the servers tells it: one span for what has no gap. */
async function spansOf(stage, server) {
  const path = '/gateway/cameras/hall/recordings';
  const tenant = { 'X-Tenant-ID': stage.session.tenant_id };
  const answer = await asGovernance(server, 'GET', path, undefined, tenant);
  assert.equal(answer.status, 200, JSON.stringify(answer));
  return answer.body.spans.map(({ from, to }) => [Date.parse(from), Date.parse(to)]);
}

const camerasRecorded = async (server) => (await server.metrics()).cabildo_camera_recordings ?? 0;

const steps = {
  'the first server records': async (stage) => {
    const { server, session } = stage;
    const encoder = await Person.of(server, { tenant: session.tenant_id, user: 'encoder' });
    const token = await encoder.mediaToken(session.id, 'whip');
    stage.peer = new Peer('whip', `${server.origin}/api/v1/sessions/${session.id}/whip`, token);
    await stage.peer.told('a connection', ({ state }) => state === 'connected');
    await records(stage, 2);
    await isUntouched(stage, 'alone');
  },

  'a second server that starts and stops interrupts nothing': async (stage) => {
    await stage.other.start();
    // Some leases long, so that it would have taken over what it takes for left.
    await records(stage, 10);
    await stage.other.stop();
    await isUntouched(stage, 'stopped');
  },

  'a second server that is killed interrupts nothing': async (stage) => {
    await stage.other.start();
    await records(stage, 2);
    await stage.other.stop('SIGKILL');
    await records(stage, 2);
    await isUntouched(stage, 'killed');
  },

  'commands with the options of another server interrupt nothing': async (stage) => {
    const { other, session, directory } = stage;
    const foreign = ['--data-dir', join(directory, 'elsewhere'), '--http', '127.0.0.1:9'];
    const env = other.environment;
    const erased = await cabildo(
      ['evidence', 'erase', session.id, '--reason', 'requested', ...foreign],
      { env },
    );
    assert.equal(erased.code, 1, 'a session that is being recorded was erased');
    const rotated = await cabildo(
      ['evidence', 'rotate-keys', '--tenant', session.tenant_id, ...foreign],
      { env },
    );
    assert.equal(rotated.code, 0, rotated.stderr);
    await records(stage, 2);
    await isUntouched(stage, 'commands');
  },

  'the second server takes over when the first is killed': async (stage, t) => {
    const { server, other, session } = stage;
    await other.start();
    stage.killedAt = Date.now();
    await server.stop('SIGKILL');
    stage.peer.kill();
    const ended = await asGovernance(other, 'POST', `/api/v1/sessions/${session.id}/end`);
    assert.equal(ended.status, 200, JSON.stringify(ended.body));
    await until(
      'a closed log',
      async (seen) => {
        seen.last = (await call(other, 'GET', proofPath(stage))).body.status;
        return seen.last === 'closed';
      },
      TAKE_OVER_MS,
    );
    t.diagnostic(`taken over ${Date.now() - stage.killedAt} ms after the kill`);
  },

  'each track has one honest gap, and all of it verifies': async (stage) => {
    const log = await exported(stage, stage.other, 'taken-over');
    const tracks = log.filter(({ kind }) => kind === 'track').map(({ track }) => track);
    assert.ok(tracks.length >= 2, `${tracks.length} tracks`);
    for (const track of tracks) {
      const of = (wanted) => log.filter((entry) => entry.kind === wanted && entry.track === track);
      const last = of('segment').at(-1);
      const gaps = of('gap');
      assert.equal(gaps.length, 1, JSON.stringify(gaps));
      const [gap] = gaps;
      assert.equal(gap.reason, SERVER_DOWN);
      assert.equal(gap.fromMs, last.toMs, 'the gap begins where the last segment ends');
      assert.ok(gap.fromMs <= stage.killedAt && gap.toMs >= stage.killedAt, JSON.stringify(gap));
    }
    assert.equal(log.filter(({ kind }) => kind === 'close').length, 1);
    const proof = await verify(stage.other.origin + proofPath(stage));
    assert.equal(proof.code, 0, proof.stdout + proof.stderr);
  },

  'what the first server still had in its spool does not change what is closed': async (stage) => {
    await stage.server.start();
    await until('a server that is ready', async (seen) => {
      seen.last = (await call(stage.server, 'GET', '/health/ready')).status;
      return seen.last === 200;
    });
    const log = await exported(stage, stage.server, 'restarted');
    assert.equal(log.filter(({ kind }) => kind === 'close').length, 1);
    assert.equal(log.filter(({ kind }) => kind === 'gap').length, 2);
  },

  'one of two servers records a camera, and both tell it': async (stage) => {
    const both = [stage.server, stage.other];
    stage.cameras = await startCameras();
    const provisioned = await asGovernance(stage.other, 'POST', '/gateway/provision', {
      tenantId: stage.session.tenant_id,
      cameraId: 'hall',
      rtspUrl: `rtsp://127.0.0.1:${stage.cameras.port}/often`,
      recording: { enabled: true },
    });
    assert.equal(provisioned.status, 201, JSON.stringify(provisioned));
    await until(
      'twenty seconds that both tell',
      async (seen) => {
        const counts = await Promise.all(both.map(camerasRecorded));
        assert.ok(counts[0] + counts[1] <= 1, 'both record it');
        seen.last = await Promise.all(both.map((server) => spansOf(stage, server)));
        return seen.last.every(([span]) => span !== undefined && span[1] - span[0] > 20_000);
      },
      TAKE_OVER_MS,
    );
    const [spans] = await Promise.all(both.map((server) => spansOf(stage, server)));
    assert.equal(spans.length, 1, JSON.stringify(spans));
  },

  'the other goes on with the camera when that one is killed': async (stage, t) => {
    const isOwner = (await camerasRecorded(stage.server)) === 1;
    const [owner, heir] = isOwner ? [stage.server, stage.other] : [stage.other, stage.server];
    const killedAt = Date.now();
    await owner.stop('SIGKILL');
    const spans = await until(
      'ten seconds after the kill',
      async (seen) => {
        seen.last = await spansOf(stage, heir);
        const [from, to] = seen.last.at(-1);
        return from > killedAt && to - from > 10_000 && seen.last;
      },
      TAKE_OVER_MS,
    );
    assert.equal(spans.length, 2, JSON.stringify(spans));
    const [[, end], [from]] = spans;
    assert.ok(end <= from, 'a moment was recorded twice');
    t.diagnostic(`the gap is ${from - end} ms, ${from - killedAt} ms of it after the kill`);
  },
};

story('Two servers on one database', open, steps);
