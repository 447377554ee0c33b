//! The limits of tenants.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::base::Base;
use crate::config::TenantLimitsConfig;
use crate::sessions::{FixedLimits, TenantLimits};

pub(super) fn limits(base: &Base) -> Arc<FixedLimits> {
    let tenants = &base.config.tenants;
    let by_tenant: BTreeMap<_, _> =
        tenants.overrides.iter().map(|(tenant, limits)| (*tenant, limits_of(*limits))).collect();
    Arc::new(FixedLimits { default: limits_of(tenants.default), by_tenant })
}

fn limits_of(config: TenantLimitsConfig) -> TenantLimits {
    TenantLimits {
        max_active_sessions: config.max_active_sessions,
        max_participants_per_session: config.max_participants,
        max_bitrate_kbps: config.max_bitrate_kbps,
    }
}
