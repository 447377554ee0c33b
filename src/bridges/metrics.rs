//! What cameras in rooms tell Prometheus.

use super::engine::aac::Counts;

const SOUND: &str = "cabildo_camera_sound_frames_total";

/// Describes every metric of cameras in rooms.
pub fn describe_metrics() {
    metrics::describe_counter!(SOUND, "Frames of AAC that were to become Opus for rooms.");
}

/// Frames were decoded, or could not be.
pub(super) fn sound_made(Counts { decoded, broken }: Counts) {
    metrics::counter!(SOUND, "result" => "decoded").increment(decoded);
    metrics::counter!(SOUND, "result" => "broken").increment(broken);
}

/// A packet came while too many waited.
pub(super) fn sound_dropped() {
    metrics::counter!(SOUND, "result" => "dropped").increment(1);
}
