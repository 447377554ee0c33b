//! What the recorder tells Prometheus. Its counters are copied when metrics
//! are scraped.

use std::time::Duration;

use crate::recorder::{Recorder, RecorderStats};
use crate::telemetry::metrics::number;

const TRACKS: &str = "cabildo_recorder_tracks";
const BATCHES_WAITING: &str = "cabildo_recorder_batches_waiting";
const DURATION: &str = "cabildo_recording_duration_seconds_total";
const PACKETS: &str = "cabildo_recorder_packets_total";
const SEGMENTS: &str = "cabildo_recorder_segments_total";
const GAPS: &str = "cabildo_recorder_gaps_total";
const PACKETS_LOST: &str = "cabildo_recorder_packets_lost_total";
const UPLOAD_FAILURES: &str = "cabildo_recorder_upload_failures_total";
const SET_ASIDE: &str = "cabildo_recorder_tracks_set_aside_total";
const SPOOL_SEGMENTS: &str = "cabildo_recorder_spool_segments";
const SPOOL_BYTES: &str = "cabildo_recorder_spool_bytes";
const SPOOL_FREE_BYTES: &str = "cabildo_recorder_spool_free_bytes";
const LAG: &str = "cabildo_recorder_lag_seconds";

/// Describes every metric of the recorder.
pub fn describe_metrics() {
    metrics::describe_gauge!(TRACKS, "Tracks being recorded.");
    metrics::describe_gauge!(BATCHES_WAITING, "Batches of packets that wait for the recorder.");
    metrics::describe_counter!(DURATION, "Time recorded, of all tracks together.");
    metrics::describe_counter!(PACKETS, "Packets recorded.");
    metrics::describe_counter!(SEGMENTS, "Segments sealed.");
    metrics::describe_counter!(GAPS, "Gaps recorded.");
    metrics::describe_counter!(PACKETS_LOST, "Packets that were not recorded.");
    metrics::describe_counter!(
        UPLOAD_FAILURES,
        "Attempts to bring a segment to the vault that failed."
    );
    metrics::describe_counter!(
        SET_ASIDE,
        "Tracks that stay in the spool because the log refuses them."
    );
    metrics::describe_gauge!(SPOOL_SEGMENTS, "Segments on their way to the vault.");
    metrics::describe_gauge!(SPOOL_BYTES, "Bytes of those segments.");
    metrics::describe_gauge!(SPOOL_FREE_BYTES, "Bytes free on the disk of the spool.");
    metrics::describe_gauge!(LAG, "Age of the oldest segment that is not in vault and log.");
}

impl Recorder {
    /// Copies the counters to the metrics recorder.
    pub fn report_metrics(&self) {
        let RecorderStats {
            tracks,
            batches_waiting,
            packets,
            segments_sealed,
            recorded_ms,
            spool_segments,
            spool_bytes,
            oldest_pending_ms,
            spool_free_bytes,
            upload_failures,
            tracks_set_aside,
            gaps,
            packets_lost,
        } = self.stats();
        metrics::gauge!(TRACKS).set(number(tracks));
        metrics::gauge!(BATCHES_WAITING).set(number(batches_waiting));
        metrics::counter!(DURATION).absolute(recorded_ms / 1_000);
        metrics::counter!(PACKETS).absolute(packets);
        metrics::counter!(SEGMENTS).absolute(segments_sealed);
        metrics::counter!(GAPS).absolute(gaps);
        metrics::counter!(PACKETS_LOST).absolute(packets_lost);
        metrics::counter!(UPLOAD_FAILURES).absolute(upload_failures);
        metrics::counter!(SET_ASIDE).absolute(tracks_set_aside);
        metrics::gauge!(SPOOL_SEGMENTS).set(number(spool_segments));
        metrics::gauge!(SPOOL_BYTES).set(number(spool_bytes));
        metrics::gauge!(SPOOL_FREE_BYTES).set(number(spool_free_bytes));
        metrics::gauge!(LAG).set(Duration::from_millis(oldest_pending_ms));
    }
}
