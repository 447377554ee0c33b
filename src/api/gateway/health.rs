//! `/gateway/health`: how cameras do.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tokio::time::Instant;
use utoipa::ToSchema;

use super::Operator;
use crate::api::Api;
use crate::api::body::WholeBody;
use crate::api::caller::Credentials;
use crate::api::error::ApiError;
use crate::api::json_forms::{Id, Moment};
use crate::api::refusals::{READER, SERVICE, refusals};
use crate::api::sessions::expect_nothing;
use crate::cameras::repository::Probe;
use crate::cameras::{CameraError, Stream, StreamReport};
use crate::domain::camera::{CameraCodec, CameraHealth, StreamFault, StreamStatus};
use crate::domain::error_code::ErrorCode;
use crate::domain::id::{CameraId, TenantId};
use crate::telemetry::metrics;

/// What the names of metrics about cameras begin with.
const OF_CAMERAS: [&str; 3] = ["cabildo_camera_", "cabildo_playback_", "cabildo_stream_session"];
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How many of the cameras that this instance calls do how well.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = GatewayHealth)]
pub(in crate::api) struct GatewayHealthBody {
    /// `ok`: cameras are called.
    status: &'static str,
    /// Cameras that are called, since somebody wants them.
    streams: usize,
    /// Of them, those whose pictures come.
    online: usize,
    /// Those whose packets come, with something wrong about them.
    degraded: usize,
    /// Those of which nothing comes.
    offline: usize,
}

/// How a camera does.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CameraHealth)]
pub(in crate::api) struct CameraHealthBody {
    #[schema(value_type = String, format = Uuid)]
    tenant_id: Id<TenantId>,
    #[schema(value_type = String)]
    camera_id: String,
    /// `STOPPED`, `STARTING`, `RUNNING` or `ERROR`.
    status: &'static str,
    /// `online`, `degraded` or `offline`.
    health: &'static str,
    /// Why nothing comes: a word such as `credentials_refused`. It stays until the camera sends again, also
    /// while it is called anew. `pictures_missing`: it offers no pictures, or none could be made for
    /// eight seconds of what it sends. Of a camera whose pictures come, what is wrong with its clock:
    /// `clock_stands_still`, or `clock_drifts` when it is wrong by more than 8 %. Its pictures then have
    /// the times at which they come, and its health is `degraded`.
    fault: Option<&'static str>,
    /// The codec of its pictures.
    codec: Option<&'static str>,
    /// The codec of its sound.
    audio_codec: Option<&'static str>,
    /// Why its sound is not in the playlists, while it is called: `codec_unsupported` for sound
    /// that is neither AAC nor Opus, with one or two channels.
    audio_fault: Option<&'static str>,
    bitrate_bps: u64,
    /// Pictures per second.
    frame_rate: f64,
    /// Pictures from one key frame to the next.
    gop_pictures: Option<u64>,
    #[schema(value_type = Option<String>, format = DateTime)]
    last_key_frame_at: Option<Moment>,
    /// Time from the last call to the first packet.
    latency_ms: Option<u64>,
    packets: u64,
    packets_lost: u64,
    /// Time stamps that could not be, or those of a clock that is grossly wrong: they were corrected.
    time_faults: u64,
    /// By how many millionths the camera's clock is faster than this server's, or slower when it is
    /// negative: -1000000 when it stands still. Up to 80000 are made up for. Nothing until it is
    /// known, half a minute after the call.
    clock_drift_ppm: Option<i64>,
    /// Whether pictures are sent in another order than they are shown, which browsers
    /// in a room can't follow.
    has_b_frames: bool,
    /// When it was last looked after, by itself or because somebody asked. What a
    /// camera that is not called now does is what was found then.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_probe_at: Option<Moment>,
    /// What was found then: `online`, `degraded` or `offline`.
    last_probe_health: Option<&'static str>,
    /// How many looks in a row found it offline.
    failures: u32,
}

impl CameraHealthBody {
    fn new(
        (tenant, camera): (TenantId, &CameraId),
        report: Option<&StreamReport>,
        probe: Option<&Probe>,
        before: Option<StreamFault>,
    ) -> Self {
        let packets = report.map(|report| report.packets).unwrap_or_default();
        let milliseconds =
            |it: std::time::Duration| u64::try_from(it.as_millis()).unwrap_or(u64::MAX);
        let (bitrate_bps, frame_rate, latency_ms) = match (report, probe) {
            (None, Some(it)) => (it.bitrate_bps, it.frame_rate_milli, it.latency_ms),
            _ => (
                packets.bitrate_bps,
                packets.frame_rate_milli,
                report.and_then(|it| it.latency).map(milliseconds),
            ),
        };
        let frame_rate = u32::try_from(frame_rate).unwrap_or(u32::MAX);
        Self {
            tenant_id: Id(tenant),
            camera_id: camera.to_string(),
            status: report.map_or(StreamStatus::Stopped, |it| it.status).as_str(),
            health: match (report, probe) {
                (Some(report), _) => report.health,
                (None, Some(probe)) => probe.health,
                (None, None) => CameraHealth::Offline,
            }
            .as_str(),
            fault: fault_of(report, probe, before).map(StreamFault::as_str),
            codec: report
                .and_then(|it| it.video)
                .or_else(|| probe.and_then(|it| it.video))
                .map(CameraCodec::as_str),
            audio_codec: report
                .and_then(|it| it.audio)
                .or_else(|| probe.and_then(|it| it.audio))
                .map(CameraCodec::as_str),
            audio_fault: report.and_then(|it| it.audio_fault).map(StreamFault::as_str),
            bitrate_bps,
            frame_rate: f64::from(frame_rate) / 1_000.0,
            gop_pictures: packets.gop_pictures,
            last_key_frame_at: packets.key_frame_at.map(Moment),
            latency_ms,
            packets: packets.packets,
            packets_lost: packets.packets_lost,
            time_faults: packets.times.faults,
            clock_drift_ppm: packets.times.clock_drift_ppm,
            has_b_frames: packets.times.has_b_frames,
            last_probe_at: probe.map(|it| Moment(it.at)),
            last_probe_health: probe.map(|it| it.health.as_str()),
            failures: probe.map_or(0, |it| it.failures),
        }
    }
}

/// What is wrong with a camera. Until a new call has ended or packets come, that is what was wrong
/// before: when it was looked after, or when this instance left it.
fn fault_of(
    report: Option<&StreamReport>,
    probe: Option<&Probe>,
    before: Option<StreamFault>,
) -> Option<StreamFault> {
    let found = || match probe {
        Some(probe) if probe.health == CameraHealth::Online => probe.fault,
        probe => probe.and_then(|it| it.fault).or(before),
    };
    match report {
        Some(report) if report.status == StreamStatus::Starting => report.fault.or_else(found),
        Some(report) => report.fault,
        None => found(),
    }
}

fn report(stream: &Arc<Stream>) -> StreamReport {
    stream.report(Instant::now().into_std())
}

refusals!(AllRefusals: READER, SERVICE);

/// How the cameras do that this instance calls: a service learns of those of all
/// tenants, an operator of those of the own one.
#[utoipa::path(
    get, path = "/gateway/health", tag = "cameras", operation_id = "gatewayHealth",
    security(("bearer" = []), ("service" = [])),
    responses((status = 200, description = "How cameras do", body = GatewayHealthBody), AllRefusals)
)]
pub(in crate::api) async fn all(
    State(api): State<Api>,
    credentials: Credentials,
) -> Result<Response, ApiError> {
    let operator = Operator::reading(&api, &credentials).await?;
    let mut body = GatewayHealthBody { status: "ok", ..GatewayHealthBody::default() };
    for (tenant, stream) in api.cameras.ingest().streams() {
        if operator.of(tenant).is_err() {
            continue;
        }
        body.streams += 1;
        match report(&stream).health {
            CameraHealth::Online => body.online += 1,
            CameraHealth::Degraded => body.degraded += 1,
            CameraHealth::Offline => body.offline += 1,
        }
    }
    Ok(Json(body).into_response())
}

refusals!(OneRefusals: READER, SERVICE, &[ErrorCode::CameraNotFound]);

/// How a camera does. One that is not called now is stopped, and does as it did when
/// it was last looked after.
#[utoipa::path(
    get, path = "/gateway/health/{tenantId}/{cameraId}", tag = "cameras",
    operation_id = "cameraHealth",
    security(("bearer" = []), ("service" = [])),
    params(("tenantId" = String, Path, format = Uuid), ("cameraId" = String, Path)),
    responses((status = 200, description = "How it does", body = CameraHealthBody), OneRefusals)
)]
pub(in crate::api) async fn one(
    State(api): State<Api>,
    credentials: Credentials,
    Path((tenant, camera)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let operator = Operator::reading(&api, &credentials).await?;
    let tenant = tenant.parse().map_err(|_| CameraError::CameraNotFound)?;
    let camera: CameraId = camera.parse().map_err(|_| CameraError::CameraNotFound)?;
    let tenant = operator.of(tenant)?;
    api.cameras.camera(tenant, &camera).await?;
    Ok(Json(known(&api, tenant, &camera).await?).into_response())
}

/// What is known of a camera.
pub(super) async fn known(
    api: &Api,
    tenant: TenantId,
    camera: &CameraId,
) -> Result<CameraHealthBody, ApiError> {
    let probe = api.camera_probes.last(tenant, camera).await?;
    let stream = api.cameras.ingest().stream(tenant, camera);
    let report = stream.filter(|it| !it.is_closed()).as_ref().map(report);
    let before = api.cameras.ingest().fault_before(tenant, camera);
    Ok(CameraHealthBody::new((tenant, camera), report.as_ref(), probe.as_ref(), before))
}

refusals!(SyncRefusals: READER, SERVICE, &[ErrorCode::PayloadTooLarge, ErrorCode::CameraNotFound]);

/// Looks after a camera now: it is called for a moment, and what is found is stored.
#[utoipa::path(
    post, path = "/gateway/cameras/{cameraId}/sync-health", tag = "cameras",
    operation_id = "syncCameraHealth",
    security(("dpop" = []), ("service" = [])),
    params(
        ("cameraId" = String, Path),
        ("X-Tenant-ID" = Option<String>, Header, description = "whose it is, when a service calls"),
    ),
    responses((status = 200, description = "How it does", body = CameraHealthBody), SyncRefusals)
)]
pub(in crate::api) async fn sync(
    State(api): State<Api>,
    credentials: Credentials,
    Path(camera): Path<String>,
    WholeBody(body): WholeBody,
) -> Result<Response, ApiError> {
    let operator = Operator::writing(&api, &credentials).await?;
    let (tenant, camera) = operator.camera(&api, &credentials, &camera)?;
    expect_nothing(&body)?;
    api.camera_probes.probe(tenant, &camera).await?;
    let body = known(&api, tenant, &camera).await?;
    Ok(operator.answer(&api, Json(body).into_response()))
}

refusals!(ScrapeRefusals: READER, SERVICE);

/// The metrics of cameras on this instance: a service gets those of all tenants, an
/// operator those of the own one.
#[utoipa::path(
    get, path = "/gateway/metrics", tag = "cameras", operation_id = "gatewayMetrics",
    security(("bearer" = []), ("service" = [])),
    responses((status = 200, description = "Prometheus text", body = String, content_type = "text/plain"), ScrapeRefusals)
)]
pub(in crate::api) async fn scrape(
    State(api): State<Api>,
    credentials: Credentials,
) -> Result<Response, ApiError> {
    let operator = Operator::reading(&api, &credentials).await?;
    api.metrics.report().await;
    let text = of_cameras(&metrics::render(), operator.only());
    Ok(([(CONTENT_TYPE, METRICS)], text).into_response())
}

/// The lines about cameras, of a tenant or of all.
fn of_cameras(text: &str, only: Option<TenantId>) -> String {
    let only = only.map(|tenant| tenant.to_string());
    let is_about = |line: &&str| {
        let name = line.trim_start_matches("# HELP ").trim_start_matches("# TYPE ");
        let is_ours = OF_CAMERAS.iter().any(|prefix| name.starts_with(prefix));
        let labels = ["{tenant=\"", "{tenant_id=\"", ",tenant=\"", ",tenant_id=\""];
        let tenant = labels.iter().find_map(|label| line.split_once(label));
        let tenant = tenant.and_then(|(_, rest)| rest.split('"').next());
        let may_see = match (&only, tenant) {
            (Some(own), Some(tenant)) => own == tenant || tenant == "all",
            (None, _) | (_, None) => true,
        };
        is_ours && may_see
    };
    text.lines().filter(is_about).flat_map(|line| [line, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operator_gets_the_lines_about_cameras_of_the_own_tenant_only() {
        let (own, other) = (TenantId::generate(), TenantId::generate());
        let text = format!(
            "# TYPE cabildo_playback_requests_total counter\n\
             cabildo_playback_requests_total{{tenant_id=\"{own}\",camera_id=\"a\"}} 1\n\
             cabildo_playback_requests_total{{camera_id=\"b\",tenant_id=\"{other}\"}} 1\n\
             cabildo_camera_faults_total{{tenant=\"{other}\"}} 1\n\
             cabildo_camera_streams 2\ncabildo_rooms_open{{tenant=\"{own}\"}} 1\n"
        );
        let seen = of_cameras(&text, Some(own));
        let seen: Vec<&str> = seen.lines().collect();
        assert_eq!(seen.len(), 3, "{seen:?}");
        assert!(seen.iter().all(|line| !line.contains(&other.to_string())), "{seen:?}");
        assert_eq!(of_cameras(&text, None).lines().count(), 5);
    }
}
