//! What may be wanted of a camera.

use crate::cameras::error::CameraError;
use crate::cameras::gateway::NewCamera;
use crate::cameras::repository::RecordingPolicy;
use crate::domain::camera::CameraTransport;

/// Codecs that a hint may name.
const CODEC_HINTS: [&str; 7] = ["h264", "h265", "hevc", "opus", "aac", "pcmu", "pcma"];
/// Most target profiles of a camera. Raising it makes rows larger.
const PROFILES_MAX: usize = 8;
/// Longest name of a target profile, in bytes.
const PROFILE_BYTES_MAX: usize = 64;
/// Most bytes that a recording may be limited to: what every database can count.
const BYTES_MAX: u64 = 1 << 60;

/// Whether a camera may be recorded like that.
pub(super) fn check_recording(policy: RecordingPolicy) -> Result<(), CameraError> {
    let RecordingPolicy { max_age_s, max_bytes, .. } = policy;
    let unusable = |problem| Err(CameraError::Unusable { field: "recording", problem });
    if max_age_s == Some(0) {
        return unusable("maxAgeHours: expected 1 or more");
    }
    if max_bytes.is_some_and(|most| !(1..=BYTES_MAX).contains(&most)) {
        return unusable("maxBytes: expected 1 to 2^60");
    }
    Ok(())
}

/// How a camera is to send, if all that is wanted of it can be had.
pub(super) fn check_wishes(new: &NewCamera) -> Result<CameraTransport, CameraError> {
    let unusable = |field, problem| Err(CameraError::Unusable { field, problem });
    let Some(transport) = CameraTransport::parse(new.transport.as_deref().unwrap_or("auto")) else {
        return unusable("transport", "expected auto, tcp or udp");
    };
    if new.codec_hint.as_deref().is_some_and(|hint| !CODEC_HINTS.contains(&hint)) {
        return unusable("codecHint", "expected h264, h265, hevc, opus, aac, pcmu or pcma");
    }
    let is_name = |name: &String| {
        (1..=PROFILE_BYTES_MAX).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    if new.target_profiles.len() > PROFILES_MAX || !new.target_profiles.iter().all(is_name) {
        return unusable(
            "targetProfiles",
            "expected up to 8 names of letters, digits, -, _ and . with at most 64 characters",
        );
    }
    Ok(transport)
}
