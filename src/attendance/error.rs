//! Why attendance refuses.

use crate::attendance::engine::{DELEGATIONS_MAX, PEOPLE_MAX, PRESENTED_MAX};
use crate::domain::error_code::ErrorCode;

/// A command was refused. Nothing has changed and no event follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AttendanceError {
    /// The eligible list has not been received yet.
    #[error("the eligible list is not known yet")]
    RollUnknown,
    /// The person is on no eligible list and represents nobody who is.
    #[error("this person is not eligible")]
    NotEligible,
    /// What was presented was presented before.
    #[error("what was presented was used before")]
    Replayed,
    /// The person is not present.
    #[error("this person is not present")]
    NotPresent,
    /// Something else was decided about the person since, or the decision changed nothing.
    #[error("this decision is not the newest one about this person")]
    DecisionStale,
    /// No unit of the eligible list has this id.
    #[error("no such unit")]
    UnitNotFound,
    /// The unit already has a delegate.
    #[error("this unit is already delegated")]
    AlreadyDelegated,
    /// The unit has no delegate.
    #[error("this unit is not delegated")]
    NotDelegated,
    /// The delegate is the member whose unit it is.
    #[error("a member does not need a delegation for their own unit")]
    OwnUnit,
    /// The delegate represents as many units as the session allows.
    #[error("this person represents as many units as the session allows")]
    DelegationLimitReached,
    /// The session has no second call, or it has begun already.
    #[error("the session has no second call, or it has begun already")]
    CallConflict,
    /// The session is over.
    #[error("the session is over")]
    Over,
    /// [`PEOPLE_MAX`] people, [`PRESENTED_MAX`] proofs or [`DELEGATIONS_MAX`]
    /// delegations are kept.
    #[error(
        "the session keeps at most {PEOPLE_MAX} people, {PRESENTED_MAX} proofs and {DELEGATIONS_MAX} delegations"
    )]
    Full,
    /// The snapshot describes an attendance that can't be; the text says which
    /// rule it breaks.
    #[error("impossible snapshot of an attendance: {0}")]
    SnapshotInvalid(&'static str),
}

impl AttendanceError {
    /// The stable code of this refusal.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::RollUnknown => ErrorCode::EligibleListUnknown,
            Self::NotEligible => ErrorCode::NotEligible,
            Self::Replayed => ErrorCode::ProofReplayed,
            Self::NotPresent => ErrorCode::NotPresent,
            Self::DecisionStale => ErrorCode::DecisionStale,
            Self::UnitNotFound => ErrorCode::UnitNotFound,
            Self::AlreadyDelegated | Self::NotDelegated | Self::OwnUnit => {
                ErrorCode::DelegationConflict
            }
            Self::DelegationLimitReached => ErrorCode::DelegationLimitReached,
            Self::CallConflict => ErrorCode::QuorumCallConflict,
            Self::Over => ErrorCode::SessionOver,
            Self::Full => ErrorCode::AttendanceFull,
            Self::SnapshotInvalid(_) => ErrorCode::Internal,
        }
    }
}
