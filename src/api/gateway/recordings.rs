//! `/gateway/cameras/{id}/recordings`: what is recorded of cameras outside sessions, and how it is
//! deleted.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{JSON, Operator};
use crate::api::Api;
use crate::api::body::{WholeBody, json, query};
use crate::api::caller::Credentials;
use crate::api::error::ApiError;
use crate::api::json_forms::Moment;
use crate::api::refusals::{BODY, READER, REPEATABLE, SERVICE, refusals};
use crate::cameras::repository::{RecordedCamera, RecordingPolicy};
use crate::domain::error_code::ErrorCode;
use crate::domain::time::Timestamp;

const SECONDS_PER_HOUR: u32 = 3_600;

/// How a camera is to be recorded.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = CameraRecordingPolicy)]
pub(in crate::api) struct PolicyBody {
    /// Whether it is recorded, outside sessions, whether somebody watches it or not.
    enabled: bool,
    /// How many hours it is kept; as long as the operator of the server allows when absent.
    #[schema(minimum = 1)]
    max_age_hours: Option<u32>,
    /// How many bytes are kept, of which the oldest are deleted first; as many as the operator of
    /// the server allows when absent.
    #[schema(minimum = 1)]
    max_bytes: Option<u64>,
}

impl From<PolicyBody> for RecordingPolicy {
    fn from(body: PolicyBody) -> Self {
        Self {
            enabled: body.enabled,
            max_age_s: body.max_age_hours.map(|hours| hours.saturating_mul(SECONDS_PER_HOUR)),
            max_bytes: body.max_bytes,
        }
    }
}

/// How a camera is recorded, and what is kept of it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CameraRecording)]
pub(in crate::api) struct RecordingBody {
    /// Whether it is recorded.
    enabled: bool,
    /// How many hours it is kept, if less than the operator of the server allows.
    max_age_hours: Option<u32>,
    /// How many bytes are kept, if less than the operator of the server allows.
    max_bytes: Option<u64>,
    /// Bytes that are kept now.
    bytes: u64,
    /// When the oldest of it was recorded; nothing when nothing is kept yet.
    #[schema(value_type = Option<String>, format = DateTime)]
    since: Option<Moment>,
}

impl From<RecordedCamera> for RecordingBody {
    fn from(RecordedCamera { policy, bytes, since, .. }: RecordedCamera) -> Self {
        Self {
            enabled: policy.enabled,
            max_age_hours: policy.max_age_s.map(|age| age / SECONDS_PER_HOUR),
            max_bytes: policy.max_bytes,
            bytes,
            since: since.map(Moment),
        }
    }
}

/// A span of time.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct SpanParameters {
    /// When it begins; with the oldest recording when absent.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Moment>,
    /// When it ends; now when absent.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Moment>,
}

impl SpanParameters {
    fn span(&self, now: Timestamp) -> (Timestamp, Timestamp) {
        let from = self.from.as_ref().map_or(Timestamp::from_unix_us(0), |it| it.0);
        (from, self.to.as_ref().map_or(now, |it| it.0))
    }
}

/// A span of time that is recorded without a gap.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CameraRecordedSpan)]
struct SpanBody {
    #[schema(value_type = String, format = DateTime)]
    from: Moment,
    #[schema(value_type = String, format = DateTime)]
    to: Moment,
    /// Bytes of the segments of which it is made.
    bytes: u64,
}

/// What is recorded of a camera.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CameraRecordings)]
pub(in crate::api) struct RecordingsBody {
    #[schema(value_type = String)]
    camera_id: String,
    /// How it is recorded; nothing when it never was, or nothing of it is left.
    recording: Option<RecordingBody>,
    /// What is recorded in the span of time, the oldest first. What was recorded in the last ten
    /// seconds may be missing.
    spans: Vec<SpanBody>,
    /// From when on the same can be asked for again, when the span of time was too long for one
    /// answer.
    #[schema(value_type = Option<String>, format = DateTime)]
    next_from: Option<Moment>,
}

refusals!(PolicyRefusals: READER, SERVICE, BODY, &[
    ErrorCode::CameraNotFound,
    ErrorCode::UnprocessableRequest,
]);

/// Has a camera recorded outside sessions, or not any more, without provisioning it again. The same
/// again changes nothing.
#[utoipa::path(
    put, path = "/gateway/cameras/{cameraId}/recording", tag = "cameras",
    operation_id = "setCameraRecording",
    security(("dpop" = []), ("service" = [])),
    params(
        ("cameraId" = String, Path),
        ("X-Tenant-ID" = Option<String>, Header, description = "whose it is, when a service calls"),
    ),
    request_body = PolicyBody,
    responses((status = 200, description = "It is so", body = RecordingBody), PolicyRefusals)
)]
pub(in crate::api) async fn set(
    State(api): State<Api>,
    credentials: Credentials,
    Path(camera): Path<String>,
    WholeBody(body): WholeBody,
) -> Result<Response, ApiError> {
    let operator = Operator::writing(&api, &credentials).await?;
    let wanted: PolicyBody = json(&credentials.headers, &body, &[JSON])?;
    let (tenant, camera) = operator.camera(&api, &credentials, &camera)?;
    let policy = RecordingPolicy::from(wanted);
    api.cameras.set_recording(tenant, &camera, policy).await?;
    let never = RecordedCamera { camera: camera.clone(), policy, bytes: 0, since: None };
    let recorded = api.camera_recordings.camera(tenant, &camera).await?.unwrap_or(never);
    Ok(operator.answer(&api, Json(RecordingBody::from(recorded)).into_response()))
}

refusals!(ListRefusals: READER, SERVICE, &[
    ErrorCode::CameraNotFound,
    ErrorCode::UnprocessableRequest,
]);

/// What is recorded of a camera, by the time at which its pictures came. `GET
/// /gateway/playback/{tenantId}/{cameraId}/recorded.m3u8` plays it.
#[utoipa::path(
    get, path = "/gateway/cameras/{cameraId}/recordings", tag = "cameras",
    operation_id = "listCameraRecordings",
    security(("bearer" = []), ("service" = [])),
    params(
        ("cameraId" = String, Path), SpanParameters,
        ("X-Tenant-ID" = Option<String>, Header, description = "whose it is, when a service calls"),
    ),
    responses((status = 200, description = "What is recorded", body = RecordingsBody), ListRefusals)
)]
pub(in crate::api) async fn list(
    State(api): State<Api>,
    credentials: Credentials,
    Path(camera): Path<String>,
    parts: Parts,
) -> Result<Response, ApiError> {
    let operator = Operator::reading(&api, &credentials).await?;
    let wanted: SpanParameters = query(&parts)?;
    let (tenant, camera) = operator.camera(&api, &credentials, &camera)?;
    let span = wanted.span(api.cameras.now());
    let recorded = api.camera_recordings.list(tenant, &camera, span).await?;
    let spans = recorded.spans.into_iter().map(|it| SpanBody {
        from: Moment(it.from),
        to: Moment(it.until),
        bytes: it.bytes,
    });
    let body = RecordingsBody {
        camera_id: camera.to_string(),
        recording: recorded.camera.map(Into::into),
        spans: spans.collect(),
        next_from: recorded.next.map(Moment),
    };
    Ok(Json(body).into_response())
}

/// What was deleted.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CameraRecordingsDeleted)]
pub(in crate::api) struct DeletedBody {
    /// How many segments, each of about ten seconds.
    segments: u64,
}

refusals!(DeleteRefusals: READER, SERVICE, REPEATABLE, &[
    ErrorCode::CameraNotFound,
    ErrorCode::UnprocessableRequest,
]);

/// Deletes what was recorded of a camera: every segment of about ten seconds that began in the span
/// of time. Without a span all of it, except what is being recorded.
#[utoipa::path(
    delete, path = "/gateway/cameras/{cameraId}/recordings", tag = "cameras",
    operation_id = "deleteCameraRecordings",
    security(("dpop" = []), ("service" = [])),
    params(
        ("cameraId" = String, Path), SpanParameters,
        ("X-Tenant-ID" = Option<String>, Header, description = "whose it is, when a service calls"),
        ("Idempotency-Key" = Option<String>, Header),
    ),
    responses((status = 200, description = "It is deleted", body = DeletedBody), DeleteRefusals)
)]
pub(in crate::api) async fn delete(
    State(api): State<Api>,
    credentials: Credentials,
    Path(camera): Path<String>,
    parts: Parts,
) -> Result<Response, ApiError> {
    let operator = Operator::writing(&api, &credentials).await?;
    let wanted: SpanParameters = query(&parts)?;
    let (tenant, camera) = operator.camera(&api, &credentials, &camera)?;
    let span = wanted.span(api.cameras.now());
    let work = async {
        let segments = api.camera_recordings.erase(tenant, &camera, span).await?;
        Ok(Json(DeletedBody { segments }).into_response())
    };
    operator.once(&api, &credentials, tenant, b"", work).await
}
