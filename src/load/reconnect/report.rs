//! What was measured of a return.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

/// The results. Fields that could not be measured are `null`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReconnectReport {
    /// People in the meeting.
    pub people: u32,
    /// Whether the server was killed and started again; otherwise all connections were reset.
    pub server_restarted: bool,
    /// People that were welcomed again.
    pub came_back: u64,
    /// How long it took until everybody had joined, sixteen at a time.
    pub joining_s: f64,
    /// Median time from the loss, or from when the server was ready again, to `welcome`.
    pub welcome_ms_p50: Option<f64>,
    /// The 95th percentile of that time.
    pub welcome_ms_p95: Option<f64>,
    /// The 99th percentile of that time.
    pub welcome_ms_p99: Option<f64>,
    /// The longest of them.
    pub welcome_ms_max: Option<f64>,
    /// That time of the moderator.
    pub moderator_welcome_ms: Option<f64>,
    /// Bytes of messages that each person was sent after the loss.
    pub received_bytes_per_person: f64,
    /// Events among them.
    pub received_events_per_person: f64,
    /// Events that somebody should have been sent, by their numbers, and was not.
    pub missing_events: u64,
    /// Errors by description, with their number.
    pub errors: BTreeMap<String, u64>,
}

impl ReconnectReport {
    /// Whether everybody came back and missed nothing.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.came_back == u64::from(self.people) && self.missing_events == 0
    }
}

impl fmt::Display for ReconnectReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = |value: Option<f64>| {
            value.map_or_else(|| "unknown".to_owned(), |value| format!("{value:.0}"))
        };
        let loss = if self.server_restarted { "server killed" } else { "connections reset" };
        let times =
            [self.welcome_ms_p50, self.welcome_ms_p95, self.welcome_ms_p99, self.welcome_ms_max];
        let rows = [
            ("people", format!("{}, {loss}", self.people)),
            ("joined within", format!("{:.1} s", self.joining_s)),
            ("came back", self.came_back.to_string()),
            (
                "loss to welcome p50 / p95 / p99 / max",
                format!("{} ms", times.map(known).join(" / ")),
            ),
            ("the moderator", format!("{} ms", known(self.moderator_welcome_ms))),
            (
                "received by each person",
                format!(
                    "{:.0} bytes, {:.1} events",
                    self.received_bytes_per_person, self.received_events_per_person
                ),
            ),
            ("missing events", self.missing_events.to_string()),
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
