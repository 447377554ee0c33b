// A network namespace with one interface, for programs that don't use the loopback interface
// for media, as Firefox. What runs in it reaches nothing outside, and nothing reaches it.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Server } from './server.mjs';

/** The address of the interface. */
export const ADDRESS = '10.77.0.1';
/** Nobody has this one. */
const GATEWAY = '10.77.0.2';

const INSIDE = 'CABILDO_LIVE_NETWORK';
const SETUP = [
  'ip link set lo up',
  'ip link add name lan type veth peer name lan-end',
  `ip address add ${ADDRESS}/24 dev lan`,
  'ip link set lan up',
  'ip link set lan-end up',
  // Firefox takes the address from which it would reach the internet.
  `ip route add default via ${GATEWAY}`,
];

/**
 * Whether this process is in the namespace. Otherwise one test is registered, which runs the
 * file `url` in it; the file must then define no tests of its own.
 */
export function isInside(url) {
  if (process.env[INSIDE] !== undefined) return true;
  test('in a network of its own', { timeout: 1_800_000 }, async (t) => {
    // A runner in a runner would talk to the outer one instead of printing.
    const { NODE_TEST_CONTEXT: _, ...environment } = process.env;
    const run = [...SETUP, 'exec "$0" --test --test-reporter=spec "$1"'].join(' && ');
    const alone = process.getuid() === 0 ? [] : ['--map-root-user'];
    const child = spawn(
      'unshare',
      // What runs in it ends with the process that made it.
      [
        ...alone,
        '--net',
        '--pid',
        '--fork',
        '--kill-child',
        '--mount-proc',
        'bash',
        '-c',
        run,
        process.execPath,
        fileURLToPath(url),
      ],
      // Debian has `ip` where only the administrator looks for programs.
      {
        stdio: 'inherit',
        env: { ...environment, PATH: `${environment.PATH}:/usr/sbin:/sbin`, [INSIDE]: '1' },
      },
    );
    t.signal.addEventListener('abort', () => child.kill('SIGKILL'));
    const code = await new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', resolve);
    });
    assert.equal(code, 0);
  });
  return false;
}

/** A server whose media is at the interface. */
export async function startServer(name) {
  const server = new Server(name);
  server.serve = [
    'serve',
    ...['--dev', '--dev-allow-remote', '--yes-dev-is-insecure'],
    ...['--data-dir', server.dataDir],
    ...['--http', '127.0.0.1:0', '--internal', '127.0.0.1:0', '--media', `${ADDRESS}:0`],
  ];
  await server.start();
  return server;
}
