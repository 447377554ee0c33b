//! An assembly in virtual time, and short words for what it tells.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cabildo::attendance::{
    Attendance, AttendanceError, AttendanceEvent, AttendanceRules, Interval, Member, PresentedHash,
    Proof, Roll,
};
use cabildo::domain::attendance::{Place, UnitId};
use cabildo::domain::id::{ActionId, ConnectionId, UserId};
use cabildo::domain::time::Timestamp;
use uuid::Uuid;

pub(crate) const CHAIR: &str = "chair";

pub(crate) fn user(name: &str) -> UserId {
    name.parse().expect("a valid user id")
}

pub(crate) fn unit(name: &str) -> UnitId {
    name.parse().expect("a valid unit id")
}

pub(crate) fn connection(number: u128) -> ConnectionId {
    ConnectionId::from_uuid(Uuid::from_u128(number))
}

pub(crate) fn decision(number: u128) -> ActionId {
    ActionId::from_uuid(Uuid::from_u128(number))
}

pub(crate) fn qr(text: &str) -> Proof {
    Proof::Qr(PresentedHash::of(text.as_bytes()))
}

pub(crate) fn code(text: &str) -> Proof {
    Proof::Code(PresentedHash::of(text.as_bytes()))
}

/// A member with units and their weights.
pub(crate) fn member(name: &str, units: &[(&str, &str)]) -> Member {
    let weighed = |(id, weight): &(&str, &str)| (unit(id), weight.parse().expect("a weight"));
    let units: BTreeMap<_, _> = units.iter().map(weighed).collect();
    Member { user_id: user(name), name: format!("name of {name}"), units }
}

/// Ana weighs 40, Bea 35, Carl 25 in two units.
pub(crate) fn three_members() -> Roll {
    Roll::new([
        member("ana", &[("101", "40")]),
        member("bea", &[("102", "35")]),
        member("carl", &[("103", "15"), ("104", "10")]),
    ])
    .expect("a roll")
}

/// An attendance and the time.
pub(crate) struct Assembly {
    pub(crate) attendance: Attendance,
    pub(crate) now: Timestamp,
    presented: u32,
}

impl Assembly {
    pub(crate) fn new(rules: AttendanceRules) -> Self {
        let now = Timestamp::from_unix_us(1_700_000_000_000_000);
        let mut assembly = Self { attendance: Attendance::new(rules, now), now, presented: 0 };
        assembly.attendance.set_roll(three_members(), [], now);
        assembly.told();
        assembly
    }

    pub(crate) fn pass(&mut self, span_s: u64) {
        self.now = self.now.after(Duration::from_secs(span_s));
    }

    /// Somebody shows a new QR code in the hall.
    pub(crate) fn enters(&mut self, who: &str) {
        self.presented += 1;
        let proof = qr(&format!("qr {}", self.presented));
        self.attendance
            .handle_validated(&user(who), proof, Place::Hall, None, self.now)
            .expect("the proof is taken");
    }

    pub(crate) fn joins(&mut self, who: &str, number: u128) {
        self.attendance.handle_joined(&user(who), connection(number), self.now);
    }

    pub(crate) fn disconnects(&mut self, who: &str, number: u128) {
        self.attendance.handle_disconnected(&user(who), connection(number), self.now);
    }

    pub(crate) fn registers(&mut self, who: &str) {
        self.decides(who, 1);
    }

    /// Registers somebody, by the decision of this number.
    pub(crate) fn decides(&mut self, who: &str, number: u128) {
        let made = (decision(number), &user(CHAIR));
        let registered = self.attendance.register(&user(who), BTreeSet::new(), made, self.now);
        registered.expect("registered");
    }

    /// Takes a decision about somebody back.
    pub(crate) fn takes_back(&mut self, who: &str, number: u128) {
        let made = (decision(number), &user(CHAIR));
        self.attendance.take_back(&user(who), made, self.now).expect("taken back");
    }

    pub(crate) fn delegates(&mut self, unit_id: &str, to: &str) {
        let (unit, to) = (unit(unit_id), user(to));
        self.attendance.delegate(&unit, &to, &user(CHAIR), self.now).expect("delegated");
    }

    pub(crate) fn marked_left(&mut self, who: &str) {
        let made = (decision(2), &user(CHAIR));
        self.attendance.mark_left(&user(who), made, self.now).expect("marked as left");
    }

    /// Runs a command that has to be refused, and to change nothing.
    pub(crate) fn refused(
        &mut self,
        command: impl FnOnce(&mut Attendance, Timestamp) -> Result<(), AttendanceError>,
    ) -> AttendanceError {
        let before = self.attendance.clone();
        let error = command(&mut self.attendance, self.now).expect_err("the command is refused");
        assert_eq!(self.attendance, before, "{error} changed something");
        error
    }

    /// Heads and weight that count as present, such as `2 heads, 75`.
    pub(crate) fn counted(&self) -> String {
        let tally = self.attendance.quorum().tally;
        format!("{} heads, {}", tally.heads_present, tally.weight_present)
    }

    pub(crate) fn total_s(&self, who: &str) -> u64 {
        let person = self.attendance.person(&user(who)).expect("somebody who was there");
        person.total(self.now).as_secs()
    }

    pub(crate) fn intervals(&self, who: &str) -> usize {
        self.attendance.person(&user(who)).map_or(0, |person| person.intervals.len())
    }

    /// What has been told since, in short.
    pub(crate) fn told(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.attendance.poll_event()).map(|it| in_short(&it)).collect()
    }
}

fn in_short(event: &AttendanceEvent) -> String {
    let how = |interval: &Interval| format!("{} {}", interval.method, interval.place);
    match event {
        AttendanceEvent::Corrected { user_id } => format!("{} corrected", user_id.as_str()),
        AttendanceEvent::Validated { user_id, method, place, .. } => {
            format!("validated {} {method} {place}", user_id.as_str())
        }
        AttendanceEvent::Entered { user_id, interval, .. } => {
            format!("entered {} {}", user_id.as_str(), how(interval))
        }
        AttendanceEvent::Left { user_id, interval, .. } => {
            let (_, cause) = interval.ended.expect("an interval that ended");
            format!("left {} {cause}", user_id.as_str())
        }
        AttendanceEvent::Delegated { unit, delegate, .. } => {
            format!("delegated {unit} to {}", delegate.as_str())
        }
        AttendanceEvent::DelegationEnded { unit, delegate, .. } => {
            format!("delegation of {unit} to {} ended", delegate.as_str())
        }
        AttendanceEvent::CallBegan(call) => format!("{call} call"),
        AttendanceEvent::QuorumChanged(view) => {
            format!("quorum {} heads {}", view.tally.heads_present, view.tally.weight_present)
        }
        AttendanceEvent::QuorumTurned(change) => {
            let word = if change.reached { "reached" } else { "lost" };
            format!("{word} on the {} call", change.call)
        }
    }
}
