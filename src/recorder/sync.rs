//! Bringing what is complete to stable storage, beside the thread that seals.
//! Items of one track go through one lane, so that no later one is there
//! before an earlier one.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::Notify;

use crate::recorder::core::Core;
use crate::recorder::spool::{Item, Place};

/// Lanes; a disk that is slow for one file need not be for the next.
const LANES: usize = 4;
/// Items that wait in one lane. When a lane is full the sealing thread waits,
/// what taps give piles up before it, and at its limit is lost into a gap.
const LANE_ITEMS_MAX: usize = 64;
/// Between two tries of what the disk did not take.
const RETRY: Duration = Duration::from_millis(200);

/// What the parts of a recorder share about one recorded track.
pub(super) struct TrackShared {
    pub(super) place: Place,
    /// Tells the uploader that something is complete.
    pub(super) wake: Notify,
    /// Segments that are synced but have no name yet, since the track's key is
    /// not kept yet; `None` once it is.
    unnamed: Mutex<Option<Vec<(PathBuf, PathBuf)>>>,
    ancestors_synced: AtomicBool,
}

impl TrackShared {
    /// A track whose key is not kept yet.
    pub(super) fn opened(place: Place) -> Self {
        let unnamed = Mutex::new(Some(Vec::new()));
        let ancestors_synced = AtomicBool::new(false);
        Self { place, wake: Notify::new(), unnamed, ancestors_synced }
    }

    /// A track of an earlier process.
    pub(super) fn recovered(place: Place) -> Self {
        let shared = Self::opened(place);
        *shared.unnamed.lock().unwrap_or_else(PoisonError::into_inner) = None;
        shared
    }

    /// The key is kept: what waits is complete now, and so is what follows.
    pub(super) fn register(&self, core: &Core) -> io::Result<()> {
        let mut unnamed = self.unnamed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waiting) = unnamed.as_mut() {
            while let Some((part, target)) = waiting.first() {
                self.name(core, part, target)?;
                waiting.remove(0);
            }
        }
        *unnamed = None;
        Ok(())
    }

    fn complete(&self, core: &Core, part: PathBuf, target: PathBuf) -> io::Result<()> {
        let mut unnamed = self.unnamed.lock().unwrap_or_else(PoisonError::into_inner);
        match unnamed.as_mut() {
            Some(waiting) => {
                waiting.push((part, target));
                Ok(())
            }
            None => self.name(core, &part, &target),
        }
    }

    fn name(&self, core: &Core, part: &PathBuf, target: &PathBuf) -> io::Result<()> {
        if !target.exists() {
            fs::rename(part, target)?;
            core.counters.spooled(fs::metadata(target)?.len());
        }
        self.sync_directory(core)?;
        self.wake.notify_one();
        Ok(())
    }

    fn sync_directory(&self, core: &Core) -> io::Result<()> {
        let directory = core.spool.directory(&self.place);
        core.options.disk.sync(&File::open(&directory)?)?;
        if !self.ancestors_synced.load(Ordering::Relaxed) {
            core.spool.sync_ancestors(&directory, &*core.options.disk)?;
            self.ancestors_synced.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// What is to be brought to stable storage.
pub(super) enum Job {
    /// A segment that is sealed.
    Segment(SegmentFile),
    /// An item without contents.
    Note { shared: Arc<TrackShared>, item: Item },
}

/// A segment on its way to its name.
pub(super) struct SegmentFile {
    pub(super) shared: Arc<TrackShared>,
    pub(super) file: File,
    pub(super) part: PathBuf,
    pub(super) item: Item,
    /// Bytes in the file.
    pub(super) written: u64,
    /// Bytes that the disk did not take yet.
    pub(super) backlog: Vec<u8>,
}

impl SegmentFile {
    fn settle(&mut self, core: &Core) -> io::Result<()> {
        if !self.backlog.is_empty() {
            self.file.set_len(self.written)?;
            self.file.seek(SeekFrom::Start(self.written))?;
            core.options.disk.write(&mut self.file, &self.backlog)?;
            self.written += self.backlog.len() as u64;
            self.backlog.clear();
        }
        core.options.disk.sync(&self.file)?;
        let target = core.spool.path(&self.shared.place, &self.item);
        self.shared.complete(core, self.part.clone(), target)
    }
}

/// The threads.
pub(super) struct SyncPool {
    lanes: Vec<SyncSender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

impl SyncPool {
    pub(super) fn start(core: &Arc<Core>) -> io::Result<Self> {
        let (mut lanes, mut threads) = (Vec::new(), Vec::new());
        for lane in 0..LANES {
            let (sender, jobs) = sync_channel(LANE_ITEMS_MAX);
            let core = Arc::clone(core);
            let thread = std::thread::Builder::new().name(format!("record-sync-{lane}"));
            threads.push(thread.spawn(move || run(&core, &jobs))?);
            lanes.push(sender);
        }
        Ok(Self { lanes, threads })
    }

    pub(super) fn give(&self, job: Job) {
        let shared = match &job {
            Job::Segment(segment) => &segment.shared,
            Job::Note { shared, .. } => shared,
        };
        let lane = usize::from(shared.place.recorded.as_uuid().as_bytes()[0]) % LANES;
        // A lane ends only with the process, and then nothing can be brought
        // anywhere.
        self.lanes[lane].send(job).ok();
    }

    /// Waits until everything given is on stable storage.
    pub(super) fn finish(self) {
        drop(self.lanes);
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a thread of the recorder's spool has failed");
            }
        }
    }
}

fn run(core: &Core, jobs: &Receiver<Job>) {
    while let Ok(mut job) = jobs.recv() {
        let mut tries = 0_u32;
        while let Err(error) = settle(core, &mut job) {
            if tries.is_multiple_of(50) {
                tracing::error!(%error, "the recorder's spool can't be written; trying again");
            }
            tries = tries.wrapping_add(1);
            if core.cancel.is_cancelled() {
                return;
            }
            std::thread::sleep(RETRY);
        }
        if core.cancel.is_cancelled() {
            return;
        }
    }
}

fn settle(core: &Core, job: &mut Job) -> io::Result<()> {
    match job {
        Job::Segment(segment) => segment.settle(core),
        Job::Note { shared, item } => {
            core.spool.note(&shared.place, item, &*core.options.disk)?;
            shared.wake.notify_one();
            Ok(())
        }
    }
}
