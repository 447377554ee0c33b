//! `/api/v1/sessions/{id}/report`: who could not take part, and why.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::header::CACHE_CONTROL;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::body::query;
use super::caller::{Credentials, see};
use super::error::ApiError;
use super::json_forms::{Id, Moment};
use super::refusals::{READER, refusals};
use super::sessions::session_id;
use crate::domain::error_code::ErrorCode;
use crate::domain::id::SessionId;
use crate::domain::role::Action;
use crate::history::{PersonReport, ReportEntry};

/// Whose story is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ReportParameters {
    /// Only this person's; everybody's when absent.
    user_id: Option<String>,
}

/// Who could do what, and when.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Report)]
struct ReportBody {
    #[schema(value_type = String, format = Uuid)]
    session_id: Id<SessionId>,
    #[schema(value_type = String, format = DateTime)]
    made_at: Moment,
    /// By user id.
    participants: Vec<PersonBody>,
}

/// One person's story.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PersonReport)]
struct PersonBody {
    user_id: String,
    /// Empty when nobody said it.
    name: String,
    /// In the order of time.
    entries: Vec<EntryBody>,
}

/// Something that happened to somebody, or that they did.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReportEntry)]
struct EntryBody {
    #[schema(value_type = String, format = DateTime)]
    at: Moment,
    /// `joined`, `left`, `join_refused`, `connection_lost`, `connection_bad`, `speech_requested`,
    /// `speech_approved`, `speech_denied`, `speech_cancelled`, `turn_started`,
    /// `turn_paused`, `turn_resumed`, `turn_ended`, `muted`, `unmuted`,
    /// `attendance_validated`, `attendance_entered`, `attendance_left`,
    /// `validation_refused`, `delegated` or `delegation_ended`.
    kind: String,
    /// Why: a reason, or the code of a refusal.
    cause: Option<String>,
    /// Part of the connection, how bad it was at worst, kind of the turn, method of the proof, or
    /// unit.
    detail: Option<String>,
    /// The number of the cause of `connection_bad`: percent of packets, kilobits per second or
    /// milliseconds.
    value: Option<u32>,
    /// When it was over, of `connection_bad`.
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Moment>,
    /// The moderator who did it.
    by: Option<String>,
    /// The moderator who took the decision back that it follows from.
    undone_by: Option<String>,
}

impl From<&ReportEntry> for EntryBody {
    fn from(entry: &ReportEntry) -> Self {
        Self {
            at: Moment(entry.at),
            kind: entry.kind.as_str().to_owned(),
            cause: entry.cause.clone(),
            detail: entry.detail.clone(),
            value: entry.value,
            until: entry.until.map(Moment),
            by: entry.by.clone(),
            undone_by: entry.undone_by.clone(),
        }
    }
}

impl From<&PersonReport> for PersonBody {
    fn from(person: &PersonReport) -> Self {
        Self {
            user_id: person.user_id.clone(),
            name: person.name.clone(),
            entries: person.entries.iter().map(Into::into).collect(),
        }
    }
}

refusals!(ReportRefusals: READER, &[ErrorCode::SessionNotFound, ErrorCode::RecordingErased]);

/// Tells each person's story: entered, left, connections lost, requests, turns,
/// mutes, refusals and proofs, each with its moment and cause.
#[utoipa::path(
    get, path = "/api/v1/sessions/{id}/report", tag = "attendance", operation_id = "readReport",
    security(("bearer" = [])),
    params(("id" = String, Path, format = Uuid), ReportParameters),
    responses((status = 200, description = "The report", body = ReportBody), ReportRefusals)
)]
pub(super) async fn report(
    State(api): State<Api>,
    credentials: Credentials,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<Response, ApiError> {
    let person = credentials.reader(&api, Action::ReadReport).await?;
    let id = session_id(&id)?;
    let key = see(&person, id)?;
    let ReportParameters { user_id } = query(&parts)?;
    api.sessions.find(key).await?;
    let report = api.history.report(key).await?;
    let wanted = |person: &&PersonReport| user_id.as_ref().is_none_or(|it| *it == person.user_id);
    let body = ReportBody {
        session_id: Id(id),
        made_at: Moment(api.clock.now()),
        participants: report.people.iter().filter(wanted).map(Into::into).collect(),
    };
    Ok(([(CACHE_CONTROL, "private, no-store")], Json(body)).into_response())
}
