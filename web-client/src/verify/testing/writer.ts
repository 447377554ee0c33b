import type { BundleFile } from '../bundle';

/** What the small writer of the tests puts into CBOR. */
export type Value = number | string | null | Uint8Array | Value[] | Map<number | string, Value>;
type Octets = Uint8Array<ArrayBuffer>;

const { subtle } = crypto;
const text = (value: string) => new TextEncoder().encode(value);
const b64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64url');
const join = (...parts: Uint8Array[]): Octets => new Uint8Array(Buffer.concat(parts));
const hash = async (bytes: Octets) => new Uint8Array(await subtle.digest('SHA-256', bytes));
export const random = (length: number) => crypto.getRandomValues(new Uint8Array(length));
const be64 = (value: number) => {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value));
  return bytes;
};
export const uuid = (bytes: Uint8Array) =>
  Buffer.from(bytes)
    .toString('hex')
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');

function head(major: number, value: number): Octets {
  const first = major * 32;
  if (value < 24) return Uint8Array.of(first + value);
  if (value < 256) return Uint8Array.of(first + 24, value);
  const all = be64(value);
  if (value < 65_536) return join(Uint8Array.of(first + 25), all.subarray(6));
  if (value < 2 ** 32) return join(Uint8Array.of(first + 26), all.subarray(4));
  return join(Uint8Array.of(first + 27), all);
}

export function cbor(value: Value): Octets {
  if (value === null) return Uint8Array.of(0xf6);
  if (typeof value === 'number') return value < 0 ? head(1, -1 - value) : head(0, value);
  if (typeof value === 'string') return join(head(3, text(value).length), text(value));
  if (value instanceof Uint8Array) return join(head(2, value.length), value);
  if (Array.isArray(value)) return join(head(4, value.length), ...value.map(cbor));
  const pairs = [...value].map(([key, one]) => [cbor(key), cbor(one)] as const);
  pairs.sort(([a], [b]) => Buffer.compare(a, b));
  return join(head(5, pairs.length), ...pairs.flat());
}

// RFC 9162 §2.1 by its recursive definitions, without looking at how the verifier folds.

export async function root(leaves: Octets[]): Promise<Octets> {
  const [only] = leaves;
  if (only === undefined) return hash(new Uint8Array(0));
  if (leaves.length === 1) return hash(join(Uint8Array.of(0), only));
  const at = split(leaves.length);
  return hash(
    join(Uint8Array.of(1), await root(leaves.slice(0, at)), await root(leaves.slice(at))),
  );
}

export async function path(index: number, leaves: Octets[]): Promise<Octets[]> {
  if (leaves.length <= 1) return [];
  const at = split(leaves.length);
  return index < at
    ? [...(await path(index, leaves.slice(0, at))), await root(leaves.slice(at))]
    : [...(await path(index - at, leaves.slice(at))), await root(leaves.slice(0, at))];
}

export async function consistency(from: number, leaves: Octets[], whole = true): Promise<Octets[]> {
  if (from === leaves.length) return whole ? [] : [await root(leaves)];
  const at = split(leaves.length);
  return from <= at
    ? [...(await consistency(from, leaves.slice(0, at), whole)), await root(leaves.slice(at))]
    : [...(await consistency(from - at, leaves.slice(at), false)), await root(leaves.slice(0, at))];
}

function split(count: number): number {
  let at = 1;
  while (at * 2 < count) at *= 2;
  return at;
}

const ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;

/** A signing key with its public half as the key list shows it. */
export class Signer {
  private constructor(
    private readonly key: CryptoKey,
    readonly spki: Octets,
    readonly kid: Octets,
  ) {}

  static async create(): Promise<Signer> {
    const kind = { name: 'ECDSA', namedCurve: 'P-256' };
    const pair = await subtle.generateKey(kind, true, ['sign', 'verify']);
    const spki = new Uint8Array(await subtle.exportKey('spki', pair.publicKey));
    return new Signer(pair.privateKey, spki, await hash(spki));
  }

  async sign(bytes: Octets, highS = false): Promise<Octets> {
    const kind = { name: 'ECDSA', hash: 'SHA-256' };
    const signature = new Uint8Array(await subtle.sign(kind, this.key, bytes));
    const s = BigInt(`0x${Buffer.from(signature.subarray(32)).toString('hex')}`);
    const low = s <= ORDER / 2n ? s : ORDER - s;
    const wanted = highS ? ORDER - low : low;
    signature.set(Buffer.from(wanted.toString(16).padStart(64, '0'), 'hex'), 32);
    return signature;
  }
}

/** Writes logs as docs/EVIDENCE.md has them, and anything wrong that a test asks for. */
export class Writer {
  readonly sessionBytes = random(16);
  readonly session = uuid(this.sessionBytes);
  readonly log = random(16);
  readonly entries: Octets[] = [];
  readonly heads: { size: number; root: Octets; cose: Octets }[] = [];
  readonly objects = new Map<string, Octets>();
  readonly disclosures = {
    events: [] as object[],
    subjects: [] as object[],
    segments: [] as object[],
  };
  iss = 'https://meetings.example';
  /** What the list of keys says of issuers; its own otherwise. */
  listed: { iss: string; issuers?: unknown } | null = null;
  status = 'closed';
  /** Of every entry; logs of version 1 do not account for every moment. */
  version = 2;
  closeSeq: number | null = null;
  now = 1_800_000_000_000;
  private readonly tails = new Map<string, { id: Octets; index: number; hash: Octets }>();
  private lastEvent = 0;

  private constructor(
    public signer: Signer,
    readonly signers: Signer[],
    private readonly operator: CryptoKeyPair,
    private readonly operatorRaw: Octets,
  ) {}

  static async create(signer?: Signer): Promise<Writer> {
    const first = signer ?? (await Signer.create());
    const operator = await subtle.generateKey('Ed25519', true, ['sign', 'verify']);
    const raw = new Uint8Array(await subtle.exportKey('raw', operator.publicKey));
    return new Writer(first, [first], operator, raw);
  }

  append(kind: number, body: Value): number {
    const seq = this.entries.length;
    this.now += 100;
    this.entries.push(cbor([this.version, kind, seq, this.now, body]));
    return seq;
  }

  async begin(policy = '{"recording":true}'): Promise<void> {
    this.append(0, [this.log, this.signer.kid, await hash(text(policy)), 2000, random(32)]);
    await this.event(1, policy);
  }

  async event(type: number, event: string): Promise<number> {
    const salt = random(32);
    const seq = this.append(3, [type, await hash(cbor(['ev1', salt, event]))]);
    if (this.closeSeq === null) this.lastEvent = seq;
    this.disclosures.events.push({ seq, salt: b64(salt), event });
    return seq;
  }

  async track(media: 'audio' | 'video'): Promise<Octets> {
    const id = random(16);
    const salt = random(32);
    const subject = `{"user_id":"u","name":"N","source":"${media}"}`;
    const commitment = await hash(cbor(['sub1', salt, subject]));
    const codec = media === 'audio' ? 'opus' : 'vp8';
    const seq = this.append(1, [id, media, codec, media === 'audio' ? 48_000 : 90_000, commitment]);
    this.disclosures.subjects.push({ seq, salt: b64(salt), subject });
    return id;
  }

  /** Seals a segment of `packets` packets of `bytes` each. */
  async segment(track: Octets, packets: number, bytes: number, flags = 0): Promise<void> {
    const name = uuid(track);
    const before = this.tails.get(name);
    const index = before === undefined ? 0 : before.index + 1;
    const key = random(32);
    const object = await seal(
      key,
      [1, this.sessionBytes, track, index, 1],
      journal(packets, bytes),
    );
    this.segmentOf(track, index, before?.hash ?? null, await hash(object), object, flags);
    this.tails.set(name, { id: track, index, hash: await hash(object) });
    this.objects.set(`objects/${name}/${index}`, object);
    this.disclosures.segments.push({ track: name, index, epoch: 1, key: b64(key) });
  }

  segmentOf(
    track: Octets,
    index: number,
    previous: Octets | null,
    sha256: Octets,
    object: Octets,
    flags = 0,
  ): void {
    const commitment = object.subarray(24, 56);
    const span: Value[] = [this.now, this.now + SEGMENT_MS];
    this.append(2, [
      track,
      index,
      previous,
      1,
      object.length,
      sha256,
      commitment,
      [1, 9],
      span,
      flags,
    ]);
  }

  close(): void {
    const tails = [...this.tails.values()].sort((a, b) => Buffer.compare(a.id, b.id));
    const body: Value[] = [
      tails.map(({ id, index, hash: tail }) => [id, index, tail]),
      this.lastEvent,
      1,
    ];
    this.closeSeq = this.append(7, body);
  }

  /** Announces a new key; the next head is still signed by the old one. */
  async rotate(): Promise<void> {
    const next = await Signer.create();
    this.signers.push(next);
    this.append(6, [next.kid]);
    await this.head();
    this.signer = next;
  }

  async head(highS = false): Promise<void> {
    const size = this.entries.length;
    const before = this.heads.at(-1);
    const now = await root(this.entries);
    const previous = before?.root ?? (await hash(new Uint8Array(0)));
    const payload = cbor([1, size, now, before?.size ?? 0, previous]);
    const typ = 'application/vnd.cabildo.head+cose';
    const cose = await this.sign(this.headers(size, typ), new Map(), payload, payload, highS);
    this.heads.push({ size, root: now, cose });
  }

  headers(size: number, typ: string, sub = `urn:uuid:${this.session}`): Map<number, Value> {
    const claims = new Map<number | string, Value>([
      [1, this.iss],
      [2, sub],
      [6, Math.floor(this.now / 1000)],
      ['tree_size', size],
    ]);
    return new Map<number, Value>([
      [1, -7],
      [4, this.signer.kid],
      [15, claims],
      [16, typ],
    ]);
  }

  async sign(
    headers: Map<number, Value>,
    unprotected: Map<number, Value>,
    payload: Octets | null,
    signed: Octets,
    highS = false,
  ): Promise<Octets> {
    const protectedBytes = cbor(headers);
    const structure = cbor(['Signature1', protectedBytes, new Uint8Array(0), signed]);
    const signature = await this.signer.sign(structure, highS);
    return join(Uint8Array.of(0xd2), cbor([protectedBytes, unprotected, payload, signature]));
  }

  async receipt(
    proof: Map<number, Value>,
    size: number,
    leaves: Octets[],
    sub?: string,
  ): Promise<Octets> {
    const headers = this.headers(size, 'application/vnd.cabildo.receipt+cose', sub);
    headers.set(395, 1);
    return this.sign(headers, new Map([[396, proof]]), null, await root(leaves));
  }

  async inclusion(seq: number): Promise<Octets> {
    const size = this.heads.at(-1)?.size ?? 0;
    const leaves = this.entries.slice(0, size);
    const proof = cbor([size, seq, await path(seq, leaves)]);
    return this.receipt(new Map([[-1, [proof]]]), size, leaves);
  }

  async consistency(from: number): Promise<Octets> {
    const size = this.heads.at(-1)?.size ?? 0;
    const leaves = this.entries.slice(0, size);
    const proof = cbor([from, size, await consistency(from, leaves)]);
    return this.receipt(new Map([[-2, [proof]]]), size, leaves);
  }

  keys(): object {
    return {
      v: 1,
      ...(this.listed ?? { iss: this.iss }),
      keys: this.signers.map(({ kid, spki }) => ({
        kid: b64(kid),
        spki: b64(spki),
        kty: 'EC',
        crv: 'P-256',
        x: b64(spki.subarray(27, 59)),
        y: b64(spki.subarray(59)),
        alg: 'ES256',
        use: 'sig',
      })),
    };
  }

  async keysWithOperator(): Promise<object> {
    const { vkey } = await this.operatorName();
    return { ...this.keys(), operator: { origin: ORIGIN, vkey } };
  }

  private async operatorName(): Promise<{ vkey: string; hint: Octets }> {
    const typed = join(Uint8Array.of(1), this.operatorRaw);
    const hint = (await hash(join(text(`${ORIGIN}\n`), typed))).slice(0, 4);
    const key = Buffer.from(typed).toString('base64');
    return { vkey: `${ORIGIN}+${Buffer.from(hint).toString('hex')}+${key}`, hint };
  }

  async operatorProof(): Promise<object> {
    const own = this.heads.at(-1)?.cose ?? new Uint8Array(0);
    const leaves = [text('another head'), own, text('a third')];
    const proof = cbor([3, 1, await path(1, leaves)]);
    const sub = 'urn:cabildo:operator-log';
    const receipt = await this.receipt(new Map([[-1, [proof]]]), 3, leaves, sub);
    const top = Buffer.from(await root(leaves)).toString('base64');
    const body = `${ORIGIN}\n3\n${top}\n`;
    const { hint } = await this.operatorName();
    const signature = new Uint8Array(
      await subtle.sign('Ed25519', this.operator.privateKey, text(body)),
    );
    const line = Buffer.from(join(hint, signature)).toString('base64');
    return {
      head: b64(own),
      receipt: b64(receipt),
      checkpoint: `${body}\n\u2014 ${ORIGIN} ${line}\n`,
    };
  }

  async jws(): Promise<string> {
    const head = this.heads.at(-1);
    const before = this.heads.at(-2);
    if (head === undefined) throw new Error('no head');
    const part = (value: object) => b64(text(JSON.stringify(value)));
    const headers = part({ alg: 'ES256', typ: 'cabildo-head+jwt', kid: b64(this.signer.kid) });
    const payload = part({
      iss: this.iss,
      sub: `urn:uuid:${this.session}`,
      iat: Math.floor(this.now / 1000),
      tree_size: head.size,
      root: b64(head.root),
      prev_tree_size: before?.size ?? 0,
      prev_root: b64(before?.root ?? (await hash(new Uint8Array(0)))),
      cose_sha256: b64(await hash(head.cose)),
    });
    const signature = await this.signer.sign(text(`${headers}.${payload}`));
    return `${headers}.${payload}.${b64(signature)}`;
  }

  async proof(more: { seqs?: number[]; from?: number[] } = {}): Promise<Record<string, unknown>> {
    const head = this.heads.at(-1);
    if (head === undefined) throw new Error('no head');
    const receipts = [];
    for (const seq of more.seqs ?? []) receipts.push(await this.included(seq));
    const consistent = [];
    for (const from of more.from ?? []) consistent.push(b64(await this.consistency(from)));
    return {
      v: 1,
      session: this.session,
      log: b64(this.log),
      status: this.status,
      iss: this.iss,
      keys: this.signers.map(({ kid, spki }) => ({ kid: b64(kid), spki: b64(spki) })),
      head: {
        tree_size: head.size,
        root: b64(head.root),
        iat: Math.floor(this.now / 1000),
        cose: b64(head.cose),
        jws: await this.jws(),
      },
      consistency: consistent,
      operator: await this.operatorProof(),
      tst: [],
      close: this.closeSeq === null ? null : await this.included(this.closeSeq),
      receipts,
    };
  }

  async included(seq: number): Promise<object> {
    const entry = this.entries[seq] ?? new Uint8Array(0);
    return { seq, entry: b64(entry), receipt: b64(await this.inclusion(seq)) };
  }

  held(): Octets {
    const heads = this.heads.map(({ cose }) => b64(cose));
    return json({ v: 1, session: this.session, heads });
  }

  async bundle(): Promise<Map<string, Octets>> {
    return new Map([
      ['bundle.json', json({ ...(await this.proof()), kind: 'full' })],
      ['entries.cborseq', join(...this.entries)],
      ['heads.cborseq', join(...this.heads.map(({ cose }) => cose))],
      ['keys.json', json(await this.keysWithOperator())],
      ['disclosures.json', json({ v: 1, ...this.disclosures })],
      ...this.objects,
    ]);
  }
}

/** Length of every segment, in milliseconds. */
export const SEGMENT_MS = 4000;
const ORIGIN = 'meetings.example/operator';

export function json(value: object): Octets {
  return text(JSON.stringify(value));
}

export function files(bundle: ReadonlyMap<string, Octets>): BundleFile[] {
  return [...bundle].map(([path, bytes]) => ({
    path,
    size: bytes.length,
    read: () => Promise.resolve(bytes),
  }));
}

/** A finished meeting: two tracks, five segments, a gap, a new key, and what follows a close. */
export async function meeting(signer?: Signer): Promise<Writer> {
  const writer = await Writer.create(signer);
  await writer.begin();
  await writer.head();
  await writer.event(2, '{"state":"started"}');
  const audio = await writer.track('audio');
  const video = await writer.track('video');
  await writer.segment(audio, 3, 40);
  await writer.segment(video, 30, 1100, 1);
  await writer.head();
  await writer.segment(audio, 3, 50);
  writer.append(4, [audio, writer.now, writer.now + 500, 1]);
  await writer.event(3, '{"type":"turn_started","seq":7}');
  await writer.rotate();
  await writer.segment(video, 1, 10, 3);
  await writer.segment(audio, 2, 20, 2);
  writer.close();
  await writer.head();
  await writer.event(64, '{"opened":true}');
  await writer.head();
  return writer;
}

async function seal(key: Octets, context: Value, plain: Octets): Promise<Octets> {
  const salt = random(24);
  const label = text('c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0');
  const info = join(label, salt, cbor(context));
  const mac = await subtle.importKey(
    'raw',
    join(key, new Uint8Array(32)),
    { name: 'HMAC', hash: 'SHA-512' },
    false,
    ['sign'],
  );
  const one = new Uint8Array(await subtle.sign('HMAC', mac, join(info, Uint8Array.of(1))));
  const two = new Uint8Array(await subtle.sign('HMAC', mac, join(one, info, Uint8Array.of(2))));
  const material = join(one, two);
  const cipher = await subtle.importKey('raw', material.slice(0, 32), 'AES-GCM', false, [
    'encrypt',
  ]);
  const parts = [salt, material.slice(44, 76)];
  for (let chunk = 0; chunk * 16_384 <= plain.length; chunk += 1) {
    const iv = material.slice(32, 44);
    be64(chunk).forEach((octet, at) => (iv[4 + at] = (iv[4 + at] ?? 0) ^ octet));
    const piece = plain.slice(chunk * 16_384, (chunk + 1) * 16_384);
    parts.push(new Uint8Array(await subtle.encrypt({ name: 'AES-GCM', iv }, cipher, piece)));
  }
  return join(...parts);
}

function journal(packets: number, bytes: number): Octets {
  const records = Array.from({ length: packets }, () =>
    join(varint(bytes * 4), varint(20), new Uint8Array(bytes).fill(7)),
  );
  return join(
    Uint8Array.of(1),
    be64(1),
    varint((5 * 4) | 2),
    varint(0),
    new Uint8Array(5).fill(5),
    ...records,
  );
}

function varint(value: number): Octets {
  const octets: number[] = [];
  for (let left = value; ; left >>= 7) {
    if (left < 128) return Uint8Array.of(...octets, left);
    octets.push((left & 127) | 128);
  }
}
