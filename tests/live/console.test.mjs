// The console with a real assembly in the room: 500 people, 120 requests.
import assert from 'node:assert/strict';
import { startedSession } from './api.mjs';
import { SLOWDOWN, launch, screenshot } from './browser.mjs';
import { askAll, crowd, disperse } from './crowd.mjs';
import { isAccessible } from './looks.mjs';
import { join, openConsole, openHall, openJoin, press, stateOf } from './pages.mjs';
import { Server } from './server.mjs';
import { story } from './story.mjs';
import { until } from './until.mjs';

const DESKTOP = { width: 1280, height: 800 };
const SIZES = {
  desktop: DESKTOP,
  phone: { width: 375, height: 667 },
  landscape: { width: 667, height: 375 },
};
const PEOPLE = Number(process.env.CROWD ?? 500);
const REQUESTS = Number(process.env.CROWD_REQUESTS ?? 120);
/** Of the console's main thread, while the room is as lively as an assembly gets. */
const BUSY_SHARE_MAX = 0.5;

async function open(stage) {
  stage.server = await Server.start('console');
  stage.browser = await launch();
  stage.session = await startedSession(stage.server, {
    title: 'Asamblea general ordinaria de la Comunidad de Propietarios Jardines del Poniente',
    moderation: 'moderated',
    max_participants: 1000,
  });
  stage.stop = () => disperse(stage.people ?? []);
}

/**
 * What the main thread did during `ms`: its share of time at work, and drawings a second. Its own time
 * is counted, not what others took from it meanwhile; a page that is slowed down spends it idly.
 */
async function measured(page, ms) {
  const session = await page.context().newCDPSession(page);
  await session.send('Performance.enable');
  const read = async () => {
    const { metrics } = await session.send('Performance.getMetrics');
    const of = (wanted) => metrics.find(({ name }) => name === wanted).value;
    return { at: of('Timestamp'), busy: of('ThreadTime') / SLOWDOWN };
  };
  const before = await read();
  const frames = await page.evaluate(
    (span) =>
      new Promise((resolve) => {
        let count = 0;
        let longest = 0;
        const first = performance.now();
        let last = first;
        const draw = (now) => {
          count += 1;
          longest = Math.max(longest, now - last);
          last = now;
          if (now - first < span) requestAnimationFrame(draw);
          else resolve({ perSecond: (count * 1000) / (now - first), longest });
        };
        requestAnimationFrame(draw);
      }),
    ms,
  );
  const after = await read();
  await session.detach();
  return {
    ...frames,
    share: (after.busy - before.busy) / (after.at - before.at),
  };
}

const isInView = (page, id) =>
  page.evaluate((wanted) => {
    const box = document.querySelector(`[data-testid="${wanted}"]`)?.getBoundingClientRect();
    return box !== undefined && box.top >= 0 && box.bottom <= innerHeight && box.height > 0;
  }, id);

const focused = (page) =>
  page.evaluate(
    () => document.activeElement?.getAttribute('data-testid') ?? document.activeElement?.tagName,
  );

/** Waits until something has the focus. */
const gets = (page, wanted) =>
  until(`the focus on ${wanted}`, async (seen) => {
    seen.last = await focused(page);
    return seen.last === wanted;
  });

/**
 * Presses a key right after the switch of shortcuts was changed and its dialog closed: drawn,
 * but not painted yet. Returns what has the focus then.
 */
const switchAndPress = (page, key) =>
  page.evaluate(async (pressed) => {
    document.querySelector('[data-testid="shortcuts-on"]').click();
    await new Promise(queueMicrotask);
    document.querySelector('dialog[open]').close();
    document.body.dispatchEvent(new KeyboardEvent('keydown', { key: pressed, bubbles: true }));
    return document.activeElement.getAttribute('data-testid');
  }, key);

const STEPS = {
  'people come and ask while the console is open': async (stage, t) => {
    const { browser, server, session, pages } = stage;
    pages.chair = await openConsole(
      browser,
      server,
      session,
      { user: 'chair', name: 'Presidencia' },
      { viewport: DESKTOP },
    );
    const coming = crowd(server, session, PEOPLE);
    const during = await measured(pages.chair, 5_000);
    t.diagnostic(`while people come: ${JSON.stringify(during)}`);
    stage.people = await coming;
    const asking = askAll(stage.people.slice(0, REQUESTS));
    const asked = await measured(pages.chair, 5_000);
    t.diagnostic(`while people ask: ${JSON.stringify(asked)}`);
    await asking;
    await until(
      'all requests',
      async () => (await stateOf(pages.chair)).requested.length === REQUESTS,
    );
    const still = await measured(pages.chair, 5_000);
    t.diagnostic(
      `${PEOPLE} people, ${REQUESTS} requests, a turn running: ${JSON.stringify(still)}`,
    );
    assert.ok(still.share < BUSY_SHARE_MAX, `the main thread is busy ${still.share}`);
  },

  'points of order stand first, are marked, and are decided by a key': async ({ pages }) => {
    const { chair } = pages;
    const first = chair.getByTestId('request-row').first();
    assert.equal(await first.getAttribute('data-kind'), 'point_of_order');
    assert.match(await first.getAttribute('class'), /urgent/);
    const request = await first.getAttribute('data-request');
    await chair.locator('body').press('a');
    await chair.getByTestId(`start-${request}`).waitFor();
  },

  'the turn and its time stay in view however long the lists are': async ({ pages }) => {
    const { chair } = pages;
    await chair.locator('body').press('n');
    await chair.getByTestId('time-left').waitFor();
    for (const [size, viewport] of Object.entries(SIZES)) {
      await chair.setViewportSize(viewport);
      const last = chair.getByTestId('request-row').last();
      await last.scrollIntoViewIfNeeded();
      for (const id of ['time-left', 'floor-holder'])
        await until(`${id} in view: ${size}`, () => isInView(chair, id));
      await until(`a page as wide as its window: ${size}`, async (seen) => {
        seen.last = await chair.evaluate(() => [
          document.documentElement.scrollWidth,
          document.documentElement.clientWidth,
        ]);
        const [wide, room] = seen.last;
        return wide <= room;
      });
      await isAccessible(chair, size);
      await screenshot(chair, `console-crowd-${size}`);
    }
    await chair.setViewportSize(DESKTOP);
    await until('a page that does not scroll itself', async (seen) => {
      seen.last = await chair.evaluate(() => document.documentElement.scrollHeight - innerHeight);
      return seen.last === 0;
    });
  },

  'the focus stays where work goes on, and arrows go from row to row': async ({ pages }) => {
    const { chair } = pages;
    const rows = chair.getByTestId('request-row');
    const id = (at) => rows.nth(at).getAttribute('data-request');
    const [first, second, third] = [await id(0), await id(1), await id(2)];
    await chair.getByTestId(`approve-${first}`).focus();
    await chair.keyboard.press('Enter');
    await chair.getByTestId(`start-${first}`).waitFor();
    await gets(chair, `approve-${second}`);
    await chair.keyboard.press('ArrowDown');
    await gets(chair, `approve-${third}`);
    await chair.keyboard.press('ArrowUp');
    await gets(chair, `approve-${second}`);
  },

  'one-key shortcuts can be switched off': async ({ pages }) => {
    const { chair } = pages;
    await chair.locator('body').press('?');
    await chair.getByTestId('shortcuts-on').uncheck();
    await isAccessible(chair, 'shortcuts');
    await chair.keyboard.press('Escape');
    const before = (await stateOf(chair)).queue.length;
    await chair.locator('body').press('a');
    await chair.locator('body').press('r');
    assert.notEqual(await focused(chair), 'requests-search');
    assert.equal((await stateOf(chair)).queue.length, before);
    await press(chair, 'shortcuts-button');
    await chair.getByTestId('shortcuts-on').check();
    await chair.keyboard.press('Escape');
    await chair.locator('body').press('r');
    await gets(chair, 'requests-search');
    for (const after of ['shortcuts-button', 'requests-search']) {
      await press(chair, 'shortcuts-button');
      await chair.getByTestId('shortcuts-on').waitFor();
      assert.equal(await switchAndPress(chair, 'r'), after, 'a key that comes at once');
      await chair.getByTestId('shortcuts').waitFor({ state: 'detached' });
    }
  },

  'requests and people are searched and filtered': async ({ pages, people }) => {
    const { chair } = pages;
    await chair.getByTestId('requests-search').fill('punto 17');
    await until('one row', async () => (await chair.getByTestId('request-row').count()) === 1);
    await chair.getByTestId('requests-search').fill('');
    await chair.getByTestId('requests-kind').selectOption('point_of_order');
    await until('rows of one kind', async (seen) => {
      seen.last = await chair
        .getByTestId('request-row')
        .evaluateAll((rows) => [...new Set(rows.map((row) => row.dataset.kind))]);
      return seen.last.length === 1 && seen.last[0] === 'point_of_order';
    });
    await chair.getByTestId('requests-kind').selectOption('');
    await chair.getByTestId('people-search').fill(people[49].name);
    await chair.getByTestId(`person-${people[49].user}`).waitFor();
    await chair.getByTestId('people-search').fill('');
    people[7].channel.socket.terminate();
    await chair.getByTestId('count-away').and(chair.locator('[data-count="1"]')).waitFor();
    await press(chair, 'count-away');
    await chair.getByTestId(`person-${people[7].user}`).waitFor();
    await screenshot(chair, 'console-crowd-away');
    await press(chair, 'count-away');
  },

  'an announcement reaches every screen until it is read': async (stage) => {
    const { browser, server, session, pages } = stage;
    pages.ana = await openJoin(browser, server, session, {
      user: 'ana',
      name: 'Ana',
    });
    await join(pages.ana, { microphone: false });
    pages.hall = await openHall(browser, server, session, {
      user: 'hall',
      name: 'Sala',
    });
    await pages.chair.locator('body').press('t');
    await gets(pages.chair, 'announce-input');
    await pages.chair.keyboard.type('Pausa de diez minutos');
    await pages.chair.keyboard.press('Enter');
    for (const page of [pages.ana, pages.hall]) {
      await page.getByTestId('announcement').getByText('Pausa de diez minutos').waitFor();
    }
    await pages.ana
      .getByTestId('live-assertive')
      .filter({ hasText: /^Pausa de diez minutos$/ })
      .waitFor();
    await isAccessible(pages.ana, 'announcement');
    await screenshot(pages.ana, 'announcement');
    await pages.ana.reload();
    await pages.ana.getByTestId('announcement').waitFor();
    await press(pages.ana, 'announcement-read');
    await pages.ana.getByTestId('announcement').waitFor({ state: 'detached' });
  },

  'a participant who writes like a moderator announces nothing': async ({ pages, people }) => {
    const text = '📢 Se levanta la sesión';
    await people[1].channel.request({ type: 'chat', text });
    await press(pages.ana, 'chat-button');
    await pages.ana.getByTestId('chat-line').getByText('Se levanta la sesión').waitFor();
    assert.equal(await pages.ana.getByTestId('announcement').count(), 0);
    await press(pages.ana, 'chat-button');
  },

  'every picture is seen small, with what stops it': async ({ pages }, t) => {
    const { chair, ana } = pages;
    const unseen = chair.locator('[data-testid^="picture-"][data-user="ana"][data-seen="false"]');
    await unseen.waitFor();
    await press(chair, 'toggle-policy');
    const seen = chair.locator('[data-testid^="picture-"][data-user="ana"][data-seen="true"]');
    await seen.waitFor();
    await until('a moving picture', () =>
      chair.evaluate(() => (document.querySelector('.picture-strip video')?.videoWidth ?? 0) > 0),
    );
    t.diagnostic(`with a picture: ${JSON.stringify(await measured(chair, 3_000))}`);
    await isAccessible(chair, 'pictures');
    await screenshot(chair, 'console-pictures');
    await seen.locator('[data-testid^="stop-picture-"]').click();
    await chair.getByTestId('stop-picture-dialog').waitFor();
    await isAccessible(chair, 'stop dialog');
    await press(chair, 'stop-picture-policy');
    await unseen.waitFor();
    await ana.getByTestId('own-tile').waitFor();
  },

  'when the chair is gone another moderator is warned and takes over with one press': async (
    stage,
  ) => {
    const { browser, server, session, pages } = stage;
    pages.second = await openConsole(
      browser,
      server,
      session,
      { user: 'second', name: 'Vicepresidencia' },
      { viewport: DESKTOP },
    );
    await pages.second.locator('[data-testid="chair"][data-user="chair"]').waitFor();
    await pages.chair.context().close();
    delete pages.chair;
    await pages.second.getByTestId('chair-missing').waitFor();
    await isAccessible(pages.second, 'chair missing');
    await screenshot(pages.second, 'chair-missing');
    await press(pages.second, 'take-chair');
    await pages.second.locator('[data-testid="chair"][data-user="second"]').waitFor();
    await pages.second.getByTestId('chair-missing').waitFor({ state: 'detached' });
    await screenshot(pages.second, 'chair-taken');
  },
};

// Ten of five hundred people enter at a time.
story('The console with an assembly', open, STEPS, { stepMs: 900_000 });
