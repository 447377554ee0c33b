import type { ChosenFile } from '../../verify/worker';

/** An archive that is cut off or damaged. */
export class BrokenArchive extends Error {}

/** More files than any bundle has. */
const FILES_MAX = 2_000_000;
/** A compressed file is unpacked into memory; more than this is no part of a bundle. */
const UNPACKED_MAX = 1024 * 1024 * 1024;
const TAR_BLOCK = 512;
/** The comment at the end of a ZIP is at most 65,535 bytes long (APPNOTE 4.3.16). */
const ZIP_END_MAX = 65_535 + 22;
/** Lengths in a ZIP that stand elsewhere, in its 64-bit fields. */
const ZIP_ELSEWHERE = 0xffffffff;

const utf8 = new TextDecoder();

/** The files in a ZIP or TAR, compressed by gzip or not; null when it is neither. */
export async function unpacked(file: File): Promise<ChosenFile[] | null> {
  const head = await bytesOf(file.slice(0, TAR_BLOCK));
  if (startsWith(head, [0x50, 0x4b, 0x03, 0x04])) return zipFiles(file);
  if (startsWith(head, [0x1f, 0x8b])) {
    return tarFiles(await inflated(file, 'gzip', UNPACKED_MAX));
  }
  return isTar(head) ? tarFiles(file) : null;
}

/** POSIX.1-2017 `pax`, "ustar interchange format": files lie uncompressed, one after another. */
async function tarFiles(archive: Blob): Promise<ChosenFile[]> {
  const found: ChosenFile[] = [];
  let longName: string | null = null;
  let size: number | null = null;
  let at = 0;
  for (;;) {
    const header = await bytesOf(archive.slice(at, at + TAR_BLOCK));
    if (header.length < TAR_BLOCK) throw new BrokenArchive('the archive has no end');
    if (header.every((byte) => byte === 0)) return found;
    if (!isTar(header)) throw new BrokenArchive('a header that is none');
    const length = size ?? octal(header.subarray(124, 136));
    const body = at + TAR_BLOCK;
    if (body + length > archive.size) throw new BrokenArchive('a file is cut off');
    const type = String.fromCharCode(header[156] ?? 0);
    if (type === 'x' || type === 'L') {
      const text = utf8.decode(await bytesOf(archive.slice(body, body + length)));
      const records = type === 'x' ? paxRecords(text) : new Map([['path', untilZero(text)]]);
      longName = records.get('path') ?? longName;
      const stated = records.get('size');
      size = stated === undefined ? size : Number(stated);
    } else {
      if (type === '0' || type === '\0') {
        const path = longName ?? tarName(header);
        found.push(chosen(path, archive.slice(body, body + length)));
      }
      longName = size = null;
    }
    if (found.length > FILES_MAX) throw new BrokenArchive('too many files');
    at = body + Math.ceil(length / TAR_BLOCK) * TAR_BLOCK;
  }
}

function isTar(header: Uint8Array): boolean {
  return utf8.decode(header.subarray(257, 262)) === 'ustar';
}

function tarName(header: Uint8Array): string {
  const name = untilZero(utf8.decode(header.subarray(0, 100)));
  const prefix = untilZero(utf8.decode(header.subarray(345, 500)));
  return prefix === '' ? name : `${prefix}/${name}`;
}

/** `length key=value\n`, as often as there is any. */
function paxRecords(text: string): Map<string, string> {
  const records = new Map<string, string>();
  for (const line of text.split('\n')) {
    const found = /^\d+ ([^=]+)=(.*)$/.exec(line);
    if (found !== null) records.set(found[1] ?? '', found[2] ?? '');
  }
  return records;
}

/** A length of up to 8 GiB in octal digits, or above in base 256. */
function octal(bytes: Uint8Array): number {
  const [first = 0] = bytes;
  if (first >= 0x80) {
    let value = first & 0x7f;
    for (const byte of bytes.subarray(1)) value = value * 256 + byte;
    return checkedLength(value);
  }
  const text = untilZero(utf8.decode(bytes)).trim();
  return checkedLength(text === '' ? 0 : Number.parseInt(text, 8));
}

function checkedLength(value: number): number {
  if (!Number.isSafeInteger(value) || value < 0) throw new BrokenArchive('a length that is none');
  return value;
}

/** APPNOTE.TXT 6.3.10: the directory at the end names every file. */
async function zipFiles(archive: Blob): Promise<ChosenFile[]> {
  const tailAt = Math.max(0, archive.size - ZIP_END_MAX);
  const tail = await viewOf(archive.slice(tailAt));
  let end = tail.byteLength - 22;
  while (end >= 0 && tail.getUint32(end, true) !== 0x06054b50) end -= 1;
  if (end < 0) throw new BrokenArchive('the archive has no end');
  let directoryAt = tail.getUint32(end + 16, true);
  let count = tail.getUint16(end + 10, true);
  let directorySize = tail.getUint32(end + 12, true);
  if (directoryAt === ZIP_ELSEWHERE || count === 0xffff) {
    if (end < 20) throw new BrokenArchive('the long end is missing');
    const longAt = Number(tail.getBigUint64(end - 12, true));
    const long = await viewOf(archive.slice(longAt, longAt + 56));
    if (long.byteLength < 56) throw new BrokenArchive('the long end is cut off');
    count = Number(long.getBigUint64(32, true));
    directorySize = Number(long.getBigUint64(40, true));
    directoryAt = Number(long.getBigUint64(48, true));
  }
  if (count > FILES_MAX) throw new BrokenArchive('too many files');
  const directory = await viewOf(archive.slice(directoryAt, directoryAt + directorySize));
  const found: ChosenFile[] = [];
  let at = 0;
  for (let entry = 0; entry < count; entry += 1) {
    if (at + 46 > directory.byteLength || directory.getUint32(at, true) !== 0x02014b50)
      throw new BrokenArchive('the directory is cut off');
    const nameLength = directory.getUint16(at + 28, true);
    const extraLength = directory.getUint16(at + 30, true);
    const name = utf8.decode(new Uint8Array(directory.buffer, at + 46, nameLength));
    const extra = new DataView(directory.buffer, at + 46 + nameLength, extraLength);
    const stated = {
      size: directory.getUint32(at + 24, true),
      packed: directory.getUint32(at + 20, true),
      at: directory.getUint32(at + 42, true),
    };
    if (!name.endsWith('/')) {
      const method = directory.getUint16(at + 10, true);
      found.push(await zipFile(archive, name, method, zip64(stated, extra)));
    }
    at += 46 + nameLength + extraLength + directory.getUint16(at + 32, true);
  }
  return found;
}

interface ZipPlace {
  size: number;
  packed: number;
  at: number;
}

/** Lengths above 4 GiB stand in an extra field, in this order, each where it is needed. */
function zip64(stated: ZipPlace, extra: DataView): ZipPlace {
  const place = { ...stated };
  for (let at = 0; at + 4 <= extra.byteLength; at += 4 + extra.getUint16(at + 2, true)) {
    if (extra.getUint16(at, true) !== 1) continue;
    let next = at + 4;
    for (const key of ['size', 'packed', 'at'] as const) {
      if (place[key] !== ZIP_ELSEWHERE) continue;
      if (next + 8 > extra.byteLength) throw new BrokenArchive('a length is missing');
      place[key] = Number(extra.getBigUint64(next, true));
      next += 8;
    }
  }
  return place;
}

async function zipFile(
  archive: Blob,
  name: string,
  method: number,
  { size, packed, at }: ZipPlace,
): Promise<ChosenFile> {
  const local = await viewOf(archive.slice(at, at + 30));
  if (local.byteLength < 30 || local.getUint32(0, true) !== 0x04034b50)
    throw new BrokenArchive('a file is missing');
  const begins = at + 30 + local.getUint16(26, true) + local.getUint16(28, true);
  const body = archive.slice(begins, begins + packed);
  if (body.size < packed) throw new BrokenArchive('a file is cut off');
  if (method === 0) return chosen(name, body);
  if (method !== 8) throw new BrokenArchive('a way of packing that is not known');
  const whole = await inflated(body, 'deflate-raw', Math.min(size, UNPACKED_MAX));
  if (whole.size !== size) throw new BrokenArchive('a file is not as long as it should be');
  return chosen(name, whole);
}

/** At most `bytesMax` of what is compressed: an archive can claim to be far more. */
async function inflated(blob: Blob, format: CompressionFormat, bytesMax: number): Promise<Blob> {
  const reader = blob.stream().pipeThrough(new DecompressionStream(format)).getReader();
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let length = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return new Blob(parts);
      length += value.byteLength;
      if (length > bytesMax) throw new BrokenArchive('more than it should be');
      parts.push(value);
    }
  } catch (error) {
    throw error instanceof BrokenArchive ? error : new BrokenArchive('it cannot be unpacked');
  } finally {
    void reader.cancel().catch(() => undefined);
  }
}

function chosen(path: string, body: Blob): ChosenFile {
  return { path: path.replace(/^\.\//, ''), file: new File([body], path) };
}

function untilZero(text: string): string {
  const [before = ''] = text.split('\0', 1);
  return before;
}

function startsWith(bytes: Uint8Array, wanted: readonly number[]): boolean {
  return wanted.every((byte, place) => bytes[place] === byte);
}

async function bytesOf(blob: Blob): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await blob.arrayBuffer());
}

async function viewOf(blob: Blob): Promise<DataView<ArrayBuffer>> {
  return new DataView(await blob.arrayBuffer());
}
