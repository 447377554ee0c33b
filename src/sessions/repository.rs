//! Where sessions are kept, as this station needs it.

use async_trait::async_trait;

use crate::domain::error_code::ErrorCode;
use crate::domain::id::{SessionId, TenantId};
use crate::domain::session::Session;
use crate::sessions::listing::{SessionFilter, SessionPosition};

/// The repository failed; nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RepositoryError {
    /// It does not answer or refuses.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// It holds, or was given, something that can't be.
    #[error("the database and this server disagree: {0}")]
    Corrupt(String),
}

impl RepositoryError {
    /// The stable code of this failure.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Unavailable(_) => ErrorCode::DependencyUnavailable,
            Self::Corrupt(_) => ErrorCode::Internal,
        }
    }
}

/// How an activation went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// The session is active and stored.
    Done,
    /// The stored version is another than expected; nothing was stored.
    Stale,
    /// The tenant has as many active sessions as it may; nothing was stored.
    LimitReached,
}

/// Sessions by tenant. Every operation is one transaction and sees only the
/// tenant it names.
#[async_trait]
pub trait SessionRepository: Send + Sync {
    /// Stores a session that did not exist.
    async fn insert(&self, session: &Session) -> Result<(), RepositoryError>;

    /// The session, unless this tenant has none with this id.
    async fn find(
        &self,
        tenant: TenantId,
        id: SessionId,
    ) -> Result<Option<Session>, RepositoryError>;

    /// At most `limit` sessions that pass `filter`, newest first by creation
    /// and id, those that come after `after` in this order.
    async fn list(
        &self,
        tenant: TenantId,
        filter: &SessionFilter,
        after: Option<SessionPosition>,
        limit: u32,
    ) -> Result<Vec<Session>, RepositoryError>;

    /// Replaces the session if its stored version is `expected`, and says
    /// whether it was.
    async fn replace(&self, session: &Session, expected: u64) -> Result<bool, RepositoryError>;

    /// Replaces the session by one that is active, if its stored version is
    /// `expected` and its tenant has fewer than `active_max` active ones. Holds
    /// under concurrent calls from several processes.
    async fn activate(
        &self,
        session: &Session,
        expected: u64,
        active_max: u32,
    ) -> Result<Activation, RepositoryError>;
}
