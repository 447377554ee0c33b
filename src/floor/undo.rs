#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! A decision that is taken back: turns go on as they were, and requests stand
//! where they stood. Time that passed meanwhile is nobody's.

use crate::domain::floor::TurnEnd;
use crate::domain::id::{RequestId, UserId};
use crate::domain::time::Timestamp;

use super::engine::{Floor, Turns, ended};
use super::error::FloorError;
use super::event::{FloorEvent, PauseCause};
use super::list::{ENTRIES_MAX, Entry, Position};
use super::turn::{Turn, TurnClock};

/// What a decision was about, as it was before, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FloorMemory {
    /// `None` when the decision did not touch them.
    turns: Option<Turns>,
    entries: Vec<(Position, Entry, Whereabouts)>,
}

/// Where a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whereabouts {
    Requested,
    Waiting,
    InTurn,
    Gone,
}

impl FloorMemory {
    /// Whether the decision changed who holds the floor.
    #[must_use]
    pub const fn is_about_turns(&self) -> bool {
        self.turns.is_some()
    }

    /// Whether it is about requests of `user` and nobody else's.
    #[must_use]
    pub fn is_of(&self, user: &UserId) -> bool {
        self.entries.iter().all(|(_, entry, _)| entry.user_id == *user)
    }
}

impl Floor {
    /// Remembers the turns and these requests before a decision about them.
    #[must_use]
    pub fn remember(&self, requests: &[RequestId]) -> FloorMemory {
        let entry = |id: &RequestId| {
            let (position, entry) = self.list.find(*id).ok()?;
            Some((position, entry.clone(), self.whereabouts(*id)))
        };
        let entries = requests.iter().filter_map(entry).collect();
        FloorMemory { turns: Some((*self.turns).clone()), entries }
    }

    /// Notes what the decision has made of what is remembered.
    pub fn note_outcome(&self, memory: &mut FloorMemory) {
        let ids = |turns: &Turns| -> Vec<_> { turns.all().map(|turn| turn.turn_id).collect() };
        if memory.turns.as_ref().is_some_and(|before| ids(before) == ids(&self.turns)) {
            memory.turns = None;
        }
        for (_, entry, became) in &mut memory.entries {
            *became = self.whereabouts(entry.request_id);
        }
    }

    /// Takes back a decision that was made at `decided_at`.
    ///
    /// # Errors
    /// `RequestStateConflict` when one of the requests was decided again since;
    /// `AlreadyWaiting` when its person asked anew; `QueueFull`. Whether turns have
    /// changed since is the caller's to know.
    pub fn take_back(
        &mut self,
        memory: FloorMemory,
        decided_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), FloorError> {
        for (_, entry, became) in &memory.entries {
            if self.whereabouts(entry.request_id) != *became {
                return Err(FloorError::RequestStateConflict);
            }
            let asked_anew = |other: &Entry| {
                other.request_id != entry.request_id
                    && other.user_id == entry.user_id
                    && other.kind == entry.kind
            };
            if self.list.entries().any(asked_anew) {
                return Err(FloorError::AlreadyWaiting);
            }
        }
        let comes_back =
            |became: &Whereabouts| matches!(became, Whereabouts::InTurn | Whereabouts::Gone);
        let back = memory.entries.iter().filter(|(_, _, became)| comes_back(became)).count();
        if self.list.entries().count().saturating_add(back) > ENTRIES_MAX {
            return Err(FloorError::QueueFull);
        }
        self.count(now);
        if let Some(turns) = memory.turns {
            self.return_turns(turns, decided_at, now);
        }
        for (position, entry, _) in memory.entries {
            self.return_entry(position, entry);
        }
        Ok(())
    }

    fn whereabouts(&self, id: RequestId) -> Whereabouts {
        match self.list.find(id) {
            Ok((Position::Requested(_), _)) => Whereabouts::Requested,
            Ok((Position::Waiting(_), _)) => Whereabouts::Waiting,
            Err(_) if self.turns.all().any(|turn| turn.request_id == id) => Whereabouts::InTurn,
            Err(_) => Whereabouts::Gone,
        }
    }

    /// Lets these turns go on, and ends the others.
    fn return_turns(&mut self, before: Turns, decided_at: Timestamp, now: Timestamp) {
        let Turns { mut current, mut stacked } = before;
        for turn in stacked.iter_mut().chain(&mut current) {
            drop(turn.count(decided_at));
            if turn.is_running() {
                turn.clock = TurnClock::Running { counted_until: now };
            }
        }
        let present = std::mem::take(self.turns.edit());
        for turn in present.current.into_iter().chain(present.stacked.into_iter().rev()) {
            let stays = |kept: &&mut Turn| kept.turn_id == turn.turn_id;
            if let Some(kept) = stacked.iter_mut().chain(&mut current).find(stays) {
                // It may have gone on meanwhile, and that time is its own.
                kept.used = turn.used;
                kept.limit = turn.limit;
            } else {
                if let Some(count) = self.turns_started.get_mut(&turn.user_id) {
                    *count = count.saturating_sub(1);
                }
                self.tell_turn(ended(turn, TurnEnd::Undone, now));
            }
        }
        for turn in &stacked {
            let turn = turn.view(now);
            self.tell_turn(FloorEvent::TurnPaused { turn, cause: PauseCause::Interposed });
        }
        if let Some(turn) = &current {
            let view = turn.view(now);
            self.tell_turn(if turn.is_running() {
                FloorEvent::TurnResumed(view)
            } else {
                FloorEvent::TurnPaused { turn: view, cause: PauseCause::StillPaused }
            });
        }
        *self.turns.edit() = Turns { current, stacked };
    }

    /// Puts a request where it stood, or behind those who precede it when another
    /// stands there now.
    fn return_entry(&mut self, position: Position, entry: Entry) {
        let stands = self.list.find(entry.request_id).ok().map(|(stands, _)| stands);
        if let Some(stands) = stands {
            self.list.remove(stands);
        }
        let moved = [stands, Some(position)];
        match position {
            Position::Requested(arrival) => {
                self.events.push_back(FloorEvent::RequestReceived(entry.clone()));
                self.list.requested.insert(arrival, entry);
            }
            Position::Waiting(place) if !self.list.waiting.contains_key(&place) => {
                self.list.waiting.insert(place, entry);
            }
            Position::Waiting(_) => self.list.wait(entry),
        }
        if moved.iter().any(|it| matches!(it, Some(Position::Waiting(_)))) {
            self.events.push_back(FloorEvent::QueueUpdated);
        }
    }
}
