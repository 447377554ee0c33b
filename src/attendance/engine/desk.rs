#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! What a moderator decides at the registration desk, and how it is taken back.

use std::collections::BTreeSet;

use crate::attendance::engine::Attendance;
use crate::attendance::error::AttendanceError;
use crate::attendance::event::AttendanceEvent;
use crate::attendance::presence::{Decided, DeskDecision};
use crate::domain::attendance::{AttendanceMethod, LeaveCause, Place, UnitId};
use crate::domain::id::{ActionId, UserId};
use crate::domain::time::Timestamp;

impl Attendance {
    /// A moderator registers somebody who is in the hall, with the units of others that were
    /// delegated to them just now. It is no decision when they were registered there already and
    /// nothing was delegated.
    ///
    /// # Errors
    /// `Over`, `RollUnknown`, `NotEligible`, `Full`.
    pub fn register(
        &mut self,
        user: &UserId,
        delegated: BTreeSet<UnitId>,
        (decision, by): (ActionId, &UserId),
        now: Timestamp,
    ) -> Result<(), AttendanceError> {
        self.check_running()?;
        if self.roll().is_none() {
            return Err(AttendanceError::RollUnknown);
        }
        if !self.is_eligible(user) {
            return Err(AttendanceError::NotEligible);
        }
        if !self.has_room_for(user) {
            return Err(AttendanceError::Full);
        }
        let now = self.moment(now);
        let person = self.people.get_or_default(user);
        let entered = person.hall.is_none();
        if !entered && delegated.is_empty() {
            return Ok(());
        }
        let what = Decided::Registered { entered, delegated };
        person.decision = Some(DeskDecision { id: decision, what });
        if !entered {
            return Ok(());
        }
        person.hall = Some(AttendanceMethod::Manual);
        person.dismissed = false;
        self.events.push_back(AttendanceEvent::Validated {
            user_id: user.clone(),
            method: AttendanceMethod::Manual,
            place: Place::Hall,
            hash: None,
            by: Some(by.clone()),
            location: None,
        });
        self.update(user, LeaveCause::Disconnected, Some(by), now);
        self.update_quorum(now);
        Ok(())
    }

    /// A moderator marks somebody as left, wherever they were. Their proofs do
    /// not count any more, until they present them again.
    ///
    /// # Errors
    /// `Over`, `NotPresent`.
    pub fn mark_left(
        &mut self,
        user: &UserId,
        (decision, by): (ActionId, &UserId),
        now: Timestamp,
    ) -> Result<(), AttendanceError> {
        self.check_running()?;
        let person = self.people.get_mut(user).filter(|person| person.is_present());
        let person = person.ok_or(AttendanceError::NotPresent)?;
        let what = Decided::MarkedLeft { hall: person.hall.take(), remote: person.remote.take() };
        person.decision = Some(DeskDecision { id: decision, what });
        person.dismissed = true;
        let now = self.moment(now);
        self.update(user, LeaveCause::MarkedLeft, Some(by), now);
        self.update_quorum(now);
        Ok(())
    }

    /// A moderator takes back the newest decision of the desk about somebody. A registration ends,
    /// with what it delegated; whoever is also connected stays present. Whoever was marked as left
    /// is where they were, known as they were.
    ///
    /// # Errors
    /// `Over`; `DecisionStale` when the decision is not the newest one that can be taken back.
    pub fn take_back(
        &mut self,
        user: &UserId,
        (decision, by): (ActionId, &UserId),
        now: Timestamp,
    ) -> Result<(), AttendanceError> {
        self.check_running()?;
        let newest = self.people.get(user).and_then(|person| person.decision.clone());
        let newest = newest.filter(|newest| newest.id == decision);
        let what = newest.ok_or(AttendanceError::DecisionStale)?.what;
        let now = self.moment(now);
        if let Decided::Registered { delegated, .. } = &what {
            for unit in delegated {
                self.remove_delegation(unit, Some(by.clone()));
                self.count_owner(unit);
            }
        }
        if let Some(person) = self.people.get_mut(user) {
            match what {
                Decided::Registered { entered: true, .. } => person.hall = None,
                Decided::Registered { entered: false, .. } => {}
                Decided::MarkedLeft { hall, remote } => {
                    person.hall = hall;
                    person.remote = remote;
                    person.dismissed = false;
                }
            }
            person.decision = None;
        }
        self.update(user, LeaveCause::TakenBack, Some(by), now);
        self.update_quorum(now);
        Ok(())
    }
}
