// Films for fake cameras.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ROOT } from './until.mjs';

const SIZE = { width: 640, height: 480 };
/** Pixels of one module of a code, as somebody holds it at arm's length. */
const MODULE = 8;
const QUIET = 4;

/** The luma of a picture of a QR code that lies a little off the middle on a grey table. */
async function pictured(text, shift) {
  const { default: encodeQR } = await import(
    pathToFileURL(join(ROOT, 'web-client', 'node_modules', 'qr', 'index.js')).href
  );
  const rows = encodeQR(text, 'raw', { ecc: 'medium', border: QUIET });
  const side = rows.length * MODULE;
  const luma = Buffer.alloc(SIZE.width * SIZE.height, 120);
  const left = Math.floor((SIZE.width - side) / 2) + shift;
  const top = Math.floor((SIZE.height - side) / 2) - shift;
  if (left < 0 || top < 0 || top + side > SIZE.height) throw new Error('the code is too large');
  for (let y = 0; y < side; y += 1) {
    for (let x = 0; x < side; x += 1) {
      const dark = rows[Math.floor(y / MODULE)][Math.floor(x / MODULE)];
      luma[(top + y) * SIZE.width + left + x] = dark ? 40 : 225;
    }
  }
  return luma;
}

/**
 * Writes a film in which first nothing is seen and then a QR code, held by an unsteady hand;
 * answers its path.
 */
export async function filmOfCode(path, text) {
  const { width, height } = SIZE;
  const chroma = Buffer.alloc((width * height) / 2, 128);
  const frame = (luma) => Buffer.concat([Buffer.from('FRAME\n'), luma, chroma]);
  const nothing = frame(Buffer.alloc(width * height, 120));
  const seen = await Promise.all(
    [0, 2, 4, 2].map(async (shift) => frame(await pictured(text, shift))),
  );
  const frames = [...Array(5).fill(nothing), ...Array(5).fill(seen).flat()];
  const header = `YUV4MPEG2 W${width} H${height} F10:1 Ip A1:1 C420jpeg\n`;
  writeFileSync(path, Buffer.concat([Buffer.from(header), ...frames]));
  return path;
}
