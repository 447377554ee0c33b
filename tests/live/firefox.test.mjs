// Firefox as Debian ships it among people with Chromium: joining, speaking, being muted, losing the
// connection, leaving; chairing; watching the recording.
import assert from 'node:assert/strict';
import { asGovernance, startedSession } from './api.mjs';
import { holes, launch, launchFirefox, messages, screenshot } from './browser.mjs';
import { hears, hearsNothing, sees } from './listen.mjs';
import { isInside, startServer } from './network.mjs';
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
  openRecording,
  press,
  reconnect,
  startTurn,
} from './pages.mjs';
import { Person } from './person.mjs';
import { story } from './story.mjs';
import { addHallSpeakers, muteDevice, opensFloor, shows, slipsOnNext, unplug } from './trusted.mjs';
import { until } from './until.mjs';

async function open(stage) {
  stage.server = await startServer('firefox');
  stage.chromium = await launch();
  stage.firefox = await launchFirefox();
  stage.session = await startedSession(stage.server, {
    recording: { enabled: true, retention_days: 30 },
  });
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
    pages.chair = await openConsole(chromium, server, session, {
      user: 'chair',
    });
    pages.ana = await openJoin(chromium, server, session, { user: 'ana' });
    await join(pages.ana);
    pages.fara = await openJoin(firefox, server, session, { user: 'fara' });
    await join(pages.fara);
    for (const page of [pages.ana, pages.fara]) await press(page, 'acknowledge-recording');
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

  'a microphone that the system mutes is told of, and one that is gone': async ({ pages }) => {
    const { fara } = pages;
    await endTurn(pages);
    await giveFloor(pages, 'fara');
    await shows(fara, 'open', false);
    await muteDevice(fara, true);
    await shows(fara, 'system_muted', true);
    const line = (await fara.getByTestId('mic-state').textContent()).trim();
    await fara.getByTestId('live-assertive').filter({ hasText: line }).waitFor();
    await muteDevice(fara, false);
    await shows(fara, 'open', false);
    await unplug(fara);
    await shows(fara, 'unplugged', true);
    await screenshot(fara, 'firefox-unplugged');
    await press(fara, 'mic-button');
    await shows(fara, 'open', false);
  },

  'a reload keeps camera, microphone and draft as they were': async ({ pages }) => {
    const { ana, fara } = pages;
    await press(fara, 'mic-button');
    await shows(fara, 'off', true);
    await press(fara, 'camera-button');
    await fara.getByTestId('own-tile').waitFor({ state: 'detached' });
    await press(fara, 'chat-button');
    await fara.getByTestId('chat-input').fill('Un borrador');
    await fara.reload();
    await isConnected(fara);
    await shows(fara, 'off', true);
    await until('what was written', async (seen) => {
      seen.last = await fara.getByTestId('chat-input').inputValue();
      return seen.last === 'Un borrador';
    });
    assert.equal(await fara.getByTestId('own-tile').count(), 0);
    await press(fara, 'chat-button');
    await press(fara, 'camera-button');
    await fara.getByTestId('own-tile').waitFor();
    await fara.reload();
    await isConnected(fara);
    await fara.getByTestId('own-tile').waitFor();
    await sees(ana, ['fara']);
    await shows(fara, 'off', true);
    await endTurn(pages);
  },

  'chaired with Firefox, a double click on next and a held key start one turn': async (stage) => {
    const { firefox, server, session, pages } = stage;
    const deputy = { user: 'deputy', name: 'Vicepresidencia' };
    pages.deputy = await openConsole(firefox, server, session, deputy, {
      viewport: { width: 1280, height: 900 },
    });
    await addHallSpeakers(pages.deputy, ['Uno', 'Dos', 'Tres']);
    await slipsOnNext(pages.deputy);
    await screenshot(pages.deputy, 'firefox-console');
  },

  'and opening the floor asks, is announced, and opens no microphone': async ({ pages }) => {
    await opensFloor(pages.deputy, pages.fara);
  },

  'the recording is watched with Firefox, and its time line leads to what happened': async (
    stage,
  ) => {
    const { firefox, server, session, pages } = stage;
    const { id, tenant_id: tenant } = session;
    const ended = await asGovernance(server, 'POST', `/api/v1/sessions/${id}/end`);
    assert.equal(ended.status, 200, JSON.stringify(ended.body));
    for (const page of Object.values(pages)) await page.context().close();
    stage.pages = {};
    stage.auditor = await Person.of(server, {
      tenant,
      user: 'auditor',
      roles: ['auditor'],
    });
    await stage.auditor.recordingReady(id);
    const page = await openRecording(
      firefox,
      server,
      session,
      { user: 'auditor', role: 'auditor' },
      { viewport: { width: 1280, height: 900 } },
    );
    stage.pages.watcher = page;
    const player = page.getByTestId('player');
    const state = () =>
      player.evaluate(({ currentTime, readyState, error }) => ({
        currentTime,
        readyState,
        error: error?.message ?? null,
      }));
    await until('a player that can play', async (seen) => {
      seen.last = await state();
      return seen.last.readyState >= 2;
    });
    const turns = page.locator('[data-testid="line-item"][data-kind="turn"]');
    await turns.first().waitFor();
    // The second turn began well after the beginning.
    await turns.nth(1).click();
    await until('the player at the turn', async (seen) => {
      seen.last = await state();
      return seen.last.currentTime > 2 && seen.last.readyState >= 2;
    });
    await screenshot(page, 'firefox-recording');
  },
};

if (isInside(import.meta.url)) story('Firefox in an assembly', open, STEPS);
