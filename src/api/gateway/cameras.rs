//! `/gateway/cameras`: the cameras of a tenant at a glance, and their pictures.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::health::{CameraHealthBody, known};
use super::{CameraBody, Operator};
use crate::api::Api;
use crate::api::caller::Credentials;
use crate::api::error::ApiError;
use crate::api::json_forms::Id;
use crate::api::refusals::{READER, SERVICE, refusals};
use crate::cameras::SessionFilter;
use crate::cameras::repository::RecordedCamera;
use crate::domain::camera::StreamSessionStatus;
use crate::domain::error_code::ErrorCode;
use crate::domain::id::{CameraId, TenantId};
use crate::domain::watched::Watched;

/// A camera, how it does, and how many watch it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ListedCamera)]
struct ListedCameraBody {
    #[serde(flatten)]
    camera: CameraBody,
    health: CameraHealthBody,
    /// Who watches it now, by stream sessions.
    viewers: u32,
}

/// The cameras of a tenant.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Cameras)]
pub(in crate::api) struct CamerasBody {
    #[schema(value_type = String, format = Uuid)]
    tenant_id: Id<TenantId>,
    /// By name.
    cameras: Vec<ListedCameraBody>,
}

refusals!(ListRefusals: READER, SERVICE);

/// The cameras of a tenant, with how they do and how many watch each.
#[utoipa::path(
    get, path = "/gateway/cameras", tag = "cameras", operation_id = "listCameras",
    security(("bearer" = []), ("service" = [])),
    params(("X-Tenant-ID" = Option<String>, Header, description = "whose they are, when a service calls")),
    responses((status = 200, description = "The cameras", body = CamerasBody), ListRefusals)
)]
pub(in crate::api) async fn list(
    State(api): State<Api>,
    credentials: Credentials,
) -> Result<Response, ApiError> {
    let operator = Operator::reading(&api, &credentials).await?;
    let tenant = operator.meant(&api, &credentials)?;
    let watched = SessionFilter {
        tenant: Some(tenant),
        status: Some(StreamSessionStatus::Active),
        ..SessionFilter::default()
    };
    let mut viewers: BTreeMap<CameraId, u32> = BTreeMap::new();
    for session in api.cameras.sessions(&watched).await? {
        if let Watched::Camera(camera) = session.watched {
            *viewers.entry(camera).or_default() += 1;
        }
    }
    let recorded = api.camera_recordings.cameras(tenant).await?.into_iter();
    let mut recorded: BTreeMap<CameraId, RecordedCamera> =
        recorded.map(|it| (it.camera.clone(), it)).collect();
    let mut cameras = Vec::new();
    for camera in api.cameras.cameras(tenant).await? {
        let health = known(&api, tenant, &camera.id).await?;
        let viewers = viewers.get(&camera.id).copied().unwrap_or_default();
        let recorded = recorded.remove(&camera.id);
        cameras.push(ListedCameraBody {
            camera: CameraBody::new(camera, recorded),
            health,
            viewers,
        });
    }
    Ok(Json(CamerasBody { tenant_id: Id(tenant), cameras }).into_response())
}

refusals!(PreviewRefusals: READER, SERVICE, &[ErrorCode::CameraNotFound]);

/// The newest whole picture of a camera, as a film of one picture. Cameras that nobody watches
/// are looked after now and then, so it may be some minutes old.
#[utoipa::path(
    get, path = "/gateway/cameras/{cameraId}/preview", tag = "cameras",
    operation_id = "cameraPreview",
    security(("bearer" = []), ("service" = [])),
    params(
        ("cameraId" = String, Path),
        ("X-Tenant-ID" = Option<String>, Header, description = "whose it is, when a service calls"),
    ),
    responses(
        (status = 200, description = "A film of one picture", content_type = "video/mp4"),
        (status = 204, description = "This server has no picture of it yet"),
        PreviewRefusals,
    )
)]
pub(in crate::api) async fn preview(
    State(api): State<Api>,
    credentials: Credentials,
    Path(camera): Path<String>,
) -> Result<Response, ApiError> {
    let operator = Operator::reading(&api, &credentials).await?;
    let (tenant, camera) = operator.camera(&api, &credentials, &camera)?;
    api.cameras.camera(tenant, &camera).await?;
    let headers = [(CONTENT_TYPE, "video/mp4"), (CACHE_CONTROL, "no-store")];
    Ok(match api.cameras.ingest().preview(tenant, &camera) {
        Some(film) => (headers, film).into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    })
}
