//! The server's counters, read from its `/metrics`.

/// Metric of the processor time of the process, in seconds.
const CPU: &str = "cabildo_process_cpu_seconds_total";
/// Metric of RTP packets sent to subscribers.
const FORWARDED: &str = "cabildo_sfu_forwarded_packets_total";
/// Metric of the memory of the process, in bytes.
const MEMORY: &str = "cabildo_process_resident_memory_bytes";
/// Metric of the time that workers took to recognise speech, in seconds.
const RECOGNITION: &str = "cabildo_transcriber_recognition_seconds_sum";

/// Counters of the server at one moment; `None` for metrics that the server does not have.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ServerCounters {
    /// Processor time that the server's process has used, in seconds.
    pub cpu_s: Option<f64>,
    /// Packets that it has forwarded.
    pub forwarded_packets: Option<f64>,
    /// Memory that it has now, in bytes; not a counter.
    pub memory_bytes: Option<f64>,
    /// Time that its workers took to recognise speech, in seconds.
    pub recognition_s: Option<f64>,
}

impl ServerCounters {
    /// Parses the Prometheus text format; counters with labels are added up.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        Self {
            cpu_s: sum(text, CPU),
            forwarded_packets: sum(text, FORWARDED),
            memory_bytes: sum(text, MEMORY),
            recognition_s: sum(text, RECOGNITION),
        }
    }

    /// The counters since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let less = |now: Option<f64>, before: Option<f64>| Some(now? - before.unwrap_or(0.0));
        Self {
            cpu_s: less(self.cpu_s, earlier.cpu_s),
            forwarded_packets: less(self.forwarded_packets, earlier.forwarded_packets),
            memory_bytes: self.memory_bytes,
            recognition_s: less(self.recognition_s, earlier.recognition_s),
        }
    }

    /// Processor time per forwarded packet, in microseconds.
    #[must_use]
    pub fn cpu_us_per_forwarded_packet(&self) -> Option<f64> {
        let packets = self.forwarded_packets.filter(|packets| *packets > 0.0)?;
        Some(self.cpu_s? * 1e6 / packets)
    }
}

fn sum(text: &str, name: &str) -> Option<f64> {
    let mut found = None;
    for line in text.lines() {
        let Some(rest) = line.strip_prefix(name) else { continue };
        // The name must be followed by labels or a space; otherwise it is another name.
        let value = match rest.as_bytes().first() {
            Some(b'{') => rest.rsplit_once('}').map(|(_, value)| value),
            Some(b' ') => Some(rest),
            _ => None,
        };
        let value = value.and_then(|text| text.split_whitespace().next());
        if let Some(value) = value.and_then(|text| text.parse::<f64>().ok()) {
            found = Some(found.unwrap_or(0.0) + value);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "# TYPE cabildo_sfu_forwarded_packets_total counter\n\
        cabildo_sfu_forwarded_packets_total{worker=\"0\",kind=\"a } b\"} 100\n\
        cabildo_sfu_forwarded_packets_total{worker=\"1\"} 50\n\
        cabildo_sfu_forwarded_packets_total_created 7\n\
        cabildo_process_cpu_seconds_total 1.5\n";

    #[test]
    fn counters_are_summed_over_labels_and_subtracted() {
        let before = ServerCounters::parse(BEFORE);
        assert_eq!(before.forwarded_packets, Some(150.0));
        let after = ServerCounters::parse(
            "cabildo_sfu_forwarded_packets_total 2150\ncabildo_process_cpu_seconds_total 1.504\n",
        );
        let spent = after.since(&before).cpu_us_per_forwarded_packet().unwrap();
        assert!((spent - 2.0).abs() < 1e-6, "{spent}");
    }

    #[test]
    fn what_the_server_does_not_show_stays_unknown() {
        let none = ServerCounters::parse("up 1\n");
        assert_eq!(none, ServerCounters::default());
        assert_eq!(none.cpu_us_per_forwarded_packet(), None);
        let idle = ServerCounters {
            cpu_s: Some(1.0),
            forwarded_packets: Some(0.0),
            ..ServerCounters::default()
        };
        assert_eq!(idle.cpu_us_per_forwarded_packet(), None);
    }
}
