import { describe, expect, it } from 'vitest';
import { verifyBundle, verifyProof } from './bundle';
import { decode } from './cbor';
import { checkReceipt, openHead, readReceipt } from './cose';
import { readKeys } from './keys';
import type { Json } from './json';
import { rootOfInclusion, leafHash, rootsOfConsistency, Tree } from './merkle';
import { Refused } from './problem';
import type { Report } from './report';
import {
  SEGMENT_MS,
  Signer,
  Writer,
  cbor,
  consistency,
  files,
  json,
  meeting,
  path,
  random,
  root,
} from './testing/writer';

type Octets = Uint8Array<ArrayBuffer>;
type Bundle = Map<string, Octets>;

const codes = (report: Report) => [...new Set(report.problems.map(({ code }) => code))];
const flipped = (bytes: Octets, bit: number) => {
  const copy = bytes.slice();
  copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  return copy;
};
const joined = (parts: Octets[]) => new Uint8Array(Buffer.concat(parts));
const get = (bundle: Bundle, name: string) => bundle.get(name) ?? new Uint8Array(0);

async function trusted(writer: Writer): Promise<Octets> {
  return json(await writer.keysWithOperator());
}

async function check(writer: Writer, change: (bundle: Bundle) => void = () => undefined) {
  const bundle = await writer.bundle();
  change(bundle);
  return verifyBundle(files(bundle), { trusted: await trusted(writer), held: [writer.held()] });
}

async function refusal(run: () => Promise<unknown>): Promise<string | null> {
  try {
    await run();
    return null;
  } catch (error) {
    if (error instanceof Refused) return error.code;
    throw error;
  }
}

describe('trees', () => {
  it('have the roots and paths of RFC 9162 at every size', async () => {
    const leaves = Array.from({ length: 20 }, (_, at) => cbor(at));
    const tree = await Tree.of(leaves);
    for (let size = 1; size <= leaves.length; size += 1) {
      const now = leaves.slice(0, size);
      const top = await root(now);
      expect(await tree.root(size)).toEqual(top);
      for (let index = 0; index < size; index += 1) {
        const leaf = await leafHash(now[index] ?? cbor(0));
        expect(await rootOfInclusion(leaf, index, size, await path(index, now))).toEqual(top);
      }
      for (let from = 1; from < size; from += 1) {
        const before = { size: from, root: await root(now.slice(0, from)) };
        const roots = await rootsOfConsistency(before, size, await consistency(from, now));
        expect(roots).toEqual({ old: before.root, root: top });
      }
    }
  });

  it('refuse paths of the wrong length', async () => {
    const leaves = Array.from({ length: 11 }, (_, at) => cbor(at));
    const leaf = await leafHash(cbor(4));
    const right = await path(4, leaves);
    const wrong = [right.slice(1), right.slice(0, -1), [...right, random(32)], []];
    for (const one of wrong) {
      expect(await refusal(() => rootOfInclusion(leaf, 4, 11, one))).toBe('RECEIPT_INVALID');
    }
    expect(await refusal(() => rootOfInclusion(leaf, 11, 11, right))).toBe('RECEIPT_INVALID');
  });
});

describe('a bundle that is right', () => {
  it('is valid, and says what was looked at', async () => {
    const writer = await meeting();
    const report = await check(writer);
    expect(report.problems).toEqual([]);
    expect(report.verdict).toBe('valid');
    expect(report.checked).toMatchObject({
      entries: writer.entries.length,
      heads: 5,
      head: 1,
      jws: 1,
      close: 1,
      segments: 5,
      tracks: 2,
      objects: 5,
      opened: 5,
      events: 4,
      subjects: 2,
      held: 5,
      operator: 1,
      checkpoint: 1,
    });
    expect(report.closed).toBe(true);
    expect(report.tracks.map(({ number, segments, gaps }) => [number, segments, gaps])).toEqual([
      [1, 3, 1],
      [2, 2, 0],
    ]);
    expect(report.notChecked.map(({ what }) => what)).toEqual(['truth', 'beforeServer']);
  });

  it('may lie in any folder', async () => {
    const bundle = await (await meeting()).bundle();
    const moved = new Map([...bundle].map(([name, bytes]) => [`acta/2027/${name}`, bytes]));
    const report = await verifyBundle(files(moved), { trusted: bundle.get('keys.json') });
    expect(report.verdict).toBe('valid');
  });

  it('is incomplete without keys that somebody trusts', async () => {
    const report = await verifyBundle(files(await (await meeting()).bundle()), {});
    expect(report.verdict).toBe('incomplete');
    expect(report.notChecked).toContainEqual({ what: 'keysUntrusted', count: 1 });
  });

  it('is incomplete without its objects', async () => {
    const report = await check(await meeting(), (bundle) => {
      for (const name of [...bundle.keys()]) if (name.startsWith('objects/')) bundle.delete(name);
    });
    expect(report.verdict).toBe('incomplete');
    expect(report.notChecked).toContainEqual({ what: 'objectsNotGiven', count: 5 });
  });

  it('stays valid when keys were destroyed, and says so', async () => {
    const writer = await meeting();
    writer.append(5, [3, 1, random(32)]);
    writer.append(5, [0, 1, random(32)]);
    await writer.head();
    const report = await check(writer, (bundle) => {
      for (const name of [...bundle.keys()])
        if (name.startsWith(`objects/${report0(writer)}`)) bundle.delete(name);
    });
    expect(report.problems).toEqual([]);
    expect(report.verdict).toBe('valid');
    expect(report.notChecked).toContainEqual({ what: 'absentExplained', count: 3 });
    expect(report.tracks[0]?.erased).toBe(true);
  });
});

/** The id of the first track, whose entry is the fourth. */
function report0(writer: Writer): string {
  const [name = ''] = [...writer.objects.keys()];
  return name.split('/')[1] ?? '';
}

describe('a changed bit', () => {
  it('anywhere in the log is found, and named by its entry', async () => {
    const writer = await meeting();
    const bundle = await writer.bundle();
    const options = { trusted: await trusted(writer) };
    const log = get(bundle, 'entries.cborseq');
    const small = files(bundle).filter(({ path: name }) => !/entries|objects/.test(name));
    for (let at = 0; at < log.length; at += 3) {
      const wrong = flipped(log, at * 8 + (at % 8));
      const given = [...small, ...files(new Map([['entries.cborseq', wrong]]))];
      const report = await verifyBundle(given, options);
      expect(report.verdict, `byte ${at}`).toBe('invalid');
    }
  }, 120_000);

  it('anywhere in a head is found, every single one', async () => {
    const writer = await meeting();
    const keys = await readKeys((await writer.keysWithOperator()) as Json);
    const [head] = writer.heads;
    if (head === undefined) throw new Error('no head');
    await openHead(head.cose, keys);
    for (let bit = 0; bit < head.cose.length * 8; bit += 1) {
      const code = await refusal(() => openHead(flipped(head.cose, bit), keys));
      expect(code, `bit ${bit}`).not.toBeNull();
    }
  }, 60_000);

  it('anywhere in a receipt is found, every single one', async () => {
    const writer = await meeting();
    const keys = await readKeys((await writer.keysWithOperator()) as Json);
    const right = await writer.inclusion(6);
    const entry = writer.entries[6] ?? cbor(0);
    const use = async (cose: Octets) => {
      const receipt = readReceipt(cose);
      if (receipt.proof.kind !== 'inclusion') throw new Refused('RECEIPT_INVALID', 'kind');
      const { index, path: nodes } = receipt.proof;
      const top = await rootOfInclusion(await leafHash(entry), index, receipt.treeSize, nodes);
      await checkReceipt(receipt, top, keys);
      return index;
    };
    expect(await use(right)).toBe(6);
    for (let bit = 0; bit < right.length * 8; bit += 1) {
      const code = await refusal(() => use(flipped(right, bit)));
      expect(code, `bit ${bit}`).not.toBeNull();
    }
  }, 60_000);

  it('in an object is found, and named by track, segment and time', async () => {
    const writer = await meeting();
    const [name = ''] = [...writer.objects.keys()];
    const [, track, index] = name.split('/');
    const object = get(writer.objects, name);
    for (const bit of [0, 24 * 8, 56 * 8, object.length * 8 - 1]) {
      const report = await check(writer, (bundle) => bundle.set(name, flipped(object, bit)));
      expect(codes(report)).toEqual(['OBJECT_CHANGED']);
      expect(report.problems[0]?.place).toMatchObject({ track, segment: Number(index) });
      expect(report.problems[0]?.place.fromMs).toBeGreaterThan(0);
    }
  });

  it('in the proof is found wherever it stands', async () => {
    const writer = await meeting();
    const held = [
      json({
        v: 1,
        session: writer.session,
        heads: [Buffer.from(writer.heads[1]?.cose ?? []).toString('base64url')],
      }),
    ];
    const options = { trusted: await trusted(writer), held };
    const proof = json(await writer.proof({ seqs: [0, 5], from: [writer.heads[1]?.size ?? 0] }));
    expect((await verifyProof(proof, options)).verdict).toBe('valid');
    const source = new TextDecoder().decode(proof);
    const values = [...source.matchAll(/"([A-Za-z0-9_.-]{20,})"/g)];
    expect(values.length).toBeGreaterThan(12);
    for (const { 1: value = '', index } of values) {
      // Keys of the proof itself are never used when somebody trusts a list.
      if (source.slice(0, index).lastIndexOf('"keys"') > source.slice(0, index).lastIndexOf(']'))
        continue;
      for (let at = 0; at < value.length; at += 7) {
        const place = index + 1 + at;
        const letter = source[place] === 'A' ? 'B' : 'A';
        const wrong = source.slice(0, place) + letter + source.slice(place + 1);
        const report = await verifyProof(new TextEncoder().encode(wrong), options);
        expect(report.verdict, `${value.slice(0, 12)} at ${at}`).toBe('invalid');
      }
    }
  }, 60_000);
});

describe('something taken away, put in, or moved', () => {
  it('an entry', async () => {
    const writer = await meeting();
    for (let at = 0; at < writer.entries.length; at += 1) {
      const left = writer.entries.filter((_, index) => index !== at);
      const report = await check(writer, (bundle) => bundle.set('entries.cborseq', joined(left)));
      expect(report.verdict, `entry ${at}`).toBe('invalid');
    }
    const swapped = [...writer.entries];
    [swapped[4], swapped[5]] = [swapped[5] ?? cbor(0), swapped[4] ?? cbor(0)];
    const report = await check(writer, (bundle) => bundle.set('entries.cborseq', joined(swapped)));
    expect(codes(report)).toContain('SEQUENCE_INVALID');
    const more = await check(writer, (bundle) =>
      bundle.set(
        'entries.cborseq',
        joined([...writer.entries, cbor([1, 3, writer.entries.length, 1, [64, random(32)]])]),
      ),
    );
    expect(codes(more)).toContain('ROOT_MISMATCH');
  });

  it('the tail of the log', async () => {
    const writer = await meeting();
    const report = await check(writer, (bundle) =>
      bundle.set('entries.cborseq', joined(writer.entries.slice(0, -2))),
    );
    expect(codes(report)).toContain('TRUNCATED_LOG');
  });

  it('a head', async () => {
    const writer = await meeting();
    for (let at = 0; at < writer.heads.length; at += 1) {
      const left = writer.heads.filter((_, index) => index !== at).map(({ cose }) => cose);
      const report = await check(writer, (bundle) => bundle.set('heads.cborseq', joined(left)));
      expect(report.verdict, `head ${at}`).toBe('invalid');
    }
  });

  it('an object', async () => {
    const writer = await meeting();
    const [first = '', second = ''] = [...writer.objects.keys()];
    const missing = await check(writer, (bundle) => void bundle.delete(first));
    expect(codes(missing)).toEqual(['OBJECT_MISSING']);
    expect(missing.verdict).toBe('incomplete');
    const unknown = await check(writer, (bundle) =>
      bundle.set(`${first}9`, get(writer.objects, first)),
    );
    expect(codes(unknown)).toEqual(['OBJECT_UNKNOWN']);
    const shown = await check(writer, (bundle) => {
      const object = get(writer.objects, first);
      const beside = first.slice(0, first.lastIndexOf('/') + 1);
      for (const name of [`${beside}._0`, `${beside}desktop.ini`, 'objects/Thumbs.db'])
        bundle.set(name, object);
    });
    expect(codes(shown)).toEqual([]);
    const swapped = await check(writer, (bundle) => {
      bundle.set(first, get(writer.objects, second));
      bundle.set(second, get(writer.objects, first));
    });
    expect(codes(swapped)).toEqual(['OBJECT_CHANGED']);
    const short = await check(writer, (bundle) =>
      bundle.set(first, get(writer.objects, first).slice(0, -1)),
    );
    expect(codes(short)).toEqual(['OBJECT_CHANGED']);
  });
});

describe('a part that is absent', () => {
  const PARTS = ['bundle.json', 'entries.cborseq', 'heads.cborseq', 'keys.json'];
  const UNCHECKED: Readonly<Record<string, string>> = {
    'bundle.json': 'proofNotGiven',
    'entries.cborseq': 'entriesNotGiven',
    'heads.cborseq': 'headsNotGiven',
    'keys.json': 'keysNotGiven',
  };
  /** Every choice of some parts. */
  const choices = (parts: readonly string[]) =>
    Array.from({ length: 2 ** parts.length - 1 }, (_, at) =>
      parts.filter((_part, bit) => ((at + 1) >> bit) % 2 === 1),
    );
  const without = (names: readonly string[], change: (bundle: Bundle) => void) =>
    meeting().then((writer) =>
      check(writer, (bundle) => {
        change(bundle);
        for (const name of names) bundle.delete(name);
      }),
    );

  const NAMED = choices(PARTS).map((names) => ({ names, named: names.join(', ') }));
  it.each(NAMED)('is missing, not false: $named', async ({ names }) => {
    const report = await without(names, () => undefined);
    expect(report.problems).toEqual([]);
    expect(report.verdict).toBe('incomplete');
    const told = report.notChecked.map(({ what }) => what);
    const needed = names.includes('bundle.json') ? ['bundle.json'] : names;
    expect(told).toEqual(expect.arrayContaining(needed.map((name) => UNCHECKED[name])));
  });

  it('is missing wherever the others lie, when it is the first', async () => {
    const bundle = await (await meeting()).bundle();
    bundle.delete('bundle.json');
    const moved = new Map([...bundle].map(([name, bytes]) => [`acta/${name}`, bytes]));
    expect((await verifyBundle(files(moved), {})).verdict).toBe('incomplete');
  });

  it.each(PARTS)('is false when it is there and malformed: %s', async (name) => {
    for (const content of [new Uint8Array(0), new Uint8Array([0xff])]) {
      const report = await without([], (bundle) => bundle.set(name, content));
      expect(report.verdict).toBe('invalid');
    }
  });

  it('never makes a false bundle valid', async () => {
    const changed = (name: string) => (bundle: Bundle) => {
      const bytes = get(bundle, name);
      bundle.set(name, flipped(bytes, bytes.length * 8 - 1));
    };
    for (const forge of [changed('entries.cborseq'), changed('heads.cborseq')]) {
      expect((await without([], forge)).verdict).toBe('invalid');
      for (const names of choices(PARTS)) {
        expect((await without(names, forge)).verdict).not.toBe('valid');
      }
    }
    const exposed = await without(['heads.cborseq'], changed('entries.cborseq'));
    expect(exposed.verdict).toBe('invalid');
  });

  it('of the clip is missing too', async () => {
    const bundle = await (await meeting()).bundle();
    const proof = JSON.parse(Buffer.from(get(bundle, 'bundle.json')).toString()) as object;
    bundle.set('bundle.json', json({ ...proof, kind: 'clip' }));
    bundle.delete('entries.cborseq');
    bundle.delete('heads.cborseq');
    const report = await verifyBundle(files(bundle), { trusted: get(bundle, 'keys.json') });
    expect(report.notChecked).toContainEqual({ what: 'headsNotGiven', count: 1 });
  });
});

describe('a history that is false though it is signed', () => {
  const log = async (write: (writer: Writer, track: Octets) => unknown) => {
    const writer = await Writer.create();
    await writer.begin();
    const track = await writer.track('audio');
    await writer.segment(track, 1, 10);
    await write(writer, track);
    await writer.head();
    writer.status = writer.closeSeq === null ? 'live' : 'closed';
    return codes(await check(writer));
  };
  const object = random(200);

  it('a chain that does not hold', async () => {
    expect(
      await log((writer, track) => writer.segmentOf(track, 2, random(32), random(32), object)),
    ).toContain('SEGMENT_MISSING');
    expect(
      await log((writer, track) => writer.segmentOf(track, 0, null, random(32), object)),
    ).toContain('CHAIN_BROKEN');
    expect(
      await log((writer, track) => writer.segmentOf(track, 1, random(32), random(32), object)),
    ).toContain('CHAIN_BROKEN');
    expect(
      await log((writer) => writer.segmentOf(random(16), 0, null, random(32), object)),
    ).toContain('CHAIN_BROKEN');
  });

  it('a close that does not fit', async () => {
    const wrong = (tails: never[], lastEvent: number) => (writer: Writer) => {
      writer.closeSeq = writer.append(7, [tails, lastEvent, 1]);
    };
    expect(await log(wrong([], 1))).toEqual(['CHAIN_BROKEN']);
    expect(await log(wrong([[random(16), 0, random(32)] as never], 1))).toContain(
      'SEGMENT_MISSING',
    );
    expect(
      await log(async (writer) => {
        await writer.event(2, 'x');
        writer.append(7, [[], 1, 1]);
      }),
    ).toContain('SEQUENCE_INVALID');
    expect(
      await log((writer, track) => {
        writer.close();
        writer.append(4, [track, 1, 2, 1]);
      }),
    ).toEqual(['SEQUENCE_INVALID']);
    expect(
      await log((writer) => {
        writer.close();
        writer.close();
      }),
    ).toContain('SEQUENCE_INVALID');
  });

  describe('time that no entry accounts for', () => {
    const silent = 2;
    const gated = 1;
    /** Two segments a minute apart, with what `between` says of the time between. */
    const hole = async (between: (writer: Writer, track: Octets, from: number) => unknown) => {
      const writer = await Writer.create();
      await writer.begin();
      const track = await writer.track('audio');
      await writer.segment(track, 2, 40);
      const from = writer.now + SEGMENT_MS;
      await between(writer, track, from);
      writer.now = from + 60_000 - 100;
      await writer.segment(track, 2, 40, 2);
      writer.close();
      await writer.head();
      return check(writer);
    };

    it('is a hole that nobody declared', async () => {
      const report = await hole(() => undefined);
      expect(report.verdict).toBe('invalid');
      expect(codes(report)).toEqual(['TIME_UNACCOUNTED']);
      const { fromMs = 0, toMs = 0 } = report.problems[0]?.place ?? {};
      expect(toMs - fromMs).toBe(60_000);
      expect(report.tracks[0]?.unaccountedMs).toBe(60_000);
    });

    it('is what a declaration leaves out', async () => {
      const report = await hole((writer, track, from) => {
        writer.append(4, [track, from, from + 20_000, 3]);
        writer.append(8, [track, from + 30_000, from + 60_000, silent, null]);
      });
      expect(codes(report)).toEqual(['TIME_UNACCOUNTED']);
      expect(report.tracks[0]?.unaccountedMs).toBe(10_000);
    });

    it('is none when it was silent, lost, or closed by a decision', async () => {
      const report = await hole(async (writer, track, from) => {
        const decision = await writer.event(3, '{"type":"turn_ended","seq":7}');
        writer.append(8, [track, from, from + 20_000, gated, decision]);
        writer.append(8, [track, from + 20_000, from + 40_000, silent, null]);
        writer.append(4, [track, from + 40_000, from + 60_000, 4]);
      });
      expect(report.problems).toEqual([]);
      expect(report.verdict).toBe('valid');
    });

    it('is a closed gate without a decision before it', async () => {
      for (const event of [null, 1, 2, 99]) {
        const report = await hole((writer, track, from) =>
          writer.append(8, [track, from, from + 60_000, gated, event]),
        );
        expect(codes(report)).toEqual(['TIME_UNACCOUNTED']);
      }
    });

    it('is not told in a log of version 1, which holds all the same', async () => {
      const writer = await Writer.create();
      writer.version = 1;
      await writer.begin();
      const track = await writer.track('audio');
      await writer.segment(track, 2, 40);
      writer.now += 60_000;
      await writer.segment(track, 2, 40, 2);
      writer.close();
      await writer.head();
      const report = await check(writer);
      expect(report.verdict).toBe('valid');
      expect(report.notChecked.map(({ what }) => what)).toContain('timeNotTold');
    });

    it('cannot be hidden by mixing versions', async () => {
      const mixed = await log((writer, track) => {
        writer.version = 1;
        writer.append(4, [track, 1, 2, 1]);
      });
      expect(mixed).toContain('SEQUENCE_INVALID');
      const early = await log((writer, track) => {
        writer.version = 1;
        writer.append(8, [track, 1, 2, silent, null]);
      });
      expect(early).toContain('MALFORMED');
      const caused = await log((writer, track) => writer.append(8, [track, 1, 2, silent, 1]));
      expect(caused).toContain('MALFORMED');
    });
  });

  it('an erasure of nothing', async () => {
    expect(await log((writer) => writer.append(5, [1, 1, random(32)]))).toEqual([
      'ERASURE_INVALID',
    ]);
    expect(await log((writer) => writer.append(5, [99, 1, random(32)]))).toEqual([
      'ERASURE_INVALID',
    ]);
  });

  it('a key that signs before or after its time', async () => {
    const writer = await meeting();
    const other = await Signer.create();
    writer.signers.push(other);
    writer.signer = other;
    await writer.event(66, 'x');
    await writer.head();
    expect(codes(await check(writer))).toContain('UNKNOWN_KEY');
  });

  it('a session that says it is closed and is not', async () => {
    const writer = await Writer.create();
    await writer.begin();
    await writer.head();
    const report = await check(writer);
    expect(codes(report)).toEqual(['NOT_CLOSED']);
    expect(report.verdict).toBe('incomplete');
  });
});

describe('a head that somebody kept', () => {
  it('exposes a log that was written anew with the real key', async () => {
    const signer = await Signer.create();
    const kept = await meeting(signer);
    const forged = await meeting(signer);
    const held = Buffer.from(kept.heads[1]?.cose ?? []).toString('base64url');
    Object.assign(forged, { session: kept.session, sessionBytes: kept.sessionBytes });
    const again = await rewritten(forged, kept);
    const file = json({ v: 1, session: kept.session, heads: [held] });
    const options = { trusted: await trusted(again), held: [file] };
    const report = await verifyBundle(files(await again.bundle()), options);
    expect(codes(report)).toContain('FORKED_LOG');
    const size = kept.heads[1]?.size ?? 0;
    const proof = json(await again.proof({ from: [size] }));
    const online = await verifyProof(proof, options);
    expect(online.verdict).toBe('invalid');
    expect(codes(online)).toContain('FORKED_LOG');
  });

  it('exposes a log that was cut', async () => {
    const writer = await meeting();
    const held = writer.held();
    writer.heads.pop();
    writer.entries.pop();
    const options = { trusted: await trusted(writer), held: [held] };
    const report = await verifyBundle(files(await writer.bundle()), options);
    expect(codes(report)).toContain('TRUNCATED_LOG');
    const online = await verifyProof(json(await writer.proof()), options);
    expect(codes(online)).toContain('TRUNCATED_LOG');
  });

  it('of another size is not taken for checked without a receipt', async () => {
    const writer = await meeting();
    const heads = [Buffer.from(writer.heads[0]?.cose ?? []).toString('base64url')];
    const held = [json({ v: 1, session: writer.session, heads })];
    const report = await verifyProof(json(await writer.proof()), {
      trusted: await trusted(writer),
      held,
    });
    expect(report.verdict).toBe('incomplete');
    expect(report.notChecked).toContainEqual({ what: 'heldUnlinked', count: 1 });
  });

  it('of another session does not count', async () => {
    const [writer, other] = [await meeting(), await meeting()];
    const options = { trusted: await trusted(writer), held: [other.held()] };
    expect(codes(await verifyProof(json(await writer.proof()), options))).toEqual([
      'WRONG_SESSION',
    ]);
  });
});

/** The forger's heads signed anew for the session that was attacked. */
async function rewritten(forged: Writer, kept: Writer): Promise<Writer> {
  forged.heads.splice(0);
  forged.signer = forged.signers[0] ?? kept.signer;
  for (const size of [2, forged.entries.length]) {
    const rest = forged.entries.splice(size);
    await forged.head();
    forged.entries.push(...rest);
  }
  return forged;
}

describe('signatures', () => {
  it('are refused in the form that can be bent', async () => {
    const writer = await Writer.create();
    await writer.begin();
    await writer.head(true);
    const keys = await readKeys((await writer.keysWithOperator()) as Json);
    const [head] = writer.heads;
    expect(await refusal(() => openHead(head?.cose ?? cbor(0), keys))).toBe('SIGNATURE_INVALID');
  });

  it('of unknown keys say so', async () => {
    const [writer, other] = [await meeting(), await meeting()];
    const options = { trusted: await trusted(other) };
    expect(codes(await verifyProof(json(await writer.proof()), options))).toContain('UNKNOWN_KEY');
  });

  it('of an issuer that the list of keys names beside its own are taken', async () => {
    const writer = await meeting();
    const iss = 'https://moved.example';
    writer.listed = { iss, issuers: [writer.iss, iss] };
    expect(await check(writer)).toMatchObject({ verdict: 'valid', iss: writer.iss });
    for (const listed of [{ iss }, { iss, issuers: [iss] }]) {
      writer.listed = listed;
      expect(codes(await check(writer))).toContain('HEADER_INVALID');
    }
    for (const issuers of [[], [writer.iss], iss, [1]]) {
      writer.listed = { iss, issuers };
      expect(codes(await check(writer)), JSON.stringify(issuers)).toContain('MALFORMED');
    }
  });

  it('of two issuers are not of one log, though the list of keys names both', async () => {
    const writer = await meeting();
    const [before, iss] = [writer.iss, 'https://moved.example'];
    writer.listed = { iss, issuers: [before, iss] };
    writer.iss = iss;
    await writer.event(64, '{"opened":true}');
    await writer.head();
    const report = await check(writer);
    expect(report.verdict).toBe('invalid');
    expect(codes(report)).toContain('HEADER_INVALID');
  });

  it('with one header more are refused', async () => {
    const writer = await Writer.create();
    await writer.begin();
    await writer.head();
    const keys = await readKeys((await writer.keysWithOperator()) as Json);
    const headers = writer.headers(2, 'application/vnd.cabildo.head+cose');
    const payload = cbor([1, 2, await root(writer.entries), 0, await root([])]);
    await openHead(await writer.sign(headers, new Map(), payload, payload), keys);
    headers.set(5, 1);
    const more = await writer.sign(headers, new Map(), payload, payload);
    expect(await refusal(() => openHead(more, keys))).toBe('HEADER_INVALID');
    headers.delete(5);
    const beside = await writer.sign(headers, new Map([[5, 1]]), payload, payload);
    expect(await refusal(() => openHead(beside, keys))).toBe('HEADER_INVALID');
    const other = cbor([1, 3, await root(writer.entries), 0, await root([])]);
    const bent = await writer.sign(headers, new Map(), other, other);
    expect(await refusal(() => openHead(bent, keys))).toBe('HEADER_INVALID');
  });
});

describe('a clip', () => {
  const clip = async (writer: Writer, seqs: number[]) => {
    const bundle = await writer.bundle();
    const proof = await writer.proof({ seqs });
    bundle.set('bundle.json', json({ ...proof, kind: 'clip' }));
    bundle.set('heads.cborseq', writer.heads.at(-1)?.cose ?? cbor(0));
    bundle.delete('entries.cborseq');
    return bundle;
  };

  it('is proven by its receipts and opened by its own keys', async () => {
    const writer = await meeting();
    const bundle = await clip(writer, [0, 1, 3, 5]);
    const [name = ''] = [...writer.objects.keys()];
    for (const other of writer.objects.keys()) if (other !== name) bundle.delete(other);
    const { events, subjects, segments } = writer.disclosures;
    bundle.set(
      'disclosures.json',
      json({ v: 1, events: [events[0]], subjects: [subjects[0]], segments: [segments[0]] }),
    );
    const report = await verifyBundle(files(bundle), { trusted: await trusted(writer) });
    expect(report.problems).toEqual([]);
    expect(report.verdict).toBe('valid');
    expect(report.checked).toMatchObject({
      objects: 1,
      opened: 1,
      packets: 3,
      events: 1,
      subjects: 1,
    });
    expect(report.disclosed.map(({ text }) => text)).toContain('{"recording":true}');
  });

  it('without an object is incomplete', async () => {
    const writer = await meeting();
    const bundle = await clip(writer, [0, 1, 3, 5, 6]);
    const names = [...writer.objects.keys()];
    for (const other of names.slice(1)) bundle.delete(other);
    bundle.delete('disclosures.json');
    const report = await verifyBundle(files(bundle), { trusted: await trusted(writer) });
    expect(report.verdict).toBe('incomplete');
    expect(report.notChecked).toContainEqual({ what: 'clipObject', count: 1 });
  });
});

describe('a disclosure', () => {
  const disclosed = async (change: (all: Writer['disclosures']) => void) => {
    const writer = await meeting();
    change(writer.disclosures);
    return check(writer);
  };
  const first = (list: object[]) => list[0] as Record<string, unknown>;

  it('of another text, salt or place is found', async () => {
    for (const change of [
      { event: 'x' },
      { seq: 2 },
      { seq: 999 },
      { salt: Buffer.from(random(32)).toString('base64url') },
      { salt: 'AA' },
    ]) {
      const report = await disclosed(({ events }) => Object.assign(first(events), change));
      expect(codes(report), JSON.stringify(change)).toEqual(['DISCLOSURE_INVALID']);
    }
    const report = await disclosed(({ subjects }) =>
      Object.assign(first(subjects), { subject: '{}' }),
    );
    expect(codes(report)).toEqual(['DISCLOSURE_INVALID']);
  });

  it('of a wrong key or name is found', async () => {
    const key = Buffer.from(random(32)).toString('base64url');
    expect(
      codes(await disclosed(({ segments }) => Object.assign(first(segments), { key }))),
    ).toEqual(['WRONG_KEY']);
    expect(
      codes(await disclosed(({ segments }) => Object.assign(first(segments), { epoch: 2 }))),
    ).toEqual(['WRONG_KEY']);
    expect(
      codes(await disclosed(({ segments }) => Object.assign(first(segments), { index: 77 }))),
    ).toEqual(['DISCLOSURE_INVALID']);
  });
});

describe('the operator log', () => {
  it.each(['head', 'receipt', 'checkpoint'])('with a false %s is found', async (name) => {
    const writer = await meeting();
    const proof = await writer.proof();
    const operator = proof.operator as Record<string, string>;
    const right = operator[name] ?? '';
    for (const at of [4, Math.floor(right.length / 2), right.length - 8]) {
      const letter = right[at] === 'A' ? 'B' : 'A';
      const wrong = { ...operator, [name]: right.slice(0, at) + letter + right.slice(at + 1) };
      const report = await verifyProof(json({ ...proof, operator: wrong }), {
        trusted: await trusted(writer),
      });
      expect(codes(report)).toEqual(['OPERATOR_LOG_INVALID']);
    }
  });
});

describe('hostile files', () => {
  it.each(['', '{', '[]', '{"v":1}', 'null', '{"session":5}', '\u0000'])(
    '%j is refused',
    async (source) => {
      const bytes = new TextEncoder().encode(source);
      expect((await verifyProof(bytes, {})).verdict).toBe('invalid');
      const bundle = files(new Map([['bundle.json', bytes]]));
      expect((await verifyBundle(bundle, {})).verdict).toBe('invalid');
    },
  );

  it('nothing at all is refused', async () => {
    expect((await verifyBundle([], {})).verdict).toBe('invalid');
  });

  it('files without end are not read', async () => {
    const writer = await meeting();
    const given = files(await writer.bundle()).map((file) =>
      file.path.startsWith('objects/')
        ? file
        : { ...file, size: 2 ** 40, read: () => Promise.reject(new Error('read')) },
    );
    expect(codes(await verifyBundle(given, { trusted: await trusted(writer) }))).toContain(
      'TOO_LARGE',
    );
  });

  it('noise in every file ends in a report', async () => {
    const writer = await meeting();
    for (const name of (await writer.bundle()).keys()) {
      for (const length of [0, 1, 100]) {
        const report = await check(writer, (bundle) => bundle.set(name, random(length)));
        expect(report.verdict, `${name} of ${length}`).not.toBe('valid');
      }
    }
  });

  it('the writer of these tests writes what the reader reads', () => {
    expect(decode(cbor(['a', 1, null]))).toEqual(['a', 1, null]);
  });
});

const given = process.env.CABILDO_BUNDLE;
if (given !== undefined) {
  describe(`the bundle in ${given}`, () => {
    it('is valid', async () => {
      const { readBundle } = await import('./testing/directory');
      const bundle = await readBundle(given);
      const trusted = bundle.find(({ path: name }) => name === 'keys.json');
      const held = bundle.find(({ path: name }) => name === 'held-heads.json');
      const report = await verifyBundle(bundle, {
        trusted: trusted === undefined ? null : await trusted.read(),
        held: held === undefined ? [] : [await held.read()],
      });
      expect(report.problems).toEqual([]);
      expect(report.verdict).toBe('valid');
      expect(report.checked.entries ?? 0).toBeGreaterThan(1);
    }, 600_000);
  });
}
