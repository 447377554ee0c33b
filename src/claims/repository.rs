//! Where claims are kept.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;

use crate::claims::ClaimError;
use crate::domain::claim::{Fence, Work};
use crate::domain::id::{InstanceId, SessionId, TenantId};

/// The claims of all instances. Leases are measured by the database's clock, so
/// that the clocks of instances need not agree.
#[async_trait]
pub trait ClaimRepository: Send + Sync {
    /// Gives `work` on a session to `instance` for `lease`, and returns the new
    /// epoch; `None` while the lease of another instance runs. Of concurrent
    /// calls of two instances, one gets an epoch.
    async fn take(
        &self,
        tenant: TenantId,
        session: SessionId,
        work: Work,
        instance: InstanceId,
        lease: Duration,
    ) -> Result<Option<u64>, ClaimError>;

    /// Renews those of `claims` that `instance` still has for another `lease`,
    /// and returns them. The others were taken over.
    async fn renew(
        &self,
        instance: InstanceId,
        claims: &[Fence],
        lease: Duration,
    ) -> Result<Vec<Fence>, ClaimError>;

    /// Ends the lease of a claim, unless it was taken over.
    async fn release(&self, claim: Fence) -> Result<(), ClaimError>;

    /// Ends every lease of an instance that is known to have ended.
    async fn end_instance(&self, instance: InstanceId) -> Result<(), ClaimError>;

    /// Sessions whose `work` is under a running lease of an instance other than
    /// `instance`.
    async fn taken_by_others(
        &self,
        work: Work,
        instance: InstanceId,
    ) -> Result<BTreeSet<SessionId>, ClaimError>;
}
