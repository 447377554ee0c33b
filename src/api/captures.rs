//! `/store`: captures of edge devices.

pub(super) mod media;
pub(super) mod playback;
pub(super) mod whip;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::header::CACHE_CONTROL;
use axum::http::request::Parts;
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::body::{WholeBody, json, query};
use super::caller::{Credentials, PersonOrService};
use super::error::ApiError;
use super::idempotency::once;
use super::json_forms::{Id, Moment};
use super::refusals::{BODY, READER, REPEATABLE, SERVICE, refusals};
use crate::cameras::{CameraError, Capture, CaptureClosing, CaptureStore, NewCapture};
use crate::domain::error_code::ErrorCode;
use crate::domain::id::{CaptureId, DeviceId, TenantId};
use crate::domain::role::Action;
use crate::domain::service_route::ServiceRoute;
use crate::domain::time::Timestamp;

const JSON: &str = "application/json";
/// The tenant that a service means.
const TENANT: HeaderName = HeaderName::from_static("x-tenant-id");
const ROUTE: ServiceRoute = ServiceRoute::CaptureSessions;
/// What the clock of this server shows, by which a device knows how wrong its own is.
const SERVER_TIME: HeaderName = HeaderName::from_static("cabildo-time");

/// A moment of a device: RFC 3339, or milliseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub(super) struct EdgeMoment(Timestamp);

impl<'de> Deserialize<'de> for EdgeMoment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected a moment: RFC 3339, or milliseconds since 1970")]
        enum Either {
            Milliseconds(i64),
            Text(Moment),
        }
        let moment = match Either::deserialize(deserializer)? {
            Either::Text(moment) => Some(moment.0),
            Either::Milliseconds(ms) => ms.checked_mul(1_000).map(Timestamp::from_unix_us),
        };
        // What can't be shown again is none.
        moment
            .filter(|moment| (0..=MOMENT_MS_MAX).contains(&moment.unix_ms()))
            .map(Self)
            .ok_or_else(|| serde::de::Error::custom("expected a moment from 1970 to 9999"))
    }
}

/// The last millisecond of the year 9999.
const MOMENT_MS_MAX: i64 = 253_402_300_799_999;

/// A capture that begins.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = CaptureOpening)]
pub(super) struct OpenBody {
    /// How the device names it: letters, digits, `-`, `_`, `.` and `:`.
    #[schema(value_type = String, max_length = 128)]
    session_id: Id<CaptureId>,
    /// The device.
    #[schema(value_type = String, max_length = 128)]
    device_id: Id<DeviceId>,
    /// Where it publishes.
    #[schema(max_length = 2048)]
    stream_path: String,
    /// When it began, by its own clock: RFC 3339, or milliseconds since 1970.
    #[schema(value_type = String, format = DateTime)]
    edge_start_ts: EdgeMoment,
}

/// A capture that ends.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = CaptureClosing)]
pub(super) struct CloseBody {
    /// When it ended, by the clock of the device.
    #[schema(value_type = String, format = DateTime)]
    edge_end_ts: EdgeMoment,
    /// Where it plays.
    #[schema(max_length = 2048)]
    playlist_url: Option<String>,
}

/// A capture.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Capture)]
pub(super) struct CaptureBody {
    session_id: String,
    device_id: String,
    stream_path: String,
    /// `open` or `closed`.
    status: &'static str,
    #[schema(value_type = String, format = DateTime)]
    edge_start_ts: Moment,
    #[schema(value_type = Option<String>, format = DateTime)]
    edge_end_ts: Option<Moment>,
    /// Where it plays: as its device said, or at an address here that plays for
    /// `cameras.session_ttl_s`, while the device publishes and afterwards. None as long as it plays
    /// nowhere.
    playlist_url: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Moment,
    #[schema(value_type = Option<String>, format = DateTime)]
    closed_at: Option<Moment>,
}

/// How a device publishes by RTSP.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CapturePublish)]
pub(super) struct PublishBody {
    /// The port, at the host of this server.
    rtsp_port: u16,
    /// The path of the address.
    #[schema(example = "/sess-7")]
    rtsp_path: String,
    /// User name and password for Digest. They are for this capture only, as long as it is open.
    username: String,
    password: String,
}

/// A capture that was opened.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CaptureOpened)]
pub(super) struct OpenedBody {
    #[serde(flatten)]
    shown: ShownBody,
    /// How the device publishes by RTSP, where that is served. It is told only here.
    #[serde(skip_serializing_if = "Option::is_none")]
    publish: Option<PublishBody>,
}

/// A capture, and how far it has come.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CaptureShown)]
pub(super) struct ShownBody {
    #[serde(flatten)]
    capture: CaptureBody,
    /// Until when its media is kept, by the clock of this server; nothing before there is some.
    #[schema(value_type = Option<String>, format = DateTime)]
    media_until: Option<Moment>,
}

impl ShownBody {
    async fn new(api: &Api, capture: Capture) -> Result<Self, ApiError> {
        let media_until = api.intake.kept_until(capture.tenant, &capture.id).await?.map(Moment);
        let capture = CaptureBody::new(&api.captures, capture);
        Ok(Self { capture, media_until })
    }
}

impl OpenedBody {
    async fn new(api: &Api, capture: Capture) -> Result<Self, ApiError> {
        let publish = api.captures.login(&capture).map(|login| PublishBody {
            rtsp_port: login.port,
            rtsp_path: login.path,
            username: login.username,
            password: login.password.expose().clone(),
        });
        Ok(Self { shown: ShownBody::new(api, capture).await?, publish })
    }
}

impl CaptureBody {
    fn new(captures: &CaptureStore, capture: Capture) -> Self {
        let playlist_url = captures.playlist_url(&capture);
        Self {
            session_id: capture.id.to_string(),
            device_id: capture.device.to_string(),
            stream_path: capture.stream_path,
            status: if capture.closed_at.is_some() { "closed" } else { "open" },
            edge_start_ts: Moment(capture.edge_started_at),
            edge_end_ts: capture.edge_ended_at.map(Moment),
            playlist_url,
            created_at: Moment(capture.opened_at),
            closed_at: capture.closed_at.map(Moment),
        }
    }
}

/// Captures.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Captures)]
pub(super) struct CapturesBody {
    /// The newest first.
    sessions: Vec<CaptureBody>,
}

/// Whose captures a caller means: its own tenant's, or for a service the one
/// that it names.
pub(super) fn tenant_of(
    api: &Api,
    credentials: &Credentials,
    caller: &PersonOrService,
) -> Result<TenantId, ApiError> {
    if let PersonOrService::Person(person) = caller {
        return Ok(person.tenant_id);
    }
    let named = credentials.headers.get(TENANT).map(|value| {
        let tenant = value.to_str().ok().and_then(|text| text.parse().ok());
        tenant.ok_or_else(|| ApiError::malformed_field("X-Tenant-ID", "expected a tenant's UUID"))
    });
    match named {
        Some(named) => named,
        None => api.service_tenant.ok_or_else(|| {
            ApiError::malformed_field("X-Tenant-ID", "a service names the tenant that it means")
        }),
    }
}

/// The caller, its tenant and the capture that it means.
async fn admitted(
    api: &Api,
    credentials: &Credentials,
    id: &str,
) -> Result<(PersonOrService, TenantId, CaptureId), ApiError> {
    let caller =
        credentials.writer_or_service(api, Action::ManageCameras, ROUTE).await?.of_tenant()?;
    let id: CaptureId = id.parse().map_err(|_| CameraError::CaptureNotFound)?;
    let tenant = tenant_of(api, credentials, &caller)?;
    Ok((caller, tenant, id))
}

refusals!(OpenRefusals: READER, SERVICE, BODY, &[ErrorCode::CaptureSessionConflict, ErrorCode::CaptureLimitReached, ErrorCode::UnprocessableRequest]);

/// Opens a capture. The same again is answered as the first time.
#[utoipa::path(
    post, path = "/store/sessions", tag = "captures", operation_id = "openCapture",
    security(("dpop" = []), ("service" = [])),
    params(("X-Tenant-ID" = Option<String>, Header, description = "whose it is, when a service calls")),
    request_body = OpenBody,
    responses(
        (status = 201, description = "Open", body = OpenedBody,
            headers(("Cabildo-Time" = String, description = "what the clock of this server shows, RFC 3339"))),
        OpenRefusals,
    )
)]
pub(super) async fn open(
    State(api): State<Api>,
    credentials: Credentials,
    WholeBody(body): WholeBody,
) -> Result<Response, ApiError> {
    let caller =
        credentials.writer_or_service(&api, Action::ManageCameras, ROUTE).await?.of_tenant()?;
    let wanted: OpenBody = json(&credentials.headers, &body, &[JSON])?;
    let tenant = tenant_of(&api, &credentials, &caller)?;
    // Opening may come twice by itself. The answer is not kept under an `Idempotency-Key`, since
    // the device's password is in it.
    let new = NewCapture {
        id: wanted.session_id.0,
        device: wanted.device_id.0,
        stream_path: wanted.stream_path,
        edge_started_at: wanted.edge_start_ts.0,
    };
    let capture = api.captures.open(tenant, new).await?;
    let opened = Json(OpenedBody::new(&api, capture).await?);
    let headers =
        [(CACHE_CONTROL, "no-store".to_owned()), (SERVER_TIME, api.wall.now().to_string())];
    Ok(caller.answer(&api, (StatusCode::CREATED, headers, opened).into_response()))
}

refusals!(CloseRefusals: READER, SERVICE, BODY, REPEATABLE, &[ErrorCode::CaptureSessionNotFound, ErrorCode::CaptureSessionConflict, ErrorCode::UnprocessableRequest]);

/// Closes a capture. The same again is answered as the first time.
#[utoipa::path(
    post, path = "/store/sessions/{id}/close", tag = "captures", operation_id = "closeCapture",
    security(("dpop" = []), ("service" = [])),
    params(("id" = String, Path), ("X-Tenant-ID" = Option<String>, Header, description = "whose it is, when a service calls"), ("Idempotency-Key" = Option<String>, Header)),
    request_body = CloseBody,
    responses((status = 200, description = "Closed", body = CaptureBody), CloseRefusals)
)]
pub(super) async fn close(
    State(api): State<Api>,
    credentials: Credentials,
    Path(id): Path<String>,
    WholeBody(body): WholeBody,
) -> Result<Response, ApiError> {
    let caller =
        credentials.writer_or_service(&api, Action::ManageCameras, ROUTE).await?.of_tenant()?;
    let id: CaptureId = id.parse().map_err(|_| CameraError::CaptureNotFound)?;
    let wanted: CloseBody = json(&credentials.headers, &body, &[JSON])?;
    let tenant = tenant_of(&api, &credentials, &caller)?;
    let work = async {
        let closing = CaptureClosing {
            edge_ended_at: wanted.edge_end_ts.0,
            playlist_url: wanted.playlist_url,
        };
        let capture = api.captures.close(tenant, &id, closing).await?;
        Ok(Json(CaptureBody::new(&api.captures, capture)).into_response())
    };
    let response = once(&api, &credentials, (tenant, caller.as_caller()), &body, work).await?;
    Ok(caller.answer(&api, response))
}

/// What of the list is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParameters {
    /// How many, 1 to 200; 50 when absent.
    limit: Option<u32>,
}

refusals!(ListRefusals: READER, SERVICE, &[ErrorCode::UnprocessableRequest]);

/// Lists captures, the newest first.
#[utoipa::path(
    get, path = "/store/sessions", tag = "captures", operation_id = "listCaptures",
    security(("bearer" = []), ("service" = [])),
    params(ListParameters, ("X-Tenant-ID" = Option<String>, Header, description = "whose they are, when a service calls")),
    responses((status = 200, description = "Captures", body = CapturesBody), ListRefusals)
)]
pub(super) async fn list(
    State(api): State<Api>,
    credentials: Credentials,
    parts: Parts,
) -> Result<Response, ApiError> {
    let caller =
        credentials.reader_or_service(&api, Action::ManageCameras, ROUTE).await?.of_tenant()?;
    let wanted: ListParameters = query(&parts)?;
    let tenant = tenant_of(&api, &credentials, &caller)?;
    let captures = api.captures.list(tenant, wanted.limit).await?;
    let sessions = captures.into_iter().map(|it| CaptureBody::new(&api.captures, it)).collect();
    Ok(Json(CapturesBody { sessions }).into_response())
}

refusals!(ReadRefusals: READER, SERVICE, &[ErrorCode::CaptureSessionNotFound]);

/// Shows a capture.
#[utoipa::path(
    get, path = "/store/sessions/{id}", tag = "captures", operation_id = "readCapture",
    security(("bearer" = []), ("service" = [])),
    params(("id" = String, Path), ("X-Tenant-ID" = Option<String>, Header, description = "whose it is, when a service calls")),
    responses(
        (status = 200, description = "The capture", body = ShownBody,
            headers(("Cabildo-Time" = String, description = "what the clock of this server shows, RFC 3339"))),
        ReadRefusals,
    )
)]
pub(super) async fn read(
    State(api): State<Api>,
    credentials: Credentials,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let caller =
        credentials.reader_or_service(&api, Action::ManageCameras, ROUTE).await?.of_tenant()?;
    let id: CaptureId = id.parse().map_err(|_| CameraError::CaptureNotFound)?;
    let tenant = tenant_of(&api, &credentials, &caller)?;
    let capture = api.captures.find(tenant, &id).await?;
    let shown = Json(ShownBody::new(&api, capture).await?);
    Ok(([(SERVER_TIME, api.wall.now().to_string())], shown).into_response())
}
