//! The Prometheus metrics of sessions.

use std::time::Duration;

use crate::domain::id::TenantId;
use crate::domain::session::Modality;
use crate::telemetry::metrics::tenant_label;

const STARTED: &str = "cabildo_sessions_started_total";
const START: &str = "cabildo_session_start_seconds";

/// Describes every metric of sessions.
pub fn describe_metrics() {
    metrics::describe_counter!(STARTED, "Sessions that became active.");
    metrics::describe_histogram!(START, "Time that starting a session took.");
}

/// Counts a session that became active, `took` after the request.
pub(super) fn session_started(tenant: TenantId, modality: Modality, took: Duration) {
    let labels = [("tenant", tenant_label(tenant)), ("modality", modality.as_str().to_owned())];
    metrics::counter!(STARTED, &labels).increment(1);
    metrics::histogram!(START).record(took);
}
