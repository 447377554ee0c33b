//! Judges text that engines made: models can fall into loops and repeat themselves, and can hear
//! another language.

use super::reading::Answer;
use super::{SpeechError, primary_subtag};

/// Times that the same words may follow each other. People say a word three times.
const REPEATS_MAX: usize = 3;
/// Words of the longest phrase whose repetition is looked for.
const PHRASE_WORDS_MAX: usize = 8;

/// Whether a phrase follows itself more often than people repeat themselves.
pub(super) fn loops(text: &str) -> bool {
    let words: Vec<String> = text
        .split_whitespace()
        .map(|word| word.trim_matches(|it: char| !it.is_alphanumeric()).to_lowercase())
        .filter(|word| !word.is_empty())
        .collect();
    (1..=PHRASE_WORDS_MAX).any(|length| {
        let mut same = 0;
        words.windows(length * 2).any(|pair| {
            let (one, other) = pair.split_at(length);
            same = if one == other { same + 1 } else { 0 };
            // Every step of a repetition is one word further.
            same > length * (REPEATS_MAX - 1)
        })
    })
}

/// Refuses text that repeats itself, as models make it.
pub(super) fn without_loops(answer: Answer) -> Result<Answer, SpeechError> {
    if loops(&answer.text) {
        return Err(SpeechError::Failed("the text repeats itself".to_owned()));
    }
    Ok(answer)
}

/// The tag that was asked for, unless the server heard another language.
pub(super) fn language_of(asked: Option<&str>, heard: Option<String>) -> String {
    match (asked, heard) {
        (Some(asked), Some(heard)) if primary_subtag(asked) != heard => heard,
        (Some(asked), _) => asked.to_owned(),
        (None, heard) => heard.unwrap_or_else(|| "und".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::loops;

    #[test]
    fn repetitions_of_a_model_are_told_from_those_of_people() {
        for text in [
            "",
            "no no no",
            "sí, sí, sí, señor presidente",
            "pido la palabra por favor",
            "point of order point of order point of order",
        ] {
            assert!(!loops(text), "{text}");
        }
        for text in [
            "no no no no no",
            "Gracias. Gracias. Gracias. Gracias. Gracias.",
            "bueno point of order point of order point of order point of order",
            "la la la la la la la la la la",
        ] {
            assert!(loops(text), "{text}");
        }
    }
}
