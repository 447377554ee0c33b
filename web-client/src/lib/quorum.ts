import type { QuorumState } from '../generated/wire';

/** One of the two ways in which a quorum counts: people, or what they weigh. */
export interface QuorumPart {
  readonly of: 'heads' | 'weight';
  readonly present: number;
  readonly total: number;
  /** What is present of everything, 0 to 1. */
  readonly share: number;
  /** The share that the call needs, 0 to 1; null when this does not matter. */
  readonly needed: number | null;
}

/** The parts of a quorum; what decides it comes first. */
export function quorumParts(quorum: QuorumState): readonly [QuorumPart, QuorumPart] {
  const weight = part(
    'weight',
    Number(quorum.weight_present),
    Number(quorum.weight_total),
    quorum.weight_needed,
  );
  const heads = part('heads', quorum.heads_present, quorum.heads_total, quorum.heads_needed);
  return weight.needed === null && heads.needed !== null ? [heads, weight] : [weight, heads];
}

function part(
  of: QuorumPart['of'],
  present: number,
  total: number,
  needed: string | null,
): QuorumPart {
  return {
    of,
    present,
    total,
    share: total > 0 ? Math.min(1, present / total) : 0,
    needed: needed === null ? null : fraction(needed),
  };
}

/** A fraction such as `1/2` as a number; null when it is none. */
export function fraction(text: string): number | null {
  const [above, below] = text.split('/').map(Number);
  if (above === undefined || below === undefined || !(below > 0)) return null;
  const value = above / below;
  return Number.isFinite(value) ? value : null;
}

/**
 * A share in hundredths, rounded so that it never reaches a limit that it does
 * not reach: 49.998 % is not shown as the 50 % that would suffice.
 */
export function percentOf(share: number, needed: number | null): number {
  const rounded = Math.round(share * 10_000) / 100;
  const limit = needed === null ? null : needed * 100;
  if (limit === null) return rounded;
  if (share < (needed ?? 0) && rounded >= limit) return Math.floor(share * 10_000) / 100;
  if (share > (needed ?? 0) && rounded <= limit) return Math.ceil(share * 10_000) / 100;
  return rounded;
}
