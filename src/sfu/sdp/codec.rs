//! The formats that this server forwards, how it recognises them in a session description, and how
//! it writes them in its own.

use crate::domain::media::{Codec, MediaKind};

/// A codec with the parameters that must be equal at both ends. It contains no text of a peer, so
/// it can be offered to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CodecConfig {
    /// Opus (RFC 7587).
    Opus,
    /// VP8 (RFC 7741).
    Vp8,
    /// VP9, profile 0 (RFC 9628).
    Vp9,
    /// AV1, main profile.
    Av1,
    /// H.264 (RFC 6184).
    H264 {
        /// The coding tools that the encoder may use.
        profile: H264Profile,
        /// How NAL units are put in packets.
        mode: PacketizationMode,
    },
    /// G.711 µ-law (RFC 3551 §4.5.14), which every receiver takes (RFC 7874 §3).
    Pcmu,
    /// G.711 A-law.
    Pcma,
}

/// Profiles of H.264, from the simplest to the most capable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum H264Profile {
    /// `42e0…`.
    ConstrainedBaseline,
    /// `4200…`.
    Baseline,
    /// `4d00…`.
    Main,
    /// `6400…`.
    High,
}

/// How NAL units are put in packets (RFC 6184 §5.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PacketizationMode {
    /// Mode 1: fragments and aggregates of NAL units.
    NonInterleaved,
    /// Mode 0: one NAL unit per packet.
    SingleUnit,
}

/// Every configuration, in the order of the payload types below.
const CONFIGS: [CodecConfig; 14] = {
    use H264Profile::{Baseline, ConstrainedBaseline, High, Main};
    use PacketizationMode::{NonInterleaved, SingleUnit};
    const fn h264(profile: H264Profile, mode: PacketizationMode) -> CodecConfig {
        CodecConfig::H264 { profile, mode }
    }
    [
        CodecConfig::Opus,
        CodecConfig::Vp8,
        CodecConfig::Vp9,
        CodecConfig::Av1,
        h264(ConstrainedBaseline, NonInterleaved),
        h264(Baseline, NonInterleaved),
        h264(Main, NonInterleaved),
        h264(High, NonInterleaved),
        h264(ConstrainedBaseline, SingleUnit),
        h264(Baseline, SingleUnit),
        h264(Main, SingleUnit),
        h264(High, SingleUnit),
        CodecConfig::Pcmu,
        CodecConfig::Pcma,
    ]
};

/// Payload types of this server's offers, for packets and retransmissions, by position in
/// `CONFIGS`. First from the dynamic range, then from the numbers that RFC 5761 §4 leaves free. Those
/// of G.711 are fixed (RFC 3551 §6).
const PAYLOAD_TYPES: [(u8, u8); 14] = [
    (111, 0),
    (96, 97),
    (98, 99),
    (45, 46),
    (102, 103),
    (104, 105),
    (106, 107),
    (108, 109),
    (112, 113),
    (114, 115),
    (116, 117),
    (118, 119),
    (0, 0),
    (8, 0),
];

impl CodecConfig {
    /// The codec.
    #[must_use]
    pub const fn codec(self) -> Codec {
        match self {
            Self::Opus => Codec::Opus,
            Self::Vp8 => Codec::Vp8,
            Self::Vp9 => Codec::Vp9,
            Self::Av1 => Codec::Av1,
            Self::H264 { .. } => Codec::H264,
            Self::Pcmu => Codec::Pcmu,
            Self::Pcma => Codec::Pcma,
        }
    }

    /// Audio or video.
    #[must_use]
    pub const fn kind(self) -> MediaKind {
        self.codec().kind()
    }

    /// Whether peers may publish it. G.711 is forwarded for cameras, which have nothing better.
    #[must_use]
    pub const fn is_published_by_peers(self) -> bool {
        !matches!(self, Self::Pcmu | Self::Pcma)
    }

    /// The formats under which a receiver is offered packets of this one, best first. Decoders of H.264
    /// take more profiles than a description lists, so all are offered: this one, then the more capable,
    /// then the simpler. A receiver of mode 1 takes packets of mode 0, but not the reverse (RFC 6184
    /// §5.4).
    #[must_use]
    pub fn offered_as(self) -> Vec<Self> {
        let Self::H264 { mode, .. } = self else { return vec![self] };
        let takes = |other: &Self| match *other {
            Self::H264 { mode: other, .. } => {
                other == mode || other == PacketizationMode::NonInterleaved
            }
            _ => false,
        };
        let mut others: Vec<Self> =
            CONFIGS.into_iter().filter(|other| *other != self && takes(other)).collect();
        // Sorted from the simplest profile to the most capable.
        others.sort_unstable();
        let simpler = others.partition_point(|other| *other < self);
        others.rotate_left(simpler);
        let capable = others.len() - simpler;
        others[capable..].reverse();
        std::iter::once(self).chain(others).collect()
    }

    /// The payload type that this server's offers give it, and that of its retransmissions.
    #[must_use]
    pub fn payload_types(self) -> (u8, Option<u8>) {
        let position = CONFIGS.iter().position(|config| *config == self).unwrap_or_default();
        let (primary, rtx) = PAYLOAD_TYPES[position];
        (primary, Some(rtx).filter(|_| self.kind() == MediaKind::Video))
    }

    /// The value of its `a=rtpmap`, without the payload type.
    #[must_use]
    pub const fn rtpmap(self) -> &'static str {
        match self {
            Self::Opus => "opus/48000/2",
            Self::Vp8 => "VP8/90000",
            Self::Vp9 => "VP9/90000",
            Self::Av1 => "AV1/90000",
            Self::H264 { .. } => "H264/90000",
            Self::Pcmu => "PCMU/8000",
            Self::Pcma => "PCMA/8000",
        }
    }

    /// The value of its `a=fmtp`, without the payload type.
    #[must_use]
    pub fn fmtp(self, level: Option<u8>) -> Option<String> {
        match self {
            Self::Opus => Some("minptime=10;useinbandfec=1".to_owned()),
            Self::Vp8 | Self::Pcmu | Self::Pcma => None,
            Self::Vp9 => Some("profile-id=0".to_owned()),
            Self::Av1 => Some("level-idx=5;profile=0;tier=0".to_owned()),
            Self::H264 { profile, mode } => {
                let mode = u8::from(mode == PacketizationMode::NonInterleaved);
                let profile = match profile {
                    H264Profile::ConstrainedBaseline => "42e0",
                    H264Profile::Baseline => "4200",
                    H264Profile::Main => "4d00",
                    H264Profile::High => "6400",
                };
                // Browsers write level 3.1; `level-asymmetry-allowed` lets encoders exceed it.
                let level = level.unwrap_or(0x1f);
                Some(format!(
                    "level-asymmetry-allowed=1;packetization-mode={mode};\
                     profile-level-id={profile}{level:02x}"
                ))
            }
        }
    }

    /// Recognises a format by the values of its `a=rtpmap` and `a=fmtp`, both without the payload
    /// type. Also returns the level of H.264, which the answer repeats.
    #[must_use]
    pub fn recognise(rtpmap: &str, fmtp: &str) -> Option<(Self, Option<u8>)> {
        let parameter = |name: &str| {
            fmtp.split(';')
                .filter_map(|pair| pair.trim().split_once('='))
                .find_map(|(key, value)| key.eq_ignore_ascii_case(name).then_some(value.trim()))
        };
        let plain = |config, name| {
            parameter(name).is_none_or(|value| value == "0").then_some((config, None))
        };
        match rtpmap.to_ascii_lowercase().as_str() {
            "opus/48000/2" => Some((Self::Opus, None)),
            "vp8/90000" => Some((Self::Vp8, None)),
            "vp9/90000" => plain(Self::Vp9, "profile-id"),
            "av1/90000" => plain(Self::Av1, "profile"),
            // One channel, which may be named.
            "pcmu/8000" | "pcmu/8000/1" => Some((Self::Pcmu, None)),
            "pcma/8000" | "pcma/8000/1" => Some((Self::Pcma, None)),
            "h264/90000" => {
                // Without the parameter it is Baseline at level 1 (RFC 6184 §8.1).
                let id = parameter("profile-level-id").unwrap_or("42000a");
                let mode = match parameter("packetization-mode").unwrap_or("0") {
                    "1" => PacketizationMode::NonInterleaved,
                    "0" => PacketizationMode::SingleUnit,
                    _ => return None,
                };
                if id.len() != 6 || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                    return None;
                }
                let [_, profile, constraints, level] =
                    u32::from_str_radix(id, 16).ok()?.to_be_bytes();
                let profile = match (profile, constraints & 0x40 != 0) {
                    (0x42, true) => H264Profile::ConstrainedBaseline,
                    (0x42, false) => H264Profile::Baseline,
                    (0x4d, _) => H264Profile::Main,
                    (0x64, _) => H264Profile::High,
                    _ => return None,
                };
                Some((Self::H264 { profile, mode }, Some(level)))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_we_offer_we_recognise_and_no_two_share_a_payload_type() {
        let mut seen = std::collections::BTreeSet::new();
        for config in CONFIGS {
            let fmtp = config.fmtp(None).unwrap_or_default();
            let (recognised, _) = CodecConfig::recognise(config.rtpmap(), &fmtp).expect("ours");
            assert_eq!(recognised, config);
            let (primary, rtx) = config.payload_types();
            assert!(seen.insert(primary) && rtx.is_none_or(|rtx| seen.insert(rtx)), "{config:?}");
            assert_eq!(rtx.is_some(), config.kind() == MediaKind::Video);
        }
    }

    #[test]
    fn h264_is_offered_by_every_profile_that_may_decode_it() {
        use H264Profile::{Baseline, ConstrainedBaseline, High, Main};
        use PacketizationMode::{NonInterleaved, SingleUnit};
        let offered = |profile, mode| {
            let config = CodecConfig::H264 { profile, mode };
            let formats = config.offered_as().into_iter();
            formats
                .map(|offered| match offered {
                    CodecConfig::H264 { profile, mode } => (profile, mode),
                    other => panic!("{other:?}"),
                })
                .collect::<Vec<_>>()
        };
        let fragmented =
            |profiles: [H264Profile; 4]| profiles.map(|profile| (profile, NonInterleaved)).to_vec();
        assert_eq!(
            offered(High, NonInterleaved),
            fragmented([High, Main, Baseline, ConstrainedBaseline])
        );
        assert_eq!(
            offered(Baseline, NonInterleaved),
            fragmented([Baseline, Main, High, ConstrainedBaseline])
        );
        assert_eq!(
            offered(ConstrainedBaseline, NonInterleaved),
            fragmented([ConstrainedBaseline, Baseline, Main, High])
        );
        let single = offered(Main, SingleUnit);
        assert_eq!(single[0], (Main, SingleUnit));
        assert_eq!(single.len(), 8, "receivers of fragments take single units too: {single:?}");
        assert_eq!(CodecConfig::Vp8.offered_as(), [CodecConfig::Vp8]);
    }

    #[test]
    fn formats_that_are_not_forwarded_are_not_recognised() {
        for (rtpmap, fmtp) in [
            ("VP9/90000", "profile-id=2"),
            ("AV1/90000", "profile=1"),
            ("H264/90000", "packetization-mode=2;profile-level-id=42e01f"),
            ("H264/90000", "profile-level-id=f4001f;packetization-mode=1"),
            ("H264/90000", "profile-level-id=+2e01f"),
            ("H265/90000", ""),
            ("opus/48000", ""),
            ("PCMU/16000", ""),
            ("red/48000/2", "111/111"),
        ] {
            assert_eq!(CodecConfig::recognise(rtpmap, fmtp), None, "{rtpmap} {fmtp}");
        }
    }
}
