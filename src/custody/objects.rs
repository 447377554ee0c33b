//! Deletes the objects of erased recordings.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;

use crate::custody::claim::Owned;
use crate::custody::erasure::Erased;
use crate::custody::repository::Undeleted;
use crate::custody::{Custody, CustodyError};
use crate::domain::id::{RecordedTrackId, SessionKey};
use crate::domain::recording::PlayableState;
use crate::recorder::repository::Playable;
use crate::vault::{ObjectName, VaultError};

/// Objects deleted at the same time. Raising it may exceed a bucket's rate limits.
const DELETES_AT_ONCE: usize = 16;
/// Segments read from the repository at once.
const SEGMENTS_PER_READ: u32 = 500;
/// Objects in a row for which the vault is unavailable, after which the others of the session are
/// not tried now. Lowering it gives up sooner when the vault is away for a moment.
const AWAY_AFTER: u32 = 64;
/// When objects are tried again that the vault did not delete, and files of the database that
/// somebody read. Less than the hour between two rounds of the task, so that each of them tries.
const AGAIN_AFTER: Duration = Duration::from_mins(30);
/// When they are if all of them are locked, which may be for years.
const LOCKED_AGAIN_AFTER: Duration = Duration::from_hours(24);

impl Custody {
    /// Removes what was deleted from the files of the database, deletes every object of the session
    /// whose key was destroyed, and notes how many the vault keeps for now.
    pub(super) async fn delete_objects(
        &self,
        key: SessionKey,
        owned: &Owned,
        erased: &mut Erased,
    ) -> Result<(), CustodyError> {
        let parts = &self.parts;
        owned.check()?;
        if let Err(error) = parts.sessions.scrub().await {
            tracing::warn!(session = %key.session, %error, "the database's files still contain what was erased");
            erased.unscrubbed = true;
        }
        let tracks = parts.recordings.tracks(key).await?;
        let playables = parts.recordings.playables(key).await?;
        let mut deletion = Deletion { custody: self, owned, key, erased, away: 0 };
        for track in tracks.iter().filter(|track| track.wrapped_key.is_none()) {
            deletion.segments(track.id).await?;
        }
        for playable in playables.iter().filter(|file| file.state == PlayableState::Erased) {
            deletion.parts(playable).await?;
        }
        owned.check()?;
        let is_failed = erased.waiting > 0 || erased.unscrubbed;
        let wait = if is_failed { AGAIN_AFTER } else { LOCKED_AGAIN_AFTER };
        let undeleted = Undeleted {
            objects: erased.locked.saturating_add(erased.waiting),
            again_at: parts.clock.now().after(wait),
        };
        let left = (undeleted.objects > 0 || erased.unscrubbed).then_some(undeleted);
        parts.sessions.put_undeleted(key, left).await?;
        Ok(())
    }
}

/// The deletion of the objects of one session.
struct Deletion<'a> {
    custody: &'a Custody,
    owned: &'a Owned,
    key: SessionKey,
    erased: &'a mut Erased,
    /// For how many objects in a row the vault was unavailable.
    away: u32,
}

impl Deletion<'_> {
    /// Deletes the segments of a track: those in the repository, and the next one, which may have
    /// been stored before it was entered there.
    async fn segments(&mut self, track: RecordedTrackId) -> Result<(), CustodyError> {
        let key = self.key;
        let name = |index| ObjectName::segment(key, track, index);
        let mut next = 0;
        loop {
            let recordings = &self.custody.parts.recordings;
            let segments = recordings.segments(key, track, next, SEGMENTS_PER_READ).await?;
            let Some(last) = segments.last() else { break };
            next = last.index + 1;
            self.all(segments.iter().map(|segment| name(segment.index)).collect()).await?;
        }
        self.perhaps(name(next)).await
    }

    /// Deletes the parts of a playable file, and the next one, which may have been stored before it
    /// was entered.
    async fn parts(&mut self, playable: &Playable) -> Result<(), CustodyError> {
        let key = self.key;
        let name = |part| ObjectName::part(key, playable.id, part);
        let parts = u64::try_from(playable.parts.len()).unwrap_or(u64::MAX);
        self.all((0..parts).map(name).collect()).await?;
        self.perhaps(name(parts)).await
    }

    /// Deletes objects. One that is not deleted keeps no other from being deleted.
    async fn all(&mut self, names: Vec<ObjectName>) -> Result<(), CustodyError> {
        let custody = self.custody;
        let mut names = names.into_iter();
        while names.len() > 0 {
            self.owned.check()?;
            if self.away >= AWAY_AFTER {
                let rest = u64::try_from(names.len()).unwrap_or(u64::MAX);
                self.erased.waiting = self.erased.waiting.saturating_add(rest);
                break;
            }
            let some: Vec<_> = names.by_ref().take(DELETES_AT_ONCE).collect();
            let deletions = some.into_iter().map(|name| async move { custody.delete(&name).await });
            let outcomes = stream::iter(deletions).buffer_unordered(DELETES_AT_ONCE);
            for outcome in outcomes.collect::<Vec<_>>().await {
                match outcome {
                    Ok(()) | Err(VaultError::NotFound) => {
                        self.erased.objects += 1;
                        self.away = 0;
                    }
                    Err(error) => self.kept(error),
                }
            }
        }
        Ok(())
    }

    /// Deletes an object that may not be there.
    async fn perhaps(&mut self, name: ObjectName) -> Result<(), CustodyError> {
        self.owned.check()?;
        if self.away >= AWAY_AFTER {
            return Ok(());
        }
        if let Err(error) = self.custody.delete(&name).await
            && self.custody.parts.vault.read(&name, Some(0..1)).await != Err(VaultError::NotFound)
        {
            self.kept(error);
        }
        Ok(())
    }

    /// Counts an object that the vault keeps.
    fn kept(&mut self, error: VaultError) {
        match error {
            VaultError::Locked => {
                self.erased.locked += 1;
                self.away = 0;
                return;
            }
            VaultError::Unavailable(_) => self.away += 1,
            _ => self.away = 0,
        }
        self.erased.waiting += 1;
        self.erased.failure.get_or_insert(error);
    }
}

impl Custody {
    async fn delete(&self, name: &ObjectName) -> Result<(), VaultError> {
        let outcome = self.parts.vault.delete(name).await;
        self.parts.damaged.forget(name);
        outcome
    }
}
