//! What is told of attendance and of the quorum.

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

/// What became of somebody's presence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct AttendanceView {
    /// `validated`: they proved that they are present or were registered;
    /// `entered`; `left`; `corrected`: another eligible list gives them another name or weight.
    pub change: String,
    /// Who.
    pub user_id: String,
    /// Their name: as the eligible list has it, or else their access token.
    pub name: String,
    /// Whether they are present now. Who proved it and is not connected to the
    /// room is present once they are.
    pub present: bool,
    /// How it is known: `qr`, `biometric`, `code`, `manual` or `channel`.
    pub method: String,
    /// `hall` or `remote`.
    pub place: String,
    /// Why they left: `marked_left`, `taken_back`, `disconnected` or
    /// `proof_required`.
    pub cause: Option<String>,
    /// The moderator who registered them or marked them as left.
    pub by: Option<String>,
    /// Weight of their own units, a decimal number.
    pub weight: String,
}

/// A delegation of the eligible list that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, TS, ToSchema)]
#[schema(as = DelegationLeftOut)]
pub struct LeftOutView {
    /// The unit.
    pub unit: String,
    /// Who would have represented it.
    pub user_id: String,
    /// Their name; empty when nobody said it.
    pub name: String,
    /// Why: `unit_not_found`, `own_unit`, `not_a_person`, `already_delegated`, `limit_reached` or
    /// `full`.
    pub reason: String,
    /// The code that entering it at the desk is refused with.
    pub code: String,
    /// The same in words, for whoever makes the client.
    pub message: String,
}

/// An eligible list that the service gave and that is not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, TS, ToSchema)]
pub struct ListRefusedView {
    /// Why: `member_twice`, `unit_twice`, `member_invalid`, `unit_invalid`, `weight_invalid`,
    /// `not_a_person`, `delegation_invalid`, `too_long` or `unreadable`.
    pub reason: String,
    /// Which member of the list it is about, or which delegation, from 1.
    pub row: Option<u32>,
    /// The member or delegate, when their id is valid.
    pub user_id: Option<String>,
    /// The unit, when its id is valid.
    pub unit: Option<String>,
    /// The same in words, for whoever makes the client.
    pub message: String,
}

/// Which eligible list is known, and what of it does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, TS, ToSchema)]
pub struct EligibleListView {
    /// SHA-256 of the list in hexadecimal, as the log has it; null while none is known.
    pub sha256: Option<String>,
    /// Why nobody is on the list yet, when the service gave one that is not taken.
    pub refused: Option<ListRefusedView>,
    /// Delegations of the list that do not hold, at most 50.
    pub delegations_left_out: Vec<LeftOutView>,
    /// How many there are.
    pub delegations_left_out_total: u32,
}

/// The quorum as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct QuorumState {
    /// The call that counts: `first` or `second`.
    pub call: String,
    /// Members who are present or of whose units one is represented.
    pub heads_present: u32,
    /// Members on the eligible list.
    pub heads_total: u32,
    /// Weight of the units that are represented, a decimal number.
    pub weight_present: String,
    /// Weight of all units.
    pub weight_total: String,
    /// Share of the members that the call needs, such as `1/2`; null when their
    /// number does not matter.
    pub heads_needed: Option<String>,
    /// Share of the weight that the call needs.
    pub weight_needed: Option<String>,
    /// `at_least` or `more_than` these shares.
    pub comparison: String,
    /// Whether it is a quorum.
    pub reached: bool,
    /// Since when it is, or is not any more, RFC 3339; null when that never
    /// changed.
    pub since: Option<String>,
    /// Whether the eligible list is known. Without it nobody counts.
    pub roll_known: bool,
    /// Whether it was reached or lost by this very change.
    pub turned: bool,
}
