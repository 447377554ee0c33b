// PostgreSQL fails during a meeting: its disk is full, so that it refuses writes or ends
// with PANIC; it is restarted in order and as after a crash; connections are cut before
// and after a COMMIT; COMMITs are refused. What was acknowledged is there, nothing that
// was refused is, and the server goes on without a restart.
//   CABILDO_ATTACK=long    more rounds
// Mounting a small file system takes the rights of root.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { asGovernance, call, scheduledSession, startedSession } from './api.mjs';
import { closed } from './cabildo.mjs';
import { Decisions } from './decisions.mjs';
import { Person } from './person.mjs';
import { Postgres } from './postgres.mjs';
import { AWAY, FATES, PostgresProxy } from './postgres_proxy.mjs';
import { Server } from './server.mjs';
import { story } from './story.mjs';
import { until } from './until.mjs';

const isLong = process.env.CABILDO_ATTACK === 'long';
/** How often the disk is full, the server is restarted, and each fate is met. */
const ROUNDS = isLong ? 12 : 2;
const FATE_ROUNDS = isLong ? 10 : 1;
/** An empty cluster takes half of it. */
const DISK_MIB = 128;
/** Enough decisions to fill the pages that PostgreSQL has on disk. */
const DECISIONS_MAX = 500;
/** Messages in the write-ahead log, a file of it each, after which there is no file left. */
const MESSAGES_MAX = 100;
/** Some governance services repeat a request this often. */
const TRIES_MAX = 10;
const SESSIONS = '/api/v1/sessions';

async function open(stage) {
  stage.postgres = await Postgres.start({ diskMib: DISK_MIB });
  stage.proxy = await PostgresProxy.start(stage.postgres.port);
  const environment = stage.postgres.environmentThrough(stage.proxy.port);
  stage.server = new Server('faulty-postgres', environment);
  stage.stop = async () => {
    await stage.server.stop('SIGKILL');
    stage.proxy.stop();
    stage.postgres.stop();
  };
  await stage.server.start();
  stage.session = await startedSession(stage.server, { moderation: 'moderated' });
  const enter = async (user, roles) => {
    const person = await Person.of(stage.server, { tenant: stage.session.tenant_id, user, roles });
    return person.enter(stage.session.id);
  };
  await enter('bea', ['participant']);
  stage.decisions = new Decisions(await enter('ana', ['moderator']), 'bea');
}

const readiness = async ({ server }) => (await call(server, 'GET', '/health/ready')).status;

/** What the room has told of decisions, as PostgreSQL has it. */
function stored({ postgres, session }) {
  const kinds = postgres.sql(
    'cabildo',
    `SELECT kind FROM room_events WHERE session_id = '${session.id}'
      AND kind IN ('user_muted', 'user_unmuted') ORDER BY seq`,
  );
  return kinds === '' ? [] : kinds.split('\n');
}

/** It decides and is ready again, and what is stored is what was acknowledged. */
async function isHealed(stage, what) {
  await until(`${what}: a decision afterwards`, () => stage.decisions.decide(what));
  await until(`${what}: ready again`, async () => (await readiness(stage)) === 200);
  assert.deepEqual(stored(stage), stage.decisions.taken, what);
}

/** How often PostgreSQL has logged something. */
const logged = ({ postgres }, text) => postgres.log().split(text).length - 1;

/** Has PostgreSQL need new files for its write-ahead log until it ends. */
function endWithPanic(stage) {
  const panics = () => logged(stage, 'PANIC');
  const before = panics();
  const write = "SELECT pg_logical_emit_message(false, 'fill', repeat('x', 1000000))";
  for (let messages = 0; messages < MESSAGES_MAX && panics() === before; messages += 1) {
    try {
      stage.postgres.sql('cabildo', write);
    } catch {
      // The last one is cut off.
    }
  }
  assert.ok(panics() > before, 'PostgreSQL did not end');
}

/**
 * Decides until something is refused. Answers the decision that has no outcome yet, if
 * there is one: PostgreSQL may end at a COMMIT, and the room waits for what became of it.
 */
async function decideUntilRefused({ decisions }, what) {
  for (let made = 0; made < DECISIONS_MAX; made += 1) {
    const decision = decisions.ask();
    await until(what, () => decision.answer() || decision.isPending());
    if (!decision.answer()) return decision;
    if (!decisions.settle(decision)) return null;
  }
  throw new Error(`${what}: nothing was refused`);
}

/** The same request until it succeeds, as a caller repeats it. */
async function govern(stage, path, body, key) {
  const statuses = [];
  for (;;) {
    const headers = { 'Idempotency-Key': key };
    const answer = await asGovernance(stage.server, 'POST', path, body, headers);
    statuses.push(answer.status);
    if (answer.status < 300) return { ...answer, statuses };
    assert.equal(answer.body.code, 'DEPENDENCY_UNAVAILABLE', JSON.stringify(answer.body));
    assert.ok(statuses.length < TRIES_MAX, `${path}: ${statuses}`);
  }
}

const steps = {
  'a disk that is full is a refusal, and over when there is room': async (stage, t) => {
    const { decisions } = stage;
    for (let round = 0; round < ROUNDS; round += 1) {
      const what = `the disk is full for the ${round + 1}. time`;
      for (let made = 0; made < round % 5; made += 1) assert.ok(await decisions.decide(what));
      const before = logged(stage, 'No space left on device');
      const free = stage.postgres.fill();
      const waiting = await decideUntilRefused(stage, what);
      assert.ok(logged(stage, 'No space left on device') > before, `${what}: it had room`);
      await until(`${what}: not ready`, async (seen) => {
        seen.last = await readiness(stage);
        return seen.last === 503;
      });
      free();
      stage.postgres.revive();
      if (waiting !== null) {
        await until(`${what}: the outcome`, waiting.answer);
        decisions.settle(waiting);
      }
      await isHealed(stage, what);
    }
    const { taken, refused } = decisions;
    t.diagnostic(`${ROUNDS} times full: ${taken.length} decisions taken, ${refused} refused`);
  },

  'PostgreSQL that ends with PANIC is waited for': async (stage) => {
    for (let round = 0; round < ROUNDS; round += 1) {
      const what = `PANIC for the ${round + 1}. time`;
      const free = stage.postgres.fill();
      endWithPanic(stage);
      const decision = stage.decisions.ask();
      free();
      stage.postgres.revive();
      await until(`${what}: the outcome`, decision.answer);
      stage.decisions.settle(decision);
      await isHealed(stage, what);
    }
  },

  'PostgreSQL that is restarted is waited for': async (stage) => {
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const mode of ['fast', 'immediate']) {
        const what = `restarted, ${mode}, for the ${round + 1}. time`;
        const asked = stage.decisions.ask();
        stage.postgres.restart(mode);
        await until(`${what}: the outcome`, asked.answer);
        stage.decisions.settle(asked);
        await isHealed(stage, what);
      }
    }
  },

  'a connection that is cut at a COMMIT of the room lets nothing be lost or invented': async (
    stage,
  ) => {
    for (let round = 0; round < FATE_ROUNDS; round += 1) {
      for (const fate of Object.values(FATES)) {
        const plan = stage.proxy.next(fate, 'room_events');
        const taken = await stage.decisions.decide(fate);
        assert.ok(plan.happened(), `${fate}: no COMMIT was met`);
        // What PostgreSQL committed is found, and acknowledged.
        assert.equal(taken, fate === FATES.CUT_AFTER, fate);
        await isHealed(stage, fate);
      }
    }
  },

  'what governance asks for happens once, whichever COMMIT is cut': async (stage) => {
    for (let round = 0; round < FATE_ROUNDS; round += 1) {
      for (const fate of Object.values(FATES)) {
        const body = {
          tenant_id: stage.session.tenant_id,
          assembly_id: randomUUID(),
          title: 'Junta',
          modality: 'mixed',
        };
        const plan = stage.proxy.next(fate, 'sessions');
        const created = await govern(stage, SESSIONS, body, randomUUID());
        assert.ok(plan.happened(), `${fate}: no COMMIT was met`);
        const count = `SELECT count(*) FROM sessions WHERE assembly_id = '${body.assembly_id}'`;
        assert.equal(stage.postgres.sql('cabildo', count), '1', `${fate}: ${created.statuses}`);
      }
    }
  },

  'a session starts and ends once, whichever COMMIT is cut': async (stage) => {
    for (const fate of Object.values(FATES)) {
      const { id } = await scheduledSession(stage.server);
      for (const [step, kind] of [
        ['start', 'started'],
        ['end', 'ended'],
      ]) {
        const plan = stage.proxy.next(fate, 'sessions');
        await govern(stage, `${SESSIONS}/${id}/${step}`, undefined, randomUUID());
        assert.ok(plan.happened(), `${fate}: no COMMIT was met`);
        const count = `SELECT count(*) FROM session_events WHERE session_id = '${id}'
          AND kind LIKE '%${kind}%'`;
        assert.equal(stage.postgres.sql('cabildo', count), '1', `${step}, ${fate}`);
      }
    }
  },

  'a request whose COMMIT is not known is pending, and the same request when it comes again':
    async (stage) => {
      const body = {
        tenant_id: stage.session.tenant_id,
        assembly_id: randomUUID(),
        title: 'Junta',
        modality: 'mixed',
      };
      const headers = { 'Idempotency-Key': randomUUID() };
      const create = () => asGovernance(stage.server, 'POST', SESSIONS, body, headers);
      const plan = stage.proxy.next(AWAY, 'sessions');
      const first = create();
      await until('the COMMIT', plan.happened);
      const second = await create();
      assert.equal(second.status, 409, JSON.stringify(second.body));
      assert.equal(second.body.code, 'IDEMPOTENCY_KEY_IN_USE');
      if (isLong) {
        // After 50 seconds the caller is told, and may ask again.
        const answer = await first;
        assert.equal(answer.status, 503);
        assert.equal(answer.body.details.outcome, 'unknown');
        stage.proxy.back();
      } else {
        stage.proxy.back();
        assert.equal((await first).status, 201);
      }
      const repeated = await until('the outcome', async (seen) => {
        seen.last = await create();
        return seen.last.status === 201 ? seen.last : null;
      });
      assert.equal(repeated.headers['idempotency-replayed'], 'true');
      const known = `SELECT count(*) FROM sessions WHERE assembly_id = '${body.assembly_id}'`;
      assert.equal(stage.postgres.sql('cabildo', known), '1');
      await isHealed(stage, 'back again');
    },

  'the log of the meeting is whole, and kill -9 loses nothing': async (stage) => {
    const { server, session, decisions } = stage;
    assert.ok(decisions.refused > 0, 'nothing was ever refused');
    await server.stop('SIGKILL');
    assert.deepEqual(stored(stage), decisions.taken);
    await server.start();
    await govern(stage, `${SESSIONS}/${session.id}/end`, undefined, randomUUID());
    const proof = `${server.origin}${SESSIONS}/${session.id}/audit-proof`;
    assert.deepEqual((await closed(proof)).report.problems, []);
  },
};

story('PostgreSQL that fails', open, steps);
