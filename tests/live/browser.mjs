// Real browsers with fake devices.
import { mkdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeTone } from './tone.mjs';
import { ARTEFACTS, PATIENCE_MS, ROOT } from './until.mjs';

const require = createRequire(join(ROOT, 'web-client', 'package.json'));
const { chromium } = require('playwright-core');
// The last release that speaks WebDriver BiDi to a Firefox which Debian ships.
const { firefox } = require('playwright-firefox');
/** axe-core as a script to put into a page. */
export const AXE = require.resolve('axe-core/axe.min.js');

const PROBE = fileURLToPath(new URL('page/probe.js', import.meta.url));
const CLOCK = fileURLToPath(new URL('page/clock.js', import.meta.url));
const RAW_CLIENT = fileURLToPath(new URL('page/raw_client.js', import.meta.url));

/** How many times slower each page of Chromium computes: shows what else only a busy machine does. */
export const SLOWDOWN = Number(process.env.CABILDO_TEST_CPU_SLOWDOWN ?? 1);

const open = new Set();

/**
 * A browser whose microphones all sound at `hertz`, or as the file `sound` does when they are
 * opened, and whose cameras show `film`, a file of uncompressed video (Y4M), over and over. `args`
 * are more arguments.
 */
export async function launch({ hertz = 440, gestures = true, sound, film, args = [] } = {}) {
  const tone =
    sound ?? writeTone(join(tmpdir(), `cabildo-tone-${process.pid}-${hertz}.wav`), hertz);
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM_BIN ?? '/usr/bin/chromium',
    headless: true,
    timeout: PATIENCE_MS,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--use-fake-device-for-media-stream=fps=15',
      '--use-fake-ui-for-media-stream',
      `--use-file-for-fake-audio-capture=${tone}`,
      ...(film === undefined ? [] : [`--use-file-for-fake-video-capture=${film}`]),
      ...(gestures ? [] : ['--autoplay-policy=no-user-gesture-required']),
      ...args,
    ],
  });
  return kept(browser);
}

/** A Firefox as Debian ships it, whose microphone sounds and whose camera shows changing colours. */
export async function launchFirefox() {
  const browser = await firefox.launch({
    channel: 'moz-firefox',
    executablePath: process.env.FIREFOX_BIN ?? '/usr/bin/firefox-esr',
    headless: true,
    timeout: PATIENCE_MS,
    firefoxUserPrefs: {
      'media.navigator.streams.fake': true,
      'media.navigator.permission.disabled': true,
      'media.autoplay.default': 0,
    },
  });
  return kept(browser);
}

function kept(browser) {
  open.add(browser);
  browser.on('disconnected', () => open.delete(browser));
  return browser;
}

/** Closes whatever is still open. */
export async function closeAll() {
  await Promise.all([...open].map((browser) => browser.close()));
}

/**
 * A page of its own: no cookie, key or storage is shared with any other. With
 * `clock`, a tint, its camera shows the time.
 */
export async function newPage(
  browser,
  { viewport, locale = 'es', clock, scripts = [], ...rest } = {},
) {
  const context = await browser.newContext({
    viewport: viewport ?? { width: 800, height: 600 },
    locale,
    permissions: ['camera', 'microphone'],
    ...rest,
  });
  context.setDefaultTimeout(PATIENCE_MS);
  const page = await context.newPage();
  // Firefox has no such switch.
  if (SLOWDOWN > 1 && browser.browserType().name() === 'chromium') {
    const session = await context.newCDPSession(page);
    await session.send('Emulation.setCPUThrottlingRate', { rate: SLOWDOWN });
  }
  page.problems = [];
  page.on('pageerror', (error) => page.problems.push(error.message));
  await page.addInitScript({ path: PROBE });
  for (const content of scripts) await page.addInitScript({ content });
  if (clock !== undefined) {
    await page.addInitScript({ content: `window.__tint = ${JSON.stringify(clock)};` });
    await page.addInitScript({ path: CLOCK });
  }
  return page;
}

/** A page with the raw client in it, entered into the room. */
export async function rawClient(browser, server, identity, options = {}) {
  const page = await newPage(browser, { viewport: { width: 640, height: 400 }, ...options });
  await page.addInitScript({ path: RAW_CLIENT });
  // Any document of the origin will do; this one has no scripts of its own.
  await page.goto(`${server.origin}/health/live`);
  await page.evaluate(async (who) => {
    window.client = new RawClient(who);
    await window.client.connect();
  }, identity);
  return page;
}

/** What the browser has received, one row for each section in use. */
export const inbound = (page) => page.evaluate(() => window.__probe.inbound());

/** What the browser has sent, one row for each encoding. */
export const outbound = (page) => page.evaluate(() => window.__probe.outbound());

/** The row of one source of one user, or undefined. */
export async function received(page, user, kind) {
  return (await inbound(page)).find((row) => row.user === user && row.kind === kind);
}

/** All messages the page's sockets have had. */
export const messages = (page, type) =>
  page.evaluate(
    (wanted) => window.__probe.received.filter((message) => message.type === wanted),
    type,
  );

/** All messages the page's sockets have sent. */
export const sentMessages = (page, type) =>
  page.evaluate((wanted) => window.__probe.sent.filter((message) => message.type === wanted), type);

/**
 * Where the sequence of events has a hole or a repetition: a list that should
 * be empty. A welcome that is no resumption starts anew.
 */
export const holes = (page) =>
  page.evaluate(() => {
    const found = [];
    let last = null;
    for (const message of window.__probe.received) {
      if (message.type === 'welcome') {
        if (!message.resumed) last = message.seq;
      } else if (message.seq !== undefined) {
        if (last !== null && message.seq !== last + 1)
          found.push([last, message.seq, message.type]);
        last = message.seq;
      }
    }
    return found;
  });

/** Keeps a picture of the page among the artefacts. */
export async function screenshot(page, name) {
  mkdirSync(ARTEFACTS, { recursive: true });
  await page.screenshot({ path: join(ARTEFACTS, `${name}.png`) });
}

/** Keeps what passed over the page's sockets, and its media, among the artefacts. */
export async function record(page, name) {
  const text = await page.evaluate(async () => {
    const { received, sent, peers } = window.__probe;
    return JSON.stringify(
      {
        inbound: await window.__probe.inbound(),
        outbound: await window.__probe.outbound(),
        peers: peers.map((peer) => [peer.connectionState, peer.signalingState]),
        received,
        sent,
      },
      null,
      1,
    );
  });
  writeFileSync(join(ARTEFACTS, `${name}.json`), text);
}
