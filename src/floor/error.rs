//! Why the floor refuses.

use crate::domain::error_code::ErrorCode;

/// A command was refused. Nothing has changed and no event follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FloorError {
    /// The list takes no requests.
    #[error("the speaking list is closed")]
    QueueClosed,
    /// The list holds [`ENTRIES_MAX`](super::ENTRIES_MAX) entries.
    #[error("the speaking list is full")]
    QueueFull,
    /// The person already has a live request of this kind.
    #[error("this person already waits with a request of this kind")]
    AlreadyWaiting,
    /// No live request has this id, or it is somebody else's.
    #[error("no such request")]
    RequestNotFound,
    /// The request is not approved yet, or already is.
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
    /// Not a permutation of exactly the entries that wait.
    #[error("the order does not name exactly the entries that wait")]
    OrderInvalid,
    /// The note is longer than [`NOTE_LENGTH_MAX`](super::NOTE_LENGTH_MAX).
    #[error("the note is too long")]
    NoteTooLong,
    /// The reason is longer than [`REASON_LENGTH_MAX`](super::REASON_LENGTH_MAX).
    #[error("the reason is too long")]
    ReasonTooLong,
    /// The id that was handed in already names a live request or turn.
    #[error("the identifier is in use")]
    IdInUse,
    /// The snapshot describes a floor that can't be; the text says which rule
    /// it breaks.
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
            // Ids and snapshots are this server's own: these are its defects.
            Self::IdInUse | Self::SnapshotInvalid(_) => ErrorCode::Internal,
        }
    }
}
