// A bucket that is slow, silent, broken or away, and a disk that is full, while
// a meeting is recorded: nothing is lost that could be taken, what could not is
// said, and the meeting does not notice.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { asGovernance, call, startedSession } from './api.mjs';
import { launch, outbound, rawClient } from './browser.mjs';
import { Bucket } from './bucket.mjs';
import { evidence, verify } from './cabildo.mjs';
import { entries } from './cbor.mjs';
import { deviation, longestHole, pictures } from './clock.mjs';
import { download } from './download.mjs';
import { Person } from './person.mjs';
import { Server } from './server.mjs';
import { story } from './story.mjs';
import { until } from './until.mjs';

const SPOOLED = 'cabildo_recorder_spool_segments';
const SEALED = 'cabildo_recorder_segments_total';
const FAILURES = 'cabildo_recorder_upload_failures_total';
const GAPS = 'cabildo_recorder_gaps_total';
/** Reasons of gaps (docs/EVIDENCE.md §Entries). */
const DISK_FULL = 2;
/** More than any disk here has free. */
const NO_DISK_SUFFICES = {
  CABILDO_RECORDER__SPOOL_FREE_MIB_MIN: '1048576',
  CABILDO_RECORDER__SPOOL_FREE_MIB_WARN: '10485760',
};

async function recorded(server, wanted = {}) {
  return startedSession(server, {
    moderation: 'open',
    recording: { enabled: true, retention_days: 30 },
    ...wanted,
  });
}

/** Somebody whose camera shows the time and whose microphone sounds. */
async function publisher(stage, session, user = 'ana') {
  const identity = { session: session.id, tenant: session.tenant_id, user };
  const page = await rawClient(stage.browser, stage.server, identity, { clock: 'red' });
  stage.pages[user] = page;
  const published = await page.evaluate(() => window.client.publish({ layers: 1 }));
  assert.equal(published.type, 'ack', JSON.stringify(published));
  await sendsPictures(page, 15);
  return page;
}

async function sendsPictures(page, frames) {
  const count = async () =>
    (await outbound(page)).reduce((sum, row) => sum + (row.kind === 'video' ? row.frames : 0), 0);
  const before = await count();
  await until(`${frames} more pictures sent`, async (seen) => {
    seen.last = (await count()) - before;
    return seen.last >= frames;
  });
}

const metric = async (stage, name) => (await stage.server.metrics())[name] ?? 0;

/** Waits until a metric has grown by this much. */
async function grows(stage, name, by) {
  const before = await metric(stage, name);
  await until(`${name} to grow by ${by}`, async (seen) => {
    seen.last = (await metric(stage, name)) - before;
    return seen.last >= by;
  });
}

/** Waits until the spool holds no more than what is on its way. */
const drains = (stage, atMost = 2) =>
  until(
    'an empty spool',
    async (seen) => {
      seen.last = await metric(stage, SPOOLED);
      return seen.last <= atMost;
    },
    90_000,
  );

async function statusOf(stage, session) {
  const answer = await call(stage.server, 'GET', `/api/v1/sessions/${session.id}/audit-proof`);
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
  return answer.body.status;
}

async function end(stage, session) {
  const ended = await asGovernance(stage.server, 'POST', `/api/v1/sessions/${session.id}/end`);
  assert.equal(ended.status, 200, JSON.stringify(ended.body));
}

/** Exports a session, has it verified, and answers its entries. */
async function exported(stage, session, name) {
  const out = join(stage.directory, name);
  const done = await evidence(stage.server, 'export', session.id, '--out', out);
  assert.equal(done.code, 0, done.stderr + done.stdout);
  const verified = await verify(out);
  assert.equal(verified.code, 0, verified.stdout + verified.stderr);
  return entries(readFileSync(join(out, 'entries.cborseq')));
}

/** Where a track's segments do not follow each other closely: [milliseconds, after index]. */
function interruptions(log, longerThanMs) {
  const found = [];
  for (const { track } of log.filter(({ kind }) => kind === 'track')) {
    const segments = log.filter((entry) => entry.kind === 'segment' && entry.track === track);
    segments.forEach((segment, place) => {
      assert.equal(segment.index, place, 'the order of segments');
      const hole = place === 0 ? 0 : segment.fromMs - segments[place - 1].toMs;
      if (hole > longerThanMs) found.push([hole, place]);
    });
  }
  return found;
}

async function open(stage) {
  stage.directory = mkdtempSync(join(tmpdir(), 'cabildo-vault-'));
  stage.bucket = await Bucket.start();
  stage.server = await Server.start('vault', stage.bucket.environment);
  stage.browser = await launch({ hertz: 440, gestures: false });
  stage.stop = async () => {
    await stage.bucket.stop();
    rmSync(stage.directory, { recursive: true, force: true });
  };
}

const steps = {
  'a meeting is kept in a bucket': async (stage) => {
    stage.session = await recorded(stage.server);
    const { tenant_id: tenant } = stage.session;
    stage.auditor = await Person.of(stage.server, { tenant, user: 'auditor', roles: ['auditor'] });
    await publisher(stage, stage.session);
    stage.startedAt = Date.now();
    await until('segments in the bucket', (seen) => {
      seen.last = stage.bucket.segments();
      return seen.last.length >= 2;
    });
  },
};

for (const mood of ['hang', 'error 503', 'refuse']) {
  steps[`a bucket in the mood "${mood}" is waited for`] = async (stage, t) => {
    const failed = await metric(stage, FAILURES);
    await stage.bucket.become(mood);
    // What it had begun to take it still takes, in less time than a segment is long.
    await grows(stage, SEALED, 3);
    const before = stage.bucket.segments().length;
    await until('a spool that grows', async (seen) => {
      seen.last = await metric(stage, SPOOLED);
      return seen.last >= 4;
    });
    assert.equal(stage.bucket.segments().length, before);
    await sendsPictures(stage.pages.ana, 15);
    if (mood !== 'hang')
      assert.ok((await metric(stage, FAILURES)) > failed, 'no failure is counted');
    const waiting = await metric(stage, SPOOLED);
    await stage.bucket.become('ok');
    const okAt = Date.now();
    await drains(stage);
    t.diagnostic(
      `${waiting} segments were in the bucket ${Date.now() - okAt} ms after it was well`,
    );
    assert.ok(stage.bucket.segments().length >= before + waiting - 2);
  };
}

Object.assign(steps, {
  'a slow bucket is kept up with': async (stage) => {
    await stage.bucket.become('slow 1500');
    await grows(stage, SEALED, 4);
    await drains(stage);
    await stage.bucket.become('ok');
  },

  'a server that is stopped while the bucket is away brings everything later': async (stage, t) => {
    await stage.bucket.become('refuse');
    await grows(stage, SEALED, 2);
    await end(stage, stage.session);
    stage.endedAt = Date.now();
    const view = await stage.auditor.recording(stage.session.id);
    assert.equal(view.state, 'sealing');
    assert.ok(view.pending_tracks > 0);
    await stage.server.stop();
    await stage.server.start();
    assert.notEqual(await statusOf(stage, stage.session), 'closed');
    await until('the same tracks to wait', async (seen) => {
      seen.last = (await stage.auditor.recording(stage.session.id)).pending_tracks;
      return seen.last === view.pending_tracks;
    });
    await stage.bucket.become('ok');
    const okAt = Date.now();
    const { files } = await stage.auditor.recordingReady(stage.session.id);
    t.diagnostic(`ready ${Date.now() - okAt} ms after the bucket was back`);
    assert.equal(await statusOf(stage, stage.session), 'closed');
    stage.files = files;
  },

  'nothing of it was lost': async (stage, t) => {
    const log = await exported(stage, stage.session, 'bucket');
    assert.deepEqual(
      log.filter(({ kind }) => kind === 'gap'),
      [],
    );
    // For so long the camera itself stood still, on a busy machine.
    const stillMs = await stage.pages.ana.evaluate(() => window.__clock.longestBreakMs);
    assert.deepEqual(interruptions(log, 500 + stillMs), []);
    const file = stage.files.find(({ of, kind }) => of === 'track' && kind === 'video');
    const fromMs = Date.parse(file.from);
    const path = await download(stage.server, file, stage.directory);
    const shown = await pictures(path, fromMs);
    const found = deviation(shown);
    const hole = longestHole(shown, stage.startedAt, stage.endedAt);
    t.diagnostic(
      `${JSON.stringify(found)}, longest hole ${hole} ms, the camera stood still ${stillMs} ms`,
    );
    assert.ok(hole < 1_500 + stillMs, `${hole} ms`);
    assert.ok(found.read >= found.frames * 0.98, JSON.stringify(found));
    await stage.pages.ana.context().close();
    delete stage.pages.ana;
  },

  'a full disk takes nothing, says so, and stops no meeting': async (stage) => {
    stage.server.environment = { ...stage.bucket.environment, ...NO_DISK_SUFFICES };
    await stage.server.stop();
    await stage.server.start();
    stage.session = await recorded(stage.server);
    const { tenant_id: tenant } = stage.session;
    stage.auditor = await Person.of(stage.server, { tenant, user: 'auditor', roles: ['auditor'] });
    await publisher(stage, stage.session);
    const viewer = await rawClient(stage.browser, stage.server, {
      session: stage.session.id,
      tenant,
      user: 'viewer',
    });
    stage.pages.viewer = viewer;
    const track = await until('a camera to watch', () =>
      viewer.evaluate(
        () =>
          [...window.client.tracks.values()].find(({ kind }) => kind === 'video')?.track ?? null,
      ),
    );
    const answer = await viewer.evaluate((id) => window.client.subscribe(id), track);
    assert.equal(answer.type, 'ack', JSON.stringify(answer));
    await until('pictures for others', async (seen) => {
      const rows = await viewer.evaluate(() => window.__probe.inbound());
      seen.last = rows.map(({ frames }) => frames);
      return rows.some(({ frames }) => frames >= 60);
    });
    assert.equal(await metric(stage, SEALED), 0);
    const ready = await call(stage.server, 'GET', '/health/ready');
    assert.equal(ready.status, 200, JSON.stringify(ready.body));
    await end(stage, stage.session);
    await until('a gap that is counted', async () => (await metric(stage, GAPS)) >= 1);
    await until('a closed log', async (seen) => {
      seen.last = await statusOf(stage, stage.session);
      return seen.last === 'closed';
    });
    assert.equal((await stage.auditor.recording(stage.session.id)).state, 'none');
    const log = await exported(stage, stage.session, 'full');
    assert.deepEqual(
      log.filter(({ kind }) => kind === 'segment'),
      [],
    );
    const gaps = log.filter(({ kind }) => kind === 'gap');
    assert.ok(gaps.length > 0);
    for (const { reason, fromMs, toMs } of gaps) {
      assert.equal(reason, DISK_FULL);
      assert.ok(toMs >= fromMs);
    }
  },
});

story('A vault in trouble', open, steps);
