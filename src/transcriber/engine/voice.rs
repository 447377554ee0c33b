//! Finds speech in sound, and cuts it into pieces: at pauses, and where there is none, at the
//! quietest place.

use std::collections::VecDeque;

use earshot::Detector;

/// Samples a second of everything behind the decoder.
pub const SAMPLE_RATE_HZ: u32 = 16_000;
/// Samples that the detector judges at once: 16 ms.
const FRAME: usize = 256;
/// Samples in a millisecond.
const PER_MS: usize = 16;
/// From this score on there is speech.
const SCORE_ON: f32 = 0.5;
/// Below this score it pauses.
const SCORE_OFF: f32 = 0.35;
/// Sound before the first speech that belongs to it: 300 ms. Beginnings of words are quiet.
const BEFORE: usize = 300 * PER_MS;
/// Sound behind the last speech that is kept: 200 ms.
const BEHIND: usize = 200 * PER_MS;
/// The pause that ends a piece: 480 ms. Raising it joins more of a sentence, and makes every text
/// later by the difference.
const PAUSE: usize = 480 * PER_MS;
/// The least speech in a piece: 250 ms. What is shorter is a cough or a click.
const SPEECH_MIN: usize = 250 * PER_MS;
/// The least speech in what follows a cut: half a syllable of a word that was cut.
const REST_MIN: usize = 60 * PER_MS;
/// The longest piece: 8 seconds. Raising it makes the text of those who do not pause later, and
/// every piece of work larger.
pub const PIECE_SAMPLES_MAX: usize = 8_000 * PER_MS;
/// Where a piece that is too long is cut: at the quietest 100 ms of its last 1.5 s.
const CUT_WITHIN: usize = 1_500 * PER_MS;
const CUT_WINDOW: usize = 100 * PER_MS;
/// How far apart the windows begin that are compared.
const CUT_STEP: usize = 10 * PER_MS;

/// A piece of speech with its sound.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Spoken {
    pub(super) samples: Vec<f32>,
    pub(super) from_us: u64,
    pub(super) to_us: u64,
}

/// Speech that has not ended.
struct Speech {
    samples: Vec<f32>,
    /// When its first sample was said.
    start_us: u64,
    /// Where the speech begins.
    onset: usize,
    /// Where it ends, as far as it is known.
    end: usize,
    /// Samples of it that are speech.
    spoken: usize,
    /// Whether it pauses.
    pauses: bool,
    /// Whether it follows a cut.
    is_rest: bool,
}

/// Finds the speech of one track.
pub(super) struct Voice {
    detector: Box<Detector>,
    /// Samples that do not make a frame yet.
    rest: Vec<f32>,
    /// The latest sound without speech.
    before: VecDeque<f32>,
    speech: Option<Speech>,
    spoken: VecDeque<Spoken>,
    /// Whether anything was heard since it was reset.
    is_fresh: bool,
}

impl Voice {
    pub(super) fn new() -> Self {
        Self {
            detector: Detector::default_boxed(),
            rest: Vec::with_capacity(FRAME),
            before: VecDeque::new(),
            speech: None,
            spoken: VecDeque::new(),
            is_fresh: true,
        }
    }

    /// Takes sound whose first sample was said at `start_us`. It follows what was taken before.
    pub(super) fn take(&mut self, samples: &[f32], start_us: u64) {
        self.is_fresh = false;
        let mut frame_us = start_us.saturating_sub(us_of(self.rest.len()));
        let mut samples = samples;
        loop {
            let missing = FRAME - self.rest.len();
            let Some((now, later)) = samples.split_at_checked(missing) else { break };
            let mut frame = std::mem::take(&mut self.rest);
            frame.extend_from_slice(now);
            self.frame(&frame, frame_us);
            frame.clear();
            self.rest = frame;
            samples = later;
            frame_us += us_of(FRAME);
        }
        self.rest.extend_from_slice(samples);
    }

    /// Takes silence. What is said afterwards does not follow it closely, when it is long.
    pub(super) fn take_silence(&mut self, samples: usize, start_us: u64) {
        // More than this changes nothing: every piece has ended, and no sound before speech is
        // left.
        let fed = samples.min(PAUSE + BEFORE);
        self.take(&vec![0.0; fed], start_us);
        if fed < samples {
            self.end();
        }
    }

    /// Ends the piece, whether it pauses or not, and forgets the sound.
    pub(super) fn end(&mut self) {
        if let Some(speech) = self.speech.take() {
            self.give(speech);
        }
        if !self.is_fresh {
            self.detector.reset();
            self.rest.clear();
            self.before.clear();
            self.is_fresh = true;
        }
    }

    /// The next piece.
    pub(super) fn poll(&mut self) -> Option<Spoken> {
        self.spoken.pop_front()
    }

    /// Samples of the piece that somebody is at, from its first speech to the latest. `None` while
    /// there is none, and in a pause, which may end it.
    pub(super) fn growing(&self) -> Option<usize> {
        let speech = self.speech.as_ref().filter(|speech| !speech.pauses)?;
        speech.end.checked_sub(speech.onset)
    }

    /// The sound of the piece that somebody is at that will belong to it however it ends, and when
    /// its first speech was. `None` while there is too little speech for one.
    pub(super) fn certain(&self) -> Option<(&[f32], u64)> {
        let speech = self.speech.as_ref()?;
        let least = if speech.is_rest { REST_MIN } else { SPEECH_MIN };
        if speech.spoken < least {
            return None;
        }
        // Behind this a piece that is too long may be cut.
        let certain = speech.samples.len().min(PIECE_SAMPLES_MAX - CUT_WITHIN);
        let samples = speech.samples.get(..certain)?;
        Some((samples, speech.start_us + us_of(speech.onset)))
    }

    /// What was said so far of the piece that somebody is at.
    pub(super) fn so_far(&self) -> Option<Spoken> {
        let speech = self.speech.as_ref()?;
        Some(Spoken {
            from_us: speech.start_us + us_of(speech.onset),
            to_us: speech.start_us + us_of(speech.end),
            samples: speech.samples.clone(),
        })
    }

    /// Whether somebody speaks.
    pub(super) const fn is_speaking(&self) -> bool {
        self.speech.is_some()
    }

    fn frame(&mut self, frame: &[f32], frame_us: u64) {
        // The detector takes sound that overshoots for an error.
        let mut bounded = [0.0; FRAME];
        for (into, sample) in bounded.iter_mut().zip(frame) {
            *into = if sample.is_finite() { sample.clamp(-1.0, 1.0) } else { 0.0 };
        }
        let score = self.detector.predict_f32(&bounded);
        match &mut self.speech {
            None if score >= SCORE_ON => {
                let mut samples = Vec::with_capacity(2 * BEFORE);
                samples.extend(self.before.drain(..));
                let onset = samples.len();
                samples.extend_from_slice(&bounded);
                self.speech = Some(Speech {
                    end: samples.len(),
                    samples,
                    start_us: frame_us.saturating_sub(us_of(onset)),
                    onset,
                    spoken: FRAME,
                    pauses: false,
                    is_rest: false,
                });
            }
            None => {
                self.before.extend(bounded);
                let surplus = self.before.len().saturating_sub(BEFORE);
                self.before.drain(..surplus);
            }
            Some(speech) => {
                speech.samples.extend_from_slice(&bounded);
                speech.pauses = score < if speech.pauses { SCORE_ON } else { SCORE_OFF };
                if !speech.pauses {
                    speech.end = speech.samples.len();
                    speech.spoken += FRAME;
                }
                if speech.samples.len() - speech.end >= PAUSE {
                    self.pause();
                } else if speech.samples.len() >= PIECE_SAMPLES_MAX {
                    self.cut();
                }
            }
        }
    }

    /// The pause is long enough: the piece is complete.
    fn pause(&mut self) {
        let Some(speech) = self.speech.take() else { return };
        let tail = speech.samples.len().saturating_sub(BEFORE);
        self.before.extend(speech.samples.get(tail..).unwrap_or_default());
        self.give(speech);
    }

    /// The piece is long enough: cuts it at the quietest place and goes on.
    fn cut(&mut self) {
        let Some(mut speech) = self.speech.take() else { return };
        let at = quietest(&speech.samples);
        let samples = speech.samples.split_off(at);
        let end = speech.end.saturating_sub(at);
        let rest = Speech {
            start_us: speech.start_us + us_of(at),
            onset: 0,
            end,
            spoken: end,
            pauses: speech.pauses,
            is_rest: true,
            samples,
        };
        speech.end = speech.end.min(at);
        self.give(speech);
        self.speech = Some(rest);
    }

    fn give(&mut self, mut speech: Speech) {
        let least = if speech.is_rest { REST_MIN } else { SPEECH_MIN };
        if speech.spoken < least || speech.end <= speech.onset {
            return;
        }
        speech.samples.truncate(speech.end + BEHIND);
        self.spoken.push_back(Spoken {
            from_us: speech.start_us + us_of(speech.onset),
            to_us: speech.start_us + us_of(speech.end),
            samples: speech.samples,
        });
    }
}

/// The middle of the quietest window near the end.
fn quietest(samples: &[f32]) -> usize {
    let from = samples.len().saturating_sub(CUT_WITHIN);
    let near = samples.get(from..).unwrap_or_default();
    let power = |window: &[f32]| window.iter().map(|sample| sample * sample).sum::<f32>();
    let windows = near.windows(CUT_WINDOW).step_by(CUT_STEP).map(power).enumerate();
    let quietest = windows.min_by(|(_, one), (_, other)| one.total_cmp(other));
    let at = quietest.map_or(0, |(place, _)| place * CUT_STEP + CUT_WINDOW / 2);
    from + at
}

/// How long this many samples last, in microseconds.
pub(super) const fn us_of(samples: usize) -> u64 {
    samples as u64 * 1_000 / PER_MS as u64
}
