// What is done with the proof of a recording that is over: steps of the story
// in recording.test.mjs, whose stage they play on.
import assert from 'node:assert/strict';
import { cpSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { call } from './api.mjs';
import { newPage, screenshot } from './browser.mjs';
import { evidence, verify } from './cabildo.mjs';
import { entries } from './cbor.mjs';
import { foreign } from './foreign.mjs';
import { openRecording } from './pages.mjs';
import { until } from './until.mjs';

const ACCESS = 64;

const proofUrl = (stage) =>
  `${stage.server.origin}/api/v1/sessions/${stage.session.id}/audit-proof`;

async function passes(what, ...options) {
  const done = await verify(what, ...options);
  assert.equal(done.code, 0, done.stdout + done.stderr);
  return done.report;
}

async function fails(code, what, ...options) {
  const done = await verify(what, ...options);
  assert.equal(done.code, 1, done.stdout + done.stderr);
  const codes = done.report.problems.map((problem) => problem.code);
  assert.ok(codes.includes(code), `${code} in ${codes}`);
  return done.report;
}

async function custody(stage, command, ...options) {
  const done = await evidence(stage.server, command, stage.session.id, ...options);
  assert.equal(done.code, 0, done.stderr + done.stdout);
  return done.stdout;
}

const entriesOf = (bundle) => entries(readFileSync(join(bundle, 'entries.cborseq')));

/** A copy of a bundle with one bit of an object flipped; answers it and where. */
function tampered(bundle, copy) {
  cpSync(bundle, copy, { recursive: true });
  const track = readdirSync(join(copy, 'objects')).sort()[0];
  const path = join(copy, 'objects', track, '0');
  const bytes = readFileSync(path);
  bytes[Math.floor(bytes.length / 2)] ^= 1;
  writeFileSync(path, bytes);
  return { copy, track };
}

/** Gives a bundle to the page that verifies; answers its verdict. */
async function verdictOf(stage, page, bundle) {
  await page.goto(`${stage.server.origin}/verify`);
  await page.getByTestId('verify').waitFor();
  await page.getByText(/.+/).first().waitFor();
  const more = page.locator('details', { has: page.getByTestId('trusted-input') });
  if (!(await more.evaluate((element) => element.open))) await more.locator('summary').click();
  await page.getByTestId('trusted-input').setInputFiles(stage.keys);
  await page.getByTestId('folder-input').setInputFiles(bundle);
  const report = page.getByTestId('report');
  await report.waitFor();
  return report.getAttribute('data-verdict');
}

export const proofSteps = {
  'the proof of the server verifies, and continues every head that was held': async (stage) => {
    const { server, directory } = stage;
    const keys = await call(server, 'GET', '/.well-known/cabildo-evidence-keys.json');
    assert.equal(keys.status, 200);
    stage.keys = join(directory, 'keys.json');
    writeFileSync(stage.keys, JSON.stringify(keys.body));
    await passes(proofUrl(stage));
    await passes(proofUrl(stage), '--heads', stage.savedHeads, '--keys', stage.keys);
    // A head that this log never had.
    const held = JSON.parse(readFileSync(stage.savedHeads, 'utf8'));
    const forged = Buffer.from(held.heads.at(-1), 'base64url');
    forged[forged.length - 70] ^= 1;
    const path = join(directory, 'forged.json');
    writeFileSync(path, JSON.stringify({ ...held, heads: [forged.toString('base64url')] }));
    const done = await verify(proofUrl(stage), '--heads', path, '--keys', stage.keys);
    assert.equal(done.code, 1, done.stdout);
  },

  'a bundle verifies far from the server, and one flipped bit is found': async (stage) => {
    stage.bundle = join(stage.directory, 'bundle');
    await custody(stage, 'export', '--out', stage.bundle);
    await passes(stage.bundle, '--keys', stage.keys, '--heads', stage.savedHeads);
    const log = entriesOf(stage.bundle);
    const opened = log.filter(({ kind, etype }) => kind === 'event' && etype === ACCESS);
    assert.ok(opened.length >= 1 + stage.files.length, `${opened.length} accesses are logged`);
    const { copy, track } = tampered(stage.bundle, join(stage.directory, 'tampered'));
    stage.tampered = copy;
    const report = await fails('OBJECT_CHANGED', copy, '--keys', stage.keys);
    assert.ok(JSON.stringify(report.problems).includes(track), 'the place is not named');
  },

  "other people's verifiers take it and refuse forgeries": async (stage) => {
    const { pathname } = new URL(proofUrl(stage));
    const proof = await call(stage.server, 'GET', `${pathname}?seq=0&seq=3&from_size=2`);
    assert.equal(proof.status, 200, JSON.stringify(proof.body));
    assert.equal(proof.body.consistency.length, 1);
    const path = join(stage.directory, 'proof.json');
    writeFileSync(path, JSON.stringify(proof.body));
    await foreign(stage.bundle, path);
  },

  'one event can be revealed, and one clip; the rest stays closed': async (stage) => {
    const log = entriesOf(stage.bundle);
    const turn = log.find(({ kind, etype }) => kind === 'event' && etype === 3);
    const shown = JSON.parse(await custody(stage, 'disclose', '--seq', String(turn.seq)));
    assert.deepEqual(
      shown.events.map(({ seq }) => seq),
      [turn.seq],
    );
    assert.ok(JSON.parse(shown.events[0].event).type.length > 0);
    const revealed = join(stage.directory, 'revealed');
    cpSync(stage.bundle, revealed, { recursive: true });
    writeFileSync(join(revealed, 'disclosures.json'), JSON.stringify(shown));
    await passes(revealed, '--keys', stage.keys);
    shown.events[0].event = shown.events[0].event.replace(/"type":"./, '"type":"x');
    writeFileSync(join(revealed, 'disclosures.json'), JSON.stringify(shown));
    await fails('DISCLOSURE_INVALID', revealed, '--keys', stage.keys);

    const clip = join(stage.directory, 'clip');
    const [from, to] = [stage.marks.turn, stage.marks.mute].map((ms) => new Date(ms).toISOString());
    await custody(stage, 'clip', '--from', from, '--to', to, '--out', clip);
    await passes(clip, '--keys', stage.keys);
    assert.ok(!readdirSync(clip).includes('entries.cborseq'), 'a clip holds every entry');
    const proof = JSON.parse(readFileSync(join(clip, 'bundle.json'), 'utf8'));
    assert.equal(proof.kind, 'clip');
    assert.ok(proof.receipts.length < log.length / 2);
  },

  'the page that verifies says the same': async (stage, t) => {
    const page = await newPage(stage.high, { viewport: { width: 1000, height: 900 } });
    stage.pages.verifier = page;
    const began = Date.now();
    assert.equal(await verdictOf(stage, page, stage.bundle), 'valid');
    t.diagnostic(`the page took ${Date.now() - began} ms`);
    await screenshot(page, 'verify-valid');
    assert.equal(await verdictOf(stage, page, stage.tampered), 'invalid');
    await page.locator('[data-code="OBJECT_CHANGED"]').first().waitFor();
    await screenshot(page, 'verify-invalid');
    await page.goto(`${stage.server.origin}/verify?session=${stage.session.id}`);
    await page.getByTestId('verify-session').click();
    await page.getByTestId('report').waitFor();
    assert.equal(await page.getByTestId('report').getAttribute('data-verdict'), 'valid');
    assert.deepEqual(page.problems, []);
    await page.context().close();
    delete stage.pages.verifier;
  },

  'a moderator watches it, and jumps where something happened': async (stage) => {
    const chair = { user: 'chair', name: 'Presidencia', role: 'moderator' };
    const page = await openRecording(stage.high, stage.server, stage.session, chair);
    stage.pages.watcher = page;
    const player = page.locator('video[data-testid="player"], audio[data-testid="player"]').first();
    await player.waitFor();
    const state = () =>
      player.evaluate(({ currentTime, readyState, duration, seeking, error }) => ({
        currentTime,
        readyState,
        duration,
        seeking,
        error: error?.message ?? null,
      }));
    await until('a player that can play', async (seen) => {
      seen.last = await state();
      return seen.last.readyState >= 2;
    });
    const { duration } = await state();
    assert.ok(duration > 10, `${duration} s`);
    for (const at of [duration * 0.75, duration * 0.25]) {
      await player.evaluate((element, seconds) => {
        element.currentTime = seconds;
      }, at);
      await until(`a picture at ${at} s`, async (seen) => {
        seen.last = await state();
        return !seen.last.seeking && seen.last.readyState >= 2 && seen.last.currentTime >= at - 0.5;
      });
    }
    const from = (await state()).currentTime;
    await player.evaluate((element) => element.play());
    await until('a player that plays', async (seen) => {
      seen.last = await state();
      return seen.last.currentTime >= from + 1;
    });
    await page.locator('[data-testid="line-item"][data-kind="turn"]').first().waitFor();
    await screenshot(page, 'playback');
    assert.deepEqual(page.problems, []);
    await page.context().close();
    delete stage.pages.watcher;
  },
};

export const erasureSteps = {
  "a tenant's key can be renewed while people watch": async (stage) => {
    const file = stage.files.find(({ url }) => url !== null);
    const watch = async () => {
      const headers = { Range: 'bytes=1000-20000' };
      const answer = await fetch(stage.server.origin + file.url, { headers });
      assert.equal(answer.status, 206);
      return Buffer.from(await answer.arrayBuffer());
    };
    const before = await watch();
    const tenant = ['--tenant', stage.session.tenant_id];
    for (const more of [[], ['--destroy-older']]) {
      const done = await evidence(stage.server, 'rotate-keys', ...tenant, ...more);
      assert.equal(done.code, 0, done.stderr + done.stdout);
      assert.ok((await watch()).equals(before), 'another file than before');
    }
  },

  'what is erased is gone, and everything that was proven stays proven': async (stage) => {
    const { server, session, auditor } = stage;
    const file = stage.files.find(({ url }) => url !== null);
    await custody(stage, 'erase', '--reason', 'requested');
    const gone = await fetch(server.origin + file.url);
    assert.equal(gone.status, 410);
    assert.equal((await gone.json()).code, 'RECORDING_ERASED');
    assert.equal((await auditor.recording(session.id)).state, 'erased');
    await until('a head that covers the erasure', async (seen) => {
      const proof = await call(server, 'GET', `/api/v1/sessions/${session.id}/audit-proof`);
      seen.last = proof.body.head.tree_size;
      return seen.last > entriesOf(stage.bundle).length;
    });
    await passes(proofUrl(stage), '--heads', stage.savedHeads, '--keys', stage.keys);
    const bundle = join(stage.directory, 'erased');
    await custody(stage, 'export', '--out', bundle);
    await passes(bundle, '--keys', stage.keys, '--heads', stage.savedHeads);
    const log = entriesOf(bundle);
    const tracks = log.filter(({ kind }) => kind === 'track');
    const erased = log.filter(({ kind }) => kind === 'erasure').map(({ target }) => target);
    for (const { seq } of tracks) assert.ok(erased.includes(seq), `track ${seq} is not erased`);
    // What was exported before still verifies, against the same heads.
    await passes(stage.bundle, '--keys', stage.keys, '--heads', stage.savedHeads);
    for (const place of [bundle, stage.tampered]) rmSync(place, { recursive: true, force: true });
  },
};
