//! The messages of the moderation channel (`cabildo.v1`), except events, which `room::event`
//! defines. The TypeScript types of the web client are generated from these.

mod quality;
mod welcome;

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

use crate::domain::json;
use crate::room::event::{EligibleListView, TranscriptChunkView};
use crate::sfu::RefusedSection;
pub use quality::PersonQualityView;
pub use welcome::{EvidenceView, IceServer, SessionView, Welcome, You};

/// A message of a client. Every message may have an `id` (a string of 1 to 64 characters or an
/// integer) and is then answered by `ack` or `error`; the same `id` again on a connection or its
/// resumption is the same request. Messages that decide something may have `seen`, the `seq` of the
/// newest event that their sender had seen.
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
        /// The resume token in the last `welcome` or `token_renewed`.
        resume_token: String,
        /// `seq` of the last event received.
        #[ts(type = "number")]
        last_seq: u64,
        /// Whether the client has lost its peer connections, as after a page reload. The server
        /// then drops its transports too.
        #[ts(optional = nullable)]
        media_lost: Option<bool>,
    },
    /// Sends a new token before the old one expires.
    RenewToken {
        /// Access token.
        token: String,
        /// DPoP proof with the `nonce` of `token_expiring`, or of `hello` when none came.
        dpop: String,
    },
    /// Asks to speak.
    RequestSpeech {
        /// `normal`, `point_of_order`, `interposed_question` or `intervention`.
        kind: String,
        /// `pro`, `contra` or `neutral`.
        #[ts(optional = nullable)]
        stance: Option<String>,
        /// What the speech is about, at most 500 characters.
        #[ts(optional = nullable)]
        note: Option<String>,
    },
    /// Withdraws a speech request; without `request_id`, all of the caller's own.
    CancelSpeech {
        /// The request.
        #[ts(optional = nullable)]
        request_id: Option<String>,
    },
    /// Ends the caller's own turn.
    EndSpeech {},
    /// Writes a message to everybody.
    Chat {
        /// Shown without what hides or reorders, cut after 2,000 characters.
        text: String,
    },
    /// Corrects a text of the transcript. The original stays beside the correction.
    CorrectTranscript {
        /// `seq` of the `transcript_chunk`.
        #[ts(type = "number")]
        seq: u64,
        /// What was said. Shown without what hides or reorders, cut after 1,500 characters.
        text: String,
    },
    /// Says what the client sends; it does not change what the server lets pass.
    SetMedia {
        /// Whether the microphone is on.
        audio: bool,
        /// Whether the camera is on.
        video: bool,
        /// Whether a screen is shared.
        screen: bool,
    },
    /// Says which language somebody speaks, for their speech as text.
    SetLanguage {
        /// A BCP 47 tag that agrees with one of `welcome.transcription.languages`; null for the
        /// language of the session.
        #[serde(deserialize_with = "Option::deserialize")]
        language: Option<String>,
        /// Who, when a moderator says it of another person or device.
        #[ts(optional = nullable)]
        user_id: Option<String>,
    },
    /// Shows that the client is alive; answered by `pong`.
    Ping {},
    /// Approves a speech request.
    ApproveSpeech {
        /// The request.
        request_id: String,
    },
    /// Denies a speech request.
    DenySpeech {
        /// The request.
        request_id: String,
        /// The reason.
        #[ts(optional = nullable)]
        reason: Option<String>,
    },
    /// Mutes a person until `unmute_user`.
    MuteUser {
        /// The person.
        user_id: String,
    },
    /// Revokes `mute_user`.
    UnmuteUser {
        /// The person.
        user_id: String,
    },
    /// Shows nobody a person's cameras and screens until `allow_pictures`.
    StopPictures {
        /// The person.
        user_id: String,
    },
    /// Revokes `stop_pictures`.
    AllowPictures {
        /// The person.
        user_id: String,
    },
    /// Starts a turn.
    StartTurn {
        /// The request to start; without it, the next one on the list.
        #[ts(optional = nullable)]
        request_id: Option<String>,
        /// Time limit of the turn in seconds; without it, the session's default.
        #[ts(optional = nullable)]
        limit_s: Option<u32>,
    },
    /// Pauses the turn: its time and the speaker's audio stop.
    PauseTurn {},
    /// Resumes the turn.
    ResumeTurn {},
    /// Extends the turn.
    ExtendTurn {
        /// Additional time in seconds.
        seconds: u32,
    },
    /// Ends the turn.
    StopTurn {},
    /// Changes the order of the waiting requests.
    ReorderQueue {
        /// Ids of exactly the requests that wait, in the new order.
        order: Vec<String>,
    },
    /// Takes back a `start_turn`, `stop_turn`, `approve_speech`, `deny_speech`,
    /// `cancel_speech`, `remove_participant` or `set_moderation` of the last ten
    /// seconds: one's own, or as a moderator any moderator's.
    Undo {
        /// As its `ack` and its events carried it.
        action_id: String,
    },
    /// Opens the speaking list for requests.
    OpenQueue {},
    /// Closes the speaking list for requests.
    CloseQueue {},
    /// Puts a person on the list, for people in the hall.
    AddSpeaker {
        /// The person.
        user_id: String,
        /// Their name, when they are not in the room.
        #[ts(optional = nullable)]
        name: Option<String>,
        /// As in `request_speech`; `normal` without it.
        #[ts(optional = nullable)]
        kind: Option<String>,
    },
    /// Sets whether the speaking list decides who is heard.
    SetModeration {
        /// `open` or `moderated`.
        moderation: String,
    },
    /// Presides from now on.
    TakeChair {},
    /// Closes all connections of a person and refuses new ones. For the recorder it is the same as
    /// `stop_recording`.
    RemoveParticipant {
        /// The person.
        user_id: String,
    },
    /// Admits a person again who was removed.
    Admit {
        /// The person.
        user_id: String,
    },
    /// Starts recording, or continues after `pause_recording`; also when the session's policy is
    /// not to record.
    StartRecording {},
    /// Pauses the recording until `start_recording`.
    PauseRecording {},
    /// Stops the recording. `start_recording` may start it again.
    StopRecording {},
    /// Confirms that the caller knows of the recording. Reported once per person.
    AcknowledgeRecording {},
    /// A session description from the client, for its publish transport.
    Offer {
        /// Always `publish`.
        transport: TransportName,
        /// Session description (RFC 8866).
        sdp: String,
        /// The source of each section; without it, the first audio is a microphone, the first video
        /// a camera, the second video a screen.
        #[serde(default, deserialize_with = "json::objects")]
        #[ts(optional = nullable)]
        tracks: Option<Vec<SectionSource>>,
    },
    /// The answer to the server's offer of the subscribe transport.
    Answer {
        /// Always `subscribe`.
        transport: TransportName,
        /// Session description (RFC 8866).
        sdp: String,
    },
    /// An ICE candidate of the client. The server is ICE-lite and learns addresses from
    /// connectivity checks, so it only acknowledges this.
    Candidate {
        /// The transport.
        transport: TransportName,
        /// The candidate attribute; empty or absent at the end.
        #[ts(optional = nullable)]
        candidate: Option<String>,
        /// `mid` of its section.
        #[ts(optional = nullable)]
        sdp_mid: Option<String>,
        /// Index of its section.
        #[ts(optional = nullable)]
        sdp_m_line_index: Option<u32>,
    },
    /// Requests new ICE credentials: for `subscribe` the server makes a new offer; for `publish`
    /// the client sends an offer with new credentials itself.
    RestartIce {
        /// The transport.
        transport: TransportName,
    },
    /// Subscribes to a track, or changes what is wanted of it.
    Subscribe {
        /// The track.
        track: String,
        /// Highest layer wanted; 0 is the lowest. Without it, the best one.
        #[ts(optional = nullable)]
        max_layer: Option<u8>,
        /// Whether nothing is wanted for now.
        #[ts(optional = nullable)]
        paused: Option<bool>,
    },
    /// Unsubscribes from a track.
    Unsubscribe {
        /// The track.
        track: String,
    },
}

/// The `id` of a request, which its answer repeats.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(untagged)]
pub enum Reference {
    /// 1 to 64 characters.
    Text(String),
    /// Any integer that JavaScript can represent exactly.
    Number(#[ts(type = "number")] i64),
}

impl Reference {
    /// A text that is different for every reference.
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

/// The source of a section in a client's offer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, TS, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SectionSource {
    /// `mid` of the section (RFC 9143).
    pub mid: String,
    /// `microphone`, `camera`, `screen` or `screen_audio`.
    pub source: String,
}

/// The track that a section carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, TS, ToSchema)]
pub struct SectionTrack {
    /// `mid` of the section (RFC 9143).
    pub mid: String,
    /// The track.
    pub track: String,
}

/// A section of the client's offer that the server can't use, beside others that it can.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, TS, ToSchema)]
pub struct RefusedSectionView {
    /// `mid` of the section (RFC 9143).
    pub mid: String,
    /// Media type of its media line, such as `video`.
    pub media: String,
    /// Why: `CODEC_UNSUPPORTED`, `PROTOCOL_UNSUPPORTED`, `RTCP_MUX_MISSING` or `BUNDLE_MISSING`.
    pub code: String,
    /// The same in words, for whoever makes the client.
    pub message: String,
}

impl From<&RefusedSection> for RefusedSectionView {
    fn from(refused: &RefusedSection) -> Self {
        Self {
            mid: refused.mid.clone(),
            media: refused.media.clone(),
            code: refused.obstacle.as_str().to_owned(),
            message: refused.obstacle.problem().to_owned(),
        }
    }
}

/// A message of the server, except events.
#[derive(Debug, Clone, PartialEq, Serialize, TS, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerMessage {
    /// First message of every connection.
    Hello {
        /// Nonce for the DPoP proof; valid only for this connection.
        nonce: String,
        /// Version of the channel: `cabildo.v1`.
        version: String,
        /// Time of the server's clock, RFC 3339, with which proofs must be dated.
        server_time: String,
    },
    /// The client is in the room. After a resume the missed events follow.
    Welcome(Box<Welcome>),
    /// The token expires soon.
    TokenExpiring {
        /// When, RFC 3339.
        expires_at: String,
        /// Nonce for the DPoP proof of `renew_token`.
        nonce: String,
    },
    /// The new token was accepted.
    TokenRenewed {
        /// When it expires, RFC 3339.
        expires_at: String,
        /// The new resume token, which replaces the earlier one.
        resume_token: String,
        /// The servers for the client's transports with new credentials, which replace those of
        /// `welcome` for new transports and ICE restarts.
        ice_servers: Vec<IceServer>,
    },
    /// A request was carried out.
    Ack {
        /// The request's `id`.
        r#ref: Reference,
        /// The speech request made, for `request_speech` and `add_speaker`.
        #[ts(optional)]
        #[serde(skip_serializing_if = "Option::is_none")]
        request_id: Option<String>,
        /// Names the decision for `undo`, when it can be taken back.
        #[ts(optional)]
        #[serde(skip_serializing_if = "Option::is_none")]
        action_id: Option<String>,
        /// `seq` of the last event once the request was carried out. The request's own events
        /// have come when this one has; a decision made before that does not know of them.
        #[ts(optional, type = "number")]
        #[serde(skip_serializing_if = "Option::is_none")]
        last_seq: Option<u64>,
    },
    /// A request was refused: it has changed nothing and will not.
    Error {
        /// The request's `id`, if it had one.
        #[ts(optional)]
        #[serde(skip_serializing_if = "Option::is_none")]
        r#ref: Option<Reference>,
        /// Stable code, in upper snake case.
        code: String,
        /// Message for people.
        message: String,
    },
    /// A request was accepted, but its result is not known yet: an `ack` or an `error` for it
    /// follows.
    Pending {
        /// The request's `id`.
        r#ref: Reference,
    },
    /// Answers `ping`.
    Pong {
        /// Time of the server's clock, RFC 3339.
        server_time: String,
    },
    /// The server's offer for the subscribe transport, with everything that it sends.
    Offer {
        /// Always `subscribe`.
        transport: TransportName,
        /// Session description (RFC 8866).
        sdp: String,
        /// The track that each section carries.
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
        /// The track that each section carries.
        tracks: Vec<SectionTrack>,
        /// The sections that the client wants to use and the server can't; absent when there are none.
        /// What these would carry reaches nobody.
        #[ts(as = "Option<Vec<RefusedSectionView>>", optional)]
        #[serde(skip_serializing_if = "Vec::is_empty")]
        refused: Vec<RefusedSectionView>,
    },
    /// The client has refused the section of a track in its answer, so it does not get this track: it
    /// can't decode it in the codec in which it is sent. Told again only when the track is offered
    /// again and refused again.
    TrackRefused {
        /// The track.
        track: String,
        /// In what it is sent, as in `track_published`.
        codec: String,
    },
    /// The network of the client does not carry all that it subscribed to, although everything is sent in its
    /// lowest layer: of these tracks nothing is sent now. Sound goes on, and so do the pictures
    /// of whoever has the floor for as long as possible. The message replaces the one before; it is empty when
    /// everything is sent again. Nothing has to be done: the server goes on as soon as there is room.
    VideoPaused {
        /// The tracks.
        tracks: Vec<String>,
    },
    /// Nobody looks at these encodings of a track of the client, so it need not send them (`active` of
    /// `RTCRtpEncodingParameters`). The message replaces the one before about this track; it is empty
    /// when all are wanted again, which is told at once. The lowest encoding is never among them.
    LayersUnseen {
        /// The track, as in the answer to the client's offer.
        track: String,
        /// The encodings, by their `rid` (RFC 8851).
        rids: Vec<String>,
    },
    /// A transport is connected or was lost.
    TransportState {
        /// The transport.
        transport: TransportName,
        /// `connected` or `lost`. With a lost publish transport its tracks end, with a lost
        /// subscribe transport its subscriptions end: the client makes a new peer connection and
        /// offers or subscribes again.
        state: String,
    },
    /// The text so far of what whoever has the floor is saying: it has no `seq` and no `at`, and
    /// `final` is false. The next chunk or gap of this `from` replaces it, and so does a later
    /// `from` of the same participant. It may be left out for a client that reads slowly.
    TranscriptChunk(TranscriptChunkView),
    /// The connections of these people are as good as this now. Moderators are told of everybody: of all
    /// that are not good after `welcome`, then of changes, those of one moment in one message. Others
    /// are told only of themselves. Of whom nothing was told after `welcome`, nothing bad is known.
    ConnectionQuality {
        /// The people.
        people: Vec<PersonQualityView>,
    },
    /// What of the eligible list does not hold. Moderators are told after `welcome`, when there is
    /// something to tell, and when it has changed. The message replaces the one before.
    EligibleList(EligibleListView),
    /// A head of the session's log was signed. Keep it: it proves what the log contained at that
    /// time, whatever happens to the server. Heads may be left out for a client that reads slowly.
    EvidenceHead {
        /// When it was signed, RFC 3339.
        at: String,
        /// Number of entries that it covers.
        #[ts(type = "number")]
        tree_size: u64,
        /// Root over these entries (RFC 9162), base64url.
        root: String,
        /// The tagged `COSE_Sign1` message, base64url.
        cose: String,
    },
}

impl ServerMessage {
    /// The answer to a request that was carried out and makes nothing.
    pub(super) const fn ack(r#ref: Reference) -> Self {
        Self::Ack { r#ref, request_id: None, action_id: None, last_seq: None }
    }
}
