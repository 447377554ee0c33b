//! What can be refused, and with which code.

use crate::domain::error_code::ErrorCode;
use crate::domain::session::SessionStatus;
use crate::sessions::repository::RepositoryError;

/// One field that is refused, with the reason for the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldProblem {
    /// The field as the wire names it, members by a dot
    /// (`speaking.max_turn_s`).
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
    /// Values that are refused; every one of them is listed.
    #[error("{} of the fields cannot be taken", .0.len())]
    Invalid(Vec<FieldProblem>),
    /// The session is not in a state that allows this.
    #[error("a session that is {status} cannot {wanted}")]
    StateConflict {
        /// The state it is in.
        status: SessionStatus,
        /// What was wanted, as a verb phrase.
        wanted: &'static str,
    },
    /// The caller has seen an older version, or others keep changing the session.
    #[error("the session is at version {current} now")]
    VersionConflict {
        /// The version it has now.
        current: u64,
    },
    /// The tenant has as many active sessions as it may.
    #[error("the tenant already has {limit} active sessions, as many as it may")]
    LimitReached {
        /// How many it may have.
        limit: u32,
    },
    /// The repository failed.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
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
            Self::Repository(error) => error.code(),
        }
    }
}
