// A bucket in a process of its own, which does as told.
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { ROOT, until, within } from './until.mjs';

const NAME = 'evidence';

function binary() {
  const target = process.env.CARGO_TARGET_DIR ?? join(ROOT, 'target');
  const path = join(target, 'debug', 'examples', 'bucket');
  if (!existsSync(path)) throw new Error(`no ${path}: cargo build --example bucket`);
  return path;
}

const running = new Set();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export class Bucket {
  static async start() {
    const bucket = new Bucket();
    await bucket.ready;
    return bucket;
  }

  constructor() {
    this.directory = mkdtempSync(join(tmpdir(), 'cabildo-bucket-'));
    this.keyId = 'a-key-of-this-test';
    this.secret = randomBytes(16).toString('hex');
    this.lines = [];
    this.child = spawn(binary(), [this.directory, NAME, this.keyId, this.secret], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    running.add(this.child);
    this.exited = new Promise((resolve) => {
      this.child.once('exit', () => {
        running.delete(this.child);
        resolve();
      });
    });
    createInterface({ input: this.child.stdout }).on('line', (line) => this.lines.push(line));
    this.ready = until('a bucket', () => {
      const found = this.lines.find((line) => line.startsWith('ready '));
      if (found !== undefined) this.endpoint = found.slice('ready '.length);
      return found !== undefined;
    });
  }

  /** What a server needs in its environment to keep recordings here. */
  get environment() {
    return {
      CABILDO_VAULT__KIND: 's3',
      CABILDO_VAULT__S3__ENDPOINT: this.endpoint,
      CABILDO_VAULT__S3__BUCKET: NAME,
      CABILDO_VAULT__S3__PATH_STYLE: 'true',
      CABILDO_VAULT__S3__ACCESS_KEY_ID: this.keyId,
      CABILDO_VAULT__S3__SECRET_ACCESS_KEY: this.secret,
    };
  }

  /** Sets the mood and waits until it is set. */
  async become(mood) {
    const before = this.lines.length;
    this.child.stdin.write(`${mood}\n`);
    await until(`the bucket to be ${mood}`, (seen) => {
      seen.last = this.lines.slice(before);
      return seen.last.includes(`now ${mood}`);
    });
  }

  /** The names of all sealed segments in it. */
  segments() {
    return readdirSync(join(this.directory, NAME), { recursive: true })
      .map(String)
      .filter((path) => /^[0-9a-f-]{36}\/[0-9a-f-]{36}\/[0-9a-f-]{36}\/\d{8}$/.test(path));
  }

  async stop() {
    this.child.stdin.end();
    await within(10_000, 'the end of the bucket', this.exited);
    rmSync(this.directory, { recursive: true, force: true });
  }
}
