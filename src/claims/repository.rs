//! The interface of the store of claims.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;

use crate::domain::claim::{Fence, Work};
use crate::domain::id::{InstanceId, SessionId, SessionKey};
use crate::domain::store_error::StoreError;

/// The claims of all instances. Leases are measured by the clock of the database, so that the
/// clocks of instances need not agree.
#[async_trait]
pub trait ClaimRepository: Send + Sync {
    /// Gives `work` on a session to `instance` for the time `lease`; returns the new epoch, or
    /// `None` while another instance has a valid lease. Of concurrent calls by two instances, only
    /// one gets an epoch.
    async fn take(
        &self,
        key: SessionKey,
        work: Work,
        instance: InstanceId,
        lease: Duration,
    ) -> Result<Option<u64>, StoreError>;

    /// As [`Self::take`], whoever has the lease; an instance that had it has it no longer.
    async fn seize(
        &self,
        key: SessionKey,
        work: Work,
        instance: InstanceId,
        lease: Duration,
    ) -> Result<u64, StoreError>;

    /// The instance that has a valid lease of `work` on a session.
    async fn holder(&self, key: SessionKey, work: Work) -> Result<Option<InstanceId>, StoreError>;

    /// Extends those of `claims` that `instance` still has by another `lease`; returns them. The
    /// others were taken by other instances.
    async fn renew(
        &self,
        instance: InstanceId,
        claims: &[Fence],
        lease: Duration,
    ) -> Result<Vec<Fence>, StoreError>;

    /// Ends the lease of a claim, unless another instance has taken it.
    async fn release(&self, claim: Fence) -> Result<(), StoreError>;

    /// Ends every lease of an instance that is known to have ended.
    async fn end_instance(&self, instance: InstanceId) -> Result<(), StoreError>;

    /// Sessions whose `work` is claimed, with a valid lease, by an instance other than `instance`.
    async fn taken_by_others(
        &self,
        work: Work,
        instance: InstanceId,
    ) -> Result<BTreeSet<SessionId>, StoreError>;
}
