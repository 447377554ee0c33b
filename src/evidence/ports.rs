//! What logs read and tell, and how they are set up.

use std::time::Duration;

use async_trait::async_trait;

use crate::domain::id::{SessionId, TenantId};
use crate::evidence::repository::{Hash, StoredHead};

/// How long logs are still written once the server stops.
pub const SHUTDOWN_MAX: Duration = Duration::from_secs(5);

/// An event as the room's journal keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomEvent {
    /// Its number in the room, from 1.
    pub seq: u64,
    /// The text that members were told.
    pub text: String,
}

/// The journals of rooms.
#[async_trait]
pub trait RoomEventSource: Send + Sync {
    /// Decisions of a room with `seq` larger than `after`, in order, at most
    /// `limit`.
    async fn room_events(
        &self,
        tenant: TenantId,
        session: SessionId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<RoomEvent>, String>;
}

/// How evidence is made.
#[derive(Debug, Clone)]
pub struct EvidenceOptions {
    /// Who issues: a URL of this installation.
    pub issuer: String,
    /// Origin of the operator log: a name without scheme, spaces or `+`.
    pub origin: String,
    /// SHA-256 of the server's executable.
    pub build_hash: Hash,
}

/// A head that was signed and stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadNotice {
    /// Whose.
    pub tenant: TenantId,
    /// Of this session's log.
    pub session: SessionId,
    /// The head.
    pub head: StoredHead,
}
