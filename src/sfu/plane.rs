//! What the control half and the workers say to each other. Control decides
//! who may send what to whom and hands over keys; a worker owns the media of
//! the rooms given to it, and hands back whatever is not media.

use std::net::SocketAddr;

use crate::domain::id::{SessionId, TrackId};
use crate::domain::media::{Codec, MediaKind};
use crate::domain::secret::Secret;
use crate::sfu::feed::KeyFrameSignal;
use crate::sfu::tap::TapSink;

/// One ICE/DTLS/SRTP association. Never reused while the process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransportId(pub u64);

/// One receiver's copy of a track. Never reused while the process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionId(pub u64);

/// The protection that DTLS-SRTP agreed on (RFC 5764 §4.1.2, RFC 7714 §14.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SrtpProfile {
    /// `SRTP_AEAD_AES_128_GCM`.
    AeadAes128Gcm,
    /// `SRTP_AES128_CM_HMAC_SHA1_80`, for clients without GCM; several times
    /// the cost.
    Aes128CmHmacSha1_80,
}

/// A master key and its salt (RFC 3711 §4.3).
#[derive(Debug, Clone)]
pub struct MasterKey {
    /// 16 bytes.
    pub key: Secret<Vec<u8>>,
    /// 12 bytes for GCM, 14 for CM.
    pub salt: Secret<Vec<u8>>,
}

/// The keys of one association.
#[derive(Debug, Clone)]
pub struct SrtpKeys {
    /// How to use them.
    pub profile: SrtpProfile,
    /// What this server sends with.
    pub local: MasterKey,
    /// What the peer sends with.
    pub remote: MasterKey,
}

/// Identifiers of the RTP header extensions that a transport negotiated
/// (RFC 8285); 1 to 14 or, in the two-byte form, to 255.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExtensionIds {
    /// RFC 9143, the section a packet belongs to.
    pub mid: Option<u8>,
    /// RFC 8852, the encoding a packet belongs to.
    pub rid: Option<u8>,
    /// RFC 8852, the encoding a retransmission repairs.
    pub repaired_rid: Option<u8>,
    /// Transport-wide sequence numbers (draft-holmer-rmcat-transport-wide-cc-extensions-01).
    pub transport_cc: Option<u8>,
    /// RFC 6464, the level of the sound in a packet.
    pub audio_level: Option<u8>,
}

/// A payload type and what it means on one transport.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    /// RTP payload type, 0 to 127.
    pub payload_type: u8,
    /// What it carries.
    pub codec: Codec,
    /// Payload type of its retransmissions (RFC 4588), when negotiated.
    pub rtx_payload_type: Option<u8>,
}

/// One encoding of a track, as far as signalling names it. Unnamed sources are
/// learnt from authenticated packets by `mid` and `rid`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EncodingSpec {
    /// RFC 8851 restriction identifier; `None` without simulcast.
    pub rid: Option<String>,
    /// Source of its packets, when declared.
    pub ssrc: Option<u32>,
    /// Source of its retransmissions, when declared.
    pub rtx_ssrc: Option<u32>,
}

/// Whether the packets of a publication reach anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// They do.
    Open,
    /// They are decrypted for their statistics and dropped.
    Closed,
}

/// Where the packets of a publication come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublicationOrigin {
    /// The transport of a peer.
    Transport(TransportId),
    /// This process, as a feed; whoever feeds it is asked for key frames by this.
    Process(KeyFrameSignal),
}

/// A track that is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicationSpec {
    /// Its identity.
    pub track: TrackId,
    /// The room whose members may subscribe to it.
    pub room: SessionId,
    /// Where its packets come from.
    pub origin: PublicationOrigin,
    /// What it carries.
    pub kind: MediaKind,
    /// RFC 9143 identification of its section; empty for a feed.
    pub mid: String,
    /// What its payload types mean; the first is the one preferred.
    pub formats: Vec<Format>,
    /// Its encodings, lowest quality first; at least one, at most three. A feed
    /// has one.
    pub encodings: Vec<EncodingSpec>,
    /// Header extensions of its transport.
    pub extensions: ExtensionIds,
    /// Whether its packets reach anybody from the start.
    pub gate: Gate,
}

/// What a receiver wants of a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demand {
    /// Highest encoding to forward, 0 the lowest; higher than there are means
    /// the best.
    pub layer_max: u8,
    /// Whether to forward nothing for now.
    pub paused: bool,
}

impl Default for Demand {
    /// The best there is, now.
    fn default() -> Self {
        Self { layer_max: u8::MAX, paused: false }
    }
}

/// A stream towards one receiver. Its source may change while it lives (a
/// slot that follows the floor); sequence numbers and timestamps stay
/// continuous across changes of source and of layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionSpec {
    /// Its identity.
    pub subscription: SubscriptionId,
    /// The transport its packets leave by.
    pub transport: TransportId,
    /// What it carries.
    pub kind: MediaKind,
    /// The publication it shows at first.
    pub source: Option<TrackId>,
    /// RFC 9143 identification of its section.
    pub mid: String,
    /// What the receiver understands by which payload type.
    pub formats: Vec<Format>,
    /// Source of its packets.
    pub ssrc: u32,
    /// Source of its retransmissions.
    pub rtx_ssrc: u32,
    /// Header extensions of its transport.
    pub extensions: ExtensionIds,
    /// What the receiver wants.
    pub demand: Demand,
}

/// What control tells a worker. Commands of one transport or track arrive in
/// the order given; a name that is not known (any more) is ignored, since
/// removal may race with use.
#[derive(Debug)]
pub enum Command {
    /// The handshake of a transport is complete.
    AddTransport {
        /// Which.
        transport: TransportId,
        /// The room it belongs to.
        room: SessionId,
        /// Its keys.
        keys: SrtpKeys,
        /// Where its peer is.
        remote: SocketAddr,
    },
    /// ICE nominated another address of the same peer.
    MoveTransport {
        /// Which.
        transport: TransportId,
        /// Where its peer is now.
        remote: SocketAddr,
    },
    /// A transport is gone, and its publications and subscriptions with it.
    RemoveTransport {
        /// Which.
        transport: TransportId,
    },
    /// A peer publishes a track, possibly before its transport is complete.
    AddPublication(PublicationSpec),
    /// A peer no longer publishes a track.
    RemovePublication {
        /// Which.
        track: TrackId,
    },
    /// The floor opens or closes a track.
    SetGate {
        /// Which.
        track: TrackId,
        /// Whether its packets reach anybody from here on.
        gate: Gate,
    },
    /// Limits the encodings that leave a room; the best is [`u8::MAX`].
    SetLayerMax {
        /// Which.
        room: SessionId,
        /// Highest encoding of a track, 0 the lowest.
        layer_max: u8,
    },
    /// A receiver gets a stream.
    AddSubscription(SubscriptionSpec),
    /// A receiver wants something else of a stream.
    SetDemand {
        /// Which.
        subscription: SubscriptionId,
        /// What it wants from here on.
        demand: Demand,
    },
    /// A stream shows another publication, or none.
    SetSource {
        /// Which.
        subscription: SubscriptionId,
        /// What it shows from here on.
        source: Option<TrackId>,
    },
    /// A receiver no longer gets a stream.
    RemoveSubscription {
        /// Which.
        subscription: SubscriptionId,
    },
    /// A sink in this process gets what passes the gate of a track.
    AddTap {
        /// Which.
        track: TrackId,
        /// Where to.
        sink: TapSink,
    },
    /// It no longer does; it is told so after what came before.
    RemoveTap {
        /// Which.
        track: TrackId,
        /// Where to.
        sink: TapSink,
    },
}

/// How loud a track is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loudness {
    /// Which.
    pub track: TrackId,
    /// RFC 6464 level below overload, 0 the loudest, 127 silence.
    pub level_dbov: u8,
}

/// What a worker tells about its media.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MediaEvent {
    /// The first packet of a track has come.
    TrackStarted {
        /// The room it is in.
        room: SessionId,
        /// Which.
        track: TrackId,
        /// What its packets carry.
        codec: Codec,
    },
    /// Transports whose peers sent something that authenticated since this was
    /// told last, about a second ago.
    Heard {
        /// Which.
        transports: Vec<TransportId>,
    },
    /// The bitrate of payload that came for each room with a track, measured
    /// about once a second.
    Incoming {
        /// Room and kilobits a second.
        rooms: Vec<(SessionId, u32)>,
    },
    /// Who is heard has changed: the tracks that carry speech and are open,
    /// loudest first; empty when nobody speaks.
    ActiveSpeakers {
        /// The room they are in.
        room: SessionId,
        /// At most five.
        speakers: Vec<Loudness>,
    },
}
