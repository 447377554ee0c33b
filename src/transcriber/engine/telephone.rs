//! G.711, the sound of telephones and of many cameras, at the rate that engines take: twice its own.

use crate::domain::media::Codec;
use crate::formats::codec::g711_samples;

/// Bytes of the longest packet that is taken, which are as many samples: 200 ms. Raising it lets
/// one packet take longer to be heard.
pub(super) const PACKET_BYTES_MAX: usize = 1_600;
/// The half of a low-pass filter that puts a sample in the middle between two: the sine cardinal,
/// faded out by a squared cosine. The other half is its mirror image.
const MIDDLE: [f32; 6] = [0.625_208, -0.180_966, 0.080_066, -0.033_673, 0.010_35, -0.000_985];
/// Samples that the middle is made of.
const TAPS: usize = MIDDLE.len() * 2;

/// What is known of the sound before.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Telephone {
    /// The last samples, the oldest first.
    last: [f32; TAPS],
}

impl Telephone {
    /// The sound of a packet, from -1 to 1 and less than a millisecond late.
    pub(super) fn decode(&mut self, codec: Codec, packet: &[u8]) -> Vec<f32> {
        let mut sound = Vec::with_capacity(packet.len() * 2);
        for sample in g711_samples(codec, packet) {
            self.last.rotate_left(1);
            let [.., newest] = &mut self.last;
            *newest = f32::from(sample) / 32_768.0;
            let (before, after) = self.last.split_at(MIDDLE.len());
            let pairs = before.iter().rev().zip(after).zip(MIDDLE);
            let middle: f32 = pairs.map(|((left, right), part)| (left + right) * part).sum();
            sound.extend([before.last().copied().unwrap_or(0.0), middle]);
        }
        sound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// µ-law of a tone, by looking for the nearest value.
    fn tone(hz: f32, samples: u16) -> Vec<u8> {
        let all = g711_samples(Codec::Pcmu, &(0..=255).collect::<Vec<u8>>());
        let nearest = |wanted: f32| {
            let far = |byte: &u8| (f32::from(all[usize::from(*byte)]) - wanted).abs();
            (0..=255_u8).min_by(|a, b| far(a).total_cmp(&far(b))).expect("some byte")
        };
        let at = |n: u16| (f32::from(n) * hz * std::f32::consts::TAU / 8_000.0).sin() * 16_000.0;
        (0..samples).map(|n| nearest(at(n))).collect()
    }

    /// How much of a frequency is in sound at 16 kHz.
    fn part(sound: &[f32], hz: f32) -> f32 {
        let (mut re, mut im) = (0.0, 0.0);
        for (n, sample) in (0_u16..).zip(sound) {
            let angle = f32::from(n) * hz * std::f32::consts::TAU / 16_000.0;
            re += sample * angle.cos();
            im += sample * angle.sin();
        }
        re.hypot(im) / f32::from(u16::try_from(sound.len()).expect("short")) * 2.0
    }

    #[test]
    fn a_tone_keeps_its_pitch_and_loudness_and_gets_no_mirror_image() {
        let mut telephone = Telephone::default();
        let packets = tone(1_000.0, 1_600);
        let sound: Vec<f32> =
            packets.chunks(160).flat_map(|it| telephone.decode(Codec::Pcmu, it)).collect();
        assert_eq!(sound.len(), 3_200);
        let sound = &sound[320..];
        let (own, mirror) = (part(sound, 1_000.0), part(sound, 7_000.0));
        assert!((own - 16_000.0 / 32_768.0).abs() < 0.02, "{own}");
        assert!(mirror < own / 100.0, "{mirror}");
    }
}
