// The binary's other commands.
import { execFile } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { binary } from './server.mjs';
import { until } from './until.mjs';

/** Runs a command; answers its exit code and what it printed. */
export function cabildo(args, { env = {} } = {}) {
  return new Promise((resolve) => {
    const options = { env: { ...process.env, ...env }, maxBuffer: 1 << 28, timeout: 120_000 };
    execFile(binary(), args, options, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : error.code, stdout, stderr });
    });
  });
}

/** `cabildo evidence` beside a running server: on the same data and configuration. */
export function evidence(server, command, ...options) {
  const place = ['--data-dir', server.dataDir, '--http', server.addresses.http];
  return cabildo(['evidence', command, ...options, ...place], { env: server.environment });
}

/** `cabildo verify`, with its report. */
export async function verify(what, ...options) {
  const done = await cabildo(['verify', what, '--json', ...options]);
  const report = done.stdout.startsWith('{') ? JSON.parse(done.stdout) : null;
  return { ...done, report };
}

/** How long a log may take to close after its session has ended. */
const CLOSED_WITHIN_MS = 60_000;

/** Verifies a proof once it says that the log is closed and correct. */
export const closed = (proof) =>
  until(
    'a proof that the log is closed',
    async (seen) => {
      seen.last = await verify(proof);
      return seen.last.code === 0 && seen.last.report?.facts.closed ? seen.last : null;
    },
    CLOSED_WITHIN_MS,
  );

/** Writes heads as a person saves them from the meeting page; answers the path. */
export function saveHeads(directory, session, heads) {
  mkdirSync(directory, { recursive: true });
  const path = join(directory, 'heads.json');
  writeFileSync(path, JSON.stringify({ v: 1, session, heads: heads.map(({ cose }) => cose) }));
  return path;
}
