//! The handle through which the rest of the server uses a recorder.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::domain::id::{SessionKey, TrackId};
use crate::domain::recording::RecordingState;
use crate::evidence::media::TrackTail;
use crate::recorder::core::{Core, Counters};
use crate::recorder::engine::RoomTrack;
use crate::recorder::ports::{RecorderError, RecorderOptions, RecorderParts, RecorderStats};
use crate::recorder::spool::Spool;
use crate::recorder::sync::SyncPool;
use crate::recorder::thread::{BATCHES_MAX, COMMANDS_MAX, Input, Thread, sink};
use crate::sfu::SfuError;
use crate::sfu::tap::TapSink;

/// Segments put into the vault at once. Raising it helps a vault that is far
/// away, and costs memory and sockets.
const PUTS_MAX: usize = 16;
/// How soon a full queue of commands is tried again.
const COMMAND_RETRY: Duration = Duration::from_millis(2);

/// What the handle knows of a session.
struct Session {
    state: RecordingState,
    tracks: Vec<TrackId>,
}

struct Inner {
    core: Arc<Core>,
    pool: SyncPool,
    inputs: SyncSender<Input>,
    sink: TapSink,
    waiting: Arc<AtomicUsize>,
    sessions: tokio::sync::Mutex<BTreeMap<SessionKey, Arc<tokio::sync::Mutex<Session>>>>,
}

impl Inner {
    /// Has every part of the recorder end as soon as it can.
    fn cancel(&self) {
        self.core.cancel.cancel();
        self.pool.wake();
        // A thread that has ended needs no waking.
        self.inputs.try_send(Input::Wake).ok();
    }
}

impl Drop for Inner {
    /// Dropped without [`Recorder::shutdown`], it leaves everything as a
    /// process that is killed does. The spool is free for another recorder once
    /// its threads have ended.
    fn drop(&mut self) {
        self.cancel();
    }
}

/// A handle of a running recorder. Clones speak to the same one.
#[derive(Clone)]
pub struct Recorder(Arc<Inner>);

impl Recorder {
    /// Starts a recorder and continues what earlier ones left in the spool: every
    /// complete segment is uploaded and logged, and tracks that did not end get a
    /// gap until now and an end. This continues in the background, with retries.
    ///
    /// # Errors
    /// [`RecorderError::Spool`], [`RecorderError::SpoolInUse`],
    /// [`RecorderError::Repository`] and [`RecorderError::Start`].
    pub async fn start(
        parts: RecorderParts,
        options: RecorderOptions,
    ) -> Result<Self, RecorderError> {
        let (root, disk) = (options.spool.clone(), Arc::clone(&options.disk));
        let spool = tokio::task::spawn_blocking(move || Spool::open(&root, disk))
            .await
            .map_err(|error| RecorderError::Spool(std::io::Error::other(error)))??;
        let core = Arc::new(Core {
            parts,
            options,
            spool,
            counters: Counters::default(),
            puts: Semaphore::new(PUTS_MAX),
            uploads: TaskTracker::new(),
            cancel: CancellationToken::new(),
            runtime: tokio::runtime::Handle::current(),
            busy: Mutex::default(),
            handled: Mutex::default(),
            aside: Mutex::default(),
            working: Mutex::default(),
            changed: Notify::new(),
            spool_full: AtomicBool::new(false),
        });
        // Before anything new begins, so that only tracks of earlier processes are
        // found.
        core.recover().await?;
        let (inputs, receiver) = sync_channel(BATCHES_MAX + COMMANDS_MAX);
        let waiting = Arc::new(AtomicUsize::new(0));
        let pool = SyncPool::start(&core).map_err(RecorderError::Start)?;
        let thread = Thread::new(Arc::clone(&core), receiver, Arc::clone(&waiting), pool.clone());
        let sink = sink(inputs.clone(), Arc::clone(&waiting));
        let recorder = Self(Arc::new(Inner {
            core,
            pool,
            inputs,
            sink,
            waiting,
            sessions: tokio::sync::Mutex::default(),
        }));
        // It ends when the recorder is shut down or dropped.
        std::thread::Builder::new()
            .name("recorder".to_owned())
            .spawn(move || thread.run())
            .map_err(RecorderError::Start)?;
        Ok(recorder)
    }

    /// Takes up what other instances left that no longer run: their tracks get
    /// a gap until now and an end. To be called now and then. What fails later
    /// on is tried again.
    ///
    /// # Errors
    /// [`RecorderError::Repository`] and [`RecorderError::Claims`].
    pub async fn take_over(&self) -> Result<(), RecorderError> {
        self.0.core.take_over().await
    }

    /// Changes the state of a session's recording, for its present and future
    /// tracks.
    pub async fn set_state(&self, key: SessionKey, state: RecordingState) {
        let entry = self.session(key).await;
        let mut known = entry.lock().await;
        let before = std::mem::replace(&mut known.state, state);
        let at_ms = self.now_ms();
        self.send(Input::State { key, state, at_ms }).await;
        let (was, is) = (before == RecordingState::Recording, state == RecordingState::Recording);
        for track in known.tracks.iter().filter(|_| was != is) {
            if is {
                self.tap(key, *track).await;
            } else {
                self.untap(key, *track).await;
            }
        }
    }

    /// A track was published, whatever the state of the recording is.
    pub async fn add_track(&self, key: SessionKey, track: RoomTrack) {
        let entry = self.session(key).await;
        let mut known = entry.lock().await;
        let id = track.track;
        if known.tracks.contains(&id) {
            return;
        }
        known.tracks.push(id);
        self.send(Input::AddTrack { key, track }).await;
        if known.state == RecordingState::Recording {
            self.tap(key, id).await;
        }
    }

    /// A decision of the room with this number changes gates. Told before it does,
    /// so that the log can name it where a gate kept something out.
    pub async fn gates_decided(&self, key: SessionKey, decision: u64) {
        self.send(Input::Gates { key, decision }).await;
    }

    /// A track was removed.
    pub async fn remove_track(&self, key: SessionKey, track: TrackId) {
        let entry = self.session(key).await;
        let mut known = entry.lock().await;
        known.tracks.retain(|it| *it != track);
        let at_ms = self.now_ms();
        self.send(Input::RemoveTrack { track, at_ms }).await;
        if known.state == RecordingState::Recording {
            self.untap(key, track).await;
        }
    }

    /// A session is over. Seals what is open, and returns once all of it is in
    /// the vault and in the log, which takes as long as they are away. Can be
    /// called again, after a restart too.
    ///
    /// # Errors
    /// [`RecorderError::Stopped`] and [`RecorderError::Repository`].
    pub async fn finish(&self, key: SessionKey) -> Result<Vec<TrackTail>, RecorderError> {
        let entry = self.0.sessions.lock().await.remove(&key);
        let (done, sealed) = oneshot::channel();
        self.send(Input::Finish { key, done }).await;
        if let Some(entry) = entry {
            let known = entry.lock().await;
            for track in known.tracks.iter().filter(|_| known.state == RecordingState::Recording) {
                self.untap(key, *track).await;
            }
        }
        let core = &self.0.core;
        tokio::select! {
            sealed = sealed => sealed.map_err(|_| RecorderError::Stopped)?,
            () = core.cancel.cancelled() => return Err(RecorderError::Stopped),
        }
        loop {
            let changed = core.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if !core.is_busy(key) {
                break;
            }
            tokio::select! {
                () = changed => {}
                () = core.cancel.cancelled() => return Err(RecorderError::Stopped),
            }
        }
        let mut tails = Vec::new();
        for track in core.parts.repository.tracks(key).await? {
            let last = core.parts.repository.last_segment(key, track.id).await?;
            tails.extend(last.map(|last| TrackTail {
                track: track.id,
                last_index: last.index,
                tail: last.sha256,
            }));
        }
        tails.sort_unstable_by_key(|tail| tail.track);
        Ok(tails)
    }

    /// Whether this recorder has taken tracks of a session that it has not
    /// finished.
    pub async fn records(&self, key: SessionKey) -> bool {
        self.0.sessions.lock().await.contains_key(&key)
    }

    /// Recorded tracks of a session that are not completely in the vault and the
    /// log yet.
    #[must_use]
    pub fn pending_tracks(&self, key: SessionKey) -> usize {
        let busy = self.0.core.busy.lock().unwrap_or_else(PoisonError::into_inner);
        busy.get(&key).copied().unwrap_or(0)
    }

    /// Counters and sizes.
    #[must_use]
    pub fn stats(&self) -> RecorderStats {
        let core = &self.0.core;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &core.counters;
        let oldest_ms = {
            let working = core.working.lock().unwrap_or_else(PoisonError::into_inner);
            working.values().min().copied()
        };
        let now_ms = self.now_ms();
        RecorderStats {
            tracks: read(&counters.tracks),
            batches_waiting: self.0.waiting.load(Ordering::Relaxed) as u64,
            packets: read(&counters.packets),
            segments_sealed: read(&counters.segments),
            recorded_ms: read(&counters.recorded_ms),
            spool_segments: read(&counters.spool_segments),
            spool_bytes: read(&counters.spool_bytes),
            oldest_pending_ms: oldest_ms.map_or(0, |oldest| now_ms.saturating_sub(oldest)),
            spool_free_bytes: read(&counters.free_bytes),
            upload_failures: read(&counters.failures),
            tracks_set_aside: read(&counters.set_aside),
            gaps: read(&counters.gaps),
            packets_lost: read(&counters.packets_lost),
        }
    }

    /// Ends the recorder: what is open is sealed and synced to the spool, where
    /// the next start finds it. Waits for nothing but the disk, and for that no
    /// longer than [`RecorderOptions::shutdown_ms_max`]. What the disk has not
    /// taken by then is lost, and the next start declares the gap.
    pub async fn shutdown(&self) {
        let core = &self.0.core;
        let limit = Duration::from_millis(core.options.shutdown_ms_max);
        let until = tokio::time::Instant::now() + limit;
        let (done, stopped) = oneshot::channel();
        let stop = async {
            self.send(Input::Stop { done }).await;
            // An error says that it was stopped before.
            stopped.await.ok();
        };
        let sealed = tokio::time::timeout_at(until, stop).await.is_ok();
        self.0.cancel();
        core.uploads.close();
        let uploads_ended = tokio::time::timeout_at(until, core.uploads.wait()).await.is_ok();
        core.changed.notify_waiters();
        core.give_back_aside();
        if sealed && uploads_ended && self.0.pool.has_ended() {
            core.spool.release();
        } else {
            // What still runs may touch the spool, so it stays locked.
            tracing::error!("the disk of the recorder hangs: what it has not taken is lost");
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.0.core.parts.clock.now().unix_ms()).unwrap_or(0)
    }

    async fn session(&self, key: SessionKey) -> Arc<tokio::sync::Mutex<Session>> {
        let mut sessions = self.0.sessions.lock().await;
        let begun = || {
            let session = Session { state: RecordingState::Stopped, tracks: Vec::new() };
            Arc::new(tokio::sync::Mutex::new(session))
        };
        Arc::clone(sessions.entry(key).or_insert_with(begun))
    }

    async fn tap(&self, key: SessionKey, track: TrackId) {
        let media = &self.0.core.parts.media;
        match media.tap(key, track, self.0.sink.clone()).await {
            // It was removed before any packet came.
            Ok(()) | Err(SfuError::TrackNotFound | SfuError::RoomNotFound) => {}
            Err(error) => {
                tracing::error!(%error, %track, "a track can't be recorded");
                let text = format!("track {track} can't be recorded: {error}");
                self.0.core.parts.log.failed(key, text).await;
            }
        }
    }

    async fn untap(&self, key: SessionKey, track: TrackId) {
        let media = &self.0.core.parts.media;
        // The tap of a removed track has ended by itself.
        media.untap(key, track, self.0.sink.clone()).await.ok();
    }

    async fn send(&self, mut input: Input) {
        while !self.0.core.cancel.is_cancelled() {
            match self.0.inputs.try_send(input) {
                // A thread that has ended does nothing any more.
                Ok(()) | Err(TrySendError::Disconnected(_)) => return,
                Err(TrySendError::Full(again)) => input = again,
            }
            tokio::time::sleep(COMMAND_RETRY).await;
        }
    }
}
