// Whether sound and pictures get from one page to another, and over which candidates.
import assert from 'node:assert/strict';
import { startedSession } from './api.mjs';
import { inbound, messages, rawClient } from './browser.mjs';
import { until } from './until.mjs';

async function enter(stage, session, user, scripts, browser = stage.browser) {
  const page = await rawClient(
    browser,
    stage.server,
    { session: session.id, tenant: session.tenant_id, user },
    { scripts },
  );
  stage.pages[user] = page;
  return page;
}

/**
 * The candidates over which a page's connections run, as `RTCIceCandidateStats`. The selected pair
 * is asked for, because a pair in use is for moments not "succeeded": while it is checked again.
 */
export const candidates = (page) =>
  page.evaluate(async () => {
    const found = [];
    for (const peer of [window.client.publishing, window.client.subscribing]) {
      if (!peer) continue;
      const stats = await peer.getStats();
      for (const report of stats.values()) {
        const pair = report.type === 'transport' && stats.get(report.selectedCandidatePairId);
        if (!pair) continue;
        const [local, remote] = [
          stats.get(pair.localCandidateId),
          stats.get(pair.remoteCandidateId),
        ];
        found.push({ local, remote });
      }
    }
    return found;
  });

/** Waits until a page shows pictures and sounds that came after now. */
export async function hearsAndSees(page) {
  const sum = (rows, kind, key) => rows.find((row) => row.kind === kind)?.[key] ?? 0;
  const before = await inbound(page);
  await until('thirty more pictures and a second of sound', async (seen) => {
    const rows = await inbound(page);
    seen.last = rows;
    const pictures = sum(rows, 'video', 'frames') - sum(before, 'video', 'frames');
    return pictures >= 30 && sum(rows, 'audio', 'packets') - sum(before, 'audio', 'packets') >= 50;
  });
}

/**
 * Lets one page publish and another one receive, in a session of their own. Both are in the
 * browser of the stage unless `browsers` says otherwise.
 */
export async function twoPages(stage, scripts, browsers = {}) {
  const session = await startedSession(stage.server, { moderation: 'open' });
  const sender = await enter(stage, session, 'sender', scripts, browsers.sender);
  const receiver = await enter(stage, session, 'receiver', scripts, browsers.receiver);
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
  await hearsAndSees(receiver);
  return { session, sender, receiver };
}

/** Whether a page was told last that its media comes by TCP. */
export const isToldOfTcp = async (page) => {
  const last = (await messages(page, 'connection_quality')).at(-1);
  return last?.people.some(({ cause }) => cause === 'relayed_by_tcp') ?? false;
};

/** Closes the pages. */
export async function leave(stage) {
  for (const page of Object.values(stage.pages)) await page.context().close();
  stage.pages = {};
}
