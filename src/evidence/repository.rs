//! The interface of the store of logs.

use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::claim::Fence;
use crate::domain::id::{SessionId, SessionKey};
use crate::domain::store_error::StoreError;
use crate::domain::time::Timestamp;
use crate::evidence::EventKind;

/// A SHA-256 hash.
pub type Hash = [u8; 32];

/// A stored entry of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEntry {
    /// Its index in the log, from 0.
    pub seq: u64,
    /// Its bytes, in deterministic CBOR.
    pub bytes: Vec<u8>,
    /// SHA-256 of 0x00 and its bytes (RFC 9162 §2.1.1).
    pub leaf: Hash,
}

/// The text to which an event entry commits. It is personal, so it is stored apart from the entry
/// and deleted when the session is erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// `seq` of its entry.
    pub seq: u64,
    /// Its kind.
    pub kind: EventKind,
    /// The text.
    pub text: String,
}

/// A stored head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredHead {
    /// Number of entries that it covers.
    pub tree_size: u64,
    /// Root over these entries.
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
    /// Random identifier of the log, as in the genesis.
    pub log_id: [u8; 16],
    /// Number of entries.
    pub size: u64,
    /// Number of the last event of the room that is in the log; 0 when none is.
    pub room_seq: u64,
    /// `seq` of the last event entry.
    pub last_event_seq: u64,
    /// `seq` of the close entry, if the log is closed.
    pub closed_seq: Option<u64>,
    /// The wrapped `K_events`; `None` once destroyed.
    pub events_key: Option<Vec<u8>>,
}

/// Entries that are written in one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Append {
    /// Number of entries that the log must have before; otherwise it is a conflict.
    pub expected_size: u64,
    /// Entries to add, whose `seq` continue `expected_size` without a gap.
    pub entries: Vec<StoredEntry>,
    /// The texts of the event entries among them.
    pub events: Vec<StoredEvent>,
    /// Number of the last event of the room that is in the log afterwards.
    pub room_seq: u64,
    /// `seq` of the last event entry afterwards.
    pub last_event_seq: u64,
    /// `seq` of the close entry, if the log is closed afterwards.
    pub closed_seq: Option<u64>,
}

/// The store of logs, by tenant and session. Everything written is on stable storage when the call
/// returns.
#[async_trait]
pub trait EvidenceRepository: Send + Sync {
    /// The same store for the owner of a claim: every write names `fence` in its own transaction,
    /// and fails with [`StoreError::Fenced`] once the work has another owner.
    fn fenced(self: Arc<Self>, fence: Fence) -> Arc<dyn EvidenceRepository>;

    /// The state of a log, or `None` when the session has none.
    async fn log(&self, key: SessionKey) -> Result<Option<LogRecord>, StoreError>;

    /// Begins a log with its first entries; `append.expected_size` must be 0.
    /// [`StoreError::Conflict`] when the log exists.
    async fn create(
        &self,
        key: SessionKey,
        log_id: [u8; 16],
        events_key: Vec<u8>,
        append: Append,
    ) -> Result<(), StoreError>;

    /// Appends entries to a log.
    async fn append(&self, key: SessionKey, append: Append) -> Result<(), StoreError>;

    /// Replaces the wrapped `K_events`. `None` destroys it and deletes the texts of all events.
    /// [`StoreError::Conflict`] when it was destroyed already or is wrapped with a newer
    /// tenant key. Texts of events that are appended after it was destroyed are not stored.
    async fn put_events_key(
        &self,
        key: SessionKey,
        wrapped: Option<Vec<u8>>,
    ) -> Result<(), StoreError>;

    /// Adds a head. `previous_size` is the size of the head that it names as the one before, 0 for
    /// the first. An existing head of the same size and root is kept.
    /// [`StoreError::Conflict`] when an existing head of this size has another root, or
    /// when the largest head does not have `previous_size`, so that two processes can't both
    /// continue one chain of heads.
    async fn put_head(
        &self,
        key: SessionKey,
        previous_size: u64,
        head: &StoredHead,
    ) -> Result<(), StoreError>;

    /// Leaf hashes from `seq` `from` on, in order.
    async fn leaves(&self, key: SessionKey, from: u64) -> Result<Vec<Hash>, StoreError>;

    /// At most `limit` entries from `seq` `from` on, in order.
    async fn entries(
        &self,
        key: SessionKey,
        from: u64,
        limit: u32,
    ) -> Result<Vec<StoredEntry>, StoreError>;

    /// At most `limit` heads with a size of at least `from`, in order.
    async fn heads(
        &self,
        key: SessionKey,
        from: u64,
        limit: u32,
    ) -> Result<Vec<StoredHead>, StoreError>;

    /// The largest head.
    async fn latest_head(&self, key: SessionKey) -> Result<Option<StoredHead>, StoreError>;

    /// At most `limit` events from `seq` `from` on, in order; only those of `kinds`, or all when it
    /// is empty.
    async fn events(
        &self,
        key: SessionKey,
        kinds: &[EventKind],
        from: u64,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, StoreError>;

    /// Logs without a close entry, of all tenants, in order of session. They must be looked after
    /// when a process starts.
    async fn unclosed(&self) -> Result<Vec<SessionKey>, StoreError>;

    /// Adds a leaf, the COSE bytes of a head, to the operator log; returns its index, which is the
    /// number of leaves before. The same bytes are added only once.
    async fn append_operator_leaf(
        &self,
        session: SessionId,
        tree_size: u64,
        cose: &[u8],
    ) -> Result<u64, StoreError>;

    /// Number of leaves of the operator log.
    async fn operator_size(&self) -> Result<u64, StoreError>;

    /// At most `limit` leaves of the operator log from index `from` on.
    async fn operator_leaves(&self, from: u64, limit: u32) -> Result<Vec<Vec<u8>>, StoreError>;

    /// Index and bytes of the newest leaf of one session.
    async fn operator_leaf_of(
        &self,
        session: SessionId,
    ) -> Result<Option<(u64, Vec<u8>)>, StoreError>;
}
