//! Metrics as Prometheus reads them. Every name is in this file.

use std::collections::BTreeSet;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::domain::id::TenantId;
use crate::domain::session::Modality;
use crate::telemetry::TelemetryError;

const SESSIONS_STARTED: &str = "cabildo_sessions_started_total";
const MODERATION_ACTIONS: &str = "cabildo_moderation_actions_total";
const SESSION_START: &str = "cabildo_session_start_seconds";
const WS_RECONNECT: &str = "cabildo_ws_reconnect_seconds";
const CHANNEL_CONNECTIONS: &str = "cabildo_channel_connections";
const HTTP_REQUESTS: &str = "cabildo_http_requests_total";
const HTTP_REQUEST: &str = "cabildo_http_request_seconds";
const RATE_LIMITED: &str = "cabildo_rate_limited_total";
const MEDIA_BITRATE: &str = "cabildo_media_bitrate_kbps";
const PUBLICATIONS_REFUSED: &str = "cabildo_media_publications_refused_total";
const VAULT_OPERATIONS: &str = "cabildo_vault_operations_total";
const VAULT_BYTES: &str = "cabildo_vault_bytes_total";

/// Most tenants with a label of their own; later ones are counted together as
/// `other`. Raising it raises the memory of whoever scrapes.
const TENANT_LABELS_MAX: usize = 1_000;

/// Upper bounds of histogram buckets, in seconds, around the promised 95th
/// percentiles of 2, 3 and 5.
const BUCKETS_S: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 7.5, 10.0, 30.0];

static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
static TENANTS: Mutex<BTreeSet<TenantId>> = Mutex::new(BTreeSet::new());

/// Records metrics from here on. Further calls change nothing.
pub fn start() -> Result<(), TelemetryError> {
    static STARTING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    if HANDLE.get().is_some() {
        return Ok(());
    }
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), BUCKETS_S)
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(|_| TelemetryError::Recorder)?;
    describe();
    HANDLE.get_or_init(|| handle);
    Ok(())
}

fn describe() {
    metrics::describe_counter!(SESSIONS_STARTED, "Sessions that became active.");
    metrics::describe_counter!(MODERATION_ACTIONS, "What moderators did, by action.");
    metrics::describe_histogram!(SESSION_START, "Time that starting a session took.");
    metrics::describe_histogram!(WS_RECONNECT, "Time that members were gone before they resumed.");
    metrics::describe_gauge!(CHANNEL_CONNECTIONS, "Sockets of the moderation channel, let in.");
    metrics::describe_counter!(HTTP_REQUESTS, "Requests by route, method and status.");
    metrics::describe_histogram!(HTTP_REQUEST, "Time that requests took, by route.");
    metrics::describe_counter!(RATE_LIMITED, "Requests refused by a rate limit, by scope.");
    metrics::describe_gauge!(MEDIA_BITRATE, "Media received for a tenant, in kbit/s.");
    metrics::describe_counter!(
        PUBLICATIONS_REFUSED,
        "Tracks refused because their tenant receives as much as it may."
    );
    metrics::describe_counter!(VAULT_OPERATIONS, "What was asked of the vault, by result.");
    metrics::describe_counter!(VAULT_BYTES, "Bytes put into the vault and read from it.");
}

/// A session became active, `took` after it was asked to.
pub fn session_started(tenant: TenantId, modality: Modality, took: Duration) {
    metrics::counter!(SESSIONS_STARTED, "tenant" => tenant_label(tenant), "modality" => modality.as_str())
        .increment(1);
    metrics::histogram!(SESSION_START).record(took);
}

/// So much media comes for the rooms of a tenant.
pub fn media_bitrate(tenant: TenantId, kbps: u32) {
    metrics::gauge!(MEDIA_BITRATE, "tenant" => tenant_label(tenant)).set(f64::from(kbps));
}

/// A track was refused because its tenant receives as much as it may.
pub fn publication_refused() {
    metrics::counter!(PUBLICATIONS_REFUSED).increment(1);
}

/// A moderator did something; `action` is its `type` on the wire.
pub fn moderation_action(action: &'static str) {
    metrics::counter!(MODERATION_ACTIONS, "action" => action).increment(1);
}

/// A member resumed `gone` after its connection was lost.
pub fn ws_reconnected(gone: Duration) {
    metrics::histogram!(WS_RECONNECT).record(gone);
}

/// A socket of the moderation channel was let in.
pub fn channel_opened() {
    metrics::gauge!(CHANNEL_CONNECTIONS).increment(1);
}

/// A socket that was let in is gone.
pub fn channel_closed() {
    metrics::gauge!(CHANNEL_CONNECTIONS).decrement(1);
}

/// A request was answered. `route` is a pattern, never a path with ids.
pub fn http_request(route: &str, method: &'static str, status: u16, took: Duration) {
    let status = status.to_string();
    metrics::counter!(
        HTTP_REQUESTS, "route" => route.to_owned(), "method" => method, "status" => status
    )
    .increment(1);
    metrics::histogram!(HTTP_REQUEST, "route" => route.to_owned()).record(took);
}

/// A request was refused by the rate limit of `scope`.
pub fn rate_limited(scope: &'static str) {
    metrics::counter!(RATE_LIMITED, "scope" => scope).increment(1);
}

/// The vault was asked to put, read or delete an object, and moved `bytes`.
pub fn vault_operation(operation: &'static str, result: &'static str, bytes: u64) {
    metrics::counter!(VAULT_OPERATIONS, "operation" => operation, "result" => result).increment(1);
    if bytes > 0 {
        metrics::counter!(VAULT_BYTES, "operation" => operation).increment(bytes);
    }
}

fn tenant_label(tenant: TenantId) -> String {
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

/// A value read at the moment of a scrape.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// Whole name.
    pub name: &'static str,
    /// One sentence.
    pub help: &'static str,
    /// Whether it only ever grows.
    pub kind: ReadingKind,
    /// One label, when there are several values of one name.
    pub label: Option<(&'static str, String)>,
    /// The value.
    pub value: f64,
}

/// How a reading behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadingKind {
    /// It only ever grows.
    Counter,
    /// It goes up and down.
    Gauge,
}

impl Reading {
    /// A value that only ever grows.
    #[must_use]
    pub fn counter(name: &'static str, help: &'static str, value: f64) -> Self {
        Self { name, help, kind: ReadingKind::Counter, label: None, value }
    }

    /// A value that goes up and down.
    #[must_use]
    pub fn gauge(name: &'static str, help: &'static str, value: f64) -> Self {
        Self { name, help, kind: ReadingKind::Gauge, label: None, value }
    }

    /// The same with a label.
    #[must_use]
    pub fn with(mut self, label: &'static str, value: String) -> Self {
        self.label = Some((label, value));
        self
    }
}

/// What this process uses.
#[must_use]
pub fn process_readings() -> Vec<Reading> {
    let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    #[expect(clippy::cast_precision_loss, reason = "52 bits of seconds outlast the process")]
    let cpu_s = cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9;
    let mut readings = vec![Reading::counter(
        "cabildo_process_cpu_seconds_total",
        "Processor time used by all threads.",
        cpu_s,
    )];
    // Linux only; elsewhere the reading is absent rather than wrong.
    let pages = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|statm| statm.split(' ').nth(1)?.parse::<u64>().ok());
    if let Some(pages) = pages {
        let page = u64::try_from(rustix::param::page_size()).unwrap_or(0);
        #[expect(clippy::cast_precision_loss, reason = "memory is far below 2^52 bytes")]
        let bytes = pages.saturating_mul(page) as f64;
        readings.push(Reading::gauge(
            "cabildo_process_resident_memory_bytes",
            "Memory in use.",
            bytes,
        ));
    }
    readings
}

/// Everything recorded, and `readings`, in the text format 0.0.4.
#[must_use]
pub fn render(readings: &[Reading]) -> String {
    let mut text = HANDLE.get().map(PrometheusHandle::render).unwrap_or_default();
    let mut last = "";
    for reading in readings {
        if reading.name != last {
            last = reading.name;
            let kind = match reading.kind {
                ReadingKind::Counter => "counter",
                ReadingKind::Gauge => "gauge",
            };
            text.extend([format!("# HELP {last} {}\n# TYPE {last} {kind}\n", reading.help)]);
        }
        let label = reading
            .label
            .as_ref()
            .map(|(name, value)| format!("{{{name}=\"{value}\"}}"))
            .unwrap_or_default();
        text.extend([format!("{last}{label} {}\n", reading.value)]);
    }
    text
}

/// Forgets old samples of histograms; to be called every few seconds.
pub fn maintain() {
    if let Some(handle) = HANDLE.get() {
        handle.run_upkeep();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names_of(text: &str) -> BTreeSet<&str> {
        text.lines()
            .filter_map(|line| line.strip_prefix("# TYPE "))
            .filter_map(|rest| rest.split(' ').next())
            .collect()
    }

    #[test]
    fn operators_can_rely_on_these_names() {
        start().expect("the only recorder");
        let tenant = TenantId::generate();
        session_started(tenant, Modality::Mixed, Duration::from_millis(20));
        moderation_action("approve_speech");
        ws_reconnected(Duration::from_secs(1));
        http_request("/health", "GET", 200, Duration::from_millis(1));
        rate_limited("address");
        vault_operation("put", "done", 100);
        let text = render(&process_readings());
        assert_eq!(
            names_of(&text).into_iter().collect::<Vec<_>>(),
            [
                "cabildo_http_request_seconds",
                "cabildo_http_requests_total",
                "cabildo_moderation_actions_total",
                "cabildo_process_cpu_seconds_total",
                "cabildo_process_resident_memory_bytes",
                "cabildo_rate_limited_total",
                "cabildo_session_start_seconds",
                "cabildo_sessions_started_total",
                "cabildo_vault_bytes_total",
                "cabildo_vault_operations_total",
                "cabildo_ws_reconnect_seconds",
            ]
        );
        let started =
            format!("cabildo_sessions_started_total{{tenant=\"{tenant}\",modality=\"mixed\"}} 1");
        assert!(text.contains(&started), "{text}");
        assert!(text.contains("cabildo_session_start_seconds_bucket{le=\"5\"} 1"), "{text}");
    }

    #[test]
    fn labels_of_tenants_are_bounded() {
        for _ in 0..TENANT_LABELS_MAX {
            tenant_label(TenantId::generate());
        }
        assert_eq!(tenant_label(TenantId::generate()), "other");
    }
}
