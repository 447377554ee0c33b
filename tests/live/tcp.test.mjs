// Media where no UDP gets through: Chromium is told only of the candidates of TCP.
import assert from 'node:assert/strict';
import { startedSession } from './api.mjs';
import { inbound, launch, rawClient } from './browser.mjs';
import { Server } from './server.mjs';
import { story } from './story.mjs';
import { until } from './until.mjs';

/** Removes the candidates of UDP from what the server describes. */
const WITHOUT_UDP = `{
  const original = RTCPeerConnection.prototype.setRemoteDescription;
  RTCPeerConnection.prototype.setRemoteDescription = function (description) {
    const sdp = description.sdp.replace(/a=candidate:\\S+ 1 udp [^\\r]*\\r\\n/g, '');
    return original.call(this, { type: description.type, sdp });
  };
}`;

async function open(stage) {
  stage.server = await Server.start('tcp');
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

/**
 * The protocols over which a page's connections run. The selected pair is asked for, because
 * a pair in use is for moments not "succeeded": while it is checked again.
 */
const protocols = (page) =>
  page.evaluate(async () => {
    const found = [];
    for (const peer of [window.client.publishing, window.client.subscribing]) {
      if (!peer) continue;
      const stats = await peer.getStats();
      for (const report of stats.values()) {
        const pair = report.type === 'transport' && stats.get(report.selectedCandidatePairId);
        if (pair) found.push(stats.get(pair.remoteCandidateId)?.protocol);
      }
    }
    return found;
  });

async function carriesBothWays(stage, scripts, protocol) {
  const session = await startedSession(stage.server, { moderation: 'open' });
  const sender = await enter(stage, session, 'sender', scripts);
  const receiver = await enter(stage, session, 'receiver', scripts);
  const published = await sender.evaluate(() => window.client.publish({ codec: 'VP8', layers: 2 }));
  assert.equal(published.type, 'ack', JSON.stringify(published));
  for (const kind of ['audio', 'video']) {
    const track = await receiver.evaluate(
      (wanted) => window.client.seen((it) => it.type === 'track_published' && it.kind === wanted),
      kind,
    );
    const answer = await receiver.evaluate((id) => window.client.subscribe(id), track.track);
    assert.equal(answer.type, 'ack', JSON.stringify(answer));
  }
  await until('thirty pictures and a second of sound', async (seen) => {
    const rows = await inbound(receiver);
    seen.last = rows;
    const video = rows.find(({ kind }) => kind === 'video');
    const audio = rows.find(({ kind }) => kind === 'audio');
    return video?.frames >= 30 && audio?.packets >= 50;
  });
  for (const page of [sender, receiver]) {
    const used = await protocols(page);
    assert.ok(used.length > 0 && used.every((it) => it === protocol), JSON.stringify(used));
  }
  for (const page of [sender, receiver]) await page.context().close();
  stage.pages = {};
}

story('Media over TCP', open, {
  'sound and pictures get through where UDP does not, both ways': (stage) =>
    carriesBothWays(stage, [WITHOUT_UDP], 'tcp'),
  'UDP is used where it gets through': (stage) => carriesBothWays(stage, [], 'udp'),
});
