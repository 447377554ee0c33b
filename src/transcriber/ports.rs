//! The parts, options, counters and errors of a transcriber.

use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::clock::Clock;
use crate::domain::id::SessionKey;
use crate::domain::transcript::{Transcribed, TranscriptChunk};
use crate::sfu::SessionTaps;
use crate::transcriber::speech::SpeechEngine;

/// Takes text and gaps, those of one session in the order in which they were said by each person.
#[async_trait]
pub trait Sink: Send + Sync {
    /// Something was said. Others of the same session wait until this returns.
    async fn transcribed(&self, key: SessionKey, said: Transcribed);

    /// The text so far of something that is still being said; the next one of the same beginning
    /// replaces it. It may be dropped, and must not wait.
    fn so_far(&self, key: SessionKey, chunk: TranscriptChunk);
}

/// What a transcriber is made of.
pub struct TranscriberParts {
    /// The name of its engine in the configuration, for metrics.
    pub name: String,
    /// Where tracks are tapped.
    pub taps: Arc<dyn SessionTaps>,
    /// What recognises speech.
    pub engine: Arc<dyn SpeechEngine>,
    /// Where text goes.
    pub sink: Arc<dyn Sink>,
    /// The time, as taps have it.
    pub clock: Clock,
}

/// How a transcriber is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TranscriberOptions {
    /// Pieces that are recognised at the same time, each on a thread of its own.
    pub workers: NonZeroUsize,
    /// How long what was said last is waited for.
    pub patience: Patience,
    /// Whether text is made of what whoever has the floor is still saying, while there is room and
    /// the engine is free of charge.
    pub so_far: bool,
}

/// How long what was said last is waited for. What has no text by then is told as a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// At the end of a session. Raising it makes that later when an engine hangs.
    pub last_words: Duration,
    /// At a shutdown. Raising it makes that longer when an engine hangs.
    pub shutdown: Duration,
}

impl Default for Patience {
    /// A piece waits for two seconds at most, and a remote engine has five. That leaves one second
    /// for a second engine.
    fn default() -> Self {
        Self { last_words: Duration::from_secs(8), shutdown: Duration::from_secs(6) }
    }
}

/// Workers for recognition on this machine: all cores but one, which is for the media.
#[must_use]
pub fn workers_by_default() -> NonZeroUsize {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    NonZeroUsize::new(cores.saturating_sub(1)).unwrap_or(NonZeroUsize::MIN)
}

/// A transcriber can't be started.
#[derive(Debug, thiserror::Error)]
pub enum TranscriberError {
    /// A thread can't be started.
    #[error("the transcriber can't start: {0}")]
    Start(#[source] io::Error),
}

/// Counters and sizes of a transcriber since it was started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TranscriberStats {
    /// Tracks that it listens to.
    pub tracks: u64,
    /// Batches of packets that wait for it.
    pub batches_waiting: u64,
    /// Pieces of speech that wait for a worker.
    pub pieces_waiting: u64,
    /// Packets that passed gates.
    pub packets: u64,
    /// Packets that were decoded.
    pub decoded: u64,
    /// Lost packets that were reconstructed or concealed.
    pub concealed: u64,
    /// Packets that are not RTP or not in the codec of their track.
    pub malformed: u64,
    /// Packets that were lost because the transcriber was busy.
    pub packets_lost: u64,
    /// Tracks whose sender said that there was silence where there was sound.
    pub levels_distrusted: u64,
    /// Pieces of speech.
    pub pieces: u64,
    /// Pieces in which nothing was understood, which are noise.
    pub wordless: u64,
    /// Texts.
    pub chunks: u64,
    /// Texts of what was still being said.
    pub so_far: u64,
    /// Gaps.
    pub gaps: u64,
    /// Pieces that were let go because they could not be recognised in time.
    pub shed: u64,
}
