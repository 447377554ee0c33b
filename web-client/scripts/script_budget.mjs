// Asserts that the scripts of the participant's page stay within their budget.
import { readFileSync, readdirSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

/** On a slow phone every ten kilobytes of script cost some 50 ms before the first tap. */
const BUDGET_BYTES = 120 * 1024;
const dist = new URL('../dist/', import.meta.url);

/** What a script costs on the line. */
const bytesOf = (file) => gzipSync(readFileSync(new URL(file, dist))).length;

/** The texts of the language that needs most: a page loads those of one. */
const textsBytes = Math.max(
  ...['es', 'en', 'pt'].map((language) => {
    const isOf = (file) => file.startsWith(`${language}-`) && file.endsWith('.js');
    return bytesOf(`assets/${readdirSync(new URL('assets', dist)).find(isOf)}`);
  }),
);

/** Every script that a page loads before it works; Vite lists the imported ones too. */
function scriptsOf(page) {
  const html = readFileSync(new URL(page, dist), 'utf8');
  return [...html.matchAll(/(?:src|href)="\/(assets\/[^"]+\.js)"/g)].map(([, file]) => file);
}

let failed = false;
for (const page of readdirSync(dist).filter((file) => file.endsWith('.html'))) {
  const files = scriptsOf(page);
  const bytes = files.reduce((sum, file) => sum + bytesOf(file), textsBytes);
  const within = files.length > 0 && bytes <= BUDGET_BYTES;
  failed ||= !within;
  console.log(
    `${page}: ${(bytes / 1024).toFixed(1)} KB of script gzipped${within ? '' : ', over budget'}`,
  );
}
if (failed) process.exit(1);
