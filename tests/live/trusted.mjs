// What people trust, in any browser: the line about the microphone, one decision a press, and that
// nothing opens unasked.
import assert from 'node:assert/strict';
import { messages } from './browser.mjs';
import { press, stateOf } from './pages.mjs';
import { until } from './until.mjs';

/** Waits until the line about the microphone says this. */
export const shows = (page, state, unheard) =>
  page
    .locator(`[data-testid="mic-state"][data-state="${state}"][data-unheard="${unheard}"]`)
    .waitFor();

/** The system, or another program, mutes the microphone of a page or lifts that; answers when. */
export const muteDevice = (page, muted) =>
  page.evaluate((wanted) => {
    const track = window.__cabildo.client.media.trackOf('microphone');
    Object.defineProperty(track, 'muted', {
      configurable: true,
      get: () => wanted,
    });
    track.dispatchEvent(new Event(wanted ? 'mute' : 'unmute'));
    return Date.now();
  }, muted);

/** The microphone of a page is pulled out; answers when. */
export const unplug = (page) =>
  page.evaluate(() => {
    const track = window.__cabildo.client.media.trackOf('microphone');
    track.stop();
    track.dispatchEvent(new Event('ended'));
    return Date.now();
  });

/** Puts people of the hall on the list. */
export async function addHallSpeakers(chair, names) {
  for (const name of names) {
    await chair.getByTestId('hall-name').fill(name);
    await press(chair, 'add-hall-speaker');
    await chair.getByTestId('queue').getByText(name).waitFor();
  }
}

/** A double click on "next" and a held key: one turn begins, and one person less waits. */
export async function slipsOnNext(chair) {
  const begun = async () => (await messages(chair, 'turn_started')).length;
  const [before, waiting] = [await begun(), (await stateOf(chair)).queue.length];
  // Auto-repeat, as a key that is held gives it, as soon as the page shows the turn: a key that comes
  // later than a slip is meant.
  await chair.evaluate(() => {
    const holder = () => document.querySelector('[data-testid="floor-holder"]').textContent;
    const shown = holder();
    window.__held = new Promise((resolve) => {
      const look = new MutationObserver(() => {
        if (holder() === shown) return;
        look.disconnect();
        for (let times = 0; times < 20; times += 1) {
          const held = { key: 'n', repeat: times > 0, bubbles: true };
          document.body.dispatchEvent(new KeyboardEvent('keydown', held));
        }
        resolve();
      });
      look.observe(document.body, { childList: true, characterData: true, subtree: true });
    });
  });
  await chair.getByTestId('start-next').dblclick();
  await chair.evaluate(() => window.__held);
  await until('a turn', async () => (await begun()) > before);
  await chair.getByTestId('toast').first().waitFor();
  assert.equal(await begun(), before + 1);
  assert.equal((await stateOf(chair)).queue.length, waiting - 1);
}

/** Opening the floor asks, can be left, is told to everybody, and opens nobody's microphone. */
export async function opensFloor(chair, participant, picture = async () => undefined) {
  const told = async () => (await messages(participant, 'moderation_changed')).length;
  const before = await told();
  await press(chair, 'toggle-moderation');
  await chair.getByTestId('open-floor-dialog').waitFor();
  await press(chair, 'open-floor-cancel');
  assert.equal(await told(), before);
  const mode = () => chair.getByTestId('moderation-mode').textContent();
  const moderated = await mode();
  await press(chair, 'toggle-moderation');
  await picture('open-floor-dialog', chair);
  await press(chair, 'open-floor-confirm');
  await until('the announcement', async () => {
    const text = await participant.getByTestId('live-assertive').textContent();
    return text.includes('libre');
  });
  await shows(participant, 'off', false);
  await picture('floor-opened', participant);
  // Before its page shows that the floor is open, the button opens it.
  await until('the open floor at the console', async () => (await mode()) !== moderated);
  await press(chair, 'toggle-moderation');
  await until('the end', async () => (await told()) === before + 2);
}
