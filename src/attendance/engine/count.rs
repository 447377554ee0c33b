//! Counting who is present: heads, weight, and whether they are a quorum.

use crate::attendance::engine::Attendance;
use crate::attendance::event::AttendanceEvent;
use crate::attendance::quorum::{QUORUM_HISTORY_MAX, QuorumChange, Tally};
use crate::domain::attendance::{UnitId, Weight};
use crate::domain::id::UserId;
use crate::domain::time::Timestamp;

/// What a member counts for at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Contribution {
    head: bool,
    weight: Weight,
}

impl Attendance {
    pub(super) fn count_owner(&mut self, unit: &UnitId) {
        if let Some(owner) = self.roll.as_ref().and_then(|roll| roll.owner(unit)).cloned() {
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
        let heads = self.tally.heads_present + u32::from(counts.head) - u32::from(counted.head);
        self.tally.heads_present = heads;
        let weight = self.tally.weight_present.plus(counts.weight).minus(counted.weight);
        self.tally.weight_present = weight;
    }

    fn contribution(&self, user: &UserId) -> Contribution {
        let member = self.roll.as_ref().and_then(|roll| roll.member(user));
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
            self.represented_by.entry(delegate.clone()).or_default().insert(unit.clone());
        }
        self.contributions.clear();
        self.tally = Tally::default();
        let Some(roll) = &self.roll else { return };
        self.tally.heads_total = roll.heads();
        self.tally.weight_total = roll.weight();
        let members: Vec<UserId> = roll.members().map(|member| member.user_id.clone()).collect();
        for member in members {
            self.count(&member);
        }
    }

    /// Tells of the quorum when it is another than was told.
    pub(super) fn settle(&mut self, now: Timestamp) {
        if self.over {
            return;
        }
        let rule = self.rules.quorum.of(self.call);
        let reached = self.roll.is_some() && rule.is_some_and(|rule| rule.holds(&self.tally));
        let turned = reached != self.reached;
        self.reached = reached;
        let change = QuorumChange { at: now, call: self.call, reached, tally: self.tally };
        if turned {
            if self.history.len() >= QUORUM_HISTORY_MAX {
                self.history.pop_front();
            }
            self.history.push_back(change);
        }
        let view = self.quorum();
        if view != self.told {
            self.told = view;
            self.events.push_back(AttendanceEvent::QuorumChanged(view));
        }
        if turned {
            self.events.push_back(AttendanceEvent::QuorumTurned(change));
        }
    }

    /// Takes what was said last as said, after a snapshot was put together.
    pub(in crate::attendance) fn resume(&mut self) {
        self.reached = self.history.back().is_some_and(|change| change.reached);
        self.told = self.quorum();
    }
}
