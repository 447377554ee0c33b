// Two servers on one PostgreSQL and one bucket keep the log and the recording of one meeting. Whichever
// of them signs, each size of the log has one root, and whoever held a head finds it continued. What one
// erases, while it is cut off from the bucket, nobody reads through the other, whose room it was.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { asGovernance, call, startedSession } from './api.mjs';
import { Bucket } from './bucket.mjs';
import { cabildo, saveHeads, verify } from './cabildo.mjs';
import { Peer } from './peer.mjs';
import { Person } from './person.mjs';
import { Postgres } from './postgres.mjs';
import { Server } from './server.mjs';
import { story } from './story.mjs';
import { until } from './until.mjs';

const SESSIONS = '/api/v1/sessions';
/** Longer than a lease: whoever waits for it to run out has to be given this long. */
const TAKE_OVER_MS = 120_000;
/** A word of the meeting that must be nowhere once it is erased. */
const SAID = 'hortensias-azules';

async function open(stage) {
  stage.directory = mkdtempSync(join(tmpdir(), 'cabildo-two-keepers-'));
  stage.postgres = await Postgres.start();
  stage.bucket = await Bucket.start();
  const shared = {
    ...stage.bucket.environment,
    ...stage.postgres.environment,
    CABILDO_KEYS__DIRECTORY: join(stage.directory, 'keys'),
  };
  stage.server = await Server.start('keeper', shared);
  stage.other = await Server.start('keeper-other', shared);
  stage.roots = new Map();
  stage.stop = async () => {
    stage.peer?.kill();
    await stage.other.destroy();
    await stage.server.stop('SIGKILL');
    await stage.bucket.stop();
    stage.postgres.stop();
    rmSync(stage.directory, { recursive: true, force: true });
  };
}

/** Notes what a server tells of the log; a size that has another root was signed twice. */
async function note(stage, server) {
  const answer = await call(server, 'GET', `${SESSIONS}/${stage.session.id}/audit-proof`);
  if (answer.status !== 200) return answer.body;
  const { tree_size: size, root } = answer.body.head;
  const known = stage.roots.get(size);
  assert.ok(known === undefined || known === root, `two roots of ${size} entries`);
  stage.roots.set(size, root);
  return answer.body;
}

const noteBoth = (stage) => Promise.all([note(stage, stage.server), note(stage, stage.other)]);

/** `cabildo evidence erase` with the configuration of the second server, or some of it changed. */
function erase(stage, changed = {}) {
  const { other, session } = stage;
  const place = ['--data-dir', other.dataDir, '--http', other.addresses.http];
  const env = { ...other.environment, ...changed };
  return cabildo(['evidence', 'erase', session.id, '--reason', 'requested', ...place], { env });
}

const objectsOf = ({ bucket, session }) =>
  bucket.segments().filter((path) => path.includes(session.id));

story('Two servers that keep one log', open, {
  'each size of the log has one root, whoever is asked': async (stage) => {
    const wanted = { moderation: 'open', recording: { enabled: true, retention_days: 30 } };
    stage.session = await startedSession(stage.server, wanted);
    const { server, session } = stage;
    const tenant = session.tenant_id;
    const person = await Person.of(server, { tenant, user: 'ana', roles: ['moderator'] });
    stage.ana = await person.enter(session.id);
    const token = await person.mediaToken(session.id, 'whip');
    stage.peer = new Peer('whip', `${server.origin}${SESSIONS}/${session.id}/whip`, token);
    await stage.peer.told('a connection', ({ state }) => state === 'connected');
    await until(
      'objects in the bucket, and six heads',
      async (seen) => {
        const said = await stage.ana.request({ type: 'chat', text: SAID });
        assert.ok(['ack', 'error'].includes(said.type));
        await noteBoth(stage);
        seen.last = [objectsOf(stage).length, stage.roots.size];
        return seen.last[0] >= 4 && seen.last[1] >= 6;
      },
      TAKE_OVER_MS,
    );
  },

  'what is still recorded is not erased by the other': async (stage) => {
    const before = objectsOf(stage).length;
    const refused = await erase(stage);
    assert.equal(refused.code, 1, refused.stdout + refused.stderr);
    assert.ok(objectsOf(stage).length >= before);
    assert.equal((await stage.ana.request({ type: 'ping' })).type, 'ack');
  },

  'the other goes on with the log when that one is killed, and contradicts no head': async (
    stage,
  ) => {
    const { server, other, session, directory } = stage;
    const held = stage.ana.heads();
    assert.ok(held.length >= 2, `${held.length} heads`);
    await server.stop('SIGKILL');
    stage.peer.kill();
    const ended = await asGovernance(other, 'POST', `${SESSIONS}/${session.id}/end`);
    assert.equal(ended.status, 200, JSON.stringify(ended.body));
    // The first one comes back while the other closes the log.
    await server.start();
    await until(
      'a closed log',
      async (seen) => {
        const [here, there] = await noteBoth(stage);
        seen.last = [here.status, there.status];
        return here.status === 'closed' && there.status === 'closed';
      },
      TAKE_OVER_MS,
    );
    const heads = saveHeads(directory, session.id, held);
    for (const { origin } of [server, other]) {
      const url = `${origin}${SESSIONS}/${session.id}/audit-proof`;
      const verified = await verify(url, '--heads', heads);
      assert.equal(verified.code, 0, verified.stdout + verified.stderr);
    }
  },

  'what one erases that is cut off from the bucket is unreadable through the other': async (
    stage,
  ) => {
    const { server, other, session } = stage;
    const tenant = session.tenant_id;
    const people = await Promise.all(
      [server, other].map((at) => Person.of(at, { tenant, user: 'auditor', roles: ['auditor'] })),
    );
    // Both have it, and what they keep of it in memory.
    const transcript = `${SESSIONS}/${session.id}/report`;
    for (const person of people) {
      const seen = await person.call('GET', transcript);
      assert.equal(seen.status, 200, JSON.stringify(seen));
    }
    const kept = objectsOf(stage).length;
    assert.ok(kept > 0);
    const cut = await erase(stage, { CABILDO_VAULT__S3__ENDPOINT: 'http://127.0.0.1:9' });
    assert.equal(cut.code, 0, JSON.stringify(cut));
    assert.match(cut.stdout, /objects could not be deleted/);
    assert.equal(objectsOf(stage).length, kept);
    for (const person of people) {
      assert.equal((await person.recording(session.id)).state, 'erased');
      const gone = await person.call('GET', transcript);
      assert.ok(!JSON.stringify(gone.body).includes(SAID), JSON.stringify(gone));
      assert.notEqual(gone.status, 200, JSON.stringify(gone));
    }
    const dump = stage.postgres.sql(
      'cabildo',
      `SELECT string_agg(payload, ' ') FROM room_events WHERE session_id = '${session.id}'`,
    );
    assert.ok(!dump.includes(SAID), 'the events have it');
    const again = await erase(stage);
    assert.equal(again.code, 0, again.stdout + again.stderr);
    assert.deepEqual(objectsOf(stage), []);
    for (const { origin } of [server, other]) {
      const verified = await verify(`${origin}${SESSIONS}/${session.id}/audit-proof`);
      assert.equal(verified.code, 0, verified.stdout + verified.stderr);
    }
  },
});
