import { crc32, deflateRawSync, gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import type { ChosenFile } from '../../verify/worker';
import { BrokenArchive, unpacked } from './archive';
import { kindOf } from './chosen';

const CONTENT: Readonly<Record<string, string>> = {
  'bundle/bundle.json': '{"kind":"full"}',
  'bundle/entries.cborseq': 'entries'.repeat(200),
  [`bundle/objects/${'long-name-'.repeat(14)}.seg`]: 'segment',
};

function tar(files: Readonly<Record<string, string>>): Buffer {
  const parts: Buffer[] = [];
  const add = (name: string, type: string, body: Buffer) => {
    const header = Buffer.alloc(512);
    header.write(name.slice(0, 100), 0);
    header.write(body.length.toString(8).padStart(11, '0'), 124);
    header.write(type, 156);
    header.write('ustar\0', 257);
    parts.push(header, body, Buffer.alloc((512 - (body.length % 512)) % 512));
  };
  for (const [name, text] of Object.entries(files)) {
    if (name.length > 100) {
      const record = ` path=${name}\n`;
      const length = record.length + String(record.length + 3).length;
      add('pax', 'x', Buffer.from(`${length}${record}`));
    }
    add(name, '0', Buffer.from(text));
  }
  return Buffer.concat([...parts, Buffer.alloc(1024)]);
}

function zip(files: Readonly<Record<string, string>>): Buffer {
  const bodies: Buffer[] = [];
  const directory: Buffer[] = [];
  let at = 0;
  for (const [place, [name, text]] of Object.entries(files).entries()) {
    const plain = Buffer.from(text);
    const method = place % 2 === 0 ? 8 : 0;
    const body = method === 8 ? deflateRawSync(plain) : plain;
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE(method, 4);
    common.writeUInt32LE(crc32(plain), 10);
    common.writeUInt32LE(body.length, 14);
    common.writeUInt32LE(plain.length, 18);
    common.writeUInt16LE(name.length, 22);
    const local = Buffer.concat([Buffer.from('PK\x03\x04'), common, Buffer.from(name), body]);
    const rest = Buffer.alloc(14);
    rest.writeUInt32LE(at, 10);
    directory.push(
      Buffer.concat([Buffer.from('PK\x01\x02\x14\x00'), common, rest, Buffer.from(name)]),
    );
    bodies.push(local);
    at += local.length;
  }
  const list = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06', 0, 'latin1');
  end.writeUInt16LE(directory.length, 8);
  end.writeUInt16LE(directory.length, 10);
  end.writeUInt32LE(list.length, 12);
  end.writeUInt32LE(at, 16);
  return Buffer.concat([...bodies, list, end]);
}

const asFile = (bytes: Buffer, name = 'bundle') => new File([new Uint8Array(bytes)], name);
const asChosen = (bytes: Buffer, name: string): ChosenFile[] => [
  { path: name, file: asFile(bytes, name) },
];

async function contentOf(files: readonly ChosenFile[] | null): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const { path, file } of files ?? []) found[path] = await file.text();
  return found;
}

const ARCHIVES = { zip: zip(CONTENT), tar: tar(CONTENT), 'tar.gz': gzipSync(tar(CONTENT)) };

describe.each(Object.entries(ARCHIVES))('a bundle as %s', (_, bytes) => {
  it('has its files, whole and by their names', async () => {
    expect(await contentOf(await unpacked(asFile(bytes)))).toEqual(CONTENT);
  });

  it('is a bundle, whatever it is called', async () => {
    expect((await kindOf(asChosen(bytes, 'download'))).kind).toBe('bundle');
  });

  it('is broken wherever it is cut off', async () => {
    for (const share of [0.9, 0.6, 0.3]) {
      const cut = bytes.subarray(0, Math.floor(bytes.length * share));
      await expect(unpacked(asFile(cut))).rejects.toThrow(BrokenArchive);
      expect((await kindOf(asChosen(cut, 'download'))).kind).toBe('broken');
    }
  });
});

describe('what was chosen', () => {
  const json = (value: unknown, name = 'a.json') =>
    asChosen(Buffer.from(JSON.stringify(value)), name);

  it.each([
    [json({ v: 1, session: 'id', heads: ['a'] }), 'heads'],
    [json({ v: 1, head: { cose: 'a' } }), 'proof'],
    [json({ kind: 'full' }, 'bundle.json'), 'bundle'],
    [json({ kind: 'full', head: { cose: 'a' } }, 'bundle.json'), 'proof'],
    [json({ kind: 'full', head: { cose: 'a' } }, 'b/bundle.json'), 'bundle'],
    [asChosen(zip({ 'bundle.json': '{"kind":"full","head":{}}' }), 'a.zip'), 'bundle'],
    [asChosen(Buffer.from('x'), 'b/entries.cborseq'), 'bundle'],
    [asChosen(Buffer.from('x'), 'entries.cborseq'), 'other'],
    [asChosen(zip({ 'b/heads.cborseq': 'x', 'b/keys.json': '{}' }), 'a.zip'), 'bundle'],
    [asChosen(zip({ [`b/objects/${'0'.repeat(36)}/12`]: 'x' }), 'a.zip'), 'bundle'],
    [json({ other: true }), 'other'],
    [json({ other: true }, 'bundle.json'), 'other'],
    [json([1]), 'other'],
    [asChosen(Buffer.from('no JSON'), 'a.txt'), 'other'],
    [asChosen(zip({ 'a.txt': 'a' }), 'a.zip'), 'other'],
    [[], 'other'],
  ])('is told apart', async (files, kind) => {
    expect((await kindOf(files)).kind).toBe(kind);
  });

  it('is a damaged bundle where the rest of one lies beside', async () => {
    const files = [
      ...asChosen(Buffer.from('{"kind":'), 'b/bundle.json'),
      ...asChosen(Buffer.from('x'), 'b/entries.cborseq'),
    ];
    expect((await kindOf(files)).kind).toBe('bundle');
  });
});
