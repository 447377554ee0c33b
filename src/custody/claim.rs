//! Working on a recording alone: of several instances and commands one erases
//! or rewraps it at a time.

use std::time::Duration;

use uuid::Uuid;

use crate::custody::{Custody, CustodyError};
use crate::domain::id::{SessionId, TenantId};
use crate::domain::time::Timestamp;

/// How long a claim lasts unless it is prolonged. Whoever crashes keeps others
/// waiting for that long.
const CLAIM_LASTS: Duration = Duration::from_mins(10);

/// A session that this process works on alone.
pub(super) struct Claim<'a> {
    custody: &'a Custody,
    tenant: TenantId,
    session: SessionId,
    claimant: Uuid,
    prolonged_at: Timestamp,
}

impl<'a> Claim<'a> {
    /// Takes a session, or [`CustodyError::Claimed`].
    pub(super) async fn take(
        custody: &'a Custody,
        tenant: TenantId,
        session: SessionId,
    ) -> Result<Self, CustodyError> {
        let now = custody.parts.clock.now();
        let claim = Self { custody, tenant, session, claimant: Uuid::new_v4(), prolonged_at: now };
        claim.ask(now).await?;
        Ok(claim)
    }

    /// Makes sure that the claim lasts for what comes next.
    pub(super) async fn prolong(&mut self) -> Result<(), CustodyError> {
        let now = self.custody.parts.clock.now();
        if now.since(self.prolonged_at) >= CLAIM_LASTS / 4 {
            self.ask(now).await?;
            self.prolonged_at = now;
        }
        Ok(())
    }

    /// Gives the session back. When that fails the claim ends by itself.
    pub(super) async fn release(self) {
        let claims = &self.custody.parts.claims;
        if let Err(error) = claims.release(self.tenant, self.session, self.claimant).await {
            tracing::debug!(session = %self.session, %error, "a claim ends by itself");
        }
    }

    async fn ask(&self, now: Timestamp) -> Result<(), CustodyError> {
        let claims = &self.custody.parts.claims;
        let until = now.after(CLAIM_LASTS);
        if claims.claim(self.tenant, self.session, self.claimant, now, until).await? {
            Ok(())
        } else {
            Err(CustodyError::Claimed)
        }
    }
}
