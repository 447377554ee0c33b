//! What the clients of the platform's services tell Prometheus.

use crate::services::breaker::BreakerState;
use crate::services::client::RemoteService;

const CALLS: &str = "cabildo_service_calls_total";
const BREAKER: &str = "cabildo_service_breaker_state";

/// Describes every metric of the services.
pub fn describe_metrics() {
    metrics::describe_counter!(CALLS, "Calls of the platform's services, by outcome.");
    metrics::describe_gauge!(
        BREAKER,
        "Circuit breaker of a service: 1 for the state it is in, 0 for the others."
    );
}

/// A service was called, or left alone, with this outcome.
pub(super) fn called(service: RemoteService, outcome: &'static str) {
    metrics::counter!(CALLS, "service" => service.as_str(), "outcome" => outcome).increment(1);
}

/// The circuit breaker of a service is in `state`.
pub(super) fn breaker_is(service: RemoteService, state: BreakerState) {
    for each in BreakerState::ALL {
        let value = if *each == state { 1.0 } else { 0.0 };
        metrics::gauge!(BREAKER, "service" => service.as_str(), "state" => each.as_str())
            .set(value);
    }
}
