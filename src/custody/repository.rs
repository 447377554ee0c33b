//! What custody keeps beside logs and recordings.

use async_trait::async_trait;

use crate::domain::id::{SessionId, TenantId};
use crate::recorder::repository::RecordingStoreError;

/// Which sessions a tenant has.
#[async_trait]
pub trait CustodyRepository: Send + Sync {
    /// The tenant's sessions after `after`, in order, at most `limit`.
    async fn sessions_after(
        &self,
        tenant: TenantId,
        after: Option<SessionId>,
        limit: u32,
    ) -> Result<Vec<SessionId>, RecordingStoreError>;
}
