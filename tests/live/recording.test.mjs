// A meeting that is recorded, from its first to its last frame: what was shown
// and said is compared with what can be watched, and its proof with what a
// stranger, a witness and other people's verifiers make of it.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { asGovernance, call, startedSession } from './api.mjs';
import { launch, messages, outbound, rawClient, screenshot } from './browser.mjs';
import { fits, isAccessible } from './looks.mjs';
import { Sound, deviation, longestHole, pictures, probe } from './clock.mjs';
import { download } from './download.mjs';
import { hears, sendsSound } from './listen.mjs';
import {
  approve,
  ask,
  isConnected,
  join as enter,
  openConsole,
  openJoin,
  press,
  saveProof,
  startTurn,
  stateOf,
} from './pages.mjs';
import { Person } from './person.mjs';
import { erasureSteps, proofSteps } from './proof_steps.mjs';
import { Server } from './server.mjs';
import { story } from './story.mjs';
import { until } from './until.mjs';

const RECORDER = 'cabildo:recorder';
const ANA_HZ = 440;
const BEN_HZ = 880;
/** How far a picture may be from the time it shows. */
const OFF_MS = 200;
/** What of a tone may be missing at a border: a window, and the way of a command. */
const BORDER_MS = 300;
const CODECS = ['H264', 'VP9', 'AV1'];

async function open(stage) {
  stage.server = await Server.start('recording');
  stage.directory = mkdtempSync(join(tmpdir(), 'cabildo-recording-'));
  stage.low = await launch({ hertz: ANA_HZ });
  stage.high = await launch({ hertz: BEN_HZ, gestures: false });
  stage.marks = {};
  stage.codecs = [];
  stage.stop = () => rmSync(stage.directory, { recursive: true, force: true });
}

/** Keeps the moments in which the room decided something, by its own clock. */
async function mark(stage, name, type, wanted = () => true) {
  const { chair } = stage.pages;
  const found = await until(`an event ${type}`, async () =>
    (await messages(chair, type)).filter(wanted).at(-1),
  );
  stage.marks[name] = Date.parse(found.at);
}

const showsRecording = (page, state) =>
  page.locator(`[data-testid="recording-indicator"][data-state="${state}"]`).first().waitFor();

/** Waits until a page has sent this many more pictures, in its largest encoding that moves. */
async function sendsPictures(page, frames) {
  const total = async () => (await outbound(page)).reduce((sum, row) => sum + row.frames, 0);
  const before = await total();
  await until(`${frames} more pictures sent`, async (seen) => {
    seen.last = (await total()) - before;
    return seen.last >= frames;
  });
}

const setTopEncoding = (page, active) =>
  page.evaluate(async (wanted) => {
    for (const peer of window.__probe.peers) {
      if (peer.connectionState === 'closed') continue;
      for (const sender of peer.getSenders()) {
        if (sender.track?.kind !== 'video') continue;
        const parameters = sender.getParameters();
        parameters.encodings.at(-1).active = wanted;
        await sender.setParameters(parameters);
      }
    }
  }, active);

async function enterRaw(stage, user, tint) {
  const page = await rawClient(
    stage.high,
    stage.server,
    { session: stage.session.id, tenant: stage.session.tenant_id, user },
    { clock: tint },
  );
  stage.pages[user] = page;
  return page;
}

async function proofOf(stage, query = '') {
  const path = `/api/v1/sessions/${stage.session.id}/audit-proof${query}`;
  const answer = await call(stage.server, 'GET', path);
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
  return answer.body;
}

const filesOf = (stage, wanted) =>
  stage.files.filter((file) =>
    Object.entries(wanted).every(([name, value]) => file[name] === value),
  );

/** Windows, and how much of their height the pictures keep while the notice waits for its answer. */
const SMALL = [
  { width: 800, height: 600, keeps: 200 },
  { width: 375, height: 667, keeps: 130 },
  { width: 667, height: 375, keeps: 200 },
  // 1280 by 720, enlarged twice.
  { width: 640, height: 360, keeps: 200 },
];

/** The notice leaves room for pictures in every window, and its text opens and closes. */
async function leavesRoom(page) {
  const before = page.viewportSize();
  for (const { width, height, keeps } of SMALL) {
    const name = `recording-banner-${width}x${height}`;
    await page.setViewportSize({ width, height });
    const toggle = page.getByTestId('consent-text-button');
    const text = page.getByTestId('consent-text');
    if ((await toggle.getAttribute('aria-expanded')) === 'true') await toggle.click();
    await text.waitFor({ state: 'hidden' });
    await until(`${name}: room for pictures`, async (seen) => {
      seen.last = await page.locator('.stage').boundingBox();
      return seen.last !== null && seen.last.height >= keeps;
    });
    for (const button of ['consent-text-button', 'acknowledge-recording', 'consent-leave'])
      await until(`${name}: ${button} takes a press`, () => isInSight(page, button));
    await fits(page, name);
    await isAccessible(page, name);
    await screenshot(page, name);
    await toggle.focus();
    await page.keyboard.press('Enter');
    await text.waitFor();
    assert.match(await text.textContent(), /30/, 'for how long it is kept');
    const order = [];
    for (let step = 0; step < 3; step += 1) {
      await page.keyboard.press('Tab');
      order.push(await page.evaluate(() => document.activeElement?.textContent?.trim()));
    }
    assert.deepEqual(order, ['Cómo se comprueba', 'Entendido', 'Salir'], name);
    await isAccessible(page, `${name} opened`);
    await screenshot(page, `${name}-opened`);
    await toggle.click();
  }
  await page.setViewportSize(before);
}

/** Whether a press at the middle of a button reaches it. */
const isInSight = (page, testId) =>
  page.getByTestId(testId).evaluate((button) => {
    const { x, y, width, height } = button.getBoundingClientRect();
    const there = document.elementFromPoint(x + width / 2, y + height / 2);
    return there !== null && button.contains(there);
  });

story('A recording', open, {
  'everybody is told before anything is taken': async (stage) => {
    const { server, pages } = stage;
    stage.session = await startedSession(server, {
      moderation: 'moderated',
      media_policy: 'all',
      recording: { enabled: true, retention_days: 30 },
    });
    const { id, tenant_id: tenant } = stage.session;
    pages.chair = await openConsole(
      stage.low,
      server,
      stage.session,
      { user: 'chair', name: 'Presidencia' },
      { viewport: { width: 1280, height: 800 } },
    );
    await showsRecording(pages.chair, 'recording');
    stage.auditor = await Person.of(server, {
      tenant,
      user: 'auditor',
      roles: ['auditor'],
    });
    stage.witness = await Person.of(server, {
      tenant,
      user: 'witness',
      roles: ['observer'],
    });
    stage.channel = await stage.witness.enter(id);
    assert.equal(stage.channel.welcome.recording.state, 'recording');
    const options = { clock: 'red' };
    const ana = await openJoin(stage.low, server, stage.session, { user: 'ana' }, options);
    await ana.getByTestId('recording-policy').waitFor();
    await enter(ana);
    pages.ana = ana;
    await showsRecording(ana, 'recording');
    const banner = ana.getByTestId('consent-banner');
    await banner.waitFor();
    await screenshot(ana, 'recording-banner');
    await leavesRoom(ana);
    await ana.getByTestId('acknowledge-recording').click();
    await banner.waitFor({ state: 'detached' });
    await pages.chair.getByTestId(`person-${RECORDER}`).waitFor();
    const { people } = await stateOf(pages.chair);
    assert.ok(people.includes(RECORDER), JSON.stringify(people));
    await sendsPictures(ana, 15);
    stage.marks.anaSeen = Date.now();
    await screenshot(pages.chair, 'recording-console');
  },

  'a turn, a mute, its end': async (stage) => {
    const { chair, ana } = stage.pages;
    await sendsSound(ana, 100);
    await ask(ana);
    await approve(chair, 'ana');
    await startTurn(chair, 'ana');
    await mark(stage, 'turn', 'turn_started');
    await hears(chair, 'ana', 150);
    await press(chair, 'mute-ana');
    await mark(stage, 'mute', 'user_muted');
    await sendsSound(ana, 150);
    await press(chair, 'unmute-ana');
    await mark(stage, 'unmute', 'user_unmuted');
    await hears(chair, 'ana', 150);
    await press(chair, 'stop-turn');
    await mark(stage, 'turnEnd', 'turn_ended');
  },

  'the largest encoding stops and comes back': async (stage) => {
    const { ana } = stage.pages;
    stage.marks.smaller = Date.now();
    await setTopEncoding(ana, false);
    await sendsPictures(ana, 60);
    await setTopEncoding(ana, true);
    stage.marks.larger = Date.now();
    await sendsPictures(ana, 60);
  },

  'somebody reloads their page': async (stage) => {
    const { ana } = stage.pages;
    stage.marks.reload = Date.now();
    await ana.reload();
    await isConnected(ana);
    await sendsPictures(ana, 20);
    stage.marks.reloaded = Date.now();
    await showsRecording(ana, 'recording');
    assert.equal(await ana.getByTestId('consent-banner').count(), 0, 'asked again');
  },

  'somebody changes their codec, and changes it again': async (stage) => {
    const { chair } = stage.pages;
    const ben = await enterRaw(stage, 'ben', 'blue');
    for (const codec of CODECS) {
      const published = await ben.evaluate((name) => {
        window.client.publishing?.close();
        return window.client.publish({ codec: name, layers: 1 });
      }, codec);
      assert.equal(published.type, 'ack', JSON.stringify(published));
      await sendsPictures(ben, 5);
      const from = Date.now();
      if (codec === 'H264') {
        const asked = await ben.evaluate(() =>
          window.client.request({ type: 'request_speech', kind: 'normal' }),
        );
        assert.equal(asked.type, 'ack', JSON.stringify(asked));
        await approve(chair, 'ben');
        await startTurn(chair, 'ben');
        await mark(stage, 'benTurn', 'turn_started', ({ user_id }) => user_id === 'ben');
        await hears(chair, 'ben', 150);
        await press(chair, 'stop-turn');
        await mark(stage, 'benTurnEnd', 'turn_ended', ({ user_id }) => user_id === 'ben');
      }
      await sendsPictures(ben, 45);
      stage.codecs.push({ codec, from, to: Date.now() });
    }
    await ben.evaluate(() => window.client.leave());
    await ben.context().close();
    delete stage.pages.ben;
  },

  'a pause takes nothing, and everybody sees it': async (stage) => {
    const { chair, ana } = stage.pages;
    await press(chair, 'pause-recording');
    await showsRecording(ana, 'paused');
    await showsRecording(chair, 'paused');
    await mark(stage, 'pause', 'recording_state', ({ state }) => state === 'paused');
    await screenshot(ana, 'recording-paused');
    await sendsPictures(ana, 90);
    await press(chair, 'start-recording');
    await showsRecording(ana, 'recording');
    // The moment is what the chair was told last, which may be how it was before.
    await showsRecording(chair, 'recording');
    await mark(stage, 'resume', 'recording_state', ({ state }) => state === 'recording');
    await sendsPictures(ana, 60);
  },

  'the proof is public, and grows within seconds of what happens': async (stage, t) => {
    // Those that come while the proof is asked for may be newer than it.
    const heads = stage.channel.heads();
    const proof = await proofOf(stage);
    assert.equal(proof.status, 'live');
    const sizes = heads.map(({ tree_size }) => tree_size);
    assert.deepEqual(
      sizes,
      [...sizes].sort((a, b) => a - b),
    );
    assert.ok(proof.head.tree_size >= sizes.at(-1));
    // Every event of the room is in the log, and so before a head that follows it.
    const events = stage.channel.messages.filter(
      ({ seq, type }) => seq !== undefined && type !== 'welcome',
    );
    const waits = events
      .map(({ cameAt }) => heads.find((head) => head.cameAt >= cameAt)?.cameAt - cameAt)
      .filter((wait) => !Number.isNaN(wait))
      .sort((a, b) => a - b);
    const median = waits[Math.floor(waits.length / 2)];
    t.diagnostic(`a head came ${median} ms (median), ${waits.at(-1)} ms (longest) after an event`);
    assert.ok(median <= 4_000, `${waits}`);
    for (const page of [stage.pages.ana, stage.pages.chair]) {
      await until('the head as the page shows it', async (seen) => {
        seen.last = await page.getByTestId('witness').first().getAttribute('data-size');
        return Number(seen.last) >= sizes.at(-1);
      });
    }
  },

  'a participant keeps what they witnessed': async (stage) => {
    stage.savedHeads = join(stage.directory, 'held.json');
    await saveProof(stage.pages.ana, stage.savedHeads);
    const held = JSON.parse(readFileSync(stage.savedHeads, 'utf8'));
    assert.equal(held.session, stage.session.id);
    assert.ok(held.heads.length > 0);
  },

  'it is ready to be watched soon after the end': async (stage, t) => {
    const { server, session } = stage;
    const ended = await asGovernance(server, 'POST', `/api/v1/sessions/${session.id}/end`);
    assert.equal(ended.status, 200, JSON.stringify(ended.body));
    stage.marks.end = Date.now();
    const since = () => `${Date.now() - stage.marks.end} ms after the end`;
    await until('the files of single tracks', async (seen) => {
      const { state, files } = await stage.auditor.recording(session.id);
      const tracks = files.filter(({ of }) => of === 'track');
      seen.last = [state, tracks.map((file) => file.state)];
      return tracks.length > 0 && tracks.every((file) => file.state === 'ready');
    });
    t.diagnostic(`single tracks can be watched ${since()}`);
    ({ files: stage.files } = await stage.auditor.recordingReady(session.id));
    t.diagnostic(`everything ${since()} of ${stage.marks.end - stage.marks.anaSeen} ms`);
    const unmade = stage.files.filter(({ of, state }) => of === 'track' && state !== 'ready');
    assert.deepEqual(unmade, []);
    await until('a closed log', async (seen) => {
      seen.last = (await proofOf(stage)).status;
      return seen.last === 'closed';
    });
  },

  'each file is the same whole and in pieces, and other programs read it': async (stage) => {
    for (const file of stage.files.filter(({ url }) => url !== null)) {
      file.path = await download(stage.server, file, stage.directory);
      file.fromMs = Date.parse(file.from);
      const { format, streams } = await probe(file.path);
      const kinds = streams.map(({ codec_type }) => codec_type);
      assert.ok(kinds.includes(file.kind), file.path);
      assert.ok(
        Math.abs(Number(format.duration) * 1000 - file.duration_ms) < 500,
        `${file.path}: ${format.duration} s and ${file.duration_ms} ms`,
      );
    }
    const codecs = filesOf(stage, { user_id: 'ben', kind: 'video' }).map(
      ({ media_type }) => media_type,
    );
    for (const wanted of [/avc1/, /vp0?9/, /av01|av1/]) {
      assert.ok(
        codecs.some((type) => wanted.test(type)),
        `${wanted} in ${codecs}`,
      );
    }
  },

  'every picture is shown at the time that stands in it': async (stage, t) => {
    for (const file of filesOf(stage, { of: 'track', kind: 'video' })) {
      file.pictures = await pictures(file.path, file.fromMs);
      const found = deviation(file.pictures);
      t.diagnostic(`${file.user_id} ${file.media_type}: ${JSON.stringify(found)}`);
      assert.ok(found.read >= found.frames * 0.98, `${file.path}: ${JSON.stringify(found)}`);
      assert.ok(
        found.least >= -OFF_MS && found.greatest <= OFF_MS,
        `${file.path}: ${JSON.stringify(found)}`,
      );
    }
    const ana = filesOf(stage, { user_id: 'ana', kind: 'video' })
      .flatMap((file) => file.pictures)
      .sort((a, b) => a.at - b.at);
    const { marks } = stage;
    const holes = {
      'before the reload': longestHole(ana, marks.anaSeen, marks.reload),
      'from the reload to the pause': longestHole(ana, marks.reloaded, marks.pause),
      'from the pause to the end': longestHole(ana, marks.resume, marks.end),
    };
    t.diagnostic(`longest time without a picture of ana: ${JSON.stringify(holes)}`);
    for (const [when, hole] of Object.entries(holes))
      assert.ok(hole < 3_000, `${when}: ${hole} ms`);
    const paused = ana.filter(({ at }) => at > marks.pause + OFF_MS && at < marks.resume - OFF_MS);
    assert.deepEqual(paused, [], 'pictures from the pause');
    for (const { codec, from, to } of stage.codecs) {
      const ben = filesOf(stage, { user_id: 'ben', kind: 'video' })
        .flatMap((file) => file.pictures)
        .filter(({ at }) => at >= from && at <= to);
      assert.ok(ben.length >= 30, `${ben.length} pictures of ${codec}`);
    }
  },

  'a voice is there while it had the floor, and nothing else is': async (stage, t) => {
    const { marks } = stage;
    const sounds = async (user) =>
      Promise.all(
        filesOf(stage, { of: 'track', user_id: user, kind: 'audio' }).map((file) =>
          Sound.read(file.path, file.fromMs),
        ),
      );
    const share = (all, hertz, from, to) =>
      Math.max(0, ...all.map((sound) => sound.share(hertz, from, to)));
    const silent = (all, from, to) => Math.min(1, ...all.map((sound) => sound.silence(from, to)));
    const ana = await sounds('ana');
    const spoken = [
      [marks.turn, marks.mute],
      [marks.unmute, marks.turnEnd],
    ];
    for (const [from, to] of spoken) {
      const heard = share(ana, ANA_HZ, from + BORDER_MS, to - BORDER_MS);
      t.diagnostic(`ana's tone: ${heard} of ${to - from} ms`);
      assert.ok(heard > 0.9, `${heard} of ana's tone`);
      assert.equal(share(ana, BEN_HZ, from + BORDER_MS, to - BORDER_MS), 0);
    }
    const quiet = [
      [marks.anaSeen, marks.turn],
      [marks.mute, marks.unmute],
      [marks.turnEnd, marks.end],
    ];
    for (const [from, to] of quiet) {
      assert.equal(silent(ana, from + BORDER_MS, to - BORDER_MS), 1, `${from} to ${to}`);
    }
    const ben = await sounds('ben');
    const heard = share(ben, BEN_HZ, marks.benTurn + BORDER_MS, marks.benTurnEnd - BORDER_MS);
    assert.ok(heard > 0.9, `${heard} of ben's tone`);
    assert.equal(silent(ben, marks.benTurnEnd + BORDER_MS, marks.end), 1);
  },

  ...proofSteps,

  'the combined recording shows and sounds who has the floor': async (stage, t) => {
    const combined = filesOf(stage, { of: 'combined', state: 'ready' });
    assert.ok(combined.length > 0);
    const { marks } = stage;
    for (const file of combined) {
      const frames = await pictures(file.path, file.fromMs);
      const during = (from, to) => frames.filter(({ at }) => at > from + 1_000 && at < to - 1_000);
      for (const [tint, from, to] of [
        ['red', marks.turn, marks.turnEnd],
        ['blue', marks.benTurn, marks.benTurnEnd],
      ]) {
        const shown = during(from, to);
        const found = deviation(shown);
        t.diagnostic(`${file.container}, ${tint}: ${JSON.stringify(found)}`);
        const right = shown.filter((one) => one.tint === tint).length;
        assert.ok(right >= shown.length * 0.95, `${right} of ${shown.length} are ${tint}`);
        assert.ok(found.read >= found.frames * 0.8, JSON.stringify(found));
        assert.ok(Math.abs(found.median) <= OFF_MS, JSON.stringify(found));
      }
      const sound = await Sound.read(file.path, file.fromMs);
      const heard = sound.share(ANA_HZ, marks.turn + 500, marks.mute - 500);
      assert.ok(heard > 0.9, `${heard} of ana's tone in the combined file`);
      assert.equal(sound.silence(marks.mute + 500, marks.unmute - 500), 1);
      assert.ok(sound.share(BEN_HZ, marks.benTurn + 500, marks.benTurnEnd - 500) > 0.9);
    }
  },

  ...erasureSteps,

  'the logs hold no fault and nothing about people': async ({ server }) => {
    const lines = server.events();
    assert.ok(lines.length > 0);
    for (const line of lines) {
      assert.ok(['INFO', 'DEBUG'].includes(JSON.parse(line).level), line);
      assert.doesNotMatch(line, /eyJ|Presidencia|\b(ana|ben|auditor|witness)\b/);
    }
  },
});
