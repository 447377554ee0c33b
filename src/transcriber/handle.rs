//! The handle through which the rest of the server uses a transcriber.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::domain::id::{SessionKey, TrackId};
use crate::domain::language::LanguageTag;
use crate::domain::session::TranscriptionPolicy;
use crate::sfu::tap::TapSink;
use crate::sfu::{SessionTaps, SfuError};
use crate::transcriber::engine::{Expected, HeardTrack, SESSIONS_MAX};
use crate::transcriber::pool::Pool;
use crate::transcriber::ports::{
    Patience, TranscriberError, TranscriberOptions, TranscriberParts, TranscriberStats,
};
use crate::transcriber::thread::{BATCHES_MAX, COMMANDS_MAX, Input, Seen, Thread, sink};

/// How soon a full queue of commands is tried again.
const COMMAND_RETRY: Duration = Duration::from_millis(2);
/// Longest time that a shutdown waits until its texts and gaps were taken. The sink stores each;
/// raising it makes a shutdown longer while the database is down.
const DRAIN_MAX: Duration = Duration::from_secs(2);

/// What the handle knows of a session.
struct Known {
    policy: TranscriptionPolicy,
    /// Names of people who may speak.
    names: Vec<String>,
    tracks: Vec<HeardTrack>,
}

struct Inner {
    taps: Arc<dyn SessionTaps>,
    inputs: SyncSender<Input>,
    sink: TapSink,
    waiting: Arc<AtomicUsize>,
    pool: Pool,
    seen: Arc<Seen>,
    patience: Patience,
    sessions: tokio::sync::Mutex<BTreeMap<SessionKey, Known>>,
}

impl Drop for Inner {
    /// Dropped without a shutdown, its threads end as soon as they can.
    fn drop(&mut self) {
        self.pool.stop();
        // A thread that has ended needs no telling; a full queue is followed by its end.
        self.inputs.try_send(Input::Stop).ok();
    }
}

/// A handle of a running transcriber. Clones speak to the same one.
#[derive(Clone)]
pub struct Transcriber(Arc<Inner>);

impl Transcriber {
    /// Starts a transcriber. It is to be called in a tokio runtime.
    ///
    /// # Errors
    /// [`TranscriberError::Start`].
    pub fn start(
        parts: TranscriberParts,
        options: TranscriberOptions,
    ) -> Result<Self, TranscriberError> {
        let TranscriberParts { name, taps, engine, sink: texts, clock } = parts;
        let pool = Pool::start((name, engine), &texts, clock.clone(), options)
            .map_err(TranscriberError::Start)?;
        let (inputs, receiver) = sync_channel(BATCHES_MAX + COMMANDS_MAX);
        let (waiting, seen) = (Arc::<AtomicUsize>::default(), Arc::<Seen>::default());
        let thread =
            Thread::new(receiver, Arc::clone(&waiting), pool.clone(), clock, Arc::clone(&seen));
        let sink = sink(inputs.clone(), Arc::clone(&waiting));
        let transcriber = Self(Arc::new(Inner {
            taps,
            inputs,
            sink,
            waiting,
            pool,
            seen,
            patience: options.patience,
            sessions: tokio::sync::Mutex::default(),
        }));
        let thread = std::thread::Builder::new()
            .name("transcriber".to_owned())
            .spawn(move || thread.run())
            .map_err(TranscriberError::Start)?;
        transcriber.0.pool.keep(thread);
        Ok(transcriber)
    }

    /// The policy of a session whose room is open, now and after each change.
    pub async fn set_policy(&self, key: SessionKey, policy: TranscriptionPolicy) {
        let mut sessions = self.0.sessions.lock().await;
        if sessions.len() >= SESSIONS_MAX && !sessions.contains_key(&key) {
            // Those of closed rooms are told again when they open.
            let idle: Vec<_> = sessions.extract_if(.., |_, it| it.tracks.is_empty()).collect();
            for (idle, known) in idle {
                if known.policy.enabled {
                    self.send(Input::Close { key: idle, closed: None }).await;
                }
                self.0.pool.forget_session(idle);
            }
            if sessions.len() >= SESSIONS_MAX {
                tracing::error!("too many sessions for the transcriber: one is left out");
                return;
            }
        }
        let known = sessions.entry(key).or_insert_with(|| Known {
            policy: TranscriptionPolicy { enabled: false, language: None, glossary: Vec::new() },
            names: Vec::new(),
            tracks: Vec::new(),
        });
        let before = std::mem::replace(&mut known.policy, policy.clone());
        if before == policy {
            return;
        }
        if policy.enabled {
            let expected = Expected::of(&policy, &known.names);
            self.send(Input::Open { key, expected }).await;
        }
        if before.enabled != policy.enabled {
            for track in &known.tracks {
                if policy.enabled {
                    self.listen(key, track).await;
                } else {
                    self.untap(key, track.track).await;
                }
            }
        }
        if !policy.enabled {
            self.send(Input::Close { key, closed: None }).await;
        }
    }

    /// Names of people who may speak in a session whose room is open, which engines are told behind
    /// the words of its glossary.
    pub async fn set_names(&self, key: SessionKey, names: Vec<String>) {
        let mut sessions = self.0.sessions.lock().await;
        let Some(known) = sessions.get_mut(&key).filter(|known| known.names != names) else {
            return;
        };
        known.names = names;
        if known.policy.enabled {
            let expected = Expected::of(&known.policy, &known.names);
            self.send(Input::Open { key, expected }).await;
        }
    }

    /// A track was published, or has another codec than was told before.
    pub async fn add_track(&self, key: SessionKey, track: HeardTrack) {
        let mut sessions = self.0.sessions.lock().await;
        let Some(known) = sessions.get_mut(&key) else { return };
        if !track.is_transcribable() || known.tracks.iter().any(|it| it.track == track.track) {
            return;
        }
        if known.policy.enabled {
            self.listen(key, &track).await;
        }
        known.tracks.push(track);
    }

    /// The person of a track speaks this language from the next piece of speech on; `None` for
    /// that of the session.
    pub async fn set_language(
        &self,
        key: SessionKey,
        track: TrackId,
        language: Option<LanguageTag>,
    ) {
        let mut sessions = self.0.sessions.lock().await;
        let Some(known) = sessions.get_mut(&key) else { return };
        let is_enabled = known.policy.enabled;
        let Some(found) = known.tracks.iter_mut().find(|it| it.track == track) else { return };
        found.language.clone_from(&language);
        if is_enabled {
            self.send(Input::SetLanguage { key, track, language }).await;
        }
        // What was recognised was the language of before.
        self.0.pool.forget_track(track);
    }

    /// A track has ended, or its room is closed.
    pub async fn remove_track(&self, key: SessionKey, track: TrackId) {
        let mut sessions = self.0.sessions.lock().await;
        let Some(known) = sessions.get_mut(&key) else { return };
        let before = known.tracks.len();
        known.tracks.retain(|it| it.track != track);
        if known.tracks.len() < before && known.policy.enabled {
            self.untap(key, track).await;
            self.send(Input::RemoveTrack { track }).await;
            self.0.pool.forget_track(track);
        }
    }

    /// A session is over: nothing more of it is listened to. When this returns, everything that
    /// was said has become text or a gap, and the sink was given it. What is not recognised after
    /// [`Patience::last_words`] is a gap.
    pub async fn session_over(&self, key: SessionKey) {
        let known = self.0.sessions.lock().await.remove(&key);
        let Some(known) = known else {
            // The room has told who speaks until it ended.
            self.0.pool.forget_session(key);
            return;
        };
        if known.policy.enabled {
            for track in &known.tracks {
                self.untap(key, track.track).await;
            }
            let (told, closed) = oneshot::channel();
            self.send(Input::Close { key, closed: Some(told) }).await;
            // It fails when the thread has ended.
            closed.await.ok();
            self.0.pool.finish(key, self.0.patience.last_words).await;
        }
        for track in known.tracks {
            self.0.pool.forget_track(track.track);
        }
        self.0.pool.forget_session(key);
    }

    /// The track of whoever has the floor of a session.
    pub fn set_floor(&self, key: SessionKey, track: Option<TrackId>) {
        self.0.pool.set_floor(key, track);
    }

    /// The tracks of a session that are heard, loudest first.
    pub fn set_loudest(&self, key: SessionKey, tracks: &[TrackId]) {
        self.0.pool.set_loudest(key, tracks);
    }

    /// The languages that its engine can be told are spoken.
    #[must_use]
    pub fn languages(&self) -> Vec<LanguageTag> {
        self.0.pool.engine().languages()
    }

    /// Why its engine does not work at the moment, if that is known.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        self.0.pool.engine().problem()
    }

    /// The name of its engine in the configuration.
    pub(super) fn name(&self) -> &str {
        self.0.pool.name()
    }

    /// Its counters.
    #[must_use]
    pub fn stats(&self) -> TranscriberStats {
        let (seen, counters) = (&self.0.seen, self.0.pool.counters());
        TranscriberStats {
            tracks: seen.tracks.load(Ordering::Relaxed),
            batches_waiting: self.0.waiting.load(Ordering::Relaxed) as u64,
            pieces_waiting: self.0.pool.waiting(),
            packets: seen.packets.load(Ordering::Relaxed),
            decoded: seen.decoded.load(Ordering::Relaxed),
            concealed: seen.concealed.load(Ordering::Relaxed),
            malformed: seen.malformed.load(Ordering::Relaxed),
            packets_lost: seen.lost.load(Ordering::Relaxed),
            levels_distrusted: seen.levels_distrusted.load(Ordering::Relaxed),
            pieces: counters.pieces.load(Ordering::Relaxed),
            wordless: counters.wordless.load(Ordering::Relaxed),
            chunks: counters.chunks.load(Ordering::Relaxed),
            so_far: counters.so_far.load(Ordering::Relaxed),
            gaps: counters.gaps.load(Ordering::Relaxed),
            shed: counters.shed.load(Ordering::Relaxed),
        }
    }

    /// Stops: what waits is told as gaps, and the workers end after the piece that they are at,
    /// which is a gap as well after [`Patience::shutdown`]. When it returns, all that they
    /// understood was handed on.
    pub async fn shutdown(self) {
        self.send(Input::Stop).await;
        let pool = self.0.pool.clone();
        pool.stop();
        let threads = pool.clone();
        let ended = tokio::task::spawn_blocking(move || threads.wait());
        // It fails when the runtime ends, and then nothing is handed on any more.
        if tokio::time::timeout(self.0.patience.shutdown, ended).await.is_err() {
            tracing::warn!("a worker of the transcriber did not end in time");
            pool.give_up(None);
        }
        if tokio::time::timeout(DRAIN_MAX, pool.drain()).await.is_err() {
            tracing::error!("texts of the last moments were not taken by their rooms in time");
        }
    }

    async fn listen(&self, key: SessionKey, track: &HeardTrack) {
        self.send(Input::AddTrack { key, track: track.clone() }).await;
        let tapped = self.0.taps.tap(key, track.track, self.0.sink.clone()).await;
        log_tap(tapped);
    }

    async fn untap(&self, key: SessionKey, track: TrackId) {
        let untapped = self.0.taps.untap(key, track, self.0.sink.clone()).await;
        log_tap(untapped);
    }

    /// Sends a command; waits while the queue is full.
    async fn send(&self, input: Input) {
        let mut input = input;
        loop {
            match self.0.inputs.try_send(input) {
                Ok(()) | Err(TrySendError::Disconnected(_)) => return,
                Err(TrySendError::Full(refused)) => input = refused,
            }
            tokio::time::sleep(COMMAND_RETRY).await;
        }
    }
}

fn log_tap(outcome: Result<(), SfuError>) {
    if let Err(error) = outcome {
        // A track may end while it is tapped.
        tracing::debug!(%error, "a track could not be tapped for the transcriber");
    }
}
