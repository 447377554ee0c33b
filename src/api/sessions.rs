//! `/api/v1/sessions`.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::header::{ETAG, LOCATION};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::IntoParams;

use super::Api;
use super::body::{WholeBody, json, query};
use super::caller::{Credentials, PersonOrService, see, with_nonce};
use super::error::ApiError;
use super::idempotency::{once, once_creating, origin_of};
use super::json_forms::{Id, Modality, Moment, SessionStatus};
use super::precondition::IfMatch;
use super::refusals::{BODY, READER, REPEATABLE, SERVICE, WRITER, refusals};
use super::session_body::{NewSessionBody, SessionBody, SessionPageBody, SessionPatchBody, etag};
use crate::domain::error_code::ErrorCode;
use crate::domain::id::{AssemblyId, SessionId, SessionKey, TenantId};
use crate::domain::role::Action;
use crate::domain::service_route::ServiceRoute;
use crate::domain::session::Session;
use crate::sessions::{ListQuery, PlannedId, Repetition, SessionError, SessionFilter};

const JSON: &str = "application/json";
const MERGE_PATCH: &str = "application/merge-patch+json";

/// What may stand against a session whose media another provider carries.
const PROVIDER: &[ErrorCode] = &[
    ErrorCode::ProviderNotConfigured,
    ErrorCode::ProviderUnavailable,
    ErrorCode::ProviderRefused,
    ErrorCode::ProviderLimitReached,
];

/// What every change of a session's state may be refused with.
const STEP: &[ErrorCode] = &[
    ErrorCode::SessionNotFound,
    ErrorCode::SessionStateConflict,
    ErrorCode::VersionConflict,
    ErrorCode::PayloadTooLarge,
    ErrorCode::IdempotencyKeyInUse,
    ErrorCode::IdempotencyKeyReused,
];

refusals!(CreateRefusals: SERVICE, BODY, REPEATABLE, PROVIDER, &[ErrorCode::UnprocessableRequest, ErrorCode::TenantSuspended]);

/// Creates a session, in state `scheduled`. When another provider carries its media, its meeting
/// there is made first; if that fails nothing is created, and the request may come again.
#[utoipa::path(
    post, path = "/api/v1/sessions", tag = "sessions", operation_id = "createSession",
    security(("service" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "names the request, so that it may come twice")),
    request_body = NewSessionBody,
    responses(
        (status = 201, description = "Created", body = SessionBody,
            headers(("ETag" = String, description = "its version"), ("Location" = String, description = "where it is"))),
        CreateRefusals,
    )
)]
pub(super) async fn create(
    State(api): State<Api>,
    credentials: Credentials,
    WholeBody(body): WholeBody,
) -> Result<Response, ApiError> {
    let service = credentials.service(&api, ServiceRoute::CreateSession)?;
    create_as(&api, &credentials, PersonOrService::Service(service), &body).await
}

/// Creates a session for a caller that may.
pub(super) async fn create_as(
    api: &Api,
    credentials: &Credentials,
    caller: PersonOrService,
    body: &[u8],
) -> Result<Response, ApiError> {
    let wanted: NewSessionBody = json(&credentials.headers, body, &[JSON])?;
    let tenant = wanted.tenant_id.0;
    let origin = origin_of(credentials, (tenant, &caller.as_caller()), body)?;
    let work = |planned: PlannedId| async move {
        let now = api.clock.now();
        let id = SessionId::from_uuid(planned.as_uuid());
        let session = api.sessions.create_once(wanted.into(), (id, origin), now).await?;
        let mut response = shown(api, StatusCode::CREATED, &session);
        if let Ok(location) = HeaderValue::from_str(&format!("/api/v1/sessions/{}", session.id)) {
            response.headers_mut().insert(LOCATION, location);
        }
        Ok(response)
    };
    let named = (body, Repetition::SameAnswer);
    once_creating(api, credentials, (tenant, caller.as_caller()), named, work).await
}

/// What of the list is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParameters {
    /// In this state.
    status: Option<SessionStatus>,
    /// Of this modality.
    modality: Option<Modality>,
    /// Of this assembly.
    #[param(value_type = Option<String>, format = Uuid)]
    assembly_id: Option<Id<AssemblyId>>,
    /// Scheduled to start, or else created, at this moment or later.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Moment>,
    /// Scheduled to start, or else created, before this moment.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Moment>,
    /// How many, 1 to 200; 50 when absent.
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

impl ListParameters {
    fn into_query(self, only: Option<SessionId>) -> ListQuery {
        ListQuery {
            filter: SessionFilter {
                status: self.status.map(Into::into),
                modality: self.modality.map(Into::into),
                assembly_id: self.assembly_id.map(|id| id.0),
                from: self.from.map(|moment| moment.0),
                to: self.to.map(|moment| moment.0),
                only,
            },
            limit: self.limit,
            cursor: self.cursor,
        }
    }
}

refusals!(ListRefusals: READER, &[ErrorCode::UnprocessableRequest]);

/// Lists the sessions of the caller's tenant, newest first.
#[utoipa::path(
    get, path = "/api/v1/sessions", tag = "sessions", operation_id = "listSessions",
    security(("bearer" = [])), params(ListParameters),
    responses(
        (status = 200, description = "A page", body = SessionPageBody),
        ListRefusals,
    )
)]
pub(super) async fn list(
    State(api): State<Api>,
    credentials: Credentials,
    parts: Parts,
) -> Result<Response, ApiError> {
    let person = credentials.reader(&api, Action::ReadSession).await?;
    let parameters: ListParameters = query(&parts)?;
    let query = parameters.into_query(person.session_id);
    page(&api, person.tenant_id, &query).await
}

/// A page of one tenant's sessions.
pub(super) async fn page(
    api: &Api,
    tenant: TenantId,
    query: &ListQuery,
) -> Result<Response, ApiError> {
    let page = api.sessions.list(tenant, query).await?;
    let items = page
        .sessions
        .iter()
        .map(|session| SessionBody::new(session, join_url(api, session)))
        .collect();
    Ok(Json(SessionPageBody { items, next_cursor: page.next_cursor }).into_response())
}

refusals!(ReadRefusals: READER, &[ErrorCode::SessionNotFound]);

/// Shows one session.
#[utoipa::path(
    get, path = "/api/v1/sessions/{id}", tag = "sessions", operation_id = "readSession",
    security(("bearer" = [])), params(("id" = String, Path, format = Uuid)),
    responses(
        (status = 200, description = "The session", body = SessionBody,
            headers(("ETag" = String, description = "its version"))),
        ReadRefusals,
    )
)]
pub(super) async fn read(
    State(api): State<Api>,
    credentials: Credentials,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let person = credentials.reader(&api, Action::ReadSession).await?;
    let id = session_id(&id)?;
    let session = api.sessions.find(see(&person, id)?).await?;
    Ok(shown(&api, StatusCode::OK, &session))
}

refusals!(PatchRefusals: WRITER, BODY, REPEATABLE, PROVIDER, &[ErrorCode::SessionNotFound, ErrorCode::SessionStateConflict, ErrorCode::VersionConflict, ErrorCode::UnprocessableRequest, ErrorCode::PreconditionRequired]);

/// Changes a session by merge patch (RFC 7396). Once it is active only its
/// title, planned end, number of people and retention can change.
#[utoipa::path(
    patch, path = "/api/v1/sessions/{id}", tag = "sessions", operation_id = "patchSession",
    security(("dpop" = []), ("service" = [])),
    params(
        ("id" = String, Path, format = Uuid),
        ("If-Match" = String, Header, description = "the version it is a change of: \"7\""),
        ("Idempotency-Key" = Option<String>, Header),
    ),
    request_body(content((SessionPatchBody = "application/merge-patch+json"), (SessionPatchBody = "application/json"))),
    responses(
        (status = 200, description = "Changed", body = SessionBody,
            headers(("ETag" = String, description = "its version"))),
        PatchRefusals,
    )
)]
pub(super) async fn patch(
    State(api): State<Api>,
    credentials: Credentials,
    Path(id): Path<String>,
    WholeBody(body): WholeBody,
) -> Result<Response, ApiError> {
    let route = ServiceRoute::PatchSession;
    let caller = credentials.writer_or_service(&api, Action::ManageSession, route).await?;
    let id = session_id(&id)?;
    let key = key_for(&api, &caller, id).await?;
    let wanted = IfMatch::required(&credentials.headers)?;
    let patch: SessionPatchBody = json(&credentials.headers, &body, &[MERGE_PATCH, JSON])?;
    let work = async {
        let expected = match expected_version(&api, wanted, key).await? {
            Some(version) => version,
            None => api.sessions.find(key).await?.version,
        };
        let now = api.clock.now();
        let session = api.sessions.patch(key, expected, patch.into(), now).await?;
        Ok(shown(&api, StatusCode::OK, &session))
    };
    let response = once(&api, &credentials, (key.tenant, caller.as_caller()), &body, work).await?;
    Ok(with_nonce(response, &api))
}

refusals!(StartRefusals: WRITER, STEP, PROVIDER, &[ErrorCode::SessionLimitReached, ErrorCode::TenantSuspended]);

/// Starts a scheduled session.
#[utoipa::path(
    post, path = "/api/v1/sessions/{id}/start", tag = "sessions", operation_id = "startSession",
    security(("dpop" = []), ("service" = [])),
    params(("id" = String, Path, format = Uuid), ("If-Match" = Option<String>, Header), ("Idempotency-Key" = Option<String>, Header)),
    responses(
        (status = 200, description = "Active", body = SessionBody),
        StartRefusals,
    )
)]
pub(super) async fn start(
    State(api): State<Api>,
    credentials: Credentials,
    Path(id): Path<String>,
    WholeBody(body): WholeBody,
) -> Result<Response, ApiError> {
    let route = ServiceRoute::StartSession;
    let caller = credentials.writer_or_service(&api, Action::ManageSession, route).await?;
    change_state(&api, &credentials, caller, &id, &body, Step::Start).await
}

refusals!(CancelRefusals: WRITER, STEP);

/// Calls off a session that is not over.
#[utoipa::path(
    post, path = "/api/v1/sessions/{id}/cancel", tag = "sessions", operation_id = "cancelSession",
    security(("dpop" = []), ("service" = [])),
    params(("id" = String, Path, format = Uuid), ("If-Match" = Option<String>, Header), ("Idempotency-Key" = Option<String>, Header)),
    responses(
        (status = 200, description = "Cancelled", body = SessionBody),
        CancelRefusals,
    )
)]
pub(super) async fn cancel(
    State(api): State<Api>,
    credentials: Credentials,
    Path(id): Path<String>,
    WholeBody(body): WholeBody,
) -> Result<Response, ApiError> {
    let route = ServiceRoute::CancelSession;
    let caller = credentials.writer_or_service(&api, Action::ManageSession, route).await?;
    change_state(&api, &credentials, caller, &id, &body, Step::Cancel).await
}

refusals!(EndRefusals: SERVICE, STEP);

/// Completes an active session.
#[utoipa::path(
    post, path = "/api/v1/sessions/{id}/end", tag = "sessions", operation_id = "endSession",
    security(("service" = [])),
    params(("id" = String, Path, format = Uuid), ("If-Match" = Option<String>, Header), ("Idempotency-Key" = Option<String>, Header)),
    responses(
        (status = 200, description = "Completed", body = SessionBody),
        EndRefusals,
    )
)]
pub(super) async fn end(
    State(api): State<Api>,
    credentials: Credentials,
    Path(id): Path<String>,
    WholeBody(body): WholeBody,
) -> Result<Response, ApiError> {
    let service = credentials.service(&api, ServiceRoute::EndSession)?;
    let caller = PersonOrService::Service(service);
    change_state(&api, &credentials, caller, &id, &body, Step::End).await
}

/// A step in the life of a session.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Start,
    Cancel,
    End,
}

/// Takes a session one step further.
pub(super) async fn change_state(
    api: &Api,
    credentials: &Credentials,
    caller: PersonOrService,
    id: &str,
    body: &[u8],
    step: Step,
) -> Result<Response, ApiError> {
    let id = session_id(id)?;
    expect_nothing(body)?;
    let key = key_for(api, &caller, id).await?;
    let wanted = IfMatch::read(&credentials.headers)?;
    let work = async {
        let expected = match wanted {
            Some(wanted) => expected_version(api, wanted, key).await?,
            None => None,
        };
        let session = match step {
            Step::Start => api.sessions.start(key, expected, api.clock.now()).await?,
            Step::Cancel => api.sessions.cancel(key, expected, api.clock.now()).await?,
            Step::End => api.sessions.end(key, expected, api.clock.now()).await?,
        };
        if session.status.is_over() {
            api.media.forget_session(id);
        }
        Ok(shown(api, StatusCode::OK, &session))
    };
    let response = once(api, credentials, (key.tenant, caller.as_caller()), body, work).await?;
    Ok(caller.answer(api, response))
}

/// The session that a caller names, with the tenant that it may act for.
async fn key_for(
    api: &Api,
    caller: &PersonOrService,
    session: SessionId,
) -> Result<SessionKey, ApiError> {
    match caller {
        PersonOrService::Person(person) => see(person, session),
        PersonOrService::Service(_) => {
            let tenant = api.directory.tenant_of(session).await?;
            let tenant = tenant.ok_or(SessionError::NotFound)?;
            Ok(SessionKey::new(tenant, session))
        }
    }
}

/// A session as an answer, with its version as entity tag.
fn shown(api: &Api, status: StatusCode, session: &Session) -> Response {
    let body = SessionBody::new(session, join_url(api, session));
    (status, [(ETAG, etag(session.version))], Json(body)).into_response()
}

/// Where people join. In development the page has nobody to ask which tenant
/// to log in to.
fn join_url(api: &Api, session: &Session) -> String {
    let origin = api.options.public_origins.first().map_or("", String::as_str);
    let url = format!("{origin}/join?session={}", session.id);
    if api.is_dev() { format!("{url}&tenant={}", session.tenant_id) } else { url }
}

/// The session a path names; what is no id names none.
pub(super) fn session_id(text: &str) -> Result<SessionId, ApiError> {
    text.parse().map_err(|_| SessionError::NotFound.into())
}

pub(super) fn expect_nothing(body: &[u8]) -> Result<(), ApiError> {
    let empty = [&b""[..], b"{}"].contains(&body.trim_ascii());
    if empty { Ok(()) } else { Err(ApiError::malformed_field("", "this route takes no body")) }
}

/// The version that a change with this `If-Match` is of. `None` when it may be
/// of any.
async fn expected_version(
    api: &Api,
    wanted: IfMatch,
    key: SessionKey,
) -> Result<Option<u64>, ApiError> {
    let IfMatch::Tags(tags) = wanted else { return Ok(None) };
    if let [tag] = &tags[..]
        && let Some(version) = version_of(tag)
    {
        return Ok(Some(version));
    }
    let current = api.sessions.find(key).await?.version;
    if tags.iter().any(|tag| version_of(tag) == Some(current)) {
        return Ok(Some(current));
    }
    Err(SessionError::VersionConflict { current }.into())
}

/// The version that an entity tag of [`etag`] names.
pub(super) fn version_of(tag: &str) -> Option<u64> {
    tag.parse().ok().filter(|version: &u64| version.to_string() == tag)
}
