//! Traits by which a room tells other parts of the server: those that listen to its tracks, and the
//! one that enters in the log what happened in it.

use std::sync::Arc;

use async_trait::async_trait;

use crate::attendance::ports::EligibleSource;
use crate::attendance::{CoarseLocation, LeftOut, PresentedHash};
use crate::claims::Claims;
use crate::domain::attendance::{AttendanceFailure, AttendanceMethod, Place, Weight};
use crate::domain::error_code::ErrorCode;
use crate::domain::id::{SessionKey, TenantId, TrackId, UserId};
use crate::domain::language::LanguageTag;
use crate::domain::media::{Codec, TrackSource};
use crate::domain::participant::ParticipantKind;
use crate::domain::quality::BadSpell;
use crate::domain::recording::RecordingState;
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::room::engine::Featured;
use crate::room::event::Event;
use crate::sessions::TenantLimitsSource;
use crate::sfu::{LostReason, TransportSide};

/// A track of a room, with what listeners need to know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomTrack {
    /// The track.
    pub track: TrackId,
    /// The person whose track it is.
    pub user: UserId,
    /// Their name now.
    pub name: String,
    /// Its source.
    pub source: TrackSource,
    /// Its codec.
    pub codec: Codec,
    /// The language that its person speaks; `None` for that of the session.
    pub language: Option<LanguageTag>,
}

/// A part of the server that listens to the tracks of rooms. The room waits for each call but
/// [`Self::session_ending`], so a call must return quickly and never wait for a disk, a network or
/// a room.
#[async_trait]
pub trait TrackListener: Send + Sync {
    /// The kind of participant that it is in rooms; nothing when it is none.
    fn kind(&self) -> Option<ParticipantKind>;

    /// A room opens or is loaded again, or its session has changed. Called before anything else
    /// is told of the room.
    async fn session_told(&self, _session: &Session) {}

    /// The session ends, and nobody is heard any more. The room is still open and ends when this
    /// has returned for all listeners, or after some seconds: what was said before can be
    /// told until then.
    async fn session_ending(&self, _key: SessionKey) {}

    /// The track of whoever has the floor has changed.
    async fn floor_given(&self, _key: SessionKey, _track: Option<TrackId>) {}

    /// The tracks that a receiver is given who is given one sound and one picture. They may be
    /// behind gates that are closed.
    async fn featured(&self, _key: SessionKey, _featured: Featured) {}

    /// Members were told a text of what was said, or that one was put right: this event, with this
    /// `seq`.
    async fn text_told(&self, _key: SessionKey, _seq: u64, _event: &Event) {}

    /// The tracks that are heard, loudest first.
    async fn heard(&self, _key: SessionKey, _tracks: &[TrackId]) {}

    /// The new state of a room's recording. Called when a room opens or is loaded again, whatever
    /// the state, and then at every change. The call for `recording` comes after the members were
    /// told; the calls for `paused` and `stopped` come before, and when they return, a recorder
    /// records nothing more.
    async fn recording_changed(&self, key: SessionKey, state: RecordingState);

    /// The decision with this number changes gates. Called before the gates change, so that the log
    /// can name the decision that closed one.
    async fn gates_decided(&self, key: SessionKey, decision: u64);

    /// A track was published, or its first packet shows that it has another codec than was reported
    /// before. Called for every track in every state.
    async fn track_published(&self, key: SessionKey, track: RoomTrack);

    /// The person of a track speaks another language from here on; `None` for that of the session.
    async fn language_changed(
        &self,
        _key: SessionKey,
        _track: TrackId,
        _language: Option<LanguageTag>,
    ) {
    }

    /// A track has ended, or its room closes in this process.
    async fn track_unpublished(&self, key: SessionKey, track: TrackId);
}

/// Enters in the log what happens in rooms.
#[async_trait]
pub trait RoomLog: Send + Sync {
    /// A room was opened or loaded again and has stored no event since. The room sends nothing
    /// before this returns.
    async fn room_opened(&self, session: &Session);

    /// Events were added to the room's repository. Must not block.
    fn events_kept(&self, key: SessionKey);

    /// An authenticated person could not enter the room of an active session. The same refusal of
    /// the same person is reported once in [`REFUSAL_INTERVAL`](super::REFUSAL_INTERVAL).
    async fn refused(&self, key: SessionKey, refusal: Refusal);

    /// Something of attendance is to be written down.
    async fn attendance(&self, key: SessionKey, note: AttendanceNote);

    /// The connections of people were not good for a while.
    async fn bad_spells(&self, key: SessionKey, spells: Vec<BadSpell>);

    /// A person lost a transport or the socket of their channel. Must not block.
    fn connection_lost(&self, key: SessionKey, lost: LostConnection);
}

/// The other parts that rooms use; all are optional. Without a recorder among the listeners nothing
/// is recorded, and no room says that it is.
#[derive(Clone, Default)]
pub struct RoomPorts {
    /// The listeners to tracks.
    pub listeners: Vec<Arc<dyn TrackListener>>,
    /// Enters in the log what happens in rooms.
    pub log: Option<Arc<dyn RoomLog>>,
    /// The limits of tenants; without them there is no limit.
    pub limits: Option<Arc<dyn TenantLimitsSource>>,
    /// Who may attend; without it a moderator gives the list.
    pub eligible: Option<Arc<dyn EligibleSource>>,
    /// With several instances, which of them has which room.
    pub claims: Option<Claims>,
    /// Whether what is said can become text.
    pub transcription: TranscriptionState,
}

/// Languages of which text can be made.
pub type Languages = Arc<[LanguageTag]>;

/// Of which languages this server makes text of speech of a tenant; by default it makes none.
#[derive(Clone, Default)]
pub struct TranscriptionState(Option<Arc<dyn Fn(TenantId) -> Option<Languages> + Send + Sync>>);

impl TranscriptionState {
    /// Makes a state of what says it for each tenant.
    pub fn new(languages: impl Fn(TenantId) -> Option<Languages> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(languages)))
    }

    /// The languages that people can say that they speak; `None` when no text can be made.
    #[must_use]
    pub fn languages(&self, tenant: TenantId) -> Option<Languages> {
        self.0.as_ref().and_then(|languages| languages(tenant))
    }
}

impl RoomPorts {
    /// Whether there is a listener of this kind.
    #[must_use]
    pub fn has(&self, kind: ParticipantKind) -> bool {
        self.listeners.iter().any(|listener| listener.kind() == Some(kind))
    }
}

/// What is written down of attendance beside what members are told: what is not
/// for everybody, and what did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttendanceNote {
    /// Somebody proved that they are present, or was registered.
    Validated {
        /// Who.
        user: UserId,
        /// How.
        method: AttendanceMethod,
        /// Where.
        place: Place,
        /// Hash of what was presented, where one is kept.
        hash: Option<PresentedHash>,
        /// The moderator who registered them.
        by: Option<UserId>,
        /// Where they roughly were, when they agreed to say.
        location: Option<CoarseLocation>,
    },
    /// What somebody presented was not taken.
    Refused {
        /// Who.
        user: UserId,
        /// How they tried.
        method: AttendanceMethod,
        /// Why it was not taken.
        failure: AttendanceFailure,
    },
    /// The eligible list became known.
    ListTaken {
        /// Members on it.
        members: u32,
        /// Weight of all units.
        weight: Weight,
        /// SHA-256 of its lines: user id, name, unit and weight, separated by tabs.
        hash: [u8; 32],
        /// The first delegations of it that do not hold.
        left_out: Vec<LeftOut>,
        /// How many there are.
        left_out_total: usize,
    },
}

/// A person could not enter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The person, if known.
    pub user: Option<UserId>,
    /// The reason.
    pub code: ErrorCode,
}

/// A person lost a part of their connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostConnection {
    /// The person.
    pub user: UserId,
    /// The part.
    pub part: ConnectionPart,
    /// The reason.
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
    /// The client read too slowly, sent nothing, or sent too much.
    SlowOrSilent,
    /// The client sent a message that is too large.
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

/// A signed head of a session's log, as members receive it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvidenceHead {
    /// Number of entries that it covers.
    pub tree_size: u64,
    /// Root over these entries, base64url without padding.
    pub root: String,
    /// The tagged `COSE_Sign1` message, base64url without padding.
    pub cose: String,
    /// When it was signed.
    pub at: Timestamp,
}
