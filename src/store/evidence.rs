//! Logs in the database. A stored entry is never changed.

mod read;
mod write;

use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::claim::Fence;
use crate::domain::id::{SessionId, SessionKey};
use crate::domain::store_error::StoreError;
use crate::evidence::EventKind;
use crate::evidence::repository::{
    Append, EvidenceRepository, Hash, LogRecord, StoredEntry, StoredEvent, StoredHead,
};
use crate::store::connect::Store;
use crate::store::operator_log;

#[async_trait]
impl EvidenceRepository for Store {
    fn fenced(self: Arc<Self>, fence: Fence) -> Arc<dyn EvidenceRepository> {
        Arc::new(self.with_fence(fence))
    }

    async fn log(&self, key: SessionKey) -> Result<Option<LogRecord>, StoreError> {
        Ok(read::log(self, key).await?)
    }

    async fn create(
        &self,
        key: SessionKey,
        log_id: [u8; 16],
        events_key: Vec<u8>,
        append: Append,
    ) -> Result<(), StoreError> {
        write::create(self, key, (log_id, events_key), &append).await
    }

    async fn append(&self, key: SessionKey, append: Append) -> Result<(), StoreError> {
        write::append(self, key, &append).await
    }

    async fn put_events_key(
        &self,
        key: SessionKey,
        wrapped: Option<Vec<u8>>,
    ) -> Result<(), StoreError> {
        write::put_events_key(self, key, wrapped).await
    }

    async fn put_head(
        &self,
        key: SessionKey,
        previous_size: u64,
        head: &StoredHead,
    ) -> Result<(), StoreError> {
        write::put_head(self, key, previous_size, head).await
    }

    async fn leaves(&self, key: SessionKey, from: u64) -> Result<Vec<Hash>, StoreError> {
        Ok(read::leaves(self, key, from).await?)
    }

    async fn entries(
        &self,
        key: SessionKey,
        from: u64,
        limit: u32,
    ) -> Result<Vec<StoredEntry>, StoreError> {
        Ok(read::entries(self, key, from, limit).await?)
    }

    async fn heads(
        &self,
        key: SessionKey,
        from: u64,
        limit: u32,
    ) -> Result<Vec<StoredHead>, StoreError> {
        Ok(read::heads(self, key, from, limit).await?)
    }

    async fn latest_head(&self, key: SessionKey) -> Result<Option<StoredHead>, StoreError> {
        Ok(read::latest_head(self, key).await?)
    }

    async fn events(
        &self,
        key: SessionKey,
        kinds: &[EventKind],
        from: u64,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        Ok(read::events(self, key, kinds, from, limit).await?)
    }

    async fn unclosed(&self) -> Result<Vec<SessionKey>, StoreError> {
        Ok(read::unclosed(self).await?)
    }

    async fn append_operator_leaf(
        &self,
        session: SessionId,
        tree_size: u64,
        cose: &[u8],
    ) -> Result<u64, StoreError> {
        Ok(operator_log::append(self, session, tree_size, cose).await?)
    }

    async fn operator_size(&self) -> Result<u64, StoreError> {
        Ok(operator_log::size(&self.connection).await?)
    }

    async fn operator_leaves(&self, from: u64, limit: u32) -> Result<Vec<Vec<u8>>, StoreError> {
        Ok(operator_log::leaves(self, from, limit).await?)
    }

    async fn operator_leaf_of(
        &self,
        session: SessionId,
    ) -> Result<Option<(u64, Vec<u8>)>, StoreError> {
        Ok(operator_log::leaf_of(self, session).await?)
    }
}
