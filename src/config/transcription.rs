//! The section about making text of what is said.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::providers::{GoogleKeyFile, is_safe_url, read_url};
use super::reader::Reader;
use super::sections::is_http_url;
use crate::domain::id::TenantId;
use crate::domain::language::LanguageTag;
use crate::domain::secret::Secret;

/// Most workers: each needs a thread, and about 150 MB with whisper.
const WORKERS_MAX: u32 = 256;
/// Engines of other names that can be given. Each that is used needs threads of its own.
const ENGINES_MAX: usize = 64;
/// Longest name of an engine.
const NAME_LENGTH_MAX: usize = 40;
/// The name of whisper.cpp in this process.
pub const WHISPER: &str = "whisper";
/// The name of no engine.
const NO_ENGINE: &str = "none";
/// The engine of the section with this name, and a kind of engines.
const OPENAI: &str = "openai";
/// The other kind: Google Speech-to-Text.
const GOOGLE: &str = "google";
/// Google's location that is everywhere.
const GLOBAL: &str = "global";
/// Google's locations in which one of several languages is recognised.
const SEVERAL_LANGUAGES: [&str; 3] = [GLOBAL, "us", "eu"];
/// Longest name of a project, a location or a recogniser of Google's.
const GOOGLE_NAME_LENGTH_MAX: usize = 63;
/// Most languages of an engine: whisper's models have 100. Every client is told them.
const LANGUAGES_MAX: usize = 128;

/// A remote engine.
#[derive(Debug, Clone)]
pub struct RemoteSpeechConfig {
    /// Where it is.
    pub service: SpeechServiceConfig,
    /// Whether whisper is asked for what it fails at, when there is a model.
    pub fallback: bool,
}

/// Where a remote engine is.
#[derive(Debug, Clone)]
pub enum SpeechServiceConfig {
    /// A server with OpenAI's interface.
    OpenAi {
        /// Base URL.
        url: String,
        /// The model's name there.
        model: String,
        /// The key of the account, if it wants one.
        key: Option<Secret<String>>,
        /// Languages that the model knows.
        languages: Vec<LanguageTag>,
    },
    /// Google Speech-to-Text.
    Google(GoogleSpeechConfig),
}

/// Google Speech-to-Text.
#[derive(Debug, Clone)]
pub struct GoogleSpeechConfig {
    /// Base URL.
    pub url: String,
    /// `projects/P/locations/L/recognizers/R`.
    pub recognizer: String,
    /// The model's name.
    pub model: String,
    /// Languages with their regions.
    pub languages: Vec<LanguageTag>,
    /// Whether it can be asked which of several languages is spoken.
    pub recognises_language: bool,
    /// The key file of the service account.
    pub key: GoogleKeyFile,
    /// Where tokens are given.
    pub token_url: String,
}

/// The options of transcription.
#[derive(Debug, Clone)]
pub struct TranscriptionConfig {
    /// The name of the engine of tenants for which none is named: [`WHISPER`], `none`, or
    /// one of the remote ones.
    pub engine: String,
    /// The model file of whisper, which is also used when a remote engine fails.
    pub model: Option<PathBuf>,
    /// Pieces of speech recognised at the same time by each engine; decided at start when absent.
    pub workers: Option<u32>,
    /// Whether words are shown while whoever has the floor speaks, before their text is final.
    pub so_far: bool,
    /// The remote engines, by name.
    pub remotes: BTreeMap<String, RemoteSpeechConfig>,
    /// The names of the engines of single tenants.
    pub tenants: BTreeMap<TenantId, String>,
    /// Tenants of whose eligible lists engines are told the names.
    pub eligible_names: BTreeSet<TenantId>,
}

impl TranscriptionConfig {
    /// The names of the engines that somebody has, each once.
    pub fn used(&self) -> impl Iterator<Item = &str> {
        let names = self.tenants.values().chain([&self.engine]).map(String::as_str);
        let names: BTreeSet<&str> = names.collect();
        names.into_iter().filter(|name| *name != NO_ENGINE)
    }
}

pub(super) fn read(reader: &mut Reader) -> TranscriptionConfig {
    let model = reader.text("transcription.model").map(PathBuf::from);
    let name = reader.text("transcription.engine");
    let workers = reader.number_u32("transcription.workers", 0, 0..=WORKERS_MAX);
    let so_far = reader.parsed("transcription.so_far", "true or false").unwrap_or(true);
    let eligible_names: Vec<TenantId> =
        reader.list("transcription.eligible_names", "UUIDs of tenants");
    let remotes = read_remotes(reader);
    let engine = name.unwrap_or_else(|| {
        let first = if model.is_some() {
            WHISPER
        } else if remotes.contains_key(OPENAI) {
            OPENAI
        } else {
            NO_ENGINE
        };
        first.to_owned()
    });
    let mut config = TranscriptionConfig {
        engine: NO_ENGINE.to_owned(),
        model,
        workers: (workers > 0).then_some(workers),
        so_far,
        remotes,
        tenants: BTreeMap::new(),
        eligible_names: eligible_names.into_iter().collect(),
    };
    check_engine(reader, &config, "transcription.engine", &engine);
    config.engine = engine;
    for tenant in reader.names_below("transcription.tenants") {
        let key = format!("transcription.tenants.{tenant}");
        let Some(engine) = reader.text(&key) else { continue };
        check_engine(reader, &config, &key, &engine);
        match tenant.parse() {
            Ok(tenant) => drop(config.tenants.insert(tenant, engine)),
            Err(_) => reader.problem(&key, "expected the UUID of a tenant"),
        }
    }
    config
}

/// Whether an engine that is named can be used.
fn check_engine(reader: &mut Reader, config: &TranscriptionConfig, key: &str, name: &str) {
    match name {
        WHISPER if config.model.is_none() => {
            reader.problem("transcription.model", "must be given for the engine whisper");
        }
        NO_ENGINE | WHISPER => {}
        _ if config.remotes.contains_key(name) => {}
        OPENAI => {
            reader.problem("transcription.openai.url", "must be given for the engine openai");
        }
        _ => {
            let expected = "expected whisper, openai, none or a name in transcription.engines";
            reader.problem(key, expected);
        }
    }
}

fn read_remotes(reader: &mut Reader) -> BTreeMap<String, RemoteSpeechConfig> {
    let mut remotes = BTreeMap::new();
    let own = read_openai(reader, "transcription.openai");
    remotes.extend(own.map(|own| (OPENAI.to_owned(), own)));
    for name in reader.names_below("transcription.engines") {
        let prefix = format!("transcription.engines.{name}");
        let is_plain = name.len() <= NAME_LENGTH_MAX
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        if [WHISPER, OPENAI, NO_ENGINE].contains(&name.as_str()) || !is_plain {
            let expected = "expected another name, of at most 40 letters, digits, - and _";
            reader.problem(&prefix, expected);
        }
        let kind = reader.text(&format!("{prefix}.kind"));
        let (remote, needed) = match kind.as_deref() {
            None | Some(OPENAI) => (read_openai(reader, &prefix), "url"),
            Some(GOOGLE) => (read_google(reader, &prefix), "project"),
            Some(_) => {
                reader.problem(&format!("{prefix}.kind"), "expected openai or google");
                continue;
            }
        };
        match remote {
            Some(remote) => drop(remotes.insert(name, remote)),
            None if reader.has_problem(&prefix) => {}
            None => reader.problem(&format!("{prefix}.{needed}"), "must be given"),
        }
    }
    if remotes.len() > ENGINES_MAX {
        reader.problem("transcription.engines", format_args!("expected at most {ENGINES_MAX}"));
    }
    remotes
}

/// A server with OpenAI's interface; `None` without an address.
fn read_openai(reader: &mut Reader, prefix: &str) -> Option<RemoteSpeechConfig> {
    let url = reader.text(&format!("{prefix}.url"));
    let model = reader.text(&format!("{prefix}.model"));
    let key = reader.secret(&format!("{prefix}.key"));
    let languages = read_languages(reader, &format!("{prefix}.languages"), &["es", "en", "pt"]);
    let fallback = reader.parsed(&format!("{prefix}.fallback"), "true or false");
    let url = url?;
    if !is_http_url(&url) || url.contains('@') {
        let expected = "expected an http or https URL without credentials";
        reader.problem(&format!("{prefix}.url"), expected);
    }
    let model = model.unwrap_or_else(|| "whisper-1".to_owned());
    let service = SpeechServiceConfig::OpenAi { url, model, key, languages };
    Some(RemoteSpeechConfig { service, fallback: fallback.unwrap_or(true) })
}

/// Google Speech-to-Text; `None` without a project.
fn read_google(reader: &mut Reader, prefix: &str) -> Option<RemoteSpeechConfig> {
    let key_of = |member: &str| format!("{prefix}.{member}");
    let project = reader.text(&key_of("project"));
    let location = reader.text(&key_of("location")).unwrap_or_else(|| GLOBAL.to_owned());
    let recognizer = reader.text(&key_of("recognizer")).unwrap_or_else(|| "_".to_owned());
    let model = reader.text(&key_of("model"));
    let languages = read_languages(reader, &key_of("languages"), &["es-ES", "en-US", "pt-BR"]);
    let credentials = reader.secret(&key_of("credentials"));
    let url = read_url(reader, &key_of("url"));
    let token_url = read_url(reader, &key_of("token_url"));
    let fallback = reader.parsed(&key_of("fallback"), "true or false");
    let project = project?;
    for (member, value) in
        [("project", &project), ("location", &location), ("recognizer", &recognizer)]
    {
        // An older project has the domain of its owner before its name.
        let is_plain = value.bytes().all(|it| it.is_ascii_alphanumeric() || b"-_:.".contains(&it));
        if !is_plain || value.len() > GOOGLE_NAME_LENGTH_MAX {
            reader.problem(&key_of(member), "expected at most 63 letters, digits, - _ : and .");
        }
    }
    let key = credentials.and_then(|text| GoogleKeyFile::read(&text));
    let credentials = key_of("credentials");
    if key.is_none() && !reader.has_problem(&credentials) {
        reader.problem(&credentials, "expected the JSON key file of a service account");
    }
    let key = key?;
    if token_url.is_none() && !is_safe_url(&key.token_uri) {
        reader.problem(&credentials, "its token_uri is not an https URL");
    }
    let host = if location == GLOBAL { String::new() } else { format!("{location}-") };
    let service = SpeechServiceConfig::Google(GoogleSpeechConfig {
        url: url.unwrap_or_else(|| format!("https://{host}speech.googleapis.com")),
        recognizer: format!("projects/{project}/locations/{location}/recognizers/{recognizer}"),
        model: model.unwrap_or_else(|| "long".to_owned()),
        languages,
        recognises_language: SEVERAL_LANGUAGES.contains(&location.as_str()),
        token_url: token_url.unwrap_or_else(|| key.token_uri.clone()),
        key,
    });
    Some(RemoteSpeechConfig { service, fallback: fallback.unwrap_or(true) })
}

/// Languages of an engine; the usual ones when none are given.
fn read_languages(reader: &mut Reader, key: &str, usual: &[&str]) -> Vec<LanguageTag> {
    let given: Vec<LanguageTag> = reader.list(key, "BCP 47 language tags");
    if given.len() > LANGUAGES_MAX {
        reader.problem(key, format_args!("expected at most {LANGUAGES_MAX}"));
    }
    if given.is_empty() { usual.iter().filter_map(|tag| tag.parse().ok()).collect() } else { given }
}
