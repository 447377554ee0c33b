//! Captures: publications of edge devices, opened and closed by the device.

use std::sync::Arc;
use std::time::Duration;

use crate::cameras::error::CameraError;
use crate::cameras::repository::{CaptureRepository, Inserted};
use crate::cameras::token::{CaptureGrant, PlaybackSecret, TokenRefused};
use crate::clock::Clock;
use crate::domain::id::{CaptureId, DeviceId, TenantId};
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;

/// Longest path or address of a capture, in bytes. Raising it makes rows larger.
const TEXT_BYTES_MAX: usize = 2_048;
/// Captures in one answer when the caller does not say.
const LISTED: u32 = 50;
/// Most captures in one answer. Raising it makes answers larger.
const LISTED_MAX: u32 = 200;
/// Captures of a tenant that may be open at once; further ones are refused. Raising
/// it lets devices that never close theirs use more of the database.
const OPEN_MAX: u32 = 1_000;
/// Captures of a tenant that are kept; at the limit those that were closed the
/// longest ago are forgotten. Raising it uses more of the database.
const KEPT_MAX: u32 = 20_000;

/// One publication of an edge device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capture {
    /// Whose.
    pub tenant: TenantId,
    /// Which.
    pub id: CaptureId,
    /// The device.
    pub device: DeviceId,
    /// Where the device publishes.
    pub stream_path: String,
    /// When it began, by the device's clock.
    pub edge_started_at: Timestamp,
    /// When it ended, by the device's clock.
    pub edge_ended_at: Option<Timestamp>,
    /// Where it plays.
    pub playlist_url: Option<String>,
    /// When it was opened, by this server's clock.
    pub opened_at: Timestamp,
    /// When it was closed, by this server's clock.
    pub closed_at: Option<Timestamp>,
    /// Whether something of it is kept here, which plays.
    pub is_published: bool,
}

/// A capture to be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCapture {
    /// Which.
    pub id: CaptureId,
    /// The device.
    pub device: DeviceId,
    /// Where the device publishes.
    pub stream_path: String,
    /// When it began, by the device's clock.
    pub edge_started_at: Timestamp,
}

/// The end of a capture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaptureClosing {
    /// When it ended, by the device's clock.
    pub edge_ended_at: Timestamp,
    /// Where it plays.
    pub playlist_url: Option<String>,
}

/// How a device publishes into a capture by RTSP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishLogin {
    /// The port of the listener.
    pub port: u16,
    /// The path of the address.
    pub path: String,
    /// The user name.
    pub username: String,
    /// The password, which is for this capture only.
    pub password: Secret<String>,
}

/// What captures are made of.
pub struct CaptureStoreParts {
    /// Where they are kept.
    pub repository: Arc<dyn CaptureRepository>,
    /// What addresses and keys are made with.
    pub secret: PlaybackSecret,
    /// How long an address plays.
    pub address_ttl: Duration,
    /// The port on which devices publish by RTSP; they do not when it is `None`.
    pub publish_port: Option<u16>,
    /// The time.
    pub clock: Clock,
}

/// The captures of all tenants. Cheap to clone.
#[derive(Clone)]
pub struct CaptureStore(Arc<CaptureStoreParts>);

impl CaptureStore {
    /// Captures over their parts.
    #[must_use]
    pub fn new(parts: CaptureStoreParts) -> Self {
        Self(Arc::new(parts))
    }

    /// How its device publishes into a capture; nothing when it is closed, or devices do not
    /// publish here.
    #[must_use]
    pub fn login(&self, capture: &Capture) -> Option<PublishLogin> {
        let port = self.0.publish_port.filter(|_| capture.closed_at.is_none())?;
        Some(PublishLogin {
            port,
            path: format!("/sess-{}", capture.id),
            username: capture.tenant.to_string(),
            password: self.key(capture),
        })
    }

    /// Where a capture plays: for a while at a signed address here, or where its device said.
    #[must_use]
    pub fn playlist_url(&self, capture: &Capture) -> Option<String> {
        let own = || {
            let (tenant, id) = (capture.tenant, &capture.id);
            let expires_at = self.0.clock.now().after(self.0.address_ttl);
            let grant = CaptureGrant { tenant, capture: id.clone(), expires_at };
            let grant = self.0.secret.sign_capture(&grant);
            format!("/store/playback/{tenant}/{id}/{grant}/index.m3u8")
        };
        capture.playlist_url.clone().or_else(|| capture.is_published.then(own))
    }

    /// What an address of a capture grants.
    pub(super) fn granted(&self, session: &str) -> Result<CaptureGrant, TokenRefused> {
        self.0.secret.open_capture(session, self.0.clock.now())
    }

    /// The keys of those of a tenant's captures that are open.
    pub(super) async fn keys(
        &self,
        tenant: TenantId,
        captures: &[CaptureId],
    ) -> Result<Vec<(CaptureId, Secret<String>)>, CameraError> {
        let mut keys = Vec::new();
        for id in captures {
            let found = self.0.repository.capture(tenant, id).await?;
            if let Some(capture) = found.filter(|it| it.closed_at.is_none()) {
                keys.push((id.clone(), self.key(&capture)));
            }
        }
        Ok(keys)
    }

    fn key(&self, capture: &Capture) -> Secret<String> {
        self.0.secret.publish_key(capture.tenant, &capture.id, capture.opened_at)
    }

    /// Opens a capture. The same again is answered as the first time: a device
    /// that heard no answer asks again.
    ///
    /// # Errors
    /// [`CameraError::Unusable`], and [`CameraError::CaptureConflict`] when there
    /// is another one of this id.
    pub async fn open(&self, tenant: TenantId, new: NewCapture) -> Result<Capture, CameraError> {
        if !is_path(&new.stream_path) {
            let problem = "a path has 1 to 2048 printable ASCII characters and no step upwards";
            return Err(CameraError::Unusable { field: "streamPath", problem });
        }
        let NewCapture { id, device, stream_path, edge_started_at } = new;
        let capture = Capture {
            tenant,
            id,
            device,
            stream_path,
            edge_started_at,
            edge_ended_at: None,
            playlist_url: None,
            opened_at: self.0.clock.now(),
            closed_at: None,
            is_published: false,
        };
        let known = match self.0.repository.insert_capture(&capture, OPEN_MAX, KEPT_MAX).await? {
            Inserted::Done => return Ok(capture),
            Inserted::LimitReached => return Err(CameraError::CaptureLimit(OPEN_MAX)),
            Inserted::Known(known) => known,
        };
        let same = known.device == capture.device
            && known.stream_path == capture.stream_path
            && known.edge_started_at == capture.edge_started_at;
        if same {
            Ok(known)
        } else {
            Err(CameraError::CaptureConflict("another capture has this id"))
        }
    }

    /// Closes a capture. The same again is answered as the first time.
    ///
    /// # Errors
    /// [`CameraError::CaptureNotFound`], [`CameraError::Unusable`], and
    /// [`CameraError::CaptureConflict`] when it was closed with another end.
    pub async fn close(
        &self,
        tenant: TenantId,
        id: &CaptureId,
        closing: CaptureClosing,
    ) -> Result<Capture, CameraError> {
        let mut capture = self.find(tenant, id).await?;
        if closing.edge_ended_at < capture.edge_started_at {
            let problem = "a capture ends after it began";
            return Err(CameraError::Unusable { field: "edgeEndTs", problem });
        }
        if closing.playlist_url.as_deref().is_some_and(|url| !is_playlist(url)) {
            let problem = "a playlist is an http(s) address, or a path that begins with a slash";
            return Err(CameraError::Unusable { field: "playlistUrl", problem });
        }
        if capture.closed_at.is_none() {
            capture.edge_ended_at = Some(closing.edge_ended_at);
            capture.playlist_url.clone_from(&closing.playlist_url);
            capture.closed_at = Some(self.0.clock.now());
            if self.0.repository.close_capture(&capture).await? {
                return Ok(capture);
            }
            capture = self.find(tenant, id).await?;
        }
        let same = capture.edge_ended_at == Some(closing.edge_ended_at)
            && capture.playlist_url == closing.playlist_url;
        if same {
            Ok(capture)
        } else {
            Err(CameraError::CaptureConflict("the capture was closed with another end"))
        }
    }

    /// A capture.
    ///
    /// # Errors
    /// [`CameraError::CaptureNotFound`].
    pub async fn find(&self, tenant: TenantId, id: &CaptureId) -> Result<Capture, CameraError> {
        let found = self.0.repository.capture(tenant, id).await?;
        found.ok_or(CameraError::CaptureNotFound)
    }

    /// The captures of a tenant, the newest first.
    ///
    /// # Errors
    /// [`CameraError::Unusable`] when `limit` is not from 1 to 200.
    pub async fn list(
        &self,
        tenant: TenantId,
        limit: Option<u32>,
    ) -> Result<Vec<Capture>, CameraError> {
        let limit = limit.unwrap_or(LISTED);
        if !(1..=LISTED_MAX).contains(&limit) {
            let problem = "expected 1 to 200";
            return Err(CameraError::Unusable { field: "limit", problem });
        }
        Ok(self.0.repository.captures(tenant, limit).await?)
    }
}

fn is_path(path: &str) -> bool {
    (1..=TEXT_BYTES_MAX).contains(&path.len())
        && path.bytes().all(|byte| (b'!'..=b'~').contains(&byte))
        && !path.split('/').any(|segment| segment == "..")
}

fn is_playlist(url: &str) -> bool {
    let known = ["https://", "http://", "/"].iter().any(|start| url.starts_with(start));
    known && is_path(url)
}
