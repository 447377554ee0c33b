//! The limits of tenants: what the configuration says of a tenant, else what the
//! tenancy service says, else the configured defaults.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use super::base::Base;
use super::services::Services;
use crate::cameras::StreamLimits;
use crate::config::{TenantLimitsConfig, TenantsConfig};
use crate::domain::id::TenantId;
use crate::services::{TenancyClient, TenantStatus};
use crate::sessions::{TenantLimits, TenantLimitsSource};

pub(super) fn limits(base: &Base, services: &Services) -> Arc<dyn TenantLimitsSource> {
    let tenants = &base.config.tenants;
    Arc::new(PlatformLimits {
        overrides: tenants.overrides.iter().map(|(id, limits)| (*id, limits_of(*limits))).collect(),
        default: limits_of(tenants.default),
        tenancy: services.tenancy.clone(),
    })
}

struct PlatformLimits {
    overrides: BTreeMap<TenantId, TenantLimits>,
    default: TenantLimits,
    tenancy: Option<TenancyClient>,
}

#[async_trait]
impl TenantLimitsSource for PlatformLimits {
    async fn limits(&self, tenant: TenantId) -> TenantLimits {
        if let Some(limits) = self.overrides.get(&tenant) {
            return *limits;
        }
        let Some(tenancy) = &self.tenancy else { return self.default };
        tenancy.limits(tenant).await.known().map_or(self.default, |limits| TenantLimits {
            max_active_sessions: limits.max_active_sessions,
            max_participants_per_session: limits.max_participants_per_session,
            max_bitrate_kbps: limits.max_bitrate_kbps,
        })
    }

    async fn is_suspended(&self, tenant: TenantId) -> bool {
        let Some(tenancy) = &self.tenancy else { return false };
        tenancy.status(tenant).await.known().is_some_and(|status| status != TenantStatus::Active)
    }
}

fn limits_of(config: TenantLimitsConfig) -> TenantLimits {
    TenantLimits {
        max_active_sessions: config.max_active_sessions,
        max_participants_per_session: config.max_participants,
        max_bitrate_kbps: config.max_bitrate_kbps,
    }
}

/// How many camera streams tenants may have, from the same sources.
pub(super) fn stream_limits(base: &Base, services: &Services) -> Arc<dyn StreamLimits> {
    Arc::new(PlatformStreamLimits {
        tenants: base.config.tenants.clone(),
        tenancy: services.tenancy.clone(),
    })
}

struct PlatformStreamLimits {
    tenants: TenantsConfig,
    tenancy: Option<TenancyClient>,
}

#[async_trait]
impl StreamLimits for PlatformStreamLimits {
    async fn max_concurrent_streams(&self, tenant: TenantId) -> u32 {
        let configured = self.tenants.of(tenant).max_concurrent_streams;
        if self.tenants.overrides.contains_key(&tenant) {
            return configured;
        }
        let Some(tenancy) = &self.tenancy else { return configured };
        tenancy.limits(tenant).await.known().map_or(configured, |limits| {
            if limits.streaming_entitled { limits.max_concurrent_streams } else { 0 }
        })
    }
}
