//! What attendance needs of services: somebody who validates what was presented,
//! and the eligible list. `app` plugs clients of those services in.

use std::fmt;

use async_trait::async_trait;

use crate::attendance::roll::Roll;
use crate::domain::attendance::{AttendanceFailure, AttendanceMethod, UnitId};
use crate::domain::eligible_list::ListRefused;
use crate::domain::id::{AssemblyId, SessionId, TenantId, UserId};
use crate::domain::secret::Secret;

/// What somebody presented, to be validated by the identity service. It is
/// neither stored nor printed.
pub struct Presentation {
    /// How it proves: by QR code, biometric sample or code.
    pub method: AttendanceMethod,
    /// The contextual token, the sample or the code, as it came.
    pub secret: Secret<String>,
    /// The tenant of the session.
    pub tenant: TenantId,
    /// The session that it has to be for.
    pub session: SessionId,
    /// The assembly that meets in it.
    pub assembly: AssemblyId,
    /// Who presents it.
    pub user: UserId,
    /// What a sample is of, or how a code was sent, as the person says.
    pub variant: Option<String>,
}

impl fmt::Debug for Presentation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presentation").field("method", &self.method).finish_non_exhaustive()
    }
}

/// Validates presence proofs at the identity service.
#[async_trait]
pub trait PresenceVerifier: Send + Sync {
    /// Whose proof it is. An answer that comes too late is no answer.
    ///
    /// # Errors
    /// `Invalid`, `Expired`, `Replayed`, `WrongContext`, `ServiceUnavailable`.
    async fn verify(&self, presented: &Presentation) -> Result<UserId, AttendanceFailure>;
}

/// The people who may attend, as the user-profiles service lists them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EligibleList {
    /// The members with their units.
    pub roll: Roll,
    /// Units that have a delegate, and who it is.
    pub delegated: Vec<(UnitId, UserId)>,
}

/// The eligible list can't be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EligibleUnavailable {
    /// The service gave none; the text says why, for the log.
    #[error("the eligible list is unavailable: {0}")]
    NoAnswer(String),
    /// The service gave one that is not taken.
    #[error("the eligible list is refused: {0}")]
    Refused(ListRefused),
}

/// Reads the eligible list of an assembly.
#[async_trait]
pub trait EligibleSource: Send + Sync {
    /// The list as it is now.
    ///
    /// # Errors
    /// When the service does not answer or its list can't be used.
    async fn eligible(
        &self,
        tenant: TenantId,
        assembly: AssemblyId,
    ) -> Result<EligibleList, EligibleUnavailable>;
}
