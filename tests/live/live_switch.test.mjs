// A meeting that runs may be watched from outside from some moment on: the chair decides it at the
// console, everybody in the meeting is told, the page of whoever speaks sends H.264 from then on without
// joining again, and whoever has a link that the console made sees and hears the floor.
import assert from 'node:assert/strict';
import { startedSession } from './api.mjs';
import { launch, messages, newPage, outbound, screenshot } from './browser.mjs';
import { fits, isAccessible } from './looks.mjs';
import {
  approve,
  ask,
  holds,
  join,
  openConsole,
  openJoin,
  press,
  speak,
  startTurn,
} from './pages.mjs';
import { Server } from './server.mjs';
import { story } from './story.mjs';
import { until } from './until.mjs';
import { isSeen } from './viewer.mjs';

const WATCHED_MS = 120_000;
const PHONE = { width: 360, height: 740 };
const DESKTOP = { width: 1280, height: 800 };

async function open(stage) {
  stage.server = await Server.start('live-switch');
  stage.browser = await launch();
  stage.outside = await launch();
  stage.session = await startedSession(stage.server, {
    moderation: 'moderated',
    recording: { enabled: true, retention_days: 30 },
  });
}

/** Begins to note when more of a user's pictures and sound has come to a page. */
const watchArrivals = (page, user) =>
  page.evaluate((wanted) => {
    const seen = { video: [], audio: [] };
    const known = new Map();
    window.__arrivals = seen;
    const look = async () => {
      const now = performance.now();
      for (const row of await window.__probe.inbound()) {
        if (row.user !== wanted) continue;
        const count = row.kind === 'video' ? row.frames : row.packets;
        const key = `${row.kind} ${row.track}`;
        if (count > (known.get(key) ?? 0)) seen[row.kind].push(now);
        known.set(key, count);
      }
      setTimeout(look, 20);
    };
    void look();
  }, user);

/** The longest time between two arrivals of a kind so far, and until now. */
const longestBreak = (page, kind) =>
  page.evaluate((wanted) => {
    const times = [...window.__arrivals[wanted], performance.now()];
    return Math.max(...times.slice(1).map((time, index) => time - times[index]));
  }, kind);

const codecsOf = async (page) =>
  (await outbound(page)).filter(({ kind }) => kind === 'video').map(({ codec }) => codec ?? '');

const sends = (page, codec) =>
  until(`${codec} that is sent`, async (seen) => {
    seen.last = await codecsOf(page);
    return seen.last.length > 0 && seen.last.every((it) => codec.test(it));
  });

/** The first picture that a page has of a user is of this codec. */
const receives = (page, user, codec) =>
  until(`${codec} that is received`, async (seen) => {
    seen.last = await page.evaluate(() => window.__probe.inbound());
    return seen.last.some(
      (row) => row.user === user && row.kind === 'video' && row.codec === codec && row.frames > 0,
    );
  });

const said = (page, id, pattern) =>
  until(`${pattern} for screen readers`, async (seen) => {
    seen.last = await page.getByTestId(id).textContent();
    return pattern.test(seen.last);
  });

const segments = async (server) => (await server.metrics())['cabildo_recorder_segments_total'] ?? 0;

story('A meeting that may be watched from some moment on', open, {
  'somebody has the floor, in VP8, and is recorded': async (stage) => {
    const { browser, server, session, pages } = stage;
    pages.ana = await openJoin(browser, server, session, { user: 'ana', name: 'Ana' });
    await join(pages.ana);
    pages.berta = await openJoin(browser, server, session, { user: 'berta', name: 'Berta' });
    await join(pages.berta);
    const chair = { user: 'chair', name: 'La presidencia' };
    pages.chair = await openConsole(browser, server, session, chair, { viewport: DESKTOP });
    await ask(pages.ana);
    await approve(pages.chair, 'ana');
    await startTurn(pages.chair, 'ana');
    await holds(pages.berta, 'ana');
    await sends(pages.ana, /vp8/i);
    await receives(pages.berta, 'ana', 'vp8');
    await until('a recording', async () => (await segments(server)) > 0);
    assert.equal(await pages.ana.getByTestId('live-indicator').count(), 0);
  },

  'the console says what it means, and does nothing before it is confirmed': async (stage) => {
    const { chair } = stage.pages;
    await chair.getByTestId('live-open').waitFor();
    await chair.keyboard.press('l');
    const dialog = chair.getByTestId('live-dialog');
    await dialog.waitFor();
    for (const language of ['es', 'en', 'pt']) {
      await press(chair, 'live-cancel');
      await dialog.waitFor({ state: 'detached' });
      await speak(chair, language);
      await chair.getByTestId('live-open').waitFor();
      for (const [name, viewport] of Object.entries({ desktop: DESKTOP, phone: PHONE })) {
        await chair.setViewportSize(viewport);
        if ((await dialog.count()) === 0) await press(chair, 'live-open');
        await dialog.waitFor();
        await fits(chair, `console with the question, ${language} ${name}`);
        await screenshot(chair, `live-question-${language}-${name}`);
      }
      await isAccessible(chair, `console with the question, ${language}`);
    }
    await press(chair, 'live-cancel');
    await speak(chair, 'es');
    await chair.setViewportSize(DESKTOP);
    assert.equal(await chair.getByTestId('live-indicator').count(), 0);
    assert.deepEqual(await messages(chair, 'live_viewing_changed'), []);
  },

  'everybody is told, and pictures change to H.264 with the floor, the sound and the recording going on':
    async (stage, t) => {
      const { server, pages } = stage;
      const welcomes = (await messages(pages.ana, 'welcome')).length;
      await watchArrivals(pages.berta, 'ana');
      await until('arrivals', () =>
        pages.berta.evaluate(() => window.__arrivals.video.length > 20),
      );
      await press(pages.chair, 'live-open');
      await press(pages.chair, 'live-confirm');
      for (const page of Object.values(pages)) await page.getByTestId('live-indicator').waitFor();
      await said(pages.ana, 'live-assertive', /desde fuera/);
      await sends(pages.ana, /h264/i);
      await receives(pages.berta, 'ana', 'h264');
      const pictures = await longestBreak(pages.berta, 'video');
      const sound = await longestBreak(pages.berta, 'audio');
      t.diagnostic(
        `break of pictures ${Math.round(pictures)} ms, of sound ${Math.round(sound)} ms`,
      );
      assert.equal((await messages(pages.ana, 'welcome')).length, welcomes, 'she joined again');
      await holds(pages.berta, 'ana');
      await pages.ana
        .locator('[data-testid="recording-indicator"][data-state="recording"]')
        .waitFor();
      const before = await segments(server);
      await until('a recording that goes on', async () => (await segments(server)) > before + 3);
      await pages.ana.setViewportSize(PHONE);
      await fits(pages.ana, 'meeting that is watched from now on');
      await screenshot(pages.ana, 'meeting-watched-from-now-on');
    },

  'a link of the console lets somebody outside see and hear the floor': async (stage) => {
    const { chair } = stage.pages;
    await press(chair, 'live-open');
    await press(chair, 'live-link');
    const shown = chair.getByTestId('live-link-shown');
    await shown.waitFor();
    await isAccessible(chair, 'console with a link');
    await screenshot(chair, 'live-link-desktop');
    await chair.setViewportSize(PHONE);
    await fits(chair, 'console with a link');
    await screenshot(chair, 'live-link-phone');
    await chair.setViewportSize(DESKTOP);
    const address = await shown.inputValue();
    await press(chair, 'live-cancel');
    stage.viewer = await newPage(stage.outside);
    stage.pages.viewer = stage.viewer;
    await stage.viewer.goto(address);
    await until('Ana, seen from outside', (seen) => isSeen(stage.viewer, seen), WATCHED_MS);
    await stage.viewer.getByTestId('player-unseen').waitFor({ state: 'detached' });
  },

  'it is over for viewers when the chair says so, and the meeting goes on': async (stage) => {
    const { viewer, pages } = stage;
    await press(pages.chair, 'live-open');
    await press(pages.chair, 'live-stop');
    await pages.ana.getByTestId('live-indicator').waitFor({ state: 'detached' });
    await said(pages.berta, 'live-polite', /ya no se puede ver desde fuera/);
    await viewer
      .locator('[data-testid="player"][data-state="over"]')
      .waitFor({ timeout: WATCHED_MS });
    // What is sent stays as it is: another break would help nobody.
    await sends(pages.ana, /h264/i);
    await holds(pages.berta, 'ana');
    for (const [who, page] of Object.entries(pages)) assert.deepEqual(page.problems, [], who);
  },
});
