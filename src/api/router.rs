//! Lists every route.

use axum::Router;
use std::net::IpAddr;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::{CONTENT_TYPE, HOST};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn, from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, options};
use tower_http::compression::CompressionLayer;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};
use utoipa_axum::routes;

use super::cross_origin::tell_other_origins;
use super::error::{ApiError, handle_unknown_method, handle_unknown_route};
use super::rate_limit::limit_address;
use super::trace::trace;
use super::{
    Api, MetricsDoor, attendance, bundles, captures, dev, events, evidence, gateway, health, media,
    media_tokens, minutes, openapi, provider_webhook, recordings, report, room_cameras, sessions,
    transcript, web,
};
use crate::domain::error_code::ErrorCode;

/// The listener for which a router is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listener {
    /// For browsers and all other clients.
    Public,
    /// For services, with client certificates.
    Internal,
    /// For metrics only.
    Metrics,
}

/// Makes the routes of one listener. `others` are additional routes (the moderation channel), with
/// the same tracing and limits.
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
        let own = from_fn_with_state(api.clone(), refuse_other_sites);
        routes = routes.merge(development().layer(own));
    }
    let routes = Router::from(routes).merge(front());
    // A path that is no route may be a file of the web client.
    let files =
        Router::new().fallback(web::file).layer(CompressionLayer::new()).with_state(api.clone());
    let mut routes = routes.with_state(api.clone()).merge(others).fallback_service(files);
    if api.is_dev() && listener == Listener::Public {
        routes = routes.layer(from_fn_with_state(api.clone(), refuse_other_hosts));
    }
    around(routes, api)
}

/// All routes, for the description.
pub(super) fn every_route() -> OpenApiRouter<Api> {
    open().merge(pages()).merge(metrics()).merge(development())
}

/// Routes that both listeners serve.
fn open() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(sessions::list, sessions::create))
        .routes(routes!(sessions::read, sessions::patch))
        .routes(routes!(sessions::start))
        .routes(routes!(sessions::cancel))
        .routes(routes!(sessions::end))
        .routes(routes!(media_tokens::list, media_tokens::create))
        .routes(routes!(media_tokens::revoke))
        .routes(routes!(recordings::addresses))
        .routes(routes!(recordings::play))
        .routes(routes!(recordings::timeline))
        .routes(routes!(bundles::bundle))
        .routes(routes!(events::stream))
        .routes(routes!(provider_webhook::zoom))
        .routes(routes!(web::client_config))
        .routes(routes!(health::health))
        .routes(routes!(health::ready))
        .routes(routes!(health::live))
        .merge(attendance())
        .merge(transcript())
        .merge(media())
        .merge(evidence())
        .merge(cameras())
}

/// Cameras of tenants, and captures of edge devices.
fn cameras() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(gateway::provision))
        .routes(routes!(gateway::deprovision))
        .routes(routes!(gateway::health::all))
        .routes(routes!(gateway::health::one))
        .routes(routes!(gateway::health::sync))
        .routes(routes!(gateway::cameras::list))
        .routes(routes!(gateway::cameras::preview))
        .routes(routes!(gateway::recordings::list, gateway::recordings::delete))
        .routes(routes!(gateway::recordings::set))
        .routes(routes!(gateway::health::scrape))
        .routes(routes!(gateway::sessions::list, gateway::sessions::issue))
        .routes(routes!(gateway::sessions::activate))
        .routes(routes!(gateway::sessions::end))
        .routes(routes!(gateway::sessions::sweep))
        .routes(routes!(room_cameras::add))
        .routes(routes!(room_cameras::remove))
        .routes(routes!(gateway::streams::start))
        .routes(routes!(gateway::streams::stop))
        .routes(routes!(gateway::streams::read))
        .merge(camera_playback())
        .merge(capture_playback())
        .routes(routes!(captures::list, captures::open))
        .routes(routes!(captures::read))
        .routes(routes!(captures::close))
        .routes(routes!(captures::media::append))
        .merge(capture_publishing())
}

/// Who attends, and the addresses that older callers use.
fn attendance() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(attendance::validate_qr))
        .routes(routes!(attendance::validate_biometric))
        .routes(routes!(attendance::validate_code))
        .routes(routes!(attendance::register_attendee))
        .routes(at_older_address(routes!(attendance::validate_qr)))
        .routes(at_older_address(routes!(attendance::validate_biometric)))
        .routes(at_older_address(routes!(attendance::validate_code)))
        .routes(at_older_address(routes!(attendance::register_attendee)))
        .routes(routes!(attendance::mark_left))
        .routes(routes!(attendance::take_back))
        .routes(routes!(attendance::end_delegation))
        .routes(routes!(attendance::begin_second_call))
        .routes(routes!(attendance::list))
        .routes(routes!(report::report))
        .routes(routes!(attendance::quorum))
        .routes(routes!(attendance::eligible, attendance::give_eligible))
}

/// What was said.
fn transcript() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(transcript::read))
        .routes(routes!(transcript::correct))
        .routes(routes!(minutes::read, minutes::confirm))
        .routes(routes!(minutes::versions))
}

/// The same routes at the address that older callers use: without `/attendance`.
fn at_older_address(routes: UtoipaMethodRouter<Api>) -> UtoipaMethodRouter<Api> {
    let (schemas, mut paths, handlers) = routes;
    let items = std::mem::take(&mut paths.paths).into_iter().map(|(path, mut item)| {
        if let Some(post) = &mut item.post {
            post.summary = Some(format!("As `{path}`."));
            post.description = None;
            post.operation_id = post.operation_id.take().map(|id| format!("{id}Older"));
        }
        (path.replacen("/attendance/", "/", 1), item)
    });
    paths.paths = items.collect();
    (schemas, paths, handlers)
}

/// Playlists and segments of cameras, which players on pages of every origin may use.
fn camera_playback() -> OpenApiRouter<Api> {
    use gateway::playback;
    OpenApiRouter::new()
        .routes(routes!(playback::main))
        .routes(routes!(playback::recorded))
        .routes(routes!(playback::file))
        .route(
            "/gateway/playback/{tenantId}/{cameraId}/index.m3u8",
            options(playback::allowed_methods),
        )
        .route(
            "/gateway/playback/{tenantId}/{cameraId}/recorded.m3u8",
            options(playback::allowed_methods),
        )
        .route(
            "/gateway/playback/{tenantId}/{cameraId}/{session}/{file}",
            options(playback::allowed_methods),
        )
        .layer(map_response(playback::protect_address))
}

/// Playlists and segments of captures, which players on pages of every origin may use.
fn capture_playback() -> OpenApiRouter<Api> {
    use captures::playback;
    use gateway::playback::{allowed_methods, protect_address};
    OpenApiRouter::new()
        .routes(routes!(playback::main))
        .routes(routes!(playback::file))
        .route(
            "/store/playback/{tenantId}/{captureId}/{grant}/index.m3u8",
            options(allowed_methods),
        )
        .route("/store/playback/{tenantId}/{captureId}/{grant}/{file}", options(allowed_methods))
        .layer(map_response(protect_address))
}

/// WHIP into captures.
fn capture_publishing() -> OpenApiRouter<Api> {
    use captures::whip;
    OpenApiRouter::new()
        .routes(routes!(whip::publish))
        .routes(routes!(whip::patch, whip::delete))
        .route("/store/sessions/{id}/whip", options(media::endpoint_options))
        .route("/store/sessions/{id}/whip/{resource}", options(media::resource_methods))
}

/// WHIP and WHEP, which pages of every origin may use.
fn media() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(media::whip))
        .routes(routes!(media::whep))
        .routes(routes!(media::patch, media::delete))
        .route("/api/v1/sessions/{id}/whip", options(media::endpoint_options))
        .route("/api/v1/sessions/{id}/whep", options(media::endpoint_options))
        .route("/api/v1/sessions/{id}/{kind}/{resource}", options(media::resource_options))
}

/// Public routes that pages of every origin may read.
fn evidence() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(evidence::audit_proof))
        .routes(routes!(evidence::keys))
        .routes(routes!(evidence::log_file))
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
}

fn pages() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(openapi::describe)).layer(CompressionLayer::new())
}

/// The front page.
fn front() -> Router<Api> {
    Router::new().route("/", get(web::index)).layer(CompressionLayer::new())
}

/// Adds what every route has: tracing, handling of panics, limits, and refusals in the common form.
fn around(routes: Router, api: &Api) -> Router {
    routes
        .method_not_allowed_fallback(handle_unknown_method)
        // Bodies are limited where they are read, with a refusal in the common form.
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn(refuse_in_form))
        .layer(from_fn(refuse_many_hosts))
        .layer(from_fn_with_state(api.clone(), limit_address))
        .layer(from_fn(trace))
        .layer(from_fn(tell_other_origins))
}

/// Other sites that are open in the developer's browser must not get tokens here. Browsers send the
/// origin with requests across sites, and newer ones also say whether a request comes from another
/// site.
async fn refuse_other_sites(State(api): State<Api>, request: Request, next: Next) -> Response {
    if is_own_page(&api.options.public_origins, request.headers()) {
        next.run(request).await
    } else {
        ApiError::new(ErrorCode::Forbidden, "pages of other sites may not use this route")
            .into_response()
    }
}

/// Whether a request comes from a page of one of `origins`, or from no page.
fn is_own_page(origins: &[String], headers: &HeaderMap) -> bool {
    let header = |name: &str| headers.get(name).map(HeaderValue::as_bytes);
    let own_site = matches!(header("sec-fetch-site"), None | Some(b"same-origin" | b"none"));
    let own = |origin: &[u8]| origins.iter().any(|own| own.as_bytes() == origin);
    own_site && header("origin").is_none_or(own)
}

/// Refuses unknown host names in development. A name whose DNS entry somebody else points at this
/// machine is another site to a browser, and must not be served by a server on which everybody may
/// act as any user.
async fn refuse_other_hosts(State(api): State<Api>, request: Request, next: Next) -> Response {
    let host = request
        .uri()
        .authority()
        .map(Authority::as_str)
        .or_else(|| request.headers().get(HOST)?.to_str().ok());
    if host.is_some_and(|host| is_own_host(&api.options.public_origins, host)) {
        next.run(request).await
    } else {
        let message = "this server does not serve this host name; http.public_url configures it";
        ApiError::new(ErrorCode::Forbidden, message).into_response()
    }
}

/// Refuses a request that names more than one host (RFC 9112 §3.2): a proxy before the server may
/// have judged by another one of them.
async fn refuse_many_hosts(request: Request, next: Next) -> Response {
    if request.headers().get_all(HOST).iter().nth(1).is_some() {
        let message = "the request names more than one host";
        return ApiError::new(ErrorCode::MalformedRequest, message).into_response();
    }
    next.run(request).await
}

/// Whether `host` belongs to one of `origins` or is an IP address, which no DNS entry can redirect.
fn is_own_host(origins: &[String], host: &str) -> bool {
    let own = |origin: &String| {
        let authority = origin.split_once("://").map_or("", |(_, authority)| authority);
        authority.eq_ignore_ascii_case(host)
    };
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    origins.iter().any(own) || name.parse::<IpAddr>().is_ok()
}

/// Replaces the plain-text bodies of refusals that axum makes itself.
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
            ApiError::new(ErrorCode::MalformedRequest, "the request is malformed").into_response()
        }
        _ => response,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_names_and_addresses_are_served() {
        let origins = ["http://localhost:3014".to_owned(), "https://dev.example".to_owned()];
        for own in
            ["localhost:3014", "LOCALHOST:3014", "dev.example", "127.0.0.1:3014", "[::1]:3014"]
        {
            assert!(is_own_host(&origins, own), "{own}");
        }
        for other in [
            "attacker.example:3014",
            "localhost",
            "localhost:80",
            "127.0.0.1.attacker.example",
            "",
            "a b",
        ] {
            assert!(!is_own_host(&origins, other), "{other}");
        }
    }
}
