//! Tracks, segments, gaps and playable files in the database.

mod playables;
mod segments;
mod tracks;

use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::claim::Fence;
use crate::domain::id::{RecordedTrackId, SessionKey};
use crate::domain::store_error::StoreError;
use crate::domain::time::Timestamp;
use crate::recorder::repository::{
    Playable, RecordedGap, RecordedSegment, RecordedTrack, RecordingRepository,
};
use crate::store::arrivals;
use crate::store::connect::Store;
use crate::store::recording_agenda;
use crate::store::tenant_tx::TenantTx;
use crate::store::{idempotency, media_tokens, rooms, sessions};

#[async_trait]
impl RecordingRepository for Store {
    fn fenced(self: Arc<Self>, fence: Fence) -> Arc<dyn RecordingRepository> {
        Arc::new(self.with_fence(fence))
    }

    async fn add_track(&self, key: SessionKey, track: &RecordedTrack) -> Result<(), StoreError> {
        or_conflict(tracks::add(self, key, track).await?)
    }

    async fn end_track(
        &self,
        key: SessionKey,
        track: RecordedTrackId,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        or_conflict(tracks::end(self, key, track, at).await?)
    }

    async fn put_track_key(
        &self,
        key: SessionKey,
        track: RecordedTrackId,
        wrapped: Option<Vec<u8>>,
    ) -> Result<(), StoreError> {
        or_conflict(tracks::put_key(self, key, track, wrapped).await?)
    }

    async fn tracks(&self, key: SessionKey) -> Result<Vec<RecordedTrack>, StoreError> {
        Ok(tracks::list(self, key).await?)
    }

    async fn add_segment(
        &self,
        key: SessionKey,
        segment: &RecordedSegment,
    ) -> Result<(), StoreError> {
        or_conflict(segments::add(self, key, segment).await?)
    }

    async fn segments(
        &self,
        key: SessionKey,
        track: RecordedTrackId,
        from: u64,
        limit: u32,
    ) -> Result<Vec<RecordedSegment>, StoreError> {
        Ok(segments::list(self, key, track, from, limit).await?)
    }

    async fn sealed_bytes(&self, key: SessionKey) -> Result<u64, StoreError> {
        Ok(segments::sealed_bytes(self, key).await?)
    }

    async fn last_segment(
        &self,
        key: SessionKey,
        track: RecordedTrackId,
    ) -> Result<Option<RecordedSegment>, StoreError> {
        Ok(segments::last(self, key, track).await?)
    }

    async fn add_gap(&self, key: SessionKey, gap: &RecordedGap) -> Result<(), StoreError> {
        Ok(segments::add_gap(self, key, gap).await?)
    }

    async fn gaps(&self, key: SessionKey) -> Result<Vec<RecordedGap>, StoreError> {
        Ok(segments::gaps(self, key).await?)
    }

    async fn put_playable(&self, key: SessionKey, playable: &Playable) -> Result<(), StoreError> {
        or_conflict(playables::put(self, key, playable).await?)
    }

    async fn playables(&self, key: SessionKey) -> Result<Vec<Playable>, StoreError> {
        Ok(playables::list(self, key).await?)
    }

    async fn unfinished(&self) -> Result<Vec<SessionKey>, StoreError> {
        Ok(recording_agenda::unfinished(self).await?)
    }

    async fn put_retention(
        &self,
        key: SessionKey,
        erase_after: Timestamp,
    ) -> Result<(), StoreError> {
        Ok(recording_agenda::put_retention(self, key, erase_after).await?)
    }

    async fn due_for_erasure(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<SessionKey>, StoreError> {
        Ok(recording_agenda::due(self, now, limit).await?)
    }

    async fn erased(
        &self,
        SessionKey { tenant, session }: SessionKey,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let tx = TenantTx::write(self, tenant).await?;
        idempotency::forget(&tx, session).await?;
        recording_agenda::erased(&tx, session, at).await?;
        tracks::forget_people(&tx, session).await?;
        rooms::forget(&tx, session).await?;
        arrivals::forget_votes(&tx, session).await?;
        media_tokens::forget(&tx, session).await?;
        sessions::forget_glossary(&tx, session).await?;
        tx.commit().await
    }
}

/// Whether the new row agrees with the stored one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    Done,
    Refused,
}

fn or_conflict(written: Written) -> Result<(), StoreError> {
    match written {
        Written::Done => Ok(()),
        Written::Refused => Err(StoreError::Conflict),
    }
}

/// Commits the transaction, or rolls it back when the rows disagree.
async fn finish(tx: TenantTx, written: Written) -> Result<Written, StoreError> {
    match written {
        Written::Done => tx.commit().await?,
        Written::Refused => tx.rollback().await?,
    }
    Ok(written)
}
