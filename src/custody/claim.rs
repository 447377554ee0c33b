//! Claims on recordings: only one instance or command at a time erases or rewraps a recording, and
//! everything it writes names its claim.

use std::sync::Arc;

use crate::claims::Claim;
use crate::custody::{Custody, CustodyError, CustodyLog};
use crate::domain::claim::Work;
use crate::domain::id::SessionKey;
use crate::evidence::repository::EvidenceRepository;
use crate::recorder::repository::RecordingRepository;

/// A session on which this process has a claim, and the places to which it writes.
pub(super) struct Owned {
    claim: Claim,
    pub(super) evidence: Arc<dyn EvidenceRepository>,
    pub(super) recordings: Arc<dyn RecordingRepository>,
    pub(super) log: Arc<dyn CustodyLog>,
}

impl Owned {
    /// Claims a session; [`CustodyError::Claimed`] when another instance has it.
    pub(super) async fn take(custody: &Custody, key: SessionKey) -> Result<Self, CustodyError> {
        let parts = &custody.parts;
        let claim = parts.claims.take(key, Work::Custody).await?;
        let fence = claim.fence();
        Ok(Self {
            claim,
            evidence: Arc::clone(&parts.evidence).fenced(fence),
            recordings: Arc::clone(&parts.recordings).fenced(fence),
            log: Arc::clone(&parts.log).fenced(fence),
        })
    }

    /// Returns an error when the lease has run out. Called before each step, since deleting objects
    /// in the vault can't be fenced.
    pub(super) fn check(&self) -> Result<(), CustodyError> {
        Ok(self.claim.check()?)
    }

    /// Releases the claim. If that fails, the lease runs out by itself.
    pub(super) async fn release(self) {
        self.claim.release().await;
    }
}
