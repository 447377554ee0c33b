// Tests that read as stories: steps on one stage, in order.
import { after, before, describe, it } from 'node:test';
import { closeAll, record, screenshot } from './browser.mjs';

/** What a stage that is cleared leaves running keeps its file from ending, for this long. */
const CLEARED_WITHIN_MS = 60_000;
/** How long setting and clearing a stage may take: several servers, each of which is waited for. */
const STAGE_MS = 300_000;
let stages = 0;

/**
 * Sets a stage and plays steps on it. What a step needs follows from the steps
 * before, so after one has failed the rest are skipped. `stage` may hold a
 * `server`, `pages` by name (pictured when a step fails) and `stop`. A step may
 * take `stepMs`.
 */
export function story(title, open, steps, { stepMs = 300_000 } = {}) {
  stages += 1;
  describe(title, () => {
    const stage = { pages: {} };
    let broken = false;
    before(() => open(stage), { timeout: STAGE_MS });
    after(
      async () => {
        stages -= 1;
        const isLast = stages === 0;
        if (isLast) setTimeout(endWhatIsLeft, STAGE_MS + CLEARED_WITHIN_MS).unref();
        await stage.stop?.();
        await closeAll();
        await stage.server?.destroy();
        if (isLast) setTimeout(endWhatIsLeft, CLEARED_WITHIN_MS).unref();
      },
      { timeout: STAGE_MS },
    );
    for (const [name, play] of Object.entries(steps)) {
      it(name, { timeout: stepMs }, async (t) => {
        if (broken) {
          t.skip('a step before failed');
          return;
        }
        try {
          await play(stage, t);
        } catch (error) {
          broken = true;
          await picture(stage, name);
          throw error;
        }
      });
    }
  });
}

/** Ends this process, and with it every program that it started. */
function endWhatIsLeft() {
  console.error('the stage is cleared, and something of it still runs');
  process.exit(1);
}

/** What every page shows, and all that it was told and has said. */
async function picture(stage, step) {
  const name = step.replaceAll(/\W+/g, '-');
  for (const [who, page] of Object.entries(stage.pages)) {
    // A page that is gone can't be pictured, and the failure is told anyway.
    await screenshot(page, `failed-${name}-${who}`).catch(() => undefined);
    await record(page, `failed-${name}-${who}`).catch(() => undefined);
  }
}
