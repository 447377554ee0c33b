//! Makes the file of one track from its journals, part by part. After a restart the journals are
//! read again and give the same bytes; parts that are stored already are recognised and not stored
//! again.

use std::sync::Arc;

use bytes::Bytes;

use crate::clock::Clock;
use crate::domain::id::SessionKey;
use crate::domain::recording::PlayableState;
use crate::playable::part::{Parts, Proof};
use crate::playable::track::{TrackFile, TrackSurvey, TrackWriter};
use crate::playable::{PlayableError, container_of};
use crate::recorder::repository::{Playable, RecordedSegment, RecordedTrack, RecordingRepository};
use crate::sealing::{ContentKey, Context, Opener, TrackKey, random_key};
use crate::vault::{Damage, DamagedObjects, KeyPurpose, KeyVault, ObjectName, Vault, VaultError};

/// Segments requested from the repository at once.
const PAGE: u32 = 256;
/// Largest object of a segment that is read, in bytes. The recorder makes none that is larger.
const SEGMENT_BYTES_MAX: u64 = 256 << 20;
/// Share of the progress that the first reading counts for, in permille.
const SURVEY_PERMILLE: u64 = 300;
/// Most missing and changed segments of a track that are noted by name.
const DAMAGED_MAX: usize = 1_000;
/// Progress is reported after this many segments: about two minutes of recording.
const TELL_EVERY: u64 = 32;

/// Makes the files of one session.
#[derive(Clone)]
pub(super) struct Maker {
    pub vault: Arc<dyn Vault>,
    pub keys: Arc<dyn KeyVault>,
    pub repository: Arc<dyn RecordingRepository>,
    pub clock: Clock,
    /// Plaintext bytes of a part.
    pub part_bytes: usize,
    pub damaged: DamagedObjects,
    pub key: SessionKey,
}

/// A file that is being made, and its row in the repository.
pub(super) struct Making {
    pub maker: Maker,
    pub playable: Playable,
    pub parts: Parts,
}

impl Maker {
    /// Stores the state of a file in the repository.
    pub(super) async fn keep(&self, playable: &mut Playable) -> Result<(), PlayableError> {
        playable.updated_at = self.clock.now();
        self.repository.put_playable(self.key, playable).await?;
        Ok(())
    }

    /// Begins or continues a file, and makes sure that it has a key.
    pub(super) async fn begin(&self, mut playable: Playable) -> Result<Making, PlayableError> {
        let purpose = KeyPurpose::File(playable.id);
        let secret = if let Some(wrapped) = &playable.wrapped_key {
            self.keys.unwrap(self.key.tenant, purpose, wrapped).await?
        } else {
            let secret = random_key();
            playable.wrapped_key = Some(self.keys.wrap(self.key.tenant, purpose, &secret).await?);
            secret
        };
        playable.state = PlayableState::Building;
        if playable.parts.is_empty() {
            // The first part is the header, which is written last.
            playable.parts = vec![0];
        }
        self.keep(&mut playable).await?;
        let parts = Parts {
            vault: Arc::clone(&self.vault),
            tenant: self.key.tenant,
            session: self.key.session,
            file: playable.id,
            key: ContentKey::new(secret),
        };
        Ok(Making { maker: self.clone(), playable, parts })
    }

    /// Makes the file of one track.
    pub(super) async fn make_track(
        &self,
        track: &RecordedTrack,
        playable: Playable,
    ) -> Result<(), PlayableError> {
        let wrapped = track.wrapped_key.as_ref().ok_or(PlayableError::NoKey)?;
        let purpose = KeyPurpose::Track(track.id, track.epoch);
        let key = TrackKey::new(self.keys.unwrap(self.key.tenant, purpose, wrapped).await?);
        let mut making = self.begin(playable).await?;
        making.playable.container = container_of(track.codec);
        let last = self.repository.last_segment(self.key, track.id).await?;
        let count = last.map_or(0, |segment| segment.index + 1);
        let mut journals = Journals {
            maker: self,
            track,
            key: &key,
            page: Vec::new(),
            next: 0,
            unread: Unread::default(),
        };
        let mut survey = TrackSurvey::new(track.codec);
        while let Some(journal) = journals.next().await? {
            if let Err(error) = survey.handle_segment(&journal) {
                journals.skip_fault(error)?;
            }
            making.tell(journals.next, count, 0, SURVEY_PERMILLE).await?;
        }
        let mut output = Output::new(&making);
        journals.rewind();
        let mut writer = survey.writer();
        while let Some(journal) = journals.next().await? {
            journals.write(&mut writer, &journal, &mut output.waiting)?;
            output.cut(&mut making).await?;
            making.tell(journals.next, count, SURVEY_PERMILLE, 1_000 - SURVEY_PERMILLE).await?;
        }
        let file = writer.finish(&mut output.waiting)?;
        output.cut(&mut making).await?;
        output.end(&mut making).await?;
        making.playable.failure = journals.complaint();
        making.finish(file).await?;
        // What was erased meanwhile is not missing: such a file can't be finished.
        for (name, damage) in journals.unread.damaged {
            self.damaged.note(&name, damage);
        }
        Ok(())
    }
}

impl Making {
    /// Reports progress at intervals.
    async fn tell(
        &mut self,
        done: u64,
        all: u64,
        from_permille: u64,
        of_permille: u64,
    ) -> Result<(), PlayableError> {
        let permille = from_permille + of_permille * done.min(all) / all.max(1);
        self.playable.progress_permille = u32::try_from(permille.min(999)).unwrap_or(999);
        // Lets other tasks run after each segment.
        tokio::task::yield_now().await;
        if done.is_multiple_of(TELL_EVERY) {
            self.maker.keep(&mut self.playable).await?;
        }
        Ok(())
    }

    /// Stores the next part and its entry in the repository.
    pub(super) async fn add_part(&mut self, plaintext: &[u8]) -> Result<(), PlayableError> {
        self.parts.put(self.playable.parts.len() as u64, plaintext).await?;
        self.playable.parts.push(plaintext.len() as u64);
        Ok(())
    }

    /// Stores the header, after which the file is ready.
    pub(super) async fn finish(mut self, file: TrackFile) -> Result<(), PlayableError> {
        self.parts.put(0, &file.header).await?;
        if let Some(header) = self.playable.parts.first_mut() {
            *header = file.header.len() as u64;
        }
        self.playable.media_type = file.media_type;
        self.playable.from_ms = u64::try_from(file.from_us / 1_000).unwrap_or(0);
        self.playable.duration_ms = file.duration_us.div_ceil(1_000);
        self.playable.state = PlayableState::Ready;
        self.playable.progress_permille = 1_000;
        self.playable.resume_at = None;
        self.maker.keep(&mut self.playable).await?;
        for part in 0..self.playable.parts.len() as u64 {
            self.maker.damaged.forget(&self.parts.name(part));
        }
        Ok(())
    }
}

/// Collects bytes into parts.
struct Output {
    waiting: Vec<u8>,
    proof: Proof,
    /// Parts that an earlier run has stored and this run has not made again yet.
    stored: usize,
    made: usize,
}

impl Output {
    fn new(making: &Making) -> Self {
        Self {
            waiting: Vec::new(),
            proof: Proof::new(&making.parts.key),
            stored: making.playable.parts.len() - 1,
            made: 0,
        }
    }

    async fn cut(&mut self, making: &mut Making) -> Result<(), PlayableError> {
        let part_bytes = making.maker.part_bytes;
        while self.waiting.len() >= part_bytes {
            let part: Vec<u8> = self.waiting.drain(..part_bytes).collect();
            self.take(making, &part).await?;
        }
        Ok(())
    }

    async fn end(&mut self, making: &mut Making) -> Result<(), PlayableError> {
        let part = std::mem::take(&mut self.waiting);
        if !part.is_empty() {
            self.take(making, &part).await?;
        }
        Ok(())
    }

    async fn take(&mut self, making: &mut Making, part: &[u8]) -> Result<(), PlayableError> {
        self.proof.update(part);
        self.made += 1;
        if self.made <= self.stored {
            let is_last = self.made == self.stored;
            let same_size = making.playable.parts.get(self.made) == Some(&(part.len() as u64));
            let text = self.proof.text();
            let same = !is_last || making.playable.resume_at.as_deref() == Some(text.as_str());
            if same_size && same {
                return Ok(());
            }
            // The stored parts were made by another version: start again, under the same name.
            return Err(PlayableError::Moved);
        }
        making.add_part(part).await?;
        making.playable.resume_at = Some(self.proof.text());
        let playable = &mut making.playable;
        making.maker.keep(playable).await
    }
}

impl Unread {
    fn note(&mut self, name: ObjectName, damage: Damage) {
        if self.damaged.len() < DAMAGED_MAX {
            self.damaged.push((name, damage));
        }
    }
}

/// Reads the journals of a track in order.
struct Journals<'maker> {
    maker: &'maker Maker,
    track: &'maker RecordedTrack,
    key: &'maker TrackKey,
    /// Segments read from the repository; the next one is last.
    page: Vec<RecordedSegment>,
    /// Index of the segment after the last one returned.
    next: u64,
    unread: Unread,
}

/// Segments that could not be read.
#[derive(Default)]
struct Unread {
    count: u64,
    /// The first objects that are missing or were changed.
    damaged: Vec<(ObjectName, Damage)>,
}

impl Journals<'_> {
    fn rewind(&mut self) {
        self.page.clear();
        self.next = 0;
        self.unread = Unread::default();
    }

    /// The next journal that can be read. A segment that is missing or was changed is skipped, like
    /// a gap in the recording.
    async fn next(&mut self) -> Result<Option<Bytes>, PlayableError> {
        loop {
            if self.page.is_empty() {
                let Maker { repository, key, .. } = self.maker;
                let track = self.track.id;
                self.page = repository.segments(*key, track, self.next, PAGE).await?;
                self.page.reverse();
            }
            let Some(segment) = self.page.pop() else { return Ok(None) };
            self.next = segment.index + 1;
            if let Some(journal) = self.open(&segment).await? {
                return Ok(Some(journal));
            }
            self.unread.count += 1;
        }
    }

    async fn open(&mut self, segment: &RecordedSegment) -> Result<Option<Bytes>, PlayableError> {
        let Maker { vault, key, .. } = self.maker;
        if segment.size > SEGMENT_BYTES_MAX {
            return Ok(None);
        }
        let (track, index) = (self.track.id, segment.index);
        let name = ObjectName::segment(*key, track, index);
        let object = match vault.read(&name, None).await {
            Ok(object) => object,
            Err(VaultError::NotFound) => {
                self.unread.note(name, Damage::Missing);
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        let epoch = self.track.epoch;
        let context = Context::Segment { session: key.session, track, index, epoch };
        let journal = Opener::open(&self.key.segment_key(index), &context, &object);
        if journal.is_err() {
            self.unread.note(name, Damage::Changed);
        }
        Ok(journal.ok().map(Bytes::from))
    }

    fn write(
        &mut self,
        writer: &mut TrackWriter,
        journal: &Bytes,
        out: &mut Vec<u8>,
    ) -> Result<(), PlayableError> {
        match writer.handle_segment(journal, out) {
            Err(error) => self.skip_fault(error),
            Ok(()) => Ok(()),
        }
    }

    fn skip_fault(&mut self, error: PlayableError) -> Result<(), PlayableError> {
        if matches!(error, PlayableError::Journal(_)) {
            self.unread.count += 1;
            return Ok(());
        }
        Err(error)
    }

    /// Why the file is not complete.
    fn complaint(&self) -> Option<String> {
        let unread = self.unread.count;
        (unread > 0).then(|| format!("{unread} segments are missing or were changed"))
    }
}
