//! How much a tenant may have at once.

use std::collections::BTreeMap;

use async_trait::async_trait;

use crate::domain::id::TenantId;

/// What one tenant may have at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TenantLimits {
    /// Most active sessions.
    pub max_active_sessions: u32,
    /// Most participants of one session.
    pub max_participants_per_session: u32,
    /// Most bitrate of media that one instance receives for its sessions
    /// together, in kbit/s. Beyond it no further pictures are taken.
    pub max_bitrate_kbps: u32,
}

impl Default for TenantLimits {
    /// Enough for an organisation of some thousands of people on one small
    /// machine; raising it lets one tenant crowd out the others.
    fn default() -> Self {
        Self {
            max_active_sessions: 20,
            max_participants_per_session: 1_000,
            max_bitrate_kbps: 500_000,
        }
    }
}

/// Where limits come from. It always has an answer: a source that can't reach
/// what it asks gives its defaults.
#[async_trait]
pub trait TenantLimitsSource: Send + Sync {
    /// The limits of a tenant now.
    async fn limits(&self, tenant: TenantId) -> TenantLimits;
}

/// Limits as the operator has written them down.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FixedLimits {
    /// Of a tenant that has none of its own.
    pub default: TenantLimits,
    /// Of single tenants.
    pub by_tenant: BTreeMap<TenantId, TenantLimits>,
}

#[async_trait]
impl TenantLimitsSource for FixedLimits {
    async fn limits(&self, tenant: TenantId) -> TenantLimits {
        self.by_tenant.get(&tenant).copied().unwrap_or(self.default)
    }
}
