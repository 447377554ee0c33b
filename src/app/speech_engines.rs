//! The engines that recognise speech, as the configuration names them: each with its workers, and
//! the one of each tenant.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;

use super::meetings::options_of;
use crate::clock::Clock;
use crate::config::{
    Config, GoogleSpeechConfig, RemoteSpeechConfig, SpeechServiceConfig, TranscriptionConfig,
    WHISPER,
};
use crate::domain::id::TenantId;
use crate::services::GoogleAccountOptions;
use crate::transcriber::speech::SpeechEngine;
use crate::transcriber::speech::fallback::Fallback;
use crate::transcriber::speech::google::{GOOGLE_SCOPE, GoogleOptions, GoogleSpeech};
use crate::transcriber::speech::openai::{OpenAi, OpenAiOptions, TIMEOUT};
use crate::transcriber::speech::shared::Shared;
use crate::transcriber::workers_by_default;

/// Workers for a remote engine, which wait most of the time.
const REMOTE_WORKERS: NonZeroUsize = match NonZeroUsize::new(8) {
    Some(workers) => workers,
    None => NonZeroUsize::MIN,
};

/// An engine that the configuration names.
pub(crate) struct FoundEngine {
    /// Its name in the configuration.
    pub(crate) name: String,
    /// The engine; `None` when it can't be used.
    pub(crate) engine: Option<Arc<dyn SpeechEngine>>,
    /// What it runs on.
    pub(crate) device: &'static str,
    /// Pieces of speech that it recognises at the same time.
    pub(crate) workers: NonZeroUsize,
    /// What of it can't be used, and why.
    pub(crate) problem: Option<String>,
}

/// Makes the engines that tenants have. It is to be called in a tokio runtime. Of the clocks the
/// first is that of taps, the second that of the machine.
///
/// # Errors
/// A remote engine whose options are not valid.
pub(crate) fn engines_of(
    config: &Config,
    clocks: (&Clock, &Clock),
) -> anyhow::Result<Vec<FoundEngine>> {
    let config = &config.transcription;
    let names: Vec<&str> = config.used().collect();
    let needs_local = |name: &str| {
        name == WHISPER || config.remotes.get(name).is_some_and(|remote| remote.fallback)
    };
    let model = config.model.as_deref().filter(|_| names.iter().any(|name| needs_local(name)));
    let (local, problem) = match model.map(local_of) {
        None => (None, None),
        Some(Ok(engine)) => (Some(engine), None),
        Some(Err(problem)) => (None, Some(problem)),
    };
    // Those whose engine is whisper wait for nobody whose remote engine fails.
    let fallback = local.clone().map(|engine| shared_of(engine, config));
    names
        .into_iter()
        .map(|name| match config.remotes.get(name) {
            Some(remote) => {
                let key = || format!("transcription: the engine {name}");
                let engine = remote_of(remote, clocks).with_context(key)?;
                let (engine, problem) = match (remote.fallback, &fallback) {
                    (true, Some(local)) => {
                        let both: Arc<dyn SpeechEngine> =
                            Arc::new(Fallback::new(engine, Arc::clone(local)));
                        (both, None)
                    }
                    (true, None) => (engine, problem.clone()),
                    (false, _) => (engine, None),
                };
                let workers = workers_of(config, REMOTE_WORKERS);
                let (name, engine) = (name.to_owned(), Some(engine));
                Ok(FoundEngine { name, engine, device: "remote", workers, problem })
            }
            None => Ok(FoundEngine {
                name: name.to_owned(),
                engine: local.clone(),
                device: device(),
                workers: workers_of(config, workers_by_default()),
                problem: problem.clone(),
            }),
        })
        .collect()
}

fn workers_of(config: &TranscriptionConfig, usual: NonZeroUsize) -> NonZeroUsize {
    config.workers.and_then(|workers| NonZeroUsize::new(workers as usize)).unwrap_or(usual)
}

/// The local engine as what remote engines fall back to, with a limit for all of them.
fn shared_of(engine: Arc<dyn SpeechEngine>, config: &TranscriptionConfig) -> Arc<dyn SpeechEngine> {
    Arc::new(Shared::new(engine, workers_of(config, workers_by_default()).get()))
}

fn remote_of(
    config: &RemoteSpeechConfig,
    (clock, wall): (&Clock, &Clock),
) -> anyhow::Result<Arc<dyn SpeechEngine>> {
    let runtime = tokio::runtime::Handle::current();
    Ok(match &config.service {
        SpeechServiceConfig::OpenAi { url, model, key, languages } => {
            let (url, model, key) = (url.clone(), model.clone(), key.clone());
            let languages = languages.clone();
            let options = OpenAiOptions { url, model, key, languages, timeout: TIMEOUT };
            Arc::new(OpenAi::new(&options, clock.clone(), runtime)?)
        }
        SpeechServiceConfig::Google(google) => {
            Arc::new(GoogleSpeech::new(google_options(google), wall.clone(), runtime)?)
        }
    })
}

fn google_options(config: &GoogleSpeechConfig) -> GoogleOptions {
    let account = GoogleAccountOptions {
        token: options_of(&config.token_url),
        client_email: config.key.client_email.clone(),
        key_id: config.key.private_key_id.clone(),
        private_key: config.key.private_key(),
        audience: config.key.token_uri.clone(),
        subject: None,
        scope: GOOGLE_SCOPE,
    };
    GoogleOptions {
        url: config.url.clone(),
        recognizer: config.recognizer.clone(),
        model: config.model.clone(),
        languages: config.languages.clone(),
        recognises_language: config.recognises_language,
        account,
        timeout: TIMEOUT,
    }
}

#[cfg(feature = "whisper")]
fn local_of(model: &Path) -> Result<Arc<dyn SpeechEngine>, String> {
    use crate::transcriber::speech::whisper::Whisper;

    match Whisper::load(model) {
        Ok(whisper) => Ok(Arc::new(whisper)),
        Err(error) => Err(format!("the model {} can't be used: {error}", model.display())),
    }
}

#[cfg(not(feature = "whisper"))]
fn local_of(_model: &Path) -> Result<Arc<dyn SpeechEngine>, String> {
    Err("this program was built without whisper".to_owned())
}

#[cfg(feature = "whisper")]
const fn device() -> &'static str {
    crate::transcriber::speech::whisper::DEVICE
}

#[cfg(not(feature = "whisper"))]
const fn device() -> &'static str {
    "none"
}

/// One value for each engine, found by the name of the engine or by the tenant that has it.
#[derive(Clone)]
pub(super) struct OfTenants<T> {
    of_all: BTreeMap<String, T>,
    default: String,
    tenants: BTreeMap<TenantId, String>,
}

impl<T> OfTenants<T> {
    pub(super) fn new(config: &TranscriptionConfig, of_all: BTreeMap<String, T>) -> Self {
        Self { of_all, default: config.engine.clone(), tenants: config.tenants.clone() }
    }

    /// The value of a tenant's engine; `None` for a tenant without one, or whose engine can't be used.
    pub(super) fn of(&self, tenant: TenantId) -> Option<&T> {
        let name = self.tenants.get(&tenant).unwrap_or(&self.default);
        self.of_all.get(name)
    }

    /// What follows from each value.
    pub(super) fn map<U>(&self, of: impl Fn(&T) -> U) -> OfTenants<U> {
        OfTenants {
            of_all: self.of_all.iter().map(|(name, value)| (name.clone(), of(value))).collect(),
            default: self.default.clone(),
            tenants: self.tenants.clone(),
        }
    }

    /// The value of the engine with this name.
    pub(super) fn named(&self, name: &str) -> Option<&T> {
        self.of_all.get(name)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.of_all.is_empty()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &T> {
        self.of_all.values()
    }

    pub(super) fn into_all(self) -> impl Iterator<Item = T> {
        self.of_all.into_values()
    }
}
