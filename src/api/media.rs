//! WHIP (RFC 9725) and its playback twin WHEP. A client of either is a
//! participant in the room like any other; this server is ICE-lite, so what
//! clients trickle is acknowledged and not needed.

mod resources;
mod sdp_fragment;

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::header::{
    ACCEPT, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ALLOW,
    CONTENT_TYPE, ETAG, LOCATION,
};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

pub(super) use resources::Resources;
pub use resources::{RESOURCES_MAX, RESOURCES_PER_USER_MAX};

pub(super) use self::resources::Kind;
use self::resources::Resource;
use self::sdp_fragment::Fragment;
use super::Api;
use super::body::{WholeBody, expect_content_type};
use super::caller::{Credentials, see};
use super::error::ApiError;
use super::precondition::IfMatch;
use super::refusals::{BODY, READER, refusals};
use super::sessions::session_id;
use crate::domain::error_code::ErrorCode;
use crate::domain::role::Action;
use crate::domain::session::{Provider, Session, SessionStatus};
use crate::room::MemberHandle;
use crate::room::error::RoomError;
use crate::sfu::TransportSide;

const SDP: &str = "application/sdp";
const SDP_FRAGMENT: &str = "application/trickle-ice-sdpfrag";
const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");
const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");
const ENDPOINT_METHODS: &str = "OPTIONS, POST";
const RESOURCE_METHODS: &str = "DELETE, OPTIONS, PATCH";
/// Headers that pages of other origins may send, and may read in answers. The
/// asterisk does not cover `Authorization` (Fetch Standard §CORS protocol).
const ALLOWED: &str = "authorization, content-type, dpop, if-match, traceparent";
const EXPOSED: &str = "accept-patch, accept-post, dpop-nonce, etag, link, location, retry-after, \
    www-authenticate, x-trace-id";
/// How long a browser may remember the answer to a preflight, seconds.
const PREFLIGHT_MAX_AGE_S: &str = "86400";

/// When a client should try again whose room could not be reached.
const RETRY_AFTER_S: u32 = 5;

/// What WHIP and WHEP may refuse an offer with.
const OPEN: &[ErrorCode] = &[
    ErrorCode::CredentialsMissing,
    ErrorCode::TokenInvalid,
    ErrorCode::TokenExpired,
    ErrorCode::TokenBound,
    ErrorCode::DpopProofInvalid,
    ErrorCode::DpopProofReplayed,
    ErrorCode::DpopNonceRequired,
    ErrorCode::Forbidden,
    ErrorCode::SessionNotFound,
    ErrorCode::SessionStateConflict,
    ErrorCode::ParticipantLimitReached,
    ErrorCode::TrackLimitReached,
    ErrorCode::ProviderUnsupported,
    ErrorCode::SessionOver,
    ErrorCode::PayloadTooLarge,
    ErrorCode::UnsupportedMediaType,
    ErrorCode::SdpInvalid,
    ErrorCode::DependencyUnavailable,
];

impl From<RoomError> for ApiError {
    fn from(error: RoomError) -> Self {
        let refusal = Self::new(error.code(), error.to_string());
        match error.code() {
            ErrorCode::DependencyUnavailable => refusal.retry_after_s(RETRY_AFTER_S),
            _ => refusal,
        }
    }
}

impl Kind {
    /// What a client has to be allowed.
    const fn action(self) -> Action {
        match self {
            Self::Whip => Action::PublishMedia,
            Self::Whep => Action::JoinRoom,
        }
    }

    /// The side of the transport that a client of it has.
    const fn side(self) -> TransportSide {
        match self {
            Self::Whip => TransportSide::Publish,
            Self::Whep => TransportSide::Subscribe,
        }
    }
}

refusals!(WhipRefusals: OPEN);

/// Publishes into a session.
#[utoipa::path(
    post, path = "/api/v1/sessions/{id}/whip", tag = "media", operation_id = "whipPublish",
    security(("bearer" = [])), params(("id" = String, Path, format = Uuid)),
    request_body(content = String, content_type = "application/sdp", description = "the offer"),
    responses(
        (status = 201, description = "The answer", body = String, content_type = "application/sdp",
            headers(("Location" = String, description = "the resource"), ("ETag" = String, description = "the ICE session"))),
        WhipRefusals,
    )
)]
pub(super) async fn whip(
    State(api): State<Api>,
    credentials: Credentials,
    Path(id): Path<String>,
    WholeBody(body): WholeBody,
) -> Result<Response, ApiError> {
    open(&api, &credentials, &id, &body, Kind::Whip).await
}

refusals!(WhepRefusals: OPEN);

/// Plays a session.
#[utoipa::path(
    post, path = "/api/v1/sessions/{id}/whep", tag = "media", operation_id = "whepPlay",
    security(("bearer" = [])), params(("id" = String, Path, format = Uuid)),
    request_body(content = String, content_type = "application/sdp", description = "the offer"),
    responses(
        (status = 201, description = "The answer", body = String, content_type = "application/sdp",
            headers(("Location" = String, description = "the resource"), ("ETag" = String, description = "the ICE session"))),
        WhepRefusals,
    )
)]
pub(super) async fn whep(
    State(api): State<Api>,
    credentials: Credentials,
    Path(id): Path<String>,
    WholeBody(body): WholeBody,
) -> Result<Response, ApiError> {
    open(&api, &credentials, &id, &body, Kind::Whep).await
}

async fn open(
    api: &Api,
    credentials: &Credentials,
    id: &str,
    body: &[u8],
    kind: Kind,
) -> Result<Response, ApiError> {
    let person = credentials.reader(api, kind.action()).await?;
    api.rate_limits.write(person.tenant_id, &person.user_id)?;
    let id = session_id(id)?;
    let session = api.sessions.find(see(&person, id)?, id).await?;
    expect_joinable(&session)?;
    expect_content_type(&credentials.headers, &[SDP])?;
    let offer = text_of(body)?;
    api.media.expect_space(&person).await?;
    let member = Arc::new(api.rooms.enter_by_media(person.clone(), id).await?.member);
    let answer = match kind {
        Kind::Whip => member.publish(offer, Vec::new()).await.map(|answer| answer.sdp),
        Kind::Whep => member.whep(offer).await,
    };
    let resource = Resource::new(&person, id, kind, Arc::clone(&member));
    let opened = answer.map_err(ApiError::from).and_then(|answer| {
        let entity_tag = resource.entity_tag.clone();
        api.media.insert(resource).map(|name| (answer, name, entity_tag))
    });
    let (answer, name, entity_tag) = match opened {
        Ok(opened) => opened,
        Err(refusal) => {
            member.leave().await;
            return Err(refusal);
        }
    };
    let location = format!("/api/v1/sessions/{id}/{}/{name}", kind.as_str());
    let headers = [
        (CONTENT_TYPE, SDP.to_owned()),
        (LOCATION, location),
        (ETAG, entity_tag),
        (ACCEPT_PATCH, SDP_FRAGMENT.to_owned()),
    ];
    Ok((StatusCode::CREATED, headers, answer).into_response())
}

/// Tells what the endpoint takes; asks nobody who they are (RFC 9725 §4.2).
pub(super) async fn endpoint_options() -> Response {
    let headers = [
        (ALLOW, HeaderValue::from_static(ENDPOINT_METHODS)),
        (ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(ENDPOINT_METHODS)),
        (ACCEPT_POST, HeaderValue::from_static(SDP)),
        (ACCEPT, HeaderValue::from_static(SDP)),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

/// Tells what a resource takes, whether it exists or not, likewise.
pub(super) async fn resource_options(
    Path((_, kind, _)): Path<(String, String, String)>,
) -> Result<Response, ApiError> {
    Kind::of_path(&kind).ok_or_else(no_such_route)?;
    let headers = [
        (ALLOW, HeaderValue::from_static(RESOURCE_METHODS)),
        (ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(RESOURCE_METHODS)),
        (ACCEPT_PATCH, HeaderValue::from_static(SDP_FRAGMENT)),
    ];
    Ok((StatusCode::NO_CONTENT, headers).into_response())
}

/// Lets pages of every origin use WHIP and WHEP: who may is decided by the
/// token that they send, never by a cookie.
pub(super) async fn usable_everywhere(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    if response.headers().contains_key(ACCESS_CONTROL_ALLOW_METHODS) {
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(ALLOWED));
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(PREFLIGHT_MAX_AGE_S));
    }
    response
}

fn no_such_route() -> ApiError {
    ApiError::new(ErrorCode::RouteNotFound, "no such route")
}

refusals!(PatchRefusals: READER, BODY, &[ErrorCode::MediaResourceNotFound, ErrorCode::VersionConflict, ErrorCode::SdpInvalid, ErrorCode::PreconditionRequired]);

/// Trickles candidates or restarts ICE (RFC 9725 §4.3).
#[utoipa::path(
    patch, path = "/api/v1/sessions/{id}/{kind}/{resource}", tag = "media", operation_id = "whipPatch",
    security(("bearer" = [])),
    params(
        ("id" = String, Path, format = Uuid), ("kind" = String, Path, description = "whip or whep"), ("resource" = String, Path),
        ("If-Match" = String, Header, description = "the ICE session; \"*\" restarts it"),
    ),
    request_body(content = String, content_type = "application/trickle-ice-sdpfrag"),
    responses(
        (status = 200, description = "ICE was restarted: the server's new credentials", body = String, content_type = "application/trickle-ice-sdpfrag",
            headers(("ETag" = String, description = "the new ICE session"))),
        (status = 204, description = "Acknowledged"),
        PatchRefusals,
    )
)]
pub(super) async fn patch(
    State(api): State<Api>,
    credentials: Credentials,
    Path((id, kind, name)): Path<(String, String, String)>,
    WholeBody(body): WholeBody,
) -> Result<Response, ApiError> {
    let (member, kind, entity_tag) = resource_of(&api, &credentials, &id, &kind, &name).await?;
    expect_content_type(&credentials.headers, &[SDP_FRAGMENT])?;
    let wanted = IfMatch::required(&credentials.headers)?;
    let fragment = Fragment::parse(&text_of(&body)?).map_err(|problem| {
        ApiError::new(ErrorCode::SdpInvalid, format!("the fragment {problem}"))
    })?;
    let IfMatch::Tags(tags) = wanted else {
        let (ufrag, password) = fragment.credentials.ok_or_else(|| {
            ApiError::new(ErrorCode::SdpInvalid, "a restart needs ice-ufrag and ice-pwd")
        })?;
        let (ufrag, password) = member.restart_ice(kind.side(), ufrag, password).await?;
        let entity_tag = api.media.renew(&name)?;
        let answer = sdp_fragment::credentials(&ufrag, &password);
        let headers = [(CONTENT_TYPE, SDP_FRAGMENT.to_owned()), (ETAG, entity_tag)];
        return Ok((StatusCode::OK, headers, answer).into_response());
    };
    if !tags.iter().any(|tag| entity_tag == format!("\"{tag}\"")) {
        let message = "If-Match names another ICE session than the one that is";
        return Err(ApiError::new(ErrorCode::VersionConflict, message));
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

refusals!(DeleteRefusals: READER, &[ErrorCode::MediaResourceNotFound]);

/// Leaves the session.
#[utoipa::path(
    delete, path = "/api/v1/sessions/{id}/{kind}/{resource}", tag = "media", operation_id = "whipDelete",
    security(("bearer" = [])),
    params(("id" = String, Path, format = Uuid), ("kind" = String, Path, description = "whip or whep"), ("resource" = String, Path)),
    responses(
        (status = 200, description = "Gone"),
        DeleteRefusals,
    )
)]
pub(super) async fn delete(
    State(api): State<Api>,
    credentials: Credentials,
    Path((id, kind, name)): Path<(String, String, String)>,
) -> Result<Response, ApiError> {
    let (member, _, _) = resource_of(&api, &credentials, &id, &kind, &name).await?;
    api.media.remove(&name);
    member.leave().await;
    Ok(StatusCode::OK.into_response())
}

/// The resource of a caller; anybody else's does not exist, and neither does one
/// whose client has vanished.
async fn resource_of(
    api: &Api,
    credentials: &Credentials,
    id: &str,
    kind: &str,
    name: &str,
) -> Result<(Arc<MemberHandle>, Kind, String), ApiError> {
    let kind = Kind::of_path(kind).ok_or_else(no_such_route)?;
    let person = credentials.reader(api, kind.action()).await?;
    let session = session_id(id)?;
    see(&person, session)?;
    let (member, entity_tag) = api.media.find(name, &person, session, kind)?;
    if member.is_gone().await {
        api.media.remove(name);
        return Err(resources::not_found());
    }
    Ok((member, kind, entity_tag))
}

fn expect_joinable(session: &Session) -> Result<(), ApiError> {
    if session.provider != Provider::Webrtc {
        let message = "the session's media is carried by another provider";
        return Err(ApiError::new(ErrorCode::ProviderUnsupported, message));
    }
    match session.status {
        SessionStatus::Active => Ok(()),
        SessionStatus::Scheduled => {
            let message = "the session has not started";
            Err(ApiError::new(ErrorCode::SessionStateConflict, message))
        }
        SessionStatus::Completed | SessionStatus::Cancelled => {
            Err(ApiError::new(ErrorCode::SessionOver, "the session is over"))
        }
    }
}

fn text_of(body: &[u8]) -> Result<String, ApiError> {
    match std::str::from_utf8(body) {
        Ok(text) if !text.trim().is_empty() => Ok(text.to_owned()),
        _ => Err(ApiError::new(ErrorCode::SdpInvalid, "the body is not a session description")),
    }
}
