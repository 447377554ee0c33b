//! `/api/v1/sessions/{id}/bundle`: what anybody needs to check a recording without this server, as
//! one archive that is made while it is sent. That it is handed out is entered in the log before
//! the first byte.

mod kept;

use std::ops::Range;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::header::{
    ACCEPT_RANGES, ALLOW, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_TYPE, ETAG, IF_RANGE, RANGE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use uuid::Uuid;

use super::Api;
use super::caller::{Credentials, see, with_nonce};
use super::error::{ApiError, handle_unknown_method};
use super::evidence::record_unavailable;
use super::json_forms::BinaryBody;
use super::range::{Wanted, wanted_range};
use super::refusals::{WRITER, refusals};
use super::sessions::session_id;
use crate::custody::{Archive, BundleWanted, ClipWanted, CustodyError};
use crate::domain::error_code::ErrorCode;
use crate::domain::id::{RecordedTrackId, SessionId};
use crate::domain::role::Action;
use crate::domain::time::Timestamp;
use kept::{Asked, Found, Sending};

pub(super) use kept::Bundles;

/// How many bytes the whole archive has, also when a part of it follows.
const EXPECTED_BYTES: HeaderName = HeaderName::from_static("cabildo-expected-bytes");

impl From<CustodyError> for ApiError {
    fn from(error: CustodyError) -> Self {
        let message = error.to_string();
        match error {
            CustodyError::NoLog | CustodyError::NoSuchTrack(_) | CustodyError::Nothing => {
                Self::new(ErrorCode::RecordingNotFound, message)
            }
            CustodyError::Erased => Self::new(ErrorCode::RecordingErased, message),
            CustodyError::NotDisclosable { .. } | CustodyError::TooMany { .. } => {
                Self::new(ErrorCode::UnprocessableRequest, message)
            }
            error => record_unavailable(&error),
        }
    }
}

refusals!(BundleRefusals: WRITER, &[ErrorCode::SessionNotFound, ErrorCode::RecordingNotFound, ErrorCode::RecordingErased, ErrorCode::UnprocessableRequest, ErrorCode::RangeNotSatisfiable, ErrorCode::BundleLimitReached]);

/// Returns the evidence of a session as one archive (POSIX ustar), made while it is sent: the whole
/// log with every sealed object; with `seq`, only these entries, disclosed; with `from` and `to`,
/// what was recorded between these times, with its keys. An archive that was cut off has no end. For
/// half an hour the same person continues it by `Range`, with its `ETag` in `If-Range`; without
/// `If-Range` only while it is the only one they have asked for of this kind. Any other range gets a
/// whole new archive.
#[utoipa::path(
    get, path = "/api/v1/sessions/{id}/bundle", tag = "evidence", operation_id = "readBundle",
    security(("dpop" = [])),
    params(
        ("id" = String, Path, format = Uuid),
        ("seq" = Option<Vec<u64>>, Query, description = "entries of the log to disclose: events, tracks and segments"),
        ("from" = Option<String>, Query, format = DateTime, description = "begin of a clip, RFC 3339"),
        ("to" = Option<String>, Query, format = DateTime, description = "end of a clip, RFC 3339"),
        ("track" = Option<Vec<String>>, Query, description = "recorded tracks of the clip; all that were not erased when absent"),
        ("subjects" = Option<bool>, Query, description = "whether a clip also discloses whose tracks these are"),
        ("Range" = Option<String>, Header),
        ("If-Range" = Option<String>, Header, description = "the ETag of the archive that is continued"),
    ),
    responses(
        (status = 200, description = "The archive", body = BinaryBody, content_type = "application/x-tar",
            headers(("Cabildo-Expected-Bytes" = u64, description = "how many bytes the whole archive has"), ("ETag" = String))),
        (status = 206, description = "The rest of an archive that was begun", body = BinaryBody, content_type = "application/x-tar",
            headers(("Cabildo-Expected-Bytes" = u64, description = "how many bytes the whole archive has"), ("ETag" = String))),
        BundleRefusals,
    )
)]
pub(super) async fn bundle(
    State(api): State<Api>,
    credentials: Credentials,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<Response, ApiError> {
    if parts.method == Method::HEAD {
        // A bundle is entered in the log as handed out before its headers are sent.
        let mut refused = handle_unknown_method().await.into_response();
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
        return Ok(refused);
    }
    let person = credentials.writer(&api, Action::WatchRecording).await?;
    let wanted = wanted(&parts)?;
    let key = see(&person, session_id(&id)?)?;
    api.sessions.find(key).await?;
    let asked = Asked { key, user: person.user_id, wanted };
    if let Some(rest) = rest_of(&api, &asked, &parts.headers).await? {
        return Ok(with_nonce(rest, &api));
    }
    let place = api.bundles.take(key.tenant)?;
    let bundle = api.custody.prepare(key, &asked.wanted, Some(&asked.user)).await?;
    let archive = bundle.into_archive(format!("cabildo-{}", key.session)).await?;
    let archive = Arc::new(archive);
    let all = 0..archive.length();
    let kept = (Arc::clone(&archive), archive.kept_bytes());
    let sending = api.bundles.begin(place, asked.clone(), kept, &api.clock);
    Ok(with_nonce(sent(&api, (sending, archive), &asked, all)?, &api))
}

/// The rest of an archive that the same person began to take; `None` when the range is to be
/// ignored, so that nobody puts together the halves of two archives (RFC 9110 §13.1.5).
async fn rest_of(
    api: &Api,
    asked: &Asked,
    headers: &HeaderMap,
) -> Result<Option<Response>, ApiError> {
    let Some(range) = headers.get(RANGE) else { return Ok(None) };
    let tag = match headers.get(IF_RANGE) {
        None => None,
        Some(named) => match tag_in(named) {
            Some(tag) => Some(tag),
            None => return Ok(None),
        },
    };
    let Some(Found { tag, archive }) = api.bundles.find(asked, tag, api.clock.now()) else {
        return Ok(None);
    };
    if !archive.is_current().await? {
        return Ok(None);
    }
    let length = archive.length();
    let range = match wanted_range(Some(range), length) {
        Wanted::All => return Ok(None),
        Wanted::Part(range) => range,
        Wanted::Unsatisfiable => {
            let message = "the archive is shorter than the range";
            let refusal = ApiError::new(ErrorCode::RangeNotSatisfiable, message);
            return Err(refusal.with_header(CONTENT_RANGE, &format!("bytes */{length}")));
        }
    };
    let Some(sending) = api.bundles.resume(tag, &api.clock)? else { return Ok(None) };
    let content_range = format!("bytes {}-{}/{length}", range.start, range.end - 1);
    let mut rest = sent(api, (sending, archive), asked, range)?;
    *rest.status_mut() = StatusCode::PARTIAL_CONTENT;
    let content_range = HeaderValue::try_from(content_range);
    let content_range = content_range.map_err(|error| record_unavailable(&error))?;
    rest.headers_mut().insert(CONTENT_RANGE, content_range);
    Ok(Some(rest))
}

/// The tag in `If-Range`; `None` for dates, weak tags and those that no archive has.
fn tag_in(named: &HeaderValue) -> Option<Uuid> {
    let text = named.to_str().ok()?;
    Uuid::try_parse(text.strip_prefix('"')?.strip_suffix('"')?).ok()
}

/// An answer with a part of an archive.
fn sent(
    api: &Api,
    (sending, archive): (Sending, Arc<Archive>),
    asked: &Asked,
    range: Range<u64>,
) -> Result<Response, ApiError> {
    let tag = sending.tag();
    let entity_tag = HeaderValue::try_from(format!("\"{tag}\""));
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/x-tar")),
        (CONTENT_LENGTH, HeaderValue::from(range.end - range.start)),
        (EXPECTED_BYTES, HeaderValue::from(archive.length())),
        (CONTENT_DISPOSITION, attachment(asked.key.session, &asked.wanted)?),
        (ETAG, entity_tag.map_err(|error| record_unavailable(&error))?),
        (ACCEPT_RANGES, HeaderValue::from_static("bytes")),
        (CACHE_CONTROL, HeaderValue::from_static("private, no-store")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    let stream = archive.stream(range, sending);
    api.bundles.sent_by(tag, stream.work());
    Ok((headers, Body::from_stream(stream)).into_response())
}

fn attachment(id: SessionId, wanted: &BundleWanted) -> Result<HeaderValue, ApiError> {
    let what = match wanted {
        BundleWanted::Full(_) => "",
        BundleWanted::Clip(_) => "-clip",
        BundleWanted::Entries(_) => "-disclosure",
    };
    let value = format!("attachment; filename=\"cabildo-{id}{what}.tar\"");
    HeaderValue::try_from(value).map_err(|error| record_unavailable(&error))
}

/// Parses the query, in which `seq` and `track` may occur several times.
fn wanted(parts: &Parts) -> Result<BundleWanted, ApiError> {
    let pairs = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
    let Query(pairs) = pairs.map_err(|_| ApiError::malformed_field("", "can't be read"))?;
    let wrong = ApiError::malformed_field;
    let (mut seqs, mut tracks) = (Vec::new(), Vec::new());
    let (mut from, mut to, mut subjects) = (None, None, None);
    for (name, value) in &pairs {
        match name.as_str() {
            "seq" => {
                let seq = value.parse::<u64>();
                seqs.push(seq.map_err(|_| wrong(name, "expected a whole number"))?);
            }
            "track" => {
                let track = value.parse::<RecordedTrackId>();
                tracks.push(track.map_err(|_| wrong(name, "expected a UUID"))?);
            }
            "from" if from.is_none() => from = Some(moment(name, value)?),
            "to" if to.is_none() => to = Some(moment(name, value)?),
            "subjects" if subjects.is_none() => {
                let shown = value.parse::<bool>();
                subjects = Some(shown.map_err(|_| wrong(name, "expected true or false"))?);
            }
            _ => return Err(wrong(name, "is unknown or given twice")),
        }
    }
    seqs.sort_unstable();
    seqs.dedup();
    let is_clip = from.is_some() || to.is_some();
    if !is_clip && (!tracks.is_empty() || subjects.is_some()) {
        return Err(wrong("from", "a clip has a begin and an end"));
    }
    match (from, to) {
        (None, None) if seqs.is_empty() => Ok(BundleWanted::Full(None)),
        (None, None) => Ok(BundleWanted::Entries(seqs)),
        _ if !seqs.is_empty() => Err(wrong("seq", "is for entries, and times are for a clip")),
        (Some(from_ms), Some(to_ms)) if from_ms < to_ms => {
            let reveals_subjects = subjects.unwrap_or_default();
            Ok(BundleWanted::Clip(ClipWanted { from_ms, to_ms, tracks, reveals_subjects }))
        }
        (Some(_), Some(_)) => Err(wrong("to", "must be after from")),
        (None, Some(_)) | (Some(_), None) => Err(wrong("from", "a clip has a begin and an end")),
    }
}

fn moment(name: &str, text: &str) -> Result<u64, ApiError> {
    let moment = Timestamp::parse_rfc3339(text);
    let ms = moment.and_then(|moment| u64::try_from(moment.unix_ms()).ok());
    let expected = "expected a time since 1970, such as 2026-11-21T18:30:00Z";
    ms.ok_or_else(|| ApiError::malformed_field(name, expected))
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn read(query: &str) -> Option<BundleWanted> {
        let uri = format!("/api/v1/sessions/x/bundle?{query}");
        let request = Request::builder().uri(uri).body(()).expect("a request");
        wanted(&request.into_parts().0).ok()
    }

    #[test]
    fn a_query_says_what_is_wanted() {
        assert_eq!(read(""), Some(BundleWanted::Full(None)));
        assert_eq!(read("seq=7&seq=3&seq=7"), Some(BundleWanted::Entries(vec![3, 7])));
        let clip = "from=1970-01-01T00:00:01Z&to=1970-01-01T00%3A00%3A02.5Z";
        let wanted = ClipWanted { from_ms: 1_000, to_ms: 2_500, ..ClipWanted::default() };
        assert_eq!(read(clip), Some(BundleWanted::Clip(wanted.clone())));
        let track = RecordedTrackId::generate();
        let shown = format!("{clip}&track={track}&subjects=true");
        let wanted = ClipWanted { tracks: vec![track], reveals_subjects: true, ..wanted };
        assert_eq!(read(&shown), Some(BundleWanted::Clip(wanted)));
        for wrong in [
            "seq=".to_owned(),
            "seq=-1".to_owned(),
            "seq=18446744073709551616".to_owned(),
            format!("{clip}&seq=1"),
            format!("{clip}&track=x"),
            format!("{clip}&subjects=yes"),
            format!("{clip}&from=1970-01-01T00:00:01Z"),
            format!("track={track}"),
            "subjects=true".to_owned(),
            "from=1970-01-01T00:00:01Z".to_owned(),
            "from=1970-01-01T00:00:01Z&to=1970-01-01T00:00:01Z".to_owned(),
            "from=1969-01-01T00:00:01Z&to=1970-01-01T00:00:01Z".to_owned(),
            "from=yesterday&to=today".to_owned(),
            "colour=red".to_owned(),
        ] {
            assert_eq!(read(&wrong), None, "{wrong}");
        }
    }
}
