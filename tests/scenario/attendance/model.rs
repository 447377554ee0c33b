//! The simplest account of who is present: flags for each person, everything
//! else counted from nothing at every look.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cabildo::attendance::{Attendance, Roll};
use cabildo::domain::attendance::UnitId;
use cabildo::domain::id::{ConnectionId, UserId};
use cabildo::domain::time::Timestamp;

/// What the desk decided last about somebody.
#[derive(Debug)]
pub(crate) enum Made {
    Registered,
    MarkedLeft { hall: bool, proven: bool },
}

#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) hall: BTreeSet<UserId>,
    pub(crate) proven: BTreeSet<UserId>,
    pub(crate) dismissed: BTreeSet<UserId>,
    pub(crate) made: BTreeMap<UserId, Made>,
    pub(crate) connections: BTreeSet<(UserId, ConnectionId)>,
    pub(crate) delegates: BTreeMap<UnitId, UserId>,
    pub(crate) proof_needed: bool,
    totals: BTreeMap<UserId, Duration>,
    looked_at: Option<Timestamp>,
}

impl Model {
    pub(crate) fn is_present(&self, user: &UserId) -> bool {
        let connected = self.connections.iter().any(|(who, _)| who == user);
        let admitted =
            self.proven.contains(user) || (!self.proof_needed && !self.dismissed.contains(user));
        self.hall.contains(user) || (connected && admitted)
    }

    /// Time passes up to `now`, with everybody as they are.
    pub(crate) fn tick(&mut self, now: Timestamp, people: &[UserId]) {
        let before = self.looked_at.replace(now).unwrap_or(now);
        for user in people.iter().filter(|user| self.is_present(user)).cloned().collect::<Vec<_>>()
        {
            *self.totals.entry(user).or_default() += now.since(before);
        }
    }

    /// Heads and millionths of weight, counted unit by unit.
    fn tally(&self, roll: &Roll) -> (u32, u64) {
        let (mut heads, mut weight) = (0, 0);
        for member in roll.members() {
            let there = self.is_present(&member.user_id);
            let mut head = there;
            for (unit, unit_weight) in &member.units {
                let delegate = self.delegates.get(unit);
                if there || delegate.is_some_and(|delegate| self.is_present(delegate)) {
                    head = true;
                    weight += unit_weight.millionths();
                }
            }
            heads += u32::from(head);
        }
        (heads, weight)
    }

    pub(crate) fn assert_shows(&self, attendance: &Attendance, people: &[UserId], now: Timestamp) {
        for user in people {
            assert_eq!(attendance.is_present(user), self.is_present(user), "{user:?}");
            let decided = attendance.person(user).is_some_and(|person| person.decision.is_some());
            assert_eq!(decided, self.made.contains_key(user), "{user:?}");
            let total = attendance.person(user).map(|person| person.total(now));
            let expected = self.totals.get(user).copied().unwrap_or_default();
            assert_eq!(total.unwrap_or_default(), expected, "{user:?}");
        }
        let roll = attendance.roll().expect("a roll");
        let view = attendance.quorum();
        let (heads, weight) = self.tally(roll);
        assert_eq!(view.tally.heads_present, heads);
        assert_eq!(view.tally.weight_present.millionths(), weight);
        let all: u64 =
            roll.members().flat_map(|it| it.units.values()).map(|it| it.millionths()).sum();
        assert_eq!(view.tally.weight_total.millionths(), all);
    }
}
