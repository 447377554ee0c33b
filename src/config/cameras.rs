//! The section about cameras.

use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Profile;
use super::reader::Reader;
use crate::domain::id::TenantId;
use crate::domain::network::IpNetwork;
use crate::domain::secret::Secret;

/// Whose streams and captures a service starts in development when it names no
/// tenant.
const DEV_TENANT: &str = "00000000-0000-7000-8000-000000000001";

/// Cameras.
#[derive(Debug, Clone)]
pub struct CamerasConfig {
    /// Networks beside public ones in which cameras may be.
    pub allowed_networks: Vec<IpNetwork>,
    /// Most cameras of one tenant.
    pub max_per_tenant: u32,
    /// How long a playback token can be exchanged.
    pub token_ttl: Duration,
    /// How long a stream session lives without a request.
    pub idle_ttl: Duration,
    /// How long a stream session lives at most.
    pub session_ttl: Duration,
    /// How often sessions that have run out are swept.
    pub sweep_interval: Duration,
    /// How often each camera is looked after; only when asked when `None`.
    pub probe_interval: Option<Duration>,
    /// What playback tokens are signed with; kept beside the keys when `None`.
    pub playback_secret: Option<Secret<Vec<u8>>>,
    /// Whether viewers of a camera read what is said in the meeting that it takes part in.
    pub captions: bool,
    /// Whether the AAC of cameras in rooms becomes Opus.
    pub transcode_audio: bool,
    /// Whose captures services mean that name no tenant.
    pub service_tenant: Option<TenantId>,
    /// Where edge devices publish by RTSP; nowhere when `None`.
    pub rtsp_bind: Option<SocketAddr>,
    /// How long what they published is kept.
    pub captures_kept: Duration,
    /// Bytes of what they published that are kept of one tenant.
    pub captures_max_bytes: u64,
    /// How long recordings of cameras are kept at most.
    pub recordings_kept: Duration,
    /// Bytes of recordings of cameras that are kept of one tenant.
    pub recordings_max_bytes: u64,
}

pub(super) fn read(reader: &mut Reader, profile: &Profile) -> CamerasConfig {
    let mut allowed_networks = reader.list("cameras.allowed_networks", "networks, like 10.0.0.0/8");
    let dev = matches!(profile, Profile::Dev { .. });
    if dev {
        allowed_networks.extend(IpNetwork::loopback());
    }
    let mut seconds = |name: &str, default, most| {
        let seconds = reader.number_u32(&format!("cameras.{name}"), default, 1..=most);
        Duration::from_secs(seconds.into())
    };
    let token_ttl = seconds("token_ttl_s", 300, 86_400);
    let idle_ttl = seconds("idle_ttl_s", 60, 86_400);
    let session_ttl = seconds("session_ttl_s", 43_200, 604_800);
    let sweep_interval = seconds("sweep_interval_s", 15, 3_600);
    let probe_s = reader.number_u32("cameras.probe_interval_s", 60, 0..=86_400);
    let service_tenant = reader.parsed("cameras.service_tenant", "the UUID of a tenant");
    let captions = reader.parsed("cameras.captions", "true or false").unwrap_or(true);
    let transcode_audio =
        reader.parsed("cameras.transcode_audio", "true or false").unwrap_or(false);
    let kept_days = reader.number_u32("cameras.captures_kept_days", 30, 1..=36_500);
    let max_gib = reader.number_u32("cameras.captures_max_gib", 200, 1..=1_000_000);
    let recorded_days = reader.number_u32("cameras.recordings.kept_days", 30, 1..=36_500);
    let recorded_gib = reader.number_u32("cameras.recordings.max_gib", 500, 1..=1_000_000);
    CamerasConfig {
        allowed_networks,
        max_per_tenant: reader.number_u32("cameras.max_per_tenant", 500, 1..=100_000),
        token_ttl,
        idle_ttl,
        session_ttl,
        sweep_interval,
        probe_interval: (probe_s > 0).then(|| Duration::from_secs(probe_s.into())),
        playback_secret: read_secret(reader),
        captions,
        transcode_audio,
        service_tenant: service_tenant.or_else(|| dev.then(|| DEV_TENANT.parse().ok()).flatten()),
        rtsp_bind: reader.parsed("cameras.rtsp_bind", "an address and port, like 0.0.0.0:8554"),
        captures_kept: Duration::from_secs(u64::from(kept_days) * 86_400),
        captures_max_bytes: u64::from(max_gib) << 30,
        recordings_kept: Duration::from_secs(u64::from(recorded_days) * 86_400),
        recordings_max_bytes: u64::from(recorded_gib) << 30,
    }
}

fn read_secret(reader: &mut Reader) -> Option<Secret<Vec<u8>>> {
    /// Bytes of a secret as strong as the MAC made with it.
    const SECRET_BYTES_MIN: usize = 32;
    let text = reader.secret("cameras.playback_secret")?;
    match STANDARD.decode(text.expose().trim()) {
        Ok(bytes) if bytes.len() >= SECRET_BYTES_MIN => Some(Secret::new(bytes)),
        _ => {
            let expected = "expected base64 of 32 random bytes or more";
            reader.problem("cameras.playback_secret", expected);
            None
        }
    }
}
