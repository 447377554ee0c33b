//! The bitrate of an encoding, smoothed over the difference between key frames and others.

/// Time between two measurements.
pub(super) const INTERVAL_US: u64 = 200_000;
/// Measurements that are averaged: two seconds.
const AVERAGED: u64 = 10;
/// Bytes that the headers of a packet add to its payload, down to UDP and IP.
const HEADER_BYTES: u64 = 12 + 16 + 16 + 28;

/// How much is sent of an encoding.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Flow {
    /// Since the last measurement.
    bytes: u64,
    bps: u64,
    measurements: u64,
}

impl Flow {
    /// Counts a packet.
    pub(super) const fn note(&mut self, payload_bytes: usize) {
        self.bytes += payload_bytes as u64 + HEADER_BYTES;
    }

    /// Measures what came since the last time. While nothing comes, nothing is measured.
    pub(super) fn measure(&mut self) {
        let bps = std::mem::take(&mut self.bytes) * 8 * 1_000_000 / INTERVAL_US;
        if bps == 0 && self.measurements == 0 {
            return;
        }
        self.measurements = (self.measurements + 1).min(AVERAGED);
        self.bps = (self.bps * (self.measurements - 1) + bps) / self.measurements;
    }

    /// Bits per second as they are sent; `None` while nothing was measured.
    pub(super) fn bps(&self) -> Option<u64> {
        (self.measurements > 0).then_some(self.bps)
    }

    /// Forgets what was measured: another source, or a beginning after a pause.
    pub(super) fn restart(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_frames_weigh_no_more_than_their_part_of_two_seconds() {
        let mut flow = Flow::default();
        flow.measure();
        assert_eq!(flow.bps(), None);
        for step in 0..40 {
            let packets = if step % 20 == 0 { 60 } else { 20 };
            for _ in 0..packets {
                flow.note(1000);
            }
            flow.measure();
        }
        let bps = flow.bps().expect("measured");
        assert!((850_000..1_000_000).contains(&bps), "{bps}");
        flow.restart();
        assert_eq!(flow.bps(), None);
    }
}
