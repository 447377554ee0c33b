#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! Who presides. It is a state of the room, so whoever enters later is told the same.

use crate::domain::id::UserId;
use crate::domain::time::Timestamp;
use crate::room::engine::{ConnectionKind, RoomEngine};
use crate::room::event::{ChairView, Event, NewChairView};

/// Whoever presides, also while they are away and after they have left: only a moderator who takes
/// the chair changes that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chair {
    pub(super) user: UserId,
    /// Their name when they took the chair.
    pub(super) name: String,
}

impl RoomEngine {
    /// `user` presides from now on.
    pub(super) fn take_chair(&mut self, user: &UserId, now: Timestamp) {
        let has_it = self.chair.as_ref().is_some_and(|chair| chair.user == *user);
        if !has_it {
            self.give_chair(user, Some(user), now);
        }
    }

    /// The moderator who has been here longest presides, when nobody has yet. Whoever is here by
    /// media alone can't.
    pub(super) fn appoint_chair(&mut self, now: Timestamp) {
        if self.chair.is_some() {
            return;
        }
        let on_channel = self.index.moderators.iter().filter(|(connection, _)| {
            let found = self.connections.get(connection);
            found.is_some_and(|found| found.kind == ConnectionKind::Channel)
        });
        let here = on_channel
            .filter_map(|(_, user)| self.members.get(user).map(|member| (member.joined_at, user)));
        if let Some(user) = here.min().map(|(_, user)| user.clone()) {
            self.give_chair(&user, None, now);
        }
    }

    fn give_chair(&mut self, user: &UserId, by: Option<&UserId>, now: Timestamp) {
        *self.chair.edit() = Some(Chair { user: user.clone(), name: self.name_of(user) });
        let by = by.map(|by| by.as_str().to_owned());
        if let Some(chair) = self.chair_view() {
            self.tell(Event::ChairChanged(NewChairView { chair, by }), now);
        }
    }

    /// Whoever presides, as members are shown it.
    pub(super) fn chair_view(&self) -> Option<ChairView> {
        let Chair { user, name } = self.chair.as_ref()?;
        Some(ChairView { user_id: user.as_str().to_owned(), name: name.clone() })
    }
}
