//! Finds the playable files of recordings and reads them.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;

use crate::domain::id::{PlayableId, SessionKey};
use crate::domain::recording::PlayableState;
use crate::domain::session::Session;
use crate::domain::store_error::StoreError;
use crate::playable::{PlayableError, Reading};
use crate::recorder::Recorder;
use crate::recorder::repository::{Lack, Playable, PlayableOf, RecordedTrack, RecordingRepository};

/// The other parts that [`Library`] uses.
pub struct LibraryParts {
    /// Tracks and files of sessions.
    pub repository: Arc<dyn RecordingRepository>,
    /// Knows which segments are not stored in the vault yet.
    pub recorder: Recorder,
    /// Reads the files.
    pub reading: Reading,
}

/// The playable files of all sessions. Clones share the same state.
#[derive(Clone)]
pub struct Library(Arc<LibraryParts>);

/// Why a file can't be played.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LibraryError {
    /// There is no such file, or it is not made yet.
    #[error("there is no such recording")]
    NotFound,
    /// It was erased.
    #[error("the recording was erased")]
    Erased,
    /// The repository can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It can't be decrypted or read.
    #[error(transparent)]
    Playable(PlayableError),
}

impl From<PlayableError> for LibraryError {
    fn from(error: PlayableError) -> Self {
        match error {
            PlayableError::NotReady => Self::NotFound,
            error => Self::Playable(error),
        }
    }
}

/// The state of a session's recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordingStage {
    /// Nothing was recorded.
    None,
    /// The session is not over.
    Recording,
    /// The session is over and its log is not closed yet.
    Sealing,
    /// Its files are being made.
    Making,
    /// Every file that can be made is made.
    Ready,
    /// It was erased.
    Erased,
}

impl RecordingStage {
    /// Its stable text, the name in lower case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Recording => "recording",
            Self::Sealing => "sealing",
            Self::Making => "making",
            Self::Ready => "ready",
            Self::Erased => "erased",
        }
    }
}

/// A recording as users see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordingView {
    /// Its state.
    pub stage: RecordingStage,
    /// Number of tracks with segments that are not stored in the vault and entered in the log yet.
    pub pending_tracks: usize,
    /// Bytes of its sealed objects.
    pub sealed_bytes: u64,
    /// Its playable files, the combined one first.
    pub files: Vec<RecordingFile>,
}

/// A playable file as users see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordingFile {
    /// The file.
    pub file: Playable,
    /// The track it was made from; `None` for the combined file.
    pub track: Option<RecordedTrack>,
    /// What it does without, with the tracks.
    pub lacks: Vec<(Lack, RecordedTrack)>,
}

impl Library {
    /// Makes a library that uses these parts.
    #[must_use]
    pub fn new(parts: LibraryParts) -> Self {
        Self(Arc::new(parts))
    }

    /// The recording of a session. `log_closed` says whether the session's log is closed.
    pub async fn view(
        &self,
        session: &Session,
        log_closed: bool,
    ) -> Result<RecordingView, LibraryError> {
        let key = session.key();
        let tracks = self.0.repository.tracks(key).await?;
        let playables = self.0.repository.playables(key).await?;
        let nothing_taken =
            log_closed && playables.is_empty() && !self.has_segments(key, &tracks).await?;
        let stage = if nothing_taken {
            RecordingStage::None
        } else {
            stage_of(session, &tracks, &playables, log_closed)
        };
        let pending_tracks = self.0.recorder.pending_tracks(key);
        let files = playables.into_iter().map(|file| with_track(file, &tracks)).collect();
        let sealed_bytes = self.0.repository.sealed_bytes(key).await?;
        Ok(RecordingView { stage, pending_tracks, sealed_bytes, files })
    }

    /// A playable file that is ready.
    pub async fn file(&self, key: SessionKey, file: PlayableId) -> Result<Playable, LibraryError> {
        let playables = self.0.repository.playables(key).await?;
        let found = playables.into_iter().find(|found| found.id == file);
        let found = found.ok_or(LibraryError::NotFound)?;
        match found.state {
            PlayableState::Ready => Ok(found),
            PlayableState::Erased => Err(LibraryError::Erased),
            PlayableState::Waiting | PlayableState::Building | PlayableState::Failed => {
                Err(LibraryError::NotFound)
            }
        }
    }

    /// The bytes of a file in `range`, decrypted as they are read, using a constant amount of
    /// memory. Where the vault has lost or changed something of the file, it is made anew: when that
    /// is noticed before the first byte it is [`LibraryError::NotFound`], as while it is made.
    pub async fn read(
        &self,
        key: SessionKey,
        file: &Playable,
        range: Range<u64>,
    ) -> Result<impl Stream<Item = Result<Bytes, PlayableError>> + Send + use<>, LibraryError> {
        Ok(self.0.reading.read(key, file, range).await?)
    }

    /// Whether any segment of these tracks was stored. None is stored when the disk is full.
    async fn has_segments(
        &self,
        key: SessionKey,
        tracks: &[RecordedTrack],
    ) -> Result<bool, LibraryError> {
        for track in tracks {
            if self.0.repository.last_segment(key, track.id).await?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn with_track(file: Playable, tracks: &[RecordedTrack]) -> RecordingFile {
    let track = match file.of {
        PlayableOf::Combined => None,
        PlayableOf::Track(id) => tracks.iter().find(|track| track.id == id).cloned(),
    };
    let with_its_track = |lack: &Lack| {
        let track = tracks.iter().find(|track| track.id == lack.track)?;
        Some((lack.clone(), track.clone()))
    };
    let lacks = file.lacks.iter().filter_map(with_its_track).collect();
    RecordingFile { file, track, lacks }
}

fn stage_of(
    session: &Session,
    tracks: &[RecordedTrack],
    playables: &[Playable],
    log_closed: bool,
) -> RecordingStage {
    if tracks.is_empty() {
        return RecordingStage::None;
    }
    if tracks.iter().all(|track| track.wrapped_key.is_none()) {
        return RecordingStage::Erased;
    }
    if !session.status.is_over() {
        return RecordingStage::Recording;
    }
    let unfinished =
        |file: &Playable| matches!(file.state, PlayableState::Waiting | PlayableState::Building);
    match log_closed {
        false => RecordingStage::Sealing,
        true if playables.is_empty() || playables.iter().any(unfinished) => RecordingStage::Making,
        true => RecordingStage::Ready,
    }
}
