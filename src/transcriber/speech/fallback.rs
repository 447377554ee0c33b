//! Two engines: the second is asked when the first fails.

use std::sync::Arc;

use super::{Heard, Hearing, Recogniser, Speech, SpeechEngine, SpeechError};
use crate::domain::language::LanguageTag;

/// An engine, and another one for when it fails.
#[derive(Debug)]
pub struct Fallback {
    first: Arc<dyn SpeechEngine>,
    second: Arc<dyn SpeechEngine>,
}

impl Fallback {
    /// Asks `second` for what `first` fails at.
    #[must_use]
    pub fn new(first: Arc<dyn SpeechEngine>, second: Arc<dyn SpeechEngine>) -> Self {
        Self { first, second }
    }
}

impl SpeechEngine for Fallback {
    fn name(&self) -> String {
        format!("{}, else {}", self.first.name(), self.second.name())
    }

    fn recogniser(&self) -> Result<Box<dyn Recogniser>, SpeechError> {
        // One of them is enough. The second may take much memory, so it is made when it is needed.
        let first = self.first.recogniser().ok();
        let second = if first.is_none() { Some(self.second.recogniser()?) } else { None };
        Ok(Box::new(Both { first, second, engine: Arc::clone(&self.second) }))
    }

    fn languages(&self) -> Vec<LanguageTag> {
        // The second stands in for the first, as far as it can.
        self.first.languages()
    }

    fn hearing(&self) -> Option<Arc<dyn Hearing>> {
        self.first.hearing()
    }

    fn problem(&self) -> Option<String> {
        self.first.problem().or_else(|| self.second.problem())
    }
}

struct Both {
    first: Option<Box<dyn Recogniser>>,
    second: Option<Box<dyn Recogniser>>,
    /// That of the second.
    engine: Arc<dyn SpeechEngine>,
}

impl Recogniser for Both {
    fn recognise(&mut self, speech: Speech<'_>) -> Result<Heard, SpeechError> {
        // The engine itself counts and logs what it fails at.
        let heard = self.first.as_mut().and_then(|first| first.recognise(speech).ok());
        if let Some(heard) = heard {
            return Ok(heard);
        }
        let second = match self.second.take() {
            Some(second) => second,
            None => self.engine.recogniser()?,
        };
        self.second.insert(second).recognise(speech)
    }
}
