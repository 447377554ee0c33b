// The pages about cameras: an operator's list with pictures and warnings, and the player that
// whoever has a link watches a camera with, as little behind as the server offers.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { asGovernance, startedSession } from './api.mjs';
import { launch, newPage, screenshot } from './browser.mjs';
import { delaysOf, quantile } from './delays.mjs';
import { startCameras } from './foreign_cameras.mjs';
import { fits, isAccessible } from './looks.mjs';
import { speak } from './pages.mjs';
import { Server } from './server.mjs';
import { story } from './story.mjs';
import { ROOT, until } from './until.mjs';

const require = createRequire(join(ROOT, 'web-client', 'package.json'));

const SIZES = {
  phone: { width: 360, height: 740 },
  desktop: { width: 1280, height: 800 },
};
const LANGUAGES = ['es', 'en', 'pt'];
/** How often the player's delay is read, and how many times. */
const READ_EVERY_MS = 250;
const READ = 40;
const READING_MS_MAX = 120_000;

async function open(stage) {
  stage.server = await Server.start('player');
  stage.browser = await launch();
  ({ port: stage.port, stop: stage.stop } = await startCameras());
  stage.session = await startedSession(stage.server, { moderation: 'open' });
  stage.tenant = stage.session.tenant_id;
  for (const [cameraId, path] of [
    ['hall-1', 'clock'],
    ['hall-2', 'bframes'],
    ['hall-3', 'nothing-there'],
  ]) {
    const rtspUrl = `rtsp://viewer:secret@127.0.0.1:${stage.port}/${path}`;
    const body = { tenantId: stage.tenant, cameraId, rtspUrl };
    const provisioned = await asGovernance(stage.server, 'POST', '/gateway/provision', body);
    assert.equal(provisioned.status, 201, JSON.stringify(provisioned));
  }
}

/** A new token for playing a camera. */
async function playbackToken({ server, tenant }) {
  const body = { tenantId: tenant, cameraId: 'hall-1' };
  const issued = await asGovernance(server, 'POST', '/gateway/sessions', body);
  assert.equal(issued.status, 201, JSON.stringify(issued));
  return issued.body.token;
}

/** The address of the player, with a new token. */
async function link(stage, change = {}) {
  const { server, tenant } = stage;
  const query = {
    tenant,
    camera: 'hall-1',
    token: await playbackToken(stage),
    ...change,
  };
  return `${server.origin}/player?${new URLSearchParams(query)}`;
}

/** Looks at a page in each size and language, by axe and by picture. */
async function look(page, name) {
  for (const language of LANGUAGES) {
    await speak(page, language);
    for (const [size, viewport] of Object.entries(SIZES)) {
      await page.setViewportSize(viewport);
      await fits(page, `${name} ${size} ${language}`);
      for (const colorScheme of ['light', 'dark']) {
        await page.emulateMedia({ colorScheme });
        await isAccessible(page, `${name} ${size} ${language} ${colorScheme}`);
      }
      await page.emulateMedia({ colorScheme: 'light' });
      await screenshot(page, `${name}-${size}-${language}`);
    }
  }
  await speak(page, 'es');
}

/**
 * Waits until a player is not much behind, as it reads how many milliseconds again and again, `null`
 * while that is not known, and tells it.
 */
async function isLittleBehind(t, read) {
  const behind = [];
  await until(
    'a small delay, read again and again',
    async (seen) => {
      const now = await read();
      if (now !== null) behind.push(now);
      await new Promise((resolve) => setTimeout(resolve, READ_EVERY_MS));
      if (behind.length < READ) return false;
      const later = behind.slice(-READ / 2).sort((one, other) => one - other);
      seen.last = later;
      return isLittle(t, 'PROGRAM-DATE-TIME', later);
    },
    READING_MS_MAX,
  );
}

/** Whether a player is not much behind by sorted readings; tells how far. */
function isLittle(t, by, delays) {
  const [half, most] = [0.5, 0.95].map((part) => quantile(delays, part));
  if (half >= 6_000) return false;
  t.diagnostic(`behind by ${by}: P50 ${half} ms, P95 ${most} ms`);
  return true;
}

/** The same by the clock that the pictures show. What a busy machine held up is caught up with. */
const isLittleBehindByClock = (t, page, video) =>
  until(
    'a small delay by the clock in the picture',
    async (seen) => {
      seen.last = await delaysOf(page, video, 75);
      return isLittle(t, 'the clock in the picture', seen.last);
    },
    READING_MS_MAX,
  );

/** Whoever paused, or had no network for a while, sees what happens now and not what they missed. */
async function isLiveAfterAPause(video) {
  await video.evaluate((it) => it.pause());
  await until('much that was not seen', async (seen) => {
    seen.last = await video.evaluate((it) => it.buffered.end(0) - it.currentTime);
    return seen.last > 15;
  });
  await video.evaluate((it) => it.play());
  await until('the present', async (seen) => {
    seen.last = await video.getAttribute('data-behind-ms');
    return seen.last !== null && Number(seen.last) < 10_000;
  });
}

story('Cameras for operators and viewers', open, {
  'the player plays by parts, and tells how far behind it is': async (stage, t) => {
    const page = await newPage(stage.browser);
    await page.goto(await link(stage));
    const video = page.getByTestId('player-video');
    await page.locator('[data-testid="player"][data-state="playing"]').waitFor({ timeout: 60_000 });
    await isLittleBehind(t, async () => {
      const read = await video.getAttribute('data-behind-ms');
      return read === null ? null : Number(read);
    });
    await isLittleBehindByClock(t, page, video);
    const shown = await video.evaluate((it) => [it.videoWidth, it.videoHeight, it.currentTime]);
    assert.deepEqual(shown.slice(0, 2), [640, 360]);
    // It is asked for parts, not only for whole segments.
    const asked = await page.evaluate(() =>
      performance.getEntriesByType('resource').map(({ name }) => name),
    );
    assert.ok(
      asked.some((name) => name.includes('_HLS_msn=')),
      'playlists are waited for',
    );
    await page.getByTestId('player-sound').click();
    await until('sound', () => video.evaluate((it) => !it.muted));
    await isLiveAfterAPause(video);
    await look(page, 'player');
    assert.deepEqual(page.problems, []);
    await page.context().close();
  },

  'Shaka Player plays it by parts too': async (stage, t) => {
    const { server, tenant } = stage;
    const page = await newPage(stage.browser, { bypassCSP: true });
    // Any document of the origin will do; this one has no scripts of its own.
    await page.goto(`${server.origin}/health/live`);
    await page.addScriptTag({ path: require.resolve('shaka-player') });
    const token = encodeURIComponent(await playbackToken(stage));
    const address = `${server.origin}/gateway/playback/${tenant}/hall-1/index.m3u8?token=${token}`;
    await page.evaluate(async (playlist) => {
      const { shaka } = window;
      shaka.polyfill.installAll();
      const video = document.createElement('video');
      video.muted = true;
      document.body.append(video);
      const player = new shaka.Player();
      window.watched = { video, player, errors: [] };
      player.addEventListener('error', ({ detail }) => window.watched.errors.push(detail.code));
      // What a busy machine held up is caught up with.
      player.configure({ streaming: { lowLatencyMode: true, liveSync: { enabled: true } } });
      await player.attach(video);
      await player.load(playlist);
      await video.play();
    }, address);
    await isLittleBehind(t, () =>
      page.evaluate(() => {
        const { video, player } = window.watched;
        const shows = player.getPlayheadTimeAsDate();
        return video.currentTime > 0 && shows !== null ? Date.now() - shows.getTime() : null;
      }),
    );
    await isLittleBehindByClock(t, page, page.locator('video'));
    const seen = await page.evaluate(() => {
      const { video, player, errors } = window.watched;
      const asked = performance.getEntriesByType('resource').map(({ name }) => name);
      return {
        size: [video.videoWidth, video.videoHeight],
        isLowLatency: player.isLive() && asked.some((name) => name.includes('_HLS_msn=')),
        errors,
      };
    });
    assert.deepEqual(seen, { size: [640, 360], isLowLatency: true, errors: [] });
    await page.evaluate(() => window.watched.player.destroy());
    await page.context().close();
  },

  'a link that is not good says what to do': async (stage) => {
    for (const [change, text] of [
      [{ token: 'nonsense' }, 'El enlace no es válido'],
      [{ camera: 'hall-2' }, 'El enlace no es válido'],
      [{ token: '' }, 'A este enlace le falta una parte'],
    ]) {
      const page = await newPage(stage.browser);
      await page.goto(await link(stage, change));
      await page.getByText(text).waitFor();
      await page.context().close();
    }
  },

  'an operator sees pictures and warnings, and gives links away': async (stage) => {
    const page = await newPage(stage.browser);
    const query = new URLSearchParams({
      tenant: stage.tenant,
      user: 'op',
      role: 'operator',
    });
    await page.goto(`${stage.server.origin}/cameras?${query}`);
    const card = (camera) => page.getByTestId(`camera-${camera}`);
    await card('hall-1').waitFor();
    for (const camera of ['hall-2', 'hall-3', 'hall-1']) {
      await card(camera).getByTestId('camera-check').click();
      await card(camera)
        .getByTestId('camera-check')
        .and(page.locator(':not([aria-disabled])'))
        .waitFor();
    }
    await card('hall-3').getByTestId('camera-fault').waitFor();
    assert.match(await card('hall-3').textContent(), /no existe esa ruta/);
    assert.ok(!(await page.content()).includes('secret@'), 'no password is shown');
    // A picture that the browser decoded.
    await until('a preview', async (seen) => {
      const video = card('hall-1').locator('video');
      seen.last = (await video.count()) > 0 && (await video.evaluate((it) => it.videoWidth));
      return seen.last === 640;
    });
    await card('hall-1').getByTestId('camera-bridge').click();
    await page.getByTestId('bridge-session').fill('nonsense');
    await page.getByTestId('bridge-sure').click();
    await page.getByTestId('bridge-problem').waitFor();
    await page.keyboard.press('Escape');
    await page.getByTestId('add-id').fill('hall-4');
    await page.getByTestId('add-address').fill('http://not-a-camera/');
    await page.getByTestId('add-save').click();
    await page.getByTestId('add-problem').waitFor();
    await page.getByTestId('add-address').fill(`rtsp://127.0.0.1:${stage.port}/udp`);
    await page.getByTestId('add-save').click();
    await card('hall-4').waitFor();
    await look(page, 'cameras');
    await card('hall-4').getByTestId('camera-remove').click();
    await page.getByTestId('remove-sure').click();
    await card('hall-4').waitFor({ state: 'detached' });
    assert.deepEqual(page.problems, []);
    await page.context().close();
  },

  'an operator has a camera recorded, and plays a moment of it by the keyboard': async (stage) => {
    const page = await newPage(stage.browser);
    const query = new URLSearchParams({
      tenant: stage.tenant,
      user: 'op',
      role: 'operator',
    });
    await page.goto(`${stage.server.origin}/cameras?${query}`);
    const card = page.getByTestId('camera-hall-1');
    await card.waitFor();
    assert.equal(await card.getByTestId('camera-recording').textContent(), 'No se graba');
    await card.getByTestId('camera-record').focus();
    await page.keyboard.press('Enter');
    await page.getByTestId('recording-change').focus();
    await page.keyboard.press('Enter');
    const recorded = card.getByTestId('camera-recording').filter({ hasText: 'desde' });
    await recorded.waitFor({ timeout: 60_000 });
    await card.getByTestId('camera-record').focus();
    await page.keyboard.press('Enter');
    const from = page.getByTestId('recording-from');
    await from.fill(await from.getAttribute('min'));
    await look(page, 'recording-dialog');
    await page.getByTestId('recording-play').focus();
    await page.keyboard.press('Enter');
    const video = page.getByTestId('player-video');
    await until('pictures of the recording', async (seen) => {
      seen.last = (await video.count()) > 0 && (await video.evaluate((it) => it.currentTime));
      return seen.last > 1;
    });
    await page
      .getByTestId('player-state')
      .filter({ hasText: /^Grabado el / })
      .waitFor();
    assert.deepEqual(page.problems, []);
    await page.context().close();
  },

  'whoever is no operator sees no camera': async (stage) => {
    const page = await newPage(stage.browser);
    const query = new URLSearchParams({
      tenant: stage.tenant,
      user: 'p',
      role: 'participant',
    });
    await page.goto(`${stage.server.origin}/cameras?${query}`);
    await page.getByTestId('cameras-failure').waitFor();
    assert.equal(await page.locator('.camera').count(), 0);
    await page.context().close();
  },
});
