//! The list of those who attended, as a table or a document to keep. That it was given, to whom
//! and with which hash is in the session's log.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LANGUAGE, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::Api;
use super::attendance_body::left_out;
use super::documents::PDF;
use super::error::ApiError;
use super::minutes::language_of_session;
use crate::attendance::{Attendance, Interval, QuorumView};
use crate::domain::error_code::ErrorCode;
use crate::domain::id::{SessionId, SessionKey, UserId};
use crate::domain::participant::Principal;
use crate::evidence::EventKind;
use crate::history::{About, AttendanceList, Language, SignedHead};
use crate::room::engine::Attendee;

/// SHA-256 of the table as its log has it, base64url without padding.
const LIST_HASH: HeaderName = HeaderName::from_static("cabildo-sha256");

const COLUMNS: &str = "user_id,name,eligible,units,weight,represents,from,until,method,place,cause";

/// Who attends or attended a session.
pub(super) async fn attendance_of(api: &Api, key: SessionKey) -> Result<Arc<Attendance>, ApiError> {
    let attendance = api.rooms.attendance(key).await?;
    // Afterwards, since it may be erased while it is read. Without anybody it would say that nobody
    // had come.
    if api.custody.is_erased(key).await? {
        let message = "who took part in the session was erased with its recording";
        return Err(ApiError::new(ErrorCode::RecordingErased, message));
    }
    Ok(attendance)
}

/// The list as CSV (RFC 4180), entered into the log before it is given.
pub(super) async fn export(
    api: &Api,
    person: &Principal,
    session: SessionId,
    attendance: &Attendance,
) -> Result<Response, ApiError> {
    let table = table(attendance);
    let hash = URL_SAFE_NO_PAD.encode(Sha256::digest(&table));
    let QuorumView { tally, reached, .. } = attendance.quorum();
    let event = json!({
        "type": "attendance_exported",
        "at": api.clock.now().to_string(),
        "user_id": person.user_id.as_str(),
        "format": "csv",
        "sha256": hash,
        "heads_present": tally.heads_present,
        "weight_present": tally.weight_present.to_string(),
        "quorum": reached,
    });
    let (tenant, kind) = (person.tenant_id, EventKind::Disclosure);
    api.evidence.note(SessionKey::new(tenant, session), kind, event.to_string()).await?;
    let name = format!("attachment; filename=\"attendance-{session}.csv\"");
    let header = |text: &str| HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""));
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8")),
        (CONTENT_DISPOSITION, header(&name)),
        (CACHE_CONTROL, HeaderValue::from_static("private, no-store")),
        (LIST_HASH, header(&hash)),
    ];
    Ok((headers, table).into_response())
}

/// The list as a document: what the log says up to its newest head, entered into the log before it
/// is given.
pub(super) async fn export_document(
    api: &Api,
    person: &Principal,
    session: SessionId,
    attendance: Arc<Attendance>,
    (language, origin): (Option<Language>, &str),
) -> Result<Response, ApiError> {
    let key = SessionKey::new(person.tenant_id, session);
    let found = api.sessions.find(key).await?;
    let language = language.unwrap_or_else(|| language_of_session(&found));
    let unsigned = || {
        let message = "the log of the session has no signed head yet";
        ApiError::new(ErrorCode::SessionStateConflict, message)
    };
    let head = api.evidence.latest_head(key).await?.ok_or_else(unsigned)?;
    let head = SignedHead::new(&head);
    let (attendances, log) = api.history.attendances(key, head.tree_size).await?;
    let verify_at = format!("{origin}/api/v1/sessions/{session}/audit-proof");
    let about = About::new(&found, None, verify_at);
    let made_at = api.clock.now();
    let composed = tokio::task::spawn_blocking(move || {
        let units = units(&attendance);
        let of = |user: &str| units.get(user).cloned().unwrap_or_default();
        let log = URL_SAFE_NO_PAD.encode(log);
        let made_at = made_at.to_string();
        let left_out = left_out(&attendance);
        let list = AttendanceList::new(attendances, &about, (&log, &head), made_at, of, left_out);
        let data = list.json();
        (list, data)
    });
    let (list, data) = composed.await.map_err(|_| super::error::internal_error())?;
    let data_hash = URL_SAFE_NO_PAD.encode(Sha256::digest(&data));
    let (heads_present, weight_present, reached) = list.present();
    let mut event = json!({
        "type": "attendance_exported",
        "at": made_at.to_string(),
        "user_id": person.user_id.as_str(),
        "format": "pdf",
        "data_sha256": data_hash,
        "people_present": heads_present,
        "weight_present": weight_present,
        "quorum": reached,
    });
    let pdf = api.press.make(move || list.document(language, made_at, data)).await?;
    let hash = URL_SAFE_NO_PAD.encode(Sha256::digest(&pdf));
    event["sha256"] = hash.as_str().into();
    api.evidence.note(key, EventKind::Disclosure, event.to_string()).await?;
    let name = format!("attachment; filename=\"attendance-{session}.pdf\"");
    let header = |text: &str| HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""));
    let headers = [
        (CONTENT_TYPE, PDF),
        (CONTENT_LANGUAGE, header(language.as_str())),
        (CONTENT_DISPOSITION, header(&name)),
        (CACHE_CONTROL, HeaderValue::from_static("private, no-store")),
        (LIST_HASH, header(&hash)),
    ];
    Ok((headers, pdf).into_response())
}

/// The units of everybody, and those that they represent: the log has the eligible list as a hash.
fn units(attendance: &Attendance) -> BTreeMap<String, (Vec<String>, Vec<String>)> {
    let of = |user: &UserId| {
        let Attendee { units, represents, .. } = Attendee::of(attendance, user);
        let units = units.iter().map(|(id, _)| id.to_string()).collect();
        let represents = represents.iter().map(ToString::to_string).collect();
        (user.as_str().to_owned(), (units, represents))
    };
    attendance.people().map(|(user, _)| of(user)).collect()
}

/// A line for each interval, by user id; one without moments for whoever proved
/// that they are present and never was.
fn table(attendance: &Attendance) -> String {
    let mut table = format!("{COLUMNS}\r\n");
    for (user, person) in attendance.people() {
        let attendee = Attendee::of(attendance, user);
        if person.intervals.is_empty() && person.remote.is_some() {
            add_line(&mut table, &attendee, None);
        }
        for interval in &person.intervals {
            add_line(&mut table, &attendee, Some(interval));
        }
    }
    table
}

fn add_line(table: &mut String, attendee: &Attendee, interval: Option<&Interval>) {
    let units: Vec<String> = attendee.units.iter().map(|(id, _)| id.to_string()).collect();
    let represents: Vec<String> = attendee.represents.iter().map(ToString::to_string).collect();
    let ended = interval.and_then(|interval| interval.ended);
    let word = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let cells = [
        attendee.user_id.as_str().to_owned(),
        attendee.name.clone(),
        if attendee.member { "yes" } else { "no" }.to_owned(),
        units.join("; "),
        attendee.weight().to_string(),
        represents.join("; "),
        interval.map(|interval| interval.from.to_string()).unwrap_or_default(),
        ended.map(|(until, _)| until.to_string()).unwrap_or_default(),
        word(interval.map(|interval| interval.method.as_str())),
        word(interval.map(|interval| interval.place.as_str())),
        word(ended.map(|(_, cause)| cause.as_str())),
    ];
    let line: Vec<String> = cells.iter().map(|text| cell(text)).collect();
    // Writing to a text can't fail.
    let _written = write!(table, "{}\r\n", line.join(","));
}

/// A cell, quoted. One that a spreadsheet would take for a formula is taken for
/// text with an apostrophe before it.
fn cell(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let before = if is_formula { "'" } else { "" };
    format!("\"{before}{}\"", text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_stays_a_cell_and_is_no_formula() {
        assert_eq!(cell("Ana, \"la jefa\""), "\"Ana, \"\"la jefa\"\"\"");
        assert_eq!(cell("=HYPERLINK(\"x\")"), "\"'=HYPERLINK(\"\"x\"\")\"");
        assert_eq!(cell(""), "\"\"");
        for begins in ["=", "+", "-", "@", "\t", "\r"] {
            assert_eq!(cell(&format!("{begins}1")), format!("\"'{begins}1\""));
        }
    }
}
