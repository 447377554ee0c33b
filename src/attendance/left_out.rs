#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! Delegations of an eligible list that do not hold.

use crate::attendance::error::AttendanceError;
use crate::domain::attendance::UnitId;
use crate::domain::id::UserId;
use crate::domain::named_values::named_values;

named_values!(
    /// Why a unit can't be delegated to somebody.
    LeftOutReason {
        /// No unit of the list has this id.
        UnitNotFound => "unit_not_found",
        /// The unit is the delegate's own.
        OwnUnit => "own_unit",
        /// The delegate is a part of the server.
        NotAPerson => "not_a_person",
        /// The unit already has another delegate.
        AlreadyDelegated => "already_delegated",
        /// The delegate represents as many units as the session allows.
        LimitReached => "limit_reached",
        /// The session has as many delegations as are kept.
        Full => "full",
    }
);

impl LeftOutReason {
    /// What entering the same delegation at the desk is refused with.
    #[must_use]
    pub const fn refusal(self) -> AttendanceError {
        match self {
            Self::UnitNotFound => AttendanceError::UnitNotFound,
            Self::OwnUnit => AttendanceError::OwnUnit,
            Self::NotAPerson => AttendanceError::NotEligible,
            Self::AlreadyDelegated => AttendanceError::AlreadyDelegated,
            Self::LimitReached => AttendanceError::DelegationLimitReached,
            Self::Full => AttendanceError::Full,
        }
    }
}

/// A delegation of an eligible list that was not entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// The unit.
    pub unit: UnitId,
    /// Who would have represented it.
    pub delegate: UserId,
    /// Why they do not.
    pub reason: LeftOutReason,
}
