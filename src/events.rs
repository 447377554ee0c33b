//! The outbox: every change of a session and every event of its room, in one
//! order that never changes, for whoever hands them on: Kafka, webhooks, the
//! event stream. `docs/adr/0005-one-outbox.md` says how it is built.

mod upkeep;

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;

use crate::domain::id::{SessionId, SessionKey, TenantId};
use crate::domain::named_values::named_values;
use crate::domain::store_error::StoreError;
use crate::domain::time::Timestamp;

pub use upkeep::{KEPT, OutboxUpkeep};

/// Most transactions read at once. Raising it raises the memory of one reading.
pub const READ_MAX: u32 = 500;

/// A place in the outbox: everything up to and including it was read. A reader
/// keeps it as a number and passes it back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(u64);

impl Position {
    /// The place with this number; 0 is before everything.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }
}

named_values!(
    /// Where an event comes from.
    EventSource {
        /// A change of the session itself; `seq` is its version.
        Session => "session",
        /// The room; `seq` is the one its members were told.
        Room => "room",
        /// The recording; `seq` counts what is told of it.
        Recording => "recording",
        /// What governance told an instance that has not the room; `seq` counts what is told of a
        /// session.
        Governance => "governance",
    }
);

/// What is kept of an event that tells that a recording was sealed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SealedRecording {
    /// How many tracks were recorded.
    pub tracks: u32,
    /// Of how many sealed segments.
    pub segments: u64,
    /// Their size.
    pub bytes: u64,
    /// How many entries the log has.
    pub log_entries: u64,
}

impl SealedRecording {
    /// The type of the event.
    pub const KIND: &'static str = "recording.sealed.v1";
}

/// An event of the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxEvent {
    /// Where it stands. Events that were stored in one transaction share it.
    pub position: Position,
    /// Whose it is.
    pub tenant: TenantId,
    /// The session.
    pub session: SessionId,
    /// Where it comes from.
    pub source: EventSource,
    /// Counts the events of one source of a session, from 1, without holes.
    pub seq: u64,
    /// When it happened.
    pub at: Timestamp,
    /// Its type, as its source names it.
    pub kind: String,
    /// Its content, as its source keeps it.
    pub payload: String,
}

/// What a reading yields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The events, in order. Those of one session and source are in the order of
    /// their `seq`.
    pub events: Vec<OutboxEvent>,
    /// Where to go on from.
    pub next: Position,
}

/// Whose events are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Those of every tenant.
    Everyone,
    /// Those of one tenant.
    Tenant(TenantId),
    /// Those of one session.
    Session(SessionKey),
}

/// Where a new reader begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beginning {
    /// With the oldest event that is still kept.
    Oldest,
    /// With what comes from now on.
    Newest,
}

/// The name of a reader that outlives the process: 1 to 64 letters, digits,
/// `.`, `-` and `_`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReaderName(String);

impl ReaderName {
    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ReaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that is no name of a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a reader's name has 1 to 64 letters, digits, `.`, `-` and `_`")]
pub struct InvalidReaderName;

impl FromStr for ReaderName {
    type Err = InvalidReaderName;

    fn from_str(text: &str) -> Result<Self, InvalidReaderName> {
        let fits = (1..=64).contains(&text.len());
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        if fits && text.bytes().all(plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidReaderName)
        }
    }
}

/// What there is in the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// After this place nothing was deleted.
    pub oldest: Position,
    /// The last place there is.
    pub newest: Position,
}

/// The outbox could not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutboxError {
    /// What comes after this place was deleted in part: the reader has missed
    /// events and has to begin again.
    #[error("events after this position were deleted; the oldest position is {}", .oldest.number())]
    Expired {
        /// From here on everything is still there.
        oldest: Position,
    },
    /// No reader of this name is registered.
    #[error("no such reader")]
    UnknownReader,
    /// The database failed.
    #[error("the outbox is unavailable: {0}")]
    Store(#[from] StoreError),
}

/// The events of all sessions with a cursor. What is written goes in by the
/// transaction of the change itself, so there is nothing here to write with.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// What was committed after `after`, of at most `limit` transactions
    /// ([`READ_MAX`] at most). An event that was committed is never passed over,
    /// however its transaction and others overlapped.
    async fn after(&self, scope: Scope, after: Position, limit: u32) -> Result<Batch, OutboxError>;

    /// What there is.
    async fn extent(&self) -> Result<Extent, OutboxError>;

    /// Whether the recording of a session was erased, and what its room told with it. Events that
    /// were read before are then not to be handed on.
    async fn is_erased(&self, key: SessionKey) -> Result<bool, OutboxError>;

    /// Makes a reader known, so that nothing it has not confirmed is deleted;
    /// where it stands. One that is known already stays where it is.
    async fn register(
        &self,
        reader: &ReaderName,
        beginning: Beginning,
    ) -> Result<Position, OutboxError>;

    /// Notes that a reader needs nothing up to and including `up_to` any more.
    /// Going back has no effect.
    async fn confirm(&self, reader: &ReaderName, up_to: Position) -> Result<(), OutboxError>;

    /// The sessions that a reader hands on by themselves, each with the place up to which it has.
    async fn parked(&self, reader: &ReaderName)
    -> Result<Vec<(SessionKey, Position)>, OutboxError>;

    /// Notes that a reader hands on a session by itself, and has done so up to `up_to`. What comes
    /// after that is not deleted, whatever the reader confirms.
    async fn park(
        &self,
        reader: &ReaderName,
        session: SessionKey,
        up_to: Position,
    ) -> Result<(), OutboxError>;

    /// Notes that a reader hands on a session with the others again.
    async fn unpark(&self, reader: &ReaderName, session: SessionKey) -> Result<(), OutboxError>;

    /// Forgets every reader whose name begins with `prefix`, except those of `keep`,
    /// so that nothing is kept for them any more.
    async fn forget_except(&self, prefix: &str, keep: &[ReaderName]) -> Result<(), OutboxError>;

    /// Deletes what every registered reader has confirmed and was stored before
    /// `kept_since`, of at most `limit` transactions; of how many it did.
    async fn prune(&self, kept_since: Timestamp, limit: u32) -> Result<u32, OutboxError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_readers_name_is_plain() {
        assert_eq!("kafka.main-1".parse::<ReaderName>().expect("plain").as_str(), "kafka.main-1");
        for bad in ["", "a b", "é", &"x".repeat(65), "a/b"] {
            assert_eq!(bad.parse::<ReaderName>(), Err(InvalidReaderName), "{bad:?}");
        }
    }
}
