#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! The speaking list: undecided requests, and approved ones in the order in which they get the
//! floor.

use crate::domain::floor::{SpeechKind, Stance};
use crate::domain::id::{RequestId, UserId};
use crate::domain::time::Timestamp;
use crate::tracked::{Tracked, TrackedMap};

use super::error::FloorError;

/// Most entries, undecided and waiting ones together. Raising it makes each command, which examines
/// every entry, and each snapshot more expensive.
pub const ENTRIES_MAX: usize = 1_000;
/// Longest note, in code points; a longer one is refused. A note that was made to
/// be shown has at most 500 characters as readers count them, each of 16 code
/// points at most. Raising it makes every event and snapshot that carries an
/// entry larger.
pub const NOTE_LENGTH_MAX: usize = 8_016;
/// Longest reason of a denial, likewise.
pub const REASON_LENGTH_MAX: usize = NOTE_LENGTH_MAX;
/// Longest name, in code points: 100 characters as readers count them, and the mark of a cut, each
/// of 16 code points at most. Longer ones are cut instead of refused, since nobody should lose the
/// floor over a display name; the user id is kept whole.
pub const NAME_LENGTH_MAX: usize = 1_616;
/// Most requests in the life of a list; after that it accepts no more. Chosen so that arrival
/// numbers are exact in JSON.
pub const ARRIVALS_MAX: u64 = 1 << 53;

/// A new request to speak.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRequest {
    /// Id of the request; must not be in use by a request or turn.
    pub id: RequestId,
    /// Who wants to speak.
    pub user_id: UserId,
    /// Name shown to people, cut at [`NAME_LENGTH_MAX`].
    pub name: String,
    /// The kind of request.
    pub kind: SpeechKind,
    /// The speaker's position on the matter, if given.
    pub stance: Option<Stance>,
    /// A note to the moderators, at most [`NOTE_LENGTH_MAX`] characters.
    pub note: Option<String>,
}

/// The microphone through which a speaker is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Microphone {
    /// The microphone of the speaker's own device.
    Own,
    /// The microphone of the hall: the speaker is there and has no device.
    Hall,
}

/// Whether the list accepts requests from everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueState {
    /// It accepts requests from everybody.
    Open,
    /// Only moderators put people on it.
    Closed,
}

/// An undecided or waiting request to speak. It is removed when its turn starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The request.
    pub request_id: RequestId,
    /// Who wants to speak.
    pub user_id: UserId,
    /// Name shown to people, at most [`NAME_LENGTH_MAX`] characters.
    pub name: String,
    /// The kind of request.
    pub kind: SpeechKind,
    /// The speaker's position on the matter.
    pub stance: Option<Stance>,
    /// A note to the moderators.
    pub note: Option<String>,
    /// The microphone through which the speaker will be heard.
    pub microphone: Microphone,
    /// Number of the request among all requests of the session, from 0. Unlike times, it is not
    /// affected when the clock is set.
    pub arrival: u64,
    /// When the request came in.
    pub requested_at: Timestamp,
    /// When it was approved; `None` while it is undecided.
    pub approved_at: Option<Timestamp>,
}

impl Entry {
    /// Whether this entry comes before `other` unless a moderator decides otherwise: by kind, then
    /// by arrival.
    fn precedes(&self, other: &Self) -> bool {
        (other.kind, self.arrival) < (self.kind, other.arrival)
    }
}

/// Distance between the places of successive entries, so that an entry can be put between two
/// others without moving them. When there is no free number left, places are numbered again.
const PLACE_STEP: u64 = 1 << 32;

/// The position of an entry: among the undecided ones by its arrival, or among the waiting ones by
/// its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Position {
    Requested(u64),
    Waiting(u64),
}

/// The speaking list; the module describes it.
#[derive(Debug, Clone, Default)]
pub(super) struct SpeakingList {
    /// Undecided entries by arrival.
    pub(super) requested: TrackedMap<u64, Entry>,
    /// Approved entries by place: the lowest gets the floor first.
    pub(super) waiting: TrackedMap<u64, Entry>,
    pub(super) next_arrival: Tracked<u64>,
}

/// Compares entries and their order, but not the numbers of the places.
impl PartialEq for SpeakingList {
    fn eq(&self, other: &Self) -> bool {
        self.requested == other.requested
            && self.waiting.values().eq(other.waiting.values())
            && self.next_arrival == other.next_arrival
    }
}

impl SpeakingList {
    /// Makes a list of these entries, both in order, which counts as stored.
    pub(super) fn of(requested: Vec<Entry>, waiting: Vec<Entry>, next_arrival: u64) -> Self {
        Self {
            requested: requested.into_iter().map(|entry| (entry.arrival, entry)).collect(),
            waiting: places().zip(waiting).collect(),
            next_arrival: Tracked::new(next_arrival),
        }
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.requested.values().chain(self.waiting.values())
    }

    pub(super) fn find(&self, id: RequestId) -> Result<(Position, &Entry), FloorError> {
        let among = |entries: &'_ TrackedMap<u64, Entry>| {
            entries.iter().find(|(_, entry)| entry.request_id == id).map(|(key, _)| *key)
        };
        let position = among(&self.requested)
            .map(Position::Requested)
            .or_else(|| among(&self.waiting).map(Position::Waiting));
        let found = position.and_then(|position| Some((position, self.at(position)?)));
        found.ok_or(FloorError::RequestNotFound)
    }

    /// The position of an entry that is still undecided.
    pub(super) fn find_requested(&self, id: RequestId) -> Result<Position, FloorError> {
        match self.find(id)?.0 {
            position @ Position::Requested(_) => Ok(position),
            Position::Waiting(_) => Err(FloorError::RequestStateConflict),
        }
    }

    /// The position of an entry that waits.
    pub(super) fn find_waiting(&self, id: RequestId) -> Result<(Position, &Entry), FloorError> {
        match self.find(id)? {
            found @ (Position::Waiting(_), _) => Ok(found),
            (Position::Requested(_), _) => Err(FloorError::RequestStateConflict),
        }
    }

    /// The first waiting entry.
    pub(super) fn next(&self) -> Option<(Position, &Entry)> {
        self.waiting.first().map(|(place, entry)| (Position::Waiting(*place), entry))
    }

    fn at(&self, position: Position) -> Option<&Entry> {
        match position {
            Position::Requested(arrival) => self.requested.get(&arrival),
            Position::Waiting(place) => self.waiting.get(&place),
        }
    }

    /// Whether `request` may become an entry.
    pub(super) fn check(&self, request: &NewRequest) -> Result<(), FloorError> {
        if request.note.as_deref().is_some_and(|note| longer_than(note, NOTE_LENGTH_MAX)) {
            return Err(FloorError::NoteTooLong);
        }
        for entry in self.entries() {
            if entry.request_id == request.id {
                return Err(FloorError::IdInUse);
            }
            if entry.user_id == request.user_id && entry.kind == request.kind {
                return Err(FloorError::AlreadyWaiting);
            }
        }
        let full = self.entries().count() >= ENTRIES_MAX || *self.next_arrival >= ARRIVALS_MAX;
        if full { Err(FloorError::QueueFull) } else { Ok(()) }
    }

    /// Makes an entry of a request that [`check`](Self::check) accepted.
    pub(super) fn arrive(
        &mut self,
        request: NewRequest,
        microphone: Microphone,
        now: Timestamp,
    ) -> Entry {
        let arrival = *self.next_arrival;
        *self.next_arrival.edit() += 1;
        let NewRequest { id, user_id, mut name, kind, stance, note } = request;
        if let Some((end, _)) = name.char_indices().nth(NAME_LENGTH_MAX) {
            name.truncate(end);
        }
        Entry {
            request_id: id,
            user_id,
            name,
            kind,
            stance,
            note,
            microphone,
            arrival,
            requested_at: now,
            approved_at: None,
        }
    }

    /// Puts an approved entry after the last waiting one that precedes it, or first when none does.
    /// In a list that nobody has reordered this is its place by kind and arrival; in a reordered
    /// one it is the earliest place at which it overtakes no entry that precedes it by the rule.
    pub(super) fn wait(&mut self, entry: Entry) {
        let ahead = self.waiting.iter().rev().find(|(_, other)| other.precedes(&entry));
        let ahead = ahead.map(|(place, _)| *place);
        let place = self.place_behind(ahead).unwrap_or_else(|| {
            let index = ahead.map_or(0, |ahead| 1 + self.waiting.range(..ahead).count());
            self.renumber();
            let behind = index.checked_sub(1).and_then(|index| self.waiting.keys().nth(index));
            self.place_behind(behind.copied()).unwrap_or(PLACE_STEP / 2)
        });
        self.waiting.insert(place, entry);
    }

    /// A free place after `ahead`, or before all entries; `None` when there is no number between
    /// the neighbours.
    fn place_behind(&self, ahead: Option<u64>) -> Option<u64> {
        let after = ahead.map_or(0, |ahead| ahead + 1);
        let next = self.waiting.range(after..).next().map(|(place, _)| *place);
        let before = ahead.unwrap_or(0);
        match next {
            None => before.checked_add(PLACE_STEP),
            Some(next) => Some(before + (next - before) / 2).filter(|place| *place > before),
        }
    }

    /// Numbers the places again, evenly.
    fn renumber(&mut self) {
        let entries: Vec<Entry> = self.waiting.values().cloned().collect();
        self.waiting.clear();
        for (place, entry) in places().zip(entries) {
            self.waiting.insert(place, entry);
        }
    }

    /// Removes an entry.
    pub(super) fn remove(&mut self, position: Position) -> Option<Entry> {
        match position {
            Position::Requested(arrival) => self.requested.remove(&arrival),
            Position::Waiting(place) => self.waiting.remove(&place),
        }
    }

    /// Puts the waiting entries into the order of `order`, if it names exactly them. Returns
    /// whether anything moved.
    pub(super) fn reorder(&mut self, order: &[RequestId]) -> Result<bool, FloorError> {
        if order.len() != self.waiting.len() {
            return Err(FloorError::OrderInvalid);
        }
        let mut left: Vec<&Entry> = self.waiting.values().collect();
        let mut moved = Vec::new();
        for (id, (place, stands)) in order.iter().zip(self.waiting.iter()) {
            let index = left.iter().position(|entry| entry.request_id == *id);
            let entry = left.remove(index.ok_or(FloorError::OrderInvalid)?);
            if entry.request_id != stands.request_id {
                moved.push((*place, entry.clone()));
            }
        }
        let has_moved = !moved.is_empty();
        for (place, entry) in moved {
            self.waiting.insert(place, entry);
        }
        Ok(has_moved)
    }

    pub(super) fn undo(&mut self) {
        self.requested.undo();
        self.waiting.undo();
        self.next_arrival.undo();
    }

    pub(super) fn accept(&mut self) {
        self.requested.accept();
        self.waiting.accept();
        self.next_arrival.accept();
    }

    pub(super) fn stored(&mut self) {
        self.requested.stored();
        self.waiting.stored();
        self.next_arrival.stored();
    }
}

/// Evenly spaced places.
fn places() -> impl Iterator<Item = u64> {
    (1..).map(|step| step * PLACE_STEP)
}

/// Whether `text` has more than `max` characters.
pub(super) fn longer_than(text: &str, max: usize) -> bool {
    text.chars().nth(max).is_some()
}
