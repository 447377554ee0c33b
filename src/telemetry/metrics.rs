//! Metrics for Prometheus. Each module names and describes its own with the `metrics` facade; this
//! module collects them and writes the text format.

use std::collections::BTreeSet;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::domain::id::TenantId;
use crate::telemetry::TelemetryError;

const PROCESS_CPU: &str = "cabildo_process_cpu_seconds_total";
const PROCESS_MEMORY: &str = "cabildo_process_resident_memory_bytes";

/// Most tenants with a label of their own; further ones are counted together as `other`. Raising it
/// raises the memory of the Prometheus server.
const TENANT_LABELS_MAX: usize = 1_000;

/// Upper bounds of histogram buckets, in seconds, around the required 95th percentiles of 2, 3 and
/// 5 seconds.
const BUCKETS_S: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 7.5, 10.0, 30.0];

/// Whether metrics have a label for each tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TenantLabels {
    /// The label `tenant` has the tenant's id.
    Ids,
    /// The label `tenant` is `all`.
    Hidden,
}

static LABELS: OnceLock<TenantLabels> = OnceLock::new();
static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
static TENANTS: Mutex<BTreeSet<TenantId>> = Mutex::new(BTreeSet::new());

/// Records metrics from now on. A second call has no effect.
pub fn start(labels: TenantLabels) -> Result<(), TelemetryError> {
    static STARTING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    if HANDLE.get().is_some() {
        return Ok(());
    }
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), BUCKETS_S)
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(|_| TelemetryError::Recorder)?;
    LABELS.get_or_init(|| labels);
    HANDLE.get_or_init(|| handle);
    Ok(())
}

/// Describes the metrics of the process.
pub fn describe_process() {
    metrics::describe_gauge!(PROCESS_CPU, "Processor time used by all threads.");
    metrics::describe_gauge!(PROCESS_MEMORY, "Memory in use.");
}

/// Reads the processor time and memory of this process.
pub fn report_process() {
    let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let cpu = Duration::try_from(cpu).unwrap_or_default();
    // Counters of the facade are whole numbers, so seconds are a gauge.
    metrics::gauge!(PROCESS_CPU).set(cpu);
    // Only on Linux; elsewhere the metric is absent.
    let pages = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|statm| statm.split(' ').nth(1)?.parse::<u64>().ok());
    if let Some(pages) = pages {
        let page = u64::try_from(rustix::param::page_size()).unwrap_or(0);
        metrics::gauge!(PROCESS_MEMORY).set(number(pages.saturating_mul(page)));
    }
}

/// A count as a floating-point number, as Prometheus uses it.
#[expect(clippy::cast_precision_loss, reason = "Prometheus counts in f64 anyway")]
#[must_use]
pub const fn number(value: u64) -> f64 {
    value as f64
}

/// The value of the label `tenant`: `all` unless metrics have labels for tenants; otherwise the
/// tenant's id, or `other` for tenants after the first `TENANT_LABELS_MAX`.
#[must_use]
pub fn tenant_label(tenant: TenantId) -> String {
    match LABELS.get() {
        Some(TenantLabels::Ids) => label_of(tenant),
        Some(TenantLabels::Hidden) | None => "all".to_owned(),
    }
}

/// Whether metrics have labels for tenants. Metrics that can't be added up over tenants have no
/// value otherwise.
#[must_use]
pub fn tenants_are_named() -> bool {
    LABELS.get() == Some(&TenantLabels::Ids)
}

fn label_of(tenant: TenantId) -> String {
    let mut tenants = TENANTS.lock().unwrap_or_else(PoisonError::into_inner);
    if tenants.contains(&tenant) {
        return tenant.to_string();
    }
    if tenants.len() < TENANT_LABELS_MAX {
        tenants.insert(tenant);
        return tenant.to_string();
    }
    "other".to_owned()
}

/// All metrics, in the text format 0.0.4.
#[must_use]
pub fn render() -> String {
    HANDLE.get().map(PrometheusHandle::render).unwrap_or_default()
}

/// Removes old samples of histograms. Must be called every few seconds.
pub fn maintain() {
    if let Some(handle) = HANDLE.get() {
        handle.run_upkeep();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_tenants_are_bounded() {
        for _ in 0..TENANT_LABELS_MAX {
            assert_ne!(label_of(TenantId::generate()), "other");
        }
        assert_eq!(label_of(TenantId::generate()), "other");
    }

    #[test]
    fn tenants_are_not_told_apart_unless_asked() {
        assert_eq!(tenant_label(TenantId::generate()), "all");
    }
}
