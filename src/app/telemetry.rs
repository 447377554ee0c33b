//! Metrics: describes those of every module at start, and updates them when they are scraped.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::api::MetricsSource;
use crate::config::Config;
use crate::telemetry::metrics::TenantLabels;
use crate::{
    api, bridges, cameras, delivery, evidence, governance, live, meetings, moderation, recorder,
    room, services, sessions, sfu, telemetry, transcriber, vault,
};

/// How often old samples of histograms are removed.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// The task that maintains the metrics of the process.
pub(super) struct Telemetry {
    upkeep: tokio::task::JoinHandle<()>,
}

impl Telemetry {
    pub(super) fn start(config: &Config) -> anyhow::Result<Self> {
        let labels =
            if config.telemetry.tenant_labels { TenantLabels::Ids } else { TenantLabels::Hidden };
        telemetry::metrics::start(labels)?;
        describe();
        let upkeep = tokio::spawn(async {
            let mut ticks = tokio::time::interval(UPKEEP_INTERVAL);
            loop {
                ticks.tick().await;
                telemetry::metrics::maintain();
            }
        });
        Ok(Self { upkeep })
    }

    pub(super) fn shutdown(self) {
        self.upkeep.abort();
    }
}

/// The parts that update their metrics when they are scraped, one after the other.
pub(super) struct Readings(pub(super) Vec<Arc<dyn MetricsSource>>);

#[async_trait]
impl MetricsSource for Readings {
    async fn report(&self) {
        for reading in &self.0 {
            reading.report().await;
        }
    }
}

/// Describes every metric of the server.
fn describe() {
    telemetry::metrics::describe_process();
    super::certificates::describe_metrics();
    super::clock::describe_metrics();
    sessions::describe_metrics();
    sfu::describe_metrics();
    vault::describe_metrics();
    evidence::describe_metrics();
    cameras::describe_metrics();
    bridges::describe_metrics();
    live::describe_metrics();
    recorder::describe_metrics();
    room::describe_metrics();
    transcriber::describe_metrics();
    moderation::describe_metrics();
    services::describe_metrics();
    governance::describe_metrics();
    meetings::describe_metrics();
    delivery::describe_metrics();
    api::describe_metrics();
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Mutex;

    use metrics::{
        Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
    };

    use super::*;

    /// Collects the descriptions.
    #[derive(Default)]
    struct Descriptions(Mutex<BTreeSet<String>>);

    impl Descriptions {
        fn note(&self, name: &KeyName, kind: &str) {
            let line = format!("{} {kind}", name.as_str());
            assert!(self.0.lock().expect("no panic").insert(line), "{name:?} is described twice");
        }
    }

    impl Recorder for Descriptions {
        fn describe_counter(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
            self.note(&name, "counter");
        }

        fn describe_gauge(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
            self.note(&name, "gauge");
        }

        fn describe_histogram(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
            self.note(&name, "histogram");
        }

        fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
            Counter::noop()
        }

        fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::noop()
        }

        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::noop()
        }
    }

    /// Operators rely on `docs/metrics.txt`: a changed name or type breaks their dashboards.
    #[test]
    fn operators_can_rely_on_these_names() {
        let described = Descriptions::default();
        metrics::with_local_recorder(&described, describe);
        let described = described.0.into_inner().expect("no panic");
        let listed: BTreeSet<String> =
            include_str!("../../docs/metrics.txt").lines().map(str::to_owned).collect();
        assert_eq!(described, listed);
    }
}
