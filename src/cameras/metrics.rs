//! What cameras tell Prometheus.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use crate::cameras::engine::policy::Step;
use crate::domain::camera::StreamFault;
use crate::domain::error_code::ErrorCode;
use crate::domain::id::{CameraId, TenantId};
use crate::domain::watched::Watched;
use crate::telemetry::metrics::{number, tenant_label};

const STEPS: &str = "cabildo_stream_session_steps_total";
const REFUSED: &str = "cabildo_stream_sessions_refused_total";
const RUNNING: &str = "cabildo_camera_streams";
const FAULTS: &str = "cabildo_camera_faults_total";
const REQUESTS: &str = "cabildo_playback_requests_total";
const ERRORS: &str = "cabildo_playback_errors_total";
const WAITING: &str = "cabildo_playback_waiting";
const RETRIES: &str = "cabildo_playback_read_retries_total";
const PUBLISHERS: &str = "cabildo_capture_publishers";
const PUBLICATIONS: &str = "cabildo_capture_publications_total";
const REFUSED_DEVICES: &str = "cabildo_capture_connections_refused_total";
const RECORDED_CAMERAS: &str = "cabildo_camera_recordings";
const RECORDED_BYTES: &str = "cabildo_camera_recorded_bytes_total";
const RECORDING_FAILURES: &str = "cabildo_camera_recording_failures_total";
const RECORDINGS_DELETED: &str = "cabildo_camera_recordings_deleted_total";
/// Cameras with labels of their own; further ones are counted together as `other`.
/// Raising it raises the memory of the Prometheus server.
const CAMERA_LABELS_MAX: usize = 2_000;

static CAMERAS: Mutex<BTreeSet<(TenantId, CameraId)>> = Mutex::new(BTreeSet::new());

/// Describes every metric of cameras.
pub fn describe_metrics() {
    metrics::describe_counter!(STEPS, "Stream sessions that were issued, began, ended or expired.");
    metrics::describe_counter!(REFUSED, "Stream sessions that a tenant's limit refused.");
    metrics::describe_gauge!(RUNNING, "Cameras that this instance calls.");
    metrics::describe_counter!(FAULTS, "Calls of cameras that ended or did not succeed.");
    metrics::describe_counter!(REQUESTS, "Requests of players for playlists and segments.");
    metrics::describe_counter!(ERRORS, "Requests of players that were refused.");
    metrics::describe_gauge!(WAITING, "Requests of players that wait for something new.");
    metrics::describe_counter!(RETRIES, "Playlists that were waited for since there was none.");
    metrics::describe_gauge!(PUBLISHERS, "Devices that publish into captures on this instance.");
    metrics::describe_counter!(PUBLICATIONS, "What devices published, by how it ended.");
    metrics::describe_counter!(REFUSED_DEVICES, "Connections of devices that had no place.");
    metrics::describe_gauge!(RECORDED_CAMERAS, "Cameras that this instance records.");
    metrics::describe_counter!(RECORDED_BYTES, "Bytes of cameras' recordings that were kept.");
    metrics::describe_counter!(
        RECORDING_FAILURES,
        "What failed while cameras were recorded: the disk of the spool, the vault, or the camera."
    );
    metrics::describe_counter!(RECORDINGS_DELETED, "Segments of cameras' recordings deleted.");
}

/// How many cameras are recorded.
pub(super) fn recorded_cameras(cameras: usize) {
    metrics::gauge!(RECORDED_CAMERAS).set(number(cameras as u64));
}

/// A segment of a camera was kept.
pub(super) fn recorded(bytes: usize) {
    metrics::counter!(RECORDED_BYTES).increment(bytes as u64);
}

/// Something failed while a camera was recorded.
pub(super) fn recording_failed(what: &'static str) {
    metrics::counter!(RECORDING_FAILURES, "what" => what).increment(1);
}

/// Segments of cameras were deleted.
pub(super) fn recordings_deleted(segments: usize) {
    metrics::counter!(RECORDINGS_DELETED).increment(segments as u64);
}

/// How many devices publish.
pub(super) fn publishers(devices: usize) {
    metrics::gauge!(PUBLISHERS).set(number(devices as u64));
}

/// What a device published has ended.
pub(super) fn published(ended: &'static str) {
    metrics::counter!(PUBLICATIONS, "ended" => ended).increment(1);
}

/// A connection of a device was not taken.
pub(super) fn device_refused() {
    metrics::counter!(REFUSED_DEVICES).increment(1);
}

/// A session took a step.
pub(super) fn stepped(tenant: TenantId, step: Step) {
    let step = match step {
        Step::Issue => "issue",
        Step::Activate => "activate",
        Step::End => "end",
        Step::Expire => "expire",
    };
    metrics::counter!(STEPS, "tenant" => tenant_label(tenant), "step" => step).increment(1);
}

/// A session was refused.
pub(super) fn refused(tenant: TenantId, code: ErrorCode) {
    metrics::counter!(REFUSED, "tenant" => tenant_label(tenant), "code" => code.as_str())
        .increment(1);
}

/// How many cameras are called.
pub(super) fn running(streams: usize) {
    metrics::gauge!(RUNNING).set(number(streams as u64));
}

/// A call of a camera ended.
pub(super) fn fault(tenant: TenantId, fault: StreamFault) {
    metrics::counter!(FAULTS, "tenant" => tenant_label(tenant), "fault" => fault.as_str())
        .increment(1);
}

/// What a player asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asset {
    /// The playlist that names others.
    Main,
    /// The playlist with segments.
    Playlist,
    /// A segment, or a header.
    Segment,
    /// Captions, or their playlist.
    Captions,
    /// The playlist of a recording.
    Recorded,
    /// What is said beside the pictures.
    State,
}

impl Asset {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Playlist => "playlist",
            Self::Segment => "segment",
            Self::Captions => "captions",
            Self::Recorded => "recorded",
            Self::State => "state",
        }
    }
}

/// A player asked for something: of a camera or session, if it has a token for it.
pub(super) fn requested(
    watched: Option<(TenantId, &Watched)>,
    asset: Asset,
    refusal: Option<ErrorCode>,
) {
    let others = || ("other".to_owned(), "other".to_owned());
    let (tenant, camera) = watched.map_or_else(others, |(tenant, watched)| labels(tenant, watched));
    let (asset, result) = (asset.as_str(), if refusal.is_some() { "error" } else { "ok" });
    if let Some(code) = refusal {
        let (tenant, camera) = (tenant.clone(), camera.clone());
        metrics::counter!(ERRORS, "tenant_id" => tenant, "camera_id" => camera, "asset" => asset, "code" => code.as_str())
            .increment(1);
    }
    metrics::counter!(REQUESTS, "tenant_id" => tenant, "camera_id" => camera, "asset" => asset, "result" => result)
        .increment(1);
}

/// A player's request waited, since there was nothing to play yet.
pub(super) fn retried(tenant: TenantId, watched: &Watched, asset: Asset) {
    let (tenant, camera) = labels(tenant, watched);
    let asset = asset.as_str();
    metrics::counter!(RETRIES, "tenant_id" => tenant, "camera_id" => camera, "asset" => asset)
        .increment(1);
}

/// How many requests wait.
pub(super) fn waiting(requests: usize) {
    metrics::gauge!(WAITING).set(number(requests as u64));
}

fn labels(tenant: TenantId, watched: &Watched) -> (String, String) {
    let label = tenant_label(tenant);
    // There are more and more sessions, so they have one label.
    let Some(camera) = watched.camera() else { return (label, "sessions".to_owned()) };
    let mut known = CAMERAS.lock().unwrap_or_else(PoisonError::into_inner);
    let key = (tenant, camera.clone());
    let has_room = known.len() < CAMERA_LABELS_MAX;
    let is_own = label != "all" && (known.contains(&key) || (has_room && known.insert(key)));
    (label, if is_own { camera.to_string() } else { "other".to_owned() })
}
