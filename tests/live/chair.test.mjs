// Who presides, as consoles see it that were opened before somebody took the chair and after it.
import assert from 'node:assert/strict';
import { asGovernance, startedSession } from './api.mjs';
import { launch, screenshot } from './browser.mjs';
import { openConsole, openRecording, press } from './pages.mjs';
import { Server } from './server.mjs';
import { story } from './story.mjs';
import { until } from './until.mjs';

const DESKTOP = { viewport: { width: 1280, height: 900 } };

async function open(stage) {
  stage.server = await Server.start('chair');
  stage.browser = await launch();
  stage.session = await startedSession(stage.server, {
    recording: { enabled: true, retention_days: 30 },
  });
  stage.console = (user, name) =>
    openConsole(stage.browser, stage.server, stage.session, { user, name }, DESKTOP);
}

/** Waits until a console says that this person presides. */
const presides = (page, user) =>
  page.locator(`[data-testid="chair"][data-user="${user}"]`).waitFor();

story('Who presides', open, {
  'two consoles name the one who came first': async (stage) => {
    const { pages } = stage;
    pages.first = await stage.console('first', 'Primera');
    await presides(pages.first, 'first');
    pages.second = await stage.console('second', 'Segundo');
    await presides(pages.second, 'first');
    assert.equal(await pages.second.getByTestId('chair-missing').count(), 0);
  },

  'another takes the chair, and a console that is opened later says so too': async (stage) => {
    const { pages } = stage;
    await pages.first.context().close();
    delete pages.first;
    await pages.second.getByTestId('chair-missing').waitFor();
    await press(pages.second, 'take-chair');
    await presides(pages.second, 'second');
    await pages.second.getByTestId('chair-missing').waitFor({ state: 'detached' });
    pages.late = await stage.console('late', 'Tercera');
    await presides(pages.late, 'second');
    // Who comes back does not have the chair again, and nobody is alarmed.
    pages.first = await stage.console('first', 'Primera');
    await presides(pages.first, 'second');
    const alarms = [pages.first, pages.second, pages.late].map((page) =>
      page.getByTestId('chair-missing'),
    );
    for (const alarm of alarms) assert.equal(await alarm.count(), 0);
    await pages.second.reload();
    await presides(pages.second, 'second');
    // The others are told a moment later that the chair is back, of whom a slow reload alarms them.
    for (const alarm of alarms) await alarm.waitFor({ state: 'detached' });
    await screenshot(pages.late, 'chair-late');
  },

  'when whoever presides is away, all others are told who is missing': async (stage) => {
    const { pages } = stage;
    await pages.second.context().close();
    delete pages.second;
    for (const page of [pages.first, pages.late]) {
      const alarm = page.getByTestId('chair-missing');
      await alarm.waitFor();
      assert.match(await alarm.textContent(), /Segundo/);
    }
  },

  'the minutes say who presided from when to when': async (stage) => {
    const { browser, server, session, pages } = stage;
    const ended = await asGovernance(server, 'POST', `/api/v1/sessions/${session.id}/end`);
    assert.equal(ended.status, 200, JSON.stringify(ended.body));
    const person = { user: 'first', name: 'Primera', role: 'moderator' };
    pages.one = await openRecording(browser, server, session, person, DESKTOP);
    await press(pages.one, 'minutes-open');
    const text = pages.one.getByTestId('minutes-text');
    await text.waitFor();
    const said = await text.textContent();
    assert.match(said, /Primera presidió hasta [-\d]+ [:\d]+Z\./);
    assert.match(said, /Segundo presidió hasta [-\d]+ [:\d]+Z\./);
  },

  'of two who edit the minutes the second compares, and nothing is lost': async (stage) => {
    const { browser, server, session, pages } = stage;
    const person = { user: 'late', name: 'Tercera', role: 'moderator' };
    pages.other = await openRecording(browser, server, session, person, DESKTOP);
    await press(pages.other, 'minutes-open');
    for (const [page, line] of [
      [pages.one, 'Corrección de Primera.'],
      [pages.other, 'Corrección de Tercera.'],
    ]) {
      await press(page, 'minutes-edit');
      const editor = page.getByTestId('minutes-editor');
      await editor.fill(`${await editor.inputValue()}\n${line}\n`);
    }
    const confirm = async (page) => {
      await press(page, 'minutes-confirm');
      await press(page, 'minutes-confirm-yes');
    };
    const version = (page, number) =>
      page.locator(`[data-testid="minutes-version"][data-version="${number}"]`).waitFor();
    await confirm(pages.one);
    await version(pages.one, 1);
    await confirm(pages.other);
    await pages.other.getByTestId('minutes-conflict').waitFor();
    await version(pages.other, 1);
    const newer = pages.other.getByTestId('minutes-other');
    assert.ok((await newer.textContent()).includes('Corrección de Primera.'));
    assert.ok((await newer.locator('mark').allTextContents()).includes('Corrección de Primera.'));
    const editor = pages.other.getByTestId('minutes-editor');
    assert.ok((await editor.inputValue()).endsWith('\nCorrección de Tercera.\n'));
    await screenshot(pages.other, 'minutes-conflict');
    // Having seen it, they bring both together.
    await editor.fill(`${await editor.inputValue()}Corrección de Primera.\n`);
    await until('that line is not marked', async () => {
      const marked = await newer.locator('mark').allTextContents();
      return !marked.includes('Corrección de Primera.');
    });
    await confirm(pages.other);
    await version(pages.other, 2);
  },
});
