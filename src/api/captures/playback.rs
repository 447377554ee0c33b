//! `/store/playback`: captures as HLS, for whoever has the address. Players send no header of
//! their own, so the right is in the address.

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;

use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::gateway::playback::{part_of, playlist};
use crate::api::json_forms::BinaryBody;
use crate::api::refusals::refusals;
use crate::cameras::PlaybackError;
use crate::domain::error_code::ErrorCode;
use crate::domain::id::{CaptureId, TenantId};

const ADDRESS: &[ErrorCode] = &[
    ErrorCode::PlaybackTokenFormatInvalid,
    ErrorCode::PlaybackTokenSignatureInvalid,
    ErrorCode::PlaybackTokenPayloadInvalid,
    ErrorCode::PlaybackTokenExpired,
    ErrorCode::PlaybackTokenScopeMismatch,
    ErrorCode::PlaybackStreamNotFound,
    ErrorCode::DependencyUnavailable,
];

refusals!(PlaylistRefusals: ADDRESS, &[ErrorCode::PlaybackStreamNotReady]);

/// The playlist of a capture, at the address that `playlist_url` of the capture has. It grows while
/// the device publishes, and ends once the capture is closed.
#[utoipa::path(
    get, path = "/store/playback/{tenantId}/{captureId}/{grant}/index.m3u8", tag = "captures",
    operation_id = "playCapture",
    params(
        ("tenantId" = String, Path, format = Uuid), ("captureId" = String, Path),
        ("grant" = String, Path, description = "as `playlist_url` has it"),
    ),
    responses(
        (status = 200, description = "A playlist", body = String, content_type = "application/vnd.apple.mpegurl"),
        PlaylistRefusals,
    )
)]
pub(in crate::api) async fn main(
    State(api): State<Api>,
    Path((tenant, capture, grant)): Path<(String, String, String)>,
) -> Result<Response, ApiError> {
    let (tenant, capture) = capture_of(&tenant, &capture)?;
    Ok(playlist(api.capture_playback.playlist((tenant, &capture), &grant).await?))
}

refusals!(FileRefusals: ADDRESS, &[
    ErrorCode::PlaybackSegmentNotFound,
    ErrorCode::RangeNotSatisfiable,
]);

/// A segment of a capture, or the header of some, at the addresses that the playlist names.
#[utoipa::path(
    get, path = "/store/playback/{tenantId}/{captureId}/{grant}/{file}", tag = "captures",
    operation_id = "playCaptureFile",
    params(
        ("tenantId" = String, Path, format = Uuid), ("captureId" = String, Path),
        ("grant" = String, Path, description = "as `playlist_url` has it"),
        ("file" = String, Path), ("Range" = Option<String>, Header),
    ),
    responses(
        (status = 200, description = "The file", body = BinaryBody, content_type = "video/mp4"),
        (status = 206, description = "The range", body = BinaryBody, content_type = "video/mp4"),
        FileRefusals,
    )
)]
pub(in crate::api) async fn file(
    State(api): State<Api>,
    Path((tenant, capture, grant, file)): Path<(String, String, String, String)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (tenant, capture) = capture_of(&tenant, &capture)?;
    part_of(&api.capture_playback.file((tenant, &capture), &grant, &file).await?, &headers)
}

/// What a path names. What can't be an id names nothing.
fn capture_of(tenant: &str, capture: &str) -> Result<(TenantId, CaptureId), ApiError> {
    match (tenant.parse(), capture.parse()) {
        (Ok(tenant), Ok(capture)) => Ok((tenant, capture)),
        _ => Err(PlaybackError::StreamNotFound.into()),
    }
}
