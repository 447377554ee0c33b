// A PostgreSQL cluster of its own, which lives as long as this process.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROOT } from './until.mjs';

const SCRIPT = join(ROOT, 'tests', 'support', 'pgtmp.sh');
/** The role that migrates and owns the tables, and the one that servers connect as. */
const OWNER = 'cabildo_owner';
const APP = 'cabildo_app';

function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

export class Postgres {
  /** Starts a cluster with an empty database that servers migrate themselves. */
  static async start() {
    const directory = mkdtempSync(join(tmpdir(), 'cabildo-pg-'));
    const port = await freePort();
    const run = (...args) => execFileSync(SCRIPT, args, { stdio: ['ignore', 'ignore', 'inherit'] });
    run('start', directory, String(port), String(process.pid));
    const postgres = new Postgres(directory, port);
    postgres.sql('postgres', `CREATE ROLE ${OWNER} LOGIN CREATEROLE`);
    postgres.sql('postgres', `CREATE DATABASE cabildo OWNER ${OWNER}`);
    return postgres;
  }

  constructor(directory, port) {
    this.directory = directory;
    this.port = port;
  }

  url(role, database = 'cabildo') {
    return `postgres://${role}@127.0.0.1:${this.port}/${database}`;
  }

  /** Runs a statement as the superuser; answers what it prints. */
  sql(database, statement) {
    const args = ['--no-psqlrc', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-c', statement];
    return execFileSync('psql', [this.url('postgres', database), ...args])
      .toString()
      .trim();
  }

  /** What a server needs in its environment to use it. */
  get environment() {
    return { CABILDO_STORE__URL: this.url(APP), CABILDO_STORE__MIGRATION_URL: this.url(OWNER) };
  }

  stop() {
    execFileSync(SCRIPT, ['stop', this.directory], { stdio: 'ignore' });
    rmSync(this.directory, { recursive: true, force: true });
  }
}
