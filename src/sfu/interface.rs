//! The types of the media plane that its callers use: options, answers, events,
//! counters and errors.

use std::net::SocketAddr;

use crate::domain::error_code::ErrorCode;
use crate::domain::id::{ConnectionId, TenantId, TrackId};
use crate::domain::media::{Codec, MediaKind, TrackSource};
use crate::sfu::sdp::CodecConfig;

/// What a media plane is started with.
#[derive(Debug, Clone)]
pub struct SfuOptions {
    /// The one UDP address of all media. Port 0 takes any free one.
    pub bind: SocketAddr,
    /// Addresses that clients reach `bind` by, best first. Empty means the bound
    /// address, or those of the machine's interfaces when that is a wildcard.
    pub candidates: Vec<SocketAddr>,
    /// Threads that forward; 0 means one for each processor.
    pub workers: usize,
}

impl Default for SfuOptions {
    /// One worker a processor on loopback, any free port.
    fn default() -> Self {
        Self { bind: SocketAddr::from(([127, 0, 0, 1], 0)), candidates: Vec::new(), workers: 0 }
    }
}

/// What the rooms of a tenant may receive together on this instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BitrateBudget {
    /// Whose.
    pub tenant: TenantId,
    /// Kilobits of payload a second.
    pub max_kbps: u32,
}

/// Which of a peer's two transports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TransportSide {
    /// The one it sends by; it offers.
    Publish,
    /// The one it receives by; this server offers, except to WHEP receivers.
    Subscribe,
}

/// Why a transport ended without anybody asking for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LostReason {
    /// No authenticated connectivity check came in time after it was made, or
    /// its handshake did not complete.
    NeverConnected,
    /// Checks stopped (RFC 7675 consent).
    ConsentExpired,
    /// The peer closed it (DTLS `close_notify`).
    ClosedByPeer,
    /// The handshake failed, or its certificate was not the one that was signalled.
    HandshakeFailed,
    /// The thread that carried it has ended.
    ServerFault,
}

/// One track as its publisher is told about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedTrack {
    /// Its identity, kept across renegotiation.
    pub track: TrackId,
    /// Identification of its section (RFC 9143).
    pub mid: String,
    /// Where it comes from.
    pub source: TrackSource,
    /// What it carries.
    pub kind: MediaKind,
    /// The codec preferred; [`RoomMediaEvent::TrackStarted`] tells the one used.
    pub codec: Codec,
    /// How many encodings it is sent in, at least 1.
    pub layers: u8,
}

/// What a publisher in this process sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedSpec {
    /// Where it comes from.
    pub source: TrackSource,
    /// What it carries, of the same kind.
    pub config: CodecConfig,
    /// The payload type of its packets, 0 to 127.
    pub payload_type: u8,
}

/// The answer to a publisher's offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishAnswer {
    /// The session description to apply.
    pub sdp: String,
    /// Every track the peer publishes now.
    pub tracks: Vec<PublishedTrack>,
    /// The tracks that this offer ended.
    pub removed: Vec<TrackId>,
}

/// What the media plane tells a room. When the room's channel is full, offers
/// are tried again, lost transports too; the rest is dropped and counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoomMediaEvent {
    /// A receiver must be given this offer; its answer goes to [`Sfu::answer`](crate::sfu::Sfu::answer).
    /// Until then there is no further offer to it. The session id of the `o=`
    /// line names the transport: when it differs from the last offer's, the
    /// receiver starts a new peer connection.
    SubscriberOffer {
        /// Who.
        peer: ConnectionId,
        /// The session description.
        sdp: String,
        /// Which section carries which track; sections not named are inactive.
        tracks: Vec<(String, TrackId)>,
    },
    /// A transport completed its handshake.
    TransportConnected {
        /// Whose.
        peer: ConnectionId,
        /// Which.
        side: TransportSide,
    },
    /// A transport is gone, its tracks or subscriptions with it. Publishing or
    /// subscribing again makes a new one.
    TransportLost {
        /// Whose.
        peer: ConnectionId,
        /// Which.
        side: TransportSide,
        /// Why.
        reason: LostReason,
    },
    /// The first packet of a track has come.
    TrackStarted {
        /// Which.
        track: TrackId,
        /// What its packets carry.
        codec: Codec,
    },
    /// Who is heard has changed, loudest first.
    ActiveSpeakers {
        /// Who, on which track, and the RFC 6464 level: 0 the loudest, 127 silence.
        speakers: Vec<(ConnectionId, TrackId, u8)>,
    },
}

/// Counters and sizes of the control half, since it was started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SfuStats {
    /// Rooms open.
    pub rooms: u64,
    /// Peers in them.
    pub peers: u64,
    /// Transports that live, connected or not.
    pub transports: u64,
    /// Tracks published.
    pub tracks: u64,
    /// Streams towards receivers.
    pub subscriptions: u64,
    /// Handshakes completed.
    pub handshakes_completed: u64,
    /// Transports lost before their handshake completed.
    pub handshakes_failed: u64,
    /// Datagrams that the rate limits refused before any work was spent on them.
    pub datagrams_limited: u64,
    /// Datagrams that belong to no transport.
    pub datagrams_unroutable: u64,
    /// Room events dropped because the room's channel was full.
    pub events_dropped: u64,
}

/// Why the media plane did not do something.
#[derive(Debug, thiserror::Error)]
pub enum SfuError {
    /// The UDP address can't be used.
    #[error("the media address can't be bound: {0}")]
    Bind(#[source] std::io::Error),
    /// Nobody on another machine could reach what would be announced.
    #[error(
        "media.candidates: no address but loopback can be announced to clients; name one that \
         they reach, or bind media to loopback"
    )]
    Unreachable,
    /// The certificate or the threads can't be made.
    #[error("the media plane can't start: {0}")]
    Start(String),
    /// The media plane is stopped, or a worker of it has ended.
    #[error("the media plane is stopped")]
    Stopped,
    /// The server carries as many rooms as it may.
    #[error("this server can't open more rooms")]
    RoomLimit,
    /// The room is already open.
    #[error("the room is open already")]
    RoomExists,
    /// No such room.
    #[error("no such room")]
    RoomNotFound,
    /// The room has as many peers as it may.
    #[error("the room is full")]
    PeerLimit,
    /// The peer is already in the room.
    #[error("the peer is in the room already")]
    PeerExists,
    /// No such peer in the room.
    #[error("no such peer")]
    PeerNotFound,
    /// No such track in the room.
    #[error("no such track")]
    TrackNotFound,
    /// The peer publishes or subscribes to as much as it may.
    #[error("too many tracks")]
    TrackLimit,
    /// The tenant receives as much as it may; sound is still taken.
    #[error("the tenant's bitrate limit is reached")]
    BitrateLimit,
    /// The peer has no such transport.
    #[error("no such transport")]
    TransportNotFound,
    /// What is to be fed makes no sense.
    #[error("feed: {0}")]
    FeedInvalid(&'static str),
    /// The session description is malformed or offers nothing usable.
    #[error("session description: {0}")]
    SdpInvalid(&'static str),
    /// A description came that does not fit the state of its transport.
    #[error("signalling state: {0}")]
    SignallingState(&'static str),
}

impl SfuError {
    /// The stable code of this refusal.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Bind(_) | Self::Start(_) | Self::Unreachable | Self::FeedInvalid(_) => {
                ErrorCode::Internal
            }
            Self::Stopped | Self::RoomLimit => ErrorCode::DependencyUnavailable,
            Self::RoomNotFound => ErrorCode::SessionNotFound,
            Self::PeerLimit => ErrorCode::ParticipantLimitReached,
            Self::RoomExists | Self::PeerExists | Self::SignallingState(_) => {
                ErrorCode::SignallingStateConflict
            }
            Self::PeerNotFound => ErrorCode::ParticipantNotFound,
            Self::TrackNotFound => ErrorCode::TrackNotFound,
            Self::TrackLimit => ErrorCode::TrackLimitReached,
            Self::BitrateLimit => ErrorCode::BitrateLimitReached,
            Self::TransportNotFound => ErrorCode::MediaResourceNotFound,
            Self::SdpInvalid(_) => ErrorCode::SdpInvalid,
        }
    }
}
