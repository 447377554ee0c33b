// aiortc and GStreamer as publishers (WHIP) and as receivers (WHEP), and FFmpeg as a publisher,
// each in a process of its own.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { PATIENCE_MS, until, within } from './until.mjs';

const scriptOf = (name) => fileURLToPath(new URL(name, import.meta.url));

/** The Python for which Debian has GStreamer. */
const DEBIAN_PYTHON = '/usr/bin/python3';

/** The Python that has aiortc, as `scripts/install test` makes it. */
function python() {
  const cache = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache');
  const venv = process.env.CABILDO_VENV ?? join(cache, 'cabildo', 'venv');
  const bin = join(venv, 'bin', 'python');
  if (!existsSync(bin)) throw new Error(`no aiortc at ${venv}: run scripts/install test`);
  return bin;
}

const running = new Set();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export class Peer {
  /**
   * `kind` is `whip` or `whep`; `script` is `peer.py`, which is aiortc, `encoder.py`, FFmpeg, or
   * `gstreamer.py`, which takes `more` arguments.
   */
  constructor(kind, endpoint, token, script = 'peer.py', more = []) {
    this.events = [];
    const interpreter = script === 'gstreamer.py' ? DEBIAN_PYTHON : python();
    this.child = spawn(interpreter, [scriptOf(script), kind, endpoint, ...more], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...process.env, CABILDO_TOKEN: token },
    });
    running.add(this.child);
    this.exited = new Promise((resolve) => {
      // Its last events may be read after its end.
      this.child.once('close', (code) => {
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
    await within(PATIENCE_MS, 'the end of the peer', this.exited);
    return this.events;
  }

  kill() {
    this.child.kill('SIGKILL');
  }
}
