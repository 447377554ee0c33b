//! The actions that a member may request in a room.

use std::time::Duration;

use crate::attendance::ports::EligibleList;
use crate::attendance::{CoarseLocation, Proof};
use crate::domain::attendance::{Place, UnitId};
use crate::domain::floor::{SpeechKind, Stance};
use crate::domain::id::{ActionId, RequestId, TurnId, UserId};
use crate::domain::language::LanguageTag;
use crate::domain::role;
use crate::domain::session::ModerationMode;
use crate::domain::time::Timestamp;

/// An action that a member requests, parsed and within its limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// The speaking list, its turns, and whether they decide who is heard.
    Floor(FloorAction),
    /// The people and devices in the room.
    People(PeopleAction),
    /// The recording.
    Recording(RecordingAction),
    /// The chat.
    Chat(ChatAction),
    /// The transcript.
    Transcript(TranscriptAction),
    /// A decision, which is taken back.
    Undo(ActionId),
}

/// A vote of the assembly that has started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vote {
    /// Its name at the governance service.
    pub id: String,
    /// What is voted on.
    pub title: String,
    /// When it started, if that was said.
    pub started_at: Option<Timestamp>,
    /// Until when votes can be cast, if that was said.
    pub ends_at: Option<Timestamp>,
}

/// An action on the speaking list and its turns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FloorAction {
    /// Asks to speak.
    RequestSpeech {
        /// The kind of request.
        kind: SpeechKind,
        /// The speaker's position on the matter.
        stance: Option<Stance>,
        /// The subject of the speech.
        note: Option<String>,
    },
    /// Withdraws one request, or all of the member's own.
    CancelSpeech {
        /// The request; a moderator may name any.
        request: Option<RequestId>,
    },
    /// Ends the member's own turn.
    EndSpeech,
    /// Approves a request.
    ApproveSpeech(RequestId),
    /// Denies a request.
    DenySpeech {
        /// The request.
        request: RequestId,
        /// The reason.
        reason: Option<String>,
    },
    /// Starts a turn.
    StartTurn {
        /// The request; `None` for the next one.
        request: Option<RequestId>,
        /// The time limit; `None` for the session's default.
        limit: Option<Duration>,
    },
    /// Pauses the turn.
    PauseTurn,
    /// Resumes the turn.
    ResumeTurn,
    /// Extends the turn.
    ExtendTurn(Duration),
    /// Ends the turn.
    StopTurn,
    /// Sets the order of the waiting entries.
    ReorderQueue(Vec<RequestId>),
    /// Opens the list for requests.
    OpenQueue,
    /// Closes the list for requests.
    CloseQueue,
    /// Puts a person on the list.
    AddSpeaker {
        /// The person.
        user: UserId,
        /// Their name, when they are not in the room.
        name: Option<String>,
        /// The kind of request.
        kind: SpeechKind,
    },
    /// Sets whether the speaking list decides who is heard.
    SetModeration(ModerationMode),
}

/// An action on the people in the room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeopleAction {
    /// Says what the member sends.
    SetMedia(MediaFlags),
    /// Says which language somebody speaks.
    SetLanguage {
        /// Who; the member when it is `None`. Of others only moderators say it.
        user: Option<UserId>,
        /// The language; that of the session when it is `None`.
        language: Option<LanguageTag>,
    },
    /// Mutes a person.
    Mute(UserId),
    /// Unmutes a person; the speaking list may still close the gate.
    Unmute(UserId),
    /// Shows nobody a person's cameras and screens.
    StopPictures(UserId),
    /// Ends that; the session's rule may still withhold them.
    AllowPictures(UserId),
    /// Removes a person and keeps them out.
    Remove(UserId),
    /// Admits a person again.
    Admit(UserId),
    /// Presides from now on.
    TakeChair,
}

/// An action on the recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordingAction {
    /// Starts recording, or continues after a pause.
    Start,
    /// Pauses recording until it is started again.
    Pause,
    /// Stops the recording; it may be started again.
    Stop,
    /// Confirms that the member knows of the recording.
    Acknowledge,
}

/// An action in the chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChatAction {
    /// Writes a message to everybody.
    Say {
        /// What others are shown of it is cleaned and cut.
        text: String,
    },
}

/// An action on the transcript.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TranscriptAction {
    /// Says what was really said. The original stays beside it.
    Correct {
        /// `seq` of the text.
        of: u64,
        /// What others are shown of it is cleaned and cut.
        text: String,
    },
}

/// What is done about attendance, from outside the room. Who asks was permitted
/// by the door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttendanceAction {
    /// The identity service validated what somebody presented.
    Prove {
        /// Who.
        user: UserId,
        /// Their name.
        name: String,
        /// What they presented.
        proof: Proof,
        /// Where they are. When they do not say: in the hall, if the session has
        /// one and they are not connected to the room.
        place: Option<Place>,
        /// Where they roughly are, when they agreed to say.
        location: Option<CoarseLocation>,
    },
    /// A moderator registers somebody in the hall, and enters whom they represent.
    Register {
        /// Who.
        user: UserId,
        /// Units of others that they represent.
        represents: Vec<UnitId>,
        /// Names the decision, to take it back.
        decision: ActionId,
        /// The moderator.
        by: UserId,
    },
    /// A moderator marks somebody as left.
    MarkLeft {
        /// Who.
        user: UserId,
        /// Names the decision, to take it back.
        decision: ActionId,
        /// The moderator.
        by: UserId,
    },
    /// A moderator takes back what was decided last about somebody.
    TakeBack {
        /// About whom.
        user: UserId,
        /// The decision.
        decision: ActionId,
        /// The moderator.
        by: UserId,
    },
    /// A moderator ends the delegation of a unit.
    EndDelegation {
        /// Which.
        unit: UnitId,
        /// The moderator.
        by: UserId,
    },
    /// A moderator begins the second call.
    BeginSecondCall,
    /// The eligible list is known.
    TakeList(Box<EligibleList>),
}

/// What a member says that it sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MediaFlags {
    /// Whether its microphone is on.
    pub audio: bool,
    /// Whether its camera is on.
    pub video: bool,
    /// Whether it shares a screen.
    pub screen: bool,
}

/// Identifiers that an action may need, made by the driver, since the engine uses no random
/// numbers.
#[derive(Debug, Clone, Copy)]
pub struct FreshIds {
    /// For a new speech request.
    pub request: RequestId,
    /// For a turn that starts.
    pub turn: TurnId,
    /// For a decision that can be taken back.
    pub action: ActionId,
}

impl FreshIds {
    /// Identifiers that nothing else has.
    #[must_use]
    pub fn generate() -> Self {
        Self {
            request: RequestId::generate(),
            turn: TurnId::generate(),
            action: ActionId::generate(),
        }
    }
}

/// What carrying out an action has made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Made {
    /// The speech request.
    pub request: Option<RequestId>,
    /// What names the action, when it can be taken back.
    pub action: Option<ActionId>,
    /// `seq` of the last event once the action was carried out: its own events are not after it.
    pub last_seq: u64,
}

impl Action {
    /// The permission that the action needs.
    #[must_use]
    pub const fn permission(&self) -> role::Action {
        match self {
            Self::Floor(action) => action.permission(),
            // Whether it is theirs to say depends on whom it is about.
            Self::People(PeopleAction::SetMedia(_) | PeopleAction::SetLanguage { .. }) => {
                role::Action::PublishMedia
            }
            Self::People(_) => role::Action::ModeratePeople,
            Self::Recording(RecordingAction::Acknowledge) => role::Action::JoinRoom,
            Self::Recording(_) => role::Action::ControlRecording,
            Self::Chat(_) => role::Action::Chat,
            Self::Transcript(_) => role::Action::CorrectTranscript,
            // Whether it is theirs to take back depends on the decision.
            Self::Undo(_) => role::Action::RequestSpeech,
        }
    }

    /// Whether it is a moderator's action: on the speaking list, on people or on the recording.
    #[must_use]
    pub const fn is_moderation(&self) -> bool {
        matches!(
            self.permission(),
            role::Action::ModerateFloor
                | role::Action::ModeratePeople
                | role::Action::ControlRecording
                | role::Action::CorrectTranscript
        )
    }

    /// Its name in metrics: the `type` of the message that requests it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Floor(action) => action.name(),
            Self::People(action) => match action {
                PeopleAction::SetMedia(_) => "set_media",
                PeopleAction::SetLanguage { .. } => "set_language",
                PeopleAction::Mute(_) => "mute_user",
                PeopleAction::Unmute(_) => "unmute_user",
                PeopleAction::StopPictures(_) => "stop_pictures",
                PeopleAction::AllowPictures(_) => "allow_pictures",
                PeopleAction::Remove(_) => "remove_participant",
                PeopleAction::Admit(_) => "admit",
                PeopleAction::TakeChair => "take_chair",
            },
            Self::Recording(action) => match action {
                RecordingAction::Start => "start_recording",
                RecordingAction::Pause => "pause_recording",
                RecordingAction::Stop => "stop_recording",
                RecordingAction::Acknowledge => "acknowledge_recording",
            },
            Self::Chat(ChatAction::Say { .. }) => "chat",
            Self::Transcript(TranscriptAction::Correct { .. }) => "correct_transcript",
            Self::Undo(_) => "undo",
        }
    }
}

impl FloorAction {
    const fn permission(&self) -> role::Action {
        match self {
            Self::RequestSpeech { .. } | Self::CancelSpeech { .. } | Self::EndSpeech => {
                role::Action::RequestSpeech
            }
            _ => role::Action::ModerateFloor,
        }
    }

    const fn name(&self) -> &'static str {
        match self {
            Self::RequestSpeech { .. } => "request_speech",
            Self::CancelSpeech { .. } => "cancel_speech",
            Self::EndSpeech => "end_speech",
            Self::ApproveSpeech(_) => "approve_speech",
            Self::DenySpeech { .. } => "deny_speech",
            Self::StartTurn { .. } => "start_turn",
            Self::PauseTurn => "pause_turn",
            Self::ResumeTurn => "resume_turn",
            Self::ExtendTurn(_) => "extend_turn",
            Self::StopTurn => "stop_turn",
            Self::ReorderQueue(_) => "reorder_queue",
            Self::OpenQueue => "open_queue",
            Self::CloseQueue => "close_queue",
            Self::AddSpeaker { .. } => "add_speaker",
            Self::SetModeration(_) => "set_moderation",
        }
    }
}

impl From<FloorAction> for Action {
    fn from(action: FloorAction) -> Self {
        Self::Floor(action)
    }
}

impl From<PeopleAction> for Action {
    fn from(action: PeopleAction) -> Self {
        Self::People(action)
    }
}

impl From<RecordingAction> for Action {
    fn from(action: RecordingAction) -> Self {
        Self::Recording(action)
    }
}

impl From<TranscriptAction> for Action {
    fn from(action: TranscriptAction) -> Self {
        Self::Transcript(action)
    }
}

impl From<ChatAction> for Action {
    fn from(action: ChatAction) -> Self {
        Self::Chat(action)
    }
}
