//! Decodes Opus (RFC 6716) to what engines take: one channel at 16 kHz.

use opus::{Channels, Decoder};

use super::voice::SAMPLE_RATE_HZ;

/// Samples of the longest packet, 120 ms (RFC 6716 §3.2.5).
const PACKET_SAMPLES_MAX: usize = 1_920;
/// Samples of the shortest frame, 2.5 ms.
const FRAME_SAMPLES_MIN: usize = 40;
/// Samples of a packet before the first one has said how long they are: 20 ms.
const PACKET_SAMPLES_USUAL: usize = 320;
/// Lost packets in a row that are reconstructed or concealed. What is concealed longer than 100 ms
/// is no speech any more.
const CONCEALED_MAX: u64 = 5;
/// Bytes of the longest packet: 48 frames of 1,275 bytes (RFC 6716 §3.2.5).
const PACKET_BYTES_MAX: usize = 61_298;

/// The packet is not Opus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotOpus;

/// The decoder of one track.
pub(super) struct Ear {
    decoder: Decoder,
    /// Samples of the last packet.
    packet_samples: usize,
    samples: Vec<f32>,
}

impl Ear {
    /// A decoder; `None` when there is no memory for one.
    pub(super) fn new() -> Option<Self> {
        let decoder = Decoder::new(SAMPLE_RATE_HZ, Channels::Mono).ok()?;
        Some(Self {
            decoder,
            packet_samples: PACKET_SAMPLES_USUAL,
            samples: vec![0.0; PACKET_SAMPLES_MAX],
        })
    }

    /// The sound of a packet.
    pub(super) fn decode(&mut self, payload: &[u8]) -> Result<&[f32], NotOpus> {
        if payload.is_empty() || payload.len() > PACKET_BYTES_MAX {
            return Err(NotOpus);
        }
        let count =
            self.decoder.decode_float(payload, &mut self.samples, false).map_err(|_| NotOpus)?;
        let samples = self.samples.get(..count).ok_or(NotOpus)?;
        self.packet_samples = count.clamp(FRAME_SAMPLES_MIN, PACKET_SAMPLES_MAX);
        Ok(samples)
    }

    /// The sound of packets that were lost before the packet `behind`: the last of them from what
    /// `behind` says of it (RFC 6716 §2.1.7), those before it by concealment. Returns it, and how
    /// many packets it stands for.
    pub(super) fn reconstruct(&mut self, lost: u64, behind: &[u8]) -> (Vec<f32>, u64) {
        let mut sound = Vec::new();
        let mut done = 0;
        for place in (0..lost.min(CONCEALED_MAX)).rev() {
            let Some(into) = self.samples.get_mut(..self.packet_samples) else { break };
            let (packet, correct): (&[u8], bool) =
                if place == 0 { (behind, true) } else { (&[], false) };
            let decoded = self.decoder.decode_float(packet, into, correct);
            let Ok(count) = decoded else { break };
            sound.extend_from_slice(into.get(..count).unwrap_or_default());
            done += 1;
        }
        (sound, done)
    }

    /// How many samples the last packet had.
    pub(super) const fn packet_samples(&self) -> usize {
        self.packet_samples
    }

    /// Forgets what it has heard: another source follows.
    pub(super) fn reset(&mut self) {
        // It fails for a decoder that does not exist only.
        self.decoder.reset_state().ok();
        self.packet_samples = PACKET_SAMPLES_USUAL;
    }
}
