//! What was said in a room, as text, and where nothing could be understood.

use crate::domain::id::{TrackId, UserId};
use crate::domain::named_values::named_values;
use crate::domain::time::Timestamp;

/// A piece of speech as text.
#[derive(Debug, Clone, PartialEq)]
pub struct TranscriptChunk {
    /// Whose track it was heard on. That may be a device of the hall.
    pub user: UserId,
    /// The track.
    pub track: TrackId,
    /// The text, as the engine wrote it.
    pub text: String,
    /// How sure the engine is of it, from 0 to 1.
    pub confidence: f32,
    /// When the speech began.
    pub from: Timestamp,
    /// When it ended.
    pub to: Timestamp,
    /// Whether this text stays; otherwise a later one replaces it.
    pub is_final: bool,
    /// What recognised it, for people.
    pub engine: String,
    /// The language, a BCP 47 tag.
    pub language: String,
}

named_values!(
    /// Why speech did not become text.
    GapCause {
        /// More was said at once than this machine can recognise in time.
        Overload => "overload",
        /// The engine failed on it.
        EngineFailed => "engine_failed",
        /// No engine could be reached.
        EngineUnavailable => "engine_unavailable",
        /// The sound could not be decoded.
        BadAudio => "bad_audio",
    }
);

/// Speech of which there is no text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TranscriptGap {
    /// Whose track it was heard on.
    pub user: UserId,
    /// The track.
    pub track: TrackId,
    /// When the speech began.
    pub from: Timestamp,
    /// When it ended.
    pub to: Timestamp,
    /// Why there is no text.
    pub cause: GapCause,
}

/// What became of a piece of speech.
#[derive(Debug, Clone, PartialEq)]
pub enum Transcribed {
    /// Text.
    Chunk(TranscriptChunk),
    /// No text.
    Gap(TranscriptGap),
}
