//! Vault, log and repository in memory. They outlive the recorder, as the real
//! ones do, and fail as they are told: for a while, or for good from the n-th
//! call on, before or after doing what they were asked.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use bytes::Bytes;
use cabildo::domain::claim::Fence;
use cabildo::domain::id::{RecordedTrackId, SessionKey, TenantId, TrackId};
use cabildo::domain::secret::Secret;
use cabildo::domain::store_error::StoreError;
use cabildo::domain::time::Timestamp;
use cabildo::evidence::media::MediaEntry;
use cabildo::recorder::repository::{
    Playable, RecordedGap, RecordedSegment, RecordedTrack, RecordingRepository,
};
use cabildo::recorder::{RecorderLog, RecorderLogError};
use cabildo::sfu::tap::TapSink;
use cabildo::sfu::{SessionTaps, SfuError};
use cabildo::vault::{
    Contents, KeyPurpose, KeyVault, KeyVaultError, ObjectName, Put, Vault, VaultError,
};
use sha2::{Digest, Sha256};

/// What the outside does to the next call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Works,
    FailsBefore,
    FailsAfter,
}

/// Everything outside the recorder.
#[derive(Default)]
pub(crate) struct Outside {
    pub(crate) objects: Mutex<BTreeMap<String, Vec<u8>>>,
    pub(crate) entries: Mutex<Vec<MediaEntry>>,
    pub(crate) failures_told: Mutex<Vec<String>>,
    pub(crate) tracks: Mutex<Vec<RecordedTrack>>,
    pub(crate) segments: Mutex<Vec<RecordedSegment>>,
    pub(crate) gaps: Mutex<Vec<RecordedGap>>,
    pub(crate) sessions: Mutex<Vec<SessionKey>>,
    pub(crate) keys: Mutex<Vec<[u8; 32]>>,
    pub(crate) sinks: Mutex<BTreeMap<TrackId, TapSink>>,
    calls: AtomicU64,
    /// From this call on nothing is answered any more: the process is dying.
    pub(crate) dies_at: AtomicU64,
    /// Every n-th call fails; 0 is never.
    pub(crate) fails_every: AtomicU64,
    pub(crate) vault_is_away: AtomicBool,
    pub(crate) vault_conflicts: AtomicBool,
    pub(crate) keys_are_away: AtomicBool,
    /// The log refuses segments from this index on.
    pub(crate) log_refuses_from: Mutex<Option<u64>>,
    pub(crate) puts: AtomicU64,
}

pub(crate) fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no test has failed with it")
}

impl Outside {
    pub(crate) fn new() -> Arc<Self> {
        let outside = Self::default();
        outside.dies_at.store(u64::MAX, Ordering::SeqCst);
        Arc::new(outside)
    }

    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// A process begins anew: whoever was dying is dead.
    pub(crate) fn revive(&self) {
        self.dies_at.store(u64::MAX, Ordering::SeqCst);
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.calls() >= self.dies_at.load(Ordering::SeqCst)
    }

    async fn fate(&self) -> Fate {
        let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        let dies_at = self.dies_at.load(Ordering::SeqCst);
        if call > dies_at {
            return std::future::pending().await;
        }
        let every = self.fails_every.load(Ordering::SeqCst);
        match call.checked_rem(every) {
            Some(0) if (call / every).is_multiple_of(2) => Fate::FailsBefore,
            Some(0) => Fate::FailsAfter,
            _ => Fate::Works,
        }
    }

    /// Does something once, and answers or does not.
    async fn act<T, E>(
        &self,
        error: impl Fn(String) -> E,
        act: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        match self.fate().await {
            Fate::Works => {
                let done = act();
                if self.is_dead() {
                    // It was done, and nobody hears of it.
                    return std::future::pending().await;
                }
                done
            }
            Fate::FailsBefore => Err(error("503".to_owned())),
            Fate::FailsAfter => act().and_then(|_| Err(error("the answer was lost".to_owned()))),
        }
    }
}

#[async_trait]
impl Vault for Outside {
    async fn put(
        &self,
        name: &ObjectName,
        contents: Contents<'_>,
        sha256: [u8; 32],
    ) -> Result<Put, VaultError> {
        self.puts.fetch_add(1, Ordering::SeqCst);
        if self.vault_is_away.load(Ordering::SeqCst) {
            return Err(VaultError::Unavailable("away".to_owned()));
        }
        if self.vault_conflicts.load(Ordering::SeqCst) {
            return Err(VaultError::Conflict);
        }
        let bytes = match contents {
            Contents::Bytes(bytes) => bytes.to_vec(),
            Contents::File(path) => {
                std::fs::read(path).map_err(|it| VaultError::Unavailable(it.to_string()))?
            }
        };
        self.act(VaultError::Unavailable, || {
            let hash: [u8; 32] = Sha256::digest(&bytes).into();
            if hash != sha256 {
                return Err(VaultError::Refused("another hash".to_owned()));
            }
            let mut objects = held(&self.objects);
            match objects.get(name.as_str()) {
                Some(there) if *there == bytes => Ok(Put::AlreadyThere),
                Some(_) => Err(VaultError::Conflict),
                None => {
                    objects.insert(name.as_str().to_owned(), bytes);
                    Ok(Put::Stored)
                }
            }
        })
        .await
    }

    async fn read(&self, name: &ObjectName, _: Option<Range<u64>>) -> Result<Bytes, VaultError> {
        let objects = held(&self.objects);
        objects.get(name.as_str()).cloned().map(Bytes::from).ok_or(VaultError::NotFound)
    }

    async fn delete(&self, _: &ObjectName) -> Result<(), VaultError> {
        Err(VaultError::Locked)
    }

    async fn check(&self) -> Result<(), VaultError> {
        Ok(())
    }
}

#[async_trait]
impl KeyVault for Outside {
    async fn wrap(
        &self,
        _: TenantId,
        _: KeyPurpose,
        key: &Secret<[u8; 32]>,
    ) -> Result<Vec<u8>, KeyVaultError> {
        if self.keys_are_away.load(Ordering::SeqCst) {
            return Err(KeyVaultError::Unavailable("away".to_owned()));
        }
        self.act(KeyVaultError::Unavailable, || {
            let mut keys = held(&self.keys);
            keys.push(*key.expose());
            Ok((keys.len() - 1).to_be_bytes().to_vec())
        })
        .await
    }

    async fn unwrap(
        &self,
        _: TenantId,
        _: KeyPurpose,
        wrapped: &[u8],
    ) -> Result<Secret<[u8; 32]>, KeyVaultError> {
        let number = wrapped.try_into().map(usize::from_be_bytes).ok();
        let keys = held(&self.keys);
        let key = number.and_then(|number| keys.get(number));
        key.copied().map(Secret::new).ok_or(KeyVaultError::NotAuthentic)
    }

    async fn rotate(&self, _: TenantId) -> Result<u32, KeyVaultError> {
        Ok(1)
    }

    async fn destroy(&self, _: TenantId, _: u32) -> Result<(), KeyVaultError> {
        Ok(())
    }
}

#[async_trait]
impl RecorderLog for Outside {
    fn fenced(self: Arc<Self>, _: Fence) -> Arc<dyn RecorderLog> {
        self
    }

    async fn append(&self, _key: SessionKey, entry: MediaEntry) -> Result<u64, RecorderLogError> {
        let refused_from = *held(&self.log_refuses_from);
        self.act(RecorderLogError::Unavailable, || {
            if let (MediaEntry::Segment { index, .. }, Some(from)) = (&entry, refused_from)
                && *index >= from
            {
                return Err(RecorderLogError::Refused("it is full".to_owned()));
            }
            let mut entries = held(&self.entries);
            entries.push(entry);
            Ok(entries.len() as u64 - 1)
        })
        .await
    }

    async fn find(
        &self,
        _key: SessionKey,
        entry: &MediaEntry,
    ) -> Result<Option<u64>, RecorderLogError> {
        self.act(RecorderLogError::Unavailable, || {
            Ok(held(&self.entries).iter().position(|it| it == entry).map(|seq| seq as u64))
        })
        .await
    }

    async fn failed(&self, _key: SessionKey, text: String) {
        held(&self.failures_told).push(text);
    }
}

/// Adds what is not there; what is there has to be equal.
fn add<T: Clone + PartialEq>(
    into: &Mutex<Vec<T>>,
    thing: &T,
    same: impl Fn(&T) -> bool,
) -> Result<(), StoreError> {
    let mut into = held(into);
    match into.iter().find(|it| same(it)) {
        Some(there) if there == thing => Ok(()),
        Some(_) => Err(StoreError::Conflict),
        None => {
            into.push(thing.clone());
            Ok(())
        }
    }
}

#[async_trait]
impl RecordingRepository for Outside {
    fn fenced(self: Arc<Self>, _: Fence) -> Arc<dyn RecordingRepository> {
        self
    }

    async fn add_track(&self, key: SessionKey, track: &RecordedTrack) -> Result<(), StoreError> {
        self.act(StoreError::Unavailable, || {
            held(&self.sessions).push(key);
            add(&self.tracks, track, |it| it.id == track.id)
        })
        .await
    }

    async fn end_track(
        &self,
        _key: SessionKey,
        track: RecordedTrackId,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.act(StoreError::Unavailable, || {
            let mut tracks = held(&self.tracks);
            let track = tracks.iter_mut().find(|it| it.id == track);
            track.expect("it was added").ended_at.get_or_insert(at);
            Ok(())
        })
        .await
    }

    async fn put_track_key(
        &self,
        _key: SessionKey,
        _: RecordedTrackId,
        _: Option<Vec<u8>>,
    ) -> Result<(), StoreError> {
        Ok(())
    }

    async fn tracks(&self, _key: SessionKey) -> Result<Vec<RecordedTrack>, StoreError> {
        Ok(held(&self.tracks).clone())
    }

    async fn add_segment(
        &self,
        _key: SessionKey,
        segment: &RecordedSegment,
    ) -> Result<(), StoreError> {
        self.act(StoreError::Unavailable, || {
            let same =
                |it: &RecordedSegment| (it.track, it.index) == (segment.track, segment.index);
            add(&self.segments, segment, same)
        })
        .await
    }

    async fn segments(
        &self,
        _key: SessionKey,
        _: RecordedTrackId,
        _: u64,
        _: u32,
    ) -> Result<Vec<RecordedSegment>, StoreError> {
        Ok(held(&self.segments).clone())
    }

    async fn sealed_bytes(&self, _key: SessionKey) -> Result<u64, StoreError> {
        Ok(held(&self.segments).iter().map(|segment| segment.size).sum())
    }

    async fn last_segment(
        &self,
        _key: SessionKey,
        track: RecordedTrackId,
    ) -> Result<Option<RecordedSegment>, StoreError> {
        let segments = held(&self.segments);
        let of_it = segments.iter().filter(|it| it.track == track);
        Ok(of_it.max_by_key(|it| it.index).cloned())
    }

    async fn add_gap(&self, _key: SessionKey, gap: &RecordedGap) -> Result<(), StoreError> {
        self.act(StoreError::Unavailable, || add(&self.gaps, gap, |it| it == gap)).await
    }

    async fn gaps(&self, _key: SessionKey) -> Result<Vec<RecordedGap>, StoreError> {
        Ok(held(&self.gaps).clone())
    }

    async fn put_playable(&self, _key: SessionKey, _: &Playable) -> Result<(), StoreError> {
        Ok(())
    }

    async fn playables(&self, _key: SessionKey) -> Result<Vec<Playable>, StoreError> {
        Ok(Vec::new())
    }

    async fn unfinished(&self) -> Result<Vec<SessionKey>, StoreError> {
        let open = held(&self.tracks).iter().any(|track| track.ended_at.is_none());
        Ok(if open { held(&self.sessions).clone() } else { Vec::new() })
    }

    async fn put_retention(&self, _key: SessionKey, _: Timestamp) -> Result<(), StoreError> {
        Ok(())
    }

    async fn due_for_erasure(&self, _: Timestamp, _: u32) -> Result<Vec<SessionKey>, StoreError> {
        Ok(Vec::new())
    }

    async fn erased(&self, _key: SessionKey, _: Timestamp) -> Result<(), StoreError> {
        Ok(())
    }
}

#[async_trait]
impl SessionTaps for Outside {
    async fn tap(&self, _: SessionKey, track: TrackId, sink: TapSink) -> Result<(), SfuError> {
        held(&self.sinks).insert(track, sink);
        Ok(())
    }

    async fn untap(&self, _: SessionKey, track: TrackId, _: TapSink) -> Result<(), SfuError> {
        held(&self.sinks).remove(&track).map(|_| ()).ok_or(SfuError::TrackNotFound)
    }
}
