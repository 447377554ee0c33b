//! Where it is kept what edge devices published.

use async_trait::async_trait;

use crate::domain::id::{CameraId, CaptureId, PublicationId, TenantId};
use crate::domain::store_error::StoreError;
use crate::domain::time::Timestamp;

/// Whose films files are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum FilmsOf {
    /// Of a capture of an edge device. Only its newest publication gets files, while it is open.
    Capture(CaptureId),
    /// Of a camera that is recorded.
    Camera(CameraId),
}

/// What one connection of an edge device publishes into a capture, or one run of the recording
/// of a camera.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// Whose device or camera.
    pub tenant: TenantId,
    /// Which.
    pub id: PublicationId,
    /// Of what.
    pub of: FilmsOf,
    /// The key of its files, wrapped by the tenant's.
    pub wrapped_key: Vec<u8>,
    /// When it began.
    pub began_at: Timestamp,
}

/// A file of a publication, which is an object of the vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CaptureFile {
    /// Its number within the publication, from 0.
    pub number: u64,
    /// The number of the header that a segment needs; nothing when it is a header.
    pub header: Option<u64>,
    /// Whether a segment does not go on where the one before ended.
    pub is_break: bool,
    /// How long a segment plays, in ticks of the pictures.
    pub ticks: u64,
    /// When it began.
    pub at: Timestamp,
    /// Bytes of its object.
    pub bytes: u64,
}

/// A segment of a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CaptureSegment {
    /// Of which publication.
    pub publication: PublicationId,
    /// Its file.
    pub number: u64,
    /// The number of its header.
    pub header: u64,
    /// Its number in the capture, from 0.
    pub sequence: u64,
    /// How many segments up to this one did not go on where the one before ended.
    pub breaks: u64,
    /// How long it plays, in ticks of the pictures.
    pub ticks: u64,
    /// When it began.
    pub at: Timestamp,
}

/// What came of storing a publication, or a file of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filed {
    /// It is stored.
    Done,
    /// The capture is closed, or there is none.
    Closed,
    /// There is a newer publication of the capture.
    Replaced,
    /// The tenant has as many bytes as it may.
    Full,
}

/// Files whose time is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldFiles {
    /// Their numbers.
    pub numbers: Vec<u64>,
    /// Whether the time of the whole publication is over. Else they are segments only, since their
    /// headers are needed.
    pub is_all: bool,
}

/// What edge devices published and cameras sent. Of a capture only the newest publication gets files.
#[async_trait]
pub trait PublicationRepository: Send + Sync {
    /// Stores a publication, which is from now on the newest of its capture or camera; unless the
    /// files of the tenant's captures have `bytes_max` bytes.
    async fn add_publication(
        &self,
        publication: &Publication,
        bytes_max: u64,
    ) -> Result<Filed, StoreError>;

    /// Stores a file, which the vault has, unless its capture was closed before `closed_after`. With
    /// `bytes_max` it is looked whether the files of the tenant's captures have so many bytes. One
    /// of a camera that is stored already stays as it is.
    async fn add_file(
        &self,
        publication: &Publication,
        file: &CaptureFile,
        closed_after: Timestamp,
        bytes_max: Option<u64>,
    ) -> Result<Filed, StoreError>;

    /// A publication.
    async fn publication(
        &self,
        tenant: TenantId,
        id: PublicationId,
    ) -> Result<Option<Publication>, StoreError>;

    /// The segments of a capture, the oldest first: at most so many of the newest.
    async fn capture_segments(
        &self,
        tenant: TenantId,
        capture: &CaptureId,
        limit: u32,
    ) -> Result<Vec<CaptureSegment>, StoreError>;

    /// Publications of all tenants with something that is from before `before`.
    async fn old_publications(
        &self,
        before: Timestamp,
        limit: u32,
    ) -> Result<Vec<(TenantId, PublicationId)>, StoreError>;

    /// Files of a publication from before `before`, the oldest first.
    async fn old_files(
        &self,
        tenant: TenantId,
        publication: PublicationId,
        before: Timestamp,
        limit: u32,
    ) -> Result<OldFiles, StoreError>;

    /// Forgets files, which the vault has no more; and the publication when it has none.
    async fn forget_files(
        &self,
        tenant: TenantId,
        publication: PublicationId,
        numbers: &[u64],
    ) -> Result<(), StoreError>;
}
