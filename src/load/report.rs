//! The results of a measurement, as a table or as JSON whose field names contain their unit.

use std::collections::BTreeMap;
use std::fmt;

use hdrhistogram::Histogram;
use serde::Serialize;

/// The results of a load test. Fields that could not be measured are `null`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Number of sessions.
    pub rooms: u32,
    /// Publishers in each room, who send audio and video.
    pub publishers_per_room: u32,
    /// Subscribers in each room, who receive every track.
    pub subscribers_per_room: u32,
    /// Duration of the measurement, after everybody had joined.
    pub duration_s: f64,
    /// Share of datagrams that the clients dropped deliberately, in each direction.
    pub injected_loss_ratio: f64,
    /// Processor time of the server's process divided by the packets that it forwarded.
    pub server_cpu_us_per_forwarded_packet: Option<f64>,
    /// According to the server's own counter.
    pub forwarded_packets_per_s: Option<f64>,
    /// Distinct packets that reached the subscribers.
    pub received_packets_per_s: f64,
    /// RTP after decryption.
    pub received_bits_per_s: f64,
    /// Packets that the publishers sent.
    pub sent_packets_per_s: f64,
    /// Share of the packets for subscribers that never arrived.
    pub loss_ratio: f64,
    /// The same for video alone, in which lost packets are retransmitted.
    pub video_loss_ratio: f64,
    /// Packets that arrived only by retransmission.
    pub recovered_packets: u64,
    /// Key-frame requests sent by subscribers.
    pub key_frames_requested: u64,
    /// Median time from opening the socket to the first complete key frame of video.
    pub join_ms_p50: Option<f64>,
    /// The 95th percentile of that time.
    pub join_ms_p95: Option<f64>,
    /// The 99th percentile of that time.
    pub join_ms_p99: Option<f64>,
    /// Subscribers that received a key frame.
    pub joined_subscribers: u64,
    /// Median time from a publisher's socket to a subscriber's, without retransmitted packets.
    pub forward_delay_ms_p50: Option<f64>,
    /// The 99th percentile of that time.
    pub forward_delay_ms_p99: Option<f64>,
    /// Processor time of the clients per received packet, to judge whether they limited the result.
    pub client_cpu_us_per_received_packet: Option<f64>,
    /// Errors by description, with their number.
    pub errors: BTreeMap<String, u64>,
}

/// A quantile of microseconds in milliseconds; `None` for an empty histogram.
pub(super) fn quantile_ms(histogram: &Histogram<u64>, quantile: f64) -> Option<f64> {
    // 2^53 microseconds are 285 years.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    (!histogram.is_empty()).then(|| histogram.value_at_quantile(quantile) as f64 / 1_000.0)
}

/// A count divided by `by`; 0 when `by` is 0.
pub(super) fn rate(count: u64, by: f64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts of one run are far below 2^53")]
    let count = count as f64;
    if by > 0.0 { count / by } else { 0.0 }
}

/// The share of `part` in `part + rest`.
pub(super) fn share(part: u64, rest: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts of one run are far below 2^53")]
    rate(part, (part + rest) as f64)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = |value: Option<f64>, digits: usize| {
            value.map_or_else(|| "unknown".to_owned(), |value| format!("{value:.digits$}"))
        };
        let three = |p50, p95, p99| {
            let values: [Option<f64>; 3] = [p50, p95, p99];
            values.map(|value| known(value, 1)).join(" / ")
        };
        let rows = [
            (
                "rooms × (publishers → subscribers)",
                format!(
                    "{} × ({} → {}), {:.1} s",
                    self.rooms,
                    self.publishers_per_room,
                    self.subscribers_per_room,
                    self.duration_s
                ),
            ),
            (
                "server CPU per forwarded packet",
                format!("{} µs", known(self.server_cpu_us_per_forwarded_packet, 2)),
            ),
            ("forwarded packets", format!("{} /s", known(self.forwarded_packets_per_s, 0))),
            ("received packets", format!("{:.0} /s", self.received_packets_per_s)),
            ("received bitrate", format!("{:.1} Mbit/s", self.received_bits_per_s / 1e6)),
            (
                "loss (video alone)",
                format!(
                    "{:.3} % ({:.3} %)",
                    self.loss_ratio * 100.0,
                    self.video_loss_ratio * 100.0
                ),
            ),
            ("recovered by retransmission", format!("{} packets", self.recovered_packets)),
            (
                "join to first key frame p50 / p95 / p99",
                format!("{} ms", three(self.join_ms_p50, self.join_ms_p95, self.join_ms_p99)),
            ),
            (
                "forward delay p50 / p99",
                format!(
                    "{} / {} ms",
                    known(self.forward_delay_ms_p50, 2),
                    known(self.forward_delay_ms_p99, 2)
                ),
            ),
            (
                "client CPU per received packet",
                format!("{} µs", known(self.client_cpu_us_per_received_packet, 2)),
            ),
        ];
        for (name, value) in rows {
            writeln!(f, "{name:<42}{value}")?;
        }
        for (error, count) in &self.errors {
            writeln!(f, "error × {count}: {error}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_of_nothing_are_nothing() {
        assert!(share(0, 0).abs() < f64::EPSILON);
        assert!((share(1, 3) - 0.25).abs() < f64::EPSILON);
        assert_eq!(quantile_ms(&Histogram::new(3).unwrap(), 0.5), None);
    }

    #[test]
    fn quantiles_are_in_milliseconds() {
        let mut histogram = Histogram::new(3).unwrap();
        for value in [1_000, 2_000, 90_000] {
            histogram.record(value).unwrap();
        }
        let p50 = quantile_ms(&histogram, 0.5).unwrap();
        let p99 = quantile_ms(&histogram, 0.99).unwrap();
        assert!((p50 - 2.0).abs() < 0.01 && (p99 - 90.0).abs() < 0.1, "{p50} {p99}");
    }
}
