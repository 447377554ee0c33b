//! What custody needs from the store besides logs and recordings.

use async_trait::async_trait;

use crate::domain::id::{CameraSecretId, PublicationId, SessionId, SessionKey, TenantId};
use crate::domain::store_error::StoreError;
use crate::domain::time::Timestamp;

/// Objects whose keys were destroyed and that the vault still has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Undeleted {
    /// How many.
    pub objects: u64,
    /// When deleting them is tried again.
    pub again_at: Timestamp,
}

/// The sessions of a tenant, the keys of its cameras, and what is left of erased recordings.
#[async_trait]
pub trait CustodyRepository: Send + Sync {
    /// At most `limit` sessions of the tenant after `after`, in order.
    async fn sessions_after(
        &self,
        tenant: TenantId,
        after: Option<SessionId>,
        limit: u32,
    ) -> Result<Vec<SessionId>, StoreError>;

    /// The wrapped keys of the addresses of the tenant's cameras.
    async fn camera_keys(
        &self,
        tenant: TenantId,
    ) -> Result<Vec<(CameraSecretId, Vec<u8>)>, StoreError>;

    /// Puts a key of a camera wrapped anew in place of the older wrapping; `false`
    /// when the address was sealed anew or forgotten meanwhile.
    async fn put_camera_key(
        &self,
        tenant: TenantId,
        secret: CameraSecretId,
        wrapped: &[u8],
    ) -> Result<bool, StoreError>;

    /// The wrapped keys of what edge devices of a tenant published.
    async fn capture_keys(
        &self,
        tenant: TenantId,
    ) -> Result<Vec<(PublicationId, Vec<u8>)>, StoreError>;

    /// Replaces the wrapping of such a key; `false` when it is gone.
    async fn put_capture_key(
        &self,
        tenant: TenantId,
        publication: PublicationId,
        wrapped: &[u8],
    ) -> Result<bool, StoreError>;

    /// Removes what was deleted from the files of the database. Fails while somebody reads them.
    async fn scrub(&self) -> Result<(), StoreError>;

    /// Whether a session is still to come or goes on.
    async fn is_not_over(&self, key: SessionKey) -> Result<bool, StoreError>;

    /// Whether the recording of a session was erased, and with it who took part.
    async fn is_erased(&self, key: SessionKey) -> Result<bool, StoreError>;

    /// Notes what is left in the vault of keys of a session that were destroyed; `None` when
    /// nothing is.
    async fn put_undeleted(
        &self,
        key: SessionKey,
        undeleted: Option<Undeleted>,
    ) -> Result<(), StoreError>;

    /// How many objects of a session were to be deleted and are not yet.
    async fn undeleted(&self, key: SessionKey) -> Result<u64, StoreError>;

    /// Sessions of all tenants whose objects are to be deleted by `now`, at most `limit`.
    async fn due_for_deletion(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<SessionKey>, StoreError>;
}
