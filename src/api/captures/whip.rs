//! WHIP (RFC 9725) into a capture: its device publishes over a transport of the media plane. Who may
//! open and close captures of the tenant may publish into them; a publication lasts until its
//! device, or somebody else who may, ends it, or the capture is closed.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, ETAG, LOCATION};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::IntoParams;

use super::admitted;
use crate::api::Api;
use crate::api::body::{WholeBody, expect_content_type, query};
use crate::api::caller::Credentials;
use crate::api::error::ApiError;
use crate::api::media::refused::tell_refused;
use crate::api::media::sdp_fragment::{self, Fragment};
use crate::api::media::{ACCEPT_PATCH, SDP, SDP_FRAGMENT, expect_ice_session, text_of};
use crate::api::precondition::IfMatch;
use crate::api::refusals::{BODY, READER, SERVICE, refusals};
use crate::cameras::CameraError;
use crate::domain::error_code::ErrorCode;
use crate::domain::time::Timestamp;
use crate::uplinks::{Opened, Restarted, UplinkError};

/// When a device should try again that publishes already, or for which there is no place.
const RETRY_AFTER_S: u32 = 3;

impl From<UplinkError> for ApiError {
    fn from(error: UplinkError) -> Self {
        match error {
            UplinkError::NotFound => {
                Self::new(ErrorCode::MediaResourceNotFound, "no such resource")
            }
            UplinkError::Media(error) => {
                let refusal = Self::new(error.code(), error.to_string());
                match error.code() {
                    ErrorCode::DependencyUnavailable => refusal.retry_after_s(RETRY_AFTER_S),
                    _ => refusal,
                }
            }
            UplinkError::Capture(error) => {
                let may_later = matches!(error, CameraError::PublisherLimit);
                let refusal = Self::from(error);
                if may_later { refusal.retry_after_s(RETRY_AFTER_S) } else { refusal }
            }
        }
    }
}

/// The last microsecond of the year 9999.
const STAMPS_FROM_US_MAX: u64 = 253_402_300_799_999_999;

/// When what is published was made.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct PublishParameters {
    /// When the stamps of the pictures were 0, by the clock of this server, in microseconds since
    /// 1970. Then pictures have the time at which they were made, up to a minute before they come;
    /// otherwise the time at which they come.
    stamps_from_us: Option<u64>,
}

refusals!(PublishRefusals: READER, SERVICE, BODY, &[
    ErrorCode::CaptureSessionNotFound,
    ErrorCode::CaptureSessionConflict,
    ErrorCode::CaptureLimitReached,
    ErrorCode::BitrateLimitReached,
    ErrorCode::TrackLimitReached,
    ErrorCode::SdpInvalid,
]);

/// Publishes into an open capture: one track of pictures in H.264 with packetization mode 1, and at
/// most one of sound in Opus; other formats of the offer are not taken. A capture has one publisher.
/// One that has been silent for three seconds is replaced.
#[utoipa::path(
    post, path = "/store/sessions/{id}/whip", tag = "captures", operation_id = "publishCapture",
    security(("dpop" = []), ("service" = [])),
    params(PublishParameters, ("id" = String, Path), ("X-Tenant-ID" = Option<String>, Header, description = "whose it is, when a service calls")),
    request_body(content = String, content_type = "application/sdp", description = "the offer"),
    responses(
        (status = 201, description = "The answer", body = String, content_type = "application/sdp",
            headers(("Location" = String, description = "the resource"), ("ETag" = String, description = "the ICE session"),
                ("Cabildo-Refused-Section" = String, description = "a section of the offer that is not taken, with code and message, once for each"))),
        PublishRefusals,
    )
)]
pub(in crate::api) async fn publish(
    State(api): State<Api>,
    credentials: Credentials,
    Path(id): Path<String>,
    parts: Parts,
    WholeBody(body): WholeBody,
) -> Result<Response, ApiError> {
    let (caller, tenant, capture) = admitted(&api, &credentials, &id).await?;
    expect_content_type(&credentials.headers, &[SDP])?;
    let offer = text_of(&body)?;
    let PublishParameters { stamps_from_us } = query(&parts)?;
    if stamps_from_us.is_some_and(|us| us > STAMPS_FROM_US_MAX) {
        return Err(ApiError::malformed_field("stamps_from_us", "expected a time up to 9999"));
    }
    let stamps_from = stamps_from_us.map(|us| Timestamp::from_unix_us(us.cast_signed()));
    let opened = Box::pin(api.uplinks.open(tenant, &capture, &offer, stamps_from)).await?;
    let Opened { name, entity_tag, answer, refused } = opened;
    let headers = [
        (CONTENT_TYPE, SDP.to_owned()),
        (LOCATION, format!("/store/sessions/{capture}/whip/{name}")),
        (ETAG, entity_tag),
        (ACCEPT_PATCH, SDP_FRAGMENT.to_owned()),
    ];
    let mut response = (StatusCode::CREATED, headers, answer).into_response();
    tell_refused(response.headers_mut(), &refused);
    Ok(caller.answer(&api, response))
}

refusals!(PatchRefusals: READER, SERVICE, BODY, &[
    ErrorCode::CaptureSessionNotFound,
    ErrorCode::MediaResourceNotFound,
    ErrorCode::VersionConflict,
    ErrorCode::SdpInvalid,
    ErrorCode::PreconditionRequired,
]);

/// Trickles candidates or restarts ICE (RFC 9725 §4.3).
#[utoipa::path(
    patch, path = "/store/sessions/{id}/whip/{resource}", tag = "captures", operation_id = "patchCapturePublication",
    security(("dpop" = []), ("service" = [])),
    params(
        ("id" = String, Path), ("resource" = String, Path),
        ("X-Tenant-ID" = Option<String>, Header, description = "whose it is, when a service calls"),
        ("If-Match" = String, Header, description = "the ICE session; \"*\" restarts it"),
    ),
    request_body(content = String, content_type = "application/trickle-ice-sdpfrag"),
    responses(
        (status = 200, description = "ICE was restarted: the server's new credentials", body = String, content_type = "application/trickle-ice-sdpfrag",
            headers(("ETag" = String, description = "the new ICE session"))),
        (status = 204, description = "Acknowledged"),
        PatchRefusals,
    )
)]
pub(in crate::api) async fn patch(
    State(api): State<Api>,
    credentials: Credentials,
    Path((id, name)): Path<(String, String)>,
    WholeBody(body): WholeBody,
) -> Result<Response, ApiError> {
    let (caller, tenant, capture) = admitted(&api, &credentials, &id).await?;
    let of = (tenant, &capture);
    let entity_tag = api.uplinks.entity_tag(of, &name)?;
    expect_content_type(&credentials.headers, &[SDP_FRAGMENT])?;
    let wanted = IfMatch::required(&credentials.headers)?;
    let fragment = Fragment::parse(&text_of(&body)?).map_err(|problem| {
        ApiError::new(ErrorCode::SdpInvalid, format!("the fragment {problem}"))
    })?;
    if let IfMatch::Tags(tags) = wanted {
        expect_ice_session(&tags, &entity_tag)?;
        return Ok(caller.answer(&api, StatusCode::NO_CONTENT.into_response()));
    }
    let own = fragment.credentials.ok_or_else(|| {
        ApiError::new(ErrorCode::SdpInvalid, "a restart needs ice-ufrag and ice-pwd")
    })?;
    let Restarted { entity_tag, ufrag, password } = api.uplinks.restart(of, &name, own).await?;
    let headers = [(CONTENT_TYPE, SDP_FRAGMENT.to_owned()), (ETAG, entity_tag)];
    let answer = (StatusCode::OK, headers, sdp_fragment::credentials(&ufrag, &password));
    Ok(caller.answer(&api, answer.into_response()))
}

refusals!(DeleteRefusals: READER, SERVICE, &[
    ErrorCode::CaptureSessionNotFound,
    ErrorCode::MediaResourceNotFound,
    ErrorCode::VersionConflict,
]);

/// Ends a publication. What came is kept, and the capture stays open.
#[utoipa::path(
    delete, path = "/store/sessions/{id}/whip/{resource}", tag = "captures", operation_id = "endCapturePublication",
    security(("dpop" = []), ("service" = [])),
    params(
        ("id" = String, Path), ("resource" = String, Path),
        ("X-Tenant-ID" = Option<String>, Header, description = "whose it is, when a service calls"),
        ("If-Match" = Option<String>, Header, description = "end only if this is the ICE session"),
    ),
    responses((status = 200, description = "Gone"), DeleteRefusals)
)]
pub(in crate::api) async fn delete(
    State(api): State<Api>,
    credentials: Credentials,
    Path((id, name)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let (caller, tenant, capture) = admitted(&api, &credentials, &id).await?;
    let of = (tenant, &capture);
    let entity_tag = api.uplinks.entity_tag(of, &name)?;
    if let Some(IfMatch::Tags(tags)) = IfMatch::read(&credentials.headers)? {
        expect_ice_session(&tags, &entity_tag)?;
    }
    api.uplinks.end(of, &name)?;
    Ok(caller.answer(&api, StatusCode::OK.into_response()))
}
