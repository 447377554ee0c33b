// As much CBOR (RFC 8949) as docs/EVIDENCE.md uses, to read what was exported.

function item(bytes, at) {
  const [major, short] = [bytes[at] >> 5, bytes[at] & 31];
  let value = short;
  let next = at + 1;
  if (short >= 24 && short <= 27) {
    const length = 2 ** (short - 24);
    value = 0;
    for (const byte of bytes.subarray(next, next + length)) value = value * 256 + byte;
    next += length;
  } else if (short > 27) {
    throw new Error(`not deterministic at ${at}`);
  }
  return { major, value, next };
}

function read(bytes, at) {
  const { major, value, next } = item(bytes, at);
  const several = (count) => {
    const found = [];
    let from = next;
    for (let index = 0; index < count; index += 1) {
      const [one, after] = read(bytes, from);
      found.push(one);
      from = after;
    }
    return [found, from];
  };
  switch (major) {
    case 0:
      return [value, next];
    case 1:
      return [-1 - value, next];
    case 2:
      return [bytes.subarray(next, next + value), next + value];
    case 3:
      return [bytes.toString('utf8', next, next + value), next + value];
    case 4:
      return several(value);
    case 5: {
      const [all, after] = several(value * 2);
      return [
        new Map(Array.from({ length: value }, (_, n) => [all[n * 2], all[n * 2 + 1]])),
        after,
      ];
    }
    case 6: {
      const [inside, after] = read(bytes, next);
      return [{ tag: value, value: inside }, after];
    }
    default:
      if (value === 22) return [null, next];
      throw new Error(`a simple value ${value} at ${at}`);
  }
}

/** Every item of a CBOR sequence (RFC 8742). */
export function sequence(bytes) {
  const found = [];
  for (let at = 0; at < bytes.length;) {
    const [value, next] = read(bytes, at);
    found.push(value);
    at = next;
  }
  return found;
}

/** 16 bytes as they stand in JSON and paths. */
export const uuid = (bytes) =>
  bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');

const KINDS = ['genesis', 'track', 'segment', 'event', 'gap', 'erasure', 'key', 'close'];

/** The entries of a bundle's `entries.cborseq` by the names of docs/EVIDENCE.md. */
export function entries(bytes) {
  return sequence(bytes).map(([, kind, seq, tMs, body]) => {
    const common = { kind: KINDS[kind], seq, tMs, body };
    if (kind === 1) return { ...common, track: uuid(body[0]), media: body[1], codec: body[2] };
    if (kind === 2) {
      const [fromMs, toMs] = body[8];
      return {
        ...common,
        track: uuid(body[0]),
        index: body[1],
        size: body[4],
        fromMs,
        toMs,
        flags: body[9],
      };
    }
    if (kind === 3) return { ...common, etype: body[0] };
    if (kind === 4) {
      return { ...common, track: uuid(body[0]), fromMs: body[1], toMs: body[2], reason: body[3] };
    }
    if (kind === 5) return { ...common, target: body[0], reason: body[1] };
    return common;
  });
}
