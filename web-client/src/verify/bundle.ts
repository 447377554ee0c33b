import type { Bytes } from './bytes';
import { equal, hex } from './bytes';
import { decodeAt } from './cbor';
import type { Head } from './cose';
import { endOfMessage, openHead } from './cose';
import type { SegmentKey } from './disclosures';
import { inspectDisclosures } from './disclosures';
import type { Entry } from './entry';
import { entryOf } from './entry';
import type { Json } from './json';
import { field, list, parseJson, text } from './json';
import type { KeyList } from './keys';
import { keysFor, readKeys } from './keys';
import type { LoggedSegment } from './log';
import { LogWalk } from './log';
import { Tree } from './merkle';
import { inspectObjects } from './objects';
import { partAt } from './parts';
import { demand } from './problem';
import type { Inspection, ProofView } from './proof';
import { inspectProof, readHeld, sessionOf } from './proof';
import type { Progress, Report, TrackReport } from './report';
import { Findings } from './report';

const LARGEST_JSON = 64 * 1024 * 1024;
/** Some two million entries: longer than any meeting. */
const LARGEST_LOG = 512 * 1024 * 1024;

/** One file of a bundle, read when it is needed. */
export interface BundleFile {
  /** From the bundle's own folder on, with `/`. */
  readonly path: string;
  readonly size: number;
  read(): Promise<Bytes>;
}

/** What a verification is held against, and who is told how far it is. */
export interface Options {
  /** A list of keys that the person trusts, as a file or as this server publishes it. */
  readonly trusted?: Bytes | null | undefined;
  /** Files of held heads. */
  readonly held?: readonly Bytes[] | undefined;
  readonly onProgress?: ((progress: Progress) => void) | undefined;
}

/** Verifies the public proof alone. */
export async function verifyProof(proof: Bytes, options: Options): Promise<Report> {
  const findings = new Findings();
  await findings.attempt({ file: 'proof' }, async () => {
    demand(proof.length <= LARGEST_JSON, 'TOO_LARGE', 'a proof longer than any');
    const document = parseJson(proof);
    const view = await inspectionOf(findings, document, options, null, null);
    await inspectProof(view, document);
  });
  findings.left('recording');
  return finished(findings);
}

/** Verifies a bundle: the proof, the log, the objects and what was disclosed. */
export async function verifyBundle(
  given: readonly BundleFile[],
  options: Options,
): Promise<Report> {
  const findings = new Findings();
  const files = new Map(ownFolder(given).map((file) => [file.path, file]));
  await findings.attempt({ file: 'bundle.json' }, async () => {
    demand(files.size > 0, 'MALFORMED', 'there is no file');
    const proof = await readSmall(files, 'bundle.json');
    if (proof === null) {
      findings.left('proofNotGiven');
      return;
    }
    const document = parseJson(proof);
    const kind = text(field(document, 'kind'));
    demand(kind === 'full' || kind === 'clip', 'MALFORMED', 'a bundle of no known kind');
    findings.kind = kind;
    if (kind === 'full') await verifyFull(findings, files, document, options);
    else await verifyClip(findings, files, document, options);
  });
  return finished(findings);
}

function finished(findings: Findings): Report {
  findings.left('truth');
  findings.left('beforeServer');
  return findings.report();
}

async function verifyFull(
  findings: Findings,
  files: ReadonlyMap<string, BundleFile>,
  document: Json,
  options: Options,
): Promise<void> {
  const walk = new LogWalk(findings.say);
  const file = files.get('entries.cborseq');
  const log =
    file === undefined
      ? null
      : await findings.attempt({ file: 'entries.cborseq' }, () =>
          readLog(findings, file, walk, options),
        );
  const tree = log?.tree ?? null;
  const ownKeys = await ownKeysOf(findings, files);
  const view = await inspectionOf(findings, document, options, ownKeys, tree);
  const proof = await inspectProof(view, document);
  if (tree !== null) inspectWalk(findings, walk, proof);
  await findings.attempt({ file: 'heads.cborseq' }, async () => {
    const heads = await readSmall(files, 'heads.cborseq');
    if (heads !== null) {
      await inspectHeads(view, heads, walk, proof, log?.whole ?? false, options);
      return;
    }
    findings.left('headsNotGiven');
    await inspectOnlyHead(view, proof, log?.whole ?? false);
  });
  if (tree === null) {
    // Only the entries say which objects and disclosures there should be.
    findings.left('entriesNotGiven');
    return;
  }
  const keys = await disclosedKeys(findings, files, {
    event: (seq) => walk.events.get(seq) ?? null,
    subject: (seq) => [...walk.tracks.values()].find((one) => one.seq === seq)?.subject ?? null,
    policy: walk.genesis?.policy ?? null,
  });
  await inspectObjects(view, files, walk.segments, keys, {
    whole: true,
    mayBeAbsent: (segment) => walk.mayBeAbsent(segment),
    onProgress: options.onProgress,
  });
  findings.tracks = [...walk.tracks.values()].map((one) => ({
    id: one.id,
    number: one.number,
    media: one.media,
    codec: one.codec,
    segments: one.segments,
    gaps: one.gaps,
    unaccountedMs: one.unaccountedMs,
    fromMs: one.fromMs,
    toMs: one.toMs,
    erased: one.erased,
  }));
}

/** Reads every entry and walks the log; `whole` is false when it breaks off. */
async function readLog(
  findings: Findings,
  file: BundleFile,
  walk: LogWalk,
  options: Options,
): Promise<{ tree: Tree; whole: boolean } | null> {
  demand(file.size <= LARGEST_LOG, 'TOO_LARGE', 'a log longer than any');
  const bytes = await file.read();
  const entries: Bytes[] = [];
  let at = 0;
  let whole = true;
  while (at < bytes.length) {
    const start = at;
    const seq = entries.length;
    const read = await findings.attempt({ file: 'entries.cborseq', entry: seq }, () =>
      decodeAt(bytes, start),
    );
    if (read === null) {
      whole = false;
      break;
    }
    at = read.end;
    entries.push(bytes.subarray(start, at));
    const entry = await findings.attempt({ entry: seq }, () => entryOf(read.value));
    if (entry === null) {
      walk.skip();
      continue;
    }
    if (seq === 0) findings.startedMs = entry.atMs;
    walk.handleEntry(entry);
    findings.passed('entries');
  }
  demand(entries.length > 0, 'TRUNCATED_LOG', 'a log without entries');
  const total = entries.length;
  const tree = await Tree.of(entries, (done) =>
    options.onProgress?.({ phase: 'entries', done, total }),
  );
  return { tree, whole };
}

function inspectWalk(findings: Findings, walk: LogWalk, proof: ProofView): void {
  if (walk.genesis !== null && !equal(walk.genesis.log, proof.log)) {
    findings.say('WRONG_SESSION', { entry: 0 }, 'the genesis of another log');
  }
  if (walk.version === 1) findings.left('timeNotTold');
  findings.passed('tracks', walk.tracks.size);
  findings.passed('segments', walk.segments.length);
  findings.closed = walk.closedAt !== null;
  if (proof.status === 'closed' && walk.closedAt === null) {
    findings.say('NOT_CLOSED', { file: 'entries.cborseq' }, 'closed, but without its close');
  }
}

/** Checks every head against the log, the one before it, and the key of its time. */
async function inspectHeads(
  view: Inspection,
  bytes: Bytes,
  walk: LogWalk,
  proof: ProofView,
  whole: boolean,
  options: Options,
): Promise<void> {
  let last: Head | null = null;
  let kid = walk.genesis === null ? null : hex(walk.genesis.kid);
  for (let at = 0; at < bytes.length;) {
    const end = endOfMessage(bytes, at);
    const head = await inspectOneHead(view, bytes.subarray(at, end), last, kid, whole);
    at = end;
    if (head === null) continue;
    const size = last?.treeSize ?? 0;
    const change = walk.keys.findLast((one) => one.seq >= size && one.seq < head.treeSize);
    if (change !== undefined) kid = change.kid;
    last = head;
    options.onProgress?.({ phase: 'heads', done: at, total: bytes.length });
  }
  inspectNewest(view, last, proof);
}

async function inspectOneHead(
  view: Inspection,
  cose: Bytes,
  before: Head | null,
  signer: string | null,
  whole: boolean,
): Promise<Head | null> {
  const { findings, tree } = view;
  const place = { file: 'heads.cborseq', head: before?.treeSize };
  const head = await findings.attempt(place, () => openHead(cose, view.keys));
  if (head === null) return head;
  await findings.attempt({ file: 'heads.cborseq', head: head.treeSize }, async () => {
    demand(head.sub === `urn:uuid:${view.session}`, 'WRONG_SESSION', 'the head of another session');
    demand(signer === null || head.kid === signer, 'UNKNOWN_KEY', 'not the key of this time');
    const follows = head.previousSize === (before?.treeSize ?? 0);
    demand(follows, 'SEQUENCE_INVALID', 'the head before is missing or another');
    const linked = before === null || equal(head.previousRoot, before.root);
    demand(linked, 'FORKED_LOG', 'the head before has another root');
    if (tree !== null && (await covers(head, tree, whole))) findings.passed('heads');
  });
  return head;
}

/** Whether a head signs the entries; `false` when they break off before. */
async function covers(head: Head, tree: Tree, whole: boolean): Promise<boolean> {
  if (head.treeSize > tree.size) {
    demand(!whole, 'TRUNCATED_LOG', 'the log is shorter than its head');
    return false;
  }
  const same = equal(head.root, await tree.root(head.treeSize));
  demand(same, 'ROOT_MISMATCH', 'the entries are not those that were signed');
  return true;
}

/** Holds the entries against the proof's own head, where the list of heads is missing. */
async function inspectOnlyHead(view: Inspection, proof: ProofView, whole: boolean): Promise<void> {
  const { head } = proof;
  if (head === null || view.tree === null) return;
  await covers(head, view.tree, whole);
  inspectCovered(view, head);
}

/** The newest head of the list must be the proof's, and cover every entry. */
function inspectNewest(view: Inspection, last: Head | null, proof: ProofView): void {
  const { findings } = view;
  if (proof.head === null) return;
  const place = { file: 'heads.cborseq', head: proof.head.treeSize };
  if (last === null || last.treeSize < proof.head.treeSize) {
    findings.say('TRUNCATED_LOG', place, 'the newest head is missing');
  } else if (!equal(last.cose, proof.head.cose)) {
    findings.say('FORKED_LOG', place, 'the proof has another newest head');
  }
  inspectCovered(view, proof.head);
}

function inspectCovered({ findings, tree }: Inspection, head: Head): void {
  if (tree === null || head.treeSize >= tree.size) return;
  findings.say('ROOT_MISMATCH', { entry: head.treeSize }, 'entries that no head covers');
}

async function verifyClip(
  findings: Findings,
  files: ReadonlyMap<string, BundleFile>,
  document: Json,
  options: Options,
): Promise<void> {
  const ownKeys = await ownKeysOf(findings, files);
  const view = await inspectionOf(findings, document, options, ownKeys, null);
  const proof = await inspectProof(view, document);
  const heads = await readSmall(files, 'heads.cborseq');
  if (heads === null) findings.left('headsNotGiven');
  else if (proof.head !== null && !equal(heads, proof.head.cose)) {
    findings.say('FORKED_LOG', { file: 'heads.cborseq' }, 'not the head of the proof');
  }
  const entries = [...proof.entries.values()].sort((a, b) => a.seq - b.seq);
  findings.passed('entries', entries.length);
  const segments = segmentsOf(entries);
  inspectNeighbours(findings, segments);
  const bodyAt = (seq: number) => proof.entries.get(seq)?.body;
  const genesis = bodyAt(0);
  const keys = await disclosedKeys(findings, files, {
    event: (seq) => {
      const body = bodyAt(seq);
      return body?.kind === 'event' ? body : null;
    },
    subject: (seq) => {
      const body = bodyAt(seq);
      return body?.kind === 'track' ? body.subject : null;
    },
    policy: genesis?.kind === 'genesis' ? genesis.policy : null,
  });
  await inspectObjects(view, files, segments, keys, {
    whole: false,
    mayBeAbsent: () => false,
    onProgress: options.onProgress,
  });
  findings.tracks = tracksOf(entries, segments);
}

function segmentsOf(entries: readonly Entry[]): LoggedSegment[] {
  return entries.flatMap(({ seq, body }) => (body.kind === 'segment' ? [{ ...body, seq }] : []));
}

/** Segments of a clip that follow each other must name each other. */
function inspectNeighbours(findings: Findings, segments: readonly LoggedSegment[]): void {
  const found = new Map(segments.map((one) => [`${one.track}/${one.index}`, one]));
  for (const one of segments) {
    const before = found.get(`${one.track}/${one.index - 1}`);
    if (before === undefined) continue;
    const linked =
      one.previous !== null && equal(one.previous, before.hash) && before.seq < one.seq;
    if (linked) continue;
    const place = { entry: one.seq, track: one.track, segment: one.index };
    findings.say('CHAIN_BROKEN', place, 'the segment before is another');
  }
  findings.passed('segments', segments.length);
}

function tracksOf(entries: readonly Entry[], segments: readonly LoggedSegment[]): TrackReport[] {
  return entries
    .flatMap(({ body }) => (body.kind === 'track' ? [body] : []))
    .map((body, at) => {
      const own = segments.filter((one) => one.track === body.track);
      return {
        id: body.track,
        number: at + 1,
        media: body.media,
        codec: body.codec,
        segments: own.length,
        gaps: 0,
        unaccountedMs: 0,
        fromMs: own[0]?.fromMs ?? null,
        toMs: own.at(-1)?.toMs ?? null,
        erased: false,
      };
    });
}

async function disclosedKeys(
  findings: Findings,
  files: ReadonlyMap<string, BundleFile>,
  commitments: Parameters<typeof inspectDisclosures>[2],
): Promise<SegmentKey[]> {
  const keys = await findings.attempt({ file: 'disclosures.json' }, async () => {
    const bytes = await readSmall(files, 'disclosures.json');
    return bytes === null ? [] : inspectDisclosures(findings, parseJson(bytes), commitments);
  });
  return keys ?? [];
}

async function inspectionOf(
  findings: Findings,
  document: Json,
  options: Options,
  ownKeys: Bytes | null,
  tree: Tree | null,
): Promise<Inspection> {
  const session = sessionOf(document);
  findings.session = session;
  const list = await trustedKeys(findings, document, options.trusted ?? null, ownKeys);
  const keys = keysFor(text(field(document, 'iss')), list);
  const held: Head[] = [];
  for (const bytes of options.held ?? []) {
    held.push(...(await readHeld(findings, bytes, session, keys)));
  }
  return { findings, keys, session, held, tree };
}

/** The person's list; without one the bundle's own keys, which proves less and says so. */
async function trustedKeys(
  findings: Findings,
  document: Json,
  trusted: Bytes | null,
  ownKeys: Bytes | null,
): Promise<KeyList> {
  if (trusted !== null) {
    if (ownKeys !== null) {
      await findings.attempt({ file: 'keys.json' }, () => readKeys(parseJson(ownKeys)));
    }
    return readKeys(parseJson(trusted));
  }
  findings.left('keysUntrusted');
  if (ownKeys !== null) return readKeys(parseJson(ownKeys));
  const keys = list(field(document, 'keys'), 1000);
  return readKeys({ v: 1, iss: text(field(document, 'iss')), keys, operator: null });
}

async function ownKeysOf(
  findings: Findings,
  files: ReadonlyMap<string, BundleFile>,
): Promise<Bytes | null> {
  const keys = await readSmall(files, 'keys.json');
  if (keys === null) findings.left('keysNotGiven');
  return keys;
}

async function readSmall(
  files: ReadonlyMap<string, BundleFile>,
  path: string,
): Promise<Bytes | null> {
  const file = files.get(path);
  if (file === undefined) return null;
  demand(file.size <= LARGEST_JSON, 'TOO_LARGE', `${path} is longer than any`);
  return file.read();
}

/** The files below the folder of `bundle.json` or, where that is missing, of the other parts. */
export function ownFolder(files: readonly BundleFile[]): BundleFile[] {
  const parts = files.flatMap(({ path }) => partAt(path) ?? []);
  const firsts = parts.filter(({ name }) => name === 'bundle.json');
  const roots = (firsts.length > 0 ? firsts : parts)
    .map(({ root }) => root)
    .sort((a, b) => a.length - b.length);
  const root = roots[0] ?? '';
  return files
    .filter(({ path }) => path.startsWith(root))
    .map((file) => ({
      path: file.path.slice(root.length),
      size: file.size,
      read: () => file.read(),
    }));
}
