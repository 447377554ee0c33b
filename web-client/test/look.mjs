// Opens every page in a browser, in sizes, colours and languages; writes
// pictures to `artefacts/look` and fails on serious findings of axe, on
// violations of the content security policy and on exceptions.
import { mkdir } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { bundle } from './evidence.mjs';
import { RECORDINGS, SESSION, TENANT, start } from './fake_server.mjs';

const OUT = fileURLToPath(new URL('../artefacts/look/', import.meta.url));
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const SIZES = {
  narrow: { width: 320, height: 640 },
  phone: { width: 390, height: 844 },
  desktop: { width: 1280, height: 800 },
  hall: { width: 1920, height: 1080 },
};
const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--use-fake-device-for-media-stream',
  '--use-fake-ui-for-media-stream',
];
const IN = `session=${SESSION}&tenant=${TENANT}&user=ana`;

const only = process.argv[2];
const server = await start();
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: FLAGS,
});
const findings = [];
await mkdir(OUT, { recursive: true });

async function look(
  name,
  size,
  { path, lang = 'es', dark = false, permissions, act = async () => {} },
) {
  if (only !== undefined && !name.startsWith(only)) return;
  const context = await browser.newContext({
    viewport: SIZES[size],
    colorScheme: dark ? 'dark' : 'light',
    reducedMotion: 'reduce',
    permissions: permissions ?? ['microphone', 'camera'],
  });
  const page = await context.newPage();
  const label = `${name}-${size}-${lang}-${dark ? 'dark' : 'light'}`;
  page.on('pageerror', (error) => findings.push(`${label}: ${error}`));
  page.on('console', (message) => {
    if (/Content Security Policy/i.test(message.text()))
      findings.push(`${label}: ${message.text()}`);
  });
  const joint = path.includes('?') ? '&' : '?';
  await page.goto(`${server.origin}${path}${joint}lang=${lang}&debug`);
  await act(page);
  await page.waitForTimeout(400);
  const fullPage = /^(verify|recording)/.test(name);
  await page.screenshot({ path: `${OUT}${label}.png`, fullPage });
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => window.axe.run({ resultTypes: ['violations'] }));
  for (const { id, impact, nodes } of violations) {
    if (impact !== 'serious' && impact !== 'critical') continue;
    const where = nodes
      .map(({ target, failureSummary }) => `${target} ${failureSummary}`)
      .join('; ');
    findings.push(`${label}: axe ${id} (${impact}): ${where}`);
  }
  const wide = await page.evaluate(
    () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
  );
  if (wide > 0) findings.push(`${label}: ${wide} px wider than the screen`);
  await context.close();
}

/** Two seconds of something to play, made by the browser itself. */
async function makeVideo() {
  const page = await browser.newPage();
  await page.goto(`${server.origin}/`);
  const video = await page.evaluate(async () => {
    const canvas = document.createElement('canvas');
    Object.assign(canvas, { width: 640, height: 360 });
    const pen = canvas.getContext('2d');
    const stream = canvas.captureStream(25);
    const recorder = new window.MediaRecorder(stream, { mimeType: 'video/webm; codecs=vp8' });
    const parts = [];
    recorder.ondataavailable = ({ data }) => parts.push(data);
    const ended = new Promise((resolve) => (recorder.onstop = resolve));
    recorder.start();
    for (let frame = 0; frame < 40; frame += 1) {
      pen.fillStyle = `hsl(${frame * 4} 40% 35%)`;
      pen.fillRect(0, 0, 640, 360);
      pen.fillStyle = 'white';
      pen.font = '64px sans-serif';
      pen.fillText('Asamblea', 180, 200);
      await new Promise((resolve) => setTimeout(resolve, 40));
    }
    recorder.stop();
    await ended;
    const bytes = new Uint8Array(await new window.Blob(parts).arrayBuffer());
    return window.btoa(Array.from(bytes, (octet) => String.fromCharCode(octet)).join(''));
  });
  await page.close();
  return Buffer.from(video, 'base64');
}

const joined = async (page) => {
  await page.getByTestId('name-input').fill('Ana Benítez');
  await page.getByTestId('join-button').click();
  await page.getByTestId('meeting').waitFor();
};
const understood = async (page) => {
  await joined(page);
  await page.getByTestId('acknowledge-recording').click();
  server.say({ type: 'recording_acknowledged', user_id: 'ana' });
};
const inConsole = (page) => page.getByTestId('console').waitFor();
/** People of the list who have not been registered at any size yet. */
let newcomer = 2_683;
const atDesk = async (page) => {
  await page.getByTestId('desk').waitFor();
  await page
    .getByTestId('desk-found')
    .filter({ hasText: /5.?000/ })
    .waitFor();
};
const inHall = (page) => page.getByTestId('floor-holder').waitFor();
const turn = { turn_id: 't9', request_id: 'r9', kind: 'normal', limit_s: 180, used_ms: 1000 };

/** Luis says something, and the pages show it as text. */
const spoken = async (page, shownAs) => {
  const now = new Date().toISOString();
  server.say({
    type: 'transcript_chunk',
    participant: 'luis',
    text: 'Propongo que aprobemos la derrama para el ascensor, y que se vote hoy mismo.',
    confidence: 0.91,
    from: now,
    to: now,
    final: true,
    engine: 'whisper',
    language: 'es',
  });
  await page.getByTestId(shownAs).first().waitFor();
};

server.setVideo(await makeVideo());
const rightBundle = await bundle(6);
const wrongBundle = await bundle(2, (all) => {
  const [name] = [...all.keys()].filter((one) => one.startsWith('objects/'));
  const object = all.get(name).slice();
  object[100] ^= 1;
  all.set(name, object);
});
const verifyBundle = (given) => async (page) => {
  await page.getByText(/Claves y|Keys and|Chaves e/).click();
  const keys = { name: 'keys.json', mimeType: 'application/json', buffer: Buffer.from(given.keys) };
  await page.getByTestId('trusted-input').setInputFiles(keys);
  await page.getByTestId('folder-input').setInputFiles(given.root);
  await page.getByTestId('report').waitFor();
};

for (const [size, lang, dark] of [
  ['narrow', 'pt', false],
  ['phone', 'es', false],
  ['phone', 'en', true],
  ['desktop', 'es', true],
  ['desktop', 'en', false],
]) {
  const way = { lang, dark };
  await look('start', size, { path: '/', ...way });
  await look('join', size, {
    path: `/join?${IN}`,
    ...way,
    act: (page) => page.getByTestId('mic-level').waitFor(),
  });
  await look('meeting', size, { path: `/join?${IN}`, ...way, act: joined });
  await look('consented', size, { path: `/join?${IN}`, ...way, act: understood });
  await look('witness', size, {
    path: `/join?${IN}`,
    ...way,
    act: async (page) => {
      await understood(page);
      await page.getByTestId('witness').click();
    },
  });
  await look('alarm', size, {
    path: `/join?${IN}`,
    ...way,
    act: async (page) => {
      await understood(page);
      await page.getByTestId('witness').waitFor();
      server.tellHead({ tree_size: 1 });
      await page.getByTestId('witness-alarm').waitFor();
    },
  });
  await look('verify', size, { path: '/verify', ...way });
  await look('verify-session', size, {
    path: `/verify?session=${SESSION}`,
    ...way,
    act: (page) => page.getByTestId('report').waitFor(),
  });
  await look('verify-right', size, { path: '/verify', ...way, act: verifyBundle(rightBundle) });
  await look('verify-wrong', size, { path: '/verify', ...way, act: verifyBundle(wrongBundle) });
  for (const state of Object.keys(RECORDINGS)) {
    await look(`recording-${state}`, size, {
      path: `/recording?session_id=${RECORDINGS[state]}&tenant=${TENANT}&user=ana`,
      ...way,
      act: (page) => page.locator('[data-testid=recording][data-state]').waitFor(),
    });
  }
  await look('mine', size, {
    path: `/join?${IN}`,
    ...way,
    act: async (page) => {
      await understood(page);
      server.say({
        type: 'turn_started',
        ...turn,
        user_id: 'ana',
        name: 'Ana Benítez',
        running: true,
        in_hall: false,
      });
      server.say({ type: 'chat', user_id: 'luis', name: 'Luis', text: 'Buenos días a todos' });
      await page.getByTestId('mic-button').click();
    },
  });
  await look('chat', size, {
    path: `/join?${IN}`,
    ...way,
    act: async (page) => {
      await joined(page);
      await page.getByTestId('chat-button').click();
      server.say({ type: 'chat', user_id: 'luis', name: 'Luis', text: 'Se ruega brevedad.' });
    },
  });
  await look('captions', size, {
    path: `/join?${IN}`,
    ...way,
    act: async (page) => {
      await understood(page);
      await spoken(page, 'caption');
    },
  });
  await look('caption-settings', size, {
    path: `/join?${IN}`,
    ...way,
    act: async (page) => {
      await understood(page);
      await page.getByTestId('captions-button').click();
      await page.getByTestId('caption-settings').waitFor();
    },
  });
  await look('correction', size, {
    path: `/console?${IN}`,
    ...way,
    act: async (page) => {
      await inConsole(page);
      await spoken(page, 'transcript-piece');
      await page.getByTestId('correct-button').first().click();
      await page.getByTestId('correction-input').scrollIntoViewIfNeeded();
    },
  });
  await look('people', size, {
    path: `/join?${IN}`,
    ...way,
    act: async (page) => {
      await joined(page);
      await page.getByTestId('people-button').click();
    },
  });
  await look('ask', size, {
    path: `/join?${IN}`,
    ...way,
    act: async (page) => {
      await joined(page);
      await page.getByTestId('ask-more').click();
    },
  });
  await look('stop-recording', size, {
    path: `/console?${IN}`,
    ...way,
    act: async (page) => {
      await inConsole(page);
      await page.getByTestId('stop-recording').click();
    },
  });
  await look('console', size, { path: `/console?${IN}`, ...way, act: inConsole });
  await look('desk', size, { path: `/desk?${IN}`, ...way, act: atDesk });
  await look('desk-found', size, {
    path: `/desk?${IN}`,
    ...way,
    act: async (page) => {
      await atDesk(page);
      await page.getByTestId('desk-search').fill('pena torre');
      await page.keyboard.press('ArrowDown');
    },
  });
  await look('desk-done', size, {
    path: `/desk?${IN}`,
    ...way,
    act: async (page) => {
      await atDesk(page);
      for (let at = 0; at < 2; at += 1) {
        await page.getByTestId('desk-search').fill(`user-0${newcomer}`);
        await page.keyboard.press('Enter');
        newcomer += 1;
      }
      await page.getByTestId('desk-step').nth(1).waitFor();
      await page.getByTestId('desk-search').fill('torre e 2784');
      await page.keyboard.press('F2');
      await page.getByTestId('delegate-search').fill('torre b 49');
      for (let at = 0; at < 4; at += 1) {
        await page.locator('[data-testid^="delegate-Torre"]:not([aria-disabled])').first().click();
      }
      await page.getByTestId('delegations-send').click();
      await page.getByTestId('delegations-refused').waitFor();
    },
  });
  await look('attend', size, {
    path: `/attend?${IN}`,
    ...way,
    act: async (page) => {
      await page.getByTestId('attend-scan').click();
      await page.getByTestId('attend-video').waitFor();
    },
  });
  await look('attend-refused', size, {
    path: `/attend?${IN}`,
    ...way,
    act: async (page) => {
      await page.getByTestId('attend-way-code').click();
      await page.getByTestId('attend-code').pressSequentially('222222');
      await page.getByTestId('attend-failure').waitFor();
    },
  });
  await look('attend-missing', size, {
    path: `/join?${IN}`,
    ...way,
    act: async (page) => {
      await understood(page);
      await page.getByTestId('attend-open').click();
      await page.getByTestId('attend').waitFor();
    },
  });
  await look('encoders', size, {
    path: `/console?${IN}`,
    ...way,
    act: async (page) => {
      await inConsole(page);
      await page.getByTestId('encoders-button').click();
      await page.getByTestId('encoder-make').click();
      await page.getByTestId('encoder-obs').locator('summary').click();
      await page.getByTestId('encoder-ffmpeg').locator('summary').click();
    },
  });
  await look('console-attendance', size, {
    path: `/console?${IN}`,
    ...way,
    act: async (page) => {
      await inConsole(page);
      await page.getByTestId('acknowledge-recording').click();
      server.say({ type: 'recording_acknowledged', user_id: 'ana' });
      await page.getByTestId('people-filter').selectOption('present');
      await page.locator('[data-testid^="attendance-user-"]').first().waitFor();
      await page.getByTestId('people-search').scrollIntoViewIfNeeded();
    },
  });
  await look('console-quorum', size, {
    path: `/console?${IN}`,
    ...way,
    act: async (page) => {
      await inConsole(page);
      await page.getByTestId('quorum-history-button').click();
      await page.getByTestId('quorum-change').first().waitFor();
    },
  });
  await look('shortcuts', size, {
    path: `/console?${IN}`,
    ...way,
    act: async (page) => {
      await inConsole(page);
      await page.keyboard.press('?');
    },
  });
  await look('governance', size, {
    path: `/governance?tenant=${TENANT}`,
    ...way,
    act: (page) => page.getByTestId('session-card').waitFor(),
  });
}
await look('hall', 'hall', { path: `/hall?${IN}`, act: inHall });
await look('hall', 'hall', { path: `/hall?${IN}`, dark: true, lang: 'en', act: inHall });
await look('hall', 'phone', { path: `/hall?${IN}`, lang: 'pt', act: inHall });
await look('hall-captions', 'hall', {
  path: `/hall?${IN}`,
  act: async (page) => {
    // Once the list is shown, the page is in the room.
    await page.getByTestId('hall-next').waitFor();
    await spoken(page, 'hall-caption');
  },
});
await look('reconnecting', 'phone', {
  path: `/join?${IN}`,
  act: async (page) => {
    await joined(page);
    server.cut();
    await page.waitForTimeout(2500);
  },
});

await browser.close();
server.close();
for (const finding of findings) console.error(finding);
console.log(`${findings.length} findings; pictures in ${OUT}`);
process.exit(findings.length === 0 ? 0 : 1);
