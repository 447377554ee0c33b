//! Tracks, segments, gaps and playable files in the database.

mod playables;
mod segments;
mod tracks;

use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::claim::Fence;
use crate::domain::id::{RecordedTrackId, SessionId, TenantId};
use crate::domain::time::Timestamp;
use crate::recorder::repository::{
    Playable, RecordedGap, RecordedSegment, RecordedTrack, RecordingRepository, RecordingStoreError,
};
use crate::store::connect::Store;
use crate::store::error::StoreError;
use crate::store::recording_agenda;
use crate::store::tenant_tx::TenantTx;
use crate::store::{journal, media_tokens};

#[async_trait]
impl RecordingRepository for Store {
    fn fenced(self: Arc<Self>, fence: Fence) -> Arc<dyn RecordingRepository> {
        Arc::new(self.with_fence(fence))
    }

    async fn add_track(
        &self,
        tenant: TenantId,
        session: SessionId,
        track: &RecordedTrack,
    ) -> Result<(), RecordingStoreError> {
        settle(tracks::add(self, tenant, session, track).await?)
    }

    async fn end_track(
        &self,
        tenant: TenantId,
        session: SessionId,
        track: RecordedTrackId,
        at: Timestamp,
    ) -> Result<(), RecordingStoreError> {
        settle(tracks::end(self, tenant, session, track, at).await?)
    }

    async fn put_track_key(
        &self,
        tenant: TenantId,
        session: SessionId,
        track: RecordedTrackId,
        wrapped: Option<Vec<u8>>,
    ) -> Result<(), RecordingStoreError> {
        settle(tracks::put_key(self, tenant, session, track, wrapped).await?)
    }

    async fn tracks(
        &self,
        tenant: TenantId,
        session: SessionId,
    ) -> Result<Vec<RecordedTrack>, RecordingStoreError> {
        Ok(tracks::list(self, tenant, session).await?)
    }

    async fn add_segment(
        &self,
        tenant: TenantId,
        session: SessionId,
        segment: &RecordedSegment,
    ) -> Result<(), RecordingStoreError> {
        settle(segments::add(self, tenant, session, segment).await?)
    }

    async fn segments(
        &self,
        tenant: TenantId,
        session: SessionId,
        track: RecordedTrackId,
        from: u64,
        limit: u32,
    ) -> Result<Vec<RecordedSegment>, RecordingStoreError> {
        Ok(segments::list(self, (tenant, session), track, from, limit).await?)
    }

    async fn last_segment(
        &self,
        tenant: TenantId,
        session: SessionId,
        track: RecordedTrackId,
    ) -> Result<Option<RecordedSegment>, RecordingStoreError> {
        Ok(segments::last(self, tenant, session, track).await?)
    }

    async fn add_gap(
        &self,
        tenant: TenantId,
        session: SessionId,
        gap: &RecordedGap,
    ) -> Result<(), RecordingStoreError> {
        Ok(segments::add_gap(self, tenant, session, gap).await?)
    }

    async fn gaps(
        &self,
        tenant: TenantId,
        session: SessionId,
    ) -> Result<Vec<RecordedGap>, RecordingStoreError> {
        Ok(segments::gaps(self, tenant, session).await?)
    }

    async fn put_playable(
        &self,
        tenant: TenantId,
        session: SessionId,
        playable: &Playable,
    ) -> Result<(), RecordingStoreError> {
        settle(playables::put(self, tenant, session, playable).await?)
    }

    async fn playables(
        &self,
        tenant: TenantId,
        session: SessionId,
    ) -> Result<Vec<Playable>, RecordingStoreError> {
        Ok(playables::list(self, tenant, session).await?)
    }

    async fn unfinished(&self) -> Result<Vec<(TenantId, SessionId)>, RecordingStoreError> {
        Ok(recording_agenda::unfinished(self).await?)
    }

    async fn put_retention(
        &self,
        tenant: TenantId,
        session: SessionId,
        erase_after: Timestamp,
    ) -> Result<(), RecordingStoreError> {
        Ok(recording_agenda::put_retention(self, tenant, session, erase_after).await?)
    }

    async fn due_for_erasure(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<(TenantId, SessionId)>, RecordingStoreError> {
        Ok(recording_agenda::due(self, now, limit).await?)
    }

    async fn erased(
        &self,
        tenant: TenantId,
        session: SessionId,
        at: Timestamp,
    ) -> Result<(), RecordingStoreError> {
        let tx = TenantTx::write(self, tenant).await?;
        recording_agenda::erased(&tx, session, at).await?;
        tracks::forget_people(&tx, session).await?;
        journal::forget(&tx, session).await?;
        media_tokens::forget(&tx, session).await?;
        Ok(tx.commit().await?)
    }
}

/// Whether the new row agrees with the stored one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    Done,
    Refused,
}

fn settle(written: Written) -> Result<(), RecordingStoreError> {
    match written {
        Written::Done => Ok(()),
        Written::Refused => Err(RecordingStoreError::Conflict),
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
