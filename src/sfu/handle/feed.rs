//! The handle by which code in this process sends the packets of a feed.

use crate::domain::id::TrackId;
use crate::sfu::feed::{FeedBatch, FeedBatches, KeyFrameSignal, PACKET_BYTES_MAX};
use crate::sfu::worker::{FeedRefused, WorkerHandle};

/// Why packets of a feed were not forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FeedError {
    /// The packet is larger than [`PACKET_BYTES_MAX`].
    #[error("the packet is too large to be forwarded")]
    PacketTooLarge,
    /// The worker's queue is full; this number of packets was dropped.
    #[error("the worker is too busy: {0} packets were dropped")]
    Busy(usize),
    /// The media plane is stopped, or the worker has ended.
    #[error("the media plane is stopped")]
    Stopped,
}

/// Sends the packets of one track into the media plane without ever waiting: packets that the
/// worker has no room for are dropped, and an error says so. Dropping this handle does not end the
/// track; [`Sfu::end_feed`](crate::sfu::Sfu::end_feed) does.
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

    /// The track to which the packets belong.
    #[must_use]
    pub const fn track(&self) -> TrackId {
        self.track
    }

    /// Whether a receiver has requested a key frame since this was last called.
    #[must_use]
    pub fn take_key_frame_request(&self) -> bool {
        self.wanted.take()
    }

    /// Takes an unencrypted RTP packet, or RTCP with the sender's clock. It is sent with the next
    /// [`Self::flush`], or earlier when the batch is full.
    ///
    /// # Errors
    /// [`FeedError::PacketTooLarge`] when this packet is too large. [`FeedError::Busy`] and
    /// [`FeedError::Stopped`] concern an earlier batch; this packet was taken.
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

    /// Gives the worker the packets taken so far.
    ///
    /// # Errors
    /// [`FeedError::Busy`] and [`FeedError::Stopped`]: the packets are dropped.
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
