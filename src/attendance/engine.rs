#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! The engine: commands and time in, events out.

mod count;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::attendance::engine::count::Contribution;
use crate::attendance::error::AttendanceError;
use crate::attendance::event::AttendanceEvent;
use crate::attendance::presence::{CONNECTIONS_PER_PERSON_MAX, Person};
use crate::attendance::proof::{CoarseLocation, Presented, Proof};
use crate::attendance::quorum::{QuorumChange, QuorumRules, QuorumView, Tally};
use crate::attendance::roll::{Roll, UNITS_MAX};
use crate::domain::attendance::{AttendanceMethod, LeaveCause, Place, QuorumCall, UnitId};
use crate::domain::id::{ConnectionId, UserId};
use crate::domain::time::Timestamp;

/// Most people whose presence is kept, eligible or not. Somebody new beyond it
/// can't prove their presence, and joining the room is not noted.
pub const PEOPLE_MAX: usize = 20_000;
/// Most hashes kept of what was presented. Beyond it nothing more is taken, so
/// that nothing can be presented twice.
pub const PRESENTED_MAX: usize = 100_000;
/// Most units that have a delegate at once.
pub const DELEGATIONS_MAX: usize = UNITS_MAX;

/// What makes somebody present who is connected to the room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Being connected under their own access token.
    Channel,
    /// Being connected, and a proof that the identity service validated.
    Proof,
}

/// The rules of one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttendanceRules {
    /// What makes a connected person present.
    pub admission: Admission,
    /// Most units of others that one person may represent.
    pub delegated_units_max: u16,
    /// What a quorum needs.
    pub quorum: QuorumRules,
}

impl Default for AttendanceRules {
    fn default() -> Self {
        Self {
            admission: Admission::Channel,
            delegated_units_max: 3,
            quorum: QuorumRules::default(),
        }
    }
}

/// Who is present at one session, and the quorum.
///
/// A command either succeeds, and then [`poll_event`](Self::poll_event) tells
/// what followed, or fails and changes nothing. Time never goes backwards: a
/// moment before the last one counts as the last one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attendance {
    pub(super) rules: AttendanceRules,
    pub(super) roll: Option<Roll>,
    pub(super) people: BTreeMap<UserId, Person>,
    pub(super) delegates: BTreeMap<UnitId, UserId>,
    pub(super) presented: BTreeSet<Presented>,
    pub(super) history: VecDeque<QuorumChange>,
    pub(super) call: QuorumCall,
    pub(super) over: bool,
    pub(super) last: Timestamp,
    /// The units of each delegate; follows from `delegates`.
    represented_by: BTreeMap<UserId, BTreeSet<UnitId>>,
    /// Members who count for something; follows from all of the above. Empty
    /// after the end, when the tally stays.
    contributions: BTreeMap<UserId, Contribution>,
    pub(super) tally: Tally,
    reached: bool,
    told: QuorumView,
    events: VecDeque<AttendanceEvent>,
}

impl Attendance {
    /// Nobody is present, and the eligible list is not known yet.
    #[must_use]
    pub fn new(rules: AttendanceRules, now: Timestamp) -> Self {
        let told = QuorumView {
            call: QuorumCall::First,
            tally: Tally::default(),
            reached: false,
            since: None,
            roll_known: false,
        };
        Self {
            rules,
            roll: None,
            people: BTreeMap::new(),
            delegates: BTreeMap::new(),
            presented: BTreeSet::new(),
            history: VecDeque::new(),
            call: QuorumCall::First,
            over: false,
            last: now,
            represented_by: BTreeMap::new(),
            contributions: BTreeMap::new(),
            tally: Tally::default(),
            reached: false,
            told,
            events: VecDeque::new(),
        }
    }

    /// What has been decided and not been told yet, in order.
    pub fn poll_event(&mut self) -> Option<AttendanceEvent> {
        self.events.pop_front()
    }

    /// Takes another eligible list. The delegations of `delegated` are entered
    /// as far as they can be: of units on the list, to somebody else, within the
    /// limit. Delegations of units that are not on it any more end. Nothing
    /// happens after the end of the session.
    pub fn set_roll(
        &mut self,
        roll: Roll,
        delegated: impl IntoIterator<Item = (UnitId, UserId)>,
        now: Timestamp,
    ) {
        if self.over {
            return;
        }
        let now = self.moment(now);
        let gone: Vec<UnitId> =
            self.delegates.keys().filter(|unit| roll.owner(unit).is_none()).cloned().collect();
        self.roll = Some(roll);
        for unit in gone {
            self.remove_delegation(&unit, None);
        }
        for (unit, delegate) in delegated {
            if self.check_delegation(&unit, &delegate).is_ok() {
                self.insert_delegation(unit, delegate, None);
            }
        }
        self.count_all();
        self.settle(now);
    }

    /// Takes other rules. Delegations that exceed them stay.
    pub fn set_rules(&mut self, rules: AttendanceRules, now: Timestamp) {
        let now = self.moment(now);
        let changes_admission = rules.admission != self.rules.admission;
        self.rules = rules;
        if changes_admission && !self.over {
            let everybody: Vec<UserId> = self.people.keys().cloned().collect();
            for user in everybody {
                self.update(&user, LeaveCause::ProofRequired, None, now);
            }
        }
        self.settle(now);
    }

    /// Whether a person may present this proof, to be asked before the identity
    /// service is.
    ///
    /// # Errors
    /// `Over`, `NotEligible`, `Replayed`, `Full`.
    pub fn check_proof(&self, user: &UserId, proof: &Proof) -> Result<(), AttendanceError> {
        self.check_running()?;
        if self.roll.is_some() && !self.is_eligible(user) {
            return Err(AttendanceError::NotEligible);
        }
        let once = proof.once(user);
        if once.as_ref().is_some_and(|it| self.presented.contains(it)) {
            return Err(AttendanceError::Replayed);
        }
        let full = once.is_some() && self.presented.len() >= PRESENTED_MAX;
        if full || !self.has_room_for(user) { Err(AttendanceError::Full) } else { Ok(()) }
    }

    /// A person presented a proof that the identity service has validated.
    ///
    /// # Errors
    /// As [`check_proof`](Self::check_proof).
    pub fn handle_validated(
        &mut self,
        user: &UserId,
        proof: Proof,
        place: Place,
        location: Option<CoarseLocation>,
        now: Timestamp,
    ) -> Result<(), AttendanceError> {
        self.check_proof(user, &proof)?;
        let now = self.moment(now);
        self.presented.extend(proof.once(user));
        let person = self.people.entry(user.clone()).or_default();
        person.dismissed = false;
        match place {
            Place::Hall => person.hall = Some(proof.method()),
            Place::Remote => person.remote = Some(proof.method()),
        }
        self.events.push_back(AttendanceEvent::Validated {
            user_id: user.clone(),
            method: proof.method(),
            place,
            hash: proof.hash(),
            by: None,
            location,
        });
        self.update(user, LeaveCause::Disconnected, None, now);
        self.settle(now);
        Ok(())
    }

    /// A moderator registers somebody who is in the hall. Nothing happens when
    /// they are registered there already.
    ///
    /// # Errors
    /// `Over`, `RollUnknown`, `NotEligible`, `Full`.
    pub fn register(
        &mut self,
        user: &UserId,
        by: &UserId,
        now: Timestamp,
    ) -> Result<(), AttendanceError> {
        self.check_running()?;
        if self.roll.is_none() {
            return Err(AttendanceError::RollUnknown);
        }
        if !self.is_eligible(user) {
            return Err(AttendanceError::NotEligible);
        }
        if !self.has_room_for(user) {
            return Err(AttendanceError::Full);
        }
        let now = self.moment(now);
        let person = self.people.entry(user.clone()).or_default();
        if person.hall.is_some() {
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
        self.settle(now);
        Ok(())
    }

    /// A moderator takes back a manual registration that was a mistake. Whoever
    /// is also connected stays present.
    ///
    /// # Errors
    /// `Over`; `NotPresent` unless they are in the hall by manual registration.
    pub fn take_back(
        &mut self,
        user: &UserId,
        by: &UserId,
        now: Timestamp,
    ) -> Result<(), AttendanceError> {
        self.check_running()?;
        let person = self.people.get_mut(user).ok_or(AttendanceError::NotPresent)?;
        if person.hall != Some(AttendanceMethod::Manual) {
            return Err(AttendanceError::NotPresent);
        }
        person.hall = None;
        let now = self.moment(now);
        self.update(user, LeaveCause::TakenBack, Some(by), now);
        self.settle(now);
        Ok(())
    }

    /// A moderator marks somebody as left, wherever they were. Their proofs do
    /// not count any more; they can prove their presence anew.
    ///
    /// # Errors
    /// `Over`, `NotPresent`.
    pub fn mark_left(
        &mut self,
        user: &UserId,
        by: &UserId,
        now: Timestamp,
    ) -> Result<(), AttendanceError> {
        self.check_running()?;
        let person = self.people.get_mut(user).filter(|person| person.is_present());
        let person = person.ok_or(AttendanceError::NotPresent)?;
        person.hall = None;
        person.remote = None;
        person.dismissed = true;
        let now = self.moment(now);
        self.update(user, LeaveCause::MarkedLeft, Some(by), now);
        self.settle(now);
        Ok(())
    }

    /// Somebody joined the room.
    pub fn handle_joined(&mut self, user: &UserId, connection: ConnectionId, now: Timestamp) {
        if self.over || !self.has_room_for(user) {
            return;
        }
        let now = self.moment(now);
        let person = self.people.entry(user.clone()).or_default();
        if person.connections.len() >= CONNECTIONS_PER_PERSON_MAX {
            return;
        }
        person.connections.insert(connection);
        person.dismissed = false;
        self.update(user, LeaveCause::Disconnected, None, now);
        self.settle(now);
    }

    /// A connection to the room ended for good.
    pub fn handle_disconnected(&mut self, user: &UserId, connection: ConnectionId, now: Timestamp) {
        let Some(person) = self.people.get_mut(user) else { return };
        if person.connections.remove(&connection) {
            let now = self.moment(now);
            self.update(user, LeaveCause::Disconnected, None, now);
            self.settle(now);
        }
    }

    /// A moderator enters that `delegate` represents a unit when its member is
    /// not present.
    ///
    /// # Errors
    /// `Over`, `RollUnknown`, `UnitNotFound`, `OwnUnit`, `AlreadyDelegated`,
    /// `DelegationLimitReached`, `Full`.
    pub fn delegate(
        &mut self,
        unit: &UnitId,
        delegate: &UserId,
        by: &UserId,
        now: Timestamp,
    ) -> Result<(), AttendanceError> {
        self.check_running()?;
        self.check_delegation(unit, delegate)?;
        let now = self.moment(now);
        self.insert_delegation(unit.clone(), delegate.clone(), Some(by.clone()));
        self.count_owner(unit);
        self.settle(now);
        Ok(())
    }

    /// A moderator ends the delegation of a unit.
    ///
    /// # Errors
    /// `Over`, `NotDelegated`.
    pub fn end_delegation(
        &mut self,
        unit: &UnitId,
        by: &UserId,
        now: Timestamp,
    ) -> Result<(), AttendanceError> {
        self.check_running()?;
        if !self.delegates.contains_key(unit) {
            return Err(AttendanceError::NotDelegated);
        }
        let now = self.moment(now);
        self.remove_delegation(unit, Some(by.clone()));
        self.count_owner(unit);
        self.settle(now);
        Ok(())
    }

    /// A moderator begins the second call.
    ///
    /// # Errors
    /// `Over`; `CallConflict` when there is none or it has begun.
    pub fn begin_second_call(&mut self, now: Timestamp) -> Result<(), AttendanceError> {
        self.check_running()?;
        if self.call == QuorumCall::Second || self.rules.quorum.second.is_none() {
            return Err(AttendanceError::CallConflict);
        }
        let now = self.moment(now);
        self.call = QuorumCall::Second;
        self.events.push_back(AttendanceEvent::CallBegan(QuorumCall::Second));
        self.settle(now);
        Ok(())
    }

    /// The session is over: everybody leaves. The quorum stays as it was then.
    pub fn handle_session_end(&mut self, now: Timestamp) {
        if self.over {
            return;
        }
        let now = self.moment(now);
        self.over = true;
        self.contributions.clear();
        for (user, person) in &mut self.people {
            person.hall = None;
            person.connections.clear();
            if let Some(interval) = person.close(LeaveCause::SessionEnded, now) {
                let user_id = user.clone();
                self.events.push_back(AttendanceEvent::Left { user_id, interval, by: None });
            }
        }
    }

    /// The quorum now.
    #[must_use]
    pub fn quorum(&self) -> QuorumView {
        QuorumView {
            call: self.call,
            tally: self.tally,
            reached: self.reached,
            since: self.history.back().map(|change| change.at),
            roll_known: self.roll.is_some(),
        }
    }

    /// When a quorum was reached and lost, the oldest first.
    pub fn history(&self) -> impl Iterator<Item = &QuorumChange> {
        self.history.iter()
    }

    /// Everybody who is or was present or connected, by id.
    pub fn people(&self) -> impl Iterator<Item = (&UserId, &Person)> {
        self.people.iter()
    }

    /// What is known of one person's presence.
    #[must_use]
    pub fn person(&self, user: &UserId) -> Option<&Person> {
        self.people.get(user)
    }

    /// The eligible list, when it is known.
    #[must_use]
    pub const fn roll(&self) -> Option<&Roll> {
        self.roll.as_ref()
    }

    /// Units that have a delegate, and who it is.
    pub fn delegations(&self) -> impl Iterator<Item = (&UnitId, &UserId)> {
        self.delegates.iter()
    }

    /// Who represents a unit at the moment: its member when present, else its
    /// delegate when present.
    #[must_use]
    pub fn representative(&self, unit: &UnitId) -> Option<&UserId> {
        let owner = self.roll.as_ref()?.owner(unit)?;
        let candidates = [Some(owner), self.delegates.get(unit)];
        candidates.into_iter().flatten().find(|user| self.is_present(user))
    }

    /// Whether somebody is present.
    #[must_use]
    pub fn is_present(&self, user: &UserId) -> bool {
        self.people.get(user).is_some_and(Person::is_present)
    }

    /// Whether somebody is a member or represents one.
    #[must_use]
    fn is_eligible(&self, user: &UserId) -> bool {
        self.roll.as_ref().is_some_and(|roll| roll.member(user).is_some())
            || self.represented_by.contains_key(user)
    }

    fn check_running(&self) -> Result<(), AttendanceError> {
        if self.over { Err(AttendanceError::Over) } else { Ok(()) }
    }

    fn has_room_for(&self, user: &UserId) -> bool {
        self.people.len() < PEOPLE_MAX || self.people.contains_key(user)
    }

    fn check_delegation(&self, unit: &UnitId, delegate: &UserId) -> Result<(), AttendanceError> {
        let roll = self.roll.as_ref().ok_or(AttendanceError::RollUnknown)?;
        let owner = roll.owner(unit).ok_or(AttendanceError::UnitNotFound)?;
        if owner == delegate {
            return Err(AttendanceError::OwnUnit);
        }
        if self.delegates.contains_key(unit) {
            return Err(AttendanceError::AlreadyDelegated);
        }
        let held = self.represented_by.get(delegate).map_or(0, BTreeSet::len);
        if held >= usize::from(self.rules.delegated_units_max) {
            return Err(AttendanceError::DelegationLimitReached);
        }
        if self.delegates.len() >= DELEGATIONS_MAX { Err(AttendanceError::Full) } else { Ok(()) }
    }

    fn insert_delegation(&mut self, unit: UnitId, delegate: UserId, by: Option<UserId>) {
        self.delegates.insert(unit.clone(), delegate.clone());
        self.represented_by.entry(delegate.clone()).or_default().insert(unit.clone());
        self.events.push_back(AttendanceEvent::Delegated { unit, delegate, by });
    }

    fn remove_delegation(&mut self, unit: &UnitId, by: Option<UserId>) {
        let Some(delegate) = self.delegates.remove(unit) else { return };
        if let Some(units) = self.represented_by.get_mut(&delegate) {
            units.remove(unit);
            if units.is_empty() {
                self.represented_by.remove(&delegate);
            }
        }
        let unit = unit.clone();
        self.events.push_back(AttendanceEvent::DelegationEnded { unit, delegate, by });
    }

    /// The moment that counts.
    fn moment(&mut self, now: Timestamp) -> Timestamp {
        self.last = self.last.max(now);
        self.last
    }

    /// Opens or closes a person's interval after something about them changed.
    fn update(&mut self, user: &UserId, cause: LeaveCause, by: Option<&UserId>, now: Timestamp) {
        let channel_suffices = self.rules.admission == Admission::Channel;
        let Some(person) = self.people.get_mut(user) else { return };
        let user_id = user.clone();
        match (person.is_present(), person.held_open(channel_suffices)) {
            (false, Some(known)) => {
                person.open(known, now);
                if let Some(interval) = person.intervals.back().copied() {
                    self.events.push_back(AttendanceEvent::Entered { user_id, interval });
                }
            }
            (true, None) => {
                if let Some(interval) = person.close(cause, now) {
                    let by = by.cloned();
                    self.events.push_back(AttendanceEvent::Left { user_id, interval, by });
                }
            }
            (false, None) | (true, Some(_)) => return,
        }
        self.count(user);
        let units = self.represented_by.get(user).cloned().unwrap_or_default();
        for unit in &units {
            self.count_owner(unit);
        }
    }
}
