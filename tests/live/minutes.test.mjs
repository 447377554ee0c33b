// After a session: what was said is searched and played on the page for recordings,
// and the moderator edits and confirms the minutes there.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { asGovernance, startedSession } from './api.mjs';
import { launch, messages, screenshot } from './browser.mjs';
import { openConsole, openRecording, press } from './pages.mjs';
import { Person } from './person.mjs';
import { Server } from './server.mjs';
import { MODEL, recordSpeech, wordsOf } from './speech.mjs';
import { story } from './story.mjs';
import { until } from './until.mjs';

const PHRASE = 'es-hay-quorum.wav';
const PATIENCE_MS = 120_000;
/** How far from the beginning of a piece the player may be, as it plays on. */
const OFF_S = 10;

async function open(stage) {
  stage.server = await Server.start('minutes', { CABILDO_TRANSCRIPTION__MODEL: MODEL });
  const sound = join(tmpdir(), `cabildo-speech-${process.pid}-minutes.wav`);
  stage.browser = await launch({ sound: recordSpeech(sound, [PHRASE]), gestures: false });
  stage.session = await startedSession(stage.server, {
    moderation: 'open',
    recording: { enabled: true, retention_days: 30 },
    transcription: { enabled: true, language: 'es' },
  });
}

/** What has the focus, by its test id or its id. */
const focused = (page) =>
  page.evaluate(() => document.activeElement?.dataset.testid ?? document.activeElement?.id);

const as = (role) => ({ user: `the-${role}`, name: `The ${role}`, role });

story('The page for recordings', open, {
  'somebody speaks in a session that is recorded': async (stage) => {
    const { server, session, browser } = stage;
    const chair = await openConsole(browser, server, session, as('moderator'));
    stage.pages.chair = chair;
    await press(chair, 'mic-button');
    stage.texts = await until(
      'three texts',
      async (seen) => {
        const texts = await messages(chair, 'transcript_chunk');
        seen.last = texts.map(({ text }) => text);
        return seen.last.filter((text) => text === wordsOf(PHRASE)).length >= 3 ? texts : null;
      },
      PATIENCE_MS,
    );
    const ended = await asGovernance(server, 'POST', `/api/v1/sessions/${session.id}/end`);
    assert.equal(ended.status, 200, JSON.stringify(ended.body));
    await chair.context().close();
    stage.pages = {};
    const { tenant_id: tenant } = session;
    const auditor = await Person.of(server, { tenant, user: 'auditor', roles: ['auditor'] });
    ({ files: stage.files } = await auditor.recordingReady(session.id));
  },

  'what was said is found by its words and played': async (stage) => {
    const { server, session, browser } = stage;
    const options = { viewport: { width: 1280, height: 1000 } };
    const page = await openRecording(browser, server, session, as('moderator'), options);
    stage.pages.moderator = page;
    const pieces = page.getByTestId('spoken-piece');
    await pieces.first().waitFor();
    await page.getByTestId('spoken-search').fill('QUORUM');
    const exact = stage.texts.filter(({ text }) => text === wordsOf(PHRASE));
    await until('the pieces that were searched for', async (seen) => {
      seen.last = await pieces.count();
      return seen.last >= exact.length;
    });
    assert.equal(await pieces.first().locator('mark').first().textContent(), 'quórum');
    await press(page, 'spoken-next');
    await press(page, 'spoken-next');
    const second = Number(await pieces.nth(1).getAttribute('data-seq'));
    const chosen = stage.texts.find(({ seq }) => seq === second);
    assert.ok(chosen, 'the second piece was told in the meeting');
    const player = page.getByTestId('player');
    const key = await player.getAttribute('data-file');
    const file = stage.files.find(
      ({ of, track, container }) => `${of}/${track ?? ''}/${container}` === key,
    );
    const wanted = (Date.parse(chosen.from) - Date.parse(file.from)) / 1000;
    assert.ok(wanted > 1, `${wanted} s: not where a player begins`);
    await until('the player at the moment', async (seen) => {
      seen.last = await player.evaluate((video) => video.currentTime);
      return seen.last >= wanted - 0.5 && seen.last <= wanted + OFF_S;
    });
    // A player that only goes on never comes back to the piece before.
    await press(page, 'spoken-before');
    await until('the player at the piece before', async (seen) => {
      seen.last = await player.evaluate((video) => video.currentTime);
      return seen.last < wanted - 1;
    });
    await page.getByTestId('spoken').scrollIntoViewIfNeeded();
    await screenshot(page, 'recording-spoken');
    await page.getByTestId('spoken-search').fill('nobody said this');
    await until('no piece', async () => (await pieces.count()) === 0);
  },

  'the moderator edits the minutes and confirms them': async (stage) => {
    const page = stage.pages.moderator;
    await press(page, 'minutes-open');
    // The button that was pressed is gone.
    await until('the focus on the minutes', async () => (await focused(page)) === 'minutes');
    const text = page.getByTestId('minutes-text');
    await text.waitFor();
    assert.match(await text.textContent(), /hay quórum/);
    await press(page, 'minutes-edit');
    const editor = page.getByTestId('minutes-editor');
    await press(page, 'minutes-cancel');
    await until('the focus on the text', async () => (await focused(page)) === 'minutes-text');
    await press(page, 'minutes-edit');
    const edited = `${await editor.inputValue()}\nLeída y aprobada.\n`;
    await editor.fill('');
    await page.getByTestId('minutes-problem').waitFor();
    await editor.fill(edited);
    await press(page, 'minutes-confirm');
    await press(page, 'minutes-confirm-yes');
    const version = page.locator('[data-testid="minutes-version"][data-version="1"]');
    await version.waitFor();
    const sha256 = createHash('sha256').update(edited).digest('hex');
    assert.ok((await version.textContent()).includes(sha256), 'the hash of what was confirmed');
    assert.equal(await text.textContent(), edited);
    await until('the focus on the text', async () => (await focused(page)) === 'minutes-text');
    await page.getByTestId('minutes').scrollIntoViewIfNeeded();
    await screenshot(page, 'recording-minutes');
  },

  'who may only read them can not change them': async (stage) => {
    const { server, session, browser } = stage;
    const page = await openRecording(browser, server, session, as('auditor'));
    stage.pages.auditor = page;
    await press(page, 'minutes-open');
    await page.locator('[data-testid="minutes-version"][data-version="1"]').waitFor();
    await page.getByTestId('minutes-text').waitFor();
    assert.equal(await page.getByTestId('minutes-edit').count(), 0);
  },
});
