//! The stored part of a room: its state and its events, so that a restart continues the same list,
//! turn and `seq`.

use std::collections::BTreeMap;

use async_trait::async_trait;

use crate::domain::arrival::Arrival;
use crate::domain::id::SessionKey;
use crate::domain::store_error::StoreError;
use crate::domain::time::Timestamp;

/// One event, as members received it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToldEvent {
    /// Number of the event in the session, from 1, without gaps.
    pub seq: u64,
    /// When it was decided.
    pub at: Timestamp,
    /// Its `type` in messages.
    pub kind: String,
    /// The whole event as JSON, `seq` and `at` included.
    pub payload: String,
}

/// The state from which a room continues after a restart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoredRoom {
    /// `seq` of the last event; 0 when there was none.
    pub seq: u64,
    /// The version of the room's format; for version 1 the whole state.
    pub state: String,
    /// The parts of the state by their names, as JSON in the room's own format.
    pub parts: BTreeMap<String, String>,
}

/// The change of a room's stored state by a decision.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoredChange {
    /// `seq` of the last event after the change.
    pub seq: u64,
    /// The new value of [`StoredRoom::state`]; `None` to keep it.
    pub state: Option<String>,
    /// Parts with their new values, or `None` when they were removed.
    pub parts: Vec<(String, Option<String>)>,
    /// The event from outside that led to it, stored with it. When that has led to a
    /// change of this room before, nothing is stored.
    pub arrival: Option<Arrival>,
}

/// The store of rooms' states and events.
#[async_trait]
pub trait RoomRepository: Send + Sync {
    /// The stored state of a room, or `None` when it never had an event.
    async fn load(&self, key: SessionKey) -> Result<Option<StoredRoom>, StoreError>;

    /// Stores a change of the state and the events that led to it, in one transaction. The events'
    /// `seq` must continue the stored one without a gap and end at `change.seq`; otherwise nothing
    /// is stored and the result is [`StoreError::Conflict`]. The first change of a room must have
    /// a `state`.
    async fn append(
        &self,
        key: SessionKey,
        change: &StoredChange,
        events: &[ToldEvent],
    ) -> Result<(), StoreError>;

    /// At most `limit` events with `seq` greater than `after`, in order.
    async fn events_after(
        &self,
        key: SessionKey,
        after: u64,
        limit: u32,
    ) -> Result<Vec<ToldEvent>, StoreError>;

    /// As [`Self::events_after`], once every append that began before has ended: what is not there
    /// now was not stored, and will not be. This writes, so it fails while nothing can be written.
    async fn committed_after(
        &self,
        key: SessionKey,
        after: u64,
        limit: u32,
    ) -> Result<Vec<ToldEvent>, StoreError>;
}
