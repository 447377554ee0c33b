//! Types of media.

use crate::domain::named_values::named_values;

named_values!(
    /// The kind of media of a track.
    MediaKind {
        /// Audio.
        Audio => "audio",
        /// Video.
        Video => "video",
    }
);
named_values!(
    /// The source of a track.
    TrackSource {
        /// A microphone.
        Microphone => "microphone",
        /// A camera.
        Camera => "camera",
        /// A shared screen.
        Screen => "screen",
        /// The audio of a shared screen; it is gated like a microphone.
        ScreenAudio => "screen_audio",
    }
);
named_values!(
    /// A codec that this server forwards. It never transcodes live media.
    Codec {
        /// Opus (RFC 7587).
        Opus => "opus",
        /// VP8 (RFC 7741).
        Vp8 => "vp8",
        /// H.264 (RFC 6184).
        H264 => "h264",
        /// VP9 (RFC 9628).
        Vp9 => "vp9",
        /// AV1 (RTP payload format for AV1, version 1.0).
        Av1 => "av1",
        /// G.711 µ-law (RFC 3551 §4.5.14), which cameras send.
        Pcmu => "pcmu",
        /// G.711 A-law, which others do.
        Pcma => "pcma",
    }
);

impl TrackSource {
    /// Whether a track from this source is audio or video.
    #[must_use]
    pub const fn kind(self) -> MediaKind {
        match self {
            Self::Microphone | Self::ScreenAudio => MediaKind::Audio,
            Self::Camera | Self::Screen => MediaKind::Video,
        }
    }
}

impl Codec {
    /// Whether this codec is for audio or video.
    #[must_use]
    pub const fn kind(self) -> MediaKind {
        match self {
            Self::Opus | Self::Pcmu | Self::Pcma => MediaKind::Audio,
            Self::Vp8 | Self::H264 | Self::Vp9 | Self::Av1 => MediaKind::Video,
        }
    }

    /// Ticks per second of its RTP timestamps.
    #[must_use]
    pub const fn clock_rate_hz(self) -> u32 {
        match self {
            Self::Opus => 48_000,
            Self::Pcmu | Self::Pcma => 8_000,
            Self::Vp8 | Self::H264 | Self::Vp9 | Self::Av1 => 90_000,
        }
    }
}
