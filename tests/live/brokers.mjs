// Kafka's protocol in a process of its own, and governance that tells by it.
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { ROOT, until, within } from './until.mjs';

const TOPIC = 'governance.events';

function binary() {
  const target = process.env.CARGO_TARGET_DIR ?? join(ROOT, 'target');
  const path = join(target, 'debug', 'examples', 'brokers');
  if (!existsSync(path)) throw new Error(`no ${path}: cargo build --example brokers`);
  return path;
}

const running = new Set();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export class Brokers {
  static async start() {
    const brokers = new Brokers();
    await brokers.ready;
    return brokers;
  }

  constructor() {
    this.lines = [];
    this.child = spawn(binary(), [TOPIC, `${TOPIC}.dlq`, 'cabildo.events'], {
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
    this.ready = until('brokers', () => {
      const found = this.lines.find((line) => line.startsWith('ready '));
      if (found !== undefined) this.servers = found.slice('ready '.length);
      return found !== undefined;
    });
  }

  /** What a server needs in its environment to act on what governance tells here. */
  get environment() {
    return {
      CABILDO_KAFKA__BROKERS: this.servers,
      CABILDO_KAFKA__SECURITY: 'plaintext',
      CABILDO_KAFKA__GOVERNANCE_TOPIC: TOPIC,
    };
  }

  /** Governance tells of a vote of the session's assembly. */
  async startVote(session, vote) {
    const { tenant_id, assembly_id } = session;
    await this.tell('vote.started.v1', { tenant_id, assembly_id, ...vote });
  }

  async tell(type, data) {
    const before = this.lines.length;
    const source = 'https://governance.example';
    const event = { specversion: '1.0', id: randomUUID(), source, type, data };
    event.datacontenttype = 'application/json';
    this.child.stdin.write(`${TOPIC} ${JSON.stringify(event)}\n`);
    await until('the brokers to have it', () => this.lines.length > before);
  }

  async stop() {
    this.child.stdin.end();
    await within(10_000, 'the end of the brokers', this.exited);
  }
}
