//! AAC as cameras send it: `mpeg4-generic` in the mode `AAC-hbr` (RFC 3640 §3.3.6).

use bytes::Bytes;

use crate::formats::bits::Bits;

/// Rates by their index (ISO/IEC 14496-3 table 1.18).
const RATES_HZ: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000,
    7_350,
];
/// Largest configuration that is kept, in bytes. Known ones have two to seven.
const CONFIG_BYTES_MAX: usize = 64;
/// Most frames of a packet; a packet with more is dropped.
const FRAMES_MAX: usize = 64;
/// What encoders make of silence, for one channel and for two.
const SILENCE_MONO: &[u8] = &[0x01, 0x18, 0x20, 0x07];
const SILENCE_STEREO: &[u8] = &[0x21, 0x10, 0x04, 0x60, 0x8C, 0x1C];

/// What a decoder of AAC must know before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AacConfig {
    /// The `AudioSpecificConfig` (ISO/IEC 14496-3 §1.6.2.1).
    pub bytes: Vec<u8>,
    /// Its object type: 2 for low complexity, 5 and 29 when a band is added to it.
    pub object_type: u8,
    /// Samples per second, without an added band.
    pub rate_hz: u32,
    /// How many channels: one or two.
    pub channels: u8,
    /// Samples of a frame.
    pub frame_samples: u32,
}

impl AacConfig {
    /// Low complexity, 48 kHz, stereo.
    #[must_use]
    pub fn stereo_48_khz() -> Self {
        Self {
            bytes: vec![0x11, 0x90],
            object_type: 2,
            rate_hz: 48_000,
            channels: 2,
            frame_samples: 1_024,
        }
    }

    /// Reads a configuration; `None` when it is not one of low complexity with one or two
    /// channels, to which a band may be added.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > CONFIG_BYTES_MAX {
            return None;
        }
        let mut bits = Bits::new(bytes);
        let object_type = u8::try_from(bits.number(5)?).ok()?;
        let rate_hz = rate(&mut bits)?;
        let channels = u8::try_from(bits.number(4)?).ok()?;
        let core = match object_type {
            5 | 29 => {
                rate(&mut bits)?;
                bits.number(5)?
            }
            other => other.into(),
        };
        let is_short = bits.bit()?;
        let is_known =
            core == 2 && matches!(channels, 1 | 2) && (7_350..=96_000).contains(&rate_hz);
        is_known.then(|| Self {
            bytes: bytes.to_vec(),
            object_type,
            rate_hz,
            channels,
            frame_samples: if is_short { 960 } else { 1_024 },
        })
    }

    /// A frame of silence.
    #[must_use]
    pub const fn silence(&self) -> &'static [u8] {
        if self.channels == 1 { SILENCE_MONO } else { SILENCE_STEREO }
    }
}

fn rate(bits: &mut Bits<'_>) -> Option<u32> {
    match bits.number(4)? {
        15 => bits.number(24),
        index => RATES_HZ.get(usize::try_from(index).ok()?).copied(),
    }
}

/// Takes frames out of packets.
#[derive(Debug, Default)]
pub struct AacFrames {
    /// A frame of which parts are missing: its length, its stamp and what there is of it.
    begun: Option<(usize, i64, Vec<u8>)>,
}

impl AacFrames {
    /// Packets are missing.
    pub fn handle_loss(&mut self) {
        self.begun = None;
    }

    /// The frames that are whole with this packet, each with its stamp, when a frame has so many
    /// samples. A packet that does not keep to the format has none.
    pub fn handle(&mut self, stamp: i64, payload: &Bytes, frame_samples: u32) -> Vec<(i64, Bytes)> {
        self.take(stamp, payload, frame_samples).unwrap_or_else(|| {
            self.begun = None;
            Vec::new()
        })
    }

    fn take(
        &mut self,
        stamp: i64,
        payload: &Bytes,
        frame_samples: u32,
    ) -> Option<Vec<(i64, Bytes)>> {
        let (bits, rest) = payload.split_first_chunk()?;
        let bits = usize::from(u16::from_be_bytes(*bits));
        let headers = bits / 16;
        if bits % 16 != 0 || headers == 0 || headers > FRAMES_MAX {
            return None;
        }
        let (lengths, data) = rest.split_at_checked(headers * 2)?;
        let lengths: Vec<usize> = lengths
            .chunks_exact(2)
            .map(|header| usize::from(u16::from_be_bytes([header[0], header[1]]) >> 3))
            .collect();
        if let [length] = lengths[..]
            && (length > data.len() || self.begun.is_some())
        {
            return self.piece(length, stamp, data);
        }
        let mut at = payload.len() - data.len();
        let mut frames = Vec::new();
        for (number, length) in (0_i64..).zip(lengths) {
            let end = at + length;
            if length == 0 || end > payload.len() {
                return None;
            }
            let stamp = stamp.saturating_add(number * i64::from(frame_samples));
            frames.push((stamp, payload.slice(at..end)));
            at = end;
        }
        Some(frames)
    }

    /// A piece of a frame that is larger than a packet. Each has the header of the whole frame.
    fn piece(&mut self, length: usize, stamp: i64, data: &[u8]) -> Option<Vec<(i64, Bytes)>> {
        let same = |begun: &(usize, i64, Vec<u8>)| begun.0 == length && begun.1 == stamp;
        let begun = self.begun.take().filter(same);
        let (_, _, mut frame) = begun.unwrap_or_else(|| (length, stamp, Vec::new()));
        frame.extend_from_slice(data);
        if frame.len() < length {
            self.begun = Some((length, stamp, frame));
            return Some(Vec::new());
        }
        (frame.len() == length).then(|| vec![(stamp, frame.into())])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn configurations_are_read_and_those_that_players_lack_are_refused() {
        let stereo = AacConfig::read(&[0x11, 0x90]).expect("low complexity");
        assert_eq!(stereo, AacConfig::stereo_48_khz());
        let mono = AacConfig::read(&[0x14, 0x08]).expect("16 kHz, one channel");
        assert_eq!((mono.rate_hz, mono.channels, mono.frame_samples), (16_000, 1, 1_024));
        // With an added band: 24 kHz that becomes 48 kHz.
        let band = AacConfig::read(&[0x2B, 0x11, 0x88, 0x00]).expect("with a band");
        assert_eq!((band.object_type, band.rate_hz, band.channels), (5, 24_000, 2));
        // Another object type, six channels, a rate that can't be, and too little.
        for config in [&[0x09, 0x90][..], &[0x11, 0xB0], &[0x16, 0x90], &[0x11], &[]] {
            assert_eq!(AacConfig::read(config), None, "{config:02x?}");
        }
    }

    #[test]
    fn frames_are_taken_out_of_packets_and_put_together_from_several() {
        let mut frames = AacFrames::default();
        let two = Bytes::from_static(&[0, 32, 0, 3 << 3, 0, 2 << 3, 1, 2, 3, 4, 5]);
        let found = frames.handle(100, &two, 1_024);
        let wanted = [(100, Bytes::from_static(&[1, 2, 3])), (1_124, Bytes::from_static(&[4, 5]))];
        assert_eq!(found, wanted);
        let piece = |data: &[u8]| Bytes::from([&[0, 16, 0, 4 << 3], data].concat());
        assert!(frames.handle(7, &piece(&[1, 2]), 1_024).is_empty());
        let whole = frames.handle(7, &piece(&[3, 4]), 1_024);
        assert_eq!(whole, [(7, Bytes::from_static(&[1, 2, 3, 4]))]);
        // The second half of a frame whose first half was lost is none.
        assert!(frames.handle(8, &piece(&[1, 2]), 1_024).is_empty());
        frames.handle_loss();
        assert!(frames.handle(8, &piece(&[3, 4]), 1_024).is_empty());
    }

    proptest! {
        #[test]
        fn no_packet_of_aac_panics(
            packets in prop::collection::vec(
                (any::<i64>(), prop::collection::vec(any::<u8>(), 0..60)), 0..20),
        ) {
            let mut frames = AacFrames::default();
            for (stamp, payload) in packets {
                let payload = Bytes::from(payload);
                for (_, frame) in frames.handle(stamp, &payload, 1_024) {
                    prop_assert!(!frame.is_empty());
                }
                std::hint::black_box(AacConfig::read(&payload));
            }
        }
    }
}
