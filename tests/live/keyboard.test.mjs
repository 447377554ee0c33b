// The pages by keyboard alone: the focus stays where work goes on, and what is pressed by
// mistake is taken back.
import assert from 'node:assert/strict';
import { startedSession } from './api.mjs';
import { launch, screenshot } from './browser.mjs';
import { crowd, disperse } from './crowd.mjs';
import { fits, isAccessible } from './looks.mjs';
import { approve, join, openConsole, openJoin, startTurn } from './pages.mjs';
import { Server } from './server.mjs';
import { story } from './story.mjs';
import { until } from './until.mjs';

const SIZES = {
  desktop: { width: 1280, height: 800 },
  phone: { width: 360, height: 640 },
};

/** For a page: what can be undone is offered for longer than ten seconds, in which a busy machine does little. */
const OFFERS_LONGER = `{
  const { setTimeout: original } = window;
  window.setTimeout = (run, ms, ...rest) => original(run, ms === 10_000 ? 60_000 : ms, ...rest);
}`;

async function open(stage) {
  stage.server = await Server.start('keyboard');
  stage.browser = await launch();
  stage.session = await startedSession(stage.server, {
    moderation: 'moderated',
    recording: { enabled: true, retention_days: 30 },
  });
  stage.people = await crowd(stage.server, stage.session, 3);
  stage.stop = () => disperse(stage.people);
}

/** What has the focus: its test id, its id, or its tag. */
const focused = (page) =>
  page.evaluate(() => {
    const { activeElement: one } = document;
    return one.getAttribute('data-testid') ?? (one.id === '' ? one.tagName : one.id);
  });

/** Waits until something has the focus, and can be pressed where it is a button. */
const gets = (page, wanted) =>
  until(`the focus on ${wanted}`, async (seen) => {
    seen.last = await focused(page);
    return seen.last === wanted && (await page.locator(':focus[aria-disabled]').count()) === 0;
  });

/** Presses a button as somebody without a pointer does. */
async function enterOn(page, id) {
  await page.getByTestId(id).focus();
  await page.keyboard.press('Enter');
}

const showsRecording = (page, state) =>
  page.locator(`[data-testid="recording-indicator"][data-state="${state}"]`).first().waitFor();

story('By keyboard alone', open, {
  'whoever enters the meeting begins at its heading': async (stage) => {
    const { browser, server, session, pages } = stage;
    pages.chair = await openConsole(
      browser,
      server,
      session,
      { user: 'chair', name: 'Presidencia' },
      { viewport: SIZES.desktop, scripts: [OFFERS_LONGER] },
    );
    pages.ana = await openJoin(browser, server, session, { user: 'ana', name: 'Ana' });
    await enterOn(pages.ana, 'join-button');
    await pages.ana.getByTestId('meeting').waitFor();
    await gets(pages.ana, 'H1');
  },

  'a notice that was read hands the focus to what follows it': async ({ pages }) => {
    const { ana, chair } = pages;
    await enterOn(ana, 'acknowledge-recording');
    await gets(ana, 'floor');
    await enterOn(chair, 'acknowledge-recording');
    await gets(chair, 'turn-card');
    await chair.getByTestId('announce-input').fill('Pausa de diez minutos');
    await chair.keyboard.press('Enter');
    await enterOn(ana, 'announcement-read');
    await gets(ana, 'floor');
  },

  'asking and withdrawing are the same key': async ({ pages: { ana } }) => {
    await enterOn(ana, 'ask-floor');
    await gets(ana, 'withdraw');
    await ana.keyboard.press('Enter');
    await gets(ana, 'ask-floor');
  },

  'a turn that begins is not ended by the key that was to withdraw': async ({ pages }) => {
    const { ana, chair } = pages;
    await ana.keyboard.press('Enter');
    await gets(ana, 'withdraw');
    await approve(chair, 'ana');
    await startTurn(chair, 'ana');
    await gets(ana, 'floor');
    // The button takes no press just after it came.
    await ana.locator('[data-testid="end-turn"]:not([data-settling] *)').waitFor();
    await enterOn(ana, 'end-turn');
    await gets(ana, 'ask-floor');
  },

  'a panel gives the focus back to the button that opened it': async ({ pages }) => {
    const { ana } = pages;
    await enterOn(ana, 'people-button');
    await ana.locator('.panel button').first().focus();
    await ana.keyboard.press('Enter');
    await gets(ana, 'people-button');
  },

  'whoever removes somebody is not left on the button that removes the next': async (stage) => {
    const { chair } = stage.pages;
    const [first, second] = stage.people;
    await enterOn(chair, `remove-${first.user}`);
    await chair.getByTestId(`admit-${first.user}`).waitFor();
    await gets(chair, 'people');
    await chair.keyboard.press('Enter');
    await chair.getByTestId(`remove-${second.user}`).waitFor();
    assert.equal(await chair.locator('.person.leaving').count(), 0);
  },

  'pausing the recording is said in words and can be undone': async (stage) => {
    const { browser, server, session, pages } = stage;
    const { ana, chair } = pages;
    for (const [size, viewport] of Object.entries(SIZES)) {
      await chair.setViewportSize(viewport);
      for (const id of ['pause-recording', 'stop-recording']) {
        await until(`the words of ${id} in the window: ${size}`, async (seen) => {
          seen.last = await chair.getByTestId(id).locator('span').boundingBox();
          const { x, width } = seen.last ?? { width: 0 };
          return width > 0 && x >= 0 && x + width <= viewport.width;
        });
      }
      await fits(chair, size);
      await screenshot(chair, `console-recording-${size}`);
    }
    await enterOn(chair, 'pause-recording');
    await showsRecording(ana, 'paused');
    const wayBack = chair
      .getByTestId('toast')
      .filter({ hasText: 'La grabación está en pausa' })
      .last()
      .getByTestId('toast-action');
    await wayBack.waitFor();
    pages.ben = await openJoin(browser, server, session, { user: 'ben', name: 'Ben' });
    await join(pages.ben, { microphone: false });
    const banner = pages.ben.locator('[data-testid="consent-banner"][data-state="paused"] h2');
    assert.match(await banner.textContent(), /en pausa/);
    await screenshot(chair, 'console-recording-paused-phone');
    await isAccessible(chair, 'paused');
    await chair.setViewportSize(SIZES.desktop);
    await screenshot(chair, 'console-recording-paused-desktop');
    await chair.setViewportSize(SIZES.phone);
    // Each key is meant for what the chair's page shows, which may be behind the other.
    const bothShow = (state) =>
      Promise.all([chair, ana].map((page) => showsRecording(page, state)));
    await enterOn(chair, 'start-recording');
    await bothShow('recording');
    await chair.keyboard.press('z');
    await bothShow('paused');
    await enterOn(chair, 'start-recording');
    await bothShow('recording');
    await chair.setViewportSize(SIZES.desktop);
    await enterOn(chair, 'pause-recording');
    await bothShow('paused');
    await wayBack.focus();
    await chair.keyboard.press('Enter');
    await bothShow('recording');
    await gets(chair, 'pause-recording');
  },
});
