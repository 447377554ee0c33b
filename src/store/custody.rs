//! The queries of custody.

use async_trait::async_trait;
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use crate::custody::repository::{CustodyRepository, Undeleted};
use crate::domain::id::{CameraSecretId, PublicationId, SessionId, SessionKey, TenantId};
use crate::domain::store_error::StoreError;
use crate::domain::time::Timestamp;
use crate::sessions::SessionRepository as _;
use crate::store::cameras;
use crate::store::connect::Store;
use crate::store::entities::session::{Column, Entity};
use crate::store::recording_agenda;
use crate::store::scrub;
use crate::store::tenant_tx::TenantTx;

#[async_trait]
impl CustodyRepository for Store {
    async fn sessions_after(
        &self,
        tenant: TenantId,
        after: Option<SessionId>,
        limit: u32,
    ) -> Result<Vec<SessionId>, StoreError> {
        Ok(sessions_after(self, tenant, after, limit).await?)
    }

    async fn camera_keys(
        &self,
        tenant: TenantId,
    ) -> Result<Vec<(CameraSecretId, Vec<u8>)>, StoreError> {
        Ok(cameras::wrapped_keys(self, tenant).await?)
    }

    async fn put_camera_key(
        &self,
        tenant: TenantId,
        secret: CameraSecretId,
        wrapped: &[u8],
    ) -> Result<bool, StoreError> {
        Ok(cameras::put_wrapped_key(self, tenant, secret, wrapped).await?)
    }

    async fn capture_keys(
        &self,
        tenant: TenantId,
    ) -> Result<Vec<(PublicationId, Vec<u8>)>, StoreError> {
        Ok(cameras::capture_keys(self, tenant).await?)
    }

    async fn put_capture_key(
        &self,
        tenant: TenantId,
        publication: PublicationId,
        wrapped: &[u8],
    ) -> Result<bool, StoreError> {
        Ok(cameras::put_capture_key(self, tenant, publication, wrapped).await?)
    }

    async fn scrub(&self) -> Result<(), StoreError> {
        Ok(scrub::scrub(self).await?)
    }

    async fn is_not_over(&self, key: SessionKey) -> Result<bool, StoreError> {
        let found = self.find(key).await?;
        Ok(found.is_some_and(|session| !session.status.is_over()))
    }

    async fn is_erased(&self, key: SessionKey) -> Result<bool, StoreError> {
        Ok(recording_agenda::is_erased(self, key).await?)
    }

    async fn put_undeleted(
        &self,
        SessionKey { tenant, session }: SessionKey,
        undeleted: Option<Undeleted>,
    ) -> Result<(), StoreError> {
        let tx = TenantTx::write(self, tenant).await?;
        recording_agenda::put_undeleted(&tx, session, undeleted).await?;
        tx.commit().await
    }

    async fn undeleted(&self, key: SessionKey) -> Result<u64, StoreError> {
        Ok(recording_agenda::undeleted(self, key).await?)
    }

    async fn due_for_deletion(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<SessionKey>, StoreError> {
        Ok(recording_agenda::due_for_deletion(self, now, limit).await?)
    }
}

async fn sessions_after(
    store: &Store,
    tenant: TenantId,
    after: Option<SessionId>,
    limit: u32,
) -> Result<Vec<SessionId>, StoreError> {
    let tx = TenantTx::read(store, tenant).await?;
    let ids: Vec<Uuid> = Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(Column::TenantId.eq(tx.tenant().as_uuid()))
        .filter(Condition::all().add_option(after.map(|after| Column::Id.gt(after.as_uuid()))))
        .order_by_asc(Column::Id)
        .limit(u64::from(limit))
        .into_tuple()
        .all(tx.connection())
        .await?;
    tx.commit().await?;
    Ok(ids.into_iter().map(SessionId::from_uuid).collect())
}
