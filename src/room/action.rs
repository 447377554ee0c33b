//! What a member may ask of a room.

use std::time::Duration;

use crate::domain::floor::{SpeechKind, Stance};
use crate::domain::id::{RequestId, TurnId, UserId};
use crate::domain::role;
use crate::domain::session::ModerationMode;

/// A request of a member, parsed and within its bounds, by what it acts on.
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
}

/// What is done on the floor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FloorAction {
    /// Asks for the floor.
    RequestSpeech {
        /// What for.
        kind: SpeechKind,
        /// How the speaker stands.
        stance: Option<Stance>,
        /// What about.
        note: Option<String>,
    },
    /// Withdraws one request, or all of the member's own.
    CancelSpeech {
        /// Which; a moderator may name anybody's.
        request: Option<RequestId>,
    },
    /// Gives the floor back.
    EndSpeech,
    /// Takes a request into the list.
    ApproveSpeech(RequestId),
    /// Refuses a request.
    DenySpeech {
        /// Which.
        request: RequestId,
        /// Why.
        reason: Option<String>,
    },
    /// Gives the floor.
    StartTurn {
        /// To whom, or to the next.
        request: Option<RequestId>,
        /// For how long, or as the session says.
        limit: Option<Duration>,
    },
    /// Stops the turn's clock.
    PauseTurn,
    /// Lets it run on.
    ResumeTurn,
    /// Gives more time.
    ExtendTurn(Duration),
    /// Takes the floor back.
    StopTurn,
    /// Puts the waiting entries into this order.
    ReorderQueue(Vec<RequestId>),
    /// Takes new requests.
    OpenQueue,
    /// Takes no new requests.
    CloseQueue,
    /// Puts somebody into the list.
    AddSpeaker {
        /// Who.
        user: UserId,
        /// Their name, when they are not in the room.
        name: Option<String>,
        /// What for.
        kind: SpeechKind,
    },
    /// Lets the floor decide who is heard, or not.
    SetModeration(ModerationMode),
}

/// What is done to those in the room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeopleAction {
    /// Says what the member sends.
    SetMedia(MediaFlags),
    /// Closes somebody's sound.
    Mute(UserId),
    /// Opens it again, as far as the floor allows.
    Unmute(UserId),
    /// Sends somebody out, and keeps people out.
    Remove(UserId),
    /// Lets somebody in again.
    Admit(UserId),
}

/// What is done about the recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordingAction {
    /// Records, or goes on recording after a pause.
    Start,
    /// Records nothing until it is started again.
    Pause,
    /// Ends the recording; it may be started again.
    Stop,
    /// Says that the member knows of the recording.
    Acknowledge,
}

/// What is done in the chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChatAction {
    /// Writes to everyone.
    Say {
        /// 1 to [`CHAT_LENGTH_MAX`] characters.
        text: String,
    },
}

/// Longest chat message in characters. Raising it makes every event larger.
pub const CHAT_LENGTH_MAX: usize = 2_000;

/// What a member says it sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MediaFlags {
    /// Its microphone is on.
    pub audio: bool,
    /// Its camera is on.
    pub video: bool,
    /// It shares a screen.
    pub screen: bool,
}

/// Identifiers that an action may need, drawn by the driver so that the engine
/// draws no randomness.
#[derive(Debug, Clone, Copy)]
pub struct FreshIds {
    /// For a new speech request.
    pub request: RequestId,
    /// For a turn that starts.
    pub turn: TurnId,
}

impl Action {
    /// What the table of roles must allow for it.
    #[must_use]
    pub const fn permission(&self) -> role::Action {
        match self {
            Self::Floor(action) => action.permission(),
            Self::People(PeopleAction::SetMedia(_)) => role::Action::PublishMedia,
            Self::People(_) => role::Action::ModeratePeople,
            Self::Recording(RecordingAction::Acknowledge) => role::Action::JoinRoom,
            Self::Recording(_) => role::Action::ControlRecording,
            Self::Chat(_) => role::Action::Chat,
        }
    }

    /// Whether it moderates: whether it is for those who run the floor, decide
    /// about people or control the recording.
    #[must_use]
    pub const fn is_moderation(&self) -> bool {
        matches!(
            self.permission(),
            role::Action::ModerateFloor
                | role::Action::ModeratePeople
                | role::Action::ControlRecording
        )
    }

    /// Its name in metrics: the `type` of the message that asks for it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Floor(action) => action.name(),
            Self::People(action) => match action {
                PeopleAction::SetMedia(_) => "set_media",
                PeopleAction::Mute(_) => "mute_user",
                PeopleAction::Unmute(_) => "unmute_user",
                PeopleAction::Remove(_) => "remove_participant",
                PeopleAction::Admit(_) => "admit",
            },
            Self::Recording(action) => match action {
                RecordingAction::Start => "start_recording",
                RecordingAction::Pause => "pause_recording",
                RecordingAction::Stop => "stop_recording",
                RecordingAction::Acknowledge => "acknowledge_recording",
            },
            Self::Chat(ChatAction::Say { .. }) => "chat",
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

impl From<ChatAction> for Action {
    fn from(action: ChatAction) -> Self {
        Self::Chat(action)
    }
}
