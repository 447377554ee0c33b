//! Decodes Opus (RFC 6716) and G.711 to what engines take: one channel at 16 kHz.

use opus::{Channels, Decoder};

use super::telephone::{PACKET_BYTES_MAX as TELEPHONE_BYTES_MAX, Telephone};
use super::voice::SAMPLE_RATE_HZ;
use crate::domain::media::Codec;

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

/// The packet is not in the codec of its track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotSound;

/// How a codec is decoded.
enum Way {
    Opus(Decoder),
    Telephone(Telephone),
}

/// The decoder of one track.
pub(super) struct Ear {
    codec: Codec,
    way: Way,
    /// Samples of the last packet.
    packet_samples: usize,
    samples: Vec<f32>,
}

impl Ear {
    /// Whether sound in this codec is understood.
    pub(super) const fn understands(codec: Codec) -> bool {
        matches!(codec, Codec::Opus | Codec::Pcmu | Codec::Pcma)
    }

    /// A decoder; `None` when the codec is not understood, or there is no memory for one.
    pub(super) fn new(codec: Codec) -> Option<Self> {
        let (way, samples) = match codec {
            Codec::Opus => {
                let decoder = Decoder::new(SAMPLE_RATE_HZ, Channels::Mono).ok()?;
                (Way::Opus(decoder), vec![0.0; PACKET_SAMPLES_MAX])
            }
            Codec::Pcmu | Codec::Pcma => (Way::Telephone(Telephone::default()), Vec::new()),
            _ => return None,
        };
        Some(Self { codec, way, packet_samples: PACKET_SAMPLES_USUAL, samples })
    }

    /// The codec that it decodes.
    pub(super) const fn codec(&self) -> Codec {
        self.codec
    }

    /// The sound of a packet.
    pub(super) fn decode(&mut self, payload: &[u8]) -> Result<&[f32], NotSound> {
        let Self { codec, way, packet_samples, samples } = self;
        let count = match way {
            Way::Opus(decoder) => {
                if payload.is_empty() || payload.len() > PACKET_BYTES_MAX {
                    return Err(NotSound);
                }
                decoder.decode_float(payload, samples, false).map_err(|_| NotSound)?
            }
            Way::Telephone(telephone) => {
                if payload.is_empty() || payload.len() > TELEPHONE_BYTES_MAX {
                    return Err(NotSound);
                }
                *samples = telephone.decode(*codec, payload);
                samples.len()
            }
        };
        *packet_samples = count.clamp(FRAME_SAMPLES_MIN, PACKET_SAMPLES_MAX);
        samples.get(..count).ok_or(NotSound)
    }

    /// The sound of packets that were lost before the packet `behind`: the last of them from what
    /// `behind` says of it (RFC 6716 §2.1.7), those before it by concealment. Returns it, and how
    /// many packets it stands for: none in G.711, which has neither.
    pub(super) fn reconstruct(&mut self, lost: u64, behind: &[u8]) -> (Vec<f32>, u64) {
        let Way::Opus(decoder) = &mut self.way else { return (Vec::new(), 0) };
        let mut sound = Vec::new();
        let mut done = 0;
        for place in (0..lost.min(CONCEALED_MAX)).rev() {
            let Some(into) = self.samples.get_mut(..self.packet_samples) else { break };
            let (packet, correct): (&[u8], bool) =
                if place == 0 { (behind, true) } else { (&[], false) };
            let decoded = decoder.decode_float(packet, into, correct);
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
        match &mut self.way {
            // It fails for a decoder that does not exist only.
            Way::Opus(decoder) => drop(decoder.reset_state()),
            Way::Telephone(telephone) => *telephone = Telephone::default(),
        }
        self.packet_samples = PACKET_SAMPLES_USUAL;
    }
}
