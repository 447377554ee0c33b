//! What is told Prometheus of the calls to governance.

use crate::governance::repository::Step;
use crate::telemetry::metrics::number;

const CALLS: &str = "cabildo_governance_calls_total";
const TOLD: &str = "cabildo_governance_events_total";
const WAITING: &str = "cabildo_governance_calls_waiting";

/// Describes every metric of governance.
pub fn describe_metrics() {
    metrics::describe_counter!(CALLS, "What governance was told and asked, by outcome.");
    metrics::describe_counter!(TOLD, "What governance told in Kafka, by type and outcome.");
    metrics::describe_gauge!(WAITING, "Calls to governance that are not done.");
}

/// A call ended like this.
pub(super) fn called(step: Step, outcome: &'static str) {
    metrics::counter!(CALLS, "step" => step.as_str(), "outcome" => outcome).increment(1);
}

/// A message of governance ended like this.
pub(super) fn told(kind: &'static str, outcome: &'static str) {
    metrics::counter!(TOLD, "type" => kind, "outcome" => outcome).increment(1);
}

/// So many calls are not done.
pub(super) fn waiting(calls: u64) {
    metrics::gauge!(WAITING).set(number(calls));
}
