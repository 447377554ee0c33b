// What viewers of a session by HLS cost a server, and how soon each of them has a new part: so many of
// them watch one session by parts (blocking reloads), from other processes than the server's. Somebody
// is seen in it: a camera that sends 1280 × 720. `scripts/measure-viewers` runs it with a release build;
// it prints one line for each figure. VIEWERS says how many there are, 1,000 unless it is set.
import { fork } from 'node:child_process';
import { Agent, request } from 'node:http';
import { fileURLToPath } from 'node:url';
import { asGovernance, startedSession } from '../tests/live/api.mjs';
import { quantile } from '../tests/live/delays.mjs';
import { startCameras } from '../tests/live/foreign_cameras.mjs';
import { Person } from '../tests/live/person.mjs';
import { Server } from '../tests/live/server.mjs';
import { until } from '../tests/live/until.mjs';
import { print, processorSeconds, residentMiB, wait } from './process.mjs';

const VIEWERS = Number(process.env.VIEWERS ?? 1_000);
/** Processes that viewers are spread over. */
const PROCESSES = Number(process.env.PROCESSES ?? 2);
const MEASURED_MS = 30_000;
/** How long viewers may take to begin. */
const SETTLED_MS = 10_000;

/** Viewers of one process; each has two connections, as players do. */
class Viewers {
  agent = new Agent({ keepAlive: true, maxSockets: Infinity });
  isOver = false;
  bytes = 0;
  failures = new Map();
  /** When this process had each part for each viewer: milliseconds after the first of all. */
  arrivals = new Map();

  get(url, localAddress) {
    return new Promise((resolve, reject) => {
      const asked = request(url, { agent: this.agent, localAddress }, (answer) => {
        const chunks = [];
        answer.on('data', (chunk) => chunks.push(chunk));
        answer.on('error', reject);
        answer.on('end', () => {
          const body = Buffer.concat(chunks);
          this.bytes += body.length;
          if (answer.statusCode === 200) resolve(body);
          else reject(new Error(`${answer.statusCode} ${body.toString().slice(0, 60)}`));
        });
      });
      asked.on('error', reject);
      asked.end();
    });
  }

  failed(error) {
    const what = error.code ?? error.message;
    this.failures.set(what, (this.failures.get(what) ?? 0) + 1);
  }

  /** Watches from an address of its own, as people at home do. */
  async watch({ index, from }) {
    const first = (await this.get(index, from)).toString();
    const line = first.split('\n').find((it) => it !== '' && !it.startsWith('#'));
    const media = new URL(line, index);
    let query = '';
    while (!this.isOver) {
      try {
        const text = (await this.get(media.href + query, from)).toString();
        const hint = /#EXT-X-PRELOAD-HINT:TYPE=PART,URI="([^"]+-(\d+)\.(\d+)\.m4s)"/.exec(text);
        if (hint === null) {
          await wait(200);
          continue;
        }
        const [, name, segment, part] = hint;
        await this.get(new URL(name, media).href, from);
        const times = this.arrivals.get(name) ?? [];
        times.push(performance.timeOrigin + performance.now());
        this.arrivals.set(name, times);
        query = `?_HLS_msn=${segment}&_HLS_part=${part}`;
      } catch (error) {
        this.failed(error);
        await wait(200);
        query = '';
      }
    }
  }
}

/** What one process does: has these viewers begin, and tells what came when asked. */
function serveAsViewers() {
  const viewers = new Viewers();
  process.on('message', ({ watching, ask }) => {
    if (watching !== undefined) {
      for (const one of watching) {
        viewers.watch(one).catch((error) => viewers.failed(error));
      }
    } else if (ask === 'begin') {
      viewers.arrivals.clear();
      viewers.failures.clear();
      viewers.bytes = 0;
      process.send({});
    } else {
      viewers.isOver = true;
      const { arrivals, bytes, failures } = viewers;
      process.send({ arrivals: [...arrivals], bytes, failures: [...failures] }, () =>
        process.exit(0),
      );
    }
  });
}

const asked = (child, message) =>
  new Promise((resolve) => {
    child.once('message', resolve);
    child.send(message);
  });

async function addressFor(server, tenant, session) {
  const body = { tenantId: tenant, sessionId: session };
  const issued = await asGovernance(server, 'POST', '/gateway/sessions', body);
  if (issued.status !== 201) throw new Error(JSON.stringify(issued));
  const query = new URLSearchParams({ token: issued.body.token });
  return `${server.origin}/gateway/playback/${tenant}/session:${session}/index.m3u8?${query}`;
}

/** Somebody who is seen: a camera of the hall. */
async function bringIn({ server, session, tenant, port }) {
  const camera = { tenantId: tenant, cameraId: 'hall', rtspUrl: `rtsp://127.0.0.1:${port}/hd` };
  const provisioned = await asGovernance(server, 'POST', '/gateway/provision', camera);
  if (provisioned.status !== 201) throw new Error(JSON.stringify(provisioned));
  const chair = await Person.of(server, { tenant, user: 'chair', roles: ['moderator'] });
  const path = `/api/v1/sessions/${session.id}/cameras`;
  const added = await chair.call('POST', path, { camera_id: 'hall' });
  if (added.status !== 201) throw new Error(JSON.stringify(added));
}

/** Processor time, memory, and what came to so many viewers. */
async function measure(server, tenant, session, count) {
  const { pid } = server.child;
  const children = Array.from({ length: Math.min(PROCESSES, count) }, () =>
    fork(fileURLToPath(import.meta.url), ['viewers']),
  );
  const made = children.map(() => []);
  for (let n = 0; n < count; n += 1) {
    const index = await addressFor(server, tenant, session.id);
    made[n % made.length].push({ index, from: `127.${1 + (n >> 8)}.${n & 255}.1` });
  }
  children.forEach((child, n) => child.send({ watching: made[n] }));
  await wait(SETTLED_MS);
  await Promise.all(children.map((child) => asked(child, { ask: 'begin' })));
  const [began, before] = [performance.now(), processorSeconds(pid)];
  await wait(MEASURED_MS);
  const elapsed_s = (performance.now() - began) / 1_000;
  const used = (100 * (processorSeconds(pid) - before)) / elapsed_s;
  const memory = residentMiB(pid);
  const told = await Promise.all(children.map((child) => asked(child, { ask: 'end' })));
  const failures = told.flatMap((it) => it.failures);
  const mbps = (told.reduce((sum, it) => sum + it.bytes, 0) * 8) / 1e6 / elapsed_s;
  return { used, memory, mbps, failures, ...lateness(told, count) };
}

/** How much later than the first of all viewers each of them had each part. */
function lateness(told, count) {
  const parts = new Map();
  for (const [name, times] of told.flatMap(({ arrivals }) => arrivals)) {
    parts.set(name, [...(parts.get(name) ?? []), ...times]);
  }
  // Parts at the edges of the time were not measured for everybody.
  const whole = [...parts.values()].slice(1, -2);
  const late = whole.flatMap((times) => {
    const first = times.reduce((least, time) => Math.min(least, time), Infinity);
    return times.map((time) => time - first);
  });
  late.sort((one, other) => one - other);
  const had = whole.reduce((sum, times) => sum + times.length, 0);
  return { late, parts: whole.length, share: had / (whole.length * count) };
}

async function main() {
  const { port, stop } = await startCameras();
  const server = await Server.start('viewers', {
    CABILDO_CAMERAS__PROBE_INTERVAL_S: '0',
    CABILDO_TENANTS__DEFAULT__MAX_CONCURRENT_STREAMS: String(10 * VIEWERS + 10),
  });
  const session = await startedSession(server, { moderation: 'open', live_viewing: true });
  const tenant = session.tenant_id;
  await bringIn({ server, session, tenant, port });
  const address = await addressFor(server, tenant, session.id);
  await until('a playlist', async () => (await fetch(address)).ok);
  const one = await measure(server, tenant, session, 1);
  const many = await measure(server, tenant, session, VIEWERS);
  print('processor for a session that one viewer watches', `${one.used.toFixed(1)} % of one`);
  print(`processor for ${VIEWERS} viewers`, `${many.used.toFixed(1)} % of one`);
  const each = ((many.used - one.used) / (VIEWERS - 1)) * 100;
  print('processor for 100 viewers more', `${each.toFixed(2)} % of one`);
  const kib = ((many.memory - one.memory) / (VIEWERS - 1)) * 1_024;
  print(
    'memory with one, with all, for each more',
    `${one.memory.toFixed(0)} MiB, ${many.memory.toFixed(0)} MiB, ${kib.toFixed(0)} KiB`,
  );
  const [p50, p95, p99] = [0.5, 0.95, 0.99].map((part) => quantile(many.late, part).toFixed(0));
  print(
    'a part comes later than to the first viewer, P50 / P95 / P99',
    `${p50} / ${p95} / ${p99} ms`,
  );
  print('parts that came to viewers', `${(100 * many.share).toFixed(1)} % of ${many.parts} each`);
  print('what they were sent', `${many.mbps.toFixed(0)} Mbit/s`);
  print('failures', JSON.stringify(many.failures));
  await server.destroy();
  stop();
}

if (process.argv[2] === 'viewers') serveAsViewers();
else await main();
