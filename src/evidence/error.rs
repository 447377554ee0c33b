//! The errors of the evidence module.

use crate::domain::store_error::StoreError;
use crate::vault::KeyVaultError;

/// Why a request to a log was refused or failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// The session has no log.
    #[error("the session has no log")]
    NoLog,
    /// The log is closed and accepts only kinds that may follow the close.
    #[error("the log is closed")]
    Closed,
    /// The log has as many entries or tracks as it may have.
    #[error("the log is full")]
    Full,
    /// The text is longer than an event may be.
    #[error("the text is longer than {} bytes", super::TEXT_BYTES_MAX)]
    TooLarge,
    /// The key that is needed was destroyed.
    #[error("the requested contents were erased")]
    Erased,
    /// The log has no such track.
    #[error("the log has no such track")]
    TrackUnknown,
    /// The log has the track already, with another subject.
    #[error("the track is in the log already, with another subject")]
    TrackConflict,
    /// The segment is not the next one of its track, or the stated last segments are not in the
    /// log.
    #[error("the segment does not continue its track; the log has {taken} of it")]
    OutOfOrder {
        /// Number of segments of the track in the log.
        taken: u64,
    },
    /// There is no entry of the required kind at that `seq`.
    #[error("there is no such entry at {0}")]
    EntryNotFound(u64),
    /// No head of the log is signed yet.
    #[error("the log has no signed head yet")]
    NoHead,
    /// No head covers the requested entry yet.
    #[error("no head covers {0}")]
    NotCovered(u64),
    /// The request names more entries than one proof may have.
    #[error("a proof takes at most {} entries", super::PROOF_SEQS_MAX)]
    TooMany,
    /// The work of the caller has another owner now.
    #[error("another instance has taken over the work on this log")]
    Fenced,
    /// Temporarily unavailable; trying again later may succeed.
    #[error("evidence is unavailable: {0}")]
    Unavailable(String),
    /// The store refused the entry each time, so it was given up; the log goes on without it.
    #[error("the store of logs refuses the entry: {0}")]
    Refused(String),
    /// The stored log contradicts its signed heads; no further head is signed.
    #[error("the stored log contradicts its signed heads: {0}")]
    Integrity(&'static str),
    /// The key that must sign is not in the key directory.
    #[error("the evidence key that this log needs is not in the key directory")]
    KeyMissing,
    /// The server is stopping.
    #[error("the server is stopping")]
    Stopping,
}

impl From<StoreError> for EvidenceError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Fenced => Self::Fenced,
            StoreError::Refused(why) => Self::Refused(why),
            StoreError::Unavailable(why) => Self::Unavailable(why),
            StoreError::Conflict | StoreError::Corrupt(_) | StoreError::Unknown(_) => {
                Self::Unavailable(error.to_string())
            }
        }
    }
}

impl From<KeyVaultError> for EvidenceError {
    fn from(error: KeyVaultError) -> Self {
        match error {
            KeyVaultError::NoSuchKey => Self::Erased,
            KeyVaultError::NotAuthentic => {
                Self::Integrity("the wrapped key of its events is not authentic")
            }
            KeyVaultError::Unavailable(why) => Self::Unavailable(why),
        }
    }
}
