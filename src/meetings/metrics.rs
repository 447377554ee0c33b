//! What is told Prometheus of meetings at other providers.

use crate::domain::session::Provider;
use crate::sessions::MeetingError;
use crate::telemetry::metrics::number;

const MADE: &str = "cabildo_provider_meetings_total";
const OPEN: &str = "cabildo_provider_meetings_open";
const WEBHOOKS: &str = "cabildo_provider_webhooks_total";
const CALLS: &str = "cabildo_provider_calls_total";

/// Describes every metric of meetings.
pub fn describe_metrics() {
    metrics::describe_counter!(MADE, "Meetings wanted of another provider, by outcome.");
    metrics::describe_gauge!(OPEN, "Meetings at other providers that are not closed.");
    metrics::describe_counter!(WEBHOOKS, "Webhooks of Zoom, by outcome.");
    metrics::describe_counter!(
        CALLS,
        "What was found of calls in meetings, by how and what: webhook or poll, running or ended."
    );
}

/// A meeting was wanted, with this outcome.
pub(super) fn made(provider: Provider, error: Option<&MeetingError>) {
    let outcome = error.map_or("made", |error| error.code().as_str());
    metrics::counter!(MADE, "provider" => provider.as_str(), "outcome" => outcome).increment(1);
}

/// So many meetings are not closed.
pub(super) fn open(meetings: u64) {
    metrics::gauge!(OPEN).set(number(meetings));
}

/// A webhook came, with this outcome.
pub(super) fn webhook(outcome: &'static str) {
    metrics::counter!(WEBHOOKS, "outcome" => outcome).increment(1);
}

/// It was found out that a call began or ended.
pub(super) fn call(how: &'static str, what: &'static str) {
    metrics::counter!(CALLS, "how" => how, "what" => what).increment(1);
}
