//! Reads what servers answer to a transcription, leniently: whisper.cpp, speaches, vLLM and OpenAI
//! differ in which members there are, where words are, and what is a number.

use serde_json::Value;

use super::SpeechError;
use super::primary_subtag;
use crate::domain::json::mended;

/// Longest text of a piece, in bytes. Nobody says this in eight seconds.
pub(super) const TEXT_BYTES_MAX: usize = 2_000;
/// Segments and words of an answer that are looked at.
const PARTS_MAX: usize = 1_000;
/// A segment is an invention if the server takes it for silence with more than this probability,
/// and its average log-probability is below the other.
const NO_SPEECH_MAX: f64 = 0.6;
const LOG_PROBABILITY_MIN: f64 = -1.0;
/// The names that whisper.cpp has for the languages most used with it.
const LANGUAGE_NAMES: &[(&str, &str)] = &[
    ("arabic", "ar"),
    ("catalan", "ca"),
    ("chinese", "zh"),
    ("dutch", "nl"),
    ("english", "en"),
    ("french", "fr"),
    ("galician", "gl"),
    ("german", "de"),
    ("italian", "it"),
    ("japanese", "ja"),
    ("portuguese", "pt"),
    ("russian", "ru"),
    ("spanish", "es"),
];

/// What an answer says.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    /// The text; empty for silence.
    pub(super) text: String,
    /// From 0 to 1; 0 when the server says nothing of it.
    pub(super) confidence: f32,
    /// Subtag of the language, if it is said.
    pub(super) language: Option<String>,
}

/// Reads an answer.
pub(super) fn read(body: &[u8]) -> Result<Answer, SpeechError> {
    let failed = |what: &str| SpeechError::Failed(what.to_owned());
    let answer: Value =
        serde_json::from_str(&mended(body)).map_err(|_| failed("the answer is not JSON"))?;
    let segments: Vec<&Value> =
        answer["segments"].as_array().into_iter().flatten().take(PARTS_MAX).collect();
    let invented = segments.iter().filter(|segment| is_invented(segment)).count();
    let text = if invented > 0 {
        let kept = segments.iter().filter(|segment| !is_invented(segment));
        kept.filter_map(|segment| segment["text"].as_str()).collect::<String>()
    } else {
        answer["text"].as_str().ok_or_else(|| failed("the answer has no text"))?.to_owned()
    };
    let text = text.trim().to_owned();
    if text.len() > TEXT_BYTES_MAX {
        return Err(failed("the text is longer than anybody speaks"));
    }
    let language = answer["language"].as_str().and_then(subtag_of);
    Ok(Answer { text, confidence: confidence(&answer, &segments), language })
}

fn is_invented(segment: &Value) -> bool {
    number(&segment["no_speech_prob"]).is_some_and(|silent| silent > NO_SPEECH_MAX)
        && number(&segment["avg_logprob"]).is_some_and(|sure| sure < LOG_PROBABILITY_MIN)
}

/// The mean probability of words, else of tokens, else of segments.
#[expect(clippy::cast_possible_truncation, reason = "it is between 0 and 1")]
fn confidence(answer: &Value, segments: &[&Value]) -> f32 {
    let list = |value: &'_ Value| value.as_array().cloned().unwrap_or_default();
    let words: Vec<Value> = segments
        .iter()
        .flat_map(|segment| list(&segment["words"]))
        .chain(list(&answer["words"]))
        .take(PARTS_MAX)
        .collect();
    let words = mean(words.iter().filter_map(|word| number(&word["probability"])));
    let tokens = || {
        let tokens = list(&answer["logprobs"]);
        mean(tokens.iter().filter_map(|token| number(&token["logprob"])).map(f64::exp))
    };
    let whole = || {
        mean(segments.iter().filter_map(|segment| number(&segment["avg_logprob"])).map(f64::exp))
    };
    words.or_else(tokens).or_else(whole).unwrap_or(0.0).clamp(0.0, 1.0) as f32
}

fn mean(numbers: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = numbers.fold((0.0, 0.0), |(sum, count), it| (sum + it, count + 1.0));
    (count > 0.0).then(|| sum / count)
}

/// A number, or the text of one.
fn number(value: &Value) -> Option<f64> {
    let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())?;
    number.is_finite().then_some(number)
}

/// The subtag of a language that a server names somehow.
pub(super) fn subtag_of(name: &str) -> Option<String> {
    let name = name.trim().to_lowercase();
    if let Some((_, subtag)) = LANGUAGE_NAMES.iter().find(|(known, _)| *known == name) {
        return Some((*subtag).to_owned());
    }
    let subtag = primary_subtag(&name);
    let is_subtag =
        (2..=3).contains(&subtag.len()) && subtag.bytes().all(|byte| byte.is_ascii_lowercase());
    is_subtag.then_some(subtag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(body: &str) -> (String, f32, Option<String>) {
        let Answer { text, confidence, language } = read(body.as_bytes()).expect("an answer");
        (text, (confidence * 100.0).round(), language)
    }

    #[test]
    fn answers_of_every_server_are_understood() {
        let whisper_cpp = r#"{"task":"transcribe","language":"spanish","duration":2.1,
            "text":" Pido la palabra.\n","segments":[{"id":0,"text":" Pido la palabra.",
            "words":[{"word":"Pido","probability":0.9},{"word":" la","probability":0.7}],
            "avg_logprob":-0.2,"no_speech_prob":0.0}],"detected_language_probability":0.99}"#;
        assert_eq!(text(whisper_cpp), ("Pido la palabra.".to_owned(), 80.0, Some("es".to_owned())));
        let speaches = r#"{"task":"transcribe","language":"es","duration":2.1,"words":null,
            "text":"Pido la palabra.","segments":[{"avg_logprob":-0.105,"no_speech_prob":0.1,
            "compression_ratio":1.1,"text":"Pido la palabra."}]}"#;
        assert_eq!(text(speaches), ("Pido la palabra.".to_owned(), 90.0, Some("es".to_owned())));
        let vllm = r#"{"duration":"2.1","language":"es","text":"Pido la palabra.",
            "segments":[{"avg_logprob":"-0.105","no_speech_prob":null,"text":"x"}]}"#;
        assert_eq!(text(vllm), ("Pido la palabra.".to_owned(), 90.0, Some("es".to_owned())));
        let plain = r#"{"text":"Pido la palabra.","usage":{"type":"duration","seconds":3}}"#;
        assert_eq!(text(plain), ("Pido la palabra.".to_owned(), 0.0, None));
        let log_probabilities = r#"{"text":"sí","logprobs":[{"token":"s","logprob":-0.105}]}"#;
        assert_eq!(text(log_probabilities), ("sí".to_owned(), 90.0, None));
    }

    #[test]
    fn what_a_server_invents_in_silence_is_no_text() {
        let silence = r#"{"text":"Thank you.","segments":[{"text":"Thank you.",
            "no_speech_prob":0.9,"avg_logprob":-1.4}]}"#;
        assert_eq!(text(silence).0, "");
    }

    #[test]
    fn answers_that_make_no_sense_are_failures() {
        let long = format!(r#"{{"text":"{}"}}"#, "palabra ".repeat(400));
        for body in ["", "<html>", "[]", "{}", r#"{"text":7}"#, r#"{"error":"busy"}"#, &long] {
            assert!(read(body.as_bytes()).is_err(), "{body}");
        }
        let lies = r#"{"text":"sí","segments":"none","words":7,"language":{"es":1},
            "logprobs":[{"logprob":"NaN"},{"logprob":1e400}]}"#;
        assert!(read(lies.as_bytes()).is_err(), "a number that is none");
        let wrong = r#"{"text":"sí","segments":"none","words":7,"language":{"es":1},
            "logprobs":[{"logprob":"NaN"},{"logprob":9}]}"#;
        assert_eq!(text(wrong), ("sí".to_owned(), 100.0, None));
    }
}
