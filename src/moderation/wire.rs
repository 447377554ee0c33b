//! The messages of the moderation channel (`cabildo.v1`), apart from events,
//! which `room::event` defines. The TypeScript types of the web client are
//! made from these.

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

use crate::room::event::{FloorView, ParticipantView, RecordingView, TrackView};

/// What a client sends. Every message may carry `id` (a string of 1 to 64
/// characters or an integer) and is then answered by `ack` or `error`; the same
/// `id` again on a connection or its resumption is the same request. Messages
/// that decide something may carry `seen`, the `seq` of the newest event that
/// their sender had been shown.
#[derive(Debug, Clone, PartialEq, Deserialize, TS, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum ClientMessage {
    /// First message of a new connection.
    Authenticate {
        /// Access token.
        token: String,
        /// DPoP proof: `htm` GET, `htu` the channel's URL, `nonce` of `hello`, `ath`.
        dpop: String,
    },
    /// First message of a connection that continues a lost one.
    Resume {
        /// As the last `welcome` or `token_renewed` gave it.
        resume_token: String,
        /// `seq` of the last event seen.
        #[ts(type = "number")]
        last_seq: u64,
        /// Whether the client has lost its peer connections, as a page has that
        /// was loaded anew. The server then drops its transports too.
        #[ts(optional = nullable)]
        media_lost: Option<bool>,
    },
    /// A new token before the old one expires.
    RenewToken {
        /// Access token.
        token: String,
        /// DPoP proof with the `nonce` of `token_expiring`, or of `hello` when none came.
        dpop: String,
    },
    /// Asks for the floor.
    RequestSpeech {
        /// `normal`, `point_of_order`, `interposed_question` or `intervention`.
        kind: String,
        /// `pro`, `contra` or `neutral`.
        #[ts(optional = nullable)]
        stance: Option<String>,
        /// What about, at most 500 characters.
        #[ts(optional = nullable)]
        note: Option<String>,
    },
    /// Withdraws a request; without one, all of the caller's own.
    CancelSpeech {
        /// Which.
        #[ts(optional = nullable)]
        request_id: Option<String>,
    },
    /// Gives the floor back.
    EndSpeech {},
    /// Writes to everyone.
    Chat {
        /// 1 to 2,000 characters.
        text: String,
    },
    /// Says what the client sends; the server's gates do not depend on it.
    SetMedia {
        /// Microphone on.
        audio: bool,
        /// Camera on.
        video: bool,
        /// Screen shared.
        screen: bool,
    },
    /// Shows that the client is alive; answered by `pong`.
    Ping {},
    /// Takes a request into the list.
    ApproveSpeech {
        /// Which.
        request_id: String,
    },
    /// Refuses a request.
    DenySpeech {
        /// Which.
        request_id: String,
        /// Why.
        #[ts(optional = nullable)]
        reason: Option<String>,
    },
    /// Closes somebody's sound until `unmute_user`.
    MuteUser {
        /// Who.
        user_id: String,
    },
    /// Lifts `mute_user`.
    UnmuteUser {
        /// Who.
        user_id: String,
    },
    /// Gives the floor.
    StartTurn {
        /// To whom; without it, to the next in the list.
        #[ts(optional = nullable)]
        request_id: Option<String>,
        /// For how long; without it, the session's default.
        #[ts(optional = nullable)]
        limit_s: Option<u32>,
    },
    /// Stops the clock, and the speaker's sound.
    PauseTurn {},
    /// Lets the clock run on.
    ResumeTurn {},
    /// Gives more time.
    ExtendTurn {
        /// How much.
        seconds: u32,
    },
    /// Takes the floor back.
    StopTurn {},
    /// Puts the waiting entries into this order.
    ReorderQueue {
        /// Exactly the entries that wait.
        order: Vec<String>,
    },
    /// Takes new requests.
    OpenQueue {},
    /// Takes no new requests.
    CloseQueue {},
    /// Puts somebody into the list, for people in the hall.
    AddSpeaker {
        /// Who.
        user_id: String,
        /// Their name, when they are not in the room.
        #[ts(optional = nullable)]
        name: Option<String>,
        /// As in `request_speech`; `normal` without it.
        #[ts(optional = nullable)]
        kind: Option<String>,
    },
    /// Lets the floor decide who is heard, or not.
    SetModeration {
        /// `open` or `moderated`.
        moderation: String,
    },
    /// Closes all connections of somebody and refuses new ones. Of the recorder
    /// it is `stop_recording`.
    RemoveParticipant {
        /// Who.
        user_id: String,
    },
    /// Lets somebody in again who was removed.
    Admit {
        /// Who.
        user_id: String,
    },
    /// Records, or goes on recording after `pause_recording`; also where the
    /// session's policy is not to record.
    StartRecording {},
    /// Records nothing until `start_recording`.
    PauseRecording {},
    /// Ends the recording. `start_recording` may begin it again.
    StopRecording {},
    /// Says that the caller knows of the recording. Told once of each person.
    AcknowledgeRecording {},
    /// A session description from the client: of its publish transport.
    Offer {
        /// Always `publish`.
        transport: TransportName,
        /// RFC 8866.
        sdp: String,
        /// What each section carries; without it, the first audio is a
        /// microphone, the first video a camera, the second video a screen.
        #[serde(default)]
        #[ts(optional = nullable)]
        tracks: Option<Vec<SectionSource>>,
    },
    /// The answer to the server's offer of the subscribe transport.
    Answer {
        /// Always `subscribe`.
        transport: TransportName,
        /// RFC 8866.
        sdp: String,
    },
    /// A candidate of the client. The server is ICE-lite and learns addresses
    /// from checks, so it only acknowledges.
    Candidate {
        /// Which transport.
        transport: TransportName,
        /// The candidate attribute; empty or absent at the end.
        #[ts(optional = nullable)]
        candidate: Option<String>,
        /// Section it belongs to.
        #[ts(optional = nullable)]
        sdp_mid: Option<String>,
        /// Index of that section.
        #[ts(optional = nullable)]
        sdp_m_line_index: Option<u32>,
    },
    /// Asks for new ICE credentials: for `subscribe` the server offers anew; for
    /// `publish` the client sends an offer with new credentials itself.
    RestartIce {
        /// Which transport.
        transport: TransportName,
    },
    /// Asks for a track, or changes what is wanted of it.
    Subscribe {
        /// Which.
        track: String,
        /// Highest encoding wanted, 0 the lowest; without it the best.
        #[ts(optional = nullable)]
        max_layer: Option<u8>,
        /// Whether nothing is wanted for now.
        #[ts(optional = nullable)]
        paused: Option<bool>,
    },
    /// No longer wants a track.
    Unsubscribe {
        /// Which.
        track: String,
    },
}

/// The `id` a client gave a request, which its answer repeats.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(untagged)]
pub enum Reference {
    /// 1 to 64 characters.
    Text(String),
    /// Any integer that JavaScript holds exactly.
    Number(#[ts(type = "number")] i64),
}

impl Reference {
    /// A text that differs from that of every other reference.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Text(text) => format!("text:{text}"),
            Self::Number(number) => format!("number:{number}"),
        }
    }
}

/// One of the two transports of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TransportName {
    /// Client to server; the client offers.
    Publish,
    /// Server to client; the server offers.
    Subscribe,
}

/// What a section of a client's offer carries.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, TS, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SectionSource {
    /// RFC 9143 identification.
    pub mid: String,
    /// `microphone`, `camera`, `screen` or `screen_audio`.
    pub source: String,
}

/// Which track a section carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, TS, ToSchema)]
pub struct SectionTrack {
    /// RFC 9143 identification.
    pub mid: String,
    /// The track.
    pub track: String,
}

/// How to reach a STUN or TURN server, as `RTCIceServer`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, TS, ToSchema)]
pub struct IceServer {
    /// RFC 7064 and RFC 7065 addresses.
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

/// Who the server takes the client for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, TS, ToSchema)]
pub struct You {
    /// Who.
    pub user_id: String,
    /// Name for people.
    pub name: String,
    /// What they are.
    pub roles: Vec<String>,
    /// This connection, which resuming keeps.
    pub connection_id: String,
    /// Whether a moderator muted them.
    pub muted: bool,
    /// Whether the server lets their sound pass at this moment.
    pub may_be_heard: bool,
}

/// The session, as far as members need it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, TS, ToSchema)]
pub struct SessionView {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// `virtual`, `in_person` or `mixed`.
    pub modality: String,
    /// Whether its policy is to record.
    pub recording: bool,
    /// When it started, RFC 3339.
    pub started_at: Option<String>,
}

/// What the server sends, apart from events.
#[derive(Debug, Clone, PartialEq, Serialize, TS, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerMessage {
    /// First message of every connection.
    Hello {
        /// For the DPoP proof; valid for this connection only.
        nonce: String,
        /// Version of the channel: `cabildo.v1`.
        version: String,
        /// The server's clock, RFC 3339: proofs are dated by it.
        server_time: String,
    },
    /// The client is in the room. After a resume the missed events follow.
    Welcome(Box<Welcome>),
    /// The token expires soon.
    TokenExpiring {
        /// When, RFC 3339.
        expires_at: String,
        /// For the DPoP proof of `renew_token`.
        nonce: String,
    },
    /// The new token was taken.
    TokenRenewed {
        /// When it expires, RFC 3339.
        expires_at: String,
        /// Replaces the one before.
        resume_token: String,
    },
    /// A request was carried out.
    Ack {
        /// The request's `id`.
        r#ref: Reference,
        /// The speech request made, for `request_speech` and `add_speaker`.
        #[ts(optional)]
        #[serde(skip_serializing_if = "Option::is_none")]
        request_id: Option<String>,
    },
    /// A request was refused: it has changed nothing, and will not.
    Error {
        /// The request's `id`, if it had one.
        #[ts(optional)]
        #[serde(skip_serializing_if = "Option::is_none")]
        r#ref: Option<Reference>,
        /// Stable, upper snake case.
        code: String,
        /// For people.
        message: String,
    },
    /// A request was taken, and its outcome is not known yet: an `ack` or an
    /// `error` for it follows.
    Pending {
        /// The request's `id`.
        r#ref: Reference,
    },
    /// Answers `ping`.
    Pong {
        /// RFC 3339.
        server_time: String,
    },
    /// The server's offer of the subscribe transport: all that it sends.
    Offer {
        /// Always `subscribe`.
        transport: TransportName,
        /// RFC 8866.
        sdp: String,
        /// Which track each section carries.
        tracks: Vec<SectionTrack>,
    },
    /// The answer to the client's offer; comes before its `ack`.
    Answer {
        /// The offer's `id`, if it had one.
        #[ts(optional)]
        #[serde(skip_serializing_if = "Option::is_none")]
        r#ref: Option<Reference>,
        /// Always `publish`.
        transport: TransportName,
        /// RFC 8866.
        sdp: String,
        /// Which track each section carries.
        tracks: Vec<SectionTrack>,
    },
    /// A transport works, or no longer does.
    TransportState {
        /// Which.
        transport: TransportName,
        /// `connected` or `lost`. With a lost publish transport its tracks are
        /// gone, with a lost subscribe transport its subscriptions: the client
        /// makes a new peer connection and offers or subscribes again.
        state: String,
    },
    /// The session's log was signed as of now. Keep it: it proves what the log
    /// held, whatever becomes of the server. One may be left out for a client
    /// that reads slowly.
    EvidenceHead {
        /// When, RFC 3339.
        at: String,
        /// Entries it covers.
        #[ts(type = "number")]
        tree_size: u64,
        /// Their RFC 9162 root, base64url.
        root: String,
        /// The tagged `COSE_Sign1`, base64url.
        cose: String,
    },
}

/// The newest signed head of the session's log that the room has heard of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, TS, ToSchema)]
pub struct EvidenceView {
    /// Entries it covers.
    #[ts(type = "number")]
    pub tree_size: u64,
    /// Their RFC 9162 root, base64url.
    pub root: String,
    /// The tagged `COSE_Sign1`, base64url.
    pub cose: String,
}

/// What a client needs to show the room.
#[derive(Debug, Clone, PartialEq, Serialize, TS, ToSchema)]
pub struct Welcome {
    /// Who the client is.
    pub you: You,
    /// The session.
    pub session: SessionView,
    /// Everybody in the room, the client included; and the recorder while it is
    /// there.
    pub participants: Vec<ParticipantView>,
    /// Everything that can be subscribed to.
    pub tracks: Vec<TrackView>,
    /// The floor.
    pub floor: FloorView,
    /// Attendance, when the session counts it.
    #[ts(type = "null")]
    pub quorum: Option<()>,
    /// The recording.
    pub recording: RecordingView,
    /// The newest head of the session's log, once there is one.
    pub evidence: Option<EvidenceView>,
    /// Servers for the client's transports.
    pub ice_servers: Vec<IceServer>,
    /// To resume with.
    pub resume_token: String,
    /// RFC 3339.
    pub server_time: String,
    /// `seq` of the last event before this state. A client that resumed within
    /// what the server keeps hears the events after its `last_seq` next.
    #[ts(type = "number")]
    pub seq: u64,
    /// Whether this continues the connection before: the events missed follow,
    /// and its transports live on unless `transport_state` says otherwise next.
    pub resumed: bool,
}
