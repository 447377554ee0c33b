//! Logs in the database. A stored entry is never changed.

mod read;
mod write;

use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::claim::Fence;
use crate::domain::id::{SessionId, TenantId};
use crate::evidence::EventKind;
use crate::evidence::repository::{
    Append, EvidenceRepository, EvidenceStoreError, Hash, LogRecord, StoredEntry, StoredEvent,
    StoredHead,
};
use crate::store::connect::Store;
use crate::store::operator_log;

#[async_trait]
impl EvidenceRepository for Store {
    fn fenced(self: Arc<Self>, fence: Fence) -> Arc<dyn EvidenceRepository> {
        Arc::new(self.with_fence(fence))
    }

    async fn log(
        &self,
        tenant: TenantId,
        session: SessionId,
    ) -> Result<Option<LogRecord>, EvidenceStoreError> {
        Ok(read::log(self, tenant, session).await?)
    }

    async fn create(
        &self,
        tenant: TenantId,
        session: SessionId,
        log_id: [u8; 16],
        events_key: Vec<u8>,
        append: Append,
    ) -> Result<(), EvidenceStoreError> {
        write::create(self, tenant, session, (log_id, events_key), &append).await
    }

    async fn append(
        &self,
        tenant: TenantId,
        session: SessionId,
        append: Append,
    ) -> Result<(), EvidenceStoreError> {
        write::append(self, tenant, session, &append).await
    }

    async fn put_events_key(
        &self,
        tenant: TenantId,
        session: SessionId,
        wrapped: Option<Vec<u8>>,
    ) -> Result<(), EvidenceStoreError> {
        write::put_events_key(self, tenant, session, wrapped).await
    }

    async fn put_head(
        &self,
        tenant: TenantId,
        session: SessionId,
        previous_size: u64,
        head: &StoredHead,
    ) -> Result<(), EvidenceStoreError> {
        write::put_head(self, tenant, session, previous_size, head).await
    }

    async fn leaves(
        &self,
        tenant: TenantId,
        session: SessionId,
        from: u64,
    ) -> Result<Vec<Hash>, EvidenceStoreError> {
        Ok(read::leaves(self, tenant, session, from).await?)
    }

    async fn entries(
        &self,
        tenant: TenantId,
        session: SessionId,
        from: u64,
        limit: u32,
    ) -> Result<Vec<StoredEntry>, EvidenceStoreError> {
        Ok(read::entries(self, tenant, session, from, limit).await?)
    }

    async fn heads(
        &self,
        tenant: TenantId,
        session: SessionId,
        from: u64,
        limit: u32,
    ) -> Result<Vec<StoredHead>, EvidenceStoreError> {
        Ok(read::heads(self, tenant, session, from, limit).await?)
    }

    async fn latest_head(
        &self,
        tenant: TenantId,
        session: SessionId,
    ) -> Result<Option<StoredHead>, EvidenceStoreError> {
        Ok(read::latest_head(self, tenant, session).await?)
    }

    async fn events(
        &self,
        tenant: TenantId,
        session: SessionId,
        kinds: &[EventKind],
        from: u64,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, EvidenceStoreError> {
        Ok(read::events(self, (tenant, session), kinds, from, limit).await?)
    }

    async fn unclosed(&self) -> Result<Vec<(TenantId, SessionId)>, EvidenceStoreError> {
        Ok(read::unclosed(self).await?)
    }

    async fn append_operator_leaf(
        &self,
        session: SessionId,
        tree_size: u64,
        cose: &[u8],
    ) -> Result<u64, EvidenceStoreError> {
        Ok(operator_log::append(self, session, tree_size, cose).await?)
    }

    async fn operator_size(&self) -> Result<u64, EvidenceStoreError> {
        Ok(operator_log::size(&self.connection).await?)
    }

    async fn operator_leaves(
        &self,
        from: u64,
        limit: u32,
    ) -> Result<Vec<Vec<u8>>, EvidenceStoreError> {
        Ok(operator_log::leaves(self, from, limit).await?)
    }

    async fn operator_leaf_of(
        &self,
        session: SessionId,
    ) -> Result<Option<(u64, Vec<u8>)>, EvidenceStoreError> {
        Ok(operator_log::leaf_of(self, session).await?)
    }
}
