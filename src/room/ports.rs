//! What a room tells other parts of the server: those that listen to its
//! tracks, and the one that writes down what became of it.

use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::error_code::ErrorCode;
use crate::domain::id::{SessionId, TenantId, TrackId, UserId};
use crate::domain::media::{Codec, TrackSource};
use crate::domain::participant::ParticipantKind;
use crate::domain::recording::RecordingState;
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::sessions::TenantLimitsSource;
use crate::sfu::{LostReason, TransportSide};

/// A track of a room, as those that listen to it need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomTrack {
    /// The track.
    pub track: TrackId,
    /// Whose.
    pub user: UserId,
    /// Their name at this moment.
    pub name: String,
    /// Where it comes from.
    pub source: TrackSource,
    /// What it carries.
    pub codec: Codec,
}

/// A part of the server that listens to the tracks of rooms. The room waits for
/// each call, so each returns as soon as it holds and never waits for a disk, a
/// network or a room.
#[async_trait]
pub trait TrackListener: Send + Sync {
    /// As what it takes part in rooms.
    fn kind(&self) -> ParticipantKind;

    /// The state of a room's recording from here on. Told when a room opens or
    /// is loaded again, whatever the state is, and then at every change.
    /// `recording` comes after the members were told, `paused` and `stopped`
    /// come before: when the call returns, a recorder takes nothing more.
    async fn recording_changed(&self, tenant: TenantId, session: SessionId, state: RecordingState);

    /// A decision with this number changes gates. Comes before the gates change,
    /// so that the record can name the decision that closed one.
    async fn gates_decided(&self, tenant: TenantId, session: SessionId, decision: u64);

    /// A track was published, or its first packet shows that its codec is
    /// another than was told before. Told of every track in every state.
    async fn track_published(&self, tenant: TenantId, session: SessionId, track: RoomTrack);

    /// A track has ended, or its room closes here.
    async fn track_unpublished(&self, tenant: TenantId, session: SessionId, track: TrackId);
}

/// Writes down what became of rooms.
#[async_trait]
pub trait RoomWitness: Send + Sync {
    /// A room was opened or loaded again, and nothing was told in it since. It
    /// tells nothing before this returns.
    async fn room_opened(&self, session: &Session);

    /// Events were added to the room's journal. Must not block.
    fn events_kept(&self, tenant: TenantId, session: SessionId);

    /// An authenticated person could not enter the room of an active session.
    /// The same refusal of the same person is told once in
    /// [`REFUSAL_INTERVAL`](super::REFUSAL_INTERVAL).
    async fn refused(&self, tenant: TenantId, session: SessionId, refusal: Refusal);

    /// Somebody lost a transport or the socket of their channel. Must not block.
    fn connection_lost(&self, tenant: TenantId, session: SessionId, lost: LostConnection);
}

/// The parts of the server that rooms work with; there may be none. Without a
/// recorder among the listeners nothing is recorded, and no room says that it is.
#[derive(Clone, Default)]
pub struct RoomPorts {
    /// Who listens to the tracks.
    pub listeners: Vec<Arc<dyn TrackListener>>,
    /// Who writes down what becomes of rooms.
    pub witness: Option<Arc<dyn RoomWitness>>,
    /// What a tenant may receive; without it there is no limit.
    pub limits: Option<Arc<dyn TenantLimitsSource>>,
}

impl RoomPorts {
    /// Whether a listener of this kind is there.
    #[must_use]
    pub fn has(&self, kind: ParticipantKind) -> bool {
        self.listeners.iter().any(|listener| listener.kind() == kind)
    }
}

/// Somebody could not enter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Who, when that is known.
    pub user: Option<UserId>,
    /// Why.
    pub code: ErrorCode,
}

/// Somebody lost a part of their connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostConnection {
    /// Who.
    pub user: UserId,
    /// Which part.
    pub part: ConnectionPart,
    /// Why.
    pub reason: LossReason,
}

/// A part of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionPart {
    /// The socket of the moderation channel.
    Channel,
    /// The transport to the server.
    Publish,
    /// The transport from the server.
    Subscribe,
}

impl ConnectionPart {
    /// Its stable text: `channel`, `publish` or `subscribe`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Channel => "channel",
            Self::Publish => "publish",
            Self::Subscribe => "subscribe",
        }
    }
}

/// Why a part of a connection was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LossReason {
    /// The client or the network closed the socket.
    SocketClosed,
    /// The client read too slowly, said nothing, or said too much.
    SlowOrSilent,
    /// The client sent more than the channel takes in one message.
    MessageTooLarge,
    /// The transport was never connected.
    NeverConnected,
    /// Connectivity checks stopped (RFC 7675).
    ConsentExpired,
    /// The client closed the transport.
    ClosedByPeer,
    /// The DTLS handshake failed.
    HandshakeFailed,
    /// A part of the server failed or stops.
    ServerFault,
}

impl LossReason {
    /// Its stable text, the name in lower snake case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SocketClosed => "socket_closed",
            Self::SlowOrSilent => "slow_or_silent",
            Self::MessageTooLarge => "message_too_large",
            Self::NeverConnected => "never_connected",
            Self::ConsentExpired => "consent_expired",
            Self::ClosedByPeer => "closed_by_peer",
            Self::HandshakeFailed => "handshake_failed",
            Self::ServerFault => "server_fault",
        }
    }
}

impl From<TransportSide> for ConnectionPart {
    fn from(side: TransportSide) -> Self {
        match side {
            TransportSide::Publish => Self::Publish,
            TransportSide::Subscribe => Self::Subscribe,
        }
    }
}

impl From<LostReason> for LossReason {
    fn from(reason: LostReason) -> Self {
        match reason {
            LostReason::NeverConnected => Self::NeverConnected,
            LostReason::ConsentExpired => Self::ConsentExpired,
            LostReason::ClosedByPeer => Self::ClosedByPeer,
            LostReason::HandshakeFailed => Self::HandshakeFailed,
            LostReason::ServerFault => Self::ServerFault,
        }
    }
}

/// A signed head of a session's log, as its members are told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvidenceHead {
    /// Entries it covers.
    pub tree_size: u64,
    /// Their root, base64url without padding.
    pub root: String,
    /// The tagged `COSE_Sign1`, base64url without padding.
    pub cose: String,
    /// When it was signed.
    pub at: Timestamp,
}
