//! `/api/v1/sessions/{id}/cameras`: cameras in the room of a session.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::body::{WholeBody, json};
use super::caller::{Credentials, see};
use super::error::ApiError;
use super::idempotency::once_of;
use super::json_forms::Id;
use super::refusals::{BODY, REPEATABLE, WRITER, refusals};
use super::sessions::session_id;
use crate::bridges::BridgeError;
use crate::domain::camera::StreamFault;
use crate::domain::error_code::ErrorCode;
use crate::domain::id::{CameraId, SessionId, SessionKey};
use crate::domain::role::Action;

const JSON: &str = "application/json";

/// A camera that is to come into a room.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RoomCameraAdd)]
pub(super) struct AddBody {
    /// A camera of the tenant, which was provisioned before.
    #[schema(value_type = String, max_length = 128, example = "hall-1")]
    camera_id: Id<CameraId>,
}

/// A camera in a room.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RoomCamera)]
pub(super) struct RoomCameraBody {
    #[schema(value_type = String, format = Uuid)]
    session_id: Id<SessionId>,
    #[schema(value_type = String)]
    camera_id: String,
    /// The participant that it is in the room.
    user_id: String,
    /// Why nothing of it comes, or, as `sound_unsupported`, no sound, as far as it is known: a
    /// word such as `unreachable`.
    media_fault: Option<&'static str>,
}

impl From<BridgeError> for ApiError {
    fn from(error: BridgeError) -> Self {
        let message = error.to_string();
        match error {
            BridgeError::Camera(error) => error.into(),
            BridgeError::Room(error) => error.into(),
            BridgeError::Unsupported(StreamFault::UnsupportedBframes) => {
                Self::new(ErrorCode::CameraBframesUnsupported, message)
            }
            BridgeError::Unsupported(_) => Self::new(ErrorCode::CameraCodecUnsupported, message),
            BridgeError::NotInRoom => Self::new(ErrorCode::ParticipantNotFound, message),
        }
    }
}

refusals!(AddRefusals: WRITER, BODY, REPEATABLE, &[
    ErrorCode::SessionNotFound,
    ErrorCode::SessionStateConflict,
    ErrorCode::SessionOver,
    ErrorCode::RoomElsewhere,
    ErrorCode::ProviderUnsupported,
    ErrorCode::CameraNotFound,
    ErrorCode::CameraCodecUnsupported,
    ErrorCode::CameraBframesUnsupported,
    ErrorCode::ParticipantNotFound,
]);

/// Brings a camera into the room of an active session, as a participant with the role
/// `camera`: shown, heard where the hall is, muted and removed like anybody. One that is
/// there stays.
#[utoipa::path(
    post, path = "/api/v1/sessions/{id}/cameras", tag = "media", operation_id = "addRoomCamera",
    security(("dpop" = [])),
    params(("id" = String, Path, format = Uuid), ("Idempotency-Key" = Option<String>, Header)),
    request_body = AddBody,
    responses(
        (status = 201, description = "It came in", body = RoomCameraBody),
        (status = 200, description = "It is there", body = RoomCameraBody),
        AddRefusals,
    )
)]
pub(super) async fn add(
    State(api): State<Api>,
    credentials: Credentials,
    Path(id): Path<String>,
    WholeBody(body): WholeBody,
) -> Result<Response, ApiError> {
    let person = credentials.writer(&api, Action::ModeratePeople).await?;
    let id = session_id(&id)?;
    let session = api.sessions.find(see(&person, id)?).await?;
    let wanted: AddBody = json(&credentials.headers, &body, &[JSON])?;
    let work = async {
        let camera = wanted.camera_id.0;
        let bridged = api.bridges.add(SessionKey::new(session.tenant_id, id), &camera).await?;
        let status = if bridged.is_new { StatusCode::CREATED } else { StatusCode::OK };
        let body = RoomCameraBody {
            session_id: Id(id),
            camera_id: camera.to_string(),
            user_id: bridged.user.as_str().to_owned(),
            media_fault: bridged.fault.map(StreamFault::as_str),
        };
        Ok((status, Json(body)).into_response())
    };
    // Boxed because the future that brings a camera in is large.
    Box::pin(once_of(&api, &credentials, &person, &body, work)).await
}

refusals!(RemoveRefusals: WRITER, REPEATABLE, &[ErrorCode::SessionNotFound, ErrorCode::ParticipantNotFound]);

/// Takes a camera out of the room.
#[utoipa::path(
    delete, path = "/api/v1/sessions/{id}/cameras/{cameraId}", tag = "media", operation_id = "removeRoomCamera",
    security(("dpop" = [])),
    params(("id" = String, Path, format = Uuid), ("cameraId" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 204, description = "It left"), RemoveRefusals)
)]
pub(super) async fn remove(
    State(api): State<Api>,
    credentials: Credentials,
    Path((id, camera)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let person = credentials.writer(&api, Action::ModeratePeople).await?;
    let id = session_id(&id)?;
    let session = api.sessions.find(see(&person, id)?).await?;
    let camera: CameraId = camera.parse().map_err(|_| BridgeError::NotInRoom)?;
    let work = async {
        api.bridges.remove(SessionKey::new(session.tenant_id, id), &camera).await?;
        Ok(StatusCode::NO_CONTENT.into_response())
    };
    once_of(&api, &credentials, &person, b"", work).await
}
