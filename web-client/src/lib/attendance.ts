import type { Told, Welcome } from '../generated/wire';

/** The quorum as it stands, as the channel and the REST API show it. */
export interface Quorum {
  /** The call that counts: `first` or `second`. */
  readonly call: string;
  readonly heads_present: number;
  readonly heads_total: number;
  /** Weight of the units that are represented, a decimal number. */
  readonly weight_present: string;
  readonly weight_total: string;
  /** Share of the members that the call needs, such as `1/2`; null when it does not matter. */
  readonly heads_needed: string | null;
  readonly weight_needed: string | null;
  /** `at_least` or `more_than` these shares. */
  readonly comparison: string;
  readonly reached: boolean;
  /** Since when it is, or is not any more. */
  readonly since: string | null;
  /** Whether the eligible list is known. Without it nobody counts. */
  readonly roll_known: boolean;
  /** Whether it was reached or lost by this very change. */
  readonly turned: boolean;
}

/** What became of somebody's presence. */
export interface AttendanceChange {
  /** `validated`, `entered` or `left`. */
  readonly change: string;
  readonly user_id: string;
  readonly name: string;
  readonly present: boolean;
  readonly method: string;
  readonly place: string;
  readonly cause: string | null;
  readonly by: string | null;
  readonly weight: string;
}

/** A unit is represented by somebody else than its member, or no longer. */
export interface DelegationChange {
  readonly unit: string;
  readonly delegate: string;
  readonly represented: boolean;
  readonly by: string | null;
}

/** Everything that a room tells, attendance included. */
export type RoomEvent =
  | Told
  | ({ readonly seq: number; readonly at: string } & (
      | ({ readonly type: 'attendance_changed' } & AttendanceChange)
      | ({ readonly type: 'delegation_changed' } & DelegationChange)
      | ({ readonly type: 'quorum_changed' } & Quorum)
    ));

/** The welcome of a server that may count attendance. */
export type Welcomed = Omit<Welcome, 'quorum'> & { readonly quorum: Quorum | null };

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
export interface QuorumNow extends Quorum {
  readonly history: readonly QuorumChange[];
}

/** The path of a session's attendance. */
export function attendancePath(session: string, rest = ''): string {
  return `/api/v1/sessions/${encodeURIComponent(session)}/attendance${rest}`;
}
