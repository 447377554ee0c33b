//! What a room tells its members. An event serialises in one form only: the
//! socket sends it, the repository keeps it and a resumed connection hears it
//! again, so the three can't differ. `docs/MODERATION.md` explains each. Histories
//! read events back from logs, so a field that is added has a `serde` default.

mod attendance;
mod chair;
mod vote;

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

pub use attendance::{AttendanceView, EligibleListView, LeftOutView, ListRefusedView, QuorumState};
pub use chair::{ChairView, NewChairView};
pub use vote::VoteView;

/// An event of a room. On the wire it carries `seq` and `at` beside these fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// Somebody entered with their first connection.
    ParticipantJoined(ParticipantView),
    /// Somebody's last connection is gone.
    ParticipantLeft {
        /// Who.
        user_id: String,
        /// `left`, `disconnected` or `removed`.
        reason: String,
    },
    /// Somebody says what they send, or their connection changed.
    ParticipantUpdated(ParticipantView),
    /// Somebody asked for the floor.
    SpeechRequestReceived(RequestView),
    /// A moderator took a request into the list.
    SpeechApproved {
        /// Which.
        request_id: String,
        /// Whose.
        user_id: String,
    },
    /// A moderator refused a request.
    SpeechDenied {
        /// Which.
        request_id: String,
        /// Whose.
        user_id: String,
        /// Why, if the moderator said so.
        reason: Option<String>,
    },
    /// A request was withdrawn.
    SpeechCancelled {
        /// Which.
        request_id: String,
        /// Whose.
        user_id: String,
    },
    /// The waiting list has changed, and how. Take out of the list what is removed
    /// or placed, then put in what is placed, one after the other.
    QueueUpdated {
        /// Entries that wait no more.
        removed: Vec<String>,
        /// Entries that came or moved, in this order.
        placed: Vec<PlacedView>,
        /// Whether new requests are taken.
        open: bool,
    },
    /// A turn began.
    TurnStarted(TurnView),
    /// A turn's clock stopped.
    TurnPaused(TurnView),
    /// A turn's clock runs again.
    TurnResumed(TurnView),
    /// A turn got more time.
    TurnExtended(TurnView),
    /// A turn's time is running out.
    TurnWarning {
        /// The turn.
        #[serde(flatten)]
        turn: TurnView,
        /// Whole seconds left: 30 or 10.
        remaining_s: u32,
    },
    /// A turn is over.
    TurnEnded {
        /// The turn as it ended.
        #[serde(flatten)]
        turn: TurnView,
        /// `ended_by_speaker`, `stopped`, `replaced`, `removed`, `undone` or
        /// `session_ended`.
        reason: String,
    },
    /// A moderator muted somebody, whatever their client does.
    UserMuted {
        /// Who.
        user_id: String,
        /// By whom.
        by: String,
    },
    /// A moderator lifted a mute.
    UserUnmuted {
        /// Who.
        user_id: String,
        /// By whom.
        by: String,
    },
    /// A moderator had nobody shown somebody's cameras and screens.
    PicturesStopped {
        /// Whose.
        user_id: String,
        /// By whom.
        by: String,
    },
    /// A moderator lifted that.
    PicturesAllowed {
        /// Whose.
        user_id: String,
        /// By whom.
        by: String,
    },
    /// Somebody speaks another language than was said before.
    LanguageChanged {
        /// Who.
        user_id: String,
        /// The language, a BCP 47 tag; null for that of the session.
        language: Option<String>,
        /// Who said so: themselves or a moderator.
        by: String,
    },
    /// Who is heard, loudest first.
    ActiveSpeakers {
        /// At most five.
        speakers: Vec<SpeakerView>,
    },
    /// A track can be subscribed to.
    TrackPublished(TrackView),
    /// A track is gone.
    TrackUnpublished {
        /// Which.
        track: String,
        /// Whose.
        user_id: String,
    },
    /// The floor decides who is heard, or no longer does.
    ModerationChanged {
        /// `open` or `moderated`.
        moderation: String,
        /// By whom.
        by: String,
    },
    /// Somebody presides from now on.
    ChairChanged(NewChairView),
    /// The recording was started, paused or stopped. Whoever is told `paused` or
    /// `stopped` is no longer recorded; whoever is recorded was told before.
    RecordingState {
        /// `recording`, `paused` or `stopped`.
        state: String,
        /// The moderator who decided it; null for the session's policy or its end.
        by: Option<String>,
        /// Days that the recording is kept after the session has ended.
        retention_days: u32,
    },
    /// People who are not in the session may watch it live from here on, or no longer.
    LiveViewingChanged {
        /// Whether they may.
        live_viewing: bool,
    },
    /// The meeting at another provider that carries the media is another one from here on.
    MeetingChanged {
        /// Where people join it.
        meeting_url: String,
    },
    /// Somebody said that they know of the recording.
    RecordingAcknowledged {
        /// Who.
        user_id: String,
    },
    /// The clock of the server was set by a second or more while the room was open. Times of the
    /// room continue as if it had not been; the server's clock is ahead of them by the sum of
    /// `by_ms` of these events, also after a restart.
    ClockStepped {
        /// By how many milliseconds it was set forward; negative when back.
        by_ms: i64,
    },
    /// The decision that `action_id` names was taken back; what follows from that
    /// is told right after.
    ActionUndone {
        /// The `type` of the message that had asked for it.
        action: String,
        /// Who took it back.
        by: String,
    },
    /// Somebody proved that they are present, or is present from here on, or no
    /// longer. The end of the session is told for everybody by `session_ended`.
    AttendanceChanged(AttendanceView),
    /// A unit is represented by somebody else than its member, or no longer.
    DelegationChanged {
        /// The unit.
        unit: String,
        /// Who represents it.
        delegate: String,
        /// Whether they do from here on, or no longer.
        represented: bool,
        /// The moderator who said so; null when the eligible list did.
        by: Option<String>,
    },
    /// How many are present, or whether they are a quorum, has changed. Numbers
    /// alone are told once a second at most, a quorum that is reached or lost at
    /// once.
    QuorumChanged(QuorumState),
    /// A vote of the assembly has started. Votes are cast elsewhere.
    VoteAnnounced(VoteView),
    /// Somebody wrote to everyone.
    Chat {
        /// Who.
        user_id: String,
        /// Their name.
        name: String,
        /// What, 1 to 2,000 characters.
        text: String,
    },
    /// Somebody said something, and this is the text of it.
    TranscriptChunk(TranscriptChunkView),
    /// Somebody said something of which there is no text.
    TranscriptGap {
        /// Who.
        participant: String,
        /// In which turn.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[ts(optional)]
        turn: Option<String>,
        /// When they began to speak, RFC 3339.
        from: String,
        /// When they stopped.
        to: String,
        /// `overload`, `engine_failed`, `engine_unavailable` or `bad_audio`.
        cause: String,
    },
    /// A moderator corrected a text. The original stays beside it.
    TranscriptCorrected {
        /// `seq` of the `transcript_chunk`.
        #[ts(type = "number")]
        of: u64,
        /// What was said, as the moderator has it.
        text: String,
        /// Who corrected it.
        by: String,
    },
    /// The session is over; connections close with 4410.
    SessionEnded {
        /// `completed` or `cancelled`.
        reason: String,
    },
}

impl Event {
    /// Its `type` on the wire.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::ParticipantJoined(_) => "participant_joined",
            Self::ParticipantLeft { .. } => "participant_left",
            Self::ParticipantUpdated(_) => "participant_updated",
            Self::SpeechRequestReceived(_) => "speech_request_received",
            Self::SpeechApproved { .. } => "speech_approved",
            Self::SpeechDenied { .. } => "speech_denied",
            Self::SpeechCancelled { .. } => "speech_cancelled",
            Self::QueueUpdated { .. } => "queue_updated",
            Self::TurnStarted(_) => "turn_started",
            Self::TurnPaused(_) => "turn_paused",
            Self::TurnResumed(_) => "turn_resumed",
            Self::TurnExtended(_) => "turn_extended",
            Self::TurnWarning { .. } => "turn_warning",
            Self::TurnEnded { .. } => "turn_ended",
            Self::UserMuted { .. } => "user_muted",
            Self::UserUnmuted { .. } => "user_unmuted",
            Self::PicturesStopped { .. } => "pictures_stopped",
            Self::PicturesAllowed { .. } => "pictures_allowed",
            Self::LanguageChanged { .. } => "language_changed",
            Self::ActiveSpeakers { .. } => "active_speakers",
            Self::TrackPublished(_) => "track_published",
            Self::TrackUnpublished { .. } => "track_unpublished",
            Self::ModerationChanged { .. } => "moderation_changed",
            Self::ChairChanged(_) => "chair_changed",
            Self::RecordingState { .. } => "recording_state",
            Self::LiveViewingChanged { .. } => "live_viewing_changed",
            Self::MeetingChanged { .. } => "meeting_changed",
            Self::RecordingAcknowledged { .. } => "recording_acknowledged",
            Self::ClockStepped { .. } => "clock_stepped",
            Self::ActionUndone { .. } => "action_undone",
            Self::AttendanceChanged(_) => "attendance_changed",
            Self::DelegationChanged { .. } => "delegation_changed",
            Self::QuorumChanged(_) => "quorum_changed",
            Self::VoteAnnounced(_) => "vote_announced",
            Self::Chat { .. } => "chat",
            Self::TranscriptChunk(_) => "transcript_chunk",
            Self::TranscriptGap { .. } => "transcript_gap",
            Self::TranscriptCorrected { .. } => "transcript_corrected",
            Self::SessionEnded { .. } => "session_ended",
        }
    }
}

/// A member of the room, or its recorder: user id `cabildo:recorder`, the one
/// role `recorder`. It is there while the recording runs or is paused. A camera that
/// this server calls has the user id `cabildo:camera:` and its own one, and the one role
/// `camera`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[expect(clippy::struct_excessive_bools, reason = "each is a field of the wire format")]
pub struct ParticipantView {
    /// Who.
    pub user_id: String,
    /// Name for people.
    pub name: String,
    /// What they are: `participant`, `moderator`, `observer`, `hall`; `recorder`, `camera`.
    pub roles: Vec<String>,
    /// How many connections they have; 0 while a lost one may still come back.
    pub connections: u32,
    /// Whether their client says its microphone is on.
    pub audio: bool,
    /// Whether their client says its camera is on.
    pub video: bool,
    /// Whether their client says it shares a screen.
    pub screen: bool,
    /// Whether a moderator muted them.
    pub muted: bool,
    /// Whether a moderator stopped their cameras and screens.
    #[serde(default)]
    pub pictures_stopped: bool,
    /// Whether the server lets their sound pass at this moment.
    pub may_be_heard: bool,
    /// Whether the server shows their camera and screen.
    pub may_be_seen: bool,
    /// When they entered, RFC 3339.
    pub joined_at: String,
    /// The language that they speak, a BCP 47 tag; absent when it is that of the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub language: Option<String>,
    /// Why the name of somebody who is not a moderator deserves a second look:
    /// `moderator`, it looks like the name of a moderator who is somebody else;
    /// `reserved`, it looks like one that stands for the server or an office.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub name_notice: Option<String>,
    /// Why nothing of a camera comes, or, as `sound_unsupported`, no sound: a word such as
    /// `unreachable`, `codec_unsupported` or `unsupported_bframes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub media_fault: Option<String>,
}

/// A track that can be subscribed to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct TrackView {
    /// Its id.
    pub track: String,
    /// Whose.
    pub user_id: String,
    /// `audio` or `video`.
    pub kind: String,
    /// `microphone`, `camera`, `screen` or `screen_audio`.
    pub source: String,
    /// `opus`, `vp8`, `h264`, `vp9` or `av1`; of cameras also `pcmu` or `pcma`.
    pub codec: String,
    /// How many encodings it has; `max_layer` of a subscription counts from 0.
    pub layers: u8,
}

/// A request to speak.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct RequestView {
    /// Its id.
    pub request_id: String,
    /// Whose.
    pub user_id: String,
    /// Their name.
    pub name: String,
    /// `normal`, `point_of_order`, `interposed_question` or `intervention`.
    pub kind: String,
    /// `pro`, `contra` or `neutral`, if they said so.
    pub stance: Option<String>,
    /// What about, if they said so.
    pub note: Option<String>,
    /// When they asked, RFC 3339.
    pub requested_at: String,
    /// Whether a moderator entered them for a person in the hall.
    pub in_hall: bool,
    /// As of a participant, for a person in the hall.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub name_notice: Option<String>,
    /// Turns this person has had in this session.
    pub previous_turns: u32,
}

/// An approved request at its place in the waiting list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct PlacedView {
    /// Which.
    pub request_id: String,
    /// Right behind which other one; null for the first place.
    pub after: Option<String>,
    /// The request, when it was not in the list before.
    pub request: Option<RequestView>,
}

/// A turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct TurnView {
    /// Its id.
    pub turn_id: String,
    /// The request it answers.
    pub request_id: String,
    /// Whose.
    pub user_id: String,
    /// Their name.
    pub name: String,
    /// As in the request.
    pub kind: String,
    /// Time given, seconds.
    pub limit_s: u32,
    /// Time used up to the event's `at`, milliseconds; may exceed the limit.
    #[ts(type = "number")]
    pub used_ms: u64,
    /// Whether its clock runs.
    pub running: bool,
    /// Whether the hall microphone carries its voice.
    pub in_hall: bool,
}

/// Somebody who is heard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct SpeakerView {
    /// Who.
    pub user_id: String,
    /// By which track.
    pub track: String,
    /// RFC 6464 level below overload: 0 loudest, 127 silence.
    pub level: u8,
}

/// A piece of speech as text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS, ToSchema)]
pub struct TranscriptChunkView {
    /// Who spoke: the owner of the microphone, or whoever had the hall's turn.
    pub participant: String,
    /// In which turn, when it was in one of theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub turn: Option<String>,
    /// What they said.
    pub text: String,
    /// How sure the engine is of it, from 0 to 1.
    pub confidence: f32,
    /// When they began, RFC 3339.
    pub from: String,
    /// When they stopped.
    pub to: String,
    /// Whether the text stays. Only texts that do are events.
    pub r#final: bool,
    /// What recognised it.
    pub engine: String,
    /// The language, a BCP 47 tag.
    pub language: String,
}

/// Whether what is said becomes text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct TranscriptionView {
    /// `on`; `off`, when the session is not transcribed; `unavailable`, when it is to be and
    /// this server can't.
    pub state: String,
    /// The language of the session, a BCP 47 tag; null when it is recognised.
    pub language: Option<String>,
    /// The languages that `set_language` takes, BCP 47 tags, and more exact tags of them; empty
    /// unless the state is `on`.
    pub languages: Vec<String>,
}

/// The floor as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct FloorView {
    /// `open` or `moderated`.
    pub moderation: String,
    /// Whether new requests are taken.
    pub open: bool,
    /// Requests that wait for a moderator, by arrival.
    pub requested: Vec<RequestView>,
    /// Approved requests in the order they will speak.
    pub queue: Vec<RequestView>,
    /// Who holds the floor; its `used_ms` is as of the welcome's `server_time`.
    pub turn: Option<TurnView>,
    /// Turns that an interposed question interrupted, innermost last.
    pub interrupted: Vec<TurnView>,
    /// Time of a turn when nobody says otherwise, seconds.
    pub default_turn_s: u32,
    /// Longest a turn may be, seconds.
    pub max_turn_s: u32,
    /// Whether an approved request starts at once when the floor is free.
    pub auto_start: bool,
    /// Whether points of order and interposed questions are taken while the list
    /// is closed.
    pub points_of_order_pass_closed_list: bool,
    /// Whose cameras and screens are shown: `floor` or `all`.
    pub media_policy: String,
}

/// The recording as it stands for one member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct RecordingView {
    /// `recording`, `paused` or `stopped`.
    pub state: String,
    /// Whether the session's policy is to record. A moderator may have decided
    /// otherwise.
    pub enabled: bool,
    /// Days that the recording is kept after the session has ended.
    pub retention_days: u32,
    /// Whether this member has said that they know of it.
    pub acknowledged: bool,
}

/// An event with its place in the session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS, ToSchema)]
pub struct Told {
    /// Position in the session, from 1, without holes.
    #[ts(type = "number")]
    pub seq: u64,
    /// When it was decided, RFC 3339.
    pub at: String,
    /// Names the decision that it follows from, when that can be taken back with
    /// `undo`, or that was taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub action_id: Option<String>,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

impl Told {
    /// The one JSON text of this event.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}
