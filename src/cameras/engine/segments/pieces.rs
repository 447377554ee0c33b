//! Segments that are recorded: long ones, whose parts are taken one after the other as soon as each
//! is made.

use bytes::Bytes;

use super::{PartTarget, Segments};
use crate::cameras::engine::timeline::TICKS_PER_S;
use crate::domain::time::Timestamp;

/// Target duration of a recording, in seconds, and the ticks after which a key picture begins a
/// segment of one. Raising them makes fewer objects, which take more memory while they are played.
const TARGET_RECORDED_S: u64 = 10;
pub(super) const SEGMENT_RECORDED_MIN: i64 = 8 * TICKS_PER_S;
/// How long a part of a recording is at most, in ticks: so much is lost when the process is killed.
/// Raising it writes to the disk less often.
const PART_RECORDED: i64 = TICKS_PER_S;
/// Segments of a recording that are kept: its parts are taken when they are made. Raising it uses
/// more memory for each camera that is recorded, and survives a disk that is slower.
pub(super) const KEPT_RECORDED: usize = 2;

/// What follows in a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// A part of a segment.
    Part(RecordedPart),
    /// The segment of this number is whole.
    End(u64),
}

/// A part of a segment that is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedPart {
    /// The number of its segment.
    pub segment: u64,
    /// Its place in it, from 0.
    pub place: usize,
    /// The header that the segment needs.
    pub header: Bytes,
    /// Whether the segment does not go on where the one before ended.
    pub is_break: bool,
    /// When the first picture of the segment came.
    pub at: Timestamp,
    /// How long it plays, in ticks.
    pub ticks: u64,
    /// Its bytes.
    pub data: Bytes,
}

impl Segments {
    /// Segments to be recorded, which are numbered from 0.
    #[must_use]
    pub const fn to_record() -> Self {
        let mut segments = Self::with_target(String::new(), 0, TARGET_RECORDED_S);
        segments.part_target = PartTarget::Ticks(PART_RECORDED);
        segments.is_recorded = true;
        segments
    }

    /// What follows in a recording of which the parts of a segment before this one were taken.
    /// Segments that were not taken in time are left out, so that the next one is of a number
    /// that is not the next.
    #[must_use]
    pub fn recorded(&self, (segment, place): (u64, usize)) -> Option<Piece> {
        let oldest = self.kept.front().map_or(self.next, |it| it.number);
        let (segment, place) = if segment < oldest { (oldest, 0) } else { (segment, place) };
        let whole = self.kept.iter().find(|it| it.number == segment);
        let (header, is_break, at, parts) = if let Some(it) = whole {
            (it.header, it.is_break, it.at, it.parts.as_slice())
        } else {
            let growth = self.growth();
            (growth.header, growth.is_break, growth.at, growth.parts)
        };
        let Some(part) = parts.get(place) else { return whole.map(|it| Piece::End(it.number)) };
        let header = self.headers.iter().find(|it| it.0 == header)?.1.clone();
        let (ticks, data) = (part.ticks, part.data.clone());
        Some(Piece::Part(RecordedPart { segment, place, header, is_break, at, ticks, data }))
    }
}
