// How good each person's connection is, as the server measures it: a moderator reads whose is not good,
// why and how much; anybody else learns only of themselves.
import assert from 'node:assert/strict';
import { asGovernance, bearerToken, call, startedSession } from './api.mjs';
import { launch, messages, screenshot } from './browser.mjs';
import { fits, isAccessible } from './looks.mjs';
import { join, openAttendance, openConsole, openJoin, press } from './pages.mjs';
import { Server } from './server.mjs';
import { story } from './story.mjs';
import { until } from './until.mjs';
import { WeakNetwork, reachedAt } from './weak_network.mjs';

const DESKTOP = { width: 1280, height: 800 };
const PHONE = { width: 375, height: 667 };
/** Of what a person sends; nothing of what they receive. */
const UPLINK_LOSS = { loss: 0.2, back: { loss: 0 } };

/** What the report says of somebody's connection, as a moderator reads it on its page. */
async function spells(page, user) {
  await page.reload();
  await page.getByTestId(`report-${user}`).click();
  const rows = page.locator('[data-testid="report-entry"][data-kind="connection_bad"]');
  await rows.first().waitFor();
  return (await rows.allTextContents()).map((text) => text.replace(/\s+/g, ' '));
}

async function open(stage) {
  stage.server = await Server.start('quality', { CABILDO_MEDIA__TCP: 'false' });
  stage.network = await WeakNetwork.start({});
  stage.network.serverPort = stage.server.port.media;
  stage.stop = () => stage.network.close();
  stage.browser = await launch({ hertz: 440, gestures: false });
  stage.session = await startedSession(stage.server, { moderation: 'open' });
}

/** Waits until the console says nothing of somebody's connection. */
const nothingIsSaid = (page, user) =>
  until(`nothing is said of ${user}`, async (seen) => {
    seen.last = await badge(page, user);
    return seen.last === null;
  });

/** Everything a page was told of connections: whose, level, cause and number. */
const told = async (page) =>
  (await messages(page, 'connection_quality')).flatMap(({ people }) =>
    people.map(({ user_id, level, cause, value }) => [user_id, level, cause, value]),
  );

/** What the console says of somebody; null when nothing is wrong. */
async function badge(page, user) {
  const found = page.getByTestId(`person-${user}`).getByTestId('quality');
  if ((await found.count()) === 0) return null;
  const [level, cause, words] = await found.evaluate((one) => [
    one.dataset.quality,
    one.dataset.cause ?? null,
    one.textContent,
  ]);
  return level === 'good' ? null : { level, cause, words };
}

const isSaid = (page, user, level, cause, words) =>
  until(`${level} of ${user} for ${cause}`, async (seen) => {
    seen.last = await badge(page, user);
    const { last } = seen;
    return last?.level === level && last.cause === cause && words.test(last.words);
  });

/** What a page was told of somebody's connection last. */
const lastOf = async (page, user) => (await told(page)).filter(([of]) => of === user).at(-1);

const counted = async (server, level, cause) =>
  (await server.metrics())[
    `cabildo_connection_quality_people{level="${level}",cause="${cause}"}`
  ] ?? 0;

story('How good connections are', open, {
  'people come, and all is well': async (stage) => {
    const { browser, network, pages, server, session } = stage;
    const chair = { user: 'chair', name: 'Presidencia' };
    pages.chair = await openConsole(browser, server, session, chair, { viewport: DESKTOP });
    const scripts = [reachedAt(network.port)];
    const ana = { user: 'ana', name: 'Ana Pérez' };
    pages.ana = await openJoin(browser, server, session, ana, { scripts });
    await join(pages.ana);
    pages.luis = await openJoin(browser, server, session, { user: 'luis', name: 'Luis' });
    await join(pages.luis);
    stage.elsewhere = await startedSession(server, { moderation: 'open' });
    assert.notEqual(stage.elsewhere.tenant_id, session.tenant_id);
    pages.other = await openConsole(browser, server, stage.elsewhere, chair);
    await until('their media', async (seen) => {
      seen.last = await counted(server, 'good', 'none');
      return seen.last >= 2;
    });
    await pages.chair.getByTestId('person-luis').waitFor();
    await nothingIsSaid(pages.chair, 'ana');
  },

  'a moderator reads whose uplink loses, and how much': async ({ network, pages, server }) => {
    network.set(UPLINK_LOSS);
    const words = /^Conexión mala: se pierde el (\d+) % de lo que envía$/;
    await isSaid(pages.chair, 'ana', 'poor', 'uplink_loss', words);
    // Of the few packets of a short while more may be lost than of all.
    await until('the whole loss, and no more', async (seen) => {
      seen.last = await lastOf(pages.chair, 'ana');
      const [, , cause, percent] = seen.last;
      return cause === 'uplink_loss' && percent >= 10 && percent <= 35;
    });
    await until('one person of whom it is counted', async (seen) => {
      seen.last = await counted(server, 'poor', 'uplink_loss');
      return seen.last === 1;
    });
    const chip = pages.chair.getByTestId('count-poor');
    await chip.and(pages.chair.locator('[data-count="1"]')).waitFor();
    await chip.click();
    await pages.chair.getByTestId('person-ana').waitFor();
    await pages.chair.getByTestId('person-luis').waitFor({ state: 'detached' });
    await isAccessible(pages.chair, 'the console');
    await screenshot(pages.chair, 'quality-console');
    await pages.chair.emulateMedia({ colorScheme: 'dark' });
    await isAccessible(pages.chair, 'the console in the dark');
    await screenshot(pages.chair, 'quality-console-dark');
    await pages.chair.setViewportSize(PHONE);
    await pages.chair.getByTestId('person-ana').scrollIntoViewIfNeeded();
    await fits(pages.chair, 'the console on a phone');
    // Rows out of view are drawn when they come into it.
    await pages.chair.evaluate(
      () => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))),
    );
    await screenshot(pages.chair, 'quality-console-phone-dark');
    await pages.chair.emulateMedia({ colorScheme: 'light' });
    await screenshot(pages.chair, 'quality-console-phone');
    await pages.chair.setViewportSize(DESKTOP);
    await press(pages.chair, 'count-poor');
  },

  'a moderator who comes later reads it at once': async (stage) => {
    const { browser, pages, server, session } = stage;
    pages.late = await openConsole(browser, server, session, { user: 'late', name: 'Secretaría' });
    const first = await until('what is not good of her', async () =>
      (await told(pages.late)).find(([user]) => user === 'ana'),
    );
    assert.deepEqual(first.slice(0, 3), ['ana', 'poor', 'uplink_loss']);
    await isSaid(pages.late, 'ana', 'poor', 'uplink_loss', /^Conexión mala: /);
  },

  'the person reads it on their own page': async ({ pages }) => {
    const state = pages.ana.getByTestId('connection-state');
    await until('words, as she was told', async (seen) => {
      seen.last = [await state.textContent(), (await told(pages.ana)).at(-1)];
      const [words, [user, level, cause]] = seen.last;
      const isToldSo = user === 'ana' && level === 'poor' && cause === 'uplink_loss';
      return isToldSo && /^Conexión mala: se pierde el \d+ % de lo que envía$/.test(words);
    });
  },

  'when it is well again the moderator reads that': async ({ network, pages, server }) => {
    network.set({});
    await until('all is well, and counted as that', async (seen) => {
      seen.last = [
        await badge(pages.chair, 'ana'),
        await counted(server, 'poor', 'uplink_loss'),
        await lastOf(pages.chair, 'ana'),
      ];
      const [said, count, [, level]] = seen.last;
      return said === null && count === 0 && level === 'good';
    });
  },

  'what is lost on its way to a person is theirs, and what others lose is not': async (stage) => {
    const { network, pages } = stage;
    network.set({ back: { loss: 0.2 } });
    const words = /^Conexión mala: se pierde el (\d+) % de lo que recibe$/;
    await isSaid(pages.chair, 'ana', 'poor', 'downlink_loss', words);
    const state = pages.ana.getByTestId('connection-state');
    await until('words', async (seen) => {
      seen.last = await state.textContent();
      return words.test(seen.last);
    });
    network.set({});
    await nothingIsSaid(pages.chair, 'ana');
    for (const page of [pages.chair, pages.luis]) {
      const causes = (await told(page)).filter(([user]) => user !== 'ana').map((one) => one[2]);
      assert.ok(!causes.some((cause) => cause?.endsWith('_loss')), `${causes}`);
    }
  },

  'nothing comes any more, and the moderator reads that': async ({ network, pages }) => {
    network.set({ blocked: true });
    const words = /^Conexión perdida: no llega nada de su dispositivo$/;
    await isSaid(pages.chair, 'ana', 'lost', 'no_media', words);
    network.set({});
    await nothingIsSaid(pages.chair, 'ana');
  },

  'the report has it, with the time and the worst of it': async (stage) => {
    const { pages } = stage;
    pages.report = await openAttendance(stage, '/report', {
      user: 'chair',
      name: 'Presidencia',
      role: 'moderator',
    });
    await pages.report.getByTestId('report-ana').waitFor();
    const found = await until('three bad times', async (seen) => {
      seen.last = await spells(pages.report, 'ana');
      return seen.last.length >= 3 && seen.last;
    });
    // On a busy machine there may be others.
    const sent =
      /Tuvo mala conexión · hasta las [\d:]+ ?Conexión mala: se pierde el \d+ % de lo que envía$/;
    assert.ok(
      found.some((one) => sent.test(one)),
      `${found}`,
    );
    assert.ok(
      found.some((one) => /se pierde el \d+ % de lo que recibe$/.test(one)),
      `${found}`,
    );
    assert.ok(found.some((one) => /Conexión perdida: no llega nada de su dispositivo$/.test(one)));
    await isAccessible(pages.report, 'the report');
    await pages.report.locator('[data-kind="connection_bad"]').first().scrollIntoViewIfNeeded();
    await screenshot(pages.report, 'quality-report');
    await pages.report.close();
    delete pages.report;
  },

  'nobody else was told of her': async ({ pages }) => {
    const of = async (page) => [...new Set((await told(page)).map(([user]) => user))];
    assert.deepEqual(await of(pages.ana), ['ana'], 'she of herself');
    assert.ok((await of(pages.luis)).every((user) => user === 'luis'));
    assert.ok((await of(pages.chair)).includes('ana'));
    assert.ok(
      (await of(pages.other)).every((user) => user === 'chair'),
      'the moderator of another tenant',
    );
    for (const page of Object.values(pages)) {
      assert.ok((await messages(page, 'connection_quality')).every((one) => !('seq' in one)));
    }
  },

  'what is bad when the session ends is in the report, for nobody but moderators and auditors':
    async (stage) => {
      const { network, pages, server, session } = stage;
      const path = `/api/v1/sessions/${session.id}/report?user_id=ana`;
      const tenant = session.tenant_id;
      const token = await bearerToken(server, { tenant, user: 'auditor', roles: ['auditor'] });
      const bad = async () => {
        const { status, body } = await call(server, 'GET', path, { token });
        assert.equal(status, 200);
        const { entries } = body.participants[0];
        return entries.filter(
          ({ kind, cause }) => kind === 'connection_bad' && cause === 'no_media',
        );
      };
      const before = (await bad()).length;
      network.set({ blocked: true });
      const words = /no llega nada de su dispositivo$/;
      await isSaid(pages.chair, 'ana', 'lost', 'no_media', words);
      assert.equal((await bad()).length, before, 'it is not over');
      const ended = await asGovernance(server, 'POST', `/api/v1/sessions/${session.id}/end`);
      assert.equal(ended.status, 200);
      const found = await until('its entry', async (seen) => {
        seen.last = await bad();
        return seen.last.length > before && seen.last.at(-1);
      });
      const { detail, value, at, until: end } = found;
      assert.deepEqual([detail, value], ['lost', null]);
      assert.ok(Date.parse(end) >= Date.parse(at), `${at} to ${end}`);
      const own = await bearerToken(server, { tenant, user: 'luis' });
      assert.equal((await call(server, 'GET', path, { token: own })).status, 403);
      const other = await bearerToken(server, {
        tenant: stage.elsewhere.tenant_id,
        user: 'chair',
        roles: ['moderator'],
      });
      assert.equal((await call(server, 'GET', path, { token: other })).status, 404);
    },
});
