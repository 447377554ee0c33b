//! A feed: a publication whose packets come from this process, such as a camera that the server
//! itself has opened. Its packets enter the forwarder where the packets of a peer do after
//! decryption, so gates, taps, subscriptions and statistics treat both alike.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::domain::id::TrackId;

/// Largest packet of a feed, in bytes: with the overhead of SRTP, UDP and IP an Ethernet frame. Paths
/// that take less fragment it. Raising it has more packets fragmented.
pub const PACKET_BYTES_MAX: usize = 1_400;
/// Bytes that one batch holds at most; one picture of a camera fits. Raising it makes batches
/// fewer, and each lost one larger.
const BATCH_BYTES_MAX: usize = 256 * 1024;
/// Packets that one batch holds at most.
const BATCH_PACKETS_MAX: usize = 512;
/// Emptied batches that a feed keeps for reuse.
const SPARE_BATCHES_MAX: usize = 8;

/// A flag that a worker sets when the track of a feed needs a key frame; the feeding code reads it
/// when it can. Clones share the flag.
#[derive(Debug, Clone, Default)]
pub struct KeyFrameSignal(Arc<AtomicBool>);

impl KeyFrameSignal {
    /// Asks for a key frame.
    pub(super) fn raise(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether a key frame was requested since this was last called.
    #[must_use]
    pub fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

impl PartialEq for KeyFrameSignal {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for KeyFrameSignal {}

/// The memory of a batch: packets one after the other, and the offset at which each ends.
#[derive(Debug, Default)]
struct Storage {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

/// Packets of one feed on their way to its worker. When it is dropped, its memory returns to the
/// feed.
#[derive(Debug)]
pub struct FeedBatch {
    track: TrackId,
    storage: Storage,
    home: SyncSender<Storage>,
}

impl FeedBatch {
    /// The track that they belong to.
    #[must_use]
    pub const fn track(&self) -> TrackId {
        self.track
    }

    /// How many packets it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.storage.ends.len()
    }

    /// Whether it holds no packet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.storage.ends.is_empty()
    }

    /// The packets, in order.
    pub fn packets(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.storage.ends.iter().copied());
        let spans = starts.zip(&self.storage.ends);
        spans.map(|(start, end)| self.storage.bytes.get(start..*end).unwrap_or_default())
    }

    /// Appends a packet; returns `false` when the batch is full.
    pub(super) fn push(&mut self, packet: &[u8]) -> bool {
        let Storage { bytes, ends } = &mut self.storage;
        if bytes.len() + packet.len() > BATCH_BYTES_MAX || ends.len() >= BATCH_PACKETS_MAX {
            return false;
        }
        bytes.extend_from_slice(packet);
        ends.push(bytes.len());
        true
    }
}

impl Drop for FeedBatch {
    fn drop(&mut self) {
        let mut storage = std::mem::take(&mut self.storage);
        storage.bytes.clear();
        storage.ends.clear();
        // Fails when the feed has enough spare batches or has ended; the memory is then freed.
        self.home.try_send(storage).ok();
    }
}

/// Makes the batches of one feed and reuses their memory.
#[derive(Debug)]
pub(super) struct FeedBatches {
    track: TrackId,
    home: SyncSender<Storage>,
    returned: Receiver<Storage>,
}

impl FeedBatches {
    pub(super) fn new(track: TrackId) -> Self {
        let (home, returned) = sync_channel(SPARE_BATCHES_MAX);
        Self { track, home, returned }
    }

    /// An empty batch, in reused memory when there is some.
    pub(super) fn batch(&self) -> FeedBatch {
        let storage = self.returned.try_recv().unwrap_or_default();
        FeedBatch { track: self.track, storage, home: self.home.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_come_out_as_they_went_in_and_memory_is_used_again() {
        let batches = FeedBatches::new(TrackId::generate());
        let mut batch = batches.batch();
        assert!(batch.push(b"one") && batch.push(b"") && batch.push(b"three"));
        assert_eq!(batch.packets().collect::<Vec<_>>(), [&b"one"[..], b"", b"three"]);
        let memory = batch.storage.bytes.as_ptr();
        drop(batch);
        let again = batches.batch();
        assert!(again.is_empty());
        assert_eq!(again.storage.bytes.as_ptr(), memory);
    }

    #[test]
    fn a_full_batch_takes_no_more() {
        let mut by_count = FeedBatches::new(TrackId::generate()).batch();
        let taken = (0..2 * BATCH_PACKETS_MAX).filter(|_| by_count.push(b"x")).count();
        assert_eq!(taken, BATCH_PACKETS_MAX);
        let mut by_bytes = FeedBatches::new(TrackId::generate()).batch();
        let packet = [0; PACKET_BYTES_MAX];
        while by_bytes.push(&packet) {}
        assert_eq!(by_bytes.len(), BATCH_BYTES_MAX / PACKET_BYTES_MAX);
    }
}
