// The disk of a running server fails: each operation that changes a file of the data
// directory in turn, once, three times and until it is mended, with three errors. What
// was decided is told once and is there after kill -9, what was refused is not, health
// says so, and the server goes on without a restart.
//   CABILDO_ATTACK=long    more operations
// Needs a C compiler, for the library that lets operations fail.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { call, startedSession } from './api.mjs';
import { Decisions } from './decisions.mjs';
import { Person } from './person.mjs';
import { Server } from './server.mjs';
import { story } from './story.mjs';
import { ROOT, until } from './until.mjs';

const ERRORS = { EIO: 5, ENOSPC: 28, EROFS: 30 };
const FOR_EVER = 2n ** 64n - 1n;
const FIRST = [1, 2, 3, 4, 5, 7, 10];
/** Each of these takes seconds: the server waits for a disk that does not answer. */
const FIRST_FOR_EVER = [1, 7];
const FIRST_FOR_EVER_LONG = [1, 2, 4, 7];
const FIRST_LONG = Array.from({ length: 20 }, (_, at) => at + 1);
/** Decisions while operations fail. */
const DECISIONS = 4;

/** The numbers that tests/support/faulty_disk.c reads. */
class Faults {
  constructor(path) {
    this.file = openSync(path, 'w+');
    ftruncateSync(this.file, 4096);
  }

  write(at, number) {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(BigInt(number));
    writeSync(this.file, bytes, 0, 8, at * 8);
  }

  fail(error, first, times) {
    this.write(1, 0);
    this.write(3, 0);
    this.write(4, 0);
    this.write(0, error);
    this.write(2, times);
    this.write(1, first);
  }

  /** Nothing fails from now on; how many operations did. */
  mend() {
    this.write(1, 0);
    const bytes = Buffer.alloc(8);
    readSync(this.file, bytes, 0, 8, 4 * 8);
    return Number(bytes.readBigUInt64LE());
  }

  close() {
    closeSync(this.file);
  }
}

async function open(stage) {
  stage.server = new Server('faulty-disk');
  const { dataDir } = stage.server;
  const library = `${dataDir}.so`;
  const source = join(ROOT, 'tests', 'support', 'faulty_disk.c');
  execFileSync('cc', ['-shared', '-fPIC', '-O1', '-o', library, source, '-ldl']);
  stage.faults = new Faults(`${dataDir}.control`);
  Object.assign(stage.server.environment, {
    LD_PRELOAD: library,
    FAULTY_DISK_ROOT: dataDir,
    FAULTY_DISK_CONTROL: `${dataDir}.control`,
  });
  stage.stop = async () => {
    await stage.server.stop('SIGKILL');
    stage.faults.close();
    execFileSync('rm', ['-f', library, `${dataDir}.control`]);
  };
  await stage.server.start();
  stage.session = await startedSession(stage.server, { moderation: 'moderated' });
  const person = { tenant: stage.session.tenant_id, user: 'ana', roles: ['moderator'] };
  stage.ana = await Person.of(stage.server, person);
  const other = { tenant: stage.session.tenant_id, user: 'bea', roles: ['participant'] };
  await (await Person.of(stage.server, other)).enter(stage.session.id);
  stage.channel = await stage.ana.enter(stage.session.id);
  stage.decisions = new Decisions(stage.channel, 'bea');
}

const readiness = async ({ server }) => (await call(server, 'GET', '/health/ready')).status;

async function attack(stage, [name, error], first, times) {
  const what = `${name} at ${first} for ${times}`;
  stage.faults.fail(error, first, times);
  let waiting = null;
  for (let made = 0; made < DECISIONS && waiting === null; made += 1) {
    const decision = stage.decisions.ask();
    // A decision that is pending has no answer before the disk is mended.
    await until(what, () => decision.answer() || decision.isPending());
    if (decision.answer()) stage.decisions.settle(decision);
    else waiting = decision;
  }
  if (times === FOR_EVER) {
    await until(`${what}: not ready`, async (seen) => {
      seen.last = await readiness(stage);
      return seen.last === 503;
    });
  }
  const failed = stage.faults.mend();
  if (waiting) {
    await until(`${what}: the outcome`, waiting.answer);
    stage.decisions.settle(waiting);
  }
  await until(`${what}: ready again`, async () => (await readiness(stage)) === 200);
  const taken = await stage.decisions.decide(`${what}, afterwards`);
  assert.ok(taken, `${what}: refused although the disk works`);
  return failed;
}

/** What the room has told, as the database of the stopped server has it. */
function stored({ server, session }) {
  const script =
    'import json, sqlite3, sys; rows = sqlite3.connect(sys.argv[1]).execute(' +
    "\"SELECT kind FROM room_events WHERE session_id = ? AND kind IN ('user_muted', " +
    "'user_unmuted') ORDER BY seq\", (bytes.fromhex(sys.argv[2]),)); " +
    'print(json.dumps([row[0] for row in rows]))';
  const id = session.id.replaceAll('-', '');
  const database = join(server.dataDir, 'cabildo.sqlite');
  return JSON.parse(execFileSync('python3', ['-c', script, database, id]).toString());
}

/** The attacks with one error and one number of failures in a row. */
const attacks = (error, times) => async (stage, t) => {
  const isLong = process.env.CABILDO_ATTACK === 'long';
  const [short, long] =
    times === FOR_EVER ? [FIRST_FOR_EVER, FIRST_FOR_EVER_LONG] : [FIRST, FIRST_LONG];
  const firsts = isLong ? long : short;
  let failed = 0;
  for (const first of firsts) failed += await attack(stage, error, first, times);
  const { taken, refused } = stage.decisions;
  t.diagnostic(`${failed} operations failed: ${taken.length} decisions taken, ${refused} refused`);
  assert.ok(failed >= firsts.length / 2, 'hardly anything was made to fail');
};

const steps = {};
for (const error of Object.entries(ERRORS)) {
  for (const [words, times] of [
    ['once', 1n],
    ['three times', 3n],
    ['until it is mended', FOR_EVER],
  ]) {
    const name = `a meeting goes on while the disk fails with ${error[0]}, ${words}`;
    steps[name] = attacks(error, times);
  }
}

steps['after kill -9 there is what was decided and nothing else'] = async (stage) => {
  assert.ok(stage.decisions.refused > 0, 'nothing was ever refused');
  await stage.server.stop('SIGKILL');
  assert.deepEqual(stored(stage), stage.decisions.taken);
  await stage.server.start();
  await until('a server that is ready', async () => (await readiness(stage)) === 200);
};

story('A disk that fails', open, steps);
