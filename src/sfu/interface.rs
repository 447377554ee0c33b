//! The types of the media plane that its callers use: options, answers, events, counters and
//! errors.

use std::net::SocketAddr;
use std::time::Duration;

use crate::clock::Clock;
use crate::domain::error_code::ErrorCode;
use crate::domain::id::{ConnectionId, TenantId, TrackId};
use crate::domain::media::{Codec, MediaKind, TrackSource};
use crate::sfu::congestion::Limits;
use crate::sfu::plane::PathConditions;
use crate::sfu::sdp::{CodecConfig, RefusedSection};
use crate::sfu::turn::{TurnOptions, TurnStats};

/// Options with which a media plane is started.
#[derive(Debug, Clone)]
pub struct SfuOptions {
    /// The UDP address at which all media arrives. Port 0 takes any free port.
    pub bind: SocketAddr,
    /// Addresses at which clients reach `bind`, best first. When empty, the bound address is
    /// announced, or the addresses of the machine's interfaces if it is a wildcard.
    pub candidates: Vec<SocketAddr>,
    /// Whether media may come over TCP as well, at the same address and port.
    pub tcp: bool,
    /// How TURN is served; not at all when `None`.
    pub turn: Option<TurnOptions>,
    /// Number of threads that forward; 0 means one per processor.
    pub workers: usize,
    /// What the path to a receiver is first taken to carry, and at least and at most.
    pub bitrate: Limits,
    /// The clock from which what is recorded gets its times.
    pub clock: Clock,
}

impl Default for SfuOptions {
    /// One worker per processor, on loopback, at any free port.
    fn default() -> Self {
        Self {
            bind: SocketAddr::from(([127, 0, 0, 1], 0)),
            candidates: Vec::new(),
            tcp: true,
            turn: None,
            workers: 0,
            bitrate: Limits::default(),
            clock: Clock::system(),
        }
    }
}

/// The bitrate that the rooms of a tenant may receive together on this instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BitrateBudget {
    /// The tenant.
    pub tenant: TenantId,
    /// Kilobits of payload per second.
    pub max_kbps: u32,
}

/// Which of a peer's two transports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TransportSide {
    /// The transport over which the peer sends; the peer makes the offers.
    Publish,
    /// The transport over which the peer receives; this server makes the offers, except to WHEP
    /// receivers.
    Subscribe,
}

/// Why a transport ended although nobody closed it on this side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LostReason {
    /// No authenticated connectivity check came in time after the transport was made, or the
    /// handshake did not complete.
    NeverConnected,
    /// Connectivity checks stopped, and with them consent (RFC 7675).
    ConsentExpired,
    /// The peer closed it (DTLS `close_notify`).
    ClosedByPeer,
    /// The handshake failed, or the certificate was not the one in the session description.
    HandshakeFailed,
    /// The worker thread that carried it has ended.
    ServerFault,
}

/// A track, as its publisher is told about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedTrack {
    /// Its id, kept across renegotiation.
    pub track: TrackId,
    /// Identification of its section (RFC 9143).
    pub mid: String,
    /// Its source: microphone, camera, screen and so on.
    pub source: TrackSource,
    /// Audio or video.
    pub kind: MediaKind,
    /// The preferred codec; [`RoomMediaEvent::TrackStarted`] tells the one used.
    pub codec: Codec,
    /// Number of encodings in which it is sent, at least 1.
    pub layers: u8,
}

/// What a feed sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedSpec {
    /// Its source: microphone, camera, screen and so on.
    pub source: TrackSource,
    /// Its codec, of the same kind (audio or video) as the source.
    pub config: CodecConfig,
    /// The payload type of its packets, 0 to 127.
    pub payload_type: u8,
}

/// The answer to a publisher's offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishAnswer {
    /// The session description to apply.
    pub sdp: String,
    /// Every track that the peer publishes now.
    pub tracks: Vec<PublishedTrack>,
    /// The tracks that this offer ended.
    pub removed: Vec<TrackId>,
    /// The sections that the peer wants to use and this server can't.
    pub refused: Vec<RefusedSection>,
}

/// The answer to a WHEP receiver's offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WhepAnswer {
    /// The session description to apply.
    pub sdp: String,
    /// The sections that the receiver wants to use and this server can't.
    pub refused: Vec<RefusedSection>,
}

/// An event that the media plane sends to a room. When the room's channel is full, offers and lost
/// transports are sent again later; the other events are dropped and counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoomMediaEvent {
    /// The receiver must be given this offer, and its answer passed to
    /// [`Sfu::answer`](crate::sfu::Sfu::answer). Until then there is no further offer to it. The
    /// session id of the `o=` line identifies the transport: when it differs from that of the last
    /// offer, the receiver starts a new peer connection.
    SubscriberOffer {
        /// The receiver.
        peer: ConnectionId,
        /// The session description.
        sdp: String,
        /// Which section (by `mid`) carries which track; all other sections are inactive.
        tracks: Vec<(String, TrackId)>,
    },
    /// A receiver has refused the section of a track, so it does not get it. Told once for each offer
    /// of the track that it refuses.
    TrackRefused {
        /// The receiver.
        peer: ConnectionId,
        /// The track.
        track: TrackId,
        /// The codec in which it was offered.
        codec: Codec,
    },
    /// The tracks of which a receiver gets no pictures have changed: its network does not carry
    /// them. Sound goes on.
    LeftOut {
        /// The receiver.
        peer: ConnectionId,
        /// All such tracks; empty when it gets everything again.
        tracks: Vec<TrackId>,
    },
    /// The encodings of a track that nobody wants have changed; its publisher need not send them.
    Unseen {
        /// The publisher.
        peer: ConnectionId,
        /// The track.
        track: TrackId,
        /// The names (RFC 8851) of all such encodings; empty when all are wanted.
        rids: Vec<String>,
    },
    /// A transport has completed its handshake.
    TransportConnected {
        /// The peer to which it belongs.
        peer: ConnectionId,
        /// Which of the peer's two transports.
        side: TransportSide,
    },
    /// A transport has ended, and its tracks or subscriptions with it. Publishing or subscribing
    /// again makes a new one.
    TransportLost {
        /// The peer to which it belonged.
        peer: ConnectionId,
        /// Which of the peer's two transports.
        side: TransportSide,
        /// Why it ended.
        reason: LostReason,
    },
    /// What is known of the paths of the room's peers, about once a second.
    Conditions {
        /// The paths of all transports that are connected.
        paths: Vec<PathReport>,
    },
    /// The first packet of a track has arrived.
    TrackStarted {
        /// The track.
        track: TrackId,
        /// The codec of its packets.
        codec: Codec,
    },
    /// The active speakers or their levels have changed.
    ActiveSpeakers {
        /// Peer, track and RFC 6464 level (0 the loudest, 127 silence) of each speaker, loudest
        /// first.
        speakers: Vec<(ConnectionId, TrackId, u8)>,
    },
}

/// What is known of the path of one transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathReport {
    /// The peer to which it belongs.
    pub peer: ConnectionId,
    /// Which of the peer's two transports.
    pub side: TransportSide,
    /// What was measured in about a second.
    pub conditions: PathConditions,
    /// How long neither media nor a connectivity check has come.
    pub silent_for: Duration,
    /// Whether it is carried by TCP, directly or through TURN.
    pub is_by_tcp: bool,
}

/// Counters of the control half since it was started, and its current sizes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SfuStats {
    /// Open rooms.
    pub rooms: u64,
    /// Peers in all rooms.
    pub peers: u64,
    /// Transports that exist, connected or not.
    pub transports: u64,
    /// Published tracks.
    pub tracks: u64,
    /// Streams to receivers.
    pub subscriptions: u64,
    /// Handshakes completed.
    pub handshakes_completed: u64,
    /// Transports lost before their handshake completed.
    pub handshakes_failed: u64,
    /// Datagrams that the rate limits refused before any work was spent on them.
    pub datagrams_limited: u64,
    /// Datagrams that belong to no transport and were dropped.
    pub datagrams_unroutable: u64,
    /// Room events dropped because the room's channel was full.
    pub events_dropped: u64,
    /// The counters of TURN.
    pub turn: TurnStats,
}

/// Why the media plane refused or failed to do something.
#[derive(Debug, thiserror::Error)]
pub enum SfuError {
    /// The UDP address can't be used.
    #[error("the media address can't be bound: {0}")]
    Bind(#[source] std::io::Error),
    /// The address of TURN over TLS can't be used.
    #[error("media.turn.tls_bind: it can't be listened to: {0}")]
    BindTurn(#[source] std::io::Error),
    /// No address was found that another machine could reach.
    #[error(
        "media.candidates: no address but loopback can be announced to clients; name one that \
         they reach, or bind media to loopback"
    )]
    Unreachable,
    /// The certificate can't be made, or the threads can't be started.
    #[error("the media plane can't start: {0}")]
    Start(String),
    /// The media plane is stopped, or one of its workers has ended.
    #[error("the media plane is stopped")]
    Stopped,
    /// The server has as many rooms as it may.
    #[error("this server can't open more rooms")]
    RoomLimit,
    /// The room is already open.
    #[error("the room is open already")]
    RoomExists,
    /// There is no such room.
    #[error("no such room")]
    RoomNotFound,
    /// The room has as many peers as it may.
    #[error("the room is full")]
    PeerLimit,
    /// The peer is already in the room.
    #[error("the peer is in the room already")]
    PeerExists,
    /// There is no such peer in the room.
    #[error("no such peer")]
    PeerNotFound,
    /// There is no such track in the room.
    #[error("no such track")]
    TrackNotFound,
    /// The peer has as many tracks or subscriptions as it may.
    #[error("too many tracks")]
    TrackLimit,
    /// The tenant receives as much media as it may; audio tracks are still accepted.
    #[error("the tenant's bitrate limit is reached")]
    BitrateLimit,
    /// The peer has no such transport.
    #[error("no such transport")]
    TransportNotFound,
    /// The description of a feed is contradictory.
    #[error("feed: {0}")]
    FeedInvalid(&'static str),
    /// The session description is malformed or offers nothing usable.
    #[error("session description: {0}")]
    SdpInvalid(&'static str),
    /// The session description does not fit the state of its transport.
    #[error("signalling state: {0}")]
    SignallingState(&'static str),
}

impl SfuError {
    /// The stable error code that clients are given.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Bind(_)
            | Self::BindTurn(_)
            | Self::Start(_)
            | Self::Unreachable
            | Self::FeedInvalid(_) => ErrorCode::Internal,
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
