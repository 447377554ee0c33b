//! Which tenant a session belongs to.

use async_trait::async_trait;

use crate::domain::id::{SessionId, TenantId};
use crate::sessions::repository::RepositoryError;

/// Finds the tenant of a session: services call about sessions of every tenant
/// and name only the session. Never asked on behalf of a person.
#[async_trait]
pub trait SessionDirectory: Send + Sync {
    /// The tenant that has this session; `None` when there is no such session.
    async fn tenant_of(&self, session: SessionId) -> Result<Option<TenantId>, RepositoryError>;
}
