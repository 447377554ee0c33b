//! What the station needs of elsewhere.

use async_trait::async_trait;

use crate::domain::id::TenantId;

/// How many streams of cameras tenants may have. It always has an answer: a
/// source that can't reach what it asks gives its defaults.
#[async_trait]
pub trait StreamLimits: Send + Sync {
    /// Most active streams of a tenant (`maxConcurrentStreams`); none at 0.
    async fn max_concurrent_streams(&self, tenant: TenantId) -> u32;
}
