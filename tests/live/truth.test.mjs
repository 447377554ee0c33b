// What people trust must be true: whether one is heard, that one press decides
// once, and that nothing opens by itself.
import assert from 'node:assert/strict';
import { startedSession } from './api.mjs';
import { launch, messages, screenshot } from './browser.mjs';
import {
  approve,
  ask,
  cutOff,
  holds,
  isConnected,
  join,
  openConsole,
  openHall,
  openJoin,
  press,
  reconnect,
  startTurn,
  stateOf,
} from './pages.mjs';
import { Server } from './server.mjs';
import { story } from './story.mjs';
import { addHallSpeakers, muteDevice, opensFloor, shows, slipsOnNext, unplug } from './trusted.mjs';
import { until } from './until.mjs';

/** As fast as somebody who speaks to nobody has to learn it. */
const TOLD_WITHIN_MS = 2_000;
/** How often a page is asked what it tells. */
const LOOK_MS = 20;

async function open(stage) {
  stage.server = await Server.start('truth');
  stage.browser = await launch();
  stage.session = await startedSession(stage.server, {
    moderation: 'moderated',
  });
}

const line = (page) => page.getByTestId('mic-state');
/**
 * Has something happen to a page, of which `happen` answers when, and measures when its line says so.
 * The time in which a busy machine does not let the page run is not counted.
 */
async function toldWithin(page, t, what, happen, state) {
  await page.evaluate(
    ([wanted, everyMs]) => {
      window.__told = new Promise((resolve) => {
        const stops = [];
        let last = Date.now();
        const look = setInterval(() => {
          const now = Date.now();
          stops.push({ from: last, ms: Math.max(0, now - last - everyMs) });
          last = now;
          const shown = document.querySelector('[data-testid="mic-state"]');
          if (shown?.dataset.state !== wanted || shown.dataset.unheard !== 'true') return;
          clearInterval(look);
          resolve({ at: now, stops });
        }, everyMs);
      });
    },
    [state, LOOK_MS],
  );
  const happened = await happen();
  const { at, stops } = await page.evaluate(() => window.__told);
  const stopped = stops.filter(({ from }) => from >= happened).reduce((sum, { ms }) => sum + ms, 0);
  const ms = at - happened;
  const told = `${what}: told after ${ms} ms, in ${stopped} ms of which the page did not run`;
  t.diagnostic(told);
  assert.ok(ms - stopped <= TOLD_WITHIN_MS, told);
  const spoken = (await line(page).textContent()).trim();
  await page.getByTestId('live-assertive').filter({ hasText: spoken }).waitFor();
}

/** Waits until the page has told that the microphone is heard again, and withdrawn the alarm. */
async function isToldOver(page) {
  await page.getByTestId('live-polite').filter({ hasText: 'Se le oye' }).waitFor();
  await page
    .getByTestId('live-assertive')
    .filter({ hasNotText: 'Nadie le oye' })
    .waitFor({ state: 'attached' });
}

story('What people trust', open, {
  'the floor finds a microphone that is off': async (stage, t) => {
    const { browser, server, session, pages } = stage;
    pages.chair = await openConsole(
      browser,
      server,
      session,
      { user: 'chair' },
      { viewport: { width: 1280, height: 900 } },
    );
    pages.ana = await openJoin(browser, server, session, { user: 'ana' });
    await join(pages.ana, { microphone: false });
    await shows(pages.ana, 'off', false);
    await ask(pages.ana);
    await approve(pages.chair, 'ana');
    const getsFloor = async () => {
      await startTurn(pages.chair, 'ana');
      return Date.parse((await messages(pages.chair, 'turn_started')).at(-1).at);
    };
    await toldWithin(pages.ana, t, 'off', getsFloor, 'off');
    await screenshot(pages.ana, 'unheard-off');
    await press(pages.ana, 'mic-button');
    await shows(pages.ana, 'open', false);
  },

  'a device that gives no sound is told of, and one that is gone': async ({ pages }, t) => {
    const { ana } = pages;
    await toldWithin(ana, t, 'muted by the system', () => muteDevice(ana, true), 'system_muted');
    await muteDevice(ana, false);
    await shows(ana, 'open', false);
    await isToldOver(ana);
    // A source that gives nothing but zeros, as a switched-off headset does.
    await toldWithin(
      ana,
      t,
      'silent',
      () =>
        ana.evaluate(async () => {
          // Something plays silence and is kept: without it the browser takes the track for muted.
          const context = new AudioContext();
          await context.resume();
          const source = context.createConstantSource();
          source.offset.value = 0;
          const silence = context.createMediaStreamDestination();
          source.connect(silence);
          source.start();
          window.__silence = source;
          window.__cabildo.client.media.setTrack('microphone', silence.stream.getAudioTracks()[0]);
          return Date.now();
        }),
      'silent',
    );
    await screenshot(ana, 'unheard-silent');
    await toldWithin(ana, t, 'unplugged', () => unplug(ana), 'unplugged');
    await press(ana, 'mic-button');
    await shows(ana, 'open', false);
  },

  'a server that stands still is told of': async (stage, t) => {
    const { browser, server, session, pages } = stage;
    const { ana } = pages;
    pages.hall = await openHall(browser, server, session, { user: 'hall', name: 'Sala' });
    await holds(pages.hall, 'ana');
    const freeze = () => {
      server.child.kill('SIGSTOP');
      return Date.now();
    };
    await toldWithin(ana, t, 'frozen', freeze, 'disconnected');
    // No page calls the connection good meanwhile: the hall and the chair go by what they see.
    for (const page of [ana, pages.chair, pages.hall]) {
      await page.locator('[data-testid="connection-state"][data-answering="false"]').waitFor();
    }
    await screenshot(pages.hall, 'hall-frozen');
    await screenshot(ana, 'unheard-frozen');
    server.child.kill('SIGCONT');
    await shows(ana, 'open', false);
    await isToldOver(ana);
  },

  'a double click on next and a held key start one turn': async (stage) => {
    const { chair, ana } = stage.pages;
    await press(ana, 'end-turn');
    await addHallSpeakers(chair, ['Uno', 'Dos', 'Tres']);
    await slipsOnNext(chair);
    await screenshot(chair, 'undo-offered');
  },

  'opening the floor asks, is announced, and opens no microphone': async ({ pages }) => {
    await opensFloor(pages.chair, pages.ana, (name, page) => screenshot(page, name));
  },

  'a turn that was started by mistake is taken back': async ({ pages }) => {
    const { chair } = pages;
    const before = await stateOf(chair);
    assert.equal(before.queue.length, 2);
    // The page takes a press within a second of the last start for a slip of the finger.
    await until('the next turn', async () => {
      if ((await stateOf(chair)).queue.length === 1) return true;
      await press(chair, 'start-next');
      return false;
    });
    const toast = chair.getByTestId('toast').filter({ hasText: 'Se ha dado la palabra' });
    // That of the turn before may still be there.
    await toast.last().getByTestId('toast-action').click();
    await chair.getByTestId('toast').filter({ hasText: 'Deshecho' }).waitFor();
    const after = await until('the turn before, and its list', async (seen) => {
      seen.last = await stateOf(chair);
      return seen.last.turn?.turn_id === before.turn.turn_id && seen.last;
    });
    assert.deepEqual(after.queue, before.queue);
    const [ended] = (await messages(chair, 'turn_ended')).slice(-1);
    assert.equal(ended.reason, 'undone');
    assert.equal((await messages(chair, 'action_undone')).at(-1).action, 'start_turn');
    await screenshot(chair, 'undone');
  },

  'a reload keeps what was written and opened, and turns nothing on': async ({ pages }) => {
    const { ana } = pages;
    await press(ana, 'chat-button');
    await ana.getByTestId('chat-input').fill('Un borrador');
    await ana.reload();
    await isConnected(ana);
    await until('what was written', async (seen) => {
      seen.last = await ana.getByTestId('chat-input').inputValue();
      return seen.last === 'Un borrador';
    });
    await shows(ana, 'off', false);
    await press(ana, 'chat-button');
  },

  'giving the floor to somebody who is gone asks first': async (stage) => {
    const { chair, ana } = stage.pages;
    await press(chair, 'stop-turn');
    await ask(ana);
    await approve(chair, 'ana');
    await cutOff(ana);
    const row = chair.locator('[data-testid="queue-row"][data-user="ana"]');
    await row.getByTestId('presence').waitFor();
    await row.locator('[data-testid^="start-"]').click();
    await chair.getByTestId('absent-dialog').waitFor();
    await screenshot(chair, 'absent-dialog');
    await press(chair, 'absent-cancel');
    await reconnect(ana);
    await row.getByTestId('presence').waitFor({ state: 'detached' });
    await startTurn(chair, 'ana');
    await holds(ana, 'ana');
  },
});
