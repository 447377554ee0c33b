//! What streams of sessions need of elsewhere.

use async_trait::async_trait;

use crate::domain::id::SessionKey;
use crate::domain::session::Session;
use crate::domain::store_error::StoreError;
use crate::sessions::SessionRepository;

/// The sessions that there are.
#[async_trait]
pub trait KnownSessions: Send + Sync {
    /// The session; `None` when this tenant has none with this id.
    async fn known(&self, key: SessionKey) -> Result<Option<Session>, StoreError>;
}

#[async_trait]
impl<R: SessionRepository> KnownSessions for R {
    async fn known(&self, key: SessionKey) -> Result<Option<Session>, StoreError> {
        self.find(key).await
    }
}
