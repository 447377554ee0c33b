//! What the door needs of the rest of the house; `app` plugs it in.

use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::error_code::ErrorCode;
use crate::domain::id::SessionId;
use crate::domain::participant::Principal;
use crate::domain::session::Session;
use crate::telemetry::metrics::Reading;

/// Somebody who wants to know what becomes of sessions. Called after the
/// change is stored and before the caller is answered.
#[async_trait]
pub trait SessionObserver: Send + Sync {
    /// A session became active.
    async fn session_started(&self, session: &Session);

    /// The policy of a session changed.
    async fn session_changed(&self, session: &Session);

    /// A session was completed or cancelled.
    async fn session_ended(&self, session: &Session);
}

/// Why the room refused a WHIP or WHEP client.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct MediaRefused {
    /// Stable code.
    pub code: ErrorCode,
    /// A sentence for people.
    pub message: String,
}

/// A WHIP or WHEP client as a member of a room.
#[async_trait]
pub trait MediaMember: Send + Sync {
    /// Takes its first offer to publish; the answer.
    async fn publish(&self, offer: String) -> Result<String, MediaRefused>;

    /// Takes its first offer to receive; the answer.
    async fn play(&self, offer: String) -> Result<String, MediaRefused>;

    /// Takes new ICE credentials of the client (fragment, password); returns
    /// the server's.
    async fn restart_ice(
        &self,
        ufrag: String,
        password: String,
    ) -> Result<(String, String), MediaRefused>;

    /// Takes it out of the room. Nothing happens when it is out already.
    async fn leave(&self);

    /// Whether it is out of the room, for whatever reason.
    async fn is_gone(&self) -> bool;
}

/// Lets WHIP and WHEP clients into rooms, as participants like any other. The
/// door has checked the role and that the session is of the caller's tenant.
#[async_trait]
pub trait WhipRoom: Send + Sync {
    /// Lets somebody in.
    async fn join(
        &self,
        principal: &Principal,
        session: SessionId,
    ) -> Result<Arc<dyn MediaMember>, MediaRefused>;
}

/// What has to answer before this instance takes calls.
#[async_trait]
pub trait Readiness: Send + Sync {
    /// Each dependency and whether it answers.
    async fn check(&self) -> Vec<(&'static str, bool)>;
}

/// What is read at the moment of a scrape.
#[async_trait]
pub trait Gauges: Send + Sync {
    /// The readings, those of one name together.
    async fn read(&self) -> Vec<Reading>;
}
