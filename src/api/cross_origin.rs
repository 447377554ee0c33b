//! What pages of other origins may do here (Fetch Standard §CORS protocol). The headers are added
//! outside everything that may refuse a request, so that a page also reads why it was refused.

use axum::extract::Request;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
};
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;

/// How long a browser may remember the answer to a preflight, seconds.
const PREFLIGHT_MAX_AGE_S: &str = "86400";

/// Routes that pages of every origin may use. None is used with a cookie: a token that the page
/// sends gives the right, or the address does, or nothing is secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OpenRoutes {
    /// WHIP and WHEP.
    Media,
    /// Playlists and segments.
    Playback,
    /// Public evidence: it may be read, with no header of its own.
    Evidence,
}

impl OpenRoutes {
    fn of_path(path: &str) -> Option<Self> {
        let starts = |prefix: &str| path.starts_with(prefix);
        if starts("/gateway/playback/") || starts("/store/playback/") {
            return Some(Self::Playback);
        }
        if starts("/evidence/log/") || path == "/.well-known/cabildo-evidence-keys.json" {
            return Some(Self::Evidence);
        }
        let part_of = |prefix| path.strip_prefix(prefix)?.split('/').nth(1);
        match (part_of("/api/v1/sessions/"), part_of("/store/sessions/")) {
            (Some("whip" | "whep"), _) | (_, Some("whip")) => Some(Self::Media),
            (Some("audit-proof"), _) => Some(Self::Evidence),
            _ => None,
        }
    }

    /// Headers that pages may read in answers, besides those that they always may.
    fn exposed(self) -> Option<&'static str> {
        match self {
            Self::Media => Some(
                "accept-patch, accept-post, cabildo-refused-section, date, dpop-nonce, etag, link, \
                 location, retry-after, www-authenticate, x-trace-id",
            ),
            Self::Playback => Some("Content-Length, Content-Range, Retry-After, Date"),
            Self::Evidence => None,
        }
    }

    /// Headers that pages may send. The asterisk would not cover `Authorization`.
    fn allowed(self) -> Option<&'static str> {
        match self {
            Self::Media => Some("authorization, content-type, dpop, if-match, traceparent"),
            Self::Playback => Some("Range"),
            Self::Evidence => None,
        }
    }

    fn tell(self, headers: &mut HeaderMap) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        if let Some(exposed) = self.exposed() {
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(exposed));
        }
        let is_preflight = headers.contains_key(ACCESS_CONTROL_ALLOW_METHODS);
        if let Some(allowed) = self.allowed().filter(|_| is_preflight) {
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(allowed));
            let max_age = HeaderValue::from_static(PREFLIGHT_MAX_AGE_S);
            headers.insert(ACCESS_CONTROL_MAX_AGE, max_age);
        }
    }
}

/// Adds the headers to every answer of the routes that pages of every origin may use.
pub(super) async fn tell_other_origins(request: Request, next: Next) -> Response {
    let routes = OpenRoutes::of_path(request.uri().path());
    let mut response = next.run(request).await;
    if let Some(routes) = routes {
        routes.tell(response.headers_mut());
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_media_playback_and_public_evidence_are_open_to_other_origins() {
        let open = [
            ("/api/v1/sessions/x/whip", OpenRoutes::Media),
            ("/api/v1/sessions/x/whep/resource", OpenRoutes::Media),
            ("/store/sessions/x/whip/resource", OpenRoutes::Media),
            ("/gateway/playback/t/c/index.m3u8", OpenRoutes::Playback),
            ("/store/playback/t/c/g/media.m3u8", OpenRoutes::Playback),
            ("/api/v1/sessions/x/audit-proof", OpenRoutes::Evidence),
            ("/evidence/log/tile/0/000", OpenRoutes::Evidence),
            ("/.well-known/cabildo-evidence-keys.json", OpenRoutes::Evidence),
        ];
        for (path, routes) in open {
            assert_eq!(OpenRoutes::of_path(path), Some(routes), "{path}");
        }
        for path in [
            "/",
            "/dev/token",
            "/gateway/sessions",
            "/store/sessions",
            "/store/sessions/x/media",
            "/api/v1/sessions",
            "/api/v1/sessions/whip",
            "/api/v1/sessions/x/media-tokens",
            "/api/v1/sessions/x/whips",
            "/moderation",
        ] {
            assert_eq!(OpenRoutes::of_path(path), None, "{path}");
        }
    }
}
