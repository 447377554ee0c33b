//! The thread that owns the engine: takes what taps give, and writes what the
//! engine seals.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::domain::id::{RecordedTrackId, SessionId, TenantId, TrackId};
use crate::domain::recording::RecordingState;
use crate::recorder::core::Core;
use crate::recorder::engine::{Disk, Engine, FIRST_EPOCH, Opened, Output, Randomness, RoomTrack};
use crate::recorder::spool::{Item, ItemKind, Place, part_name};
use crate::recorder::sync::{Job, SegmentFile, SyncPool, TrackShared};
use crate::recorder::upload::Upload;
use crate::sealing::{SALT_BYTES, TrackKey, random_key, random_salt};
use crate::sfu::tap::{TapBatch, TapSink};

/// Batches that wait for the thread. At the limit taps lose what they give.
pub(super) const BATCHES_MAX: usize = 256;
/// Commands that wait for the thread; callers beyond them wait.
pub(super) const COMMANDS_MAX: usize = 256;
/// Between two looks at what time has ended.
const TICK: Duration = Duration::from_millis(50);
/// Between two looks at how much of the disk is free.
const DISK_INTERVAL: Duration = Duration::from_secs(1);
/// Between two warnings about it.
const WARNING_INTERVAL: Duration = Duration::from_mins(1);

/// What the thread is told.
pub(super) enum Input {
    Batch(TapBatch),
    AddTrack { tenant: TenantId, session: SessionId, track: RoomTrack },
    RemoveTrack { track: TrackId },
    State { tenant: TenantId, session: SessionId, state: RecordingState },
    Finish { tenant: TenantId, session: SessionId, done: oneshot::Sender<()> },
    Stop { done: oneshot::Sender<()> },
    Wake,
}

/// A sink whose batches go to the thread, as many as may wait.
pub(super) fn sink(inputs: SyncSender<Input>, waiting: Arc<AtomicUsize>) -> TapSink {
    TapSink::new(move |batch| {
        if waiting.fetch_add(1, Ordering::AcqRel) >= BATCHES_MAX {
            waiting.fetch_sub(1, Ordering::AcqRel);
            return Err(batch);
        }
        inputs.try_send(Input::Batch(batch)).map_err(|refused| {
            waiting.fetch_sub(1, Ordering::AcqRel);
            let (TrySendError::Full(input) | TrySendError::Disconnected(input)) = refused;
            match input {
                Input::Batch(batch) => batch,
                _ => TapBatch::of(&[]),
            }
        })
    })
}

struct SystemRandomness;

impl Randomness for SystemRandomness {
    fn track_id(&mut self) -> RecordedTrackId {
        RecordedTrackId::random()
    }

    fn key(&mut self) -> TrackKey {
        TrackKey::new(random_key())
    }

    fn salt(&mut self) -> [u8; SALT_BYTES] {
        random_salt()
    }
}

/// A track that is being written.
struct Writing {
    shared: Arc<TrackShared>,
    segment: Option<Part>,
}

struct Part {
    file: File,
    path: PathBuf,
    item: u64,
    written: u64,
    backlog: Vec<u8>,
}

/// The thread's own.
pub(super) struct Thread {
    core: Arc<Core>,
    inputs: Receiver<Input>,
    waiting: Arc<AtomicUsize>,
    engine: Engine,
    pool: SyncPool,
    tracks: BTreeMap<RecordedTrackId, Writing>,
    finishing: Vec<(TenantId, SessionId, oneshot::Sender<()>)>,
    disk: Disk,
    disk_looked: Option<Instant>,
    disk_warned: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Continue,
    End,
}

impl Thread {
    pub(super) fn new(
        core: Arc<Core>,
        inputs: Receiver<Input>,
        waiting: Arc<AtomicUsize>,
        pool: SyncPool,
    ) -> Self {
        Self {
            core,
            inputs,
            waiting,
            engine: Engine::new(),
            pool,
            tracks: BTreeMap::new(),
            finishing: Vec::new(),
            disk: Disk::Open,
            disk_looked: None,
            disk_warned: None,
        }
    }

    /// Runs until it is told to stop; cancelled, it leaves everything as a
    /// process that is killed does.
    pub(super) fn run(mut self) {
        let mut ticked = Instant::now();
        self.tick();
        loop {
            let turn = match self.inputs.recv_timeout(TICK) {
                Ok(Input::Stop { done }) => {
                    self.stop();
                    // Nobody may wait for it any more.
                    done.send(()).ok();
                    return;
                }
                Ok(input) => self.handle(input),
                Err(RecvTimeoutError::Timeout) => Turn::Continue,
                Err(RecvTimeoutError::Disconnected) => Turn::End,
            };
            if turn == Turn::End || self.core.cancel.is_cancelled() {
                return;
            }
            if ticked.elapsed() >= TICK {
                ticked = Instant::now();
                self.tick();
            }
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.core.parts.clock.now().unix_ms()).unwrap_or(0)
    }

    fn handle(&mut self, input: Input) -> Turn {
        let now_ms = self.now_ms();
        match input {
            Input::Batch(batch) => {
                self.waiting.fetch_sub(1, Ordering::AcqRel);
                for item in batch.items() {
                    self.engine.handle_item(&item, &mut SystemRandomness);
                    self.drain();
                }
                return Turn::Continue;
            }
            Input::AddTrack { tenant, session, track } => {
                if !self.engine.add_track(tenant, session, track) {
                    tracing::error!("too many tracks for the recorder: one is not recorded");
                }
            }
            Input::RemoveTrack { track } => self.engine.remove_track(track, now_ms),
            Input::State { tenant, session, state } => {
                self.engine.set_state(tenant, session, state, now_ms);
            }
            Input::Finish { tenant, session, done } => {
                self.engine.finish(tenant, session, now_ms);
                self.finishing.push((tenant, session, done));
            }
            Input::Stop { .. } | Input::Wake => {}
        }
        self.drain();
        self.answer_finished();
        Turn::Continue
    }

    fn tick(&mut self) {
        self.look_at_disk();
        self.engine.handle_timeout(self.now_ms());
        self.drain();
        self.answer_finished();
        self.core.counters.take(&self.engine.counts(), self.engine.recorded());
    }

    /// Answers whose session is sealed; what they read then is counted.
    fn answer_finished(&mut self) {
        if self.finishing.is_empty() {
            return;
        }
        let engine = &self.engine;
        self.core.counters.take(&engine.counts(), engine.recorded());
        let over = |it: &mut (TenantId, SessionId, _)| !engine.is_busy(it.0, it.1);
        for (_, _, done) in self.finishing.extract_if(.., over) {
            // Nobody may wait for it any more.
            done.send(()).ok();
        }
    }

    fn stop(mut self) {
        self.engine.stop(self.now_ms());
        self.drain();
        self.core.counters.take(&self.engine.counts(), 0);
        self.pool.finish();
    }

    fn drain(&mut self) {
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Opened(opened) => self.open(opened),
                Output::Begun { recorded, item } => self.begin(recorded, item),
                Output::Sealed { recorded, bytes } => self.write(recorded, &bytes),
                Output::Finished { recorded, segment } => {
                    let Some(writing) = self.tracks.get_mut(&recorded) else { continue };
                    let Some(part) = writing.segment.take() else { continue };
                    let Part { file, path, item, written, backlog } = part;
                    self.pool.give(Job::Segment(SegmentFile {
                        shared: Arc::clone(&writing.shared),
                        file,
                        part: path,
                        item: Item::segment(item, FIRST_EPOCH, &segment),
                        written,
                        backlog,
                    }));
                }
                Output::Abandoned { recorded } => {
                    let part = self.tracks.get_mut(&recorded).and_then(|it| it.segment.take());
                    if let Some(part) = part {
                        // A start removes what stays.
                        std::fs::remove_file(part.path).ok();
                    }
                }
                Output::Gap { recorded, item: number, ms, reason } => {
                    let kind = ItemKind::Gap { ms, reason: reason.number() };
                    self.note(recorded, Item { number, kind });
                }
                Output::Ended { recorded, item: number, at_ms, segments } => {
                    self.note(recorded, Item { number, kind: ItemKind::End { at_ms, segments } });
                    self.tracks.remove(&recorded);
                }
            }
        }
    }

    fn note(&self, recorded: RecordedTrackId, item: Item) {
        if let Some(writing) = self.tracks.get(&recorded) {
            self.pool.give(Job::Note { shared: Arc::clone(&writing.shared), item });
        }
    }

    fn open(&mut self, opened: Box<Opened>) {
        let Opened { tenant, session, recorded, .. } = *opened;
        let shared = Arc::new(TrackShared::opened(Place { tenant, session, recorded }));
        self.tracks.insert(recorded, Writing { shared: Arc::clone(&shared), segment: None });
        Upload::opened(&self.core, shared, opened).spawn();
    }

    fn begin(&mut self, recorded: RecordedTrackId, item: u64) {
        let Some(writing) = self.tracks.get_mut(&recorded) else { return };
        let begun = self.core.spool.make(&writing.shared.place).and_then(|directory| {
            let path = directory.join(part_name(item));
            Ok((File::create(&path)?, path))
        });
        match begun {
            Ok((file, path)) => {
                writing.segment = Some(Part { file, path, item, written: 0, backlog: Vec::new() });
            }
            Err(error) => self.write_failed(recorded, item, &error),
        }
    }

    fn write(&mut self, recorded: RecordedTrackId, bytes: &[u8]) {
        let Some(part) = self.tracks.get_mut(&recorded).and_then(|it| it.segment.as_mut()) else {
            return;
        };
        let written = if part.backlog.is_empty() {
            self.core.options.disk.write(&mut part.file, bytes)
        } else {
            Err(std::io::ErrorKind::StorageFull.into())
        };
        match written {
            Ok(()) => part.written += bytes.len() as u64,
            Err(error) => {
                part.backlog.extend_from_slice(bytes);
                let item = part.item;
                self.write_failed(recorded, item, &error);
            }
        }
    }

    /// A segment that is sealed already is kept in memory until the disk takes
    /// it; one that is open is given up.
    fn write_failed(&mut self, recorded: RecordedTrackId, item: u64, error: &std::io::Error) {
        let now_ms = self.now_ms();
        self.engine.handle_write_failed(recorded, item, now_ms);
        if self.disk == Disk::Open {
            tracing::error!(%error, "the recorder's spool does not take more: nothing is recorded");
            self.disk = Disk::Full;
            self.disk_looked = Some(Instant::now());
            self.engine.handle_disk(Disk::Full, now_ms);
        }
    }

    fn look_at_disk(&mut self) {
        if self.disk_looked.is_some_and(|looked| looked.elapsed() < DISK_INTERVAL) {
            return;
        }
        self.disk_looked = Some(Instant::now());
        let options = &self.core.options;
        let free = match options.disk.free_bytes(self.core.spool.root()) {
            Ok(free) => free,
            Err(error) => {
                tracing::error!(%error, "the recorder can't see how much of its disk is free");
                return;
            }
        };
        self.core.counters.free_bytes.store(free, Ordering::Relaxed);
        let least = options.spool_free_bytes_min;
        let disk = match self.disk {
            Disk::Open if free < least => Disk::Full,
            // Some more, so that it does not open and close all the time.
            Disk::Full if free >= least.saturating_add(least / 8) => Disk::Open,
            unchanged => unchanged,
        };
        let recent = self.disk_warned.is_some_and(|at| at.elapsed() < WARNING_INTERVAL);
        if free < options.spool_free_bytes_warn && (!recent || disk != self.disk) {
            self.disk_warned = Some(Instant::now());
            let full = disk == Disk::Full;
            tracing::warn!(free, least, full, "the disk of the recorder's spool fills up");
        }
        if std::mem::replace(&mut self.disk, disk) != disk {
            self.core.tell_disk(disk);
            let now_ms = self.now_ms();
            self.engine.handle_disk(disk, now_ms);
            self.drain();
        }
    }
}
