//! The section about making text of what is said.

use std::path::PathBuf;

use super::reader::Reader;
use super::sections::is_http_url;
use crate::domain::secret::Secret;

/// Most workers: each needs a thread, and about 150 MB with whisper.
const WORKERS_MAX: u32 = 256;

/// Which engine recognises speech first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineConfig {
    /// whisper.cpp in this process.
    Whisper,
    /// A server with OpenAI's interface.
    OpenAi,
    /// None: nothing is transcribed.
    None,
}

/// A server with OpenAI's interface.
#[derive(Debug, Clone)]
pub struct RemoteSpeechConfig {
    /// Base URL.
    pub url: String,
    /// The model's name there.
    pub model: String,
    /// The key of the account, if it wants one.
    pub key: Option<Secret<String>>,
}

/// The options of transcription.
#[derive(Debug, Clone)]
pub struct TranscriptionConfig {
    /// The engine.
    pub engine: EngineConfig,
    /// The model file of whisper, which is also used when a remote engine fails.
    pub model: Option<PathBuf>,
    /// Pieces of speech recognised at the same time; decided at start when absent.
    pub workers: Option<u32>,
    /// Whether words are shown while whoever has the floor speaks, before their text is final.
    pub so_far: bool,
    /// The remote engine.
    pub remote: Option<RemoteSpeechConfig>,
}

pub(super) fn read(reader: &mut Reader) -> TranscriptionConfig {
    let model = reader.text("transcription.model").map(PathBuf::from);
    let name = reader.text("transcription.engine");
    let workers = reader.number_u32("transcription.workers", 0, 0..=WORKERS_MAX);
    let remote = read_remote(reader);
    let engine = match name.as_deref() {
        Some("whisper") => EngineConfig::Whisper,
        Some("openai") => EngineConfig::OpenAi,
        Some("none") => EngineConfig::None,
        Some(_) => {
            reader.problem("transcription.engine", "expected whisper, openai or none");
            EngineConfig::None
        }
        None if model.is_some() => EngineConfig::Whisper,
        None if remote.is_some() => EngineConfig::OpenAi,
        None => EngineConfig::None,
    };
    if engine == EngineConfig::Whisper && model.is_none() {
        reader.problem("transcription.model", "must be given for the engine whisper");
    }
    if engine == EngineConfig::OpenAi && remote.is_none() {
        reader.problem("transcription.openai.url", "must be given for the engine openai");
    }
    let so_far = reader.parsed("transcription.so_far", "true or false").unwrap_or(true);
    let workers = (workers > 0).then_some(workers);
    TranscriptionConfig { engine, model, workers, so_far, remote }
}

fn read_remote(reader: &mut Reader) -> Option<RemoteSpeechConfig> {
    let url = reader.text("transcription.openai.url");
    let model = reader.text("transcription.openai.model");
    let key = reader.secret("transcription.openai.key");
    let url = url?;
    if !is_http_url(&url) || url.contains('@') {
        let expected = "expected an http or https URL without credentials";
        reader.problem("transcription.openai.url", expected);
    }
    Some(RemoteSpeechConfig { url, model: model.unwrap_or_else(|| "whisper-1".to_owned()), key })
}
