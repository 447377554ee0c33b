// How far behind cameras are, and what they cost a server: processor time and memory of each camera
// in a room, of 100 viewers of HLS, and of 200 cameras that nobody watches, with and without dead ones.
// `scripts/measure-cameras` runs it with a release build; it prints one line for each figure.
import { asGovernance, startedSession } from '../tests/live/api.mjs';
import { launch } from '../tests/live/browser.mjs';
import { delaysOf, inRoomWith, quantile } from '../tests/live/delays.mjs';
import { Example } from '../tests/live/example.mjs';
import { startCameras } from '../tests/live/foreign_cameras.mjs';
import { Person } from '../tests/live/person.mjs';
import { Server } from '../tests/live/server.mjs';
import { until } from '../tests/live/until.mjs';
import { print, processorSeconds, residentMiB, wait } from './process.mjs';

/** Cameras in the room. */
const BRIDGED = 8;
const VIEWERS = 100;
/** Cameras that nobody watches, and how many of them are dead: half of those refuse connections,
 * half take them and never answer. */
const PROVISIONED = 200;
const DEAD = 20;
/** How often each of them is looked after. */
const PROBED_EVERY_S = 60;
/** A camera that is seen later than this is never seen. */
const FIRST_ROUND_MAX_MS = 600_000;
/** Pictures whose delay is measured. */
const DELAYED = 450;
/** For how long each thing is measured. */
const MEASURED_MS = 30_000;

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

/** Without looking after cameras nothing else is done than what is measured. */
const start = (name, probedEveryS = 0) =>
  Server.start(name, {
    CABILDO_CAMERAS__PROBE_INTERVAL_S: String(probedEveryS),
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

/** Cameras that are only looked after, `dead` of them dead. The living ones are asked for now and
 * then: a look that was late is one whose age grew beyond the interval. */
async function provisioned({ port, silent, dead }) {
  const server = await start(`provisioned-${dead}`, PROBED_EVERY_S);
  const { tenant_id: tenant } = await startedSession(server);
  const began = performance.now();
  for (let n = 0; n < PROVISIONED; n += 1) {
    // The dead ones are spread among the others.
    const isDead = dead > 0 && n % (PROVISIONED / dead) === 0;
    const at = isDead ? [silent, 1][(n / (PROVISIONED / dead)) % 2] : port;
    const name = `${isDead ? 'dead' : 'camera'}-${n}`;
    await provision(server, tenant, name, `rtsp://127.0.0.1:${at}/${name}`);
  }
  const living = async () => {
    const path = '/gateway/cameras';
    const answer = await asGovernance(server, 'GET', path, undefined, { 'x-tenant-id': tenant });
    const cameras = answer.body.cameras.map(({ health }) => health);
    return cameras.filter(({ cameraId }) => cameraId.startsWith('camera-'));
  };
  const isSeen = async () =>
    (await living()).every(({ lastProbeHealth }) => lastProbeHealth === 'online');
  while (!(await isSeen())) {
    if (performance.now() - began > FIRST_ROUND_MAX_MS) throw new Error('cameras that nobody saw');
    await wait(1_000);
  }
  const first = performance.now();
  const what = `${PROVISIONED} cameras, ${dead} of them dead`;
  print(`${what}: all others seen within`, `${((first - began) / 1000).toFixed(0)} s`);
  const looks = new Map();
  const watched = async () => {
    for (const end = performance.now() + 4 * 1000 * PROBED_EVERY_S; performance.now() < end;) {
      for (const { cameraId, lastProbeAt, lastProbeHealth } of await living()) {
        if (lastProbeHealth !== 'online') throw new Error(`${cameraId} is ${lastProbeHealth}`);
        const times = looks.get(cameraId) ?? [];
        if (times.at(-1) !== lastProbeAt) looks.set(cameraId, [...times, lastProbeAt]);
      }
      await wait(20_000);
    }
  };
  const used = await load(server.child.pid, watched);
  const gaps = [...looks.values()].flatMap((times) =>
    times.slice(1).map((time, n) => (Date.parse(time) - Date.parse(times[n])) / 1000),
  );
  gaps.sort((one, other) => one - other);
  const seconds = [0.5, 0.95, 1].map((part) => quantile(gaps, part).toFixed(0)).join(' / ');
  print(`${what}: from look to look P50 / P95 / max`, `${seconds} s (${gaps.length} looks)`);
  print(
    `${what}: processor, memory`,
    `${used.toFixed(1)} % of one, ${residentMiB(server.child.pid).toFixed(0)} MiB`,
  );
  await server.destroy();
}

/** How far behind Chromium is in the room and in the player, by a clock in the pictures. */
async function delayed(port) {
  const server = await start('delayed-camera');
  const session = await startedSession(server, { moderation: 'open' });
  const { id, tenant_id: tenant } = session;
  await provision(server, tenant, 'clock', `rtsp://127.0.0.1:${port}/clock`);
  const chair = await Person.of(server, { tenant, user: 'chair', roles: ['moderator'] });
  await chair.call('POST', `/api/v1/sessions/${id}/cameras`, { camera_id: 'clock' });
  const browser = await launch();
  const tell = (where, delays) => {
    const milliseconds = [0.5, 0.95, 0.99].map((part) => quantile(delays, part)).join(' / ');
    print(`camera to ${where} P50 / P95 / P99`, `${milliseconds} ms (${delays.length} pictures)`);
  };
  const { page, video } = await inRoomWith(browser, server, session, 'clock');
  tell('a browser in the room', await delaysOf(page, video, DELAYED, 75));
  await page.context().close();
  const body = { tenantId: tenant, cameraId: 'clock' };
  const issued = await asGovernance(server, 'POST', '/gateway/sessions', body);
  const query = new URLSearchParams({ tenant, camera: 'clock', token: issued.body.token });
  const player = await browser.newPage();
  await player.goto(`${server.origin}/player?${query}`);
  await player.locator('[data-testid="player"][data-state="playing"]').waitFor();
  // It comes nearer to the newest picture by and by.
  tell('the player by parts', await delaysOf(player, player.locator('video'), DELAYED, 450));
  await browser.close();
  await server.destroy();
}

const alone = new Example('rtsp_cameras', []);
try {
  const [port, silent] = (await alone.ready).split(' ');
  for (const dead of [0, DEAD]) await provisioned({ port, silent, dead });
} finally {
  await alone.stop();
}

const cameras = await startCameras();
try {
  await delayed(cameras.port);
  await bridged(cameras.port);
  await watched(cameras.port);
} finally {
  cameras.stop();
}
