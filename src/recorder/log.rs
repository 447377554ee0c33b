//! What the recorder needs of a session's log.

use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::claim::Fence;
use crate::domain::id::SessionKey;
use crate::evidence::media::MediaEntry;

/// The log could not take an entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecorderLogError {
    /// Not now; trying again later may work. It may have been taken all the
    /// same.
    #[error("the log is unavailable: {0}")]
    Unavailable(String),
    /// The recorder's claim on the session has another owner by now.
    #[error("another instance has taken over the recording")]
    Fenced,
    /// Trying again will not help until somebody changes something.
    #[error("the log refuses: {0}")]
    Refused(String),
}

/// What the recorder tells the log of a session.
#[async_trait]
pub trait RecorderLog: Send + Sync {
    /// The same logs for the owner of a recording: every entry names `fence`,
    /// and is [`RecorderLogError::Fenced`] once the recording has another owner.
    fn fenced(self: Arc<Self>, fence: Fence) -> Arc<dyn RecorderLog>;

    /// Appends an entry; it is on stable storage when the call returns. Yields
    /// its `seq`.
    async fn append(&self, key: SessionKey, entry: MediaEntry) -> Result<u64, RecorderLogError>;

    /// The `seq` of this very entry, if the log has it. Asked after a restart
    /// and after an append whose outcome is not known. `None` as well for what
    /// [`Self::append`] recognises when it comes again.
    async fn find(
        &self,
        key: SessionKey,
        entry: &MediaEntry,
    ) -> Result<Option<u64>, RecorderLogError>;

    /// Tells that something does not work: once when it begins, and again now
    /// and then while it lasts.
    async fn failed(&self, key: SessionKey, text: String);
}
