//! Recognition by a server with OpenAI's `POST /v1/audio/transcriptions`: OpenAI itself,
//! whisper.cpp's server, speaches, vLLM and others. It is asked for everything first; a server that
//! does not know that is asked for less from then on.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::multipart::{Form, Part};

use super::reading::{self, Answer};
use super::text::{language_of, without_loops};
use super::wav::wav;
use super::{Heard, Recogniser, Speech, SpeechEngine, SpeechError, primary_subtag, remote};
use crate::clock::Clock;
use crate::domain::language::LanguageTag;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::services::{Admission, Breaker, BreakerState};

/// How long an answer may take, from connecting to the last byte. Raising it keeps a worker longer
/// on a server that hangs.
pub const TIMEOUT: Duration = Duration::from_secs(5);
/// Longest answer read, in bytes. That of eight seconds with every token is 20 KB.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// How long the server is not sent again what it refused, a language or words. Raising it makes a
/// server that was given another model be told them later.
const REFUSED_FOR: Duration = Duration::from_mins(10);
/// Languages that are remembered as refused. At the limit the one that was refused first is sent
/// again, which costs a few requests.
const REFUSED_MAX: usize = 64;
/// How a server says that it does not know a format: bad request, unsupported, unprocessable.
const NOT_KNOWN: [u16; 4] = [400, 404, 415, 422];

/// How the server is reached.
#[derive(Debug, Clone)]
pub struct OpenAiOptions {
    /// Base URL; `v1/audio/transcriptions` is below it.
    pub url: String,
    /// The model's name, as the server knows it.
    pub model: String,
    /// The key of the account, if the server wants one.
    pub key: Option<Secret<String>>,
    /// Languages that its model knows: a server does not tell them.
    pub languages: Vec<LanguageTag>,
    /// How long an answer may take.
    pub timeout: Duration,
}

/// Why no client can be made.
#[derive(Debug, thiserror::Error)]
pub enum OpenAiSetupError {
    /// The address is not an http or https URL.
    #[error("the address is not an http or https URL without credentials")]
    AddressInvalid,
    /// The key is not the value of a header.
    #[error("the key is not the value of a header")]
    KeyInvalid,
    /// The client can't be made.
    #[error("no HTTP client can be made")]
    Client(#[source] reqwest::Error),
}

/// What is asked for, most first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    /// Segments with their probabilities.
    Verbose,
    /// The text, and the probabilities of its tokens.
    Tokens,
    /// The text.
    Plain,
}

impl Dialect {
    const fn next(self) -> Option<Self> {
        match self {
            Self::Verbose => Some(Self::Tokens),
            Self::Tokens => Some(Self::Plain),
            Self::Plain => None,
        }
    }

    const fn of(number: u8) -> Self {
        match number {
            0 => Self::Verbose,
            1 => Self::Tokens,
            _ => Self::Plain,
        }
    }
}

/// What a server may refuse of a request that it could answer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Refused {
    /// A language, as it is named to it.
    Language(String),
    /// Words that are likely to be said.
    Words,
}

/// The server.
#[derive(Clone)]
pub struct OpenAi(Arc<Inner>);

struct Inner {
    client: reqwest::Client,
    address: Url,
    model: String,
    languages: Vec<LanguageTag>,
    authorization: Option<HeaderValue>,
    timeout: Duration,
    clock: Clock,
    runtime: tokio::runtime::Handle,
    breaker: Mutex<Breaker>,
    /// The dialect that it understood last.
    dialect: AtomicU8,
    /// What it refused of the last piece; it may have been busy.
    doubted: Mutex<Option<Refused>>,
    /// What it refused, and until when it is not sent that.
    refused: Mutex<BTreeMap<Refused, Timestamp>>,
}

impl OpenAi {
    /// A client, whose calls are carried out by `runtime`. A rustls provider must be installed
    /// for the process.
    ///
    /// # Errors
    /// [`OpenAiSetupError`].
    pub fn new(
        options: &OpenAiOptions,
        clock: Clock,
        runtime: tokio::runtime::Handle,
    ) -> Result<Self, OpenAiSetupError> {
        let invalid = || OpenAiSetupError::AddressInvalid;
        let mut address = remote::address(&options.url).ok_or_else(invalid)?;
        // The base that OpenAI's own clients are given ends in v1.
        let has_version = address.path().trim_end_matches('/').ends_with("/v1");
        let mut segments = address.path_segments_mut().map_err(|()| invalid())?;
        segments.pop_if_empty();
        segments.extend(if has_version { None } else { Some("v1") });
        segments.extend(["audio", "transcriptions"]);
        drop(segments);
        let authorization = options.key.as_ref().map(|key| {
            let value = Secret::new(format!("Bearer {}", key.expose()));
            let mut value =
                HeaderValue::from_str(value.expose()).map_err(|_| OpenAiSetupError::KeyInvalid)?;
            value.set_sensitive(true);
            Ok(value)
        });
        let client = remote::client(options.timeout).build().map_err(OpenAiSetupError::Client)?;
        Ok(Self(Arc::new(Inner {
            client,
            address,
            model: options.model.clone(),
            languages: options.languages.clone(),
            authorization: authorization.transpose()?,
            timeout: options.timeout,
            clock,
            runtime,
            breaker: Mutex::default(),
            dialect: AtomicU8::new(Dialect::Verbose as u8),
            doubted: Mutex::default(),
            refused: Mutex::default(),
        })))
    }
}

impl fmt::Debug for OpenAi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenAi").field("model", &self.0.model).finish_non_exhaustive()
    }
}

impl SpeechEngine for OpenAi {
    fn name(&self) -> String {
        format!("openai {}", self.0.model)
    }

    fn recogniser(&self) -> Result<Box<dyn Recogniser>, SpeechError> {
        Ok(Box::new(self.clone()))
    }

    fn languages(&self) -> Vec<LanguageTag> {
        self.0.languages.clone()
    }

    fn problem(&self) -> Option<String> {
        let is_well = self.0.breaker().state() == BreakerState::Closed;
        (!is_well).then(|| "the remote speech engine fails and is left alone".to_owned())
    }
}

impl Recogniser for OpenAi {
    fn recognise(&mut self, speech: Speech<'_>) -> Result<Heard, SpeechError> {
        let inner = &self.0;
        let permit = match inner.breaker().admit(inner.clock.now()) {
            Admission::Allowed(permit) => permit,
            Admission::Refused(_) => {
                return Err(SpeechError::Unavailable("it failed before".to_owned()));
            }
        };
        // All requests for a piece together have this time.
        let asked = async { tokio::time::timeout(inner.timeout, inner.ask(speech)).await };
        let answered = inner.runtime.block_on(asked).unwrap_or_else(|_| Err(too_slow()));
        inner.breaker().handle_outcome(permit, answered.is_ok(), inner.clock.now());
        // The server answered: what its model makes of one piece says nothing of its health.
        match answered.and_then(without_loops) {
            Ok(Answer { text, confidence, language }) => Ok(Heard {
                text,
                confidence,
                language: language_of(speech.language, language),
                engine: self.name(),
            }),
            Err(error) => {
                tracing::warn!(%error, "the remote speech engine failed");
                Err(error)
            }
        }
    }
}

fn too_slow() -> SpeechError {
    SpeechError::Failed("no answer in time".to_owned())
}

/// How one request ended.
enum Asked {
    Answered(Vec<u8>),
    /// The server does not know what was asked for.
    NotKnown(u16),
}

impl Inner {
    async fn ask(&self, speech: Speech<'_>) -> Result<Answer, SpeechError> {
        let file = wav(speech.samples);
        let known = Dialect::of(self.dialect.load(Ordering::Relaxed));
        let wanted = speech.language.map(primary_subtag);
        let mut language =
            wanted.filter(|language| !self.refuses(&Refused::Language(language.clone())));
        let mut words = speech.words.filter(|_| !self.refuses(&Refused::Words));
        let (mut dialect, mut refused) = (known, None);
        loop {
            match self.request(dialect, file.clone(), (language.as_deref(), words)).await? {
                Asked::Answered(body) => {
                    let answer = reading::read(&body)?;
                    self.dialect.store(dialect as u8, Ordering::Relaxed);
                    if self.is_refused_again(refused.as_ref()) {
                        self.remember_refused(refused);
                    }
                    return Ok(answer);
                }
                Asked::NotKnown(status) => {
                    if let Some(next) = dialect.next() {
                        dialect = next;
                    } else if words.take().is_some() {
                        // Not every model takes words.
                        (dialect, refused) = (known, Some(Refused::Words));
                    } else if let Some(language) = language.take() {
                        // It may be the language that it does not know: it recognises one itself.
                        (dialect, refused) = (known, Some(Refused::Language(language)));
                    } else {
                        return Err(SpeechError::Failed(format!("status {status}")));
                    }
                }
            }
        }
    }

    /// Whether the server refused this a while ago.
    fn refuses(&self, what: &Refused) -> bool {
        let now = self.clock.now();
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.retain(|_, until| now < *until);
        refused.contains_key(what)
    }

    /// Whether the server refused the same of the last piece too. It may have been starting when it
    /// refused something of one; the second in a row shows that it does not take that.
    fn is_refused_again(&self, what: Option<&Refused>) -> bool {
        let mut doubted = self.doubted.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *doubted, what.cloned());
        what.is_some() && before.as_ref() == what
    }

    /// The server answered only without this. What it refused before keeps its time.
    fn remember_refused(&self, what: Option<Refused>) {
        let Some(what) = what else { return };
        let until = self.clock.now().after(REFUSED_FOR);
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.len() >= REFUSED_MAX && !refused.contains_key(&what) {
            let first = refused.iter().min_by_key(|(_, until)| **until);
            let first = first.map(|(what, _)| what.clone());
            refused.retain(|what, _| Some(what) != first.as_ref());
        }
        refused.entry(what).or_insert(until);
    }

    async fn request(
        &self,
        dialect: Dialect,
        file: Vec<u8>,
        (language, words): (Option<&str>, Option<&str>),
    ) -> Result<Asked, SpeechError> {
        let unusable = |_| SpeechError::Failed("the request can't be made".to_owned());
        let part =
            Part::bytes(file).file_name("speech.wav").mime_str("audio/wav").map_err(unusable)?;
        let mut form = Form::new()
            .part("file", part)
            .text("model", self.model.clone())
            .text("temperature", "0");
        if let Some(language) = language {
            form = form.text("language", language.to_owned());
        }
        if let Some(words) = words {
            form = form.text("prompt", words.to_owned());
        }
        form = match dialect {
            Dialect::Verbose => form.text("response_format", "verbose_json"),
            Dialect::Tokens => form.text("response_format", "json").text("include[]", "logprobs"),
            Dialect::Plain => form.text("response_format", "json"),
        };
        let mut request = self.client.post(self.address.clone()).multipart(form);
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        let mut response = request.send().await.map_err(broken)?;
        let status = response.status().as_u16();
        if NOT_KNOWN.contains(&status) {
            return Ok(Asked::NotKnown(status));
        }
        if status != 200 {
            return Err(SpeechError::Failed(format!("status {status}")));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(broken)? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(SpeechError::Failed("the answer is too long".to_owned()));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Asked::Answered(body))
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A failure without the address that reqwest's own text has.
#[expect(clippy::needless_pass_by_value, reason = "it is given by `map_err`")]
fn broken(error: reqwest::Error) -> SpeechError {
    if error.is_timeout() {
        too_slow()
    } else if error.is_connect() {
        SpeechError::Unavailable("it can't be reached".to_owned())
    } else {
        SpeechError::Failed("the connection broke".to_owned())
    }
}
