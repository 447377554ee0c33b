//! The results of a load test of transcription, as a table or as JSON whose field names contain
//! their unit.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

/// What serving a half of the test cost. Fields that could not be measured are `null`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cost {
    /// Median time from the socket of a camera to that of a subscriber.
    pub forward_delay_ms_p50: Option<f64>,
    /// The 99th percentile of that time.
    pub forward_delay_ms_p99: Option<f64>,
    /// Distinct packets that reached the subscribers.
    pub received_packets_per_s: f64,
    /// Share of the packets for subscribers that never arrived.
    pub loss_ratio: f64,
    /// Processor time of the server's process for each second.
    pub server_cpu_cores: Option<f64>,
    /// Memory of the server's process at the end.
    pub server_memory_bytes: Option<f64>,
}

/// The results of a load test of transcription. Fields that could not be measured are `null`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SpeechReport {
    /// Number of sessions.
    pub rooms: u32,
    /// Speakers in each room, who say one recorded phrase after the other.
    pub speakers_per_room: u32,
    /// Publishers of video in each room.
    pub publishers_per_room: u32,
    /// Subscribers in each room, who receive every track.
    pub subscribers_per_room: u32,
    /// Duration of each half: without transcription, then with it.
    pub duration_s: f64,
    /// Share of datagrams that the clients dropped deliberately, in each direction.
    pub injected_loss_ratio: f64,
    /// Phrases whose text came.
    pub phrases_with_text: u64,
    /// Phrases of which the server said that it has no text.
    pub phrases_with_gap: u64,
    /// Phrases of which nothing came: noise to the server, or lost.
    pub phrases_lost: u64,
    /// Gaps by the cause that the server gave; `overload` are those that it let go.
    pub gaps_by_cause: BTreeMap<String, u64>,
    /// Median time from the last sample of a phrase to its text at the listener.
    pub latency_ms_p50: Option<f64>,
    /// The 95th percentile of that time.
    pub latency_ms_p95: Option<f64>,
    /// The 99th percentile of that time.
    pub latency_ms_p99: Option<f64>,
    /// Texts that came of what whoever has the floor was still saying.
    pub so_far_texts: u64,
    /// Median time from the newest sample in such a text to it at the listener.
    pub so_far_latency_ms_p50: Option<f64>,
    /// The 95th percentile of that time.
    pub so_far_latency_ms_p95: Option<f64>,
    /// The 99th percentile of that time.
    pub so_far_latency_ms_p99: Option<f64>,
    /// Seconds that workers took for each second of speech, pauses not counted.
    pub real_time_factor: Option<f64>,
    /// The half without transcription.
    pub without: Cost,
    /// The half with transcription.
    pub with: Cost,
    /// Errors by description, with their number.
    pub errors: BTreeMap<String, u64>,
}

impl SpeechReport {
    /// By how much the 99th percentile of the forward delay is worse with transcription.
    fn forward_delay_worse_ms_p99(&self) -> Option<f64> {
        Some(self.with.forward_delay_ms_p99? - self.without.forward_delay_ms_p99?)
    }
}

impl fmt::Display for SpeechReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = |value: Option<f64>, digits: usize| {
            value.map_or_else(|| "unknown".to_owned(), |value| format!("{value:.digits$}"))
        };
        let both = |of: fn(&Cost) -> Option<f64>, digits| {
            format!("{} / {}", known(of(&self.without), digits), known(of(&self.with), digits))
        };
        let latency = [self.latency_ms_p50, self.latency_ms_p95, self.latency_ms_p99];
        let so_far =
            [self.so_far_latency_ms_p50, self.so_far_latency_ms_p95, self.so_far_latency_ms_p99];
        let rows = [
            (
                "rooms × (speakers, publishers → subscribers)",
                format!(
                    "{} × ({}, {} → {}), {:.1} s",
                    self.rooms,
                    self.speakers_per_room,
                    self.publishers_per_room,
                    self.subscribers_per_room,
                    self.duration_s
                ),
            ),
            (
                "phrases with text / gap / nothing",
                format!(
                    "{} / {} / {}",
                    self.phrases_with_text, self.phrases_with_gap, self.phrases_lost
                ),
            ),
            (
                "last sample to text p50 / p95 / p99",
                format!("{} ms", latency.map(|value| known(value, 0)).join(" / ")),
            ),
            ("texts of what was still being said", self.so_far_texts.to_string()),
            (
                "newest sample to such a text p50 / p95 / p99",
                format!("{} ms", so_far.map(|value| known(value, 0)).join(" / ")),
            ),
            ("real-time factor", known(self.real_time_factor, 3)),
            (
                "forward delay p50, without / with",
                format!("{} ms", both(|cost| cost.forward_delay_ms_p50, 2)),
            ),
            (
                "forward delay p99, without / with",
                format!("{} ms", both(|cost| cost.forward_delay_ms_p99, 2)),
            ),
            (
                "forward delay p99, worse by",
                format!("{} ms", known(self.forward_delay_worse_ms_p99(), 2)),
            ),
            (
                "server CPU, without / with",
                format!("{} cores", both(|cost| cost.server_cpu_cores, 2)),
            ),
            (
                "server memory, without / with",
                format!("{} MB", both(|cost| cost.server_memory_bytes.map(|bytes| bytes / 1e6), 0)),
            ),
        ];
        for (name, value) in rows {
            writeln!(f, "{name:<46}{value}")?;
        }
        for (cause, count) in &self.gaps_by_cause {
            writeln!(f, "gap × {count}: {cause}")?;
        }
        for (error, count) in &self.errors {
            writeln!(f, "error × {count}: {error}")?;
        }
        Ok(())
    }
}
