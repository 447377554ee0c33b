#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! What of an attendance has changed: to be undone, or to be stored.

use std::collections::VecDeque;

use crate::attendance::engine::Attendance;
use crate::attendance::left_out::LeftOut;
use crate::attendance::presence::Person;
use crate::attendance::proof::PresentedHash;
use crate::attendance::quorum::{QuorumChange, Tally};
use crate::attendance::roll::Member;
use crate::domain::attendance::{QuorumCall, UnitId};
use crate::domain::id::UserId;
use crate::domain::time::Timestamp;

/// A part of an attendance that is stored by itself, as it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttendancePart<'a> {
    /// How far the session has come, and what is counted.
    Stage {
        /// The call that counts.
        call: QuorumCall,
        /// Whether the session is over.
        over: bool,
        /// The last moment that counted.
        last: Timestamp,
        /// How many count as present.
        tally: Tally,
        /// Whether the eligible list is known.
        roll_known: bool,
    },
    /// When a quorum was reached and lost, the oldest first.
    History(&'a VecDeque<QuorumChange>),
    /// A member of the eligible list, or that they are on it no more.
    Member(&'a UserId, Option<&'a Member>),
    /// What is known of somebody's presence.
    Person(&'a UserId, Option<&'a Person>),
    /// The delegate of a unit, or that it has none any more.
    Delegate(&'a UnitId, Option<&'a UserId>),
    /// Delegations of the eligible list that were not entered.
    LeftOut(&'a [LeftOut]),
    /// Who presented something; with a person when only they may not present it
    /// again.
    Presented(Option<&'a UserId>, PresentedHash, Option<&'a UserId>),
}

impl Attendance {
    /// Undoes everything since the last [`accept`](Self::accept) or
    /// [`stored`](Self::stored); what was to be polled is forgotten. Rules stay.
    pub fn undo(&mut self) {
        self.roll.undo();
        self.people.undo();
        self.delegates.undo();
        self.left_out.undo();
        self.presented.undo();
        self.history.undo();
        self.stage.undo();
        self.represented_by.undo();
        self.contributions.undo();
        self.counted.undo();
        self.events.clear();
    }

    /// Everything done so far stands, whether or not it is stored yet.
    pub fn accept(&mut self) {
        self.roll.accept();
        self.people.accept();
        self.delegates.accept();
        self.left_out.accept();
        self.presented.accept();
        self.history.accept();
        self.stage.accept();
        self.represented_by.stored();
        self.contributions.stored();
        self.counted.accept();
    }

    /// What [`to_store`](Self::to_store) yielded is stored, and stands.
    pub fn stored(&mut self) {
        self.roll.stored();
        self.people.stored();
        self.delegates.stored();
        self.left_out.stored();
        self.presented.stored();
        self.history.stored();
        self.stage.stored();
        self.represented_by.stored();
        self.contributions.stored();
        self.counted.stored();
    }

    /// The parts that differ from what is stored.
    pub fn to_store(&self) -> impl Iterator<Item = AttendancePart<'_>> {
        let members = self.roll.to_store();
        let is_changed =
            self.stage.is_to_store() || self.counted.is_to_store() || !members.is_empty();
        let stage = is_changed.then(|| AttendancePart::Stage {
            call: self.stage.call,
            over: self.stage.over,
            last: self.stage.last,
            tally: self.counted.tally,
            roll_known: self.roll().is_some(),
        });
        let history = self.history.is_to_store().then(|| AttendancePart::History(&self.history));
        let people = self.people.to_store();
        let delegates = self.delegates.to_store();
        let left_out = self.left_out.is_to_store().then(|| AttendancePart::LeftOut(&self.left_out));
        let presented = self.presented.to_store();
        stage
            .into_iter()
            .chain(history)
            .chain(left_out)
            .chain(members.into_iter().map(|(user, member)| AttendancePart::Member(user, member)))
            .chain(people.map(|(user, person)| AttendancePart::Person(user, person)))
            .chain(delegates.map(|(unit, user)| AttendancePart::Delegate(unit, user)))
            .chain(
                presented.map(|(once, user)| {
                    AttendancePart::Presented(once.by.as_ref(), once.hash, user)
                }),
            )
    }
}
