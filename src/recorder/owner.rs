//! The claim under which a track is brought, and what is written under it.

use std::sync::Arc;

use crate::claims::{Claim, ClaimError};
use crate::domain::claim::Work;
use crate::domain::store_error::StoreError;
use crate::domain::time::Timestamp;
use crate::evidence::media::MediaEntry;
use crate::recorder::core::Core;
use crate::recorder::log::{RecorderLog, RecorderLogError};
use crate::recorder::repository::{
    RecordedGap, RecordedSegment, RecordedTrack, RecordingRepository,
};
use crate::recorder::spool::Place;

/// This process's claim on the recording of a session. Every write through it
/// names the claim.
#[derive(Clone)]
pub(super) struct Owner {
    claim: Claim,
    repository: Arc<dyn RecordingRepository>,
    log: Arc<dyn RecorderLog>,
}

/// What is kept of a track in the repository.
#[derive(Clone, Copy)]
pub(super) enum Write<'a> {
    Track(&'a RecordedTrack),
    Segment(&'a RecordedSegment),
    Gap(&'a RecordedGap),
    End(Timestamp),
}

impl Write<'_> {
    /// What it does, for messages.
    pub(super) const fn what(&self) -> &'static str {
        match self {
            Self::Track(_) => "keeping a track",
            Self::Segment(_) => "keeping a segment",
            Self::Gap(_) => "keeping a gap",
            Self::End(_) => "ending a track",
        }
    }
}

impl Owner {
    /// Takes the recording of a session, or shares it with the other tracks of
    /// this process.
    pub(super) async fn take(core: &Core, place: Place) -> Result<Self, ClaimError> {
        let parts = &core.parts;
        let claim = parts.claims.share(place.key, Work::Recording).await?;
        let fence = claim.fence();
        let repository = Arc::clone(&parts.repository).fenced(fence);
        let log = Arc::clone(&parts.log).fenced(fence);
        Ok(Self { claim, repository, log })
    }

    /// Whether another instance has the recording now.
    pub(super) fn is_lost(&self) -> bool {
        self.claim.is_lost()
    }

    /// Gives the recording back, once every track of this process has.
    pub(super) async fn release(self) {
        self.claim.release().await;
    }

    pub(super) async fn keep(&self, place: Place, write: Write<'_>) -> Result<(), StoreError> {
        let Place { key, recorded } = place;
        let repository = &self.repository;
        let kept = match write {
            Write::Track(track) => repository.add_track(key, track).await,
            Write::Segment(segment) => repository.add_segment(key, segment).await,
            Write::Gap(gap) => repository.add_gap(key, gap).await,
            Write::End(at) => repository.end_track(key, recorded, at).await,
        };
        if kept == Err(StoreError::Fenced) {
            self.claim.refused();
        }
        kept
    }

    /// As [`RecorderLog::append`].
    pub(super) async fn append(
        &self,
        place: Place,
        entry: MediaEntry,
    ) -> Result<u64, RecorderLogError> {
        let appended = self.log.append(place.key, entry).await;
        if appended == Err(RecorderLogError::Fenced) {
            self.claim.refused();
        }
        appended
    }
}
