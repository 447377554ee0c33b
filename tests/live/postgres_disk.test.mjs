// PostgreSQL is out of disk during a meeting in which people write, are registered and told of votes.
// It says so, what was acknowledged is there, what was refused is not, and the server goes on by
// itself once there is room.
//   CABILDO_DISK_ROUNDS  how often the disk is filled (1)
// Mounting a small file system takes the rights of root.
import assert from 'node:assert/strict';
import { asGovernance, call, startedSession } from './api.mjs';
import { Brokers } from './brokers.mjs';
import { closed } from './cabildo.mjs';
import { Decisions } from './decisions.mjs';
import { Person } from './person.mjs';
import { Postgres } from './postgres.mjs';
import { Server } from './server.mjs';
import { story } from './story.mjs';
import { until } from './until.mjs';

const ROUNDS = Number(process.env.CABILDO_DISK_ROUNDS ?? 1);
/** An empty cluster takes half of it. */
const DISK_MIB = 128;
const MEMBERS = 600;
const PEOPLE = ['ana', 'bea', 'carla', 'dora', 'eva', 'flor'];
/** Enough decisions to fill the pages that PostgreSQL has on disk. */
const DECISIONS_MAX = 500;
/** How long each kind of work goes on before and after the disk is full. */
const EACH = 3;

async function open(stage) {
  stage.postgres = await Postgres.start({ diskMib: DISK_MIB });
  stage.brokers = await Brokers.start();
  stage.server = new Server('postgres-disk', {
    ...stage.postgres.environment,
    ...stage.brokers.environment,
    CABILDO_LIMITS__WRITES_PER_TENANT_PER_MIN: '100000',
  });
  stage.stop = async () => {
    await stage.server.stop('SIGKILL');
    await stage.brokers.stop();
    stage.postgres.stop();
  };
  await stage.server.start();
  stage.session = await startedSession(stage.server, { moderation: 'moderated' });
  const { tenant_id: tenant, id } = stage.session;
  stage.chair = await Person.of(stage.server, { tenant, user: 'chair', roles: ['moderator'] });
  stage.channels = [];
  for (const user of PEOPLE) {
    const person = await Person.of(stage.server, { tenant, user });
    stage.channels.push(await person.enter(id));
  }
  stage.decisions = new Decisions(await stage.chair.enter(id), PEOPLE[0]);
  const members = Array.from({ length: MEMBERS }, (_, at) => ({
    user_id: `owner-${at}`,
    name: `Owner ${at}`,
    units: [{ id: `${at}`, weight: '1' }],
  }));
  stage.attendance = `/api/v1/sessions/${id}/attendance`;
  const given = await stage.chair.call('PUT', `${stage.attendance}/eligible`, { members });
  assert.equal(given.status, 200, JSON.stringify(given));
  stage.works = [new Chats(stage), new Registrations(stage), new Votes(stage)];
}

/** Work that is done one thing after the other, and of which each thing is acknowledged or refused. */
class Work {
  constructor(stage) {
    this.stage = stage;
    this.tried = 0;
    this.taken = [];
    this.refused = [];
  }

  /** Does one thing; answers whether it was acknowledged. */
  async once() {
    const number = this.tried;
    this.tried += 1;
    const isTaken = await this.ask(number);
    (isTaken ? this.taken : this.refused).push(this.named(number));
    return isTaken;
  }

  /** Goes on until so many things were acknowledged. */
  async take(times) {
    for (let met = 0; met < times;) if (await this.once()) met += 1;
  }
}

class Chats extends Work {
  named(number) {
    return `message ${number}`;
  }

  async ask(number) {
    // Nobody writes more than people may.
    const { channels } = this.stage;
    const channel = channels[Math.floor(number / EACH) % channels.length];
    const id = (channel.lastId += 1);
    channel.send({ type: 'chat', text: this.named(number), id });
    const answer = await until(`an answer to ${this.named(number)}`, () =>
      channel.messages.find(({ ref, type }) => ref === id && type !== 'pending'),
    );
    const isRefused = answer.type === 'error';
    if (isRefused) assert.equal(answer.code, 'DEPENDENCY_UNAVAILABLE', JSON.stringify(answer));
    return !isRefused;
  }

  /** What is stored of it. */
  stored() {
    return texts(this.stage, 'chat', 'text');
  }
}

class Registrations extends Work {
  named(number) {
    return `owner-${number}`;
  }

  async ask(number) {
    const { chair, attendance } = this.stage;
    const body = { user_id: this.named(number) };
    const answer = await chair.call('POST', `${attendance}/register-attendee`, body);
    if (answer.status === 200) return true;
    assert.equal(answer.body.code, 'DEPENDENCY_UNAVAILABLE', JSON.stringify(answer));
    assert.equal(answer.status, 503, JSON.stringify(answer));
    return false;
  }

  stored() {
    // Whoever is in the room is told of as well.
    const told = texts(this.stage, 'attendance_changed', 'user_id');
    return told.filter((user) => user.startsWith('owner-'));
  }
}

/** Votes are acknowledged to governance by the broker, which tells them until they are announced. */
class Votes extends Work {
  named(number) {
    return `vote-${number}`;
  }

  async ask(number) {
    const { brokers, session } = this.stage;
    await brokers.startVote(session, { vote_id: this.named(number), title: 'Presupuesto' });
    return true;
  }

  stored() {
    return texts(this.stage, 'vote_announced', 'vote_id');
  }
}

/** One field of what the room has told, as PostgreSQL has it. */
function texts({ postgres, session }, kind, field) {
  const told = postgres.sql(
    'cabildo',
    `SELECT payload::json->>'${field}' FROM room_events
      WHERE session_id = '${session.id}' AND kind = '${kind}' ORDER BY seq`,
  );
  return told === '' ? [] : told.split('\n');
}

const readiness = async ({ server }) => (await call(server, 'GET', '/health/ready')).status;
const logged = ({ postgres }, text) => postgres.log().split(text).length - 1;

/**
 * Decides until the pages that PostgreSQL has are full. Answers the decision that has no outcome yet,
 * if there is one.
 */
async function untilFull({ decisions }) {
  for (let made = 0; made < DECISIONS_MAX; made += 1) {
    const decision = decisions.ask();
    await until('a refusal', () => decision.answer() || decision.isPending());
    if (!decision.answer()) return decision;
    if (!decisions.settle(decision)) return null;
  }
  throw new Error('nothing was refused');
}

const steps = {
  'everybody is refused and told so while the disk is full, and goes on once it is not': async (
    stage,
    t,
  ) => {
    const { works, postgres, server, decisions } = stage;
    const process = server.child.pid;
    for (let round = 0; round < ROUNDS; round += 1) {
      await Promise.all(works.map((work) => work.take(EACH)));
      const before = logged(stage, 'No space left on device');
      const free = postgres.fill();
      const waiting = await untilFull(stage);
      // Each is refused, or waits for what becomes of its COMMIT when PostgreSQL has ended at it.
      const meanwhile = works.map((work) => work.once());
      await until('a server that says that it is not ready', async (seen) => {
        seen.last = await readiness(stage);
        return seen.last === 503;
      });
      assert.ok(logged(stage, 'No space left on device') > before, 'it had room');
      free();
      postgres.revive();
      if (waiting !== null) {
        await until('the outcome', waiting.answer);
        decisions.settle(waiting);
      }
      await Promise.all(meanwhile);
      await Promise.all(works.map((work) => work.take(EACH)));
      await until('a server that is ready', async (seen) => {
        seen.last = await readiness(stage);
        return seen.last === 200;
      });
    }
    assert.equal(server.child.pid, process);
    const told = works.map(({ taken, refused }) => `${taken.length} and ${refused.length}`);
    t.diagnostic(`chats, registrations and votes, taken and refused: ${told.join(', ')}`);
  },

  'what was acknowledged is there, once, and nothing that was refused is': async (stage) => {
    for (const work of stage.works) {
      await until(`all of ${work.constructor.name}`, (seen) => {
        seen.last = work.stored();
        return seen.last.length >= work.taken.length;
      });
      assert.deepEqual(work.stored(), work.taken, work.constructor.name);
    }
    const present = await stage.chair.call('GET', `${stage.attendance}?present=true&limit=200`);
    const registered = present.body.items.filter(({ method }) => method === 'manual');
    assert.deepEqual(
      registered.map(({ user_id }) => user_id).sort(),
      [...stage.works[1].taken].sort(),
    );
    const { taken, refused } = stage.decisions;
    assert.ok(refused + stage.works.flatMap((work) => work.refused).length > 0, `${taken.length}`);
  },

  'the log of the meeting is whole': async (stage) => {
    const { server, session } = stage;
    const ended = await asGovernance(server, 'POST', `/api/v1/sessions/${session.id}/end`);
    assert.equal(ended.status, 200, JSON.stringify(ended));
    const proof = `${server.origin}/api/v1/sessions/${session.id}/audit-proof`;
    assert.deepEqual((await closed(proof)).report.problems, []);
  },
};

story('PostgreSQL that is out of disk', open, steps, { stepMs: 300_000 + 30_000 * ROUNDS });
