//! `/api/v1/sessions/{id}/bundle`: what anybody needs to check a recording without this server, as
//! one archive that is made while it is sent. That it is handed out is entered in the log before
//! the first byte.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method};
use axum::response::{IntoResponse, Response};

use super::Api;
use super::caller::{Credentials, see, with_nonce};
use super::error::{ApiError, handle_unknown_method};
use super::evidence::record_unavailable;
use super::refusals::{WRITER, refusals};
use super::sessions::session_id;
use crate::custody::{BundleWanted, ClipWanted, CustodyError};
use crate::domain::error_code::ErrorCode;
use crate::domain::id::{RecordedTrackId, SessionId, TenantId};
use crate::domain::role::Action;
use crate::domain::time::Timestamp;

/// About how many bytes follow. The length itself is not known before: damaged objects are left
/// out, and an archive has a header for each file.
const EXPECTED_BYTES: HeaderName = HeaderName::from_static("cabildo-expected-bytes");
/// Most archives that are made at once for one tenant, so that no tenant takes all places.
const TENANT_BUNDLES_MAX: usize = 2;
/// Most archives that are made at once. Each reads from the vault as fast as its reader takes, and
/// keeps a few segments in memory.
const BUNDLES_MAX: usize = 8;
/// When somebody should ask again while there are as many archives as there may be.
const RETRY_AFTER_S: u32 = 15;

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

/// How many archives are made now, for each tenant.
#[derive(Debug, Default)]
pub(super) struct Bundles(Mutex<BTreeMap<TenantId, usize>>);

impl Bundles {
    fn take(self: &Arc<Self>, tenant: TenantId) -> Result<Place, ApiError> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_tenant = taken.get(&tenant).copied().unwrap_or_default();
        if of_tenant >= TENANT_BUNDLES_MAX || taken.values().sum::<usize>() >= BUNDLES_MAX {
            let message = "as many bundles are being made as there may be at once";
            let refusal = ApiError::new(ErrorCode::BundleLimitReached, message);
            return Err(refusal.retry_after_s(RETRY_AFTER_S));
        }
        taken.insert(tenant, of_tenant + 1);
        drop(taken);
        Ok(Place { bundles: Arc::clone(self), tenant })
    }
}

/// The right to make one archive; it ends when this is dropped.
#[derive(Debug)]
struct Place {
    bundles: Arc<Bundles>,
    tenant: TenantId,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.bundles.0.lock().unwrap_or_else(PoisonError::into_inner);
        match taken.get_mut(&self.tenant) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                taken.remove(&self.tenant);
            }
        }
    }
}

refusals!(BundleRefusals: WRITER, &[ErrorCode::SessionNotFound, ErrorCode::RecordingNotFound, ErrorCode::RecordingErased, ErrorCode::UnprocessableRequest, ErrorCode::BundleLimitReached]);

/// Returns the evidence of a session as one archive (POSIX ustar), made while it is sent: the whole
/// log with every sealed object; with `seq`, only these entries, disclosed; with `from` and `to`,
/// what was recorded between these times, with its keys. An archive that was cut off has no end and
/// is asked for again from its beginning, since ranges are not served.
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
    ),
    responses(
        (status = 200, description = "The archive", body = Vec<u8>, content_type = "application/x-tar",
            headers(("Cabildo-Expected-Bytes" = u64, description = "about how many bytes follow"))),
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
        return Err(handle_unknown_method().await);
    }
    let person = credentials.writer(&api, Action::WatchRecording).await?;
    let wanted = wanted(&parts)?;
    let id = session_id(&id)?;
    let key = see(&person, id)?;
    api.sessions.find(key).await?;
    let place = api.bundles.take(person.tenant_id)?;
    let bundle = api.custody.prepare(key, &wanted, Some(&person.user_id)).await?;
    let expected = bundle.expected_bytes().await?;
    let root = format!("cabildo-{id}");
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/x-tar")),
        (EXPECTED_BYTES, HeaderValue::from(expected)),
        (CONTENT_DISPOSITION, attachment(id, &wanted)?),
        (ACCEPT_RANGES, HeaderValue::from_static("none")),
        (CACHE_CONTROL, HeaderValue::from_static("private, no-store")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    let archive = Body::from_stream(bundle.into_archive(root, place));
    Ok(with_nonce((headers, archive).into_response(), &api))
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

    #[test]
    fn no_tenant_takes_every_place() {
        let bundles = Arc::new(Bundles::default());
        let (one, other) = (TenantId::generate(), TenantId::generate());
        let mut held: Vec<_> =
            (0..TENANT_BUNDLES_MAX).map(|_| bundles.take(one).expect("a place")).collect();
        let refused = bundles.take(one).expect_err("no place");
        assert_eq!(refused.code(), ErrorCode::BundleLimitReached);
        held.push(bundles.take(other).expect("a place of its own"));
        held.remove(0);
        held.push(bundles.take(one).expect("a place that was left"));
        while held.len() < BUNDLES_MAX {
            held.push(bundles.take(TenantId::generate()).expect("a place"));
        }
        assert!(bundles.take(TenantId::generate()).is_err(), "more than there may be");
        drop(held);
        assert!(bundles.0.lock().expect("kept").is_empty(), "nothing is kept of who has left");
    }
}
