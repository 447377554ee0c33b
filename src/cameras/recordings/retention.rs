//! Deletes what is recorded of cameras for too long, or what is more than may be: the oldest first.
//! A segment that is being written is not in the archive yet, so it is never deleted.

use std::time::Duration;

use super::{Inner, LISTED_MAX, Recordings};
use crate::cameras::error::CameraError;
use crate::cameras::metrics;
use crate::cameras::repository::{RecordedCamera, RecordedSegment};
use crate::domain::id::{CameraId, TenantId};
use crate::domain::time::Timestamp;

/// Tenants that are looked through at once; it goes on until none is left.
const TENANTS_AT_ONCE: u32 = 1_000;
/// How long ago a publication must have begun until it is forgotten for having no segment: its first
/// one may still be on its way, for as long as the vault is away.
const SPENT_AFTER: Duration = Duration::from_hours(24);
/// Segments that are deleted at once.
const DELETED_AT_ONCE: u32 = 100;

impl Recordings {
    /// Deletes what is too old, and the oldest of what is too much; how many segments.
    ///
    /// # Errors
    /// When store or vault do not answer for one of the tenants, after the others of the same page
    /// were swept; what was deleted stays so.
    pub(super) async fn sweep(&self) -> Result<u64, CameraError> {
        let (mut deleted, mut after) = (0, None);
        loop {
            let repository = &self.0.parts.repository;
            let tenants = repository.tenants_with_recordings(after, TENANTS_AT_ONCE).await?;
            let Some(last) = tenants.last().copied() else { return Ok(deleted) };
            let mut failure = None;
            for tenant in tenants {
                match self.sweep_tenant(tenant).await {
                    Ok(segments) => deleted += segments,
                    Err(error) => failure = Some(error),
                }
            }
            if let Some(failure) = failure {
                return Err(failure);
            }
            after = Some(last);
        }
    }

    async fn sweep_tenant(&self, tenant: TenantId) -> Result<u64, CameraError> {
        let Inner { options, parts, .. } = &*self.0;
        let mut deleted = 0;
        for it in parts.repository.recorded_cameras(tenant, None).await? {
            let own = it.policy.max_age_s.map(|age| Duration::from_secs(age.into()));
            let age = own.map_or(options.age_max, |own| own.min(options.age_max));
            let before = parts.ages.now().before(age);
            let is_old = |segment: &RecordedSegment, _: u64| segment.at < before;
            deleted += self.delete_while((tenant, &it), is_old).await?;
        }
        for it in parts.repository.recorded_cameras(tenant, None).await? {
            let most = it.policy.max_bytes.unwrap_or(u64::MAX);
            let bytes = it.bytes;
            let is_too_much = |_: &RecordedSegment, gone: u64| bytes.saturating_sub(gone) > most;
            deleted += self.delete_while((tenant, &it), is_too_much).await?;
        }
        deleted += self.sweep_quota(tenant).await?;
        for it in parts.repository.recorded_cameras(tenant, None).await? {
            let before = parts.ages.now().before(SPENT_AFTER);
            self.forget_spent((tenant, &it.camera), before).await?;
        }
        Ok(deleted)
    }

    /// Deletes the oldest segments of all cameras of a tenant, until it has no more than it may.
    async fn sweep_quota(&self, tenant: TenantId) -> Result<u64, CameraError> {
        let Inner { options, parts, .. } = &*self.0;
        let mut deleted = 0;
        loop {
            let mut cameras = parts.repository.recorded_cameras(tenant, None).await?;
            let bytes: u64 = cameras.iter().map(|it| it.bytes).sum();
            cameras.retain(|it| it.since.is_some());
            cameras.sort_by_key(|it| it.since);
            let Some(oldest) = cameras.first() else { return Ok(deleted) };
            if bytes <= options.bytes_max {
                return Ok(deleted);
            }
            // As far as another camera's oldest segment, or one.
            let until = cameras.get(1).and_then(|it| it.since);
            let is_to_go = |segment: &RecordedSegment, gone: u64| {
                let is_oldest = until.is_none_or(|until| segment.at <= until);
                is_oldest && bytes.saturating_sub(gone) > options.bytes_max
            };
            let segments = self.delete_while((tenant, oldest), is_to_go).await?;
            if segments == 0 {
                return Ok(deleted);
            }
            deleted += segments;
        }
    }

    /// Deletes the oldest segments of a camera while one is to go, of which it is also told how many
    /// bytes went before it; how many.
    async fn delete_while(
        &self,
        (tenant, it): (TenantId, &RecordedCamera),
        is_to_go: impl Fn(&RecordedSegment, u64) -> bool,
    ) -> Result<u64, CameraError> {
        let repository = &self.0.parts.repository;
        let (mut deleted, mut gone) = (0, 0);
        loop {
            let oldest = repository.oldest_recorded(tenant, &it.camera, DELETED_AT_ONCE).await?;
            let mut to_go = Vec::new();
            for segment in &oldest {
                if !is_to_go(segment, gone) {
                    break;
                }
                gone += segment.bytes;
                to_go.push(*segment);
            }
            self.delete((tenant, &it.camera), &to_go).await?;
            deleted += to_go.len() as u64;
            let is_all = to_go.len() < usize::try_from(DELETED_AT_ONCE).unwrap_or(usize::MAX);
            if is_all {
                return Ok(deleted);
            }
        }
    }

    /// Deletes what began in a span of time; how many segments.
    pub(super) async fn erase_span(
        &self,
        (tenant, camera): (TenantId, &CameraId),
        (from, until): (Timestamp, Timestamp),
    ) -> Result<u64, CameraError> {
        let repository = &self.0.parts.repository;
        let mut deleted = 0;
        loop {
            let span = (from, until);
            let found = repository.recorded_segments(tenant, camera, span, LISTED_MAX).await?;
            let within: Vec<RecordedSegment> =
                found.into_iter().filter(|segment| segment.at >= from).collect();
            if within.is_empty() {
                self.forget_spent((tenant, camera), until).await?;
                return Ok(deleted);
            }
            for some in within.chunks(usize::try_from(DELETED_AT_ONCE).unwrap_or(usize::MAX)) {
                self.delete((tenant, camera), some).await?;
            }
            deleted += within.len() as u64;
        }
    }

    async fn delete(
        &self,
        (tenant, camera): (TenantId, &CameraId),
        segments: &[RecordedSegment],
    ) -> Result<(), CameraError> {
        if segments.is_empty() {
            return Ok(());
        }
        let parts = &self.0.parts;
        for segment in segments {
            parts.archive.delete(tenant, segment.publication, segment.number).await?;
        }
        let names: Vec<_> = segments.iter().map(|it| (it.publication, it.number)).collect();
        parts.repository.forget_recorded(tenant, camera, &names).await?;
        metrics::recordings_deleted(segments.len());
        Ok(())
    }

    /// Forgets publications that began before a time and of which no segment is left, with their keys.
    async fn forget_spent(
        &self,
        (tenant, camera): (TenantId, &CameraId),
        before: Timestamp,
    ) -> Result<(), CameraError> {
        let parts = &self.0.parts;
        for spent in parts.repository.spent_publications(tenant, camera, before).await? {
            for header in spent.headers {
                parts.archive.delete(tenant, spent.id, header).await?;
            }
            parts.repository.forget_publication(tenant, camera, spent.id).await?;
        }
        Ok(())
    }
}
