//! Erases recordings. The erasure of a key is entered in the log before the key is destroyed. Keys,
//! texts and names are in the database and go first, so the vault can't hold up their erasure.
//! Without their key the objects can't be decrypted; they are deleted last, where the vault allows
//! it, and what it does not delete is tried again.

use sha2::{Digest as _, Sha256};

use crate::custody::claim::Owned;
use crate::custody::repository::Undeleted;
use crate::custody::{Custody, CustodyError};
use crate::domain::id::{RecordedTrackId, SessionId, SessionKey, TenantId};
use crate::domain::recording::PlayableState;
use crate::evidence::repository::LogRecord;
use crate::recorder::repository::{Playable, PlayableOf, RecordedTrack};
use crate::vault::VaultError;

/// Why something is erased, as recorded in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErasureReason {
    /// The retention time is over.
    RetentionOver,
    /// A person asked for it.
    Requested,
    /// A court or authority ordered it.
    Ordered,
}

impl ErasureReason {
    /// The number of the reason in an erasure entry.
    #[must_use]
    pub const fn code(self) -> u32 {
        match self {
            Self::RetentionOver => 1,
            Self::Requested => 2,
            Self::Ordered => 3,
        }
    }
}

/// The result of an erasure.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Erased {
    /// Keys destroyed: of tracks, playable files and events.
    pub keys: u64,
    /// Objects that were deleted or did not exist any more.
    pub objects: u64,
    /// Objects that the vault must keep until their lock ends. They can't be decrypted.
    pub locked: u64,
    /// Objects that the vault did not delete although they are not locked. They can't be decrypted,
    /// and deleting them is tried again.
    pub waiting: u64,
    /// Why the first of those was not deleted.
    pub failure: Option<VaultError>,
    /// Whether the files of the database still contain what was deleted from it, since somebody
    /// reads them. It is tried again.
    pub unscrubbed: bool,
}

impl Custody {
    /// Erases the whole recording of a session: every track, every file made from them, and the
    /// texts of events and subjects. The log must be closed. What the vault doesn't delete now is
    /// no error.
    pub async fn erase_session(
        &self,
        key: SessionKey,
        reason: ErasureReason,
    ) -> Result<Erased, CustodyError> {
        let owned = Owned::take(self, key).await?;
        let outcome = async {
            let mut erased = Erased::default();
            self.destroy_all(key, reason, &owned, &mut erased).await?;
            self.delete_objects(key, &owned, &mut erased).await?;
            Ok(erased)
        };
        let outcome = outcome.await;
        owned.release().await;
        outcome
    }

    /// Erases one track, its playable file, and the combined file, which contains the track too.
    /// The session's log must be closed.
    pub async fn erase_track(
        &self,
        key: SessionKey,
        track: RecordedTrackId,
        reason: ErasureReason,
    ) -> Result<Erased, CustodyError> {
        let owned = Owned::take(self, key).await?;
        let outcome = async {
            let mut erased = Erased::default();
            self.destroy_one(key, (track, reason), &owned, &mut erased).await?;
            self.delete_objects(key, &owned, &mut erased).await?;
            Ok(erased)
        };
        let outcome = outcome.await;
        owned.release().await;
        outcome
    }

    /// Does what [`Self::erase_session`] does, except that the objects are left to
    /// [`Self::delete_erased`]. Returns the number of keys.
    pub(super) async fn destroy_session(
        &self,
        key: SessionKey,
        reason: ErasureReason,
    ) -> Result<u64, CustodyError> {
        let owned = Owned::take(self, key).await?;
        let mut erased = Erased::default();
        let outcome = self.destroy_all(key, reason, &owned, &mut erased).await;
        owned.release().await;
        outcome.map(|()| erased.keys)
    }

    /// Deletes the objects of a session whose keys were destroyed.
    pub(super) async fn delete_erased(&self, key: SessionKey) -> Result<Erased, CustodyError> {
        let owned = Owned::take(self, key).await?;
        let mut erased = Erased::default();
        let outcome = self.delete_objects(key, &owned, &mut erased).await;
        owned.release().await;
        outcome.map(|()| erased)
    }

    /// Whether the recording of a session was erased, and with it who took part.
    pub async fn is_erased(&self, key: SessionKey) -> Result<bool, CustodyError> {
        Ok(self.parts.sessions.is_erased(key).await?)
    }

    /// How many objects of a session whose keys were destroyed are still in the vault.
    pub async fn undeleted(&self, key: SessionKey) -> Result<u64, CustodyError> {
        Ok(self.parts.sessions.undeleted(key).await?)
    }

    async fn destroy_all(
        &self,
        key: SessionKey,
        reason: ErasureReason,
        owned: &Owned,
        erased: &mut Erased,
    ) -> Result<(), CustodyError> {
        let SessionKey { tenant, session } = key;
        let tracks = self.parts.recordings.tracks(key).await?;
        match self.parts.evidence.log(key).await? {
            Some(log) => {
                let erasing = Erasing { custody: self, owned, tenant, session, reason };
                erasing.tracks(&log, &tracks, erased).await?;
                erasing.playables(|_| true, erased).await?;
                erasing.events(log, erased).await?;
            }
            // What it will have must not count as erased already.
            None if self.parts.sessions.is_not_over(key).await? => {
                return Err(CustodyError::NotOver);
            }
            // A session without a log and without tracks has nothing to erase.
            None if tracks.is_empty() => {}
            None => return Err(CustodyError::NoLog),
        }
        owned.recordings.erased(key, self.parts.clock.now()).await?;
        Ok(())
    }

    async fn destroy_one(
        &self,
        key: SessionKey,
        (track, reason): (RecordedTrackId, ErasureReason),
        owned: &Owned,
        erased: &mut Erased,
    ) -> Result<(), CustodyError> {
        let SessionKey { tenant, session } = key;
        let log = self.parts.evidence.log(key).await?.ok_or(CustodyError::NoLog)?;
        let mut tracks = self.parts.recordings.tracks(key).await?;
        tracks.retain(|known| known.id == track);
        if tracks.is_empty() {
            return Err(CustodyError::NoSuchTrack(track));
        }
        let erasing = Erasing { custody: self, owned, tenant, session, reason };
        erasing.tracks(&log, &tracks, erased).await?;
        let shows = |of| of == PlayableOf::Combined || of == PlayableOf::Track(track);
        erasing.playables(shows, erased).await
    }
}

/// One erasure in progress.
struct Erasing<'a> {
    custody: &'a Custody,
    owned: &'a Owned,
    tenant: TenantId,
    session: SessionId,
    reason: ErasureReason,
}

impl Erasing<'_> {
    /// Destroys the keys of tracks, each after its erasure is in the log.
    async fn tracks(
        &self,
        log: &LogRecord,
        tracks: &[RecordedTrack],
        erased: &mut Erased,
    ) -> Result<(), CustodyError> {
        if log.closed_seq.is_none() {
            return Err(CustodyError::StillRecorded);
        }
        let key = SessionKey::new(self.tenant, self.session);
        // Noted first, so that the objects are deleted even if this process dies.
        let parts = &self.custody.parts;
        let undeleted = Undeleted { objects: 0, again_at: parts.clock.now() };
        parts.sessions.put_undeleted(key, Some(undeleted)).await?;
        let mut logged = self.custody.erased_targets(key).await?;
        for track in tracks {
            let Some(wrapped) = &track.wrapped_key else { continue };
            self.owned.check()?;
            if logged.insert(track.seq) {
                self.log(track.seq, wrapped).await?;
            }
            self.owned.recordings.put_track_key(key, track.id, None).await?;
            erased.keys += 1;
        }
        Ok(())
    }

    /// Destroys the keys of playable files.
    async fn playables(
        &self,
        shows: impl Fn(PlayableOf) -> bool,
        erased: &mut Erased,
    ) -> Result<(), CustodyError> {
        let parts = &self.custody.parts;
        let playables =
            parts.recordings.playables(SessionKey::new(self.tenant, self.session)).await?;
        for playable in playables.into_iter().filter(|playable| shows(playable.of)) {
            if playable.state != PlayableState::Erased || playable.wrapped_key.is_some() {
                let gone = Playable {
                    state: PlayableState::Erased,
                    wrapped_key: None,
                    failure: None,
                    lacks: Vec::new(),
                    resume_at: None,
                    updated_at: parts.clock.now(),
                    ..playable.clone()
                };
                self.owned
                    .recordings
                    .put_playable(SessionKey::new(self.tenant, self.session), &gone)
                    .await?;
                erased.keys += u64::from(playable.wrapped_key.is_some());
            }
        }
        Ok(())
    }

    /// Destroys `K_events` and the texts of events, after their erasure is in the log.
    async fn events(&self, log: LogRecord, erased: &mut Erased) -> Result<(), CustodyError> {
        let Some(wrapped) = log.events_key else { return Ok(()) };
        let logged =
            self.custody.erased_targets(SessionKey::new(self.tenant, self.session)).await?;
        if !logged.contains(&0) {
            self.log(0, &wrapped).await?;
        }
        self.owned.check()?;
        self.owned
            .evidence
            .put_events_key(SessionKey::new(self.tenant, self.session), None)
            .await?;
        erased.keys += 1;
        Ok(())
    }

    async fn log(&self, target_seq: u64, wrapped: &[u8]) -> Result<(), CustodyError> {
        let hash = Sha256::digest(wrapped).into();
        let (log, reason) = (&self.owned.log, self.reason.code());
        log.erase(SessionKey::new(self.tenant, self.session), target_seq, reason, hash).await?;
        Ok(())
    }
}
