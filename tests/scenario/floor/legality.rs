//! What holds in every state, said without the engine's help.

use std::collections::BTreeSet;
use std::time::Duration;

use cabildo::domain::floor::SpeechKind;
use cabildo::domain::time::Timestamp;
use cabildo::floor::{
    ENTRIES_MAX, Floor, NAME_LENGTH_MAX, NOTE_LENGTH_MAX, STACKED_TURNS_MAX, TurnClock,
};

/// Checks every invariant of the floor; `limit_max` is the longest a turn may be.
pub(crate) fn assert_legal(floor: &Floor, limit_max: Duration, now: Timestamp) {
    assert_legal_list(floor);
    assert_legal_turns(floor, limit_max);
    assert_views_agree(floor, now);
}

fn assert_legal_list(floor: &Floor) {
    let snapshot = floor.snapshot();
    let entries: Vec<_> = snapshot.requested.iter().chain(&snapshot.waiting).collect();
    assert!(entries.len() <= ENTRIES_MAX);
    let mut ids = BTreeSet::new();
    let mut arrivals = BTreeSet::new();
    let mut wishes = BTreeSet::new();
    for entry in &entries {
        assert!(ids.insert(entry.request_id), "two entries share an id");
        assert!(arrivals.insert(entry.arrival), "two entries arrived as one");
        assert!(wishes.insert((&entry.user_id, entry.kind)), "somebody waits twice");
        assert!(entry.arrival < snapshot.next_arrival);
        assert!(entry.name.chars().count() <= NAME_LENGTH_MAX);
        let note = entry.note.as_deref().unwrap_or("");
        assert!(note.chars().count() <= NOTE_LENGTH_MAX);
    }
    for turn in snapshot.stacked.iter().chain(&snapshot.current) {
        assert!(ids.insert(turn.request_id), "a turn's request is live too");
    }
    for pair in snapshot.requested.windows(2) {
        assert!(pair[0].arrival < pair[1].arrival, "undecided entries by arrival");
    }
    assert!(snapshot.requested.iter().all(|entry| entry.approved_at.is_none()));
    assert!(snapshot.waiting.iter().all(|entry| entry.approved_at.is_some()));
}

fn assert_legal_turns(floor: &Floor, limit_max: Duration) {
    let snapshot = floor.snapshot();
    let mut turns = snapshot.stacked.clone();
    turns.extend(snapshot.current.clone());
    let running = turns.iter().filter(|turn| matches!(turn.clock, TurnClock::Running { .. }));
    assert!(running.count() <= 1, "two turns run");
    assert!(snapshot.stacked.len() <= STACKED_TURNS_MAX);
    assert!(snapshot.current.is_some() || snapshot.stacked.is_empty());
    for (depth, turn) in turns.iter().enumerate() {
        let on_top = depth + 1 == turns.len();
        match turn.clock {
            TurnClock::Running { .. } => assert!(on_top, "a stacked turn runs"),
            TurnClock::Interrupted => assert!(!on_top, "nothing interrupts the current turn"),
            TurnClock::Paused => {}
        }
        assert!(depth == 0 || turn.kind == SpeechKind::InterposedQuestion);
        assert!(turn.limit <= limit_max, "a turn is too long");
        let twins = turns.iter().filter(|other| other.turn_id == turn.turn_id);
        assert_eq!(twins.count(), 1, "two turns share an id");
        let held = turns.iter().filter(|other| other.user_id == turn.user_id).count();
        assert!(floor.turns_started(&turn.user_id) as usize >= held, "a turn is not counted");
    }
}

fn assert_views_agree(floor: &Floor, now: Timestamp) {
    let snapshot = floor.snapshot();
    assert!(floor.waiting().eq(&snapshot.waiting));
    assert!(floor.requested().eq(&snapshot.requested));
    let current = floor.current_turn(now);
    assert_eq!(current.is_some(), snapshot.current.is_some());
    let heard = current.filter(|turn| turn.running);
    let heard = heard.as_ref().map(|turn| (&turn.user_id, turn.microphone));
    assert_eq!(floor.speaker(), heard, "who is heard holds the running turn");
    assert!(floor.stacked_turns(now).all(|turn| !turn.running));
    assert!(floor.poll_timeout().is_none() || heard.is_some(), "no timer without a running turn");
}
