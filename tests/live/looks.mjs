// What can be said of any page: whether axe-core objects to it, and whether it fits its window.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { AXE } from './browser.mjs';

const axe = readFileSync(AXE, 'utf8');

/** Asserts that axe-core finds nothing serious or critical; `rules` switches more of its rules on. */
export async function isAccessible(page, name, rules = {}) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate((rules) => window.axe.run({ rules }), rules);
  const found = violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(' ')).join(', ')}`);
  assert.deepEqual(found, [], name);
}

/** Asserts that nothing is cut off at the side, and that no button has to be scrolled to sideways. */
export async function fits(page, name) {
  const [width, room] = await page.evaluate(() => [
    document.documentElement.scrollWidth,
    document.documentElement.clientWidth,
  ]);
  assert.ok(width <= room, `${name} is ${width} wide in a window of ${room}`);
  assert.deepEqual(await page.evaluate(buttonsOutOfView), [], `${name}: buttons out of view`);
}

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
