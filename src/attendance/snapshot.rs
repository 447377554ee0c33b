//! Taking an attendance apart for a store and putting it together again.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::attendance::engine::{Attendance, DELEGATIONS_MAX, PEOPLE_MAX, PRESENTED_MAX, Stage};
use crate::attendance::error::AttendanceError;
use crate::attendance::left_out::LeftOut;
use crate::attendance::presence::{CONNECTIONS_PER_PERSON_MAX, INTERVALS_PER_PERSON_MAX, Person};
use crate::attendance::proof::{Presented, PresentedHash};
use crate::attendance::quorum::{QUORUM_HISTORY_MAX, QuorumChange, Tally};
use crate::attendance::roll::{KeptRoll, Roll};
use crate::domain::attendance::{QuorumCall, UnitId};
use crate::domain::id::UserId;
use crate::domain::quorum::AttendanceRules;
use crate::domain::time::Timestamp;
use crate::tracked::Tracked;

/// Everything an attendance is made of, but its rules and the events that have
/// not been polled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttendanceSnapshot {
    /// The eligible list, when it is known.
    pub roll: Option<Arc<Roll>>,
    /// Everybody who is or was present or connected.
    pub people: BTreeMap<UserId, Person>,
    /// Units that have a delegate, and who it is.
    pub delegates: BTreeMap<UnitId, UserId>,
    /// Delegations of the eligible list that were not entered.
    pub left_out: Vec<LeftOut>,
    /// Who presented what; the hash stands with a person when only they may not
    /// present it again.
    pub presented: BTreeMap<(Option<UserId>, PresentedHash), UserId>,
    /// When a quorum was reached and lost, the oldest first.
    pub history: VecDeque<QuorumChange>,
    /// The call that counts.
    pub call: QuorumCall,
    /// How many count as present; after the end, how many did at the end.
    pub tally: Tally,
    /// Whether the session is over.
    pub over: bool,
    /// The last moment that counted.
    pub last: Timestamp,
}

impl Attendance {
    /// The attendance as a store keeps it. Poll all events first: they are no
    /// part of it.
    #[must_use]
    pub fn snapshot(&self) -> AttendanceSnapshot {
        let presented =
            self.presented.iter().map(|(it, user)| ((it.by.clone(), it.hash), user.clone()));
        let owned = |(user, person): (&UserId, &Person)| (user.clone(), person.clone());
        let delegated = |(unit, user): (&UnitId, &UserId)| (unit.clone(), user.clone());
        AttendanceSnapshot {
            roll: self.roll().cloned(),
            people: self.people.iter().map(owned).collect(),
            delegates: self.delegates.iter().map(delegated).collect(),
            left_out: (*self.left_out).clone(),
            presented: presented.collect(),
            history: (*self.history).clone(),
            call: self.stage.call,
            tally: self.counted.tally,
            over: self.stage.over,
            last: self.stage.last,
        }
    }

    /// The attendance that a snapshot was taken of. The rules may be others than
    /// then; [`set_rules`](Self::set_rules) tells what they change.
    ///
    /// # Errors
    /// `SnapshotInvalid` when no sequence of commands leads to it.
    pub fn restore(
        snapshot: AttendanceSnapshot,
        rules: AttendanceRules,
    ) -> Result<Self, AttendanceError> {
        snapshot.check().map_err(AttendanceError::SnapshotInvalid)?;
        let mut attendance = Self::new(rules, snapshot.last);
        attendance.roll = KeptRoll::stored_as(snapshot.roll);
        attendance.people = snapshot.people.into_iter().collect();
        attendance.delegates = snapshot.delegates.into_iter().collect();
        attendance.left_out = Tracked::new(snapshot.left_out);
        let presented = snapshot.presented.into_iter();
        attendance.presented =
            presented.map(|((by, hash), user)| (Presented { by, hash }, user)).collect();
        attendance.history = Tracked::new(snapshot.history);
        let AttendanceSnapshot { call, over, last, tally, .. } = snapshot;
        attendance.stage = Tracked::new(Stage { call, over, last });
        attendance.count_all();
        if over {
            attendance.counted.edit().tally = tally;
            attendance.contributions.clear();
        } else if attendance.counted.tally != tally {
            return Err(AttendanceError::SnapshotInvalid("the tally is not what people add up to"));
        }
        attendance.resume();
        attendance.stored();
        Ok(attendance)
    }
}

/// The rule that a snapshot breaks.
type Broken = Result<(), &'static str>;

impl AttendanceSnapshot {
    fn check(&self) -> Broken {
        hold(self.people.len() <= PEOPLE_MAX, "more people than are kept")?;
        hold(self.presented.len() <= PRESENTED_MAX, "more proofs than are kept")?;
        hold(self.delegates.len() <= DELEGATIONS_MAX, "more delegations than are kept")?;
        hold(self.history.len() <= QUORUM_HISTORY_MAX, "more changes than are kept")?;
        self.people.values().try_for_each(|person| self.check_person(person))?;
        self.delegates.iter().try_for_each(|(unit, delegate)| {
            let owner = self.roll.as_ref().and_then(|roll| roll.owner(unit));
            hold(owner.is_some_and(|owner| owner != delegate), "a delegation of no one's unit")
        })?;
        self.check_history()
    }

    fn check_person(&self, person: &Person) -> Broken {
        hold(person.intervals.len() <= INTERVALS_PER_PERSON_MAX, "more intervals than are kept")?;
        hold(
            person.connections.len() <= CONNECTIONS_PER_PERSON_MAX,
            "more connections than are kept",
        )?;
        hold(
            !self.over || (person.hall.is_none() && person.connections.is_empty()),
            "somebody is there after the end",
        )?;
        let held = person.held_open(true).is_some();
        hold(!person.is_present() || held, "somebody is present without a reason")?;
        hold(
            person.hall.is_none() || person.is_present(),
            "somebody is in the hall and not present",
        )?;
        let mut reached = Timestamp::from_unix_us(i64::MIN);
        for (index, interval) in person.intervals.iter().enumerate() {
            let last = index + 1 == person.intervals.len();
            hold(last || interval.ended.is_some(), "an interval lasts on before another")?;
            hold(interval.from >= reached, "intervals overlap")?;
            reached = interval.ended.map_or(interval.from, |(until, _)| until);
            hold(reached >= interval.from, "an interval ends before it begins")?;
            hold(reached <= self.last, "an interval lies ahead")?;
        }
        Ok(())
    }

    fn check_history(&self) -> Broken {
        hold(self.history.iter().is_sorted_by_key(|change| change.at), "changes are not in order")?;
        let mut neighbours = self.history.iter().zip(self.history.iter().skip(1));
        hold(
            neighbours.all(|(earlier, later)| earlier.reached != later.reached),
            "a quorum was reached or lost twice in a row",
        )?;
        hold(
            self.history.iter().all(|change| change.at <= self.last),
            "a change of the quorum lies ahead",
        )
    }
}

fn hold(holds: bool, rule: &'static str) -> Broken {
    if holds { Ok(()) } else { Err(rule) }
}
