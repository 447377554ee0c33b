//! What custody needs from the store besides logs and recordings.

use async_trait::async_trait;

use crate::domain::id::{SessionId, TenantId};
use crate::recorder::repository::RecordingStoreError;

/// The sessions of a tenant.
#[async_trait]
pub trait CustodyRepository: Send + Sync {
    /// At most `limit` sessions of the tenant after `after`, in order.
    async fn sessions_after(
        &self,
        tenant: TenantId,
        after: Option<SessionId>,
        limit: u32,
    ) -> Result<Vec<SessionId>, RecordingStoreError>;
}
