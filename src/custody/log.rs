//! The log as custody writes and quotes it.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

use crate::domain::claim::Fence;
use crate::domain::id::{SessionId, TenantId};
use crate::evidence::EventKind;
use crate::evidence::repository::Hash;

/// The log could not be written or proven.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CustodyLogError {
    /// Not now; trying again later may work.
    #[error("the log is unavailable: {0}")]
    Unavailable(String),
    /// Another instance has the recording by now.
    #[error("another instance has taken over the work on the recording")]
    Fenced,
    /// Trying again will not help.
    #[error("the log refuses: {0}")]
    Refused(String),
}

/// Who writes logs and proves them.
#[async_trait]
pub trait CustodyLog: Send + Sync {
    /// The same logs for the owner of a recording: what it logs names `fence`,
    /// and is [`CustodyLogError::Fenced`] once the work has another owner.
    fn fenced(self: Arc<Self>, fence: Fence) -> Arc<dyn CustodyLog>;

    /// Logs that a key is destroyed, before it is: that of the track whose entry
    /// is at `target_seq`, or `K_events` when that is 0. Returns the entry's
    /// `seq`.
    async fn erase(
        &self,
        tenant: TenantId,
        session: SessionId,
        target_seq: u64,
        reason: u32,
        wrapped_key_hash: Hash,
    ) -> Result<u64, CustodyLogError>;

    /// Logs an event of one of the kinds that may follow the close; returns its
    /// `seq`.
    async fn note(
        &self,
        tenant: TenantId,
        session: SessionId,
        kind: EventKind,
        text: String,
    ) -> Result<u64, CustodyLogError>;

    /// The public proof of a session with receipts for the entries `seqs`, at
    /// most [`PROOF_SEQS_MAX`](crate::evidence::PROOF_SEQS_MAX), from a head that covers everything that was logged before the call.
    async fn proof(
        &self,
        tenant: TenantId,
        session: SessionId,
        seqs: &[u64],
    ) -> Result<Value, CustodyLogError>;

    /// The public keys, as they are published.
    async fn published_keys(&self) -> Result<Value, CustodyLogError>;
}
