//! Transcription: a transcriber for each engine that tenants have, the transcribers as listeners to
//! the tracks of rooms, and the rooms as the sink of their texts.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use async_trait::async_trait;

use super::base::Base;
use super::media::Media;
use super::services::Services;
use super::speech_engines::{FoundEngine, OfTenants, engines_of};
use super::speech_names::Names;
use crate::api::{MetricsSource, Part};
use crate::domain::id::{SessionKey, TrackId};
use crate::domain::language::LanguageTag;
use crate::domain::participant::ParticipantKind;
use crate::domain::recording::RecordingState;
use crate::domain::session::Session;
use crate::domain::transcript::{Transcribed, TranscriptChunk};
use crate::room::Rooms;
use crate::room::ports::{Languages, RoomTrack, TrackListener, TranscriptionState};
use crate::sessions::{NotTold, SessionObserver};
use crate::transcriber::engine::HeardTrack;
use crate::transcriber::{Patience, Sink, Transcriber, TranscriberOptions, TranscriberParts};

/// The running transcription, if there is any.
pub(super) struct Transcription {
    running: OfTenants<Transcriber>,
    /// What can't be used since the start, by the name of the engine; all that are wanted.
    wanted: BTreeMap<String, Option<String>>,
    texts: Texts,
    names: Names,
}

impl Transcription {
    /// Starts it. A model that can't be used does not keep the server from starting: meetings take
    /// place without text, and health says why.
    pub(super) fn start(base: &Base, media: &Media, services: &Services) -> anyhow::Result<Self> {
        let texts = Texts::default();
        let (mut running, mut wanted) = (BTreeMap::new(), BTreeMap::new());
        for found in engines_of(&base.config, (&base.clock, &base.wall))? {
            let FoundEngine { name, engine, device, workers, problem } = found;
            if let Some(problem) = &problem {
                tracing::error!(name, problem, "speech is not transcribed as configured");
            }
            wanted.insert(name.clone(), problem);
            let Some(engine) = engine else { continue };
            let model = engine.name();
            tracing::info!(name, engine = model, device, workers, "speech is transcribed");
            let parts = TranscriberParts {
                name: name.clone(),
                taps: Arc::new(media.sfu.clone()),
                engine,
                sink: Arc::new(texts.clone()),
                clock: base.clock.clone(),
            };
            let so_far = base.config.transcription.so_far;
            let options = TranscriberOptions { workers, patience: Patience::default(), so_far };
            let started = Transcriber::start(parts, options).context("transcription")?;
            running.insert(name, started);
        }
        let running = OfTenants::new(&base.config.transcription, running);
        Ok(Self { running, wanted, texts, names: Names::new(base, services) })
    }

    /// The transcribers as a listener to the tracks of rooms.
    pub(super) fn listener(&self) -> Option<Arc<dyn TrackListener>> {
        let listening = Listening { running: self.running.clone(), names: self.names.clone() };
        (!self.running.is_empty()).then(|| Arc::new(listening) as _)
    }

    /// Of which languages text is made, as rooms tell it.
    pub(super) fn state(&self) -> TranscriptionState {
        let languages = self.running.map(|running| Languages::from(running.languages()));
        TranscriptionState::new(move |tenant| languages.of(tenant).cloned())
    }

    /// Has texts go to these rooms.
    pub(super) fn tell(&self, rooms: Rooms) {
        self.texts.set(Some(rooms));
    }

    pub(super) fn observer(&self) -> Option<Arc<dyn SessionObserver>> {
        let listening = Listening { running: self.running.clone(), names: self.names.clone() };
        (!self.running.is_empty()).then(|| Arc::new(listening) as _)
    }

    pub(super) fn readings(&self) -> Vec<Arc<dyn MetricsSource>> {
        self.running.all().map(|one| Arc::new(one.clone()) as _).collect()
    }

    /// How it is doing, for health.
    pub(super) fn health(&self) -> TranscriptionHealth {
        TranscriptionHealth { wanted: self.wanted.clone(), running: self.running.clone() }
    }

    pub(super) async fn shutdown(self) {
        self.names.shutdown();
        // Together, so that one whose engine hangs delays no other.
        futures_util::future::join_all(self.running.into_all().map(Transcriber::shutdown)).await;
        self.texts.set(None);
    }
}

/// How transcription is doing.
pub(super) struct TranscriptionHealth {
    wanted: BTreeMap<String, Option<String>>,
    running: OfTenants<Transcriber>,
}

impl TranscriptionHealth {
    /// What health says of it; nothing when it is not configured.
    pub(super) fn part(&self) -> Option<Part> {
        let now = |name: &str| self.running.named(name).and_then(Transcriber::problem);
        let problems: Vec<String> = self
            .wanted
            .iter()
            .filter_map(|(name, problem)| {
                let problem = problem.clone().or_else(|| now(name))?;
                Some(format!("{name}: {problem}"))
            })
            .collect();
        let problem = (!problems.is_empty()).then(|| problems.join("; "));
        (!self.wanted.is_empty()).then_some(Part { name: "transcription", problem })
    }
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

/// Passes the tracks and policies of rooms to the transcriber of their tenant.
struct Listening {
    running: OfTenants<Transcriber>,
    names: Names,
}

impl Listening {
    fn of(&self, key: SessionKey) -> Option<&Transcriber> {
        self.running.of(key.tenant)
    }
}

#[async_trait]
impl TrackListener for Listening {
    fn kind(&self) -> Option<ParticipantKind> {
        Some(ParticipantKind::Transcriber)
    }

    async fn session_told(&self, session: &Session) {
        let key = session.key();
        if let Some(transcriber) = self.of(key) {
            transcriber.set_policy(key, session.transcription.clone()).await;
            self.names.tell(session, transcriber);
        }
    }

    async fn session_ending(&self, key: SessionKey) {
        if let Some(transcriber) = self.of(key) {
            transcriber.session_over(key).await;
        }
    }

    async fn floor_given(&self, key: SessionKey, track: Option<TrackId>) {
        if let Some(transcriber) = self.of(key) {
            transcriber.set_floor(key, track);
        }
    }

    async fn heard(&self, key: SessionKey, tracks: &[TrackId]) {
        if let Some(transcriber) = self.of(key) {
            transcriber.set_loudest(key, tracks);
        }
    }

    /// Does nothing: who may be recorded and who may be transcribed are decided separately.
    async fn recording_changed(&self, _key: SessionKey, _state: RecordingState) {}

    /// Does nothing: a tap tells itself when its gate is closed.
    async fn gates_decided(&self, _key: SessionKey, _decision: u64) {}

    async fn track_published(&self, key: SessionKey, track: RoomTrack) {
        let RoomTrack { track, user, source, codec, language, .. } = track;
        if let Some(transcriber) = self.of(key) {
            transcriber.add_track(key, HeardTrack { track, user, source, codec, language }).await;
        }
    }

    async fn language_changed(
        &self,
        key: SessionKey,
        track: TrackId,
        language: Option<LanguageTag>,
    ) {
        if let Some(transcriber) = self.of(key) {
            transcriber.set_language(key, track, language).await;
        }
    }

    async fn track_unpublished(&self, key: SessionKey, track: TrackId) {
        if let Some(transcriber) = self.of(key) {
            transcriber.remove_track(key, track).await;
        }
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
        if let Some(transcriber) = self.of(key) {
            transcriber.session_over(key).await;
        }
        Ok(())
    }
}
