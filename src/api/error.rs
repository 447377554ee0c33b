//! Refusals in HTTP: the only place where codes become statuses.

use axum::Json;
use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::auth::{AuthError, Scheme};
use crate::cameras::{CameraError, PlaybackError};
use crate::domain::error_code::ErrorCode;
use crate::domain::store_error::StoreError;
use crate::sessions::{MeetingError, SessionError};
use crate::telemetry::{TraceId, current_trace_id};

/// Header with the nonce for the next proof of possession (RFC 9449 §8).
pub(super) const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// Seconds after which a client should try again when a database does not answer.
const DEPENDENCY_RETRY_AFTER_S: u32 = 5;
/// The detail that says whether something was done, and its value when that is not known.
const OUTCOME: &str = "outcome";
const UNKNOWN: &str = "unknown";

/// A refusal to be sent to the caller.
#[derive(Debug, Clone)]
pub struct ApiError {
    code: ErrorCode,
    message: String,
    details: Value,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// A refusal.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Error, example = json!({
    "code": "SESSION_NOT_FOUND",
    "message": "there is no such session",
    "details": {},
    "trace_id": "0af7651916cd43dd8448eb211c80319c"
}))]
pub struct ErrorBody {
    /// Stable code of the problem.
    #[schema(value_type = String)]
    code: &'static str,
    /// The problem, as a text for people.
    message: String,
    /// Further details; `fields` lists the fields that are not valid.
    #[schema(value_type = Object)]
    details: Value,
    /// Trace id of the request, which is also in the logs.
    trace_id: String,
}

impl ApiError {
    /// Makes a refusal with a code and a message.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: json!({}), headers: Vec::new() }
    }

    /// Makes a refusal for one field that can't be parsed.
    pub(super) fn malformed_field(field: &str, problem: &str) -> Self {
        let message =
            if field.is_empty() { problem.to_owned() } else { format!("{field}: {problem}") };
        Self::new(ErrorCode::MalformedRequest, message)
            .with_details(json!({"fields": [{"field": field, "problem": problem}]}))
    }

    pub(super) fn with_details(mut self, details: Value) -> Self {
        self.details = details;
        self
    }

    pub(super) fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }

    /// Whether it says that it is not known whether something was done.
    pub(super) fn is_outcome_unknown(&self) -> bool {
        self.details[OUTCOME] == UNKNOWN
    }

    pub(super) fn retry_after_s(self, seconds: u32) -> Self {
        self.with_header(RETRY_AFTER, &seconds.to_string())
    }

    /// Makes a refusal of credentials on a route that requires `scheme`.
    pub(super) fn unauthenticated(error: &AuthError, scheme: Scheme) -> Self {
        let mut refusal = Self::new(error.code(), error.to_string());
        if let Some(challenge) = error.challenge(scheme) {
            refusal = refusal.with_header(WWW_AUTHENTICATE, challenge);
        }
        if let Some(nonce) = error.nonce() {
            refusal = refusal.with_header(DPOP_NONCE, nonce);
        }
        match error.retry_after_s() {
            Some(seconds) => refusal.retry_after_s(seconds),
            None => refusal,
        }
    }

    /// The code.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        self.code
    }

    /// The HTTP status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        status_of(self.code)
    }
}

/// The HTTP status of a code.
#[expect(clippy::too_many_lines, reason = "one row for each code, and nothing else")]
pub(super) const fn status_of(code: ErrorCode) -> StatusCode {
    use ErrorCode as C;
    match code {
        C::MalformedRequest | C::PlaybackReloadInvalid => StatusCode::BAD_REQUEST,
        C::CredentialsMissing
        | C::TokenInvalid
        | C::TokenExpired
        | C::TokenBound
        | C::DpopProofInvalid
        | C::DpopProofReplayed
        | C::DpopNonceRequired
        | C::ResumeTokenInvalid
        | C::PlaybackTokenFormatInvalid
        | C::PlaybackTokenSignatureInvalid
        | C::PlaybackTokenExpired
        | C::PlaybackTokenMissing
        | C::PlaybackTokenPayloadInvalid
        | C::WebhookSignatureInvalid
        | C::WebhookExpired
        | C::ClientCertificateRequired => StatusCode::UNAUTHORIZED,
        C::Forbidden
        | C::NotYourTurn
        | C::NotEligible
        | C::TenantSuspended
        | C::PlaybackTokenScopeMismatch
        | C::StreamNotEntitled => StatusCode::FORBIDDEN,
        C::RouteNotFound
        | C::TranscriptChunkNotFound
        | C::MinutesNotFound
        | C::SessionNotFound
        | C::RequestNotFound
        | C::ParticipantNotFound
        | C::TrackNotFound
        | C::MediaResourceNotFound
        | C::MediaTokenNotFound
        | C::ActionNotFound
        | C::UnitNotFound
        | C::RecordingNotFound
        | C::PlaybackStreamNotFound
        | C::PlaybackManifestNotFound
        | C::PlaybackSegmentNotFound
        | C::CameraNotFound
        | C::StreamNotFound
        | C::StreamSessionNotFound
        | C::CaptureSessionNotFound => StatusCode::NOT_FOUND,
        C::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        C::SessionStateConflict
        | C::MinutesLimitReached
        | C::SessionLimitReached
        | C::ParticipantLimitReached
        | C::MediaTokenLimitReached
        | C::BitrateLimitReached
        | C::EventStreamLimitReached
        | C::BundleLimitReached
        | C::IdempotencyKeyInUse
        | C::ProviderUnsupported
        | C::QueueClosed
        | C::QueueFull
        | C::AlreadyWaiting
        | C::QueueEmpty
        | C::NoTurn
        | C::TurnStateConflict
        | C::RequestStateConflict
        | C::DecisionStale
        | C::UndoTooLate
        | C::LastModerator
        | C::RoomElsewhere
        | C::RecordingStateConflict
        | C::TurnLimitReached
        | C::ProofReplayed
        | C::NotPresent
        | C::EligibleListUnknown
        | C::EligibleListRefused
        | C::EligibleListFixed
        | C::DelegationConflict
        | C::DelegationLimitReached
        | C::QuorumCallConflict
        | C::AttendanceFull
        | C::SignallingStateConflict
        | C::TrackLimitReached
        | C::CameraLimitReached
        | C::StreamAlreadyActive
        | C::LiveViewingOff
        | C::StreamLimitReached
        | C::SessionTransitionInvalid
        | C::CaptureLimitReached
        | C::CaptureSessionConflict => StatusCode::CONFLICT,
        C::SessionOver
        | C::RecordingErased
        | C::EventsExpired
        | C::PlaybackSessionClosed
        | C::PlaybackStreamStopped => StatusCode::GONE,
        C::RangeNotSatisfiable => StatusCode::RANGE_NOT_SATISFIABLE,
        C::VersionConflict => StatusCode::PRECONDITION_FAILED,
        C::PreconditionRequired => StatusCode::PRECONDITION_REQUIRED,
        C::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        C::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        C::UnprocessableRequest
        | C::LanguageUnsupported
        | C::IdempotencyKeyReused
        | C::OrderInvalid
        | C::SdpInvalid
        | C::ProofInvalid
        | C::ProofExpired
        | C::ProofWrongContext
        | C::ProviderNotConfigured
        | C::CameraCodecUnsupported
        | C::CameraBframesUnsupported
        | C::CameraSourceInvalid
        | C::CameraSourceRefused => StatusCode::UNPROCESSABLE_ENTITY,
        C::RateLimited | C::PlaybackWaitLimitReached => StatusCode::TOO_MANY_REQUESTS,
        C::DependencyUnavailable
        | C::ProviderUnavailable
        | C::ProviderRefused
        | C::ProviderLimitReached
        | C::PlaybackStreamNotReady => StatusCode::SERVICE_UNAVAILABLE,
        C::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let trace = current_trace_id().unwrap_or_else(TraceId::random);
        let body = ErrorBody {
            code: self.code.as_str(),
            message: self.message,
            details: self.details,
            trace_id: trace.to_string(),
        };
        let mut response = (status_of(self.code), Json(body)).into_response();
        for (name, value) in self.headers {
            response.headers_mut().append(name, value);
        }
        response
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        // The message of the database is logged, but not sent to callers.
        tracing::error!(%error, "the database failed");
        if matches!(error, StoreError::Unknown(_)) {
            return outcome_unknown();
        }
        match error.code() {
            ErrorCode::DependencyUnavailable => {
                Self::new(ErrorCode::DependencyUnavailable, "the database does not answer")
                    .retry_after_s(DEPENDENCY_RETRY_AFTER_S)
            }
            code => Self::new(code, "the server failed; its log has this trace id"),
        }
    }
}

impl From<SessionError> for ApiError {
    fn from(error: SessionError) -> Self {
        let message = error.to_string();
        let code = error.code();
        match error {
            SessionError::Repository(error) => error.into(),
            SessionError::Invalid(problems) => {
                let fields: Vec<_> = problems
                    .iter()
                    .map(|problem| json!({"field": problem.field, "problem": problem.problem}))
                    .collect();
                Self::new(code, message).with_details(json!({ "fields": fields }))
            }
            SessionError::VersionConflict { current } => {
                Self::new(code, message).with_details(json!({ "version": current }))
            }
            SessionError::StateConflict { status, .. } => {
                Self::new(code, message).with_details(json!({"status": status.as_str()}))
            }
            SessionError::LimitReached { limit } => {
                Self::new(code, message).with_details(json!({ "limit": limit }))
            }
            SessionError::Meeting(error) => {
                tracing::warn!(%error, "a meeting at a provider was not made");
                let wait = error.retry_after();
                let answer = match error {
                    // What the database said is logged, but not sent to callers.
                    MeetingError::Unstored(_) => Self::new(code, "meetings can't be stored"),
                    _ => Self::new(code, message),
                };
                match wait {
                    Some(wait) => answer
                        .retry_after_s(u32::try_from(wait.as_secs().max(1)).unwrap_or(u32::MAX)),
                    None => answer,
                }
            }
            SessionError::NotFound | SessionError::TenantSuspended => Self::new(code, message),
        }
    }
}

impl From<CameraError> for ApiError {
    fn from(error: CameraError) -> Self {
        let (code, message) = (error.code(), error.to_string());
        match error {
            CameraError::Store(error) => error.into(),
            CameraError::Keys(reason) => {
                tracing::error!(%reason, "the keys failed");
                Self::new(code, "the keys do not answer").retry_after_s(DEPENDENCY_RETRY_AFTER_S)
            }
            CameraError::Vault(reason) => {
                tracing::error!(%reason, "the vault failed");
                Self::new(code, "the vault does not answer").retry_after_s(DEPENDENCY_RETRY_AFTER_S)
            }
            CameraError::Contended | CameraError::StreamLimit(_) | CameraError::Stopping => {
                Self::new(code, message).retry_after_s(1)
            }
            CameraError::Unusable { field, problem } => Self::new(code, message)
                .with_details(json!({"fields": [{"field": field, "problem": problem}]})),
            CameraError::Denied { max, .. } => {
                Self::new(code, message).with_details(json!({"maxConcurrentStreams": max}))
            }
            CameraError::CameraLimit(limit) | CameraError::CaptureLimit(limit) => {
                Self::new(code, message).with_details(json!({ "limit": limit }))
            }
            CameraError::StreamActive(id) => {
                Self::new(code, message).with_details(json!({"id": id.to_string()}))
            }
            CameraError::Transition(status) => {
                Self::new(code, message).with_details(json!({"status": status.as_str()}))
            }
            _ => Self::new(code, message),
        }
    }
}

impl From<PlaybackError> for ApiError {
    fn from(error: PlaybackError) -> Self {
        let (code, message) = (error.code(), error.to_string());
        match error {
            PlaybackError::Camera(error) => error.into(),
            // Players that are told to wait do; those that are refused give up.
            PlaybackError::StreamNotReady | PlaybackError::WaitLimit => {
                Self::new(code, message).retry_after_s(1)
            }
            _ => Self::new(code, message),
        }
    }
}

/// Answers requests to unknown routes.
pub(super) async fn handle_unknown_route() -> ApiError {
    ApiError::new(ErrorCode::RouteNotFound, "there is no such route")
}

/// Answers a method that the route does not support; axum adds `Allow`.
pub(super) async fn handle_unknown_method() -> ApiError {
    ApiError::new(ErrorCode::MethodNotAllowed, "the route does not support this method")
}

/// The answer to a request that is still being carried out: it may have been done, or may be done
/// later. `has_key` says whether it came with an `Idempotency-Key`, by which it can be repeated.
pub(super) fn not_known_yet(has_key: bool) -> ApiError {
    if !has_key {
        return outcome_unknown();
    }
    let message = "it is not known yet whether this was done; the same request with the same \
                   Idempotency-Key gets its outcome";
    unknown(message)
}

/// The answer to a request of which it stays unknown whether it was done.
pub(super) fn outcome_unknown() -> ApiError {
    unknown("it is not known whether this was done; look whether it was before asking again")
}

fn unknown(message: &str) -> ApiError {
    ApiError::new(ErrorCode::DependencyUnavailable, message)
        .with_details(json!({ OUTCOME: UNKNOWN }))
        .retry_after_s(DEPENDENCY_RETRY_AFTER_S)
}

/// The answer to a panic in a handler. It has no details; the panic hook logs the panic.
pub(super) fn internal_error() -> ApiError {
    ApiError::new(ErrorCode::Internal, "the server failed; its log has this trace id")
}
