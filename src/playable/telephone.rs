//! The sound of cameras that send G.711, as files hold it: Opus. The recording itself has it as it
//! was sent.

use std::fmt;

use opus::{Application, Channels, Encoder};

use crate::domain::media::Codec;
use crate::formats::codec::g711_samples;
use crate::playable::PlayableError;

/// Samples per second of G.711.
const RATE_HZ: u32 = 8_000;
/// Lengths of the frames of Opus in samples, the longest first (RFC 6716 §2.1.4).
const FRAMES: [usize; 6] = [480, 320, 160, 80, 40, 20];
/// Largest frame of Opus (RFC 6716 §3.4). At this rate they have some 80 bytes.
const FRAME_BYTES_MAX: usize = 1_275;

/// Makes Opus of G.711.
pub(super) struct Telephone {
    codec: Codec,
    encoder: Option<Encoder>,
}

impl Telephone {
    /// Nothing when the codec is not G.711.
    pub(super) fn of(codec: Codec) -> Option<Self> {
        matches!(codec, Codec::Pcmu | Codec::Pcma).then_some(Self { codec, encoder: None })
    }

    /// The frames of a packet, each with the microseconds from the beginning of the packet.
    pub(super) fn frames(&mut self, packet: &[u8]) -> Result<Vec<(u64, Vec<u8>)>, PlayableError> {
        let failed = |error: opus::Error| PlayableError::Sound(error.to_string());
        let samples = g711_samples(self.codec, packet);
        let encoder = match &mut self.encoder {
            Some(encoder) => encoder,
            empty => empty
                .insert(Encoder::new(RATE_HZ, Channels::Mono, Application::Voip).map_err(failed)?),
        };
        let (mut frames, mut rest, mut at) = (Vec::new(), samples.as_slice(), 0_u64);
        while !rest.is_empty() {
            let fits = FRAMES.into_iter().find(|length| *length <= rest.len());
            let length = fits.unwrap_or(rest.len());
            let (samples, after) = rest.split_at(length);
            // What is shorter than the shortest frame is made longer by silence.
            let mut frame = samples.to_vec();
            frame.resize(fits.unwrap_or(20), 0);
            let data = encoder.encode_vec(&frame, FRAME_BYTES_MAX).map_err(failed)?;
            frames.push((at * 1_000_000 / u64::from(RATE_HZ), data));
            at += length as u64;
            rest = after;
        }
        Ok(frames)
    }
}

impl fmt::Debug for Telephone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telephone").field("codec", &self.codec).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_of_any_length_become_frames_that_fill_them() {
        for (bytes, wanted) in [
            (160, &[0][..]),
            (240, &[0, 20_000]),
            (480, &[0]),
            (1_000, &[0, 60_000, 120_000]),
            (165, &[0, 20_000]),
            (0, &[]),
        ] {
            let mut telephone = Telephone::of(Codec::Pcmu).expect("it is G.711");
            let frames = telephone.frames(&vec![0xFF; bytes]).expect("encoded");
            let at: Vec<u64> = frames.iter().map(|(at, _)| *at).collect();
            assert_eq!(at, wanted, "{bytes} bytes");
        }
        assert!(Telephone::of(Codec::Opus).is_none());
    }
}
