import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Signer, Writer, json } from '../verify/testing/writer';
import { ApiError } from './errors';
import { HeldHeadStore } from './held_heads';
import { FakeStorage } from './testing/fakes';
import type { WitnessView } from './witness';
import { Witness } from './witness';

const b64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64url');
const LATER_MS = 60_000;

function told(writer: Writer, at = -1) {
  const head = writer.heads.at(at);
  if (head === undefined) throw new Error('no head');
  return { tree_size: head.size, root: b64(head.root), cose: b64(head.cose) };
}

/** A log of two entries, with its first head. */
async function log(signer?: Signer): Promise<Writer> {
  const writer = await Writer.create(signer);
  writer.status = 'live';
  await writer.begin();
  await writer.head();
  return writer;
}

async function grown(writer: Writer): Promise<Writer> {
  await writer.event(3, '{}');
  await writer.head();
  return writer;
}

function make(writer: () => Writer, storage = new FakeStorage()) {
  const store = new HeldHeadStore(storage);
  const asked = { keys: 0, proofs: [] as (number | null)[] };
  const failing = { network: false };
  const witness = new Witness({
    session: writer().session,
    store,
    load: () => import('../verify/witness'),
    random: () => 0,
    source: {
      keys: () => {
        asked.keys += 1;
        return Promise.resolve(json(writer().keys()));
      },
      proof: async (_, from) => {
        asked.proofs.push(from);
        if (failing.network) throw new ApiError(0, 'NETWORK', '');
        const size = writer().heads.at(-1)?.size ?? 0;
        if (from !== null && from > size) throw new ApiError(422, 'HTTP_422', '');
        return json(await writer().proof({ from: from === null || from === size ? [] : [from] }));
      },
    },
  });
  const until = (holds: (view: WitnessView) => boolean) =>
    new Promise<WitnessView>((resolve) => {
      if (holds(witness.view)) resolve(witness.view);
      else {
        const stop = witness.subscribe((view) => {
          if (!holds(view)) return;
          stop();
          resolve(view);
        });
      }
    });
  return { witness, store, asked, failing, until };
}

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] }));
afterEach(() => void vi.useRealTimers());

describe('a witness', () => {
  it('checks each head, keeps it, and has shown that it continues the one before', async () => {
    const writer = await log();
    const { witness, store, asked, until } = make(() => writer);
    witness.handleHead(told(writer));
    await until(({ treeSize }) => treeSize === 2);
    expect(store.of(writer.session)?.newest).toBe(told(writer).cose);
    await grown(writer);
    witness.handleHead(told(writer));
    await until(({ treeSize }) => treeSize === 3);
    // Told is not shown: what is kept is still the first.
    expect(store.of(writer.session)?.newest).toBe(told(writer, 0).cose);
    await vi.advanceTimersByTimeAsync(LATER_MS);
    const view = await until(({ checkedAtMs }) => checkedAtMs !== null);
    expect(view).toMatchObject({ treeSize: 3, failure: null });
    expect(asked.proofs).toContain(2);
    expect(store.of(writer.session)).toMatchObject({ newest: told(writer).cose, conflicts: [] });
    expect(JSON.parse(store.file(writer.session) ?? '')).toEqual({
      v: 1,
      session: writer.session,
      heads: [told(writer, 0).cose, told(writer).cose],
    });
    witness.close();
  });

  it('asks at most every half minute, however many heads come', async () => {
    const writer = await log();
    const { witness, asked, until } = make(() => writer);
    witness.handleHead(told(writer));
    await until(({ treeSize }) => treeSize === 2);
    await vi.advanceTimersByTimeAsync(2_000);
    await until(({ checkedAtMs }) => checkedAtMs !== null);
    const before = asked.proofs.length;
    for (let size = 3; size < 8; size += 1) {
      await grown(writer);
      witness.handleHead(told(writer));
      await until(({ treeSize }) => treeSize === size);
      await vi.advanceTimersByTimeAsync(2_000);
    }
    expect(asked.proofs).toHaveLength(before);
    witness.close();
  });

  it.each([
    ['signature', (head: string) => head.slice(0, -4) + (head.endsWith('AAAA') ? 'BBBB' : 'AAAA')],
    ['form', () => 'AAAA'],
  ])('fails loudly on a false %s and keeps it', async (_, change) => {
    const writer = await log();
    const { witness, store, until } = make(() => writer);
    const head = told(writer);
    witness.handleHead({ ...head, cose: change(head.cose) });
    const { failure } = await until((view) => view.failure !== null);
    expect(['SIGNATURE_INVALID', 'MALFORMED', 'NOT_CANONICAL']).toContain(failure);
    expect(store.of(writer.session)?.conflicts).toEqual([change(head.cose)]);
  });

  it('fails on a head that is told as another than it is', async () => {
    const writer = await log();
    const { witness, until } = make(() => writer);
    witness.handleHead({ ...told(writer), tree_size: 9 });
    expect((await until((view) => view.failure !== null)).failure).toBe('HEADER_INVALID');
  });

  it('fails on the head of another session', async () => {
    const signer = await Signer.create();
    const [writer, other] = [await log(signer), await log(signer)];
    const { witness, until } = make(() => writer);
    witness.handleHead(told(other));
    expect((await until((view) => view.failure !== null)).failure).toBe('WRONG_SESSION');
  });

  it('takes a record whose issuer the server had before, and no change of it', async () => {
    const writer = await log();
    const iss = 'https://moved.example';
    writer.listed = { iss, issuers: [writer.iss, iss] };
    const { witness, store, until } = make(() => writer);
    witness.handleHead(told(writer));
    await until(({ treeSize }) => treeSize === 2);
    await grown(writer);
    witness.handleHead(told(writer));
    await until(({ treeSize }) => treeSize === 3);
    await vi.advanceTimersByTimeAsync(LATER_MS);
    await until(({ checkedAtMs }) => checkedAtMs !== null);
    expect(store.of(writer.session)?.newest).toBe(told(writer).cose);
    writer.iss = iss;
    await grown(writer);
    witness.handleResume();
    await vi.advanceTimersByTimeAsync(LATER_MS);
    expect((await until((view) => view.failure !== null)).failure).toBe('HEADER_INVALID');
  });

  it('fails on the head of an issuer that the list of keys does not name', async () => {
    const writer = await log();
    writer.listed = { iss: 'https://moved.example' };
    const { witness, until } = make(() => writer);
    witness.handleHead(told(writer));
    expect((await until((view) => view.failure !== null)).failure).toBe('UNKNOWN_KEY');
  });

  it('exposes a record that was written anew with the real key', async () => {
    const signer = await Signer.create();
    const kept = await log(signer);
    const other = await log(signer);
    Object.assign(other, { session: kept.session });
    other.heads.splice(0);
    await other.head();
    let served = kept;
    const { witness, store, until } = make(() => served);
    witness.handleHead(told(kept));
    await until(({ treeSize }) => treeSize === 2);
    served = await grown(other);
    await vi.advanceTimersByTimeAsync(LATER_MS);
    const { failure } = await until((view) => view.failure !== null);
    expect(['FORKED_LOG', 'CONSISTENCY_INVALID']).toContain(failure);
    expect(store.of(kept.session)?.newest).toBe(told(kept).cose);
  });

  it('exposes a record that was cut', async () => {
    const writer = await grown(await log());
    const { witness, until } = make(() => writer);
    witness.handleHead(told(writer));
    await until(({ treeSize }) => treeSize === 3);
    writer.heads.pop();
    writer.entries.pop();
    witness.handleResume();
    await vi.advanceTimersByTimeAsync(LATER_MS);
    expect((await until((view) => view.failure !== null)).failure).toBe('TRUNCATED_LOG');
  });

  it('holds the record against what it kept at an earlier visit', async () => {
    const signer = await Signer.create();
    const [kept, other] = [await log(signer), await log(signer)];
    Object.assign(other, { session: kept.session });
    other.heads.splice(0);
    await other.head();
    const storage = new FakeStorage();
    new HeldHeadStore(storage).keep(kept.session, told(kept).cose);
    const { witness, store, until } = make(() => other, storage);
    witness.handleHead(told(other));
    expect((await until((view) => view.failure !== null)).failure).toBe('FORKED_LOG');
    expect(store.of(kept.session)).toMatchObject({
      newest: told(kept).cose,
      conflicts: [told(other).cose],
    });
  });

  it('does not take a server that is away for one that lies', async () => {
    const writer = await log();
    const { witness, asked, failing, until } = make(() => writer);
    failing.network = true;
    witness.handleHead(told(writer));
    await until(({ treeSize }) => treeSize === 2);
    await vi.advanceTimersByTimeAsync(LATER_MS);
    expect(asked.proofs.length).toBeGreaterThan(0);
    expect(witness.view).toMatchObject({ failure: null, checkedAtMs: null });
    failing.network = false;
    await vi.advanceTimersByTimeAsync(LATER_MS);
    await until(({ checkedAtMs }) => checkedAtMs !== null);
    witness.close();
  });

  it('asks for the keys again when one is new', async () => {
    const writer = await log();
    const { witness, asked, until } = make(() => writer);
    witness.handleHead(told(writer));
    await until(({ treeSize }) => treeSize === 2);
    await writer.rotate();
    await grown(writer);
    vi.setSystemTime(Date.now() + LATER_MS);
    witness.handleHead(told(writer));
    await until(({ treeSize }) => treeSize === 4);
    expect(asked.keys).toBe(2);
    witness.close();
  });
});

describe('held heads', () => {
  it('of many sessions are bounded, and contradictions go last', () => {
    const store = new HeldHeadStore(new FakeStorage(), () => ++now);
    let now = 0;
    store.keepConflict('bad', 'x');
    for (let at = 0; at < 80; at += 1) store.keep(`s${at}`, 'h');
    expect(store.of('bad')?.conflicts).toEqual(['x']);
    expect(store.of('s0')).toBeNull();
    expect(store.of('s79')?.newest).toBe('h');
  });

  it('survive a storage that holds nonsense, or none', () => {
    const storage = new FakeStorage();
    for (const nonsense of ['{', '[]', 'null', '{"s":5}', '{"s":{"first":1}}']) {
      storage.setItem('cabildo.heads', nonsense);
      expect(new HeldHeadStore(storage).of('s')).toBeNull();
    }
    const none = new HeldHeadStore(null);
    none.keep('s', 'h');
    expect(none.file('s')).toBeNull();
  });
});
