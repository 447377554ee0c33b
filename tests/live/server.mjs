// The real binary, as an operator in development would run it.
import { spawn } from 'node:child_process';
import {
  createWriteStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { steadyPort } from './ports.mjs';
import { ARTEFACTS, PATIENCE_MS, ROOT, within } from './until.mjs';

/** Where the binary is; `CABILDO_BIN` names it, a debug build is the fallback. */
export function binary() {
  const target = process.env.CARGO_TARGET_DIR ?? join(ROOT, 'target');
  const path = process.env.CABILDO_BIN ?? join(target, 'debug', 'cabildo');
  if (!existsSync(path)) throw new Error(`no binary at ${path}: build it, or set CABILDO_BIN`);
  return path;
}

/**
 * What comes late because the machine is busy looks like a path that is narrow, on which pictures are
 * left out. The loopback interface is not narrow, and servers are told so.
 */
const WIDE = bitrates(10_000, 10_000);
/** For servers whose networks are what is tested: as without any configuration. */
export const ANY_NETWORK = bitrates(1_000, 64);

function bitrates(start, min) {
  return {
    CABILDO_MEDIA__BITRATE__START_KBPS: String(start),
    CABILDO_MEDIA__BITRATE__MIN_KBPS: String(min),
  };
}

const running = new Set();
// Whatever ends this process ends its servers too.
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** A server and its data directory, which outlives restarts. */
export class Server {
  /**
   * `environment` is configuration beside what `--dev` brings; it may be changed between
   * starts. `descriptors` limits the file descriptors of the process.
   */
  constructor(name, environment = {}, { descriptors } = {}) {
    this.name = name;
    this.environment = environment;
    this.descriptors = descriptors;
    this.dataDir = mkdtempSync(join(tmpdir(), `cabildo-live-${name}-`));
    this.starts = 0;
    this.child = null;
    /** Arguments in place of those of a development server. */
    this.serve = null;
    /** Its addresses: after the first start the same, however often it is started. */
    this.addresses = null;
  }

  static async start(name, environment, limits) {
    const server = new Server(name, environment, limits);
    await server.start();
    return server;
  }

  get origin() {
    return `http://${this.addresses.http}`;
  }

  get port() {
    return Object.fromEntries(
      Object.entries(this.addresses).map(([key, address]) => [
        key,
        Number(address.split(':').at(-1)),
      ]),
    );
  }

  /** Starts the binary and waits until it says that all listeners serve. */
  async start() {
    this.addresses ??= {
      http: `127.0.0.1:${await steadyPort()}`,
      internal: `127.0.0.1:${await steadyPort()}`,
      media: `127.0.0.1:${await steadyPort()}`,
    };
    const { http, internal, media } = this.addresses;
    this.starts += 1;
    mkdirSync(ARTEFACTS, { recursive: true });
    const log = createWriteStream(this.logPath(this.starts));
    const limited = ['-c', `ulimit -n ${this.descriptors} && exec "$0" "$@"`, binary()];
    const [program, ...first] = this.descriptors === undefined ? [binary()] : ['bash', ...limited];
    // A relative path, as in `make run`: each program that the server starts has to find its files.
    const place = ['--data-dir', basename(this.dataDir), '--http', http, '--internal', internal];
    const serve = this.serve ?? ['serve', '--dev', ...place, '--media', media];
    const child = spawn(program, [...first, ...serve], {
      cwd: dirname(this.dataDir),
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...WIDE, ...this.environment },
    });
    this.child = child;
    running.add(child);
    this.exited = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        running.delete(child);
        resolve({ code, signal });
      });
    });
    child.stderr.pipe(log, { end: false });
    const ready = new Promise((resolve, reject) => {
      child.once('error', reject);
      this.exited.then(({ code, signal }) =>
        reject(new Error(`the server ended: ${code ?? signal}`)),
      );
      createInterface({ input: child.stdout }).on('line', (line) => {
        log.write(`${line}\n`);
        const found = /^ready (.*)$/.exec(line);
        if (found) resolve(Object.fromEntries(found[1].split(' ').map((pair) => pair.split('='))));
      });
    });
    this.addresses = {
      ...this.addresses,
      ...(await within(PATIENCE_MS, 'the ready line', ready)),
    };
  }

  /** What `/metrics` says, by name and labels. */
  async metrics() {
    const text = await (await fetch(`${this.origin}/metrics`)).text();
    const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
    return Object.fromEntries(
      lines.map((line) => {
        const at = line.lastIndexOf(' ');
        return [line.slice(0, at), Number(line.slice(at + 1))];
      }),
    );
  }

  logPath(start) {
    return join(ARTEFACTS, `server-${this.name}-${start}.log`);
  }

  /** All that it has logged, over all starts. */
  log() {
    const starts = Array.from({ length: this.starts }, (_, index) => index + 1);
    return starts.map((start) => readFileSync(this.logPath(start), 'utf8')).join('');
  }

  /** What it has logged, without what it says when the store of a busy machine was waited for. */
  events() {
    const isOfSlowStore = (line) =>
      line.includes('"sqlx::pool::acquire"') || line.includes('"slow statement:');
    // What stands behind the last line break may be a part of a line.
    const lines = this.log().split('\n').slice(0, -1);
    return lines.filter((line) => line.startsWith('{') && !isOfSlowStore(line));
  }

  /** Ends the process with `signal`; its data stays. */
  async stop(signal = 'SIGTERM') {
    if (this.child === null) return null;
    this.child.kill(signal);
    this.child = null;
    return within(PATIENCE_MS, `the end of the server after ${signal}`, this.exited);
  }

  /** Ends the process and forgets its data. */
  async destroy() {
    try {
      await this.stop();
    } finally {
      // A program that it had started may write until it notices.
      rmSync(this.dataDir, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 });
    }
  }
}
