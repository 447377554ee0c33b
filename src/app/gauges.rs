//! What is read from the parts when metrics are scraped.

use async_trait::async_trait;

use crate::api::Gauges;
use crate::room::Rooms;
use crate::sfu::{Sfu, SfuStats};
use crate::telemetry::metrics::Reading;

/// Everything there is to read.
pub(super) struct AllGauges {
    pub(super) media: Option<Sfu>,
    pub(super) rooms: Option<Rooms>,
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
        }
        readings
    }
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
        for reading in readings {
            assert!(reading.name.starts_with("cabildo_sfu_"), "{}", reading.name);
        }
    }
}
