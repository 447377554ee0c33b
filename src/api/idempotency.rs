//! Requests with an `Idempotency-Key` are carried out once. Successful answers are stored and
//! repeated; a refusal frees its key, so that the same request may be tried again.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, ETAG, LOCATION};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use sha2::{Digest as _, Sha256};

use super::Api;
use super::caller::{Credentials, with_nonce};
use super::error::ApiError;
use crate::domain::error_code::ErrorCode;
use crate::domain::id::TenantId;
use crate::domain::participant::Principal;
use crate::sessions::{ANSWER_BYTES_MAX, Begin, Caller, Claim, IdempotencyKey, StoredAnswer};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Response header that marks a repeated answer.
const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Headers that are stored with an answer.
const KEPT_HEADERS: [HeaderName; 3] = [CONTENT_TYPE, LOCATION, ETAG];

/// Carries out `work`, only once if the request has an `Idempotency-Key`.
pub(super) async fn once(
    api: &Api,
    credentials: &Credentials,
    (tenant, caller): (TenantId, Caller),
    body: &[u8],
    work: impl Future<Output = Result<Response, ApiError>> + Send,
) -> Result<Response, ApiError> {
    let Some(key) = key_of(credentials)? else { return work.await };
    let claim = Claim { tenant, caller, key, request_hash: hash_of(credentials, body) };
    match api.idempotency.begin(&claim, api.wall.now()).await? {
        Begin::Fresh(token) => match work.await {
            Ok(response) => {
                let (response, answer) = kept(response).await?;
                api.idempotency.finish(&claim, token, &answer, api.wall.now()).await?;
                Ok(response)
            }
            Err(refusal) => {
                api.idempotency.abandon(&claim, token).await?;
                Err(refusal)
            }
        },
        Begin::Replay(answer) => Ok(replayed(answer)),
        Begin::InUse => Err(ApiError::new(
            ErrorCode::IdempotencyKeyInUse,
            "the first request with this key is still running",
        )
        .retry_after_s(1)),
        Begin::DifferentRequest => Err(ApiError::new(
            ErrorCode::IdempotencyKeyReused,
            "this key was used with another request before",
        )),
    }
}

/// As [`once`], for a person, whose answer has the nonce of their next proof.
pub(super) async fn once_of(
    api: &Api,
    credentials: &Credentials,
    person: &Principal,
    body: &[u8],
    work: impl Future<Output = Result<Response, ApiError>> + Send,
) -> Result<Response, ApiError> {
    let caller = (person.tenant_id, Caller::User(person.user_id.clone()));
    Ok(with_nonce(once(api, credentials, caller, body, work).await?, api))
}

/// A hash of a request with an `Idempotency-Key`, by which what it began is found when it comes
/// again after a failure.
pub(super) fn origin_of(
    credentials: &Credentials,
    (tenant, caller): (TenantId, &Caller),
    body: &[u8],
) -> Result<Option<[u8; 32]>, ApiError> {
    let Some(key) = key_of(credentials)? else { return Ok(None) };
    let (kind, name) = match caller {
        Caller::User(user) => ("user", user.as_str()),
        Caller::Service(service) => ("service", service.0.as_str()),
    };
    let mut hash = Sha256::new();
    for part in [tenant.to_string().as_str(), kind, name, key.as_str()] {
        hash.update(part);
        hash.update([0]);
    }
    hash.update(hash_of(credentials, body));
    Ok(Some(hash.finalize().into()))
}

fn key_of(credentials: &Credentials) -> Result<Option<IdempotencyKey>, ApiError> {
    let mut values = credentials.headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let problem = "an idempotency key is 1 to 128 visible ASCII characters, given once";
    let malformed = || ApiError::malformed_field("Idempotency-Key", problem);
    if values.next().is_some() {
        return Err(malformed());
    }
    let key = value.to_str().ok().and_then(|text| text.parse().ok()).ok_or_else(malformed)?;
    Ok(Some(key))
}

/// A hash over everything in a request that determines its answer.
fn hash_of(credentials: &Credentials, body: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    let if_match = credentials.headers.get("if-match").map_or(&b""[..], HeaderValue::as_bytes);
    let path = credentials.uri.path_and_query().map_or("", |path| path.as_str());
    for part in [credentials.method.as_str().as_bytes(), path.as_bytes(), if_match] {
        hash.update(part);
        hash.update(b"\n");
    }
    hash.update(body);
    hash.finalize().into()
}

async fn kept(response: Response) -> Result<(Response, StoredAnswer), ApiError> {
    let (parts, body) = response.into_parts();
    // Handlers make their answers in memory, so reading the body can't fail here.
    let bytes = axum::body::to_bytes(body, ANSWER_BYTES_MAX * 2).await.map_err(|_| {
        ApiError::new(ErrorCode::Internal, "the server failed; its log has this trace id")
    })?;
    let headers = KEPT_HEADERS
        .iter()
        .filter_map(|name| {
            let value = parts.headers.get(name)?.to_str().ok()?;
            Some((name.as_str().to_owned(), value.to_owned()))
        })
        .collect();
    let answer = StoredAnswer {
        status: parts.status.as_u16(),
        headers,
        body: String::from_utf8_lossy(&bytes).into_owned(),
    };
    Ok((Response::from_parts(parts, Body::from(bytes)), answer))
}

fn replayed(answer: StoredAnswer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let mut response = (status, answer.body).into_response();
    response.headers_mut().remove(CONTENT_TYPE);
    for (name, value) in answer.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse::<HeaderValue>()) {
            response.headers_mut().insert(name, value);
        }
    }
    response.headers_mut().insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    response
}
