// Media where no UDP gets through: Chromium is told only of the candidates of TCP.
import { candidates, isToldOfTcp, leave, twoPages } from './both_ways.mjs';
import { launch } from './browser.mjs';
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

async function carriesBothWays(stage, scripts, protocol) {
  const { sender, receiver } = await twoPages(stage, scripts);
  for (const page of [sender, receiver]) {
    // Whichever answered first is used until a better one has.
    await until(`media over ${protocol}`, async (seen) => {
      const used = (await candidates(page)).map(({ remote }) => remote?.protocol);
      seen.last = used;
      return used.length > 0 && used.every((it) => it === protocol);
    });
  }
  await until(`${protocol === 'tcp' ? 'a' : 'no'} word of TCP`, async () => {
    return (await isToldOfTcp(sender)) === (protocol === 'tcp');
  });
  await leave(stage);
}

story('Media over TCP', open, {
  'sound and pictures get through where UDP does not, both ways': (stage) =>
    carriesBothWays(stage, [WITHOUT_UDP], 'tcp'),
  'UDP is used where it gets through': (stage) => carriesBothWays(stage, [], 'udp'),
});
