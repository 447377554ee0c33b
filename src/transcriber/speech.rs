//! What recognises speech: an engine gives every worker a recogniser of its own, which turns one
//! piece of speech after the other into text.

pub mod fallback;
pub mod google;
mod invented;
pub mod model;
pub mod openai;
mod reading;
mod remote;
pub mod shared;
mod text;
mod wav;
#[cfg(feature = "whisper")]
pub mod whisper;

use std::fmt;
use std::sync::Arc;

pub(super) use self::invented::without_inventions;
use crate::domain::id::TrackId;
use crate::domain::language::LanguageTag;
use crate::domain::time::Timestamp;

/// What names a piece of speech: its track and its beginning.
pub type SpeechId = (TrackId, Timestamp);

/// A piece of speech to recognise.
#[derive(Debug, Clone, Copy)]
pub struct Speech<'a> {
    /// Its name, if it was or may be heard while it is said.
    pub id: Option<SpeechId>,
    /// The sound: one channel at 16 kHz, from -1 to 1.
    pub samples: &'a [f32],
    /// Its language, a BCP 47 tag; recognised when absent.
    pub language: Option<&'a str>,
    /// Words that are likely to be said, with commas between them.
    pub words: Option<&'a str>,
}

/// What was understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Heard {
    /// The text; empty when nothing was said.
    pub text: String,
    /// How sure the engine is, from 0 to 1.
    pub confidence: f32,
    /// The language, a BCP 47 tag; `und` when nobody knows (RFC 5646 §4.1).
    pub language: String,
    /// What recognised it: the kind of engine and its model.
    pub engine: String,
}

/// Why a piece of speech was not recognised.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpeechError {
    /// No engine could be asked.
    #[error("no engine could be asked: {0}")]
    Unavailable(String),
    /// It was asked and gave nothing that can be used.
    #[error("the engine failed: {0}")]
    Failed(String),
}

/// An engine that recognises speech.
pub trait SpeechEngine: Send + Sync + fmt::Debug {
    /// What it is, for logs, health and text: the kind and its model.
    fn name(&self) -> String;

    /// The languages that it can be told are spoken. It may recognise others by itself.
    fn languages(&self) -> Vec<LanguageTag>;

    /// A recogniser for one worker. It may take a second and much memory.
    ///
    /// # Errors
    /// When there is none, with the reason.
    fn recogniser(&self) -> Result<Box<dyn Recogniser>, SpeechError>;

    /// Why it does not work at the moment, if that is known.
    fn problem(&self) -> Option<String> {
        None
    }

    /// What takes sound while it is spoken, when the engine wants it so early.
    fn hearing(&self) -> Option<Arc<dyn Hearing>> {
        None
    }

    /// Whether it may be asked for the text of what somebody is still saying, again and again:
    /// that costs time of this machine and no money.
    fn is_free_of_charge(&self) -> bool {
        false
    }
}

/// Takes sound while it is spoken.
pub trait Hearing: Send + Sync {
    /// The sound so far of a piece that may become longer. It must not wait. The piece of this name
    /// is recognised later, or never when it was no speech.
    fn hear(&self, speech: Speech<'_>);
}

/// Recognises one piece of speech after the other, on the thread of its worker.
pub trait Recogniser: Send {
    /// The text of a piece of speech.
    ///
    /// # Errors
    /// [`SpeechError`].
    fn recognise(&mut self, speech: Speech<'_>) -> Result<Heard, SpeechError>;
}

/// The subtag of a language that engines know, in lower case: `es` of `es-PY`.
#[must_use]
pub fn primary_subtag(language: &str) -> String {
    language.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase()
}
