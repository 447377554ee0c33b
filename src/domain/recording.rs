//! Types of recordings.

use crate::domain::words::words;

words!(
    /// What the recorder of a room does.
    RecordingState {
        /// Every track is taken.
        Recording => "recording",
        /// Nothing is taken; each track has a gap that says so.
        Paused => "paused",
        /// Nothing is taken, and the participants see no recorder.
        Stopped => "stopped",
    }
);
words!(
    /// How far a playable file is.
    PlayableState {
        /// Waiting for its turn, or for its recording to end.
        Waiting => "waiting",
        /// Being made; what is stored of it is kept across restarts.
        Building => "building",
        /// It can be watched.
        Ready => "ready",
        /// It can't be made; its journals are whole nevertheless.
        Failed => "failed",
        /// Its key was destroyed.
        Erased => "erased",
    }
);
words!(
    /// What a playable file is packed in.
    Container {
        /// `WebM`: VP8, VP9, AV1, Opus.
        Webm => "webm",
        /// Fragmented MP4: H.264, H.265, AV1, VP9, Opus.
        Mp4 => "mp4",
    }
);
