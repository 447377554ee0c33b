//! Who attends a session: proofs of presence, registration at a desk, the quorum
//! and the eligible list. Older callers leave `/attendance` out of some paths.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::attendance_body::{
    AttendeeAnswerBody, AttendeeBody, AttendeePageBody, BiometricBody, CodeBody, EligibleBody,
    EligiblePageBody, GivenListBody, LocationBody, MarkLeftBody, NewEligibleListBody, QrBody,
    QuorumBody, RegistrationBody, TakeBackBody, left_out,
};
use super::attendance_export::{attendance_of, export, export_document};
use super::body::{LargeBody, WholeBody, json, query};
use super::caller::{Credentials, permit, see};
use super::error::ApiError;
use super::idempotency::once_of;
use super::minutes::language_of;
use super::refusals::{BODY, READER, REPEATABLE, WRITER, refusals};
use super::sessions::session_id;
use crate::attendance::ports::EligibleList;
use crate::domain::attendance::{AttendanceMethod, UnitId};
use crate::domain::error_code::ErrorCode;
use crate::domain::hex::hex;
use crate::domain::id::{ActionId, SessionId, SessionKey, UserId};
use crate::domain::participant::Principal;
use crate::domain::role::Action;
use crate::domain::secret::Secret;
use crate::room::action::AttendanceAction;
use crate::room::engine::{Attendee, AttendeeAnswer};
use crate::room::{DeskError, Presented};

const JSON: &str = "application/json";
/// Largest body with a biometric sample, in bytes.
const SAMPLE_BYTES_MAX: usize = 512 * 1024;
/// Largest eligible list, in bytes: of 20,000 members with their units.
const LIST_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How many attendees or members a page has when nobody says so, and at most.
const PAGE_DEFAULT: usize = 50;
const PAGE_MAX: usize = 200;

/// What attendance of an active session may be refused with.
const ATTENDING: &[ErrorCode] = &[
    ErrorCode::SessionNotFound,
    ErrorCode::SessionStateConflict,
    ErrorCode::SessionOver,
    ErrorCode::RoomElsewhere,
    ErrorCode::ProviderUnsupported,
    ErrorCode::NotEligible,
    ErrorCode::AttendanceFull,
];
const PROOF: &[ErrorCode] = &[
    ErrorCode::ProofInvalid,
    ErrorCode::ProofExpired,
    ErrorCode::ProofReplayed,
    ErrorCode::ProofWrongContext,
];
const DESK: &[ErrorCode] = &[
    ErrorCode::EligibleListUnknown,
    ErrorCode::EligibleListRefused,
    ErrorCode::NotPresent,
    ErrorCode::UnitNotFound,
    ErrorCode::DelegationConflict,
    ErrorCode::DelegationLimitReached,
];

impl From<DeskError> for ApiError {
    fn from(error: DeskError) -> Self {
        let refusal = Self::new(error.code(), error.to_string());
        match error {
            DeskError::Room(error) => error.into(),
            DeskError::TooMany(wait) => {
                let seconds = wait.as_secs().saturating_add(1);
                refusal.retry_after_s(u32::try_from(seconds).unwrap_or(u32::MAX))
            }
            _ if refusal.code() == ErrorCode::DependencyUnavailable => refusal.retry_after_s(5),
            DeskError::Refused(_) | DeskError::NotConfigured => refusal,
        }
    }
}

refusals!(QrRefusals: WRITER, BODY, REPEATABLE, ATTENDING, PROOF);

/// Proves presence by a contextual QR code. A code is taken once; the same again
/// by the same person changes nothing, unless they were marked as left: then they are back.
#[utoipa::path(
    post, path = "/api/v1/sessions/{id}/attendance/validate-qr", tag = "attendance",
    operation_id = "validateQr", security(("dpop" = [])),
    params(("id" = String, Path, format = Uuid), ("Idempotency-Key" = Option<String>, Header)),
    request_body = QrBody,
    responses((status = 200, description = "Proven", body = AttendeeAnswerBody), QrRefusals)
)]
pub(super) async fn validate_qr(
    State(api): State<Api>,
    credentials: Credentials,
    Path(id): Path<String>,
    WholeBody(body): WholeBody,
) -> Result<Response, ApiError> {
    let person = credentials.counted_writer(&api, Action::Attend).await?;
    let id = own_session(&person, &id)?;
    let work = Box::pin(async {
        let proof: QrBody = json(&credentials.headers, &body, &[JSON])?;
        proof.check()?;
        let location = proof.location.as_ref().and_then(LocationBody::coarse);
        let (secret, place) = (Secret::new(proof.token), proof.place.map(Into::into));
        let (method, variant) = (AttendanceMethod::Qr, None);
        validate(&api, &person, id, Presented { method, secret, variant, place, location }).await
    });
    once_of(&api, &credentials, &person, &body, work).await
}

refusals!(CodeRefusals: WRITER, BODY, REPEATABLE, ATTENDING, PROOF);

/// Proves presence by a code that was sent by SMS or e-mail. The same again by the same person
/// changes nothing, unless they were marked as left: then they are back.
#[utoipa::path(
    post, path = "/api/v1/sessions/{id}/attendance/validate-code", tag = "attendance",
    operation_id = "validateCode", security(("dpop" = [])),
    params(("id" = String, Path, format = Uuid), ("Idempotency-Key" = Option<String>, Header)),
    request_body = CodeBody,
    responses((status = 200, description = "Proven", body = AttendeeAnswerBody), CodeRefusals)
)]
pub(super) async fn validate_code(
    State(api): State<Api>,
    credentials: Credentials,
    Path(id): Path<String>,
    WholeBody(body): WholeBody,
) -> Result<Response, ApiError> {
    let person = credentials.counted_writer(&api, Action::Attend).await?;
    let id = own_session(&person, &id)?;
    let work = Box::pin(async {
        let proof: CodeBody = json(&credentials.headers, &body, &[JSON])?;
        proof.check()?;
        let location = proof.location.as_ref().and_then(LocationBody::coarse);
        let (secret, place) = (Secret::new(proof.code), proof.place.map(Into::into));
        let (method, variant) = (AttendanceMethod::Code, proof.channel);
        validate(&api, &person, id, Presented { method, secret, variant, place, location }).await
    });
    once_of(&api, &credentials, &person, &body, work).await
}

refusals!(BiometricRefusals: WRITER, BODY, REPEATABLE, ATTENDING, PROOF);

/// Proves presence by a biometric sample. Nothing of it is kept, not even a hash:
/// an `Idempotency-Key` names the request whatever its sample.
#[utoipa::path(
    post, path = "/api/v1/sessions/{id}/attendance/validate-biometric", tag = "attendance",
    operation_id = "validateBiometric", security(("dpop" = [])),
    params(("id" = String, Path, format = Uuid), ("Idempotency-Key" = Option<String>, Header)),
    request_body = BiometricBody,
    responses((status = 200, description = "Proven", body = AttendeeAnswerBody), BiometricRefusals)
)]
pub(super) async fn validate_biometric(
    State(api): State<Api>,
    credentials: Credentials,
    Path(id): Path<String>,
    LargeBody(body): LargeBody<SAMPLE_BYTES_MAX>,
) -> Result<Response, ApiError> {
    let person = credentials.counted_writer(&api, Action::Attend).await?;
    let id = own_session(&person, &id)?;
    let work = Box::pin(async {
        let proof: BiometricBody = json(&credentials.headers, &body, &[JSON])?;
        proof.check()?;
        let location = proof.location.as_ref().and_then(LocationBody::coarse);
        let (secret, place) = (Secret::new(proof.sample), proof.place.map(Into::into));
        let (method, variant) = (AttendanceMethod::Biometric, proof.kind);
        validate(&api, &person, id, Presented { method, secret, variant, place, location }).await
    });
    once_of(&api, &credentials, &person, b"", work).await
}

async fn validate(
    api: &Api,
    person: &Principal,
    session: SessionId,
    presented: Presented,
) -> Result<Response, ApiError> {
    let answer = api.desk.validate(person, session, presented).await?;
    Ok(shown(api, &answer))
}

fn shown(api: &Api, answer: &AttendeeAnswer) -> Response {
    Json(AttendeeAnswerBody::new(answer, api.clock.now())).into_response()
}

/// The session of a path, unless the caller's token hides it.
fn own_session(person: &Principal, id: &str) -> Result<SessionId, ApiError> {
    let id = session_id(id)?;
    see(person, id)?;
    Ok(id)
}

refusals!(RegisterRefusals: WRITER, BODY, REPEATABLE, ATTENDING, DESK);

/// Registers somebody in the hall from the eligible list, or who represents
/// units. Registering them again changes nothing: then `decision` of the answer
/// is not this one.
#[utoipa::path(
    post, path = "/api/v1/sessions/{id}/attendance/register-attendee", tag = "attendance",
    operation_id = "registerAttendee", security(("dpop" = [])),
    params(("id" = String, Path, format = Uuid), ("Idempotency-Key" = Option<String>, Header)),
    request_body = RegistrationBody,
    responses((status = 200, description = "Registered", body = AttendeeAnswerBody), RegisterRefusals)
)]
pub(super) async fn register_attendee(
    State(api): State<Api>,
    credentials: Credentials,
    Path(id): Path<String>,
    WholeBody(body): WholeBody,
) -> Result<Response, ApiError> {
    let moderator = credentials.desk_writer(&api, Action::RegisterAttendance).await?;
    let id = own_session(&moderator, &id)?;
    let work = Box::pin(async {
        let wanted: RegistrationBody = json(&credentials.headers, &body, &[JSON])?;
        let decision = wanted.decision.map_or_else(ActionId::generate, |named| named.0);
        let (user, represents) = wanted.units()?;
        let by = moderator.user_id.clone();
        let action = AttendanceAction::Register { user: user.clone(), represents, decision, by };
        attend(&api, &moderator, id, action, user).await
    });
    once_of(&api, &credentials, &moderator, &body, work).await
}

refusals!(MarkLeftRefusals: WRITER, BODY, REPEATABLE, ATTENDING, DESK);

/// Marks somebody as left, wherever they were.
#[utoipa::path(
    post, path = "/api/v1/sessions/{id}/attendance/{userId}/mark-left", tag = "attendance",
    operation_id = "markLeft", security(("dpop" = [])),
    params(("id" = String, Path, format = Uuid), ("userId" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body(content = Option<MarkLeftBody>),
    responses((status = 200, description = "Left", body = AttendeeAnswerBody), MarkLeftRefusals)
)]
pub(super) async fn mark_left(
    State(api): State<Api>,
    credentials: Credentials,
    Path((id, user)): Path<(String, String)>,
    WholeBody(body): WholeBody,
) -> Result<Response, ApiError> {
    let moderator = credentials.desk_writer(&api, Action::RegisterAttendance).await?;
    let id = own_session(&moderator, &id)?;
    let work = Box::pin(async {
        let wanted = if body.trim_ascii().is_empty() {
            MarkLeftBody::default()
        } else {
            json(&credentials.headers, &body, &[JSON])?
        };
        // What is no id of anybody is nobody who is present.
        let nobody = || ApiError::new(ErrorCode::NotPresent, "this person is not present");
        let user: UserId = user.parse().map_err(|_| nobody())?;
        let decision = wanted.decision.map_or_else(ActionId::generate, |named| named.0);
        let by = moderator.user_id.clone();
        let action = AttendanceAction::MarkLeft { user: user.clone(), decision, by };
        attend(&api, &moderator, id, action, user).await
    });
    once_of(&api, &credentials, &moderator, &body, work).await
}

refusals!(TakeBackRefusals: WRITER, BODY, REPEATABLE, ATTENDING, &[ErrorCode::DecisionStale]);

/// Takes back a registration, or that somebody was marked as left: the newest
/// decision of the desk about them, if it is this one.
#[utoipa::path(
    post, path = "/api/v1/sessions/{id}/attendance/{userId}/take-back", tag = "attendance",
    operation_id = "takeBackAttendance", security(("dpop" = [])),
    params(("id" = String, Path, format = Uuid), ("userId" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body = TakeBackBody,
    responses((status = 200, description = "As they are then", body = AttendeeAnswerBody), TakeBackRefusals)
)]
pub(super) async fn take_back(
    State(api): State<Api>,
    credentials: Credentials,
    Path((id, user)): Path<(String, String)>,
    WholeBody(body): WholeBody,
) -> Result<Response, ApiError> {
    let moderator = credentials.desk_writer(&api, Action::RegisterAttendance).await?;
    let id = own_session(&moderator, &id)?;
    let work = Box::pin(async {
        let wanted: TakeBackBody = json(&credentials.headers, &body, &[JSON])?;
        // Nothing was decided about what is no id of anybody.
        let nothing = || ApiError::new(ErrorCode::DecisionStale, "no such decision");
        let user: UserId = user.parse().map_err(|_| nothing())?;
        let (decision, by) = (wanted.decision.0, moderator.user_id.clone());
        let action = AttendanceAction::TakeBack { user: user.clone(), decision, by };
        attend(&api, &moderator, id, action, user).await
    });
    once_of(&api, &credentials, &moderator, &body, work).await
}

/// Does something, and shows somebody as they are then.
async fn attend(
    api: &Api,
    person: &Principal,
    session: SessionId,
    action: AttendanceAction,
    user: UserId,
) -> Result<Response, ApiError> {
    let key = SessionKey::new(person.tenant_id, session);
    Ok(shown(api, &api.rooms.attend_person(key, user, action).await?))
}

refusals!(DelegationRefusals: WRITER, REPEATABLE, ATTENDING, DESK);

/// Ends the delegation of a unit.
#[utoipa::path(
    delete, path = "/api/v1/sessions/{id}/attendance/units/{unit}/delegate", tag = "attendance",
    operation_id = "endDelegation", security(("dpop" = [])),
    params(("id" = String, Path, format = Uuid), ("unit" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 200, description = "The quorum then", body = QuorumBody), DelegationRefusals)
)]
pub(super) async fn end_delegation(
    State(api): State<Api>,
    credentials: Credentials,
    Path((id, unit)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let moderator = credentials.desk_writer(&api, Action::RegisterAttendance).await?;
    let id = own_session(&moderator, &id)?;
    let unknown = || ApiError::new(ErrorCode::UnitNotFound, "no such unit");
    let unit: UnitId = unit.parse().map_err(|_| unknown())?;
    let action = AttendanceAction::EndDelegation { unit, by: moderator.user_id.clone() };
    let work = Box::pin(decide(&api, &moderator, id, action));
    once_of(&api, &credentials, &moderator, b"", work).await
}

refusals!(SecondCallRefusals: WRITER, REPEATABLE, ATTENDING, &[ErrorCode::QuorumCallConflict]);

/// Begins the second call, which usually needs a smaller share.
#[utoipa::path(
    post, path = "/api/v1/sessions/{id}/attendance/second-call", tag = "attendance",
    operation_id = "beginSecondCall", security(("dpop" = [])),
    params(("id" = String, Path, format = Uuid), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 200, description = "The quorum then", body = QuorumBody), SecondCallRefusals)
)]
pub(super) async fn begin_second_call(
    State(api): State<Api>,
    credentials: Credentials,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let moderator = credentials.desk_writer(&api, Action::RegisterAttendance).await?;
    let id = own_session(&moderator, &id)?;
    let work = Box::pin(decide(&api, &moderator, id, AttendanceAction::BeginSecondCall));
    once_of(&api, &credentials, &moderator, b"", work).await
}

/// Does something, and shows the quorum as it is then.
async fn decide(
    api: &Api,
    person: &Principal,
    session: SessionId,
    action: AttendanceAction,
) -> Result<Response, ApiError> {
    let attendance = api.rooms.attend(SessionKey::new(person.tenant_id, session), action).await?;
    Ok(Json(QuorumBody::new(&attendance)).into_response())
}

/// How the list is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Format {
    Json,
    Csv,
    Pdf,
}

/// What of the list is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParameters {
    /// `json`, page by page; or the whole list for moderators and auditors: `csv`, or `pdf`, a
    /// document (PDF/A-3b) with its data embedded as `attendance.json`. `json` when absent.
    format: Option<Format>,
    /// `es`, `en` or `pt`, of a document; the language of the session, or else Spanish, when
    /// absent.
    lang: Option<String>,
    /// Only those who are present, or only those who are not.
    present: Option<bool>,
    /// Only the caller.
    own: Option<bool>,
    /// How many, 1 to 200; 50 when absent.
    limit: Option<usize>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

refusals!(ListRefusals: READER, &[
    ErrorCode::SessionNotFound,
    ErrorCode::SessionStateConflict,
    ErrorCode::RecordingErased,
    ErrorCode::UnprocessableRequest,
]);

/// Lists who attends or attended: how it is known, when, and what they weigh. As CSV or as a
/// document the whole list is given, and its hash enters the session's log. The document says what
/// the log says up to its newest signed head; before the first one there is none
/// (`SESSION_STATE_CONFLICT`).
#[utoipa::path(
    get, path = "/api/v1/sessions/{id}/attendance", tag = "attendance",
    operation_id = "listAttendance", security(("bearer" = [])),
    params(("id" = String, Path, format = Uuid), ListParameters),
    responses(
        (status = 200, description = "A page; or the list as text/csv or application/pdf", body = AttendeePageBody,
            headers(("Cabildo-SHA256" = String, description = "of a whole list, base64url"))),
        ListRefusals
    )
)]
pub(super) async fn list(
    State(api): State<Api>,
    credentials: Credentials,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<Response, ApiError> {
    let person = credentials.reader(&api, Action::ReadSession).await?;
    let id = own_session(&person, &id)?;
    let ListParameters { format, lang, present, own, limit, cursor } = query(&parts)?;
    if let Some(format @ (Format::Csv | Format::Pdf)) = format {
        permit(&person, Action::ReadReport)?;
        let language = lang.as_deref().map(language_of).transpose()?;
        let attendance = attendance_of(&api, SessionKey::new(person.tenant_id, id)).await?;
        if format == Format::Csv {
            return export(&api, &person, id, &attendance).await;
        }
        let origin = credentials.origin(&api);
        return Box::pin(export_document(&api, &person, id, attendance, (language, origin))).await;
    }
    let limit = page_limit(limit)?;
    let after = cursor.as_deref().map(cursor_text).transpose()?;
    let attendance = attendance_of(&api, SessionKey::new(person.tenant_id, id)).await?;
    let now = api.clock.now();
    let mut wanted = attendance
        .people()
        .filter(|(user, _)| after.as_deref().is_none_or(|after| user.as_str() > after))
        .filter(|(user, _)| own != Some(true) || **user == person.user_id)
        .filter(|(_, person)| !person.intervals.is_empty() || person.remote.is_some())
        .filter(|(_, person)| present.is_none_or(|present| person.is_present() == present));
    let items: Vec<(&UserId, AttendeeBody)> = wanted
        .by_ref()
        .take(limit)
        .map(|(user, _)| (user, AttendeeBody::new(&Attendee::of(&attendance, user), now)))
        .collect();
    let last = items.last().map(|(user, _)| URL_SAFE_NO_PAD.encode(user.as_str()));
    let next_cursor = last.filter(|_| wanted.next().is_some());
    let items = items.into_iter().map(|(_, body)| body).collect();
    Ok(Json(AttendeePageBody { items, next_cursor }).into_response())
}

fn page_limit(limit: Option<usize>) -> Result<usize, ApiError> {
    let limit = limit.unwrap_or(PAGE_DEFAULT);
    if (1..=PAGE_MAX).contains(&limit) {
        return Ok(limit);
    }
    let message = format!("limit: must be between 1 and {PAGE_MAX}");
    Err(ApiError::new(ErrorCode::UnprocessableRequest, message))
}

fn cursor_text(cursor: &str) -> Result<String, ApiError> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok();
    bytes
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| ApiError::malformed_field("cursor", "is not one of this list"))
}

refusals!(QuorumRefusals: READER, &[ErrorCode::SessionNotFound, ErrorCode::RecordingErased]);

/// Shows the quorum, and when it was reached and lost.
#[utoipa::path(
    get, path = "/api/v1/sessions/{id}/attendance/quorum", tag = "attendance",
    operation_id = "readQuorum", security(("bearer" = [])),
    params(("id" = String, Path, format = Uuid)),
    responses((status = 200, description = "The quorum", body = QuorumBody), QuorumRefusals)
)]
pub(super) async fn quorum(
    State(api): State<Api>,
    credentials: Credentials,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let person = credentials.reader(&api, Action::ReadSession).await?;
    let id = own_session(&person, &id)?;
    let attendance = attendance_of(&api, SessionKey::new(person.tenant_id, id)).await?;
    Ok(Json(QuorumBody::new(&attendance)).into_response())
}

/// Who of the list is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct EligibleParameters {
    /// Words that name, id or units have, in any order; case and accents do not
    /// matter.
    q: Option<String>,
    /// How many, 1 to 200; 50 when absent.
    limit: Option<usize>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Longest search, in bytes.
const QUERY_BYTES_MAX: usize = 200;

refusals!(EligibleRefusals: READER, &[
    ErrorCode::SessionNotFound,
    ErrorCode::RecordingErased,
    ErrorCode::UnprocessableRequest,
]);

/// Searches the eligible list, by name. It is empty until it is known.
#[utoipa::path(
    get, path = "/api/v1/sessions/{id}/attendance/eligible", tag = "attendance",
    operation_id = "listEligible", security(("bearer" = [])),
    params(("id" = String, Path, format = Uuid), EligibleParameters),
    responses((status = 200, description = "A page", body = EligiblePageBody), EligibleRefusals)
)]
pub(super) async fn eligible(
    State(api): State<Api>,
    credentials: Credentials,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<Response, ApiError> {
    let person = credentials.reader(&api, Action::ReadSession).await?;
    let id = own_session(&person, &id)?;
    let EligibleParameters { q, limit, cursor } = query(&parts)?;
    let limit = page_limit(limit)?;
    let q = q.unwrap_or_default();
    if q.len() > QUERY_BYTES_MAX {
        let message = format!("q: must have at most {QUERY_BYTES_MAX} bytes");
        return Err(ApiError::new(ErrorCode::UnprocessableRequest, message));
    }
    let after = match cursor {
        Some(cursor) => cursor_text(&cursor)?
            .parse::<usize>()
            .map_err(|_| ApiError::malformed_field("cursor", "is not one of this list"))?,
        None => 0,
    };
    let attendance = attendance_of(&api, SessionKey::new(person.tenant_id, id)).await?;
    let Some(roll) = attendance.roll() else {
        return Ok(Json(EligiblePageBody::default()).into_response());
    };
    let mut found = roll.search(&q, after);
    let page: Vec<_> = found.by_ref().take(limit).collect();
    let last = page.last().map(|(place, _)| URL_SAFE_NO_PAD.encode(place.to_string()));
    let next_cursor = last.filter(|_| found.next().is_some());
    let items = page.iter().map(|(_, member)| EligibleBody::new(&attendance, member)).collect();
    let total = roll.heads();
    let shows_left_out = after == 0 && permit(&person, Action::ReadReport).is_ok();
    let delegations_left_out = if shows_left_out { left_out(&attendance) } else { Vec::new() };
    let page = EligiblePageBody {
        items,
        next_cursor,
        total,
        sha256: Some(hex(roll.sha256())),
        delegations_left_out,
    };
    Ok(Json(page).into_response())
}

refusals!(GiveRefusals: WRITER, BODY, REPEATABLE, ATTENDING, &[ErrorCode::EligibleListFixed, ErrorCode::UnprocessableRequest]);

/// Gives the eligible list of an active session where no service has it. Whoever
/// is present stays so.
#[utoipa::path(
    put, path = "/api/v1/sessions/{id}/attendance/eligible", tag = "attendance",
    operation_id = "giveEligible", security(("dpop" = [])),
    params(("id" = String, Path, format = Uuid), ("Idempotency-Key" = Option<String>, Header)),
    request_body = NewEligibleListBody,
    responses((status = 200, description = "The quorum then, and delegations that were left out", body = GivenListBody), GiveRefusals)
)]
pub(super) async fn give_eligible(
    State(api): State<Api>,
    credentials: Credentials,
    Path(id): Path<String>,
    LargeBody(body): LargeBody<LIST_BYTES_MAX>,
) -> Result<Response, ApiError> {
    let moderator = credentials.writer(&api, Action::RegisterAttendance).await?;
    let id = own_session(&moderator, &id)?;
    if api.rooms.has_eligible_source() {
        let message = "the eligible list comes from the user-profiles service";
        return Err(ApiError::new(ErrorCode::EligibleListFixed, message));
    }
    let work = Box::pin(async {
        let wanted: NewEligibleListBody = json(&credentials.headers, &body, &[JSON])?;
        let list: EligibleList = wanted.into_list()?;
        let key = SessionKey::new(moderator.tenant_id, id);
        let action = AttendanceAction::TakeList(Box::new(list));
        let attendance = api.rooms.attend(key, action).await?;
        Ok(Json(GivenListBody::new(&attendance)).into_response())
    });
    once_of(&api, &credentials, &moderator, &body, work).await
}
