// A stranger, as a process of its own: opens the moderation channel again and again and
// sends fragments of a message that are empty and never end.
//   node fragments.mjs PORT SOCKETS
import { randomBytes, randomUUID } from 'node:crypto';
import { connect } from 'node:net';

const [port, sockets] = process.argv.slice(2).map(Number);
/** The beginning of a text, empty; and fragments that follow it, empty too. */
const BEGINNING = Buffer.from([0x01, 0x80, 0, 0, 0, 0]);
const FRAGMENTS = Buffer.concat(Array(100_000).fill(Buffer.from([0x00, 0x80, 0, 0, 0, 0])));

function open() {
  const socket = connect({ host: '127.0.0.1', port });
  socket.write(
    [
      `GET /moderation?session_id=${randomUUID()} HTTP/1.1`,
      `Host: 127.0.0.1:${port}`,
      'Upgrade: websocket',
      'Connection: Upgrade',
      `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
      'Sec-WebSocket-Version: 13',
      'Sec-WebSocket-Protocol: cabildo.v1',
      '\r\n',
    ].join('\r\n'),
  );
  const flood = () => {
    let isTaken = true;
    while (isTaken && !socket.destroyed) isTaken = socket.write(FRAGMENTS);
  };
  socket.once('data', () => {
    socket.write(BEGINNING);
    flood();
  });
  socket.on('drain', flood);
  // The server closing it is what it should do.
  socket.on('error', () => undefined);
  socket.once('close', open);
}

for (let count = 0; count < sockets; count += 1) open();
