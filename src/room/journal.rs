//! What of a room outlives the process: its state, and the events it has told
//! its members, so that a restart continues the same list, clock and `seq`.

use std::collections::BTreeMap;

use async_trait::async_trait;

use crate::domain::id::{SessionId, TenantId};
use crate::domain::time::Timestamp;

/// One event as members were told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalEvent {
    /// Position in the session, from 1, without holes.
    pub seq: u64,
    /// When it was decided.
    pub at: Timestamp,
    /// Its `type` on the wire.
    pub kind: String,
    /// The whole event as JSON, `seq` and `at` included.
    pub payload: String,
}

/// Everything a room needs to continue after a restart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RoomRecord {
    /// `seq` of the last event told; 0 when there was none.
    pub seq: u64,
    /// The version of the room's format; of records of version 1 the whole state.
    pub state: String,
    /// The parts of the state by their names, as JSON in the room's own format.
    pub parts: BTreeMap<String, String>,
}

/// What a decision changes in a room's record.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecordChange {
    /// `seq` of the last event told, once the change is stored.
    pub seq: u64,
    /// What [`RoomRecord::state`] becomes; `None` to leave it.
    pub state: Option<String>,
    /// Parts with their new values, or without one when they are gone.
    pub parts: Vec<(String, Option<String>)>,
}

/// The journal could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Another process wrote events of this room: the caller's `seq` is stale.
    #[error("the room's journal has moved on")]
    Conflict,
    /// The database went away while it stored: whether it has is not known.
    #[error("it is not known whether the room's journal was written: {0}")]
    Unknown(String),
    /// The database does not answer or refuses; nothing was changed.
    #[error("the room's journal is unavailable: {0}")]
    Unavailable(String),
}

/// Where rooms keep what outlives them.
#[async_trait]
pub trait RoomJournal: Send + Sync {
    /// The record of a room, or `None` when it has never said anything.
    async fn load(
        &self,
        tenant: TenantId,
        session: SessionId,
    ) -> Result<Option<RoomRecord>, JournalError>;

    /// Stores a change of the record and the events that led to it, in one
    /// transaction. The events' `seq` continue the stored record's without a
    /// hole, and end at `change.seq`; otherwise [`JournalError::Conflict`] and
    /// nothing is stored. The first change of a room gives a `state`.
    async fn append(
        &self,
        tenant: TenantId,
        session: SessionId,
        change: &RecordChange,
        events: &[JournalEvent],
    ) -> Result<(), JournalError>;

    /// Events with `seq` greater than `after`, in order, at most `limit`.
    async fn events_after(
        &self,
        tenant: TenantId,
        session: SessionId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<JournalEvent>, JournalError>;
}
