//! What the database has of recordings: tracks with their users and wrapped keys,
//! segments, gaps, and playable files.

use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::claim::Fence;
use crate::domain::id::{PlayableId, RecordedTrackId, SessionKey, TrackId, UserId};
use crate::domain::media::{Codec, TrackSource};
use crate::domain::recording::{Container, LackReason, PlayableState};
use crate::domain::store_error::StoreError;
use crate::domain::time::Timestamp;

/// A track of a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedTrack {
    /// Its identity in the log and the vault.
    pub id: RecordedTrackId,
    /// The track in the room.
    pub track: TrackId,
    /// The user who published it.
    pub user: UserId,
    /// The user's name when it began.
    pub name: String,
    /// Where it comes from.
    pub source: TrackSource,
    /// What it carries; another codec is another recorded track.
    pub codec: Codec,
    /// Epoch of its key, from 1.
    pub epoch: u32,
    /// `K_track`, wrapped; `None` once destroyed.
    pub wrapped_key: Option<Vec<u8>>,
    /// `seq` of its entry in the log.
    pub seq: u64,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended; `None` while it is recorded.
    pub ended_at: Option<Timestamp>,
}

/// A segment that is in the vault and in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedSegment {
    /// Its track.
    pub track: RecordedTrackId,
    /// From 0, without holes.
    pub index: u64,
    /// Bytes of the sealed object.
    pub size: u64,
    /// SHA-256 of the sealed object.
    pub sha256: [u8; 32],
    /// When its first and last record came, milliseconds since 1970.
    pub from_ms: u64,
    /// As `from_ms`.
    pub to_ms: u64,
    /// As in its entry.
    pub flags: u32,
    /// `seq` of its entry in the log.
    pub seq: u64,
}

/// A gap of a track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedGap {
    /// Its track.
    pub track: RecordedTrackId,
    /// From when, milliseconds since 1970.
    pub from_ms: u64,
    /// Until when.
    pub to_ms: u64,
    /// As in `docs/EVIDENCE.md`.
    pub reason: u32,
}

/// What a playable file shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PlayableOf {
    /// The meeting, mixed for people.
    Combined,
    /// One track.
    Track(RecordedTrackId),
}

/// A time during which a combined file does without a track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lack {
    /// The track.
    pub track: RecordedTrackId,
    /// Begin, milliseconds since 1970.
    pub from_ms: u64,
    /// End, milliseconds since 1970.
    pub to_ms: u64,
    /// Why.
    pub reason: LackReason,
}

/// A playable file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Playable {
    /// Its identity in the vault.
    pub id: PlayableId,
    /// What it shows.
    pub of: PlayableOf,
    /// Its container.
    pub container: Container,
    /// Its media type with codecs, once known: `video/webm; codecs="vp8"`.
    pub media_type: String,
    /// Its state.
    pub state: PlayableState,
    /// Progress of making it, 0 to 1000.
    pub progress_permille: u32,
    /// `K_file`, wrapped; `None` once destroyed.
    pub wrapped_key: Option<Vec<u8>>,
    /// When its first frame was captured, milliseconds since 1970.
    pub from_ms: u64,
    /// How long it plays.
    pub duration_ms: u64,
    /// Plaintext bytes of each part in order; part *n* is one sealed object.
    pub parts: Vec<u64>,
    /// Why it failed, for the operator.
    pub failure: Option<String>,
    /// What it does without, in order of time for each track.
    pub lacks: Vec<Lack>,
    /// Where to continue after a restart, in the maker's own format.
    pub resume_at: Option<String>,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// Recordings by tenant and session. Adding what is there already, equal, does
/// nothing, so that work begun before a restart can be repeated.
#[async_trait]
pub trait RecordingRepository: Send + Sync {
    /// The same recordings for the owner of background work: every write names
    /// `fence` in its own transaction, and is [`StoreError::Fenced`]
    /// once the work has another owner.
    fn fenced(self: Arc<Self>, fence: Fence) -> Arc<dyn RecordingRepository>;

    /// Adds a track.
    async fn add_track(&self, key: SessionKey, track: &RecordedTrack) -> Result<(), StoreError>;

    /// Says when a track ended. One that has ended keeps its end.
    async fn end_track(
        &self,
        key: SessionKey,
        track: RecordedTrackId,
        at: Timestamp,
    ) -> Result<(), StoreError>;

    /// Replaces a track's wrapped key; `None` destroys it.
    /// [`StoreError::Conflict`] when it was destroyed or is wrapped by
    /// a newer tenant key already.
    async fn put_track_key(
        &self,
        key: SessionKey,
        track: RecordedTrackId,
        wrapped: Option<Vec<u8>>,
    ) -> Result<(), StoreError>;

    /// The tracks of a session by `seq`.
    async fn tracks(&self, key: SessionKey) -> Result<Vec<RecordedTrack>, StoreError>;

    /// Adds a segment.
    async fn add_segment(
        &self,
        key: SessionKey,
        segment: &RecordedSegment,
    ) -> Result<(), StoreError>;

    /// Segments of a track from `from` on by index, at most `limit`.
    async fn segments(
        &self,
        key: SessionKey,
        track: RecordedTrackId,
        from: u64,
        limit: u32,
    ) -> Result<Vec<RecordedSegment>, StoreError>;

    /// Bytes of the sealed objects of the tracks whose keys were not destroyed.
    async fn sealed_bytes(&self, key: SessionKey) -> Result<u64, StoreError>;

    /// The last segment of a track.
    async fn last_segment(
        &self,
        key: SessionKey,
        track: RecordedTrackId,
    ) -> Result<Option<RecordedSegment>, StoreError>;

    /// Adds a gap.
    async fn add_gap(&self, key: SessionKey, gap: &RecordedGap) -> Result<(), StoreError>;

    /// The gaps of a session by track and time.
    async fn gaps(&self, key: SessionKey) -> Result<Vec<RecordedGap>, StoreError>;

    /// Adds a playable file or replaces what is known of it.
    /// [`StoreError::Conflict`] when it was erased, or its key is
    /// wrapped by a newer tenant key already.
    async fn put_playable(&self, key: SessionKey, playable: &Playable) -> Result<(), StoreError>;

    /// The playable files of a session, the combined one first, then by track.
    async fn playables(&self, key: SessionKey) -> Result<Vec<Playable>, StoreError>;

    /// Sessions of all tenants that have tracks without an end or playable
    /// files that are waiting or being made: what a start has to look after.
    async fn unfinished(&self) -> Result<Vec<SessionKey>, StoreError>;

    /// Says from when on a session's recording is to be erased.
    async fn put_retention(
        &self,
        key: SessionKey,
        erase_after: Timestamp,
    ) -> Result<(), StoreError>;

    /// Sessions of all tenants whose recordings are to be erased by `now` and
    /// were not, at most `limit`.
    async fn due_for_erasure(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<SessionKey>, StoreError>;

    /// Notes that a session's recording was erased and that its objects are to be deleted now, and
    /// forgets whose its tracks were.
    async fn erased(&self, key: SessionKey, at: Timestamp) -> Result<(), StoreError>;
}
