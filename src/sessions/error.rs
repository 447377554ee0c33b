//! The errors of the sessions module, and their codes.

use crate::domain::error_code::ErrorCode;
use crate::domain::session::SessionStatus;
use crate::domain::store_error::StoreError;
use crate::sessions::meetings::MeetingError;

/// A field that was refused, with the reason for the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldProblem {
    /// The field as in the JSON body, members with a dot (`speaking.max_turn_s`).
    pub field: &'static str,
    /// What is wrong with it.
    pub problem: String,
}

impl FieldProblem {
    pub(crate) fn new(field: &'static str, problem: impl Into<String>) -> Self {
        Self { field, problem: problem.into() }
    }
}

/// Why a request about a session was refused. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// The tenant has no such session.
    #[error("no such session")]
    NotFound,
    /// Some values are refused; all of them are listed.
    #[error("{} of the fields are not valid", .0.len())]
    Invalid(Vec<FieldProblem>),
    /// The session is not in a state that allows this.
    #[error("a session that is {status} cannot {wanted}")]
    StateConflict {
        /// The state it is in.
        status: SessionStatus,
        /// The requested change, as a verb phrase.
        wanted: &'static str,
    },
    /// The caller names an older version, or others keep changing the session.
    #[error("the session is at version {current} now")]
    VersionConflict {
        /// The version it has now.
        current: u64,
    },
    /// The tenant has the most active sessions that it may have.
    #[error("the tenant already has {limit} active sessions and may have no more")]
    LimitReached {
        /// How many it may have.
        limit: u32,
    },
    /// The tenant may not use the platform at the moment.
    #[error("the tenant is suspended")]
    TenantSuspended,
    /// The meeting that carries its media can't be made.
    #[error(transparent)]
    Meeting(#[from] MeetingError),
    /// The repository failed.
    #[error(transparent)]
    Repository(#[from] StoreError),
}

impl SessionError {
    /// The stable code of this refusal.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::NotFound => ErrorCode::SessionNotFound,
            Self::Invalid(_) => ErrorCode::UnprocessableRequest,
            Self::StateConflict { .. } => ErrorCode::SessionStateConflict,
            Self::VersionConflict { .. } => ErrorCode::VersionConflict,
            Self::LimitReached { .. } => ErrorCode::SessionLimitReached,
            Self::TenantSuspended => ErrorCode::TenantSuspended,
            Self::Meeting(error) => error.code(),
            Self::Repository(error) => error.code(),
        }
    }
}
