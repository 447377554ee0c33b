//! The bitrate of an encoding and of its temporal layers, smoothed over the difference between key
//! frames and others.

use crate::formats::codec::TemporalLayer;

/// Time between two measurements.
pub(super) const INTERVAL_US: u64 = 200_000;
/// Measurements that are averaged: two seconds.
const AVERAGED: u64 = 10;
/// Bytes that the headers of a packet add to its payload, down to UDP and IP.
const HEADER_BYTES: u64 = 12 + 16 + 16 + 28;
/// Temporal layers that are told apart; what is above them counts as the highest one.
pub(super) const TEMPORAL_MAX: usize = 4;
/// A temporal layer with less than this part of an encoding, in hundredths, is not worth leaving out.
const WORTH_PERCENT: u64 = 5;

#[derive(Debug, Clone, Copy, Default)]
struct Part {
    /// Since the last measurement.
    bytes: u64,
    bps: u64,
}

/// How much is sent of an encoding.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Flow {
    /// By temporal layer. What has none is on the lowest one.
    parts: [Part; TEMPORAL_MAX],
    measurements: u64,
}

impl Flow {
    /// Counts a packet.
    pub(super) fn note(&mut self, payload_bytes: usize, temporal: Option<TemporalLayer>) {
        let layer = temporal.map_or(0, |layer| usize::from(layer.id).min(TEMPORAL_MAX - 1));
        self.parts[layer].bytes += payload_bytes as u64 + HEADER_BYTES;
    }

    /// Measures what came since the last time. While nothing comes, nothing is measured.
    pub(super) fn measure(&mut self) {
        if self.measurements == 0 && self.parts.iter().all(|part| part.bytes == 0) {
            return;
        }
        self.measurements = (self.measurements + 1).min(AVERAGED);
        for part in &mut self.parts {
            let bps = std::mem::take(&mut part.bytes) * 8 * 1_000_000 / INTERVAL_US;
            part.bps = (part.bps * (self.measurements - 1) + bps) / self.measurements;
        }
    }

    /// Bits per second as they are sent; `None` while nothing was measured.
    pub(super) fn bps(&self) -> Option<u64> {
        self.bps_up_to(u8::MAX)
    }

    /// Bits per second without the temporal layers above `temporal`.
    pub(super) fn bps_up_to(&self, temporal: u8) -> Option<u64> {
        let parts = self.parts.iter().take(usize::from(temporal) + 1);
        (self.measurements > 0).then(|| parts.map(|part| part.bps).sum())
    }

    /// The highest temporal layer that has a part worth leaving out; 0 where there is only one.
    pub(super) fn highest_temporal(&self) -> u8 {
        let whole: u64 = self.parts.iter().map(|part| part.bps).sum();
        let is_worth = |(_, part): &(u8, &Part)| part.bps * 100 > whole * WORTH_PERCENT;
        (0_u8..).zip(&self.parts).filter(is_worth).last().map_or(0, |(layer, _)| layer)
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
                flow.note(1000, None);
            }
            flow.measure();
        }
        let bps = flow.bps().expect("measured");
        assert!((850_000..1_000_000).contains(&bps), "{bps}");
        flow.restart();
        assert_eq!(flow.bps(), None);
    }

    #[test]
    fn temporal_layers_are_measured_each() {
        let mut flow = Flow::default();
        let layer = |id| Some(TemporalLayer { id, is_sync: false, opens_higher: false });
        for _ in 0..20 {
            for id in [0, 2, 1, 2] {
                flow.note(928, layer(id));
            }
            flow.measure();
        }
        let rates = [0, 1, 2, u8::MAX].map(|temporal| flow.bps_up_to(temporal));
        assert_eq!(rates, [40_000, 80_000, 160_000, 160_000].map(Some));
        assert_eq!(flow.bps(), Some(160_000));
        assert_eq!(flow.highest_temporal(), 2);
        for _ in 0..60 {
            flow.note(928, layer(0));
            flow.note(928, layer(7));
            flow.measure();
        }
        assert_eq!(flow.highest_temporal(), 3, "what is higher counts as the highest");
        for _ in 0..60 {
            flow.note(928, None);
            flow.measure();
        }
        assert_eq!(flow.highest_temporal(), 0, "a layer that ended");
    }
}
