//! WHIP (RFC 9725) and its playback twin WHEP. A client of either is a
//! participant in the room like any other; this server is ICE-lite, so what
//! clients trickle is acknowledged and not needed.

mod resources;
mod sdp_fragment;

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::header::{ACCEPT, ALLOW, CONTENT_TYPE, ETAG, IF_MATCH, LOCATION};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

pub(super) use resources::Resources;
pub use resources::{RESOURCES_MAX, RESOURCES_PER_USER_MAX};

pub(super) use self::resources::Kind;
use self::resources::Resource;
use self::sdp_fragment::Fragment;
use super::Api;
use super::body::{WholeBody, expect_content_type};
use super::caller::{Credentials, see};
use super::error::{ApiError, ErrorBody};
use super::ports::{MediaMember, MediaRefused, WhipRoom};
use super::sessions::session_id;
use crate::domain::error_code::ErrorCode;
use crate::domain::role::Action;
use crate::domain::session::{Provider, Session, SessionStatus};

const SDP: &str = "application/sdp";
const SDP_FRAGMENT: &str = "application/trickle-ice-sdpfrag";
const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");
const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");

impl From<MediaRefused> for ApiError {
    fn from(refused: MediaRefused) -> Self {
        Self::new(refused.code, refused.message)
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
}

/// Publishes into a session.
#[utoipa::path(
    post, path = "/api/v1/sessions/{id}/whip", tag = "media", operation_id = "whipPublish",
    security(("bearer" = [])), params(("id" = String, Path, format = Uuid)),
    request_body(content = String, content_type = "application/sdp", description = "the offer"),
    responses(
        (status = 201, description = "The answer", body = String, content_type = "application/sdp",
            headers(("Location" = String, description = "the resource"), ("ETag" = String, description = "the ICE session"))),
        (status = 401, description = "CREDENTIALS_MISSING, TOKEN_INVALID, TOKEN_EXPIRED", body = ErrorBody),
        (status = 403, description = "FORBIDDEN", body = ErrorBody),
        (status = 404, description = "SESSION_NOT_FOUND", body = ErrorBody),
        (status = 409, description = "SESSION_STATE_CONFLICT, PARTICIPANT_LIMIT_REACHED, TRACK_LIMIT_REACHED, PROVIDER_UNSUPPORTED", body = ErrorBody),
        (status = 410, description = "SESSION_OVER", body = ErrorBody),
        (status = 413, description = "PAYLOAD_TOO_LARGE", body = ErrorBody),
        (status = 415, description = "UNSUPPORTED_MEDIA_TYPE", body = ErrorBody),
        (status = 422, description = "SDP_INVALID", body = ErrorBody),
        (status = 429, description = "RATE_LIMITED", body = ErrorBody),
        (status = 503, description = "DEPENDENCY_UNAVAILABLE", body = ErrorBody),
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

/// Plays a session.
#[utoipa::path(
    post, path = "/api/v1/sessions/{id}/whep", tag = "media", operation_id = "whepPlay",
    security(("bearer" = [])), params(("id" = String, Path, format = Uuid)),
    request_body(content = String, content_type = "application/sdp", description = "the offer"),
    responses(
        (status = 201, description = "The answer", body = String, content_type = "application/sdp",
            headers(("Location" = String, description = "the resource"), ("ETag" = String, description = "the ICE session"))),
        (status = 401, description = "CREDENTIALS_MISSING, TOKEN_INVALID, TOKEN_EXPIRED", body = ErrorBody),
        (status = 403, description = "FORBIDDEN", body = ErrorBody),
        (status = 404, description = "SESSION_NOT_FOUND", body = ErrorBody),
        (status = 409, description = "SESSION_STATE_CONFLICT, PARTICIPANT_LIMIT_REACHED, TRACK_LIMIT_REACHED, PROVIDER_UNSUPPORTED", body = ErrorBody),
        (status = 410, description = "SESSION_OVER", body = ErrorBody),
        (status = 413, description = "PAYLOAD_TOO_LARGE", body = ErrorBody),
        (status = 415, description = "UNSUPPORTED_MEDIA_TYPE", body = ErrorBody),
        (status = 422, description = "SDP_INVALID", body = ErrorBody),
        (status = 429, description = "RATE_LIMITED", body = ErrorBody),
        (status = 503, description = "DEPENDENCY_UNAVAILABLE", body = ErrorBody),
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
    let room = room_of(api)?;
    let person = credentials.reader(api, kind.action()).await?;
    api.rate_limits.write(person.tenant_id, &person.user_id)?;
    let id = session_id(id)?;
    let session = api.sessions.find(see(&person, id)?, id).await?;
    expect_joinable(&session)?;
    expect_content_type(&credentials.headers, &[SDP])?;
    let offer = text_of(body)?;
    api.media.expect_space(&person).await?;
    let member = room.join(&person, id).await?;
    let answer = match kind {
        Kind::Whip => member.publish(offer).await,
        Kind::Whep => member.play(offer).await,
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
pub(super) async fn options() -> Response {
    let headers = [
        (ALLOW, HeaderValue::from_static("OPTIONS, POST")),
        (ACCEPT_POST, HeaderValue::from_static(SDP)),
        (ACCEPT, HeaderValue::from_static(SDP)),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

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
        (status = 401, description = "CREDENTIALS_MISSING, TOKEN_INVALID, TOKEN_EXPIRED", body = ErrorBody),
        (status = 403, description = "FORBIDDEN", body = ErrorBody),
        (status = 404, description = "MEDIA_RESOURCE_NOT_FOUND", body = ErrorBody),
        (status = 412, description = "VERSION_CONFLICT", body = ErrorBody),
        (status = 415, description = "UNSUPPORTED_MEDIA_TYPE", body = ErrorBody),
        (status = 422, description = "SDP_INVALID", body = ErrorBody),
        (status = 428, description = "PRECONDITION_REQUIRED", body = ErrorBody),
        (status = 429, description = "RATE_LIMITED", body = ErrorBody),
    )
)]
pub(super) async fn patch(
    State(api): State<Api>,
    credentials: Credentials,
    Extension(kind): Extension<Kind>,
    Path((id, name)): Path<(String, String)>,
    WholeBody(body): WholeBody,
) -> Result<Response, ApiError> {
    let (member, entity_tag) = resource_of(&api, &credentials, &id, kind, &name).await?;
    expect_content_type(&credentials.headers, &[SDP_FRAGMENT])?;
    let wanted = if_match(&credentials.headers)?;
    let fragment = Fragment::parse(&text_of(&body)?).map_err(|problem| {
        ApiError::new(ErrorCode::SdpInvalid, format!("the fragment {problem}"))
    })?;
    if wanted == "*" {
        let (ufrag, password) = fragment.credentials.ok_or_else(|| {
            ApiError::new(ErrorCode::SdpInvalid, "a restart needs ice-ufrag and ice-pwd")
        })?;
        let (ufrag, password) = member.restart_ice(ufrag, password).await?;
        let entity_tag = api.media.renew(&name)?;
        let answer = sdp_fragment::credentials(&ufrag, &password);
        let headers = [(CONTENT_TYPE, SDP_FRAGMENT.to_owned()), (ETAG, entity_tag)];
        return Ok((StatusCode::OK, headers, answer).into_response());
    }
    if wanted != entity_tag {
        let message = "If-Match names another ICE session than the one that is";
        return Err(ApiError::new(ErrorCode::VersionConflict, message));
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Leaves the session.
#[utoipa::path(
    delete, path = "/api/v1/sessions/{id}/{kind}/{resource}", tag = "media", operation_id = "whipDelete",
    security(("bearer" = [])),
    params(("id" = String, Path, format = Uuid), ("kind" = String, Path, description = "whip or whep"), ("resource" = String, Path)),
    responses(
        (status = 200, description = "Gone"),
        (status = 401, description = "CREDENTIALS_MISSING, TOKEN_INVALID, TOKEN_EXPIRED", body = ErrorBody),
        (status = 403, description = "FORBIDDEN", body = ErrorBody),
        (status = 404, description = "MEDIA_RESOURCE_NOT_FOUND", body = ErrorBody),
        (status = 429, description = "RATE_LIMITED", body = ErrorBody),
    )
)]
pub(super) async fn delete(
    State(api): State<Api>,
    credentials: Credentials,
    Extension(kind): Extension<Kind>,
    Path((id, name)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let (member, _) = resource_of(&api, &credentials, &id, kind, &name).await?;
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
    kind: Kind,
    name: &str,
) -> Result<(Arc<dyn MediaMember>, String), ApiError> {
    let person = credentials.reader(api, kind.action()).await?;
    let session = session_id(id)?;
    see(&person, session)?;
    let (member, entity_tag) = api.media.find(name, &person, session, kind)?;
    if member.is_gone().await {
        api.media.remove(name);
        return Err(resources::not_found());
    }
    Ok((member, entity_tag))
}

fn room_of(api: &Api) -> Result<&Arc<dyn WhipRoom>, ApiError> {
    api.whip.as_ref().ok_or_else(|| ApiError::new(ErrorCode::RouteNotFound, "no such route"))
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

/// The entity tag of `If-Match`, quotes included; `*` for either spelling of it
/// (RFC 9725 §4.3.2 has it in quotes).
fn if_match(headers: &HeaderMap) -> Result<String, ApiError> {
    let Some(value) = headers.get(IF_MATCH) else {
        let message = "a change has to name the ICE session it is of in If-Match";
        return Err(ApiError::new(ErrorCode::PreconditionRequired, message));
    };
    match value.to_str().map(str::trim) {
        Ok("*" | "\"*\"") => Ok("*".to_owned()),
        Ok(text) => Ok(text.to_owned()),
        Err(_) => Err(ApiError::malformed_field("If-Match", "expected an entity tag")),
    }
}
