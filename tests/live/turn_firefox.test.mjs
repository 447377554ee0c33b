// Media of Firefox through TURN only. It sends packets in indications, where Chromium binds
// channels, and uses no loopback interface, so all runs in a network of its own.
import assert from 'node:assert/strict';
import { leave, twoPages } from './both_ways.mjs';
import { launch, launchFirefox } from './browser.mjs';
import { isInside, startServer } from './network.mjs';
import { metric, relayOnly } from './relays.mjs';
import { story } from './story.mjs';

async function open(stage) {
  stage.server = await startServer('turn_firefox');
  stage.browser = await launch({ hertz: 440, gestures: false });
  stage.firefox = await launchFirefox();
}

async function relays(stage, way, browsers) {
  const relayed = async (direction) =>
    metric(stage, 'cabildo_turn_packets_total', `direction="${direction}"`);
  const before = [await relayed('in'), await relayed('out')];
  await twoPages(stage, [relayOnly(way)], browsers);
  const after = [await relayed('in'), await relayed('out')];
  assert.ok(after[0] - before[0] > 50 && after[1] - before[1] > 50, `${before} ${after}`);
  await leave(stage);
}

const STEPS = {
  'somebody with Firefox is heard and seen over UDP': (stage) =>
    relays(stage, 'udp', { sender: stage.firefox }),
  'somebody with Firefox hears and sees over UDP': (stage) =>
    relays(stage, 'udp', { receiver: stage.firefox }),
  'somebody with Firefox hears and sees over TCP': (stage) =>
    relays(stage, 'tcp', { receiver: stage.firefox }),
};

if (isInside(import.meta.url)) story('Firefox through TURN', open, STEPS);
