import type { Bytes } from './bytes';
import { equal, fromBase64Url } from './bytes';
import type { Head } from './cose';
import { openHead, peekIssuer, readReceipt } from './cose';
import { field, list, parseJson, text } from './json';
import type { KeyList } from './keys';
import { keysFor, readKeys } from './keys';
import { demand } from './problem';
import { checkConsistency } from './proof';

export { Refused } from './problem';
export { toBase64Url } from './bytes';
export type { Head, KeyList };

/** The keys that a server publishes. */
export function keysOf(document: Bytes): Promise<KeyList> {
  return readKeys(parseJson(document));
}

/** A head of this session whose signature holds. */
export async function openSessionHead(cose: string, session: string, keys: KeyList): Promise<Head> {
  const bytes = fromBase64Url(cose);
  const iss = peekIssuer(bytes);
  demand(keys.issuers.includes(iss), 'UNKNOWN_KEY', 'an issuer that is not in the list of keys');
  const head = await openHead(bytes, keysFor(iss, keys));
  demand(head.sub === `urn:uuid:${session}`, 'WRONG_SESSION', 'the head of another session');
  return head;
}

/** The head of a proof, once it is shown to continue what `old` was signed over. */
export async function continuation(
  proof: Bytes,
  old: Head,
  session: string,
  keys: KeyList,
): Promise<Head> {
  const document = parseJson(proof);
  const head = await openSessionHead(text(field(field(document, 'head'), 'cose')), session, keys);
  demand(head.iss === old.iss, 'HEADER_INVALID', 'the log has changed its issuer');
  demand(head.treeSize >= old.treeSize, 'TRUNCATED_LOG', 'the log is shorter than it was');
  if (head.treeSize === old.treeSize) {
    demand(equal(head.root, old.root), 'FORKED_LOG', 'two heads of one size');
    return head;
  }
  const receipt = list(field(document, 'consistency'), 64)
    .map((one) => readReceipt(fromBase64Url(text(one))))
    .find(({ proof: path }) => path.kind === 'consistency' && path.from === old.treeSize);
  demand(receipt !== undefined, 'CONSISTENCY_INVALID', 'no receipt from the head that was kept');
  await checkConsistency(receipt, session, old, head, keysFor(head.iss, keys));
  return head;
}

/** Whether two heads can be of one log, as far as they themselves tell. */
export function contradict(a: Head, b: Head): boolean {
  if (a.treeSize === b.treeSize) return !equal(a.root, b.root);
  const [small, large] = a.treeSize < b.treeSize ? [a, b] : [b, a];
  return large.previousSize === small.treeSize && !equal(large.previousRoot, small.root);
}
