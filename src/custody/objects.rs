//! Deletes the objects of erased recordings.

use futures_util::StreamExt as _;
use futures_util::stream;

use crate::custody::erasure::Erased;
use crate::custody::{Custody, CustodyError};
use crate::domain::id::{RecordedTrackId, SessionKey};
use crate::recorder::repository::Playable;
use crate::vault::{ObjectName, VaultError};

/// Objects deleted at the same time. Raising it may exceed a bucket's rate limits.
const DELETES_AT_ONCE: usize = 16;
/// Segments read from the repository at once.
const SEGMENTS_PER_READ: u32 = 500;

impl Custody {
    /// Deletes the segments of a track: those in the repository, and the next one, which may have
    /// been stored before it was entered there.
    pub(super) async fn delete_segments(
        &self,
        key: SessionKey,
        track: RecordedTrackId,
        erased: &mut Erased,
    ) -> Result<(), CustodyError> {
        let name = |index| ObjectName::segment(key, track, index);
        let mut next = 0;
        loop {
            let recordings = &self.parts.recordings;
            let segments = recordings.segments(key, track, next, SEGMENTS_PER_READ).await?;
            let Some(last) = segments.last() else { break };
            next = last.index + 1;
            let names = segments.iter().map(|segment| name(segment.index)).collect();
            self.delete(names, erased).await?;
        }
        self.delete(vec![name(next)], &mut Erased::default()).await
    }

    /// Deletes the parts of a playable file, and the next one, which may have been stored before it
    /// was entered.
    pub(super) async fn delete_parts(
        &self,
        key: SessionKey,
        playable: &Playable,
        erased: &mut Erased,
    ) -> Result<(), CustodyError> {
        let name = |part| ObjectName::part(key, playable.id, part);
        let parts = u64::try_from(playable.parts.len()).unwrap_or(u64::MAX);
        self.delete((0..parts).map(name).collect(), erased).await?;
        self.delete(vec![name(parts)], &mut Erased::default()).await
    }

    async fn delete(
        &self,
        names: Vec<ObjectName>,
        erased: &mut Erased,
    ) -> Result<(), CustodyError> {
        let mut deletions = stream::iter(names)
            .map(|name| async move {
                let outcome = self.parts.vault.delete(&name).await;
                self.parts.damaged.forget(&name);
                outcome
            })
            .buffer_unordered(DELETES_AT_ONCE);
        while let Some(outcome) = deletions.next().await {
            match outcome {
                Ok(()) | Err(VaultError::NotFound) => erased.objects += 1,
                Err(VaultError::Locked) => erased.locked += 1,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}
