// Presses that meet something which has just changed under the finger.
import assert from 'node:assert/strict';
import { startedSession } from './api.mjs';
import { launch, screenshot, sentMessages } from './browser.mjs';
import { holds, holdsNobody, join, openConsole, openJoin, press, stateOf } from './pages.mjs';
import { Person } from './person.mjs';
import { Server } from './server.mjs';
import { story } from './story.mjs';
import { until } from './until.mjs';

const DESKTOP = { width: 1280, height: 900 };
/** A press that comes later than this after the change may be meant, by the page's clock. */
const SETTLE_MS = 300;
const TRIES = 10;
/**
 * For a page: it gives people five times as long, so that a press comes in time on a busy machine as
 * well. What it waits for after a change, after a turn has begun, for second thoughts and for a message
 * to be read is made longer, and the clock by which it judges presses goes slower.
 */
const UNHURRIED = `{
  const { setTimeout: original } = window;
  const isForPeople = (ms) => [300, 1_500, 5_000, 7_000].includes(ms);
  window.setTimeout = (run, ms, ...rest) =>
    original(run, isForPeople(ms) ? 5 * ms : ms, ...rest);
  const now = performance.now.bind(performance);
  performance.now = () => now() / 5;
}`;

async function open(stage) {
  stage.server = await Server.start('slips');
  stage.browser = await launch();
  stage.session = await startedSession(stage.server, { moderation: 'moderated' });
  const { tenant_id: tenant, id } = stage.session;
  const enter = async (user, roles) =>
    (await Person.of(stage.server, { tenant, user, roles })).enter(id);
  stage.vice = await enter('vice', ['moderator']);
  stage.cam = await enter('cam');
  stage.ben = await enter('ben');
}

/** The middle of what is shown under a test id. */
async function middleOf(page, id) {
  const box = await page.getByTestId(id).boundingBox();
  return [box.x + box.width / 2, box.y + box.height / 2];
}

async function requestOf(page, user) {
  const found = await until(`a request of ${user}`, () =>
    page.evaluate((wanted) => {
      const { requested, queue } = window.__cabildo.state.state.floor;
      return [...requested, ...queue].find(({ user_id }) => user_id === wanted)?.request_id;
    }, user),
  );
  return found;
}

const accepted = async (channel, message) => {
  const answer = await channel.request(message);
  assert.equal(answer.type, 'ack', JSON.stringify(answer));
  return answer;
};

/** Notes when an element with a test id comes into the page, and when the next click happens. */
const watch = (page, id) =>
  page.evaluate((wanted) => {
    window.__came = null;
    window.__clicked = null;
    const look = new MutationObserver(() => {
      if (document.querySelector(`[data-testid="${wanted}"]`) === null) return;
      window.__came ??= performance.now();
      look.disconnect();
    });
    look.observe(document.body, { childList: true, subtree: true, attributes: true });
    document.addEventListener('click', () => (window.__clicked = performance.now()), {
      capture: true,
      once: true,
    });
  }, id);

/** How long after the element came the click happened. */
const delayOf = (page) => page.evaluate(() => window.__clicked - window.__came);

const isTold = (page, text) => page.getByTestId('toast').filter({ hasText: text }).waitFor();

story('Slips of the finger', open, {
  'a press for withdrawing that meets the floor ends no turn': async (stage) => {
    const { browser, server, session, pages, vice } = stage;
    const person = { user: 'ana', name: 'Ana' };
    const ana = await openJoin(browser, server, session, person, { scripts: [UNHURRIED] });
    pages.ana = ana;
    await join(ana);
    await press(ana, 'ask-floor');
    const request_id = await requestOf(ana, 'ana');
    await accepted(vice, { type: 'approve_speech', request_id });
    await ana.locator('[data-testid="my-place"][data-place="waiting"]').waitFor();
    const place = await middleOf(ana, 'withdraw');
    await accepted(vice, { type: 'start_turn', request_id });
    await ana.getByTestId('end-turn').waitFor();
    await ana.mouse.click(...place);
    await isTold(ana, 'acababa de cambiar');
    await screenshot(ana, 'slip-on-floor');
    assert.equal((await stateOf(ana)).turn?.user_id, 'ana');
    assert.deepEqual(await sentMessages(ana, 'end_speech'), []);
  },

  'nor does a key': async ({ pages: { ana }, vice }) => {
    // The turn is taken back and given anew, so that it has just begun.
    await accepted(vice, { type: 'stop_turn' });
    await holdsNobody(ana);
    // For a while after the first request the page takes another for the same press.
    await until('another request', async () => {
      if ((await stateOf(ana)).requested.includes('ana')) return true;
      if ((await ana.getByTestId('ask-floor').count()) > 0) await press(ana, 'ask-floor');
      return false;
    });
    const request_id = await requestOf(ana, 'ana');
    await accepted(vice, { type: 'approve_speech', request_id });
    await accepted(vice, { type: 'start_turn', request_id });
    await ana.getByTestId('end-turn').press('Enter');
    await isTold(ana, 'Acaba de recibir la palabra');
    assert.deepEqual(await sentMessages(ana, 'end_speech'), []);
    await holds(ana, 'ana');
  },

  'a turn that was ended by its speaker by mistake goes on': async ({ pages: { ana } }) => {
    await press(ana, 'end-turn');
    await holdsNobody(ana);
    const toast = ana.getByTestId('toast').filter({ hasText: 'El turno ha terminado' });
    await toast.getByTestId('toast-action').click();
    await holds(ana, 'ana');
    await press(ana, 'end-turn');
    await holdsNobody(ana);
    // Not before the press, which has to come while the turn can be taken back.
    await screenshot(ana, 'end-of-turn-undo');
  },

  'a row that slides under the pointer takes no press': async (stage) => {
    const { browser, server, session, pages, vice, cam, ben } = stage;
    const chair = await openConsole(
      browser,
      server,
      session,
      { user: 'chair', name: 'Presidencia' },
      { viewport: DESKTOP, scripts: [UNHURRIED] },
    );
    pages.chair = chair;
    await accepted(ben, { type: 'request_speech', kind: 'normal' });
    const waiting = await requestOf(chair, 'ben');
    for (let tries = 1; ; tries += 1) {
      assert.ok(tries <= TRIES, 'this machine never presses in time');
      const place = await middleOf(chair, `approve-${waiting}`);
      await chair.mouse.move(...place);
      await watch(chair, 'request-row'.concat('"][data-kind="point_of_order'));
      await accepted(cam, { type: 'request_speech', kind: 'point_of_order' });
      const slid = await requestOf(chair, 'cam');
      await chair.getByTestId(`approve-${slid}`).waitFor();
      await chair.mouse.click(...place);
      const inTime = (await delayOf(chair)) < SETTLE_MS;
      if (inTime) await isTold(chair, 'acababa de cambiar');
      const { queue } = await stateOf(chair);
      if (inTime) assert.deepEqual(queue, []);
      await accepted(vice, { type: 'cancel_speech', request_id: slid });
      await until('its end', async () => !(await stateOf(chair)).requested.includes('cam'));
      if (inTime) break;
    }
    await screenshot(chair, 'slip-on-row');
    await press(chair, `approve-${waiting}`);
    await chair.getByTestId(`start-${waiting}`).waitFor();
  },

  'what waits for second thoughts when the page is left is not done, and told': async (stage) => {
    const { chair } = stage.pages;
    await press(chair, 'remove-ben');
    await isTold(chair, 'Se retira a ben');
    await chair.reload();
    await chair.getByTestId('person-ben').waitFor();
    await isTold(chair, 'No se ha hecho');
    await screenshot(chair, 'left-undone');
    assert.ok((await stateOf(chair)).people.includes('ben'));
    assert.deepEqual(await sentMessages(chair, 'remove_participant'), []);
    await chair.reload();
    await chair.getByTestId('person-ben').waitFor();
    assert.equal(await chair.getByTestId('toast').filter({ hasText: 'No se ha hecho' }).count(), 0);
  },

  'the keyboard is not kept from a row that moved': async ({ pages: { chair }, cam, ben }) => {
    await accepted(ben, { type: 'request_speech', kind: 'point_of_order' });
    await requestOf(chair, 'ben');
    await accepted(cam, { type: 'request_speech', kind: 'interposed_question' });
    const second = await requestOf(chair, 'cam');
    await chair.getByTestId(`approve-${second}`).focus();
    await chair.keyboard.press('Enter');
    await chair.getByTestId(`start-${second}`).waitFor();
  },
});
