//! Transcription: the engine that the configuration names, the transcriber as a listener to the
//! tracks of rooms, and the rooms as the sink of its texts.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use async_trait::async_trait;

use super::base::Base;
use super::media::Media;
use crate::api::{MetricsSource, Part};
use crate::clock::Clock;
use crate::config::{Config, EngineConfig, RemoteSpeechConfig};
use crate::domain::id::{SessionKey, TrackId};
use crate::domain::participant::ParticipantKind;
use crate::domain::recording::RecordingState;
use crate::domain::session::Session;
use crate::domain::transcript::{Transcribed, TranscriptChunk};
use crate::room::Rooms;
use crate::room::ports::{RoomTrack, TrackListener, TranscriptionState};
use crate::sessions::{NotTold, SessionObserver};
use crate::transcriber::engine::HeardTrack;
use crate::transcriber::speech::SpeechEngine;
use crate::transcriber::speech::fallback::Fallback;
use crate::transcriber::speech::openai::{OpenAi, OpenAiOptions, TIMEOUT};
use crate::transcriber::{
    Patience, Sink, Transcriber, TranscriberOptions, TranscriberParts, workers_by_default,
};

/// Workers for a remote engine, which wait most of the time.
const REMOTE_WORKERS: NonZeroUsize = match NonZeroUsize::new(8) {
    Some(workers) => workers,
    None => NonZeroUsize::MIN,
};

/// The running transcription, if there is any.
pub(super) struct Transcription {
    running: Option<Transcriber>,
    /// Whether it is configured.
    is_wanted: bool,
    /// What is wrong with it since it was started.
    problem: Option<String>,
    texts: Texts,
    state: TranscriptionState,
}

impl Transcription {
    /// Starts it. A model that can't be used does not keep the server from starting: meetings take
    /// place without text, and health says why.
    pub(super) fn start(base: &Base, media: &Media) -> anyhow::Result<Self> {
        let config = &base.config.transcription;
        let is_wanted = config.engine != EngineConfig::None;
        let texts = Texts::default();
        let found = engine_of(&base.config, &base.clock)?;
        if let Some(problem) = &found.problem {
            tracing::error!(problem, "speech is not transcribed as configured");
        }
        let running = match found.engine {
            None => None,
            Some(engine) => {
                let workers = workers_of(&base.config);
                tracing::info!(
                    engine = engine.name(),
                    device = found.device,
                    workers,
                    "speech is transcribed"
                );
                let parts = TranscriberParts {
                    taps: Arc::new(media.sfu.clone()),
                    engine,
                    sink: Arc::new(texts.clone()),
                    clock: base.clock.clone(),
                };
                let options = TranscriberOptions {
                    workers,
                    patience: Patience::default(),
                    so_far: config.so_far,
                };
                let started = Transcriber::start(parts, options);
                Some(started.context("transcription")?)
            }
        };
        let state = TranscriptionState::new(running.is_some());
        Ok(Self { running, is_wanted, problem: found.problem, texts, state })
    }

    /// The transcriber as a listener to the tracks of rooms.
    pub(super) fn listener(&self) -> Option<Arc<dyn TrackListener>> {
        let transcriber = self.running.clone()?;
        Some(Arc::new(Listening { transcriber }))
    }

    /// Whether what is said becomes text, as rooms tell it.
    pub(super) fn state(&self) -> TranscriptionState {
        self.state.clone()
    }

    /// Has texts go to these rooms.
    pub(super) fn tell(&self, rooms: Rooms) {
        self.texts.set(Some(rooms));
    }

    pub(super) fn observer(&self) -> Option<Arc<dyn SessionObserver>> {
        let transcriber = self.running.clone()?;
        Some(Arc::new(Listening { transcriber }))
    }

    pub(super) fn readings(&self) -> Option<Arc<dyn MetricsSource>> {
        let transcriber = self.running.clone()?;
        Some(Arc::new(transcriber))
    }

    /// How it is doing, for health.
    pub(super) fn health(&self) -> TranscriptionHealth {
        TranscriptionHealth {
            is_wanted: self.is_wanted,
            problem: self.problem.clone(),
            running: self.running.clone(),
        }
    }

    pub(super) async fn shutdown(self) {
        if let Some(transcriber) = self.running {
            transcriber.shutdown().await;
        }
        self.texts.set(None);
    }
}

/// How transcription is doing.
pub(super) struct TranscriptionHealth {
    is_wanted: bool,
    problem: Option<String>,
    running: Option<Transcriber>,
}

impl TranscriptionHealth {
    /// What health says of it; nothing when it is not configured.
    pub(super) fn part(&self) -> Option<Part> {
        let now = || self.running.as_ref().and_then(Transcriber::problem);
        let problem = || self.problem.clone().or_else(now);
        self.is_wanted.then(|| Part { name: "transcription", problem: problem() })
    }
}

/// The engine that the configuration names.
pub(crate) struct FoundEngine {
    /// It, if it can be used.
    pub(crate) engine: Option<Arc<dyn SpeechEngine>>,
    /// What it runs on.
    pub(crate) device: &'static str,
    /// What of it can't be used, and why.
    pub(crate) problem: Option<String>,
}

/// Makes the engine that the configuration names. It is to be called in a tokio runtime.
///
/// # Errors
/// A remote engine whose options are not valid.
pub(crate) fn engine_of(config: &Config, clock: &Clock) -> anyhow::Result<FoundEngine> {
    let config = &config.transcription;
    let remote = match (config.engine, &config.remote) {
        (EngineConfig::OpenAi, Some(remote)) => Some(remote_of(remote, clock)?),
        _ => None,
    };
    let local = match (config.engine, &config.model) {
        (EngineConfig::None, _) | (_, None) => None,
        (_, Some(model)) => Some(local_of(model)),
    };
    let (local, problem) = match local {
        None => (None, None),
        Some(Ok(engine)) => (Some(engine), None),
        Some(Err(problem)) => (None, Some(problem)),
    };
    Ok(match (remote, local) {
        (Some(remote), Some(local)) => FoundEngine {
            engine: Some(Arc::new(Fallback::new(remote, local))),
            device: "remote",
            problem,
        },
        (Some(remote), None) => FoundEngine { engine: Some(remote), device: "remote", problem },
        (None, engine) => FoundEngine { engine, device: device(), problem },
    })
}

/// Pieces of speech that are recognised at the same time.
pub(crate) fn workers_of(config: &Config) -> NonZeroUsize {
    let config = &config.transcription;
    let given = config.workers.and_then(|workers| NonZeroUsize::new(workers as usize));
    given.unwrap_or_else(|| {
        if config.engine == EngineConfig::OpenAi { REMOTE_WORKERS } else { workers_by_default() }
    })
}

fn remote_of(config: &RemoteSpeechConfig, clock: &Clock) -> anyhow::Result<Arc<dyn SpeechEngine>> {
    let options = OpenAiOptions {
        url: config.url.clone(),
        model: config.model.clone(),
        key: config.key.clone(),
        timeout: TIMEOUT,
    };
    let runtime = tokio::runtime::Handle::current();
    let remote = OpenAi::new(&options, clock.clone(), runtime).context("transcription.openai")?;
    Ok(Arc::new(remote))
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

/// Gives texts to the rooms, which are started after the transcriber.
#[derive(Clone, Default)]
struct Texts(Arc<Mutex<Option<Rooms>>>);

impl Texts {
    fn set(&self, rooms: Option<Rooms>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = rooms;
    }
}

#[async_trait]
impl Sink for Texts {
    async fn transcribed(&self, key: SessionKey, said: Transcribed) {
        let rooms = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(rooms) = rooms else { return };
        if let Err(error) = rooms.transcribed(key, said).await {
            // A session may end while its last words are recognised.
            tracing::debug!(session = %key.session, %error, "a text was not taken by its room");
        }
    }

    fn so_far(&self, key: SessionKey, chunk: TranscriptChunk) {
        if let Some(rooms) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            rooms.spoken_so_far(key, chunk);
        }
    }
}

#[async_trait]
impl MetricsSource for Transcriber {
    async fn report(&self) {
        self.report_metrics();
    }
}

/// Passes the tracks and policies of rooms to the transcriber.
struct Listening {
    transcriber: Transcriber,
}

#[async_trait]
impl TrackListener for Listening {
    fn kind(&self) -> ParticipantKind {
        ParticipantKind::Transcriber
    }

    async fn session_told(&self, session: &Session) {
        let key = session.key();
        self.transcriber.set_policy(key, session.transcription.clone()).await;
    }

    async fn session_ending(&self, key: SessionKey) {
        self.transcriber.session_over(key).await;
    }

    async fn floor_given(&self, key: SessionKey, track: Option<TrackId>) {
        self.transcriber.set_floor(key, track);
    }

    async fn heard(&self, key: SessionKey, tracks: &[TrackId]) {
        self.transcriber.set_loudest(key, tracks);
    }

    /// Does nothing: who may be recorded and who may be transcribed are decided separately.
    async fn recording_changed(&self, _key: SessionKey, _state: RecordingState) {}

    /// Does nothing: a tap tells itself when its gate is closed.
    async fn gates_decided(&self, _key: SessionKey, _decision: u64) {}

    async fn track_published(&self, key: SessionKey, track: RoomTrack) {
        let RoomTrack { track, user, source, codec, .. } = track;
        self.transcriber.add_track(key, HeardTrack { track, user, source, codec }).await;
    }

    async fn track_unpublished(&self, key: SessionKey, track: TrackId) {
        self.transcriber.remove_track(key, track).await;
    }
}

#[async_trait]
impl SessionObserver for Listening {
    /// Does nothing: the room tells of its session when it opens.
    async fn session_started(&self, _session: &Session) -> Result<(), NotTold> {
        Ok(())
    }

    /// Does nothing: the room tells of changes, in order with its tracks.
    async fn session_changed(&self, _session: &Session) -> Result<(), NotTold> {
        Ok(())
    }

    /// Forgets a session whose room was not open here; that of an open room is forgotten by now.
    async fn session_ended(&self, session: &Session) -> Result<(), NotTold> {
        let key = session.key();
        self.transcriber.session_over(key).await;
        Ok(())
    }
}
