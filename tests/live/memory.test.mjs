// Strangers flood a server with a meeting from many addresses: connections that ask for
// proofs, WebSockets that send empty fragments, requests whose head never ends. What the
// server keeps of them is bounded: a first flood fills its tables and buffers, and
// further ones add nothing.
//   CABILDO_ATTACK=long    eight floods of a thousand of each instead of three of 250
import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { startedSession } from './api.mjs';
import { Person } from './person.mjs';
import { Server } from './server.mjs';
import { story } from './story.mjs';

const IS_LONG = process.env.CABILDO_ATTACK === 'long';
const FLOODS = IS_LONG ? 8 : 3;
const CONNECTIONS = IS_LONG ? 1_000 : 250;
const AT_ONCE = 250;
/** This long after it was let in a stranger goes away, if the server has not closed its connection. */
const STAY_MS = 1_500;
/** How much more there may be after the last flood than after the first. */
const GROWTH_MAX = 1.2;
const FRAGMENTS = Buffer.concat([
  Buffer.from([0x01, 0x80, 0, 0, 0, 0]),
  Buffer.alloc(6 * 8_000, Buffer.from([0x00, 0x80, 0, 0, 0, 0])),
]);

const KINDS = {
  proofs: ({ host, session }, socket) =>
    socket.write(
      `GET /api/v1/sessions/${session.id}/audit-proof?seq=0 HTTP/1.1\r\n` +
        `Host: ${host}\r\nConnection: close\r\n\r\n`,
    ),
  fragments: ({ host }, socket) => {
    const head = [
      `GET /moderation?session_id=${randomUUID()} HTTP/1.1`,
      `Host: ${host}`,
      'Upgrade: websocket',
      'Connection: Upgrade',
      `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
      'Sec-WebSocket-Version: 13',
      'Sec-WebSocket-Protocol: cabildo.v1',
    ];
    socket.write(`${head.join('\r\n')}\r\n\r\n`);
    socket.once('data', () => socket.write(FRAGMENTS));
  },
  heads: (_stage, socket) => socket.write('GET / HTTP/1.1\r\nHost: '),
};

/** One stranger, from an address of its own; ends when its connection has. */
function stranger(stage, open, number) {
  return new Promise((resolve) => {
    const localAddress = `127.0.${1 + (number % 8)}.${2 + (number % 200)}`;
    const socket = connect({ host: '127.0.0.1', port: stage.server.port.http, localAddress });
    let leaving;
    socket.once('connect', () => {
      leaving = setTimeout(() => socket.destroy(), STAY_MS);
    });
    // The server closing it is what it should do.
    socket.on('error', () => undefined);
    socket.once('close', () => {
      clearTimeout(leaving);
      resolve();
    });
    socket.resume();
    open(stage, socket);
  });
}

async function flood(stage) {
  for (const open of Object.values(KINDS)) {
    for (let done = 0; done < CONNECTIONS; done += AT_ONCE) {
      const numbers = Array.from({ length: AT_ONCE }, (_, at) => done + at);
      await Promise.all(numbers.map((number) => stranger(stage, open, number)));
    }
  }
}

/** Resident memory of the server in MiB. */
function memory({ server }) {
  const status = readFileSync(`/proc/${server.child.pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(status)[1]) / 1024;
}

async function open(stage) {
  stage.server = await Server.start('memory');
  stage.host = stage.server.addresses.http;
  stage.session = await startedSession(stage.server, { moderation: 'moderated' });
  const person = { tenant: stage.session.tenant_id, user: 'ana', roles: ['moderator'] };
  await (await Person.of(stage.server, person)).enter(stage.session.id);
}

const steps = {
  'what a flood leaves in memory does not grow with further floods': async (stage, t) => {
    const sizes = [memory(stage)];
    for (let count = 0; count < FLOODS; count += 1) {
      await flood(stage);
      sizes.push(memory(stage));
    }
    const words = sizes.map((size) => `${size.toFixed(0)} MiB`).join(', ');
    t.diagnostic(`before, and after each flood: ${words}`);
    assert.ok(sizes.at(-1) < sizes[1] * GROWTH_MAX, words);
  },
};

story('A server that was flooded', open, steps);
