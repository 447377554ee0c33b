import type { Bytes } from './bytes';
import { equal, fromBase64, fromBase64Url, utf8 } from './bytes';
import type { Head } from './cose';
import { OPERATOR_LOG, checkReceipt, openHead, readReceipt } from './cose';
import type { Json } from './json';
import { field, text } from './json';
import type { OperatorKey } from './keys';
import { ed25519Holds } from './keys';
import { Refused, demand } from './problem';
import type { Inspection } from './proof';
import { inclusionRoot } from './proof';

const WRONG = 'OPERATOR_LOG_INVALID';
const LONGEST_NOTE = 64 * 1024;

/** The second level: the session's head in the installation's own log. */
export async function inspectOperator(
  view: Inspection,
  operator: Json,
  head: Head | null,
): Promise<void> {
  const { findings } = view;
  if (operator === null) {
    findings.left('noOperator');
    return;
  }
  await findings.attempt({ file: 'operator' }, async () => {
    try {
      await inspect(view, operator, head);
    } catch (error) {
      if (error instanceof Refused) throw new Refused(WRONG, `${error.code}: ${error.detail}`);
      throw error;
    }
  });
}

async function inspect(view: Inspection, operator: Json, head: Head | null): Promise<void> {
  const { findings } = view;
  const cose = fromBase64Url(text(field(operator, 'head')));
  const logged = await openHead(cose, view.keys);
  demand(logged.sub === `urn:uuid:${view.session}`, WRONG, 'the head of another session');
  if (view.tree !== null) {
    demand(logged.treeSize <= view.tree.size, WRONG, 'a head of a longer log');
    const same = equal(logged.root, await view.tree.root(logged.treeSize));
    demand(same, WRONG, 'the head of another log');
  } else if (head?.treeSize === logged.treeSize) {
    demand(equal(logged.root, head.root), WRONG, 'the head of another log');
  }
  const receipt = readReceipt(fromBase64Url(text(field(operator, 'receipt'))));
  const root = await inclusionRoot(receipt, OPERATOR_LOG, cose, null);
  await checkReceipt(receipt, root, view.keys);
  findings.passed('operator');
  if (view.keys.operator === null) {
    findings.left('operatorKey');
    return;
  }
  const note = text(field(operator, 'checkpoint'));
  const checkpoint = await openCheckpoint(note, view.keys.operator);
  if (checkpoint === null) {
    findings.left('ed25519');
  } else if (checkpoint.size !== receipt.treeSize) {
    findings.left('checkpointOther');
  } else {
    demand(equal(checkpoint.root, root), WRONG, 'the checkpoint has another root');
    findings.passed('checkpoint');
  }
}

/** Opens a signed note (C2SP); null where this browser lacks Ed25519. */
async function openCheckpoint(
  note: string,
  key: OperatorKey,
): Promise<{ size: number; root: Bytes } | null> {
  demand(note.length <= LONGEST_NOTE, WRONG, 'a checkpoint longer than any');
  const end = note.lastIndexOf('\n\n');
  demand(end > 0 && note.endsWith('\n'), WRONG, 'not a signed note');
  const body = note.slice(0, end + 1);
  const [origin, size = '', root = ''] = body.split('\n');
  demand(origin === key.origin, WRONG, 'the checkpoint of another log');
  demand(/^(0|[1-9][0-9]{0,14})$/.test(size), WRONG, 'a size that is no number');
  const hash = fromBase64(root);
  demand(hash.length === 32, WRONG, 'a root of another length');
  const lines = note.slice(end + 2, -1).split('\n');
  for (const line of lines) {
    const found = /^\u2014 (\S+) (\S+)$/.exec(line);
    demand(found !== null, WRONG, 'a signature line of another form');
    const [, name = '', value = ''] = found;
    if (name !== key.origin) continue;
    const typed = fromBase64(value);
    if (typed.length !== 68 || !equal(typed.subarray(0, 4), key.hint)) continue;
    const holds = await ed25519Holds(key.raw, typed.slice(4), utf8(body));
    if (holds === null) return null;
    demand(holds, WRONG, 'the signature of the checkpoint does not fit');
    return { size: Number(size), root: hash };
  }
  throw new Refused(WRONG, 'no signature of this log on its checkpoint');
}
