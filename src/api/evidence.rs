//! The public proof, the public keys and the operator log. Anybody may read them, pages of other
//! origins too; they contain no personal data.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::Api;
use super::conditions::is_known;
use super::error::ApiError;
use super::json_forms::BinaryBody;
use super::refusals::refusals;
use super::sessions::session_id;
use crate::domain::error_code::ErrorCode;
use crate::domain::id::{SessionId, SessionKey, TenantId};
use crate::evidence::{EvidenceError, LogStatus, PROOF_SEQS_MAX, ProofQuery, TilePath};

/// How long caches may keep the proof of a running session, in seconds. Such a proof is at most
/// this much behind the newest head.
const LIVE_MAX_AGE_S: u32 = 1;
const CLOSED_MAX_AGE_S: u32 = 30;
/// How long the answer whether a session is over is cached.
const ASKED_AGE_MAX: Duration = Duration::from_secs(1);
/// Most sessions in that cache, about 100 bytes each. At the limit the cache is cleared.
const ASKED_MAX: usize = 4_096;
/// Seconds after which a log that was just begun has a signed head.
const NO_HEAD_RETRY_AFTER_S: u32 = 1;
/// Seconds after which a client should try again when the log could not be read.
const RETRY_AFTER_S: u32 = 5;

impl From<EvidenceError> for ApiError {
    fn from(error: EvidenceError) -> Self {
        let message = error.to_string();
        match error {
            EvidenceError::NoLog => Self::new(ErrorCode::RecordingNotFound, message),
            EvidenceError::NoHead => Self::new(ErrorCode::SessionStateConflict, message)
                .retry_after_s(NO_HEAD_RETRY_AFTER_S),
            EvidenceError::Erased => Self::new(ErrorCode::RecordingErased, message),
            EvidenceError::EntryNotFound(_)
            | EvidenceError::NotCovered(_)
            | EvidenceError::TooMany => Self::new(ErrorCode::UnprocessableRequest, message),
            error => record_unavailable(&error),
        }
    }
}

/// The refusal when the log could not be read or written; the reason is only logged.
pub(super) fn record_unavailable(error: &dyn std::error::Error) -> ApiError {
    tracing::error!(%error, "the log can't be read or written");
    ApiError::new(ErrorCode::DependencyUnavailable, "the log of the session is not available")
        .retry_after_s(RETRY_AFTER_S)
}

refusals!(AuditProofRefusals: &[ErrorCode::SessionNotFound, ErrorCode::RecordingNotFound, ErrorCode::SessionStateConflict, ErrorCode::UnprocessableRequest, ErrorCode::DependencyUnavailable]);

/// Returns the public proof of a session's log: its newest head and, if requested, receipts for
/// entries and for a head that the caller holds.
#[utoipa::path(
    get, path = "/api/v1/sessions/{id}/audit-proof", tag = "evidence", operation_id = "auditProof",
    params(
        ("id" = String, Path, format = Uuid),
        ("seq" = Option<Vec<u64>>, Query, description = "entries to prove, at most 64"),
        ("from_size" = Option<u64>, Query, description = "tree size of a head that the caller holds"),
    ),
    responses(
        (status = 200, description = "The proof, in the format of docs/EVIDENCE.md", body = Object,
            headers(("ETag" = String, description = "identifies its contents"))),
        (status = 304, description = "As before"),
        AuditProofRefusals,
    )
)]
pub(super) async fn audit_proof(
    State(api): State<Api>,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<Response, ApiError> {
    let wanted = wanted(parts.uri.query().unwrap_or_default())?;
    let id = session_id(&id)?;
    let (tenant, over) = whose(&api, id).await?;
    let status = if over { LogStatus::Interrupted } else { LogStatus::Live };
    let proof = api.evidence.proof(SessionKey::new(tenant, id), status, &wanted).await?;
    let max_age_s = if over { CLOSED_MAX_AGE_S } else { LIVE_MAX_AGE_S };
    let proof = serde_json::to_vec(&proof).map_err(|error| record_unavailable(&error))?;
    Ok(cached(&parts.headers, max_age_s, "application/json", proof))
}

/// A cache of sessions for which proofs were requested, so that repeated requests do not query the
/// database.
#[derive(Debug, Default)]
pub(super) struct AskedOf(Mutex<BTreeMap<SessionId, Asked>>);

#[derive(Debug, Clone, Copy)]
struct Asked {
    tenant: TenantId,
    over: bool,
    read_at: Instant,
}

impl AskedOf {
    fn find(&self, session: SessionId) -> Option<Asked> {
        let asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        asked.get(&session).copied().filter(|asked| asked.read_at.elapsed() < ASKED_AGE_MAX)
    }

    fn insert(&self, session: SessionId, found: Asked) {
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.len() >= ASKED_MAX {
            asked.clear();
        }
        asked.insert(session, found);
    }
}

/// The tenant of a session, and whether it is over.
async fn whose(api: &Api, id: SessionId) -> Result<(TenantId, bool), ApiError> {
    if let Some(Asked { tenant, over, .. }) = api.asked_of.find(id) {
        return Ok((tenant, over));
    }
    let nobody = || ApiError::new(ErrorCode::SessionNotFound, "there is no such session");
    let read_at = Instant::now();
    let tenant = api.directory.tenant_of(id).await?.ok_or_else(nobody)?;
    let over = api.sessions.find(SessionKey::new(tenant, id)).await?.status.is_over();
    api.asked_of.insert(id, Asked { tenant, over, read_at });
    Ok((tenant, over))
}

/// Parses the query: `seq` may occur several times.
fn wanted(query: &str) -> Result<ProofQuery, ApiError> {
    let mut wanted = ProofQuery::default();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let expected = "expected a whole number";
        let number = || value.parse::<u64>().map_err(|_| ApiError::malformed_field(name, expected));
        match name {
            "seq" => wanted.seqs.push(number()?),
            "from_size" if wanted.from_size.is_none() => wanted.from_size = Some(number()?),
            _ => return Err(ApiError::malformed_field(name, "is unknown or given twice")),
        }
    }
    wanted.seqs.sort_unstable();
    wanted.seqs.dedup();
    if wanted.seqs.len() > PROOF_SEQS_MAX {
        return Err(ApiError::malformed_field("seq", "has too many values"));
    }
    Ok(wanted)
}

fn cached(headers: &HeaderMap, max_age_s: u32, content_type: &str, body: Vec<u8>) -> Response {
    let tag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(&Sha256::digest(&body)[..16]));
    let common = [(CACHE_CONTROL, format!("public, max-age={max_age_s}")), (ETAG, tag.clone())];
    if is_known(headers, &tag) {
        return (StatusCode::NOT_MODIFIED, common).into_response();
    }
    (common, [(CONTENT_TYPE, content_type.to_owned())], body).into_response()
}

refusals!(KeysRefusals: &[ErrorCode::DependencyUnavailable]);

/// Returns the public keys that verify heads, receipts and checkpoints.
#[utoipa::path(
    get, path = "/.well-known/cabildo-evidence-keys.json", tag = "evidence",
    operation_id = "evidenceKeys",
    responses(
        (status = 200, description = "The keys, in the format of docs/EVIDENCE.md", body = Object),
        KeysRefusals,
    )
)]
pub(super) async fn keys(State(api): State<Api>) -> Result<Response, ApiError> {
    let keys = api.evidence.published_keys(None).await?;
    Ok(([(CACHE_CONTROL, "public, max-age=60")], Json(keys)).into_response())
}

refusals!(LogFileRefusals: &[ErrorCode::RecordingNotFound, ErrorCode::DependencyUnavailable]);

/// Returns a file of the operator log (C2SP tlog-tiles): the checkpoint or a tile.
#[utoipa::path(
    get, path = "/evidence/log/{*path}", tag = "evidence", operation_id = "operatorLog",
    params(("path" = String, Path, description = "checkpoint, tile/<L>/<N>[.p/<W>] or tile/entries/<N>[.p/<W>]")),
    responses(
        (status = 200, description = "The file", body = BinaryBody, content_type = "application/octet-stream"),
        LogFileRefusals,
    )
)]
pub(super) async fn log_file(
    State(api): State<Api>,
    Path(path): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    /// Seconds for which tiles may be cached: their contents never change, those of partial tiles
    /// neither.
    const FOR_EVER_S: u32 = 31_536_000;
    if path == "checkpoint" {
        let checkpoint = api.evidence.checkpoint().await?.into_bytes();
        return Ok(cached(&headers, LIVE_MAX_AGE_S, "text/plain; charset=utf-8", checkpoint));
    }
    let nothing =
        || ApiError::new(ErrorCode::RecordingNotFound, "the operator log has no such file");
    let tile = path.strip_prefix("tile/").and_then(TilePath::parse).ok_or_else(nothing)?;
    let tile = api.evidence.tile(tile).await?.ok_or_else(nothing)?;
    Ok(cached(&headers, FOR_EVER_S, "application/octet-stream", tile))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_strictly() {
        let read = |query| wanted(query).ok();
        assert_eq!(read(""), Some(ProofQuery::default()));
        let both = ProofQuery { seqs: vec![3, 7], from_size: Some(2) };
        assert_eq!(read("seq=7&from_size=2&seq=3&seq=7"), Some(both));
        for wrong in ["seq=", "seq=-1", "seq=1.0", "from_size=1&from_size=1", "size=1", "seq=%31"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        let many: Vec<String> = (0..=PROOF_SEQS_MAX).map(|seq| format!("seq={seq}")).collect();
        assert_eq!(read(&many.join("&")), None);
    }
}
