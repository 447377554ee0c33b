#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! The speaking list: requests that nobody has decided yet, and approved ones
//! in the order in which they get the floor.

use crate::domain::floor::{SpeechKind, Stance};
use crate::domain::id::{RequestId, UserId};
use crate::domain::time::Timestamp;

use super::error::FloorError;

/// Most live entries, undecided and waiting ones together. Raising it makes
/// each command, which looks at every entry, and each snapshot dearer.
pub const ENTRIES_MAX: usize = 1_000;
/// Longest note, in characters; a longer one is refused. Raising it makes every
/// event and snapshot that carries an entry larger.
pub const NOTE_LENGTH_MAX: usize = 500;
/// Longest reason of a denial, in characters; a longer one is refused.
pub const REASON_LENGTH_MAX: usize = 500;
/// Longest name, in characters. Longer ones are cut, because nobody should lose
/// the floor over a display name; the user id stays whole.
pub const NAME_LENGTH_MAX: usize = 200;
/// Most requests in the life of a list; then it is full for good. Chosen so
/// that arrival numbers are exact in JSON.
pub const ARRIVALS_MAX: u64 = 1 << 53;

/// Somebody's wish to speak, as it comes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRequest {
    /// Identifier to use; must not name a live request or turn.
    pub id: RequestId,
    /// Who wants to speak.
    pub user_id: UserId,
    /// Name for people, cut at [`NAME_LENGTH_MAX`].
    pub name: String,
    /// What for.
    pub kind: SpeechKind,
    /// How the speaker stands on the matter, when they say so.
    pub stance: Option<Stance>,
    /// A word to the moderators, at most [`NOTE_LENGTH_MAX`] characters.
    pub note: Option<String>,
}

/// The microphone that carries a speaker's voice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Microphone {
    /// The one of the speaker's own device.
    Own,
    /// The one of the hall: the speaker is there and has no device.
    Hall,
}

/// Whether the list takes requests from everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueState {
    /// It does.
    Open,
    /// Only moderators put people on it.
    Closed,
}

/// A live request to speak. Once its turn starts it is an entry no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The request.
    pub request_id: RequestId,
    /// Who wants to speak.
    pub user_id: UserId,
    /// Name for people, at most [`NAME_LENGTH_MAX`] characters.
    pub name: String,
    /// What for.
    pub kind: SpeechKind,
    /// How the speaker stands on the matter.
    pub stance: Option<Stance>,
    /// A word to the moderators.
    pub note: Option<String>,
    /// The microphone that will carry the speaker's voice.
    pub microphone: Microphone,
    /// Position among all requests of the session, from 0. Clocks may jump;
    /// this does not.
    pub arrival: u64,
    /// When the request came in.
    pub requested_at: Timestamp,
    /// When it was approved; `None` while it is undecided.
    pub approved_at: Option<Timestamp>,
}

impl Entry {
    /// Whether this entry has the floor before `other` when no moderator says
    /// otherwise: by kind, then by arrival.
    fn precedes(&self, other: &Self) -> bool {
        (other.kind, self.arrival) < (self.kind, other.arrival)
    }
}

/// Whether an entry waits or is still undecided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Position {
    Requested(usize),
    Waiting(usize),
}

/// See the module. Undecided entries stand by arrival.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct SpeakingList {
    pub(super) requested: Vec<Entry>,
    pub(super) waiting: Vec<Entry>,
    pub(super) next_arrival: u64,
}

impl SpeakingList {
    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.requested.iter().chain(&self.waiting)
    }

    pub(super) fn find(&self, id: RequestId) -> Result<Position, FloorError> {
        let among = |entries: &[Entry]| entries.iter().position(|entry| entry.request_id == id);
        among(&self.requested)
            .map(Position::Requested)
            .or_else(|| among(&self.waiting).map(Position::Waiting))
            .ok_or(FloorError::RequestNotFound)
    }

    /// Where an entry that is still undecided stands.
    pub(super) fn find_requested(&self, id: RequestId) -> Result<usize, FloorError> {
        match self.find(id)? {
            Position::Requested(index) => Ok(index),
            Position::Waiting(_) => Err(FloorError::RequestStateConflict),
        }
    }

    /// Where an entry that waits stands.
    pub(super) fn find_waiting(&self, id: RequestId) -> Result<usize, FloorError> {
        match self.find(id)? {
            Position::Waiting(index) => Ok(index),
            Position::Requested(_) => Err(FloorError::RequestStateConflict),
        }
    }

    pub(super) fn at(&self, position: Position) -> &Entry {
        match position {
            Position::Requested(index) => &self.requested[index],
            Position::Waiting(index) => &self.waiting[index],
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
        let full = self.entries().count() >= ENTRIES_MAX || self.next_arrival >= ARRIVALS_MAX;
        if full { Err(FloorError::QueueFull) } else { Ok(()) }
    }

    /// Makes an entry of a request that [`check`](Self::check) let pass.
    pub(super) fn arrive(
        &mut self,
        request: NewRequest,
        microphone: Microphone,
        now: Timestamp,
    ) -> Entry {
        let arrival = self.next_arrival;
        self.next_arrival += 1;
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

    /// Puts an approved entry behind the last waiting one that precedes it, or
    /// first when none does. In a list that nobody reordered this is its place
    /// by kind and arrival; in a reordered one it is the earliest place at which
    /// it overtakes nobody whom the rule puts ahead of it.
    pub(super) fn wait(&mut self, entry: Entry) {
        let ahead = self.waiting.iter().rposition(|other| other.precedes(&entry));
        self.waiting.insert(ahead.map_or(0, |index| index + 1), entry);
    }

    /// Takes an entry out.
    pub(super) fn remove(&mut self, position: Position) -> Entry {
        match position {
            Position::Requested(index) => self.requested.remove(index),
            Position::Waiting(index) => self.waiting.remove(index),
        }
    }

    /// The waiting entries in the order of `order`, when it names exactly them.
    pub(super) fn reordered(&self, order: &[RequestId]) -> Result<Vec<Entry>, FloorError> {
        if order.len() != self.waiting.len() {
            return Err(FloorError::OrderInvalid);
        }
        let mut left: Vec<&Entry> = self.waiting.iter().collect();
        let mut next = Vec::with_capacity(order.len());
        for id in order {
            let index = left
                .iter()
                .position(|entry| entry.request_id == *id)
                .ok_or(FloorError::OrderInvalid)?;
            next.push(left.remove(index).clone());
        }
        Ok(next)
    }
}

/// Whether `text` has more than `max` characters.
pub(super) fn longer_than(text: &str, max: usize) -> bool {
    text.chars().nth(max).is_some()
}
