// aiortc as a publisher (WHIP) and as a receiver (WHEP), in a process of its own.
import { execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { until, within } from './until.mjs';

const here = (name) => fileURLToPath(new URL(`peers/${name}`, import.meta.url));

/** The Python that has aiortc; made on first use. */
function python() {
  const venv = process.env.CABILDO_VENV ?? join(homedir(), '.cache', 'cabildo', 'venv');
  const bin = join(venv, 'bin', 'python');
  if (!existsSync(bin)) {
    execFileSync('python3', ['-m', 'venv', venv]);
    execFileSync(bin, ['-m', 'pip', 'install', '--quiet', '-r', here('requirements.txt')]);
  }
  return bin;
}

const running = new Set();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export class Peer {
  /** `kind` is `whip` or `whep`. */
  constructor(kind, endpoint, token) {
    this.events = [];
    this.child = spawn(python(), [here('peer.py'), kind, endpoint], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...process.env, CABILDO_TOKEN: token },
    });
    running.add(this.child);
    this.exited = new Promise((resolve) => {
      this.child.once('exit', (code) => {
        running.delete(this.child);
        resolve(code);
      });
    });
    createInterface({ input: this.child.stdout }).on('line', (line) => {
      this.events.push(JSON.parse(line));
    });
  }

  /** Waits for an event that `wanted` is true of. */
  told(what, wanted) {
    return until(what, (seen) => {
      seen.last = this.events.at(-1);
      return this.events.find(wanted);
    });
  }

  /** Takes the resource away and ends; answers every event. */
  async stop() {
    this.child.stdin.end();
    await within(30_000, 'the end of the peer', this.exited);
    return this.events;
  }

  kill() {
    this.child.kill('SIGKILL');
  }
}
