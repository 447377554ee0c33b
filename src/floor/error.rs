//! The errors of the floor.

use crate::domain::error_code::ErrorCode;

/// Why a command was refused. Nothing has changed and no event follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FloorError {
    /// The list accepts no requests.
    #[error("the speaking list is closed")]
    QueueClosed,
    /// The list has [`ENTRIES_MAX`](super::ENTRIES_MAX) entries.
    #[error("the speaking list is full")]
    QueueFull,
    /// The person already has a request of this kind.
    #[error("this person already waits with a request of this kind")]
    AlreadyWaiting,
    /// There is no request with this id, or it belongs to another person.
    #[error("no such request")]
    RequestNotFound,
    /// The request is not approved yet, or was approved already.
    #[error("the request is not in a state that allows this")]
    RequestStateConflict,
    /// Nobody waits.
    #[error("nobody waits")]
    QueueEmpty,
    /// Nobody holds the floor.
    #[error("nobody holds the floor")]
    NoTurn,
    /// The turn already runs, or is already paused.
    #[error("the turn is not in a state that allows this")]
    TurnStateConflict,
    /// [`STACKED_TURNS_MAX`](super::STACKED_TURNS_MAX) turns already wait for
    /// interposed questions to end.
    #[error("too many interposed questions are nested")]
    StackFull,
    /// The caller does not hold the floor.
    #[error("the caller does not hold the floor")]
    NotYourTurn,
    /// The turn would be longer than the policy allows.
    #[error("the turn would be longer than the session allows")]
    TurnLimitReached,
    /// A turn or an extension of less than a microsecond.
    #[error("a turn or an extension needs a length")]
    NoDuration,
    /// The order does not name exactly the waiting entries.
    #[error("the order does not name exactly the entries that wait")]
    OrderInvalid,
    /// The note is longer than [`NOTE_LENGTH_MAX`](super::NOTE_LENGTH_MAX).
    #[error("the note is too long")]
    NoteTooLong,
    /// The reason is longer than [`REASON_LENGTH_MAX`](super::REASON_LENGTH_MAX).
    #[error("the reason is too long")]
    ReasonTooLong,
    /// The given id already identifies a request or turn.
    #[error("the identifier is in use")]
    IdInUse,
    /// The snapshot is impossible; the text says which rule it violates.
    #[error("impossible snapshot of a floor: {0}")]
    SnapshotInvalid(&'static str),
}

impl FloorError {
    /// The stable code of this refusal.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::QueueClosed => ErrorCode::QueueClosed,
            Self::QueueFull => ErrorCode::QueueFull,
            Self::AlreadyWaiting => ErrorCode::AlreadyWaiting,
            Self::RequestNotFound => ErrorCode::RequestNotFound,
            Self::RequestStateConflict => ErrorCode::RequestStateConflict,
            Self::QueueEmpty => ErrorCode::QueueEmpty,
            Self::NoTurn => ErrorCode::NoTurn,
            Self::TurnStateConflict | Self::StackFull => ErrorCode::TurnStateConflict,
            Self::NotYourTurn => ErrorCode::NotYourTurn,
            Self::TurnLimitReached => ErrorCode::TurnLimitReached,
            Self::OrderInvalid => ErrorCode::OrderInvalid,
            Self::NoDuration | Self::NoteTooLong | Self::ReasonTooLong => {
                ErrorCode::UnprocessableRequest
            }
            // Ids and snapshots are made by this server, so these errors are its defects.
            Self::IdInUse | Self::SnapshotInvalid(_) => ErrorCode::Internal,
        }
    }
}
