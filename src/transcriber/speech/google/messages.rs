//! The messages of `google.cloud.speech.v2` that are sent and read, with the fields that are used.

use prost::{Message, Oneof};

/// `LINEAR16`: samples of 16 bits, the low byte first.
pub(super) const LINEAR16: i32 = 1;

#[derive(Clone, PartialEq, Message)]
pub(super) struct StreamingRecognizeRequest {
    #[prost(string, tag = "3")]
    pub(super) recognizer: String,
    #[prost(oneof = "Sent", tags = "5, 6")]
    pub(super) sent: Option<Sent>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum Sent {
    #[prost(bytes, tag = "5")]
    Audio(Vec<u8>),
    #[prost(message, tag = "6")]
    Config(StreamingRecognitionConfig),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct StreamingRecognitionConfig {
    #[prost(message, optional, tag = "1")]
    pub(super) config: Option<RecognitionConfig>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct RecognitionConfig {
    #[prost(message, optional, tag = "2")]
    pub(super) features: Option<RecognitionFeatures>,
    #[prost(message, optional, tag = "6")]
    pub(super) adaptation: Option<SpeechAdaptation>,
    #[prost(message, optional, tag = "8")]
    pub(super) explicit_decoding_config: Option<ExplicitDecodingConfig>,
    #[prost(string, tag = "9")]
    pub(super) model: String,
    #[prost(string, repeated, tag = "10")]
    pub(super) language_codes: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct RecognitionFeatures {
    #[prost(bool, tag = "3")]
    pub(super) enable_word_confidence: bool,
    #[prost(bool, tag = "4")]
    pub(super) enable_automatic_punctuation: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ExplicitDecodingConfig {
    #[prost(int32, tag = "1")]
    pub(super) encoding: i32,
    #[prost(int32, tag = "2")]
    pub(super) sample_rate_hertz: i32,
    #[prost(int32, tag = "3")]
    pub(super) audio_channel_count: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SpeechAdaptation {
    #[prost(message, repeated, tag = "1")]
    pub(super) phrase_sets: Vec<AdaptationPhraseSet>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AdaptationPhraseSet {
    #[prost(message, optional, tag = "2")]
    pub(super) inline_phrase_set: Option<PhraseSet>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct PhraseSet {
    #[prost(message, repeated, tag = "3")]
    pub(super) phrases: Vec<Phrase>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Phrase {
    #[prost(string, tag = "1")]
    pub(super) value: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct StreamingRecognizeResponse {
    #[prost(message, repeated, tag = "6")]
    pub(super) results: Vec<StreamingRecognitionResult>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct StreamingRecognitionResult {
    #[prost(message, repeated, tag = "1")]
    pub(super) alternatives: Vec<SpeechRecognitionAlternative>,
    #[prost(bool, tag = "2")]
    pub(super) is_final: bool,
    #[prost(string, tag = "6")]
    pub(super) language_code: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SpeechRecognitionAlternative {
    #[prost(string, tag = "1")]
    pub(super) transcript: String,
    /// 0 when it is not said.
    #[prost(float, tag = "2")]
    pub(super) confidence: f32,
    #[prost(message, repeated, tag = "3")]
    pub(super) words: Vec<WordInfo>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct WordInfo {
    /// 0 when it is not said.
    #[prost(float, tag = "4")]
    pub(super) confidence: f32,
}
