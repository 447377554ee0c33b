//! What custody keeps beside logs and recordings.

use async_trait::async_trait;
use uuid::Uuid;

use crate::domain::id::{SessionId, TenantId};
use crate::domain::time::Timestamp;
use crate::recorder::repository::RecordingStoreError;

/// Who works on which recording, and which recordings a tenant has.
#[async_trait]
pub trait CustodyRepository: Send + Sync {
    /// Takes a session for `claimant` until `until`, or prolongs that; `false`
    /// while another claimant has it. Of concurrent calls of two claimants, in
    /// any instance, one gets `true`.
    async fn claim(
        &self,
        tenant: TenantId,
        session: SessionId,
        claimant: Uuid,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, RecordingStoreError>;

    /// Gives a session back, if `claimant` has it.
    async fn release(
        &self,
        tenant: TenantId,
        session: SessionId,
        claimant: Uuid,
    ) -> Result<(), RecordingStoreError>;

    /// The tenant's sessions after `after`, in order, at most `limit`.
    async fn sessions_after(
        &self,
        tenant: TenantId,
        after: Option<SessionId>,
        limit: u32,
    ) -> Result<Vec<SessionId>, RecordingStoreError>;
}
