#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! Tracks the changes of a floor, in order to undo or to store them.

use crate::domain::id::UserId;

use super::engine::Floor;
use super::list::Entry;
use super::turn::Turn;

/// A part of a floor that is stored separately, with its current value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FloorPart<'a> {
    /// Whether the list accepts requests, and the arrival number of the next one.
    List {
        /// Whether it accepts requests.
        is_open: bool,
        /// [`Entry::arrival`] of the next request.
        next_arrival: u64,
    },
    /// The undecided entry with this arrival number; `None` if it was removed.
    Requested(u64, Option<&'a Entry>),
    /// The approved entry at this place; `None` if it was removed. The lowest place gets the floor
    /// first.
    Waiting(u64, Option<&'a Entry>),
    /// The current turn and the stacked ones; the one interrupted first comes first.
    Turns(Option<&'a Turn>, &'a [Turn]),
    /// How many turns of a person have started; `None` if the count was removed.
    TurnsStarted(&'a UserId, Option<u32>),
}

impl Floor {
    /// Undoes everything since the last [`accept`](Self::accept) or [`stored`](Self::stored), and
    /// removes the events that were not polled.
    pub fn undo(&mut self) {
        self.queue.undo();
        self.list.undo();
        self.turns.undo();
        self.turns_told.undo();
        self.turns_started.undo();
        self.events.clear();
    }

    /// Accepts all changes; they can't be undone any more, whether or not they are stored.
    pub fn accept(&mut self) {
        self.queue.accept();
        self.list.accept();
        self.turns.accept();
        self.turns_told.accept();
        self.turns_started.accept();
    }

    /// Marks the parts returned by [`to_store`](Self::to_store) as stored, which also accepts them.
    pub fn stored(&mut self) {
        self.queue.stored();
        self.list.stored();
        self.turns.stored();
        self.turns_told.stored();
        self.turns_started.stored();
    }

    /// Removes the counts of turns of all people.
    pub fn forget_counts(&mut self) {
        self.turns_started.clear();
    }

    /// Marks the waiting list as not stored, and with it the entries that the store has at
    /// `places`.
    pub fn store_waiting(&mut self, places: impl IntoIterator<Item = u64>) {
        self.list.waiting.store_all(places);
    }

    /// Marks everything as not stored.
    pub fn store_all(&mut self) {
        self.queue.store_all();
        self.list.requested.store_all([]);
        self.list.waiting.store_all([]);
        self.turns_told.store_all();
        self.turns_started.store_all([]);
    }

    /// The parts that differ from what is stored. The time that a running turn has used since the
    /// last event about it is no difference, since it follows from the stored values and the time.
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
