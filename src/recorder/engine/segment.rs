//! One segment while it is written.

use super::{Effects, FLAG_KEY_FRAME, FLAG_LOST, Output, SegmentMeta};
use crate::domain::id::RecordedTrackId;
use crate::recorder::journal::{JournalWriter, SideEvent};
use crate::sealing::Sealer;

/// A segment that is open.
pub(super) struct Segment {
    recorded: RecordedTrackId,
    index: u64,
    item: u64,
    sealer: Sealer,
    journal: JournalWriter,
    rtp: Option<(u64, u64)>,
    flags: u32,
}

impl Segment {
    /// Begins a segment whose first record came at `at_us`.
    pub(super) fn begin(
        recorded: RecordedTrackId,
        index: u64,
        item: u64,
        at_us: u64,
        effects: &mut Effects,
        sealer: impl FnOnce(&mut Vec<u8>) -> Sealer,
    ) -> Self {
        let mut bytes = Vec::with_capacity(crate::sealing::CHUNK_BYTES + 64);
        let mut sealer = sealer(&mut bytes);
        effects.journal.clear();
        let journal = JournalWriter::begin(at_us, &mut effects.journal);
        sealer.write(&effects.journal, &mut bytes);
        effects.outputs.push_back(Output::Sealed { recorded, bytes });
        Self { recorded, index, item, sealer, journal, rtp: None, flags: 0 }
    }

    /// Its number among the items of its track.
    pub(super) const fn item(&self) -> u64 {
        self.item
    }

    /// When its first record came, milliseconds since 1970.
    pub(super) const fn began_ms(&self) -> u64 {
        self.journal.base_us() / 1_000
    }

    /// When its last record came.
    pub(super) const fn latest_ms(&self) -> u64 {
        self.journal.last_us() / 1_000
    }

    pub(super) fn packet(
        &mut self,
        at_us: u64,
        extended: u64,
        starts: bool,
        bytes: &[u8],
        effects: &mut Effects,
    ) {
        effects.journal.clear();
        // A worker has checked that it is a packet.
        if self.journal.rtp(at_us, bytes, &mut effects.journal).is_err() {
            return;
        }
        if self.rtp.is_none() && starts {
            self.flags |= FLAG_KEY_FRAME;
        }
        let (first, last) = self.rtp.unwrap_or((extended, extended));
        self.rtp = Some((first.min(extended), last.max(extended)));
        self.seal(effects);
    }

    pub(super) fn report(&mut self, at_us: u64, bytes: &[u8], effects: &mut Effects) {
        effects.journal.clear();
        if self.journal.sender_report(at_us, bytes, &mut effects.journal).is_ok() {
            self.seal(effects);
        }
    }

    pub(super) fn side(&mut self, at_us: u64, event: SideEvent, effects: &mut Effects) {
        if matches!(event, SideEvent::Lost(_)) {
            self.flags |= FLAG_LOST;
        }
        effects.journal.clear();
        self.journal.side(at_us, event, &mut effects.journal);
        self.seal(effects);
    }

    fn seal(&mut self, effects: &mut Effects) {
        let mut bytes = Vec::new();
        self.sealer.write(&effects.journal, &mut bytes);
        if !bytes.is_empty() {
            effects.outputs.push_back(Output::Sealed { recorded: self.recorded, bytes });
        }
    }

    /// Ends it. `extended` is its sequence number if it has no packets.
    pub(super) fn finish(self, flags: u32, extended: u64, effects: &mut Effects) -> SegmentMeta {
        let (from_ms, to_ms) = (self.began_ms(), self.latest_ms());
        let mut bytes = Vec::with_capacity(crate::sealing::CHUNK_BYTES);
        let sealed = self.sealer.finish(&mut bytes);
        let recorded = self.recorded;
        effects.outputs.push_back(Output::Sealed { recorded, bytes });
        let segment = SegmentMeta {
            index: self.index,
            size: sealed.size,
            sha256: sealed.sha256,
            rtp: self.rtp.unwrap_or((extended, extended)),
            ms: (from_ms, to_ms),
            flags: self.flags | flags,
        };
        effects.counts.segments += 1;
        effects.counts.recorded_ms += to_ms - from_ms;
        effects.outputs.push_back(Output::Finished { recorded, segment });
        segment
    }
}
