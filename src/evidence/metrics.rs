//! The Prometheus metrics of logs. Counters are copied when metrics are scraped.

use std::sync::PoisonError;
use std::time::Duration;

use crate::evidence::Evidence;
use crate::telemetry::metrics::number;

const HEADS: &str = "cabildo_evidence_heads_total";
const LAG: &str = "cabildo_evidence_lag_seconds";
const LOGS: &str = "cabildo_evidence_logs";
const OPERATOR_LEAVES: &str = "cabildo_evidence_operator_leaves";
const REFUSALS: &str = "cabildo_evidence_refusals_total";
const REFUSED_LOGS: &str = "cabildo_evidence_refused_logs";
const ENTRIES: &str = "cabildo_evidence_entries_total";

/// Describes every metric of the log.
pub fn describe_metrics() {
    metrics::describe_counter!(HEADS, "Heads signed and stored.");
    metrics::describe_gauge!(LAG, "Age of the oldest entry that no head covers.");
    metrics::describe_gauge!(LOGS, "Logs in memory.");
    metrics::describe_gauge!(OPERATOR_LEAVES, "Leaves of the operator log.");
    metrics::describe_counter!(REFUSALS, "Writes that the store refused each time.");
    metrics::describe_gauge!(REFUSED_LOGS, "Logs whose last write the store refused each time.");
    metrics::describe_counter!(ENTRIES, "Entries appended, by kind.");
}

impl Evidence {
    /// Copies the counters to the metrics recorder.
    pub fn report_metrics(&self) {
        let now_us = self.0.clock.now().unix_us();
        let (logs, oldest_us) = {
            let scribes = self.0.scribes.lock().unwrap_or_else(PoisonError::into_inner);
            let waiting = scribes.values().map(|scribe| scribe.signals.uncovered_since_us());
            let oldest_us = waiting.filter(|since_us| *since_us > 0).min();
            (scribes.len(), oldest_us.unwrap_or(now_us))
        };
        let lag_us = u64::try_from(now_us.saturating_sub(oldest_us)).unwrap_or(0);
        metrics::counter!(HEADS).absolute(self.0.counters.heads());
        metrics::gauge!(LAG).set(Duration::from_micros(lag_us));
        metrics::gauge!(LOGS).set(number(logs as u64));
        metrics::counter!(REFUSALS)
            .absolute(self.0.counters.refusals.load(std::sync::atomic::Ordering::Relaxed));
        metrics::gauge!(REFUSED_LOGS).set(number(self.0.refused_logs() as u64));
        metrics::gauge!(OPERATOR_LEAVES).set(number(self.0.operator.known_size()));
        for (kind, count) in self.0.counters.entries() {
            metrics::counter!(ENTRIES, "kind" => kind).absolute(count);
        }
    }
}
