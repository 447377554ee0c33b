//! `/gateway/playback`: cameras and sessions as HLS, for whoever has a playback token. Players
//! send no header of their own, so everything is in the address.

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery, State};
use axum::http::header::{
    ACCEPT_RANGES, ACCESS_CONTROL_ALLOW_METHODS, ALLOW, CACHE_CONTROL, CONTENT_RANGE, CONTENT_TYPE,
    RANGE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::api::Api;
use crate::api::body::query;
use crate::api::error::ApiError;
use crate::api::json_forms::{BinaryBody, Moment};
use crate::api::range::{Wanted, wanted_range};
use crate::api::refusals::refusals;
use crate::cameras::{PlaybackError, PlaybackState};
use crate::domain::camera::Unseen;
use crate::domain::error_code::ErrorCode;
use crate::domain::id::TenantId;
use crate::domain::watched::Watched;

const PLAYLIST: &str = "application/vnd.apple.mpegurl";
const FRAGMENTS: &str = "video/mp4";
const CAPTIONS: &str = "text/vtt; charset=utf-8";
/// The file with the playlist of segments.
const MEDIA_PLAYLIST: &str = "media.m3u8";
/// The file with the playlist of captions.
const CAPTIONS_PLAYLIST: &str = "captions.m3u8";
/// The file that says what can't be seen.
const STATE: &str = "state.json";
const METHODS: &str = "GET, HEAD, OPTIONS";
/// How long a segment may be kept by the browser that asked for it. Its bytes never
/// change; others must not get them, since the address is what gives the right.
const SEGMENT_CACHE: &str = "private, max-age=600, immutable";
/// Playlists change with each segment.
const PLAYLIST_CACHE: &str = "no-store";

const TOKEN: &[ErrorCode] = &[
    ErrorCode::PlaybackTokenFormatInvalid,
    ErrorCode::PlaybackTokenSignatureInvalid,
    ErrorCode::PlaybackTokenPayloadInvalid,
    ErrorCode::PlaybackTokenScopeMismatch,
    ErrorCode::PlaybackSessionClosed,
    ErrorCode::PlaybackStreamNotFound,
    ErrorCode::PlaybackStreamNotReady,
    ErrorCode::PlaybackWaitLimitReached,
    ErrorCode::PlaybackStreamStopped,
    ErrorCode::DependencyUnavailable,
];

/// The token.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct TokenParameters {
    /// The stream token of `POST /gateway/sessions`.
    token: Option<String>,
}

refusals!(MainRefusals: TOKEN, &[
    ErrorCode::PlaybackTokenMissing,
    ErrorCode::PlaybackTokenExpired,
    ErrorCode::StreamLimitReached,
    ErrorCode::StreamNotEntitled,
]);

/// Exchanges a token: begins watching, and leads to the playlist with segments. The
/// camera is called if nobody watches it yet. `cameraId` is `session:` and the id of a session when
/// that is watched.
#[utoipa::path(
    get, path = "/gateway/playback/{tenantId}/{cameraId}/index.m3u8", tag = "cameras",
    operation_id = "playCamera",
    params(("tenantId" = String, Path, format = Uuid), ("cameraId" = String, Path), TokenParameters),
    responses(
        (status = 200, description = "A playlist", body = String, content_type = "application/vnd.apple.mpegurl"),
        MainRefusals,
    )
)]
pub(in crate::api) async fn main(
    State(api): State<Api>,
    Path((tenant, camera)): Path<(String, String)>,
    parts: Parts,
) -> Result<Response, ApiError> {
    let wanted: TokenParameters = query(&parts)?;
    let (tenant, watched) = watched_of(&tenant, &camera)?;
    let text = api.camera_playback.main((tenant, &watched), wanted.token.as_deref()).await?;
    Ok(playlist(text))
}

/// The token, and when what is to be played was recorded.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct RecordedParameters {
    /// The stream token of `POST /gateway/sessions`.
    token: Option<String>,
    /// When the span of time begins.
    #[param(value_type = String, format = DateTime)]
    from: Moment,
    /// When it ends, at most 24 hours later; now when absent.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Moment>,
}

refusals!(RecordedRefusals: TOKEN, &[
    ErrorCode::PlaybackTokenMissing,
    ErrorCode::PlaybackTokenExpired,
    ErrorCode::PlaybackManifestNotFound,
    ErrorCode::StreamLimitReached,
    ErrorCode::StreamNotEntitled,
    ErrorCode::UnprocessableRequest,
]);

/// Exchanges a token: a playlist that plays what is recorded of a camera in a span of time, without
/// its gaps. It begins with the segment of about ten seconds in which the span begins;
/// `EXT-X-PROGRAM-DATE-TIME` says when each was recorded. The session lives as long as files are
/// asked for, as that of a live viewer.
#[utoipa::path(
    get, path = "/gateway/playback/{tenantId}/{cameraId}/recorded.m3u8", tag = "cameras",
    operation_id = "playCameraRecording",
    params(("tenantId" = String, Path, format = Uuid), ("cameraId" = String, Path), RecordedParameters),
    responses(
        (status = 200, description = "A playlist", body = String, content_type = "application/vnd.apple.mpegurl"),
        RecordedRefusals,
    )
)]
pub(in crate::api) async fn recorded(
    State(api): State<Api>,
    Path((tenant, camera)): Path<(String, String)>,
    parts: Parts,
) -> Result<Response, ApiError> {
    let wanted: RecordedParameters = query(&parts)?;
    let (tenant, watched) = watched_of(&tenant, &camera)?;
    let span = (wanted.from.0, wanted.to.map_or_else(|| api.cameras.now(), |it| it.0));
    let token = wanted.token.as_deref();
    let text = api.camera_playback.recorded((tenant, &watched), token, span).await?;
    Ok(playlist(text))
}

refusals!(FileRefusals: TOKEN, &[
    ErrorCode::PlaybackManifestNotFound,
    ErrorCode::PlaybackReloadInvalid,
    ErrorCode::PlaybackSegmentNotFound,
    ErrorCode::RangeNotSatisfiable,
]);

/// The playlist with segments, a segment, a part of one, or a header of segments, at the
/// addresses that the playlists name; and while the camera takes part in a meeting that is
/// transcribed, the playlist with captions, and those of a segment as `WebVTT`. `state.json` beside
/// them says why viewers of a session see nobody. The playlist takes the delivery directives of HLS with low
/// latency: with `_HLS_msn` and `_HLS_part` it comes once they are in it, with `_HLS_skip` without
/// old segments. The part that it announces comes once it is there.
#[utoipa::path(
    get, path = "/gateway/playback/{tenantId}/{cameraId}/{session}/{file}", tag = "cameras",
    operation_id = "playCameraFile",
    params(
        ("tenantId" = String, Path, format = Uuid), ("cameraId" = String, Path),
        ("session" = String, Path, description = "the playback session, as the first playlist names it"),
        ("file" = String, Path), ("Range" = Option<String>, Header),
        ("_HLS_msn" = Option<u64>, Query, description = "of the playlist: the number of the segment that is waited for"),
        ("_HLS_part" = Option<u64>, Query, description = "of the playlist: the part of that segment"),
        ("_HLS_skip" = Option<String>, Query, description = "of the playlist: `YES` leaves out old segments"),
    ),
    responses(
        (status = 200, description = "The file", content(
            (BinaryBody = "video/mp4"), (StateBody = "application/json"),
        )),
        (status = 206, description = "The range", body = BinaryBody, content_type = "video/mp4"),
        FileRefusals,
    )
)]
pub(in crate::api) async fn file(
    State(api): State<Api>,
    Path((tenant, camera, session, file)): Path<(String, String, String, String)>,
    RawQuery(asked): RawQuery,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (tenant, watched) = watched_of(&tenant, &camera)?;
    let playback = &api.camera_playback;
    if file == MEDIA_PLAYLIST {
        let asked = asked.as_deref().unwrap_or_default();
        let text = playback.playlist((tenant, &watched), &session, asked).await?;
        return Ok(playlist(text));
    }
    if file == CAPTIONS_PLAYLIST {
        let asked = asked.as_deref().unwrap_or_default();
        let text = playback.captions_playlist((tenant, &watched), &session, asked).await?;
        return Ok(playlist(text));
    }
    if file == STATE {
        let state = playback.state((tenant, &watched), &session).await?;
        return Ok(
            ([(CACHE_CONTROL, PLAYLIST_CACHE)], Json(StateBody::from(state))).into_response()
        );
    }
    if has_extension(&file, "vtt") {
        let text = playback.captions((tenant, &watched), &session, &file).await?;
        let headers = [(CONTENT_TYPE, CAPTIONS), (CACHE_CONTROL, PLAYLIST_CACHE)];
        return Ok((headers, text).into_response());
    }
    let found = playback.file((tenant, &watched), &session, &file).await;
    match found {
        Err(PlaybackError::SegmentNotFound) if has_extension(&file, "m3u8") => {
            Err(PlaybackError::ManifestNotFound.into())
        }
        Err(error) => Err(error.into()),
        Ok(bytes) => part_of(&bytes, &headers),
    }
}

/// What can be said of a stream beside its pictures.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PlaybackState)]
pub(in crate::api) struct StateBody {
    /// Why viewers of a session see a card and nobody: `nobody` when nobody is to be shown,
    /// `codec_unsupported` when whoever is to be shown sends another codec than H.264,
    /// `pictures_stopped` when nothing comes of them. `null` when somebody is seen.
    unseen: Option<&'static str>,
    /// Whether the session is over, and nothing follows.
    ended: bool,
}

impl From<PlaybackState> for StateBody {
    fn from(PlaybackState { unseen, has_ended }: PlaybackState) -> Self {
        Self { unseen: unseen.map(Unseen::as_str), ended: has_ended }
    }
}

fn has_extension(file: &str, wanted: &str) -> bool {
    std::path::Path::new(file).extension().is_some_and(|it| it.eq_ignore_ascii_case(wanted))
}

/// What a path names. What can't be an id names nothing.
fn watched_of(tenant: &str, watched: &str) -> Result<(TenantId, Watched), ApiError> {
    match (tenant.parse(), watched.parse()) {
        (Ok(tenant), Ok(watched)) => Ok((tenant, watched)),
        _ => Err(PlaybackError::StreamNotFound.into()),
    }
}

pub(in crate::api) fn playlist(text: impl Into<Body>) -> Response {
    ([(CONTENT_TYPE, PLAYLIST), (CACHE_CONTROL, PLAYLIST_CACHE)], text.into()).into_response()
}

/// A file, or the part of it that is wanted.
pub(in crate::api) fn part_of(bytes: &Bytes, headers: &HeaderMap) -> Result<Response, ApiError> {
    let size = bytes.len() as u64;
    let common =
        [(CONTENT_TYPE, FRAGMENTS), (CACHE_CONTROL, SEGMENT_CACHE), (ACCEPT_RANGES, "bytes")];
    match wanted_range(headers.get(RANGE), size) {
        Wanted::All => Ok((common, bytes.clone()).into_response()),
        Wanted::Part(range) => {
            let content_range = format!("bytes {}-{}/{size}", range.start, range.end - 1);
            let of = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
            let part = bytes.slice(of(range.start)..of(range.end));
            let range = [(CONTENT_RANGE, content_range)];
            Ok((StatusCode::PARTIAL_CONTENT, common, range, part).into_response())
        }
        Wanted::Unsatisfiable => {
            let message = "the file is shorter than the range";
            let refusal = ApiError::new(ErrorCode::RangeNotSatisfiable, message);
            Err(refusal.with_header(CONTENT_RANGE, &format!("bytes */{size}")))
        }
    }
}

/// What pages of other origins may do here.
pub(in crate::api) async fn allowed_methods() -> Response {
    let headers = [(ALLOW, METHODS), (ACCESS_CONTROL_ALLOW_METHODS, METHODS)];
    (StatusCode::NO_CONTENT, headers).into_response()
}

/// Keeps the address, which gives the right to play, from the sites that a player visits next, and
/// files from being taken for something else.
pub(in crate::api) async fn protect_address(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}
