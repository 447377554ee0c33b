import type { ProofSource } from '../../lib';
import { ApiError } from '../../lib';
import { statedHead } from '../../verify/stated';

type Bytes = Uint8Array<ArrayBuffer>;

/** Most saved heads of which a record has to show that it continues them: a request each. */
const HEADS_MAX = 16;
/** How often it is begun anew because the record grew meanwhile. */
const TRIES_MAX = 3;

/**
 * The public proof of a session with a receipt from each head in some saved files. The
 * server gives one receipt at a time, so the receipts of several answers are put together.
 */
export async function proofContinuing(
  source: Pick<ProofSource, 'proof'>,
  session: string,
  held: readonly Bytes[],
): Promise<Bytes> {
  const [first = null, ...others] = sizesOf(held);
  let proof = await proofFrom(source, session, first);
  for (let attempt = 0; others.length > 0 && attempt < TRIES_MAX; attempt += 1) {
    const more = await Promise.all(others.map((size) => proofFrom(source, session, size)));
    const head = statedHead(proof)?.cose;
    if (more.every((one) => statedHead(one)?.cose === head)) return joined(proof, more);
    proof = await proofFrom(source, session, first);
  }
  return proof;
}

async function proofFrom(
  source: Pick<ProofSource, 'proof'>,
  session: string,
  size: number | null,
): Promise<Bytes> {
  try {
    return await source.proof(session, size, [0]);
  } catch (error) {
    // A log that is shorter than it was gives no receipt; its proof shows that it is.
    const shorter = size !== null && error instanceof ApiError && error.status === 422;
    if (!shorter) throw error;
    return source.proof(session, null, [0]);
  }
}

/** The sizes of all heads in some files; what can't be read is refused by the verifier. */
function sizesOf(held: readonly Bytes[]): number[] {
  const heads = held.flatMap((bytes) => {
    const { heads: stated } = documentOf(bytes);
    return Array.isArray(stated) ? stated.filter((one) => typeof one === 'string') : [];
  });
  const sizes = heads.flatMap((cose) => statedHead(cose)?.treeSize ?? []);
  return [...new Set(sizes)].slice(0, HEADS_MAX);
}

function joined(proof: Bytes, others: readonly Bytes[]): Bytes {
  const document = documentOf(proof);
  const receipts = [proof, ...others].flatMap((one) => {
    const { consistency } = documentOf(one);
    return Array.isArray(consistency) ? (consistency as unknown[]) : [];
  });
  const text = JSON.stringify({ ...document, consistency: [...new Set(receipts)] });
  return new TextEncoder().encode(text);
}

function documentOf(bytes: Bytes): Partial<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return typeof value === 'object' && value !== null ? value : {};
  } catch {
    return {};
  }
}
