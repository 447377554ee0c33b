//! A tap: a subscription that ends in the process. It hangs on a publication
//! behind its gate; a worker copies what passes into batches and offers them to
//! a sink. A sink that is full gets nothing, is told how much it missed, and
//! never makes forwarding wait.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use crate::domain::id::TrackId;
use crate::domain::media::Codec;

/// Bytes of packets that one batch holds at most. Raising it makes batches
/// fewer, and one that is lost larger.
pub const BATCH_BYTES_MAX: usize = 64 * 1024;
/// Items that one batch holds at most.
pub const BATCH_ITEMS_MAX: usize = 1024;
/// Emptied batches that one worker keeps to fill again, and thus what it takes
/// to run without allocating: 20 ms of a gigabit.
const SPARE_BATCHES_MAX: usize = 64;
/// Bytes of a sender report without report blocks (RFC 3550 §6.4.1).
pub const SENDER_REPORT_BYTES: usize = 28;

/// What came of a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TapKind<'batch> {
    /// An RTP packet as it came out of SRTP. One that a retransmission brought
    /// has the source, payload type and sequence number of what it repairs.
    Packet {
        /// Its bytes.
        bytes: &'batch [u8],
        /// Whether a receiver can start here.
        key_frame_start: bool,
    },
    /// A sender report of the source, without report blocks.
    SenderReport(&'batch [u8]),
    /// Packets come from this source from here on. The first item of a tap.
    Source {
        /// Its synchronisation source.
        ssrc: u32,
        /// Its encoding, 0 the lowest quality.
        layer: u8,
    },
    /// Packets of this payload type carry this codec. Follows each source.
    Codec {
        /// 0 to 127.
        payload_type: u8,
        /// What they carry.
        codec: Codec,
    },
    /// The floor closed the gate: nothing comes until it opens.
    GateClosed,
    /// The floor opened the gate.
    GateOpened,
    /// The publisher was asked for a key frame.
    KeyFrameRequested,
    /// So many packets passed the gate and found the sink full. What follows
    /// says again where it comes from.
    Lost(u32),
    /// The tap has ended, or its publication: nothing more comes.
    Ended,
}

/// One item of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TapItem<'batch> {
    /// Of this track.
    pub track: TrackId,
    /// When it came, microseconds since 1970.
    pub at_us: u64,
    /// What came.
    pub kind: TapKind<'batch>,
}

/// What stands in the index of a batch; bytes are in its arena.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Note {
    Packet { key_frame_start: bool },
    SenderReport,
    Source { ssrc: u32, layer: u8 },
    Codec { payload_type: u8, codec: Codec },
    GateClosed,
    GateOpened,
    KeyFrameRequested,
    Lost(u32),
    Ended,
}

#[derive(Debug, Clone, Copy)]
struct Indexed {
    track: TrackId,
    at_us: u64,
    note: Note,
    start: u32,
    end: u32,
}

/// The memory of a batch.
#[derive(Debug, Default)]
struct Storage {
    bytes: Vec<u8>,
    index: Vec<Indexed>,
}

/// Items of many tracks in the order in which they came. Its memory goes back
/// to the worker that filled it when it is dropped.
#[derive(Debug)]
pub struct TapBatch {
    storage: Storage,
    home: SyncSender<Storage>,
}

impl TapBatch {
    /// A batch of these items that came from elsewhere than a worker.
    #[must_use]
    pub fn of(items: &[TapItem<'_>]) -> Self {
        let (home, _) = sync_channel(1);
        let mut batch = Self { storage: Storage::default(), home };
        for item in items {
            let (note, bytes): (Note, &[u8]) = match item.kind {
                TapKind::Packet { bytes, key_frame_start } => {
                    (Note::Packet { key_frame_start }, bytes)
                }
                TapKind::SenderReport(bytes) => (Note::SenderReport, bytes),
                TapKind::Source { ssrc, layer } => (Note::Source { ssrc, layer }, &[]),
                TapKind::Codec { payload_type, codec } => {
                    (Note::Codec { payload_type, codec }, &[])
                }
                TapKind::GateClosed => (Note::GateClosed, &[]),
                TapKind::GateOpened => (Note::GateOpened, &[]),
                TapKind::KeyFrameRequested => (Note::KeyFrameRequested, &[]),
                TapKind::Lost(packets) => (Note::Lost(packets), &[]),
                TapKind::Ended => (Note::Ended, &[]),
            };
            batch.push(item.track, item.at_us, note, |into| into.extend_from_slice(bytes));
        }
        batch
    }

    /// Its items.
    pub fn items(&self) -> impl Iterator<Item = TapItem<'_>> {
        self.storage.index.iter().map(|it| {
            let bytes = self.storage.bytes.get(it.start as usize..it.end as usize);
            let bytes = bytes.unwrap_or_default();
            TapItem { track: it.track, at_us: it.at_us, kind: it.note.kind(bytes) }
        })
    }

    /// Bytes of packets that it holds.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.storage.bytes.len()
    }

    /// Whether it holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.storage.index.is_empty()
    }

    pub(super) fn fits(&self, bytes: usize) -> bool {
        self.storage.bytes.len() + bytes <= BATCH_BYTES_MAX
            && self.storage.index.len() < BATCH_ITEMS_MAX
    }

    /// Appends an item whose bytes `write` appends.
    pub(super) fn push(
        &mut self,
        track: TrackId,
        at_us: u64,
        note: Note,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        let place = |bytes: &Vec<u8>| u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let start = place(&self.storage.bytes);
        write(&mut self.storage.bytes);
        let end = place(&self.storage.bytes);
        self.storage.index.push(Indexed { track, at_us, note, start, end });
    }
}

impl Drop for TapBatch {
    fn drop(&mut self) {
        let mut storage = std::mem::take(&mut self.storage);
        storage.bytes.clear();
        storage.index.clear();
        // The worker has enough of them, or has ended: then the memory is freed.
        self.home.try_send(storage).ok();
    }
}

impl Note {
    fn kind(self, bytes: &[u8]) -> TapKind<'_> {
        match self {
            Self::Packet { key_frame_start } => TapKind::Packet { bytes, key_frame_start },
            Self::SenderReport => TapKind::SenderReport(bytes),
            Self::Source { ssrc, layer } => TapKind::Source { ssrc, layer },
            Self::Codec { payload_type, codec } => TapKind::Codec { payload_type, codec },
            Self::GateClosed => TapKind::GateClosed,
            Self::GateOpened => TapKind::GateOpened,
            Self::KeyFrameRequested => TapKind::KeyFrameRequested,
            Self::Lost(packets) => TapKind::Lost(packets),
            Self::Ended => TapKind::Ended,
        }
    }
}

/// Where a worker takes empty batches from.
#[derive(Debug)]
pub(super) struct BatchPool {
    home: SyncSender<Storage>,
    returned: Receiver<Storage>,
}

impl BatchPool {
    pub(super) fn new() -> Self {
        let (home, returned) = sync_channel(SPARE_BATCHES_MAX);
        Self { home, returned }
    }

    /// An empty batch, with the memory of one that was emptied if there is one.
    pub(super) fn batch(&self) -> TapBatch {
        let storage = self.returned.try_recv().unwrap_or_else(|_| Storage {
            bytes: Vec::with_capacity(BATCH_BYTES_MAX),
            index: Vec::with_capacity(BATCH_ITEMS_MAX),
        });
        TapBatch { storage, home: self.home.clone() }
    }
}

type Offer = dyn Fn(TapBatch) -> Result<(), TapBatch> + Send + Sync;

/// Where batches go. Clones are the same sink.
#[derive(Clone)]
pub struct TapSink {
    id: u64,
    offer: Arc<Offer>,
}

impl TapSink {
    /// A sink that `offer` takes batches for. It is called by workers, must
    /// return at once, and gives back what it has no room for.
    pub fn new(offer: impl Fn(TapBatch) -> Result<(), TapBatch> + Send + Sync + 'static) -> Self {
        static SINKS: AtomicU64 = AtomicU64::new(0);
        Self { id: SINKS.fetch_add(1, Ordering::Relaxed), offer: Arc::new(offer) }
    }

    /// A sink and the end of its channel, which holds this many batches.
    #[must_use]
    pub fn bounded(batches: usize) -> (Self, Receiver<TapBatch>) {
        let (sender, receiver) = sync_channel(batches);
        let sink = Self::new(move |batch| {
            sender.try_send(batch).map_err(|refused| match refused {
                TrySendError::Full(batch) | TrySendError::Disconnected(batch) => batch,
            })
        });
        (sink, receiver)
    }

    /// Offers a batch; gives it back when there is no room for it.
    ///
    /// # Errors
    /// The batch, unchanged.
    pub fn offer(&self, batch: TapBatch) -> Result<(), TapBatch> {
        (self.offer)(batch)
    }
}

impl PartialEq for TapSink {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for TapSink {}

impl fmt::Debug for TapSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TapSink({})", self.id)
    }
}
