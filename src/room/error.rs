//! The errors of a room.

use crate::attendance::AttendanceError;
use crate::domain::eligible_list::ListRefused;
use crate::domain::error_code::ErrorCode;
use crate::floor::FloorError;

/// Why a request was refused; nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RoomError {
    /// The member's roles do not allow it, or a moderator removed the person.
    #[error("this is not allowed")]
    Forbidden,
    /// The room has the most people that the session allows.
    #[error("the session has the highest number of participants allowed")]
    ParticipantLimitReached,
    /// The person has the most connections allowed
    /// ([`CONNECTIONS_PER_USER_MAX`](super::engine::CONNECTIONS_PER_USER_MAX)), and none that the new
    /// one may replace.
    #[error("this person has too many connections")]
    ConnectionLimitReached,
    /// There is no such person in the room.
    #[error("no such participant")]
    ParticipantNotFound,
    /// The participant is a part of the server, which can't be muted or have a turn.
    #[error("this participant is a part of the server, and can't be muted or given the floor")]
    NotAPerson,
    /// The subject of the decision has changed since the caller last saw it.
    #[error("what this decision is about has changed in the meantime; nothing was done")]
    DecisionStale,
    /// No decision that could be taken back has this id.
    #[error("no such action, or it can't be taken back")]
    ActionNotFound,
    /// The decision is older than [`UNDO_WINDOW`](super::engine::UNDO_WINDOW).
    #[error("it is too late to take this back")]
    UndoTooLate,
    /// Without this moderator nobody could admit people again.
    #[error("this is the last moderator in the room, who can't be removed")]
    LastModerator,
    /// A person or the room has sent too many messages or requests recently.
    #[error("too much at once; try again in a minute")]
    TooMuch,
    /// The recording is not in a state that allows this.
    #[error("the recording is not in a state that allows this")]
    RecordingStateConflict,
    /// This server was set up without a recorder.
    #[error("this server has no recorder")]
    RecorderAbsent,
    /// The room's events have no text with this number.
    #[error("the transcript has no text with this number")]
    ChunkNotFound,
    /// The engine of the tenant can't be told that this language is spoken, or there is none.
    #[error("speech in this language can't become text here")]
    LanguageUnsupported,
    /// Nobody could hear the person at that time, so there is nothing to write down.
    #[error("the person could not be heard at that time")]
    NotHeard,
    /// There is no such connection, or its resume token is not the newest one.
    #[error("there is nothing to resume")]
    NothingToResume,
    /// A text is too long or empty.
    #[error("{0}")]
    Unprocessable(&'static str),
    /// The speaking list refused.
    #[error(transparent)]
    Floor(#[from] FloorError),
    /// Attendance refuses.
    #[error(transparent)]
    Attendance(#[from] AttendanceError),
    /// The eligible list is not known, since what the service gave is not taken.
    #[error("the eligible list is refused: {0}")]
    ListRefused(ListRefused),
    /// The media plane refused.
    #[error("{message}")]
    Media {
        /// Its stable code.
        code: ErrorCode,
        /// Its message.
        message: String,
    },
    /// The decision could not be stored, so it was not made.
    #[error("the decision could not be stored; nothing has changed")]
    StoreUnavailable,
    /// The database failed while it stored the decision and has not recovered: whether it was
    /// stored is known when the room is open again.
    #[error("it is not known whether this was done; check again when the room is available")]
    OutcomeUnknown,
    /// There is no such session for this caller.
    #[error("no such session")]
    SessionNotFound,
    /// The session has not started.
    #[error("the session has not started")]
    SessionNotActive,
    /// The session has ended or was cancelled.
    #[error("the session is over")]
    SessionOver,
    /// Another provider carries the session's media.
    #[error("another provider carries the media of this session")]
    ProviderUnsupported,
    /// Another instance of the server has the room, with the people in it.
    #[error("another instance of this server has the room of this session")]
    Elsewhere,
    /// The room is closing or overloaded; trying again may succeed.
    #[error("the room can't be reached right now")]
    Unreachable,
}

impl RoomError {
    /// The stable code of this refusal.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Forbidden => ErrorCode::Forbidden,
            Self::ParticipantLimitReached | Self::ConnectionLimitReached => {
                ErrorCode::ParticipantLimitReached
            }
            Self::ParticipantNotFound => ErrorCode::ParticipantNotFound,
            Self::DecisionStale => ErrorCode::DecisionStale,
            Self::ActionNotFound => ErrorCode::ActionNotFound,
            Self::UndoTooLate => ErrorCode::UndoTooLate,
            Self::LastModerator => ErrorCode::LastModerator,
            Self::TooMuch => ErrorCode::RateLimited,
            Self::RecordingStateConflict => ErrorCode::RecordingStateConflict,
            Self::LanguageUnsupported => ErrorCode::LanguageUnsupported,
            Self::ChunkNotFound => ErrorCode::TranscriptChunkNotFound,
            Self::NothingToResume => ErrorCode::ResumeTokenInvalid,
            Self::Unprocessable(_) | Self::NotAPerson | Self::NotHeard => {
                ErrorCode::UnprocessableRequest
            }
            Self::Floor(error) => error.code(),
            Self::Attendance(error) => error.code(),
            Self::ListRefused(_) => ErrorCode::EligibleListRefused,
            Self::Media { code, .. } => *code,
            Self::StoreUnavailable
            | Self::OutcomeUnknown
            | Self::Unreachable
            | Self::RecorderAbsent => ErrorCode::DependencyUnavailable,
            Self::SessionNotFound => ErrorCode::SessionNotFound,
            Self::SessionNotActive => ErrorCode::SessionStateConflict,
            Self::SessionOver => ErrorCode::SessionOver,
            Self::ProviderUnsupported => ErrorCode::ProviderUnsupported,
            Self::Elsewhere => ErrorCode::RoomElsewhere,
        }
    }
}
