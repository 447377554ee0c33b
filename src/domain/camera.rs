//! Words about cameras and their viewers.

use crate::domain::named_values::named_values;

named_values!(
    /// Where a viewer's right to watch a camera stands.
    StreamSessionStatus {
        /// Asked for; no token was handed out yet.
        Requested => "requested",
        /// A token was handed out; nothing was watched yet.
        Issued => "issued",
        /// Being watched.
        Active => "active",
        /// Ended by whoever may.
        Ended => "ended",
        /// Ended because nothing was watched for too long.
        Expired => "expired",
    }
);
impl StreamSessionStatus {
    /// Whether nothing follows.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Ended | Self::Expired)
    }
}

named_values!(
    /// Where the stream of a camera stands.
    StreamStatus {
        /// Nobody wants it: the camera is not called.
        Stopped => "STOPPED",
        /// It is called, and nothing came yet.
        Starting => "STARTING",
        /// Its packets come.
        Running => "RUNNING",
        /// It could not be reached, or its packets stopped coming. It is called again.
        Error => "ERROR",
    }
);

named_values!(
    /// How well a camera does.
    CameraHealth {
        /// Its pictures come.
        Online => "online",
        /// Its packets come, and something about them is wrong.
        Degraded => "degraded",
        /// Nothing comes.
        Offline => "offline",
    }
);

named_values!(
    /// Why a camera's stream ended or did not begin.
    StreamFault {
        /// The host of its address is not found.
        HostNotFound => "host_not_found",
        /// Its address leads to a network that is not allowed.
        SourceRefused => "source_refused",
        /// The key of its address was destroyed.
        SecretLost => "secret_lost",
        /// It does not take the connection.
        Unreachable => "unreachable",
        /// It does not take the credentials.
        CredentialsRefused => "credentials_refused",
        /// It answers that there is no such stream.
        StreamNotFound => "stream_not_found",
        /// It answers that it does not serve it.
        RequestRefused => "request_refused",
        /// It answers, but not as RTSP says.
        ProtocolViolated => "protocol_violated",
        /// It sends a message that is larger than any of use.
        MessageTooLarge => "message_too_large",
        /// It does not send in the way that it is provisioned for: by TCP, or by UDP.
        TransportRefused => "transport_refused",
        /// It has no picture in a codec that can be used.
        CodecUnsupported => "codec_unsupported",
        /// It offers no pictures, or none can be made of what it sends.
        PicturesMissing => "pictures_missing",
        /// Its pictures are sent in another order than they are shown, which players in a
        /// room can't follow.
        UnsupportedBframes => "unsupported_bframes",
        /// Its pictures come, and its sound is in a codec that a room does not take.
        SoundUnsupported => "sound_unsupported",
        /// It did not answer in time.
        AnswerTimedOut => "answer_timed_out",
        /// It stopped sending.
        PacketsStopped => "packets_stopped",
        /// It closed the connection.
        ConnectionClosed => "connection_closed",
        /// Its pictures come, and its clock is much too slow or too fast: their times are those of
        /// their arrival.
        ClockDrifts => "clock_drifts",
        /// Its pictures come, and its clock stands still: their times are those of their arrival.
        ClockStandsStill => "clock_stands_still",
    }
);

named_values!(
    /// Why viewers of a session see a card of the server and nobody.
    Unseen {
        /// Nobody is to be shown: nobody has a camera or a screen that may be seen.
        Nobody => "nobody",
        /// Whoever is to be shown sends a codec that viewers' files can't hold without another
        /// encoding.
        CodecUnsupported => "codec_unsupported",
        /// Nothing comes of whoever is to be shown.
        PicturesStopped => "pictures_stopped",
    }
);

named_values!(
    /// How a camera is to send.
    CameraTransport {
        /// Over its connection, or by UDP if it refuses that.
        Auto => "auto",
        /// Over its connection.
        Tcp => "tcp",
        /// By UDP.
        Udp => "udp",
    }
);

named_values!(
    /// Why a camera was looked after.
    ProbeCause {
        /// It was due.
        Due => "due",
        /// Somebody asked for it.
        Asked => "asked",
    }
);

named_values!(
    /// A codec that cameras send.
    CameraCodec {
        /// H.264 (RFC 6184).
        H264 => "h264",
        /// H.265 (RFC 7798).
        H265 => "h265",
        /// Opus (RFC 7587).
        Opus => "opus",
        /// AAC (RFC 3640).
        Aac => "aac",
        /// G.711 µ-law (RFC 3551).
        Pcmu => "pcmu",
        /// G.711 A-law (RFC 3551).
        Pcma => "pcma",
    }
);

impl CameraCodec {
    /// The codec of an encoding name of SDP, in lower case.
    #[must_use]
    pub fn of_encoding(name: &str) -> Option<Self> {
        match name {
            "h264" => Some(Self::H264),
            "h265" | "hevc" => Some(Self::H265),
            "opus" => Some(Self::Opus),
            "mpeg4-generic" => Some(Self::Aac),
            "pcmu" => Some(Self::Pcmu),
            "pcma" => Some(Self::Pcma),
            _ => None,
        }
    }

    /// Whether it is one of pictures.
    #[must_use]
    pub const fn is_video(self) -> bool {
        matches!(self, Self::H264 | Self::H265)
    }
}
