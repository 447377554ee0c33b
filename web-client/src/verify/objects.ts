import type { BundleFile } from './bundle';
import { equal } from './bytes';
import type { SegmentKey } from './disclosures';
import { OBJECT_HEAD } from './entry';
import type { LoggedSegment } from './log';
import { sha256 } from './merkle';
import { demand } from './problem';
import type { Inspection } from './proof';
import type { Progress } from './report';
import { countPackets, openSegment } from './sealed';

/** Four seconds of one track are a few megabytes; WebCrypto hashes whole buffers only. */
const LARGEST = 64 * 1024 * 1024;
/** Objects in memory at a time: hashing one does not wait for reading the next. */
const AT_ONCE = 4;

interface Scope {
  /** Whether every segment of the log should have its object. */
  readonly whole: boolean;
  readonly mayBeAbsent: (segment: LoggedSegment) => boolean;
  readonly onProgress: ((progress: Progress) => void) | undefined;
}

/** Checks the sealed objects against the entries, and opens those whose keys were disclosed. */
export async function inspectObjects(
  view: Inspection,
  files: ReadonlyMap<string, BundleFile>,
  segments: readonly LoggedSegment[],
  keys: readonly SegmentKey[],
  scope: Scope,
): Promise<void> {
  const { findings } = view;
  const objects = new Map([...files].filter(([path]) => path.startsWith('objects/')));
  const keyOf = new Map(keys.map((key) => [nameOf(key), key]));
  const present: { segment: LoggedSegment; file: BundleFile }[] = [];
  const absent: LoggedSegment[] = [];
  const named = new Set<string>();
  for (const segment of segments) {
    const name = nameOf(segment);
    named.add(name);
    const file = objects.get(name);
    if (file === undefined) absent.push(segment);
    else present.push({ segment, file });
  }
  inspectAbsent(view, absent, objects.size > 0, scope);
  for (const path of objects.keys()) {
    if (!named.has(path) && !isOfAFileManager(path)) {
      findings.say('OBJECT_UNKNOWN', { file: path }, 'the log knows of no such object');
    }
  }
  for (const [name, { track, index }] of keyOf) {
    if (!named.has(name)) {
      const place = { file: 'disclosures.json', track, segment: index };
      findings.say('DISCLOSURE_INVALID', place, 'no such segment in the log');
    }
  }
  await inspectPresent(view, present, keyOf, scope);
  const sealed = present.filter(({ segment }) => !keyOf.has(nameOf(segment))).length;
  if (sealed > 0) findings.left('content', sealed);
}

function inspectAbsent(
  view: Inspection,
  absent: readonly LoggedSegment[],
  someGiven: boolean,
  scope: Scope,
): void {
  const { findings } = view;
  const unexplained = absent.filter((segment) => !scope.mayBeAbsent(segment));
  const explained = absent.length - unexplained.length;
  if (explained > 0) findings.left('absentExplained', explained);
  if (unexplained.length === 0) return;
  if (!someGiven) {
    findings.left('objectsNotGiven', unexplained.length);
  } else if (scope.whole) {
    for (const segment of unexplained) {
      findings.say('OBJECT_MISSING', placeOf(segment), 'the object is not there');
    }
  } else {
    findings.left('clipObject', unexplained.length);
  }
}

async function inspectPresent(
  view: Inspection,
  present: readonly { segment: LoggedSegment; file: BundleFile }[],
  keyOf: ReadonlyMap<string, SegmentKey>,
  scope: Scope,
): Promise<void> {
  const total = present.reduce((sum, { file }) => sum + file.size, 0);
  const queue = present[Symbol.iterator]();
  let done = 0;
  const work = async () => {
    // The iterator is shared: each object is taken by one of the loops.
    for (const { segment, file } of queue) {
      const key = keyOf.get(nameOf(segment)) ?? null;
      await view.findings.attempt(placeOf(segment), () => inspectOne(view, segment, file, key));
      done += file.size;
      scope.onProgress?.({ phase: 'objects', done, total });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}

async function inspectOne(
  view: Inspection,
  segment: LoggedSegment,
  file: BundleFile,
  key: SegmentKey | null,
): Promise<void> {
  const { findings } = view;
  demand(file.size === segment.size, 'OBJECT_CHANGED', 'the object has another length');
  demand(file.size <= LARGEST, 'TOO_LARGE', 'an object longer than any of ours');
  const object = await file.read();
  demand(object.length === segment.size, 'OBJECT_CHANGED', 'the object has another length');
  const same = equal(await sha256(object), segment.hash);
  demand(same, 'OBJECT_CHANGED', 'the object has another hash');
  const commitment = object.subarray(OBJECT_HEAD - 32, OBJECT_HEAD);
  const committed = equal(commitment, segment.commitment);
  demand(committed, 'OBJECT_CHANGED', 'the entry commits to another key than the object');
  findings.passed('objects');
  findings.passed('objectBytes', object.length);
  if (key === null) return;
  const { track, index, epoch } = key;
  const plain = await openSegment(object, key.key, { session: view.session, track, index, epoch });
  const packets = countPackets(plain);
  findings.passed('opened');
  findings.passed('packets', packets);
}

function nameOf(segment: { readonly track: string; readonly index: number }): string {
  return `objects/${segment.track}/${segment.index}`;
}

function placeOf(segment: LoggedSegment) {
  const { seq, track, index, fromMs, toMs } = segment;
  return { entry: seq, track, segment: index, fromMs, toMs };
}

/** Whether programs that show directories make a file of this name. */
function isOfAFileManager(path: string): boolean {
  const name = (path.split('/').at(-1) ?? '').toLowerCase();
  return name.startsWith('.') || name === 'thumbs.db' || name === 'desktop.ini';
}
