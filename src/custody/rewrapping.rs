//! Rewraps keys after a tenant's key was rotated. The version in each wrapped key shows what is
//! still to do. `K_events` is rewrapped last, after the rewrapping was entered in the log: a
//! session whose `K_events` has the newest version is finished.

use serde_json::{Value, json};

use crate::custody::claim::Owned;
use crate::custody::{Custody, CustodyError};
use crate::domain::id::{PlayableId, SessionKey, TenantId};
use crate::domain::recording::PlayableState;
use crate::domain::store_error::StoreError;
use crate::evidence::EventKind;
use crate::evidence::repository::LogRecord;
use crate::recorder::repository::{Playable, RecordedTrack};
use crate::sealing::random_key;
use crate::vault::{KeyPurpose, KeyVaultError, wrapped_version};

/// Sessions read at once.
const SESSIONS_PER_READ: u32 = 200;
/// Events of this kind that are read from a log; there is one per rotation.
const NOTES_MAX: u32 = 10_000;

/// The result of rewrapping.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rewrapped {
    /// The newest version of the tenant's key.
    pub version: u32,
    /// Keys that were rewrapped with it.
    pub keys: u64,
    /// Number of sessions to which they belong.
    pub sessions: u64,
    /// Keys that could not be rewrapped now: of files that are being made, of recordings on which
    /// another instance works, or that no tenant key unwraps.
    pub left: u64,
}

/// The keys of one session.
struct SessionKeys {
    log: Option<LogRecord>,
    tracks: Vec<RecordedTrack>,
    playables: Vec<Playable>,
}

impl Custody {
    /// Makes a new tenant key; returns its version. Older versions still unwrap.
    pub async fn rotate(&self, tenant: TenantId) -> Result<u32, CustodyError> {
        self.expect_known(tenant).await?;
        Ok(self.parts.keys.rotate(tenant).await?)
    }

    /// Rewraps every key of the tenant with its newest tenant key.
    pub async fn rewrap(&self, tenant: TenantId) -> Result<Rewrapped, CustodyError> {
        let mut done = Rewrapped { version: self.newest(tenant).await?, ..Rewrapped::default() };
        let mut after = None;
        loop {
            let sessions =
                self.parts.sessions.sessions_after(tenant, after, SESSIONS_PER_READ).await?;
            let Some(last) = sessions.last() else { break };
            after = Some(*last);
            for session in sessions {
                let old = self
                    .session_keys(SessionKey::new(tenant, session))
                    .await?
                    .older_than(done.version);
                if old == 0 {
                    continue;
                }
                match self.rewrap_session(SessionKey::new(tenant, session), done.version).await {
                    Ok((keys, left)) => {
                        done.keys += keys;
                        done.left += left;
                        done.sessions += u64::from(keys > 0);
                    }
                    Err(CustodyError::Claimed) => done.left += old,
                    Err(error) => return Err(error),
                }
            }
        }
        self.rewrap_cameras(tenant, &mut done).await?;
        self.rewrap_captures(tenant, &mut done).await?;
        Ok(done)
    }

    /// Rewraps the keys of the addresses of cameras.
    async fn rewrap_cameras(
        &self,
        tenant: TenantId,
        done: &mut Rewrapped,
    ) -> Result<(), CustodyError> {
        for (secret, wrapped) in self.parts.sessions.camera_keys(tenant).await? {
            if !is_older(&wrapped, done.version) {
                continue;
            }
            let purpose = KeyPurpose::Camera(secret);
            let Some(anew) = self.rewrapped(tenant, purpose, &wrapped).await? else {
                done.left += 1;
                continue;
            };
            let put = self.parts.sessions.put_camera_key(tenant, secret, &anew).await?;
            done.keys += u64::from(put);
        }
        Ok(())
    }

    /// Rewraps the keys of what edge devices published.
    async fn rewrap_captures(
        &self,
        tenant: TenantId,
        done: &mut Rewrapped,
    ) -> Result<(), CustodyError> {
        for (publication, wrapped) in self.parts.sessions.capture_keys(tenant).await? {
            if !is_older(&wrapped, done.version) {
                continue;
            }
            let purpose = KeyPurpose::Capture(publication);
            let Some(anew) = self.rewrapped(tenant, purpose, &wrapped).await? else {
                done.left += 1;
                continue;
            };
            let put = self.parts.sessions.put_capture_key(tenant, publication, &anew).await?;
            done.keys += u64::from(put);
        }
        Ok(())
    }

    /// Destroys every tenant key except the newest; returns their versions. Refused while a key is
    /// wrapped with one of them, or while a session of the tenant is being recorded, since its keys
    /// may have been wrapped but not stored yet.
    pub async fn destroy_older(&self, tenant: TenantId) -> Result<Vec<u32>, CustodyError> {
        let newest = self.newest(tenant).await?;
        let open = self.parts.evidence.unclosed().await?;
        let unfinished = self.parts.recordings.unfinished().await?;
        let mut going_on = open.iter().chain(&unfinished);
        if let Some(key) = going_on.find(|key| key.tenant == tenant) {
            return Err(CustodyError::Unfinished(key.session));
        }
        let mut old = 0;
        let mut after = None;
        loop {
            let sessions =
                self.parts.sessions.sessions_after(tenant, after, SESSIONS_PER_READ).await?;
            let Some(last) = sessions.last() else { break };
            after = Some(*last);
            for session in sessions {
                old +=
                    self.session_keys(SessionKey::new(tenant, session)).await?.older_than(newest);
            }
        }
        let cameras = self.parts.sessions.camera_keys(tenant).await?;
        let captures = self.parts.sessions.capture_keys(tenant).await?;
        let cameras = cameras.iter().map(|(_, wrapped)| wrapped);
        let beside = cameras.chain(captures.iter().map(|(_, wrapped)| wrapped));
        let beside = beside.filter(|wrapped| is_older(wrapped, newest)).count();
        old += u64::try_from(beside).unwrap_or(u64::MAX);
        if old > 0 {
            return Err(CustodyError::OldKeysInUse(old));
        }
        let mut destroyed = Vec::new();
        for version in 1..newest {
            match self.parts.keys.destroy(tenant, version).await {
                Ok(()) => destroyed.push(version),
                Err(KeyVaultError::NoSuchKey) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(destroyed)
    }

    /// Refuses a tenant of which nothing is stored: a key that is made for it would let a slip look like a
    /// rotation.
    async fn expect_known(&self, tenant: TenantId) -> Result<(), CustodyError> {
        let stored = &self.parts.sessions;
        let is_known = !stored.sessions_after(tenant, None, 1).await?.is_empty()
            || !stored.camera_keys(tenant).await?.is_empty()
            || !stored.capture_keys(tenant).await?.is_empty();
        if is_known { Ok(()) } else { Err(CustodyError::NoSuchTenant(tenant)) }
    }

    /// The newest version of the tenant's key, with which keys are wrapped.
    async fn newest(&self, tenant: TenantId) -> Result<u32, CustodyError> {
        self.expect_known(tenant).await?;
        let purpose = KeyPurpose::File(PlayableId::generate());
        let wrapped = self.parts.keys.wrap(tenant, purpose, &random_key()).await?;
        wrapped_version(&wrapped).ok_or(CustodyError::Keys(KeyVaultError::NotAuthentic))
    }

    async fn session_keys(&self, key: SessionKey) -> Result<SessionKeys, CustodyError> {
        Ok(SessionKeys {
            log: self.parts.evidence.log(key).await?,
            tracks: self.parts.recordings.tracks(key).await?,
            playables: self.parts.recordings.playables(key).await?,
        })
    }

    /// Rewraps the old keys of one session; returns how many, and how many are left.
    async fn rewrap_session(
        &self,
        key: SessionKey,
        version: u32,
    ) -> Result<(u64, u64), CustodyError> {
        let owned = Owned::take(self, key).await?;
        let outcome = self.rewrap_owned(key, version, &owned).await;
        owned.release().await;
        outcome
    }

    async fn rewrap_owned(
        &self,
        key: SessionKey,
        version: u32,
        owned: &Owned,
    ) -> Result<(u64, u64), CustodyError> {
        let SessionKey { tenant, session } = key;
        // Read again, because the session may have been erased before the claim was taken.
        let keys = self.session_keys(key).await?;
        let (mut moved, mut left) = (0, 0);
        let mut count = |outcome: Moved| match outcome {
            Moved::Rewrapped => moved += 1,
            Moved::Left => left += 1,
            Moved::Nothing => {}
        };
        let erased = self.erased_targets(key).await?;
        for track in &keys.tracks {
            let is_erased = erased.contains(&track.seq);
            count(self.rewrap_track(key, owned, (track, is_erased), version).await?);
        }
        for playable in &keys.playables {
            count(self.rewrap_playable(key, owned, playable, version).await?);
        }
        if let Some(wrapped) = keys.log.and_then(|log| log.events_key) {
            if erased.contains(&0) {
                owned.evidence.put_events_key(key, None).await?;
            } else if is_older(&wrapped, version) {
                let new = self.rewrapped(tenant, KeyPurpose::Events(session), &wrapped).await?;
                if new.is_some() {
                    self.note(key, owned, version).await?;
                }
                let evidence = &owned.evidence;
                count(match new {
                    None => Moved::Left,
                    Some(new) => match evidence.put_events_key(key, Some(new)).await {
                        Ok(()) => Moved::Rewrapped,
                        Err(StoreError::Conflict) => Moved::Nothing,
                        Err(error) => return Err(error.into()),
                    },
                });
            } else if moved > 0 {
                self.note(key, owned, version).await?;
            }
        }
        Ok((moved, left))
    }

    async fn rewrap_track(
        &self,
        key: SessionKey,
        owned: &Owned,
        (track, is_erased): (&RecordedTrack, bool),
        version: u32,
    ) -> Result<Moved, CustodyError> {
        let recordings = &owned.recordings;
        let old = track.wrapped_key.as_deref().filter(|wrapped| is_older(wrapped, version));
        let Some(wrapped) = old else { return Ok(Moved::Nothing) };
        if is_erased {
            // The log says that this key was destroyed, so it must not be wrapped again.
            recordings.put_track_key(key, track.id, None).await?;
            return Ok(Moved::Nothing);
        }
        let purpose = KeyPurpose::Track(track.id, track.epoch);
        let Some(new) = self.rewrapped(key.tenant, purpose, wrapped).await? else {
            return Ok(Moved::Left);
        };
        moved(recordings.put_track_key(key, track.id, Some(new)).await)
    }

    async fn rewrap_playable(
        &self,
        key: SessionKey,
        owned: &Owned,
        playable: &Playable,
        version: u32,
    ) -> Result<Moved, CustodyError> {
        let old = playable.wrapped_key.as_deref().filter(|wrapped| is_older(wrapped, version));
        let Some(wrapped) = old else { return Ok(Moved::Nothing) };
        // The process that makes the file overwrites its row, including the key.
        if matches!(playable.state, PlayableState::Waiting | PlayableState::Building) {
            return Ok(Moved::Left);
        }
        let purpose = KeyPurpose::File(playable.id);
        let Some(new) = self.rewrapped(key.tenant, purpose, wrapped).await? else {
            return Ok(Moved::Left);
        };
        let changed = Playable { wrapped_key: Some(new), ..playable.clone() };
        moved(owned.recordings.put_playable(key, &changed).await)
    }

    /// The key, wrapped with the newest tenant key; `None` when no tenant key unwraps it.
    async fn rewrapped(
        &self,
        tenant: TenantId,
        purpose: KeyPurpose,
        wrapped: &[u8],
    ) -> Result<Option<Vec<u8>>, CustodyError> {
        match self.parts.keys.unwrap(tenant, purpose, wrapped).await {
            Ok(key) => Ok(Some(self.parts.keys.wrap(tenant, purpose, &key).await?)),
            Err(error @ (KeyVaultError::NoSuchKey | KeyVaultError::NotAuthentic)) => {
                tracing::error!(%tenant, %error, "a wrapped key can't be unwrapped by any tenant key");
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Enters in the log that the session's keys were rewrapped, unless it is there already.
    async fn note(&self, key: SessionKey, owned: &Owned, version: u32) -> Result<(), CustodyError> {
        let notes = &self.parts.evidence;
        let notes = notes.events(key, &[EventKind::KeysRewrapped], 0, NOTES_MAX).await?;
        let says_so = |text: &str| {
            let note: Option<Value> = serde_json::from_str(text).ok();
            note.is_some_and(|note| note["tenant_key_version"] == version)
        };
        if !notes.iter().any(|note| says_so(&note.text)) {
            let text = json!({"tenant_key_version": version}).to_string();
            owned.log.note(key, EventKind::KeysRewrapped, text).await?;
        }
        Ok(())
    }
}

/// The result of rewrapping one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moved {
    Rewrapped,
    Left,
    Nothing,
}

fn moved(outcome: Result<(), StoreError>) -> Result<Moved, CustodyError> {
    match outcome {
        Ok(()) => Ok(Moved::Rewrapped),
        // Another process has rewrapped or destroyed it meanwhile.
        Err(StoreError::Conflict) => Ok(Moved::Nothing),
        Err(error) => Err(error.into()),
    }
}

fn is_older(wrapped: &[u8], version: u32) -> bool {
    wrapped_version(wrapped).is_none_or(|wrapped| wrapped < version)
}

impl SessionKeys {
    fn older_than(&self, version: u32) -> u64 {
        let events = self.log.iter().filter_map(|log| log.events_key.as_deref());
        let tracks = self.tracks.iter().filter_map(|track| track.wrapped_key.as_deref());
        let files = self.playables.iter().filter_map(|playable| playable.wrapped_key.as_deref());
        let old = events.chain(tracks).chain(files).filter(|wrapped| is_older(wrapped, version));
        u64::try_from(old.count()).unwrap_or(u64::MAX)
    }
}
