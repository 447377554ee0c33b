// Every codec a browser encodes, in three encodings, and what a receiver gets
// of them. Both ends are the raw client: the web client plays no part.
import assert from 'node:assert/strict';
import { startedSession } from './api.mjs';
import { inbound, launch, outbound, rawClient } from './browser.mjs';
import { Server } from './server.mjs';
import { story } from './story.mjs';
import { until } from './until.mjs';

async function open(stage) {
  stage.server = await Server.start('codecs');
  stage.browser = await launch({ hertz: 440, gestures: false });
}

async function enter(stage, session, user) {
  const page = await rawClient(stage.browser, stage.server, {
    session: session.id,
    tenant: session.tenant_id,
    user,
  });
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

async function carries(stage, codec) {
  const session = await startedSession(stage.server, { moderation: 'open' });
  const sender = await enter(stage, session, 'sender');
  const receiver = await enter(stage, session, 'receiver');
  const published = await sender.evaluate(
    (name) => window.client.publish({ audio: false, codec: name, layers: 3 }),
    codec,
  );
  assert.equal(published.type, 'ack', JSON.stringify(published));
  const track = await receiver.evaluate(() =>
    window.client.seen(({ type }) => type === 'track_published'),
  );
  assert.equal(track.codec, codec.toLowerCase());
  assert.equal(track.layers, 3);
  const answer = await receiver.evaluate(
    (id) => window.client.subscribe(id, { max_layer: 0 }),
    track.track,
  );
  assert.equal(answer.type, 'ack', JSON.stringify(answer));
  await decodes(receiver, 160);
  const sent = await outbound(sender);
  assert.ok(sent.every((row) => row.codec === undefined || row.codec === `video/${codec}`));
  await receiver.evaluate((id) => window.client.subscribe(id), track.track);
  await decodes(receiver, 640);
  await receiver.evaluate((id) => window.client.subscribe(id, { max_layer: 0 }), track.track);
  await decodes(receiver, 160);
  for (const page of [sender, receiver]) {
    await page.evaluate(() => window.client.leave());
    await page.context().close();
  }
  stage.pages = {};
}

story('Codecs and their encodings', open, {
  'VP8: the smallest encoding when that is all a receiver wants, the best otherwise': (stage) =>
    carries(stage, 'VP8'),
  'H.264 is forwarded and decoded in each size': (stage) => carries(stage, 'H264'),
  'VP9 is forwarded and decoded in each size': (stage) => carries(stage, 'VP9'),
  'AV1 is forwarded and decoded in each size': (stage) => carries(stage, 'AV1'),
});
