//! What the recorder tells a log. `docs/EVIDENCE.md` §Entries has the fields.

use crate::domain::id::RecordedTrackId;
use crate::domain::media::Codec;
use crate::evidence::repository::Hash;

/// An entry about media, before it has its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MediaEntry {
    /// A track is taken from here on.
    Track {
        /// Its identity.
        track: RecordedTrackId,
        /// What it carries.
        codec: Codec,
        /// JSON with `user_id`, `name`, `source`: committed to, not shown.
        subject: String,
    },
    /// A segment is in the vault.
    Segment {
        /// Its track.
        track: RecordedTrackId,
        /// From 0, without holes.
        index: u64,
        /// `sha256` of the track's segment before.
        previous: Option<Hash>,
        /// Bytes of the object.
        size: u64,
        /// SHA-256 of the object.
        sha256: Hash,
        /// Bytes 24 to 56 of the object.
        key_commitment: Hash,
        /// First and last extended RTP sequence number.
        rtp: (u64, u64),
        /// When the first and last record came, milliseconds since 1970.
        ms: (u64, u64),
        /// As in the format.
        flags: u32,
    },
    /// A span of which nothing was recorded.
    Gap {
        /// Of this track.
        track: RecordedTrackId,
        /// From when, milliseconds since 1970.
        from_ms: u64,
        /// Until when.
        to_ms: u64,
        /// As in the format.
        reason: u32,
    },
    /// Nothing came while the track was recorded. Logs of version 1 do not have
    /// such entries: they leave it out.
    Rest {
        /// Of this track.
        track: RecordedTrackId,
        /// From when, milliseconds since 1970.
        from_ms: u64,
        /// Until when.
        to_ms: u64,
        /// Why.
        rest: Rest,
    },
}

/// Why nothing came of a track while it was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rest {
    /// The floor or a mute had closed its gate.
    Gated {
        /// Number of the room's decision that closed it, if it is known.
        decision: Option<u64>,
    },
    /// Its source sent nothing.
    Silent,
}

/// Where a track ended, for the closing entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackTail {
    /// The track.
    pub track: RecordedTrackId,
    /// Index of its last segment.
    pub last_index: u64,
    /// SHA-256 of its last object.
    pub tail: Hash,
}
