//! `/gateway/sessions`: who may watch a camera or a session.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{JSON, Operator};
use crate::api::Api;
use crate::api::body::{WholeBody, json, query};
use crate::api::caller::Credentials;
use crate::api::error::ApiError;
use crate::api::json_forms::{Id, Moment};
use crate::api::refusals::{BODY, READER, REPEATABLE, SERVICE, refusals};
use crate::api::sessions::expect_nothing;
use crate::cameras::repository::StreamSession;
use crate::cameras::{CameraError, SessionFilter};
use crate::domain::camera;
use crate::domain::error_code::ErrorCode;
use crate::domain::id::{CameraId, SessionId, StreamSessionId, TenantId};
use crate::domain::watched::Watched;
use crate::sessions::{PlannedId, Repetition};

/// Where a stream session stands.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum StreamSessionStatus {
    Requested,
    Issued,
    Active,
    Ended,
    Expired,
}

impl From<camera::StreamSessionStatus> for StreamSessionStatus {
    fn from(status: camera::StreamSessionStatus) -> Self {
        use camera::StreamSessionStatus as Word;
        match status {
            Word::Requested => Self::Requested,
            Word::Issued => Self::Issued,
            Word::Active => Self::Active,
            Word::Ended => Self::Ended,
            Word::Expired => Self::Expired,
        }
    }
}

impl From<StreamSessionStatus> for camera::StreamSessionStatus {
    fn from(status: StreamSessionStatus) -> Self {
        match status {
            StreamSessionStatus::Requested => Self::Requested,
            StreamSessionStatus::Issued => Self::Issued,
            StreamSessionStatus::Active => Self::Active,
            StreamSessionStatus::Ended => Self::Ended,
            StreamSessionStatus::Expired => Self::Expired,
        }
    }
}

/// One viewer's right to watch a camera or a session.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = StreamSession)]
pub(in crate::api) struct SessionBody {
    #[schema(value_type = String, format = Uuid)]
    sid: Id<StreamSessionId>,
    #[schema(value_type = String, format = Uuid)]
    tenant_id: Id<TenantId>,
    /// The camera; `null` when a session is watched.
    #[schema(value_type = Option<String>)]
    camera_id: Option<String>,
    /// The session; `null` when a camera is watched.
    #[schema(value_type = Option<String>, format = Uuid)]
    session_id: Option<Id<SessionId>>,
    status: StreamSessionStatus,
    #[schema(value_type = String, format = DateTime)]
    requested_at: Moment,
    #[schema(value_type = Option<String>, format = DateTime)]
    issued_at: Option<Moment>,
    #[schema(value_type = Option<String>, format = DateTime)]
    activated_at: Option<Moment>,
    #[schema(value_type = Option<String>, format = DateTime)]
    last_seen_at: Option<Moment>,
    /// When it runs out, unless it is used before.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Moment,
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<Moment>,
}

impl SessionBody {
    fn new(session: &StreamSession) -> Self {
        Self {
            sid: Id(session.id),
            tenant_id: Id(session.tenant),
            camera_id: session.watched.camera().map(ToString::to_string),
            session_id: session.watched.session().map(Id),
            status: session.status.into(),
            requested_at: Moment(session.requested_at),
            issued_at: session.issued_at.map(Moment),
            activated_at: session.activated_at.map(Moment),
            last_seen_at: session.seen_at.map(Moment),
            expires_at: Moment(session.due_at),
            ended_at: session.ended_at.map(Moment),
        }
    }
}

/// A session with its token.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = StreamToken)]
pub(in crate::api) struct IssuedBody {
    #[serde(flatten)]
    session: SessionBody,
    /// The stream token: `<payload>.<HMAC-SHA256>`. It is shown this once.
    token: String,
    /// Until when the token can be exchanged.
    #[schema(value_type = String, format = DateTime)]
    token_expires_at: Moment,
}

/// Sessions.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StreamSessions)]
pub(in crate::api) struct SessionsBody {
    /// The newest first, at most 500.
    sessions: Vec<SessionBody>,
}

/// What a sweep did.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StreamSweep)]
pub(in crate::api) struct SweptBody {
    /// Sessions that ran out.
    expired: u64,
}

/// Which sessions are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct SessionParameters {
    /// Of this tenant.
    #[param(value_type = Option<String>, format = Uuid)]
    tenant_id: Option<Id<TenantId>>,
    /// Of this camera.
    #[param(value_type = Option<String>)]
    camera_id: Option<Id<CameraId>>,
    /// Of this session. Beside `cameraId` there are none.
    #[param(value_type = Option<String>, format = Uuid)]
    session_id: Option<Id<SessionId>>,
    /// In this state.
    status: Option<StreamSessionStatus>,
    /// This one.
    #[param(value_type = Option<String>, format = Uuid)]
    sid: Option<Id<StreamSessionId>>,
}

refusals!(ListRefusals: READER, SERVICE, &[ErrorCode::CameraNotFound]);

/// Lists stream sessions, the newest first.
#[utoipa::path(
    get, path = "/gateway/sessions", tag = "cameras", operation_id = "listStreamSessions",
    security(("bearer" = []), ("service" = [])), params(SessionParameters),
    responses((status = 200, description = "Sessions", body = SessionsBody), ListRefusals)
)]
pub(in crate::api) async fn list(
    State(api): State<Api>,
    credentials: Credentials,
    parts: Parts,
) -> Result<Response, ApiError> {
    let operator = Operator::reading(&api, &credentials).await?;
    let wanted: SessionParameters = query(&parts)?;
    let tenant = wanted.tenant_id.map(|tenant| operator.of(tenant.0)).transpose()?;
    let camera = wanted.camera_id.map(|camera| Watched::Camera(camera.0));
    let session = wanted.session_id.map(|session| Watched::Session(session.0));
    if camera.is_some() && session.is_some() {
        return Ok(Json(SessionsBody { sessions: Vec::new() }).into_response());
    }
    let filter = SessionFilter {
        tenant: tenant.or_else(|| operator.only()),
        watched: camera.or(session),
        status: wanted.status.map(Into::into),
        session: wanted.sid.map(|session| session.0),
    };
    let sessions = api.cameras.sessions(&filter).await?;
    let sessions = sessions.iter().map(SessionBody::new).collect();
    Ok(Json(SessionsBody { sessions }).into_response())
}

/// What somebody is to watch.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = WatchedOfTenant)]
#[expect(clippy::struct_field_names, reason = "they are the names of the interface")]
pub(in crate::api) struct WatchedOfTenantBody {
    /// Whose.
    #[schema(value_type = String, format = Uuid)]
    tenant_id: Id<TenantId>,
    /// A camera; this or `sessionId`.
    #[schema(value_type = Option<String>)]
    camera_id: Option<Id<CameraId>>,
    /// A session.
    #[schema(value_type = Option<String>, format = Uuid)]
    session_id: Option<Id<SessionId>>,
}

impl WatchedOfTenantBody {
    fn watched(&self) -> Result<Watched, ApiError> {
        match (&self.camera_id, &self.session_id) {
            (Some(camera), None) => Ok(Watched::Camera(camera.0.clone())),
            (None, Some(session)) => Ok(Watched::Session(session.0)),
            _ => {
                let problem = "expected either cameraId or sessionId";
                Err(ApiError::new(ErrorCode::MalformedRequest, problem))
            }
        }
    }
}

refusals!(IssueRefusals: READER, SERVICE, BODY, REPEATABLE, &[
    ErrorCode::CameraNotFound,
    ErrorCode::SessionNotFound,
    ErrorCode::SessionOver,
    ErrorCode::LiveViewingOff,
    ErrorCode::SessionTransitionInvalid,
    ErrorCode::StreamLimitReached,
    ErrorCode::StreamNotEntitled,
]);

/// Gives a viewer the right to watch a camera, or a session whose `live_viewing` is on: a stream
/// session and its token. For cameras that is for operators, for a session also for whoever may change
/// it. The token is stored nowhere: the same request with the same `Idempotency-Key` is answered with
/// the same session as it is then and the same token, until the token has run out or the session is over
/// (`SESSION_TRANSITION_INVALID`).
#[utoipa::path(
    post, path = "/gateway/sessions", tag = "cameras", operation_id = "issueStreamSession",
    security(("dpop" = []), ("service" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "names the request, so that it may come twice")),
    request_body = WatchedOfTenantBody,
    responses((status = 201, description = "Issued", body = IssuedBody), IssueRefusals)
)]
pub(in crate::api) async fn issue(
    State(api): State<Api>,
    credentials: Credentials,
    WholeBody(body): WholeBody,
) -> Result<Response, ApiError> {
    let wanted: Result<WatchedOfTenantBody, ApiError> = json(&credentials.headers, &body, &[JSON]);
    // Who may let somebody watch depends on what it is; what is wrong with it is told only to them.
    let session = wanted.as_ref().ok().and_then(|wanted| wanted.session_id.as_ref());
    let operator = match session {
        Some(session) => Operator::showing(&api, &credentials, session.0).await?,
        None => Operator::writing(&api, &credentials).await?,
    };
    let wanted = wanted?;
    let watched = wanted.watched()?;
    let tenant = operator.of(wanted.tenant_id.0)?;
    let work = async |planned: PlannedId| {
        let id = StreamSessionId::from_uuid(planned.as_uuid());
        let issued = api.cameras.issue(tenant, &watched, id).await?;
        let body = IssuedBody {
            session: SessionBody::new(&issued.session),
            token: issued.token,
            token_expires_at: Moment(issued.expires_at),
        };
        let answer = (StatusCode::CREATED, [(CACHE_CONTROL, "no-store")], Json(body));
        Ok(answer.into_response())
    };
    let named = (tenant, &body[..], Repetition::AnswerAnew);
    operator.once_creating(&api, &credentials, named, work).await
}

refusals!(ActivateRefusals: READER, SERVICE, REPEATABLE, &[
    ErrorCode::PayloadTooLarge,
    ErrorCode::StreamSessionNotFound,
    ErrorCode::SessionTransitionInvalid,
    ErrorCode::StreamLimitReached,
    ErrorCode::StreamNotEntitled,
]);

/// Begins watching. A session that is active stays so.
#[utoipa::path(
    post, path = "/gateway/sessions/{sid}/activate", tag = "cameras", operation_id = "activateStreamSession",
    security(("dpop" = []), ("service" = [])),
    params(("sid" = String, Path, format = Uuid), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 200, description = "Active", body = SessionBody), ActivateRefusals)
)]
pub(in crate::api) async fn activate(
    State(api): State<Api>,
    credentials: Credentials,
    Path(sid): Path<String>,
    WholeBody(body): WholeBody,
) -> Result<Response, ApiError> {
    let work = |tenant, session| api.cameras.activate(tenant, session);
    step(&api, &credentials, &sid, &body, work).await
}

refusals!(EndRefusals: READER, SERVICE, REPEATABLE, &[
    ErrorCode::PayloadTooLarge,
    ErrorCode::StreamSessionNotFound,
    ErrorCode::SessionTransitionInvalid,
]);

/// Ends a session. One that was ended stays so.
#[utoipa::path(
    post, path = "/gateway/sessions/{sid}/end", tag = "cameras", operation_id = "endStreamSession",
    security(("dpop" = []), ("service" = [])),
    params(("sid" = String, Path, format = Uuid), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 200, description = "Ended", body = SessionBody), EndRefusals)
)]
pub(in crate::api) async fn end(
    State(api): State<Api>,
    credentials: Credentials,
    Path(sid): Path<String>,
    WholeBody(body): WholeBody,
) -> Result<Response, ApiError> {
    let work = |tenant, session| api.cameras.end(tenant, session);
    step(&api, &credentials, &sid, &body, work).await
}

/// Does something to the session that the path names. Another tenant's is none.
async fn step<W>(
    api: &Api,
    credentials: &Credentials,
    sid: &str,
    body: &[u8],
    work: impl FnOnce(TenantId, StreamSessionId) -> W + Send,
) -> Result<Response, ApiError>
where
    W: Future<Output = Result<StreamSession, CameraError>> + Send,
{
    let operator = Operator::writing(api, credentials).await?;
    let session = sid.parse().map_err(|_| CameraError::SessionNotFound)?;
    expect_nothing(body)?;
    let tenant = match operator.only() {
        Some(tenant) => tenant,
        None => api.cameras.tenant_of(session).await?,
    };
    let work = async {
        let session = work(tenant, session).await?;
        Ok(Json(SessionBody::new(&session)).into_response())
    };
    operator.once(api, credentials, tenant, body, work).await
}

refusals!(SweepRefusals: READER, SERVICE, &[ErrorCode::PayloadTooLarge]);

/// Ends the sessions that have run out: a service those of all tenants, an
/// operator those of the own one.
#[utoipa::path(
    post, path = "/gateway/sessions/sweep", tag = "cameras", operation_id = "sweepStreamSessions",
    security(("dpop" = []), ("service" = [])),
    responses((status = 200, description = "Swept", body = SweptBody), SweepRefusals)
)]
pub(in crate::api) async fn sweep(
    State(api): State<Api>,
    credentials: Credentials,
    WholeBody(body): WholeBody,
) -> Result<Response, ApiError> {
    let operator = Operator::writing(&api, &credentials).await?;
    expect_nothing(&body)?;
    let expired = api.cameras.sweep(operator.only()).await?;
    Ok(operator.answer(&api, Json(SweptBody { expired }).into_response()))
}
