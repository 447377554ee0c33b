//! What somebody in this process holds of the track that it feeds.

use crate::domain::id::TrackId;
use crate::sfu::feed::{FeedBatch, FeedBatches, KeyFrameSignal, PACKET_BYTES_MAX};
use crate::sfu::worker::{FeedRefused, WorkerHandle};

/// Why packets of a feed went nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FeedError {
    /// The packet is larger than [`PACKET_BYTES_MAX`].
    #[error("the packet is too large to be forwarded")]
    PacketTooLarge,
    /// The worker is too busy; so many packets were dropped.
    #[error("the worker is too busy: {0} packets were dropped")]
    Busy(usize),
    /// The media plane is stopped, or the worker has ended.
    #[error("the media plane is stopped")]
    Stopped,
}

/// The way of one track into the media plane. Nothing here waits: what a worker
/// has no room for is dropped and told. Dropping it does not end the track;
/// [`Sfu::end_feed`](crate::sfu::Sfu::end_feed) does.
#[derive(Debug)]
pub struct Feed {
    track: TrackId,
    worker: WorkerHandle,
    wanted: KeyFrameSignal,
    batches: FeedBatches,
    filling: FeedBatch,
}

impl Feed {
    pub(super) fn new(track: TrackId, worker: WorkerHandle, wanted: KeyFrameSignal) -> Self {
        let batches = FeedBatches::new(track);
        let filling = batches.batch();
        Self { track, worker, wanted, batches, filling }
    }

    /// The track that it feeds.
    #[must_use]
    pub const fn track(&self) -> TrackId {
        self.track
    }

    /// Whether a receiver has asked for a key frame since this was last called.
    #[must_use]
    pub fn take_key_frame_request(&self) -> bool {
        self.wanted.take()
    }

    /// Takes a plain RTP packet, or RTCP with the sender's clock. It leaves with
    /// the next [`Self::flush`], or with what follows it when a batch is full.
    ///
    /// # Errors
    /// [`FeedError::PacketTooLarge`]; the rest is of an earlier batch, and this
    /// packet is taken.
    pub fn push(&mut self, packet: &[u8]) -> Result<(), FeedError> {
        if packet.len() > PACKET_BYTES_MAX {
            return Err(FeedError::PacketTooLarge);
        }
        if self.filling.push(packet) {
            return Ok(());
        }
        let flushed = self.flush();
        self.filling.push(packet);
        flushed
    }

    /// Gives the worker what was taken.
    ///
    /// # Errors
    /// [`FeedError::Busy`] and [`FeedError::Stopped`]: it is dropped.
    pub fn flush(&mut self) -> Result<(), FeedError> {
        if self.filling.is_empty() {
            return Ok(());
        }
        let full = std::mem::replace(&mut self.filling, self.batches.batch());
        let packets = full.len();
        self.worker.feed(full).map_err(|refused| match refused {
            FeedRefused::Full => FeedError::Busy(packets),
            FeedRefused::Gone => FeedError::Stopped,
        })
    }
}
