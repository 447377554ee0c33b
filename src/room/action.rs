//! What a member may ask of a room.

use std::time::Duration;

use crate::domain::floor::{SpeechKind, Stance};
use crate::domain::id::{RequestId, TurnId, UserId};
use crate::domain::role;
use crate::domain::session::ModerationMode;

/// A wish of a member, parsed and within its bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
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
    /// Writes to everyone.
    Chat {
        /// 1 to [`CHAT_LENGTH_MAX`] characters.
        text: String,
    },
    /// Says what the member sends.
    SetMedia(MediaFlags),
    /// Takes a request into the list.
    ApproveSpeech(RequestId),
    /// Refuses a request.
    DenySpeech {
        /// Which.
        request: RequestId,
        /// Why.
        reason: Option<String>,
    },
    /// Closes somebody's sound.
    MuteUser(UserId),
    /// Opens it again, as far as the floor allows.
    UnmuteUser(UserId),
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
    /// Sends somebody out and keeps them out.
    RemoveParticipant(UserId),
    /// Lets somebody in again.
    Admit(UserId),
    /// Records, or goes on recording after a pause.
    StartRecording,
    /// Records nothing until it is started again.
    PauseRecording,
    /// Ends the recording; it may be started again.
    StopRecording,
    /// Says that the member knows of the recording.
    AcknowledgeRecording,
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
            Self::RequestSpeech { .. } | Self::CancelSpeech { .. } | Self::EndSpeech => {
                role::Action::RequestSpeech
            }
            Self::Chat { .. } => role::Action::Chat,
            Self::SetMedia(_) => role::Action::PublishMedia,
            Self::ApproveSpeech(_)
            | Self::DenySpeech { .. }
            | Self::StartTurn { .. }
            | Self::PauseTurn
            | Self::ResumeTurn
            | Self::ExtendTurn(_)
            | Self::StopTurn
            | Self::ReorderQueue(_)
            | Self::OpenQueue
            | Self::CloseQueue
            | Self::AddSpeaker { .. }
            | Self::SetModeration(_) => role::Action::ModerateFloor,
            Self::MuteUser(_)
            | Self::UnmuteUser(_)
            | Self::RemoveParticipant(_)
            | Self::Admit(_) => role::Action::ModeratePeople,
            Self::StartRecording | Self::PauseRecording | Self::StopRecording => {
                role::Action::ControlRecording
            }
            Self::AcknowledgeRecording => role::Action::JoinRoom,
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
            Self::RequestSpeech { .. } => "request_speech",
            Self::CancelSpeech { .. } => "cancel_speech",
            Self::EndSpeech => "end_speech",
            Self::Chat { .. } => "chat",
            Self::SetMedia(_) => "set_media",
            Self::ApproveSpeech(_) => "approve_speech",
            Self::DenySpeech { .. } => "deny_speech",
            Self::MuteUser(_) => "mute_user",
            Self::UnmuteUser(_) => "unmute_user",
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
            Self::RemoveParticipant(_) => "remove_participant",
            Self::Admit(_) => "admit",
            Self::StartRecording => "start_recording",
            Self::PauseRecording => "pause_recording",
            Self::StopRecording => "stop_recording",
            Self::AcknowledgeRecording => "acknowledge_recording",
        }
    }

    /// Whom it is done to as a person: heard, or let in.
    pub(super) const fn person(&self) -> Option<&UserId> {
        match self {
            Self::MuteUser(user)
            | Self::UnmuteUser(user)
            | Self::Admit(user)
            | Self::AddSpeaker { user, .. } => Some(user),
            _ => None,
        }
    }
}
