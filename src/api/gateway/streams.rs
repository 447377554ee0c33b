//! `/api/streams`: streams of cameras that are started and stopped by call. JSON here is
//! in snake case.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{JSON, Operator};
use crate::api::Api;
use crate::api::body::{WholeBody, json};
use crate::api::caller::Credentials;
use crate::api::error::ApiError;
use crate::api::json_forms::{Id, Moment};
use crate::api::refusals::{BODY, READER, REPEATABLE, SERVICE, refusals};
use crate::api::sessions::expect_nothing;
use crate::cameras::CameraError;
use crate::cameras::engine::source::Source;
use crate::cameras::repository::StreamRecord;
use crate::domain::error_code::ErrorCode;
use crate::domain::id::{CameraId, StreamId, TenantId};
use crate::sessions::{PlannedId, Repetition};

/// A stream to be started.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = StreamStart)]
pub(in crate::api) struct StartBody {
    /// Of which camera: letters, digits, `-`, `_`, `.` and `:`.
    #[schema(value_type = String, max_length = 128, example = "hall-1")]
    camera_id: Id<CameraId>,
    /// Its address, with credentials if it wants some. They are sealed, and never shown
    /// again.
    #[schema(max_length = 2048, example = "rtsp://viewer:secret@203.0.113.20:554/stream1")]
    source_url: String,
}

/// A stream.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CameraStream)]
pub(in crate::api) struct StreamBody {
    #[schema(value_type = String, format = Uuid)]
    id: Id<StreamId>,
    #[schema(value_type = String)]
    camera_id: String,
    /// Its address without credentials.
    source_url: String,
    /// `STOPPED`, `STARTING`, `RUNNING` or `ERROR`.
    status: &'static str,
    #[schema(value_type = String, format = DateTime)]
    started_at: Moment,
    #[schema(value_type = Option<String>, format = DateTime)]
    stopped_at: Option<Moment>,
}

impl StreamBody {
    fn new(stream: StreamRecord) -> Self {
        Self {
            id: Id(stream.id),
            camera_id: stream.camera.to_string(),
            source_url: stream.masked,
            status: stream.status.as_str(),
            started_at: Moment(stream.started_at),
            stopped_at: stream.stopped_at.map(Moment),
        }
    }
}

refusals!(StartRefusals: READER, SERVICE, BODY, REPEATABLE, &[
    ErrorCode::StreamAlreadyActive,
    ErrorCode::StreamLimitReached,
    ErrorCode::StreamNotEntitled,
    ErrorCode::CameraLimitReached,
    ErrorCode::CameraSourceInvalid,
    ErrorCode::CameraSourceRefused,
    ErrorCode::UnprocessableRequest,
]);

/// Starts the stream of a camera, which is provisioned with this address if it is not
/// yet. A camera has one active stream. Nothing is kept of the credentials in the address, not even a
/// hash: an `Idempotency-Key` names the request whatever they are.
#[utoipa::path(
    post, path = "/api/streams/start", tag = "cameras", operation_id = "startStream",
    security(("dpop" = []), ("service" = [])),
    params(
        ("X-Tenant-ID" = Option<String>, Header, description = "whose camera it is, when a service calls"),
        ("Idempotency-Key" = Option<String>, Header, description = "names the request, so that it may come twice"),
    ),
    request_body = StartBody,
    responses((status = 201, description = "Started", body = StreamBody), StartRefusals)
)]
pub(in crate::api) async fn start(
    State(api): State<Api>,
    credentials: Credentials,
    WholeBody(body): WholeBody,
) -> Result<Response, ApiError> {
    let operator = Operator::writing(&api, &credentials).await?;
    let wanted: StartBody = json(&credentials.headers, &body, &[JSON])?;
    let tenant = operator.meant(&api, &credentials)?;
    let camera = wanted.camera_id.0;
    let source = Source::parse(&wanted.source_url).map_err(CameraError::from)?;
    // What is hashed under an `Idempotency-Key` has no password in it.
    let named = format!("{camera}\n{}", source.masked());
    let work = async |planned: PlannedId| {
        let id = StreamId::from_uuid(planned.as_uuid());
        let stream = api.streams.start((tenant, id), camera, source).await?;
        Ok((StatusCode::CREATED, Json(StreamBody::new(stream))).into_response())
    };
    let named = (tenant, named.as_bytes(), Repetition::SameAnswer);
    operator.once_creating(&api, &credentials, named, work).await
}

refusals!(StopRefusals: READER, SERVICE, &[ErrorCode::PayloadTooLarge, ErrorCode::StreamNotFound]);

/// Stops a stream. One that was stopped stays so.
#[utoipa::path(
    post, path = "/api/streams/{id}/stop", tag = "cameras", operation_id = "stopStream",
    security(("dpop" = []), ("service" = [])),
    params(("id" = String, Path, format = Uuid)),
    responses((status = 204, description = "Stopped"), StopRefusals)
)]
pub(in crate::api) async fn stop(
    State(api): State<Api>,
    credentials: Credentials,
    Path(id): Path<String>,
    WholeBody(body): WholeBody,
) -> Result<Response, ApiError> {
    let operator = Operator::writing(&api, &credentials).await?;
    expect_nothing(&body)?;
    let (tenant, id) = owner(&api, &operator, &id).await?;
    api.streams.stop(tenant, id).await?;
    Ok(operator.answer(&api, StatusCode::NO_CONTENT.into_response()))
}

refusals!(ReadRefusals: READER, SERVICE, &[ErrorCode::StreamNotFound]);

/// Shows a stream and where it stands.
#[utoipa::path(
    get, path = "/api/streams/{id}", tag = "cameras", operation_id = "readStream",
    security(("bearer" = []), ("service" = [])),
    params(("id" = String, Path, format = Uuid)),
    responses((status = 200, description = "The stream", body = StreamBody), ReadRefusals)
)]
pub(in crate::api) async fn read(
    State(api): State<Api>,
    credentials: Credentials,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let operator = Operator::reading(&api, &credentials).await?;
    let (tenant, id) = owner(&api, &operator, &id).await?;
    let stream = api.streams.find(tenant, id).await?;
    Ok(Json(StreamBody::new(stream)).into_response())
}

/// The stream that a path names, and whose it is. Another tenant's is none.
async fn owner(api: &Api, operator: &Operator, id: &str) -> Result<(TenantId, StreamId), ApiError> {
    let id: StreamId = id.parse().map_err(|_| CameraError::StreamNotFound)?;
    let tenant = match operator.only() {
        Some(tenant) => tenant,
        None => api.streams.tenant_of(id).await?,
    };
    Ok((tenant, id))
}
