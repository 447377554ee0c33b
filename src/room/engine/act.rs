#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! What members wish, carried out on the floor and on people.

use crate::domain::floor::SpeechKind;
use crate::domain::id::{RequestId, UserId};
use crate::domain::recording::RecordingState;
use crate::domain::role::{self, Roles};
use crate::domain::session::ModerationMode;
use crate::domain::time::Timestamp;
use crate::floor::{Canceller, FloorEvent, Microphone, NewRequest, QueueState};
use crate::room::action::{Action, CHAT_LENGTH_MAX, FreshIds};
use crate::room::engine::{Goodbye, RECORDER_USER_ID, RoomEngine, is_reserved};
use crate::room::error::RoomError;
use crate::room::event::Event;

type Made = Result<Option<RequestId>, RoomError>;

impl RoomEngine {
    /// Carries out `action` of `user`, whose roles allow it.
    pub(super) fn act(
        &mut self,
        user: &UserId,
        roles: Roles,
        action: Action,
        fresh: FreshIds,
        now: Timestamp,
    ) -> Made {
        if action.person().is_some_and(is_reserved) {
            let problem = "a user id that begins with cabildo: names a part of the server, \
                           which is no person";
            return Err(RoomError::Unprocessable(problem));
        }
        match action {
            Action::RequestSpeech { kind, stance, note } => {
                let (user_id, name) = (user.clone(), self.name_of(user));
                let request = NewRequest { id: fresh.request, user_id, name, kind, stance, note };
                self.floor.handle_request_speech(request, now)?;
                return Ok(Some(fresh.request));
            }
            Action::CancelSpeech { request } => self.cancel_speech(user, roles, request)?,
            Action::EndSpeech => self.floor.end_speech(user, now)?,
            Action::Chat { text } => self.chat(user, text, now)?,
            Action::SetMedia(flags) => {
                let member = self.members.get_mut(user).ok_or(RoomError::ParticipantNotFound)?;
                if member.media != flags {
                    member.media = flags;
                    self.tell(Event::ParticipantUpdated(self.participant_view(user)), now);
                }
            }
            Action::ApproveSpeech(request) => self.floor.approve(request, fresh.turn, now)?,
            Action::DenySpeech { request, reason } => self.floor.deny(request, reason)?,
            Action::StartTurn { request, limit } => {
                self.floor.start_turn(request, fresh.turn, limit, now)?;
            }
            Action::PauseTurn => self.floor.pause_turn(now)?,
            Action::ResumeTurn => self.floor.resume_turn(now)?,
            Action::ExtendTurn(by) => self.floor.extend_turn(by, now)?,
            Action::StopTurn => self.floor.stop_turn(now)?,
            Action::ReorderQueue(order) => self.floor.handle_reorder(&order)?,
            Action::OpenQueue => self.floor.set_queue(QueueState::Open),
            Action::CloseQueue => self.floor.set_queue(QueueState::Closed),
            Action::AddSpeaker { user, name, kind } => {
                return self.add_speaker(user, name, kind, fresh.request, now);
            }
            Action::SetModeration(mode) => self.set_moderation(mode, user, now),
            Action::MuteUser(target) => self.mute(&target, user, now)?,
            Action::UnmuteUser(target) => self.unmute(&target, user, now)?,
            Action::RemoveParticipant(target) if target.as_str() == RECORDER_USER_ID => {
                self.remove_recorder(user, now)?;
            }
            Action::RemoveParticipant(target) => self.remove(&target, now)?,
            Action::Admit(target) => {
                if self.removed.remove(&target).is_none() {
                    return Err(RoomError::ParticipantNotFound);
                }
            }
            Action::StartRecording => {
                self.control_recording(RecordingState::Recording, user, now)?;
            }
            Action::PauseRecording => self.control_recording(RecordingState::Paused, user, now)?,
            Action::StopRecording => self.control_recording(RecordingState::Stopped, user, now)?,
            Action::AcknowledgeRecording => self.acknowledge_recording(user, now),
        }
        Ok(None)
    }

    fn add_speaker(
        &mut self,
        user: UserId,
        name: Option<String>,
        kind: SpeechKind,
        id: RequestId,
        now: Timestamp,
    ) -> Made {
        let connected = self.members.contains_key(&user);
        let microphone = if connected { Microphone::Own } else { Microphone::Hall };
        let name = match name {
            Some(name) if !connected => name,
            _ => self.name_of(&user),
        };
        let (stance, note) = (None, None);
        let request = NewRequest { id, user_id: user, name, kind, stance, note };
        self.floor.add_speaker(request, microphone, now)?;
        Ok(Some(id))
    }

    fn name_of(&self, user: &UserId) -> String {
        match self.members.get(user) {
            Some(member) => member.name.clone(),
            None => user.as_str().to_owned(),
        }
    }

    fn cancel_speech(
        &mut self,
        user: &UserId,
        roles: Roles,
        request: Option<RequestId>,
    ) -> Result<(), RoomError> {
        let by = if roles.may(role::Action::ModerateFloor) && request.is_some() {
            Canceller::Moderator
        } else {
            Canceller::Speaker(user)
        };
        let requests: Vec<RequestId> = if let Some(request) = request {
            vec![request]
        } else {
            let live = self.floor.requested().chain(self.floor.waiting());
            live.filter(|entry| entry.user_id == *user).map(|entry| entry.request_id).collect()
        };
        for request in requests {
            self.floor.handle_cancel_speech(request, by)?;
        }
        Ok(())
    }

    fn chat(&mut self, user: &UserId, text: String, now: Timestamp) -> Result<(), RoomError> {
        if text.trim().is_empty() {
            return Err(RoomError::Unprocessable("the message is empty"));
        }
        if text.chars().count() > CHAT_LENGTH_MAX {
            return Err(RoomError::Unprocessable("the message is longer than 2,000 characters"));
        }
        let (user_id, name) = (user.as_str().to_owned(), self.name_of(user));
        self.tell(Event::Chat { user_id, name, text }, now);
        Ok(())
    }

    fn set_moderation(&mut self, mode: ModerationMode, by: &UserId, now: Timestamp) {
        if *self.moderation != mode {
            *self.moderation.edit() = mode;
            let (moderation, by) = (mode.as_str().to_owned(), by.as_str().to_owned());
            self.tell(Event::ModerationChanged { moderation, by }, now);
        }
    }

    fn mute(&mut self, target: &UserId, by: &UserId, now: Timestamp) -> Result<(), RoomError> {
        if !self.members.contains_key(target) {
            return Err(RoomError::ParticipantNotFound);
        }
        if self.muted.insert(target.clone(), ()).is_none() {
            let user_id = target.as_str().to_owned();
            self.tell(Event::UserMuted { user_id, by: by.as_str().to_owned() }, now);
        }
        Ok(())
    }

    fn unmute(&mut self, target: &UserId, by: &UserId, now: Timestamp) -> Result<(), RoomError> {
        if self.muted.remove(target).is_some() {
            let user_id = target.as_str().to_owned();
            self.tell(Event::UserUnmuted { user_id, by: by.as_str().to_owned() }, now);
        } else if !self.members.contains_key(target) {
            return Err(RoomError::ParticipantNotFound);
        }
        Ok(())
    }

    fn remove(&mut self, target: &UserId, now: Timestamp) -> Result<(), RoomError> {
        if !self.members.contains_key(target) {
            return Err(RoomError::ParticipantNotFound);
        }
        self.removed.insert(target.clone(), ());
        self.floor.handle_removed(target, now);
        self.tell_floor(now);
        for connection in self.index.connections_of(target) {
            self.end_connection(connection, Goodbye::Removed, now);
        }
        Ok(())
    }

    /// Tells what the floor decided, and the whole list once when any of it
    /// touched the list.
    pub(super) fn tell_floor(&mut self, now: Timestamp) {
        let mut list_changed = false;
        while let Some(decided) = self.floor.poll_event() {
            list_changed |= matches!(
                decided,
                FloorEvent::RequestReceived(_)
                    | FloorEvent::SpeechApproved(_)
                    | FloorEvent::SpeechDenied { .. }
                    | FloorEvent::SpeechCancelled { .. }
                    | FloorEvent::QueueUpdated
            );
            if let Some(event) = self.floor_event(decided) {
                self.tell(event, now);
            }
        }
        if list_changed {
            let (requested, queue, open) = self.list_view();
            self.tell(Event::QueueUpdated { requested, queue, open }, now);
        }
    }

    fn floor_event(&self, decided: FloorEvent) -> Option<Event> {
        Some(match decided {
            FloorEvent::RequestReceived(entry) => {
                Event::SpeechRequestReceived(self.request_view(&entry))
            }
            FloorEvent::SpeechApproved(entry) => Event::SpeechApproved {
                request_id: entry.request_id.to_string(),
                user_id: entry.user_id.as_str().to_owned(),
            },
            FloorEvent::SpeechDenied { entry, reason } => Event::SpeechDenied {
                request_id: entry.request_id.to_string(),
                user_id: entry.user_id.as_str().to_owned(),
                reason,
            },
            FloorEvent::SpeechCancelled { entry, .. } => Event::SpeechCancelled {
                request_id: entry.request_id.to_string(),
                user_id: entry.user_id.as_str().to_owned(),
            },
            FloorEvent::QueueUpdated => return None,
            FloorEvent::TurnStarted(turn) => Event::TurnStarted((&turn).into()),
            FloorEvent::TurnPaused { turn, .. } => Event::TurnPaused((&turn).into()),
            FloorEvent::TurnResumed(turn) => Event::TurnResumed((&turn).into()),
            FloorEvent::TurnExtended(turn) => Event::TurnExtended((&turn).into()),
            FloorEvent::TurnWarning { turn, left } => Event::TurnWarning {
                turn: (&turn).into(),
                remaining_s: u32::try_from(left.as_secs()).unwrap_or(u32::MAX),
            },
            FloorEvent::TurnEnded { turn, reason } => {
                Event::TurnEnded { turn: (&turn).into(), reason: reason.as_str().to_owned() }
            }
        })
    }
}
