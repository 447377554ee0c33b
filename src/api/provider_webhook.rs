//! `/api/v1/providers/zoom/webhook`: what Zoom tells of its meetings.

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::body::{WholeBody, expect_content_type};
use super::error::ApiError;
use super::refusals::refusals;
use crate::domain::error_code::ErrorCode;
use crate::meetings::{Heard, WebhookRefusal};

/// Proof that this server has the secret of the webhook.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookChallenge)]
#[serde(rename_all = "camelCase")]
struct ChallengeBody {
    /// The text of the challenge.
    plain_token: String,
    /// Its HMAC-SHA256, in hexadecimal digits.
    encrypted_token: String,
}

refusals!(WebhookRefusals: &[
    ErrorCode::MalformedRequest,
    ErrorCode::WebhookSignatureInvalid,
    ErrorCode::WebhookExpired,
    ErrorCode::PayloadTooLarge,
    ErrorCode::UnsupportedMediaType,
    ErrorCode::ProviderNotConfigured,
    ErrorCode::DependencyUnavailable,
]);

/// Takes a webhook of Zoom, signed with the secret of `providers.zoom.webhook_secret`.
/// What it says of meetings of this server is checked by asking Zoom; everything else is
/// taken and ignored. Without that secret none is.
#[utoipa::path(
    post, path = "/api/v1/providers/zoom/webhook", tag = "sessions", operation_id = "zoomWebhook",
    params(
        ("x-zm-signature" = String, Header, description = "`v0=` and the HMAC-SHA256 of `v0:{timestamp}:{body}`"),
        ("x-zm-request-timestamp" = String, Header, description = "seconds since 1970, at most 5 minutes ago"),
    ),
    request_body = Object,
    responses(
        (status = 204, description = "Taken"),
        (status = 200, description = "The answer to a challenge", body = ChallengeBody),
        WebhookRefusals,
    )
)]
pub(super) async fn zoom(
    State(api): State<Api>,
    headers: HeaderMap,
    WholeBody(body): WholeBody,
) -> Result<Response, ApiError> {
    let Some(webhook) = &api.zoom_webhook else {
        let message = "webhooks of Zoom are not configured here";
        return Err(ApiError::new(ErrorCode::ProviderNotConfigured, message));
    };
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if headers.contains_key(CONTENT_TYPE) {
        expect_content_type(&headers, &["application/json"])?;
    }
    let (timestamp, signature) = (header("x-zm-request-timestamp"), header("x-zm-signature"));
    match webhook.handle(timestamp, signature, &body).await {
        Ok(Heard::Taken) => Ok(StatusCode::NO_CONTENT.into_response()),
        Ok(Heard::Challenge { plain_token, encrypted_token }) => {
            Ok(Json(ChallengeBody { plain_token, encrypted_token }).into_response())
        }
        Err(refusal) => Err(refused(&refusal)),
    }
}

fn refused(refusal: &WebhookRefusal) -> ApiError {
    let answer = ApiError::new(refusal.code(), refusal.to_string());
    match refusal {
        WebhookRefusal::Store(error) => {
            tracing::error!(%error, "a webhook was not stored");
            answer.retry_after_s(1)
        }
        _ => answer,
    }
}
