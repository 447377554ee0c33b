// An example program in a process of its own, which prints `ready …` and then does as told, a line
// each.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { PATIENCE_MS, ROOT, until, within } from './until.mjs';

const running = new Set();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export class Example {
  /** Starts the example `name`; `ready` yields what it prints behind that word. */
  constructor(name, parameters) {
    const target = process.env.CARGO_TARGET_DIR ?? join(ROOT, 'target');
    const path = join(target, 'debug', 'examples', name);
    if (!existsSync(path)) throw new Error(`no ${path}: cargo build --example ${name}`);
    this.name = name;
    this.lines = [];
    this.child = spawn(path, parameters, { stdio: ['pipe', 'pipe', 'inherit'] });
    running.add(this.child);
    this.exited = new Promise((resolve) => {
      this.child.once('exit', () => {
        running.delete(this.child);
        resolve();
      });
    });
    createInterface({ input: this.child.stdout }).on('line', (line) => this.lines.push(line));
    this.ready = this.whenReady();
  }

  async whenReady() {
    const said = () => this.lines.find((line) => line.startsWith('ready '));
    await until(`the example ${this.name}`, () => said() !== undefined);
    return said().slice('ready '.length);
  }

  /** Tells it a line, and waits until what it prints after that is `answered`. */
  async tell(line, what, answered) {
    const before = this.lines.length;
    this.child.stdin.write(`${line}\n`);
    await until(what, (seen) => {
      seen.last = this.lines.slice(before);
      return answered(seen.last);
    });
  }

  async stop() {
    this.child.stdin.end();
    await within(PATIENCE_MS, `the end of the example ${this.name}`, this.exited);
  }
}
