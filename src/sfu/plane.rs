//! The messages between the control half and the workers. The control half decides who may send
//! what to whom and hands over keys; a worker owns the media of the rooms given to it, and hands
//! back datagrams that are not media.

use std::net::SocketAddr;

use crate::domain::id::{SessionId, TrackId};
use crate::domain::media::{Codec, MediaKind};
use crate::domain::secret::Secret;
use crate::sfu::feed::KeyFrameSignal;
use crate::sfu::tap::TapSink;

/// Number of a transport: one ICE/DTLS/SRTP association. Never reused while the process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransportId(pub u64);

/// Number of a subscription: one receiver's copy of a track. Never reused while the process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionId(pub u64);

/// The protection that DTLS-SRTP agreed on (RFC 5764 §4.1.2, RFC 7714 §14.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SrtpProfile {
    /// `SRTP_AEAD_AES_128_GCM`.
    AeadAes128Gcm,
    /// `SRTP_AES128_CM_HMAC_SHA1_80`, for clients without GCM. It costs several times as much
    /// processor time.
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
    /// The protection profile with which they are used.
    pub profile: SrtpProfile,
    /// The key that this server sends with.
    pub local: MasterKey,
    /// The key that the peer sends with.
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

/// A payload type and its meaning on one transport.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    /// RTP payload type, 0 to 127.
    pub payload_type: u8,
    /// Its codec.
    pub codec: Codec,
    /// Payload type of its retransmissions (RFC 4588), when negotiated.
    pub rtx_payload_type: Option<u8>,
}

/// One encoding of a track, as far as signalling describes it. Undeclared SSRCs are learnt from the
/// `mid` and `rid` of authenticated packets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EncodingSpec {
    /// RFC 8851 restriction identifier; `None` without simulcast.
    pub rid: Option<String>,
    /// SSRC of its packets, when declared.
    pub ssrc: Option<u32>,
    /// SSRC of its retransmissions, when declared.
    pub rtx_ssrc: Option<u32>,
}

/// Whether the packets of a publication are forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// They are forwarded.
    Open,
    /// They are decrypted and counted, then dropped.
    Closed,
}

impl Gate {
    /// Open if `passes`.
    #[must_use]
    pub const fn open_if(passes: bool) -> Self {
        if passes { Self::Open } else { Self::Closed }
    }
}

/// The gates of a peer, by what its publications carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gates {
    /// Of its sound.
    pub audio: Gate,
    /// Of its pictures: cameras and screens.
    pub video: Gate,
}

impl Gates {
    /// Nothing passes.
    pub const CLOSED: Self = Self { audio: Gate::Closed, video: Gate::Closed };
    /// Everything passes.
    pub const OPEN: Self = Self { audio: Gate::Open, video: Gate::Open };

    /// The gate of what carries this.
    #[must_use]
    pub const fn of(self, kind: MediaKind) -> Gate {
        match kind {
            MediaKind::Audio => self.audio,
            MediaKind::Video => self.video,
        }
    }

    pub(crate) const fn set(&mut self, kind: MediaKind, gate: Gate) {
        match kind {
            MediaKind::Audio => self.audio = gate,
            MediaKind::Video => self.video = gate,
        }
    }
}

/// Where the packets of a publication come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublicationOrigin {
    /// A transport of a peer.
    Transport(TransportId),
    /// This process, as a feed, which is asked for key frames by this signal.
    Process(KeyFrameSignal),
}

/// A track that is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicationSpec {
    /// Its id.
    pub track: TrackId,
    /// The room whose members may subscribe to it.
    pub room: SessionId,
    /// The transport or feed that its packets come from.
    pub origin: PublicationOrigin,
    /// Audio or video.
    pub kind: MediaKind,
    /// RFC 9143 identification of its section; empty for a feed.
    pub mid: String,
    /// The meaning of its payload types; the first is the preferred one.
    pub formats: Vec<Format>,
    /// Its encodings, as listed by the peer; at least one, at most three. Which is of higher quality
    /// is measured. A feed has one.
    pub encodings: Vec<EncodingSpec>,
    /// Header extensions of its transport.
    pub extensions: ExtensionIds,
    /// Whether its packets are forwarded from the start.
    pub gate: Gate,
}

/// What a receiver wants of a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demand {
    /// Highest encoding to forward; 0 is the lowest quality. A number higher than the encodings
    /// that exist means the best one.
    pub layer_max: u8,
    /// Whether nothing is forwarded for now.
    pub paused: bool,
}

impl Default for Demand {
    /// The best encoding, not paused.
    fn default() -> Self {
        Self { layer_max: u8::MAX, paused: false }
    }
}

/// How important the pictures of a track are where a path can't carry all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// None of the others.
    #[default]
    Rest,
    /// Of somebody who speaks.
    Speaker,
    /// A shared screen.
    Screen,
    /// Of whoever has the floor.
    Floor,
}

/// A stream to one receiver. Its source may change while it exists (a slot that shows the featured
/// track); sequence numbers and timestamps stay continuous across changes of source and of layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionSpec {
    /// Its id.
    pub subscription: SubscriptionId,
    /// The transport over which its packets are sent.
    pub transport: TransportId,
    /// Audio or video.
    pub kind: MediaKind,
    /// The track that it shows at first.
    pub source: Option<TrackId>,
    /// RFC 9143 identification of its section.
    pub mid: String,
    /// The formats that the receiver understands, with their payload types.
    pub formats: Vec<Format>,
    /// SSRC of its packets.
    pub ssrc: u32,
    /// SSRC of its retransmissions.
    pub rtx_ssrc: u32,
    /// Header extensions of its transport.
    pub extensions: ExtensionIds,
    /// The layer that the receiver wants, and whether it is paused.
    pub demand: Demand,
}

/// A command from the control half to a worker. Commands for one transport or track arrive in the
/// order given. A command that names something unknown is ignored, since it may have been removed a
/// moment ago.
#[derive(Debug)]
pub enum Command {
    /// The handshake of a transport is complete.
    AddTransport {
        /// The transport.
        transport: TransportId,
        /// The room it belongs to.
        room: SessionId,
        /// Its keys.
        keys: SrtpKeys,
        /// The address of its peer.
        remote: SocketAddr,
    },
    /// ICE nominated another address of the same peer.
    MoveTransport {
        /// The transport.
        transport: TransportId,
        /// The new address of its peer.
        remote: SocketAddr,
    },
    /// A transport has ended, and its publications and subscriptions with it.
    RemoveTransport {
        /// The transport.
        transport: TransportId,
    },
    /// A peer publishes a track, possibly before its transport is complete.
    AddPublication(PublicationSpec),
    /// A peer no longer publishes a track.
    RemovePublication {
        /// The track.
        track: TrackId,
    },
    /// Opens or closes the gate of a track.
    SetGate {
        /// The track.
        track: TrackId,
        /// Whether its packets are forwarded from now on.
        gate: Gate,
    },
    /// Says how important the pictures of a track are.
    SetPriority {
        /// The track.
        track: TrackId,
        /// Its importance.
        priority: Priority,
    },
    /// Limits the encodings that leave a room; [`u8::MAX`] removes the limit.
    SetLayerMax {
        /// The room.
        room: SessionId,
        /// Highest encoding of a track that may leave; 0 is the lowest quality.
        layer_max: u8,
    },
    /// Adds a stream to a receiver.
    AddSubscription(SubscriptionSpec),
    /// Changes the layer that a receiver wants of a stream, or whether it is paused.
    SetDemand {
        /// The subscription.
        subscription: SubscriptionId,
        /// The new demand.
        demand: Demand,
    },
    /// Lets a stream show another publication, or none.
    SetSource {
        /// The subscription.
        subscription: SubscriptionId,
        /// The track to show from now on.
        source: Option<TrackId>,
    },
    /// Ends a stream to a receiver.
    RemoveSubscription {
        /// The subscription.
        subscription: SubscriptionId,
    },
    /// Gives a sink in this process what passes the gate of a track.
    AddTap {
        /// The track.
        track: TrackId,
        /// The sink.
        sink: TapSink,
    },
    /// Ends a tap; the sink is told so after everything that came before.
    RemoveTap {
        /// The track.
        track: TrackId,
        /// The sink.
        sink: TapSink,
    },
}

/// The audio level of a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loudness {
    /// The track.
    pub track: TrackId,
    /// RFC 6464 level below overload, 0 the loudest, 127 silence.
    pub level_dbov: u8,
}

/// Packets of an interval. Those that were late in the one before may have arrived in this one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many were to arrive.
    pub expected: u32,
    /// How many did.
    pub arrived: u32,
}

impl Tally {
    /// Adds those of another interval, or of another stream.
    pub const fn add(&mut self, other: Self) {
        self.expected = self.expected.saturating_add(other.expected);
        self.arrived = self.arrived.saturating_add(other.arrived);
    }
}

/// What a path can't carry of the pictures that its receiver asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shortage {
    /// It carries all.
    #[default]
    Nothing,
    /// Some are sent smaller than they could be.
    Size,
    /// Some are left out.
    Pictures,
}

/// What was measured of the path of a transport in about a second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PathConditions {
    /// Sound that the peer sends, counted after what it could send again.
    pub sound_from_peer: Tally,
    /// The same of its pictures.
    pub pictures_from_peer: Tally,
    /// How unevenly late its sound comes (RFC 3550 §6.4.1); `None` when none does.
    pub from_peer_jitter_ms: Option<u32>,
    /// What is sent to the peer, as it told.
    pub to_peer: Tally,
    /// By how much more unevenly late sound is at the peer than when it came here, of the stream of
    /// which that is least; `None` when it told nothing.
    pub to_peer_jitter_ms: Option<u32>,
    /// How long packets take to the peer and back; `None` when it told nothing.
    pub round_trip_ms: Option<u32>,
    /// How much the path to the peer carries, once it has shown a limit.
    pub estimate_kbps: Option<u32>,
    /// What it can't carry.
    pub shortage: Shortage,
}

/// An event that a worker reports about its media.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MediaEvent {
    /// The first packet of a track has arrived.
    TrackStarted {
        /// The room it is in.
        room: SessionId,
        /// The track.
        track: TrackId,
        /// The codec of its packets.
        codec: Codec,
    },
    /// Transports whose peers sent authenticated media since the last such event, about a second
    /// ago.
    Heard {
        /// The transports.
        transports: Vec<TransportId>,
    },
    /// What was measured of the path of every transport since the last such event, about a second
    /// ago.
    Conditions {
        /// The transports.
        transports: Vec<(TransportId, PathConditions)>,
    },
    /// Transports from whose addresses nothing authenticated has come for
    /// [`SILENT_AFTER`](crate::sfu::transport::SILENT_AFTER). It ends for each with the next `Heard`
    /// that names it.
    Silent {
        /// The transports, and the SSRCs from which the peer of each sends.
        transports: Vec<(TransportId, Vec<u32>)>,
    },
    /// Authenticated media of a silent transport came from another address.
    HeardFrom {
        /// The transport.
        transport: TransportId,
        /// The address.
        from: SocketAddr,
    },
    /// The tracks of which a receiver gets no pictures, for want of room on its path, have changed.
    LeftOut {
        /// The receiver's transport.
        transport: TransportId,
        /// All such tracks.
        tracks: Vec<TrackId>,
    },
    /// The encodings of a track that no receiver wants have changed.
    Unseen {
        /// The publisher's transport.
        transport: TransportId,
        /// The track.
        track: TrackId,
        /// The names (RFC 8851) of all such encodings, the best one first.
        rids: Vec<String>,
    },
    /// The bitrate of payload that each room with a track received, measured about once a second.
    Incoming {
        /// Rooms and kilobits per second.
        rooms: Vec<(SessionId, u32)>,
    },
    /// The active speakers or their levels have changed: the tracks with an open gate that carry
    /// speech, loudest first; empty when nobody speaks.
    ActiveSpeakers {
        /// The room they are in.
        room: SessionId,
        /// At most five speakers.
        speakers: Vec<Loudness>,
    },
}
