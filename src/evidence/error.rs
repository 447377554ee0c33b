//! What this station refuses.

use crate::evidence::repository::EvidenceStoreError;
use crate::vault::KeyVaultError;

/// Evidence could not be taken or given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// The session has no log.
    #[error("the session has no log")]
    NoLog,
    /// The log is closed, and takes only what may follow.
    #[error("the log is closed")]
    Closed,
    /// The log has as many entries or tracks as it may.
    #[error("the log is full")]
    Full,
    /// The text is longer than a log takes.
    #[error("the text is longer than {} bytes", super::TEXT_BYTES_MAX)]
    TooLarge,
    /// The key that this needs was destroyed.
    #[error("what is asked for was erased")]
    Erased,
    /// The log knows no such track.
    #[error("the log has no such track")]
    TrackUnknown,
    /// The track is in the log already, for another person.
    #[error("the track is in the log already, with another subject")]
    TrackConflict,
    /// The segment does not continue its track, or the tails name segments that
    /// are not in the log.
    #[error("the segment does not continue its track; the log has {taken} of it")]
    OutOfOrder {
        /// Segments of the track in the log.
        taken: u64,
    },
    /// There is no entry of the kind that this needs at that `seq`.
    #[error("there is no such entry at {0}")]
    EntryNotFound(u64),
    /// No head covers what is asked for.
    #[error("no head covers {0}")]
    NotCovered(u64),
    /// More is asked for than one proof takes.
    #[error("a proof takes at most {} entries", super::PROOF_SEQS_MAX)]
    TooMany,
    /// The caller's work has another owner by now.
    #[error("another instance has taken over the work on this log")]
    Fenced,
    /// Not now; trying again later may work.
    #[error("evidence is unavailable: {0}")]
    Unavailable(String),
    /// What is stored contradicts what was signed; no further head is signed.
    #[error("the stored log contradicts what was signed: {0}")]
    Integrity(&'static str),
    /// The key that has to sign is not in the key directory.
    #[error("the evidence key that this log needs is not here")]
    KeyMissing,
    /// The server is stopping.
    #[error("the server is stopping")]
    Stopping,
}

impl From<EvidenceStoreError> for EvidenceError {
    fn from(error: EvidenceStoreError) -> Self {
        match error {
            EvidenceStoreError::Fenced => Self::Fenced,
            EvidenceStoreError::Unavailable(why) => Self::Unavailable(why),
            EvidenceStoreError::Conflict => Self::Unavailable(error.to_string()),
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
