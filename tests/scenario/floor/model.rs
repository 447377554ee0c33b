//! The simplest account of turns and their time: a pile of stop watches that is
//! told which command succeeded, and adds up microseconds as whole numbers.

use std::time::Duration;

use cabildo::domain::floor::{SpeechKind, TurnEnd};
use cabildo::domain::id::{TurnId, UserId};
use cabildo::domain::time::Timestamp;
use cabildo::floor::{FloorEvent, TurnView};

/// A stop watch per turn.
#[derive(Debug, Clone)]
struct Watch {
    turn_id: TurnId,
    user_id: UserId,
    runs: bool,
    ran_when_interrupted: bool,
    used_us: i64,
    limit_us: i64,
}

/// What the model expects to be told of turns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    Warned { turn_id: TurnId, left_us: i64 },
    Ended { turn_id: TurnId, reason: TurnEnd, used_us: i64 },
}

#[derive(Debug, Default)]
pub(crate) struct Model {
    /// The last one is current.
    pile: Vec<Watch>,
    looked_at_us: i64,
    pub(crate) told: Vec<Told>,
}

impl Model {
    /// Somebody looked at the clock.
    pub(crate) fn tick(&mut self, now: Timestamp) {
        let passed_us = (now.unix_us() - self.looked_at_us).max(0);
        self.looked_at_us = now.unix_us();
        let Some(watch) = self.pile.last_mut().filter(|watch| watch.runs) else { return };
        let left_before_us = watch.limit_us - watch.used_us;
        watch.used_us += passed_us;
        for left_us in [30_000_000, 10_000_000] {
            let left_now_us = watch.limit_us - watch.used_us;
            if left_before_us > left_us && left_now_us <= left_us {
                self.told.push(Told::Warned { turn_id: watch.turn_id, left_us });
            }
        }
    }

    pub(crate) fn start(&mut self, turn: TurnId, user: UserId, kind: SpeechKind, limit: Duration) {
        match self.pile.last_mut() {
            Some(top) if kind == SpeechKind::InterposedQuestion => {
                top.ran_when_interrupted = top.runs;
                top.runs = false;
            }
            _ => self.end_all(TurnEnd::Replaced),
        }
        self.pile.push(Watch {
            turn_id: turn,
            user_id: user,
            runs: true,
            ran_when_interrupted: false,
            used_us: 0,
            limit_us: us(limit),
        });
    }

    pub(crate) fn pause(&mut self) {
        self.top().runs = false;
    }

    pub(crate) fn resume(&mut self) {
        self.top().runs = true;
    }

    pub(crate) fn extend(&mut self, by: Duration) {
        self.top().limit_us += us(by);
    }

    pub(crate) fn end(&mut self, reason: TurnEnd) {
        let watch = self.pile.pop().expect("a turn to end");
        self.end_one(&watch, reason);
        if let Some(top) = self.pile.last_mut() {
            top.runs = top.ran_when_interrupted;
        }
    }

    pub(crate) fn remove(&mut self, user: &UserId) {
        let Some(current) = self.pile.pop() else { return };
        let (gone, left) = self.pile.drain(..).partition(|watch| watch.user_id == *user);
        self.pile = left;
        let gone: Vec<Watch> = gone;
        for watch in &gone {
            self.end_one(watch, TurnEnd::Removed);
        }
        let theirs = current.user_id == *user;
        self.pile.push(current);
        if theirs {
            self.end(TurnEnd::Removed);
        }
    }

    pub(crate) fn end_all(&mut self, reason: TurnEnd) {
        while let Some(watch) = self.pile.pop() {
            self.end_one(&watch, reason);
        }
    }

    /// Checks the turns as they are shown at `later`, which is no earlier than
    /// the last look at the clock. The current one comes last.
    pub(crate) fn assert_shows(&self, shown: &[TurnView], later: Timestamp) {
        let passed_us = later.unix_us() - self.looked_at_us;
        assert_eq!(shown.len(), self.pile.len());
        for (view, watch) in shown.iter().zip(&self.pile) {
            assert_eq!(view.turn_id, watch.turn_id);
            assert_eq!(view.running, watch.runs);
            let used_us = watch.used_us + if watch.runs { passed_us } else { 0 };
            assert_eq!(us(view.used), used_us);
            assert_eq!(us(view.limit), watch.limit_us);
            assert_eq!(view.left_us(), watch.limit_us - used_us);
        }
    }

    fn top(&mut self) -> &mut Watch {
        self.pile.last_mut().expect("a current turn")
    }

    fn end_one(&mut self, watch: &Watch, reason: TurnEnd) {
        let (turn_id, used_us) = (watch.turn_id, watch.used_us);
        self.told.push(Told::Ended { turn_id, reason, used_us });
    }
}

/// What events say of the things the model knows of.
pub(crate) fn told(events: &[FloorEvent]) -> Vec<Told> {
    let warned_or_ended = |event: &FloorEvent| match event {
        FloorEvent::TurnWarning { turn, left } => {
            Some(Told::Warned { turn_id: turn.turn_id, left_us: us(*left) })
        }
        FloorEvent::TurnEnded { turn, reason } => {
            Some(Told::Ended { turn_id: turn.turn_id, reason: *reason, used_us: us(turn.used) })
        }
        _ => None,
    };
    events.iter().filter_map(warned_or_ended).collect()
}

fn us(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).expect("a span that a meeting can last")
}
