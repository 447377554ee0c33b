//! What Google understood, from the messages of its answer.

use super::grpc::Fault;
use super::messages::{SpeechRecognitionAlternative, StreamingRecognizeResponse};
use crate::transcriber::speech::reading::{Answer, TEXT_BYTES_MAX, subtag_of};

/// What was understood so far.
#[derive(Default)]
pub(super) struct Understood {
    text: String,
    /// Sum and number of the confidences.
    confidences: (f32, f32),
    language: Option<String>,
}

impl Understood {
    /// Takes a message. Only final results count. It fails when they say more than anybody speaks.
    pub(super) fn take(&mut self, message: StreamingRecognizeResponse) -> Result<(), Fault> {
        for result in message.results.into_iter().filter(|result| result.is_final) {
            let Some(first) = result.alternatives.into_iter().next() else { continue };
            let text = first.transcript.trim();
            if self.text.len() + 1 + text.len() > TEXT_BYTES_MAX {
                return Err(Fault::TooLong);
            }
            if !self.text.is_empty() && !text.is_empty() {
                self.text.push(' ');
            }
            self.text.push_str(text);
            if let Some(confidence) = confidence_of(&first) {
                self.confidences.0 += confidence;
                self.confidences.1 += 1.0;
            }
            self.language = subtag_of(&result.language_code).or(self.language.take());
        }
        Ok(())
    }

    pub(super) fn answer(self) -> Answer {
        let (sum, count) = self.confidences;
        let confidence = if count > 0.0 { sum / count } else { 0.0 };
        Answer { text: self.text, confidence, language: self.language }
    }
}

/// That of the text, else the mean of its words; a confidence of 0 says nothing.
fn confidence_of(alternative: &SpeechRecognitionAlternative) -> Option<f32> {
    let is_said = |confidence: &f32| *confidence > 0.0 && *confidence <= 1.0;
    if is_said(&alternative.confidence) {
        return Some(alternative.confidence);
    }
    let words = alternative.words.iter().map(|word| word.confidence).filter(is_said);
    let (sum, count) = words.fold((0.0, 0.0), |(sum, count), it| (sum + it, count + 1.0));
    (count > 0.0).then(|| sum / count)
}

#[cfg(test)]
mod tests {
    use super::super::messages::{StreamingRecognitionResult, WordInfo};
    use super::*;

    fn said(text: &str, confidence: f32, words: &[f32]) -> StreamingRecognizeResponse {
        let words = words.iter().map(|it| WordInfo { confidence: *it }).collect();
        let first = SpeechRecognitionAlternative { transcript: text.to_owned(), confidence, words };
        let result = StreamingRecognitionResult {
            alternatives: vec![first],
            is_final: true,
            language_code: "es-PY".to_owned(),
        };
        StreamingRecognizeResponse { results: vec![result] }
    }

    #[test]
    fn final_results_are_joined_and_their_confidence_is_the_mean() {
        let mut understood = Understood::default();
        understood.take(said(" hay", 0.9, &[])).expect("short");
        understood.take(said("quórum ", 0.0, &[0.6, 0.8])).expect("short");
        understood.take(StreamingRecognizeResponse { results: Vec::new() }).expect("short");
        let Answer { text, confidence, language } = understood.answer();
        assert_eq!((text.as_str(), language.as_deref()), ("hay quórum", Some("es")));
        assert!((confidence - 0.8).abs() < 0.001, "{confidence}");
    }

    #[test]
    fn confidences_that_make_no_sense_are_none() {
        for lie in [0.0, -1.0, 7.0, f32::NAN, f32::INFINITY] {
            let mut understood = Understood::default();
            understood.take(said("sí", lie, &[lie])).expect("short");
            assert!(understood.answer().confidence.abs() < f32::EPSILON, "{lie}");
        }
    }

    #[test]
    fn more_than_anybody_says_is_refused() {
        let mut understood = Understood::default();
        let much = said(&"palabra ".repeat(100), 0.9, &[]);
        assert_eq!(understood.take(much.clone()), Ok(()));
        assert_eq!(understood.take(much.clone()), Ok(()));
        assert_eq!(understood.take(much), Err(Fault::TooLong));
    }
}
