//! The web client and the pages of the API description, embedded in the binary.

use axum::Json;
use axum::extract::State;
use axum::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, REFERRER_POLICY, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rust_embed::{EmbeddedFile, RustEmbed};
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::conditions::is_known;
use super::error::handle_unknown_route;

#[derive(RustEmbed)]
#[folder = "web-client/dist"]
struct Client;

/// The page that a sign-in comes back to; the web client's pages may show it in a frame.
const RETURN_PAGE: &str = "signed-in.html";
/// The page that people see at an address that does not exist.
const NOT_FOUND_PAGE: &str = "not-found.html";
const PERMISSIONS: &str = "camera=(self), microphone=(self), display-capture=(self), \
    geolocation=(self), payment=(), usb=()";
const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");

/// How the web client signs people in: the authorization code flow with PKCE at
/// an `OpenID` Connect provider, whose addresses are found below its issuer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct SignIn {
    /// The provider, and `iss` of its tokens.
    pub issuer: String,
    /// The web client's identifier there.
    pub client_id: String,
    /// What it asks for.
    pub scope: String,
    /// `aud` that tokens must name.
    pub audience: String,
    /// What tokens are asked for (RFC 8707).
    pub resource: Option<String>,
    /// Origins beside the issuer's at which the provider answers.
    #[serde(skip)]
    pub origins: Vec<String>,
}

impl SignIn {
    /// Where browsers may call the provider.
    fn sources(&self) -> String {
        let own = origin_of(&self.issuer);
        own.iter().chain(&self.origins).fold(String::new(), |text, one| text + " " + one)
    }
}

/// The origin of an address, as policies name it.
fn origin_of(url: &str) -> Option<String> {
    let uri = url.parse::<Uri>().ok()?;
    Some(format!("{}://{}", uri.scheme_str()?, uri.authority()?))
}

/// Settings of the server that the web client needs before its first request.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ClientConfig)]
pub(super) struct ClientConfigBody {
    /// Whether the built-in issuer and governance page exist.
    dev: bool,
    /// Page to which people without a token are sent.
    login_url: Option<String>,
    /// How the web client signs people in itself; `login_url` is not used then.
    sign_in: Option<SignIn>,
}

/// Returns settings of the server for the web client.
#[utoipa::path(
    get, path = "/api/v1/client-config", tag = "operation", operation_id = "clientConfig",
    responses((status = 200, description = "The settings", body = ClientConfigBody))
)]
pub(super) async fn client_config(State(api): State<Api>) -> Response {
    let body = ClientConfigBody {
        dev: api.is_dev(),
        login_url: api.options.login_url.clone(),
        sign_in: api.options.sign_in.clone(),
    };
    ([(CACHE_CONTROL, "no-cache")], Json(body)).into_response()
}

/// The front page.
pub(super) async fn index(State(api): State<Api>, headers: HeaderMap) -> Response {
    page(&api, "index.html", &headers).await
}

/// A file of the web client, or one of its pages without the suffix `.html`.
pub(super) async fn file(
    State(api): State<Api>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    if method == Method::GET || method == Method::HEAD {
        page(&api, uri.path().trim_start_matches('/'), &headers).await
    } else {
        handle_unknown_route().await.into_response()
    }
}

async fn page(api: &Api, path: &str, headers: &HeaderMap) -> Response {
    let found = Client::get(path).map(|file| (path.to_owned(), file)).or_else(|| {
        let page = format!("{}.html", path.trim_end_matches('/'));
        Client::get(&page).map(|file| (page, file))
    });
    match found {
        Some((name, _)) if name == NOT_FOUND_PAGE => unknown(api, headers).await,
        Some((name, file)) => served(api, &name, file, headers),
        None if Client::get("index.html").is_none() && path == "index.html" => absent(api),
        None => unknown(api, headers).await,
    }
}

/// The answer at an address that does not exist: a page for browsers, a code for programs.
async fn unknown(api: &Api, headers: &HeaderMap) -> Response {
    let page = if asks_for_page(headers) { Client::get(NOT_FOUND_PAGE) } else { None };
    let mut response = match page {
        Some(file) => {
            let caching = (CACHE_CONTROL, "no-store");
            let content_type = (CONTENT_TYPE, "text/html; charset=utf-8");
            let secured = secured(api, NOT_FOUND_PAGE);
            (StatusCode::NOT_FOUND, secured, [caching, content_type], file.data).into_response()
        }
        None => handle_unknown_route().await.into_response(),
    };
    response.headers_mut().append(VARY, HeaderValue::from_static("accept"));
    response
}

/// Whether whoever asks names HTML among what it takes, as browsers do for what they show (RFC 9110
/// §12.5.1), and not JSON. Programs that take anything do not.
fn asks_for_page(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let ranges = accepted.flat_map(|value| value.split(',')).filter(|range| !is_refused(range));
    let kinds: Vec<_> =
        ranges.map(|range| range.split(';').next().unwrap_or_default().trim()).collect();
    let names = |kind: &str| kinds.iter().any(|one| one.eq_ignore_ascii_case(kind));
    names("text/html") && !names("application/json")
}

/// Whether a media range has the weight 0: it is what somebody does not take.
fn is_refused(range: &str) -> bool {
    let weights = range.split(';').skip(1).filter_map(|one| one.trim().strip_prefix("q="));
    weights.filter_map(|weight| weight.trim().parse::<f32>().ok()).any(|weight| weight <= 0.0)
}

fn absent(api: &Api) -> Response {
    let text = "This build of cabildo has no web client: build web-client first, then cabildo.\n";
    (StatusCode::SERVICE_UNAVAILABLE, secured(api, "index.html"), text).into_response()
}

/// What a file may do and reach: this server, and the provider at which people sign in.
fn policy(api: &Api, name: &str) -> String {
    let sign_in = api.options.sign_in.as_ref();
    let provider = sign_in.map(SignIn::sources).unwrap_or_default();
    let login = api.options.login_url.as_deref().filter(|_| sign_in.is_none());
    let login = login.and_then(origin_of).map(|origin| format!(" {origin}")).unwrap_or_default();
    let ancestors = if name == RETURN_PAGE { "'self'" } else { "'none'" };
    format!(
        "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
         media-src 'self' blob:; connect-src 'self' ws: wss:{provider}; \
         frame-src 'self'{provider}{login}; frame-ancestors {ancestors}; base-uri 'none'; \
         form-action 'self'"
    )
}

fn secured(api: &Api, name: &str) -> [(HeaderName, String); 4] {
    [
        (CONTENT_SECURITY_POLICY, policy(api, name)),
        (X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (REFERRER_POLICY, "no-referrer".to_owned()),
        (PERMISSIONS_POLICY, PERMISSIONS.to_owned()),
    ]
}

fn served(api: &Api, name: &str, file: EmbeddedFile, headers: &HeaderMap) -> Response {
    // The names of files below assets/ contain a hash of their contents.
    let caching = if name.starts_with("assets/") {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let hash = file.metadata.sha256_hash();
    let tag = format!("W/\"{}\"", URL_SAFE_NO_PAD.encode(&hash[..16]));
    let common = [(CACHE_CONTROL, caching.to_owned()), (ETAG, tag.clone())];
    if is_known(headers, &tag) {
        return (StatusCode::NOT_MODIFIED, secured(api, name), common).into_response();
    }
    let content_type = file.metadata.mimetype().to_owned();
    let text = content_type.starts_with("text/") && !content_type.contains("charset");
    let content_type = if text { format!("{content_type}; charset=utf-8") } else { content_type };
    (secured(api, name), common, [(CONTENT_TYPE, content_type)], file.data).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_names_html_and_not_json_asks_for_a_page() {
        let asks = |accept: &str| {
            let value = HeaderValue::from_str(accept).expect("a value");
            asks_for_page(&HeaderMap::from_iter([(ACCEPT, value)]))
        };
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        for accept in [browser, "text/html", "Text/HTML; q=0.5", "image/png, text/html;level=1"] {
            assert!(asks(accept), "{accept}");
        }
        let others = ["*/*", "text/*", "", "application/json", "application/json, text/html;q=0.5"];
        for accept in
            others.into_iter().chain(["text/html;q=0", "text/html; q=0.000", "text/htmlx"])
        {
            assert!(!asks(accept), "{accept}");
        }
        assert!(!asks_for_page(&HeaderMap::new()));
    }
}
