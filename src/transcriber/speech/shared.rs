//! An engine that several use: it never works on more pieces at the same time than its limit,
//! whoever asks, and has no more recognisers than that. So an engine that stands in when remote
//! ones fail takes no more of this machine than it does by itself.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Heard, Recogniser, Speech, SpeechEngine, SpeechError};
use crate::domain::language::LanguageTag;

/// How long a piece waits for a recogniser that others use. Raising it makes more of the text of a
/// busy machine late, and less of it a gap.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// The recognisers of an engine.
#[derive(Default)]
struct Recognisers {
    free: Vec<Box<dyn Recogniser>>,
    /// Those that exist, in use or not.
    made: usize,
}

#[derive(Default)]
struct Held {
    recognisers: Mutex<Recognisers>,
    returned: Condvar,
}

impl Held {
    fn lock(&self) -> MutexGuard<'_, Recognisers> {
        self.recognisers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An engine with a limit.
#[derive(Clone)]
pub struct Shared {
    engine: Arc<dyn SpeechEngine>,
    most: usize,
    held: Arc<Held>,
}

impl Shared {
    /// Lets at most so many pieces be recognised by an engine at the same time.
    #[must_use]
    pub fn new(engine: Arc<dyn SpeechEngine>, most: usize) -> Self {
        Self { engine, most: most.max(1), held: Arc::default() }
    }

    /// Makes a recogniser, if there may be one more.
    fn make(&self) -> Option<Result<Box<dyn Recogniser>, SpeechError>> {
        {
            let mut recognisers = self.held.lock();
            if recognisers.made >= self.most {
                return None;
            }
            recognisers.made += 1;
        }
        let made = self.engine.recogniser();
        if made.is_err() {
            self.held.lock().made -= 1;
        }
        Some(made)
    }

    fn give_back(&self, recogniser: Box<dyn Recogniser>) {
        self.held.lock().free.push(recogniser);
        self.held.returned.notify_one();
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("engine", &self.engine).finish_non_exhaustive()
    }
}

impl SpeechEngine for Shared {
    fn name(&self) -> String {
        self.engine.name()
    }

    fn recogniser(&self) -> Result<Box<dyn Recogniser>, SpeechError> {
        // One is made now, if it is still missing, since that takes a while.
        if let Some(made) = self.make() {
            self.give_back(made?);
        }
        Ok(Box::new(self.clone()))
    }

    fn languages(&self) -> Vec<LanguageTag> {
        self.engine.languages()
    }

    fn problem(&self) -> Option<String> {
        self.engine.problem()
    }

    fn is_free_of_charge(&self) -> bool {
        self.engine.is_free_of_charge()
    }
}

/// A recogniser in use. One that panics is not given back.
struct Borrowed<'a> {
    shared: &'a Shared,
    recogniser: Option<Box<dyn Recogniser>>,
}

impl Drop for Borrowed<'_> {
    fn drop(&mut self) {
        match self.recogniser.take() {
            Some(recogniser) if !std::thread::panicking() => self.shared.give_back(recogniser),
            _ => {
                self.shared.held.lock().made -= 1;
                self.shared.held.returned.notify_one();
            }
        }
    }
}

impl Shared {
    fn borrow(&self) -> Result<Borrowed<'_>, SpeechError> {
        let borrowed = |recogniser| Borrowed { shared: self, recogniser: Some(recogniser) };
        if let Some(free) = self.held.lock().free.pop() {
            return Ok(borrowed(free));
        }
        if let Some(made) = self.make() {
            return Ok(borrowed(made?));
        }
        let is_used = |recognisers: &mut Recognisers| {
            recognisers.free.is_empty() && recognisers.made >= self.most
        };
        let waited = self.held.returned.wait_timeout_while(self.held.lock(), WAIT_MAX, is_used);
        let (mut recognisers, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let free = recognisers.free.pop();
        drop(recognisers);
        let busy = || SpeechError::Unavailable("others use all of it".to_owned());
        free.map_or_else(|| self.make().ok_or_else(busy)?, Ok).map(borrowed)
    }
}

impl Recogniser for Shared {
    fn recognise(&mut self, speech: Speech<'_>) -> Result<Heard, SpeechError> {
        let mut borrowed = self.borrow()?;
        match borrowed.recogniser.as_mut() {
            Some(recogniser) => recogniser.recognise(speech),
            None => Err(SpeechError::Unavailable("none".to_owned())),
        }
    }
}
