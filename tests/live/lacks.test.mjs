// A combined recording that does without a track says so on the page where it is watched.
import assert from 'node:assert/strict';
import { asGovernance, startedSession } from './api.mjs';
import { launch, outbound, rawClient, screenshot } from './browser.mjs';
import { fits, isAccessible } from './looks.mjs';
import { openRecording, speak } from './pages.mjs';
import { Server } from './server.mjs';
import { story } from './story.mjs';
import { until } from './until.mjs';

/** Has the browser send pictures of VP8 whose key frames claim a size that nothing decodes. */
const SPOILED = `{
  const Native = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Native {
    constructor(configuration) {
      super({ ...configuration, encodedInsertableStreams: true });
    }
    addTransceiver(what, init) {
      const transceiver = super.addTransceiver(what, init);
      const { readable, writable } = transceiver.sender.createEncodedStreams();
      const spoil = new TransformStream({
        transform(frame, out) {
          const bytes = new Uint8Array(frame.data);
          // RFC 6386 §9.1: 16383 by 16383 pixels.
          if (frame.type === 'key') bytes.set([0xff, 0x3f, 0xff, 0x3f], 6);
          out.enqueue(frame);
        },
      });
      readable.pipeThrough(spoil).pipeTo(writable);
      return transceiver;
    }
  };
}`;

const WORDS = {
  es: /^Falta mallory · cámara, de 0:0\d a 0:\d\d: sus datos no se pueden descodificar\.$/,
  en: /^Without mallory · camera, from 0:0\d to 0:\d\d: its data can't be decoded\.$/,
  pt: /^Falta mallory · câmera, de 0:0\d a 0:\d\d: os dados não podem ser decodificados\.$/,
};
const SIZES = { phone: { width: 360, height: 740 }, desktop: { width: 1280, height: 800 } };

async function open(stage) {
  stage.server = await Server.start('lacks');
  stage.browser = await launch({ hertz: 440, gestures: false });
  stage.session = await startedSession(stage.server, {
    moderation: 'open',
    recording: { enabled: true, retention_days: 30 },
  });
}

story('A recording that lacks a track', open, {
  'a meeting with a camera that nothing decodes is recorded': async (stage) => {
    const { browser, server } = stage;
    const { id: session, tenant_id: tenant } = stage.session;
    for (const [user, scripts] of [
      ['ana', []],
      ['mallory', [SPOILED]],
    ]) {
      const page = await rawClient(browser, server, { session, tenant, user }, { scripts });
      stage.pages[user] = page;
    }
    // At the same time, so that what is missing begins near the beginning.
    await Promise.all(
      Object.values(stage.pages).map((page) =>
        page.evaluate(() => window.client.publish({ layers: 1 })),
      ),
    );
    for (const page of Object.values(stage.pages)) {
      await until('pictures are sent', async (seen) => {
        seen.last = (await outbound(page)).reduce((sum, row) => sum + row.frames, 0);
        return seen.last >= 60;
      });
    }
    const ended = await asGovernance(server, 'POST', `/api/v1/sessions/${session}/end`);
    assert.equal(ended.status, 200, JSON.stringify(ended));
  },

  'the page says whose track is missing, when and why, in three languages': async (stage) => {
    const person = { user: 'chair', role: 'moderator' };
    const page = await openRecording(stage.browser, stage.server, stage.session, person);
    stage.pages.viewer = page;
    const combined = page.locator('[data-testid="file"][data-of="combined"][data-state="ready"]');
    await combined.waitFor({ timeout: 120_000 });
    const lack = combined.getByTestId('file-lack');
    assert.equal(await lack.count(), 1);
    assert.equal(await lack.getAttribute('data-reason'), 'undecodable');
    for (const [language, words] of Object.entries(WORDS)) {
      await speak(page, language);
      assert.match(await lack.textContent(), words);
      for (const [size, viewport] of Object.entries(SIZES)) {
        await page.setViewportSize(viewport);
        await fits(page, `lacks ${size} ${language}`);
        await isAccessible(page, `lacks ${size} ${language}`);
        await lack.scrollIntoViewIfNeeded();
        await screenshot(page, `recording-lacks-${size}-${language}`);
      }
    }
  },
});
