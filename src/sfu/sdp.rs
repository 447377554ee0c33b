#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! Session descriptions (RFC 8866, RFC 9429): what strangers say is read into
//! types, and what this server says is written from types.

mod codec;
mod parse;
mod write;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;

use crate::domain::media::MediaKind;
use crate::sfu::plane::{ExtensionIds, Format};
use crate::sfu::transport::{Credentials, Fingerprint};
pub use codec::{CodecConfig, H264Profile, PacketizationMode};
pub use parse::parse;
pub use write::{answer, offer};

/// Encodings of one track. What the plane forwards.
pub const LAYERS_MAX: usize = 3;
/// Longest section identification, in bytes: what the header extension carries.
pub const MID_BYTES_MAX: usize = 16;
/// Longest encoding identification, in bytes: what the header extension carries.
pub const RID_BYTES_MAX: usize = 16;

const MID_URI: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
const RID_URI: &str = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id";
const REPAIRED_RID_URI: &str = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id";
const TRANSPORT_CC_URI: &str =
    "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
const AUDIO_LEVEL_URI: &str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";

/// Extensions of the transports that this server offers.
pub const OFFERED_EXTENSIONS: ExtensionIds = ExtensionIds {
    mid: Some(1),
    rid: None,
    repaired_rid: None,
    transport_cc: Some(3),
    audio_level: Some(2),
};

/// How much of a description is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest text, in bytes.
    pub bytes: usize,
    /// Most sections.
    pub sections: usize,
}

/// What a peer may offer. Browsers write under 8 KiB for four sections.
pub const OFFER_LIMITS: Limits = Limits { bytes: 64 * 1024, sections: 32 };
/// What a peer may answer: as many sections as it was offered at the most.
pub const ANSWER_LIMITS: Limits = Limits { bytes: 1024 * 1024, sections: 512 };

/// A description that can't be taken, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SdpError(pub &'static str);

/// The role in the DTLS handshake (RFC 8842 §5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setup {
    /// Either, the other decides.
    ActiveOrPassive,
    /// Client.
    Active,
    /// Server.
    Passive,
}

/// Who sends in a section, from the writer's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Both.
    SendReceive,
    /// The writer.
    SendOnly,
    /// The reader.
    ReceiveOnly,
    /// Nobody.
    Inactive,
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

/// How to reach and recognise a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransportParameters {
    /// ICE user fragment.
    pub ufrag: String,
    /// ICE password.
    pub pwd: String,
    /// SHA-256 fingerprints, sorted; at least one.
    pub fingerprints: Vec<Fingerprint>,
    /// DTLS role.
    pub setup: Setup,
}

/// A format of a section that this server forwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferedFormat {
    /// Its payload types.
    pub format: Format,
    /// What it is.
    pub config: CodecConfig,
    /// Level of H.264.
    pub level: Option<u8>,
    /// Whether transport-wide feedback was named for it.
    pub transport_cc: bool,
    /// Whether negative acknowledgements were named for it.
    pub nack: bool,
}

/// One section of a peer's description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// Its identification (RFC 9143), a token of at most [`MID_BYTES_MAX`].
    pub mid: String,
    /// Media, protocol and first format of its media line, for a rejection.
    pub media: String,
    /// As [`Self::media`].
    pub proto: String,
    /// As [`Self::media`].
    pub format: String,
    /// What it carries, when it is media at all.
    pub kind: Option<MediaKind>,
    /// Stopped by the peer, or of no use to this server.
    pub rejected: bool,
    /// Who sends.
    pub direction: Direction,
    /// What this server forwards of its formats, best first.
    pub formats: Vec<OfferedFormat>,
    /// Header extensions.
    pub extensions: ExtensionIds,
    /// Encodings it sends, lowest first; empty without simulcast.
    pub rids: Vec<String>,
    /// Declared source.
    pub primary_ssrc: Option<u32>,
    /// Declared source of retransmissions.
    pub rtx_ssrc: Option<u32>,
}

/// A peer's description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Its transport; `None` when every section is rejected.
    pub transport: Option<TransportParameters>,
    /// Whether it bundles its sections.
    pub bundle: bool,
    /// Its sections, in order.
    pub sections: Vec<Section>,
}

/// This server's side of a transport, as descriptions tell it.
#[derive(Debug, Clone, Copy)]
pub struct LocalSide<'a> {
    /// ICE credentials.
    pub credentials: &'a Credentials,
    /// Fingerprint of its certificate.
    pub fingerprint: Fingerprint,
    /// Where it is reached, best first.
    pub candidates: &'a [SocketAddr],
    /// `o=` session id; names the transport.
    pub session_id: u64,
    /// `o=` version; one more with each description.
    pub version: u64,
}

/// A stream that a section of ours sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// What groups the streams of one person: the peer's id.
    pub group: String,
    /// The track's id.
    pub track: String,
    /// Source of its packets.
    pub ssrc: u32,
    /// Source of its retransmissions.
    pub rtx_ssrc: u32,
}

/// One section of an offer of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferSection {
    /// Its identification.
    pub mid: String,
    /// Its one codec.
    pub config: CodecConfig,
    /// What it sends; inactive without.
    pub stream: Option<Stream>,
}

/// What an answer of ours says to one section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SectionAnswer {
    /// Not taken.
    Rejected,
    /// Taken, and nobody sends.
    Inactive,
    /// This server receives.
    Receive,
    /// This server sends this.
    Send(Stream),
}
