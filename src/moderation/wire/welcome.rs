//! What a client is told when it enters, or comes back.

use serde::Serialize;
use ts_rs::TS;
use utoipa::ToSchema;

use crate::room::Listed;
use crate::room::event::{
    ChairView, FloorView, ParticipantView, QuorumState, RecordingView, TrackView,
    TranscriptionView, VoteView,
};

/// A STUN or TURN server, as in `RTCIceServer`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, TS, ToSchema)]
pub struct IceServer {
    /// Addresses (RFC 7064, RFC 7065).
    pub urls: Vec<String>,
    /// For TURN.
    #[ts(optional)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// For TURN.
    #[ts(optional)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}

/// The identity of the client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, TS, ToSchema)]
#[expect(clippy::struct_excessive_bools, reason = "each is a field of the wire format")]
pub struct You {
    /// User id.
    pub user_id: String,
    /// Name shown to people.
    pub name: String,
    /// Roles.
    pub roles: Vec<String>,
    /// This connection, which stays the same when it is resumed.
    pub connection_id: String,
    /// Whether a moderator has muted the person.
    pub muted: bool,
    /// Whether a moderator has stopped the person's cameras and screens.
    pub pictures_stopped: bool,
    /// Whether the server forwards the person's audio now.
    pub may_be_heard: bool,
    /// Whether the server lets their pictures pass at this moment.
    pub may_be_seen: bool,
}

/// The session, with the values that members need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, TS, ToSchema)]
pub struct SessionView {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// `virtual`, `in_person` or `mixed`.
    pub modality: String,
    /// Who carries its media: `webrtc`, which is this server, `google_meet` or `zoom`. With
    /// the others there is no media on this channel.
    pub provider: String,
    /// Where people join its meeting, when another provider carries its media.
    pub meeting_url: Option<String>,
    /// Whether its policy is to record.
    pub recording: bool,
    /// Whether people who are not in it may watch it live. Pages then publish H.264, which viewers
    /// get as it comes.
    pub live_viewing: bool,
    /// When it started, RFC 3339.
    pub started_at: Option<String>,
}

/// The newest signed head of the session's log that the room knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, TS, ToSchema)]
pub struct EvidenceView {
    /// Number of entries that it covers.
    #[ts(type = "number")]
    pub tree_size: u64,
    /// Root over these entries (RFC 9162), base64url.
    pub root: String,
    /// The tagged `COSE_Sign1` message, base64url.
    pub cose: String,
}

/// What a client needs to show the room.
#[derive(Debug, Clone, PartialEq, Serialize, TS, ToSchema)]
pub struct Welcome {
    /// The identity of the client.
    pub you: You,
    /// The session.
    pub session: SessionView,
    /// Everybody in the room, including the client, and the recorder while it is there.
    #[ts(as = "Vec<ParticipantView>")]
    #[schema(value_type = Vec<ParticipantView>)]
    pub participants: Listed<ParticipantView>,
    /// All tracks that can be subscribed to.
    #[ts(as = "Vec<TrackView>")]
    #[schema(value_type = Vec<TrackView>)]
    pub tracks: Listed<TrackView>,
    /// Who presides; null until a moderator has entered.
    pub chair: Option<ChairView>,
    /// The speaking list and its turns.
    pub floor: FloorView,
    /// How many are present, and whether they are a quorum.
    pub quorum: Option<QuorumState>,
    /// Votes of the assembly that were announced and are not over, in the order in which they
    /// started, the newest 50. Those that follow are told by `vote_announced`.
    pub votes: Vec<VoteView>,
    /// The state of the recording.
    pub recording: RecordingView,
    /// Whether what is said becomes text.
    pub transcription: TranscriptionView,
    /// The newest head of the session's log, once there is one.
    pub evidence: Option<EvidenceView>,
    /// Servers for the client's transports.
    pub ice_servers: Vec<IceServer>,
    /// Token with which the connection can be resumed.
    pub resume_token: String,
    /// Time of the server's clock, RFC 3339.
    pub server_time: String,
    /// `seq` of the last event before this state. A client that has resumed, and missed only events
    /// that the server still has, next receives the events after its `last_seq`.
    #[ts(type = "number")]
    pub seq: u64,
    /// Whether this continues the earlier connection: the missed events follow, and its transports
    /// still exist unless a `transport_state` that follows says otherwise.
    pub resumed: bool,
}
