// Two servers on one PostgreSQL that get the same request at the same moment: what it asks for is
// made once when it names itself by an `Idempotency-Key`, and whatever it is without one, neither
// server fails at it.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { asGovernance, call, scheduledSession, startedSession } from './api.mjs';
import { Person } from './person.mjs';
import { Postgres } from './postgres.mjs';
import { Server } from './server.mjs';
import { story } from './story.mjs';
import { until } from './until.mjs';

/** How often each request is made at once, with a key and without one. */
const ROUNDS = 4;
const SESSIONS = '/api/v1/sessions';

async function open(stage) {
  stage.directory = mkdtempSync(join(tmpdir(), 'cabildo-at-once-'));
  stage.postgres = await Postgres.start();
  const shared = {
    ...stage.postgres.environment,
    CABILDO_KEYS__DIRECTORY: join(stage.directory, 'keys'),
    CABILDO_VAULT__DIRECTORY: join(stage.directory, 'vault'),
    CABILDO_LIMITS__WRITES_PER_USER_PER_MIN: '1000',
    CABILDO_TENANTS__DEFAULT__MAX_ACTIVE_SESSIONS: '1000',
  };
  stage.server = await Server.start('at-once', shared);
  stage.other = await Server.start('at-once-other', shared);
  stage.session = await startedSession(stage.server, { moderation: 'open', live_viewing: true });
  stage.tenant = stage.session.tenant_id;
  stage.both = [stage.server, stage.other];
  const moderator = { tenant: stage.tenant, user: 'chair', roles: ['moderator'] };
  stage.chairs = await Promise.all(stage.both.map((server) => Person.of(server, moderator)));
  stage.stop = async () => {
    await stage.other.destroy();
    await stage.server.stop('SIGKILL');
    stage.postgres.stop();
    rmSync(stage.directory, { recursive: true, force: true });
  };
}

const count = ({ postgres }, from) =>
  Number(postgres.sql('cabildo', `SELECT count(*) FROM ${from}`));
const keyed = (key) => (key === undefined ? {} : { 'Idempotency-Key': key });

/** A request of a service to either server. */
function ofService(stage, method, path, body, more = {}) {
  return async (at, key) => {
    const answer = await asGovernance(stage.both[at], method, path, body, {
      ...more,
      ...keyed(key),
    });
    const { status, headers } = answer;
    const replayed = headers['idempotency-replayed'] === 'true';
    return { status, body: answer.body, replayed, retryAfter: headers['retry-after'] ?? null };
  };
}

/** A request of the moderator to either server. */
function ofChair(stage, method, path, body, more = {}) {
  return (at, key) => stage.chairs[at].call(method, path, body, { ...more, ...keyed(key) });
}

const isDone = ({ status }) => status >= 200 && status < 300;
const ask = (request, key) => Promise.all([request(0, key), request(1, key)]);

/** The refusals that a request may meet that comes a second time before the first is answered. */
function isInUse({ status, body, retryAfter }) {
  return status === 409 && body.code === 'IDEMPOTENCY_KEY_IN_USE' && Number(retryAfter) > 0;
}

/** What the request has made is there once, whoever is asked and however often. */
async function isMadeOnce(what, { request, made, names, elsewhere }) {
  const key = randomUUID();
  const answers = await ask(request, key);
  const told = `${what}: ${JSON.stringify(answers)}`;
  const isExpected = (it) => isDone(it) || isInUse(it) || it.body.code === elsewhere;
  assert.ok(answers.every(isExpected), told);
  assert.ok(answers.some(isDone) || elsewhere !== undefined, told);
  const later = [];
  for (const at of [0, 1]) {
    later.push(
      await until(`${what}, again`, async (seen) => {
        seen.last = await request(at, key);
        return isDone(seen.last) || seen.last.body.code === elsewhere ? seen.last : null;
      }),
    );
  }
  const done = [...answers, ...later].filter(isDone);
  const named = new Set(done.map(({ body }) => JSON.stringify(names(body))));
  assert.equal(named.size, 1, `${what}: ${JSON.stringify(done)}`);
  assert.equal(
    done.filter(({ replayed }) => !replayed).length,
    1,
    `${what}: ${JSON.stringify(done)}`,
  );
  assert.equal(made(), 1, told);
}

/** Whatever becomes of it without a key, neither server fails, and at most `most` are made. */
async function isMadeWithoutKey(what, { request, made, least = 1, most = 1, refusals = [] }) {
  const answers = await ask(request);
  const told = `${what}: ${JSON.stringify(answers)}`;
  assert.ok(
    answers.every((it) => isDone(it) || refusals.includes(it.body.code)),
    told,
  );
  assert.ok(answers.some(isDone), told);
  assert.ok(made() >= least && made() <= most, `${what}: ${made()} were made, ${told}`);
}

/** Each request, by what it asks for; of a new thing each time. */
const REQUESTS = {
  session: (stage) => {
    const assembly = randomUUID();
    const body = {
      tenant_id: stage.tenant,
      assembly_id: assembly,
      title: 'Junta',
      modality: 'mixed',
    };
    return {
      request: ofService(stage, 'POST', SESSIONS, body),
      made: () => count(stage, `sessions WHERE assembly_id = '${assembly}'`),
      names: ({ id }) => id,
      least: 2,
      most: 2,
    };
  },
  'start of a session': async (stage) => {
    const { id } = await scheduledSession(stage.server, { tenant_id: stage.tenant });
    return {
      request: ofService(stage, 'POST', `${SESSIONS}/${id}/start`),
      made: () =>
        count(stage, `session_events WHERE session_id = '${id}' AND kind LIKE '%started%'`),
      names: ({ id }) => id,
      refusals: ['SESSION_STATE_CONFLICT', 'SESSION_OVER'],
    };
  },
  'end of a session': async (stage) => {
    const { id } = await startedSession(stage.server, { tenant_id: stage.tenant });
    return {
      request: ofService(stage, 'POST', `${SESSIONS}/${id}/end`),
      made: () => count(stage, `session_events WHERE session_id = '${id}' AND kind LIKE '%ended%'`),
      names: ({ id }) => id,
      refusals: ['SESSION_STATE_CONFLICT', 'SESSION_OVER'],
    };
  },
  'cancelling of a session': async (stage) => {
    const { id } = await scheduledSession(stage.server, { tenant_id: stage.tenant });
    const cancelled = `session_events WHERE session_id = '${id}' AND kind LIKE '%cancelled%'`;
    return {
      request: ofService(stage, 'POST', `${SESSIONS}/${id}/cancel`),
      made: () => count(stage, cancelled),
      names: ({ id }) => id,
      refusals: ['SESSION_STATE_CONFLICT', 'SESSION_OVER'],
    };
  },
  'media token': async (stage) => {
    const { id } = await startedSession(stage.server, { tenant_id: stage.tenant });
    const body = { kind: 'whip', ttl_s: 3600 };
    return {
      request: ofChair(stage, 'POST', `${SESSIONS}/${id}/media-tokens`, body),
      made: () => count(stage, `media_tokens WHERE session_id = '${id}'`),
      names: ({ id }) => id,
      least: 2,
      most: 2,
    };
  },
  'stream session': async (stage) => {
    const session = await startedSession(stage.server, { live_viewing: true });
    const { id } = session;
    const body = { tenantId: session.tenant_id, sessionId: id };
    return {
      request: ofService(stage, 'POST', '/gateway/sessions', body),
      made: () => count(stage, `stream_sessions WHERE camera_id = 'session:${id}'`),
      names: ({ sid, token }) => [sid, token],
      least: 2,
      most: 2,
    };
  },
  stream: (stage) => {
    const camera = randomUUID();
    const body = { camera_id: camera, source_url: 'rtsp://viewer:first@127.0.0.1:9/live' };
    const tenant = { 'X-Tenant-ID': randomUUID() };
    return {
      request: ofService(stage, 'POST', '/api/streams/start', body, tenant),
      made: () => count(stage, `camera_streams WHERE camera_id = '${camera}'`),
      names: ({ id }) => id,
      refusals: ['STREAM_ALREADY_ACTIVE'],
    };
  },
  'minutes that are confirmed': async (stage) => {
    const { id } = await startedSession(stage.server, { tenant_id: stage.tenant });
    const ended = await asGovernance(stage.server, 'POST', `${SESSIONS}/${id}/end`);
    assert.equal(ended.status, 200, JSON.stringify(ended));
    await until('a closed log', async (seen) => {
      seen.last = (await call(stage.server, 'GET', `${SESSIONS}/${id}/audit-proof`)).body.status;
      return seen.last === 'closed';
    });
    const path = `${SESSIONS}/${id}/minutes`;
    const versions = async () => (await stage.chairs[0].call('GET', `${path}/versions`)).body;
    const state = { versions: [] };
    const put = ofChair(
      stage,
      'PUT',
      path,
      { language: 'es', text: `Acta ${id}` },
      { 'If-Match': '"0"' },
    );
    return {
      request: async (at, key) => {
        const answer = await put(at, key);
        state.versions = (await versions()).items;
        return answer;
      },
      made: () => state.versions.length,
      names: ({ version }) => version,
      refusals: ['VERSION_CONFLICT'],
    };
  },
  'person who is registered': async (stage) => {
    const { id } = await startedSession(stage.server, { tenant_id: stage.tenant });
    const members = [{ user_id: 'ana', name: 'Ana', units: [{ id: '101', weight: '60' }] }];
    const path = `${SESSIONS}/${id}/attendance`;
    const given = await stage.chairs[0].call('PUT', `${path}/eligible`, { members });
    assert.equal(given.status, 200, JSON.stringify(given));
    const told = `room_events WHERE session_id = '${id}' AND kind = 'attendance_changed'`;
    return {
      request: ofChair(stage, 'POST', `${path}/register-attendee`, { user_id: 'ana' }),
      made: () => count(stage, told),
      names: ({ user_id }) => user_id,
      elsewhere: 'ROOM_ELSEWHERE',
      refusals: ['ROOM_ELSEWHERE'],
    };
  },
  'eligible list of a room that nobody has opened': async (stage) => {
    const { id } = await startedSession(stage.server, { tenant_id: stage.tenant });
    const members = [{ user_id: 'ana', name: 'Ana', units: [{ id: '101', weight: '60' }] }];
    return {
      request: ofChair(stage, 'PUT', `${SESSIONS}/${id}/attendance/eligible`, { members }),
      made: () =>
        count(stage, `room_events WHERE session_id = '${id}' AND kind = 'quorum_changed'`),
      names: (body) => body,
      elsewhere: 'ROOM_ELSEWHERE',
      // While one of them opens the room, the other knows only that it can't.
      refusals: ['ROOM_ELSEWHERE', 'DEPENDENCY_UNAVAILABLE'],
    };
  },
};

/** Requests that may come twice by themselves: the same thing is made once, key or not. */
const REPEATABLE = {
  camera: (stage) => {
    const camera = randomUUID();
    const body = { tenantId: randomUUID(), cameraId: camera, rtspUrl: 'rtsp://127.0.0.1:9/live' };
    return {
      request: ofService(stage, 'POST', '/gateway/provision', body),
      made: () => count(stage, `cameras WHERE id = '${camera}'`),
    };
  },
  capture: (stage) => {
    const id = randomUUID();
    const body = {
      sessionId: id,
      deviceId: 'box',
      streamPath: '/live',
      edgeStartTs: new Date().toISOString(),
    };
    const tenant = { 'X-Tenant-ID': randomUUID() };
    return {
      request: ofService(stage, 'POST', '/store/sessions', body, tenant),
      made: () => count(stage, `capture_sessions WHERE id = '${id}'`),
    };
  },
};

const steps = {};
for (const [what, thing] of Object.entries(REQUESTS)) {
  steps[`${what}: once with a key, and no failure without one`] = async (stage) => {
    for (let round = 0; round < ROUNDS; round += 1) {
      await isMadeOnce(what, await thing(stage));
      await isMadeWithoutKey(what, await thing(stage));
    }
  };
}
for (const [what, thing] of Object.entries(REPEATABLE)) {
  steps[`${what}: once, with a key and without one`] = async (stage) => {
    for (let round = 0; round < ROUNDS; round += 1) {
      await isMadeWithoutKey(what, await thing(stage));
    }
  };
}

steps['a media token that both are asked for again has one text'] = async (stage) => {
  const { postgres, session } = stage;
  const path = `${SESSIONS}/${session.id}/media-tokens`;
  const request = ofChair(stage, 'POST', path, { kind: 'whip', ttl_s: 3600 });
  const key = randomUUID();
  const first = await request(0, key);
  assert.equal(first.status, 201, JSON.stringify(first));
  // Whoever gives the token another text waits, so that both are asked meanwhile.
  const release = await postgres.hold(`media_tokens WHERE id = '${first.body.id}'`);
  const asked = [request(0, key), request(1, key)];
  const refused = await Promise.race(asked);
  release();
  const answers = await Promise.all(asked);
  assert.ok(isInUse(refused), JSON.stringify(answers));
  assert.deepEqual(answers.map(({ status }) => status).sort(), [201, 409]);
  const { body } = answers.find(isDone);
  const offered = await call(stage.server, 'POST', `${SESSIONS}/${session.id}/whip`, {
    token: body.token,
    type: 'application/sdp',
    body: 'v=0',
  });
  // The token is taken; what is offered is none.
  assert.equal(offered.body.code, 'SDP_INVALID', JSON.stringify(offered));
};

story('Two servers that are asked for the same at once', open, steps);
