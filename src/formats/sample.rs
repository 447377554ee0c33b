//! Frames as containers hold them, and the positions that players can seek to.

use crate::domain::media::{Codec, MediaKind};

/// Most places to jump to in a file: as many as one `sidx` can name. When it
/// is reached every other is left out, and later ones are further apart.
const KEYS_MAX: usize = 65_000;
/// A chunk of a file, if no key frame comes, microseconds.
const CHUNK_US_MAX: u64 = 5_000_000;
/// Key frames that come faster begin no chunk of a file, microseconds.
const CHUNK_US_MIN: u64 = 1_000_000;
/// A chunk of a file ends when it has so many bytes.
const CHUNK_BYTES_MAX: usize = 1 << 20;

/// A frame in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// After the beginning of the file, microseconds.
    pub at_us: u64,
    /// Whether it can be decoded without those before.
    pub key: bool,
    /// As the container holds it.
    pub data: Vec<u8>,
}

/// Frames that are written together: a cluster, a fragment.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    pub(super) samples: Vec<Sample>,
    bytes: usize,
}

impl Chunk {
    /// Whether the chunk has to be written before this frame is taken.
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

/// Where a player may jump to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KeyPoint {
    /// After the beginning of the file, microseconds.
    pub(super) at_us: u64,
    /// Where the chunk begins, in bytes after the header.
    pub(super) offset: u64,
}

/// All places to jump to.
#[derive(Debug, Default)]
pub(super) struct KeyPoints {
    pub(super) points: Vec<KeyPoint>,
    apart_us: u64,
}

impl KeyPoints {
    /// Takes the beginning of a chunk that begins with a key frame.
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

/// What a finished file says in its header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// The bytes that come before all others.
    pub header: Vec<u8>,
    /// How long it plays.
    pub duration_us: u64,
    /// With codecs, as browsers want it.
    pub media_type: String,
}

/// How long the last frame is shown when nothing says it.
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
