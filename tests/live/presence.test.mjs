// Presence by the QR code that an owner got, held before the camera, and the badge that
// the desk prints and reads.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { startedSession } from './api.mjs';
import { launch } from './browser.mjs';
import { filmOfCode } from './film.mjs';
import { isConnected, openAttendance, press } from './pages.mjs';
import { Person } from './person.mjs';
import { Server } from './server.mjs';
import { story } from './story.mjs';
import { until } from './until.mjs';

const DESKTOP = { viewport: { width: 1280, height: 900 } };
const TOKEN = 'ctx.2f6c1f0b7d.owner-1.valid-once';

/** The identity service: it takes the code once, and only from the person it was made for. */
async function identity() {
  const asked = [];
  const service = createServer((request, response) => {
    const chunks = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', () => {
      const wanted = JSON.parse(Buffer.concat(chunks).toString());
      const { tenant_id, session_id, user_id, token } = wanted;
      asked.push({ path: request.url, token });
      const valid = token === TOKEN && user_id === 'owner-1';
      const answer = { valid, tenant_id, session_id, user_id };
      if (!valid) answer.reason = 'invalid';
      response.writeHead(200, { 'Content-Type': 'application/json' });
      response.end(JSON.stringify(answer));
    });
  });
  await new Promise((resolve) => service.listen(0, '127.0.0.1', resolve));
  const origin = `http://127.0.0.1:${service.address().port}`;
  return { asked, origin, close: () => new Promise((resolve) => service.close(resolve)) };
}

async function open(stage) {
  stage.identity = await identity();
  stage.server = await Server.start('presence', {
    CABILDO_SERVICES__IDENTITY__URL: stage.identity.origin,
  });
  stage.stop = () => stage.identity.close();
  const film = await filmOfCode(join(stage.server.dataDir, 'code.y4m'), TOKEN);
  stage.browser = await launch({ film });
  stage.session = await startedSession(stage.server, { modality: 'mixed' });
  const { id, tenant_id: tenant } = stage.session;
  stage.chair = await Person.of(stage.server, { tenant, user: 'secretary', roles: ['moderator'] });
  const members = ['José Peña', 'Núria Valls', '王小明'].map((name, at) => ({
    user_id: `owner-${at}`,
    name,
    units: [{ id: `Torre A ${101 + at}`, weight: '1' }],
  }));
  const path = `/api/v1/sessions/${id}/attendance/eligible`;
  const given = await stage.chair.call('PUT', path, { members });
  assert.equal(given.status, 200, JSON.stringify(given.body));
}

async function attendee({ chair, session }, user) {
  const answer = await chair.call('GET', `/api/v1/sessions/${session.id}/attendance`);
  return answer.body.items.find((one) => one.user_id === user);
}

story('Presence by code and badge', open, {
  'a code before the camera proves that its owner is present': async (stage) => {
    const { pages, identity: service } = stage;
    pages.owner = await openAttendance(
      stage,
      '/attend',
      { user: 'owner-1', role: 'participant' },
      DESKTOP,
    );
    await pages.owner.getByTestId('attend-place').selectOption('hall');
    await press(pages.owner, 'attend-scan');
    await pages.owner.getByTestId('attend-done').waitFor();
    assert.deepEqual(service.asked, [{ path: '/v2/contextual-tokens/validate', token: TOKEN }]);
    const known = await attendee(stage, 'owner-1');
    assert.deepEqual([known.present, known.method, known.place], [true, 'qr', 'hall']);
    assert.deepEqual(pages.owner.problems, []);
  },

  'whoever the desk marks as left is told so, and comes back by the same code': async (stage) => {
    const { pages, session, chair, identity: service } = stage;
    const path = `/api/v1/sessions/${session.id}/attendance/owner-1/mark-left`;
    assert.equal((await chair.call('POST', path, {})).status, 200);
    const { owner } = pages;
    await owner.getByTestId('attend-left').waitFor();
    assert.equal(await owner.getByTestId('attend-done').count(), 0);
    await owner.reload();
    await owner.getByTestId('attend-left').waitFor();
    await owner.getByTestId('attend-place').selectOption('hall');
    await press(owner, 'attend-scan');
    await owner.getByTestId('attend-done').waitFor();
    assert.equal(service.asked.length, 1, 'what was valid before is not asked for again');
    const known = await attendee(stage, 'owner-1');
    assert.deepEqual([known.present, known.method, known.intervals.length], [true, 'qr', 2]);
    assert.equal((await chair.call('POST', path, {})).status, 200);
    await owner.getByTestId('attend-left').waitFor();
    const { id } = (await attendee(stage, 'owner-1')).decision;
    const back = path.replace('mark-left', 'take-back');
    assert.equal((await chair.call('POST', back, { decision: id })).status, 200);
    await owner.getByTestId('attend-done').waitFor();
  },

  'the same code does not make somebody else present, who is told so in words': async (stage) => {
    const { pages } = stage;
    pages.other = await openAttendance(
      stage,
      '/attend',
      { user: 'owner-2', role: 'participant' },
      DESKTOP,
    );
    await press(pages.other, 'attend-scan');
    const said = await pages.other.getByTestId('attend-failure').textContent();
    assert.doesNotMatch(said, /[A-Z]+_[A-Z]/);
    assert.equal(await attendee(stage, 'owner-2'), undefined);
  },

  'a badge holds a code that reads as what the desk takes, and is all that is printed': async (
    stage,
  ) => {
    const { pages, session } = stage;
    pages.desk = await openAttendance(
      stage,
      '/desk',
      { user: 'secretary', role: 'moderator' },
      DESKTOP,
    );
    await isConnected(pages.desk);
    const { desk } = pages;
    await desk.evaluate(() => {
      window.__printed = [];
      window.print = () => {
        window.__printed.push(document.querySelector('[data-testid="badge"]')?.dataset.user);
      };
    });
    await desk.getByTestId('desk-search').fill('torre a 101');
    await desk.getByTestId('found-owner-0').waitFor();
    await desk.keyboard.press('F9');
    await until('the badge was printed', () =>
      desk.evaluate(() => window.__printed.includes('owner-0')),
    );
    // Read as a printer gives it, by the decoder of the pages and not by its attribute.
    await desk.emulateMedia({ media: 'print' });
    const shown = await desk.locator('body :visible').evaluateAll((all) =>
      all
        .filter(
          (one) => one.closest('[data-testid="badge"]') === null && one.childElementCount === 0,
        )
        .map((one) => one.textContent.trim())
        .filter((text) => text !== ''),
    );
    assert.deepEqual(shown, [], 'nothing but the badge is printed');
    const picture = await desk.getByTestId('badge-code').screenshot();
    await desk.emulateMedia({ media: 'screen' });
    const file = join(stage.server.dataDir, 'badge.png');
    writeFileSync(file, picture);
    await pages.owner.reload();
    stage.badge = `cabildo:attendee:${session.id}:owner-0`;
    const read = pages.other.waitForRequest((request) => request.url().includes('validate-qr'));
    await pages.other.getByTestId('attend-picture').setInputFiles(file);
    assert.equal((await read).postDataJSON().token, stage.badge);
  },

  'the badge is read at the desk and its owner is registered': async (stage) => {
    const { desk } = stage.pages;
    await desk.getByTestId('desk-search').fill(stage.badge);
    await desk.keyboard.press('Enter');
    const done = '[data-testid="desk-step"][data-user="owner-0"][data-state="done"]';
    await desk.locator(done).first().waitFor();
    const known = await attendee(stage, 'owner-0');
    assert.deepEqual([known.present, known.method], [true, 'manual']);
  },
});
