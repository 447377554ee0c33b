//! The metrics of every station: described at the start, and brought up to
//! date when they are scraped.

use async_trait::async_trait;

use crate::api::MetricsSource;
use crate::evidence::Evidence;
use crate::recorder::Recorder;
use crate::room::Rooms;
use crate::sfu::Sfu;
use crate::{api, evidence, moderation, recorder, room, sessions, sfu, telemetry, vault};

/// Describes every metric of the server.
pub(super) fn describe() {
    telemetry::metrics::describe_process();
    sessions::describe_metrics();
    sfu::describe_metrics();
    vault::describe_metrics();
    evidence::describe_metrics();
    recorder::describe_metrics();
    room::describe_metrics();
    moderation::describe_metrics();
    api::describe_metrics();
}

/// What is asked at a scrape.
pub(super) struct Stations {
    pub(super) media: Sfu,
    pub(super) rooms: Rooms,
    pub(super) evidence: Evidence,
    pub(super) recorder: Recorder,
}

#[async_trait]
impl MetricsSource for Stations {
    async fn report(&self) {
        self.rooms.report_metrics();
        self.media.report_metrics().await;
        self.evidence.report_metrics();
        self.recorder.report_metrics();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Mutex;

    use metrics::{
        Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
    };

    use super::*;

    /// Notes what is described.
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

    /// `docs/metrics.txt` is what operators rely on: a name or kind that
    /// changes breaks their dashboards.
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
