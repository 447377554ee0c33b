//! Captures: publications of edge devices, opened and closed by the device.

use std::sync::Arc;

use crate::cameras::error::CameraError;
use crate::cameras::repository::{CaptureRepository, Inserted};
use crate::clock::Clock;
use crate::domain::id::{CaptureId, DeviceId, TenantId};
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

/// The captures of all tenants. Cheap to clone.
#[derive(Clone)]
pub struct CaptureStore {
    repository: Arc<dyn CaptureRepository>,
    clock: Clock,
}

impl CaptureStore {
    /// Captures in a repository.
    #[must_use]
    pub const fn new(repository: Arc<dyn CaptureRepository>, clock: Clock) -> Self {
        Self { repository, clock }
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
            opened_at: self.clock.now(),
            closed_at: None,
        };
        let known = match self.repository.insert_capture(&capture, OPEN_MAX, KEPT_MAX).await? {
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
            capture.closed_at = Some(self.clock.now());
            if self.repository.close_capture(&capture).await? {
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
        let found = self.repository.capture(tenant, id).await?;
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
        Ok(self.repository.captures(tenant, limit).await?)
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
