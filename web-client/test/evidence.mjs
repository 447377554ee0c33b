// A record for looking at pages: written by the small writer of the tests, with
// keys made for the moment.
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { runnerImport } from 'vite';

const { module: writing } = await runnerImport(
  new URL('../src/verify/testing/writer.ts', import.meta.url).pathname,
  { configFile: false, logLevel: 'error' },
);
const { Writer, files } = writing;

/** A writer of the record of one session. */
export async function record(session) {
  const writer = await Writer.create();
  const sessionBytes = new Uint8Array(Buffer.from(session.replaceAll('-', ''), 'hex'));
  Object.assign(writer, { session, sessionBytes, status: 'live', now: Date.now() });
  await writer.begin();
  await writer.head();
  for (let at = 0; at < 40; at += 1) await writer.event(3, `{"type":"turn_started","seq":${at}}`);
  await writer.head();
  return writer;
}

/** What the server tells of the newest head. */
export function headOf(writer) {
  const head = writer.heads.at(-1);
  const b64 = (bytes) => Buffer.from(bytes).toString('base64url');
  return { tree_size: head.size, root: b64(head.root), cose: b64(head.cose) };
}

/** A bundle of a closed session with about `megabytes` of sealed objects, in a directory. */
export async function bundle(megabytes, change = () => {}) {
  const writer = await Writer.create();
  writer.now = Date.now() - 3_600_000;
  await writer.begin();
  await writer.head();
  const tracks = [await writer.track('audio'), await writer.track('video')];
  let sealed = 0;
  for (let at = 0; sealed < megabytes * 1e6; at += 1) {
    // A second of video at some 2 Mbit/s has 220 packets; a segment has four.
    await writer.segment(tracks[0], 200, 120);
    await writer.segment(tracks[1], 880, 1150, 1);
    sealed += 880 * 1150 + 200 * 120;
    writer.now += 4000;
    await writer.head();
  }
  writer.close();
  await writer.head();
  writer.disclosures.segments.splice(2);
  const all = await writer.bundle();
  change(all, writer);
  const root = await mkdtemp(join(tmpdir(), 'cabildo-bundle-'));
  for (const { path, read } of files(all)) {
    const full = join(root, path);
    await mkdir(dirname(full), { recursive: true });
    await writeFile(full, await read());
  }
  return { root, keys: all.get('keys.json') };
}
