//! Measures how fast an engine is on this machine.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use crate::transcriber::engine::SAMPLE_RATE_HZ;
use crate::transcriber::speech::{Recogniser, Speech, SpeechError};

/// Seconds of sound that are recognised at once: a long sentence.
const SECONDS: u16 = 5;
/// Times that they are; the slowest counts, so that it holds while the machine is busy.
const TIMES: u32 = 3;

/// How fast an engine is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// Seconds of work for a second of sound, on one worker.
    pub factor: f64,
}

impl Measured {
    /// People who can speak without a pause at the same time and be transcribed in time.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "there are few workers, and a float above u32 becomes the largest"
    )]
    pub fn speakers(self, workers: NonZeroUsize) -> u32 {
        // The pieces of one speaker are recognised one after the other, so more workers do not help.
        if self.factor > 1.0 {
            return 0;
        }
        (workers.get() as f64 / self.factor.max(f64::EPSILON)).floor() as u32
    }
}

/// Recognises a sound of five seconds some times. It has no words, so that it needs no file;
/// speech takes a little more, for each of its words.
///
/// # Errors
/// What the recogniser fails with.
pub fn measure(recogniser: &mut dyn Recogniser) -> Result<Measured, SpeechError> {
    let samples = sound();
    let mut slowest = Duration::ZERO;
    for _ in 0..TIMES {
        let begun = Instant::now();
        let speech = Speech { id: None, samples: &samples, language: Some("en"), words: None };
        match recogniser.recognise(speech) {
            // An invention that repeats itself took its time as well.
            Ok(_) | Err(SpeechError::Failed(_)) => {}
            Err(error) => return Err(error),
        }
        slowest = slowest.max(begun.elapsed());
    }
    Ok(Measured { factor: slowest.as_secs_f64() / f64::from(SECONDS) })
}

/// A tone of a voice that swells four times a second, as syllables do.
fn sound() -> Vec<f32> {
    let rate = u16::try_from(SAMPLE_RATE_HZ).unwrap_or(u16::MAX);
    let turn = std::f32::consts::TAU;
    (0..SECONDS)
        .flat_map(|_| 0..rate)
        .map(|place| {
            let at = f32::from(place) / f32::from(rate);
            let swell = 0.5 - 0.5 * (turn * 4.0 * at).cos();
            let voice: f32 = (1_u8..=8)
                .map(|tone| (turn * 140.0 * f32::from(tone) * at).sin() / f32::from(tone))
                .sum();
            0.1 * swell * voice
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_slower_than_speech_carries_nobody_however_many_workers_there_are() {
        let workers = NonZeroUsize::new(7).expect("some");
        let speakers = |factor| Measured { factor }.speakers(workers);
        assert_eq!([0.5, 1.0, 1.2, 3.0].map(speakers), [14, 7, 0, 0]);
    }
}
