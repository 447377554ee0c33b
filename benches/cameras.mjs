// What cameras cost a server: processor time and memory of each camera in a room, and of 100 viewers
// of HLS. `scripts/measure-cameras` runs it with
// a release build; it prints one line for each figure.
import { readFileSync } from 'node:fs';
import { asGovernance, startedSession } from '../tests/live/api.mjs';
import { startCameras } from '../tests/live/foreign_cameras.mjs';
import { Person } from '../tests/live/person.mjs';
import { Server } from '../tests/live/server.mjs';
import { until } from '../tests/live/until.mjs';

/** Cameras in the room. */
const BRIDGED = 8;
const VIEWERS = 100;
/** For how long each thing is measured. */
const MEASURED_MS = 30_000;
/** Ticks of `/proc/PID/stat` a second (`getconf CLK_TCK`). */
const TICKS = 100;

const print = (what, value) => process.stdout.write(`${what.padEnd(56)}${value}\n`);
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Seconds of processor time of a process since its start. */
function processorSeconds(pid) {
  const [, fields] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ');
  const [user, system] = fields.split(' ').slice(11, 13).map(Number);
  return (user + system) / TICKS;
}

function residentMiB(pid) {
  const [, kib] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(kib) / 1024;
}

/** Percent of one processor that a process uses while `during` runs. */
async function load(pid, during = () => wait(MEASURED_MS)) {
  const [began, before] = [performance.now(), processorSeconds(pid)];
  await during();
  return (100_000 * (processorSeconds(pid) - before)) / (performance.now() - began);
}

async function provision(server, tenantId, cameraId, rtspUrl) {
  const answer = await asGovernance(server, 'POST', '/gateway/provision', {
    tenantId,
    cameraId,
    rtspUrl,
  });
  if (answer.status !== 201) throw new Error(JSON.stringify(answer));
}

const start = (name) =>
  Server.start(name, {
    // Nothing else is to be done than what is measured.
    CABILDO_CAMERAS__PROBE_INTERVAL_S: '0',
    CABILDO_TENANTS__DEFAULT__MAX_CONCURRENT_STREAMS: '1000',
  });

/** Cameras in a room, each with pictures of 1280 × 720. */
async function bridged(port) {
  const server = await start('bridged-cameras');
  const session = await startedSession(server, { moderation: 'open' });
  const { id, tenant_id: tenant } = session;
  const chair = await Person.of(server, { tenant, user: 'chair', roles: ['moderator'] });
  const { pid } = server.child;
  const [idle, empty] = [await load(pid), residentMiB(pid)];
  for (let n = 0; n < BRIDGED; n += 1) {
    await provision(server, tenant, `hall-${n}`, `rtsp://127.0.0.1:${port}/hd`);
    const path = `/api/v1/sessions/${id}/cameras`;
    const added = await chair.call('POST', path, { camera_id: `hall-${n}` });
    if (added.status !== 201) throw new Error(JSON.stringify(added));
  }
  await wait(5_000);
  const used = (await load(pid)) - idle;
  const one = used / BRIDGED;
  print('processor for a camera in a room', `${one.toFixed(2)} % of one`);
  print('cameras that one processor carries', `${Math.floor(100 / one)}`);
  const memory = (residentMiB(pid) - empty) / BRIDGED;
  print('memory for a camera in a room', `${memory.toFixed(1)} MiB`);
  await server.destroy();
}

/** Watches by parts until it is told to stop; answers how many bytes came. */
async function watch(server, tenant, isOver) {
  const body = { tenantId: tenant, cameraId: 'hall' };
  const issued = await asGovernance(server, 'POST', '/gateway/sessions', body);
  const token = encodeURIComponent(issued.body.token);
  const index = `${server.origin}/gateway/playback/${tenant}/hall/index.m3u8?token=${token}`;
  const get = async (url) => {
    const answer = await fetch(url);
    if (!answer.ok) throw new Error(`${answer.status}: ${await answer.text()}`);
    return answer;
  };
  const first = await until('a playlist', async () => {
    const answer = await fetch(index);
    const text = await answer.text();
    return answer.ok && text;
  });
  const media = new URL(
    first.split('\n').find((line) => line !== '' && !line.startsWith('#')),
    index,
  );
  let [bytes, query] = [0, ''];
  while (!isOver()) {
    const text = await (await get(media.href + query)).text();
    const hint = /#EXT-X-PRELOAD-HINT:TYPE=PART,URI="([^"]+-(\d+)\.(\d+)\.m4s)"/.exec(text);
    if (hint === null) {
      await wait(200);
      continue;
    }
    const [, name, segment, part] = hint;
    bytes += (await (await get(new URL(name, media))).arrayBuffer()).byteLength;
    query = `?_HLS_msn=${segment}&_HLS_part=${part}`;
  }
  return bytes;
}

async function watched(port) {
  const server = await start('watched-camera');
  const { tenant_id: tenant } = await startedSession(server);
  await provision(server, tenant, 'hall', `rtsp://127.0.0.1:${port}/hd`);
  const { pid } = server.child;
  const by = async (viewers) => {
    let isOver = false;
    const watching = Array.from({ length: viewers }, () => watch(server, tenant, () => isOver));
    await wait(10_000);
    const used = await load(pid);
    isOver = true;
    const bytes = await Promise.all(watching);
    return { used, mbits: (8 * bytes.reduce((sum, one) => sum + one, 0)) / 1e6 };
  };
  const one = await by(1);
  const many = await by(VIEWERS);
  print('processor for a camera that one viewer watches', `${one.used.toFixed(1)} % of one`);
  const more = ((many.used - one.used) / (VIEWERS - 1)) * 100;
  print('processor for 100 viewers more, by parts', `${more.toFixed(1)} % of one`);
  print('what they were sent', `${many.mbits.toFixed(0)} Mbit in about 40 s`);
  await server.destroy();
}

const cameras = await startCameras();
try {
  await bridged(cameras.port);
  await watched(cameras.port);
} finally {
  cameras.stop();
}
