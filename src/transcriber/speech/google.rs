//! Recognition by Google Speech-to-Text (`google.cloud.speech.v2`), by streams. A stream carries one
//! piece of speech, from when it begins to be said: Google takes sound as fast as it is spoken and
//! no faster, ends streams after five minutes, and ends those in which nothing comes for some
//! seconds. A piece lasts eight seconds at most, so none of this is met.

mod answer;
mod grpc;
mod messages;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use self::answer::Understood;
use self::grpc::Fault;
use self::messages::{
    AdaptationPhraseSet, ExplicitDecodingConfig, LINEAR16, Phrase, PhraseSet, RecognitionConfig,
    RecognitionFeatures, Sent, SpeechAdaptation, StreamingRecognitionConfig,
    StreamingRecognizeRequest,
};
use super::reading::Answer;
use super::text::{language_of, without_loops};
use super::wav::sixteen_bits;
use super::{Heard, Hearing, Recogniser, Speech, SpeechEngine, SpeechError, SpeechId, remote};
use crate::clock::Clock;
use crate::domain::language::LanguageTag;
use crate::domain::time::Timestamp;
use crate::services::{
    Admission, Breaker, BreakerState, GoogleAccount, GoogleAccountOptions, Permit,
    ServiceSetupError,
};
use crate::transcriber::engine::SAMPLE_RATE_HZ;

/// What the tokens of the service account are for.
pub const GOOGLE_SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// How often a connection in use is asked whether it is alive, and how long it may take to answer.
/// Raising them has more pieces fail on a connection that is gone.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(3);
/// The method that is called.
const METHOD: [&str; 2] = ["google.cloud.speech.v2.Speech", "StreamingRecognize"];
/// Samples of a message: 100 ms, 3,200 bytes, of the 15 KB that Google documents at the least.
const MESSAGE_SAMPLES: usize = SAMPLE_RATE_HZ as usize / 10;
/// Messages of a stream that wait to be sent: more than a piece has, so that none is ever refused.
/// With a connection that hangs they take 400 KB.
const MESSAGES_MAX: usize = 128;
/// Streams of what is still being said, at the same time. Beyond them a piece is sent once it is
/// complete. Google allows 300 for a project in a region.
const STREAMS_MAX: usize = 64;
/// How long a stream lasts at most: a piece of eight seconds that waits for two and is answered in
/// five, and some to spare. Google ends a stream after five minutes.
const STREAM_MAX: Duration = Duration::from_secs(20);
/// Terms of a glossary that are sent, and the longest one in characters. Google takes 1,200 of 100
/// characters in a set.
const PHRASES_MAX: usize = 100;
const PHRASE_CHARS_MAX: usize = 100;
/// Languages from which Google recognises one.
const LANGUAGES_MAX: usize = 3;
/// How long a model is not sent again what it refused, a glossary and the wish for the confidence
/// of words. Raising it makes a model that was set up anew be told them later.
const REFUSED_FOR: Duration = Duration::from_mins(10);

/// How Google is reached.
#[derive(Debug, Clone)]
pub struct GoogleOptions {
    /// Base URL.
    pub url: String,
    /// The recogniser: `projects/P/locations/L/recognizers/R`, of which `_` is one without a
    /// configuration of its own.
    pub recognizer: String,
    /// The model's name.
    pub model: String,
    /// Languages with their regions. The one of a session that names it without a region is sent;
    /// for a session that names none, those from which one is recognised.
    pub languages: Vec<LanguageTag>,
    /// Whether one of several languages is recognised there; otherwise the first one is sent.
    pub recognises_language: bool,
    /// The service account.
    pub account: GoogleAccountOptions,
    /// How long the answer may take once a piece is complete.
    pub timeout: Duration,
}

/// Why no client can be made.
#[derive(Debug, thiserror::Error)]
pub enum GoogleSetupError {
    /// The address is not an http or https URL.
    #[error("the address is not an http or https URL without credentials")]
    AddressInvalid,
    /// The key can't be used.
    #[error("the key of the service account can't be used")]
    Account(#[source] ServiceSetupError),
    /// The client can't be made.
    #[error("no HTTP client can be made")]
    Client(#[source] reqwest::Error),
}

/// Google Speech-to-Text.
#[derive(Clone)]
pub struct GoogleSpeech(Arc<Inner>);

struct Inner {
    client: reqwest::Client,
    address: Url,
    recognizer: String,
    model: String,
    languages: Vec<LanguageTag>,
    recognises_language: bool,
    account: GoogleAccount,
    timeout: Duration,
    clock: Clock,
    runtime: tokio::runtime::Handle,
    breaker: Mutex<Breaker>,
    /// The streams of what is being said.
    streams: Mutex<BTreeMap<SpeechId, Streaming>>,
    /// Until when the model is asked for the text alone.
    plain_until: Mutex<Option<Timestamp>>,
}

/// What is sent with the sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Request {
    /// The glossary, and the wish for the confidence of words.
    Full,
    /// Only what every model takes.
    Plain,
}

/// A stream.
struct Streaming {
    begun: Timestamp,
    permit: Permit,
    request: Request,
    sender: mpsc::Sender<Bytes>,
    /// Samples that were sent.
    sent: usize,
    answer: AbortOnDropHandle<Result<Answer, Fault>>,
}

impl Streaming {
    /// Sends what was not sent of the sound; of sound that goes on only whole messages.
    fn send(&mut self, samples: &[f32], goes_on: bool) {
        while let Some(rest) = samples.get(self.sent..).filter(|rest| !rest.is_empty()) {
            if goes_on && rest.len() < MESSAGE_SAMPLES {
                return;
            }
            let part = rest.get(..MESSAGE_SAMPLES).unwrap_or(rest);
            let audio = part.iter().flat_map(|sample| sixteen_bits(*sample).to_le_bytes());
            let sent = Some(Sent::Audio(audio.collect()));
            let message = StreamingRecognizeRequest { recognizer: String::new(), sent };
            // A stream that has ended tells why in its answer.
            self.sender.try_send(grpc::framed(&message)).ok();
            self.sent += part.len();
        }
    }

    /// Sends the rest of the sound, says that nothing more comes, and waits for the answer.
    async fn finish(mut self, samples: &[f32]) -> Result<Answer, Fault> {
        self.send(samples, false);
        let Self { sender, answer, .. } = self;
        drop(sender);
        // The task is ended with the runtime, or it panicked.
        answer.await.unwrap_or(Err(Fault::Broken))
    }
}

impl GoogleSpeech {
    /// A client, whose calls are carried out by `runtime`. A rustls provider must be installed
    /// for the process. The clock is that of the machine, with which Google compares its own.
    ///
    /// # Errors
    /// [`GoogleSetupError`].
    pub fn new(
        options: GoogleOptions,
        clock: Clock,
        runtime: tokio::runtime::Handle,
    ) -> Result<Self, GoogleSetupError> {
        let invalid = || GoogleSetupError::AddressInvalid;
        let mut address = remote::address(&options.url).ok_or_else(invalid)?;
        address.path_segments_mut().map_err(|()| invalid())?.pop_if_empty().extend(METHOD);
        let account = GoogleAccount::new(options.account, clock.clone());
        let client = remote::client(options.timeout)
            .http2_prior_knowledge()
            .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
            .http2_keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
            .build()
            .map_err(GoogleSetupError::Client)?;
        Ok(Self(Arc::new(Inner {
            client,
            address,
            recognizer: options.recognizer,
            model: options.model,
            languages: options.languages,
            recognises_language: options.recognises_language,
            account: account.map_err(GoogleSetupError::Account)?,
            timeout: options.timeout,
            clock,
            runtime,
            breaker: Mutex::default(),
            streams: Mutex::default(),
            plain_until: Mutex::default(),
        })))
    }
}

impl fmt::Debug for GoogleSpeech {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GoogleSpeech").field("model", &self.0.model).finish_non_exhaustive()
    }
}

impl SpeechEngine for GoogleSpeech {
    fn name(&self) -> String {
        format!("google {}", self.0.model)
    }

    fn recogniser(&self) -> Result<Box<dyn Recogniser>, SpeechError> {
        Ok(Box::new(self.clone()))
    }

    fn languages(&self) -> Vec<LanguageTag> {
        self.0.languages.clone()
    }

    fn problem(&self) -> Option<String> {
        let is_well = self.0.breaker().state() == BreakerState::Closed;
        (!is_well).then(|| "Google Speech-to-Text fails and is left alone".to_owned())
    }

    fn hearing(&self) -> Option<Arc<dyn Hearing>> {
        Some(Arc::new(self.clone()))
    }
}

impl Hearing for GoogleSpeech {
    fn hear(&self, speech: Speech<'_>) {
        let Some(id) = speech.id else { return };
        let now = self.0.clock.now();
        let mut streams = self.0.streams();
        streams.retain(|_, stream| now.since(stream.begun) < STREAM_MAX);
        if !streams.contains_key(&id) && streams.len() < STREAMS_MAX {
            let Some(permit) = self.0.permit() else { return };
            let stream = Inner::begin(&self.0, speech, permit, self.0.request());
            streams.insert(id, stream);
        }
        if let Some(stream) = streams.get_mut(&id) {
            stream.send(speech.samples, true);
        }
    }
}

impl Recogniser for GoogleSpeech {
    fn recognise(&mut self, speech: Speech<'_>) -> Result<Heard, SpeechError> {
        let inner = &self.0;
        let begun = speech.id.and_then(|id| inner.streams().remove(&id));
        let begun =
            begun.or_else(|| Some(Inner::begin(inner, speech, inner.permit()?, inner.request())));
        let Some(stream) = begun else {
            return Err(SpeechError::Unavailable("it failed before".to_owned()));
        };
        let permit = stream.permit;
        // Both tries of a piece together have this time.
        let asked =
            async { tokio::time::timeout(inner.timeout, Inner::ask(inner, stream, speech)).await };
        let answered = inner.runtime.block_on(asked).unwrap_or(Err(Fault::TimedOut));
        // What it does not take of one session says nothing of its health.
        let is_well = matches!(answered, Ok(_) | Err(Fault::Refused("INVALID_ARGUMENT")));
        inner.breaker().handle_outcome(permit, is_well, inner.clock.now());
        match answered.map_err(error_of).and_then(without_loops) {
            Ok(Answer { text, confidence, language }) => Ok(Heard {
                text,
                confidence,
                language: language_of(speech.language, language),
                engine: self.name(),
            }),
            Err(error) => {
                tracing::warn!(%error, "Google Speech-to-Text failed");
                Err(error)
            }
        }
    }
}

impl Inner {
    /// The right to begin a stream, unless Google is left alone.
    fn permit(&self) -> Option<Permit> {
        match self.breaker().admit(self.clock.now()) {
            Admission::Allowed(permit) => Some(permit),
            Admission::Refused(_) => None,
        }
    }

    /// What the model takes, as far as it is known.
    fn request(&self) -> Request {
        let until = *self.plain_until.lock().unwrap_or_else(PoisonError::into_inner);
        let is_plain = until.is_some_and(|until| self.clock.now() < until);
        if is_plain { Request::Plain } else { Request::Full }
    }

    fn begin(this: &Arc<Self>, speech: Speech<'_>, permit: Permit, request: Request) -> Streaming {
        let (sender, receiver) = mpsc::channel(MESSAGES_MAX);
        // The channel is empty.
        sender.try_send(grpc::framed(&this.first_message(speech, request))).ok();
        let inner = Arc::clone(this);
        let answer = this.runtime.spawn(async move {
            let conversation = inner.converse(receiver);
            tokio::time::timeout(STREAM_MAX, conversation).await.unwrap_or(Err(Fault::TimedOut))
        });
        let (begun, answer) = (this.clock.now(), AbortOnDropHandle::new(answer));
        Streaming { begun, permit, request, sender, sent: 0, answer }
    }

    /// The answer of a stream. One that ended for a reason which need not be that of the next one
    /// is begun again, with the whole sound.
    async fn ask(this: &Arc<Self>, stream: Streaming, speech: Speech<'_>) -> Result<Answer, Fault> {
        let (permit, request) = (stream.permit, stream.request);
        let again = match stream.finish(speech.samples).await {
            // The token was forgotten; the connection was closed while the stream was begun; the
            // piece waited for so long that the stream was ended.
            Err(
                Fault::Broken | Fault::Refused("UNAUTHENTICATED" | "UNAVAILABLE" | "OUT_OF_RANGE"),
            ) => request,
            // Not every model takes all of it.
            Err(Fault::Refused("INVALID_ARGUMENT")) if request == Request::Full => Request::Plain,
            answered => return answered,
        };
        let answer = Self::begin(this, speech, permit, again).finish(speech.samples).await?;
        if again != request {
            let until = this.clock.now().after(REFUSED_FOR);
            *this.plain_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
        }
        Ok(answer)
    }

    fn first_message(&self, speech: Speech<'_>, request: Request) -> StreamingRecognizeRequest {
        let is_full = request == Request::Full;
        let phrases: Vec<Phrase> = speech
            .words
            .filter(|_| is_full)
            .into_iter()
            .flat_map(|words| words.split(", "))
            .filter(|value| value.chars().count() <= PHRASE_CHARS_MAX)
            .take(PHRASES_MAX)
            .map(|value| Phrase { value: value.to_owned() })
            .collect();
        let adaptation = (!phrases.is_empty()).then(|| SpeechAdaptation {
            phrase_sets: vec![AdaptationPhraseSet {
                inline_phrase_set: Some(PhraseSet { phrases }),
            }],
        });
        let features = RecognitionFeatures {
            enable_word_confidence: is_full,
            enable_automatic_punctuation: true,
        };
        let config = RecognitionConfig {
            features: Some(features),
            adaptation,
            explicit_decoding_config: Some(ExplicitDecodingConfig {
                encoding: LINEAR16,
                sample_rate_hertz: i32::try_from(SAMPLE_RATE_HZ).unwrap_or(i32::MAX),
                audio_channel_count: 1,
            }),
            model: self.model.clone(),
            language_codes: self.languages_for(speech.language),
        };
        StreamingRecognizeRequest {
            recognizer: self.recognizer.clone(),
            sent: Some(Sent::Config(StreamingRecognitionConfig { config: Some(config) })),
        }
    }

    /// Google's models know languages with a region.
    fn languages_for(&self, wanted: Option<&str>) -> Vec<String> {
        let Some(wanted) = wanted else {
            let most = if self.recognises_language { LANGUAGES_MAX } else { 1 };
            return self.languages.iter().take(most).map(ToString::to_string).collect();
        };
        let tag: Option<LanguageTag> = wanted.parse().ok();
        let with_region = tag.and_then(|tag| {
            let is_as_exact = |known: &&LanguageTag| known.as_str().len() >= tag.as_str().len();
            self.languages.iter().filter(is_as_exact).find(|known| known.agrees_with(&tag))
        });
        vec![with_region.map_or(wanted, LanguageTag::as_str).to_owned()]
    }

    async fn converse(&self, receiver: mpsc::Receiver<Bytes>) -> Result<Answer, Fault> {
        let token = self.account.authorization().await.map_err(|error| {
            tracing::warn!(%error, "there is no token for Google Speech-to-Text");
            Fault::NoToken
        })?;
        let mut authorization =
            HeaderValue::from_str(token.expose()).map_err(|_| Fault::NoToken)?;
        authorization.set_sensitive(true);
        let recognizer = self.recognizer.replace('/', "%2F");
        let request = self
            .client
            .post(self.address.clone())
            .header(AUTHORIZATION, authorization)
            .header("x-goog-request-params", format!("recognizer={recognizer}"));
        let messages = stream::unfold(receiver, async |mut receiver| {
            let message = receiver.recv().await?;
            Some((message, receiver))
        });
        let mut understood = Understood::default();
        let taken = grpc::converse(request, messages, |message| understood.take(message)).await;
        if taken == Err(Fault::Refused("UNAUTHENTICATED")) {
            self.account.forget(&token).await;
        }
        taken.map(|()| understood.answer())
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn streams(&self) -> MutexGuard<'_, BTreeMap<SpeechId, Streaming>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn error_of(fault: Fault) -> SpeechError {
    match fault {
        Fault::Unreachable => SpeechError::Unavailable("it can't be reached".to_owned()),
        Fault::Refused("UNAVAILABLE") => SpeechError::Unavailable("it is unavailable".to_owned()),
        Fault::NoToken => SpeechError::Unavailable("there is no token".to_owned()),
        Fault::Broken => SpeechError::Failed("the connection broke".to_owned()),
        Fault::TimedOut => SpeechError::Failed("no answer in time".to_owned()),
        Fault::NotGrpc(status) => SpeechError::Failed(format!("status {status}")),
        Fault::TooLong => SpeechError::Failed("the answer is too long".to_owned()),
        Fault::Malformed => SpeechError::Failed("the answer can't be read".to_owned()),
        Fault::Refused(name) => SpeechError::Failed(name.to_owned()),
    }
}
