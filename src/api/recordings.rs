//! Plays recordings: short-lived signed addresses, and the files at these addresses, decrypted as
//! they are sent. Giving an address and opening a file are entered in the log before the caller
//! gets anything.

mod token;

use std::collections::BTreeMap;
use std::sync::Mutex;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE,
    RANGE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

pub use self::token::PlaybackKey;

use self::token::{Grant, TokenRefused};
use super::Api;
use super::body::query;
use super::caller::{Credentials, see, with_nonce};
use super::error::ApiError;
use super::evidence::record_unavailable;
use super::json_forms::{BinaryBody, Moment};
use super::range::{Wanted, wanted_range};
use super::refusals::{PLAYBACK, WRITER, refusals};
use super::sessions::session_id;
use crate::domain::error_code::ErrorCode;
use crate::domain::id::{PlayableId, SessionId, SessionKey, UserId};
use crate::domain::participant::Principal;
use crate::domain::recording::PlayableState;
use crate::domain::role::Action;
use crate::domain::time::Timestamp;
use crate::evidence::EventKind;
use crate::history::{HistoryError, Item};
use crate::playable::{LibraryError, RecordingFile, RecordingView};
use crate::recorder::repository::{Lack, PlayableOf, RecordedTrack};

/// Most addresses for which the opening is remembered, so that the many range requests of a player
/// are entered once. At the limit an opening is entered again.
const OPENED_MAX: usize = 10_000;

impl From<LibraryError> for ApiError {
    fn from(error: LibraryError) -> Self {
        let message = error.to_string();
        match error {
            LibraryError::NotFound => Self::new(ErrorCode::RecordingNotFound, message),
            LibraryError::Erased => Self::new(ErrorCode::RecordingErased, message),
            LibraryError::Store(_) | LibraryError::Playable(_) => record_unavailable(&error),
        }
    }
}

impl From<HistoryError> for ApiError {
    fn from(error: HistoryError) -> Self {
        let message = error.to_string();
        match error {
            HistoryError::NoLog => Self::new(ErrorCode::RecordingNotFound, message),
            HistoryError::Erased => Self::new(ErrorCode::RecordingErased, message),
            HistoryError::TooLong => Self::new(ErrorCode::UnprocessableRequest, message),
            error => record_unavailable(&error),
        }
    }
}

/// Which addresses were given and opened, until they expire.
#[derive(Debug, Default)]
pub(super) struct Opened(Mutex<BTreeMap<[u8; 32], Timestamp>>);

impl Opened {
    fn contains(&self, name: &[u8; 32]) -> bool {
        self.0.lock().is_ok_and(|opened| opened.contains_key(name))
    }

    fn insert(&self, name: [u8; 32], expires_at: Timestamp, now: Timestamp) {
        if let Ok(mut opened) = self.0.lock() {
            opened.retain(|_, until| *until > now);
            if opened.len() < OPENED_MAX {
                opened.insert(name, expires_at);
            }
        }
    }
}

/// Which files of a recording are requested.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Selection {
    /// `combined`, or the id of a recorded track; all files when absent.
    track: Option<String>,
    /// `webm` or `mp4`; both when absent.
    format: Option<String>,
}

/// A recording and the addresses of its files.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RecordingAddresses)]
pub(super) struct AddressesBody {
    /// The session.
    session_id: String,
    /// Its title.
    title: String,
    /// `none`, `recording`, `sealing`, `making`, `ready` or `erased`.
    state: &'static str,
    /// Number of tracks that are not completely stored in the vault and entered in the log yet.
    pending_tracks: usize,
    /// Bytes of its sealed objects: about the size of its whole bundle.
    sealed_bytes: u64,
    /// Number of objects of what was erased that the vault has not deleted yet. They can't be
    /// decrypted.
    undeleted_objects: u64,
    /// Until when the addresses are valid.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Moment,
    /// Address of the time line.
    timeline_url: String,
    /// The files, the combined one first.
    files: Vec<FileBody>,
}

/// A playable file.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RecordingFile)]
struct FileBody {
    /// `combined` or `track`.
    of: &'static str,
    /// The recorded track.
    track: Option<String>,
    /// The person whose track it is.
    user_id: Option<String>,
    /// Their name at the time of the recording.
    name: Option<String>,
    /// `microphone`, `camera`, `screen` or `screen_audio`.
    source: Option<&'static str>,
    /// `audio` or `video`.
    kind: &'static str,
    /// `webm` or `mp4`.
    container: &'static str,
    /// Media type with codecs; empty until known.
    media_type: String,
    /// `waiting`, `building`, `ready`, `failed` or `erased`.
    state: &'static str,
    /// Share of the file that is made, in permille.
    progress_permille: u32,
    /// When its first frame was captured.
    #[schema(value_type = String, format = DateTime)]
    from: Moment,
    /// Playing time.
    duration_ms: u64,
    /// Size.
    size_bytes: u64,
    /// Address of the file, which supports range requests; `null` until it is ready.
    url: Option<String>,
    /// What the combined file does without, although it was recorded.
    lacks: Vec<LackBody>,
}

/// A time during which the combined file does without a track.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RecordingLack)]
struct LackBody {
    /// The recorded track.
    track: String,
    /// The person whose track it is.
    user_id: String,
    /// Their name at the time of the recording.
    name: String,
    /// `microphone`, `camera`, `screen` or `screen_audio`.
    source: &'static str,
    /// Begin.
    #[schema(value_type = String, format = DateTime)]
    from: Moment,
    /// End.
    #[schema(value_type = String, format = DateTime)]
    to: Moment,
    /// `undecodable`: nothing of its data can be decoded. `interrupted`: the program that decodes it
    /// was ended, or had no memory or disk, at every attempt.
    reason: &'static str,
}

refusals!(AddressesRefusals: WRITER, &[ErrorCode::SessionNotFound, ErrorCode::RecordingNotFound]);

/// Returns signed addresses at which a recording can be played for a limited time.
#[utoipa::path(
    get, path = "/api/v1/sessions/{id}/recording-url", tag = "recordings",
    operation_id = "recordingUrl",
    security(("dpop" = [])), params(("id" = String, Path, format = Uuid), Selection),
    responses(
        (status = 200, description = "The recording and the addresses of its files", body = AddressesBody),
        AddressesRefusals,
    )
)]
pub(super) async fn addresses(
    State(api): State<Api>,
    credentials: Credentials,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<Response, ApiError> {
    let person = credentials.writer(&api, Action::WatchRecording).await?;
    let selection: Selection = query(&parts)?;
    let id = session_id(&id)?;
    let session = api.sessions.find(see(&person, id)?).await?;
    let log_closed = api.evidence.is_closed(SessionKey::new(person.tenant_id, id)).await?;
    let mut view = api.library.view(&session, log_closed).await?;
    select(&mut view, &selection)?;
    let now = api.clock.now();
    let expires_at = now.after(api.playback.valid_for());
    enter_giving(&api, &person, (id, &view), expires_at).await?;
    let sign = |file: Option<PlayableId>| {
        api.playback.sign(&Grant {
            tenant: person.tenant_id,
            session: id,
            file,
            user: person.user_id.clone(),
            expires_at,
        })
    };
    let body = AddressesBody {
        session_id: id.to_string(),
        title: session.title.clone(),
        state: view.stage.as_str(),
        pending_tracks: view.pending_tracks,
        sealed_bytes: view.sealed_bytes,
        undeleted_objects: api.custody.undeleted(SessionKey::new(person.tenant_id, id)).await?,
        expires_at: Moment(expires_at),
        timeline_url: format!("/api/v1/recordings/{}/timeline", sign(None)),
        files: view.files.into_iter().map(|file| file_body(file, &sign)).collect(),
    };
    let response = ([(CACHE_CONTROL, "no-store")], Json(body)).into_response();
    Ok(with_nonce(response, &api))
}

/// A page that waits for files repeats its request; the same files for the same person are entered
/// once while the first addresses are valid. An erased recording has no addresses.
async fn enter_giving(
    api: &Api,
    person: &Principal,
    (session, view): (SessionId, &RecordingView),
    expires_at: Timestamp,
) -> Result<(), ApiError> {
    let ready = view.files.iter().filter(|found| found.file.state == PlayableState::Ready);
    let given: Vec<String> = ready.map(|found| found.file.id.to_string()).collect();
    if given.is_empty() {
        return Ok(());
    }
    let (tenant, user) = (person.tenant_id, &person.user_id);
    let name = format!("{tenant} {session} {} {}", user.as_str(), given.join(" "));
    let name = token::fingerprint(&name);
    if api.opened.contains(&name) {
        return Ok(());
    }
    let now = api.clock.now();
    let access = Access { user, what: "addresses_given", file: None, at: now };
    enter(api, SessionKey::new(tenant, session), access).await?;
    api.opened.insert(name, expires_at, now);
    Ok(())
}

/// Keeps only the requested files.
fn select(view: &mut RecordingView, selection: &Selection) -> Result<(), ApiError> {
    let filtered = selection.track.is_some() || selection.format.is_some();
    if let Some(format) = &selection.format
        && !matches!(format.as_str(), "webm" | "mp4")
    {
        return Err(ApiError::malformed_field("format", "expected webm or mp4"));
    }
    view.files.retain(|found| {
        let of = match found.file.of {
            PlayableOf::Combined => "combined".to_owned(),
            PlayableOf::Track(track) => track.to_string(),
        };
        selection.track.as_ref().is_none_or(|track| *track == of)
            && selection.format.as_ref().is_none_or(|it| *it == found.file.container.as_str())
    });
    if filtered && view.files.is_empty() {
        return Err(ApiError::new(ErrorCode::RecordingNotFound, "the recording has no such file"));
    }
    Ok(())
}

fn file_body(found: RecordingFile, sign: &impl Fn(Option<PlayableId>) -> String) -> FileBody {
    let RecordingFile { file, track, lacks } = found;
    let is_audio = file.media_type.starts_with("audio/")
        || track.as_ref().is_some_and(|track| track.source.kind().as_str() == "audio");
    let ready = file.state == PlayableState::Ready;
    FileBody {
        of: if track.is_some() { "track" } else { "combined" },
        track: track.as_ref().map(|track| track.id.to_string()),
        user_id: track.as_ref().map(|track| track.user.as_str().to_owned()),
        source: track.as_ref().map(|track| track.source.as_str()),
        name: track.map(|track| track.name),
        kind: if is_audio { "audio" } else { "video" },
        container: file.container.as_str(),
        media_type: file.media_type,
        state: file.state.as_str(),
        progress_permille: file.progress_permille,
        from: moment(file.from_ms),
        duration_ms: file.duration_ms,
        size_bytes: file.parts.iter().sum(),
        url: ready.then(|| format!("/api/v1/recordings/{}", sign(Some(file.id)))),
        lacks: lacks.into_iter().map(|(lack, track)| lack_body(&lack, track)).collect(),
    }
}

fn lack_body(lack: &Lack, track: RecordedTrack) -> LackBody {
    LackBody {
        track: track.id.to_string(),
        user_id: track.user.as_str().to_owned(),
        name: track.name,
        source: track.source.as_str(),
        from: moment(lack.from_ms),
        to: moment(lack.to_ms),
        reason: lack.reason.as_str(),
    }
}

fn moment(unix_ms: u64) -> Moment {
    let unix_us = i64::try_from(unix_ms.saturating_mul(1_000)).unwrap_or(i64::MAX);
    Moment(Timestamp::from_unix_us(unix_us))
}

refusals!(PlayRefusals: PLAYBACK, &[ErrorCode::RangeNotSatisfiable]);

/// Returns a file of a recording, whole or a range of it.
#[utoipa::path(
    get, path = "/api/v1/recordings/{token}", tag = "recordings", operation_id = "playRecording",
    params(("token" = String, Path), ("Range" = Option<String>, Header), ("download" = Option<String>, Query, description = "name under which browsers save the file")),
    responses(
        (status = 200, description = "The file", body = BinaryBody, content_type = "application/octet-stream"),
        (status = 206, description = "The range", body = BinaryBody, content_type = "application/octet-stream"),
        PlayRefusals,
    )
)]
pub(super) async fn play(
    State(api): State<Api>,
    Path(token): Path<String>,
    parts: Parts,
) -> Result<Response, ApiError> {
    let grant = granted(&api, &token)?;
    let nothing = || ApiError::new(ErrorCode::RecordingNotFound, "the recording has no such file");
    let id = grant.file.ok_or_else(nothing)?;
    let download: Download = query(&parts)?;
    let file = api.library.file(SessionKey::new(grant.tenant, grant.session), id).await?;
    let size = file.parts.iter().sum::<u64>();
    let (status, range) = match wanted_range(parts.headers.get(RANGE), size) {
        Wanted::All => (StatusCode::OK, 0..size),
        Wanted::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        Wanted::Unsatisfiable => {
            let message = "the file is shorter than the range";
            let refusal = ApiError::new(ErrorCode::RangeNotSatisfiable, message);
            return Err(refusal.with_header(CONTENT_RANGE, &format!("bytes */{size}")));
        }
    };
    enter_opening(&api, &grant, &token, id).await?;
    let length = range.end - range.start;
    let content_range = format!("bytes {}-{}/{size}", range.start, range.end.saturating_sub(1));
    let body = api.library.read(SessionKey::new(grant.tenant, grant.session), &file, range).await?;
    let headers = [
        (CONTENT_TYPE, file.media_type.clone()),
        (ACCEPT_RANGES, "bytes".to_owned()),
        (CONTENT_LENGTH, length.to_string()),
        (CACHE_CONTROL, "private, no-store".to_owned()),
        (X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
    ];
    let mut response = (status, headers, Body::from_stream(body)).into_response();
    add_names(response.headers_mut(), status, &content_range, download.download.as_deref());
    Ok(response)
}

/// How browsers save a file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Download {
    /// File name; only plain characters of it are used.
    download: Option<String>,
}

fn add_names(headers: &mut HeaderMap, status: StatusCode, range: &str, download: Option<&str>) {
    if status == StatusCode::PARTIAL_CONTENT
        && let Ok(value) = range.parse()
    {
        headers.insert(CONTENT_RANGE, value);
    }
    if let Some(name) = download {
        let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let name: String = name.chars().filter(plain).take(100).collect();
        if let Ok(value) = format!("attachment; filename=\"{name}\"").parse() {
            headers.insert(CONTENT_DISPOSITION, value);
        }
    }
}

/// A player opens one address with many requests, of which only the first is entered.
async fn enter_opening(
    api: &Api,
    grant: &Grant,
    token: &str,
    file: PlayableId,
) -> Result<(), ApiError> {
    let name = token::fingerprint(token);
    if api.opened.contains(&name) {
        return Ok(());
    }
    let now = api.clock.now();
    let access = Access { user: &grant.user, what: "file_opened", file: Some(file), at: now };
    enter(api, SessionKey::new(grant.tenant, grant.session), access).await?;
    api.opened.insert(name, grant.expires_at, now);
    Ok(())
}

/// A person was given the addresses of a recording, or opened one.
struct Access<'a> {
    user: &'a UserId,
    /// `addresses_given` or `file_opened`.
    what: &'static str,
    /// The file; `None` for all.
    file: Option<PlayableId>,
    at: Timestamp,
}

/// Enters an access in the log; if that fails, the caller gets nothing.
async fn enter(api: &Api, key: SessionKey, access: Access<'_>) -> Result<(), ApiError> {
    let event = json!({
        "type": access.what,
        "at": access.at.to_string(),
        "user_id": access.user.as_str(),
        "file": access.file.map(|file| file.to_string()),
    });
    api.evidence.note(key, EventKind::RecordingAccess, event.to_string()).await?;
    Ok(())
}

refusals!(TimelineRefusals: PLAYBACK);

/// Returns the time line: turns, votes, transcript, gaps, people.
#[utoipa::path(
    get, path = "/api/v1/recordings/{token}/timeline", tag = "recordings",
    operation_id = "recordingTimeline", params(("token" = String, Path)),
    responses(
        (status = 200, description = "The time line", body = Object),
        TimelineRefusals,
    )
)]
pub(super) async fn timeline(
    State(api): State<Api>,
    Path(token): Path<String>,
) -> Result<Response, ApiError> {
    let grant = granted(&api, &token)?;
    let line = api.history.timeline(SessionKey::new(grant.tenant, grant.session)).await?;
    let first = line.items.iter().map(|item| item.from).min();
    let last = line.items.iter().map(|item| item.to.unwrap_or(item.from)).max();
    let text = |moment: Timestamp| moment.to_string();
    let items: Vec<Value> = line.items.iter().map(item_json).collect();
    let line = json!({"from": first.map(text), "to": last.map(text), "items": items});
    Ok(([(CACHE_CONTROL, "private, no-store")], Json(line)).into_response())
}

fn item_json(item: &Item) -> Value {
    json!({
        "kind": item.kind.as_str(),
        "from": item.from.to_string(),
        "to": item.to.map(|moment| moment.to_string()),
        "user_id": item.user.as_ref().map(UserId::as_str),
        "name": item.name,
        "text": item.text,
        "track": item.track.map(|track| track.to_string()),
        "entries": item.entries,
    })
}

fn granted(api: &Api, token: &str) -> Result<Grant, ApiError> {
    api.playback.open(token, api.clock.now()).map_err(|refused| {
        let code = match refused {
            TokenRefused::Format => ErrorCode::PlaybackTokenFormatInvalid,
            TokenRefused::Signature => ErrorCode::PlaybackTokenSignatureInvalid,
            TokenRefused::Expired => ErrorCode::PlaybackTokenExpired,
        };
        ApiError::new(code, refused.to_string())
    })
}
