// Ports of the loopback interface for programs that are stopped and started again, or that others are
// told of before they listen.
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';

/** Browsers refuse some ports below this one. */
const LEAST = 11_000;
/** From here on the system gives ports to connections and to whoever asks for any port. */
const [GIVEN] = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8')
  .split(/\s+/)
  .map(Number);
/**
 * From here on Rust's tests, which run at the same time, take theirs (tests/support/postgres.rs): a
 * port that is free may be taken until the program that it is for listens.
 */
const RUST = 22_000;
const END = Math.min(RUST, GIVEN);

// Tests that run at the same time begin at different places.
let next = (process.pid * 31) % (END - LEAST);

/**
 * A port that nobody has, for TCP and UDP. Nobody is given it by chance while the program that has it
 * is away, as with one that the system chose.
 */
export async function steadyPort() {
  for (;;) {
    next = (next + 1) % (END - LEAST);
    const port = LEAST + next;
    if (await isFree(port)) return port;
  }
}

async function isFree(port) {
  const tcp = createServer();
  const udp = createSocket('udp4');
  try {
    tcp.listen(port, '127.0.0.1');
    await once(tcp, 'listening');
    udp.bind(port, '127.0.0.1');
    await once(udp, 'listening');
    return true;
  } catch (error) {
    if (error.code !== 'EADDRINUSE') throw error;
    return false;
  } finally {
    if (tcp.listening) await new Promise((resolve) => tcp.close(resolve));
    await new Promise((resolve) => udp.close(resolve));
  }
}
