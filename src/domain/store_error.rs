//! Why a store could not do what it was asked for.

use crate::domain::error_code::ErrorCode;

/// Why a store could not do what it was asked for. The traits of the stores say which of these
/// their methods return for which reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// What was to be written exists already with other contents, or was changed by another
    /// process; nothing was changed.
    #[error("another process has changed it")]
    Conflict,
    /// The write named a claim whose work has another owner now; nothing was changed.
    #[error("another instance has taken over this work")]
    Fenced,
    /// The database refuses what it was given, and would refuse it again; nothing was changed.
    #[error("the database refuses it: {0}")]
    Refused(String),
    /// The database contains, or was given, an impossible value; nothing was changed.
    #[error("the database contains an impossible value: {0}")]
    Corrupt(String),
    /// The database failed while it stored, so whether it has stored is not known.
    #[error("it is not known whether the database has stored it: {0}")]
    Unknown(String),
    /// The database does not answer, or can't do it now; nothing was changed.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
}

impl StoreError {
    /// The stable code of this failure.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Corrupt(_) => ErrorCode::Internal,
            Self::Conflict
            | Self::Fenced
            | Self::Refused(_)
            | Self::Unknown(_)
            | Self::Unavailable(_) => ErrorCode::DependencyUnavailable,
        }
    }
}
