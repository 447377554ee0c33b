//! Frames in the form that containers hold, and the positions to which players can seek.

use crate::domain::media::{Codec, MediaKind};

/// Most seek points of a file, which is as many as one `sidx` can list. At the limit every other
/// one is removed, and later ones are further apart.
const KEYS_MAX: usize = 65_000;
/// Longest chunk of a file when no key frame comes, in microseconds.
const CHUNK_US_MAX: u64 = 5_000_000;
/// A key frame that follows sooner than this, in microseconds, begins no new chunk.
const CHUNK_US_MIN: u64 = 1_000_000;
/// A chunk of a file ends at this many bytes.
const CHUNK_BYTES_MAX: usize = 1 << 20;

/// A frame and its time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sample {
    /// Microseconds after the beginning of the file at which it is shown; in an MP4 file, once its
    /// place is known, at which it is decoded.
    pub at_us: u64,
    /// Microseconds from its decoding to when it is shown: zero unless pictures are sent in another
    /// order than they are shown in.
    pub shown_after_us: i64,
    /// Whether it can be decoded without the frames before it.
    pub key: bool,
    /// Its bytes in the form that the container holds.
    pub data: Vec<u8>,
}

/// Frames that are written together: a WebM cluster or an MP4 fragment.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    pub(super) samples: Vec<Sample>,
    bytes: usize,
}

impl Chunk {
    /// Whether the chunk must be written before this frame is added.
    pub(super) fn is_full_for(&self, sample: &Sample, kind: MediaKind) -> bool {
        let Some(first) = self.samples.first() else { return false };
        let length_us = sample.at_us.saturating_sub(first.at_us);
        let begins_with_key = kind == MediaKind::Video && sample.key && length_us >= CHUNK_US_MIN;
        begins_with_key || length_us >= CHUNK_US_MAX || self.bytes >= CHUNK_BYTES_MAX
    }

    pub(super) fn push(&mut self, sample: Sample) {
        self.bytes += sample.data.len();
        self.samples.push(sample);
    }
}

/// A position to which a player can seek.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KeyPoint {
    /// Microseconds after the beginning of the file.
    pub(super) at_us: u64,
    /// Where the chunk begins, in bytes after the header.
    pub(super) offset: u64,
}

/// All seek points of a file.
#[derive(Debug, Default)]
pub(super) struct KeyPoints {
    pub(super) points: Vec<KeyPoint>,
    apart_us: u64,
}

impl KeyPoints {
    /// Adds the beginning of a chunk that begins with a key frame.
    pub(super) fn push(&mut self, point: KeyPoint) {
        let last = self.points.last();
        if last.is_some_and(|last| point.at_us < last.at_us.saturating_add(self.apart_us)) {
            return;
        }
        if self.points.len() >= KEYS_MAX {
            let mut even = false;
            self.points.retain(|_| {
                even = !even;
                even
            });
            self.apart_us = self.apart_us.max(CHUNK_US_MIN) * 2;
        }
        self.points.push(point);
    }
}

/// The results of a finished file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// The header, which precedes the bytes written before.
    pub header: Vec<u8>,
    /// Playing time in microseconds.
    pub duration_us: u64,
    /// Media type with the `codecs` parameter, as browsers require it.
    pub media_type: String,
}

/// How long the last frame is shown when its duration is not known.
pub(super) const fn last_frame_us(codec: Codec) -> u64 {
    match codec.kind() {
        MediaKind::Audio => 20_000,
        MediaKind::Video => 40_000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_to_jump_to_are_thinned_at_the_limit() {
        let mut keys = KeyPoints::default();
        for second in 0..200_000 {
            keys.push(KeyPoint { at_us: second * 1_000_000, offset: second });
            assert!(keys.points.len() <= KEYS_MAX);
        }
        assert!(keys.points.len() > KEYS_MAX / 4);
        assert_eq!(keys.points[0].offset, 0);
        assert!(keys.points.is_sorted_by_key(|point| point.at_us));
    }
}
