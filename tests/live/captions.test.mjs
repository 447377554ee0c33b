// What is said in a meeting, as captions for whoever watches the meeting or a camera that takes part
// in it: Chromium says phrases into its fake microphone, and they appear in the player at their time,
// as long as the camera takes part.
import assert from 'node:assert/strict';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { asGovernance, startedSession } from './api.mjs';
import { launch, messages, newPage, screenshot } from './browser.mjs';
import { startCameras } from './foreign_cameras.mjs';
import { fits, isAccessible } from './looks.mjs';
import { join as joinMeeting, openConsole, openJoin, speak } from './pages.mjs';
import { Person } from './person.mjs';
import { Server } from './server.mjs';
import { MODEL, recordSpeech, wordsOf } from './speech.mjs';
import { story } from './story.mjs';
import { until } from './until.mjs';

/** A phrase is said every three seconds; a busy machine lets some go. */
const PATIENCE_MS = 120_000;
/** How far a caption may be from when its words were said, in milliseconds: the player reads its delay now and then. */
const APART_MS_MAX = 2_000;
const PHRASE = 'es-voto-a-favor.wav';
const CAMERA = 'hall-1';

async function open(stage) {
  stage.server = await Server.start('captions', {
    CABILDO_TRANSCRIPTION__MODEL: MODEL,
  });
  ({ port: stage.port, stop: stage.stop } = await startCameras());
  const sound = join(tmpdir(), `cabildo-captions-${process.pid}.wav`);
  recordSpeech(sound, [PHRASE]);
  stage.room = await launch({ sound });
  stage.browser = await launch();
  stage.session = await startedSession(stage.server, {
    moderation: 'open',
    transcription: { enabled: true, language: 'es' },
    live_viewing: true,
  });
  stage.tenant = stage.session.tenant_id;
  const rtspUrl = `rtsp://127.0.0.1:${stage.port}/often`;
  const body = { tenantId: stage.tenant, cameraId: CAMERA, rtspUrl };
  const provisioned = await asGovernance(stage.server, 'POST', '/gateway/provision', body);
  assert.equal(provisioned.status, 201, JSON.stringify(provisioned));
  const roles = ['moderator'];
  stage.chair = await Person.of(stage.server, {
    tenant: stage.tenant,
    user: 'chair',
    roles,
  });
}

async function tokenOf({ server, tenant }, watched = { cameraId: CAMERA }) {
  const body = { tenantId: tenant, ...watched };
  const issued = await asGovernance(server, 'POST', '/gateway/sessions', body);
  assert.equal(issued.status, 201, JSON.stringify(issued));
  return issued.body.token;
}

/** The playlist that leads to the others, for a new viewer. */
async function mainPlaylist(stage) {
  const token = await tokenOf(stage);
  const address = `${stage.server.origin}/gateway/playback/${stage.tenant}/${CAMERA}/index.m3u8`;
  const answer = await fetch(`${address}?token=${encodeURIComponent(token)}`);
  const text = await answer.text();
  assert.equal(answer.status, 200, text);
  return { text, address };
}

async function watches(stage, camera = CAMERA, watched = { cameraId: CAMERA }) {
  const page = await newPage(stage.browser);
  const query = new URLSearchParams({
    tenant: stage.tenant,
    camera,
    token: await tokenOf(stage, watched),
  });
  await page.goto(`${stage.server.origin}/player?${query}`);
  await page.locator('[data-testid="player"][data-state="playing"]').waitFor({ timeout: 60_000 });
  return page;
}

/** The captions that a player has, by the clock, and whether it shows one of them now. */
const captionsOf = (page) =>
  page.getByTestId('player-video').evaluate((video) => {
    const behind = Number(video.dataset.behindMs ?? 'NaN');
    const begun = Date.now() - behind - video.currentTime * 1_000;
    const tracks = [...video.textTracks];
    const list = (cues) =>
      [...(cues ?? [])].map(({ text, startTime, endTime }) => ({
        text,
        from: begun + startTime * 1_000,
        until: begun + endTime * 1_000,
      }));
    return {
      all: tracks.flatMap(({ cues }) => list(cues)),
      shown: tracks
        .filter(({ mode }) => mode === 'showing')
        .flatMap(({ activeCues }) => list(activeCues)),
    };
  });

/**
 * Waits until a player shows the words when they were said, and answers how far apart that is. Where
 * a player stood still since it read its delay, that is not known.
 */
function apartOf(viewer, reader) {
  const words = wordsOf(PHRASE);
  const isIt = ({ text }) => text === words;
  return until(
    'the words, while they are to be seen, when they were said',
    async (seen) => {
      const { shown } = await captionsOf(viewer);
      const said = (await textsOf(reader)).filter(isIt);
      const apart = shown
        .filter(isIt)
        .flatMap((one) => said.map(({ from }) => Math.abs(Date.parse(from) - one.from)));
      seen.last = { shown, said, apart };
      const least = Math.round(Math.min(...apart));
      return least < APART_MS_MAX && `${least} ms`;
    },
    PATIENCE_MS,
  );
}

const textsOf = async (page) =>
  (await messages(page, 'transcript_chunk')).filter(({ final }) => final);

story('Captions for viewers of a camera', open, {
  'a camera that takes part in no meeting has none': async (stage) => {
    const { text } = await mainPlaylist(stage);
    assert.ok(!text.includes('SUBTITLES'), text);
    const page = await watches(stage);
    assert.equal(await page.getByTestId('player-captions').count(), 0);
    await page.context().close();
  },

  'what is said is shown when it was said': async (stage, t) => {
    const { server, session, room, browser, chair, pages } = stage;
    const path = `/api/v1/sessions/${session.id}/cameras`;
    const added = await chair.call('POST', path, { camera_id: CAMERA });
    assert.ok(added.status < 300, JSON.stringify(added));
    pages.reader = await openConsole(browser, server, session, {
      user: 'reader',
    });
    pages.ana = await openJoin(room, server, session, { user: 'ana' });
    await joinMeeting(pages.ana);
    pages.viewer = await watches(stage);
    await pages.viewer.getByTestId('player-captions').waitFor();
    const apart = await apartOf(pages.viewer, pages.reader);
    t.diagnostic(`a caption is ${apart} from its words`);
    await screenshot(pages.viewer, 'player-captions');
  },

  'whoever watches the meeting itself reads it as well': async (stage, t) => {
    const { session, pages } = stage;
    pages.outside = await watches(stage, `session:${session.id}`, { sessionId: session.id });
    await pages.outside.getByTestId('player-captions').waitFor();
    const apart = await apartOf(pages.outside, pages.reader);
    t.diagnostic(`a caption of the meeting is ${apart} from its words`);
    await screenshot(pages.outside, 'player-session-captions');
  },

  'whoever wants no captions switches them off': async ({ pages }) => {
    const { viewer } = pages;
    const toggle = viewer.getByTestId('player-captions');
    for (const language of ['es', 'en', 'pt']) {
      await speak(viewer, language);
      await fits(viewer, language);
      await isAccessible(viewer, language);
    }
    const modes = () =>
      viewer
        .getByTestId('player-video')
        .evaluate((video) => [...video.textTracks].map(({ mode }) => mode));
    await toggle.click();
    await viewer.locator('[data-testid="player-captions"][aria-pressed="false"]').waitFor();
    await until('no track that is shown', async () => !(await modes()).includes('showing'));
    await toggle.click();
    await until('a track that is shown', async () => (await modes()).includes('showing'));
  },

  'a camera that leaves the meeting has none any more': async (stage) => {
    const { session, chair, pages } = stage;
    const before = await mainPlaylist(stage);
    const [, uri] = /TYPE=SUBTITLES.*URI="([^"]+)"/.exec(before.text);
    const captions = new URL(uri, before.address);
    const files = async () => {
      const text = await (await fetch(captions)).text();
      const names = text.split('\n').filter((line) => line.endsWith('.vtt'));
      assert.ok(names.length > 0, text);
      const answers = names.map(async (name) => (await fetch(new URL(name, captions))).text());
      return Promise.all(answers);
    };
    await until(
      'words in the files',
      async () => (await files()).some((text) => text.includes(wordsOf(PHRASE))),
      PATIENCE_MS,
    );
    const path = `/api/v1/sessions/${session.id}/cameras/${CAMERA}`;
    const removed = await chair.call('DELETE', path);
    assert.ok(removed.status < 300, JSON.stringify(removed));
    const count = (await textsOf(pages.reader)).length;
    await until(
      'words that are said afterwards',
      async () => (await textsOf(pages.reader)).length >= count + 2,
      PATIENCE_MS,
    );
    for (const text of await files()) assert.ok(!text.includes('-->'), text);
    const { text } = await mainPlaylist(stage);
    assert.ok(!text.includes('SUBTITLES'), text);
    assert.deepEqual(pages.viewer.problems, []);
  },

  'captions of a meeting end with it': async (stage) => {
    const { server, session, pages } = stage;
    await pages.outside.locator('[data-testid="player"][data-state="playing"]').waitFor();
    const ended = await asGovernance(server, 'POST', `/api/v1/sessions/${session.id}/end`);
    assert.equal(ended.status, 200, JSON.stringify(ended));
    await pages.outside
      .locator('[data-testid="player"][data-state="over"]')
      .waitFor({ timeout: 60_000 });
    assert.deepEqual(pages.outside.problems, []);
  },
});
