// A PostgreSQL cluster of its own, which lives as long as this process.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { steadyPort } from './ports.mjs';
import { fillDisk } from './small_disk.mjs';
import { ROOT } from './until.mjs';

const SCRIPT = join(ROOT, 'tests', 'support', 'pgtmp.sh');
/** The role that migrates and owns the tables, and the one that servers connect as. */
const OWNER = 'cabildo_owner';
const APP = 'cabildo_app';

const run = (...args) => execFileSync(SCRIPT, args, { stdio: ['ignore', 'ignore', 'inherit'] });

export class Postgres {
  /**
   * Starts a cluster with an empty database that servers migrate themselves. With
   * `diskMib` its data are on a file system of that size, which takes the rights of root.
   */
  static async start({ diskMib } = {}) {
    const directory = mkdtempSync(join(tmpdir(), 'cabildo-pg-'));
    const port = await steadyPort();
    const postgres = new Postgres(directory, port);
    try {
      if (diskMib !== undefined) {
        mkdirSync(postgres.cluster);
        const options = `size=${diskMib}m,mode=0700`;
        execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', postgres.cluster]);
        postgres.isMounted = true;
      }
      run('start', directory, String(port), String(process.pid));
      postgres.sql('postgres', `CREATE ROLE ${OWNER} LOGIN CREATEROLE`);
      postgres.sql('postgres', `CREATE DATABASE cabildo OWNER ${OWNER}`);
    } catch (error) {
      try {
        postgres.stop();
      } catch {
        // Nothing has been started; why is in the first error.
      }
      throw error;
    }
    return postgres;
  }

  constructor(directory, port) {
    this.directory = directory;
    this.port = port;
    this.isMounted = false;
  }

  get cluster() {
    return join(this.directory, 'cluster');
  }

  /** Fills the file system of its data to the last byte; answers what frees it. */
  fill() {
    return fillDisk(this.cluster);
  }

  /** Restarts it; `mode` is "fast", or "immediate" to end it as a crash does. */
  restart(mode) {
    run('restart', this.directory, mode);
  }

  /** Starts it again if it has ended. */
  revive() {
    run('revive', this.directory);
  }

  /** What it has logged. The log is not on the file system that is filled. */
  log() {
    return readFileSync(join(this.directory, 'server.log'), 'utf8');
  }

  url(role, database = 'cabildo') {
    return `postgres://${role}@127.0.0.1:${this.port}/${database}`;
  }

  /** Runs a statement as the superuser; answers what it prints. */
  sql(database, statement) {
    const args = ['--no-psqlrc', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-c', statement];
    return execFileSync('psql', [this.url('postgres', database), ...args], { stdio: 'pipe' })
      .toString()
      .trim();
  }

  /** Holds rows, `FROM` and `WHERE` as given, so that nobody changes them; answers what lets them go. */
  async hold(rows) {
    const args = ['--no-psqlrc', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1'];
    const session = spawn('psql', [this.url('postgres', 'cabildo'), ...args], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    session.stdin.write(`BEGIN; SELECT 'held' FROM ${rows} FOR UPDATE;\n`);
    const [held] = await once(session.stdout, 'data');
    if (!held.toString().startsWith('held')) throw new Error(`no such rows: ${rows}`);
    return () => session.stdin.end();
  }

  /** What a server needs in its environment to use it. */
  get environment() {
    return { CABILDO_STORE__URL: this.url(APP), CABILDO_STORE__MIGRATION_URL: this.url(OWNER) };
  }

  /** As `environment`, for a server that connects through a proxy. */
  environmentThrough(port) {
    const url = new URL(this.url(APP));
    url.port = String(port);
    return { ...this.environment, CABILDO_STORE__URL: url.href };
  }

  stop() {
    try {
      execFileSync(SCRIPT, ['stop', this.directory], { stdio: 'ignore' });
    } finally {
      if (this.isMounted) execFileSync('umount', ['-l', this.cluster]);
      rmSync(this.directory, { recursive: true, force: true });
    }
  }
}
