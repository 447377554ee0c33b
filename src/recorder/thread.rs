//! The thread that owns the engine: it handles the batches of taps, and writes
//! what the engine seals.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::domain::id::{RecordedTrackId, SessionKey, TrackId};
use crate::domain::recording::RecordingState;
use crate::recorder::core::Core;
use crate::recorder::engine::{
    Disk, Engine, FIRST_EPOCH, Opened, Output, Randomness, RoomTrack, SegmentMeta,
};
use crate::recorder::spool::{Item, ItemKind, Place};
use crate::recorder::sync::{Entry, SyncPool, TrackShared};
use crate::recorder::upload::Upload;
use crate::sealing::{SALT_BYTES, TrackKey, random_key, random_salt};
use crate::sfu::tap::{TapBatch, TapSink};

/// Batches that wait for the thread. At the limit taps lose further batches.
pub(super) const BATCHES_MAX: usize = 256;
/// Commands that wait for the thread. At the limit callers wait.
pub(super) const COMMANDS_MAX: usize = 256;
/// How often time-outs are handled.
const TICK: Duration = Duration::from_millis(50);
/// How often the free space of the disk is read.
const DISK_INTERVAL: Duration = Duration::from_secs(1);
/// Shortest time between two warnings about it.
const WARNING_INTERVAL: Duration = Duration::from_mins(1);

/// A message to the thread.
pub(super) enum Input {
    Batch(TapBatch),
    AddTrack { key: SessionKey, track: RoomTrack },
    RemoveTrack { track: TrackId, at_ms: u64 },
    State { key: SessionKey, state: RecordingState, at_ms: u64 },
    Gates { key: SessionKey, decision: u64 },
    Finish { key: SessionKey, done: oneshot::Sender<()> },
    Stop { done: oneshot::Sender<()> },
    Wake,
}

/// A sink that sends batches to the thread, up to [`BATCHES_MAX`].
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

/// A segment that is being written.
struct Part {
    item: u64,
    /// `None` when the disk did not take it.
    file: Option<File>,
    /// Bytes in the file.
    written: u64,
    /// Bytes behind them that the disk did not take.
    backlog: Vec<u8>,
}

/// The state of the thread.
pub(super) struct Thread {
    core: Arc<Core>,
    inputs: Receiver<Input>,
    waiting: Arc<AtomicUsize>,
    engine: Engine,
    pool: SyncPool,
    tracks: BTreeMap<RecordedTrackId, Writing>,
    finishing: Vec<(SessionKey, oneshot::Sender<()>)>,
    disk: Disk,
    /// The disk has refused a write, and has not taken a file since.
    disk_failed: bool,
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
            disk_failed: false,
            disk_looked: None,
            disk_warned: None,
        }
    }

    /// Runs until it is told to stop. When the recorder is cancelled it returns at
    /// once and leaves the spool as a killed process does.
    pub(super) fn run(mut self) {
        let mut ticked = Instant::now();
        self.tick();
        loop {
            let turn = match self.inputs.recv_timeout(TICK) {
                Ok(Input::Stop { done }) => {
                    self.stop();
                    // The caller may have stopped waiting.
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
                for item in batch.items() {
                    self.engine.handle_item(&item, &mut SystemRandomness);
                    self.drain();
                }
                self.waiting.fetch_sub(1, Ordering::AcqRel);
                return Turn::Continue;
            }
            Input::AddTrack { key, track } => {
                if !self.engine.add_track(key, track) {
                    tracing::error!("too many tracks for the recorder: one is not recorded");
                }
            }
            Input::RemoveTrack { track, at_ms } => self.engine.remove_track(track, at_ms),
            Input::State { key, state, at_ms } => {
                self.engine.set_state(key, state, at_ms);
            }
            Input::Gates { key, decision } => {
                self.engine.set_decision(key, decision);
            }
            Input::Finish { key, done } => {
                self.engine.finish(key, now_ms);
                self.finishing.push((key, done));
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

    /// Answers those who wait for the end of a session whose tracks have ended. The
    /// counters are updated before.
    fn answer_finished(&mut self) {
        if self.finishing.is_empty() {
            return;
        }
        let engine = &self.engine;
        self.core.counters.take(&engine.counts(), engine.recorded());
        let over = |it: &mut (SessionKey, _)| !engine.is_busy(it.0);
        for (_, done) in self.finishing.extract_if(.., over) {
            // The caller may have stopped waiting.
            done.send(()).ok();
        }
    }

    /// Seals what is open and waits until the disk has taken it, or the recorder
    /// is cancelled.
    fn stop(mut self) {
        self.engine.stop(self.now_ms());
        self.drain();
        self.core.counters.take(&self.engine.counts(), 0);
        self.pool.close();
        self.pool.wait(&self.core);
    }

    fn drain(&mut self) {
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Opened(opened) => self.open(opened),
                Output::Begun { recorded, item } => self.begin(recorded, item),
                Output::Sealed { recorded, bytes } => self.write(recorded, &bytes),
                Output::Finished { recorded, segment } => self.finish_segment(recorded, &segment),
                Output::Abandoned { recorded } => self.abandon(recorded),
                Output::Gap { recorded, item: number, ms, reason } => {
                    let kind = ItemKind::Gap { ms, reason: reason.number() };
                    self.note(recorded, Item { number, kind });
                }
                Output::Rest { recorded, item: number, ms, rest } => {
                    self.note(recorded, Item { number, kind: ItemKind::Rest { ms, rest } });
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
            let shared = &writing.shared;
            self.pool.give(&self.core, shared, Entry::new(&self.core, &shared.place, item));
        }
    }

    fn open(&mut self, opened: Box<Opened>) {
        let Opened { tenant, session, recorded, .. } = *opened;
        let key = SessionKey::new(tenant, session);
        let shared = Arc::new(TrackShared::new(Place { key, recorded }, Vec::new()));
        self.tracks.insert(recorded, Writing { shared: Arc::clone(&shared), segment: None });
        Upload::opened(&self.core, shared, opened).spawn();
    }

    fn begin(&mut self, recorded: RecordedTrackId, item: u64) {
        let Some(writing) = self.tracks.get_mut(&recorded) else { return };
        let place = &writing.shared.place;
        let created = self.core.spool.create(place, &self.core.spool.part_path(place, item));
        let (file, failed) = match created {
            Ok(file) => (Some(file), None),
            Err(error) => (None, Some(error)),
        };
        writing.segment = Some(Part { item, file, written: 0, backlog: Vec::new() });
        if writing.shared.is_broken() {
            // What follows can't be logged any more, but as another track.
            self.engine.end_recorded(recorded, self.now_ms());
        }
        if let Some(error) = failed {
            self.write_failed(recorded, item, &error);
        }
    }

    fn write(&mut self, recorded: RecordedTrackId, bytes: &[u8]) {
        let Some(part) = self.tracks.get_mut(&recorded).and_then(|it| it.segment.as_mut()) else {
            return;
        };
        let written = match &mut part.file {
            Some(file) if part.backlog.is_empty() => self.core.spool.disk().write(file, bytes),
            // It failed before: the rest follows when the segment is whole.
            _ => Err(io::ErrorKind::StorageFull.into()),
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

    fn finish_segment(&mut self, recorded: RecordedTrackId, segment: &SegmentMeta) {
        let Some(writing) = self.tracks.get_mut(&recorded) else { return };
        let Some(Part { item, file, written, backlog }) = writing.segment.take() else { return };
        let (core, shared) = (&self.core, &writing.shared);
        let item = Item::segment(item, FIRST_EPOCH, segment);
        let entry = Entry::segment(core, &shared.place, item, file, written, backlog);
        self.pool.give(core, shared, entry);
    }

    fn abandon(&mut self, recorded: RecordedTrackId) {
        let Some(writing) = self.tracks.get_mut(&recorded) else { return };
        if let Some(part) = writing.segment.take() {
            let path = self.core.spool.part_path(&writing.shared.place, part.item);
            // What can't be removed now is removed with the track's directory.
            self.core.spool.disk().remove_file(&path).ok();
        }
    }

    /// A segment that is sealed already is kept in memory until the disk takes
    /// it; one that is still open is given up.
    fn write_failed(&mut self, recorded: RecordedTrackId, item: u64, error: &io::Error) {
        let now_ms = self.now_ms();
        self.engine.handle_write_failed(recorded, item, now_ms);
        self.disk_failed = true;
        if self.disk == Disk::Open {
            tracing::error!(%error, "the recorder's spool can't be written: nothing is recorded");
            self.disk_looked = Some(Instant::now());
            self.set_disk(Disk::Full);
        }
    }

    fn set_disk(&mut self, disk: Disk) {
        if std::mem::replace(&mut self.disk, disk) == disk {
            return;
        }
        self.core.tell_all(match disk {
            Disk::Full => "the disk of the recorder is full or fails: nothing is recorded",
            Disk::Open => "the disk of the recorder has room again",
        });
        self.engine.handle_disk(disk, self.now_ms());
    }

    fn look_at_disk(&mut self) {
        if self.disk_looked.is_some_and(|looked| looked.elapsed() < DISK_INTERVAL) {
            return;
        }
        self.disk_looked = Some(Instant::now());
        let options = &self.core.options;
        let free = match self.core.spool.free_bytes() {
            Ok(free) => free,
            Err(error) => {
                tracing::error!(%error, "the recorder can't see how much of its disk is free");
                return;
            }
        };
        self.core.counters.free_bytes.store(free, Ordering::Relaxed);
        let refused = self.core.spool_full.swap(false, Ordering::AcqRel);
        self.disk_failed = self.disk_failed && self.core.spool.probe().is_err();
        let least = options.spool_free_bytes_min;
        let disk = match self.disk {
            _ if refused || self.disk_failed => Disk::Full,
            Disk::Open if free < least => Disk::Full,
            // Some more than the least, so that it does not change all the time.
            Disk::Full if free >= least.saturating_add(least / 8) => Disk::Open,
            unchanged => unchanged,
        };
        let recent = self.disk_warned.is_some_and(|at| at.elapsed() < WARNING_INTERVAL);
        if free < options.spool_free_bytes_warn && (!recent || disk != self.disk) {
            self.disk_warned = Some(Instant::now());
            let full = disk == Disk::Full;
            tracing::warn!(free, least, full, "the disk of the recorder's spool fills up");
        }
        self.set_disk(disk);
        self.drain();
    }
}
