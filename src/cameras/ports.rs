//! What the station needs of elsewhere.

use std::sync::Arc;

use async_trait::async_trait;

use crate::cameras::error::CameraError;
use crate::cameras::ingest::Stream;
use crate::domain::id::{SessionKey, TenantId};

/// How many streams of cameras tenants may have. It always has an answer: a
/// source that can't reach what it asks gives its defaults.
#[async_trait]
pub trait StreamLimits: Send + Sync {
    /// Most active streams of a tenant (`maxConcurrentStreams`); none at 0.
    async fn max_concurrent_streams(&self, tenant: TenantId) -> u32;
}

/// The sessions that may be watched by people who are not in them.
#[async_trait]
pub trait WatchedSessions: Send + Sync {
    /// Whether a session may be watched.
    ///
    /// # Errors
    /// [`CameraError::WatchedNotFound`], [`CameraError::WatchedOver`], and
    /// [`CameraError::WatchingOff`] when its policy does not allow it.
    async fn check(&self, key: SessionKey) -> Result<(), CameraError>;

    /// The stream of a session, which is made if it is not yet, and from now on for a while. That
    /// of a session that has ended plays to its end.
    ///
    /// # Errors
    /// Those of [`Self::check`], [`CameraError::WatchedNotBegun`], [`CameraError::StreamLimit`] and [`CameraError::Stopping`].
    async fn want(&self, key: SessionKey) -> Result<Arc<Stream>, CameraError>;
}
