//! Every request has a trace id, a span, a line in the log and a sample in the metrics; none of
//! these contains a path with ids, a query or an address.

use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::Instrument as _;

use super::error::internal_error;
use super::metrics;
use crate::telemetry::{TraceId, traced};

/// Header with the trace id of a request.
const X_TRACE_ID: HeaderName = HeaderName::from_static("x-trace-id");

/// Handles a request with its trace id, and completes it even when the caller disconnects:
/// observers must be told of a change that was stored. A panic becomes a refusal.
pub(super) async fn trace(request: Request, next: Next) -> Response {
    let trace = request
        .headers()
        .get("traceparent")
        .and_then(|header| TraceId::from_traceparent(header.to_str().ok()?))
        .unwrap_or_else(TraceId::random);
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "-".to_owned(), |path| path.as_str().to_owned());
    let method = method_name(request.method());
    let span = tracing::info_span!("request", trace_id = %trace, %method, %route);
    let started = Instant::now();
    let work = async {
        let answer = tokio::spawn(traced(trace, next.run(request)).in_current_span()).await;
        let response = answer.unwrap_or_else(|_| {
            tracing::error!("a handler panicked");
            internal_error().into_response()
        });
        let took = started.elapsed();
        let status = response.status().as_u16();
        metrics::http_request(&route, method, status, took);
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        if response.status().is_server_error() {
            tracing::warn!(status, took_ms, "request failed");
        } else {
            tracing::debug!(status, took_ms, "request answered");
        }
        response
    };
    let mut response = traced(trace, work.instrument(span)).await;
    if let Ok(value) = HeaderValue::from_str(&trace.to_string()) {
        response.headers_mut().insert(X_TRACE_ID, value);
    }
    response
}

/// The method as a label; unknown methods share one label.
fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "OTHER",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::Router;
    use axum::body::Body;
    use axum::middleware::from_fn;
    use axum::routing::get;
    use tokio::sync::Notify;
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn a_request_is_carried_out_to_its_end_when_its_caller_goes_away() {
        let (begun, go_on, done) =
            (Arc::new(Notify::new()), Arc::new(Notify::new()), Arc::new(Notify::new()));
        let handler = {
            let (begun, go_on, done) = (begun.clone(), go_on.clone(), done.clone());
            move || async move {
                begun.notify_one();
                go_on.notified().await;
                done.notify_one();
            }
        };
        let routes = Router::new().route("/", get(handler)).layer(from_fn(trace));
        let request = Request::builder().uri("/").body(Body::empty()).expect("a request");
        tokio::select! {
            answer = routes.oneshot(request) => panic!("answered early: {answer:?}"),
            () = begun.notified() => {}
        }
        go_on.notify_one();
        done.notified().await;
    }
}
