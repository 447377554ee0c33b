//! Two engines: the second is asked when the first fails.

use std::sync::Arc;

use super::{Heard, Recogniser, Speech, SpeechEngine, SpeechError};

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
        // One of them is enough.
        match (self.first.recogniser(), self.second.recogniser()) {
            (Ok(first), Ok(second)) => Ok(Box::new(Both { first, second })),
            (Ok(one), Err(_)) | (Err(_), Ok(one)) => Ok(one),
            (Err(error), Err(_)) => Err(error),
        }
    }

    fn problem(&self) -> Option<String> {
        self.first.problem().or_else(|| self.second.problem())
    }
}

struct Both {
    first: Box<dyn Recogniser>,
    second: Box<dyn Recogniser>,
}

impl Recogniser for Both {
    fn recognise(&mut self, speech: Speech<'_>) -> Result<Heard, SpeechError> {
        match self.first.recognise(speech) {
            Ok(heard) => Ok(heard),
            // The engine itself counts and logs it.
            Err(_) => self.second.recognise(speech),
        }
    }
}
