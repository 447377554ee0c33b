/** What can be wrong, as docs/EVIDENCE.md names it. */
export const CODES = [
  'MALFORMED',
  'NOT_CANONICAL',
  'TOO_LARGE',
  'UNKNOWN_KEY',
  'SIGNATURE_INVALID',
  'HEADER_INVALID',
  'ROOT_MISMATCH',
  'RECEIPT_INVALID',
  'CONSISTENCY_INVALID',
  'FORKED_LOG',
  'TRUNCATED_LOG',
  'SEQUENCE_INVALID',
  'WRONG_SESSION',
  'CHAIN_BROKEN',
  'OBJECT_MISSING',
  'OBJECT_CHANGED',
  'OBJECT_UNKNOWN',
  'SEGMENT_MISSING',
  'WRONG_KEY',
  'DECRYPTION_FAILED',
  'DISCLOSURE_INVALID',
  'NOT_CLOSED',
  'ERASURE_INVALID',
  'OPERATOR_LOG_INVALID',
  'TIME_UNACCOUNTED',
] as const;
export type Code = (typeof CODES)[number];

/** Where something is wrong; nothing in it names a person. */
export interface Place {
  /** The file it is in, or the part of the proof. */
  readonly file?: string | undefined;
  /** Leaf index of the entry. */
  readonly entry?: number | undefined;
  /** Tree size of the head. */
  readonly head?: number | undefined;
  /** Id of the track. */
  readonly track?: string | undefined;
  /** Index of the segment in its track. */
  readonly segment?: number | undefined;
  /** Milliseconds since 1970 by the server's clock. */
  readonly fromMs?: number | undefined;
  readonly toMs?: number | undefined;
}

/** One thing that is wrong. */
export interface Problem {
  readonly code: Code;
  readonly place: Place;
  /** For experts, in English. */
  readonly detail: string;
}

/** Thrown by the parts of the verifier on anything that they refuse. */
export class Refused extends Error {
  override readonly name = 'Refused';

  constructor(
    readonly code: Code,
    readonly detail: string,
  ) {
    super(`${code}: ${detail}`);
  }
}

/** Refuses unless `holds`. */
export function demand(holds: boolean, code: Code, detail: string): asserts holds {
  if (!holds) throw new Refused(code, detail);
}
