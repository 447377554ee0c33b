//! The limits of tenants, each by itself: what the configuration says of the tenant, else
//! what the tenancy service says, else the configured default.

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
    Arc::new(PlatformLimits::of(base, services))
}

/// How many camera streams tenants may have, from the same sources.
pub(super) fn stream_limits(base: &Base, services: &Services) -> Arc<dyn StreamLimits> {
    Arc::new(PlatformLimits::of(base, services))
}

struct PlatformLimits {
    tenants: TenantsConfig,
    tenancy: Option<TenancyClient>,
}

impl PlatformLimits {
    fn of(base: &Base, services: &Services) -> Self {
        Self { tenants: base.config.tenants.clone(), tenancy: services.tenancy.clone() }
    }

    async fn known(&self, tenant: TenantId) -> TenantLimitsConfig {
        let stated = match &self.tenancy {
            Some(tenancy) => tenancy.limits(tenant).await.known(),
            None => None,
        };
        let stated = stated.map(|limits| TenantLimitsConfig {
            max_active_sessions: limits.max_active_sessions,
            max_participants: limits.max_participants_per_session,
            max_bitrate_kbps: limits.max_bitrate_kbps,
            max_concurrent_streams: if limits.streaming_entitled {
                limits.max_concurrent_streams
            } else {
                0
            },
        });
        self.tenants.of(tenant, stated)
    }
}

#[async_trait]
impl TenantLimitsSource for PlatformLimits {
    async fn limits(&self, tenant: TenantId) -> TenantLimits {
        let limits = self.known(tenant).await;
        TenantLimits {
            max_active_sessions: limits.max_active_sessions,
            max_participants_per_session: limits.max_participants,
            max_bitrate_kbps: limits.max_bitrate_kbps,
        }
    }

    async fn is_suspended(&self, tenant: TenantId) -> bool {
        let Some(tenancy) = &self.tenancy else { return false };
        tenancy.status(tenant).await.known().is_some_and(|status| status != TenantStatus::Active)
    }
}

#[async_trait]
impl StreamLimits for PlatformLimits {
    async fn max_concurrent_streams(&self, tenant: TenantId) -> u32 {
        self.known(tenant).await.max_concurrent_streams
    }
}
