//! What cameras tell Prometheus.

use crate::cameras::engine::policy::Step;
use crate::domain::error_code::ErrorCode;
use crate::domain::id::TenantId;
use crate::telemetry::metrics::tenant_label;

const STEPS: &str = "cabildo_stream_session_steps_total";
const REFUSED: &str = "cabildo_stream_sessions_refused_total";

/// Describes every metric of cameras.
pub fn describe_metrics() {
    metrics::describe_counter!(STEPS, "Stream sessions that were issued, began, ended or expired.");
    metrics::describe_counter!(REFUSED, "Stream sessions that a tenant's limit refused.");
}

/// A session took a step.
pub(super) fn stepped(tenant: TenantId, step: Step) {
    let step = match step {
        Step::Issue => "issue",
        Step::Activate => "activate",
        Step::End => "end",
        Step::Expire => "expire",
    };
    metrics::counter!(STEPS, "tenant" => tenant_label(tenant), "step" => step).increment(1);
}

/// A session was refused.
pub(super) fn refused(tenant: TenantId, code: ErrorCode) {
    metrics::counter!(REFUSED, "tenant" => tenant_label(tenant), "code" => code.as_str())
        .increment(1);
}
