//! An engine that several use, and its limit.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};

use cabildo::domain::language::LanguageTag;
use cabildo::transcriber::speech::shared::Shared;
use cabildo::transcriber::speech::{Heard, Recogniser, Speech, SpeechEngine, SpeechError};

/// Pieces that may be recognised at the same time.
const MOST: usize = 2;

#[derive(Debug, Default)]
struct Counts {
    made: AtomicUsize,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
}

/// An engine that counts, and panics at a piece without sound.
#[derive(Debug, Clone, Default)]
struct Counting(Arc<Counts>);

impl SpeechEngine for Counting {
    fn name(&self) -> String {
        "counting".to_owned()
    }

    fn languages(&self) -> Vec<LanguageTag> {
        Vec::new()
    }

    fn recogniser(&self) -> Result<Box<dyn Recogniser>, SpeechError> {
        self.0.made.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(self.clone()))
    }
}

impl Recogniser for Counting {
    fn recognise(&mut self, speech: Speech<'_>) -> Result<Heard, SpeechError> {
        assert!(!speech.samples.is_empty(), "the story wants it");
        let now = self.0.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.most_at_once.fetch_max(now, Ordering::SeqCst);
        std::thread::yield_now();
        self.0.at_once.fetch_sub(1, Ordering::SeqCst);
        let (text, language) = (String::new(), "und".to_owned());
        Ok(Heard { text, confidence: 0.0, language, engine: self.name() })
    }
}

fn piece(samples: &[f32]) -> Speech<'_> {
    Speech { id: None, samples, language: None, words: None }
}

#[test]
fn an_engine_that_many_use_works_on_no_more_pieces_at_once_than_its_limit() {
    let counting = Counting::default();
    let shared = Shared::new(Arc::new(counting.clone()), MOST);
    let together = Barrier::new(8);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut recogniser = shared.recogniser().expect("always");
                together.wait();
                for _ in 0..50 {
                    recogniser.recognise(piece(&[0.0])).expect("nobody waits for long");
                }
            });
        }
    });
    let Counts { made, most_at_once, .. } = &*counting.0;
    assert_eq!(made.load(Ordering::SeqCst), MOST, "no more than can be used");
    assert!((1..=MOST).contains(&most_at_once.load(Ordering::SeqCst)));
}

#[test]
fn a_recogniser_that_panics_makes_place_for_another() {
    let counting = Counting::default();
    let shared = Shared::new(Arc::new(counting.clone()), 1);
    let mut recogniser = shared.recogniser().expect("always");
    for made in 1..=3 {
        assert_eq!(counting.0.made.load(Ordering::SeqCst), made);
        let panicked = catch_unwind(AssertUnwindSafe(|| recogniser.recognise(piece(&[]))));
        assert!(panicked.is_err());
        recogniser.recognise(piece(&[0.0])).expect("another one");
    }
}
