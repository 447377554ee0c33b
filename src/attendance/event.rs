//! What attendance tells.

use crate::attendance::presence::Interval;
use crate::attendance::proof::{CoarseLocation, PresentedHash};
use crate::attendance::quorum::{QuorumChange, QuorumView};
use crate::domain::attendance::{AttendanceMethod, Place, QuorumCall, UnitId};
use crate::domain::id::UserId;

/// Something was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttendanceEvent {
    /// A person proved their presence, or a moderator registered them.
    Validated {
        /// Who.
        user_id: UserId,
        /// How.
        method: AttendanceMethod,
        /// Where they are.
        place: Place,
        /// Hash of what was presented, where one is kept.
        hash: Option<PresentedHash>,
        /// The moderator who registered them.
        by: Option<UserId>,
        /// Where they roughly were, when they agreed to say.
        location: Option<CoarseLocation>,
    },
    /// A person is present from here on.
    Entered {
        /// Who.
        user_id: UserId,
        /// The interval that begins.
        interval: Interval,
        /// The moderator who registered them, or took back that they left.
        by: Option<UserId>,
    },
    /// A person is no longer present.
    Left {
        /// Who.
        user_id: UserId,
        /// The interval that ended.
        interval: Interval,
        /// The moderator who said so.
        by: Option<UserId>,
    },
    /// Another eligible list says something else of a person who attends or attended.
    Corrected {
        /// Who.
        user_id: UserId,
    },
    /// A unit is represented by somebody else than its member.
    Delegated {
        /// The unit.
        unit: UnitId,
        /// Who represents it.
        delegate: UserId,
        /// The moderator who entered it; `None` when the eligible list says so.
        by: Option<UserId>,
    },
    /// A unit has no delegate any more.
    DelegationEnded {
        /// The unit.
        unit: UnitId,
        /// Who represented it.
        delegate: UserId,
        /// The moderator who ended it; `None` when the unit is not on the list
        /// any more.
        by: Option<UserId>,
    },
    /// The next call begins.
    CallBegan(QuorumCall),
    /// How many are present, of how many, or whether they are a quorum has
    /// changed.
    QuorumChanged(QuorumView),
    /// A quorum was reached or lost. Follows the `QuorumChanged` that shows it.
    QuorumTurned(QuorumChange),
}
