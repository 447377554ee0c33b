#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! The engine: commands and time in, events out.

mod correct;
mod count;
mod desk;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use crate::attendance::engine::count::{Contribution, Counted};
use crate::attendance::error::AttendanceError;
use crate::attendance::event::AttendanceEvent;
use crate::attendance::left_out::{LeftOut, LeftOutReason};
use crate::attendance::presence::{CONNECTIONS_PER_PERSON_MAX, Person};
use crate::attendance::proof::{CoarseLocation, Presented, Proof};
use crate::attendance::quorum::{QuorumChange, QuorumView};
use crate::attendance::roll::{KeptRoll, Roll, UNITS_MAX};
use crate::domain::attendance::{LeaveCause, Place, QuorumCall, UnitId};
use crate::domain::id::{ConnectionId, UserId};
use crate::domain::quorum::{Admission, AttendanceRules};
use crate::domain::time::Timestamp;
use crate::tracked::{Tracked, TrackedMap};

/// Most people whose presence is kept, eligible or not. Somebody new beyond it
/// can't prove their presence, and joining the room is not noted.
pub const PEOPLE_MAX: usize = 20_000;
/// Most hashes kept of what was presented. Beyond it nothing more is taken, so
/// that nothing can be presented twice.
pub const PRESENTED_MAX: usize = 100_000;
/// Most units that have a delegate at once.
pub const DELEGATIONS_MAX: usize = UNITS_MAX;

/// Who is present at one session, and the quorum.
///
/// A command either succeeds, and then [`poll_event`](Self::poll_event) tells
/// what followed, or fails and changes nothing. Time never goes backwards: a
/// moment before the last one counts as the last one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attendance {
    pub(super) rules: AttendanceRules,
    pub(super) roll: KeptRoll,
    pub(super) people: TrackedMap<UserId, Person>,
    pub(super) delegates: TrackedMap<UnitId, UserId>,
    /// Delegations of the eligible list that were not entered.
    pub(super) left_out: Tracked<Vec<LeftOut>>,
    /// What was presented, and by whom.
    pub(super) presented: TrackedMap<Presented, UserId>,
    pub(super) history: Tracked<VecDeque<QuorumChange>>,
    pub(super) stage: Tracked<Stage>,
    /// The units of each delegate; follows from `delegates`.
    pub(super) represented_by: TrackedMap<UserId, BTreeSet<UnitId>>,
    /// Members who count for something; follows from all of the above. Empty
    /// after the end, when the tally stays.
    pub(super) contributions: TrackedMap<UserId, Contribution>,
    pub(super) counted: Tracked<Counted>,
    pub(super) events: VecDeque<AttendanceEvent>,
}

/// How far the session has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stage {
    pub(super) call: QuorumCall,
    pub(super) over: bool,
    /// The last moment that counted.
    pub(super) last: Timestamp,
}

impl Attendance {
    /// Nobody is present, and the eligible list is not known yet.
    #[must_use]
    pub fn new(rules: AttendanceRules, now: Timestamp) -> Self {
        let mut stage = Tracked::new(Stage { call: QuorumCall::First, over: false, last: now });
        stage.store_all();
        Self {
            rules,
            roll: KeptRoll::default(),
            people: TrackedMap::default(),
            delegates: TrackedMap::default(),
            left_out: Tracked::default(),
            presented: TrackedMap::default(),
            history: Tracked::default(),
            stage,
            represented_by: TrackedMap::default(),
            contributions: TrackedMap::default(),
            counted: Tracked::default(),
            events: VecDeque::new(),
        }
    }

    /// What has been decided and not been told yet, in order.
    pub fn poll_event(&mut self) -> Option<AttendanceEvent> {
        self.events.pop_front()
    }

    /// Takes another eligible list. The delegations of `delegated` are entered
    /// as far as they can be: of units on the list, to somebody else, within the
    /// limit; [`left_out`](Self::left_out) has the others. Delegations end of units that are not on it any more or that are
    /// their delegate's own now. Nothing happens after the end of the session.
    pub fn set_roll(
        &mut self,
        roll: Roll,
        delegated: impl IntoIterator<Item = (UnitId, UserId)>,
        now: Timestamp,
    ) {
        if self.stage.over {
            return;
        }
        let now = self.moment(now);
        let ends = |(unit, delegate): &(&UnitId, &UserId)| {
            roll.owner(unit).is_none_or(|owner| owner == *delegate)
        };
        let gone: Vec<UnitId> =
            self.delegates.iter().filter(ends).map(|(unit, _)| unit.clone()).collect();
        let before = self.listed_people();
        self.roll.set(roll);
        self.tell_corrections(before);
        for unit in gone {
            self.remove_delegation(&unit, None);
        }
        self.enter_delegations(delegated);
        self.count_all();
        self.update_quorum(now);
    }

    /// Takes other rules. Delegations that exceed them stay.
    pub fn set_rules(&mut self, rules: AttendanceRules, now: Timestamp) {
        let (now, told) = (now.max(self.stage.last), self.events.len());
        self.rules = rules;
        if !self.stage.over {
            let everybody: Vec<UserId> = self.people.keys().cloned().collect();
            for user in everybody {
                self.update(&user, LeaveCause::ProofRequired, None, now);
            }
        }
        self.update_quorum(now);
        // Rules that change nothing are no moment that has to be stored.
        if self.events.len() > told {
            self.moment(now);
        }
    }

    /// Whether a person may present this proof, to be asked before the identity
    /// service is.
    ///
    /// # Errors
    /// `Over`, `NotEligible`, `Replayed`, `Full`.
    pub fn check_proof(&self, user: &UserId, proof: &Proof) -> Result<(), AttendanceError> {
        self.check_running()?;
        if self.roll().is_some() && !self.is_eligible(user) {
            return Err(AttendanceError::NotEligible);
        }
        let once = proof.once(user).filter(|_| !self.may_repeat(user, proof));
        if once.as_ref().is_some_and(|it| self.presented.contains_key(it)) {
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
        if let Some(once) = proof.once(user).filter(|_| !self.may_repeat(user, &proof)) {
            self.presented.insert(once, user.clone());
        }
        let person = self.people.get_or_default(user);
        person.dismissed = false;
        person.forget_decision(place);
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
        self.update_quorum(now);
        Ok(())
    }

    /// Somebody joined the room.
    pub fn handle_joined(&mut self, user: &UserId, connection: ConnectionId, now: Timestamp) {
        if self.stage.over || !self.has_room_for(user) {
            return;
        }
        let now = self.moment(now);
        let person = self.people.get_or_default(user);
        if person.connections.len() >= CONNECTIONS_PER_PERSON_MAX {
            return;
        }
        person.connections.insert(connection);
        person.dismissed = false;
        self.update(user, LeaveCause::Disconnected, None, now);
        self.update_quorum(now);
    }

    /// A connection to the room ended for good.
    pub fn handle_disconnected(&mut self, user: &UserId, connection: ConnectionId, now: Timestamp) {
        let Some(person) = self.people.get_mut(user) else { return };
        if person.connections.remove(&connection) {
            let now = self.moment(now);
            self.update(user, LeaveCause::Disconnected, None, now);
            self.update_quorum(now);
        }
    }

    /// A moderator enters that `delegate` represents a unit when its member is
    /// not present.
    ///
    /// # Errors
    /// `Over`, `RollUnknown`, `UnitNotFound`, `OwnUnit`, `NotEligible` for a part of the
    /// server, `AlreadyDelegated`, `DelegationLimitReached`, `Full`.
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
        self.update_quorum(now);
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
        self.update_quorum(now);
        Ok(())
    }

    /// A moderator begins the second call.
    ///
    /// # Errors
    /// `Over`; `CallConflict` when there is none or it has begun.
    pub fn begin_second_call(&mut self, now: Timestamp) -> Result<(), AttendanceError> {
        self.check_running()?;
        if self.stage.call == QuorumCall::Second || self.rules.quorum.second.is_none() {
            return Err(AttendanceError::CallConflict);
        }
        let now = self.moment(now);
        self.stage.edit().call = QuorumCall::Second;
        self.events.push_back(AttendanceEvent::CallBegan(QuorumCall::Second));
        self.update_quorum(now);
        Ok(())
    }

    /// The session is over: everybody leaves. The quorum stays as it was then.
    pub fn handle_session_end(&mut self, now: Timestamp) {
        if self.stage.over {
            return;
        }
        let now = self.moment(now);
        self.stage.edit().over = true;
        self.contributions.clear();
        let is_there = |(_, person): &(&UserId, &Person)| {
            person.hall.is_some() || !person.connections.is_empty() || person.is_present()
        };
        let there: Vec<UserId> =
            self.people.iter().filter(is_there).map(|(user, _)| user.clone()).collect();
        for user_id in there {
            let Some(person) = self.people.get_mut(&user_id) else { continue };
            person.hall = None;
            person.connections.clear();
            if let Some(interval) = person.close(LeaveCause::SessionEnded, now) {
                self.events.push_back(AttendanceEvent::Left { user_id, interval, by: None });
            }
        }
    }

    /// Keeps the name of somebody whose presence is known, for people.
    pub fn note_name(&mut self, user: &UserId, name: &str) {
        if self.people.get(user).is_some_and(|person| person.name != name)
            && let Some(person) = self.people.get_mut(user)
        {
            name.clone_into(&mut person.name);
        }
    }

    /// Whether this person presented this before and still has proven to be
    /// there, by this or another proof: then presenting it again asks for nothing.
    #[must_use]
    pub fn holds(&self, user: &UserId, proof: &Proof) -> bool {
        self.presented_before(user, proof) && self.has_proven(user)
    }

    /// Whether this person presented this before and was marked as left since:
    /// then they may present it again, which asks for no other validation.
    #[must_use]
    pub fn may_repeat(&self, user: &UserId, proof: &Proof) -> bool {
        self.presented_before(user, proof) && !self.has_proven(user)
    }

    fn presented_before(&self, user: &UserId, proof: &Proof) -> bool {
        proof.once(user).and_then(|once| self.presented.get(&once)) == Some(user)
    }

    /// Whether somebody has proven to be there, or was registered, and was not marked as left
    /// since.
    fn has_proven(&self, user: &UserId) -> bool {
        let stands = |person: &Person| person.hall.is_some() || person.remote.is_some();
        self.people.get(user).is_some_and(stands)
    }

    /// The rules.
    #[must_use]
    pub const fn rules(&self) -> &AttendanceRules {
        &self.rules
    }

    /// Whether the session is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.stage.over
    }

    /// The quorum now.
    #[must_use]
    pub fn quorum(&self) -> QuorumView {
        QuorumView {
            call: self.stage.call,
            tally: self.counted.tally,
            reached: self.counted.reached,
            since: self.history.back().map(|change| change.at),
            roll_known: self.roll().is_some(),
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
    pub fn roll(&self) -> Option<&Arc<Roll>> {
        self.roll.now()
    }

    /// Units that have a delegate, and who it is.
    pub fn delegations(&self) -> impl Iterator<Item = (&UnitId, &UserId)> {
        self.delegates.iter()
    }

    /// Delegations of the eligible list that were not entered and do not hold now.
    pub fn left_out(&self) -> impl Iterator<Item = &LeftOut> {
        self.left_out.iter().filter(|it| self.delegates.get(&it.unit) != Some(&it.delegate))
    }

    /// The units of others that somebody represents.
    pub fn represented(&self, user: &UserId) -> impl Iterator<Item = &UnitId> {
        self.represented_by.get(user).into_iter().flatten()
    }

    /// Who represents a unit at the moment: its member when present, else its
    /// delegate when present.
    #[must_use]
    pub fn representative(&self, unit: &UnitId) -> Option<&UserId> {
        let owner = self.roll()?.owner(unit)?;
        let candidates = [Some(owner), self.delegates.get(unit)];
        candidates.into_iter().flatten().find(|user| self.is_present(user))
    }

    /// Whether somebody is present.
    #[must_use]
    pub fn is_present(&self, user: &UserId) -> bool {
        self.people.get(user).is_some_and(Person::is_present)
    }

    /// Whether somebody is a member or represents one.
    fn is_eligible(&self, user: &UserId) -> bool {
        self.roll().is_some_and(|roll| roll.member(user).is_some())
            || self.represented_by.contains_key(user)
    }

    fn check_running(&self) -> Result<(), AttendanceError> {
        if self.stage.over { Err(AttendanceError::Over) } else { Ok(()) }
    }

    fn has_room_for(&self, user: &UserId) -> bool {
        self.people.len() < PEOPLE_MAX || self.people.contains_key(user)
    }

    fn check_delegation(&self, unit: &UnitId, delegate: &UserId) -> Result<(), AttendanceError> {
        let roll = self.roll().ok_or(AttendanceError::RollUnknown)?;
        self.why_not(roll, unit, delegate).map_or(Ok(()), |reason| Err(reason.refusal()))
    }

    /// Why a unit of a list can't be delegated to somebody; `None` when it can be.
    fn why_not(&self, roll: &Roll, unit: &UnitId, delegate: &UserId) -> Option<LeftOutReason> {
        let Some(owner) = roll.owner(unit) else { return Some(LeftOutReason::UnitNotFound) };
        let held = self.represented_by.get(delegate).map_or(0, BTreeSet::len);
        if owner == delegate {
            Some(LeftOutReason::OwnUnit)
        } else if delegate.is_reserved() {
            Some(LeftOutReason::NotAPerson)
        } else if self.delegates.contains_key(unit) {
            Some(LeftOutReason::AlreadyDelegated)
        } else if held >= usize::from(self.rules.delegated_units_max) {
            Some(LeftOutReason::LimitReached)
        } else if self.delegates.len() >= DELEGATIONS_MAX {
            Some(LeftOutReason::Full)
        } else {
            None
        }
    }

    /// Enters the delegations of the list that holds now, and keeps those that can't be entered.
    fn enter_delegations(&mut self, delegated: impl IntoIterator<Item = (UnitId, UserId)>) {
        let Some(roll) = self.roll().cloned() else { return };
        let mut left_out = Vec::new();
        for (unit, delegate) in delegated {
            if self.delegates.get(&unit) == Some(&delegate) {
                continue;
            }
            match self.why_not(&roll, &unit, &delegate) {
                Some(reason) => left_out.push(LeftOut { unit, delegate, reason }),
                None => self.insert_delegation(unit, delegate, None),
            }
        }
        if *self.left_out != left_out {
            *self.left_out.edit() = left_out;
        }
    }

    fn insert_delegation(&mut self, unit: UnitId, delegate: UserId, by: Option<UserId>) {
        self.delegates.insert(unit.clone(), delegate.clone());
        self.represented_by.get_or_default(&delegate).insert(unit.clone());
        self.events.push_back(AttendanceEvent::Delegated { unit, delegate, by });
    }

    fn remove_delegation(&mut self, unit: &UnitId, by: Option<UserId>) {
        let Some(delegate) = self.delegates.remove(unit) else { return };
        if self.people.get(&delegate).is_some_and(|person| person.was_delegated(unit))
            && let Some(person) = self.people.get_mut(&delegate)
        {
            person.forget_delegation(unit);
        }
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
        if now > self.stage.last {
            self.stage.edit().last = now;
        }
        self.stage.last
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
                    let by = by.cloned();
                    self.events.push_back(AttendanceEvent::Entered { user_id, interval, by });
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
