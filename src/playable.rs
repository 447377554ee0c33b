//! Files for people, made from the journals of a recording: one for each track
//! and one of the whole meeting. They are no evidence, can be made again at any
//! time, and are sealed part by part so that a range of bytes is read without
//! opening the rest. `docs/ARCHITECTURE.md` §The record.

mod build;
mod combined;
mod driver;
mod ffmpeg;
mod library;
mod moments;
mod part;
mod reader;
mod scenes;
mod track;
mod view;

use crate::claims::ClaimError;
use crate::domain::media::Codec;
use crate::domain::recording::Container;
use crate::formats::ContainerError;
use crate::recorder::journal::JournalError;
use crate::recorder::repository::RecordingStoreError;
use crate::sealing::OpenError;
use crate::vault::{KeyVaultError, VaultError};

pub use driver::{Playables, PlayablesOptions, PlayablesParts, TimelineSource};
pub use library::{
    Library, LibraryError, LibraryParts, RecordingFile, RecordingStage, RecordingView,
};
pub use part::PART_BYTES;
pub use reader::{PlayableReader, READ_BYTES_MAX};
pub use scenes::{FloorTurn, Heard, MeetingTimeline};
pub use track::{TrackFile, TrackSurvey, TrackWriter};

/// Why a playable file can't be made or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlayableError {
    /// An object could not be read or stored.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// A key could not be had.
    #[error(transparent)]
    Key(#[from] KeyVaultError),
    /// The repository could not do it.
    #[error(transparent)]
    Store(#[from] RecordingStoreError),
    /// Of which sessions other instances make the files could not be asked.
    #[error(transparent)]
    Claims(#[from] ClaimError),
    /// An object does not open: it was changed, or belongs elsewhere.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A segment holds no journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The file can't be written, or its index can't be read.
    #[error(transparent)]
    Container(ContainerError),
    /// There is not one frame that can be shown or heard.
    #[error("nothing in it can be played")]
    Nothing,
    /// It is not ready, or its key was destroyed.
    #[error("the file is not ready")]
    NotReady,
    /// The key of its track was destroyed, or the track has no segment.
    #[error("the track can't be opened any more")]
    NoKey,
    /// What a run before has stored is not what this one makes.
    #[error("what is stored was made by another version")]
    Moved,
    /// The combined file can't be mixed.
    #[error("{0}")]
    Mixing(String),
}

impl From<ContainerError> for PlayableError {
    fn from(error: ContainerError) -> Self {
        match error {
            ContainerError::Empty => Self::Nothing,
            error => Self::Container(error),
        }
    }
}

/// What files with this codec are packed in.
#[must_use]
pub const fn container_of(codec: Codec) -> Container {
    match codec {
        Codec::H264 => Container::Mp4,
        Codec::Opus | Codec::Vp8 | Codec::Vp9 | Codec::Av1 => Container::Webm,
    }
}
