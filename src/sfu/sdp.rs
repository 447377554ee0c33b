#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! Session descriptions (RFC 8866, RFC 9429): those of peers are parsed into checked types, and
//! those of this server are written from types.

mod codec;
mod parse;
mod write;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;

use crate::domain::media::MediaKind;
use crate::domain::named_values::named_values;
use crate::sfu::plane::{ExtensionIds, Format};
use crate::sfu::transport::{Credentials, Fingerprint};
pub use codec::{CodecConfig, H264Profile, PacketizationMode};
pub use parse::parse;
pub use write::{answer, offer};

/// Encodings that one track may have; the media plane forwards no more.
pub const LAYERS_MAX: usize = 3;
/// Longest `mid`, in bytes: what the header extension can carry.
pub const MID_BYTES_MAX: usize = 16;
/// Longest `rid`, in bytes: what the header extension can carry.
pub const RID_BYTES_MAX: usize = 16;

const MID_URI: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
const RID_URI: &str = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id";
const REPAIRED_RID_URI: &str = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id";
const TRANSPORT_CC_URI: &str =
    "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
const AUDIO_LEVEL_URI: &str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";

/// Header extensions in the offers of this server.
pub const OFFERED_EXTENSIONS: ExtensionIds = ExtensionIds {
    mid: Some(1),
    rid: None,
    repaired_rid: None,
    transport_cc: Some(3),
    audio_level: Some(2),
};

/// How much of a session description is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest text, in bytes.
    pub bytes: usize,
    /// Most sections.
    pub sections: usize,
}

/// Limits of a peer's offer. Browsers write under 8 KiB for four sections.
pub const OFFER_LIMITS: Limits = Limits { bytes: 64 * 1024, sections: 32 };
/// Limits of a peer's answer, which has as many sections as the offer.
pub const ANSWER_LIMITS: Limits = Limits { bytes: 1024 * 1024, sections: 512 };

/// A session description that is refused, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SdpError(pub &'static str);

/// The role in the DTLS handshake (RFC 8842 §5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setup {
    /// `actpass`: either; the other side decides.
    ActiveOrPassive,
    /// `active`: the client.
    Active,
    /// `passive`: the server.
    Passive,
}

/// Who sends in a section, seen from the writer of the description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Both sides.
    SendReceive,
    /// Only the writer.
    SendOnly,
    /// Only the reader.
    ReceiveOnly,
    /// Neither side.
    Inactive,
}

impl Setup {
    const fn as_str(self) -> &'static str {
        match self {
            Self::ActiveOrPassive => "actpass",
            Self::Active => "active",
            Self::Passive => "passive",
        }
    }
}

impl Direction {
    /// Whether the writer sends.
    #[must_use]
    pub const fn sends(self) -> bool {
        matches!(self, Self::SendReceive | Self::SendOnly)
    }

    /// Whether the writer receives.
    #[must_use]
    pub const fn receives(self) -> bool {
        matches!(self, Self::SendReceive | Self::ReceiveOnly)
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::SendReceive => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::ReceiveOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }
}

/// The values by which a peer is reached and recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransportParameters {
    /// ICE user fragment.
    pub ufrag: String,
    /// ICE password.
    pub pwd: String,
    /// Fingerprints, sorted; at least one.
    pub fingerprints: Vec<Fingerprint>,
    /// DTLS role.
    pub setup: Setup,
}

/// A format of a section that this server forwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferedFormat {
    /// Its payload types.
    pub format: Format,
    /// Its codec and parameters.
    pub config: CodecConfig,
    /// The level of H.264 in `profile-level-id`.
    pub level: Option<u8>,
    /// Whether it has `a=rtcp-fb` for transport-wide feedback.
    pub transport_cc: bool,
    /// Whether it has `a=rtcp-fb` for NACK.
    pub nack: bool,
}

/// One media section of a peer's description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// Its `mid` (RFC 9143), a token of at most [`MID_BYTES_MAX`] bytes.
    pub mid: String,
    /// Media type of its media line, repeated when the section is rejected.
    pub media: String,
    /// Protocol of its media line, repeated when the section is rejected.
    pub proto: String,
    /// First format of its media line, repeated when the section is rejected.
    pub format: String,
    /// Audio or video; `None` for other media.
    pub kind: Option<MediaKind>,
    /// Whether the peer has stopped it or this server can't use it.
    pub rejected: bool,
    /// Why this server can't use it; `None` when it can.
    pub obstacle: Option<Obstacle>,
    /// Who sends.
    pub direction: Direction,
    /// Its formats that this server forwards, best first.
    pub formats: Vec<OfferedFormat>,
    /// Header extensions.
    pub extensions: ExtensionIds,
    /// The `rid`s of the encodings it sends, as listed, at most [`LAYERS_MAX`]; empty without
    /// simulcast. Browsers list the lowest quality first, other encoders the highest.
    pub rids: Vec<String>,
    /// Declared SSRC.
    pub primary_ssrc: Option<u32>,
    /// Declared SSRC of retransmissions.
    pub rtx_ssrc: Option<u32>,
}

named_values!(
    /// Why a section of an offer can't be used.
    Obstacle {
        /// The peer itself has stopped it.
        Stopped => "SECTION_STOPPED",
        /// It is not media by SRTP with feedback.
        Protocol => "PROTOCOL_UNSUPPORTED",
        /// It names no codec that this server forwards.
        Codec => "CODEC_UNSUPPORTED",
        /// RTP and RTCP are not on one port.
        RtcpMux => "RTCP_MUX_MISSING",
        /// It does not share the transport of the others.
        Bundle => "BUNDLE_MISSING",
    }
);

impl Obstacle {
    /// What it means for the section, and what helps.
    #[must_use]
    pub const fn problem(self) -> &'static str {
        match self {
            Self::Stopped => "it is stopped, its port is 0",
            Self::Protocol => "its protocol is not UDP/TLS/RTP/SAVPF",
            Self::Codec => {
                "it names no codec that is forwarded here; offer Opus, and VP8, VP9, AV1 or H.264 \
                 with 8 bits and 4:2:0"
            }
            Self::RtcpMux => "a=rtcp-mux is missing",
            Self::Bundle => "it is not in a=group:BUNDLE, which must name every section",
        }
    }

    /// What a peer is told of whose sections none can be used, as of this one.
    const fn of_all(self) -> &'static str {
        match self {
            Self::Stopped => "no section of the offer can be used: it is stopped, its port is 0",
            Self::Protocol => {
                "no section of the offer can be used: its protocol is not UDP/TLS/RTP/SAVPF"
            }
            Self::Codec => {
                "no section of the offer can be used: it names no codec that is forwarded here; \
                 offer Opus, and VP8, VP9, AV1 or H.264 with 8 bits and 4:2:0"
            }
            Self::RtcpMux => "no section of the offer can be used: a=rtcp-mux is missing",
            Self::Bundle => {
                "no section of the offer can be used: it is not in a=group:BUNDLE, which must name \
                 every section"
            }
        }
    }
}

/// A section of an offer that this server can't use, beside others that it can.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedSection {
    /// Its `mid`.
    pub mid: String,
    /// Media type of its media line.
    pub media: String,
    /// Why.
    pub obstacle: Obstacle,
}

/// A peer's session description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Its transport; `None` when every section is rejected.
    pub transport: Option<TransportParameters>,
    /// Whether its sections share one transport (BUNDLE).
    pub bundle: bool,
    /// Its sections, in order.
    pub sections: Vec<Section>,
}

impl Description {
    /// What to tell a peer of whose sections none can be used.
    #[must_use]
    pub fn obstacle(&self) -> &'static str {
        let first = self.sections.iter().find_map(|section| section.obstacle);
        first.map_or(
            "no section of the offer can be used: none sends or receives as this needs",
            Obstacle::of_all,
        )
    }

    /// The sections that the peer wants to use and this server can't.
    #[must_use]
    pub fn refused(&self) -> Vec<RefusedSection> {
        let refused = self.sections.iter().filter_map(|section| {
            let obstacle = section.obstacle.filter(|it| *it != Obstacle::Stopped)?;
            let (mid, media) = (section.mid.clone(), section.media.clone());
            Some(RefusedSection { mid, media, obstacle })
        });
        refused.collect()
    }
}

/// The values of this server's side of a transport that descriptions contain.
#[derive(Debug, Clone, Copy)]
pub struct LocalSide<'a> {
    /// ICE credentials.
    pub credentials: &'a Credentials,
    /// Fingerprint of its certificate.
    pub fingerprint: Fingerprint,
    /// The addresses at which it is reached, best first.
    pub candidates: &'a [SocketAddr],
    /// Its DTLS role, which its answers say. Its offers leave the choice to the peer.
    pub setup: Setup,
    /// Whether they are reached by TCP as well.
    pub tcp: bool,
    /// Session id of the `o=` line; identifies the transport.
    pub session_id: u64,
    /// Version of the `o=` line; one more with each description.
    pub version: u64,
}

/// A stream that this server sends in a section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// Media stream id (`msid`) that groups the streams of one peer: the peer's id.
    pub group: String,
    /// Track id (`msid`).
    pub track: String,
    /// SSRC of its packets.
    pub ssrc: u32,
    /// SSRC of its retransmissions.
    pub rtx_ssrc: u32,
}

/// One section of this server's offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferSection {
    /// Its `mid`.
    pub mid: String,
    /// What is sent in it. H.264 is offered by several profiles ([`CodecConfig::offered_as`]).
    pub config: CodecConfig,
    /// The stream that it sends; `None` makes it inactive.
    pub stream: Option<Stream>,
}

/// This server's answer to one section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SectionAnswer {
    /// The section is refused.
    Rejected,
    /// The section is accepted, but neither side sends.
    Inactive,
    /// This server receives in it.
    Receive,
    /// This server sends this stream in it.
    Send(Stream),
}
