// Two servers on one PostgreSQL. People are in a room of the first, and whoever watches watches there;
// a request that changes or ends their session reaches the second, and so does what governance tells
// by Kafka. The first learns of it at once.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { asGovernance, call, startedSession } from './api.mjs';
import { Brokers } from './brokers.mjs';
import { evidence, verify } from './cabildo.mjs';
import { Person } from './person.mjs';
import { Postgres } from './postgres.mjs';
import { Server } from './server.mjs';
import { story } from './story.mjs';
import { until } from './until.mjs';

async function open(stage) {
  stage.directory = mkdtempSync(join(tmpdir(), 'cabildo-elsewhere-'));
  stage.postgres = await Postgres.start();
  const shared = {
    ...stage.postgres.environment,
    CABILDO_KEYS__DIRECTORY: join(stage.directory, 'keys'),
    CABILDO_VAULT__DIRECTORY: join(stage.directory, 'vault'),
  };
  stage.brokers = await Brokers.start();
  stage.server = await Server.start('here', shared);
  stage.other = await Server.start('elsewhere', { ...shared, ...stage.brokers.environment });
  stage.session = await startedSession(stage.server, { moderation: 'open' });
  stage.stop = async () => {
    await stage.other.destroy();
    await stage.server.stop('SIGKILL');
    await stage.brokers.stop();
    stage.postgres.stop();
    rmSync(stage.directory, { recursive: true, force: true });
  };
}

/** The room tells within this; the outbox is looked at five times a second. */
const TOLD_WITHIN_MS = 3_000;
/** And this many times what its answer to a wish takes, which a busy machine makes longer as well. */
const ANSWERS = 10;
/** Longer than a lease: whoever waits for it to run out has to be given this long. */
const TAKE_OVER_MS = 120_000;

/** Waits until the log of a session is closed, and verifies all of it; the types of its events. */
async function closed(stage, session) {
  const path = `/api/v1/sessions/${session.id}/audit-proof`;
  await until(
    'a closed log',
    async (seen) => {
      seen.last = (await call(stage.other, 'GET', path)).body.status;
      return seen.last === 'closed';
    },
    TAKE_OVER_MS,
  );
  const out = join(stage.directory, session.id);
  const done = await evidence(stage.other, 'export', session.id, '--out', out);
  assert.equal(done.code, 0, done.stderr + done.stdout);
  const verified = await verify(out);
  assert.equal(verified.code, 0, verified.stdout + verified.stderr);
  const room = `SELECT kind FROM room_events WHERE session_id = '${session.id}' ORDER BY seq`;
  return stage.postgres.sql('cabildo', room).split('\n');
}

/** How soon a room has to tell its member, on this machine as busy as it is now. */
async function soon(member) {
  const began = Date.now();
  const said = await member.request({ type: 'chat', text: 'De acuerdo' });
  assert.equal(said.type, 'ack', JSON.stringify(said));
  return TOLD_WITHIN_MS + ANSWERS * (said.cameAt - began);
}

const count = (kinds, wanted) => kinds.filter((kind) => kind === wanted).length;

/** Changes the session by the other server. */
async function change({ other, session }, wanted) {
  const match = { 'If-Match': `"${session.version}"` };
  const path = `/api/v1/sessions/${session.id}`;
  const changed = await asGovernance(other, 'PATCH', path, wanted, match);
  assert.equal(changed.status, 200, JSON.stringify(changed));
  session.version = changed.body.version;
}

story('A session that is changed by another instance', open, {
  'its members are told at once': async (stage, t) => {
    const { server, session } = stage;
    const person = await Person.of(server, { tenant: session.tenant_id, user: 'ana' });
    stage.ana = await person.enter(session.id);
    const told = stage.ana.told('live_viewing_changed');
    const began = Date.now();
    await change(stage, { live_viewing: true });
    assert.equal((await told).live_viewing, true);
    t.diagnostic(`after ${Date.now() - began} ms`);
  },

  'and so are those who watch': async (stage, t) => {
    const { server, session } = stage;
    const tenant = session.tenant_id;
    const body = { tenantId: tenant, sessionId: session.id };
    const issued = await asGovernance(server, 'POST', '/gateway/sessions', body);
    assert.equal(issued.status, 201, JSON.stringify(issued));
    const query = new URLSearchParams({ token: issued.body.token });
    const main = `${server.origin}/gateway/playback/${tenant}/session:${session.id}/index.m3u8?${query}`;
    const text = await until('a playlist', async () => {
      const answer = await fetch(main);
      return answer.ok && answer.text();
    });
    const media = new URL(
      text.split('\n').find((line) => /^[^#]/.test(line)),
      main,
    );
    const began = Date.now();
    await change(stage, { live_viewing: false });
    await until('the end', async () => (await (await fetch(media)).text()).includes('ENDLIST'));
    t.diagnostic(`after ${Date.now() - began} ms`);
  },

  'a vote that the other instance hears of is announced to them, once': async (stage, t) => {
    const { server, session, ana, brokers } = stage;
    const bob = await Person.of(server, { tenant: session.tenant_id, user: 'bob' });
    stage.bob = await bob.enter(session.id);
    const withinMs = await soon(ana);
    await brokers.startVote(session, { vote_id: 'budget', title: 'Presupuesto' });
    const began = Date.now();
    for (const person of [ana, stage.bob]) {
      const { cameAt } = await person.told('vote_announced', ({ vote_id }) => vote_id === 'budget');
      assert.ok(cameAt - began < withinMs, `after ${cameAt - began} ms`);
      t.diagnostic(`after ${cameAt - began} ms`);
    }
    // It is still their room.
    await soon(ana);
    await brokers.startVote(session, { vote_id: 'roof', title: 'Cubierta' });
    await ana.told('vote_announced', ({ vote_id }) => vote_id === 'roof');
    assert.equal(
      count(
        ana.messages.map(({ type }) => type),
        'vote_announced',
      ),
      2,
    );
  },

  'what would open the room a second time is refused': async (stage) => {
    const { other, session } = stage;
    const chair = await Person.of(other, {
      tenant: session.tenant_id,
      user: 'chair',
      roles: ['moderator'],
    });
    const path = `/api/v1/sessions/${session.id}/attendance/eligible`;
    const members = [{ user_id: 'ana', name: 'Ana', units: [{ id: 'A1', weight: '1' }] }];
    const refused = await chair.call('PUT', path, { members });
    assert.equal(refused.body.code, 'ROOM_ELSEWHERE', JSON.stringify(refused));
    assert.equal(refused.status, 409);
  },

  'its end is told to all, and its log closes': async (stage, t) => {
    const { other, session, ana, bob } = stage;
    const withinMs = await soon(ana);
    const began = Date.now();
    const ended = await asGovernance(other, 'POST', `/api/v1/sessions/${session.id}/end`);
    assert.equal(ended.status, 200, JSON.stringify(ended.body));
    for (const person of [ana, bob]) {
      const { cameAt } = await person.told('session_ended');
      assert.ok(cameAt - began < withinMs, `after ${cameAt - began} ms`);
      t.diagnostic(`after ${cameAt - began} ms`);
      assert.equal(await person.closed, 4410);
    }
    const kinds = await closed(stage, session);
    assert.equal(count(kinds, 'session_ended'), 1);
    assert.equal(count(kinds, 'vote_announced'), 2);
    for (const server of [stage.server, other]) {
      assert.doesNotMatch(server.log(), /the log is closed/);
    }
  },

  'and so does that of an assembly of which it hears': async (stage, t) => {
    const { server, brokers } = stage;
    const session = await startedSession(server, { moderation: 'open' });
    const person = await Person.of(server, { tenant: session.tenant_id, user: 'ana' });
    const ana = await person.enter(session.id);
    const withinMs = await soon(ana);
    const { tenant_id, assembly_id } = session;
    await brokers.tell('assembly.completed.v1', { tenant_id, assembly_id });
    const began = Date.now();
    const { cameAt } = await ana.told('session_ended');
    assert.ok(cameAt - began < withinMs, `after ${cameAt - began} ms`);
    t.diagnostic(`after ${cameAt - began} ms`);
    assert.equal(count(await closed(stage, session), 'session_ended'), 1);
  },

  'a session whose room was lost with its instance ends as well': async (stage, t) => {
    const { server, other } = stage;
    const session = await startedSession(server, { moderation: 'open' });
    const person = await Person.of(server, { tenant: session.tenant_id, user: 'ana' });
    await person.enter(session.id);
    await server.stop('SIGKILL');
    const began = Date.now();
    const ended = await asGovernance(other, 'POST', `/api/v1/sessions/${session.id}/end`);
    assert.equal(ended.status, 200, JSON.stringify(ended.body));
    const kinds = await closed(stage, session);
    t.diagnostic(`closed after ${Date.now() - began} ms`);
    assert.equal(count(kinds, 'session_ended'), 1);
    assert.doesNotMatch(other.log(), /the log is closed/);
  },
});
