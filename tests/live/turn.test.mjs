// Media through TURN only: Chromium uses no candidate but relayed ones.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { startedSession } from './api.mjs';
import { candidates, hearsAndSees, isToldOfTcp, leave, twoPages } from './both_ways.mjs';
import { launch } from './browser.mjs';
import { Peer } from './peer.mjs';
import { Person } from './person.mjs';
import { metric, relayOnly } from './relays.mjs';
import { Server } from './server.mjs';
import { story } from './story.mjs';
import { until } from './until.mjs';

async function open(stage) {
  // The first start makes development's certificates.
  stage.server = await Server.start('turn');
  await stage.server.stop();
  const certificates = join(stage.server.dataDir, 'certs');
  stage.server.environment = {
    CABILDO_MEDIA__TURN__TLS_BIND: '127.0.0.1:0',
    CABILDO_MEDIA__TURN__TLS_HOST: '127.0.0.1',
    CABILDO_MEDIA__TURN__TLS_CERT: join(certificates, 'server.pem'),
    CABILDO_MEDIA__TURN__TLS_KEY: join(certificates, 'server.key'),
  };
  await stage.server.start();
  process.env.SSL_CERT_FILE = join(certificates, 'ca.pem');
  const args = ['--ignore-certificate-errors'];
  stage.browser = await launch({ hertz: 440, gestures: false, args });
}

async function carriesBothWays(stage, protocol) {
  const { sender, receiver } = await twoPages(stage, [relayOnly(protocol)]);
  for (const page of [sender, receiver]) {
    const used = await candidates(page);
    const isRelayed = ({ local }) =>
      local.candidateType === 'relay' && local.relayProtocol === protocol;
    assert.ok(used.length > 0 && used.every(isRelayed), JSON.stringify(used));
  }
  assert.ok((await metric(stage, 'cabildo_turn_allocations ')) >= 2);
  await until(`${protocol === 'udp' ? 'no' : 'a'} word of TCP`, async () => {
    return (await isToldOfTcp(sender)) === (protocol !== 'udp');
  });
  // They leave the room, and the browsers keep their allocations.
  for (const page of [sender, receiver]) {
    await page.evaluate(() => window.client.socket.close(1000));
  }
  await until('no allocation outlives its person', async (seen) => {
    seen.last = await metric(stage, 'cabildo_turn_allocations ');
    return seen.last === 0;
  });
  await leave(stage);
}

story('Media through TURN', open, {
  'sound and pictures are relayed over UDP, both ways': (stage) => carriesBothWays(stage, 'udp'),
  'sound and pictures are relayed over TCP, both ways': (stage) => carriesBothWays(stage, 'tcp'),
  'sound and pictures are relayed over TLS, both ways': (stage) => carriesBothWays(stage, 'tls'),
  'a client of WHIP that shares no code gets through by what the headers say': async (stage) => {
    const session = await startedSession(stage.server, { moderation: 'open' });
    const endpoint = `${stage.server.origin}/api/v1/sessions/${session.id}/whip`;
    for (const way of ['udp', 'tcp', 'tls']) {
      const identity = { tenant: session.tenant_id, user: `encoder-${way}` };
      const person = await Person.of(stage.server, identity);
      const token = await person.mediaToken(session.id, 'whip');
      const peer = new Peer(way, endpoint, token, 'relay.py');
      const gathered = await peer.told('candidates', ({ event }) => event === 'gathered');
      assert.deepEqual(gathered.types, ['relay']);
      await peer.told('a connection', ({ event }) => event === 'connected');
      await peer.stop();
    }
  },
  'ICE is restarted over a relay without a new transport': async (stage) => {
    const { sender, receiver } = await twoPages(stage, [relayOnly('udp')]);
    await sender.evaluate(() => window.client.restartPublishing());
    await receiver.evaluate(() => window.client.restartSubscribing());
    await hearsAndSees(receiver);
    for (const page of [sender, receiver]) {
      const used = (await candidates(page)).map(({ local }) => local.candidateType);
      assert.ok(used.length > 0 && used.every((type) => type === 'relay'), JSON.stringify(used));
    }
    await leave(stage);
  },
});
