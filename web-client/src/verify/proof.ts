import type { Bytes } from './bytes';
import { equal, fromBase64Url, fromUuid, hex, utf8 } from './bytes';
import type { Head, Receipt } from './cose';
import { checkReceipt, openHead, readReceipt } from './cose';
import type { Entry } from './entry';
import { readEntry } from './entry';
import type { Json } from './json';
import { count, exactly, field, list, parseJson, text } from './json';
import type { KeyList } from './keys';
import { es256Holds } from './keys';
import type { Tree } from './merkle';
import { leafHash, rootOfInclusion, rootsOfConsistency, sha256 } from './merkle';
import { inspectOperator } from './operator';
import type { Place } from './problem';
import { Refused, demand } from './problem';
import type { Findings } from './report';

const MOST_RECEIPTS = 1_000_000;
const STATUSES = ['live', 'closed', 'interrupted'];

/** One inspection: what is being looked at and what it is held against. */
export interface Inspection {
  readonly findings: Findings;
  readonly keys: KeyList;
  readonly session: string;
  /** Heads that somebody kept. */
  readonly held: readonly Head[];
  /** The whole log, where it was given. */
  readonly tree: Tree | null;
}

/** What a proof shows, as far as it holds. */
export interface ProofView {
  readonly head: Head | null;
  readonly log: Bytes;
  readonly status: string;
  /** Entries whose receipts hold, by their place in the log. */
  readonly entries: ReadonlyMap<number, Entry>;
}

/** The session that a proof is about, before anything else is looked at. */
export function sessionOf(document: Json): string {
  const session = text(field(document, 'session'));
  fromUuid(session);
  return session;
}

/** Checks everything that stands in the public proof itself. */
export async function inspectProof(view: Inspection, document: Json): Promise<ProofView> {
  const { findings } = view;
  demand(field(document, 'v') === 1, 'MALFORMED', 'a proof of another version');
  const status = text(field(document, 'status'));
  demand(STATUSES.includes(status), 'MALFORMED', 'a status that no session has');
  const log = fromBase64Url(text(field(document, 'log')));
  demand(log.length === 16, 'MALFORMED', 'a log id of another length');
  findings.status = status;
  findings.iss = text(field(document, 'iss'));
  if (findings.iss !== view.keys.iss) {
    findings.say('HEADER_INVALID', { file: 'proof' }, 'a proof of another installation');
  }
  const head = await findings.attempt({ file: 'proof', head: sizeOf(document) }, () =>
    inspectHead(view, field(document, 'head')),
  );
  if (head !== null) findings.head = { treeSize: head.treeSize, iat: head.iat };
  const entries = new Map<number, Entry>();
  const receipts = list(field(document, 'receipts'), MOST_RECEIPTS);
  const close = field(document, 'close') ?? null;
  for (const one of close === null ? receipts : [...receipts, close]) {
    const place = { file: one === close ? 'close' : 'receipts', entry: seqOf(one) };
    const entry = await findings.attempt(place, () => inspectInclusion(view, one, head));
    if (entry === null) continue;
    entries.set(entry.seq, entry);
    if (one === close) {
      const closes = entry.body.kind === 'close';
      if (closes) findings.passed('close');
      else findings.say('RECEIPT_INVALID', place, 'the entry is not a close');
      findings.closed = closes;
    }
  }
  inspectGenesis(view, entries, log);
  inspectStatus(view, status, close !== null);
  await inspectHeld(view, field(document, 'consistency'), head);
  await inspectOperator(view, field(document, 'operator') ?? null, head);
  if (list(field(document, 'tst'), MOST_RECEIPTS).length > 0) findings.left('timestamps');
  return { head, log, status, entries };
}

function inspectStatus(view: Inspection, status: string, closes: boolean): void {
  if (status === 'closed' && !closes) {
    view.findings.say('NOT_CLOSED', { file: 'proof' }, 'closed, but without its close');
  } else if (!closes) {
    view.findings.left(status === 'interrupted' ? 'interrupted' : 'notClosed');
  }
}

function inspectGenesis(view: Inspection, entries: ReadonlyMap<number, Entry>, log: Bytes): void {
  const first = entries.get(0);
  if (first === undefined) return;
  view.findings.startedMs = first.atMs;
  if (first.body.kind !== 'genesis' || !equal(first.body.log, log)) {
    view.findings.say('WRONG_SESSION', { entry: 0 }, 'the genesis of another log');
  }
}

async function inspectHead(view: Inspection, stated: Json | undefined): Promise<Head> {
  const head = await openHead(fromBase64Url(text(field(stated, 'cose'))), view.keys);
  demand(head.sub === `urn:uuid:${view.session}`, 'WRONG_SESSION', 'the head of another session');
  const sameSize = count(field(stated, 'tree_size')) === head.treeSize;
  demand(sameSize, 'HEADER_INVALID', 'the proof states another size than its head');
  demand(count(field(stated, 'iat')) === head.iat, 'HEADER_INVALID', 'another time than its head');
  const root = fromBase64Url(text(field(stated, 'root')));
  demand(equal(root, head.root), 'ROOT_MISMATCH', 'the proof states another root than its head');
  view.findings.passed('head');
  await view.findings.attempt({ file: 'jws', head: head.treeSize }, () =>
    inspectJws(view, text(field(stated, 'jws')), head),
  );
  return head;
}

/** The head once more, for tools without CBOR (RFC 7515). */
async function inspectJws(view: Inspection, jws: string, head: Head): Promise<void> {
  const parts = jws.split('.');
  demand(parts.length === 3, 'MALFORMED', 'not a compact JWS');
  const [header = '', payload = '', signature = ''] = parts;
  const headers = parseJson(fromBase64Url(header));
  const exact =
    exactly(headers, ['alg', 'typ', 'kid']) &&
    field(headers, 'alg') === 'ES256' &&
    field(headers, 'typ') === 'cabildo-head+jwt';
  demand(exact, 'HEADER_INVALID', 'not the headers of a head');
  const kid = hex(fromBase64Url(text(field(headers, 'kid'))));
  const key = view.keys.keys.get(kid);
  if (key === undefined) throw new Refused('UNKNOWN_KEY', `key ${kid} is not in the list`);
  const signed = utf8(`${header}.${payload}`);
  const holds = await es256Holds(key, fromBase64Url(signature), signed, false);
  demand(holds, 'SIGNATURE_INVALID', 'the signature of the JWS does not fit');
  const claims = parseJson(fromBase64Url(payload));
  const hash = (name: string) => hex(fromBase64Url(text(field(claims, name))));
  const same =
    text(field(claims, 'iss')) === head.iss &&
    text(field(claims, 'sub')) === head.sub &&
    count(field(claims, 'iat')) === head.iat &&
    count(field(claims, 'tree_size')) === head.treeSize &&
    hash('root') === hex(head.root) &&
    count(field(claims, 'prev_tree_size')) === head.previousSize &&
    hash('prev_root') === hex(head.previousRoot) &&
    hash('cose_sha256') === hex(await sha256(head.cose));
  demand(same, 'ROOT_MISMATCH', 'the JWS tells of another head');
  view.findings.passed('jws');
}

async function inspectInclusion(view: Inspection, one: Json, head: Head | null): Promise<Entry> {
  const seq = count(field(one, 'seq'));
  const bytes = fromBase64Url(text(field(one, 'entry')));
  const entry = readEntry(bytes);
  demand(entry.seq === seq, 'SEQUENCE_INVALID', 'the entry says another place than its receipt');
  const receipt = readReceipt(fromBase64Url(text(field(one, 'receipt'))));
  const root = await inclusionRoot(receipt, `urn:uuid:${view.session}`, bytes, seq);
  const known = await rootAt(view, receipt.treeSize, head);
  if (known !== null) demand(equal(known, root), 'RECEIPT_INVALID', 'the path leads elsewhere');
  await checkReceipt(receipt, root, view.keys);
  if (known === null && head !== null) {
    const fits = receipt.treeSize < head.treeSize;
    demand(fits, 'TRUNCATED_LOG', 'the receipt knows of more entries than the head');
    view.findings.left('receiptOlder');
  }
  view.findings.passed('receipts');
  return entry;
}

/** The root that a receipt's path leads to from an entry. */
export async function inclusionRoot(
  receipt: Receipt,
  sub: string,
  entry: Bytes,
  seq: number | null,
): Promise<Bytes> {
  const { proof } = receipt;
  demand(receipt.sub === sub, 'WRONG_SESSION', 'a receipt for another log');
  demand(proof.kind === 'inclusion', 'RECEIPT_INVALID', 'a receipt of another kind');
  demand(seq === null || proof.index === seq, 'RECEIPT_INVALID', 'a receipt for another entry');
  return rootOfInclusion(await leafHash(entry), proof.index, receipt.treeSize, proof.path);
}

/** The root at a size, by the log, the head or a head that was kept. */
async function rootAt(
  view: Inspection,
  size: number,
  head: Head | null,
): Promise<Uint8Array | null> {
  if (view.tree !== null && size >= 1 && size <= view.tree.size) return view.tree.root(size);
  const known = head?.treeSize === size ? head : view.held.find((one) => one.treeSize === size);
  return known?.root ?? null;
}

/** Holds the proof against heads that somebody kept. */
async function inspectHeld(
  view: Inspection,
  stated: Json | undefined,
  head: Head | null,
): Promise<void> {
  const { findings } = view;
  const linked = new Set<Head>();
  for (const one of list(stated, MOST_RECEIPTS)) {
    await findings.attempt({ file: 'consistency' }, async () => {
      const receipt = readReceipt(fromBase64Url(text(one)));
      const from = receipt.proof.kind === 'consistency' ? receipt.proof.from : 0;
      const olds = view.held.filter((candidate) => candidate.treeSize === from);
      for (const old of olds) {
        await inspectConsistency(view, receipt, old, head);
        linked.add(old);
      }
      if (olds.length === 0) {
        const root =
          view.tree !== null && from <= view.tree.size ? await view.tree.root(from) : null;
        if (root !== null) {
          await inspectConsistency(view, receipt, { treeSize: from, root }, head);
        } else {
          const asked = view.held.length > 0;
          demand(!asked, 'CONSISTENCY_INVALID', 'a receipt from a size that nobody kept');
          findings.left('consistencyUnheld');
        }
      }
    });
  }
  for (const old of view.held) {
    await findings.attempt({ file: 'held', head: old.treeSize }, () =>
      inspectHeldHead(view, old, head, linked.has(old)),
    );
  }
  if (view.held.length === 0) findings.left('noHeld');
}

async function inspectHeldHead(
  view: Inspection,
  old: Head,
  head: Head | null,
  isLinked: boolean,
): Promise<void> {
  if (view.tree !== null) {
    demand(old.treeSize <= view.tree.size, 'TRUNCATED_LOG', 'the log is shorter than it was');
    const same = equal(old.root, await view.tree.root(old.treeSize));
    demand(same, 'FORKED_LOG', 'the log is another than when this head was kept');
  } else if (head !== null) {
    demand(old.treeSize <= head.treeSize, 'TRUNCATED_LOG', 'the log is shorter than it was');
    const known =
      old.treeSize === head.treeSize
        ? head.root
        : old.treeSize === head.previousSize
          ? head.previousRoot
          : null;
    const same = known === null || equal(known, old.root);
    demand(same, 'FORKED_LOG', 'two heads of one size with different roots');
    if (known === null && !isLinked) {
      view.findings.left('heldUnlinked');
      return;
    }
  } else {
    return;
  }
  view.findings.passed('held');
}

async function inspectConsistency(
  view: Inspection,
  receipt: Receipt,
  old: { readonly treeSize: number; readonly root: Uint8Array },
  head: Head | null,
): Promise<void> {
  await checkConsistency(receipt, view.session, old, head, view.keys);
  view.findings.passed('consistency');
}

/** Whether a log at a newer size still begins as it did when `old` was signed. */
export async function checkConsistency(
  receipt: Receipt,
  session: string,
  old: { readonly treeSize: number; readonly root: Uint8Array },
  head: Head | null,
  keys: KeyList,
): Promise<void> {
  const { proof, treeSize } = receipt;
  demand(receipt.sub === `urn:uuid:${session}`, 'WRONG_SESSION', 'a receipt for another log');
  demand(proof.kind === 'consistency', 'CONSISTENCY_INVALID', 'a receipt of another kind');
  demand(proof.from === old.treeSize, 'CONSISTENCY_INVALID', 'a receipt from another size');
  const known = { size: old.treeSize, root: new Uint8Array(old.root) };
  const { old: before, root } = await rootsOfConsistency(known, treeSize, proof.path);
  if (head !== null) {
    demand(treeSize === head.treeSize, 'CONSISTENCY_INVALID', 'a receipt to another size');
    demand(equal(root, head.root), 'CONSISTENCY_INVALID', 'the path does not lead to the head');
  }
  await checkReceipt(receipt, root, keys);
  demand(equal(before, old.root), 'FORKED_LOG', 'the log does not begin as it did');
}

/** Reads a file of held heads and keeps those that hold. */
export async function readHeld(
  findings: Findings,
  bytes: Bytes,
  session: string,
  keys: KeyList,
): Promise<Head[]> {
  const heads: Head[] = [];
  await findings.attempt({ file: 'held' }, async () => {
    const document = parseJson(bytes);
    demand(field(document, 'v') === 1, 'MALFORMED', 'held heads of another version');
    demand(sessionOf(document) === session, 'WRONG_SESSION', 'heads of another session');
    for (const one of list(field(document, 'heads'), MOST_RECEIPTS)) {
      const head = await findings.attempt({ file: 'held' }, async () => {
        const opened = await openHead(fromBase64Url(text(one)), keys);
        const sub = `urn:uuid:${session}`;
        demand(opened.sub === sub, 'WRONG_SESSION', 'the head of another session');
        return opened;
      });
      if (head !== null) heads.push(head);
    }
  });
  return heads;
}

function sizeOf(document: Json): Place['head'] {
  const size = field(field(document, 'head'), 'tree_size');
  return typeof size === 'number' ? size : undefined;
}

function seqOf(one: Json): Place['entry'] {
  const seq = field(one, 'seq');
  return typeof seq === 'number' ? seq : undefined;
}
