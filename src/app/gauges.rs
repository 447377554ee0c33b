//! What is read from the parts when metrics are scraped.

use async_trait::async_trait;

use crate::api::Gauges;
use crate::evidence::Evidence;
use crate::recorder::{Recorder, RecorderStats};
use crate::room::Rooms;
use crate::sfu::engine::Totals;
use crate::sfu::worker::WorkerStats;
use crate::sfu::{Sfu, SfuStats};
use crate::telemetry::metrics::Reading;

/// Everything there is to read.
pub(super) struct AllGauges {
    pub(super) media: Option<Sfu>,
    pub(super) rooms: Option<Rooms>,
    pub(super) evidence: Evidence,
    pub(super) recorder: Option<Recorder>,
}

#[async_trait]
impl Gauges for AllGauges {
    async fn read(&self) -> Vec<Reading> {
        let mut readings = Vec::new();
        if let Some(rooms) = &self.rooms {
            let open = rooms.count().await;
            readings.push(Reading::gauge("cabildo_rooms", "Rooms open.", number(open as u64)));
        }
        if let Some(media) = &self.media
            && let Ok(stats) = media.stats().await
        {
            readings.extend(media_readings(&stats));
            readings.extend(worker_readings(&media.worker_stats().await));
        }
        readings.extend(self.evidence.readings());
        readings.extend(self.recorder.iter().flat_map(|it| recorder_readings(&it.stats())));
        readings
    }
}

/// What the recorder counts.
fn recorder_readings(stats: &RecorderStats) -> Vec<Reading> {
    let gauge = |name, help, value| Reading::gauge(name, help, number(value));
    let counter = |name, help, value| Reading::counter(name, help, number(value));
    let seconds = |ms: u64| number(ms) / 1_000.0;
    vec![
        gauge("cabildo_recorder_tracks", "Tracks being recorded.", stats.tracks),
        Reading::counter(
            "cabildo_recording_duration_seconds_total",
            "Time recorded, of all tracks together.",
            seconds(stats.recorded_ms),
        ),
        counter("cabildo_recorder_packets_total", "Packets recorded.", stats.packets),
        counter("cabildo_recorder_segments_total", "Segments sealed.", stats.segments_sealed),
        counter("cabildo_recorder_gaps_total", "Gaps recorded.", stats.gaps),
        counter(
            "cabildo_recorder_packets_lost_total",
            "Packets that were not recorded.",
            stats.packets_lost,
        ),
        counter(
            "cabildo_recorder_upload_failures_total",
            "Attempts to bring a segment to the vault that failed.",
            stats.upload_failures,
        ),
        gauge(
            "cabildo_recorder_spool_segments",
            "Segments on their way to the vault.",
            stats.spool_segments,
        ),
        gauge("cabildo_recorder_spool_bytes", "Bytes of those segments.", stats.spool_bytes),
        gauge(
            "cabildo_recorder_spool_free_bytes",
            "Bytes free on the disk of the spool.",
            stats.spool_free_bytes,
        ),
        Reading::gauge(
            "cabildo_recorder_lag_seconds",
            "Age of the oldest segment that is not in vault and log.",
            seconds(stats.oldest_pending_ms),
        ),
    ]
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus counts in f64 anyway")]
const fn number(value: u64) -> f64 {
    value as f64
}

/// The media plane's own counters.
fn media_readings(stats: &SfuStats) -> Vec<Reading> {
    let gauge = |name, help, value| Reading::gauge(name, help, number(value));
    let counter = |name, help, value| Reading::counter(name, help, number(value));
    vec![
        gauge("cabildo_sfu_rooms", "Rooms that carry media.", stats.rooms),
        gauge("cabildo_sfu_peers", "Peers in rooms.", stats.peers),
        gauge("cabildo_sfu_transports", "Transports that live.", stats.transports),
        gauge("cabildo_sfu_tracks", "Tracks published.", stats.tracks),
        gauge("cabildo_sfu_subscriptions", "Streams towards receivers.", stats.subscriptions),
        counter(
            "cabildo_sfu_handshakes_completed_total",
            "Handshakes completed.",
            stats.handshakes_completed,
        ),
        counter(
            "cabildo_sfu_handshakes_failed_total",
            "Transports lost before their handshake completed.",
            stats.handshakes_failed,
        ),
        counter(
            "cabildo_sfu_datagrams_limited_total",
            "Datagrams refused by rate limits.",
            stats.datagrams_limited,
        ),
        counter(
            "cabildo_sfu_datagrams_unroutable_total",
            "Datagrams that belong to no transport.",
            stats.datagrams_unroutable,
        ),
        counter(
            "cabildo_sfu_events_dropped_total",
            "Room events dropped because a room was slow.",
            stats.events_dropped,
        ),
    ]
}

/// What the workers counted, those of one name together.
fn worker_readings(workers: &[(usize, WorkerStats)]) -> Vec<Reading> {
    type Count = fn(&Totals) -> u64;
    const COUNTS: &[(&str, &str, Count)] = &[
        ("cabildo_sfu_received_packets_total", "Media packets received.", |it| it.packets_in),
        ("cabildo_sfu_received_bytes_total", "Bytes of media received.", |it| it.bytes_in),
        (
            "cabildo_sfu_forwarded_packets_total",
            "Copies of packets sent to subscribers, retransmissions excluded.",
            |it| it.packets_forwarded,
        ),
        ("cabildo_sfu_forwarded_bytes_total", "Bytes of payload of those copies.", |it| {
            it.payload_bytes_forwarded
        }),
        ("cabildo_sfu_resent_packets_total", "Packets sent again to subscribers.", |it| {
            it.packets_resent
        }),
        ("cabildo_sfu_recovered_packets_total", "Lost packets that publishers sent again.", |it| {
            it.packets_recovered
        }),
        ("cabildo_sfu_nacks_sent_total", "Lost packets asked for from publishers.", |it| {
            it.nacks_sent
        }),
        ("cabildo_sfu_nacks_received_total", "Lost packets that subscribers asked for.", |it| {
            it.nacks_received
        }),
        ("cabildo_sfu_plis_sent_total", "Key frames asked for from publishers.", |it| {
            it.key_frame_requests_sent
        }),
        ("cabildo_sfu_plis_received_total", "Key frames that subscribers asked for.", |it| {
            it.key_frame_requests_received
        }),
    ];
    const DROPS: &[(&str, Count)] = &[
        ("other", |it| it.dropped_other),
        ("unknown_address", |it| it.dropped_unknown_address),
        ("malformed", |it| it.dropped_malformed),
        ("unauthentic", |it| it.dropped_unauthentic),
        ("unknown_source", |it| it.dropped_unknown_source),
        ("duplicate", |it| it.dropped_duplicate),
        ("gate", |it| it.dropped_gate),
        ("format", |it| it.dropped_format),
        ("full", |it| it.dropped_full),
    ];
    let mut readings = Vec::new();
    for (name, help, count) in COUNTS {
        readings.extend(workers.iter().map(|(index, stats)| {
            let value = number(count(&stats.forwarder.totals));
            Reading::counter(name, help, value).with("worker", index.to_string())
        }));
    }
    for (reason, count) in DROPS {
        let dropped = workers.iter().map(|(_, stats)| count(&stats.forwarder.totals)).sum();
        let help = "Packets that went no further, by reason.";
        let reading = Reading::counter("cabildo_sfu_dropped_packets_total", help, number(dropped));
        readings.push(reading.with("reason", (*reason).to_owned()));
    }
    readings.extend(workers.iter().map(|(index, stats)| {
        let help = "Processor time of each worker.";
        let value = stats.cpu_time.as_secs_f64();
        Reading::counter("cabildo_sfu_worker_cpu_seconds_total", help, value)
            .with("worker", index.to_string())
    }));
    readings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_can_rely_on_these_names() {
        let stats = SfuStats { rooms: 3, ..SfuStats::default() };
        let readings = media_readings(&stats);
        assert_eq!(
            readings[0],
            Reading::gauge("cabildo_sfu_rooms", "Rooms that carry media.", 3.0)
        );
        let mut workers = vec![(0, WorkerStats::default()), (1, WorkerStats::default())];
        workers[1].1.forwarder.totals.packets_forwarded = 7;
        let text = crate::telemetry::metrics::render(&worker_readings(&workers));
        assert!(text.contains("\ncabildo_sfu_forwarded_packets_total{worker=\"1\"} 7\n"), "{text}");
        let mut names: Vec<_> = readings.iter().map(|reading| reading.name).collect();
        names.extend(
            text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()),
        );
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "cabildo_sfu_datagrams_limited_total",
                "cabildo_sfu_datagrams_unroutable_total",
                "cabildo_sfu_dropped_packets_total",
                "cabildo_sfu_events_dropped_total",
                "cabildo_sfu_forwarded_bytes_total",
                "cabildo_sfu_forwarded_packets_total",
                "cabildo_sfu_handshakes_completed_total",
                "cabildo_sfu_handshakes_failed_total",
                "cabildo_sfu_nacks_received_total",
                "cabildo_sfu_nacks_sent_total",
                "cabildo_sfu_peers",
                "cabildo_sfu_plis_received_total",
                "cabildo_sfu_plis_sent_total",
                "cabildo_sfu_received_bytes_total",
                "cabildo_sfu_received_packets_total",
                "cabildo_sfu_recovered_packets_total",
                "cabildo_sfu_resent_packets_total",
                "cabildo_sfu_rooms",
                "cabildo_sfu_subscriptions",
                "cabildo_sfu_tracks",
                "cabildo_sfu_transports",
                "cabildo_sfu_worker_cpu_seconds_total",
            ]
        );
    }
}
