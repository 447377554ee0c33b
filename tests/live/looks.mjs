// What can be said of any page: whether axe-core objects to it, and whether it fits its window.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { AXE } from './browser.mjs';

const axe = readFileSync(AXE, 'utf8');

/** Asserts that axe-core finds nothing serious or critical. */
export async function isAccessible(page, name) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run());
  const found = violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(' ')).join(', ')}`);
  assert.deepEqual(found, [], name);
}

/** Asserts that nothing is cut off at the side. */
export async function fits(page, name) {
  const [width, room] = await page.evaluate(() => [
    document.documentElement.scrollWidth,
    document.documentElement.clientWidth,
  ]);
  assert.ok(width <= room, `${name} is ${width} wide in a window of ${room}`);
}
