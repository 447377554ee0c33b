// Firefox as Debian ships it among people with Chromium: joining, speaking,
// being muted, losing the connection, leaving.
import assert from 'node:assert/strict';
import { startedSession } from './api.mjs';
import { holes, launch, launchFirefox, messages, outbound, screenshot } from './browser.mjs';
import { hears, hearsNothing, sees } from './listen.mjs';
import { ADDRESS, isInside } from './network.mjs';
import {
  approve,
  ask,
  cutOff,
  holds,
  holdsNobody,
  isConnected,
  isReconnecting,
  join,
  openConsole,
  openJoin,
  press,
  reconnect,
  startTurn,
} from './pages.mjs';
import { Server } from './server.mjs';
import { story } from './story.mjs';
import { until } from './until.mjs';

async function open(stage) {
  stage.server = new Server('firefox');
  stage.server.serve = [
    'serve',
    ...['--dev', '--dev-allow-remote', '--yes-dev-is-insecure'],
    ...['--data-dir', stage.server.dataDir],
    ...['--http', '127.0.0.1:0', '--internal', '127.0.0.1:0', '--media', `${ADDRESS}:0`],
  ];
  await stage.server.start();
  stage.chromium = await launch();
  stage.firefox = await launchFirefox();
  stage.session = await startedSession(stage.server);
}

/** Gives somebody the floor who asks for it. */
async function giveFloor(pages, user) {
  const { chair, [user]: page } = pages;
  await ask(page);
  await approve(chair, user);
  await startTurn(chair, user);
  await holds(page, user);
}

async function endTurn({ chair, fara }) {
  await press(chair, 'stop-turn');
  await holdsNobody(fara);
}

const STEPS = {
  'somebody with Firefox joins, and hears and sees who has the floor': async (stage) => {
    const { chromium, firefox, server, session, pages } = stage;
    pages.chair = await openConsole(chromium, server, session, { user: 'chair' });
    pages.ana = await openJoin(chromium, server, session, { user: 'ana' });
    await join(pages.ana);
    pages.fara = await openJoin(firefox, server, session, { user: 'fara' });
    await join(pages.fara);
    await giveFloor(pages, 'ana');
    await Promise.all([hears(pages.fara, 'ana'), sees(pages.fara, ['ana'])]);
    await screenshot(pages.fara, 'firefox-meeting');
  },

  'without the floor nobody hears them': async ({ pages }) => {
    await hearsNothing(pages.chair, ['fara'], 'ana');
    await endTurn(pages);
  },

  'with the floor they are heard and seen': async ({ pages }) => {
    await giveFloor(pages, 'fara');
    await Promise.all([hears(pages.ana, 'fara'), sees(pages.ana, ['fara'])]);
  },

  'a mute by the chair is told and holds': async ({ pages }) => {
    const { chair, ana, fara } = pages;
    await press(chair, 'mute-fara');
    await until('the news', async () => (await messages(fara, 'user_muted')).length > 0);
    await screenshot(fara, 'firefox-muted');
    await hearsNothing(ana, ['fara'], 'fara');
  },

  'a lost channel is resumed while the pictures go on': async ({ pages }) => {
    const { chair, ana, fara } = pages;
    await press(chair, 'unmute-fara');
    await hears(ana, 'fara');
    await cutOff(fara);
    await isReconnecting(fara);
    await sees(ana, ['fara']);
    await reconnect(fara);
    await isConnected(fara);
    await Promise.all([hears(ana, 'fara'), sees(ana, ['fara'])]);
    assert.deepEqual(await holes(fara), []);
  },

  'a reload brings them back': async ({ pages }) => {
    const { ana, fara } = pages;
    await fara.reload();
    await isConnected(fara);
    await sees(ana, ['fara']);
    await endTurn(pages);
    await giveFloor(pages, 'ana');
    await Promise.all([hears(fara, 'ana'), sees(fara, ['ana'])]);
  },
};

if (isInside(import.meta.url)) story('Firefox in an assembly', open, STEPS);
