//! Which session has which meeting.

use async_trait::async_trait;

use crate::domain::claim::Fence;
use crate::domain::id::SessionKey;
use crate::domain::named_values::named_values;
use crate::domain::session::Provider;
use crate::domain::store_error::StoreError;
use crate::domain::time::Timestamp;

named_values!(
    /// How far a meeting is.
    MeetingState {
        /// It is to be made.
        Intended => "intended",
        /// It exists at the provider.
        Made => "made",
        /// It is to be closed there.
        Closing => "closing",
        /// It is closed, or was never made.
        Closed => "closed",
    }
);
named_values!(
    /// Whether people are in a meeting, as far as is known.
    Call {
        /// Nobody was yet.
        None => "none",
        /// Somebody is.
        Running => "running",
        /// Everybody has left.
        Ended => "ended",
    }
);

/// A meeting that is to be made. It is stored before the provider is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// The session.
    pub key: SessionKey,
    /// The provider.
    pub provider: Provider,
    /// A hash of the request that wants it.
    pub origin: Option<[u8; 32]>,
    /// When.
    pub at: Timestamp,
}

/// What is known of a meeting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeetingRow {
    /// The session.
    pub key: SessionKey,
    /// The provider.
    pub provider: Provider,
    /// How far it is.
    pub state: MeetingState,
    /// The provider's name of it, once it exists.
    pub external_id: Option<String>,
    /// When the provider was asked to make it, if it is not known whether it did.
    pub attempted_at: Option<Timestamp>,
    /// Whether people are in it.
    pub call: Call,
    /// Since when.
    pub call_at: Timestamp,
    /// When it was first wanted.
    pub created_at: Timestamp,
    /// How often in a row something failed.
    pub tries: u32,
}

/// The meetings of all sessions. What has a fence is written under the claim on the
/// meeting.
#[async_trait]
pub trait MeetingRepository: Send + Sync {
    /// Adds a meeting that is to be made, or returns the one that the session has, or
    /// that was begun by the same request and is not closed.
    async fn intend(&self, intent: &Intent) -> Result<MeetingRow, StoreError>;

    /// The meeting of a session.
    async fn of_session(&self, key: SessionKey) -> Result<Option<MeetingRow>, StoreError>;

    /// The meeting with this name at a provider.
    async fn named(
        &self,
        provider: Provider,
        external_id: &str,
    ) -> Result<Option<MeetingRow>, StoreError>;

    /// Begins the meeting of a session anew, with this provider, as if none had been wanted.
    async fn begin_anew(
        &self,
        fence: Fence,
        meeting: &MeetingRow,
        provider: Provider,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Notes that the provider is about to be asked to make it, or, with `None`, that
    /// it surely made nothing.
    async fn attempted(
        &self,
        fence: Fence,
        meeting: &MeetingRow,
        at: Option<Timestamp>,
    ) -> Result<(), StoreError>;

    /// Notes that it exists, that nobody was in it yet, and when it is looked at next.
    async fn made(
        &self,
        fence: Fence,
        meeting: &MeetingRow,
        external_id: &str,
        due_at: Timestamp,
    ) -> Result<(), StoreError>;

    /// Has the meeting of a session closed, if it has one; at once.
    async fn close(&self, key: SessionKey, now: Timestamp) -> Result<(), StoreError>;

    /// Notes that it is closed.
    async fn closed(&self, fence: Fence, meeting: &MeetingRow) -> Result<(), StoreError>;

    /// Notes when it is looked at next, and how often in a row something failed.
    async fn postpone(
        &self,
        fence: Fence,
        meeting: &MeetingRow,
        due_at: Timestamp,
        tries: u32,
    ) -> Result<(), StoreError>;

    /// Notes whether people are in it since `at`, and has it looked at at once; unless
    /// it is known already, or something newer is. Whether it was noted.
    async fn call_is(
        &self,
        meeting: &MeetingRow,
        call: Call,
        at: Timestamp,
    ) -> Result<bool, StoreError>;

    /// At most `limit` meetings that are due at `now`, the longest due first.
    async fn due(&self, now: Timestamp, limit: u32) -> Result<Vec<MeetingRow>, StoreError>;

    /// How many meetings exist and are not closed.
    async fn open(&self) -> Result<u64, StoreError>;
}
