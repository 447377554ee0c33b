#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! The parts of a stored room that are the floor's.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::floor::{SpeechKind, Stance};
use crate::domain::time::Timestamp;
use crate::floor::{Entry, FloorPart, FloorSnapshot, Microphone, QueueState, Turn, TurnClock};

use super::{StoredRoomInvalid, id, json, read, text, word};

pub(super) const LIST: &str = "list";
pub(super) const REQUESTED: &str = "requested/";
pub(super) const WAITING: &str = "waiting/";
pub(super) const TURNS: &str = "turns";
pub(super) const TURNS_STARTED: &str = "turns_started/";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoredList {
    pub(super) open: bool,
    pub(super) next_arrival: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoredTurns {
    pub(super) current: Option<StoredTurn>,
    pub(super) stacked: Vec<StoredTurn>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoredEntry {
    pub(super) request: String,
    pub(super) user: String,
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) stance: Option<String>,
    pub(super) note: Option<String>,
    pub(super) in_hall: bool,
    pub(super) arrival: u64,
    pub(super) requested_at_us: i64,
    pub(super) approved_at_us: Option<i64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoredTurn {
    pub(super) turn: String,
    pub(super) request: String,
    pub(super) user: String,
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) stance: Option<String>,
    pub(super) in_hall: bool,
    pub(super) started_at_us: i64,
    pub(super) limit_us: u64,
    pub(super) used_us: u64,
    pub(super) clock: StoredClock,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum StoredClock {
    Running { counted_until_us: i64 },
    Paused,
    Interrupted,
}

/// The parts of a floor, as they are read.
pub(super) struct FloorParts {
    pub(super) snapshot: FloorSnapshot,
    /// Places of the waiting entries in the store.
    pub(super) places: Vec<u64>,
}

impl Default for FloorParts {
    fn default() -> Self {
        let snapshot = FloorSnapshot {
            queue: QueueState::Open,
            requested: Vec::new(),
            waiting: Vec::new(),
            current: None,
            stacked: Vec::new(),
            next_arrival: 0,
            turns_started: BTreeMap::new(),
        };
        Self { snapshot, places: Vec::new() }
    }
}

impl FloorParts {
    /// Takes a part in, if it is one of a floor's. Numbers in names have one
    /// length, so that entries come in their order.
    pub(super) fn take_in(&mut self, name: &str, value: &str) -> Result<bool, StoredRoomInvalid> {
        let of = |part: &str| name.strip_prefix(part);
        let floor = &mut self.snapshot;
        if name == LIST {
            let StoredList { open, next_arrival } = read(value)?;
            floor.queue = if open { QueueState::Open } else { QueueState::Closed };
            floor.next_arrival = next_arrival;
        } else if name == TURNS {
            let StoredTurns { current, stacked } = read(value)?;
            floor.current = current.map(turn).transpose()?;
            floor.stacked = stacked.into_iter().map(turn).collect::<Result<_, _>>()?;
        } else if of(REQUESTED).is_some() {
            floor.requested.push(entry(read(value)?)?);
        } else if let Some(place) = of(WAITING) {
            self.places.push(id(place)?);
            floor.waiting.push(entry(read(value)?)?);
        } else if let Some(user) = of(TURNS_STARTED) {
            floor.turns_started.insert(id(user)?, read(value)?);
        } else {
            return Ok(false);
        }
        Ok(true)
    }
}

pub(super) fn floor_part(part: FloorPart<'_>) -> (String, Option<String>) {
    let entry = |found: &Entry| json(&stored_entry(found.clone()));
    match part {
        FloorPart::List { is_open, next_arrival } => {
            let list = StoredList { open: is_open, next_arrival };
            (LIST.to_owned(), Some(json(&list)))
        }
        FloorPart::Requested(arrival, found) => {
            (format!("{REQUESTED}{arrival:020}"), found.map(entry))
        }
        FloorPart::Waiting(place, found) => (format!("{WAITING}{place:020}"), found.map(entry)),
        FloorPart::Turns(current, stacked) => {
            let current = current.cloned().map(stored_turn);
            let stacked = stacked.iter().cloned().map(stored_turn).collect();
            (TURNS.to_owned(), Some(json(&StoredTurns { current, stacked })))
        }
        FloorPart::TurnsStarted(user, count) => {
            (format!("{TURNS_STARTED}{}", user.as_str()), count.map(|count| json(&count)))
        }
    }
}

fn us(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

fn microphone(in_hall: bool) -> Microphone {
    if in_hall { Microphone::Hall } else { Microphone::Own }
}

fn stored_entry(entry: Entry) -> StoredEntry {
    StoredEntry {
        request: entry.request_id.to_string(),
        user: text(&entry.user_id),
        name: entry.name,
        kind: entry.kind.as_str().to_owned(),
        stance: entry.stance.map(|stance| stance.as_str().to_owned()),
        note: entry.note,
        in_hall: entry.microphone == Microphone::Hall,
        arrival: entry.arrival,
        requested_at_us: entry.requested_at.unix_us(),
        approved_at_us: entry.approved_at.map(Timestamp::unix_us),
    }
}

fn entry(stored: StoredEntry) -> Result<Entry, StoredRoomInvalid> {
    Ok(Entry {
        request_id: id(&stored.request)?,
        user_id: id(&stored.user)?,
        name: stored.name,
        kind: word(SpeechKind::parse, &stored.kind)?,
        stance: stored.stance.map(|stance| word(Stance::parse, &stance)).transpose()?,
        note: stored.note,
        microphone: microphone(stored.in_hall),
        arrival: stored.arrival,
        requested_at: Timestamp::from_unix_us(stored.requested_at_us),
        approved_at: stored.approved_at_us.map(Timestamp::from_unix_us),
    })
}

fn stored_turn(turn: Turn) -> StoredTurn {
    StoredTurn {
        turn: turn.turn_id.to_string(),
        request: turn.request_id.to_string(),
        user: text(&turn.user_id),
        name: turn.name,
        kind: turn.kind.as_str().to_owned(),
        stance: turn.stance.map(|stance| stance.as_str().to_owned()),
        in_hall: turn.microphone == Microphone::Hall,
        started_at_us: turn.started_at.unix_us(),
        limit_us: us(turn.limit),
        used_us: us(turn.used),
        clock: match turn.clock {
            TurnClock::Running { counted_until } => {
                StoredClock::Running { counted_until_us: counted_until.unix_us() }
            }
            TurnClock::Paused => StoredClock::Paused,
            TurnClock::Interrupted => StoredClock::Interrupted,
        },
    }
}

fn turn(stored: StoredTurn) -> Result<Turn, StoredRoomInvalid> {
    Ok(Turn {
        turn_id: id(&stored.turn)?,
        request_id: id(&stored.request)?,
        user_id: id(&stored.user)?,
        name: stored.name,
        kind: word(SpeechKind::parse, &stored.kind)?,
        stance: stored.stance.map(|stance| word(Stance::parse, &stance)).transpose()?,
        microphone: microphone(stored.in_hall),
        started_at: Timestamp::from_unix_us(stored.started_at_us),
        limit: Duration::from_micros(stored.limit_us),
        used: Duration::from_micros(stored.used_us),
        clock: match stored.clock {
            StoredClock::Running { counted_until_us } => {
                TurnClock::Running { counted_until: Timestamp::from_unix_us(counted_until_us) }
            }
            StoredClock::Paused => TurnClock::Paused,
            StoredClock::Interrupted => TurnClock::Interrupted,
        },
    })
}
