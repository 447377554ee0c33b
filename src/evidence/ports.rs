//! The interfaces and options of the evidence module.

use std::time::Duration;

use async_trait::async_trait;

use crate::domain::id::{SessionId, SessionKey, TenantId};
use crate::evidence::repository::{Hash, StoredHead};

/// How long logs are still written after the server was told to stop.
pub const SHUTDOWN_MAX: Duration = Duration::from_secs(5);

/// A stored event of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomEvent {
    /// Its number in the room, from 1.
    pub seq: u64,
    /// The text that members received.
    pub text: String,
}

/// The stored events of rooms.
#[async_trait]
pub trait RoomEventSource: Send + Sync {
    /// Decisions of a room with `seq` larger than `after`, in order, at most
    /// `limit`.
    async fn room_events(
        &self,
        key: SessionKey,
        after: u64,
        limit: u32,
    ) -> Result<Vec<RoomEvent>, String>;
}

/// The options of evidence.
#[derive(Debug, Clone)]
pub struct EvidenceOptions {
    /// The issuer of logs that have no signed head yet: a URL of this installation. A log keeps
    /// the issuer of its first head.
    pub issuer: String,
    /// Origin of the operator log: a name without scheme, spaces or `+`.
    pub origin: String,
    /// SHA-256 of the server's executable.
    pub build_hash: Hash,
}

/// A head that was signed and stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadNotice {
    /// The tenant.
    pub tenant: TenantId,
    /// The session of the log.
    pub session: SessionId,
    /// The head.
    pub head: StoredHead,
}
