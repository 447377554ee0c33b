//! Working on a recording alone: of several instances and commands one erases
//! or rewraps it at a time, and what it writes names its claim.

use std::sync::Arc;

use crate::claims::Claim;
use crate::custody::{Custody, CustodyError, CustodyLog};
use crate::domain::claim::Work;
use crate::domain::id::{SessionId, TenantId};
use crate::evidence::repository::EvidenceRepository;
use crate::recorder::repository::RecordingRepository;

/// A session that this process works on alone, and where it is written to.
pub(super) struct Owned {
    claim: Claim,
    pub(super) evidence: Arc<dyn EvidenceRepository>,
    pub(super) recordings: Arc<dyn RecordingRepository>,
    pub(super) log: Arc<dyn CustodyLog>,
}

impl Owned {
    /// Takes a session, or [`CustodyError::Claimed`].
    pub(super) async fn take(
        custody: &Custody,
        tenant: TenantId,
        session: SessionId,
    ) -> Result<Self, CustodyError> {
        let parts = &custody.parts;
        let claim = parts.claims.take(tenant, session, Work::Custody).await?;
        let fence = claim.fence();
        Ok(Self {
            claim,
            evidence: Arc::clone(&parts.evidence).fenced(fence),
            recordings: Arc::clone(&parts.recordings).fenced(fence),
            log: Arc::clone(&parts.log).fenced(fence),
        })
    }

    /// Refuses to go on when the lease has run out. Asked before each step,
    /// because deleting objects can't be fenced.
    pub(super) fn check(&self) -> Result<(), CustodyError> {
        Ok(self.claim.check()?)
    }

    /// Gives the session back. When that fails the lease runs out by itself.
    pub(super) async fn release(self) {
        self.claim.release().await;
    }
}
