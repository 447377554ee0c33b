// A data directory that is full for a while, again and again, during a meeting:
// what was acknowledged is there after a stop, and the server heals by itself.
//   CABILDO_DISK_ROUNDS  how often the disk is filled (10)
// Mounting a small file system takes the rights of root.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { call, startedSession } from './api.mjs';
import { Person } from './person.mjs';
import { Server } from './server.mjs';
import { fillDisk } from './small_disk.mjs';
import { story } from './story.mjs';
import { until } from './until.mjs';

const ROUNDS = Number(process.env.CABILDO_DISK_ROUNDS ?? 10);
const DISK_MIB = 256;

async function open(stage) {
  stage.server = new Server('disk');
  const size = `size=${DISK_MIB}m`;
  execFileSync('mount', ['-t', 'tmpfs', '-o', size, 'tmpfs', stage.server.dataDir]);
  stage.stop = async () => {
    await stage.server.stop('SIGKILL');
    execFileSync('umount', ['-l', stage.server.dataDir]);
  };
  await stage.server.start();
  stage.session = await startedSession(stage.server, { moderation: 'open' });
  const person = { tenant: stage.session.tenant_id, user: 'ana', roles: ['moderator'] };
  stage.channel = await (await Person.of(stage.server, person)).enter(stage.session.id);
  stage.acknowledged = [];
  stage.refused = [];
}

/** Says something, and keeps what became of it. */
async function chat(stage) {
  const text = `message ${stage.acknowledged.length + stage.refused.length}`;
  const answer = await stage.channel.request({ type: 'chat', text });
  (answer.type === 'ack' ? stage.acknowledged : stage.refused).push(text);
  return answer.type === 'ack';
}

const readiness = async ({ server }) => (await call(server, 'GET', '/health/ready')).status;

const steps = {
  'a meeting goes on through a disk that is full now and then': async (stage, t) => {
    for (let round = 0; round < ROUNDS; round += 1) {
      for (let said = 0; said <= round % 3; said += 1) await chat(stage);
      const free = fillDisk(stage.server.dataDir);
      await until('a message that is refused', async () => !(await chat(stage)));
      await until('a server that says that it is not ready', async () => {
        return (await readiness(stage)) === 503;
      });
      free();
      for (let said = 0; said < 3; said += 1) {
        await until('a message that is taken again', () => chat(stage));
      }
      await until('a server that is ready', async () => (await readiness(stage)) === 200);
    }
    const [taken, refused] = [stage.acknowledged.length, stage.refused.length];
    t.diagnostic(`${ROUNDS} times full: ${taken} messages taken, ${refused} refused`);
  },

  'nothing that was acknowledged is lost': async (stage) => {
    const ended = await stage.server.stop();
    assert.deepEqual(ended, { code: 0, signal: null });
    const script =
      'import json, sqlite3, sys; rows = sqlite3.connect(sys.argv[1]).execute(' +
      '"SELECT payload FROM room_events WHERE kind = \'chat\' ORDER BY seq"); ' +
      'print(json.dumps([json.loads(row[0])["text"] for row in rows]))';
    const database = join(stage.server.dataDir, 'cabildo.sqlite');
    const told = JSON.parse(execFileSync('python3', ['-c', script, database]).toString());
    const missing = stage.acknowledged.filter((text) => !told.includes(text));
    assert.deepEqual(missing, [], 'acknowledged and lost');
    assert.equal(new Set(told).size, told.length, 'something was said twice');
    await stage.server.start();
  },
};

// A round takes some six seconds.
story('A disk that is full now and then', open, steps, { stepMs: 300_000 + 20_000 * ROUNDS });
