// A chair stops one person's camera and screen: nobody sees them any more, the person is told, and
// nothing else changes for anybody.
import assert from 'node:assert/strict';
import { startedSession } from './api.mjs';
import { launch, screenshot } from './browser.mjs';
import { hears, sees } from './listen.mjs';
import { fits, isAccessible } from './looks.mjs';
import { isConnected, join, openConsole, openJoin, press } from './pages.mjs';
import { Server } from './server.mjs';
import { story } from './story.mjs';
import { until } from './until.mjs';

const DESKTOP = { width: 1280, height: 800 };
const PHONE = { width: 375, height: 667 };

async function open(stage) {
  stage.server = await Server.start('pictures');
  stage.browser = await launch();
  stage.session = await startedSession(stage.server, { moderation: 'open' });
}

const picture = (chair, wanted) =>
  chair.locator(`[data-testid^="picture-"][data-user="ana"]${wanted}`);

/** Opens what asks before a picture is stopped, by keyboard. */
async function askToStop(chair) {
  await picture(chair, '').locator('[data-testid^="stop-picture-"]').focus();
  await chair.keyboard.press('Enter');
  await chair.getByTestId('stop-picture-dialog').waitFor();
}

story('A picture that is stopped', open, {
  'everybody is seen in an open session': async (stage) => {
    const { browser, server, session, pages } = stage;
    const chair = { user: 'chair', name: 'Presidencia' };
    pages.chair = await openConsole(browser, server, session, chair, { viewport: DESKTOP });
    for (const user of ['ana', 'ben']) {
      pages[user] = await openJoin(browser, server, session, { user, name: user });
      await join(pages[user]);
    }
    await Promise.all([sees(pages.ben, ['ana']), sees(pages.chair, ['ana', 'ben'])]);
    await picture(pages.chair, '[data-seen="true"]').waitFor();
  },

  'the chair stops it by keyboard, and it is told': async ({ pages }) => {
    const { chair, ana, ben } = pages;
    await askToStop(chair);
    for (const [size, viewport] of Object.entries({ desktop: DESKTOP, phone: PHONE })) {
      await chair.setViewportSize(viewport);
      await fits(chair, `stop dialog ${size}`);
      await isAccessible(chair, `stop dialog ${size}`);
      await screenshot(chair, `stop-picture-${size}`);
    }
    await chair.setViewportSize(DESKTOP);
    await chair.getByTestId('stop-picture-one').focus();
    await chair.keyboard.press('Enter');
    await picture(chair, '[data-stopped="true"]').waitFor();
    await ana.locator('[data-testid="own-tile"][data-seen="false"]').waitFor();
    await ana.getByTestId('own-tile').filter({ hasText: 'cortado su imagen' }).waitFor();
    await until('the announcement', async () =>
      (await ana.getByTestId('live-assertive').textContent()).includes('cortado su imagen'),
    );
    for (const [name, page] of Object.entries({ chair, ana })) {
      await isAccessible(page, `a stopped picture, ${name}`);
      await screenshot(page, `stopped-picture-${name}`);
    }
    // She is heard as before, others are seen as before, and she is not.
    await Promise.all([hears(ben, 'ana'), sees(chair, ['ben'])]);
    await until(
      'no tile of hers',
      async () => (await ben.locator('[data-testid^="tile-"]').count()) === 0,
    );
  },

  'a reload changes nothing of it': async ({ pages }) => {
    const { chair, ana } = pages;
    await ana.reload();
    await isConnected(ana);
    await ana.locator('[data-testid="own-tile"][data-seen="false"]').waitFor();
    await picture(chair, '[data-stopped="true"]').waitFor();
  },

  'whoever has turned their camera off can be allowed again': async ({ pages }) => {
    const { chair, ana, ben } = pages;
    await press(ana, 'camera-button');
    const others = chair.getByTestId('pictures-others');
    await others.getByText('ana').waitFor();
    await isAccessible(chair, 'people whose pictures are stopped');
    await screenshot(chair, 'stopped-picture-absent');
    await press(chair, 'allow-pictures-ana');
    await others.waitFor({ state: 'detached' });
    await press(ana, 'camera-button');
    await sees(ben, ['ana']);
    await ana.locator('[data-testid="own-tile"][data-seen="true"]').waitFor();
  },

  'or everybody but the holder of the floor is limited': async ({ pages }) => {
    const { chair } = pages;
    await askToStop(chair);
    await press(chair, 'stop-picture-policy');
    await picture(chair, '[data-seen="false"][data-stopped="false"]').waitFor();
  },

  'no page had a problem': async ({ pages }) => {
    for (const page of Object.values(pages)) assert.deepEqual(page.problems, []);
  },
});
