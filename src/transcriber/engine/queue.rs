//! The queue of pieces that wait for a worker: whoever has the floor comes first, then whoever
//! speaks most, then the rest. A piece that can't be recognised in time is let go, and that is
//! told: nobody reads text that is late, and it would make the next one late as well.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Piece;
use crate::domain::id::{SessionKey, TrackId};
use crate::domain::time::Timestamp;

/// How long after speech its text is wanted at the latest. Raising it sheds less, and shows text
/// later when the machine is busy.
pub const DEADLINE: Duration = Duration::from_secs(2);
/// Pieces that wait. At the limit the least important one is let go. A piece is at most 512 KiB.
pub const PIECES_MAX: usize = 128;
/// Sessions whose speakers are known. At the limit nobody of a further one is preferred.
const SESSIONS_MAX: usize = 4_096;
/// Tracks of a session that count as speaking now; the media plane tells the loudest first.
const SPEAKERS_MAX: usize = 3;

/// How important a piece is: the first is recognised first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Its speaker has the floor.
    Floor,
    /// Its speaker is among the loudest.
    Speaking,
    /// Any other.
    Other,
}

/// Who matters in a session.
#[derive(Debug, Clone, Default)]
struct Speakers {
    floor: Option<TrackId>,
    loudest: Vec<TrackId>,
}

/// The place of a piece in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    priority: Priority,
    deadline: Timestamp,
    number: u64,
}

/// The pieces that wait.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: BTreeMap<Place, Piece>,
    /// Tracks of which a piece is being recognised. The next one waits, so that text comes in the
    /// order in which it was said.
    busy: BTreeSet<TrackId>,
    speakers: BTreeMap<SessionKey, Speakers>,
    number: u64,
}

impl Queue {
    /// The track of whoever has the floor of a session. The media plane calls it featured.
    pub fn set_floor(&mut self, key: SessionKey, track: Option<TrackId>) {
        if let Some(speakers) = self.speakers_of(key) {
            speakers.floor = track;
        }
    }

    /// The tracks that are heard, loudest first.
    pub fn set_loudest(&mut self, key: SessionKey, tracks: &[TrackId]) {
        if let Some(speakers) = self.speakers_of(key) {
            speakers.loudest.clear();
            speakers.loudest.extend(tracks.iter().take(SPEAKERS_MAX));
        }
    }

    /// The session is over.
    pub fn forget(&mut self, key: SessionKey) {
        self.speakers.remove(&key);
    }

    /// Takes a piece. Returns the one that is let go for it, if the queue is full: of the least
    /// important the one that is wanted first, as it is the least likely to be in time.
    #[must_use]
    pub fn push(&mut self, piece: Piece) -> Option<Piece> {
        self.number += 1;
        let place = Place {
            priority: self.priority(&piece),
            deadline: piece.to.after(DEADLINE),
            number: self.number,
        };
        self.waiting.insert(place, piece);
        if self.waiting.len() <= PIECES_MAX {
            return None;
        }
        let least = self.waiting.last_key_value().map(|(place, _)| place.priority)?;
        let first = self.waiting.keys().find(|place| place.priority == least).copied()?;
        self.waiting.remove(&first)
    }

    /// The pieces for which it is too late now.
    pub fn take_late(&mut self, now: Timestamp) -> Vec<Piece> {
        let is_late = |place: &Place, _: &mut Piece| place.deadline < now;
        self.waiting.extract_if(.., is_late).map(|(_, piece)| piece).collect()
    }

    /// The piece to recognise next. Its track is busy until [`Queue::done`].
    pub fn pop(&mut self) -> Option<Piece> {
        let free = self.waiting.iter().find(|(_, piece)| !self.busy.contains(&piece.track));
        let place = free.map(|(place, _)| *place)?;
        let piece = self.waiting.remove(&place)?;
        self.busy.insert(piece.track);
        Some(piece)
    }

    /// The piece of this track was dealt with.
    pub fn done(&mut self, track: TrackId) {
        self.busy.remove(&track);
    }

    /// Takes everything that waits of these sessions.
    pub fn take_of(&mut self, is_wanted: impl Fn(&SessionKey) -> bool) -> Vec<Piece> {
        self.waiting.extract_if(.., |_, piece| is_wanted(&piece.key)).map(|(_, it)| it).collect()
    }

    /// The tracks that have the floor of their sessions.
    #[must_use]
    pub fn floors(&self) -> Vec<TrackId> {
        self.speakers.values().filter_map(|speakers| speakers.floor).collect()
    }

    /// Whether a piece of this track is being recognised.
    #[must_use]
    pub fn is_busy(&self, track: TrackId) -> bool {
        self.busy.contains(&track)
    }

    /// Pieces that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn speakers_of(&mut self, key: SessionKey) -> Option<&mut Speakers> {
        let is_full = self.speakers.len() >= SESSIONS_MAX && !self.speakers.contains_key(&key);
        if is_full { None } else { Some(self.speakers.entry(key).or_default()) }
    }

    fn priority(&self, piece: &Piece) -> Priority {
        match self.speakers.get(&piece.key) {
            Some(speakers) if speakers.floor == Some(piece.track) => Priority::Floor,
            Some(speakers) if speakers.loudest.contains(&piece.track) => Priority::Speaking,
            _ => Priority::Other,
        }
    }
}
