// WHIP and WHEP by an independent client (aiortc), beside a browser; and what
// wrong callers are told.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { bearerToken, call, startedSession } from './api.mjs';
import { launch, rawClient, received } from './browser.mjs';
import { hearsPitch } from './listen.mjs';
import { Peer } from './peer.mjs';
import { Person } from './person.mjs';
import { Server } from './server.mjs';
import { story } from './story.mjs';
import { until } from './until.mjs';

async function open(stage) {
  stage.server = await Server.start('whip');
  stage.session = await startedSession(stage.server, { moderation: 'open' });
  const tenant = stage.session.tenant_id;
  stage.token = async (kind, user) => {
    const person = await Person.of(stage.server, { tenant, user });
    return person.mediaToken(stage.session.id, kind);
  };
  stage.endpoint = (kind) => `/api/v1/sessions/${stage.session.id}/${kind}`;
  stage.peers = [];
  stage.stop = () => stage.peers.forEach((peer) => peer.kill());
}

async function start(stage, kind, user, script) {
  const url = stage.server.origin + stage.endpoint(kind);
  const peer = new Peer(kind, url, await stage.token(kind, user), script);
  stage.peers.push(peer);
  return peer;
}

/** Asserts a refusal in the form that all refusals have. */
function refused(answer, status, code) {
  assert.equal(answer.status, status, JSON.stringify(answer.body));
  assert.equal(answer.body.code, code);
  assert.ok(answer.body.message.length > 0);
  assert.ok(answer.body.trace_id.length > 0);
}

story('WHIP and WHEP', open, {
  'a publisher by WHIP is a participant like any other': async (stage) => {
    const browser = await launch({ gestures: false });
    const page = await rawClient(browser, stage.server, {
      session: stage.session.id,
      tenant: stage.session.tenant_id,
      user: 'viewer',
    });
    stage.pages.viewer = page;
    stage.publisher = await start(stage, 'whip', 'encoder');
    const answered = await stage.publisher.told('an answer', ({ event }) => event === 'answered');
    assert.equal(answered.status, 201);
    assert.equal(answered.type, 'application/sdp');
    await stage.publisher.told('a connection', ({ state }) => state === 'connected');
    await page.evaluate(() =>
      window.client.seen(
        ({ type, user_id }) => type === 'participant_joined' && user_id === 'encoder',
      ),
    );
    const tracks = await until('both tracks', async (seen) => {
      const known = await page.evaluate(() => [...window.client.tracks.values()]);
      seen.last = known;
      return known.length === 2 ? known : null;
    });
    assert.deepEqual(tracks.map(({ codec }) => codec).sort(), ['opus', 'vp8']);
    for (const { track } of tracks) {
      const answer = await page.evaluate((id) => window.client.subscribe(id), track);
      assert.equal(answer.type, 'ack', JSON.stringify(answer));
    }
    await until('its picture and sound in the browser', async (seen) => {
      const video = await received(page, 'encoder', 'video');
      const audio = await received(page, 'encoder', 'audio');
      seen.last = { video, audio };
      return video?.frames >= 30 && video.width === 640 && audio?.energy > 0.01;
    });
    await hearsPitch(page, 'encoder', 660);
  },

  'FFmpeg publishes as its own muxer does, as the DTLS server': async (stage) => {
    const page = stage.pages.viewer;
    const encoder = await start(stage, 'whip', 'ffmpeg', 'encoder.py');
    await encoder.told('a connection', ({ event }) => event === 'connected');
    const tracks = await until('both tracks', async (seen) => {
      seen.last = await page.evaluate(() =>
        [...window.client.tracks.values()].filter(({ user_id }) => user_id === 'ffmpeg'),
      );
      return seen.last.length === 2 ? seen.last : null;
    });
    assert.deepEqual(tracks.map(({ codec }) => codec).sort(), ['h264', 'opus']);
    for (const { track } of tracks) {
      const answer = await page.evaluate((id) => window.client.subscribe(id), track);
      assert.equal(answer.type, 'ack', JSON.stringify(answer));
    }
    await until('its picture and sound in the browser', async (seen) => {
      const video = await received(page, 'ffmpeg', 'video');
      const audio = await received(page, 'ffmpeg', 'audio');
      seen.last = { video, audio };
      return video?.frames >= 30 && video.width === 320 && audio?.energy > 0.01;
    });
    const events = await encoder.stop();
    assert.equal(events.at(-1).event, 'closed');
  },

  'a receiver by WHEP decodes what the session shows': async (stage) => {
    const page = stage.pages.viewer;
    const published = await page.evaluate(() => window.client.publish({ layers: 2 }));
    assert.equal(published.type, 'ack', JSON.stringify(published));
    const receiver = await start(stage, 'whep', 'recorder');
    const answered = await receiver.told('an answer', ({ event }) => event === 'answered');
    assert.equal(answered.status, 201);
    await receiver.told('pictures', ({ event, frames }) => event === 'video' && frames >= 30);
    await receiver.told('sound', ({ event, rms }) => event === 'audio' && rms > 500);
    const events = await receiver.stop();
    assert.equal(events.find(({ event }) => event === 'deleted').status, 200);
  },

  'DELETE ends the publication, and a second one finds nothing': async (stage) => {
    const page = stage.pages.viewer;
    const events = await stage.publisher.stop();
    assert.equal(events.find(({ event }) => event === 'deleted').status, 200);
    const again = events.find(({ event }) => event === 'deleted_again');
    assert.equal(again.status, 404);
    assert.equal(JSON.parse(again.body).code, 'MEDIA_RESOURCE_NOT_FOUND');
    await page.evaluate(() =>
      window.client.seen(
        ({ type, user_id }) => type === 'participant_left' && user_id === 'encoder',
      ),
    );
    const left = await page.evaluate(() =>
      [...window.client.tracks.values()].filter(({ user_id }) => user_id === 'encoder'),
    );
    assert.deepEqual(left, []);
  },

  'wrong callers are refused with a code': async (stage) => {
    const { server } = stage;
    const path = stage.endpoint('whip');
    const sdp = { type: 'application/sdp', body: 'v=0\r\n' };
    refused(await call(server, 'POST', path, sdp), 401, 'CREDENTIALS_MISSING');
    refused(await call(server, 'POST', path, { ...sdp, token: 'a.b.c' }), 401, 'TOKEN_INVALID');
    const token = await stage.token('whip', 'stranger');
    const altered = token.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A'));
    refused(await call(server, 'POST', path, { ...sdp, token: altered }), 401, 'TOKEN_INVALID');
    const toPlay = await stage.token('whep', 'stranger');
    refused(await call(server, 'POST', path, { ...sdp, token: toPlay }), 403, 'FORBIDDEN');
    // A token that is bound to no key reads, and does not publish.
    const unbound = await bearerToken(server, {
      tenant: stage.session.tenant_id,
      user: 'stranger',
      roles: ['moderator'],
    });
    refused(await call(server, 'POST', path, { ...sdp, token: unbound }), 403, 'FORBIDDEN');
    const elsewhere = await bearerToken(server, { tenant: randomUUID(), user: 'stranger' });
    refused(
      await call(server, 'POST', stage.endpoint('whep'), { ...sdp, token: elsewhere }),
      404,
      'SESSION_NOT_FOUND',
    );
    const observer = await bearerToken(server, {
      tenant: stage.session.tenant_id,
      user: 'observer',
      roles: ['observer'],
    });
    refused(await call(server, 'POST', path, { ...sdp, token: observer }), 403, 'FORBIDDEN');
    const json = { type: 'application/json', body: '{}', token };
    refused(await call(server, 'POST', path, json), 415, 'UNSUPPORTED_MEDIA_TYPE');
    const large = { ...sdp, token, body: 'a'.repeat(1_000_000) };
    refused(await call(server, 'POST', path, large), 413, 'PAYLOAD_TOO_LARGE');
  },

  'what is no session description is refused, and leaves nothing behind': async (stage) => {
    const { server } = stage;
    const path = stage.endpoint('whip');
    const token = await stage.token('whip', 'stranger');
    const section = 'm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n';
    const wrong = [
      '',
      'hello',
      '\0\0\0',
      'v=0\r\n',
      `v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n${section}`,
      `v=0\r\n${section.repeat(1_000)}`,
    ];
    for (const body of wrong) {
      const answer = await call(server, 'POST', path, { type: 'application/sdp', body, token });
      refused(answer, 422, 'SDP_INVALID');
    }
    await until('the room without the stranger', async (seen) => {
      seen.last = await stage.pages.viewer.evaluate(() => {
        const present = new Set();
        for (const message of window.client.messages) {
          if (message.type === 'participant_joined') present.add(message.user_id);
          if (message.type === 'participant_left') present.delete(message.user_id);
        }
        return [...present];
      });
      return !seen.last.includes('stranger');
    });
    const health = await call(server, 'GET', '/health/ready');
    assert.equal(health.status, 200);
  },
});
