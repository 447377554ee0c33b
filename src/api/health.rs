//! Health and metrics.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::Api;
use crate::telemetry::metrics;

/// The health of this instance.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Health, example = json!({
    "status": "degraded", "version": "0.1.0",
    "dependencies": {"database": "ok", "vault": "degraded"},
    "problems": {"vault": "the vault refuses: NoSuchBucket"},
    "services": {"tenancy": "degraded"}
}))]
pub(super) struct HealthBody {
    /// `ok`; `degraded` when a dependency without which meetings still take place
    /// does not work; `unavailable` when another one does not answer.
    status: &'static str,
    /// Version of the server.
    version: &'static str,
    /// Each dependency: `ok`, `degraded` or `unavailable`.
    #[schema(value_type = Object)]
    dependencies: serde_json::Map<String, serde_json::Value>,
    /// What is wrong with each dependency that is `degraded`, in words for operators.
    #[schema(value_type = Object)]
    problems: serde_json::Map<String, serde_json::Value>,
    /// Each of the platform's other services: `ok`, or `degraded` when it failed
    /// the last time it was asked. Also `evidence_log`, degraded while the database refuses
    /// what a log has to enter, and `recorder`, degraded once a track was set aside because
    /// its log refuses it. Calls are taken nevertheless.
    #[schema(value_type = Object)]
    services: serde_json::Map<String, serde_json::Value>,
}

const fn word(ok: bool) -> &'static str {
    if ok { "ok" } else { "unavailable" }
}

/// Checks whether every dependency of this instance answers.
#[utoipa::path(
    get, path = "/health/ready", tag = "operation", operation_id = "ready",
    responses(
        (status = 200, description = "Every dependency that meetings need answers", body = HealthBody),
        (status = 503, description = "A dependency that meetings need does not answer", body = HealthBody),
    )
)]
pub(super) async fn ready(State(api): State<Api>) -> Response {
    let checks = api.readiness.check().await;
    let all = checks.iter().all(|(_, ok)| *ok);
    let mut dependencies: serde_json::Map<_, _> =
        checks.into_iter().map(|(name, ok)| (name.to_owned(), json!(word(ok)))).collect();
    let degraded = |well| json!(if well { "ok" } else { "degraded" });
    let mut problems = serde_json::Map::new();
    for part in api.readiness.parts() {
        dependencies.insert(part.name.to_owned(), degraded(part.problem.is_none()));
        if let Some(problem) = part.problem {
            problems.insert(part.name.to_owned(), json!(problem));
        }
    }
    let services = api.readiness.services();
    let services =
        services.into_iter().map(|(name, well)| (name.to_owned(), degraded(well))).collect();
    let version = env!("CARGO_PKG_VERSION");
    let word = if all && !problems.is_empty() { "degraded" } else { word(all) };
    let body = HealthBody { status: word, version, dependencies, problems, services };
    let status = if all { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, [(CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

/// As `/health/ready`.
#[utoipa::path(
    get, path = "/health", tag = "operation", operation_id = "health",
    responses(
        (status = 200, description = "Every dependency that meetings need answers", body = HealthBody),
        (status = 503, description = "A dependency that meetings need does not answer", body = HealthBody),
    )
)]
pub(super) async fn health(state: State<Api>) -> Response {
    ready(state).await
}

/// Checks whether the process is alive, without asking its dependencies.
#[utoipa::path(
    get, path = "/health/live", tag = "operation", operation_id = "live",
    responses((status = 200, description = "It is", body = HealthBody))
)]
pub(super) async fn live() -> Response {
    let body = HealthBody {
        status: "ok",
        version: env!("CARGO_PKG_VERSION"),
        dependencies: serde_json::Map::new(),
        problems: serde_json::Map::new(),
        services: serde_json::Map::new(),
    };
    ([(CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

/// Metrics in the text format of Prometheus.
#[utoipa::path(
    get, path = "/metrics", tag = "operation", operation_id = "metrics",
    responses((status = 200, description = "Text format 0.0.4", body = String, content_type = "text/plain"))
)]
pub(super) async fn scrape(State(api): State<Api>) -> Response {
    metrics::report_process();
    api.metrics.report().await;
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(CONTENT_TYPE, kind)], metrics::render()).into_response()
}
