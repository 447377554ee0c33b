//! The web client and the pages of the API description, embedded in the binary.

use axum::extract::State;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rust_embed::{EmbeddedFile, RustEmbed};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_swagger_ui::Config;

use super::Api;
use super::error::handle_unknown_route;

#[derive(RustEmbed)]
#[folder = "web-client/dist"]
struct Client;

const POLICY: &str = "default-src 'self'; script-src 'self'; style-src 'self'; \
    img-src 'self' data: blob:; media-src 'self' blob:; connect-src 'self' ws: wss:; \
    frame-ancestors 'none'; base-uri 'none'; form-action 'self'";
/// The pages of the API description use inline styles.
const DOCS_POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";
const PERMISSIONS: &str = "camera=(self), microphone=(self), display-capture=(self), \
    geolocation=(), payment=(), usb=()";
const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");

/// Settings of the server that the web client needs before its first request.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ClientConfig)]
pub(super) struct ClientConfigBody {
    /// Whether the built-in issuer and governance page exist.
    dev: bool,
    /// Page to which people without a token are sent.
    login_url: Option<String>,
}

/// Returns settings of the server for the web client.
#[utoipa::path(
    get, path = "/api/v1/client-config", tag = "operation", operation_id = "clientConfig",
    responses((status = 200, description = "The settings", body = ClientConfigBody))
)]
pub(super) async fn client_config(State(api): State<Api>) -> Response {
    let body = ClientConfigBody { dev: api.is_dev(), login_url: api.options.login_url.clone() };
    ([(CACHE_CONTROL, "no-cache")], Json(body)).into_response()
}

/// The front page.
pub(super) async fn index(headers: HeaderMap) -> Response {
    page("index.html", &headers).await
}

/// A file of the web client, or one of its pages without the suffix `.html`.
pub(super) async fn file(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    if method == Method::GET || method == Method::HEAD {
        page(uri.path().trim_start_matches('/'), &headers).await
    } else {
        handle_unknown_route().await.into_response()
    }
}

async fn page(path: &str, headers: &HeaderMap) -> Response {
    let found = Client::get(path).map(|file| (path.to_owned(), file)).or_else(|| {
        let page = format!("{}.html", path.trim_end_matches('/'));
        Client::get(&page).map(|file| (page, file))
    });
    match found {
        Some((name, file)) => served(&name, file, headers),
        None if Client::get("index.html").is_none() && path == "index.html" => absent(),
        None => handle_unknown_route().await.into_response(),
    }
}

fn absent() -> Response {
    let text = "This build of cabildo has no web client: build web-client first, then cabildo.\n";
    (StatusCode::SERVICE_UNAVAILABLE, secured(), text).into_response()
}

fn secured() -> [(HeaderName, &'static str); 4] {
    [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (PERMISSIONS_POLICY, PERMISSIONS),
    ]
}

fn served(name: &str, file: EmbeddedFile, headers: &HeaderMap) -> Response {
    // The names of files below assets/ contain a hash of their contents.
    let caching = if name.starts_with("assets/") {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let hash = file.metadata.sha256_hash();
    let tag = format!("W/\"{}\"", URL_SAFE_NO_PAD.encode(&hash[..16]));
    let common = [(CACHE_CONTROL, caching.to_owned()), (ETAG, tag.clone())];
    let known = headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    if known.is_some_and(|known| known.split(',').any(|known| known.trim() == tag)) {
        return (StatusCode::NOT_MODIFIED, secured(), common).into_response();
    }
    let content_type = file.metadata.mimetype().to_owned();
    let text = content_type.starts_with("text/") && !content_type.contains("charset");
    let content_type = if text { format!("{content_type}; charset=utf-8") } else { content_type };
    (secured(), common, [(CONTENT_TYPE, content_type)], file.data).into_response()
}

/// The pages of the API description, at `/docs`.
pub(super) fn docs() -> Router<Api> {
    utoipa_swagger_ui::SwaggerUi::new("/docs").config(Config::from("/openapi.json")).into()
}

/// Adds headers to the pages of `/docs`.
pub(super) fn secure_docs(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(DOCS_POLICY));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}
