//! `/api/v1/sessions/{id}/minutes`: a draft made of the log, and the version that a moderator
//! confirmed.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LANGUAGE, CONTENT_TYPE, ETAG,
};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::body::{LargeBody, json, query};
use super::caller::{Credentials, see};
use super::documents::PDF;
use super::error::ApiError;
use super::idempotency::once_of;
use super::json_forms::Moment;
use super::precondition::IfMatch;
use super::refusals::{BODY, READER, REPEATABLE, WRITER, refusals};
use super::session_body::etag;
use super::sessions::{session_id, version_of};
use super::transcript::permit_reader;
use crate::domain::error_code::ErrorCode;
use crate::domain::id::SessionKey;
use crate::domain::role::Action;
use crate::domain::session::Session;
use crate::evidence::EventKind;
use crate::history::{
    About, ConfirmedMinutes, Language, MINUTES_BYTES_MAX, MINUTES_VERSIONS_MAX, MinutesVersion,
    SignedHead,
};

/// Largest body with minutes: JSON needs two bytes for some characters.
const BODY_BYTES_MAX: usize = 2 * MINUTES_BYTES_MAX + 1_024;
/// What was given: `draft`, or `confirmed` and its version.
const STATE: HeaderName = HeaderName::from_static("cabildo-minutes");
/// SHA-256 of the Markdown, hexadecimal.
const HASH: HeaderName = HeaderName::from_static("cabildo-sha256");

/// The form of minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Format {
    /// Markdown.
    #[default]
    Md,
    /// A document (PDF/A-3b) with the Markdown embedded as `minutes.md`.
    Pdf,
}

/// Which minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Version {
    /// What the log says now.
    Draft,
    /// What a moderator confirmed last.
    Confirmed,
}

/// What of the minutes is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct MinutesParameters {
    /// `md` or `pdf`, a document (PDF/A-3b) with the Markdown embedded as `minutes.md`. `md` when
    /// absent.
    format: Option<Format>,
    /// `es`, `en` or `pt`, of a draft; the language of the session, or else Spanish, when absent.
    lang: Option<String>,
    /// `draft` or `confirmed`; the confirmed one when there is one, and else a draft, when absent.
    version: Option<Version>,
}

refusals!(MinutesRefusals: READER, &[
    ErrorCode::SessionNotFound,
    ErrorCode::RecordingErased,
    ErrorCode::MinutesNotFound,
    ErrorCode::UnprocessableRequest,
]);

/// Reads the minutes: the version that was confirmed last, or a draft of what the session's log and
/// transcript say, each sentence with its moment. Whoever may read the transcript may read them.
#[utoipa::path(
    get, path = "/api/v1/sessions/{id}/minutes", tag = "transcript", operation_id = "readMinutes",
    security(("bearer" = [])), params(("id" = String, Path, format = Uuid), MinutesParameters),
    responses(
        (status = 200, description = "The minutes", body = String, content_type = "text/markdown",
            headers(
                ("Cabildo-Minutes" = String, description = "`draft`, or `confirmed` and the version"),
                ("Cabildo-SHA256" = String, description = "of the Markdown, hexadecimal"),
                ("ETag" = String, description = "the newest confirmed version, `\"0\"` when there is none; to confirm another, it is given in `If-Match`"),
            )),
        MinutesRefusals
    )
)]
pub(super) async fn read(
    State(api): State<Api>,
    credentials: Credentials,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<Response, ApiError> {
    let session = read_session(&api, &credentials, &id).await?;
    let (id, key) = (session.id, session.key());
    let MinutesParameters { format, lang, version } = query(&parts)?;
    let language = lang.as_deref().map(language_of).transpose()?;
    let head = api.evidence.latest_head(key).await?;
    let verify_at = format!("{}/verify?session={id}", credentials.origin(&api));
    let about = About::new(&session, head.as_ref().map(SignedHead::new), verify_at);
    let (confirmed, versions) = wanted(&api, key, version).await?;
    let (state, minutes) = if let Some(confirmed) = confirmed {
        (format!("confirmed; version={}", confirmed.version), confirmed)
    } else {
        let language = language.unwrap_or_else(|| language_of_session(&session));
        let text = api.history.minutes(key).await?.markdown(&about, language);
        let (tag, now) = (language.to_string(), api.clock.now());
        ("draft".to_owned(), ConfirmedMinutes::new(0, tag, String::new(), text, now))
    };
    if format != Some(Format::Pdf) {
        return Ok(shown(&state, versions, minutes));
    }
    let (tag, hash) = (minutes.language.clone(), minutes.sha256.clone());
    let pdf = api.press.make(move || minutes.document(&about)).await?;
    let name = format!("attachment; filename=\"minutes-{id}.pdf\"");
    let mut answer = (headers(PDF, (&state, versions), &tag, &hash), pdf).into_response();
    answer.headers_mut().insert(CONTENT_DISPOSITION, header(&name));
    Ok(answer)
}

/// The session, if whoever asks may read its minutes.
async fn read_session(api: &Api, credentials: &Credentials, id: &str) -> Result<Session, ApiError> {
    let person = credentials.reader(api, Action::ReadTranscript).await?;
    let key = see(&person, session_id(id)?)?;
    let session = api.sessions.find(key).await?;
    if !person.roles.may(Action::ReadEveryTranscript) {
        permit_reader(&person, &api.history.transcript(key).await?)?;
    }
    Ok(session)
}

/// The confirmed version, when it is wanted; `None` when a draft is. And how many there are.
async fn wanted(
    api: &Api,
    key: SessionKey,
    version: Option<Version>,
) -> Result<(Option<ConfirmedMinutes>, u32), ApiError> {
    let (confirmed, versions) = api.history.confirmed_minutes(key).await?;
    if version == Some(Version::Draft) {
        return Ok((None, versions));
    }
    if confirmed.is_none() && version.is_some() {
        let message = "nobody has confirmed the minutes of this session";
        return Err(ApiError::new(ErrorCode::MinutesNotFound, message));
    }
    Ok((confirmed, versions))
}

fn shown(state: &str, versions: u32, minutes: ConfirmedMinutes) -> Response {
    let markdown = HeaderValue::from_static("text/markdown; charset=utf-8");
    let headers = headers(markdown, (state, versions), &minutes.language, &minutes.sha256);
    (headers, minutes.text).into_response()
}

fn headers(
    media_type: HeaderValue,
    (state, versions): (&str, u32),
    language: &str,
    hash: &str,
) -> [(HeaderName, HeaderValue); 6] {
    [
        (CONTENT_TYPE, media_type),
        (CONTENT_LANGUAGE, header(language)),
        (CACHE_CONTROL, HeaderValue::from_static("private, no-store")),
        (ETAG, etag(u64::from(versions))),
        (STATE, header(state)),
        (HASH, header(hash)),
    ]
}

fn header(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
}

/// The language with this tag.
pub(super) fn language_of(tag: &str) -> Result<Language, ApiError> {
    let unknown = || ApiError::malformed_field("lang", "must be es, en or pt");
    Language::parse(tag).ok_or_else(unknown)
}

/// The language of a session, or else Spanish.
pub(super) fn language_of_session(session: &Session) -> Language {
    let tag = session.transcription.language.as_deref().unwrap_or_default();
    let primary = tag.split('-').next().unwrap_or_default().to_ascii_lowercase();
    Language::parse(&primary).unwrap_or(Language::Spanish)
}

/// Minutes that a moderator has reviewed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewMinutes)]
pub(super) struct NewMinutesBody {
    /// `es`, `en` or `pt`.
    language: String,
    /// Markdown, at most 1 MiB.
    text: String,
}

/// A version of the minutes that was confirmed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ConfirmedMinutes)]
struct ConfirmedBody {
    /// Counts from 1.
    version: u32,
    language: String,
    /// SHA-256 of the text in UTF-8, hexadecimal; the session's log has it.
    sha256: String,
    #[schema(value_type = String, format = DateTime)]
    confirmed_at: Moment,
    /// The user id of the moderator.
    confirmed_by: String,
}

/// The versions of the minutes that were confirmed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MinutesVersions)]
struct VersionsBody {
    /// The newest first.
    items: Vec<ConfirmedBody>,
}

refusals!(VersionsRefusals: READER, &[ErrorCode::SessionNotFound, ErrorCode::RecordingErased]);

/// Lists the versions of the minutes that were confirmed, with the SHA-256 that the session's log
/// has of each. Whoever may read the transcript may see them.
#[utoipa::path(
    get, path = "/api/v1/sessions/{id}/minutes/versions", tag = "transcript",
    operation_id = "listMinutes", security(("bearer" = [])),
    params(("id" = String, Path, format = Uuid)),
    responses((status = 200, description = "All versions", body = VersionsBody), VersionsRefusals)
)]
pub(super) async fn versions(
    State(api): State<Api>,
    credentials: Credentials,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let session = read_session(&api, &credentials, &id).await?;
    let versions = api.history.minutes_versions(session.key()).await?;
    let items = versions.into_iter().rev().map(ConfirmedBody::from).collect();
    let headers = [(CACHE_CONTROL, HeaderValue::from_static("private, no-store"))];
    Ok((headers, Json(VersionsBody { items })).into_response())
}

impl From<MinutesVersion> for ConfirmedBody {
    fn from(confirmed: MinutesVersion) -> Self {
        let MinutesVersion { version, language, sha256, at, by } = confirmed;
        Self { version, language, sha256, confirmed_at: Moment(at), confirmed_by: by }
    }
}

refusals!(ConfirmRefusals: WRITER, BODY, REPEATABLE, &[
    ErrorCode::SessionNotFound,
    ErrorCode::RecordingNotFound,
    ErrorCode::RecordingErased,
    ErrorCode::MinutesLimitReached,
    ErrorCode::VersionConflict,
    ErrorCode::PreconditionRequired,
    ErrorCode::UnprocessableRequest,
]);

/// Confirms a version of the minutes. Its SHA-256 enters the session's log; earlier versions stay.
/// Refused when a version was confirmed that whoever confirms this one has not seen.
#[utoipa::path(
    put, path = "/api/v1/sessions/{id}/minutes", tag = "transcript",
    operation_id = "confirmMinutes", security(("dpop" = [])),
    params(
        ("id" = String, Path, format = Uuid),
        ("If-Match" = String, Header, description = "the `ETag` of the minutes that were edited, draft or not: \"1\""),
        ("Idempotency-Key" = Option<String>, Header, description = "names the request, so that it may come twice")
    ),
    request_body = NewMinutesBody,
    responses(
        (status = 200, description = "Confirmed", body = ConfirmedBody,
            headers(("ETag" = String, description = "its version"))),
        ConfirmRefusals
    )
)]
pub(super) async fn confirm(
    State(api): State<Api>,
    credentials: Credentials,
    Path(id): Path<String>,
    LargeBody(body): LargeBody<BODY_BYTES_MAX>,
) -> Result<Response, ApiError> {
    let person = credentials.writer(&api, Action::CorrectTranscript).await?;
    let key = see(&person, session_id(&id)?)?;
    let seen = IfMatch::required(&credentials.headers)?;
    let work = Box::pin(async {
        let NewMinutesBody { language, text } =
            json(&credentials.headers, &body, &["application/json"])?;
        let language = language_of(&language)?.to_string();
        checked(&text)?;
        api.sessions.find(key).await?;
        let (newest, versions) = api.history.confirmed_minutes(key).await?;
        let by = person.user_id.as_str().to_owned();
        let confirmed = ConfirmedMinutes::new(versions + 1, language, by, text, api.clock.now());
        let after = match (seen, newest) {
            (IfMatch::Any, _) => None,
            (IfMatch::Tags(tags), _) if names(&tags, versions) => Some(versions),
            // The answer to the same request was lost.
            (IfMatch::Tags(tags), Some(newest))
                if newest.version == versions
                    && names(&tags, versions - 1)
                    && newest.says_the_same(&confirmed) =>
            {
                return Ok(ConfirmedBody::from(newest).into_response());
            }
            _ => return Err(conflict(versions)),
        };
        if versions >= MINUTES_VERSIONS_MAX {
            let message = format!("a session has at most {MINUTES_VERSIONS_MAX} versions");
            return Err(ApiError::new(ErrorCode::MinutesLimitReached, message));
        }
        let mut seq = 0;
        for note in confirmed.notes(after) {
            seq = api.evidence.note(key, EventKind::Minutes, note).await?;
        }
        // Another one may have been confirmed meanwhile: the log says which came first.
        let Some(version) = api.history.minutes_version(key, seq).await? else {
            return Err(conflict(api.history.confirmed_minutes(key).await?.1));
        };
        Ok(ConfirmedBody::from(ConfirmedMinutes { version, ..confirmed }).into_response())
    });
    once_of(&api, &credentials, &person, &body, work).await
}

/// Whether one of these tags is that of a version.
fn names(tags: &[String], version: u32) -> bool {
    tags.iter().any(|tag| version_of(tag) == Some(u64::from(version)))
}

fn conflict(current: u32) -> ApiError {
    let message = "the minutes were confirmed by somebody else since these were read";
    ApiError::new(ErrorCode::VersionConflict, message)
        .with_details(serde_json::json!({ "version": current }))
}

impl From<ConfirmedMinutes> for ConfirmedBody {
    fn from(confirmed: ConfirmedMinutes) -> Self {
        let ConfirmedMinutes { version, language, sha256, at, by, .. } = confirmed;
        Self { version, language, sha256, confirmed_at: Moment(at), confirmed_by: by }
    }
}

impl IntoResponse for ConfirmedBody {
    fn into_response(self) -> Response {
        ([(ETAG, etag(u64::from(self.version)))], Json(self)).into_response()
    }
}

/// Refuses what is no text of minutes.
fn checked(text: &str) -> Result<(), ApiError> {
    let problem = if text.trim().is_empty() {
        "text: must show something".to_owned()
    } else if text.len() > MINUTES_BYTES_MAX {
        format!("text: must have at most {MINUTES_BYTES_MAX} bytes")
    } else if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        "text: must have no control characters but line breaks and tabs".to_owned()
    } else {
        return Ok(());
    };
    Err(ApiError::new(ErrorCode::UnprocessableRequest, problem))
}
