//! Types of media.

use crate::domain::words::words;

words!(
    /// What a track carries.
    MediaKind {
        /// Sound.
        Audio => "audio",
        /// Pictures.
        Video => "video",
    }
);
words!(
    /// Where a track comes from.
    TrackSource {
        /// A microphone.
        Microphone => "microphone",
        /// A camera.
        Camera => "camera",
        /// A shared screen.
        Screen => "screen",
        /// The sound of a shared screen; the floor gates it like a microphone.
        ScreenAudio => "screen_audio",
    }
);
words!(
    /// A codec this server forwards. It never transcodes.
    Codec {
        /// RFC 7587.
        Opus => "opus",
        /// RFC 7741.
        Vp8 => "vp8",
        /// RFC 6184.
        H264 => "h264",
        /// RFC 9628.
        Vp9 => "vp9",
        /// The RTP payload format for AV1, version 1.0.
        Av1 => "av1",
    }
);

impl TrackSource {
    /// What a track from this source carries.
    #[must_use]
    pub const fn kind(self) -> MediaKind {
        match self {
            Self::Microphone | Self::ScreenAudio => MediaKind::Audio,
            Self::Camera | Self::Screen => MediaKind::Video,
        }
    }
}

impl Codec {
    /// What this codec encodes.
    #[must_use]
    pub const fn kind(self) -> MediaKind {
        match self {
            Self::Opus => MediaKind::Audio,
            Self::Vp8 | Self::H264 | Self::Vp9 | Self::Av1 => MediaKind::Video,
        }
    }

    /// Ticks of its RTP timestamp in a second.
    #[must_use]
    pub const fn clock_rate_hz(self) -> u32 {
        match self.kind() {
            MediaKind::Audio => 48_000,
            MediaKind::Video => 90_000,
        }
    }
}
