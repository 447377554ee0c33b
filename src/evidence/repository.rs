//! Where logs are kept.

use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::claim::Fence;
use crate::domain::id::{SessionId, TenantId};
use crate::domain::time::Timestamp;
use crate::evidence::EventKind;

/// A SHA-256 hash.
pub type Hash = [u8; 32];

/// One entry, as it stands in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEntry {
    /// Its leaf index, from 0.
    pub seq: u64,
    /// Its bytes: deterministic CBOR.
    pub bytes: Vec<u8>,
    /// SHA-256 of 0x00 and its bytes (RFC 9162 §2.1.1).
    pub leaf: Hash,
}

/// What an event entry commits to. Personal: kept apart from the entry, and
/// deleted when the session is erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// `seq` of its entry.
    pub seq: u64,
    /// Its kind.
    pub kind: EventKind,
    /// The text committed to.
    pub text: String,
}

/// A signed head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredHead {
    /// Entries it covers.
    pub tree_size: u64,
    /// Their root.
    pub root: Hash,
    /// When it was signed.
    pub at: Timestamp,
    /// The tagged `COSE_Sign1`.
    pub cose: Vec<u8>,
    /// The compact JWS.
    pub jws: String,
}

/// The state of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRecord {
    /// Its random identifier, as in the genesis.
    pub log_id: [u8; 16],
    /// Entries it has.
    pub size: u64,
    /// `seq` of the last room event that is in it; 0 when none is.
    pub room_seq: u64,
    /// `seq` of the last event entry.
    pub last_event_seq: u64,
    /// `seq` of its close entry, once there is one.
    pub closed_seq: Option<u64>,
    /// `K_events`, wrapped; `None` once destroyed.
    pub events_key: Option<Vec<u8>>,
}

/// What is written at once: all of it or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Append {
    /// Entries the log has before; another number is a conflict.
    pub expected_size: u64,
    /// Entries to add; their `seq` continue `expected_size` without a hole.
    pub entries: Vec<StoredEntry>,
    /// What the event entries among them commit to.
    pub events: Vec<StoredEvent>,
    /// `seq` of the last room event that is in the log then.
    pub room_seq: u64,
    /// `seq` of the last event entry then.
    pub last_event_seq: u64,
    /// `seq` of the close entry, when it is among them or was before.
    pub closed_seq: Option<u64>,
}

/// The repository could not do it; nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceStoreError {
    /// Somebody else has continued this log, or it exists already.
    #[error("the log has moved on")]
    Conflict,
    /// The write named a fence whose work has another owner by now.
    #[error("another instance has taken over the work on this log")]
    Fenced,
    /// The database does not answer or refuses.
    #[error("the log is unavailable: {0}")]
    Unavailable(String),
}

/// Logs by tenant and session. Everything that is written is on the disk when
/// the call returns.
#[async_trait]
pub trait EvidenceRepository: Send + Sync {
    /// The same logs for the owner of background work: every write names
    /// `fence` in its own transaction, and is [`EvidenceStoreError::Fenced`]
    /// once the work has another owner.
    fn fenced(self: Arc<Self>, fence: Fence) -> Arc<dyn EvidenceRepository>;

    /// The state of a log, or `None` when the session has none.
    async fn log(
        &self,
        tenant: TenantId,
        session: SessionId,
    ) -> Result<Option<LogRecord>, EvidenceStoreError>;

    /// Begins a log with its first entries (`append.expected_size` is 0).
    /// [`EvidenceStoreError::Conflict`] when there is one.
    async fn create(
        &self,
        tenant: TenantId,
        session: SessionId,
        log_id: [u8; 16],
        events_key: Vec<u8>,
        append: Append,
    ) -> Result<(), EvidenceStoreError>;

    /// Continues a log.
    async fn append(
        &self,
        tenant: TenantId,
        session: SessionId,
        append: Append,
    ) -> Result<(), EvidenceStoreError>;

    /// Replaces the wrapped `K_events`; `None` destroys it, and the texts of all
    /// events with it. [`EvidenceStoreError::Conflict`] when it was destroyed
    /// or is wrapped by a newer tenant key already; texts of events that are
    /// appended after it was destroyed are not kept.
    async fn put_events_key(
        &self,
        tenant: TenantId,
        session: SessionId,
        wrapped: Option<Vec<u8>>,
    ) -> Result<(), EvidenceStoreError>;

    /// Adds a head. `previous_size` is the size of the head it names as the one
    /// before, 0 for the first. One of the same size and root that is there
    /// already stays; [`EvidenceStoreError::Conflict`] when its root is another,
    /// or when the largest head is not of `previous_size`: two processes can't
    /// both continue one chain of heads.
    async fn put_head(
        &self,
        tenant: TenantId,
        session: SessionId,
        previous_size: u64,
        head: &StoredHead,
    ) -> Result<(), EvidenceStoreError>;

    /// The leaf hashes with `seq` from `from` on, in order.
    async fn leaves(
        &self,
        tenant: TenantId,
        session: SessionId,
        from: u64,
    ) -> Result<Vec<Hash>, EvidenceStoreError>;

    /// Entries with `seq` from `from` on, in order, at most `limit`.
    async fn entries(
        &self,
        tenant: TenantId,
        session: SessionId,
        from: u64,
        limit: u32,
    ) -> Result<Vec<StoredEntry>, EvidenceStoreError>;

    /// Heads with a size of at least `from`, in order, at most `limit`.
    async fn heads(
        &self,
        tenant: TenantId,
        session: SessionId,
        from: u64,
        limit: u32,
    ) -> Result<Vec<StoredHead>, EvidenceStoreError>;

    /// The largest head.
    async fn latest_head(
        &self,
        tenant: TenantId,
        session: SessionId,
    ) -> Result<Option<StoredHead>, EvidenceStoreError>;

    /// Events with `seq` from `from` on, in order, at most `limit`; those of
    /// `kinds` only, or all when it is empty.
    async fn events(
        &self,
        tenant: TenantId,
        session: SessionId,
        kinds: &[EventKind],
        from: u64,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, EvidenceStoreError>;

    /// Logs without a close entry, of all tenants: what a start has to look
    /// after. In order of session.
    async fn unclosed(&self) -> Result<Vec<(TenantId, SessionId)>, EvidenceStoreError>;

    /// Adds a leaf to the operator log: the COSE bytes of a head. Its index
    /// is the number of leaves before, returned. The same bytes are added once.
    async fn append_operator_leaf(
        &self,
        session: SessionId,
        tree_size: u64,
        cose: &[u8],
    ) -> Result<u64, EvidenceStoreError>;

    /// How many leaves the operator log has.
    async fn operator_size(&self) -> Result<u64, EvidenceStoreError>;

    /// Leaves of the operator log from index `from` on, at most `limit`.
    async fn operator_leaves(
        &self,
        from: u64,
        limit: u32,
    ) -> Result<Vec<Vec<u8>>, EvidenceStoreError>;

    /// The newest leaf of one session: its index and bytes.
    async fn operator_leaf_of(
        &self,
        session: SessionId,
    ) -> Result<Option<(u64, Vec<u8>)>, EvidenceStoreError>;
}
