//! The streams of sessions: one task for each that is watched, which taps the tracks of whoever is
//! chosen and gives what is shown to the stream.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cameras::{CameraError, Captioning, Captions, Stream, WatchedSessions, Words};
use crate::clock::Clock;
use crate::domain::id::{SessionKey, TrackId};
use crate::domain::session::{Session, SessionStatus};
use crate::domain::watched::Watched;
use crate::live::engine::taps::{TapChange, Taps};
use crate::live::engine::{Chosen, Shown, Stage};
use crate::live::metrics;
use crate::live::ports::KnownSessions;
use crate::live::rooms::KnownRooms;
use crate::sfu::SessionTaps;
use crate::sfu::tap::{TapBatch, TapSink};

/// Sessions whose streams an instance has at once; those of further ones are refused until one is
/// not watched any more. Raising it uses more memory: up to 24 MiB of segments for each. The media
/// plane has as many sinks for a worker.
pub const STREAMS_MAX: usize = 32;
/// How often whoever is shown is asked for a key picture. Raising it lets viewers wait for longer
/// until they see something; lowering it costs whoever is shown more bits.
const KEY_PICTURES_EVERY: Duration = Duration::from_secs(2);
/// Batches of packets that wait until they are taken. Raising it keeps more of a session in memory
/// before packets are lost: a batch has at most 64 KiB.
const BATCHES_MAX: usize = 32;

/// How long streams go on.
#[derive(Debug, Clone, Copy)]
pub struct LiveOptions {
    /// For how long a stream is made after somebody last wanted it, and for how long one whose
    /// session has ended can be played to its end.
    pub linger: Duration,
    /// How often it is looked whether a session may still be watched: another instance may have
    /// changed it.
    pub look_every: Duration,
}

impl Default for LiveOptions {
    fn default() -> Self {
        Self { linger: Duration::from_secs(30), look_every: Duration::from_secs(5) }
    }
}

/// What streams of sessions are made of.
pub struct LiveParts {
    /// The media plane.
    pub taps: Arc<dyn SessionTaps>,
    /// The sessions.
    pub sessions: Arc<dyn KnownSessions>,
    /// What is said in sessions, for whoever watches them; nothing when nobody may read it.
    pub captions: Option<Captions>,
    /// The time that players are told.
    pub clock: Clock,
}

/// A stream that is made, or whose session has ended.
struct Running {
    stream: Arc<Stream>,
    /// While what is said in it becomes text.
    captioning: Option<Captioning>,
    chosen: watch::Sender<Chosen>,
    over: CancellationToken,
}

#[derive(Default)]
struct State {
    rooms: KnownRooms,
    running: BTreeMap<SessionKey, Running>,
}

struct Inner {
    options: LiveOptions,
    parts: LiveParts,
    state: Mutex<State>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// The streams of the sessions that are watched. Cheap to clone.
#[derive(Clone)]
pub struct Live(Arc<Inner>);

#[async_trait]
impl WatchedSessions for Live {
    async fn check(&self, key: SessionKey) -> Result<(), CameraError> {
        self.find(key).await.map(drop)
    }

    async fn want(&self, key: SessionKey) -> Result<Arc<Stream>, CameraError> {
        if let Some(stream) = self.running(key) {
            return Ok(stream);
        }
        let session = self.find(key).await?;
        if session.status != SessionStatus::Active {
            return Err(CameraError::WatchedNotBegun);
        }
        self.start(&session)
    }
}

impl Live {
    /// Nobody watches yet.
    #[must_use]
    pub fn new(options: LiveOptions, parts: LiveParts) -> Self {
        Self(Arc::new(Inner {
            options,
            parts,
            state: Mutex::default(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }))
    }

    /// Ends all streams.
    pub async fn shutdown(&self) {
        self.0.stop.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    /// The session is over, or may not be watched any more: nothing of it follows.
    pub(super) fn end(&self, key: SessionKey) {
        if let Some(running) = self.lock().running.get(&key) {
            running.over.cancel();
        }
    }

    /// A room tells something, after which others may be chosen.
    pub(super) fn handle_room(&self, key: SessionKey, handle: impl FnOnce(&mut KnownRooms)) {
        let mut state = self.lock();
        handle(&mut state.rooms);
        let chosen = state.rooms.chosen(key);
        if let Some(running) = state.running.get(&key) {
            running.chosen.send_if_modified(|before| std::mem::replace(before, chosen) != chosen);
        }
    }

    /// A text of what is said was told in a room.
    pub(super) fn handle_words(&self, key: SessionKey, words: &Words) {
        let state = self.lock();
        let Some(Running { stream, captioning: Some(captioning), .. }) = state.running.get(&key)
        else {
            return;
        };
        captioning.handle(words, stream, self.0.parts.clock.now());
    }

    /// A session has changed: whether what is said in it becomes text, and in which language.
    pub(super) fn handle_session(&self, session: &Session) {
        let mut state = self.lock();
        let Some(running) = state.running.get_mut(&session.key()) else { return };
        if session.transcription.enabled && running.captioning.is_none() {
            running.captioning = self.captioning(session);
        } else if !session.transcription.enabled {
            running.captioning = None;
        }
    }

    /// The captions of a session whose words become text.
    fn captioning(&self, session: &Session) -> Option<Captioning> {
        let captions = self.0.parts.captions.as_ref().filter(|_| session.transcription.enabled)?;
        let language = session.transcription.language.as_ref().map(ToString::to_string);
        Some(captions.begin((session.tenant_id, Watched::Session(session.id)), language))
    }

    /// A session that may be watched, now or once it has begun.
    async fn find(&self, key: SessionKey) -> Result<Session, CameraError> {
        let session = self.0.parts.sessions.known(key).await?;
        let session = session.ok_or(CameraError::WatchedNotFound)?;
        if session.status.is_over() {
            return Err(CameraError::WatchedOver);
        }
        if session.live_viewing { Ok(session) } else { Err(CameraError::WatchingOff) }
    }

    /// The stream of a session, if it is made, which is wanted for a while from now on. One whose
    /// session has ended is wanted for no longer.
    fn running(&self, key: SessionKey) -> Option<Arc<Stream>> {
        let state = self.lock();
        let running = state.running.get(&key)?;
        let until = Instant::now().into_std() + self.0.options.linger;
        let is_open = if running.over.is_cancelled() {
            !running.stream.is_closed()
        } else {
            running.stream.want(until)
        };
        is_open.then(|| running.stream.clone())
    }

    fn start(&self, session: &Session) -> Result<Arc<Stream>, CameraError> {
        let key = session.key();
        if self.0.stop.is_cancelled() {
            return Err(CameraError::Stopping);
        }
        let (now, linger) = (Instant::now().into_std(), self.0.options.linger);
        let mut state = self.lock();
        let before = state.running.get(&key);
        if let Some(running) = before.filter(|running| running.stream.want(now + linger)) {
            return Ok(running.stream.clone());
        }
        if state.running.len() >= STREAMS_MAX {
            return Err(CameraError::StreamLimit(STREAMS_MAX));
        }
        let stream = Arc::new(Stream::of_session(now, linger, self.0.parts.clock.now()));
        let (chosen, followed) = watch::channel(state.rooms.chosen(key));
        let over = CancellationToken::new();
        let task = Task::new(self.clone(), key, stream.clone(), over.clone());
        // Dropped first, as two streams of one session would have none.
        state.running.remove(&key);
        let captioning = self.captioning(session);
        state.running.insert(key, Running { stream: stream.clone(), captioning, chosen, over });
        metrics::running(state.running.len());
        drop(state);
        self.0.tasks.spawn(task.run(followed));
        Ok(stream)
    }

    fn forget(&self, key: SessionKey, stream: &Arc<Stream>) {
        let mut state = self.lock();
        if state.running.get(&key).is_some_and(|it| Arc::ptr_eq(&it.stream, stream)) {
            state.running.remove(&key);
            metrics::running(state.running.len());
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task of one stream.
struct Task {
    live: Live,
    key: SessionKey,
    stream: Arc<Stream>,
    over: CancellationToken,
    sink: TapSink,
    batches: mpsc::Receiver<TapBatch>,
    taps: Taps,
}

impl Task {
    fn new(live: Live, key: SessionKey, stream: Arc<Stream>, over: CancellationToken) -> Self {
        let (sender, batches) = mpsc::channel(BATCHES_MAX);
        let sink = TapSink::new(move |batch| {
            sender.try_send(batch).map_err(mpsc::error::TrySendError::into_inner)
        });
        let sink = sink.with_key_frames_every(KEY_PICTURES_EVERY);
        Self { live, key, stream, over, sink, batches, taps: Taps::default() }
    }

    async fn run(mut self, chosen: watch::Receiver<Chosen>) {
        let (stop, over, stream) =
            (self.live.0.stop.clone(), self.over.clone(), self.stream.clone());
        tokio::select! {
            () = self.show(chosen) => over.cancel(),
            () = over.cancelled() => {}
            () = stream.unwanted() => {}
            () = stop.cancelled() => {}
        }
        self.tap(&BTreeSet::new()).await;
        if over.is_cancelled() {
            stream.handle_end();
            stream.want(Instant::now().into_std() + self.live.0.options.linger);
            stop.run_until_cancelled(stream.unwanted()).await;
        }
        stream.close();
        self.live.forget(self.key, &stream);
    }

    /// Gives the stream what is shown, until the session may not be watched any more.
    async fn show(&mut self, mut chosen: watch::Receiver<Chosen>) {
        let first = *chosen.borrow_and_update();
        let mut stage = Stage::new(first, Instant::now().into_std());
        let mut looks = tokio::time::interval(self.live.0.options.look_every);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.tap(&stage.taps()).await;
            let due = stage.poll_timeout();
            let due = self.taps.poll_timeout().map_or(due, |again| again.min(due));
            let now = tokio::select! {
                Some(batch) = self.batches.recv() => {
                    let now = Instant::now().into_std();
                    self.taps.handle_batch(&batch, rand::random(), now);
                    stage.handle_batch(&batch, now);
                    now
                }
                Ok(()) = chosen.changed() => {
                    let now = Instant::now().into_std();
                    stage.handle_chosen(*chosen.borrow_and_update(), now);
                    now
                }
                () = tokio::time::sleep_until(due.into()) => {
                    let now = Instant::now().into_std();
                    stage.handle_timeout(now);
                    now
                }
                _ = looks.tick() => {
                    if self.is_over().await {
                        return;
                    }
                    continue;
                }
            };
            for shown in stage.poll() {
                self.give(shown, now);
            }
        }
    }

    /// Whether it is known that the session may not be watched any more.
    async fn is_over(&self) -> bool {
        match self.live.check(self.key).await {
            Ok(()) => false,
            Err(error) => matches!(
                error,
                CameraError::WatchedNotFound | CameraError::WatchedOver | CameraError::WatchingOff
            ),
        }
    }

    fn give(&self, shown: Shown, now: std::time::Instant) {
        let stream = &self.stream;
        match shown {
            Shown::OtherPictures => stream.handle_other_pictures(),
            Shown::Unseen(unseen) => {
                stream.handle_unseen(unseen);
                if let Some(cause) = unseen {
                    metrics::unseen(cause);
                }
            }
            Shown::Pictures(packet) => {
                stream.handle_video(packet, now, self.live.0.parts.clock.now());
            }
            Shown::OtherSound => stream.handle_other_sound(),
            Shown::Sound { ticks, lost, payload } => {
                stream.handle_audio((ticks, payload), lost, now);
            }
        }
    }

    /// Taps these tracks, and no others any more. What is refused is tried again later.
    async fn tap(&mut self, wanted: &BTreeSet<TrackId>) {
        let (taps, key) = (self.live.0.parts.taps.clone(), self.key);
        let now = Instant::now().into_std();
        for change in self.taps.handle_wanted(wanted, now) {
            match change {
                // A track that has ended has no tap any more.
                TapChange::Untap(track) => drop(taps.untap(key, track, self.sink.clone()).await),
                TapChange::Tap(track) => {
                    if let Err(error) = taps.tap(key, track, self.sink.clone()).await {
                        // A track may end while it is tapped.
                        tracing::debug!(%error, "a track could not be tapped for viewers");
                        self.taps.handle_refused(track, rand::random(), now);
                    }
                }
            }
        }
    }
}
