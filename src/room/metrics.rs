//! The Prometheus metrics of rooms.

use std::time::Duration;

use crate::domain::attendance::{AttendanceFailure, AttendanceMethod};
use crate::domain::quality::{QualityCause, QualityLevel};
use crate::room::Rooms;
use crate::room::quality::QualityCounts;
use crate::telemetry::metrics::number;

const ROOMS: &str = "cabildo_rooms";
const MODERATION_ACTIONS: &str = "cabildo_moderation_actions_total";
const WS_RECONNECT: &str = "cabildo_ws_reconnect_seconds";

const ATTENDANCE_VALIDATED: &str = "cabildo_attendance_validated_total";
const ATTENDANCE_REFUSED: &str = "cabildo_attendance_refused_total";

const CONNECTION_QUALITY: &str = "cabildo_connection_quality_people";

const CHUNKS_EMITTED: &str = "cabildo_transcript_chunks_emitted_total";
const TRANSCRIPTION_LATENCY: &str = "cabildo_transcription_latency_seconds";

/// Describes every metric of rooms.
pub fn describe_metrics() {
    metrics::describe_gauge!(ROOMS, "Rooms open.");
    metrics::describe_counter!(MODERATION_ACTIONS, "Actions of moderators, by action.");
    metrics::describe_histogram!(WS_RECONNECT, "Time between losing and resuming a connection.");
    metrics::describe_counter!(
        ATTENDANCE_VALIDATED,
        "People who proved that they are present or were registered, by method."
    );
    metrics::describe_counter!(
        ATTENDANCE_REFUSED,
        "Proofs of presence that were not taken, by reason."
    );
    metrics::describe_gauge!(
        CONNECTION_QUALITY,
        "People in rooms whose media is measured, by level of their connection and its cause."
    );
    metrics::describe_counter!(CHUNKS_EMITTED, "Pieces of speech of which members got the text.");
    metrics::describe_histogram!(
        TRANSCRIPTION_LATENCY,
        "Time between the end of speech and telling members its text."
    );
}

/// Counts an action of a moderator; `action` is the `type` of its message.
pub(super) fn moderation_action(action: &'static str) {
    metrics::counter!(MODERATION_ACTIONS, "action" => action).increment(1);
}

/// Somebody proved that they are present, or was registered.
pub(super) fn attendance_validated(method: AttendanceMethod) {
    metrics::counter!(ATTENDANCE_VALIDATED, "method" => method.as_str()).increment(1);
}

/// What somebody presented was not taken.
pub(super) fn attendance_refused(failure: AttendanceFailure) {
    metrics::counter!(ATTENDANCE_REFUSED, "reason" => failure.as_str()).increment(1);
}

/// Members were told a text, this long after its speech had ended.
pub(super) fn chunk_told(after: Duration) {
    metrics::counter!(CHUNKS_EMITTED).increment(1);
    metrics::histogram!(TRANSCRIPTION_LATENCY).record(after);
}

/// Records that a member resumed after its connection was lost for the time `gone`.
pub(super) fn reconnected(gone: Duration) {
    metrics::histogram!(WS_RECONNECT).record(gone);
}

/// The people of one room by how good their connections are, as the metrics recorder has them. When the
/// room closes they are taken out again.
#[derive(Debug, Default)]
pub(super) struct CountedQuality(QualityCounts);

impl CountedQuality {
    /// Replaces what is counted of the room.
    pub(super) fn set(&mut self, counts: QualityCounts) {
        if counts == self.0 {
            return;
        }
        for ((level, cause), count) in &counts {
            quality_gauge(*level, *cause).increment(f64::from(*count));
        }
        for ((level, cause), count) in std::mem::replace(&mut self.0, counts) {
            quality_gauge(level, cause).decrement(f64::from(count));
        }
    }
}

impl Drop for CountedQuality {
    fn drop(&mut self) {
        self.set(QualityCounts::new());
    }
}

fn quality_gauge(level: QualityLevel, cause: Option<QualityCause>) -> metrics::Gauge {
    let cause = cause.map_or("none", QualityCause::as_str);
    metrics::gauge!(CONNECTION_QUALITY, "level" => level.as_str(), "cause" => cause)
}

impl Rooms {
    /// Copies the number of rooms to the metrics recorder.
    pub fn report_metrics(&self) {
        metrics::gauge!(ROOMS).set(number(self.count() as u64));
    }
}
