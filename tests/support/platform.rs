//! A stand-in for the services around Cabildo: identity, governance, tenancy, user
//! profiles, Google Meet and Zoom. Each can be told to be slow, wrong, down or malicious.

#[path = "providers.rs"]
pub(crate) mod providers;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, Response, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse};
use axum::routing::{any, get, put};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use providers::{Providers, Space, ZoomMeeting};

/// How a service behaves.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Mood {
    /// As its contract says.
    #[default]
    Well,
    /// As its contract says, after a while.
    Slow(Duration),
    /// It takes requests and never answers.
    Silent,
    /// It answers with this status.
    Failing(u16),
    /// It answers with something that is not JSON.
    NotJson,
    /// It answers JSON without what the contract asks for.
    WrongShape,
    /// It answers about another tenant, session, assembly and person.
    Lying,
    /// It answers without end.
    Endless,
    /// It sends callers elsewhere.
    Redirecting(String),
    /// It does what it is asked and answers with this status, as when its answer is lost.
    Unheard(u16),
    /// It takes no more requests, and says this in `Retry-After`.
    Limited(String),
}

impl Mood {
    /// The mood that `{"mood": …}` names, for whoever drives the program.
    fn parse(wish: &Value) -> Option<Self> {
        let number = |name: &str| wish.get(name).and_then(Value::as_u64);
        Some(match wish.get("mood")?.as_str()? {
            "well" => Self::Well,
            "slow" => Self::Slow(Duration::from_millis(number("ms")?)),
            "silent" => Self::Silent,
            "failing" => Self::Failing(u16::try_from(number("status")?).ok()?),
            "not_json" => Self::NotJson,
            "wrong_shape" => Self::WrongShape,
            "lying" => Self::Lying,
            "endless" => Self::Endless,
            "redirecting" => Self::Redirecting(wish.get("to")?.as_str()?.to_owned()),
            "unheard" => Self::Unheard(u16::try_from(number("status")?).ok()?),
            "limited" => Self::Limited(wish.get("retry_after")?.as_str()?.to_owned()),
            _ => return None,
        })
    }
}

/// A request as it came, and what was answered.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) status: StatusCode,
    pub(crate) answer: Vec<u8>,
}

#[derive(Default)]
struct Held {
    moods: BTreeMap<String, Mood>,
    calls: Vec<Call>,
    /// What was presented and is used up.
    used: BTreeSet<String>,
    /// Keys of the writes that governance took, in order.
    written: Vec<String>,
    /// Tenant and session of what started, in order.
    started: Vec<(String, String)>,
    /// What differs from the defaults, by tenant.
    tenants: BTreeMap<String, Value>,
    providers: Providers,
}

impl Held {
    /// Whether it was not used up before.
    fn use_up(&mut self, once: String) -> bool {
        self.used.len() < USED_MAX && self.used.insert(once)
    }
}

/// Most calls that are remembered; the oldest is forgotten beyond it.
const CALLS_MAX: usize = 10_000;
/// Most codes that can be used up; none is valid beyond it.
const USED_MAX: usize = 100_000;
/// Owners of the assembly that the stand-in knows.
const OWNERS: usize = 12;
/// Most members in a page of the eligible list.
const PAGE: usize = 5;

/// The stand-in. Cheap to clone; clones are one platform.
#[derive(Clone, Default)]
pub(crate) struct Platform(Arc<Mutex<Held>>);

impl Platform {
    /// The whole platform under one address.
    pub(crate) fn router(&self) -> Router {
        Router::new()
            .route("/", get(show_page))
            .route("/stub/try", get(list_codes))
            .route("/stub/calls", get(list_calls))
            .route("/stub/told", get(list_told))
            .route("/stub/tenants/{tenant}", put(set_tenant))
            .route("/stub/{service}/mood", put(set_mood))
            .route("/stub/calls/{meeting}", put(set_call).delete(delete_meeting))
            .route("/stub/foreign-meetings", put(set_foreign_meetings))
            .route("/stub/tokens", get(count_tokens).delete(end_tokens))
            .fallback(any(serve))
            .with_state(self.clone())
    }

    /// Has a service behave in this way from now on.
    pub(crate) fn set_mood(&self, service: &str, mood: Mood) {
        self.held().moods.insert(service.to_owned(), mood);
    }

    /// Has tenancy say something else of a tenant: members of its answers.
    pub(crate) fn set_tenant(&self, tenant: &str, members: Value) {
        self.held().tenants.insert(tenant.to_owned(), members);
    }

    /// What governance was told, in the order in which it first heard of it.
    pub(crate) fn written(&self) -> Vec<String> {
        self.held().written.clone()
    }

    /// The calls so far, the oldest first.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.held().calls.clone()
    }

    /// The spaces of Google Meet by their id.
    pub(crate) fn spaces(&self) -> BTreeMap<String, Space> {
        self.held().providers.spaces.clone()
    }

    /// The meetings of Zoom by their number.
    pub(crate) fn meetings(&self) -> BTreeMap<i64, ZoomMeeting> {
        self.held().providers.meetings.clone()
    }

    /// How many tokens both providers gave.
    pub(crate) fn tokens_given(&self) -> u32 {
        self.held().providers.tokens_given
    }

    /// Ends every token that the providers gave.
    pub(crate) fn revoke_tokens(&self) {
        self.held().providers.revoke_tokens();
    }

    /// Has people come into a meeting, or all leave it.
    pub(crate) fn set_call(&self, external_id: &str, is_running: bool, at: Option<&str>) {
        self.held().providers.set_call(external_id, is_running, at);
    }

    /// Other meetings are in the same account, as they are in lists.
    pub(crate) fn set_foreign_meetings(&self, meetings: Vec<Value>) {
        self.held().providers.foreign_meetings = meetings;
    }

    /// Somebody deletes a meeting at its provider.
    pub(crate) fn lose_meeting(&self, external_id: &str) {
        self.held().providers.lose_meeting(external_id);
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn respond(&self, method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Answer {
        let segments: Vec<&str> = uri.path().trim_start_matches('/').split('/').collect();
        let asked: Value = serde_json::from_slice(body).unwrap_or_default();
        let query = query_of(uri);
        let asked_of = (method.as_str(), segments.as_slice());
        let provided = self.held().providers.respond(asked_of, &query, headers, body);
        if let Some(answer) = provided {
            return answer;
        }
        match (method.as_str(), segments.as_slice()) {
            ("POST", ["v2", kind @ ("contextual-tokens" | "biometric" | "codes"), "validate"]) => {
                self.validate(kind, &asked)
            }
            (
                "POST",
                ["api", "v1", "assemblies", _, step @ ("session-started" | "session-ended")],
            ) => {
                let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok());
                match key {
                    None => Answer::status(StatusCode::BAD_REQUEST),
                    Some(key) => {
                        let mut held = self.held();
                        if !held.written.iter().any(|written| written == key) {
                            held.written.push(key.to_owned());
                            if *step == "session-started" {
                                held.started.push((
                                    text_of(&asked, "tenant_id"),
                                    text_of(&asked, "session_id"),
                                ));
                            }
                        }
                        Answer::status(StatusCode::NO_CONTENT)
                    }
                }
            }
            ("GET", ["api", "v1", "assemblies", assembly, "event-data"]) => Answer::json(&json!({
                "assembly_id": assembly, "agenda": ["Accounts", "Works on the roof"], "votes": [],
            })),
            ("GET", ["api", "v1", "tenants", tenant, what @ ("streaming-limits" | "status")]) => {
                self.tenant(tenant, what)
            }
            ("GET", ["api", "v1", "users", "eligible", tenant]) => {
                Answer::json(&eligible(tenant, query.get("cursor").map(String::as_str)))
            }
            _ => Answer::status(StatusCode::NOT_FOUND),
        }
    }

    /// Whether what is presented is valid: the texts of [`qr_of`], [`code_of`]
    /// and [`face_of`], each once. `expired` in front makes one too old.
    fn validate(&self, kind: &str, asked: &Value) -> Answer {
        let text = |name: &str| asked.get(name).and_then(Value::as_str).unwrap_or_default();
        let session = text("session_id");
        let named = asked.get("user_id").and_then(Value::as_str);
        let presented = match kind {
            "contextual-tokens" => text("token"),
            "codes" => text("code"),
            _ => text("sample"),
        };
        let judged = match kind {
            "contextual-tokens" => judge_qr(session, presented),
            "codes" => judge_code(session, named, presented),
            _ => judge_face(named, presented),
        };
        let judged = match (judged, named) {
            (Ok(owner), Some(named)) if owner != named => Err("wrong_context"),
            (judged, _) => judged,
        };
        let once = format!("{kind}:{session}:{}:{presented}", named.unwrap_or_default());
        let judged = match judged {
            Ok(_) if kind != "biometric" && !self.held().use_up(once) => Err("used"),
            judged => judged,
        };
        let mut answer = json!({
            "valid": judged.is_ok(), "tenant_id": text("tenant_id"), "session_id": session,
        });
        match judged {
            Ok(owner) => answer["user_id"] = owner.into(),
            Err(reason) => {
                answer["reason"] = reason.into();
                if let Some(named) = named {
                    answer["user_id"] = named.into();
                }
            }
        }
        Answer::json(&answer)
    }

    /// What holds for one tenant, beside the defaults.
    fn tenant(&self, tenant: &str, what: &str) -> Answer {
        let wishes = self.held().tenants.get(tenant).cloned().unwrap_or_default();
        let wish = |name: &str, default: Value| wishes.get(name).cloned().unwrap_or(default);
        Answer::json(&match what {
            "status" => json!({ "tenant_id": tenant, "status": wish("status", "active".into()) }),
            _ => json!({
                "tenant_id": tenant,
                "max_active_sessions": wish("max_active_sessions", 20.into()),
                "max_participants_per_session": wish("max_participants_per_session", 1_000.into()),
                "max_bitrate_kbps": wish("max_bitrate_kbps", 500_000.into()),
                "max_concurrent_streams": wish("max_concurrent_streams", 4.into()),
                "streaming_entitled": wish("streaming_entitled", true.into()),
            }),
        })
    }
}

fn judge_qr(session: &str, presented: &str) -> Result<String, &'static str> {
    let mut owners = (1..=OWNERS).map(owner);
    match presented.split(':').collect::<Vec<_>>().as_slice() {
        [first, ..] if first.starts_with("expired") => Err("expired"),
        ["qr", of, ..] if *of != session => Err("wrong_context"),
        ["qr", _, who, _] => owners.find(|owner| owner == who).ok_or("wrong_context"),
        _ => Err("invalid"),
    }
}

fn judge_code(session: &str, named: Option<&str>, presented: &str) -> Result<String, &'static str> {
    if presented.starts_with("expired") {
        return Err("expired");
    }
    let named = named.ok_or("wrong_context")?;
    if presented == code_of(session, named) { Ok(named.to_owned()) } else { Err("invalid") }
}

fn judge_face(named: Option<&str>, presented: &str) -> Result<String, &'static str> {
    let named = named.ok_or("wrong_context")?;
    if presented == face_of(named) { Ok(named.to_owned()) } else { Err("invalid") }
}

/// A QR code that proves that a person is there, once for each `number`.
pub(crate) fn qr_of(session: &str, person: &str, number: u32) -> String {
    format!("qr:{session}:{person}:{number}")
}

/// The code that a person was sent for a session: six digits.
pub(crate) fn code_of(session: &str, person: &str) -> String {
    let hash = Sha256::digest(format!("code:{session}:{person}"));
    let number = hash.iter().take(4).fold(0_u32, |all, byte| all << 8 | u32::from(*byte));
    format!("{:06}", number % 1_000_000)
}

/// The biometric sample of a person, in base64.
pub(crate) fn face_of(person: &str) -> String {
    STANDARD.encode(format!("face of {person}"))
}

/// The id of an owner; they are numbered from 1.
fn owner(number: usize) -> String {
    format!("owner-{number}")
}

fn text_of(value: &Value, name: &str) -> String {
    value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// What is answered, before the mood changes it.
struct Answer {
    status: StatusCode,
    json: Option<Value>,
}

impl Answer {
    fn json(value: &Value) -> Self {
        Self { status: StatusCode::OK, json: Some(value.clone()) }
    }

    const fn status(status: StatusCode) -> Self {
        Self { status, json: None }
    }

    fn refusal(status: u16, value: &Value) -> Self {
        let status = StatusCode::from_u16(status).expect("a status");
        Self { status, json: Some(value.clone()) }
    }
}

/// Where a development server serves the web client.
const SERVER: &str = "http://localhost:3014";
/// First names of the owners.
const NAMES: [&str; OWNERS] = [
    "Ana", "Bruno", "Carmen", "Diego", "Elena", "Felipe", "Gloria", "Hugo", "Inés", "João",
    "Karen", "Luis",
];
/// The languages that owners are addressed in.
const LOCALES: [&str; 3] = ["es", "en", "pt"];

fn name_of(index: usize) -> String {
    format!("{} (unit {})", NAMES[index], 101 + index)
}

/// Twelve owners, one of them with two units, one represented by another.
fn eligible(tenant: &str, cursor: Option<&str>) -> Value {
    let first: usize = cursor.and_then(|cursor| cursor.parse().ok()).unwrap_or(0);
    let last = (first + PAGE).min(OWNERS);
    let members: Vec<Value> = (first..last)
        .map(|number| {
            let mut units =
                vec![json!({ "unit_id": format!("{}", 101 + number), "weight": "7.5" })];
            if number == 0 {
                units.push(json!({ "unit_id": "P-1", "weight": 10 }));
            }
            json!({
                "user_id": owner(number + 1), "name": name_of(number),
                "locale": LOCALES[number % LOCALES.len()], "units": units,
            })
        })
        .collect();
    let mut page = json!({ "tenant_id": tenant, "members": members, "delegations": [] });
    if first == 0 {
        page["delegations"] = json!([{ "unit_id": "112", "delegate": "owner-1" }]);
    }
    if last < OWNERS {
        page["next_cursor"] = last.to_string().into();
    }
    page
}

fn query_of(uri: &Uri) -> BTreeMap<String, String> {
    url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect()
}

fn service_of(path: &str) -> &'static str {
    if path == "/token" {
        "google_token"
    } else if path == "/oauth/token" {
        "zoom_token"
    } else if path.starts_with("/v2/spaces") || path.starts_with("/v2/conferenceRecords") {
        "google_meet"
    } else if path.starts_with("/v2/users/") || path.starts_with("/v2/meetings/") {
        "zoom"
    } else if path.starts_with("/v2/") {
        "identity"
    } else if path.starts_with("/api/v1/assemblies/") {
        "governance"
    } else if path.starts_with("/api/v1/tenants/") {
        "tenancy"
    } else {
        "user_profiles"
    }
}

/// Everything in it that names something names something else.
fn lied(value: &Value) -> Value {
    match value {
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| {
                let lie = match name.as_str() {
                    "tenant_id" | "session_id" | "assembly_id" => {
                        json!("00000000-0000-7000-8000-00000000dead")
                    }
                    "user_id" => json!("somebody-else"),
                    "meetingUri" | "join_url" => json!("javascript:alert(1)"),
                    "space" => json!("spaces/of-somebody-else"),
                    "valid" => json!(true),
                    _ => lied(value),
                };
                (name.clone(), lie)
            })
            .collect(),
        other => other.clone(),
    }
}

async fn serve(
    State(platform): State<Platform>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let mood = platform.held().moods.get(service_of(uri.path())).cloned().unwrap_or_default();
    if let Mood::Slow(pause) = mood {
        tokio::time::sleep(pause).await;
    }
    // What fails has done nothing.
    let answer = match &mood {
        Mood::Well | Mood::Slow(_) | Mood::Lying | Mood::Unheard(_) => {
            platform.respond(&method, &uri, &headers, &body)
        }
        _ => Answer::status(StatusCode::OK),
    };
    let json = |value: &Value| value.to_string().into_bytes();
    let (status, bytes) = match &mood {
        Mood::Silent | Mood::Endless | Mood::Redirecting(_) => (StatusCode::OK, Vec::new()),
        Mood::Limited(_) => (StatusCode::TOO_MANY_REQUESTS, Vec::new()),
        Mood::Failing(status) | Mood::Unheard(status) => {
            (StatusCode::from_u16(*status).unwrap_or(StatusCode::IM_A_TEAPOT), Vec::new())
        }
        Mood::NotJson => (StatusCode::OK, b"<html>It works!</html>".to_vec()),
        Mood::WrongShape => (StatusCode::OK, json(&json!({ "data": null }))),
        Mood::Lying => {
            (answer.status, answer.json.as_ref().map(|it| json(&lied(it))).unwrap_or_default())
        }
        Mood::Well | Mood::Slow(_) => {
            (answer.status, answer.json.as_ref().map(json).unwrap_or_default())
        }
    };
    {
        let mut held = platform.held();
        if held.calls.len() >= CALLS_MAX {
            held.calls.remove(0);
        }
        held.calls.push(Call {
            method,
            path: uri.path().to_owned(),
            query: uri.query().unwrap_or_default().to_owned(),
            headers,
            body: body.to_vec(),
            status,
            answer: bytes.clone(),
        });
    }
    match mood {
        Mood::Silent => std::future::pending().await,
        Mood::Endless => {
            let chunks = futures_util::stream::repeat_with(|| {
                Ok::<_, std::convert::Infallible>(Bytes::from(vec![b' '; 65_536]))
            });
            Body::from_stream(chunks).into_response()
        }
        Mood::Redirecting(to) => {
            (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, to)]).into_response()
        }
        Mood::Limited(wait) => (status, [(header::RETRY_AFTER, wait)], bytes).into_response(),
        _ => (status, [(header::CONTENT_TYPE, "application/json")], bytes).into_response(),
    }
}

/// What to present for each owner in a session.
fn codes(session: &str) -> Value {
    let owners = (1..=OWNERS).map(|number| {
        let person = owner(number);
        json!({
            "user_id": person, "name": name_of(number - 1), "unit": (100 + number).to_string(),
            "qr": (1..=3).map(|turn| qr_of(session, &person, turn)).collect::<Vec<_>>(),
            "code": code_of(session, &person), "biometric_sample": face_of(&person),
        })
    });
    json!({ "session_id": session, "owners": owners.collect::<Vec<_>>() })
}

/// `GET /stub/try?session_id=…`: the codes as JSON.
async fn list_codes(uri: Uri) -> Response<Body> {
    match query_of(&uri).get("session_id").filter(|session| is_plain(session)) {
        Some(session) => Json(codes(session)).into_response(),
        None => (StatusCode::BAD_REQUEST, "session_id is missing").into_response(),
    }
}

/// Whether a text can stand in a page as it is.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// `GET /?session_id=…&tenant_id=…`: the codes for people, and links to join with.
async fn show_page(State(platform): State<Platform>, uri: Uri) -> Html<String> {
    let query = query_of(&uri);
    let plain = |name: &str| {
        let value = query.get(name).filter(|value| is_plain(value));
        value.map_or("", String::as_str)
    };
    let (session, tenant) = (plain("session_id"), plain("tenant_id"));
    let mut rows = String::new();
    if !session.is_empty() {
        for number in 1..=OWNERS {
            let (person, name) = (owner(number), name_of(number - 1));
            let (code, qr) = (code_of(session, &person), qr_of(session, &person, 1));
            let _written = write!(
                rows,
                "<tr><td><a href=\"{SERVER}/join?session={session}&amp;tenant={tenant}\
                 &amp;user={person}&amp;name={}\">{person}</a><td>{name}<td>{code}<td><code>{qr}</code>",
                NAMES[number - 1],
            );
        }
    }
    let mut sessions = String::new();
    for (tenant, session) in &platform.held().started {
        if is_plain(tenant) && is_plain(session) {
            let _written = write!(
                sessions,
                "<li><a href=\"/?session_id={session}&amp;tenant_id={tenant}\">{session}</a>"
            );
        }
    }
    Html(format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>Stand-in platform</title>\
         <h1>Stand-in platform</h1><p>Sessions that started:<ul>{sessions}</ul>\
         <form>Tenant <input name=tenant_id size=40 value=\"{tenant}\">\
         Session <input name=session_id size=40 value=\"{session}\"> <button>Show</button></form>\
         <p>Codes to try in the session. A QR code is valid once; another number at its end makes \
         another one.<table><tr><th>Join as<th>Name<th>Code<th>Text of the QR code{rows}</table></html>"
    ))
}

/// What governance was told.
async fn list_told(State(platform): State<Platform>) -> Json<Vec<String>> {
    Json(platform.written())
}

async fn set_tenant(
    State(platform): State<Platform>,
    Path(tenant): Path<String>,
    Json(members): Json<Value>,
) -> StatusCode {
    platform.set_tenant(&tenant, members);
    StatusCode::NO_CONTENT
}

/// `PUT /stub/calls/{meeting}` with `{"running": …, "at": …}`: people come into a meeting,
/// or all leave it. A space is named without `spaces/`.
async fn set_call(
    State(platform): State<Platform>,
    Path(meeting): Path<String>,
    Json(wish): Json<Value>,
) -> StatusCode {
    let is_space = platform.spaces().contains_key(&meeting);
    let is_meeting = meeting.parse().is_ok_and(|id| platform.meetings().contains_key(&id));
    if !is_space && !is_meeting {
        return StatusCode::NOT_FOUND;
    }
    let name = if is_space { format!("spaces/{meeting}") } else { meeting };
    let at = wish.get("at").and_then(Value::as_str);
    platform.set_call(&name, wish["running"] == true, at);
    StatusCode::NO_CONTENT
}

/// `DELETE /stub/calls/{meeting}`: somebody deletes a meeting at its provider. A space is named
/// without `spaces/`.
async fn delete_meeting(
    State(platform): State<Platform>,
    Path(meeting): Path<String>,
) -> StatusCode {
    let is_space = platform.spaces().contains_key(&meeting);
    let is_meeting = meeting.parse().is_ok_and(|id| platform.meetings().contains_key(&id));
    if !is_space && !is_meeting {
        return StatusCode::NOT_FOUND;
    }
    platform.lose_meeting(&if is_space { format!("spaces/{meeting}") } else { meeting });
    StatusCode::NO_CONTENT
}

/// `PUT /stub/foreign-meetings` with a list: other people's meetings in the same account.
async fn set_foreign_meetings(
    State(platform): State<Platform>,
    Json(meetings): Json<Vec<Value>>,
) -> StatusCode {
    platform.set_foreign_meetings(meetings);
    StatusCode::NO_CONTENT
}

/// `GET /stub/tokens`: how many tokens the providers gave.
async fn count_tokens(State(platform): State<Platform>) -> Json<u32> {
    Json(platform.tokens_given())
}

/// `DELETE /stub/tokens`: the providers end every token.
async fn end_tokens(State(platform): State<Platform>) -> StatusCode {
    platform.revoke_tokens();
    StatusCode::NO_CONTENT
}

async fn set_mood(
    State(platform): State<Platform>,
    Path(service): Path<String>,
    Json(wish): Json<Value>,
) -> StatusCode {
    match Mood::parse(&wish) {
        None => StatusCode::UNPROCESSABLE_ENTITY,
        Some(mood) => {
            platform.set_mood(&service, mood);
            StatusCode::NO_CONTENT
        }
    }
}

/// The calls without what was presented.
async fn list_calls(State(platform): State<Platform>) -> Json<Value> {
    let calls = platform.calls();
    let shown = calls.iter().map(|call| {
        json!({
            "method": call.method.as_str(), "path": call.path, "query": call.query,
            "service_id": call.headers.get("x-service-id").and_then(|it| it.to_str().ok()),
            "bytes": call.body.len(), "status": call.status.as_u16(),
            "answer_bytes": call.answer.len(),
        })
    });
    Json(shown.collect())
}
