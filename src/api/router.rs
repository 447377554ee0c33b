//! Every route on one screen.

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::{Next, from_fn, from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, options};
use tower_http::compression::CompressionLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::{ApiError, handle_unknown_method, handle_unknown_route};
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
        let routes = Router::from(metrics()).with_state(api.clone());
        return around(routes.fallback(handle_unknown_route), api);
    }
    let mut routes = open().merge(pages());
    if api.options.metrics == MetricsDoor::Public {
        routes = routes.merge(metrics());
    }
    if api.is_dev() {
        routes = routes.merge(development());
    }
    let routes = Router::from(routes)
        .route("/api/v1/sessions/{id}/whip", options(media::options))
        .route("/api/v1/sessions/{id}/whep", options(media::options))
        .merge(front());
    // Whatever is no route may be a file of the web client.
    let files = Router::new().fallback(web::file).layer(CompressionLayer::new());
    around(routes.with_state(api.clone()).merge(others).fallback_service(files), api)
}

/// Every route there is, for the description.
pub(super) fn every_route() -> OpenApiRouter<Api> {
    open().merge(pages()).merge(metrics()).merge(development())
}

/// What is served on both listeners.
fn open() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(sessions::list, sessions::create))
        .routes(routes!(sessions::read, sessions::patch))
        .routes(routes!(sessions::start))
        .routes(routes!(sessions::cancel))
        .routes(routes!(sessions::end))
        .routes(routes!(media::whip))
        .routes(routes!(media::whep))
        .routes(routes!(media::patch, media::delete))
        .routes(routes!(recordings::addresses))
        .routes(routes!(recordings::play))
        .routes(routes!(recordings::timeline))
        .routes(routes!(web::client_config))
        .routes(routes!(health::health))
        .routes(routes!(health::ready))
        .routes(routes!(health::live))
        .merge(evidence())
}

/// What anybody may read, from pages of every origin.
fn evidence() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(evidence::audit_proof))
        .routes(routes!(evidence::keys))
        .routes(routes!(evidence::log_file))
        .layer(map_response(evidence::readable_everywhere))
}

fn metrics() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(health::scrape))
}

fn development() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(dev::token))
        .routes(routes!(dev::jwks))
        .routes(routes!(dev::list, dev::create))
        .routes(routes!(dev::step))
        .layer(from_fn(refuse_other_sites))
}

fn pages() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(openapi::describe)).layer(CompressionLayer::new())
}

/// The front page, and the description for people.
fn front() -> Router<Api> {
    let docs = web::docs().layer(map_response(async |answer| web::secure_docs(answer)));
    Router::new().route("/", get(web::index)).merge(docs).layer(CompressionLayer::new())
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
