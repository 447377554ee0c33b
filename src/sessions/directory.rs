//! Finds the tenant of a session.

use async_trait::async_trait;

use crate::domain::id::{SessionId, TenantId};
use crate::domain::store_error::StoreError;

/// Finds the tenant of a session, since services send requests about sessions of every tenant and
/// name only the session. Never used for requests of people.
#[async_trait]
pub trait SessionDirectory: Send + Sync {
    /// The tenant of this session; `None` when there is no such session.
    async fn tenant_of(&self, session: SessionId) -> Result<Option<TenantId>, StoreError>;
}
