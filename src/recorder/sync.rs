//! Brings what is sealed to stable storage, on threads beside the one that
//! seals. Items of one track go through one lane, in order, so no item gets its
//! name before an earlier one.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};
use tokio::sync::Notify;

use crate::domain::id::RecordedTrackId;
use crate::recorder::core::Core;
use crate::recorder::spool::{Item, ItemKind, Place};

/// Lanes. While the disk is slow for one file, other lanes go on.
const LANES: usize = 4;
/// Items that wait in one lane. When a lane is full, a track whose items fail is
/// given up; if none fails, the sealing thread waits, and what the taps give
/// meanwhile is lost into a gap once their queue is full.
const LANE_ITEMS_MAX: usize = 64;
/// Failures of one item between two messages about it.
const TELL_EVERY: u32 = 50;

/// What the parts of a recorder share about one recorded track.
pub(super) struct TrackShared {
    pub(super) place: Place,
    /// Tells the uploader that an item has got its name.
    pub(super) wake: Notify,
    /// Items that get their names once the track's key is kept; `None` when it
    /// is. Their number is limited by the disk: each is a file of the spool.
    unnamed: Mutex<Option<VecDeque<Entry>>>,
    ancestors_synced: AtomicBool,
    /// An item is lost, so no later one can be logged.
    broken: AtomicBool,
    /// Latest time that a lost item names, milliseconds since 1970.
    lost_ms: AtomicU64,
    /// No item comes after those that have a name or are lost.
    closed: AtomicBool,
}

impl TrackShared {
    /// A track whose key is not kept yet, or whose earlier process left `entries`
    /// to be written.
    pub(super) fn new(place: Place, entries: Vec<Entry>) -> Self {
        Self {
            place,
            wake: Notify::new(),
            unnamed: Mutex::new(Some(entries.into())),
            ancestors_synced: AtomicBool::new(false),
            broken: AtomicBool::new(false),
            lost_ms: AtomicU64::new(0),
            closed: AtomicBool::new(false),
        }
    }

    /// Whether an item of the track is lost.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    /// An item of the track is lost.
    pub(super) fn break_off(&self) {
        self.broken.store(true, Ordering::Release);
    }

    /// Latest time that a lost item names, milliseconds since 1970.
    pub(super) fn lost_ms(&self) -> u64 {
        self.lost_ms.load(Ordering::Acquire)
    }

    /// Whether every item of the track has its name or is lost.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// The key is kept: gives the items that wait their names. Items that come
    /// later get theirs at once. After an error it can be called again and
    /// continues where it stopped.
    pub(super) fn name_waiting(&self, core: &Core) -> io::Result<()> {
        let mut unnamed = self.unnamed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waiting) = unnamed.as_mut() {
            while let Some(entry) = waiting.front_mut() {
                entry.store(core, &self.place)?;
                self.name(core, entry)?;
                waiting.pop_front();
            }
        }
        *unnamed = None;
        Ok(())
    }

    /// Stores an item and gives it its name, or lets it wait for that. After an
    /// error the item is as far as it came.
    fn complete(&self, core: &Core, entry: &mut Option<Entry>) -> io::Result<()> {
        let Some(stored) = entry else { return Ok(()) };
        stored.store(core, &self.place)?;
        let mut unnamed = self.unnamed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waiting) = unnamed.as_mut() {
            waiting.extend(entry.take());
            return Ok(());
        }
        self.name(core, stored)
    }

    fn name(&self, core: &Core, entry: &mut Entry) -> io::Result<()> {
        if entry.progress != Progress::Renamed {
            let path = core.spool.path(&self.place, &entry.item);
            match core.spool.disk().rename(&entry.part, &path) {
                // Somebody else has removed the file. A segment is lost, unless it
                // got its name before, which the uploader finds out.
                Err(error) if entry.is_lost_by(&error) => self.lose(core, entry),
                // Any other item is known, so its file is made again.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    entry.progress = Progress::Writing;
                    return Err(error);
                }
                renamed => renamed?,
            }
            entry.progress = Progress::Renamed;
        }
        match self.sync_directories(core) {
            // Every item is logged and the directory is removed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            synced => synced?,
        }
        self.tell(&entry.item);
        Ok(())
    }

    fn sync_directories(&self, core: &Core) -> io::Result<()> {
        core.spool.sync_directory(&self.place)?;
        if !self.ancestors_synced.load(Ordering::Relaxed) {
            core.spool.sync_ancestors(&self.place)?;
            self.ancestors_synced.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    fn lose(&self, core: &Core, entry: &Entry) {
        tracing::error!(
            track = %self.place.recorded, item = entry.item.number,
            "a file of the recorder's spool is lost: its track is given up"
        );
        if entry.is_counted() {
            core.counters.left(entry.written);
        }
        self.lost_ms.fetch_max(entry.item.latest_ms(), Ordering::AcqRel);
        self.break_off();
        self.tell(&entry.item);
    }

    /// Wakes the uploader: nothing more becomes of an item here.
    fn tell(&self, item: &Item) {
        if matches!(item.kind, ItemKind::End { .. }) {
            self.closed.store(true, Ordering::Release);
        }
        self.wake.notify_one();
    }
}

/// How far an item is. It is remembered here and never read off the directory:
/// the uploader may already have removed what it has logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// Its file is not on stable storage.
    Writing,
    /// Its file could not be synced: what the kernel holds of it may differ from
    /// what the disk has, and another sync would not tell.
    Suspect,
    /// Its file is on stable storage, under a temporary name.
    Stored,
    /// Its file has its own name, which may not survive a crash yet.
    Renamed,
}

/// An item and its file.
pub(super) struct Entry {
    item: Item,
    part: PathBuf,
    /// Open until the file is stored.
    file: Option<File>,
    /// Bytes in the file.
    written: u64,
    /// Bytes behind them that the disk has not taken yet.
    backlog: Vec<u8>,
    progress: Progress,
}

impl Entry {
    /// An item whose file is to be created and gets `backlog`.
    pub(super) fn new(core: &Core, place: &Place, item: Item) -> Self {
        let part = core.spool.part_path(place, item.number);
        let (file, backlog) = (None, Vec::new());
        Self { item, part, file, written: 0, backlog, progress: Progress::Writing }
    }

    /// A segment of which `written` bytes are in `file` and `backlog` is not.
    pub(super) fn segment(
        core: &Core,
        place: &Place,
        item: Item,
        file: Option<File>,
        written: u64,
        backlog: Vec<u8>,
    ) -> Self {
        Self { file, written, backlog, ..Self::new(core, place, item) }
    }

    fn is_segment(&self) -> bool {
        matches!(self.item.kind, ItemKind::Segment { .. })
    }

    /// Whether it counts among the segments of the spool.
    fn is_counted(&self) -> bool {
        self.is_segment() && matches!(self.progress, Progress::Stored | Progress::Renamed)
    }

    /// Whether trying again after this error can't help: the contents are gone.
    fn is_lost_by(&self, error: &io::Error) -> bool {
        let is_gone = matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::NotFound);
        self.is_segment() && is_gone
    }

    /// Brings its file to stable storage, under a temporary name.
    fn store(&mut self, core: &Core, place: &Place) -> io::Result<()> {
        let disk = core.spool.disk();
        if self.progress == Progress::Suspect {
            self.take_back(core)?;
        }
        if self.progress != Progress::Writing {
            return Ok(());
        }
        if self.file.is_none() {
            self.file = Some(core.spool.create(place, &self.part)?);
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        if !self.backlog.is_empty() {
            disk.truncate(file, self.written)?;
            disk.write(file, &self.backlog)?;
        }
        if let Err(error) = disk.sync(file) {
            self.progress = Progress::Suspect;
            return Err(error);
        }
        self.written += self.backlog.len() as u64;
        self.backlog = Vec::new();
        self.file = None;
        self.progress = Progress::Stored;
        if self.is_counted() {
            // Before the uploader can see it, which counts it out again.
            core.counters.spooled(self.written);
        }
        Ok(())
    }

    /// Takes the contents of a file that could not be synced into memory, to be
    /// written again. A sync that fails can leave pages that the disk does not
    /// have marked as written, so that the next sync succeeds without them.
    fn take_back(&mut self, core: &Core) -> io::Result<()> {
        if self.written > 0 {
            let mut contents = core.spool.disk().read(&self.part)?;
            let written = usize::try_from(self.written).unwrap_or(usize::MAX);
            contents.truncate(written);
            contents.extend_from_slice(&self.backlog);
            if let ItemKind::Segment { sha256, .. } = self.item.kind
                && <[u8; 32]>::from(Sha256::digest(&contents)) != sha256
            {
                return Err(io::Error::new(io::ErrorKind::InvalidData, LOST_CONTENTS));
            }
            self.backlog = contents;
            self.written = 0;
        }
        self.progress = Progress::Writing;
        Ok(())
    }
}

const LOST_CONTENTS: &str = "the disk has lost what was written to a segment";

/// Something to bring to stable storage.
struct Job {
    shared: Arc<TrackShared>,
    entry: Option<Entry>,
    failures: u32,
}

impl Job {
    fn recorded(&self) -> RecordedTrackId {
        self.shared.place.recorded
    }
}

/// What waits in a lane.
#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    /// Tracks whose first job has failed, and when it is tried again.
    failing: BTreeMap<RecordedTrackId, Instant>,
    closed: bool,
    ended: bool,
}

impl Waiting {
    /// The first job that may be tried now, or how long until there is one.
    fn next(&mut self, now: Instant) -> Result<Job, Option<Duration>> {
        let failing = &self.failing;
        let is_due = |job: &Job| failing.get(&job.recorded()).is_none_or(|at| *at <= now);
        match self.jobs.iter().position(is_due).and_then(|at| self.jobs.remove(at)) {
            Some(job) => Ok(job),
            None => Err(self.failing.values().min().map(|at| at.saturating_duration_since(now))),
        }
    }

    /// Makes room in a lane that is full: gives up the segments of the track that
    /// fails, if there is one. Its other items stay, since the log needs them.
    fn evict(&mut self, core: &Core) {
        let Some((&recorded, _)) = self.failing.first_key_value() else { return };
        let is_given_up = |job: &Job| {
            job.recorded() == recorded && job.entry.as_ref().is_some_and(Entry::is_segment)
        };
        let (given_up, kept) = self.jobs.drain(..).partition(is_given_up);
        self.jobs = kept;
        let given_up: VecDeque<Job> = given_up;
        for entry in given_up.iter().filter_map(|job| Some((&job.shared, job.entry.as_ref()?))) {
            entry.0.lose(core, entry.1);
        }
    }
}

#[derive(Default)]
struct Lane {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

impl Lane {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'lane>(
        &self,
        waiting: MutexGuard<'lane, Waiting>,
        at_most: Option<Duration>,
    ) -> MutexGuard<'lane, Waiting> {
        match at_most {
            None => self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner),
            Some(at_most) => {
                let waited = self.changed.wait_timeout(waiting, at_most);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        }
    }
}

/// The lanes and their threads.
#[derive(Clone)]
pub(super) struct SyncPool {
    lanes: Arc<[Lane; LANES]>,
}

impl SyncPool {
    pub(super) fn start(core: &Arc<Core>) -> io::Result<Self> {
        let pool = Self { lanes: Arc::new(std::array::from_fn(|_| Lane::default())) };
        for number in 0..LANES {
            let (core, lanes) = (Arc::clone(core), Arc::clone(&pool.lanes));
            let thread = std::thread::Builder::new().name(format!("record-sync-{number}"));
            if let Err(error) = thread.spawn(move || run(&core, &lanes[number])) {
                pool.close();
                return Err(error);
            }
        }
        Ok(pool)
    }

    /// Takes an item of a track, waiting for room in its lane. Nothing is taken
    /// once the recorder is cancelled.
    pub(super) fn give(&self, core: &Core, shared: &Arc<TrackShared>, entry: Entry) {
        let number = usize::from(shared.place.recorded.as_uuid().as_bytes()[0]) % LANES;
        let lane = &self.lanes[number];
        let mut waiting = lane.lock();
        while waiting.jobs.len() >= LANE_ITEMS_MAX && !core.cancel.is_cancelled() {
            waiting.evict(core);
            if waiting.jobs.len() >= LANE_ITEMS_MAX {
                waiting = lane.wait(waiting, None);
            }
        }
        let shared = Arc::clone(shared);
        waiting.jobs.push_back(Job { shared, entry: Some(entry), failures: 0 });
        drop(waiting);
        lane.changed.notify_all();
    }

    /// The threads end once they have nothing left to do.
    pub(super) fn close(&self) {
        for lane in &*self.lanes {
            lane.lock().closed = true;
            lane.changed.notify_all();
        }
    }

    /// Wakes everybody who waits for a lane, after the recorder was cancelled.
    pub(super) fn wake(&self) {
        for lane in &*self.lanes {
            // Whoever holds the lock may be about to wait.
            drop(lane.lock());
            lane.changed.notify_all();
        }
    }

    /// Waits until the threads have ended or the recorder is cancelled.
    pub(super) fn wait(&self, core: &Core) {
        for lane in &*self.lanes {
            let mut waiting = lane.lock();
            while !waiting.ended && !core.cancel.is_cancelled() {
                waiting = lane.wait(waiting, None);
            }
        }
    }

    /// Whether the threads have ended.
    pub(super) fn has_ended(&self) -> bool {
        self.lanes.iter().all(|lane| lane.lock().ended)
    }
}

fn run(core: &Core, lane: &Lane) {
    let mut waiting = lane.lock();
    while !core.cancel.is_cancelled() {
        match waiting.next(Instant::now()) {
            Ok(job) => {
                drop(waiting);
                let brought = bring(core, job);
                waiting = lane.lock();
                match brought {
                    Ok(recorded) => {
                        waiting.failing.remove(&recorded);
                    }
                    Err((job, retry_at)) => {
                        waiting.failing.insert(job.recorded(), retry_at);
                        waiting.jobs.push_front(job);
                    }
                }
                lane.changed.notify_all();
            }
            Err(None) if waiting.closed => break,
            Err(wait) => waiting = lane.wait(waiting, wait),
        }
    }
    waiting.ended = true;
    drop(waiting);
    lane.changed.notify_all();
}

/// Does a job. One that failed comes back with the time of its next try.
#[expect(clippy::result_large_err, reason = "the job that failed is moved back into its lane")]
fn bring(core: &Core, mut job: Job) -> Result<RecordedTrackId, (Job, Instant)> {
    let Err(error) = job.shared.complete(core, &mut job.entry) else { return Ok(job.recorded()) };
    if let Some(entry) = job.entry.as_ref().filter(|it| it.is_lost_by(&error)) {
        tracing::error!(%error, "a file of the recorder's spool can't be completed");
        job.shared.lose(core, entry);
        return Ok(job.recorded());
    }
    if job.failures.is_multiple_of(TELL_EVERY) {
        tracing::error!(%error, "the recorder's spool can't be written; trying again");
    }
    job.failures = job.failures.wrapping_add(1);
    if error.kind() == io::ErrorKind::StorageFull {
        core.spool_full.store(true, Ordering::Release);
    }
    let retry_at = Instant::now() + Duration::from_millis(core.options.retry_ms_min);
    Err((job, retry_at))
}
