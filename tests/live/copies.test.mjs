// Copies of a recording with their proof, taken on the page for recordings: who gets them, that they
// verify far from the server, how one that was cut off is continued, and what is said of its half.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  rmdirSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { asGovernance, call, startedSession } from './api.mjs';
import { launch, newPage, screenshot } from './browser.mjs';
import { verify } from './cabildo.mjs';
import { hears } from './listen.mjs';
import { fits, isAccessible } from './looks.mjs';
import {
  approve,
  ask,
  join as enter,
  openConsole,
  openJoin,
  openRecording,
  press,
  startTurn,
} from './pages.mjs';
import { Person } from './person.mjs';
import { Server } from './server.mjs';
import { story } from './story.mjs';
import { until } from './until.mjs';
import { verifyInFirefox } from './verify_firefox.mjs';

const DESKTOP = { width: 1280, height: 1000 };
const NARROW = { width: 320, height: 640 };

async function open(stage) {
  stage.server = await Server.start('copies');
  stage.directory = mkdtempSync(join(tmpdir(), 'cabildo-copies-'));
  stage.browser = await launch();
  stage.session = await startedSession(stage.server, {
    moderation: 'moderated',
    recording: { enabled: true, retention_days: 30 },
  });
  stage.stop = () => rmSync(stage.directory, { recursive: true, force: true });
}

const as = (role) => ({ user: `the-${role}`, name: `The ${role}`, role });

/** Takes what a press gives as a file; answers where it was saved. */
async function taken(stage, page, testId) {
  const saved = page.waitForEvent('download');
  await press(page, testId);
  const download = await saved;
  const path = join(stage.directory, `${stage.copies++}-${download.suggestedFilename()}`);
  await download.saveAs(path);
  await page.getByTestId('copy-saved').waitFor();
  return path;
}

/** Has a copy verified by the command, with the keys of the server. */
async function passes(stage, path) {
  const done = await verify(path, '--keys', stage.keys);
  assert.equal(done.code, 0, done.stdout + done.stderr);
  return done.report;
}

/** Gives a file to the page that verifies; answers what it says. */
async function verdictOf(stage, path) {
  const page = await newPage(stage.browser);
  stage.pages.verifier = page;
  await page.goto(`${stage.server.origin}/verify`);
  await page.getByTestId('drop').waitFor();
  const more = page.locator('details', {
    has: page.getByTestId('trusted-input'),
  });
  if (!(await more.evaluate((element) => element.open))) await more.locator('summary').click();
  await page.getByTestId('trusted-input').setInputFiles(stage.keys);
  await page.getByTestId('files-input').setInputFiles(path);
  const report = page.getByTestId('report');
  const failure = page.getByTestId('verify-failure');
  await report.or(failure).first().waitFor();
  const verdict =
    (await report.count()) > 0 ? await report.getAttribute('data-verdict') : 'failure';
  const text = await report.or(failure).first().textContent();
  await page.context().close();
  delete stage.pages.verifier;
  return { verdict, text };
}

/** Where an object of the session lies in the vault of a development server. */
function objectOf(stage) {
  const { id, tenant_id: tenant } = stage.session;
  const place = join(stage.server.dataDir, 'vault', tenant, id);
  const tracks = readdirSync(place).filter((name) => name !== 'playable');
  const [track] = tracks.sort().slice(-1);
  const object = readdirSync(join(place, track)).sort().at(-1);
  return join(place, track, object);
}

story('Copies of a recording', open, {
  'a turn is recorded': async (stage) => {
    const { server, session, browser, pages } = stage;
    stage.copies = 0;
    pages.chair = await openConsole(browser, server, session, {
      user: 'chair',
    });
    pages.ana = await openJoin(browser, server, session, {
      user: 'ana',
      name: 'Ana',
    });
    await enter(pages.ana);
    await ask(pages.ana);
    await approve(pages.chair, 'ana');
    await startTurn(pages.chair, 'ana');
    await hears(pages.chair, 'ana', 250);
    await press(pages.chair, 'stop-turn');
    const ended = await asGovernance(server, 'POST', `/api/v1/sessions/${session.id}/end`);
    assert.equal(ended.status, 200, JSON.stringify(ended.body));
    await pages.chair.context().close();
    await pages.ana.context().close();
    stage.pages = {};
    const keys = await call(server, 'GET', '/.well-known/cabildo-evidence-keys.json');
    stage.keys = join(stage.directory, 'keys.json');
    writeFileSync(stage.keys, JSON.stringify(keys.body));
    const { tenant_id: tenant } = session;
    stage.auditor = await Person.of(server, {
      tenant,
      user: 'auditor',
      roles: ['auditor'],
    });
    await stage.auditor.recordingReady(session.id);
  },

  'a moderator takes everything, and it verifies far from the server': async (stage, t) => {
    const { server, session, browser } = stage;
    const options = { viewport: DESKTOP };
    const page = await openRecording(browser, server, session, as('moderator'), options);
    stage.pages.moderator = page;
    await page.getByTestId('copies').waitFor();
    assert.match(await page.getByTestId('copy-size').textContent(), /\d/);
    stage.whole = await taken(stage, page, 'copy-all');
    const [problem] = page.problems;
    assert.equal(problem, undefined);
    const began = Date.now();
    const report = await passes(stage, stage.whole);
    t.diagnostic(`verified in ${Date.now() - began} ms: ${JSON.stringify(report.checked)}`);
    assert.equal((await verdictOf(stage, stage.whole)).verdict, 'valid');
    for (const [size, viewport] of Object.entries({
      desktop: DESKTOP,
      narrow: NARROW,
    })) {
      await page.setViewportSize(viewport);
      await page.getByTestId('copies').scrollIntoViewIfNeeded();
      await fits(page, `copies ${size}`);
      await isAccessible(page, `copies ${size}`);
      await screenshot(page, `copies-${size}`);
    }
    await page.setViewportSize(DESKTOP);
  },

  'it is judged by the keys of the server, however late they come': async (stage) => {
    const page = await newPage(stage.browser);
    stage.pages.verifier = page;
    let release;
    const released = new Promise((resolve) => (release = resolve));
    await page.route('**/.well-known/cabildo-evidence-keys.json', async (route) => {
      await released;
      await route.continue();
    });
    await page.goto(`${stage.server.origin}/verify`);
    await page.getByTestId('files-input').setInputFiles(stage.whole);
    await page.getByTestId('running').waitFor();
    release();
    await page.getByTestId('report').waitFor();
    assert.equal(await page.getByTestId('report').getAttribute('data-verdict'), 'valid');
    await page.context().close();
    delete stage.pages.verifier;
  },

  'an auditor takes one note of the time line, what was recorded then, and a part': async (
    stage,
  ) => {
    const { server, session, browser } = stage;
    const options = { viewport: DESKTOP, locale: 'en' };
    const page = await openRecording(browser, server, session, as('auditor'), options);
    stage.pages.auditor = page;
    const turn = page.locator('li', { has: page.locator('[data-kind="turn"]') }).first();
    const choose = async () => {
      await turn.getByTestId('line-copy').click();
      await page.getByTestId('copy-item').waitFor();
    };
    await choose();
    await isAccessible(page, 'what can be taken of a note');
    await screenshot(page, 'copies-note');
    const note = await taken(stage, page, 'copy-note');
    await passes(stage, note);
    assert.ok(readFileSync(note).includes('turn_started'), 'the text of the note');
    assert.equal((await verdictOf(stage, note)).verdict, 'valid');
    await choose();
    const span = await taken(stage, page, 'copy-span');
    await passes(stage, span);
    assert.equal((await verdictOf(stage, span)).verdict, 'valid');
    await page.getByTestId('clip').locator('summary').click();
    await page.getByTestId('clip-subjects').check();
    const clip = await taken(stage, page, 'copy-clip');
    await passes(stage, clip);
    assert.ok(readFileSync(clip).includes('Ana'), 'whose track it is');
    await page.getByTestId('clip-to').fill('2020-01-01T00:00:00');
    await page.getByTestId('clip-wrong').waitFor();
    await screenshot(page, 'copies-part');
    assert.deepEqual(page.problems, []);
  },

  'nobody else gets anything': async (stage) => {
    const { server, session, browser } = stage;
    const path = `/api/v1/sessions/${session.id}/bundle`;
    const { tenant_id: tenant } = session;
    const ana = await Person.of(server, {
      tenant,
      user: 'ana',
      roles: ['participant'],
    });
    const refused = await ana.call('GET', path);
    assert.deepEqual([refused.status, refused.body.code], [403, 'FORBIDDEN']);
    const roles = ['moderator', 'auditor'];
    const other = {
      tenant: '01a2b3c4-0000-7000-8000-000000000001',
      user: 'stranger',
      roles,
    };
    const stranger = await Person.of(server, other);
    const hidden = await stranger.call('GET', path);
    assert.deepEqual([hidden.status, hidden.body.code], [404, 'SESSION_NOT_FOUND']);
    const page = await openRecording(browser, server, session, as('participant'));
    stage.pages.participant = page;
    await page.getByTestId('recording-failure').waitFor();
    assert.equal(await page.getByTestId('copies').count(), 0);
  },

  ...verifyInFirefox,

  'a program continues a download that was cut off': async (stage, t) => {
    const { server, session, auditor } = stage;
    const url = `${server.origin}/api/v1/sessions/${session.id}/bundle`;
    // The nonce of its last answer may have run out since.
    await auditor.recording(session.id);
    const file = join(stage.directory, 'curl.tar');
    const curl = (...more) => {
      const credentials = ['-H', `Authorization: DPoP ${auditor.token}`];
      const proof = ['-H', `DPoP: ${auditor.proof('GET', url, auditor.nonce)}`];
      const done = ['-sS', '-o', file, '-w', '%{http_code} %{header_json}', ...more];
      const [, status, headers] = /^(\d+) ([^]*)$/.exec(
        execFileSync('curl', [...credentials, ...proof, ...done, url], {
          encoding: 'utf8',
        }),
      );
      return { status: Number(status), headers: JSON.parse(headers) };
    };
    const began = curl();
    assert.equal(began.status, 200, JSON.stringify(began.headers));
    const whole = readFileSync(file);
    const [tag] = began.headers.etag;
    for (const [at, more] of [
      [whole.length - 1, []],
      [Math.floor(whole.length / 3), ['-H', `If-Range: ${tag}`]],
      [700, []],
    ]) {
      truncateSync(file, at);
      const { status, headers } = curl('-C', '-', ...more);
      assert.equal(status, 206, JSON.stringify(headers));
      assert.ok(readFileSync(file).equals(whole), `continued from ${at} it is another archive`);
    }
    t.diagnostic(`${whole.length} bytes, continued from three places`);
    await passes(stage, file);
  },

  'what was cut off is told as incomplete, by the page and by whoever checks it': async (stage) => {
    const page = stage.pages.moderator;
    const bytes = readFileSync(stage.whole);
    const cut = join(stage.directory, 'cut.tar');
    writeFileSync(cut, bytes.subarray(0, Math.floor(bytes.length / 2)));
    const done = await verify(cut, '--keys', stage.keys);
    assert.equal(done.code, 3, done.stdout + done.stderr);
    assert.match(done.stderr, /cut off/);
    const { verdict, text } = await verdictOf(stage, cut);
    assert.equal(verdict, 'failure');
    assert.match(text, /incompleto/);

    // An object that can't be read ends the archive while it is sent. The page keeps what it has and
    // goes on as soon as it can.
    const object = objectOf(stage);
    renameSync(object, `${object}.away`);
    mkdirSync(object);
    const saved = page.waitForEvent('download', { timeout: 120_000 });
    await press(page, 'copy-all');
    await page.getByText('la descarga continuará por sí sola').waitFor();
    await screenshot(page, 'copies-continues');
    rmdirSync(object);
    renameSync(`${object}.away`, object);
    const continued = join(stage.directory, 'continued.tar');
    await (await saved).saveAs(continued);
    await page.getByTestId('copy-saved').waitFor();
    await passes(stage, continued);
    await until('words about it in the log of the server', () =>
      stage.server.log().includes('a bundle could not be completed'),
    );
  },
});
