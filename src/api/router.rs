//! Every route on one screen.

use axum::extract::{DefaultBodyLimit, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::{Next, from_fn, from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, patch, post};
use axum::{Extension, Router};
use tower_http::compression::CompressionLayer;

use super::error::{ApiError, handle_unknown_method, handle_unknown_route};
use super::media::Kind;
use super::rate_limit::limit_address;
use super::trace::trace;
use super::{Api, MetricsDoor, dev, evidence, health, media, openapi, recordings, sessions, web};
use crate::domain::error_code::ErrorCode;

/// Which listener a router is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listener {
    /// Browsers and everybody else.
    Public,
    /// Services, with client certificates.
    Internal,
    /// Metrics alone.
    Metrics,
}

/// The routes of one listener. `others` are routes of other doors (the
/// moderation channel), under the same trace and limits.
pub fn router(api: &Api, listener: Listener, others: Router) -> Router {
    if listener == Listener::Metrics {
        let routes = Router::new().route("/metrics", get(health::scrape));
        return around(routes.with_state(api.clone()).fallback(handle_unknown_route), api);
    }
    let rest = Router::new()
        .route("/api/v1/sessions", get(sessions::list).post(sessions::create))
        .route("/api/v1/sessions/{id}", get(sessions::read).patch(sessions::patch))
        .route("/api/v1/sessions/{id}/start", post(sessions::start))
        .route("/api/v1/sessions/{id}/cancel", post(sessions::cancel))
        .route("/api/v1/sessions/{id}/end", post(sessions::end))
        .route("/api/v1/client-config", get(web::client_config))
        .route("/health", get(health::health))
        .route("/health/ready", get(health::ready))
        .route("/health/live", get(health::live));
    let whip = Router::new()
        .route("/api/v1/sessions/{id}/whip", post(media::whip).options(media::options))
        .route("/api/v1/sessions/{id}/whep", post(media::whep).options(media::options))
        .route("/api/v1/sessions/{id}/whip/{resource}", resource(Kind::Whip))
        .route("/api/v1/sessions/{id}/whep/{resource}", resource(Kind::Whep));
    let record = Router::new()
        .route("/api/v1/sessions/{id}/audit-proof", get(evidence::audit_proof))
        .route("/.well-known/cabildo-evidence-keys.json", get(evidence::keys))
        .route("/evidence/log/{*path}", get(evidence::log_file))
        .layer(map_response(evidence::readable_everywhere));
    let recordings = Router::new()
        .route("/api/v1/sessions/{id}/recording-url", get(recordings::addresses))
        .route("/api/v1/recordings/{token}", get(recordings::play))
        .route("/api/v1/recordings/{token}/timeline", get(recordings::timeline));
    let metrics = Router::new().route("/metrics", get(health::scrape));
    let development = Router::new()
        .route("/dev/token", post(dev::token))
        .route("/dev/jwks.json", get(dev::jwks))
        .route("/dev/sessions", get(dev::list).post(dev::create))
        .route("/dev/sessions/{id}/{step}", post(dev::step))
        .layer(from_fn(refuse_other_sites));
    let pages = Router::new()
        .route("/", get(web::index))
        .route("/openapi.json", get(openapi::describe))
        .merge(web::docs().layer(map_response(async |answer| web::secure_docs(answer))))
        .layer(CompressionLayer::new());

    let mut routes = rest.merge(pages);
    if api.whip.is_some() {
        routes = routes.merge(whip);
    }
    if api.proofs.is_some() {
        routes = routes.merge(record);
    }
    if api.recordings.is_some() {
        routes = routes.merge(recordings);
    }
    if api.options.metrics == MetricsDoor::Public {
        routes = routes.merge(metrics);
    }
    if api.is_dev() {
        routes = routes.merge(development);
    }
    // Whatever is no route may be a file of the web client.
    let files = Router::new().fallback(web::file).layer(CompressionLayer::new());
    around(routes.with_state(api.clone()).merge(others).fallback_service(files), api)
}

/// The routes of a WHIP or WHEP resource.
fn resource(kind: Kind) -> MethodRouter<Api> {
    patch(media::patch).delete(media::delete).layer(Extension(kind))
}

/// What surrounds every route: trace, panic, limits, and refusals in one form.
fn around(routes: Router, api: &Api) -> Router {
    routes
        .method_not_allowed_fallback(handle_unknown_method)
        // Bodies are bounded where they are read, with a refusal in our form.
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn(refuse_in_form))
        .layer(from_fn_with_state(api.clone(), limit_address))
        .layer(from_fn(trace))
}

/// Other sites, open in the developer's browser, have no business here.
async fn refuse_other_sites(request: Request, next: Next) -> Response {
    let site = request.headers().get("sec-fetch-site").and_then(|value| value.to_str().ok());
    if matches!(site, None | Some("same-origin" | "none")) {
        next.run(request).await
    } else {
        ApiError::new(ErrorCode::Forbidden, "not for other sites").into_response()
    }
}

/// Refusals that axum makes itself have bodies in plain text.
async fn refuse_in_form(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let is_ours = response
        .headers()
        .get(CONTENT_TYPE)
        .is_none_or(|kind| !kind.as_bytes().starts_with(b"text/plain"));
    if is_ours {
        return response;
    }
    match response.status() {
        StatusCode::BAD_REQUEST | StatusCode::UPGRADE_REQUIRED => {
            ApiError::new(ErrorCode::MalformedRequest, "the request can't be read").into_response()
        }
        _ => response,
    }
}
