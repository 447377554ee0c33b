// A camera of somebody else's making in a room: a browser decodes its pictures and hears it.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { asGovernance, startedSession } from './api.mjs';
import { inbound, launch, rawClient } from './browser.mjs';
import { verify } from './cabildo.mjs';
import { Sound } from './clock.mjs';
import { delaysOf, inRoomWith, quantile } from './delays.mjs';
import { download } from './download.mjs';
import { startCameras } from './foreign_cameras.mjs';
import { hears, hearsPitch, sees } from './listen.mjs';
import { Person } from './person.mjs';
import { Server } from './server.mjs';
import { story } from './story.mjs';
import { until } from './until.mjs';

const CAMERA = 'cabildo:camera:hall-1';

async function provision(stage, camera, path) {
  const provisioned = await asGovernance(stage.server, 'POST', '/gateway/provision', {
    tenantId: stage.session.tenant_id,
    cameraId: camera,
    rtspUrl: `rtsp://127.0.0.1:${stage.port}${path}`,
  });
  assert.equal(provisioned.status, 201, JSON.stringify(provisioned));
}

/** Brings a camera into the room; answers why something of it does not come. */
async function bring(stage, camera) {
  const path = `/api/v1/sessions/${stage.session.id}/cameras`;
  const added = await stage.chair.call('POST', path, { camera_id: camera });
  assert.equal(added.status, 201, JSON.stringify(added));
  return added.body.media_fault;
}

async function open(stage, environment = {}) {
  stage.server = await Server.start('cameras', environment);
  stage.browser = await launch({ hertz: 440, gestures: false });
  ({ port: stage.port, stop: stage.stop } = await startCameras());
  stage.session = await startedSession(stage.server, {
    moderation: 'open',
    recording: { enabled: true, retention_days: 1 },
  });
  const tenant = stage.session.tenant_id;
  await provision(stage, 'hall-1', '/opus');
  const identity = (user, roles) => ({ tenant, user, roles });
  stage.chair = await Person.of(stage.server, identity('chair', ['moderator']));
}

/** What the browser receives of the camera, by kind of media. */
async function ofCamera(page, kind) {
  return (await inbound(page)).find((row) => row.kind === kind);
}

story('A camera in a room', open, {
  'its pictures are decoded by a browser long before the next key picture, and its sound is heard':
    async (stage, t) => {
      const { server, session } = stage;
      const path = `/api/v1/sessions/${session.id}/cameras`;
      const added = await stage.chair.call('POST', path, {
        camera_id: 'hall-1',
      });
      assert.equal(added.status, 201, JSON.stringify(added));
      assert.equal(added.body.user_id, CAMERA);
      const page = await rawClient(stage.browser, server, {
        session: session.id,
        tenant: session.tenant_id,
        user: 'viewer',
      });
      stage.pages.viewer = page;
      const tracks = await until('both tracks of the camera', async (seen) => {
        const welcome = await page.evaluate(() =>
          window.__probe.received.find(({ type }) => type === 'welcome'),
        );
        const published = await page.evaluate(() =>
          window.__probe.received.filter(({ type }) => type === 'track_published'),
        );
        seen.last = [...welcome.tracks, ...published].filter(
          ({ user_id: user }) => user === CAMERA,
        );
        return seen.last.length >= 2 ? seen.last : null;
      });
      assert.deepEqual(tracks.map(({ codec }) => codec).sort(), ['h264', 'opus']);
      const began = Date.now();
      for (const { track } of tracks) {
        const answer = await page.evaluate((id) => window.client.subscribe(id), track);
        assert.equal(answer.type, 'ack', JSON.stringify(answer));
      }
      await until('a picture', async (seen) => {
        seen.last = await ofCamera(page, 'video');
        return seen.last?.frames > 0;
      });
      const waited = Date.now() - began;
      // It has a key picture every thirty seconds only.
      assert.ok(waited < 20_000, `the first picture came after ${waited} ms`);
      const row = await until('thirty pictures, 320 wide', async (seen) => {
        seen.last = await ofCamera(page, 'video');
        return seen.last?.frames >= 30 && seen.last.width === 320 ? seen.last : null;
      });
      assert.equal(row.height ?? 180, 180);
      await until('its sound', async (seen) => {
        seen.last = await ofCamera(page, 'audio');
        return (seen.last?.packets ?? seen.last?.bytes) > 20;
      });
      t.diagnostic(`the first picture came after ${waited} ms`);
    },

  'a clock in its pictures tells how far a browser in the room is behind': async (stage, t) => {
    await provision(stage, 'clock', '/clock');
    assert.equal(await bring(stage, 'clock'), null);
    const { browser, server, session } = stage;
    const { page, video } = await inRoomWith(browser, server, session, 'clock');
    const delays = await delaysOf(page, video, 60, 15);
    const [half, most] = [0.5, 0.95].map((part) => quantile(delays, part));
    t.diagnostic(`behind by the clock in the picture: P50 ${half} ms, P95 ${most} ms`);
    // A picture is never that late, however busy the machine is.
    assert.ok(half < 3_000, `${delays}`);
    await page.context().close();
  },

  'the sound of a camera with AAC is left out, and everybody is told': async (stage) => {
    await provision(stage, 'hall-3', '/aac');
    await bring(stage, 'hall-3');
    const page = stage.pages.viewer;
    const published = await until('its pictures, and why there is no sound', async (seen) => {
      const told = await page.evaluate(() => window.__probe.received);
      seen.last = told.filter(({ user_id: user }) => user === 'cabildo:camera:hall-3');
      const isTold = seen.last.some(({ media_fault: fault }) => fault === 'sound_unsupported');
      const tracks = seen.last.filter(({ type }) => type === 'track_published');
      return isTold && tracks.length > 0 ? tracks : null;
    });
    assert.deepEqual(
      published.map(({ codec }) => codec),
      ['h264'],
    );
  },

  'the sound of a camera with G.711 passes as it is': async (stage) => {
    await provision(stage, 'hall-2', '/pcmu');
    assert.equal(await bring(stage, 'hall-2'), null);
    const page = stage.pages.viewer;
    const track = await until('its sound is published', async (seen) => {
      seen.last = await page.evaluate(() =>
        window.__probe.received.filter(({ type }) => type === 'track_published'),
      );
      return seen.last.find(({ codec }) => codec === 'pcmu');
    });
    const answer = await page.evaluate((id) => window.client.subscribe(id), track.track);
    assert.equal(answer.type, 'ack', JSON.stringify(answer));
    await until('a browser decodes it', async (seen) => {
      seen.last = (await inbound(page)).filter(({ codec }) => codec === 'pcmu');
      return seen.last.some(({ energy }) => energy > 0);
    });
  },

  'a camera in a room comes back by itself after the server was killed': async (stage) => {
    const { server, session } = stage;
    await server.stop('SIGKILL');
    await server.start();
    const page = await rawClient(stage.browser, server, {
      session: session.id,
      tenant: session.tenant_id,
      user: 'later',
    });
    stage.pages.later = page;
    const path = `/gateway/health/${session.tenant_id}/hall-2`;
    await until('the camera is called again', async (seen) => {
      seen.last = await asGovernance(server, 'GET', path);
      return seen.last.body.status === 'RUNNING';
    });
    await until('both cameras show their tracks', async (seen) => {
      seen.last = await page.evaluate(() => window.__probe.received);
      const welcome = seen.last.find(({ type }) => type === 'welcome');
      const published = seen.last.filter(({ type }) => type === 'track_published');
      const users = [...welcome.tracks, ...published].map(({ user_id: user }) => user);
      return users.includes(CAMERA) && users.includes('cabildo:camera:hall-2');
    });
  },
});

const openTranscoding = (stage) => open(stage, { CABILDO_CAMERAS__TRANSCODE_AUDIO: 'true' });

story('A camera in a room whose AAC becomes Opus', openTranscoding, {
  'its tone is heard by a browser, beside its pictures': async (stage) => {
    const { server, session } = stage;
    const user = 'cabildo:camera:hall-4';
    await provision(stage, 'hall-4', '/aac');
    assert.equal(await bring(stage, 'hall-4'), null);
    const page = await rawClient(stage.browser, server, {
      session: session.id,
      tenant: session.tenant_id,
      user: 'viewer',
    });
    stage.pages.viewer = page;
    const tracks = await until('both tracks of the camera', async (seen) => {
      const heard = await page.evaluate(() => window.__probe.received);
      const welcome = heard.find(({ type }) => type === 'welcome');
      const published = heard.filter(({ type }) => type === 'track_published');
      seen.last = [...welcome.tracks, ...published].filter(({ user_id: of }) => of === user);
      return seen.last.length >= 2 ? seen.last : null;
    });
    assert.deepEqual(tracks.map(({ codec }) => codec).sort(), ['h264', 'opus']);
    for (const { track } of tracks) {
      const answer = await page.evaluate((id) => window.client.subscribe(id), track);
      assert.equal(answer.type, 'ack', JSON.stringify(answer));
    }
    await sees(page, [user]);
    await hears(page, user);
    await hearsPitch(page, user, 440);
  },

  'it is recorded and proven as any other track': async (stage) => {
    const { server, session } = stage;
    const ended = await asGovernance(server, 'POST', `/api/v1/sessions/${session.id}/end`);
    assert.equal(ended.status, 200, JSON.stringify(ended.body));
    const auditor = await Person.of(server, {
      tenant: session.tenant_id,
      user: 'auditor',
      roles: ['auditor'],
    });
    const { files } = await auditor.recordingReady(session.id);
    const file = files.find(({ of, kind }) => of === 'track' && kind === 'audio');
    assert.equal(file.user_id, 'cabildo:camera:hall-4');
    const directory = mkdtempSync(join(tmpdir(), 'cabildo-camera-'));
    try {
      const from = Date.parse(file.from);
      const sound = await Sound.read(await download(server, file, directory), from);
      const share = sound.share(440, from + 1_000, sound.toMs - 500);
      assert.ok(share > 0.95, `the tone is in ${share} of the file`);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
    const proof = await verify(`${server.origin}/api/v1/sessions/${session.id}/audit-proof`);
    assert.equal(proof.code, 0, proof.stdout + proof.stderr);
  },
});
