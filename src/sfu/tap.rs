//! A tap: a subscription that ends in this process. It is attached to a publication, after its
//! gate; a worker copies the packets into batches and offers these to a sink. A sink that is full
//! loses the batch and is told how many packets it lost; forwarding never waits for a sink.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use crate::domain::id::TrackId;
use crate::domain::media::Codec;

/// Bytes of packets that one batch holds at most. Raising it makes batches fewer, and each lost one
/// larger.
pub const BATCH_BYTES_MAX: usize = 64 * 1024;
/// Items that one batch holds at most.
pub const BATCH_ITEMS_MAX: usize = 1024;
/// Emptied batches that one worker keeps for reuse: the data of 20 ms at one gigabit per second.
const SPARE_BATCHES_MAX: usize = 64;
/// When a tap had no key frame for this long, one is requested, since a player can only seek to key
/// frames. Raising it makes seeking coarser; lowering it costs publishers bandwidth.
const KEY_FRAMES_EVERY: Duration = Duration::from_secs(20);
/// Bytes of a sender report without report blocks (RFC 3550 §6.4.1).
pub const SENDER_REPORT_BYTES: usize = 28;

/// An item about a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TapKind<'batch> {
    /// A decrypted RTP packet. A packet that came in a retransmission has the SSRC, payload type
    /// and sequence number of the original.
    Packet {
        /// Its bytes.
        bytes: &'batch [u8],
        /// Whether a decoder can start at this packet.
        key_frame_start: bool,
    },
    /// A sender report of the source, without report blocks.
    SenderReport(&'batch [u8]),
    /// Packets come from this source from now on. The first item of a tap.
    Source {
        /// Its SSRC.
        ssrc: u32,
        /// Its encoding; 0 is the lowest quality.
        layer: u8,
    },
    /// Packets of this payload type have this codec. Follows every `Source`.
    Codec {
        /// 0 to 127.
        payload_type: u8,
        /// The codec.
        codec: Codec,
    },
    /// Packets have the level of their sound (RFC 6464) in the header extension with this
    /// identifier. Follows every `Codec` of audio whose publisher sends levels.
    Levels {
        /// Identifier of the element, 1 to 255.
        extension: u8,
    },
    /// The gate was closed: no packets come until it is opened.
    GateClosed,
    /// The gate was opened.
    GateOpened,
    /// The publisher was sent a key-frame request.
    KeyFrameRequested,
    /// This number of packets passed the gate but found the sink full. The next item is a `Source`
    /// again.
    Lost(u32),
    /// The tap or its publication has ended, or the tap was refused since there are as many as there
    /// may be: this is the last item.
    Ended,
}

/// One item of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TapItem<'batch> {
    /// The track.
    pub track: TrackId,
    /// When it arrived, in microseconds since 1970.
    pub at_us: u64,
    /// What arrived or happened.
    pub kind: TapKind<'batch>,
}

/// An entry in the index of a batch; the bytes are in its arena.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Note {
    Packet { key_frame_start: bool },
    SenderReport,
    Source { ssrc: u32, layer: u8 },
    Codec { payload_type: u8, codec: Codec },
    Levels { extension: u8 },
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

/// Items of many tracks in the order in which they came. When it is dropped, its memory returns to
/// the worker that filled it.
#[derive(Debug)]
pub struct TapBatch {
    storage: Storage,
    home: SyncSender<Storage>,
}

impl TapBatch {
    /// Makes a batch of these items outside a worker.
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
                TapKind::Levels { extension } => (Note::Levels { extension }, &[]),
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

    /// Bytes of the packets that it holds.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.storage.bytes.len()
    }

    /// Whether it holds no item.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.storage.index.is_empty()
    }

    pub(super) fn fits(&self, bytes: usize) -> bool {
        self.storage.bytes.len() + bytes <= BATCH_BYTES_MAX
            && self.storage.index.len() < BATCH_ITEMS_MAX
    }

    /// Appends an item; `write` appends its bytes.
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
        // Fails when the worker has enough spare batches or has ended; the memory is then freed.
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
            Self::Levels { extension } => TapKind::Levels { extension },
            Self::GateClosed => TapKind::GateClosed,
            Self::GateOpened => TapKind::GateOpened,
            Self::KeyFrameRequested => TapKind::KeyFrameRequested,
            Self::Lost(packets) => TapKind::Lost(packets),
            Self::Ended => TapKind::Ended,
        }
    }
}

/// The empty batches of a worker.
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

    /// An empty batch, in reused memory when there is some.
    pub(super) fn batch(&self) -> TapBatch {
        let storage = self.returned.try_recv().unwrap_or_else(|_| Storage {
            bytes: Vec::with_capacity(BATCH_BYTES_MAX),
            index: Vec::with_capacity(BATCH_ITEMS_MAX),
        });
        TapBatch { storage, home: self.home.clone() }
    }
}

type Offer = dyn Fn(TapBatch) -> Result<(), TapBatch> + Send + Sync;

/// The receiver of batches. Clones are the same sink.
#[derive(Clone)]
pub struct TapSink {
    id: u64,
    offer: Arc<Offer>,
    key_frames_every: Duration,
}

impl TapSink {
    /// A sink that calls `offer` with each batch. Workers call it, so it must return at once; it
    /// returns batches that it has no room for.
    pub fn new(offer: impl Fn(TapBatch) -> Result<(), TapBatch> + Send + Sync + 'static) -> Self {
        static SINKS: AtomicU64 = AtomicU64::new(0);
        Self {
            id: SINKS.fetch_add(1, Ordering::Relaxed),
            offer: Arc::new(offer),
            key_frames_every: KEY_FRAMES_EVERY,
        }
    }

    /// The sink, which wants key frames so often. Publishers are asked for one when the last was so
    /// long ago.
    #[must_use]
    pub fn with_key_frames_every(self, key_frames_every: Duration) -> Self {
        Self { key_frames_every, ..self }
    }

    pub(super) fn key_frames_every_us(&self) -> u64 {
        u64::try_from(self.key_frames_every.as_micros()).unwrap_or(u64::MAX)
    }

    /// A sink and the receiving end of its channel, which holds this number of batches.
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

    /// Offers a batch to the sink.
    ///
    /// # Errors
    /// The batch, unchanged, when there is no room for it.
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
