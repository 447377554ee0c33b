// Measures how fast the page verifies a bundle in Chromium: writes one of about
// 50 MB (or as many as are named), chooses its folder and reads what the page says.
import { rm } from 'node:fs/promises';
import { chromium } from 'playwright-core';
import { bundle } from './evidence.mjs';
import { start } from './fake_server.mjs';

const megabytes = Number(process.argv[2] ?? 50);
const { root, keys } = await bundle(megabytes);
const server = await start();
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking'],
});
const page = await browser.newPage();
await page.goto(`${server.origin}/verify?lang=en`);
await page.getByText('Keys and saved proofs').click();
const buffer = Buffer.from(keys);
const list = { name: 'keys.json', mimeType: 'application/json', buffer };
await page.getByTestId('trusted-input').setInputFiles(list);
for (let round = 1; round <= 3; round += 1) {
  await page.evaluate(() => {
    window.longest = 0;
    let before = performance.now();
    const tick = () => {
      window.longest = Math.max(window.longest, performance.now() - before);
      before = performance.now();
      window.ticking = setTimeout(tick, 0);
    };
    tick();
  });
  await page.getByTestId('folder-input').setInputFiles(root);
  await page.getByTestId('running').waitFor({ state: 'detached', timeout: 300_000 });
  const report = page.getByTestId('report');
  await report.waitFor({ timeout: 300_000 });
  const verdict = await report.getAttribute('data-verdict');
  const speed = await page.getByTestId('speed').getAttribute('data-bytes-per-second');
  const longest = await page.evaluate(() => {
    clearTimeout(window.ticking);
    return window.longest;
  });
  console.log(
    `${round}: ${verdict}, ${(Number(speed) / 1e6).toFixed(1)} MB/s, page busy at most ${longest.toFixed(0)} ms`,
  );
}
await browser.close();
server.close();
await rm(root, { recursive: true });
