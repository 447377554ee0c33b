import type { QuorumState } from '../generated/wire';

/** A span of being present. */
export interface PresenceInterval {
  readonly from: string;
  /** Null while it lasts. */
  readonly until: string | null;
  readonly method: string;
  readonly place: string;
  readonly cause: string | null;
}

/** Somebody's presence, as the REST API shows it. */
export interface Attendee {
  readonly user_id: string;
  readonly name: string;
  readonly eligible: boolean;
  readonly present: boolean;
  readonly method: string | null;
  readonly place: string | null;
  /** Weight of their own units, a decimal number. */
  readonly weight: string;
  readonly units: readonly { readonly id: string; readonly weight: string }[];
  /** Units of others that they represent. */
  readonly represents: readonly string[];
  readonly intervals: readonly PresenceInterval[];
  readonly earlier_intervals: number;
  readonly present_s: number;
  /** What the desk decided last about them; null when there is nothing to take back. */
  readonly decision: { readonly id: string; readonly action: 'register' | 'mark_left' } | null;
}

/** What the server answers about somebody, and the number of the newest event that it knows of. */
export interface AttendeeAnswer extends Attendee {
  readonly last_seq: number;
}

/** A unit and who represents it at the moment. */
export interface EligibleUnit {
  readonly id: string;
  readonly weight: string;
  readonly represented_by: string | null;
}

/** Somebody who may attend in their own right. */
export interface EligiblePerson {
  readonly user_id: string;
  readonly name: string;
  readonly weight: string;
  readonly units: readonly EligibleUnit[];
  readonly present: boolean;
  readonly method: string | null;
}

/** A page of a list. */
export interface Page<Item> {
  readonly items: readonly Item[];
  readonly next_cursor: string | null;
}

/** A page of the eligible list. */
export interface EligiblePage extends Page<EligiblePerson> {
  /** Members on the whole list. */
  readonly total: number;
  /** Which list it is; null while none is known. */
  readonly sha256: string | null;
}

/** A quorum was reached or lost. */
export interface QuorumChange {
  readonly at: string;
  readonly call: string;
  readonly reached: boolean;
  readonly heads_present: number;
  readonly weight_present: string;
}

/** The quorum and its past, the oldest change first. */
export interface QuorumNow extends QuorumState {
  readonly history: readonly QuorumChange[];
}

/** The path of a session's attendance. */
export function attendancePath(session: string, rest = ''): string {
  return `/api/v1/sessions/${encodeURIComponent(session)}/attendance${rest}`;
}
