//! What the station needs of elsewhere.

use std::collections::BTreeMap;

use async_trait::async_trait;

use crate::domain::id::TenantId;

/// How many streams of cameras tenants may have. It always has an answer: a
/// source that can't reach what it asks gives its defaults.
#[async_trait]
pub trait StreamLimits: Send + Sync {
    /// Most active streams of a tenant (`maxConcurrentStreams`); none at 0.
    async fn max_concurrent_streams(&self, tenant: TenantId) -> u32;
}

/// Limits as the operator has written them down.
#[derive(Debug, Clone, Default)]
pub struct FixedStreamLimits {
    /// Of a tenant that has none of its own.
    pub default: u32,
    /// Of single tenants.
    pub by_tenant: BTreeMap<TenantId, u32>,
}

#[async_trait]
impl StreamLimits for FixedStreamLimits {
    async fn max_concurrent_streams(&self, tenant: TenantId) -> u32 {
        self.by_tenant.get(&tenant).copied().unwrap_or(self.default)
    }
}
