//! Playable files, made from the journals of a recording: one for each track and one combined file
//! of the whole meeting. They are not evidence, can be made again at any time, and are sealed in
//! parts so that a range of bytes can be read without decrypting the rest. `docs/ARCHITECTURE.md`
//! §The record.

mod build;
mod combined;
mod driver;
mod ffmpeg;
mod library;
mod moments;
mod part;
mod reader;
mod renewal;
mod scenes;
mod telephone;
mod track;
mod view;

use crate::claims::ClaimError;
use crate::domain::media::Codec;
use crate::domain::recording::Container;
use crate::domain::store_error::StoreError;
use crate::formats::ContainerError;
use crate::recorder::journal::JournalError;
use crate::sealing::OpenError;
use crate::vault::{KeyVaultError, VaultError};

pub use driver::{Playables, PlayablesOptions, PlayablesParts, TimelineSource};
pub use library::{
    Library, LibraryError, LibraryParts, RecordingFile, RecordingStage, RecordingView,
};
pub use part::PART_BYTES;
pub use reader::{PlayableReader, READ_BYTES_MAX};
pub use renewal::Reading;
pub use scenes::{FloorTurn, Heard, MeetingTimeline};
pub use track::{TrackFile, TrackSurvey, TrackWriter};

/// Why a playable file can't be made or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlayableError {
    /// An object can't be read or stored.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// A key can't be unwrapped or wrapped.
    #[error(transparent)]
    Key(#[from] KeyVaultError),
    /// The repository failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The claims on making the files of sessions can't be read or changed.
    #[error(transparent)]
    Claims(#[from] ClaimError),
    /// An object can't be decrypted: it was changed, or belongs elsewhere.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A segment does not contain a valid journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The file can't be written, or its index can't be read.
    #[error(transparent)]
    Container(ContainerError),
    /// No frame in it can be shown or heard.
    #[error("the track has no frame that can be played")]
    Nothing,
    /// It is not made yet, or its key was destroyed.
    #[error("the file is not ready")]
    NotReady,
    /// The key of its track was destroyed, or the track has no segment.
    #[error("the key of the track was destroyed, or it has no segment")]
    NoKey,
    /// The parts stored by an earlier run differ from those that this run makes.
    #[error("the stored parts were made by another version")]
    Moved,
    /// The sound can't be made into what files hold.
    #[error("the sound can't be encoded: {0}")]
    Sound(String),
    /// The combined file can't be mixed.
    #[error("{0}")]
    Mixing(String),
    /// The program that mixes was ended, or this machine had no memory, disk or descriptors for it.
    #[error("{0}")]
    Interrupted(String),
}

impl From<ContainerError> for PlayableError {
    fn from(error: ContainerError) -> Self {
        match error {
            ContainerError::Empty => Self::Nothing,
            error => Self::Container(error),
        }
    }
}

/// The container of files with this codec.
#[must_use]
pub const fn container_of(codec: Codec) -> Container {
    match codec {
        Codec::H264 => Container::Mp4,
        Codec::Opus | Codec::Pcmu | Codec::Pcma | Codec::Vp8 | Codec::Vp9 | Codec::Av1 => {
            Container::Webm
        }
    }
}
