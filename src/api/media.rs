//! WHIP (RFC 9725) and its playback twin WHEP. A client of either is a
//! participant in the room like any other; this server is ICE-lite, so what
//! clients trickle is acknowledged and not needed.

pub(super) mod refused;
mod resources;
pub(super) mod sdp_fragment;

use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::header::{
    ACCEPT, ACCESS_CONTROL_ALLOW_METHODS, ALLOW, CONTENT_TYPE, ETAG, LINK, LOCATION,
};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

pub(super) use resources::Resources;
pub use resources::{RESOURCES_MAX, RESOURCES_PER_USER_MAX};

use self::refused::tell_refused;
pub(super) use self::resources::Kind;
use self::resources::{Resource, Ticket};
use self::sdp_fragment::Fragment;
use super::body::{WholeBody, expect_content_type};
use super::caller::{Credentials, see};
use super::error::{ApiError, outcome_unknown};
use super::precondition::IfMatch;
use super::refusals::{BODY, READER, refusals};
use super::sessions::session_id;
use super::{Api, ApiState};
use crate::auth::{AuthError, MediaToken, MediaTokenKind, MediaTokens, Scheme};
use crate::domain::error_code::ErrorCode;
use crate::domain::id::SessionKey;
use crate::domain::media::TrackSource;
use crate::domain::participant::Principal;
use crate::domain::role::Action;
use crate::domain::session::{Provider, Session, SessionStatus};
use crate::domain::time::Timestamp;
use crate::room::MemberHandle;
use crate::room::error::RoomError;
use crate::sfu::TransportSide;
use crate::sfu::turn::RelayServer;

pub(super) const SDP: &str = "application/sdp";
pub(super) const SDP_FRAGMENT: &str = "application/trickle-ice-sdpfrag";
const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");
pub(super) const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");
const ENDPOINT_METHODS: &str = "OPTIONS, POST";
const RESOURCE_METHODS: &str = "DELETE, OPTIONS, PATCH";
/// How often it is looked whether a media token of an open connection was
/// revoked elsewhere, and whether the clock was set past the end of a token. Lowering it costs a read for each such connection.
const LOOK_AGAIN: Duration = Duration::from_secs(15);
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
    ErrorCode::RoomElsewhere,
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
        if matches!(error, RoomError::OutcomeUnknown) {
            return outcome_unknown();
        }
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

    /// The direction of the media tokens for it.
    const fn of_token(self) -> MediaTokenKind {
        match self {
            Self::Whip => MediaTokenKind::Whip,
            Self::Whep => MediaTokenKind::Whep,
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
            headers(("Location" = String, description = "the resource"), ("ETag" = String, description = "the ICE session"),
                ("Link" = String, description = "a TURN server with credentials, once for each of its addresses"),
                ("Cabildo-Refused-Section" = String, description = "a section of the offer that is not taken, with code and message, once for each"))),
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
            headers(("Location" = String, description = "the resource"), ("ETag" = String, description = "the ICE session"),
                ("Link" = String, description = "a TURN server with credentials, once for each of its addresses"),
                ("Cabildo-Refused-Section" = String, description = "a section of the offer that is not taken, with code and message, once for each"))),
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
    let MediaCaller { person, ticket } = caller_of(api, credentials, id, kind).await?;
    api.rate_limits.write(person.tenant_id, &person.user_id)?;
    let id = session_id(id)?;
    let session = api.sessions.find(see(&person, id)?).await?;
    expect_joinable(&session)?;
    expect_content_type(&credentials.headers, &[SDP])?;
    let offer = text_of(body)?;
    api.media.expect_space(&person).await?;
    let member = Arc::new(api.rooms.enter_by_media(person.clone(), id).await?.member);
    let answer = match kind {
        Kind::Whip => {
            let source = match &ticket {
                Ticket::Media(token) => token.source,
                Ticket::Access(_) => None,
            };
            let sources = source.map_or_else(Vec::new, |source| sources_of(&offer, source));
            member.publish(offer, sources).await.map(|answer| (answer.sdp, answer.refused))
        }
        Kind::Whep => member.whep(offer).await.map(|answer| (answer.sdp, answer.refused)),
    };
    let ends_at = ticket.ends_at(api);
    let resource = Resource::new(&person, id, kind, Arc::clone(&member), (ticket, ends_at));
    let opened = answer.map_err(ApiError::from).and_then(|answer| {
        // What was refused is told by itself.
        if kind == Kind::Whip && answer.1.is_empty() {
            expect_media(&answer.0)?;
        }
        let entity_tag = resource.entity_tag.clone();
        api.media.insert(resource).map(|name| (answer, name, entity_tag))
    });
    let turn = api.turn.as_ref().filter(|_| member.has_media());
    let relay = turn.map(|turn| {
        turn.issue(member.session, member.connection, person.tenant_id, &person.user_id)
    });
    let ((answer, refused), name, entity_tag) = match opened {
        Ok(opened) => opened,
        Err(refusal) => {
            member.leave().await;
            return Err(refusal);
        }
    };
    tokio::spawn(end_with_ticket(Arc::downgrade(&api.0), name.clone()));
    let location = format!("/api/v1/sessions/{id}/{}/{name}", kind.as_str());
    let headers = [
        (CONTENT_TYPE, SDP.to_owned()),
        (LOCATION, location),
        (ETAG, entity_tag),
        (ACCEPT_PATCH, SDP_FRAGMENT.to_owned()),
    ];
    let mut response = (StatusCode::CREATED, headers, answer).into_response();
    tell_refused(response.headers_mut(), &refused);
    for link in relay.iter().flat_map(links) {
        response.headers_mut().append(LINK, link);
    }
    Ok(response)
}

/// Refuses an offer that publishes nothing: an encoder that believes it is live is not. A client
/// offers `sendonly` or `sendrecv` (RFC 9725 §4.2).
fn expect_media(answer: &str) -> Result<(), ApiError> {
    if answer.lines().any(|line| line == "a=recvonly") {
        return Ok(());
    }
    let message = "the offer sends nothing; WHIP takes sections that send";
    Err(ApiError::new(ErrorCode::SdpInvalid, message))
}

/// The `Link` headers of a TURN server (RFC 9725 §4.6). Usernames and passwords are base64 and a
/// colon, so nothing in them has to be quoted.
fn links(relay: &RelayServer) -> Vec<HeaderValue> {
    let RelayServer { urls, username, credential } = relay;
    let credential = credential.expose();
    let of_url = |url: &String| {
        let link = format!(
            "<{url}>; rel=\"ice-server\"; username=\"{username}\"; \
             credential=\"{credential}\"; credential-type=\"password\""
        );
        HeaderValue::from_str(&link).ok()
    };
    urls.iter().filter_map(of_url).collect()
}

/// Who publishes or plays, and by what right.
struct MediaCaller {
    person: Principal,
    ticket: Ticket,
}

impl MediaCaller {
    fn by_media_token(token: MediaToken, now: Timestamp) -> Self {
        Self { person: token.principal(now), ticket: Ticket::Media(token) }
    }
}

/// The caller of a WHIP or WHEP route: whoever has a media token of the session
/// for this direction, or a person. A token that is bound to no key only reads, so
/// it does not publish.
async fn caller_of(
    api: &Api,
    credentials: &Credentials,
    id: &str,
    kind: Kind,
) -> Result<MediaCaller, ApiError> {
    if let Some(text) = media_token_of(credentials) {
        let session = session_id(id)?;
        // A session that does not exist is answered like a token that does not.
        let tenant = api.directory.tenant_of(session).await?;
        let tenant = tenant.ok_or_else(|| refused(&AuthError::TokenInvalid))?;
        let now = api.wall.now();
        let checked =
            api.media_tokens.check(SessionKey::new(tenant, session), kind.of_token(), text, now);
        let token = checked.await.map_err(|error| refused(&error))?;
        return Ok(MediaCaller::by_media_token(token, now));
    }
    let person = credentials.reader(api, kind.action()).await?;
    if kind == Kind::Whip && person.key_thumbprint.is_none() {
        let message = "publishing needs a media token, or a token with a proof of its key";
        return Err(ApiError::new(ErrorCode::Forbidden, message));
    }
    let ticket = Ticket::Access(person.expires_at);
    Ok(MediaCaller { person, ticket })
}

/// What the sections of an offer publish, when a media token says it: sections of
/// the other kind of media keep their usual source.
fn sources_of(offer: &str, source: TrackSource) -> Vec<(String, TrackSource)> {
    let mut sources = Vec::new();
    let mut in_kind = false;
    for line in offer.lines() {
        if let Some(section) = line.strip_prefix("m=") {
            in_kind = section.split(' ').next() == Some(source.kind().as_str());
        } else if let Some(mid) = line.strip_prefix("a=mid:").filter(|_| in_kind) {
            sources.push((mid.trim().to_owned(), source));
        }
    }
    sources
}

/// Ends a resource when the token does with which it was opened, or the one that it was given
/// meanwhile. Revocation of a media token by another instance is seen within [`LOOK_AGAIN`].
async fn end_with_ticket(api: Weak<ApiState>, name: String) {
    loop {
        let wait = {
            let Some(api) = api.upgrade() else { return };
            let Some((_, ends_at)) = api.media.ticket_of(&name) else { return };
            ends_at.since(api.clock.now()).min(LOOK_AGAIN)
        };
        tokio::time::sleep(wait).await;
        let Some(api) = api.upgrade() else { return };
        let (token, ends_at) = match api.media.ticket_of(&name) {
            None => return,
            Some((Ticket::Media(token), ends_at)) => (token, ends_at),
            Some((Ticket::Access(_), _)) => {
                api.media.end_if_over(&name, api.clock.now()).await;
                continue;
            }
        };
        let found = api.media_tokens.repository().read(token.tenant, token.id).await;
        // What can't be looked up goes on to the end it had.
        let is_revoked =
            found.is_ok_and(|found| found.is_some_and(|found| found.revoked_at.is_some()));
        if is_revoked || ends_at <= api.clock.now() {
            api.media.end_of_token(token.id).await;
        }
    }
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
    Ok(resource_methods().await)
}

/// Tells what every resource of WHIP takes.
pub(super) async fn resource_methods() -> Response {
    let headers = [
        (ALLOW, HeaderValue::from_static(RESOURCE_METHODS)),
        (ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(RESOURCE_METHODS)),
        (ACCEPT_PATCH, HeaderValue::from_static(SDP_FRAGMENT)),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
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
    let (member, kind, entity_tag) =
        resource_of(&api, &credentials, &id, &kind, &name, Tokens::InForce).await?;
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
    expect_ice_session(&tags, &entity_tag)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Refuses when none of the tags of `If-Match` is that of the ICE session.
pub(super) fn expect_ice_session(tags: &[String], entity_tag: &str) -> Result<(), ApiError> {
    if tags.iter().any(|tag| entity_tag == format!("\"{tag}\"")) {
        return Ok(());
    }
    let message = "If-Match names another ICE session than the one that is";
    Err(ApiError::new(ErrorCode::VersionConflict, message))
}

refusals!(DeleteRefusals: READER, &[ErrorCode::MediaResourceNotFound, ErrorCode::VersionConflict]);

/// Leaves the session.
#[utoipa::path(
    delete, path = "/api/v1/sessions/{id}/{kind}/{resource}", tag = "media", operation_id = "whipDelete",
    security(("bearer" = [])),
    params(
        ("id" = String, Path, format = Uuid),
        ("kind" = String, Path, description = "whip or whep"),
        ("resource" = String, Path),
        ("If-Match" = Option<String>, Header, description = "leave only if this is the ICE session"),
    ),
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
    let (member, _, entity_tag) =
        resource_of(&api, &credentials, &id, &kind, &name, Tokens::EndedToo).await?;
    if let Some(IfMatch::Tags(tags)) = IfMatch::read(&credentials.headers)? {
        expect_ice_session(&tags, &entity_tag)?;
    }
    api.media.remove(&name);
    member.leave().await;
    Ok(StatusCode::OK.into_response())
}

/// Which media tokens are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tokens {
    /// Those in force.
    InForce,
    /// Ended and revoked ones too: whoever opened a resource may always delete it.
    EndedToo,
}

/// The resource of a caller; anybody else's does not exist, and neither does one
/// whose client has vanished.
async fn resource_of(
    api: &Api,
    credentials: &Credentials,
    id: &str,
    kind: &str,
    name: &str,
    tokens: Tokens,
) -> Result<(Arc<MemberHandle>, Kind, String), ApiError> {
    let kind = Kind::of_path(kind).ok_or_else(no_such_route)?;
    let caller = match tokens {
        Tokens::InForce => None,
        Tokens::EndedToo => ended_caller(api, credentials, id, kind).await?,
    };
    let caller = match caller {
        Some(caller) => caller,
        None => caller_of(api, credentials, id, kind).await?,
    };
    let session = session_id(id)?;
    let person = caller.person;
    see(&person, session)?;
    let (member, entity_tag) = api.media.find(name, &person, session, kind)?;
    if member.is_gone().await {
        api.media.remove(name);
        return Err(resources::not_found());
    }
    // A client that comes with a newer token of its person goes on with that.
    let now = api.wall.now();
    let is_in_force = match &caller.ticket {
        Ticket::Media(token) => token.is_in_force(now),
        Ticket::Access(expires_at) => now < *expires_at,
    };
    if is_in_force {
        let ends_at = caller.ticket.ends_at(api);
        api.media.renew_ticket(name, caller.ticket, ends_at);
    }
    Ok((member, kind, entity_tag))
}

/// The caller by a media token that has perhaps ended; `None` when it is no such
/// token of this session and direction.
async fn ended_caller(
    api: &Api,
    credentials: &Credentials,
    id: &str,
    kind: Kind,
) -> Result<Option<MediaCaller>, ApiError> {
    let Some(text) = media_token_of(credentials) else { return Ok(None) };
    let session = session_id(id)?;
    let Some(tenant) = api.directory.tenant_of(session).await? else { return Ok(None) };
    let found = api
        .media_tokens
        .recall(SessionKey::new(tenant, session), text)
        .await
        .map_err(|error| refused(&error))?;
    let token = found.filter(|token| token.kind == kind.of_token());
    let now = api.wall.now();
    Ok(token.map(|token| MediaCaller::by_media_token(token, now)))
}

/// The text of a media token, if that is what the caller shows.
fn media_token_of(credentials: &Credentials) -> Option<&str> {
    credentials.bearer_text().filter(|text| MediaTokens::is_one(text))
}

fn refused(error: &AuthError) -> ApiError {
    ApiError::unauthenticated(error, Scheme::Bearer)
}

/// Refuses a session that no client will be able to join: media tokens can be
/// made before it starts.
pub(super) fn expect_usable(session: &Session) -> Result<(), ApiError> {
    match session.status {
        SessionStatus::Scheduled => expect_own_media(session),
        _ => expect_joinable(session),
    }
}

fn expect_own_media(session: &Session) -> Result<(), ApiError> {
    if session.provider == Provider::Webrtc {
        return Ok(());
    }
    let message = "the session's media is carried by another provider";
    Err(ApiError::new(ErrorCode::ProviderUnsupported, message))
}

fn expect_joinable(session: &Session) -> Result<(), ApiError> {
    expect_own_media(session)?;
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

/// A session description as it was sent.
pub(super) fn text_of(body: &[u8]) -> Result<String, ApiError> {
    match std::str::from_utf8(body) {
        Ok(text) if !text.trim().is_empty() => Ok(text.to_owned()),
        _ => Err(ApiError::new(ErrorCode::SdpInvalid, "the body is not a session description")),
    }
}
