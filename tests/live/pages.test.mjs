// Every page of the web client: what axe-core says of it, whether it fits, and
// pictures of it in three languages to be looked at.
import assert from 'node:assert/strict';
import { scheduledSession, start, startedSession } from './api.mjs';
import { launch, newPage, screenshot } from './browser.mjs';
import { fits, isAccessible } from './looks.mjs';
import {
  approve,
  ask,
  holds,
  join,
  openConsole,
  openHall,
  openJoin,
  press,
  speak,
  startTurn,
} from './pages.mjs';
import { Server } from './server.mjs';
import { story } from './story.mjs';
import { until } from './until.mjs';

const PHONE = { width: 360, height: 740 };
const NARROW = { width: 320, height: 640 };
const DESKTOP = { width: 1280, height: 800 };
const PROJECTOR = { width: 1920, height: 1080 };
const LANGUAGES = ['es', 'en', 'pt'];

async function open(stage) {
  stage.server = await Server.start('pages');
  stage.browser = await launch();
  stage.session = await startedSession(stage.server, {
    title: 'Asamblea general ordinaria de la comunidad de propietarios Jardines del Norte',
    recording: { enabled: true, retention_days: 3650 },
  });
}

/** Asserts that axe-core objects to nothing, by day and by night. */
async function isAccessibleAlways(page, name) {
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    await isAccessible(page, `${name}, ${colorScheme}`);
  }
  await page.emulateMedia({ colorScheme: 'light' });
}

/** Looks at a page in each size, by axe and by picture. */
async function look(page, name, sizes) {
  for (const [size, viewport] of Object.entries(sizes)) {
    await page.setViewportSize(viewport);
    await fits(page, `${name} ${size}`);
    await isAccessibleAlways(page, `${name} ${size}`);
  }
  assert.deepEqual(page.problems, [], name);
}

/** Keeps a picture of a page in each language and size, by its own switch. */
async function picture(page, name, sizes) {
  for (const language of LANGUAGES) {
    await speak(page, language);
    for (const [size, viewport] of Object.entries(sizes)) {
      await page.setViewportSize(viewport);
      await fits(page, `${name} ${size} ${language}`);
      await screenshot(page, `${name}-${size}-${language}`);
    }
  }
  await speak(page, 'es');
}

const SIZES = { phone: PHONE, desktop: DESKTOP };

story('Pages', open, {
  'the start page': async ({ browser, server }) => {
    const page = await newPage(browser);
    await page.goto(server.origin);
    await page.getByTestId('session-go').waitFor();
    await look(page, 'start', { ...SIZES, narrow: NARROW });
    await picture(page, 'start', SIZES);
    await page.context().close();
  },

  'the governance page makes a session and starts it': async ({ browser, server, session }) => {
    const page = await newPage(browser);
    await page.goto(`${server.origin}/governance`);
    await page.getByTestId('tenant-input').fill(session.tenant_id);
    await page.getByTestId('title-input').fill('Junta extraordinaria');
    await page.getByTestId('create-session').click();
    const card = page.getByTestId('session-card').filter({ hasText: 'Junta extraordinaria' });
    await card.getByTestId('start-session').click();
    await card.getByTestId('end-session').waitFor();
    await look(page, 'governance', SIZES);
    await picture(page, 'governance', { desktop: DESKTOP });
    await page.context().close();
  },

  'the description of the interface': async ({ browser, server }) => {
    const page = await newPage(browser);
    await page.goto(`${server.origin}/docs`);
    const routes = page.getByTestId('docs-route');
    await routes.first().waitFor();
    const described = await (await fetch(`${server.origin}/openapi.json`)).json();
    const operations = Object.values(described.paths).flatMap(Object.values);
    assert.equal(await routes.count(), operations.length, 'every route is there');
    // One of each kind is open: a route with a body, a code, a type of fields and one of two types.
    await page.evaluate(() => {
      for (const id of [
        'createSession',
        'code-SESSION_NOT_FOUND',
        'type-Session',
        'type-QuorumNow',
      ])
        document.getElementById(id).open = true;
    });
    await look(page, 'docs', SIZES);
    await isAccessible(page, 'docs, targets', { 'target-size': { enabled: true } });
    await picture(page, 'docs', { desktop: DESKTOP });
    // Everything that can be opened, at once.
    await page.setViewportSize(DESKTOP);
    await page.evaluate(() => {
      for (const one of document.querySelectorAll('details')) one.open = true;
    });
    await fits(page, 'docs, open');
    await page.reload();
    await routes.first().waitFor();
    // By keyboard: search, open, and follow a code to what it means and back to a route.
    await page.getByTestId('docs-search').focus();
    await page.keyboard.type('start turn nothing');
    await until('no route', async () => (await routes.count()) === 0);
    await page.getByTestId('docs-search').fill('recordingUrl');
    await until('one route', async () => (await routes.count()) === 1);
    await routes.first().locator('summary').focus();
    await page.keyboard.press('Enter');
    await routes.first().getByRole('link', { name: 'RECORDING_NOT_FOUND' }).focus();
    await page.keyboard.press('Enter');
    const code = page.locator('#code-RECORDING_NOT_FOUND');
    await code.locator('[lang="es"]').waitFor();
    const search = page.getByTestId('docs-search');
    await until('no search that hides it', async () => (await search.inputValue()) === '');
    await until('the focus on it', () =>
      code.locator('summary').evaluate((one) => one === document.activeElement),
    );
    await screenshot(page, 'docs-code');
    await page.goto(`${server.origin}/docs#auditProof`);
    await page.reload();
    await page.locator('#auditProof[open]').waitFor();
    assert.deepEqual(page.problems, []);
    await page.context().close();
  },

  'a page that lacks the texts of a language says so, and keeps the one it has': async (stage) => {
    const { browser, server } = stage;
    const page = await newPage(browser);
    await page.route(/assets\/(es|en)-[^/]*\.js$/, (route) => route.abort());
    await page.goto(server.origin);
    await page.getByTestId('no-texts').getByRole('button').first().waitFor();
    for (const [size, viewport] of Object.entries(SIZES)) {
      await page.setViewportSize(viewport);
      await fits(page, `no-texts ${size}`);
      await isAccessibleAlways(page, `no-texts ${size}`);
      await screenshot(page, `no-texts-${size}`);
    }
    await page.unroute(/assets\/(es|en)-[^/]*\.js$/);
    await page.route(/assets\/en-[^/]*\.js$/, (route) => route.abort());
    await page.getByTestId('no-texts').getByRole('button').first().click();
    const language = page.getByTestId('language');
    await language.waitFor();
    await language.selectOption('en');
    await page.getByTestId('toast').waitFor();
    assert.equal(await language.inputValue(), 'es');
    assert.equal(await page.locator('html').getAttribute('lang'), 'es');
    await speak(page, 'pt');
    await page.context().close();
  },

  'the hall display and the console wait for the start by themselves': async (stage) => {
    const { browser, server } = stage;
    const waiting = await scheduledSession(server, {
      tenant_id: stage.session.tenant_id,
    });
    const query = `session=${waiting.id}&tenant=${waiting.tenant_id}`;
    const hall = await newPage(browser);
    const chair = await newPage(browser);
    await hall.goto(`${server.origin}/hall?${query}&user=hall&role=hall`);
    await chair.goto(`${server.origin}/console?${query}&user=chair&role=moderator`);
    await Promise.all([hall, chair].map((page) => page.getByTestId('awaits-start').waitFor()));
    await look(hall, 'waiting', SIZES);
    await start(server, waiting.id);
    await hall.getByTestId('hall').waitFor();
    await chair.getByTestId('console').waitFor();
    await hall.context().close();
    await chair.context().close();
  },

  'the join page': async (stage) => {
    const { browser, server, session, pages } = stage;
    const person = {
      user: 'ana',
      name: 'Ana María Fernández-Villaverde · 3.º B',
    };
    pages.ana = await openJoin(browser, server, session, person);
    await look(pages.ana, 'join', { ...SIZES, narrow: NARROW });
    await picture(pages.ana, 'join', SIZES);
  },

  'the console, with a list': async (stage) => {
    const { browser, server, session, pages } = stage;
    await join(pages.ana);
    const chair = await openConsole(browser, server, session, {
      user: 'chair',
      name: 'Presidencia',
    });
    pages.chair = chair;
    await chair.setViewportSize(DESKTOP);
    await ask(pages.ana);
    await approve(chair, 'ana');
    for (const name of [
      'Joaquín Ibáñez · 1.º A',
      'Sociedad Inmobiliaria del Mediterráneo, S. L.',
      'Rosa',
    ]) {
      await chair.getByTestId('hall-name').fill(name);
      await press(chair, 'add-hall-speaker');
      await chair.getByTestId('queue').getByText(name).waitFor();
    }
    await startTurn(chair, 'ana');
    await press(chair, 'mic-button');
    await ask(await guest(stage, 'ben', 'Benito'));
    await chair.getByTestId('request-row').waitFor();
    await chair.getByTestId('chat-input').fill('La sala pide que se hable más despacio.');
    await chair.getByTestId('chat-input').press('Enter');
    // 640 wide and 400 high is a laptop's window, enlarged to 200 %.
    await look(chair, 'console', {
      ...SIZES,
      narrow: NARROW,
      enlarged: { width: 640, height: 400 },
    });
    await chair.setViewportSize(PHONE);
    for (const id of ['pause-turn', 'extend-30', 'stop-turn', 'toggle-queue']) {
      await until(`${id} in the window`, async (seen) => {
        seen.last = await chair.getByTestId(id).boundingBox();
        return seen.last?.x >= 0 && seen.last.x + seen.last.width <= PHONE.width;
      });
    }
    await picture(chair, 'console', SIZES);
  },

  'the meeting': async ({ pages }) => {
    await holds(pages.ana, 'ana');
    await look(pages.ana, 'meeting', { ...SIZES, narrow: NARROW });
    await picture(pages.ana, 'meeting', SIZES);
    await press(pages.ana, 'chat-button');
    await pages.ana.getByTestId('chat-line').waitFor();
    await look(pages.ana, 'chat', SIZES);
    // By hand, on a phone: a press finds out whether anything lies above it.
    await pages.ana.setViewportSize(PHONE);
    await pages.ana.getByTestId('chat-input').fill('De acuerdo.');
    await press(pages.ana, 'chat-send');
    await pages.ana.getByTestId('chat-line').filter({ hasText: 'De acuerdo.' }).click();
    await screenshot(pages.ana, 'chat-phone-es');
    await press(pages.ana, 'people-button');
    await look(pages.ana, 'people', SIZES);
    await pages.ana.setViewportSize(PHONE);
    await pages.ana.getByTestId('person-ben').click();
    await screenshot(pages.ana, 'people-phone-es');
    await press(pages.ana, 'people-button');
    await press(pages.ben, 'withdraw');
    await press(pages.ben, 'ask-more');
    await pages.ben.getByTestId('ask-dialog').waitFor();
    await look(pages.ben, 'ask', SIZES);
    await screenshot(pages.ben, 'ask-desktop-es');
  },

  'the hall display': async ({ browser, server, session }) => {
    for (const locale of LANGUAGES) {
      const person = { user: `hall-${locale}`, name: 'Sala' };
      const hall = await openHall(browser, server, session, person, {
        locale,
        viewport: PROJECTOR,
      });
      await holds(hall, 'ana');
      await hall.getByTestId('hall-next').waitFor();
      if (locale === 'es') await look(hall, 'hall', { projector: PROJECTOR, desktop: DESKTOP });
      await hall.setViewportSize(PROJECTOR);
      await fits(hall, `hall ${locale}`);
      await screenshot(hall, `hall-projector-${locale}`);
      await hall.context().close();
    }
  },
});

/** One more participant in the meeting. */
async function guest({ browser, server, session, pages }, user, name) {
  const page = await openJoin(browser, server, session, { user, name });
  await join(page);
  pages[user] = page;
  return page;
}
