//! Why something about cameras was not done.

use crate::cameras::engine::policy::Denied;
use crate::cameras::engine::source::SourceInvalid;
use crate::domain::camera::StreamSessionStatus;
use crate::domain::error_code::ErrorCode;
use crate::domain::id::StreamId;
use crate::domain::store_error::StoreError;
use crate::vault::KeyVaultError;

/// Why something about cameras was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CameraError {
    /// The address is none.
    #[error("{0}")]
    SourceInvalid(#[from] SourceInvalid),
    /// The address leads to a network that is not allowed.
    #[error(
        "the address leads to a network that is not allowed; cameras.allowed_networks names those that are"
    )]
    SourceRefused,
    /// Its host can't be found.
    #[error("the host of the address is not found")]
    HostNotFound,
    /// Something else that was asked for can't be had.
    #[error("{field}: {problem}")]
    Unusable {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The tenant has no such camera.
    #[error("no such camera")]
    CameraNotFound,
    /// The tenant has as many cameras as it may.
    #[error("the tenant has as many cameras as it may: {0}")]
    CameraLimit(u32),
    /// This instance calls as many cameras, or has as many streams of sessions, as it may.
    #[error("this server has as many streams as it may: {0}")]
    StreamLimit(usize),
    /// This instance stops.
    #[error("this server stops; ask again")]
    Stopping,
    /// The tenant may have no streams, or has as many as it may.
    #[error("{}", denied_text(*.denied))]
    Denied {
        /// Which of both.
        denied: Denied,
        /// How many active streams it may have.
        max: u32,
    },
    /// The tenant has no such session.
    #[error("no such session")]
    WatchedNotFound,
    /// The session that is to be watched is over.
    #[error("the session is over")]
    WatchedOver,
    /// The session that is to be watched has not begun.
    #[error("the session has not begun")]
    WatchedNotBegun,
    /// The session may not be watched by people who are not in it.
    #[error("the session may not be watched live; its live_viewing says so")]
    WatchingOff,
    /// No such stream.
    #[error("no such stream")]
    StreamNotFound,
    /// The camera has an active stream.
    #[error("the camera has an active stream; stop it before another one is started")]
    StreamActive(StreamId),
    /// No such stream session.
    #[error("no such stream session")]
    SessionNotFound,
    /// The session is in a state from which this does not lead on.
    #[error("a session that is {0} can't be changed so")]
    Transition(StreamSessionStatus),
    /// The tenant has as many open captures as it may.
    #[error("the tenant has as many open captures as it may: {0}")]
    CaptureLimit(u32),
    /// As many devices publish as may, of the tenant or at this instance.
    #[error("as many devices publish as may")]
    PublisherLimit,
    /// The tenant's captures have as many bytes as they may.
    #[error("what the tenant's devices published has as many bytes as it may")]
    CapturesFull,
    /// No such capture session.
    #[error("no such capture session")]
    CaptureNotFound,
    /// The capture session is known with other contents.
    #[error("{0}")]
    CaptureConflict(&'static str),
    /// Somebody else changed it again and again meanwhile.
    #[error("somebody else changes this at the same time")]
    Contended,
    /// The sealed address can't be opened: its key was destroyed.
    #[error("the address of the camera can't be opened any more; provision it again")]
    SecretLost,
    /// The keys do not answer.
    #[error("the keys are unavailable: {0}")]
    Keys(String),
    /// The vault does not answer.
    #[error("what was published is unavailable: {0}")]
    Vault(String),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

const fn denied_text(denied: Denied) -> &'static str {
    match denied {
        Denied::NotEntitled => "the tenant may have no streams",
        Denied::LimitReached => "the tenant has as many active streams as it may",
    }
}

impl CameraError {
    /// The stable code of this refusal.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::SourceInvalid(_) => ErrorCode::CameraSourceInvalid,
            Self::SourceRefused => ErrorCode::CameraSourceRefused,
            Self::HostNotFound | Self::Unusable { .. } | Self::SecretLost => {
                ErrorCode::UnprocessableRequest
            }
            Self::CameraNotFound => ErrorCode::CameraNotFound,
            Self::CameraLimit(_) => ErrorCode::CameraLimitReached,
            Self::Denied { denied: Denied::NotEntitled, .. } => ErrorCode::StreamNotEntitled,
            Self::Denied { denied: Denied::LimitReached, .. } => ErrorCode::StreamLimitReached,
            Self::WatchedNotFound => ErrorCode::SessionNotFound,
            Self::WatchedOver => ErrorCode::SessionOver,
            Self::WatchedNotBegun => ErrorCode::SessionStateConflict,
            Self::WatchingOff => ErrorCode::LiveViewingOff,
            Self::StreamNotFound => ErrorCode::StreamNotFound,
            Self::StreamActive(_) => ErrorCode::StreamAlreadyActive,
            Self::SessionNotFound => ErrorCode::StreamSessionNotFound,
            Self::Transition(_) => ErrorCode::SessionTransitionInvalid,
            Self::CaptureLimit(_) | Self::PublisherLimit | Self::CapturesFull => {
                ErrorCode::CaptureLimitReached
            }
            Self::CaptureNotFound => ErrorCode::CaptureSessionNotFound,
            Self::CaptureConflict(_) => ErrorCode::CaptureSessionConflict,
            Self::Contended
            | Self::StreamLimit(_)
            | Self::Stopping
            | Self::Keys(_)
            | Self::Vault(_) => ErrorCode::DependencyUnavailable,
            Self::Store(error) => error.code(),
        }
    }
}

impl From<KeyVaultError> for CameraError {
    fn from(error: KeyVaultError) -> Self {
        match error {
            KeyVaultError::NoSuchKey | KeyVaultError::NotAuthentic => Self::SecretLost,
            KeyVaultError::Unavailable(reason) => Self::Keys(reason),
        }
    }
}
