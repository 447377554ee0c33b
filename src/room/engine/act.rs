#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! What members ask for, carried out on the floor, on people and in the chat.

use crate::domain::floor::SpeechKind;
use crate::domain::id::{RequestId, UserId};
use crate::domain::participant::ParticipantKind;
use crate::domain::role::{self, Roles};
use crate::domain::session::ModerationMode;
use crate::domain::shown_text::ShownText;
use crate::domain::time::Timestamp;
use crate::floor::{Canceller, FloorEvent, Microphone, NewRequest, QueueState};
use crate::room::action::{
    Action, ChatAction, FloorAction, FreshIds, PeopleAction, TranscriptAction,
};
use crate::room::engine::view::shown_name;
use crate::room::engine::{Connection, Goodbye, RoomEngine};
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
        match action {
            Action::Floor(action) => return self.act_on_floor(user, roles, action, fresh, now),
            Action::People(action) => self.act_on_people(user, action, now)?,
            Action::Recording(action) => self.act_on_recording(user, action, now)?,
            Action::Chat(ChatAction::Say { text }) => self.chat(user, &text, now)?,
            Action::Transcript(TranscriptAction::Correct { of, text }) => {
                self.correct(user, of, &text, now)?;
            }
            Action::Undo(id) => self.take_back(user, roles, id, now)?,
        }
        Ok(None)
    }

    fn act_on_floor(
        &mut self,
        user: &UserId,
        roles: Roles,
        action: FloorAction,
        fresh: FreshIds,
        now: Timestamp,
    ) -> Made {
        match action {
            FloorAction::RequestSpeech { kind, stance, note } => {
                let (user_id, name) = (user.clone(), self.name_of(user));
                let note = note.and_then(|note| ShownText::Note.cleaned(&note));
                let request = NewRequest { id: fresh.request, user_id, name, kind, stance, note };
                self.floor.handle_request_speech(request, now)?;
                return Ok(Some(fresh.request));
            }
            FloorAction::AddSpeaker { user, name, kind } => {
                return self.add_speaker(user, name, kind, fresh.request, now);
            }
            FloorAction::CancelSpeech { request } => self.cancel_speech(user, roles, request)?,
            FloorAction::EndSpeech => self.floor.end_speech(user, now)?,
            FloorAction::ApproveSpeech(request) => self.floor.approve(request, fresh.turn, now)?,
            FloorAction::DenySpeech { request, reason } => {
                let reason = reason.and_then(|reason| ShownText::Note.cleaned(&reason));
                self.floor.deny(request, reason)?;
            }
            FloorAction::StartTurn { request, limit } => {
                self.floor.start_turn(request, fresh.turn, limit, now)?;
            }
            FloorAction::PauseTurn => self.floor.pause_turn(now)?,
            FloorAction::ResumeTurn => self.floor.resume_turn(now)?,
            FloorAction::ExtendTurn(by) => self.floor.extend_turn(by, now)?,
            FloorAction::StopTurn => self.floor.stop_turn(now)?,
            FloorAction::ReorderQueue(order) => self.floor.handle_reorder(&order)?,
            FloorAction::OpenQueue => self.floor.set_queue(QueueState::Open),
            FloorAction::CloseQueue => self.floor.set_queue(QueueState::Closed),
            FloorAction::SetModeration(mode) => self.set_moderation(mode, user, now),
        }
        Ok(None)
    }

    fn act_on_people(
        &mut self,
        user: &UserId,
        action: PeopleAction,
        now: Timestamp,
    ) -> Result<(), RoomError> {
        match action {
            PeopleAction::SetMedia(flags) => {
                let member = self.members.get(user).ok_or(RoomError::ParticipantNotFound)?;
                if member.media != flags
                    && let Some(member) = self.members.get_mut(user)
                {
                    member.media = flags;
                    self.tell(Event::ParticipantUpdated(self.participant_view(user)), now);
                }
                Ok(())
            }
            PeopleAction::SetLanguage { user: whose, language } => {
                self.set_language(whose.as_ref().unwrap_or(user), language, user, now)
            }
            PeopleAction::Mute(target) => self.mute(&target, user, now),
            PeopleAction::Unmute(target) => self.unmute(&target, user, now),
            PeopleAction::StopPictures(target) => self.stop_pictures(&target, user, now),
            PeopleAction::AllowPictures(target) => self.allow_pictures(&target, user, now),
            PeopleAction::Remove(target) => self.remove(&target, user, now),
            PeopleAction::TakeChair => {
                self.take_chair(user, now);
                Ok(())
            }
            PeopleAction::Admit(target) => {
                let removed = self.removed.remove(&target);
                removed.ok_or(RoomError::ParticipantNotFound)
            }
        }
    }

    fn add_speaker(
        &mut self,
        user: UserId,
        name: Option<String>,
        kind: SpeechKind,
        id: RequestId,
        now: Timestamp,
    ) -> Made {
        let connected = match self.members.get(&user) {
            Some(member) if !member.kind.may_hold_floor() => return Err(RoomError::NotAPerson),
            Some(_) => true,
            None if user.is_reserved() => return Err(RoomError::NotAPerson),
            None => false,
        };
        let microphone = if connected { Microphone::Own } else { Microphone::Hall };
        let name = match name {
            Some(name) if !connected => shown_name(&name, &user),
            _ => self.name_of(&user),
        };
        let (stance, note) = (None, None);
        let request = NewRequest { id, user_id: user, name, kind, stance, note };
        self.floor.add_speaker(request, microphone, now)?;
        Ok(Some(id))
    }

    pub(super) fn name_of(&self, user: &UserId) -> String {
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

    fn chat(&mut self, user: &UserId, text: &str, now: Timestamp) -> Result<(), RoomError> {
        let text = ShownText::Chat.cleaned(text);
        let text = text.ok_or(RoomError::Unprocessable("the message shows nothing"))?;
        let (user_id, name) = (user.as_str().to_owned(), self.name_of(user));
        self.tell(Event::Chat { user_id, name, text }, now);
        Ok(())
    }

    pub(super) fn set_moderation(&mut self, mode: ModerationMode, by: &UserId, now: Timestamp) {
        if *self.moderation != mode {
            *self.moderation.edit() = mode;
            let (moderation, by) = (mode.as_str().to_owned(), by.as_str().to_owned());
            self.tell(Event::ModerationChanged { moderation, by }, now);
        }
    }

    fn mute(&mut self, target: &UserId, by: &UserId, now: Timestamp) -> Result<(), RoomError> {
        self.check_sends(target)?;
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
        } else {
            self.check_sends(target)?;
        }
        Ok(())
    }

    fn stop_pictures(
        &mut self,
        target: &UserId,
        by: &UserId,
        now: Timestamp,
    ) -> Result<(), RoomError> {
        self.check_sends(target)?;
        if self.pictures_stopped.insert(target.clone(), ()).is_none() {
            let user_id = target.as_str().to_owned();
            self.tell(Event::PicturesStopped { user_id, by: by.as_str().to_owned() }, now);
        }
        Ok(())
    }

    fn allow_pictures(
        &mut self,
        target: &UserId,
        by: &UserId,
        now: Timestamp,
    ) -> Result<(), RoomError> {
        if self.pictures_stopped.remove(target).is_some() {
            let user_id = target.as_str().to_owned();
            self.tell(Event::PicturesAllowed { user_id, by: by.as_str().to_owned() }, now);
        } else {
            self.check_sends(target)?;
        }
        Ok(())
    }

    /// Whether `target` is in the room and sends what can be muted or stopped.
    pub(super) fn check_sends(&self, target: &UserId) -> Result<(), RoomError> {
        let member = self.members.get(target).ok_or(RoomError::ParticipantNotFound)?;
        if member.kind.is_heard() { Ok(()) } else { Err(RoomError::NotAPerson) }
    }

    /// Sends a participant out. A person is kept out until admitted; a part of the
    /// server comes again when it is wanted again.
    fn remove(&mut self, target: &UserId, by: &UserId, now: Timestamp) -> Result<(), RoomError> {
        let member = self.members.get(target).ok_or(RoomError::ParticipantNotFound)?;
        match member.kind {
            ParticipantKind::Person => {
                if self.is_last_moderator(target) {
                    return Err(RoomError::LastModerator);
                }
                self.removed.insert(target.clone(), ());
                self.floor.handle_removed(target, now);
                self.tell_floor(now);
                for connection in self.index.connections_of(target) {
                    self.end_connection(connection, Goodbye::Removed, now);
                }
            }
            ParticipantKind::Camera => {
                for connection in self.index.connections_of(target) {
                    self.end_connection(connection, Goodbye::Removed, now);
                }
            }
            ParticipantKind::Recorder => {
                self.stop_recording(Some(by), Goodbye::Removed, now);
            }
            // It is never listed: whether there is text is told with the session.
            ParticipantKind::Transcriber => return Err(RoomError::NotAPerson),
        }
        Ok(())
    }

    /// Whether nobody but `user` in the room could let people in again.
    fn is_last_moderator(&self, user: &UserId) -> bool {
        let moderates = |found: &&Connection| found.roles.may(role::Action::ModeratePeople);
        let mut moderators = self.connections.values().filter(moderates).map(|it| &it.user);
        moderators.clone().any(|it| it == user) && moderators.all(|it| it == user)
    }

    /// Tells what the floor decided, and once what has changed in the waiting list
    /// when any of it touched that.
    pub(super) fn tell_floor(&mut self, now: Timestamp) {
        let mut list_changed = false;
        while let Some(decided) = self.floor.poll_event() {
            list_changed |= matches!(decided, FloorEvent::QueueUpdated);
            if let Some(event) = self.floor_event(decided) {
                self.tell(event, now);
            }
        }
        if list_changed {
            self.tell_queue(now);
            self.note_next();
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
