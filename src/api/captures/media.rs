//! Media that a device could not send when it was made.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::admitted;
use crate::api::Api;
use crate::api::body::{expect_content_type, query, slow_body};
use crate::api::caller::Credentials;
use crate::api::error::ApiError;
use crate::api::json_forms::{BinaryBody, Moment};
use crate::api::refusals::{BODY, READER, SERVICE, refusals};
use crate::cameras::CameraError;
use crate::cameras::engine::late::{BYTES_MAX, Late};
use crate::domain::error_code::ErrorCode;

/// Media of a device, as `cameras::engine::late` describes it.
const LATE: &str = "application/vnd.cabildo.late";
/// How far clocks may be apart, in milliseconds: a hundred years.
const AHEAD_MS_MAX: u64 = 100 * 366 * 86_400_000;

/// When the media was made.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct AppendParameters {
    /// How many milliseconds the clock of this server is ahead of the device's; negative when it is
    /// behind. the header `Cabildo-Time` of the capture tells what this server's clock shows.
    ahead_ms: i64,
}

/// What is kept.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CaptureMedia)]
pub(in crate::api) struct KeptBody {
    /// Until when media of the capture is kept, by the clock of this server.
    #[schema(value_type = Option<String>, format = DateTime)]
    media_until: Option<Moment>,
}

refusals!(AppendRefusals: READER, SERVICE, BODY, &[
    ErrorCode::CaptureSessionNotFound,
    ErrorCode::CaptureSessionConflict,
    ErrorCode::CaptureLimitReached,
    ErrorCode::UnprocessableRequest,
]);

/// Keeps what a device of an open capture could not send when it was made, behind what is kept:
/// so what is sent later comes before what is sent live again. What is kept already is left out, so
/// the same may be sent again. At most 4 MiB and 120 seconds at once; a device that publishes
/// ends that before. The first bytes are `CBLM`, 1 and the time to which stamps refer; records
/// follow, each with a kind, a stamp and a length: `docs/OPERATIONS.md` describes them.
#[utoipa::path(
    post, path = "/store/sessions/{id}/media", tag = "captures", operation_id = "appendCaptureMedia",
    security(("dpop" = []), ("service" = [])),
    params(AppendParameters, ("id" = String, Path), ("X-Tenant-ID" = Option<String>, Header, description = "whose it is, when a service calls")),
    request_body(content = BinaryBody, content_type = "application/vnd.cabildo.late"),
    responses((status = 200, description = "Kept", body = KeptBody), AppendRefusals)
)]
pub(in crate::api) async fn append(
    State(api): State<Api>,
    credentials: Credentials,
    Path(id): Path<String>,
    parts: Parts,
    body: Body,
) -> Result<Response, ApiError> {
    let (caller, tenant, capture) = admitted(&api, &credentials, &id).await?;
    expect_content_type(&credentials.headers, &[LATE])?;
    let wanted: AppendParameters = query(&parts)?;
    if wanted.ahead_ms.unsigned_abs() > AHEAD_MS_MAX {
        return Err(ApiError::malformed_field("ahead_ms", "expected at most a hundred years"));
    }
    // Strangers take no memory by it.
    let body = slow_body(body, BYTES_MAX).await?;
    let late = Late::read(&body).map_err(|invalid| {
        tracing::debug!(%invalid, "late media is none");
        CameraError::Unusable { field: "media", problem: "it is no late media of a device" }
    })?;
    let until = api.intake.append((tenant, &capture), late, wanted.ahead_ms * 1_000);
    let media_until = Box::pin(until).await?.map(Moment);
    Ok(caller.answer(&api, Json(KeptBody { media_until }).into_response()))
}
