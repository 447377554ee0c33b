// What can be said of any page: whether axe-core objects to it, and whether it fits its window.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { AXE } from './browser.mjs';
import { until } from './until.mjs';

const axe = readFileSync(AXE, 'utf8');

/** Asserts that axe-core finds nothing serious or critical; `rules` switches more of its rules on. */
export async function isAccessible(page, name, rules = {}) {
  await page.evaluate(axe);
  // What is still coming in is see-through, and has not the contrast that it will have.
  await page.evaluate(async () => {
    await Promise.allSettled(document.getAnimations().map(({ finished }) => finished));
  });
  const { violations } = await page.evaluate((rules) => window.axe.run({ rules }), rules);
  const found = violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(' ')).join(', ')}`);
  assert.deepEqual(found, [], name);
}

/**
 * Waits until nothing is cut off at the side, and no button has to be scrolled to sideways: what
 * follows the size of the window in a script does so when the browser has drawn it.
 */
export const fits = (page, name) =>
  until(`${name}: all in view`, async (seen) => {
    const [width, room] = await page.evaluate(() => [
      document.documentElement.scrollWidth,
      document.documentElement.clientWidth,
    ]);
    seen.last = await page.evaluate(buttonsOutOfView);
    if (width > room) seen.last.push(`the page, ${width} wide in a window of ${room}`);
    return seen.last.length === 0;
  });

/**
 * Runs in the page. The buttons that something which scrolls or cuts off sideways hides, in whole
 * or in part. Strips of pictures scroll by design: a picture at their edge shows that there are more.
 */
function buttonsOutOfView() {
  const found = [];
  for (const button of document.querySelectorAll('button, a.button')) {
    const { left, right, width } = button.getBoundingClientRect();
    if (width === 0 || button.closest('.strip, .picture-strip, .visually-hidden')) continue;
    for (let one = button.parentElement; one !== null; one = one.parentElement) {
      if (one.scrollWidth <= one.clientWidth || getComputedStyle(one).overflowX === 'visible')
        continue;
      const start = one.getBoundingClientRect().left + one.clientLeft;
      if (left < start - 1 || right > start + one.clientWidth + 1)
        found.push(`${button.dataset.testid ?? button.textContent} in ${one.className}`);
    }
  }
  return found;
}
