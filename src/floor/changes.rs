#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! What of a floor has changed: to be undone, or to be stored.

use crate::domain::id::UserId;

use super::engine::Floor;
use super::list::Entry;
use super::turn::Turn;

/// A part of a floor that is stored by itself, as it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FloorPart<'a> {
    /// Whether the list takes requests, and the arrival of the next one.
    List {
        /// Whether it does.
        is_open: bool,
        /// [`Entry::arrival`] of the next request.
        next_arrival: u64,
    },
    /// The undecided entry with this arrival, or that there is none any more.
    Requested(u64, Option<&'a Entry>),
    /// The approved entry at this place, or that there is none any more. The
    /// lowest place gets the floor first.
    Waiting(u64, Option<&'a Entry>),
    /// The current turn and the stacked ones, the first interrupted first.
    Turns(Option<&'a Turn>, &'a [Turn]),
    /// How many turns of somebody have started, or that it was forgotten.
    TurnsStarted(&'a UserId, Option<u32>),
}

impl Floor {
    /// Undoes everything since the last [`accept`](Self::accept) or
    /// [`stored`](Self::stored); what was to be polled is forgotten.
    pub fn undo(&mut self) {
        self.queue.undo();
        self.list.undo();
        self.turns.undo();
        self.turns_told.undo();
        self.turns_started.undo();
        self.events.clear();
    }

    /// Everything done so far stands, whether or not it is stored yet.
    pub fn accept(&mut self) {
        self.queue.accept();
        self.list.accept();
        self.turns.accept();
        self.turns_told.accept();
        self.turns_started.accept();
    }

    /// What [`to_store`](Self::to_store) yielded is stored, and stands.
    pub fn stored(&mut self) {
        self.queue.stored();
        self.list.stored();
        self.turns.stored();
        self.turns_told.stored();
        self.turns_started.stored();
    }

    /// Forgets who has spoken how often.
    pub fn forget_counts(&mut self) {
        self.turns_started.clear();
    }

    /// The waiting list counts as not stored, and so does whatever stands at
    /// `places` of it in the store.
    pub fn store_waiting(&mut self, places: impl IntoIterator<Item = u64>) {
        self.list.waiting.store_all(places);
    }

    /// All of it counts as not stored.
    pub fn store_all(&mut self) {
        self.queue.store_all();
        self.list.requested.store_all([]);
        self.list.waiting.store_all([]);
        self.turns_told.store_all();
        self.turns_started.store_all([]);
    }

    /// The parts that differ from what is stored. Time that a running turn used
    /// since something was last told of it is no such difference: it follows
    /// from what is stored and the time.
    pub fn to_store(&self) -> impl Iterator<Item = FloorPart<'_>> {
        let list = (self.queue.is_to_store() || self.list.next_arrival.is_to_store()).then(|| {
            let next_arrival = *self.list.next_arrival;
            FloorPart::List { is_open: self.is_queue_open(), next_arrival }
        });
        let turns = self
            .turns_told
            .is_to_store()
            .then(|| FloorPart::Turns(self.turns.current.as_ref(), &self.turns.stacked));
        let requested = self.list.requested.to_store();
        let waiting = self.list.waiting.to_store();
        list.into_iter()
            .chain(turns)
            .chain(requested.map(|(arrival, entry)| FloorPart::Requested(*arrival, entry)))
            .chain(waiting.map(|(place, entry)| FloorPart::Waiting(*place, entry)))
            .chain(
                self.turns_started
                    .to_store()
                    .map(|(user, count)| FloorPart::TurnsStarted(user, count.copied())),
            )
    }
}
