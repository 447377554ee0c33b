//! Where the calls to be made are kept.

use async_trait::async_trait;

use crate::domain::claim::Fence;
use crate::domain::id::{AssemblyId, SessionId, TenantId};
use crate::domain::named_values::named_values;
use crate::domain::store_error::StoreError;
use crate::domain::time::Timestamp;

named_values!(
    /// What governance is told or asked about a session, in order.
    Step {
        /// It is told that the session started.
        Started => "started",
        /// It is asked what it holds when the session starts.
        DataAtStart => "data_at_start",
        /// It is told that the session ended.
        Ended => "ended",
        /// It is asked what it holds when the session ends.
        DataAtEnd => "data_at_end",
    }
);

/// One call to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GovernanceCall {
    /// Whose session it is.
    pub tenant: TenantId,
    /// The session.
    pub session: SessionId,
    /// Its assembly.
    pub assembly: AssemblyId,
    /// What is told or asked.
    pub step: Step,
    /// When the session started or ended.
    pub at: Timestamp,
    /// How often it was tried.
    pub tries: u32,
    /// How often governance itself refused it.
    pub refusals: u32,
}

/// How a call failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Governance understood the call and refused it.
    Refused,
    /// There was no answer, or none that could be used.
    NoAnswer,
}

impl Failure {
    /// Its name in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::NoAnswer => "failed",
        }
    }
}

/// The calls of all sessions.
#[async_trait]
pub trait CallRepository: Send + Sync {
    /// Adds calls that are due at once. Those that are known already, done or
    /// not, stay as they are.
    async fn plan(&self, calls: &[GovernanceCall]) -> Result<(), StoreError>;

    /// At most `limit` calls that are due at `now`, the longest due first. That a
    /// session ended is not due before it was told that it started.
    async fn due(&self, now: Timestamp, limit: u32) -> Result<Vec<GovernanceCall>, StoreError>;

    /// Notes that a call was made, under the claim on its session's governance.
    async fn done(
        &self,
        fence: Fence,
        call: &GovernanceCall,
        at: Timestamp,
    ) -> Result<(), StoreError>;

    /// Notes how a call failed and when it is due again, under the claim on its
    /// session's governance.
    async fn postpone(
        &self,
        fence: Fence,
        call: &GovernanceCall,
        failed: (Failure, Timestamp),
    ) -> Result<(), StoreError>;

    /// How many calls are not done.
    async fn waiting(&self) -> Result<u64, StoreError>;
}
