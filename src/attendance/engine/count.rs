//! Counting who is present: heads, weight, and whether they are a quorum.

use crate::attendance::engine::Attendance;
use crate::attendance::event::AttendanceEvent;
use crate::attendance::quorum::{QUORUM_HISTORY_MAX, QuorumChange, QuorumView, Tally};
use crate::domain::attendance::{QuorumCall, UnitId, Weight};
use crate::domain::id::UserId;
use crate::domain::time::Timestamp;

/// What a member counts for at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::attendance) struct Contribution {
    head: bool,
    weight: Weight,
}

/// The sum of all contributions, and what was told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::attendance) struct Counted {
    pub(in crate::attendance) tally: Tally,
    pub(in crate::attendance) reached: bool,
    told: QuorumView,
}

impl Default for Counted {
    fn default() -> Self {
        let tally = Tally::default();
        let call = QuorumCall::First;
        let told = QuorumView { call, tally, reached: false, since: None, roll_known: false };
        Self { tally, reached: false, told }
    }
}

impl Attendance {
    pub(super) fn count_owner(&mut self, unit: &UnitId) {
        if let Some(owner) = self.roll().and_then(|roll| roll.owner(unit)).cloned() {
            self.count(&owner);
        }
    }

    /// Brings the tally up to date with what one member counts for.
    pub(super) fn count(&mut self, member: &UserId) {
        let counts = self.contribution(member);
        let counted = if counts == Contribution::default() {
            self.contributions.remove(member)
        } else {
            self.contributions.insert(member.clone(), counts)
        }
        .unwrap_or_default();
        if counts != counted {
            let tally = &mut self.counted.edit().tally;
            tally.heads_present += u32::from(counts.head);
            tally.heads_present -= u32::from(counted.head);
            tally.weight_present = tally.weight_present.plus(counts.weight).minus(counted.weight);
        }
    }

    fn contribution(&self, user: &UserId) -> Contribution {
        let member = self.roll().and_then(|roll| roll.member(user));
        let Some(member) = member else { return Contribution::default() };
        let present = self.is_present(user);
        let represented = member.units.iter().filter(|(unit, _)| {
            present || self.delegates.get(*unit).is_some_and(|delegate| self.is_present(delegate))
        });
        let start = Contribution { head: present, weight: Weight::ZERO };
        represented.fold(start, |sum, (_, weight)| Contribution {
            head: true,
            weight: sum.weight.plus(*weight),
        })
    }

    /// Counts from nothing.
    pub(in crate::attendance) fn count_all(&mut self) {
        self.represented_by.clear();
        for (unit, delegate) in &self.delegates {
            self.represented_by.get_or_default(delegate).insert(unit.clone());
        }
        self.contributions.clear();
        self.counted.edit().tally = Tally::default();
        let Some(roll) = self.roll().cloned() else { return };
        let tally = &mut self.counted.edit().tally;
        tally.heads_total = roll.heads();
        tally.weight_total = roll.weight();
        let members: Vec<UserId> = roll.members().map(|member| member.user_id.clone()).collect();
        for member in members {
            self.count(&member);
        }
    }

    /// Tells of the quorum when it is another than was told.
    pub(super) fn update_quorum(&mut self, now: Timestamp) {
        if self.stage.over {
            return;
        }
        let (call, tally) = (self.stage.call, self.counted.tally);
        let rule = self.rules.quorum.of(call);
        let reached = self.roll().is_some() && rule.is_some_and(|rule| rule.holds(&tally));
        let turned = reached != self.counted.reached;
        let change = QuorumChange { at: now, call, reached, tally };
        if turned {
            self.counted.edit().reached = reached;
            let history = self.history.edit();
            if history.len() >= QUORUM_HISTORY_MAX {
                history.pop_front();
            }
            history.push_back(change);
        }
        let view = self.quorum();
        if view != self.counted.told {
            self.counted.edit().told = view;
            self.events.push_back(AttendanceEvent::QuorumChanged(view));
        }
        if turned {
            self.events.push_back(AttendanceEvent::QuorumTurned(change));
        }
    }

    /// Takes what was said last as said, after a snapshot was put together.
    pub(in crate::attendance) fn resume(&mut self) {
        self.counted.edit().reached = self.history.back().is_some_and(|change| change.reached);
        let told = self.quorum();
        self.counted.edit().told = told;
    }
}
