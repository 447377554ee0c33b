//! Requests with an `Idempotency-Key` are carried out once. Successful answers are stored and
//! repeated; a refusal frees its key, so that the same request may be tried again. When it is not known
//! whether it was carried out, its key stays in use. An answer with a secret is stored nowhere: whoever
//! repeats the request is answered anew.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, ETAG, LOCATION};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use sha2::{Digest as _, Sha256};

use super::Api;
use super::caller::{Credentials, with_nonce};
use super::error::ApiError;
use crate::domain::error_code::ErrorCode;
use crate::domain::id::{SessionId, TenantId};
use crate::domain::participant::Principal;
use crate::sessions::{
    ANSWER_BYTES_MAX, Begin, Caller, Claim, ClaimToken, IdempotencyKey, KEPT, PlannedId,
    Repetition, StoredAnswer,
};

pub(super) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Response header that marks a repeated answer.
const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Pause between two tries to store an answer. Raising it keeps keys in use longer once the database
/// is back.
const FINISH_PAUSE: Duration = Duration::from_secs(1);
/// Headers that are stored with an answer.
const KEPT_HEADERS: [HeaderName; 3] = [CONTENT_TYPE, LOCATION, ETAG];

/// The requests that are being carried out by this process, with the hash of each. While the
/// database is away one may take longer than its claim lasts, and must not be carried out a second
/// time meanwhile. As many as there are requests at once.
#[derive(Default)]
pub(super) struct Running(Mutex<BTreeMap<Name, [u8; 32]>>);

/// Tenant, caller and key of a request.
type Name = (TenantId, String, String);

/// One of them, until this is dropped.
struct InProgress {
    api: Api,
    name: Name,
}

impl InProgress {
    /// Enters a request; refuses it while it is being carried out.
    fn enter(api: &Api, claim: &Claim) -> Result<Self, ApiError> {
        let name = (claim.tenant, claim.caller.to_string(), claim.key.as_str().to_owned());
        let mut running = api.running.0.lock().unwrap_or_else(PoisonError::into_inner);
        match running.get(&name) {
            Some(hash) if *hash == claim.request_hash => Err(in_use()),
            Some(_) => Err(reused()),
            None => {
                running.insert(name.clone(), claim.request_hash);
                Ok(Self { api: api.clone(), name })
            }
        }
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        let mut running = self.api.running.0.lock().unwrap_or_else(PoisonError::into_inner);
        running.remove(&self.name);
    }
}

/// Carries out `work`, only once if the request has an `Idempotency-Key`.
pub(super) async fn once(
    api: &Api,
    credentials: &Credentials,
    (tenant, caller): (TenantId, Caller),
    body: &[u8],
    work: impl Future<Output = Result<Response, ApiError>> + Send,
) -> Result<Response, ApiError> {
    let named = (body, Repetition::SameAnswer);
    once_creating(api, credentials, (tenant, caller), named, |_| work).await
}

/// As [`once`], for a request that creates something with the id that it is given, or finds it under
/// that id. So a repetition after a failure creates nothing else, whichever process gets it. Where
/// repetitions are answered anew, `work` does that, of what it finds under that id.
pub(super) async fn once_creating<W>(
    api: &Api,
    credentials: &Credentials,
    (tenant, caller): (TenantId, Caller),
    (body, repetition): (&[u8], Repetition),
    work: impl FnOnce(PlannedId) -> W + Send,
) -> Result<Response, ApiError>
where
    W: Future<Output = Result<Response, ApiError>> + Send,
{
    let Some(key) = key_of(credentials)? else { return work(PlannedId::generate()).await };
    let session = session_of(credentials.uri.path());
    let request_hash = hash_of(credentials, body);
    let claim = Claim { tenant, session, caller, key, request_hash, repetition };
    let in_progress = InProgress::enter(api, &claim)?;
    let (token, planned, is_again) = match api.idempotency.begin(&claim, api.wall.now()).await? {
        Begin::Fresh(token, planned) => (token, planned, false),
        Begin::Again(token, planned) => (token, planned, true),
        Begin::Replay(answer) => return Ok(replayed(answer)),
        Begin::InUse => return Err(in_use()),
        Begin::DifferentRequest => return Err(reused()),
    };
    match work(planned).await {
        Ok(response) => {
            let (response, answer) = kept(response, repetition).await?;
            finish(in_progress, claim, token, answer).await;
            Ok(if is_again { marked(response) } else { response })
        }
        // It may have been done, so the key is not free for another try.
        Err(error) if error.is_outcome_unknown() => Err(error),
        Err(refusal) => {
            if let Err(error) = api.idempotency.abandon(&claim, token).await {
                // The key stays in use until its claim is taken over.
                tracing::warn!(%error, "a request was refused and its key is not free");
            }
            Err(refusal)
        }
    }
}

fn in_use() -> ApiError {
    let message = "the first request with this key is still running";
    ApiError::new(ErrorCode::IdempotencyKeyInUse, message).retry_after_s(1)
}

fn reused() -> ApiError {
    let message = "this key was used with another request before";
    ApiError::new(ErrorCode::IdempotencyKeyReused, message)
}

/// Stores the answer of a request that was carried out. The caller gets the answer even if it can't
/// be stored now, because an error would say that nothing was done; until it is stored, the request
/// counts as being carried out.
async fn finish(running: InProgress, claim: Claim, token: ClaimToken, answer: StoredAnswer) {
    let api = running.api.clone();
    let Err(error) = api.idempotency.finish(&claim, token, &answer, api.wall.now()).await else {
        return;
    };
    tracing::warn!(%error, "a request was carried out and its answer is not stored yet");
    tokio::spawn(async move {
        // After that time the key is free anyway.
        let tries = KEPT.as_secs() / FINISH_PAUSE.as_secs();
        for _ in 0..tries {
            tokio::time::sleep(FINISH_PAUSE).await;
            let now = running.api.wall.now();
            if running.api.idempotency.finish(&claim, token, &answer, now).await.is_ok() {
                return;
            }
        }
    });
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

/// The session that a path is about.
fn session_of(path: &str) -> Option<SessionId> {
    let rest = path.strip_prefix("/api/v1/sessions/")?;
    rest.split('/').next()?.parse().ok()
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

/// An answer, and what is stored of it.
async fn kept(
    response: Response,
    repetition: Repetition,
) -> Result<(Response, StoredAnswer), ApiError> {
    if repetition == Repetition::AnswerAnew {
        let status = response.status().as_u16();
        return Ok((response, StoredAnswer { status, headers: Vec::new(), body: String::new() }));
    }
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
    marked(response)
}

fn marked(mut response: Response) -> Response {
    response.headers_mut().insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_the_session_it_is_about() {
        let id = SessionId::generate();
        for rest in ["", "/minutes", "/attendance/register-attendee"] {
            assert_eq!(session_of(&format!("/api/v1/sessions/{id}{rest}")), Some(id));
        }
        for other in ["/api/v1/sessions", "/api/v1/sessions/x", "/gateway/sessions"] {
            assert_eq!(session_of(other), None, "{other}");
        }
    }
}
