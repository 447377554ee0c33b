//! Where it is kept which cameras are recorded, and what of their recordings is kept.

use async_trait::async_trait;

use crate::domain::id::{CameraId, PublicationId, TenantId};
use crate::domain::store_error::StoreError;
use crate::domain::time::Timestamp;

/// What a tenant wants of the recording of a camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RecordingPolicy {
    /// Whether it is recorded.
    pub enabled: bool,
    /// How long it is kept, in seconds; as long as the operator allows when `None`.
    pub max_age_s: Option<u32>,
    /// How many bytes are kept; as many as the operator allows when `None`.
    pub max_bytes: Option<u64>,
}

/// A camera that is recorded, or was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedCamera {
    /// Which.
    pub camera: CameraId,
    /// What is wanted.
    pub policy: RecordingPolicy,
    /// Bytes of its segments.
    pub bytes: u64,
    /// When its oldest segment began.
    pub since: Option<Timestamp>,
}

/// A segment of a camera's recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordedSegment {
    /// Of which publication.
    pub publication: PublicationId,
    /// Its file.
    pub number: u64,
    /// The number of its header.
    pub header: u64,
    /// Whether it does not go on where the one before ended.
    pub is_break: bool,
    /// How long it plays, in ticks of the pictures.
    pub ticks: u64,
    /// When its first picture came.
    pub at: Timestamp,
    /// Bytes of its object.
    pub bytes: u64,
}

/// A publication that has no segment any more, and the numbers of its headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpentPublication {
    /// Which.
    pub id: PublicationId,
    /// Its headers.
    pub headers: Vec<u64>,
}

/// The recordings of cameras.
#[async_trait]
pub trait CameraRecordingRepository: Send + Sync {
    /// Stores what is wanted of a camera that is known; whether that is other than before. `None`
    /// when there is no such camera.
    async fn put_recording(
        &self,
        tenant: TenantId,
        camera: &CameraId,
        policy: RecordingPolicy,
    ) -> Result<Option<bool>, StoreError>;

    /// Cameras of all tenants that are to be recorded.
    async fn cameras_to_record(&self, limit: u32) -> Result<Vec<(TenantId, CameraId)>, StoreError>;

    /// Tenants with recordings, by id, from the one behind `after` on.
    async fn tenants_with_recordings(
        &self,
        after: Option<TenantId>,
        limit: u32,
    ) -> Result<Vec<TenantId>, StoreError>;

    /// The cameras of a tenant that are recorded or were, by id; one of them when `camera` says.
    async fn recorded_cameras(
        &self,
        tenant: TenantId,
        camera: Option<&CameraId>,
    ) -> Result<Vec<RecordedCamera>, StoreError>;

    /// Segments of a camera that began in a span of time, the oldest first; and the one before the
    /// span, which may reach into it.
    async fn recorded_segments(
        &self,
        tenant: TenantId,
        camera: &CameraId,
        span: (Timestamp, Timestamp),
        limit: u32,
    ) -> Result<Vec<RecordedSegment>, StoreError>;

    /// The oldest segments of a camera.
    async fn oldest_recorded(
        &self,
        tenant: TenantId,
        camera: &CameraId,
        limit: u32,
    ) -> Result<Vec<RecordedSegment>, StoreError>;

    /// Forgets segments, which the vault has no more.
    async fn forget_recorded(
        &self,
        tenant: TenantId,
        camera: &CameraId,
        segments: &[(PublicationId, u64)],
    ) -> Result<(), StoreError>;

    /// Publications of a camera that began before a time and have no segment: all but the newest
    /// while it is recorded, as that one gets more. A header comes before its first segment, so one
    /// that has just begun has none yet.
    async fn spent_publications(
        &self,
        tenant: TenantId,
        camera: &CameraId,
        before: Timestamp,
    ) -> Result<Vec<SpentPublication>, StoreError>;

    /// Forgets a publication without a segment, whose headers the vault has no more; and what is
    /// wanted of a camera that is not recorded any more once nothing of it is left.
    async fn forget_publication(
        &self,
        tenant: TenantId,
        camera: &CameraId,
        publication: PublicationId,
    ) -> Result<(), StoreError>;
}
