//! How custody writes logs and gets proofs of them.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

use crate::domain::claim::Fence;
use crate::domain::id::SessionKey;
use crate::evidence::EventKind;
use crate::evidence::repository::Hash;

/// The log could not be written, or no proof could be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CustodyLogError {
    /// Temporarily unavailable; trying again later may succeed.
    #[error("the log is unavailable: {0}")]
    Unavailable(String),
    /// Another instance has taken over the work on the recording.
    #[error("another instance has taken over the work on the recording")]
    Fenced,
    /// Refused; trying again can't succeed.
    #[error("the log refuses: {0}")]
    Refused(String),
}

/// Writes logs and makes proofs.
#[async_trait]
pub trait CustodyLog: Send + Sync {
    /// The same logs for the owner of a claim. What it writes names `fence`, and fails with
    /// [`CustodyLogError::Fenced`] once the work has another owner.
    fn fenced(self: Arc<Self>, fence: Fence) -> Arc<dyn CustodyLog>;

    /// Enters in the log that a key will be destroyed: that of the track whose entry is at
    /// `target_seq`, or `K_events` when that is 0. Must be called before the key is destroyed.
    /// Returns the `seq` of the entry.
    async fn erase(
        &self,
        key: SessionKey,
        target_seq: u64,
        reason: u32,
        wrapped_key_hash: Hash,
    ) -> Result<u64, CustodyLogError>;

    /// Enters an event of one of the kinds that may follow the close; returns its `seq`.
    async fn note(
        &self,
        key: SessionKey,
        kind: EventKind,
        text: String,
    ) -> Result<u64, CustodyLogError>;

    /// The public proof of a session with receipts for the entries `seqs`, at most
    /// [`PROOF_SEQS_MAX`](crate::evidence::PROOF_SEQS_MAX), for a head that covers every entry made
    /// before the call.
    async fn proof(&self, key: SessionKey, seqs: &[u64]) -> Result<Value, CustodyLogError>;

    /// The list of public keys, as published, for a log with this issuer.
    async fn published_keys(&self, issuer: &str) -> Result<Value, CustodyLogError>;
}
