//! The bitrate that each room receives, and the highest layer that may leave it.

use std::collections::BTreeMap;

use crate::domain::id::SessionId;
use crate::sfu::plane::MediaEvent;

use super::Forwarder;
use super::publication::Publication;

/// Measurements over a shorter time than this would be mostly chance.
const MEASURED_OVER_US_MIN: u64 = 500_000;

impl Forwarder {
    /// Reports the bitrate that each room received since the last measurement, whether or not the
    /// packets passed a gate.
    pub(super) fn measure_incoming(&mut self, now_us: u64) {
        let elapsed_us = now_us.saturating_sub(self.measured_us);
        if elapsed_us < MEASURED_OVER_US_MIN {
            return;
        }
        self.measured_us = now_us;
        let mut bits: BTreeMap<SessionId, u64> = BTreeMap::new();
        for at in 0..self.publications.reach() {
            if let Some(publication) = self.publications.at_mut(at) {
                *bits.entry(publication.room).or_default() += 8 * publication.take_measured_bytes();
            }
        }
        // Bits per millisecond are kilobits per second.
        let kbps = |bits: u64| u32::try_from(bits * 1_000 / elapsed_us).unwrap_or(u32::MAX);
        let rooms: Vec<_> = bits.into_iter().map(|(room, bits)| (room, kbps(bits))).collect();
        if !rooms.is_empty() {
            self.tell(MediaEvent::Incoming { rooms });
        }
    }

    /// Limits the layers that leave a room, for all receivers and taps, present and future. Tracks
    /// with one encoding are not affected.
    pub(super) fn set_layer_max(&mut self, room: SessionId, layer_max: u8, now_us: u64) {
        if layer_max == u8::MAX {
            self.layers_max.remove(&room);
        } else {
            self.layers_max.insert(room, layer_max);
        }
        for at in 0..self.publications.reach() {
            let Some(publication) = self.publications.at_mut(at) else { continue };
            if publication.room == room {
                publication.layer_max = layer_max;
                self.retarget_all(at, now_us);
            }
        }
    }
}

impl Publication {
    fn take_measured_bytes(&mut self) -> u64 {
        let total = self.stats.payload_bytes_in;
        total - std::mem::replace(&mut self.measured_bytes, total)
    }
}
