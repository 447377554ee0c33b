//! A vault, keys and a repository with recorded sessions in them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use cabildo::clock::Clock;
use cabildo::domain::claim::{Fence, Work};
use cabildo::domain::id::{RecordedTrackId, SessionId, SessionKey, TenantId, TrackId, UserId};
use cabildo::domain::media::{Codec, TrackSource};
use cabildo::domain::recording::PlayableState;
use cabildo::domain::store_error::StoreError;
use cabildo::domain::time::Timestamp;
use cabildo::playable::{
    MeetingTimeline, PlayableError, PlayableReader, Playables, PlayablesOptions, PlayablesParts,
    TimelineSource,
};
use cabildo::recorder::repository::{
    Playable, PlayableOf, RecordedGap, RecordedSegment, RecordedTrack, RecordingRepository,
};
use cabildo::sealing::{Context, Sealer, TrackKey, random_key, random_salt};

use cabildo::vault::{
    Contents, DamagedObjects, KeyPurpose, KeyVault, LocalKeyVault, ObjectName, Put, Vault,
    VaultError,
};
use futures_util::TryStreamExt as _;
use sha2::Digest as _;
use tempfile::TempDir;
use tokio::sync::Notify;

use crate::playable::media::{START_US, Sent, journals};

use crate::claims::{MemoryClaims, of_a_new_process};

/// Plaintext of a part in these tests.
pub(crate) const PART_BYTES: usize = 64 << 10;

/// What the next puts do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The n-th put from now never returns and has stored nothing.
    HangBefore(u64),
    /// The n-th put from now never returns and has stored its object.
    HangAfter(u64),
    /// The n-th put from now fails for good.
    Refuse(u64),
    /// The n-th put from now fails for a while.
    Unavailable(u64),
}

/// A vault in memory that can get into trouble.
#[derive(Default)]
pub(crate) struct MemoryVault {
    pub(crate) objects: Mutex<BTreeMap<String, Bytes>>,
    trouble: Mutex<Option<Trouble>>,
    /// Told when a put hangs.
    pub(crate) hanging: Notify,
    /// Bytes that were read.
    pub(crate) bytes_read: AtomicU64,
}

impl MemoryVault {
    pub(crate) fn expect_trouble(&self, trouble: Option<Trouble>) {
        *self.trouble.lock().expect("sound") = trouble;
    }

    fn trouble_now(&self) -> Option<Trouble> {
        let mut trouble = self.trouble.lock().expect("sound");
        let (Trouble::HangBefore(left)
        | Trouble::HangAfter(left)
        | Trouble::Refuse(left)
        | Trouble::Unavailable(left)) = trouble.as_mut()?;
        *left -= 1;
        if *left == 0 { trouble.take() } else { None }
    }
}

#[async_trait]
impl Vault for MemoryVault {
    async fn put(
        &self,
        name: &ObjectName,
        contents: Contents<'_>,
        sha256: [u8; 32],
    ) -> Result<Put, VaultError> {
        let Contents::Bytes(bytes) = contents else { panic!("files are sealed in memory") };
        assert_eq!(<[u8; 32]>::from(sha2::Sha256::digest(bytes)), sha256);
        let trouble = self.trouble_now();
        match trouble {
            Some(Trouble::HangBefore(_)) => {
                self.hanging.notify_one();
                std::future::pending::<()>().await;
            }
            Some(Trouble::Refuse(_)) => return Err(VaultError::Refused("no".to_owned())),
            Some(Trouble::Unavailable(_)) => {
                return Err(VaultError::Unavailable("not now".to_owned()));
            }
            Some(Trouble::HangAfter(_)) | None => {}
        }
        let put = {
            let mut objects = self.objects.lock().expect("sound");
            match objects.get(name.as_str()) {
                Some(there) if there == bytes => Ok(Put::AlreadyThere),
                Some(_) => Err(VaultError::Conflict),
                None => {
                    objects.insert(name.as_str().to_owned(), Bytes::copy_from_slice(bytes));
                    Ok(Put::Stored)
                }
            }
        };
        if trouble.is_some() {
            self.hanging.notify_one();
            std::future::pending::<()>().await;
        }
        put
    }

    async fn read(
        &self,
        name: &ObjectName,
        range: Option<Range<u64>>,
    ) -> Result<Bytes, VaultError> {
        let objects = self.objects.lock().expect("sound");
        let object = objects.get(name.as_str()).ok_or(VaultError::NotFound)?;
        let place = |at: u64| usize::try_from(at).expect("small").min(object.len());
        let bytes = match range {
            Some(range) => object.slice(place(range.start)..place(range.end)),
            None => object.clone(),
        };
        self.bytes_read.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(bytes)
    }

    async fn delete(&self, name: &ObjectName) -> Result<(), VaultError> {
        self.objects.lock().expect("sound").remove(name.as_str());
        Ok(())
    }

    async fn check(&self) -> Result<(), VaultError> {
        Ok(())
    }
}

/// A repository in memory, as far as files need one.
#[derive(Default)]
pub(crate) struct MemoryRepository {
    pub(crate) tracks: Mutex<Vec<(SessionId, RecordedTrack)>>,
    pub(crate) segments: Mutex<Vec<RecordedSegment>>,
    playables: Mutex<Vec<(TenantId, SessionId, Playable)>>,
    /// Nothing is kept of files any more: they were erased.
    pub(crate) erased: Mutex<bool>,
    /// Reading what is unfinished waits for `answers`, once it has told `asked`.
    pub(crate) is_slow: AtomicBool,
    pub(crate) asked: Notify,
    pub(crate) answers: Notify,
}

#[async_trait]
impl RecordingRepository for MemoryRepository {
    fn fenced(self: Arc<Self>, _: Fence) -> Arc<dyn RecordingRepository> {
        self
    }

    async fn add_track(
        &self,
        SessionKey { session, .. }: SessionKey,
        track: &RecordedTrack,
    ) -> Result<(), StoreError> {
        self.tracks.lock().expect("sound").push((session, track.clone()));
        Ok(())
    }

    async fn end_track(
        &self,
        _key: SessionKey,
        _: RecordedTrackId,
        _: Timestamp,
    ) -> Result<(), StoreError> {
        unreachable!("files end no tracks")
    }

    async fn put_track_key(
        &self,
        _key: SessionKey,
        _: RecordedTrackId,
        _: Option<Vec<u8>>,
    ) -> Result<(), StoreError> {
        unreachable!("files change no keys")
    }

    async fn tracks(
        &self,
        SessionKey { session, .. }: SessionKey,
    ) -> Result<Vec<RecordedTrack>, StoreError> {
        let tracks = self.tracks.lock().expect("sound");
        Ok(tracks.iter().filter(|track| track.0 == session).map(|track| track.1.clone()).collect())
    }

    async fn add_segment(
        &self,
        _key: SessionKey,
        segment: &RecordedSegment,
    ) -> Result<(), StoreError> {
        self.segments.lock().expect("sound").push(segment.clone());
        Ok(())
    }

    async fn segments(
        &self,
        _key: SessionKey,
        track: RecordedTrackId,
        from: u64,
        limit: u32,
    ) -> Result<Vec<RecordedSegment>, StoreError> {
        let segments = self.segments.lock().expect("sound");
        let fits = |segment: &&RecordedSegment| segment.track == track && segment.index >= from;
        Ok(segments.iter().filter(fits).take(limit as usize).cloned().collect())
    }

    async fn sealed_bytes(&self, _key: SessionKey) -> Result<u64, StoreError> {
        let segments = self.segments.lock().expect("sound");
        Ok(segments.iter().map(|segment| segment.size).sum())
    }

    async fn last_segment(
        &self,
        _key: SessionKey,
        track: RecordedTrackId,
    ) -> Result<Option<RecordedSegment>, StoreError> {
        let segments = self.segments.lock().expect("sound");
        Ok(segments.iter().rfind(|segment| segment.track == track).cloned())
    }

    async fn add_gap(&self, _key: SessionKey, _: &RecordedGap) -> Result<(), StoreError> {
        unreachable!("files add no gaps")
    }

    async fn gaps(&self, _key: SessionKey) -> Result<Vec<RecordedGap>, StoreError> {
        Ok(Vec::new())
    }

    async fn put_playable(
        &self,
        SessionKey { tenant, session }: SessionKey,
        playable: &Playable,
    ) -> Result<(), StoreError> {
        if *self.erased.lock().expect("sound") {
            return Err(StoreError::Conflict);
        }
        let mut playables = self.playables.lock().expect("sound");
        playables.retain(|known| known.2.id != playable.id);
        playables.push((tenant, session, playable.clone()));
        Ok(())
    }

    async fn playables(
        &self,
        SessionKey { session, .. }: SessionKey,
    ) -> Result<Vec<Playable>, StoreError> {
        let playables = self.playables.lock().expect("sound");
        let of_session = playables.iter().filter(|known| known.1 == session);
        let mut of_session: Vec<Playable> = of_session.map(|known| known.2.clone()).collect();
        of_session.sort_by_key(|playable| playable.of);
        Ok(of_session)
    }

    async fn unfinished(&self) -> Result<Vec<SessionKey>, StoreError> {
        let sessions = {
            let playables = self.playables.lock().expect("sound");
            let open = [PlayableState::Waiting, PlayableState::Building];
            let open = playables.iter().filter(|known| open.contains(&known.2.state));
            let mut sessions: Vec<_> =
                open.map(|known| SessionKey::new(known.0, known.1)).collect();
            sessions.sort_unstable();
            sessions.dedup();
            sessions
        };
        if self.is_slow.load(Ordering::SeqCst) {
            self.asked.notify_one();
            self.answers.notified().await;
        }
        Ok(sessions)
    }

    async fn put_retention(&self, _key: SessionKey, _: Timestamp) -> Result<(), StoreError> {
        unreachable!("files have no retention of their own")
    }

    async fn due_for_erasure(&self, _: Timestamp, _: u32) -> Result<Vec<SessionKey>, StoreError> {
        unreachable!("files erase nothing")
    }

    async fn erased(&self, _key: SessionKey, _: Timestamp) -> Result<(), StoreError> {
        unreachable!("files erase nothing")
    }
}

/// What happened in the meeting, as the test says.
#[derive(Default)]
pub(crate) struct SaidTimeline(pub(crate) Mutex<MeetingTimeline>);

#[async_trait]
impl TimelineSource for SaidTimeline {
    async fn timeline(&self, _key: SessionKey) -> Result<MeetingTimeline, String> {
        Ok(self.0.lock().expect("sound").clone())
    }
}

/// One session of one tenant.
pub(crate) struct Fixture {
    pub(crate) vault: Arc<MemoryVault>,
    pub(crate) keys: Arc<LocalKeyVault>,
    pub(crate) repository: Arc<MemoryRepository>,
    pub(crate) timeline: Arc<SaidTimeline>,
    pub(crate) tenant: TenantId,
    pub(crate) session: SessionId,
    pub(crate) damaged: DamagedObjects,
    directory: TempDir,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        Self {
            vault: Arc::default(),
            keys: Arc::new(LocalKeyVault::open(directory.path().join("keys")).expect("opens")),
            repository: Arc::default(),
            timeline: Arc::default(),
            tenant: TenantId::generate(),
            session: SessionId::generate(),
            damaged: DamagedObjects::default(),
            directory,
        }
    }

    /// Starts making files; without a program no combined one.
    pub(crate) fn playables(&self, ffmpeg: Option<&str>) -> Playables {
        let parts = PlayablesParts {
            vault: self.vault.clone(),
            keys: self.keys.clone(),
            repository: self.repository.clone(),
            timeline: self.timeline.clone(),
            // The processes before have ended, and their leases with them.
            claims: of_a_new_process(Arc::new(MemoryClaims::default())),
            clock: Clock::system(),
            damaged: self.damaged.clone(),
        };
        let (ffmpeg, scratch) = (ffmpeg.map(Into::into), self.scratch());
        Playables::start(parts, PlayablesOptions { ffmpeg, scratch, part_bytes: PART_BYTES })
    }

    /// A path that is relative, as with `--data-dir data`, and longer than that of a socket may be.
    fn scratch(&self) -> PathBuf {
        let here = std::env::current_dir().expect("a directory");
        let root: PathBuf = here.components().skip(1).map(|_| "..").collect();
        let directory = self.directory.path().strip_prefix("/").expect("an absolute path");
        root.join(directory).join("s".repeat(120))
    }

    /// Has the files made whose recording has ended.
    pub(crate) async fn request(&self, playables: &Playables) {
        let fence = Fence { session: self.session, work: Work::Recording, epoch: 1 };
        playables.plan(SessionKey::new(self.tenant, self.session), fence).await.expect("planned");
        playables.make(SessionKey::new(self.tenant, self.session));
    }

    /// Makes all files and waits until they are made.
    pub(crate) async fn make(&self, ffmpeg: Option<&str>) {
        let playables = self.playables(ffmpeg);
        self.request(&playables).await;
        playables.idle().await;
        playables.shutdown().await;
    }

    /// Records a track.
    pub(crate) async fn record(
        &self,
        user: &str,
        source: TrackSource,
        codec: Codec,
        sent: &[Sent],
    ) -> RecordedTrackId {
        let id = RecordedTrackId::random();
        let key = TrackKey::new(random_key());
        let purpose = KeyPurpose::Track(id, 1);
        let wrapped = self.keys.wrap(self.tenant, purpose, key.secret()).await.expect("wraps");
        let track = RecordedTrack {
            id,
            track: TrackId::generate(),
            user: user.parse::<UserId>().expect("valid"),
            name: user.to_owned(),
            source,
            codec,
            epoch: 1,
            wrapped_key: Some(wrapped),
            seq: 0,
            started_at: Timestamp::from_unix_us(START_US.cast_signed()),
            ended_at: Some(Timestamp::from_unix_us(START_US.cast_signed())),
        };
        self.repository
            .add_track(SessionKey::new(self.tenant, self.session), &track)
            .await
            .expect("added");
        for (index, journal) in (0..).zip(journals(codec, sent)) {
            self.add_segment(id, index, &key, &journal).await;
        }
        id
    }

    async fn add_segment(
        &self,
        track: RecordedTrackId,
        index: u64,
        key: &TrackKey,
        journal: &[u8],
    ) {
        let context = Context::Segment { session: self.session, track, index, epoch: 1 };
        let mut object = Vec::new();
        let mut sealer = Sealer::new(&key.segment_key(index), &context, random_salt(), &mut object);
        sealer.write(journal, &mut object);
        let sealed = sealer.finish(&mut object);
        let name = ObjectName::segment(SessionKey::new(self.tenant, self.session), track, index);
        self.vault.put(&name, Contents::Bytes(&object), sealed.sha256).await.expect("stored");
        let records = cabildo::recorder::journal::JournalReader::new(journal).expect("a journal");
        let times: Vec<u64> =
            records.map(|record| record.expect("a record").at_us / 1_000).collect();
        let segment = RecordedSegment {
            track,
            index,
            size: sealed.size,
            sha256: sealed.sha256,
            from_ms: times[0],
            to_ms: times[times.len() - 1],
            flags: 0,
            seq: 0,
        };
        self.repository
            .add_segment(SessionKey::new(self.tenant, self.session), &segment)
            .await
            .expect("added");
    }

    pub(crate) async fn playable(&self, of: PlayableOf) -> Playable {
        let all = self
            .repository
            .playables(SessionKey::new(self.tenant, self.session))
            .await
            .expect("known");
        all.into_iter().find(|playable| playable.of == of).expect("planned")
    }

    pub(crate) async fn reader(&self, of: PlayableOf) -> Result<PlayableReader, PlayableError> {
        let playable = self.playable(of).await;
        let vault = self.vault.clone();
        PlayableReader::open(
            vault,
            &*self.keys,
            SessionKey::new(self.tenant, self.session),
            &playable,
        )
        .await
    }

    /// The bytes of a file.
    pub(crate) async fn bytes(&self, of: PlayableOf) -> Vec<u8> {
        let reader = self.reader(of).await.expect("opens");
        read(&reader, 0..reader.size()).await.expect("reads")
    }
}

/// All bytes in a range.
pub(crate) async fn read(
    reader: &PlayableReader,
    range: Range<u64>,
) -> Result<Vec<u8>, PlayableError> {
    let pieces: Vec<Bytes> = reader.read(range).try_collect().await?;
    Ok(pieces.concat())
}
