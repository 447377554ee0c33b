//! Meetings at other providers that carry the media of sessions.

use std::time::Duration;

use async_trait::async_trait;

use crate::domain::error_code::ErrorCode;
use crate::domain::id::SessionId;
use crate::domain::session::{Provider, Session};
use crate::domain::time::Timestamp;

/// A meeting that exists at a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meeting {
    /// The session it was made for. It is another one than was asked for when the
    /// same request had made a meeting before.
    pub session: SessionId,
    /// Where people join it.
    pub url: String,
}

/// Makes meetings at other providers.
#[async_trait]
pub trait MeetingMaker: Send + Sync {
    /// Makes the meeting of a session, or finds the one that was made before.
    /// `origin` is a hash of the request that wants it: the same request again gets
    /// the same meeting, although its session has another id.
    async fn make(
        &self,
        session: &Session,
        origin: Option<[u8; 32]>,
        now: Timestamp,
    ) -> Result<Meeting, MeetingError>;
}

/// Why there is no meeting. The caller may try again, except where the provider is
/// not configured or refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MeetingError {
    /// This installation has no account there.
    #[error("this installation can't make meetings with {0}")]
    NotConfigured(Provider),
    /// The provider does not answer usably, or another instance is asking it.
    #[error("{provider} does not answer: {reason}")]
    Unavailable {
        /// Which provider.
        provider: Provider,
        /// What happened, without anything of its answer.
        reason: String,
        /// After how long another try makes sense.
        retry_after: Duration,
    },
    /// The provider refuses our account, or what we ask for.
    #[error("{provider} refuses: {reason}")]
    Refused {
        /// Which provider.
        provider: Provider,
        /// Status and code of its refusal.
        reason: String,
    },
    /// The provider takes no more requests for a while.
    #[error("{provider} takes no more requests for now")]
    LimitReached {
        /// Which provider.
        provider: Provider,
        /// After how long another try makes sense.
        retry_after: Duration,
    },
    /// It could not be stored what is asked of the provider, so nothing was asked.
    #[error("meetings can't be stored: {0}")]
    Unstored(String),
}

impl MeetingError {
    /// The stable code of this refusal.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::NotConfigured(_) => ErrorCode::ProviderNotConfigured,
            Self::Unavailable { .. } => ErrorCode::ProviderUnavailable,
            Self::Refused { .. } => ErrorCode::ProviderRefused,
            Self::LimitReached { .. } => ErrorCode::ProviderLimitReached,
            Self::Unstored(_) => ErrorCode::DependencyUnavailable,
        }
    }

    /// After how long another try makes sense.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable { retry_after, .. } | Self::LimitReached { retry_after, .. } => {
                Some(*retry_after)
            }
            Self::Unstored(_) => Some(Duration::from_secs(1)),
            // Somebody has to change the account first, but then it works.
            Self::Refused { .. } => Some(Duration::from_mins(1)),
            Self::NotConfigured(_) => None,
        }
    }
}
