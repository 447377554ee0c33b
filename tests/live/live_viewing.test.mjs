// A session that is watched from outside: Chromium takes part by the web client, whose pictures are
// H.264 there, and another Chromium watches by the player page, as long as the session runs.
import assert from 'node:assert/strict';
import { asGovernance, startedSession } from './api.mjs';
import { launch, newPage, outbound, rawClient, screenshot } from './browser.mjs';
import { fits, isAccessible } from './looks.mjs';
import { join, openJoin } from './pages.mjs';
import { Server } from './server.mjs';
import { story } from './story.mjs';
import { until } from './until.mjs';
import { isSeen, showsCard } from './viewer.mjs';

const WATCHED_MS = 120_000;

async function open(stage) {
  stage.server = await Server.start('live-viewing');
  stage.room = await launch();
  stage.browser = await launch();
  const wanted = { moderation: 'open', live_viewing: true };
  stage.session = await startedSession(stage.server, wanted);
  stage.tenant = stage.session.tenant_id;
}

async function watch({ server, browser, tenant, session }) {
  const body = { tenantId: tenant, sessionId: session.id };
  const issued = await asGovernance(server, 'POST', '/gateway/sessions', body);
  assert.equal(issued.status, 201, JSON.stringify(issued));
  const page = await newPage(browser);
  const camera = `session:${session.id}`;
  const query = new URLSearchParams({ tenant, camera, token: issued.body.token });
  await page.goto(`${server.origin}/player?${query}`);
  await page
    .locator('[data-testid="player"][data-state="playing"]')
    .waitFor({ timeout: WATCHED_MS });
  return page;
}

const bytesOf = (page) =>
  page.getByTestId('player-video').evaluate((it) => it.webkitAudioDecodedByteCount);

story('A session that is watched from outside', open, {
  'nobody is seen while nobody is there': async (stage) => {
    stage.viewer = await watch(stage);
    await until('the card', (seen) => showsCard(stage.viewer, seen), WATCHED_MS);
    const notice = stage.viewer.getByTestId('player-unseen');
    await notice.waitFor();
    await fits(stage.viewer, 'player of a session');
    await isAccessible(stage.viewer, 'player of a session');
    await screenshot(stage.viewer, 'player-session-nobody');
  },

  'whoever takes part is seen and heard, in H.264 as their page sends it': async (stage, t) => {
    const { room, server, session, viewer } = stage;
    const person = { user: 'ana', name: 'Ana' };
    stage.ana = await openJoin(room, server, session, person);
    // People know of it before they are in it, and while they are.
    await stage.ana.getByTestId('live-viewing-policy').waitFor();
    await join(stage.ana);
    await stage.ana.getByTestId('live-indicator').waitFor();
    await stage.ana.setViewportSize({ width: 360, height: 740 });
    await fits(stage.ana, 'meeting that is watched');
    await screenshot(stage.ana, 'meeting-watched');
    await stage.ana.setViewportSize({ width: 1280, height: 800 });
    await until('H.264 that is sent', async (seen) => {
      seen.last = await outbound(stage.ana);
      return seen.last.some(({ kind, codec }) => kind === 'video' && /h264/i.test(codec ?? ''));
    });
    const begun = Date.now();
    await until('Ana', (seen) => isSeen(viewer, seen), WATCHED_MS);
    t.diagnostic(`seen ${Date.now() - begun} ms after her page sent`);
    await viewer.getByTestId('player-unseen').waitFor({ state: 'detached' });
    await viewer.getByTestId('player-sound').click();
    const before = await bytesOf(viewer);
    await until('sound that is decoded', async () => (await bytesOf(viewer)) > before + 1_000);
    await screenshot(viewer, 'player-session');
  },

  'a codec that is not passed on is the card, and the page says why': async (stage) => {
    const { room, server, session, tenant, viewer } = stage;
    await stage.ana.context().close();
    await until('the card', (seen) => showsCard(viewer, seen), WATCHED_MS);
    const identity = { session: session.id, tenant, user: 'berta' };
    const berta = await rawClient(room, server, identity);
    await berta.evaluate(() => window.client.publish({ audio: true, codec: 'VP8', layers: 1 }));
    await until('the cause', async (seen) => {
      seen.last = await viewer.getByTestId('player-unseen').textContent();
      return /formato/.test(seen.last);
    });
    await berta.context().close();
  },

  'the end of the session is the end of the player': async ({ server, session, viewer }) => {
    const path = `/api/v1/sessions/${session.id}/end`;
    const ended = await asGovernance(server, 'POST', path);
    assert.equal(ended.status, 200, JSON.stringify(ended));
    await viewer
      .locator('[data-testid="player"][data-state="over"]')
      .waitFor({ timeout: WATCHED_MS });
    assert.deepEqual(viewer.problems, []);
  },
});
