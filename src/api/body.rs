//! Reads bodies and queries; every problem becomes a refusal in the common form.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use futures_util::StreamExt as _;
use serde::de::DeserializeOwned;

use super::error::ApiError;
use crate::domain::error_code::ErrorCode;
use crate::domain::json::{Objects, mended};

/// Largest body accepted, in bytes. Raising it lets clients use more memory for every connection.
pub const BODY_BYTES_MAX: usize = 64 * 1024;
/// Time in which a body must arrive completely.
const BODY_TIME_MAX: Duration = Duration::from_secs(10);
/// The same for devices whose network is slow. Raising it lets them hold memory for longer.
const SLOW_BODY_TIME_MAX: Duration = Duration::from_mins(2);

/// A complete body.
#[derive(Debug, Clone)]
pub(super) struct WholeBody(pub(super) Bytes);

impl<S: Send + Sync> FromRequest<S> for WholeBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        let (_, body) = request.into_parts();
        tokio::time::timeout(BODY_TIME_MAX, read(body, BODY_BYTES_MAX))
            .await
            .map_err(|_| ApiError::new(ErrorCode::MalformedRequest, "the body arrived too slowly"))?
            .map(Self)
    }
}

/// A body as it came, whole, for a route that takes up to `BYTES_MAX` bytes.
#[derive(Debug, Clone)]
pub(super) struct LargeBody<const BYTES_MAX: usize>(pub(super) Bytes);

impl<S: Send + Sync, const BYTES_MAX: usize> FromRequest<S> for LargeBody<BYTES_MAX> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        let (_, body) = request.into_parts();
        tokio::time::timeout(BODY_TIME_MAX, read(body, BYTES_MAX))
            .await
            .map_err(|_| ApiError::new(ErrorCode::MalformedRequest, "the body came too slowly"))?
            .map(Self)
    }
}

/// The whole of a body whose sender was admitted before and whose network may be slow.
pub(super) async fn slow_body(body: Body, bytes_max: usize) -> Result<Bytes, ApiError> {
    tokio::time::timeout(SLOW_BODY_TIME_MAX, read(body, bytes_max))
        .await
        .map_err(|_| ApiError::new(ErrorCode::MalformedRequest, "the body came too slowly"))?
}

async fn read(body: Body, bytes_max: usize) -> Result<Bytes, ApiError> {
    let too_large = || {
        let message = format!("the body is larger than {bytes_max} bytes");
        ApiError::new(ErrorCode::PayloadTooLarge, message)
    };
    let announced = axum::body::HttpBody::size_hint(&body).lower();
    if announced > u64::try_from(bytes_max).unwrap_or(u64::MAX) {
        return Err(too_large());
    }
    let mut chunks = body.into_data_stream();
    let mut whole = Vec::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk
            .map_err(|_| ApiError::new(ErrorCode::MalformedRequest, "the body is incomplete"))?;
        if whole.len() + chunk.len() > bytes_max {
            return Err(too_large());
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(whole.into())
}

/// Refuses content types other than `accepted`; parameters are ignored.
pub(super) fn expect_content_type(headers: &HeaderMap, accepted: &[&str]) -> Result<(), ApiError> {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = given.split(';').next().unwrap_or("").trim();
    let encoding = headers.get(CONTENT_ENCODING).map_or(&b"identity"[..], HeaderValue::as_bytes);
    if !encoding.eq_ignore_ascii_case(b"identity") {
        let message = "the body must not have a content encoding";
        return Err(ApiError::new(ErrorCode::UnsupportedMediaType, message));
    }
    if accepted.iter().any(|accepted| essence.eq_ignore_ascii_case(accepted)) {
        return Ok(());
    }
    let message = format!("the content type of the body must be {}", accepted.join(" or "));
    Err(ApiError::new(ErrorCode::UnsupportedMediaType, message))
}

/// Parses a JSON body with exactly the fields of `T`.
pub(super) fn json<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: &[u8],
    accepted: &[&str],
) -> Result<T, ApiError> {
    expect_content_type(headers, accepted)?;
    let body = std::str::from_utf8(body)
        .map_err(|_| ApiError::malformed_field("", "the body is not UTF-8"))?;
    let body = mended(body.as_bytes());
    if !body.trim_ascii_start().starts_with('{') {
        return Err(ApiError::malformed_field("", "the body is not a JSON object"));
    }
    let mut deserializer = serde_json::Deserializer::from_str(&body);
    let value = serde_path_to_error::deserialize(Objects(&mut deserializer)).map_err(|error| {
        let path = error.path().to_string();
        let field = if path == "." { String::new() } else { path };
        ApiError::malformed_field(&field, &error.into_inner().to_string())
    })?;
    deserializer.end().map_err(|error| ApiError::malformed_field("", &error.to_string()))?;
    Ok(value)
}

/// Parses a query with exactly the fields of `T`.
pub(super) fn query<T: DeserializeOwned>(parts: &Parts) -> Result<T, ApiError> {
    axum::extract::Query::try_from_uri(&parts.uri).map(|axum::extract::Query(query)| query).map_err(
        |error| {
            let problem = std::error::Error::source(&error)
                .map_or_else(|| error.to_string(), ToString::to_string);
            ApiError::malformed_field("", &problem)
        },
    )
}
