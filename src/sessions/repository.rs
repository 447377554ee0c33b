//! The interface of the store of sessions.

use async_trait::async_trait;

use crate::domain::id::{SessionId, SessionKey, TenantId};
use crate::domain::session::Session;
use crate::domain::store_error::StoreError;
use crate::domain::time::Timestamp;
use crate::sessions::event::SessionEvent;
use crate::sessions::listing::{SessionFilter, SessionPosition};

/// Identifies one change of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangeId {
    /// The tenant of the session.
    pub tenant: TenantId,
    /// The session.
    pub session: SessionId,
    /// The version of the session after the change.
    pub version: u64,
}

impl ChangeId {
    /// The change of `event`.
    #[must_use]
    pub const fn of(event: &SessionEvent) -> Self {
        let Session { tenant_id, id, version, .. } = &event.session;
        Self { tenant: *tenant_id, session: *id, version: *version }
    }
}

/// The result of an activation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// The session is active and stored.
    Done,
    /// The stored version is not the expected one; nothing was stored.
    Stale,
    /// The tenant has the most active sessions that it may have; nothing was stored.
    LimitReached,
}

/// Sessions by tenant. Every operation except [`Self::untold`] is one transaction and sees only the
/// given tenant. Operations that change a session store the event of the change in the same
/// transaction.
#[async_trait]
pub trait SessionRepository: Send + Sync {
    /// Stores the session of `event`, which did not exist.
    async fn insert(&self, event: &SessionEvent) -> Result<(), StoreError>;

    /// The session; `None` when this tenant has no session with this id.
    async fn find(&self, key: SessionKey) -> Result<Option<Session>, StoreError>;

    /// At most `limit` sessions that pass `filter`, newest first by creation and id, beginning
    /// after `after` in this order.
    async fn list(
        &self,
        tenant: TenantId,
        filter: &SessionFilter,
        after: Option<SessionPosition>,
        limit: u32,
    ) -> Result<Vec<Session>, StoreError>;

    /// Replaces the session by that of `event` if its stored version is `expected`; returns whether
    /// it was.
    async fn replace(&self, event: &SessionEvent, expected: u64) -> Result<bool, StoreError>;

    /// Replaces the session by an active one, if its stored version is `expected` and its tenant
    /// has fewer than `active_max` active sessions. The limit holds under concurrent calls from
    /// several processes.
    async fn activate(
        &self,
        event: &SessionEvent,
        expected: u64,
        active_max: u32,
    ) -> Result<Activation, StoreError>;

    /// At most `limit` changes of sessions of all tenants that happened before `before` and were
    /// not marked as told, oldest first.
    async fn untold(&self, before: Timestamp, limit: u32) -> Result<Vec<ChangeId>, StoreError>;

    /// The event of a change; `None` when it was marked as told.
    async fn untold_event(&self, change: ChangeId) -> Result<Option<SessionEvent>, StoreError>;

    /// Marks a change as told to every observer.
    async fn mark_told(&self, change: ChangeId) -> Result<(), StoreError>;
}
