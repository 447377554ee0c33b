//! `/gateway`: the cameras of tenants, for services with a certificate and for
//! operators. JSON here is in camel case, as gateways of cameras have it.

pub(super) mod cameras;
pub(super) mod health;
pub(super) mod playback;
pub(super) mod recordings;
pub(super) mod sessions;
pub(super) mod streams;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use self::recordings::{PolicyBody, RecordingBody};
use super::Api;
use super::body::{WholeBody, json};
use super::caller::{Credentials, PersonOrService, see};
use super::captures::tenant_of;
use super::error::ApiError;
use super::idempotency::{once, once_creating};
use super::json_forms::{Id, Moment};
use super::refusals::{BODY, READER, REPEATABLE, SERVICE, refusals};
use crate::cameras::repository::{Camera, RecordedCamera};
use crate::cameras::{CameraError, NewCamera, Provisioned};
use crate::domain::error_code::ErrorCode;
use crate::domain::id::{CameraId, SessionId, TenantId};
use crate::domain::role::Action;
use crate::domain::secret::Secret;
use crate::domain::service_route::ServiceRoute;
use crate::sessions::{PlannedId, Repetition};

const JSON: &str = "application/json";

/// Somebody who may use the gateway.
pub(super) struct Operator(PersonOrService);

impl Operator {
    /// Of a request that changes something.
    pub(super) async fn writing(api: &Api, credentials: &Credentials) -> Result<Self, ApiError> {
        let route = ServiceRoute::CameraGateway;
        credentials
            .writer_or_service(api, Action::ManageCameras, route)
            .await?
            .of_tenant()
            .map(Self)
    }

    /// Of a request that lets somebody watch a session: also whoever may change it.
    pub(super) async fn showing(
        api: &Api,
        credentials: &Credentials,
        session: SessionId,
    ) -> Result<Self, ApiError> {
        let (actions, route) =
            ([Action::ManageCameras, Action::ManageSession], ServiceRoute::CameraGateway);
        let caller = credentials.either_writer_or_service(api, actions, route).await?;
        if let PersonOrService::Person(person) = &caller {
            see(person, session)?;
        }
        Ok(Self(caller))
    }

    /// Of a request that changes nothing.
    pub(super) async fn reading(api: &Api, credentials: &Credentials) -> Result<Self, ApiError> {
        let route = ServiceRoute::CameraGateway;
        credentials
            .reader_or_service(api, Action::ManageCameras, route)
            .await?
            .of_tenant()
            .map(Self)
    }

    /// The only tenant it may touch; services may touch every one.
    const fn only(&self) -> Option<TenantId> {
        match &self.0 {
            PersonOrService::Person(person) => Some(person.tenant_id),
            PersonOrService::Service(_) => None,
        }
    }

    /// The tenant that it means on a route that names none: an operator the own one, a
    /// service that of `X-Tenant-ID`.
    fn meant(&self, api: &Api, credentials: &Credentials) -> Result<TenantId, ApiError> {
        tenant_of(api, credentials, &self.0)
    }

    /// The camera of the tenant that it means; there is none when `camera` is no valid id.
    fn camera(
        &self,
        api: &Api,
        credentials: &Credentials,
        camera: &str,
    ) -> Result<(TenantId, CameraId), ApiError> {
        let camera = camera.parse().map_err(|_| CameraError::CameraNotFound)?;
        Ok((self.meant(api, credentials)?, camera))
    }

    /// A tenant that it names. What another one has is not there.
    fn of(&self, tenant: TenantId) -> Result<TenantId, ApiError> {
        if self.only().is_none_or(|own| own == tenant) {
            Ok(tenant)
        } else {
            Err(CameraError::CameraNotFound.into())
        }
    }

    /// Carries `work` out, once if the request names itself.
    async fn once(
        &self,
        api: &Api,
        credentials: &Credentials,
        tenant: TenantId,
        body: &[u8],
        work: impl Future<Output = Result<Response, ApiError>> + Send,
    ) -> Result<Response, ApiError> {
        let caller = (tenant, self.0.as_caller());
        Ok(self.answer(api, once(api, credentials, caller, body, work).await?))
    }

    /// As [`Self::once`], for a request that creates something with the id that it is given.
    async fn once_creating<W>(
        &self,
        api: &Api,
        credentials: &Credentials,
        (tenant, body, repetition): (TenantId, &[u8], Repetition),
        work: impl FnOnce(PlannedId) -> W + Send,
    ) -> Result<Response, ApiError>
    where
        W: Future<Output = Result<Response, ApiError>> + Send,
    {
        let (caller, named) = ((tenant, self.0.as_caller()), (body, repetition));
        Ok(self.answer(api, once_creating(api, credentials, caller, named, work).await?))
    }

    /// An answer, with the nonce for the next proof when it is for a person.
    fn answer(&self, api: &Api, response: Response) -> Response {
        self.0.answer(api, response)
    }
}

/// A camera to be provisioned.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = CameraProvision)]
pub(super) struct ProvisionBody {
    /// Whose.
    #[schema(value_type = String, format = Uuid)]
    tenant_id: Id<TenantId>,
    /// Which: letters, digits, `-`, `_`, `.` and `:`.
    #[schema(value_type = String, max_length = 128, example = "hall-1")]
    camera_id: Id<CameraId>,
    /// Its address, with credentials if it wants some. They are sealed, and
    /// never shown again.
    #[schema(max_length = 2048, example = "rtsp://viewer:secret@203.0.113.20:554/stream1")]
    rtsp_url: String,
    /// How it is to send: `tcp`, over its connection; `udp`; or `auto`, which is the default: by UDP if
    /// it refuses TCP.
    transport: Option<String>,
    /// The codec that it is expected to send: `h264`, `h265`, `opus`, `aac`, `pcmu`
    /// or `pcma`.
    codec_hint: Option<String>,
    /// Names of what is to be made of it.
    #[serde(default)]
    #[schema(max_items = 8)]
    target_profiles: Vec<String>,
    /// How it is to be recorded outside sessions; as before when absent, at first not at all.
    recording: Option<PolicyBody>,
}

/// A camera as it is shown.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Camera)]
pub(super) struct CameraBody {
    #[schema(value_type = String, format = Uuid)]
    tenant_id: Id<TenantId>,
    #[schema(value_type = String)]
    camera_id: String,
    /// Its address without credentials.
    rtsp_url: String,
    /// How it is to send: `auto`, `tcp` or `udp`.
    transport: &'static str,
    codec_hint: Option<String>,
    target_profiles: Vec<String>,
    /// How it is recorded outside sessions, and what is kept of it; nothing when it never was.
    recording: Option<RecordingBody>,
    /// Counts its changes, from 1.
    revision: u64,
    #[schema(value_type = String, format = DateTime)]
    created_at: Moment,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Moment,
}

impl CameraBody {
    fn new(camera: Camera, recorded: Option<RecordedCamera>) -> Self {
        Self {
            tenant_id: Id(camera.tenant),
            camera_id: camera.id.to_string(),
            rtsp_url: camera.source.masked,
            transport: camera.transport.as_str(),
            codec_hint: camera.codec_hint,
            target_profiles: camera.target_profiles,
            recording: recorded.map(Into::into),
            revision: camera.revision,
            created_at: Moment(camera.created_at),
            updated_at: Moment(camera.updated_at),
        }
    }
}

/// What provisioning did.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CameraProvisioned)]
pub(super) struct ProvisionedBody {
    #[serde(flatten)]
    camera: CameraBody,
    /// Whether anything is other than before.
    changed: bool,
}

refusals!(ProvisionRefusals: READER, SERVICE, BODY, &[
    ErrorCode::CameraNotFound,
    ErrorCode::CameraLimitReached,
    ErrorCode::CameraSourceInvalid,
    ErrorCode::CameraSourceRefused,
    ErrorCode::UnprocessableRequest,
]);

/// Makes a camera known, or changes what is known of it. The same again changes
/// nothing.
#[utoipa::path(
    post, path = "/gateway/provision", tag = "cameras", operation_id = "provisionCamera",
    security(("dpop" = []), ("service" = [])),
    request_body = ProvisionBody,
    responses(
        (status = 201, description = "It was not known before", body = ProvisionedBody),
        (status = 200, description = "It was known", body = ProvisionedBody),
        ProvisionRefusals,
    )
)]
pub(super) async fn provision(
    State(api): State<Api>,
    credentials: Credentials,
    WholeBody(body): WholeBody,
) -> Result<Response, ApiError> {
    let operator = Operator::writing(&api, &credentials).await?;
    let wanted: ProvisionBody = json(&credentials.headers, &body, &[JSON])?;
    let tenant = operator.of(wanted.tenant_id.0)?;
    // Provisioning may come twice by itself. The request is not kept under an
    // `Idempotency-Key`, since a hash of it would be one of the camera's password.
    let new = NewCamera {
        tenant,
        id: wanted.camera_id.0,
        address: Secret::new(wanted.rtsp_url),
        transport: wanted.transport,
        codec_hint: wanted.codec_hint,
        target_profiles: wanted.target_profiles,
        recording: wanted.recording.map(Into::into),
    };
    let Provisioned { camera, created, changed } = api.cameras.provision(new).await?;
    let status = if created { StatusCode::CREATED } else { StatusCode::OK };
    let recorded = api.camera_recordings.camera(tenant, &camera.id).await?;
    let body = ProvisionedBody { camera: CameraBody::new(camera, recorded), changed };
    Ok(operator.answer(&api, (status, Json(body)).into_response()))
}

/// A camera of a tenant.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = CameraOfTenant)]
pub(super) struct CameraOfTenantBody {
    #[schema(value_type = String, format = Uuid)]
    tenant_id: Id<TenantId>,
    #[schema(value_type = String, max_length = 128, example = "hall-1")]
    camera_id: Id<CameraId>,
}

/// What deprovisioning did.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CameraDeprovisioned)]
pub(super) struct DeprovisionedBody {
    #[schema(value_type = String, format = Uuid)]
    tenant_id: Id<TenantId>,
    #[schema(value_type = String)]
    camera_id: String,
    /// Whether it was known before.
    removed: bool,
}

refusals!(DeprovisionRefusals: READER, SERVICE, BODY, REPEATABLE, &[ErrorCode::CameraNotFound]);

/// Forgets a camera and ends its stream sessions and its recording. One that is not known is
/// forgotten already. What was recorded of it is kept until its time is over, and can be listed,
/// played and deleted as before.
#[utoipa::path(
    post, path = "/gateway/deprovision", tag = "cameras", operation_id = "deprovisionCamera",
    security(("dpop" = []), ("service" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "names the request, so that it may come twice")),
    request_body = CameraOfTenantBody,
    responses(
        (status = 200, description = "It is not known", body = DeprovisionedBody),
        DeprovisionRefusals,
    )
)]
pub(super) async fn deprovision(
    State(api): State<Api>,
    credentials: Credentials,
    WholeBody(body): WholeBody,
) -> Result<Response, ApiError> {
    let operator = Operator::writing(&api, &credentials).await?;
    let wanted: CameraOfTenantBody = json(&credentials.headers, &body, &[JSON])?;
    let tenant = operator.of(wanted.tenant_id.0)?;
    let work = async {
        let camera = wanted.camera_id.0;
        let removed = api.cameras.deprovision(tenant, &camera).await?;
        let body =
            DeprovisionedBody { tenant_id: Id(tenant), camera_id: camera.to_string(), removed };
        Ok(Json(body).into_response())
    };
    operator.once(&api, &credentials, tenant, &body, work).await
}
