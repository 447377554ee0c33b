// A vote of the assembly that governance tells of by Kafka, as every page shows it.
import assert from 'node:assert/strict';
import { startedSession } from './api.mjs';
import { Brokers } from './brokers.mjs';
import { launch, screenshot } from './browser.mjs';
import { fits, isAccessible } from './looks.mjs';
import { join, openConsole, openHall, openJoin, press } from './pages.mjs';
import { Server } from './server.mjs';
import { story } from './story.mjs';
import { PATIENCE_MS } from './until.mjs';

const TITLE = '¿Se aprueba el presupuesto de 2027, con la derrama para la cubierta del edificio B?';
const SIZES = {
  desktop: { width: 1280, height: 800 },
  phone: { width: 375, height: 667 },
  landscape: { width: 667, height: 375 },
};
/** How many times as long the second vote is open as it takes every page to show one, and how long at least. */
const OPEN_TIMES = 5;
const OPEN_MS_MIN = 3_000;

async function open(stage) {
  stage.brokers = await Brokers.start();
  stage.server = await Server.start('votes', stage.brokers.environment);
  stage.browser = await launch();
  stage.session = await startedSession(stage.server, { moderation: 'moderated' });
  stage.stop = () => stage.brokers.stop();
}

story('A vote', open, {
  'is announced on every page, in its language': async (stage) => {
    const { browser, server, session, pages, brokers } = stage;
    const chair = { user: 'chair', name: 'Presidencia' };
    pages.chair = await openConsole(browser, server, session, chair, { locale: 'pt' });
    pages.ana = await openJoin(browser, server, session, { user: 'ana', name: 'Ana' });
    await join(pages.ana, { microphone: false });
    const hall = { user: 'hall', name: 'Sala' };
    pages.hall = await openHall(browser, server, session, hall, { locale: 'en' });
    await pages.hall.getByTestId('floor-holder').waitFor();
    const began = Date.now();
    await brokers.startVote(session, { vote_id: 'budget', title: TITLE });
    const words = { chair: /Votação aberta/, ana: /Votación abierta/ };
    for (const [who, said] of Object.entries(words)) {
      const vote = pages[who].locator('[data-testid="vote-budget"][data-phase="open"]');
      await vote.getByText(TITLE).waitFor();
      assert.match(await vote.textContent(), said);
      await pages[who]
        .getByTestId('live-assertive')
        .filter({ hasText: /presupuesto/ })
        .waitFor();
    }
    const shown = /Vote open.*presupuesto/;
    await pages.hall.getByTestId('hall-vote').filter({ hasText: shown }).waitFor();
    stage.shownAfterMs = Date.now() - began;
  },

  'is readable in every size': async ({ pages }) => {
    for (const [size, viewport] of Object.entries(SIZES)) {
      for (const who of ['ana', 'chair', 'hall']) {
        const page = pages[who];
        await page.setViewportSize(viewport);
        await fits(page, `${who} ${size}`);
        await isAccessible(page, `${who} ${size}`);
        await screenshot(page, `vote-${who}-${size}`);
      }
    }
  },

  'stays until it is read, over a reload too': async ({ pages: { ana, chair } }) => {
    await ana.reload();
    await ana.getByTestId('vote-budget').waitFor();
    await press(ana, 'votes-read');
    await ana.getByTestId('votes').waitFor({ state: 'detached' });
    await ana.reload();
    await ana.getByTestId('meeting').waitFor();
    await ana.getByTestId('floor-holder').waitFor();
    assert.equal(await ana.getByTestId('votes').count(), 0);
    await chair.getByTestId('vote-budget').waitFor();
  },

  'says until when, and that it is over': async ({ pages, session, brokers, shownAfterMs }) => {
    const openMs = Math.max(OPEN_MS_MIN, OPEN_TIMES * shownAfterMs);
    const ends_at = new Date(Date.now() + openMs).toISOString();
    await brokers.startVote(session, { vote_id: 'roof', title: 'Cubierta', ends_at });
    const { ana, chair, hall } = pages;
    for (const page of [ana, chair]) {
      await page.locator('[data-testid="vote-roof"][data-phase="open"]').waitFor();
    }
    assert.match(await ana.getByTestId('vote-roof').textContent(), /hasta las \d/);
    for (const page of [ana, chair]) {
      await page
        .locator('[data-testid="vote-roof"][data-phase="over"]')
        .waitFor({ timeout: openMs + PATIENCE_MS });
    }
    await hall.locator('[data-testid="hall-vote"][data-phase="over"]').waitFor();
    assert.match(await ana.getByTestId('vote-roof').textContent(), /terminada/);
    for (const [who, page] of Object.entries(pages)) assert.deepEqual(page.problems, [], who);
  },
});
