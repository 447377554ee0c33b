// The door of a hall: people are registered, taken back and marked as left, the
// quorum is reached and lost before everybody's eyes, and devices are let in.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { startedSession } from './api.mjs';
import { launch, screenshot } from './browser.mjs';
import { fits, isAccessible } from './looks.mjs';
import { isConnected, openAttendance, openConsole, openHall, press } from './pages.mjs';
import { Person } from './person.mjs';
import { Server } from './server.mjs';
import { story } from './story.mjs';

const DESKTOP = { viewport: { width: 1280, height: 900 } };
/** Eight members of one vote each; more than half of the weight is a quorum. */
const MEMBERS = [
  'José Peña',
  'Ana Ruiz',
  'Núria Valls',
  'João Pereira',
  'Zoë Müller',
  'Iñaki Sáenz',
  'Eva Gil',
  'Luis Ordóñez',
];

async function open(stage) {
  stage.server = await Server.start('attendance');
  stage.browser = await launch();
  stage.session = await startedSession(stage.server, { modality: 'mixed' });
  const { id, tenant_id: tenant } = stage.session;
  const chair = await Person.of(stage.server, { tenant, user: 'secretary', roles: ['moderator'] });
  const members = MEMBERS.map((name, at) => ({
    user_id: `owner-${at}`,
    name,
    units: [{ id: `Torre A ${101 + at}`, weight: '1' }],
  }));
  const path = `/api/v1/sessions/${id}/attendance/eligible`;
  const given = await chair.call('PUT', path, { members });
  assert.equal(given.status, 200, JSON.stringify(given.body));
}

/** Types into the desk's field and presses a key. */
async function type(desk, text, key = 'Enter') {
  await desk.getByTestId('desk-search').fill(text);
  await desk.keyboard.press(key);
}

const step = (desk, user, state) =>
  desk.locator(`[data-testid="desk-step"][data-user="${user}"][data-state="${state}"]`).first();
const quorum = (page, reached) =>
  page.locator(`[data-testid="quorum"][data-reached="${reached}"]`).first();

story('Attendance', open, {
  'a name without its accents and Enter register somebody': async (stage) => {
    const { pages } = stage;
    pages.desk = await openAttendance(
      stage,
      '/desk',
      { user: 'secretary', role: 'moderator' },
      DESKTOP,
    );
    await pages.desk.getByTestId('desk-found').filter({ hasText: '8' }).waitFor();
    await isConnected(pages.desk);
    await type(pages.desk, 'jose pena');
    await step(pages.desk, 'owner-0', 'done').waitFor();
    assert.equal(await pages.desk.getByTestId('desk-search').inputValue(), '');
    await pages.desk.getByTestId('desk-search').fill('torre a 101');
    const row = pages.desk.locator('[data-testid="found-owner-0"][data-attendance="present"]');
    await row.waitFor();
    const code = await pages.desk.getByTestId('badge-code').getAttribute('data-text');
    assert.equal(code, `cabildo:attendee:${stage.session.id}:owner-0`);
  },

  'a badge that is scanned brings its owner up, and Enter says that they are in': async (stage) => {
    const { desk } = stage.pages;
    const before = await desk.getByTestId('desk-step').count();
    await type(desk, `cabildo:attendee:${stage.session.id}:owner-0`);
    await desk.getByTestId('live-assertive').filter({ hasText: 'José Peña' }).waitFor();
    assert.equal(await desk.getByTestId('desk-step').count(), before);
  },

  'the last registration is taken back, after a reload too': async (stage) => {
    const { desk } = stage.pages;
    await desk.reload();
    await step(desk, 'owner-0', 'done').waitFor();
    await isConnected(desk);
    await desk.keyboard.press('F8');
    await step(desk, 'owner-0', 'undone').waitFor();
    await desk.getByTestId('desk-search').fill('jose');
    await desk.locator('[data-testid="found-owner-0"][data-attendance="left"]').waitFor();
  },

  'what the server refuses is said in words and stays': async (stage) => {
    const { desk } = stage.pages;
    await type(desk, 'eva gil', 'F2');
    await desk.getByTestId('delegate-search').fill('torre a');
    for (const unit of [101, 102, 103, 104]) await press(desk, `delegate-Torre A ${unit}`);
    await press(desk, 'delegations-send');
    const refused = await desk.getByTestId('delegations-refused').textContent();
    assert.doesNotMatch(refused, /[A-Z]+_[A-Z]/);
    await desk.keyboard.press('Escape');
    await step(desk, 'owner-6', 'failed').waitFor();
    assert.equal(await desk.getByTestId('desk-search').inputValue(), 'eva gil');
  },

  'the quorum is reached on every page at the moment in which it is': async (stage) => {
    const { browser, server, session, pages } = stage;
    pages.hall = await openHall(browser, server, session, { user: 'display', role: 'observer' });
    pages.chair = await openConsole(browser, server, session, { user: 'chair' }, DESKTOP);
    await quorum(pages.hall, false).waitFor();
    for (const at of [1, 2, 3, 4]) await type(pages.desk, `torre a ${101 + at}`);
    await step(pages.desk, 'owner-4', 'done').waitFor();
    await quorum(pages.hall, false).waitFor();
    await type(pages.desk, 'inaki');
    await quorum(pages.hall, true).waitFor();
    await quorum(pages.chair, true).waitFor();
    await pages.hall.getByTestId('live-polite').filter({ hasText: 'quórum' }).waitFor();
    await pages.chair.getByTestId('people-filter').selectOption('present');
    const entry = '[data-testid="attendance-owner-5"][data-method="manual"]';
    await pages.chair.locator(entry).waitFor();
  },

  'and lost when somebody goes, which the history keeps': async (stage) => {
    const { desk, chair, hall } = stage.pages;
    // Who is not in, as far as the desk knows, is not marked as left.
    await desk.getByTestId('desk-search').fill('inaki');
    await desk.locator('[data-testid="found-owner-5"][data-attendance="present"]').waitFor();
    await desk.keyboard.press('F4');
    await quorum(hall, false).waitFor();
    await chair.getByTestId('live-assertive').filter({ hasText: 'quórum' }).waitFor();
    await press(chair, 'quorum-history-button');
    await chair.getByTestId('quorum-change').nth(1).waitFor();
    const changes = chair.getByTestId('quorum-change');
    assert.equal(await changes.nth(0).getAttribute('data-reached'), 'false');
    assert.equal(await changes.nth(1).getAttribute('data-reached'), 'true');
    await chair.keyboard.press('Escape');
  },

  'a code that nobody can check is refused in words': async (stage) => {
    stage.pages.ana = await openAttendance(
      stage,
      '/attend',
      { user: 'owner-1', role: 'participant' },
      DESKTOP,
    );
    const { ana } = stage.pages;
    await press(ana, 'attend-way-code');
    await ana.getByTestId('attend-code').pressSequentially('123456');
    const said = await ana.getByTestId('attend-failure').textContent();
    assert.doesNotMatch(said, /[A-Z]+_[A-Z]/);
  },

  'the report page tells a story and hands out each document': async (stage) => {
    const moderator = { user: 'secretary', role: 'moderator' };
    const report = await openAttendance(stage, '/report', moderator, DESKTOP);
    stage.pages.report = report;
    await press(report, 'report-owner-5');
    const entries = report.locator('[data-testid="story"][data-user="owner-5"] tbody tr');
    await entries.nth(1).waitFor();
    const kinds = await entries.evaluateAll((rows) => rows.map((row) => row.dataset.kind));
    assert.deepEqual(
      kinds.filter((kind) => kind.startsWith('attendance_')),
      ['attendance_validated', 'attendance_left'],
    );
    const saved = {};
    for (const name of ['list.pdf', 'list.csv', 'minutes.pdf', 'minutes.md']) {
      const download = report.waitForEvent('download');
      await press(report, `document-${name}`);
      const file = await download;
      saved[name] = { called: file.suggestedFilename(), bytes: readFileSync(await file.path()) };
    }
    assert.equal(await report.getByTestId('document-failed').count(), 0);
    const list = saved['list.csv'].bytes.toString();
    for (const name of ['Iñaki Sáenz', 'Zoë Müller']) assert.ok(list.includes(name), list);
    assert.ok(saved['minutes.md'].bytes.toString().startsWith('#'));
    for (const name of ['list.pdf', 'minutes.pdf']) {
      assert.equal(saved[name].bytes.subarray(0, 5).toString(), '%PDF-', name);
    }
    assert.equal(saved['list.pdf'].called, `attendance-${stage.session.id}.pdf`);
    await isAccessible(report, 'the report page');
    await fits(report, 'the report page');
    await screenshot(report, 'report');
  },

  'an encoder gets an access that is shown once and withdrawn': async (stage) => {
    const { chair } = stage.pages;
    await press(chair, 'encoders-button');
    await press(chair, 'encoder-make');
    const command = chair.getByTestId('encoder-ffmpeg').locator('code');
    assert.match(await command.textContent(), /-f whip -authorization '.+' 'http.+\/whip'/);
    await press(chair, 'encoder-revoke');
    await chair.getByTestId('encoder-token').waitFor({ state: 'detached' });
    await chair.getByTestId('encoder-made').waitFor({ state: 'detached' });
  },
});
