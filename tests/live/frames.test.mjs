// Strangers open the moderation channel and send fragments of a message that are empty
// and never end: no message comes of them, so no limit on messages counts them. The
// server answers others all the while, about as fast as one beside it that nobody attacks.
//   CABILDO_ATTACK=long    for a minute instead of six seconds
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { call } from './api.mjs';
import { Server } from './server.mjs';
import { story } from './story.mjs';
import { ROOT } from './until.mjs';

const ATTACK_MS = process.env.CABILDO_ATTACK === 'long' ? 60_000 : 6_000;
const STRANGERS = 2;
const SOCKETS = 8;
/** Without a limit some requests are not answered within seconds, however fast the machine is. */
const ANSWER_MS_MAX = 2_000;
/** Between requests: fewer than one address may make in a second, strangers' included. */
const PAUSE_MS = 25;

async function open(stage) {
  stage.server = await Server.start('frames');
  stage.calm = await Server.start('frames-calm');
  stage.strangers = [];
  stage.stop = async () => {
    for (const stranger of stage.strangers) stranger.kill('SIGKILL');
    await stage.calm.destroy();
  };
}

const steps = {
  'others are answered while strangers send empty fragments': async (stage, t) => {
    const { server } = stage;
    const program = join(ROOT, 'tests', 'live', 'fragments.mjs');
    for (let count = 0; count < STRANGERS; count += 1) {
      const place = [program, String(server.port.http), String(SOCKETS)];
      stage.strangers.push(spawn(process.execPath, place, { stdio: 'ignore' }));
    }
    const end = Date.now() + ATTACK_MS;
    const timesOf = async (asks) => {
      const times = [];
      while (Date.now() < end) {
        const asked = Date.now();
        assert.equal((await call(asks, 'GET', '/health/live')).status, 200);
        times.push(Date.now() - asked);
        await pause(PAUSE_MS);
      }
      return times;
    };
    const [times, calm] = await Promise.all([timesOf(server), timesOf(stage.calm)]);
    const [longest, usual] = [times, calm].map((all) => Math.max(...all));
    t.diagnostic(
      `${times.length} requests, the longest took ${longest} ms, and ${usual} ms in calm`,
    );
    const most = ANSWER_MS_MAX + 2 * usual;
    assert.ok(longest < most, `a request took ${longest} ms, ${usual} ms in calm`);
  },
};

story('A server that is sent empty fragments', open, steps);
