//! What streams of sessions tell Prometheus.

use crate::domain::camera::Unseen;
use crate::telemetry::metrics::number;

const RUNNING: &str = "cabildo_live_streams";
const UNSEEN: &str = "cabildo_live_cards_total";

/// Describes the metrics of streams of sessions.
pub fn describe_metrics() {
    metrics::describe_gauge!(RUNNING, "Sessions whose picture is made for viewers outside them.");
    metrics::describe_counter!(
        UNSEEN,
        "Times that viewers outside a session began to see a card and nobody, by the cause."
    );
}

/// How many sessions are watched.
pub(super) fn running(streams: usize) {
    metrics::gauge!(RUNNING).set(number(streams as u64));
}

/// Viewers of a session see nobody from now on.
pub(super) fn unseen(cause: Unseen) {
    metrics::counter!(UNSEEN, "cause" => cause.as_str()).increment(1);
}
