//! Every request has a trace id, a span, a line in the log and a sample in the metrics; none of
//! these contains a path with ids, a query or an address.

use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::task::JoinHandle;
use tracing::Instrument as _;

use super::error::{internal_error, not_known_yet};
use super::idempotency::IDEMPOTENCY_KEY;
use super::metrics;
use crate::telemetry::{TraceId, traced};

/// Header with the trace id of a request.
const X_TRACE_ID: HeaderName = HeaderName::from_static("x-trace-id");

/// How long a request that changes something may take before its caller is told that its outcome is
/// not known yet. Only waiting for a database takes that long. Must be shorter than the time after
/// which the claim of an `Idempotency-Key` is taken over.
const OUTCOME_TIME_MAX: Duration = Duration::from_secs(50);

/// Handles a request with its trace id, and completes it even when the caller disconnects or does not
/// wait any longer: observers must be told of a change that was stored. A panic becomes a refusal.
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
        let patience = (!request.method().is_safe()).then_some(OUTCOME_TIME_MAX);
        let has_key = request.headers().contains_key(IDEMPOTENCY_KEY);
        let task = tokio::spawn(traced(trace, next.run(request)).in_current_span());
        let response = answer_of(task, patience, has_key).await;
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

/// What a handler answers, or after a while that its outcome is not known yet; it goes on then.
async fn answer_of(
    task: JoinHandle<Response>,
    patience: Option<Duration>,
    has_key: bool,
) -> Response {
    let answer = match patience {
        Some(patience) => tokio::time::timeout(patience, task).await,
        None => Ok(task.await),
    };
    match answer {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => {
            tracing::error!("a handler panicked");
            internal_error().into_response()
        }
        Err(_) => not_known_yet(has_key).into_response(),
    }
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
    use axum::body::{Body, to_bytes};
    use axum::http::StatusCode;
    use axum::middleware::from_fn;
    use axum::routing::any;
    use tokio::sync::Notify;
    use tower::ServiceExt as _;

    use super::*;

    /// A route whose handler tells when it has begun and is done, and waits in between.
    #[derive(Clone, Default)]
    struct Waiting {
        begun: Arc<Notify>,
        go_on: Arc<Notify>,
        done: Arc<Notify>,
    }

    impl Waiting {
        fn routes(&self) -> Router {
            let Self { begun, go_on, done } = self.clone();
            let handler = move || async move {
                begun.notify_one();
                go_on.notified().await;
                done.notify_one();
            };
            Router::new().route("/", any(handler)).layer(from_fn(trace))
        }
    }

    fn request(method: Method) -> Request {
        Request::builder().method(method).uri("/").body(Body::empty()).expect("a request")
    }

    #[tokio::test]
    async fn a_request_is_carried_out_to_its_end_when_its_caller_goes_away() {
        let waiting = Waiting::default();
        tokio::select! {
            answer = waiting.routes().oneshot(request(Method::GET)) => panic!("early: {answer:?}"),
            () = waiting.begun.notified() => {}
        }
        waiting.go_on.notify_one();
        waiting.done.notified().await;
    }

    #[tokio::test]
    async fn who_gave_no_key_is_told_to_look_before_asking_again() {
        let mut messages = Vec::new();
        for has_key in [true, false] {
            let task = tokio::spawn(std::future::pending());
            let answer = answer_of(task, Some(Duration::ZERO), has_key).await;
            let body = to_bytes(answer.into_body(), 4096).await.expect("a body");
            let body: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
            assert_eq!(body["details"]["outcome"], "unknown");
            messages.push(body["message"].as_str().expect("a message").to_owned());
        }
        assert!(messages[0].contains("the same Idempotency-Key"), "{messages:?}");
        assert!(messages[1].contains("look whether it was before asking again"), "{messages:?}");
    }

    #[tokio::test]
    async fn a_change_that_takes_too_long_is_told_to_be_pending_and_goes_on() {
        let waiting = Waiting::default();
        let handler = waiting.routes().oneshot(request(Method::POST));
        let task = tokio::spawn(async move { handler.await.expect("an answer") });
        let answer = answer_of(task, Some(Duration::ZERO), true).await;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(answer.headers().contains_key("retry-after"));
        let body = to_bytes(answer.into_body(), 4096).await.expect("a body");
        let body: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(body["code"], "DEPENDENCY_UNAVAILABLE");
        assert_eq!(body["details"]["outcome"], "unknown");
        waiting.go_on.notify_one();
        waiting.done.notified().await;
    }
}
