#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! Whether a decision is about what its maker saw. A message that carries the
//! `seq` of the newest event its sender had been shown is refused when what it
//! decides about has changed after that.

use crate::domain::id::{RequestId, UserId};
use crate::floor::FloorError;
use crate::room::action::{Action, FloorAction, PeopleAction, RecordingAction};
use crate::room::engine::RoomEngine;
use crate::room::error::RoomError;
use crate::room::event::Event;

/// The `seq` of the event that last changed each thing that is decided about.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct LastChanges {
    turn: u64,
    list: u64,
    is_open: u64,
    /// Who is next, and since when.
    next: (Option<RequestId>, u64),
    moderation: u64,
    chair: u64,
    recording: u64,
}

impl LastChanges {
    pub(super) const fn turn(&self) -> u64 {
        self.turn
    }

    pub(super) const fn moderation(&self) -> u64 {
        self.moderation
    }
}

impl RoomEngine {
    /// Notes what an event changes.
    pub(super) fn note_change(&mut self, event: &Event, seq: u64) {
        match event {
            Event::TurnStarted(_)
            | Event::TurnPaused(_)
            | Event::TurnResumed(_)
            | Event::TurnExtended(_)
            | Event::TurnEnded { .. } => self.last_changes.edit().turn = seq,
            Event::SpeechApproved { .. }
            | Event::SpeechDenied { .. }
            | Event::SpeechCancelled { .. } => self.last_changes.edit().list = seq,
            Event::QueueUpdated { open, .. } => {
                let opened = *open != self.queue_told.is_open;
                let changes = self.last_changes.edit();
                changes.list = seq;
                if opened {
                    changes.is_open = seq;
                }
            }
            Event::UserMuted { user_id, .. } | Event::UserUnmuted { user_id, .. } => {
                if let Ok(user) = user_id.parse::<UserId>() {
                    self.mutes_changed.insert(user, seq);
                }
            }
            Event::PicturesStopped { user_id, .. } | Event::PicturesAllowed { user_id, .. } => {
                if let Ok(user) = user_id.parse::<UserId>() {
                    self.pictures_changed.insert(user, seq);
                }
            }
            Event::ModerationChanged { .. } => self.last_changes.edit().moderation = seq,
            Event::ChairChanged(_) => self.last_changes.edit().chair = seq,
            Event::RecordingState { .. } => self.last_changes.edit().recording = seq,
            _ => {}
        }
    }

    /// Notes who is next in the list.
    pub(super) fn note_next(&mut self) {
        let next = self.floor.waiting().next().map(|entry| entry.request_id);
        if next != self.last_changes.next.0 {
            self.last_changes.edit().next = (next, self.seq);
        }
    }

    /// Whether what `action` decides about has not changed after `seen`.
    pub(super) fn check_seen(&self, action: &Action, seen: Option<u64>) -> Result<(), RoomError> {
        let Some(seen) = seen else { return Ok(()) };
        if seen > self.seq {
            return Err(RoomError::Unprocessable("`seen` is beyond the last event"));
        }
        let changes = &self.last_changes;
        let changed = match action {
            Action::Floor(action) => match action {
                FloorAction::StartTurn { request: None, .. } => changes.turn.max(changes.next.1),
                FloorAction::StartTurn { .. }
                | FloorAction::PauseTurn
                | FloorAction::ResumeTurn
                | FloorAction::ExtendTurn(_)
                | FloorAction::StopTurn
                | FloorAction::EndSpeech => changes.turn,
                FloorAction::ReorderQueue(_) => changes.list,
                FloorAction::OpenQueue | FloorAction::CloseQueue => changes.is_open,
                FloorAction::SetModeration(_) => changes.moderation,
                // A request that was decided meanwhile is found to be: see
                // `explain_stale`.
                FloorAction::RequestSpeech { .. }
                | FloorAction::CancelSpeech { .. }
                | FloorAction::ApproveSpeech(_)
                | FloorAction::DenySpeech { .. }
                | FloorAction::AddSpeaker { .. } => 0,
            },
            Action::People(PeopleAction::Mute(user) | PeopleAction::Unmute(user)) => {
                self.mutes_changed.get(user).copied().unwrap_or_default()
            }
            Action::People(
                PeopleAction::StopPictures(user) | PeopleAction::AllowPictures(user),
            ) => self.pictures_changed.get(user).copied().unwrap_or_default(),
            Action::People(PeopleAction::TakeChair) => changes.chair,
            Action::Recording(
                RecordingAction::Start | RecordingAction::Pause | RecordingAction::Stop,
            ) => changes.recording,
            Action::People(_)
            | Action::Recording(RecordingAction::Acknowledge)
            // Whether what follows from it still stands is checked as it is undone.
            | Action::Undo(_)
            | Action::Transcript(_)
            | Action::Chat(_) => 0,
        };
        if changed > seen { Err(RoomError::DecisionStale) } else { Ok(()) }
    }

    /// The refusal of a decision about a request that has been decided after its
    /// maker looked.
    pub(super) fn explain_stale(&self, refused: RoomError, seen: Option<u64>) -> RoomError {
        let about_request = matches!(
            refused,
            RoomError::Floor(FloorError::RequestNotFound | FloorError::RequestStateConflict)
        );
        let changes = &self.last_changes;
        let changed = seen.is_some_and(|seen| changes.list.max(changes.turn) > seen);
        if about_request && changed { RoomError::DecisionStale } else { refused }
    }
}
