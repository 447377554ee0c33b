//! How much a tenant may have at the same time.

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
    /// Highest bitrate of media that one instance receives for its sessions together, in kbit/s.
    /// Above it no further video tracks are accepted.
    pub max_bitrate_kbps: u32,
}

impl Default for TenantLimits {
    /// Enough for an organisation of some thousands of people on one small machine; raising it lets
    /// one tenant use the capacity of others.
    fn default() -> Self {
        Self {
            max_active_sessions: 20,
            max_participants_per_session: 1_000,
            max_bitrate_kbps: 500_000,
        }
    }
}

/// The source of limits. It always has an answer: a source that can't reach its service returns
/// defaults.
#[async_trait]
pub trait TenantLimitsSource: Send + Sync {
    /// The limits of a tenant now.
    async fn limits(&self, tenant: TenantId) -> TenantLimits;

    /// Whether a tenant may not use the platform at the moment. It may, as long
    /// as nobody is known to have said otherwise.
    async fn is_suspended(&self, _tenant: TenantId) -> bool {
        false
    }
}

/// Limits that the operator has configured.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FixedLimits {
    /// For tenants without limits of their own.
    pub default: TenantLimits,
    /// For single tenants.
    pub by_tenant: BTreeMap<TenantId, TenantLimits>,
}

#[async_trait]
impl TenantLimitsSource for FixedLimits {
    async fn limits(&self, tenant: TenantId) -> TenantLimits {
        self.by_tenant.get(&tenant).copied().unwrap_or(self.default)
    }
}
