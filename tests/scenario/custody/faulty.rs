//! A process that dies at a chosen step: from then on nothing it does has an
//! effect, and nothing answers it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use cabildo::claims::repository::ClaimRepository;
use cabildo::custody::repository::{CustodyRepository, Undeleted};
use cabildo::custody::{CustodyLog, CustodyLogError};
use cabildo::domain::claim::{Fence, Work};
use cabildo::domain::id::{
    CameraSecretId, InstanceId, PublicationId, RecordedTrackId, SessionId, SessionKey, TenantId,
};
use cabildo::domain::secret::Secret;
use cabildo::domain::store_error::StoreError;
use cabildo::domain::time::Timestamp;
use cabildo::evidence::EventKind;
use cabildo::evidence::repository::{
    Append, EvidenceRepository, Hash, LogRecord, StoredEntry, StoredEvent, StoredHead,
};
use cabildo::recorder::repository::{
    Playable, RecordedGap, RecordedSegment, RecordedTrack, RecordingRepository,
};
use cabildo::store::Store;
use cabildo::vault::{KeyPurpose, KeyVault, KeyVaultError, ObjectName, Vault, VaultError};
use serde_json::Value;

use crate::custody::deletions::{Deletion, Deletions};

/// Steps until the process dies. Every change is two: it may die before the
/// change, and after it, not knowing that it was made.
#[derive(Clone, Default)]
pub(crate) struct Life(Arc<AtomicU64>);

impl Life {
    pub(crate) fn of(steps: u64) -> Self {
        Self(Arc::new(AtomicU64::new(steps)))
    }

    fn is_over(&self) -> bool {
        let spend = |left: u64| left.checked_sub(1);
        self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, spend).is_err()
    }
}

/// Everything a process works with, while it lives.
pub(crate) struct Faulty<T> {
    pub(crate) inner: T,
    pub(crate) life: Life,
}

fn unavailable() -> String {
    "the process is dead".to_owned()
}

/// Carries out a change, unless the process dies before or after it.
macro_rules! step {
    ($self:ident, $dead:expr, $change:expr) => {{
        if $self.life.is_over() {
            return Err($dead);
        }
        let outcome = $change.await;
        if $self.life.is_over() {
            return Err($dead);
        }
        outcome
    }};
}

#[async_trait]
impl CustodyLog for Faulty<Arc<dyn CustodyLog>> {
    fn fenced(self: Arc<Self>, fence: Fence) -> Arc<dyn CustodyLog> {
        let inner = Arc::clone(&self.inner).fenced(fence);
        Arc::new(Self { inner, life: self.life.clone() })
    }

    async fn erase(
        &self,
        key: SessionKey,
        target_seq: u64,
        reason: u32,
        hash: Hash,
    ) -> Result<u64, CustodyLogError> {
        let dead = CustodyLogError::Unavailable(unavailable());
        step!(self, dead.clone(), self.inner.erase(key, target_seq, reason, hash))
    }

    async fn note(
        &self,
        key: SessionKey,
        kind: EventKind,
        text: String,
    ) -> Result<u64, CustodyLogError> {
        let dead = CustodyLogError::Unavailable(unavailable());
        step!(self, dead.clone(), self.inner.note(key, kind, text))
    }

    async fn proof(&self, key: SessionKey, seqs: &[u64]) -> Result<Value, CustodyLogError> {
        self.inner.proof(key, seqs).await
    }

    async fn published_keys(&self, issuer: &str) -> Result<Value, CustodyLogError> {
        self.inner.published_keys(issuer).await
    }
}

/// A vault of a process, while it lives.
pub(crate) fn faulty_vault(inner: Arc<dyn Vault>, life: Life) -> Arc<dyn Vault> {
    let judge = move |_: &ObjectName, _: Deletion| {
        if life.is_over() { Err(VaultError::Unavailable(unavailable())) } else { Ok(()) }
    };
    Arc::new(Deletions { inner, judge })
}

#[async_trait]
impl KeyVault for Faulty<Arc<dyn KeyVault>> {
    async fn wrap(
        &self,
        tenant: TenantId,
        purpose: KeyPurpose,
        key: &Secret<[u8; 32]>,
    ) -> Result<Vec<u8>, KeyVaultError> {
        self.inner.wrap(tenant, purpose, key).await
    }

    async fn unwrap(
        &self,
        tenant: TenantId,
        purpose: KeyPurpose,
        wrapped: &[u8],
    ) -> Result<Secret<[u8; 32]>, KeyVaultError> {
        self.inner.unwrap(tenant, purpose, wrapped).await
    }

    async fn rotate(&self, tenant: TenantId) -> Result<u32, KeyVaultError> {
        self.inner.rotate(tenant).await
    }

    async fn destroy(&self, tenant: TenantId, version: u32) -> Result<(), KeyVaultError> {
        let dead = KeyVaultError::Unavailable(unavailable());
        step!(self, dead.clone(), self.inner.destroy(tenant, version))
    }
}

#[async_trait]
impl ClaimRepository for Faulty<Store> {
    async fn take(
        &self,
        key: SessionKey,
        work: Work,
        instance: InstanceId,
        lease: Duration,
    ) -> Result<Option<u64>, StoreError> {
        let dead = StoreError::Unavailable(unavailable());
        step!(self, dead.clone(), self.inner.take(key, work, instance, lease))
    }

    async fn seize(
        &self,
        key: SessionKey,
        work: Work,
        instance: InstanceId,
        lease: Duration,
    ) -> Result<u64, StoreError> {
        let dead = StoreError::Unavailable(unavailable());
        step!(self, dead.clone(), self.inner.seize(key, work, instance, lease))
    }

    async fn holder(&self, key: SessionKey, work: Work) -> Result<Option<InstanceId>, StoreError> {
        self.inner.holder(key, work).await
    }

    async fn renew(
        &self,
        instance: InstanceId,
        claims: &[Fence],
        lease: Duration,
    ) -> Result<Vec<Fence>, StoreError> {
        self.inner.renew(instance, claims, lease).await
    }

    async fn release(&self, claim: Fence) -> Result<(), StoreError> {
        let dead = StoreError::Unavailable(unavailable());
        step!(self, dead.clone(), self.inner.release(claim))
    }

    async fn end_instance(&self, instance: InstanceId) -> Result<(), StoreError> {
        self.inner.end_instance(instance).await
    }

    async fn taken_by_others(
        &self,
        work: Work,
        instance: InstanceId,
    ) -> Result<BTreeSet<SessionId>, StoreError> {
        self.inner.taken_by_others(work, instance).await
    }
}

#[async_trait]
impl CustodyRepository for Faulty<Store> {
    async fn sessions_after(
        &self,
        tenant: TenantId,
        after: Option<SessionId>,
        limit: u32,
    ) -> Result<Vec<SessionId>, StoreError> {
        self.inner.sessions_after(tenant, after, limit).await
    }

    async fn camera_keys(
        &self,
        tenant: TenantId,
    ) -> Result<Vec<(CameraSecretId, Vec<u8>)>, StoreError> {
        self.inner.camera_keys(tenant).await
    }

    async fn put_camera_key(
        &self,
        tenant: TenantId,
        secret: CameraSecretId,
        wrapped: &[u8],
    ) -> Result<bool, StoreError> {
        self.inner.put_camera_key(tenant, secret, wrapped).await
    }

    async fn capture_keys(
        &self,
        tenant: TenantId,
    ) -> Result<Vec<(PublicationId, Vec<u8>)>, StoreError> {
        self.inner.capture_keys(tenant).await
    }

    async fn put_capture_key(
        &self,
        tenant: TenantId,
        publication: PublicationId,
        wrapped: &[u8],
    ) -> Result<bool, StoreError> {
        self.inner.put_capture_key(tenant, publication, wrapped).await
    }

    async fn scrub(&self) -> Result<(), StoreError> {
        let dead = StoreError::Unavailable(unavailable());
        step!(self, dead.clone(), self.inner.scrub())
    }

    async fn is_not_over(&self, key: SessionKey) -> Result<bool, StoreError> {
        self.inner.is_not_over(key).await
    }

    async fn is_erased(&self, key: SessionKey) -> Result<bool, StoreError> {
        CustodyRepository::is_erased(&self.inner, key).await
    }

    async fn put_undeleted(
        &self,
        key: SessionKey,
        undeleted: Option<Undeleted>,
    ) -> Result<(), StoreError> {
        let dead = StoreError::Unavailable(unavailable());
        step!(self, dead.clone(), self.inner.put_undeleted(key, undeleted))
    }

    async fn undeleted(&self, key: SessionKey) -> Result<u64, StoreError> {
        self.inner.undeleted(key).await
    }

    async fn due_for_deletion(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<SessionKey>, StoreError> {
        self.inner.due_for_deletion(now, limit).await
    }
}

#[async_trait]
impl EvidenceRepository for Faulty<Store> {
    fn fenced(self: Arc<Self>, fence: Fence) -> Arc<dyn EvidenceRepository> {
        Arc::new(Self { inner: self.inner.with_fence(fence), life: self.life.clone() })
    }

    async fn log(&self, key: SessionKey) -> Result<Option<LogRecord>, StoreError> {
        self.inner.log(key).await
    }

    async fn create(
        &self,
        key: SessionKey,
        log_id: [u8; 16],
        events_key: Vec<u8>,
        append: Append,
    ) -> Result<(), StoreError> {
        self.inner.create(key, log_id, events_key, append).await
    }

    async fn append(&self, key: SessionKey, append: Append) -> Result<(), StoreError> {
        EvidenceRepository::append(&self.inner, key, append).await
    }

    async fn put_events_key(
        &self,
        key: SessionKey,
        wrapped: Option<Vec<u8>>,
    ) -> Result<(), StoreError> {
        let dead = StoreError::Unavailable(unavailable());
        step!(self, dead.clone(), self.inner.put_events_key(key, wrapped))
    }

    async fn put_head(
        &self,
        key: SessionKey,
        previous_size: u64,
        head: &StoredHead,
    ) -> Result<(), StoreError> {
        self.inner.put_head(key, previous_size, head).await
    }

    async fn leaves(&self, key: SessionKey, from: u64) -> Result<Vec<Hash>, StoreError> {
        self.inner.leaves(key, from).await
    }

    async fn entries(
        &self,
        key: SessionKey,
        from: u64,
        limit: u32,
    ) -> Result<Vec<StoredEntry>, StoreError> {
        self.inner.entries(key, from, limit).await
    }

    async fn heads(
        &self,
        key: SessionKey,
        from: u64,
        limit: u32,
    ) -> Result<Vec<StoredHead>, StoreError> {
        self.inner.heads(key, from, limit).await
    }

    async fn latest_head(&self, key: SessionKey) -> Result<Option<StoredHead>, StoreError> {
        self.inner.latest_head(key).await
    }

    async fn events(
        &self,
        key: SessionKey,
        kinds: &[EventKind],
        from: u64,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        self.inner.events(key, kinds, from, limit).await
    }

    async fn unclosed(&self) -> Result<Vec<SessionKey>, StoreError> {
        self.inner.unclosed().await
    }

    async fn append_operator_leaf(
        &self,
        session: SessionId,
        tree_size: u64,
        cose: &[u8],
    ) -> Result<u64, StoreError> {
        self.inner.append_operator_leaf(session, tree_size, cose).await
    }

    async fn operator_size(&self) -> Result<u64, StoreError> {
        self.inner.operator_size().await
    }

    async fn operator_leaves(&self, from: u64, limit: u32) -> Result<Vec<Vec<u8>>, StoreError> {
        self.inner.operator_leaves(from, limit).await
    }

    async fn operator_leaf_of(
        &self,
        session: SessionId,
    ) -> Result<Option<(u64, Vec<u8>)>, StoreError> {
        self.inner.operator_leaf_of(session).await
    }
}

#[async_trait]
impl RecordingRepository for Faulty<Store> {
    fn fenced(self: Arc<Self>, fence: Fence) -> Arc<dyn RecordingRepository> {
        Arc::new(Self { inner: self.inner.with_fence(fence), life: self.life.clone() })
    }

    async fn add_track(&self, key: SessionKey, track: &RecordedTrack) -> Result<(), StoreError> {
        self.inner.add_track(key, track).await
    }

    async fn end_track(
        &self,
        key: SessionKey,
        track: RecordedTrackId,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.inner.end_track(key, track, at).await
    }

    async fn put_track_key(
        &self,
        key: SessionKey,
        track: RecordedTrackId,
        wrapped: Option<Vec<u8>>,
    ) -> Result<(), StoreError> {
        let dead = StoreError::Unavailable(unavailable());
        step!(self, dead.clone(), self.inner.put_track_key(key, track, wrapped))
    }

    async fn tracks(&self, key: SessionKey) -> Result<Vec<RecordedTrack>, StoreError> {
        self.inner.tracks(key).await
    }

    async fn add_segment(
        &self,
        key: SessionKey,
        segment: &RecordedSegment,
    ) -> Result<(), StoreError> {
        self.inner.add_segment(key, segment).await
    }

    async fn segments(
        &self,
        key: SessionKey,
        track: RecordedTrackId,
        from: u64,
        limit: u32,
    ) -> Result<Vec<RecordedSegment>, StoreError> {
        self.inner.segments(key, track, from, limit).await
    }

    async fn sealed_bytes(&self, key: SessionKey) -> Result<u64, StoreError> {
        self.inner.sealed_bytes(key).await
    }

    async fn last_segment(
        &self,
        key: SessionKey,
        track: RecordedTrackId,
    ) -> Result<Option<RecordedSegment>, StoreError> {
        self.inner.last_segment(key, track).await
    }

    async fn add_gap(&self, key: SessionKey, gap: &RecordedGap) -> Result<(), StoreError> {
        self.inner.add_gap(key, gap).await
    }

    async fn gaps(&self, key: SessionKey) -> Result<Vec<RecordedGap>, StoreError> {
        self.inner.gaps(key).await
    }

    async fn put_playable(&self, key: SessionKey, playable: &Playable) -> Result<(), StoreError> {
        let dead = StoreError::Unavailable(unavailable());
        step!(self, dead.clone(), self.inner.put_playable(key, playable))
    }

    async fn playables(&self, key: SessionKey) -> Result<Vec<Playable>, StoreError> {
        self.inner.playables(key).await
    }

    async fn unfinished(&self) -> Result<Vec<SessionKey>, StoreError> {
        self.inner.unfinished().await
    }

    async fn put_retention(
        &self,
        key: SessionKey,
        erase_after: Timestamp,
    ) -> Result<(), StoreError> {
        self.inner.put_retention(key, erase_after).await
    }

    async fn due_for_erasure(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<SessionKey>, StoreError> {
        self.inner.due_for_erasure(now, limit).await
    }

    async fn erased(&self, key: SessionKey, at: Timestamp) -> Result<(), StoreError> {
        let dead = StoreError::Unavailable(unavailable());
        step!(self, dead.clone(), self.inner.erased(key, at))
    }
}
