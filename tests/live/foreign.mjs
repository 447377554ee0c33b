// The verifiers of tests/foreign on one bundle.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { ROOT } from './until.mjs';

/**
 * Lets other people's verifiers judge a bundle and `proof`, a file with a proof of
 * the same session that has a receipt of consistency; fails when one disagrees.
 */
export async function foreign(bundle, proof) {
  const { code, output } = await new Promise((resolve) => {
    execFile(
      join(ROOT, 'scripts', 'foreign'),
      [bundle],
      {
        env: { ...process.env, CABILDO_PROOF: proof, NODE_TEST_CONTEXT: undefined },
        maxBuffer: 1 << 26,
      },
      (error, stdout, stderr) => resolve({ code: error?.code ?? 0, output: stdout + stderr }),
    );
  });
  assert.equal(code, 0, output);
}
