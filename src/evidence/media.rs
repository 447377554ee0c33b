//! The entries that the recorder adds to a log. `docs/EVIDENCE.md` §Entries defines the fields.

use crate::domain::id::RecordedTrackId;
use crate::domain::media::Codec;
use crate::evidence::repository::Hash;

/// An entry about media that has no `seq` yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MediaEntry {
    /// The recording of a track begins.
    Track {
        /// Id of the track.
        track: RecordedTrackId,
        /// Codec of the track.
        codec: Codec,
        /// JSON with `user_id`, `name`, `source`; the entry contains only a commitment to it.
        subject: String,
    },
    /// A segment was stored in the vault.
    Segment {
        /// Id of its track.
        track: RecordedTrackId,
        /// Number of the segment in the track, from 0, without gaps.
        index: u64,
        /// SHA-256 of the segment before it in the track.
        previous: Option<Hash>,
        /// Size of the object in bytes.
        size: u64,
        /// SHA-256 of the object.
        sha256: Hash,
        /// The key commitment of the object: its bytes 24 to 56.
        key_commitment: Hash,
        /// First and last extended RTP sequence number.
        rtp: (u64, u64),
        /// Times of the first and last record, in milliseconds since 1970.
        ms: (u64, u64),
        /// Flag bits of the format.
        flags: u32,
    },
    /// A span of which nothing was recorded.
    Gap {
        /// The track.
        track: RecordedTrackId,
        /// Begin, in milliseconds since 1970.
        from_ms: u64,
        /// End, in milliseconds since 1970.
        to_ms: u64,
        /// Number of the reason in the format.
        reason: u32,
    },
    /// A span of time in which a recorded track had no packets. Not added to logs of version 1,
    /// which have no such entries.
    Rest {
        /// The track.
        track: RecordedTrackId,
        /// Begin, in milliseconds since 1970.
        from_ms: u64,
        /// End, in milliseconds since 1970.
        to_ms: u64,
        /// Why there were none.
        rest: Rest,
    },
}

/// Why a recorded track had no packets for a span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rest {
    /// Its gate was closed by the floor or a mute.
    Gated {
        /// Number of the room's decision that closed it, if it is known.
        decision: Option<u64>,
    },
    /// Its source sent nothing.
    Silent,
}

/// The last segment of a track, for the close entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackTail {
    /// The track.
    pub track: RecordedTrackId,
    /// Index of its last segment.
    pub last_index: u64,
    /// SHA-256 of its last object.
    pub tail: Hash,
}
