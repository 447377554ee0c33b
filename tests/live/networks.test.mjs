// What a browser gets over networks that lose, delay and hold up what they carry: pictures a second,
// freezes, their size, sound that was made up, and how soon all is well again. With
// CABILDO_ATTACK=long over a matrix of networks, with what was seen of each printed.
import { startedSession } from './api.mjs';
import { inbound, launch, outbound, rawClient, screenshot } from './browser.mjs';
import { join, openJoin } from './pages.mjs';
import { ANY_NETWORK, Server } from './server.mjs';
import { story } from './story.mjs';
import { until } from './until.mjs';
import { WeakNetwork, reachedAt } from './weak_network.mjs';

const LONG = process.env.CABILDO_ATTACK === 'long';
/** Widths of the two encodings that are sent. */
const [SMALL, LARGE] = [320, 640];
/** How long each network of the matrix is watched, and how long before it settles. */
const WATCHED_MS = 15_000;
const SETTLING_MS = 10_000;
const PATIENCE_MS = 90_000;

async function open(stage) {
  stage.server = await Server.start('networks', { CABILDO_MEDIA__TCP: 'false', ...ANY_NETWORK });
  stage.network = await WeakNetwork.start({});
  stage.network.serverPort = stage.server.port.media;
  stage.stop = () => stage.network.close();
  stage.browser = await launch({ hertz: 440, gestures: false });
  const { id: session, tenant_id: tenant } = await startedSession(stage.server, {
    moderation: 'open',
  });
  stage.session = { id: session, tenant_id: tenant };
  const enter = async (user, options) => {
    const page = await rawClient(stage.browser, stage.server, { session, tenant, user }, options);
    stage.pages[user] = page;
    return page;
  };
  const sender = await enter('sender');
  const receiver = await enter('receiver', { scripts: [reachedAt(stage.network.port)] });
  await sender.evaluate(() => window.client.publish({ layers: 2 }));
  const tracks = await until('both tracks', () =>
    receiver.evaluate(() => {
      const tracks = [...window.client.tracks.keys()];
      return tracks.length === 2 ? tracks : null;
    }),
  );
  for (const track of tracks) {
    await receiver.evaluate((id) => window.client.subscribe(id), track);
  }
}

/** What has come of sound and pictures, once both have, and what is sent of them. */
const rows = ({ sender, receiver }) =>
  until('sound and pictures', async () => {
    const all = await inbound(receiver);
    const found = Object.fromEntries(
      all.map((row) => [row.kind, { ...row, at: performance.now() }]),
    );
    found.sent = (await outbound(sender)).filter(({ kind }) => kind === 'video');
    return found.audio !== undefined && found.video !== undefined && found;
  });

/** What the sender has sent between two looks: of its largest picture the width, and pictures. */
function sentBetween(before, after) {
  const changes = after.sent.map(({ rid, width, frames }) => {
    const known = before.sent.find((one) => one.rid === rid)?.frames ?? 0;
    return { width, frames: frames - known };
  });
  const sent = changes.filter(({ frames }) => frames > 0);
  return {
    width: Math.max(0, ...sent.map(({ width }) => width)),
    frames: Math.max(0, ...sent.map(({ frames }) => frames)),
  };
}

/** What changed between two looks. */
function between(before, after) {
  const seconds = (after.video.at - before.video.at) / 1000;
  const samples = after.audio.samples - before.audio.samples;
  const sent = sentBetween(before, after);
  return {
    'sent/s': Math.round(sent.frames / seconds),
    'width sent': sent.width,
    'pictures/s': Math.round((after.video.frames - before.video.frames) / seconds),
    freezes: after.video.freezes - before.video.freezes,
    width: after.video.width,
    'sound made up': `${((100 * (after.audio.concealed - before.audio.concealed)) / Math.max(1, samples)).toFixed(1)} %`,
  };
}

/** Watches until `isWell` says so of what changed since the look before. */
async function well(pages, what, isWell) {
  let before = await rows(pages);
  const began = performance.now();
  await until(
    what,
    async (seen) => {
      const after = await rows(pages);
      if (after.video.at - before.video.at < 1_000) return null;
      seen.last = between(before, after);
      const found = isWell(seen.last, before, after);
      before = after;
      return found || null;
    },
    PATIENCE_MS,
  );
  return Math.round(performance.now() - began);
}

/**
 * Whether so many pictures come in a second, or half of those that are sent: a browser whose processor
 * is busy sends fewer, and none of the large ones.
 */
const comes = (count) => (change) =>
  change['pictures/s'] >= Math.max(1, Math.min(count, change['sent/s'] / 2));
const isSeen = (width) => (change) =>
  change.width === Math.min(width, change['width sent']) && comes(5)(change);
const isHeard = (_, before, after) =>
  after.audio.energy > before.audio.energy && after.audio.packets > before.audio.packets;

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** A step for every combination of rates, losses and delays of the networks that people have. */
function matrix() {
  const steps = {};
  for (const kbps of [300, 1_000, 2_000, Infinity]) {
    for (const loss of [0, 0.02, 0.05, 0.1, 0.2]) {
      for (const delayMs of [10, 50, 150]) {
        const name = `${kbps} kbit/s, ${100 * loss} % lost, ${2 * delayMs} ms there and back`;
        steps[name] = (stage, t) => watched(stage, t, { kbps, loss, delayMs });
      }
    }
  }
  return steps;
}

async function watched({ network, pages }, t, { kbps, loss, delayMs }) {
  network.set({ loss, delayMs, jitterMs: delayMs / 5, kbps });
  await wait(SETTLING_MS);
  const before = await rows(pages);
  await wait(WATCHED_MS);
  const seen = between(before, await rows(pages));
  network.set({});
  const ms = await well(pages, 'the best picture', isSeen(LARGE));
  t.diagnostic(JSON.stringify({ ...seen, 'well after ms': ms }));
}

story('Networks as people have them', open, {
  'on a good one the best picture is seen': async ({ pages }) => {
    await well(pages, 'the best picture', isSeen(LARGE));
    await well(pages, 'the sound', isHeard);
  },

  'with 5 % loss and 100 ms there and back all is seen and heard': async (stage, t) => {
    const { network, pages } = stage;
    network.set({ loss: 0.05, delayMs: 50, jitterMs: 10 });
    const lost = network.lost;
    await until('losses', () => network.lost > lost + 50);
    const ms = await well(pages, 'pictures', comes(10));
    await well(pages, 'the sound', isHeard);
    t.diagnostic(`well after ${ms} ms, with ${network.lost - lost} datagrams lost`);
    network.set({});
    await well(pages, 'the best picture', isSeen(LARGE));
  },

  'on a narrow one the small picture is seen and the sound goes on': async (stage, t) => {
    const { network, pages } = stage;
    network.set({ kbps: 400, delayMs: 20 });
    t.diagnostic(`small after ${await well(pages, 'the small one', isSeen(SMALL))} ms`);
    await well(pages, 'the sound', isHeard);
    network.set({});
    t.diagnostic(`large after ${await well(pages, 'the best one', isSeen(LARGE))} ms`);
  },

  'what was cut for some seconds comes back by itself': async (stage, t) => {
    const { network, pages } = stage;
    network.set({ blocked: true });
    await well(pages, 'nothing', (change) => change['pictures/s'] === 0);
    await wait(3_000);
    network.set({});
    const ms = await well(pages, 'pictures', comes(5));
    await well(pages, 'the sound', isHeard);
    t.diagnostic(`seen again after ${ms} ms`);
    // The browser says so at the next answer to its checks.
    await until('a connection', async (seen) => {
      seen.last = await pages.receiver.evaluate(() => window.client.subscribing.connectionState);
      return seen.last === 'connected';
    });
  },

  'a person reads in words what is wrong with their network': async (stage) => {
    const { browser, network, pages, server, session } = stage;
    const scripts = [reachedAt(network.port)];
    pages.ana = await openJoin(browser, server, session, { user: 'ana' }, { scripts });
    await join(pages.ana);
    const state = pages.ana.getByTestId('connection-state');
    const isTold = (quality, cause, words) =>
      until(`${quality} for ${cause}`, async (seen) => {
        seen.last = [
          await state.getAttribute('data-quality'),
          await state.getAttribute('data-cause'),
          await state.textContent(),
        ];
        return seen.last[0] === quality && seen.last[1] === cause && words.test(seen.last[2]);
      });
    await isTold('good', null, /^Conexión buena$/);
    network.set({ loss: 0.25 });
    await isTold('poor', 'sent_lost', /^Conexión mala: se pierde el \d+ % de lo que envía$/);
    await screenshot(pages.ana, 'networks-loss');
    await pages.ana.setViewportSize({ width: 375, height: 667 });
    await screenshot(pages.ana, 'networks-loss-phone');
    network.set({ delayMs: 450 });
    await isTold('poor', 'delay', /^Conexión mala: el sonido tarda \d,\d s en ir y volver$/);
    network.set({});
    await isTold('good', null, /^Conexión buena$/);
  },

  ...(LONG ? matrix() : {}),
});
