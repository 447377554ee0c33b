#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! Decisions that are taken back within a few seconds. What followed from one is
//! kept and told like any other decision, so the record shows both.

use std::time::Duration;

use crate::domain::id::{ActionId, RequestId, UserId};
use crate::domain::participant::ParticipantKind;
use crate::domain::role::{self, Roles};
use crate::domain::session::ModerationMode;
use crate::domain::time::Timestamp;
use crate::floor::{FloorError, FloorMemory};
use crate::room::action::{Action, FloorAction, PeopleAction};
use crate::room::engine::RoomEngine;
use crate::room::error::RoomError;
use crate::room::event::Event;

/// For how long a decision can be taken back.
pub const UNDO_WINDOW: Duration = Duration::from_secs(10);
/// For how long it is known that a decision was there and is too old.
const REMEMBERED: Duration = Duration::from_mins(1);
/// Most decisions that are remembered, the newest. Raising it makes every
/// decision that can be taken back a little dearer.
const REMEMBERED_MAX: usize = 32;

/// A decision that can be taken back. It is forgotten with the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Undoable {
    id: ActionId,
    action: Action,
    by: UserId,
    /// Whether other moderators may take it back too.
    is_moderation: bool,
    at: Timestamp,
    /// The `seq` of the last event that followed from it.
    through: u64,
    how: Reversal,
}

/// What undoes a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reversal {
    Floor(FloorMemory),
    Removal(UserId, FloorMemory),
    Moderation(ModerationMode),
}

impl RoomEngine {
    /// What would undo `action`, before it is carried out; `None` when it can't be
    /// taken back.
    pub(super) fn reversal_of(&self, user: &UserId, action: &Action) -> Option<Reversal> {
        let of = |user: &UserId| -> Vec<RequestId> {
            let live = self.floor.requested().chain(self.floor.waiting());
            live.filter(|entry| entry.user_id == *user).map(|entry| entry.request_id).collect()
        };
        let requests = match action {
            Action::Floor(action) => match action {
                FloorAction::ApproveSpeech(request)
                | FloorAction::DenySpeech { request, .. }
                | FloorAction::CancelSpeech { request: Some(request) }
                | FloorAction::StartTurn { request: Some(request), .. } => vec![*request],
                FloorAction::CancelSpeech { request: None } => of(user),
                FloorAction::StartTurn { request: None, .. } => {
                    self.floor.waiting().next().map(|entry| entry.request_id).into_iter().collect()
                }
                FloorAction::StopTurn | FloorAction::EndSpeech => Vec::new(),
                FloorAction::SetModeration(_) => {
                    return Some(Reversal::Moderation(*self.moderation));
                }
                _ => return None,
            },
            Action::People(PeopleAction::Remove(target)) => {
                let member = self.members.get(target)?;
                if member.kind != ParticipantKind::Person {
                    return None;
                }
                return Some(Reversal::Removal(target.clone(), self.floor.remember(&of(target))));
            }
            _ => return None,
        };
        Some(Reversal::Floor(self.floor.remember(&requests)))
    }

    /// Remembers a decision that was carried out.
    pub(super) fn remember(
        &mut self,
        (id, by): (ActionId, UserId),
        action: Action,
        mut how: Reversal,
        now: Timestamp,
    ) {
        let mut is_moderation = action.is_moderation();
        if let Reversal::Floor(memory) | Reversal::Removal(_, memory) = &mut how {
            self.floor.note_outcome(memory);
            // A request that its own person withdrew is theirs to renew.
            is_moderation |= !memory.is_of(&by);
        }
        // A moderator gives the floor back to whoever ended their turn by a slip.
        is_moderation |= action == Action::Floor(FloorAction::EndSpeech);
        let through = self.seq;
        let decided = Undoable { id, action, by, is_moderation, at: now, through, how };
        let undoable = self.undoable.edit();
        undoable.retain(|past| now.since(past.at) <= REMEMBERED);
        if undoable.len() >= REMEMBERED_MAX {
            undoable.remove(0);
        }
        undoable.push(decided);
    }

    /// Takes a decision back.
    ///
    /// # Errors
    /// [`RoomError::ActionNotFound`], [`RoomError::Forbidden`] when it is not
    /// `user`'s to take back, [`RoomError::UndoTooLate`], and
    /// [`RoomError::DecisionStale`] when something was decided since that rests on it.
    pub(super) fn take_back(
        &mut self,
        user: &UserId,
        roles: Roles,
        id: ActionId,
        now: Timestamp,
    ) -> Result<(), RoomError> {
        let found = self.undoable.iter().find(|past| past.id == id).cloned();
        let found = found.ok_or(RoomError::ActionNotFound)?;
        let theirs =
            found.by == *user || (found.is_moderation && roles.may(role::Action::ModerateFloor));
        if !theirs || !roles.may(found.action.permission()) {
            return Err(RoomError::Forbidden);
        }
        if now.since(found.at) > UNDO_WINDOW {
            return Err(RoomError::UndoTooLate);
        }
        // Nobody takes the floor from somebody else by taking back the end of their own turn.
        let is_end = found.action == Action::Floor(FloorAction::EndSpeech);
        let has_floor = self.floor.current_turn(now).is_some();
        if is_end && has_floor && !roles.may(role::Action::ModerateFloor) {
            return Err(RoomError::DecisionStale);
        }
        let decided = (found.at, found.through);
        let mut mode_before = None;
        match found.how {
            Reversal::Floor(memory) => self.take_back_on_floor(memory, decided, now)?,
            Reversal::Removal(target, memory) => {
                if !self.removed.contains_key(&target) {
                    return Err(RoomError::DecisionStale);
                }
                self.take_back_on_floor(memory, decided, now)?;
                self.removed.remove(&target);
            }
            Reversal::Moderation(mode) => {
                if self.last_changes.moderation() > found.through {
                    return Err(RoomError::DecisionStale);
                }
                mode_before = Some(mode);
            }
        }
        self.undoable.edit().retain(|past| past.id != id);
        let (action, by) = (found.action.name().to_owned(), user.as_str().to_owned());
        self.tell_of(Some(id), Event::ActionUndone { action, by }, now);
        if let Some(mode) = mode_before {
            self.set_moderation(mode, user, now);
        }
        Ok(())
    }

    fn take_back_on_floor(
        &mut self,
        memory: FloorMemory,
        (at, through): (Timestamp, u64),
        now: Timestamp,
    ) -> Result<(), RoomError> {
        if memory.is_about_turns() && self.last_changes.turn() > through {
            return Err(RoomError::DecisionStale);
        }
        self.floor.take_back(memory, at, now).map_err(|refused| match refused {
            FloorError::RequestStateConflict | FloorError::AlreadyWaiting => {
                RoomError::DecisionStale
            }
            refused => refused.into(),
        })
    }
}
