// Every codec a browser encodes, in two encodings (more need a larger camera),
// and what a receiver gets of them. Both ends are the raw client: the web client plays no part.
import assert from 'node:assert/strict';
import { startedSession } from './api.mjs';
import { inbound, launch, messages, outbound, rawClient } from './browser.mjs';
import { Server } from './server.mjs';
import { story } from './story.mjs';
import { until } from './until.mjs';

async function open(stage) {
  stage.server = await Server.start('codecs');
  stage.browser = await launch({ hertz: 440, gestures: false });
}

async function enter(stage, session, user, scripts) {
  const page = await rawClient(
    stage.browser,
    stage.server,
    { session: session.id, tenant: session.tenant_id, user },
    { scripts },
  );
  stage.pages[user] = page;
  return page;
}

const video = async (page) => (await inbound(page)).find(({ kind }) => kind === 'video');

/** Waits until pictures of `width` are decoded, ten of them at that size. */
async function decodes(page, width) {
  let first;
  return until(`pictures ${width} wide`, async (seen) => {
    const row = await video(page);
    seen.last = row;
    if (row?.width !== width) {
      first = undefined;
      return null;
    }
    first ??= row.frames;
    return row.frames >= first + 10 ? row : null;
  });
}

/** Hides from the browser the formats of H.264 that are offered with other profiles than these. */
const knowingOnly = (profiles) => `{
  const original = RTCPeerConnection.prototype.setRemoteDescription;
  RTCPeerConnection.prototype.setRemoteDescription = function ({ type, sdp }) {
    const hidden = [...sdp.matchAll(/a=fmtp:(\\d+) .*profile-level-id=(....)/g)]
      .filter(([, , profile]) => !${JSON.stringify(profiles)}.includes(profile))
      .map(([, payloadType]) => payloadType);
    const known = type === 'offer' ? hidden.reduce(
      (text, payloadType) => text.replace(\`:\${payloadType} H264/\`, \`:\${payloadType} unknown/\`),
      sdp,
    ) : sdp;
    return original.call(this, { type, sdp: known });
  };
}`;

/** Somebody sends H.264, and somebody subscribes who knows only some of its profiles. */
async function sentTo(stage, profiles) {
  const session = await startedSession(stage.server, { moderation: 'open' });
  const sender = await enter(stage, session, 'sender');
  const receiver = await enter(stage, session, 'receiver', [knowingOnly(profiles)]);
  await sender.evaluate(() => window.client.publish({ audio: false, codec: 'H264', layers: 1 }));
  const { track } = await receiver.evaluate(() =>
    window.client.seen(({ type }) => type === 'track_published'),
  );
  const answer = await receiver.evaluate((id) => window.client.subscribe(id), track);
  assert.equal(answer.type, 'ack', JSON.stringify(answer));
  return { receiver, track };
}

async function left(stage) {
  for (const page of Object.values(stage.pages)) await page.context().close();
  stage.pages = {};
}

async function carries(stage, codec) {
  const session = await startedSession(stage.server, { moderation: 'open' });
  const sender = await enter(stage, session, 'sender');
  const receiver = await enter(stage, session, 'receiver');
  const published = await sender.evaluate(
    (name) => window.client.publish({ audio: false, codec: name, layers: 2 }),
    codec,
  );
  assert.equal(published.type, 'ack', JSON.stringify(published));
  const track = await receiver.evaluate(() =>
    window.client.seen(({ type }) => type === 'track_published'),
  );
  assert.equal(track.codec, codec.toLowerCase());
  assert.equal(track.layers, 2);
  const answer = await receiver.evaluate(
    (id) => window.client.subscribe(id, { max_layer: 0 }),
    track.track,
  );
  assert.equal(answer.type, 'ack', JSON.stringify(answer));
  await decodes(receiver, 320);
  const sent = await outbound(sender);
  assert.ok(sent.every((row) => row.codec === undefined || row.codec === `video/${codec}`));
  await receiver.evaluate((id) => window.client.subscribe(id), track.track);
  await decodes(receiver, 640);
  await receiver.evaluate((id) => window.client.subscribe(id, { max_layer: 0 }), track.track);
  await decodes(receiver, 320);
  for (const page of [sender, receiver]) await page.evaluate(() => window.client.leave());
  await left(stage);
}

/** The best encoding is wanted by nobody for a while, and then by somebody. */
async function sendsWhatIsSeen(stage, t) {
  // A recording would be of the best.
  const recording = { enabled: false };
  const session = await startedSession(stage.server, { moderation: 'open', recording });
  const sender = await enter(stage, session, 'sender');
  const receiver = await enter(stage, session, 'receiver');
  await sender.evaluate(() => window.client.publish({ audio: false, layers: 2 }));
  const { track } = await receiver.evaluate(() =>
    window.client.seen(({ type }) => type === 'track_published'),
  );
  const wants = (max_layer) =>
    receiver.evaluate((wanted) => window.client.subscribe(...wanted), [track, { max_layer }]);
  const told = (count) =>
    until(`${count} messages`, async () => {
      const all = await messages(sender, 'layers_unseen');
      return all.length >= count ? all.at(-1) : null;
    });
  await wants(0);
  await decodes(receiver, 320);
  const unseen = await told(1);
  assert.deepEqual(unseen, { type: 'layers_unseen', track, rids: ['layer1'] });
  await sender.evaluate((rids) => window.client.leaveOut(rids), unseen.rids);
  const frames = async () => (await outbound(sender)).find(({ rid }) => rid === 'layer1').frames;
  let before = -1;
  await until('the best encoding to end', async () => {
    const last = before;
    before = await frames();
    return last === before ? true : null;
  });
  const asked = Date.now();
  const [answer] = await Promise.all([wants(1), told(2)]);
  assert.equal(answer.type, 'ack');
  const back = await told(2);
  assert.deepEqual(back, { type: 'layers_unseen', track, rids: [] });
  await sender.evaluate(() => window.client.leaveOut([]));
  await until('the best encoding', async () => (await video(receiver)).width === 640 || null);
  t.diagnostic(`${Date.now() - asked} ms from asking for the best encoding until it is seen`);
  await left(stage);
}

story('Codecs and their encodings', open, {
  'VP8: the smallest encoding when that is all a receiver wants, the best otherwise': (stage) =>
    carries(stage, 'VP8'),
  'H.264 is forwarded and decoded in each size': (stage) => carries(stage, 'H264'),
  'H.264 is decoded by a browser that knows only another of its profiles': async (stage) => {
    const { receiver } = await sentTo(stage, ['42e0']);
    await decodes(receiver, 640);
    await left(stage);
  },
  'a browser that knows no H.264 is told that it gets no picture': async (stage) => {
    const { receiver, track } = await sentTo(stage, []);
    const refused = await receiver.evaluate(() =>
      window.client.seen(({ type }) => type === 'track_refused'),
    );
    assert.deepEqual(refused, { type: 'track_refused', track, codec: 'h264' });
    await left(stage);
  },
  'an encoding that nobody looks at need not be sent, and comes back': sendsWhatIsSeen,
  'VP9 is forwarded and decoded in each size': (stage) => carries(stage, 'VP9'),
  'AV1 is forwarded and decoded in each size': (stage) => carries(stage, 'AV1'),
});
