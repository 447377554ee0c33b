#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! Takes a snapshot of a floor for a store, and restores a floor from one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::domain::floor::SpeechKind;
use crate::domain::id::UserId;
use crate::tracked::Tracked;

use super::engine::{Floor, FloorPolicy, PEOPLE_COUNTED_MAX, Turns};
use super::error::FloorError;
use super::list::{
    ARRIVALS_MAX, ENTRIES_MAX, Entry, Microphone, NAME_LENGTH_MAX, NOTE_LENGTH_MAX, QueueState,
    SpeakingList, longer_than,
};
use super::turn::{STACKED_TURNS_MAX, TURN_LIMIT_MAX, Turn, TurnClock, whole_us};

/// The complete state of a floor, except its policy and the events that were not polled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FloorSnapshot {
    /// Whether the list accepts requests.
    pub queue: QueueState,
    /// Undecided entries by arrival.
    pub requested: Vec<Entry>,
    /// Approved entries in the order in which they get the floor.
    pub waiting: Vec<Entry>,
    /// The turn that has the floor.
    pub current: Option<Turn>,
    /// Turns that interposed questions interrupted; the one interrupted first comes first.
    pub stacked: Vec<Turn>,
    /// [`Entry::arrival`] of the next request.
    pub next_arrival: u64,
    /// How many turns of each person have started.
    pub turns_started: BTreeMap<UserId, u32>,
}

impl Floor {
    /// The state of the floor. All events should be polled before, since they are not part of it.
    #[must_use]
    pub fn snapshot(&self) -> FloorSnapshot {
        FloorSnapshot {
            queue: *self.queue,
            requested: self.requested().cloned().collect(),
            waiting: self.waiting().cloned().collect(),
            current: self.turns.current.clone(),
            stacked: self.turns.stacked.clone(),
            next_arrival: *self.list.next_arrival,
            turns_started: self.turns_started.iter().map(|(user, n)| (user.clone(), *n)).collect(),
        }
    }

    /// Restores the floor from a snapshot. A turn that ran has continued to run meanwhile. The
    /// policy may differ from the earlier one: a turn that is longer than it allows keeps its limit
    /// and can't be extended.
    ///
    /// # Errors
    /// `SnapshotInvalid` when no sequence of commands leads to such a floor.
    pub fn restore(snapshot: FloorSnapshot, policy: FloorPolicy) -> Result<Self, FloorError> {
        snapshot.check().map_err(FloorError::SnapshotInvalid)?;
        let FloorSnapshot {
            queue,
            requested,
            waiting,
            current,
            stacked,
            next_arrival,
            turns_started,
        } = snapshot;
        Ok(Self {
            policy: policy.bounded(),
            queue: Tracked::new(queue),
            list: SpeakingList::of(requested, waiting, next_arrival),
            turns: Tracked::new(Turns { current, stacked }),
            turns_told: Tracked::default(),
            turns_started: turns_started.into_iter().collect(),
            events: VecDeque::new(),
        })
    }
}

/// `Err` with the rule that a snapshot violates.
type Broken = Result<(), &'static str>;

impl FloorSnapshot {
    fn check(&self) -> Broken {
        self.check_entries()?;
        self.check_stack()?;
        self.turns().try_for_each(check_turn)?;
        self.check_identity()?;
        self.check_counts()
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.requested.iter().chain(&self.waiting)
    }

    fn turns(&self) -> impl Iterator<Item = &Turn> {
        self.stacked.iter().chain(&self.current)
    }

    fn check_entries(&self) -> Broken {
        hold(self.entries().count() <= ENTRIES_MAX, "more entries than a list holds")?;
        hold(self.next_arrival <= ARRIVALS_MAX, "more arrivals than a list takes")?;
        hold(
            self.requested.iter().all(|entry| entry.approved_at.is_none()),
            "an undecided entry is approved",
        )?;
        hold(
            self.waiting.iter().all(|entry| entry.approved_at.is_some()),
            "an entry waits without approval",
        )?;
        hold(
            self.requested.iter().all(|entry| entry.microphone == Microphone::Own),
            "somebody without a device asked for the floor",
        )?;
        hold(
            self.requested.is_sorted_by_key(|entry| entry.arrival),
            "undecided entries are not in order of arrival",
        )?;
        self.entries().try_for_each(|entry| {
            hold(entry.arrival < self.next_arrival, "an entry has not arrived yet")?;
            hold(!longer_than(&entry.name, NAME_LENGTH_MAX), "a name is too long")?;
            let note = entry.note.as_deref().unwrap_or_default();
            hold(!longer_than(note, NOTE_LENGTH_MAX), "a note is too long")
        })
    }

    fn check_stack(&self) -> Broken {
        hold(self.stacked.len() <= STACKED_TURNS_MAX, "more stacked turns than may nest")?;
        hold(
            self.stacked.is_empty() || self.current.is_some(),
            "turns are stacked and nobody holds the floor",
        )?;
        hold(
            self.turns().skip(1).all(|turn| turn.kind == SpeechKind::InterposedQuestion),
            "a turn is interrupted by something else than a question",
        )?;
        hold(
            self.current.as_ref().is_none_or(|turn| turn.clock != TurnClock::Interrupted),
            "the current turn is interrupted",
        )?;
        hold(!self.stacked.iter().any(Turn::is_running), "a stacked turn runs")
    }

    fn check_identity(&self) -> Broken {
        let requests = self
            .entries()
            .map(|entry| entry.request_id)
            .chain(self.turns().map(|turn| turn.request_id));
        hold(all_differ(requests), "two requests share an id")?;
        hold(all_differ(self.turns().map(|turn| turn.turn_id)), "two turns share an id")?;
        hold(all_differ(self.entries().map(|entry| entry.arrival)), "two requests arrived as one")?;
        hold(
            all_differ(self.entries().map(|entry| (&entry.user_id, entry.kind))),
            "somebody waits twice with one kind",
        )
    }

    fn check_counts(&self) -> Broken {
        let people = self.turns_started.len();
        hold(people <= PEOPLE_COUNTED_MAX, "more people are counted than a floor counts")?;
        hold(!self.turns_started.values().any(|count| *count == 0), "somebody had no turn")?;
        self.turns().try_for_each(|turn| {
            let held = self.turns().filter(|other| other.user_id == turn.user_id).count();
            let counted = match self.turns_started.get(&turn.user_id) {
                Some(count) => usize::try_from(*count).unwrap_or(usize::MAX) >= held,
                None => people == PEOPLE_COUNTED_MAX,
            };
            hold(counted, "a turn is not counted")
        })
    }
}

fn check_turn(turn: &Turn) -> Broken {
    let whole = |span: Duration| span == whole_us(span);
    hold(turn.limit <= TURN_LIMIT_MAX, "a turn is longer than any may be")?;
    hold(whole(turn.limit) && whole(turn.used), "a time is not in whole microseconds")?;
    hold(!longer_than(&turn.name, NAME_LENGTH_MAX), "a name is too long")
}

fn hold(holds: bool, rule: &'static str) -> Broken {
    if holds { Ok(()) } else { Err(rule) }
}

fn all_differ<T: Ord>(mut items: impl Iterator<Item = T>) -> bool {
    let mut seen = BTreeSet::new();
    items.all(|item| seen.insert(item))
}
