//! Makes playable files one after another, in the background.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::claims::{ClaimError, Claims};
use crate::clock::Clock;
use crate::domain::backoff::Backoff;
use crate::domain::claim::{Fence, Work};
use crate::domain::id::{PlayableId, SessionKey};
use crate::domain::recording::{Container, PlayableState};
use crate::domain::store_error::StoreError;
use crate::playable::build::Maker;
use crate::playable::renewal::Reading;
use crate::playable::{MeetingTimeline, PlayableError, container_of};
use crate::recorder::repository::{Playable, PlayableOf, RecordedTrack, RecordingRepository};
use crate::vault::{DamagedObjects, KeyVault, KeyVaultError, Vault, VaultError};

/// Most sessions that wait in memory. Further ones wait in the repository and are found when these
/// are done.
const WAITING_MAX: usize = 1_024;
/// How often making a file is tried when the failure may be temporary.
const ATTEMPTS_MAX: u32 = 10;
/// Wait before the second attempt; doubles with each further one.
const BACKOFF_FIRST: Duration = Duration::from_secs(1);
/// Longest wait between two attempts.
const BACKOFF_MAX: Duration = Duration::from_mins(2);

/// Provides the time line of a session.
#[async_trait]
pub trait TimelineSource: Send + Sync {
    /// Who had the floor and who was heard. The error is shown to the operator.
    async fn timeline(&self, key: SessionKey) -> Result<MeetingTimeline, String>;
}

/// The other parts that are used to make files.
#[derive(Clone)]
pub struct PlayablesParts {
    /// Where journals are read from and files are stored.
    pub vault: Arc<dyn Vault>,
    /// Unwraps the keys of tracks and wraps those of files.
    pub keys: Arc<dyn KeyVault>,
    /// Tracks, segments and files of sessions.
    pub repository: Arc<dyn RecordingRepository>,
    /// Time lines of sessions.
    pub timeline: Arc<dyn TimelineSource>,
    /// The claims by which this instance owns making the files of a session.
    pub claims: Claims,
    /// The wall clock.
    pub clock: Clock,
    /// Told of what is missing in the vault.
    pub damaged: DamagedObjects,
}

/// How files are made.
#[derive(Debug, Clone)]
pub struct PlayablesOptions {
    /// The ffmpeg program that mixes the combined file. With `None` that file is not made and says
    /// why.
    pub ffmpeg: Option<PathBuf>,
    /// A directory for sockets, created when it is missing. No media is written to it.
    pub scratch: PathBuf,
    /// Plaintext bytes of a part of a file: [`PART_BYTES`](super::PART_BYTES).
    pub part_bytes: usize,
}

/// How often the repository is searched for files that another instance has not finished.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// State shared by the handle and the worker.
pub(super) struct Shared {
    pub(super) parts: PlayablesParts,
    options: PlayablesOptions,
    queue: Mutex<Queue>,
    wake: Notify,
    /// Number of sessions that wait or are being made.
    pending: watch::Sender<usize>,
    shutdown: CancellationToken,
}

#[derive(Default)]
struct Queue {
    waiting: BTreeSet<SessionKey>,
    /// Whether the files of a session are being made.
    is_making: bool,
    /// Whether further sessions wait in the repository only.
    overflowed: bool,
    /// Whether the repository is being read for waiting sessions.
    refilling: bool,
}

impl Queue {
    fn push(&mut self, job: SessionKey) {
        if self.waiting.len() < WAITING_MAX {
            self.waiting.insert(job);
        } else {
            self.overflowed = true;
        }
    }

    /// Number of sessions that wait or are being made. Those that wait in the repository only count
    /// as one together.
    fn pending(&self) -> usize {
        self.waiting.len()
            + usize::from(self.is_making)
            + usize::from(self.overflowed || self.refilling)
    }
}

/// Makes playable files in the background; stops when it is dropped.
pub struct Playables {
    shared: Arc<Shared>,
    worker: Option<JoinHandle<()>>,
}

impl Playables {
    /// Starts the worker, which continues what an earlier run has not finished. Must be called
    /// within a tokio runtime.
    #[must_use]
    pub fn start(parts: PlayablesParts, options: PlayablesOptions) -> Self {
        let shared = Arc::new(Shared {
            parts,
            options,
            // The worker first looks for what an earlier run has left.
            queue: Mutex::new(Queue { overflowed: true, ..Queue::default() }),
            wake: Notify::new(),
            pending: watch::Sender::new(1),
            shutdown: CancellationToken::new(),
        });
        let worker = tokio::spawn(run(Arc::clone(&shared)));
        Self { shared, worker: Some(worker) }
    }

    /// Stores which files of a session are to be made, after its recording has ended: one for each
    /// track that has segments, then the combined one. A second call adds what is missing and does
    /// not retry files that failed. `fence` is the claim of the caller's work on the session.
    pub async fn plan(&self, key: SessionKey, fence: Fence) -> Result<(), PlayableError> {
        self.shared.maker(key, fence).plan().await?;
        Ok(())
    }

    /// Starts making the planned files of a session. Sessions for which this is not called are
    /// found by a later search or at the next start.
    pub fn make(&self, key: SessionKey) {
        self.shared.enqueue(key);
    }

    /// Reads the files that are made.
    #[must_use]
    pub fn reading(&self) -> Reading {
        Reading::new(Arc::clone(&self.shared))
    }

    /// Waits until there is nothing left to make.
    pub async fn idle(&self) {
        let mut pending = self.shared.pending.subscribe();
        // Fails only when the worker has ended.
        let ended = pending.wait_for(|pending| *pending == 0).await;
        debug_assert!(ended.is_ok(), "the handle holds the sender");
    }

    /// Stops the worker and waits until it has stopped. The next start continues unfinished files.
    pub async fn shutdown(mut self) {
        self.shared.shutdown.cancel();
        if let Some(worker) = self.worker.take()
            && let Err(error) = worker.await
        {
            tracing::error!(%error, "the task that makes playable files has failed");
        }
    }
}

impl Drop for Playables {
    fn drop(&mut self) {
        self.shared.shutdown.cancel();
    }
}

impl Shared {
    fn queue(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn maker(&self, key: SessionKey, fence: Fence) -> Maker {
        Maker {
            vault: Arc::clone(&self.parts.vault),
            keys: Arc::clone(&self.parts.keys),
            repository: Arc::clone(&self.parts.repository).fenced(fence),
            clock: self.parts.clock.clone(),
            part_bytes: self.options.part_bytes.max(1),
            damaged: self.parts.damaged.clone(),
            key,
        }
    }

    pub(super) fn enqueue(&self, job: SessionKey) {
        let mut queue = self.queue();
        queue.push(job);
        drop(queue);
        self.tell_pending();
        self.wake.notify_one();
    }

    fn tell_pending(&self) {
        // Sent under the lock, so that an older number never follows a newer one.
        let queue = self.queue();
        self.pending.send_replace(queue.pending());
    }

    /// Adds the sessions that wait in the repository to the queue.
    async fn refill(&self) -> Result<(), PlayableError> {
        {
            let mut queue = self.queue();
            queue.overflowed = false;
            queue.refilling = true;
        }
        let found = self.find_unfinished().await;
        let mut queue = self.queue();
        queue.refilling = false;
        match &found {
            Ok(jobs) => jobs.iter().for_each(|job| queue.push(*job)),
            Err(_) => queue.overflowed = true,
        }
        drop(queue);
        self.tell_pending();
        found.map(|_| ())
    }

    async fn find_unfinished(&self) -> Result<Vec<SessionKey>, PlayableError> {
        let jobs = self.parts.repository.unfinished().await?;
        if jobs.is_empty() {
            return Ok(jobs);
        }
        let others = self.parts.claims.taken_by_others(Work::Playables).await?;
        let mut unfinished = Vec::new();
        for job in jobs.into_iter().filter(|job| !others.contains(&job.session)) {
            let playables = self.parts.repository.playables(job).await?;
            let is_open = |file: &Playable| {
                matches!(file.state, PlayableState::Waiting | PlayableState::Building)
            };
            if playables.iter().any(is_open) {
                unfinished.push(job);
            }
        }
        Ok(unfinished)
    }
}

async fn run(shared: Arc<Shared>) {
    let shutdown = shared.shutdown.clone();
    if shutdown.run_until_cancelled(Box::pin(work(&shared))).await.is_none() {
        tracing::debug!("the task that makes playable files stops");
    }
    shared.queue().is_making = false;
    shared.pending.send_replace(0);
}

async fn work(shared: &Shared) {
    let mut backoff = Backoff::new(BACKOFF_FIRST, BACKOFF_MAX);
    loop {
        let (job, overflowed) = {
            let mut queue = shared.queue();
            let job = queue.waiting.pop_first();
            queue.is_making = job.is_some();
            (job, queue.overflowed)
        };
        if let Some(job) = job {
            shared.tell_pending();
            make_session(shared, job).await;
            shared.queue().is_making = false;
            shared.tell_pending();
        } else if overflowed {
            if let Err(error) = shared.refill().await {
                tracing::warn!(%error, "unfinished playable files can't be looked for");
                tokio::time::sleep(backoff.next(rand::random())).await;
            } else {
                backoff.reset();
            }
        } else {
            // Another instance may have stopped before it had made its files.
            let waited = tokio::time::timeout(LOOK_EVERY, shared.wake.notified()).await;
            shared.queue().overflowed |= waited.is_err();
        }
    }
}

/// Makes the unfinished files of one session, unless another instance does.
async fn make_session(shared: &Shared, job: SessionKey) {
    let claim = match shared.parts.claims.take(job, Work::Playables).await {
        Ok(claim) => claim,
        Err(ClaimError::Taken) => return,
        Err(error) => {
            tracing::warn!(%error, session = %job.session, "playable files are made later");
            tokio::time::sleep(BACKOFF_FIRST).await;
            shared.queue().overflowed = true;
            return;
        }
    };
    make_claimed(shared, job, claim.fence()).await;
    claim.release().await;
}

async fn make_claimed(shared: &Shared, job: SessionKey, fence: Fence) {
    let maker = shared.maker(job, fence);
    let mut backoff = Backoff::new(BACKOFF_FIRST, BACKOFF_MAX);
    loop {
        let is_last = backoff.failures() + 1 >= ATTEMPTS_MAX;
        match maker.make_open_files(shared, is_last).await {
            // It was made, or erased, or another process makes it.
            Ok(()) | Err(PlayableError::Store(StoreError::Conflict | StoreError::Fenced)) => return,
            Err(error) if is_last => {
                tracing::error!(%error, session = %job.session, "playable files can't be made");
                return;
            }
            Err(error) => {
                let wait = backoff.next(rand::random());
                tracing::warn!(%error, session = %job.session, ?wait, "playable files are tried again");
                tokio::time::sleep(wait).await;
            }
        }
    }
}

impl PlayableError {
    /// Whether the failure may be temporary, so that another try makes sense.
    const fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Vault(VaultError::Unavailable(_) | VaultError::Full)
                | Self::Key(KeyVaultError::Unavailable(_))
                | Self::Store(StoreError::Unavailable(_) | StoreError::Unknown(_))
                | Self::Interrupted(_)
        )
    }
}

impl Maker {
    /// Adds a row for each file that should exist.
    async fn plan(&self) -> Result<Vec<RecordedTrack>, PlayableError> {
        let mut with_segments = Vec::new();
        for track in self.repository.tracks(self.key).await? {
            let last = self.repository.last_segment(self.key, track.id).await?;
            if last.is_some() && track.wrapped_key.is_some() {
                with_segments.push(track);
            }
        }
        let there = self.repository.playables(self.key).await?;
        let combined =
            (!with_segments.is_empty()).then_some((PlayableOf::Combined, Container::Mp4));
        let tracks = with_segments
            .iter()
            .map(|track| (PlayableOf::Track(track.id), container_of(track.codec)));
        for (of, container) in tracks.chain(combined) {
            if there.iter().any(|playable| playable.of == of) {
                continue;
            }
            let mut playable = Playable {
                id: PlayableId::generate(),
                of,
                container,
                media_type: String::new(),
                state: PlayableState::Waiting,
                progress_permille: 0,
                wrapped_key: None,
                from_ms: 0,
                duration_ms: 0,
                parts: Vec::new(),
                failure: None,
                lacks: Vec::new(),
                resume_at: None,
                updated_at: self.clock.now(),
            };
            self.keep(&mut playable).await?;
        }
        Ok(with_segments)
    }

    async fn make_open_files(&self, shared: &Shared, is_last: bool) -> Result<(), PlayableError> {
        let tracks = self.plan().await?;
        self.renew_tracks().await?;
        let mut files = self.repository.playables(self.key).await?;
        files.retain(|file| matches!(file.state, PlayableState::Waiting | PlayableState::Building));
        // The combined file is made from the others, so it comes last.
        files.sort_by_key(|file| file.of == PlayableOf::Combined);
        for file in files {
            self.make_file(shared, &tracks, file, is_last).await?;
        }
        Ok(())
    }

    async fn make_file(
        &self,
        shared: &Shared,
        tracks: &[RecordedTrack],
        mut file: Playable,
        is_last: bool,
    ) -> Result<(), PlayableError> {
        let mut made = self.make(shared, tracks, file.clone(), is_last).await;
        if made == Err(PlayableError::Moved) {
            file.parts.clear();
            file.resume_at = None;
            made = self.make(shared, tracks, file.clone(), is_last).await;
        }
        match made {
            Err(PlayableError::Store(error @ (StoreError::Conflict | StoreError::Fenced))) => {
                Err(error.into())
            }
            Err(error) if error.may_pass() && !is_last => Err(error),
            Err(error) => {
                tracing::warn!(%error, session = %self.key.session, "a playable file can't be made");
                let known = self.repository.playables(self.key).await?;
                let known = known.into_iter().find(|known| known.id == file.id);
                let mut file = known.unwrap_or(file);
                file.state = PlayableState::Failed;
                file.failure = Some(error.to_string());
                self.keep(&mut file).await
            }
            Ok(()) => Ok(()),
        }
    }

    async fn make(
        &self,
        shared: &Shared,
        tracks: &[RecordedTrack],
        file: Playable,
        is_last: bool,
    ) -> Result<(), PlayableError> {
        match file.of {
            PlayableOf::Track(id) => match tracks.iter().find(|track| track.id == id) {
                Some(track) => self.make_track(track, file).await,
                None => Err(PlayableError::NoKey),
            },
            PlayableOf::Combined => {
                let timeline = &shared.parts.timeline;
                self.make_combined(timeline.as_ref(), &shared.options, tracks, file, is_last).await
            }
        }
    }
}
