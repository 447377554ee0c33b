//! Types of recordings.

use crate::domain::named_values::named_values;

named_values!(
    /// The state of the recorder of a room.
    RecordingState {
        /// Every track is recorded.
        Recording => "recording",
        /// Nothing is recorded; each track has a gap with this reason.
        Paused => "paused",
        /// Nothing is recorded, and the recorder is not a participant.
        Stopped => "stopped",
    }
);
named_values!(
    /// The state of a playable file.
    PlayableState {
        /// Waiting to be made, or for its recording to end.
        Waiting => "waiting",
        /// Being made; its stored parts are kept across restarts.
        Building => "building",
        /// It can be played.
        Ready => "ready",
        /// It can't be made; its journals are not affected.
        Failed => "failed",
        /// Its key was destroyed.
        Erased => "erased",
    }
);
named_values!(
    /// Why a combined file does without a track.
    LackReason {
        /// Nothing of its data can be decoded.
        Undecodable => "undecodable",
        /// The program that decodes it was ended or had no memory or disk, at every attempt.
        Interrupted => "interrupted",
    }
);
named_values!(
    /// The container format of a playable file.
    Container {
        /// `WebM`: VP8, VP9, AV1, Opus.
        Webm => "webm",
        /// Fragmented MP4: H.264, H.265, AV1, VP9, Opus.
        Mp4 => "mp4",
    }
);
