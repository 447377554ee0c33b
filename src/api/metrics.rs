//! The Prometheus metrics of the REST interface.

use std::time::Duration;

const HTTP_REQUESTS: &str = "cabildo_http_requests_total";
const HTTP_REQUEST: &str = "cabildo_http_request_seconds";
const RATE_LIMITED: &str = "cabildo_rate_limited_total";

/// Describes every metric of the REST interface.
pub fn describe_metrics() {
    metrics::describe_counter!(HTTP_REQUESTS, "Requests by route, method and status.");
    metrics::describe_histogram!(HTTP_REQUEST, "Time that requests took, by route.");
    metrics::describe_counter!(RATE_LIMITED, "Requests refused by a rate limit, by scope.");
}

/// Counts a request that was answered. `route` is a pattern, never a path with ids.
pub(super) fn http_request(route: &str, method: &'static str, status: u16, took: Duration) {
    metrics::counter!(
        HTTP_REQUESTS,
        "route" => route.to_owned(), "method" => method, "status" => status.to_string()
    )
    .increment(1);
    metrics::histogram!(HTTP_REQUEST, "route" => route.to_owned()).record(took);
}

/// Counts a request that the rate limit of `scope` refused.
pub(super) fn rate_limited(scope: &'static str) {
    metrics::counter!(RATE_LIMITED, "scope" => scope).increment(1);
}
