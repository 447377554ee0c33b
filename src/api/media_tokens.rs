//! Media tokens: made, listed and revoked by people with a proof of possession,
//! for encoders and players that have no key.

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::Api;
use super::body::{WholeBody, json as json_body};
use super::caller::{Credentials, permit, see, with_nonce};
use super::error::ApiError;
use super::idempotency::{once_creating, once_of};
use super::refusals::{BODY, REPEATABLE, WRITER, refusals};
use super::sessions::session_id;
use crate::auth::{
    LIFETIME_MAX, LIFETIME_MIN, MediaToken, MediaTokenId, MediaTokenKind, MediaTokenRefused,
    MediaTokenWanted, MediaTokensUnavailable,
};
use crate::domain::error_code::ErrorCode;
use crate::domain::id::{SessionId, SessionKey, UserId};
use crate::domain::media::TrackSource;
use crate::domain::participant::Principal;
use crate::domain::role::Action;
use crate::sessions::{Caller, PlannedId, Repetition};

/// When a caller should try again whose token could not be kept.
const RETRY_AFTER_S: u32 = 5;

impl From<MediaTokensUnavailable> for ApiError {
    fn from(error: MediaTokensUnavailable) -> Self {
        tracing::error!(%error, "media tokens");
        let message = "the media tokens are unavailable";
        Self::new(ErrorCode::DependencyUnavailable, message).retry_after_s(RETRY_AFTER_S)
    }
}

impl From<MediaTokenRefused> for ApiError {
    fn from(refused: MediaTokenRefused) -> Self {
        match refused {
            MediaTokenRefused::Forbidden => Self::new(ErrorCode::Forbidden, refused.to_string()),
            MediaTokenRefused::Over => {
                Self::new(ErrorCode::MediaTokenNotFound, refused.to_string())
            }
            MediaTokenRefused::TooMany => {
                Self::new(ErrorCode::MediaTokenLimitReached, refused.to_string())
            }
            MediaTokenRefused::Unavailable(error) => error.into(),
        }
    }
}

/// What a media token is wanted for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = MediaTokenRequest)]
pub(super) struct MediaTokenRequestBody {
    /// `whip` to publish, `whep` to play.
    #[schema(value_type = String)]
    kind: String,
    /// What it publishes: `microphone`, `camera`, `screen` or `screen_audio`.
    source: Option<String>,
    /// Its life in seconds, 1 to 86,400.
    ttl_s: u32,
    /// Whether a moderator's right to be heard without a turn goes with it.
    #[serde(default)]
    speak_without_turn: bool,
}

impl MediaTokenRequestBody {
    fn into_wanted(
        self,
        id: MediaTokenId,
        session: SessionId,
    ) -> Result<MediaTokenWanted, ApiError> {
        let mut problems = Vec::new();
        let kind = MediaTokenKind::parse(&self.kind);
        if kind.is_none() {
            problems.push(json!({"field": "kind", "problem": "is whip or whep"}));
        }
        let source = self.source.as_deref().map(TrackSource::parse);
        if source == Some(None) {
            let problem = "is microphone, camera, screen or screen_audio";
            problems.push(json!({"field": "source", "problem": problem}));
        }
        if kind == Some(MediaTokenKind::Whep) && (source.is_some() || self.speak_without_turn) {
            let problem = "a token to play publishes nothing";
            problems.push(json!({"field": "source", "problem": problem}));
        }
        let lifetime = Duration::from_secs(self.ttl_s.into());
        if !(LIFETIME_MIN..=LIFETIME_MAX).contains(&lifetime) {
            let (min, max) = (LIFETIME_MIN.as_secs(), LIFETIME_MAX.as_secs());
            let problem = format!("must be between {min} and {max}");
            problems.push(json!({"field": "ttl_s", "problem": problem}));
        }
        match kind {
            Some(kind) if problems.is_empty() => Ok(MediaTokenWanted {
                id,
                session,
                kind,
                source: source.flatten(),
                lifetime,
                speak_without_turn: self.speak_without_turn,
            }),
            _ => {
                let message = format!("{} of the fields cannot be taken", problems.len());
                Err(ApiError::new(ErrorCode::UnprocessableRequest, message)
                    .with_details(json!({"fields": problems})))
            }
        }
    }
}

/// A media token that was just made.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NewMediaToken)]
pub(super) struct NewMediaTokenBody {
    /// Names it.
    id: String,
    /// The token, which is shown here and never again.
    token: String,
    /// Where it is used.
    url: String,
    /// When it ends.
    #[schema(format = DateTime)]
    expires_at: String,
}

/// A media token without its secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MediaToken)]
pub(super) struct MediaTokenBody {
    /// Names it.
    id: String,
    /// `whip` or `whep`.
    kind: &'static str,
    /// What it publishes, if that was said.
    source: Option<&'static str>,
    /// Whose media it carries.
    user_id: String,
    /// Their name.
    name: String,
    /// Whether they may be heard through it without a turn.
    speak_without_turn: bool,
    /// When it was made.
    #[schema(format = DateTime)]
    created_at: String,
    /// When it ends.
    #[schema(format = DateTime)]
    expires_at: String,
}

impl MediaTokenBody {
    fn of(token: &MediaToken) -> Self {
        Self {
            id: token.id.to_string(),
            kind: token.kind.as_str(),
            source: token.source.map(TrackSource::as_str),
            user_id: token.user.as_str().to_owned(),
            name: token.name.clone(),
            speak_without_turn: token.roles.may(Action::SpeakWithoutTurn),
            created_at: token.created_at.to_string(),
            expires_at: token.expires_at.to_string(),
        }
    }
}

/// The media tokens of a session.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MediaTokens)]
pub(super) struct MediaTokensBody {
    /// Those in force, oldest first.
    items: Vec<MediaTokenBody>,
}

refusals!(CreateRefusals: WRITER, BODY, REPEATABLE, &[ErrorCode::MediaTokenNotFound, ErrorCode::SessionNotFound, ErrorCode::SessionOver, ErrorCode::SessionStateConflict, ErrorCode::ProviderUnsupported, ErrorCode::MediaTokenLimitReached, ErrorCode::UnprocessableRequest]);

/// Makes a media token: for this session, the caller and one direction. The text of a token is
/// stored nowhere: the same request with the same `Idempotency-Key` is answered with the same token and
/// another text for it, and the text before opens nothing any more. When that token is revoked or has
/// ended, the answer is `MEDIA_TOKEN_NOT_FOUND`.
#[utoipa::path(
    post, path = "/api/v1/sessions/{id}/media-tokens", tag = "media", operation_id = "createMediaToken",
    security(("dpop" = [])),
    params(
        ("id" = String, Path, format = Uuid),
        ("Idempotency-Key" = Option<String>, Header, description = "names the request, so that it may come twice"),
    ),
    request_body = MediaTokenRequestBody,
    responses((status = 201, description = "The token, shown once", body = NewMediaTokenBody), CreateRefusals)
)]
pub(super) async fn create(
    State(api): State<Api>,
    credentials: Credentials,
    Path(id): Path<String>,
    WholeBody(body): WholeBody,
) -> Result<Response, ApiError> {
    let person = credentials.writer(&api, Action::JoinRoom).await?;
    let id = session_id(&id)?;
    let session = api.sessions.find(see(&person, id)?).await?;
    super::media::expect_usable(&session)?;
    let wanted: MediaTokenRequestBody =
        json_body(&credentials.headers, &body, &["application/json"])?;
    let work = async |planned: PlannedId| {
        let wanted = wanted.into_wanted(MediaTokenId::from_uuid(planned.as_uuid()), id)?;
        let (token, secret) = api.media_tokens.issue(&person, wanted, api.wall.now()).await?;
        let origin = credentials.origin(&api);
        let body = NewMediaTokenBody {
            id: token.id.to_string(),
            token: secret.expose().clone(),
            url: format!("{origin}/api/v1/sessions/{id}/{}", token.kind),
            expires_at: token.expires_at.to_string(),
        };
        let answer = (StatusCode::CREATED, [(CACHE_CONTROL, "no-store")], Json(body));
        Ok(answer.into_response())
    };
    let caller = (person.tenant_id, Caller::User(person.user_id.clone()));
    let named = (&body[..], Repetition::AnswerAnew);
    let answer = once_creating(&api, &credentials, caller, named, work).await?;
    Ok(with_nonce(answer, &api))
}

refusals!(ListRefusals: WRITER, &[ErrorCode::SessionNotFound]);

/// Lists the media tokens in force: a moderator sees all of the session, anybody
/// else their own.
#[utoipa::path(
    get, path = "/api/v1/sessions/{id}/media-tokens", tag = "media", operation_id = "listMediaTokens",
    security(("dpop" = [])), params(("id" = String, Path, format = Uuid)),
    responses((status = 200, description = "Without their secrets", body = MediaTokensBody), ListRefusals)
)]
pub(super) async fn list(
    State(api): State<Api>,
    credentials: Credentials,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let person = credentials.prover(&api, Action::JoinRoom).await?;
    let id = session_id(&id)?;
    let session = api.sessions.find(see(&person, id)?).await?;
    let only = only_own(&person);
    let tokens = api.media_tokens.repository();
    let found = tokens.list(SessionKey::new(session.tenant_id, id), only, api.wall.now()).await?;
    let items = found.iter().map(MediaTokenBody::of).collect();
    Ok(with_nonce(Json(MediaTokensBody { items }).into_response(), &api))
}

refusals!(RevokeRefusals: WRITER, REPEATABLE, &[ErrorCode::SessionNotFound, ErrorCode::MediaTokenNotFound]);

/// Revokes a media token; its connections end.
#[utoipa::path(
    delete, path = "/api/v1/sessions/{id}/media-tokens/{token}", tag = "media", operation_id = "revokeMediaToken",
    security(("dpop" = [])),
    params(("id" = String, Path, format = Uuid), ("token" = String, Path, format = Uuid), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 204, description = "Revoked"), RevokeRefusals)
)]
pub(super) async fn revoke(
    State(api): State<Api>,
    credentials: Credentials,
    Path((id, token)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let person = credentials.writer(&api, Action::JoinRoom).await?;
    let id = session_id(&id)?;
    let session = api.sessions.find(see(&person, id)?).await?;
    let not_found = || ApiError::new(ErrorCode::MediaTokenNotFound, "no such media token");
    let token = uuid::Uuid::try_parse(&token).map(MediaTokenId::from_uuid);
    let token = token.map_err(|_| not_found())?;
    let work = async {
        let tokens = api.media_tokens.repository();
        let found = tokens.read(session.tenant_id, token).await?;
        let own = only_own(&person);
        let found = found.filter(|found| found.session == id);
        let found = found.filter(|found| own.is_none_or(|user| *user == found.user));
        let found = found.ok_or_else(not_found)?;
        if !tokens.revoke(session.tenant_id, found.id, api.wall.now()).await? {
            return Err(not_found());
        }
        api.media.end_of_token(found.id).await;
        Ok(StatusCode::NO_CONTENT.into_response())
    };
    once_of(&api, &credentials, &person, b"", work).await
}

/// The only person whose tokens a caller sees; moderators see everybody's.
fn only_own(person: &Principal) -> Option<&UserId> {
    permit(person, Action::ModeratePeople).is_err().then_some(&person.user_id)
}
