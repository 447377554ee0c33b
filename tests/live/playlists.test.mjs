// Playlists of a camera and of a session, read by a parser that is not ours: what players with low
// latency rely on is in them, and they end as they are to.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { asGovernance, startedSession } from './api.mjs';
import { startCameras } from './foreign_cameras.mjs';
import { Server } from './server.mjs';
import { story } from './story.mjs';
import { ROOT, until } from './until.mjs';

const require = createRequire(join(ROOT, 'web-client', 'package.json'));
const { Parser } = require('m3u8-parser');

const CAMERA = 'hall-1';
const PATIENCE_MS = 90_000;
/** Lengths are written with six decimals. */
const ROUNDED_S = 0.000_001;

async function open(stage) {
  stage.server = await Server.start('playlists');
  const cameras = await startCameras();
  stage.stop = cameras.stop;
  stage.session = await startedSession(stage.server, {
    moderation: 'open',
    live_viewing: true,
  });
  stage.tenant = stage.session.tenant_id;
  const rtspUrl = `rtsp://127.0.0.1:${cameras.port}/often`;
  const body = { tenantId: stage.tenant, cameraId: CAMERA, rtspUrl };
  const provisioned = await asGovernance(stage.server, 'POST', '/gateway/provision', body);
  assert.equal(provisioned.status, 201, JSON.stringify(provisioned));
}

function parsed(text) {
  const parser = new Parser();
  const warnings = [];
  parser.on('warn', ({ message }) => warnings.push(message));
  parser.push(text);
  parser.end();
  assert.deepEqual(warnings, [], text);
  return parser.manifest;
}

async function read(address) {
  const answer = await fetch(address);
  const text = await answer.text();
  assert.equal(answer.status, 200, text);
  return parsed(text);
}

/** Where the playlist with segments of a camera or a session is. */
async function mediaOf({ server, tenant }, name, watched) {
  const body = { tenantId: tenant, ...watched };
  const issued = await asGovernance(server, 'POST', '/gateway/sessions', body);
  assert.equal(issued.status, 201, JSON.stringify(issued));
  const query = new URLSearchParams({ token: issued.body.token });
  const main = `${server.origin}/gateway/playback/${tenant}/${name}/index.m3u8?${query}`;
  const manifest = await until('a playlist', async () => {
    const answer = await fetch(main);
    const text = await answer.text();
    return answer.ok && parsed(text);
  });
  const [{ uri, attributes }] = manifest.playlists;
  assert.match(attributes.CODECS, /avc1\./);
  assert.ok(
    attributes.BANDWIDTH > 0 && attributes.RESOLUTION.width > 0,
    JSON.stringify(attributes),
  );
  return new URL(uri, main).href;
}

const grown = (manifest) => manifest.segments.filter(({ uri }) => uri !== undefined);

/** What is true of every playlist with segments that goes on. */
function isLive(manifest) {
  const { serverControl, targetDuration, partTargetDuration } = manifest;
  assert.equal(serverControl.canBlockReload, true);
  assert.ok(serverControl.holdBack >= 3 * targetDuration, JSON.stringify(serverControl));
  assert.ok(serverControl.canSkipUntil >= 6 * targetDuration, JSON.stringify(serverControl));
  assert.ok(serverControl.partHoldBack >= 3 * partTargetDuration - ROUNDED_S);
  assert.ok(Number.isInteger(manifest.mediaSequence) && !manifest.endList);
  const whole = grown(manifest);
  assert.ok(whole.length > 0);
  for (const segment of whole) {
    assert.ok(Math.round(segment.duration) <= targetDuration, JSON.stringify(segment));
    assert.ok(segment.map.uri.length > 0 && segment.programDateTime > 0, JSON.stringify(segment));
  }
  const { preloadSegment } = manifest;
  assert.deepEqual(
    preloadSegment.preloadHints.map(({ type }) => type),
    ['PART'],
  );
  const parts = partsOf(manifest);
  assert.ok(parts.length > 0);
  for (const part of parts) assert.ok(part.duration <= partTargetDuration + ROUNDED_S);
  // The parts of a segment are as long as it is.
  for (const { parts: its, duration } of whole) {
    if (its === undefined) continue;
    const sum = its.reduce((all, part) => all + part.duration, 0);
    assert.ok(Math.abs(sum - duration) < its.length * ROUNDED_S + ROUNDED_S);
    assert.equal(its[0].independent, true);
  }
}

const partsOf = ({ segments, preloadSegment }) =>
  [...segments, preloadSegment ?? {}].flatMap((segment) => segment.parts ?? []);

/** A playlist with parts, which there are from the second segment on. */
const withParts = (media) =>
  until('parts', async () => {
    const manifest = await read(media);
    return partsOf(manifest).length > 0 && manifest;
  });

/** A part that is announced comes, and is in the playlist that was waited for. */
async function growsBy(media) {
  const before = await withParts(media);
  isLive(before);
  const [{ uri }] = before.preloadSegment.preloadHints;
  const [, segment, part] = /-(\d+)\.(\d+)\.m4s$/.exec(uri);
  const after = await read(`${media}?_HLS_msn=${segment}&_HLS_part=${part}`);
  isLive(after);
  assert.ok(
    partsOf(after).some((one) => one.uri === uri),
    `${uri} is not in the playlist that was waited for`,
  );
  const answer = await fetch(new URL(uri, media));
  assert.equal(answer.status, 200);
  assert.ok((await answer.arrayBuffer()).byteLength > 0);
}

story('Playlists that another parser reads', open, {
  'of a camera, which grow by parts': async (stage) => {
    stage.camera = await mediaOf(stage, CAMERA, { cameraId: CAMERA });
    await growsBy(stage.camera);
  },

  'of a session in which nobody is seen': async (stage) => {
    const { session } = stage;
    stage.media = await mediaOf(stage, `session:${session.id}`, { sessionId: session.id });
    await growsBy(stage.media);
  },

  'without old segments, for whoever has them': async ({ camera }) => {
    const skipping = await until(
      'segments that are left out',
      async (seen) => {
        // Whoever watches asks all the time.
        seen.last = await read(`${camera}?_HLS_skip=YES`);
        return seen.last.skip !== undefined && seen.last;
      },
      PATIENCE_MS,
    );
    assert.ok(skipping.skip.skippedSegments > 0);
    assert.equal(skipping.version, 9);
    // Between the two some may have come and gone.
    await until('as many that are left out as there are', async (seen) => {
      const [part, whole] = [await read(`${camera}?_HLS_skip=YES`), await read(camera)];
      seen.last = [grown(part).length + (part.skip?.skippedSegments ?? 0), grown(whole).length];
      return part.mediaSequence === whole.mediaSequence && seen.last[0] === seen.last[1];
    });
  },

  'which end with the session': async ({ server, session, media }) => {
    const ended = await asGovernance(server, 'POST', `/api/v1/sessions/${session.id}/end`);
    assert.equal(ended.status, 200, JSON.stringify(ended));
    await until('an end', async () => (await read(media)).endList === true);
    const last = await read(media);
    assert.ok(
      last.segments.every((one) => one.uri !== undefined),
      'a segment is not whole',
    );
    assert.equal(last.preloadSegment, undefined);
    const final = await fetch(new URL(last.segments.at(-1).uri, media));
    assert.equal(final.status, 200);
  },
});
