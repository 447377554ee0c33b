//! Where it is kept what of governance has led to changes, and what waits for another instance.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::domain::arrival::Arrival;
use crate::domain::id::SessionKey;
use crate::domain::store_error::StoreError;
use crate::domain::time::Timestamp;
use crate::room::action::Vote;
use crate::sessions::SessionRepository;

/// Which events from outside have led to changes of which sessions.
#[async_trait]
pub trait ArrivalRepository: Send + Sync {
    /// Whether an event has led to a change of a session.
    async fn has_arrived(&self, key: SessionKey, arrival: &Arrival) -> Result<bool, StoreError>;

    /// The sessions, to be changed because of an event: each change is stored in one
    /// transaction with that, and refused when the event has led to one before.
    fn sessions_for(&self, arrival: &Arrival) -> Arc<dyn SessionRepository>;

    /// Stores a vote of an event for the instance that has the room of its session, which reads it in
    /// the outbox.
    async fn put_vote(
        &self,
        key: SessionKey,
        heard: &VoteHeard,
        at: Timestamp,
    ) -> Result<(), StoreError>;

    /// Forgets events that led to changes before this moment.
    async fn forget_before(&self, before: Timestamp) -> Result<(), StoreError>;
}

/// A vote that an instance heard of, and the event that told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VoteHeard {
    /// The vote.
    pub vote: Vote,
    /// The event.
    pub arrival: Arrival,
}

/// How it is stored. Times are microseconds since 1970.
#[derive(Serialize, Deserialize)]
struct Stored {
    source: String,
    event_id: String,
    vote_id: String,
    title: String,
    started_at: Option<i64>,
    ends_at: Option<i64>,
}

impl VoteHeard {
    /// Its stored content.
    #[must_use]
    pub fn payload(&self) -> String {
        let Self { vote, arrival } = self.clone();
        let stored = Stored {
            source: arrival.source,
            event_id: arrival.id,
            vote_id: vote.id,
            title: vote.title,
            started_at: vote.started_at.map(Timestamp::unix_us),
            ends_at: vote.ends_at.map(Timestamp::unix_us),
        };
        serde_json::to_string(&stored).unwrap_or_default()
    }

    /// Reads stored content.
    #[must_use]
    pub fn read(payload: &str) -> Option<Self> {
        let stored: Stored = serde_json::from_str(payload).ok()?;
        let vote = Vote {
            id: stored.vote_id,
            title: stored.title,
            started_at: stored.started_at.map(Timestamp::from_unix_us),
            ends_at: stored.ends_at.map(Timestamp::from_unix_us),
        };
        let arrival = Arrival { source: stored.source, id: stored.event_id };
        Some(Self { vote, arrival })
    }
}
