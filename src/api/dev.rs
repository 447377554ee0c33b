//! Routes that exist only in development: the built-in issuer, and the server side of the built-in
//! governance page. `app` refuses to serve these beyond loopback unless two options ask for it.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::header::CACHE_CONTROL;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::body::{WholeBody, json, query};
use super::caller::{Credentials, PersonOrService};
use super::error::ApiError;
use super::json_forms::{Id, Role};
use super::refusals::{BODY, REPEATABLE, refusals};
use super::session_body::{NewSessionBody, SessionBody, SessionPageBody};
use super::sessions::{Step, change_state, create_as, page};
use crate::auth::dev_issuer::{DevIssuerError, TokenRequest};
use crate::domain::error_code::ErrorCode;
use crate::domain::id::{SessionId, TenantId, UserId};
use crate::domain::participant::ServiceName;
use crate::domain::role::Roles;
use crate::sessions::{ListQuery, SessionFilter};

/// The caller as which the governance page acts.
fn governance_page() -> PersonOrService {
    PersonOrService::Service(ServiceName("dev:governance-page".to_owned()))
}

/// The contents of a requested token.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DevTokenRequest)]
pub(super) struct TokenRequestBody {
    #[schema(value_type = String, format = Uuid)]
    tenant_id: Id<TenantId>,
    #[schema(value_type = String)]
    user_id: Id<UserId>,
    /// Name shown to people.
    name: Option<String>,
    roles: Vec<Role>,
    /// The only session for which the token is valid.
    #[schema(value_type = Option<String>, format = Uuid)]
    session_id: Option<Id<SessionId>>,
    /// RFC 7638 thumbprint of the key to which it is bound. Without one the token is a bearer
    /// token, which allows only reads.
    jkt: Option<String>,
}

/// An access token.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DevToken)]
pub(super) struct TokenBody {
    access_token: String,
    /// `DPoP` when the token is bound to a key, else `Bearer`.
    token_type: &'static str,
    /// How long the token is valid, in seconds.
    expires_in: u32,
}

refusals!(TokenRefusals: BODY, &[ErrorCode::Forbidden, ErrorCode::UnprocessableRequest]);

/// Issues a token to any caller. Development only.
#[utoipa::path(
    post, path = "/dev/token", tag = "development", operation_id = "devToken",
    request_body = TokenRequestBody,
    responses(
        (status = 200, description = "A token", body = TokenBody),
        TokenRefusals,
    )
)]
pub(super) async fn token(
    State(api): State<Api>,
    credentials: Credentials,
    WholeBody(body): WholeBody,
) -> Result<Response, ApiError> {
    let issuer = api.dev_issuer.as_ref().ok_or_else(not_here)?;
    let wanted: TokenRequestBody = json(&credentials.headers, &body, &["application/json"])?;
    let roles: Vec<_> = wanted.roles.into_iter().map(Into::into).collect();
    let request = TokenRequest {
        tenant_id: wanted.tenant_id.0,
        user_id: wanted.user_id.0,
        name: wanted.name,
        roles: Roles::of(&roles),
        session_id: wanted.session_id.map(|id| id.0),
        jkt: wanted.jkt,
    };
    let token = issuer.issue(&request, api.wall.now()).map_err(|error| match error {
        DevIssuerError::ThumbprintInvalid => unprocessable("jkt", &error),
        DevIssuerError::SubjectReserved => unprocessable("user_id", &error),
        DevIssuerError::File { .. } | DevIssuerError::KeyInvalid { .. } => {
            super::error::internal_error()
        }
    })?;
    let body = TokenBody {
        access_token: token.access_token,
        token_type: token.token_type,
        expires_in: token.expires_in_s,
    };
    Ok(([(CACHE_CONTROL, "no-store")], Json(body)).into_response())
}

/// Returns the public key of the built-in issuer. Development only.
#[utoipa::path(
    get, path = "/dev/jwks.json", tag = "development", operation_id = "devKeys",
    responses((status = 200, description = "A JWK set (RFC 7517)", body = Object))
)]
pub(super) async fn jwks(State(api): State<Api>) -> Result<Response, ApiError> {
    let issuer = api.dev_issuer.as_ref().ok_or_else(not_here)?;
    Ok(Json(issuer.jwks().clone()).into_response())
}

/// The tenant whose sessions are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DevListParameters {
    #[param(value_type = String, format = Uuid)]
    tenant_id: Id<TenantId>,
    limit: Option<u32>,
    cursor: Option<String>,
}

refusals!(ListRefusals: &[ErrorCode::Forbidden, ErrorCode::UnprocessableRequest, ErrorCode::DependencyUnavailable]);

/// Lists the sessions of a tenant. Development only.
#[utoipa::path(
    get, path = "/dev/sessions", tag = "development", operation_id = "devListSessions",
    params(DevListParameters),
    responses(
        (status = 200, description = "A page", body = SessionPageBody),
        ListRefusals,
    )
)]
pub(super) async fn list(State(api): State<Api>, parts: Parts) -> Result<Response, ApiError> {
    let parameters: DevListParameters = query(&parts)?;
    let query = ListQuery {
        filter: SessionFilter::default(),
        limit: parameters.limit,
        cursor: parameters.cursor,
    };
    page(&api, parameters.tenant_id.0, &query).await
}

refusals!(CreateRefusals: BODY, REPEATABLE, &[ErrorCode::Forbidden, ErrorCode::UnprocessableRequest, ErrorCode::DependencyUnavailable]);

/// Creates a session as the governance service would. Development only.
#[utoipa::path(
    post, path = "/dev/sessions", tag = "development", operation_id = "devCreateSession",
    params(("Idempotency-Key" = Option<String>, Header)),
    request_body = NewSessionBody,
    responses(
        (status = 201, description = "Created", body = SessionBody),
        CreateRefusals,
    )
)]
pub(super) async fn create(
    State(api): State<Api>,
    credentials: Credentials,
    WholeBody(body): WholeBody,
) -> Result<Response, ApiError> {
    create_as(&api, &credentials, governance_page(), &body).await
}

refusals!(StepRefusals: REPEATABLE, &[ErrorCode::Forbidden, ErrorCode::SessionNotFound, ErrorCode::SessionStateConflict, ErrorCode::SessionLimitReached, ErrorCode::TenantSuspended, ErrorCode::VersionConflict, ErrorCode::PayloadTooLarge, ErrorCode::DependencyUnavailable]);

/// Starts, ends or cancels a session as the governance service would.
/// Development only.
#[utoipa::path(
    post, path = "/dev/sessions/{id}/{step}", tag = "development", operation_id = "devStepSession",
    params(
        ("id" = String, Path, format = Uuid),
        ("step" = String, Path, description = "start, end or cancel"),
        ("Idempotency-Key" = Option<String>, Header),
    ),
    responses(
        (status = 200, description = "Done", body = SessionBody),
        StepRefusals,
    )
)]
pub(super) async fn step(
    State(api): State<Api>,
    credentials: Credentials,
    Path((id, step)): Path<(String, String)>,
    WholeBody(body): WholeBody,
) -> Result<Response, ApiError> {
    let step = match step.as_str() {
        "start" => Step::Start,
        "end" => Step::End,
        "cancel" => Step::Cancel,
        _ => return Err(not_here()),
    };
    change_state(&api, &credentials, governance_page(), &id, &body, step).await
}

fn unprocessable(field: &'static str, error: &DevIssuerError) -> ApiError {
    let fields = json!({"fields": [{"field": field, "problem": error.to_string()}]});
    ApiError::new(ErrorCode::UnprocessableRequest, error.to_string()).with_details(fields)
}

fn not_here() -> ApiError {
    ApiError::new(ErrorCode::RouteNotFound, "there is no such route")
}
