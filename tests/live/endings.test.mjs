// What each page says of a session that was cancelled, or is over.
import assert from 'node:assert/strict';
import { asGovernance, scheduledSession, startedSession } from './api.mjs';
import { launch, screenshot } from './browser.mjs';
import { join, openAttendance, openConsole, openHall, openJoin } from './pages.mjs';
import { Server } from './server.mjs';
import { story } from './story.mjs';

const PAGES = ['/console', '/hall', '/desk', '/attend', '/report'];

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
    const joins = await visit(stage, '/join', session);
    await joins.getByTestId('join-cancelled').waitFor();
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
});
