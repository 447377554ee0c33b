// What each page says of a session that was cancelled, or is over.
import assert from 'node:assert/strict';
import { asGovernance, scheduledSession, startedSession } from './api.mjs';
import { launch, screenshot } from './browser.mjs';
import { fits, isAccessible } from './looks.mjs';
import { join, openAttendance, openConsole, openHall, openJoin } from './pages.mjs';
import { Server } from './server.mjs';
import { story } from './story.mjs';
import { until } from './until.mjs';

const PAGES = ['/console', '/hall', '/desk', '/attend', '/report', '/join'];
/** The pages that are only good while a session runs. */
const WAITING = ['/join', '/attend', '/hall', '/console'];
const PHONE = { width: 360, height: 740 };
/** Run in every page: counts how often it wanted a camera or a microphone. */
const COUNT_DEVICES = `
  window.__devicesAsked = 0;
  const asked = navigator.mediaDevices.getUserMedia;
  navigator.mediaDevices.getUserMedia = function (wanted) {
    window.__devicesAsked += 1;
    return asked.call(this, wanted);
  };
`;

async function open(stage) {
  stage.server = await Server.start('endings');
  stage.browser = await launch();
}

async function decide(server, session, what) {
  const answer = await asGovernance(server, 'POST', `/api/v1/sessions/${session.id}/${what}`);
  assert.equal(answer.status, 200, JSON.stringify(answer));
}

const address = (server, session, path) => {
  const query = new URLSearchParams({ session: session.id, tenant: session.tenant_id });
  const role = path === '/attend' ? 'participant' : path === '/hall' ? 'observer' : 'moderator';
  return `${server.origin}${path}?${query}&user=somebody&name=Alguien&role=${role}`;
};

/** Asserts that a page without any device tells an end, at its top, and has nothing that is dead. */
async function tellsTheEnd(page, reason, name) {
  await isClosed(page, reason);
  assert.equal(await page.evaluate(() => window.__devicesAsked), 0, name);
  for (const id of ['device-check', 'recording-policy', 'join-button', 'attend'])
    assert.equal(await page.getByTestId(id).count(), 0, `${name}: ${id}`);
  assert.equal(await page.locator('[aria-disabled="true"]').count(), 0, name);
  await until(`${name}: the end is told at the top`, async (seen) => {
    seen.last = await page.locator('h1').boundingBox();
    return seen.last?.y >= 0 && seen.last.y < 100;
  });
  await fits(page, name);
}

/** Waits until all of it is in the window, without scrolling. */
const isInView = (page, id) =>
  until(`${id} in the window`, async (seen) => {
    seen.last = await page.getByTestId(id).boundingBox();
    return seen.last?.y >= 0 && seen.last.y + seen.last.height <= page.viewportSize().height;
  });

const isClosed = (page, reason) =>
  page.locator(`[data-testid="closed"][data-reason="${reason}"]`).waitFor();

/** Somebody's page anew, whatever it showed before. */
async function visit(stage, path, session) {
  const { browser, server, pages } = stage;
  pages.visitor ??= await openAttendance(stage, '/', {});
  await pages.visitor.goto(address(server, session, path));
  assert.ok(browser.isConnected());
  return pages.visitor;
}

story('Endings', open, {
  'a session that was cancelled before it began has nothing on any page': async (stage) => {
    const { server } = stage;
    const session = await scheduledSession(server);
    stage.session = session;
    await decide(server, session, 'cancel');
    for (const path of PAGES) {
      const page = await visit(stage, path, session);
      await isClosed(page, 'cancelled');
      assert.match(await page.locator('h1').textContent(), /se canceló/, path);
      assert.equal(await page.getByTestId('after-end').count(), 0, path);
      assert.equal(await page.getByTestId('attend').count(), 0, path);
    }
    await screenshot(stage.pages.visitor, 'cancelled');
  },

  'one that is cancelled while it runs is told so, and what it recorded can be checked': async (
    stage,
  ) => {
    const { browser, server, pages } = stage;
    const session = await startedSession(server);
    stage.session = session;
    pages.ana = await openJoin(browser, server, session, { user: 'ana', name: 'Ana' });
    await join(pages.ana);
    pages.chair = await openConsole(browser, server, session, { user: 'chair', name: 'Chair' });
    pages.hall = await openHall(browser, server, session, { user: 'hall', name: 'Sala' });
    await decide(server, session, 'cancel');
    for (const page of [pages.ana, pages.chair, pages.hall]) await isClosed(page, 'cancelled');
    await pages.chair.getByTestId('after-verify').waitFor();
    for (const page of [pages.ana, pages.chair, pages.hall]) {
      await page.reload();
      await isClosed(page, 'cancelled');
    }
    const report = await visit(stage, '/report', session);
    await report.getByTestId('report-cancelled').waitFor();
  },

  'nobody is asked for a code once the session is over': async (stage) => {
    const session = await startedSession(stage.server);
    const page = await visit(stage, '/attend', session);
    await page.getByTestId('attend').waitFor();
    await decide(stage.server, session, 'end');
    await page.reload();
    await isClosed(page, 'over');
    assert.equal(await page.getByTestId('attend').count(), 0);
  },

  'a page that is opened after the end tells it first, and what one can do': async (stage) => {
    const { browser, server, pages } = stage;
    const options = { viewport: PHONE, scripts: [COUNT_DEVICES] };
    for (const [what, reason] of [
      ['end', 'over'],
      ['cancel', 'cancelled'],
    ]) {
      const recording = { enabled: true, retention_days: 9 };
      const session = await startedSession(server, { recording });
      const person = { user: 'ana', name: 'Ana' };
      pages.ana = await openJoin(browser, server, session, person, options);
      assert.ok((await pages.ana.evaluate(() => window.__devicesAsked)) > 0);
      await join(pages.ana);
      await pages.ana.getByTestId('witness').first().waitFor();
      await decide(server, session, what);
      await isClosed(pages.ana, reason);
      await pages.ana.reload();
      await tellsTheEnd(pages.ana, reason, `meeting, ${reason}`);
      await pages.ana.getByTestId('save-proof').waitFor();
      await pages.ana.goto(pages.ana.url().replace('/meeting', '/join'));
      await tellsTheEnd(pages.ana, reason, `own join page, ${reason}`);
      for (const id of ['save-proof', 'after-verify']) await isInView(pages.ana, id);
      assert.equal(await pages.ana.getByTestId('after-watch').count(), 0);
      await screenshot(pages.ana, `join-${reason}`);
      pages.late ??= await openAttendance(stage, '/', {}, options);
      for (const path of WAITING) {
        await pages.late.goto(address(server, session, path));
        await tellsTheEnd(pages.late, reason, `${path}, ${reason}`);
        await isInView(pages.late, 'after-verify');
        assert.equal(await pages.late.getByTestId('save-proof').count(), 0, path);
        if (path === '/join' || path === '/console') await isInView(pages.late, 'after-watch');
        else assert.equal(await pages.late.getByTestId('after-watch').count(), 0, path);
      }
      await isAccessible(pages.late, reason);
      await pages.ana.context().close();
    }
  },

  'a session that ends while somebody waits for it lets go of their camera': async (stage) => {
    const { server } = stage;
    const session = await scheduledSession(server);
    const options = { viewport: PHONE };
    const page = await openAttendance(stage, '/', {}, options);
    stage.pages.waiting = page;
    await page.goto(
      address(server, session, '/join').replace('role=moderator', 'role=participant'),
    );
    await page.locator('.preview video').waitFor();
    // Why nobody can enter yet stands where they would.
    for (const id of ['join-waits', 'join-button']) await isInView(page, id);
    await fits(page, 'a session that has not begun');
    await screenshot(page, 'join-waits');
    const camera = await page.waitForFunction(
      () => document.querySelector('.preview video')?.srcObject?.getVideoTracks()[0],
    );
    await decide(server, session, 'cancel');
    await isClosed(page, 'cancelled');
    await until('a camera that is let go', () =>
      camera.evaluate(({ readyState }) => readyState === 'ended'),
    );
    assert.equal(await page.locator('[aria-disabled="true"]').count(), 0);
  },
});
