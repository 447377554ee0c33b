import type { Bytes } from './bytes';
import { equal, fromBase64Url, fromUuid } from './bytes';
import { encode } from './cbor';
import type { Json } from './json';
import { count, field, list, text } from './json';
import { sha256 } from './merkle';
import { demand } from './problem';
import type { Findings } from './report';

const MOST = 1_000_000;

/** What the log commits to, by the place of the entry. */
export interface Commitments {
  readonly event: (seq: number) => { readonly commitment: Bytes; readonly type: number } | null;
  readonly subject: (seq: number) => Bytes | null;
  /** The hash of the policy, by the genesis. */
  readonly policy: Bytes | null;
}

/** The key of one segment. */
export interface SegmentKey {
  readonly track: string;
  readonly index: number;
  readonly epoch: number;
  readonly key: Bytes;
}

/** Checks what was revealed of events and subjects; returns the keys of segments. */
export async function inspectDisclosures(
  findings: Findings,
  document: Json,
  commitments: Commitments,
): Promise<SegmentKey[]> {
  demand(field(document, 'v') === 1, 'MALFORMED', 'disclosures of another version');
  for (const one of list(field(document, 'events'), MOST)) {
    await findings.attempt({ file: 'disclosures.json', entry: numberOf(one) }, async () => {
      const seq = count(field(one, 'seq'));
      const event = text(field(one, 'event'));
      const entry = commitments.event(seq);
      demand(entry !== null, 'DISCLOSURE_INVALID', 'no such event in the log');
      await reveal(one, 'ev1', event, entry.commitment);
      if (seq === 1 && commitments.policy !== null) {
        const hash = await sha256(new TextEncoder().encode(event));
        const same = equal(hash, commitments.policy);
        demand(same, 'DISCLOSURE_INVALID', 'the genesis holds the hash of another policy');
      }
      findings.passed('events');
      findings.reveal({ kind: 'event', entry: seq, text: event });
    });
  }
  for (const one of list(field(document, 'subjects'), MOST)) {
    await findings.attempt({ file: 'disclosures.json', entry: numberOf(one) }, async () => {
      const seq = count(field(one, 'seq'));
      const subject = text(field(one, 'subject'));
      const commitment = commitments.subject(seq);
      demand(commitment !== null, 'DISCLOSURE_INVALID', 'no such track in the log');
      await reveal(one, 'sub1', subject, commitment);
      findings.passed('subjects');
      findings.reveal({ kind: 'subject', entry: seq, text: subject });
    });
  }
  const keys: SegmentKey[] = [];
  for (const one of list(field(document, 'segments'), MOST)) {
    await findings.attempt({ file: 'disclosures.json' }, () => {
      const track = text(field(one, 'track'));
      fromUuid(track);
      const key = fromBase64Url(text(field(one, 'key')));
      demand(key.length === 32, 'DISCLOSURE_INVALID', 'a key of another length');
      const index = count(field(one, 'index'));
      keys.push({ track, index, epoch: count(field(one, 'epoch')), key });
    });
  }
  return keys;
}

async function reveal(one: Json, label: string, value: string, commitment: Bytes): Promise<void> {
  const salt = fromBase64Url(text(field(one, 'salt')));
  demand(salt.length === 32, 'DISCLOSURE_INVALID', 'a salt of another length');
  const hash = await sha256(encode([label, salt, value]));
  demand(equal(hash, commitment), 'DISCLOSURE_INVALID', 'not what the log commits to');
}

function numberOf(one: Json): number | undefined {
  const seq = field(one, 'seq');
  return typeof seq === 'number' ? seq : undefined;
}
