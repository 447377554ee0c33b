//! The thread that owns the engine: it handles the batches of taps, and gives pieces of speech to
//! the workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::domain::id::{SessionKey, TrackId};
use crate::domain::language::LanguageTag;
use crate::sfu::tap::{TapBatch, TapSink};
use crate::transcriber::engine::{Counts, Engine, Expected, HeardTrack, Output};
use crate::transcriber::pool::Pool;

/// Batches that wait for the thread. At the limit taps lose further batches, which become gaps.
pub(super) const BATCHES_MAX: usize = 256;
/// Commands that wait for the thread. At the limit callers wait.
pub(super) const COMMANDS_MAX: usize = 256;
/// How often time-outs are handled. Raising it makes pieces later that end because nothing comes.
const TICK: Duration = Duration::from_millis(50);

/// A message to the thread.
pub(super) enum Input {
    Batch(TapBatch),
    Open { key: SessionKey, expected: Expected },
    Close { key: SessionKey, closed: Option<oneshot::Sender<()>> },
    AddTrack { key: SessionKey, track: HeardTrack },
    SetLanguage { key: SessionKey, track: TrackId, language: Option<LanguageTag> },
    RemoveTrack { track: TrackId },
    Stop,
}

/// What the engine has counted, for others to read.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) tracks: AtomicU64,
    pub(super) packets: AtomicU64,
    pub(super) decoded: AtomicU64,
    pub(super) concealed: AtomicU64,
    pub(super) malformed: AtomicU64,
    pub(super) lost: AtomicU64,
    pub(super) levels_distrusted: AtomicU64,
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

/// The state of the thread.
pub(super) struct Thread {
    engine: Engine,
    inputs: Receiver<Input>,
    waiting: Arc<AtomicUsize>,
    pool: Pool,
    clock: Clock,
    seen: Arc<Seen>,
    /// Sessions that close, and who waits for it.
    closing: Vec<(SessionKey, oneshot::Sender<()>)>,
}

impl Thread {
    pub(super) fn new(
        inputs: Receiver<Input>,
        waiting: Arc<AtomicUsize>,
        pool: Pool,
        clock: Clock,
        seen: Arc<Seen>,
    ) -> Self {
        let (engine, closing) = (Engine::new(), Vec::new());
        Self { engine, inputs, waiting, pool, clock, seen, closing }
    }

    /// Runs until it is told to stop, or nobody can tell it anything any more.
    pub(super) fn run(mut self) {
        let mut ticked = Instant::now();
        loop {
            match self.inputs.recv_timeout(TICK) {
                Ok(Input::Stop) | Err(RecvTimeoutError::Disconnected) => {
                    self.engine.close();
                    self.drain();
                    return;
                }
                Ok(input) => self.handle(input),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if ticked.elapsed() >= TICK {
                ticked = Instant::now();
                self.tick();
            }
        }
    }

    fn handle(&mut self, input: Input) {
        match input {
            Input::Batch(batch) => {
                for item in batch.items() {
                    self.engine.handle_item(&item);
                    self.drain();
                }
                self.waiting.fetch_sub(1, Ordering::AcqRel);
            }
            Input::Open { key, expected } => {
                if !self.engine.open_session(key, expected) {
                    tracing::error!("too many sessions for the transcriber: one is left out");
                }
            }
            Input::Close { key, closed } => {
                self.engine.close_session(key);
                self.closing.extend(closed.map(|closed| (key, closed)));
            }
            Input::AddTrack { key, track } => {
                if !self.engine.add_track(key, track) {
                    tracing::error!("too many tracks for the transcriber: one is left out");
                }
            }
            Input::SetLanguage { key, track, language } => {
                self.engine.set_language(key, track, language);
            }
            Input::RemoveTrack { track } => self.engine.remove_track(track),
            Input::Stop => {}
        }
        self.drain();
        self.tell_closed();
    }

    /// Tells whoever waits for the end of a session that all of it was given to the workers.
    fn tell_closed(&mut self) {
        let engine = &self.engine;
        for (_, closed) in self.closing.extract_if(.., |(key, _)| !engine.hears(*key)) {
            // Whoever asked may have stopped waiting.
            closed.send(()).ok();
        }
    }

    fn tick(&mut self) {
        let now_us = u64::try_from(self.clock.now().unix_us()).unwrap_or(0);
        self.engine.handle_timeout(now_us);
        self.drain();
        self.tell_closed();
        self.pool.shed_late();
        if let Some(hearing) = self.pool.hearing() {
            self.engine.being_said().for_each(|speech| hearing.hear(speech));
        }
        let piece = self.engine.so_far(&self.pool.wanted_so_far());
        if let Some(piece) = piece {
            self.pool.offer_so_far(piece);
        }
        let Counts { packets, decoded, concealed, late: _, malformed, lost, levels_distrusted } =
            self.engine.counts();
        let seen = &self.seen;
        seen.tracks.store(self.engine.tracks() as u64, Ordering::Relaxed);
        seen.packets.store(packets, Ordering::Relaxed);
        seen.decoded.store(decoded, Ordering::Relaxed);
        seen.concealed.store(concealed, Ordering::Relaxed);
        seen.malformed.store(malformed, Ordering::Relaxed);
        seen.lost.store(lost, Ordering::Relaxed);
        seen.levels_distrusted.store(levels_distrusted, Ordering::Relaxed);
    }

    fn drain(&mut self) {
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Piece(piece) => self.pool.push(piece),
                Output::Unheard(unheard) => self.pool.unheard(unheard),
            }
        }
    }
}
