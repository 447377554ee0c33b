// What a participant sees and may do in the meeting, and what the hall sees of it.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join as inFolder } from 'node:path';
import { asGovernance, startedSession } from './api.mjs';
import { launch, messages, screenshot } from './browser.mjs';
import { crowd, disperse } from './crowd.mjs';
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
  stateOf,
} from './pages.mjs';
import { Server } from './server.mjs';
import { story } from './story.mjs';
import { until } from './until.mjs';

const SIZES = {
  desktop: { width: 1280, height: 800 },
  phone: { width: 375, height: 667 },
  landscape: { width: 667, height: 375 },
  // A window of 1280 × 800 that is enlarged to 200 %.
  enlarged: { width: 640, height: 400 },
};
const LONG_NAME =
  'Sociedad Cooperativa de Propietarios y Copropietarios del Edificio Jardines del Poniente Alto, S. L.';

async function open(stage) {
  stage.server = await Server.start('participant');
  stage.browser = await launch();
  stage.session = await startedSession(stage.server, {
    title: 'Junta extraordinaria de la Comunidad de Propietarios',
    moderation: 'moderated',
  });
  stage.people = await crowd(stage.server, stage.session, 11);
  stage.stop = () => disperse(stage.people);
}

/** Boxes that lie on one another, or reach out of `within`. */
const misplaced = (page, selector, within) =>
  page.evaluate(
    ([wanted, outer]) => {
      const frame = document.querySelector(outer).getBoundingClientRect();
      const boxes = [...document.querySelectorAll(wanted)].map((one) => [
        one.getAttribute('data-testid') ?? one.className,
        one.getBoundingClientRect(),
      ]);
      const found = [];
      for (const [at, [name, box]] of boxes.entries()) {
        const out =
          box.left < frame.left - 1 ||
          box.right > frame.right + 1 ||
          box.top < frame.top - 1 ||
          box.bottom > frame.bottom + 1;
        if (out) found.push(`${name} is not inside`);
        if (box.width < 1 || box.height < 1) found.push(`${name} is not to be seen`);
        for (const [other, against] of boxes.slice(at + 1)) {
          const apart =
            box.right <= against.left + 1 ||
            against.right <= box.left + 1 ||
            box.bottom <= against.top + 1 ||
            against.bottom <= box.top + 1;
          if (!apart) found.push(`${name} lies on ${other}`);
        }
      }
      return found;
    },
    [selector, within],
  );

/** Waits until none of such boxes lies on another or reaches out, as soon as a new size is drawn. */
const areApart = (page, selector, within, what) =>
  until(`apart: ${what}`, async (seen) => {
    seen.last = await misplaced(page, selector, within);
    return seen.last.length === 0;
  });

/** No WebSocket gets through, and the browser's database never answers. */
const HINDERED = `{
  const { WebSocket: original } = window;
  window.WebSocket = class extends original {
    constructor() {
      super('ws://127.0.0.1:9/');
    }
  };
  IDBFactory.prototype.open = () => new EventTarget();
}`;

/** Starts somebody's turn with a limit, as a moderator's other client would. */
const startFor = (chair, user, seconds) =>
  chair.evaluate(
    ([wanted, limit_s]) => {
      const { client, state } = window.__cabildo;
      const { request_id } = state.state.floor.queue.find((one) => one.user_id === wanted);
      return client.command({ type: 'start_turn', request_id, limit_s });
    },
    [user, seconds],
  );

/**
 * Waits until the speaker's page shows such a part of its time. What was looked at before may have
 * taken longer than the part lasts, and then the turn is given some more.
 */
const hasLeft = (page, chair, level) =>
  until(`the time that is ${level}`, async (seen) => {
    seen.last = await page.getByTestId('own-time').getAttribute('data-level');
    if (seen.last === level) return true;
    if (seen.last === 'over') {
      await chair.evaluate(() =>
        window.__cabildo.client.command({ type: 'extend_turn', seconds: 30 }),
      );
      await page.locator('[data-testid="own-time"]:not([data-level="over"])').waitFor();
    }
    return false;
  });

/** A time that is made longer ends as loudly as at first. */
async function endsAgain(page, chair) {
  await page.evaluate(() => {
    const told = document.querySelector('[data-testid="live-assertive"]');
    window.__toldAgain = new Promise((resolve) => {
      new MutationObserver((_, look) => {
        if (!/agotado/.test(told.textContent)) return;
        look.disconnect();
        resolve();
      }).observe(told, { childList: true, characterData: true, subtree: true });
    });
  });
  await until('some more time', async () => {
    await chair.evaluate(() =>
      window.__cabildo.client.command({ type: 'extend_turn', seconds: 5 }),
    );
    return (await page.locator('[data-testid="own-time"][data-level="over"]').count()) === 0;
  });
  await page.locator('[data-testid="own-time"][data-level="over"]').waitFor();
  await page.evaluate(() => window.__toldAgain);
}

const asks = async (page, chair, user) => {
  await press(page, 'ask-floor');
  await page.locator('[data-testid="my-place"][data-place="requested"]').waitFor();
  await approve(chair, user);
};

story('A participant', open, {
  'everybody has a tile, and none lies on another, in every size': async (stage) => {
    const { browser, server, session, pages } = stage;
    pages.chair = await openConsole(
      browser,
      server,
      session,
      { user: 'chair', name: 'Presidencia' },
      { viewport: SIZES.desktop },
    );
    pages.ana = await openJoin(browser, server, session, { user: 'ana', name: LONG_NAME });
    await join(pages.ana);
    const { ana } = pages;
    await press(ana, 'layout-button');
    await ana.setViewportSize(SIZES.desktop);
    // Eleven who only listen, the chair, and oneself: more than six.
    await until('thirteen tiles', async () => (await ana.locator('.tiles > .tile').count()) === 13);
    assert.equal(await ana.getByTestId('face-owner-000').locator('.initials').textContent(), 'AM');
    for (const [size, viewport] of Object.entries(SIZES)) {
      await ana.setViewportSize(viewport);
      await fits(ana, size);
      await areApart(ana, '.tiles > .tile', '[data-testid="stage"]', `tiles: ${size}`);
      await areApart(ana, '.bar .controls .button', '.meeting', `controls: ${size}`);
      await isAccessible(ana, `grid ${size}`);
      await screenshot(ana, `meeting-grid-${size}`);
    }
    await ana.setViewportSize(SIZES.desktop);
  },

  'whoever a network keeps from connecting reads what may help': async (stage) => {
    const { browser, server, session, pages } = stage;
    const person = { user: 'eva', name: 'Eva' };
    pages.eva = await openJoin(browser, server, session, person, { scripts: [HINDERED] });
    await press(pages.eva, 'join-button');
    const blocked = pages.eva.locator('[data-testid="connection-state"][data-blocked="true"]');
    await blocked.waitFor();
    assert.match(await blocked.textContent(), /esta red bloquea/);
    await isAccessible(pages.eva, 'blocked');
    await screenshot(pages.eva, 'blocked');
    await pages.eva.context().close();
    delete pages.eva;
  },

  'whoever has a browser without media follows the meeting, and reads what is missing': async ({
    browser,
    server,
    session,
    pages,
  }) => {
    const person = { user: 'eva', name: 'Eva' };
    const scripts = ['delete window.RTCPeerConnection;'];
    pages.eva = await openJoin(browser, server, session, person, { scripts });
    await press(pages.eva, 'join-button');
    const state = pages.eva.locator('[data-testid="connection-state"][data-media="none"]');
    await state.waitFor();
    assert.match(await state.textContent(), /WebRTC está desactivado/);
    await ask(pages.eva);
    await press(pages.eva, 'withdraw');
    await isAccessible(pages.eva, 'no media');
    await fits(pages.eva, 'no media');
    await screenshot(pages.eva, 'no-media');
    await pages.eva.context().close();
    delete pages.eva;
  },

  'somebody is pinned and shown large': async ({ pages: { ana } }) => {
    await ana.getByTestId('face-owner-003').hover();
    await press(ana, 'pin-face-owner-003');
    await press(ana, 'layout-button');
    await ana.locator('.stage.speaker > [data-testid="face-owner-003"]').waitFor();
    await ana.locator('.stage.speaker').hover();
    await press(ana, 'full-button');
    await until('full screen', () => ana.evaluate(() => document.fullscreenElement !== null));
    await press(ana, 'full-button');
    await until('no full screen', () => ana.evaluate(() => document.fullscreenElement === null));
    await press(ana, 'pin-face-owner-003');
  },

  'devices are chosen, measured and heard inside the meeting': async ({ pages: { ana } }) => {
    await press(ana, 'devices-button');
    const dialog = ana.getByTestId('devices-dialog');
    await dialog.waitFor();
    await until(
      'a level',
      async () => Number(await dialog.getByTestId('mic-level').getAttribute('aria-valuenow')) > 0,
    );
    const choice = dialog.getByTestId('choose-microphone');
    const microphone = () =>
      ana.evaluate(() => window.__cabildo.client.media.trackOf('microphone')?.id ?? null);
    const before = await until('a microphone', microphone);
    const options = await choice
      .locator('option')
      .evaluateAll((all) => all.map((one) => one.value));
    await choice.selectOption(options.at(-1));
    await until('another microphone', async () => {
      const now = await microphone();
      return now !== null && now !== before;
    });
    assert.equal(await ana.evaluate(() => window.__cabildo.client.media.microphone.on), true);
    // It can't be pressed while it sounds, which is over soon.
    await dialog.getByTestId('test-tone').evaluate((button) => {
      window.__sounded = new Promise((resolve) => {
        const look = new MutationObserver(() => {
          if (button.getAttribute('aria-disabled') === 'true') resolve();
        });
        look.observe(button, { attributes: true });
      });
    });
    await press(ana, 'test-tone');
    await ana.evaluate(() => window.__sounded);
    await dialog.locator('[data-testid="test-tone"]:not([aria-disabled])').waitFor();
    for (const [size, viewport] of Object.entries(SIZES)) {
      await ana.setViewportSize(viewport);
      await isAccessible(ana, `devices ${size}`);
      await screenshot(ana, `devices-${size}`);
    }
    await ana.setViewportSize(SIZES.desktop);
    await dialog.getByTestId('hide-own-check').check();
    await ana.getByTestId('own-tile').waitFor({ state: 'detached' });
    await dialog.getByTestId('hide-own-check').uncheck();
    await press(ana, 'devices-close');
    await dialog.waitFor({ state: 'detached' });
    await ana.reload();
    const chosen = () =>
      ana.evaluate(
        () => window.__cabildo?.client.media?.trackOf('microphone')?.getSettings().deviceId,
      );
    await until(
      'the chosen microphone after a reload',
      async () => (await chosen()) === options.at(-1),
    );
  },

  'a camera without the floor is seen by nobody else, and says so': async ({ pages, people }) => {
    const { ana, chair } = pages;
    await ana.locator('[data-testid="own-tile"][data-seen="false"]').waitFor();
    await asks(ana, chair, 'ana');
    await startFor(chair, 'ana', 600);
    await holds(ana, 'ana');
    await ana.locator('[data-testid="own-tile"][data-seen="true"]').waitFor();
    await chair.locator('[data-testid^="picture-"][data-user="ana"][data-seen="true"]').waitFor();
    await press(ana, 'end-turn');
    await ana.locator('[data-testid="own-tile"][data-seen="false"]').waitFor();
    assert.equal(people.length, 11);
  },

  'a point of order goes beside a request that waits': async ({ pages: { ana, chair } }) => {
    await asks(ana, chair, 'ana');
    await press(ana, 'list-button');
    await ana.locator('[data-testid="list-row"][data-user="ana"]').waitFor();
    await isAccessible(ana, 'speaking list');
    await screenshot(ana, 'speaking-list');
    await press(ana, 'ask-order');
    const order = chair.locator('[data-testid="request-row"][data-kind="point_of_order"]');
    await order.waitFor();
    await ana.getByTestId('withdraw-point_of_order').waitFor();
    assert.equal(await ana.getByTestId('ask-order').count(), 0);
    await press(ana, 'list-button');
  },

  'an answer stays until it is read, over a reload too': async ({ pages: { ana, chair } }) => {
    const order = chair.locator('[data-testid="request-row"][data-kind="point_of_order"]');
    await order.locator('[data-testid^="deny-"]').click();
    await chair.getByTestId('deny-reason').fill('No es una cuestión de orden');
    await press(chair, 'deny-confirm');
    const denied = ana.locator('[data-testid="answer"][data-kind="denied"]');
    await denied.getByText('No es una cuestión de orden').waitFor();
    for (const [size, viewport] of Object.entries(SIZES)) {
      await ana.setViewportSize(viewport);
      await fits(ana, `answers ${size}`);
      await isAccessible(ana, `answers ${size}`);
      await screenshot(ana, `answers-${size}`);
    }
    await ana.setViewportSize(SIZES.desktop);
    await ana.reload();
    await denied.waitFor();
    await denied.getByTestId('answer-read').click();
    await denied.waitFor({ state: 'detached' });
    await ana.reload();
    await ana.getByTestId('meeting').waitFor();
    await ana.locator('[data-testid="my-place"][data-place="waiting"]').waitFor();
    assert.equal(await denied.count(), 0);
  },

  'the floor that comes to a tab in the background is told of': async (stage) => {
    const { browser, server, session, pages } = stage;
    const { ana, chair } = pages;
    // Before the turn begins: on a busy machine it takes as long as a part of the turn.
    pages.hall = await openHall(
      browser,
      server,
      session,
      { user: 'hall', name: 'Sala' },
      { viewport: { width: 1920, height: 1080 } },
    );
    await ana.evaluate(() => {
      window.__notified = [];
      window.Notification = class {
        static permission = 'granted';
        constructor(title, options) {
          window.__notified.push([title, options.body]);
        }
        close() {}
      };
      Object.defineProperty(document, 'hidden', { configurable: true, get: () => true });
      document.dispatchEvent(new Event('visibilitychange'));
    });
    await startFor(chair, 'ana', 32);
    const told = await until('a notification', () => ana.evaluate(() => window.__notified[0]));
    assert.match(told[0], /Tiene la palabra/);
    assert.match(told[1], /Junta extraordinaria/);
    await until('a title that says so', async () => /Tiene la palabra/.test(await ana.title()));
    await ana.evaluate(() => {
      delete document.hidden;
      document.dispatchEvent(new Event('visibilitychange'));
    });
  },

  'the speaker sees the end of the time coming, and the hall a turn that is over': async ({
    pages,
  }) => {
    const { ana, chair } = pages;
    await hasLeft(ana, chair, 'soon');
    await isAccessible(ana, 'soon');
    await screenshot(ana, 'time-soon');
    await hasLeft(ana, chair, 'last');
    await isAccessible(ana, 'last');
    await hasLeft(ana, chair, 'over');
    await ana
      .getByTestId('live-assertive')
      .filter({ hasText: /tiempo/i })
      .waitFor();
    await isAccessible(ana, 'over');
    await endsAgain(ana, chair);
    for (const [size, viewport] of Object.entries(SIZES)) {
      await ana.setViewportSize(viewport);
      await fits(ana, `over ${size}`);
      await screenshot(ana, `time-over-${size}`);
    }
    await ana.setViewportSize(SIZES.desktop);
    await pages.hall.getByTestId('hall-over').waitFor();
    const request = chair.getByTestId('hall-name');
    for (const name of [LONG_NAME, 'Ñ', 'Þórdís Kolbrún Reykfjörð Gylfadóttir · 12.º C']) {
      await request.fill(name);
      await press(chair, 'add-hall-speaker');
      await chair.getByTestId('queue').getByText(name, { exact: true }).waitFor();
    }
  },

  'the hall display fits names of any length and never scrolls': async ({ pages }) => {
    const { hall, chair } = pages;
    const check = async (what) => {
      for (const [width, height] of [
        [1920, 1080],
        [1280, 800],
        [1024, 768],
        [667, 375],
        [375, 667],
      ]) {
        await hall.setViewportSize({ width, height });
        const name = `hall ${what} ${width}×${height}`;
        const scrolls = () =>
          hall.evaluate(() => {
            const root = document.documentElement;
            const page = [
              root.scrollWidth - root.clientWidth,
              root.scrollHeight - root.clientHeight,
            ];
            // Below the size of any projector the end of a name may be cut.
            const boxes = innerHeight < 700 ? [] : [...document.querySelectorAll('.fit')];
            const cut = boxes
              .filter((box) => box.firstElementChild.scrollHeight > box.clientHeight + 1)
              .map((box) => box.title);
            return [...page.filter((over) => over > 0), ...cut];
          });
        await until(name, async (seen) => {
          seen.last = [
            ...(await scrolls()),
            ...(await misplaced(hall, '.hall > header, .hall > .now, .hall > .next', '.hall')),
            ...(await misplaced(hall, '.now > *', '.now')),
          ];
          return seen.last.length === 0;
        });
      }
      await hall.setViewportSize({ width: 1920, height: 1080 });
      await isAccessible(hall, what);
      await screenshot(hall, `hall-${what.replaceAll(' ', '-')}`);
      await hall.setViewportSize({ width: 375, height: 667 });
      await screenshot(hall, `hall-${what.replaceAll(' ', '-')}-phone`);
    };
    await check('over');
    await press(chair, 'mute-ana');
    await hall.getByTestId('hall-muted').waitFor();
    await check('over and muted');
    await press(chair, 'unmute-ana');
    await press(chair, 'pause-turn');
    await hall.getByTestId('hall-paused').waitFor();
    await check('paused');
    await press(chair, 'resume-turn');
    await hall.getByTestId('hall-paused').waitFor({ state: 'detached' });
  },

  'leaving in the middle of a turn asks first': async ({ pages: { ana, chair } }) => {
    await press(ana, 'leave-button');
    await ana.getByTestId('leave-dialog').waitFor();
    await isAccessible(ana, 'leave dialog');
    await screenshot(ana, 'leave-dialog');
    await press(ana, 'leave-stay');
    await ana.getByTestId('leave-dialog').waitFor({ state: 'detached' });
    assert.equal((await stateOf(chair)).turn.user_id, 'ana');
    await press(ana, 'leave-button');
    await press(ana, 'leave-end-turn');
    await ana.getByTestId('closed').waitFor();
    await until('the end of the turn', async () => (await stateOf(chair)).turn === null);
    assert.equal((await messages(chair, 'turn_ended')).at(-1).user_id, 'ana');
    await ana.getByTestId('after-verify').waitFor();
    await isAccessible(ana, 'closed');
  },

  'nothing lies on anything with the banner unfolded in a low window': async (stage) => {
    const { browser, server, pages } = stage;
    const recording = { enabled: true, retention_days: 1 };
    const session = await startedSession(server, { moderation: 'moderated', recording });
    const bea = await openJoin(
      browser,
      server,
      session,
      { user: 'bea', name: 'Bea' },
      { viewport: SIZES.desktop },
    );
    pages.bea = bea;
    await join(bea);
    await bea.getByTestId('consent-text').waitFor();
    const low = { ...SIZES, phoneOnSide: { width: 844, height: 390 } };
    for (const size of ['enlarged', 'phoneOnSide', 'landscape']) {
      await bea.setViewportSize(low[size]);
      await screenshot(bea, `banner-${size}`);
      const parts = ['.top', '.consent-area', '.floor', '.stage', '.bar'];
      const selector = parts.map((part) => `.meeting > ${part}`).join(', ');
      await areApart(bea, selector, '.meeting', size);
      const hit = (id) =>
        bea.evaluate((wanted) => {
          const element = document.querySelector(`[data-testid="${wanted}"]`);
          const { left, top, width, height } = element.getBoundingClientRect();
          return element.contains(document.elementFromPoint(left + width / 2, top + height / 2));
        }, id);
      for (const id of ['mic-state', 'ask-floor', 'mic-button']) {
        await until(`${size}: ${id} can be hit`, () => hit(id));
      }
      await bea.getByTestId('acknowledge-recording').scrollIntoViewIfNeeded();
      // What the new size has moved takes a press a moment later.
      await until(`${size}: the banner's button can be hit`, () => hit('acknowledge-recording'));
    }
    await press(bea, 'acknowledge-recording');
    await bea.getByTestId('consent-banner').waitFor({ state: 'detached' });
    await screenshot(bea, 'no-banner-landscape');
    await bea.close();
    delete pages.bea;
  },

  'after the end one saves a proof, and it is checked from nothing': async (stage) => {
    const { server, session, pages } = stage;
    const { chair, ana } = pages;
    await asGovernance(server, 'POST', `/api/v1/sessions/${session.id}/end`);
    await chair.getByTestId('after-end').waitFor();
    await chair.getByTestId('after-watch').waitFor();
    await isAccessible(chair, 'after the end');
    await screenshot(chair, 'after-end');
    const saved = chair.waitForEvent('download');
    await press(chair, 'save-proof');
    const path = inFolder(tmpdir(), `cabildo-heads-${session.id}.json`);
    await (await saved).saveAs(path);
    await ana.goto(`${server.origin}/verify`);
    const choose = (file) => ana.getByTestId('files-input').setInputFiles(file);
    await choose({ name: 'acta.txt', mimeType: 'text/plain', buffer: Buffer.from('no') });
    await ana.getByTestId('verify-failure').waitFor();
    assert.equal(await ana.getByTestId('report').count(), 0);
    await isAccessible(ana, 'verify: not a bundle');
    await screenshot(ana, 'verify-not-a-bundle');
    const strange = Buffer.from(JSON.stringify({ v: 1, session: 'x', heads: [] }));
    await choose({ name: 'heads.json', mimeType: 'application/json', buffer: strange });
    await ana.getByTestId('verify-failure').filter({ hasText: 'identificador' }).waitFor();
    assert.equal(await ana.getByTestId('running').count(), 0);
    await choose(path);
    // The record is closed a moment after its session; until then it is incomplete.
    await until('a record that is whole', async (seen) => {
      const report = ana.getByTestId('report');
      await report.waitFor();
      const codes = ana.getByTestId('problems').locator('[data-code]');
      seen.last = await codes.evaluateAll((all) => all.map((one) => one.dataset.code));
      if ((await report.getAttribute('data-verdict')) === 'valid') return true;
      await press(ana, 'verify-session');
      return false;
    });
    const heads = JSON.parse(readFileSync(path, 'utf8'));
    const cose = Buffer.from(heads.heads[0], 'base64url');
    cose[cose.length - 1] ^= 1;
    heads.heads = [cose.toString('base64url')];
    const altered = Buffer.from(JSON.stringify(heads));
    await choose({ name: 'heads.json', mimeType: 'application/json', buffer: altered });
    await ana.locator('[data-testid="report"]:not([data-verdict="valid"])').waitFor();
    const proof = await fetch(`${server.origin}/api/v1/sessions/${session.id}/audit-proof`);
    const buffer = Buffer.from(await proof.arrayBuffer());
    await ana.goto(`${server.origin}/verify`);
    await ana.getByTestId('session-input').waitFor();
    await choose({ name: 'proof.json', mimeType: 'application/json', buffer });
    // Without anything held, and before this server's keys came, it is at least not false.
    await ana.locator('[data-testid="report"]:not([data-verdict="invalid"])').waitFor();
    await ana.goto(`${server.origin}/recording`);
    await ana.getByTestId('session-input').waitFor();
    await isAccessible(ana, 'recording from nothing');
    await screenshot(ana, 'recording-from-nothing');
  },
});
