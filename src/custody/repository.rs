//! What custody needs from the store besides logs and recordings.

use async_trait::async_trait;

use crate::domain::id::{CameraSecretId, PublicationId, SessionId, TenantId};
use crate::domain::store_error::StoreError;

/// The sessions of a tenant, and the keys of its cameras.
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
}
