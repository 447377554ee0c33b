#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! Who attends: connections as presence, what doors and desks say of it, and what
//! members are told.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::attendance::ports::EligibleList;
use crate::attendance::{
    Attendance, AttendanceEvent, Interval, LeftOut, Person, Proof, QuorumView, Tally,
};
use crate::domain::attendance::{AttendanceMethod, Place, QuorumCall, UnitId, Weight};
use crate::domain::hex::hex;
use crate::domain::id::{ConnectionId, UserId};
use crate::domain::role;
use crate::domain::time::Timestamp;
use crate::room::action::AttendanceAction;
use crate::room::engine::{ConnectionKind, RoomEngine};
use crate::room::error::RoomError;
use crate::room::event::{AttendanceView, EligibleListView, Event, LeftOutView, QuorumState};
use crate::room::ports::AttendanceNote;

/// Least time between two `quorum_changed` events that tell other numbers only.
/// Raising it makes the numbers follow later; lowering it makes everybody in a
/// large hall hear of each who comes in.
pub const QUORUM_INTERVAL: Duration = Duration::from_secs(1);

/// Most delegations of an eligible list that were left out that moderators are told of, and that
/// are written down. Raising it makes the message and the entry of the log longer; the door lists
/// all of them.
const LEFT_OUT_TOLD_MAX: usize = 50;

/// The quorum as it was told last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct QuorumTold {
    view: Option<QuorumView>,
    at: Option<Timestamp>,
}

/// One person as attendance knows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attendee {
    /// Who.
    pub user_id: UserId,
    /// Their name; empty when nobody said it.
    pub name: String,
    /// Their presence.
    pub person: Person,
    /// Whether they are on the eligible list.
    pub member: bool,
    /// Their own units and what each weighs.
    pub units: Vec<(UnitId, Weight)>,
    /// Units of others that they represent.
    pub represents: Vec<UnitId>,
}

impl Attendee {
    /// What an attendance knows of somebody.
    #[must_use]
    pub fn of(attendance: &Attendance, user: &UserId) -> Self {
        let member = attendance.roll().and_then(|roll| roll.member(user));
        let person = attendance.person(user).cloned().unwrap_or_default();
        let units = member.map(|member| &member.units);
        Self {
            user_id: user.clone(),
            name: name_of(attendance, user).to_owned(),
            member: member.is_some(),
            units: units.into_iter().flatten().map(|(id, weight)| (id.clone(), *weight)).collect(),
            represents: attendance.represented(user).cloned().collect(),
            person,
        }
    }

    /// Weight of their own units.
    #[must_use]
    pub fn weight(&self) -> Weight {
        self.units.iter().fold(Weight::ZERO, |sum, (_, weight)| sum.plus(*weight))
    }
}

/// The name of somebody: as the eligible list has it, or else their token.
fn name_of<'a>(attendance: &'a Attendance, user: &UserId) -> &'a str {
    let listed = attendance.roll().and_then(|roll| roll.member(user)).map(|it| it.name.as_str());
    let said = || attendance.person(user).map(|person| person.name.as_str());
    listed.filter(|name| !name.is_empty()).or_else(said).unwrap_or_default()
}

/// What a room answers about somebody, and up to which event that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttendeeAnswer {
    /// Them.
    pub attendee: Attendee,
    /// Number of the newest event that this takes into account.
    pub last_seq: u64,
}

/// Whether something has to be validated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProofCheck {
    /// It has.
    Wanted,
    /// It was: the same person presented it before, and was marked as left since.
    Repeats,
    /// The same person presented it before, and it still holds.
    Holds(Box<AttendeeAnswer>),
}

impl LeftOutView {
    /// A delegation that an attendance does not have.
    #[must_use]
    pub fn new(attendance: &Attendance, left_out: &LeftOut) -> Self {
        let refusal = left_out.reason.refusal();
        Self {
            unit: left_out.unit.to_string(),
            user_id: left_out.delegate.as_str().to_owned(),
            name: name_of(attendance, &left_out.delegate).to_owned(),
            reason: left_out.reason.as_str().to_owned(),
            code: refusal.code().as_str().to_owned(),
            message: refusal.to_string(),
        }
    }
}

impl QuorumState {
    /// A quorum under the rules of its session.
    #[must_use]
    pub fn new(attendance: &Attendance, view: &QuorumView) -> Self {
        let rule = attendance.rules().quorum.of(view.call);
        let first = attendance.rules().quorum.first;
        let share = |share: Option<crate::domain::quorum::Share>| share.map(|it| it.to_string());
        Self {
            call: view.call.as_str().to_owned(),
            heads_present: view.tally.heads_present,
            heads_total: view.tally.heads_total,
            weight_present: view.tally.weight_present.to_string(),
            weight_total: view.tally.weight_total.to_string(),
            heads_needed: rule.and_then(|rule| share(rule.heads)),
            weight_needed: rule.and_then(|rule| share(rule.weight)),
            comparison: rule.unwrap_or(&first).comparison.as_str().to_owned(),
            reached: view.reached,
            since: view.since.map(|since| since.to_string()),
            roll_known: view.roll_known,
            turned: false,
        }
    }
}

impl RoomEngine {
    /// Something is done about attendance.
    ///
    /// # Errors
    /// What attendance refuses.
    pub fn handle_attendance(
        &mut self,
        action: AttendanceAction,
        now: Timestamp,
    ) -> Result<(), RoomError> {
        match action {
            AttendanceAction::Prove { user, name, proof, place, location } => {
                if self.attendance.holds(&user, &proof) {
                    return Ok(());
                }
                let place = place.unwrap_or_else(|| self.likely_place(&user));
                self.attendance.handle_validated(&user, proof, place, location, now)?;
                self.attendance.note_name(&user, &name);
            }
            AttendanceAction::Register { user, represents, decision, by } => {
                let held: BTreeSet<UnitId> = self.attendance.represented(&user).cloned().collect();
                let wanted: BTreeSet<UnitId> = represents.into_iter().collect();
                let added: BTreeSet<UnitId> = wanted.difference(&held).cloned().collect();
                for unit in &added {
                    self.attendance.delegate(unit, &user, &by, now)?;
                }
                self.attendance.register(&user, added, (decision, &by), now)?;
            }
            AttendanceAction::MarkLeft { user, decision, by } => {
                self.attendance.mark_left(&user, (decision, &by), now)?;
            }
            AttendanceAction::TakeBack { user, decision, by } => {
                self.attendance.take_back(&user, (decision, &by), now)?;
            }
            AttendanceAction::EndDelegation { unit, by } => {
                self.attendance.end_delegation(&unit, &by, now)?;
            }
            AttendanceAction::BeginSecondCall => self.attendance.begin_second_call(now)?,
            AttendanceAction::TakeList(list) => {
                let EligibleList { roll, delegated } = *list;
                let (members, weight, hash) = (roll.heads(), roll.weight(), *roll.sha256());
                self.attendance.set_roll(roll, delegated, now);
                // Names may differ although nothing that is counted does.
                self.attendance_version += 1;
                let left_out: Vec<LeftOut> = self.attendance.left_out().cloned().collect();
                let left_out_total = left_out.len();
                let left_out = left_out.into_iter().take(LEFT_OUT_TOLD_MAX).collect();
                self.notes.push(AttendanceNote::ListTaken {
                    members,
                    weight,
                    hash,
                    left_out,
                    left_out_total,
                });
            }
        }
        self.apply_decisions(now);
        Ok(())
    }

    /// Whether what somebody presents has to be validated, to be asked before
    /// the identity service is.
    ///
    /// # Errors
    /// What attendance refuses.
    pub fn check_proof(&self, user: &UserId, proof: &Proof) -> Result<ProofCheck, RoomError> {
        if self.attendance.holds(user, proof) {
            return Ok(ProofCheck::Holds(Box::new(self.attendee(user))));
        }
        self.attendance.check_proof(user, proof)?;
        let repeats = self.attendance.may_repeat(user, proof);
        Ok(if repeats { ProofCheck::Repeats } else { ProofCheck::Wanted })
    }

    /// What attendance knows of somebody now.
    #[must_use]
    pub fn attendee(&self, user: &UserId) -> AttendeeAnswer {
        let attendee = Attendee::of(&self.attendance, user);
        AttendeeAnswer { attendee, last_seq: self.seq }
    }

    /// Who attends.
    #[must_use]
    pub const fn attendance(&self) -> &Attendance {
        &self.attendance
    }

    /// Which eligible list is known, and what of it does not hold.
    #[must_use]
    pub fn eligible_list_view(&self) -> EligibleListView {
        let left_out = || self.attendance.left_out();
        let told = left_out().take(LEFT_OUT_TOLD_MAX);
        EligibleListView {
            sha256: self.attendance.roll().map(|roll| hex(roll.sha256())),
            refused: None,
            delegations_left_out: told.map(|it| LeftOutView::new(&self.attendance, it)).collect(),
            delegations_left_out_total: u32::try_from(left_out().count()).unwrap_or(u32::MAX),
        }
    }

    /// Another number says that the attendance may be another.
    #[must_use]
    pub const fn attendance_version(&self) -> u64 {
        self.attendance_version
    }

    /// Where somebody is who does not say: whoever is not connected to the room
    /// and proves their presence is in the hall, where there is one.
    fn likely_place(&self, user: &UserId) -> Place {
        let is_virtual = self.info.modality == crate::domain::session::Modality::Virtual.as_str();
        if is_virtual || !self.index.connections_of(user).is_empty() {
            Place::Remote
        } else {
            Place::Hall
        }
    }

    /// Takes a connection as presence, or no longer, as its roles are.
    pub(super) fn follow_presence(&mut self, connection: ConnectionId, now: Timestamp) {
        let Some(found) = self.connections.get(&connection) else { return };
        let user = found.user.clone();
        let attends =
            found.kind == ConnectionKind::Channel && found.roles.may(role::Action::Attend);
        let counted = self
            .attendance
            .person(&user)
            .is_some_and(|person| person.connections.contains(&connection));
        if attends && !counted {
            self.attendance.handle_joined(&user, connection, now);
        } else if !attends && counted {
            self.attendance.handle_disconnected(&user, connection, now);
        }
    }

    /// Takes all connections as presence that are not yet.
    pub(super) fn follow_presences(&mut self, now: Timestamp) {
        let connections: Vec<ConnectionId> = self.connections.keys().copied().collect();
        for connection in connections {
            self.follow_presence(connection, now);
        }
    }

    /// Everybody leaves with the end of the session, which is told by itself.
    pub(super) fn end_attendance(&mut self, now: Timestamp) {
        self.tell_attendance(now);
        // The record of the session ends with the quorum as it was.
        self.tell_quorum_at_once(now);
        self.attendance.handle_session_end(now);
        while self.attendance.poll_event().is_some() {}
        self.attendance_version += 1;
    }

    /// Tells what attendance decided.
    pub(super) fn tell_attendance(&mut self, now: Timestamp) {
        let mut proved = None;
        while let Some(event) = self.attendance.poll_event() {
            self.attendance_version += 1;
            match event {
                AttendanceEvent::Validated { user_id, method, place, hash, by, location } => {
                    let present = self.attendance.is_present(&user_id);
                    let mut view = self.attendance_view("validated", &user_id, (method, place));
                    view.present = present;
                    view.by = by.as_ref().map(|by| by.as_str().to_owned());
                    self.tell(Event::AttendanceChanged(view), now);
                    proved = Some(user_id.clone());
                    let user = user_id;
                    let note =
                        AttendanceNote::Validated { user, method, place, hash, by, location };
                    self.notes.push(note);
                }
                // Who proved it was just told to be present.
                AttendanceEvent::Entered { user_id, .. } if proved.as_ref() == Some(&user_id) => {}
                AttendanceEvent::Entered { user_id, interval, by } => {
                    let mut view = self.attendance_view("entered", &user_id, known(&interval));
                    view.present = true;
                    view.by = by.map(|by| by.as_str().to_owned());
                    self.tell(Event::AttendanceChanged(view), now);
                }
                AttendanceEvent::Left { user_id, interval, by } => {
                    let mut view = self.attendance_view("left", &user_id, known(&interval));
                    view.cause = interval.ended.map(|(_, cause)| cause.as_str().to_owned());
                    view.by = by.map(|by| by.as_str().to_owned());
                    self.tell(Event::AttendanceChanged(view), now);
                }
                AttendanceEvent::Corrected { user_id } => self.tell_correction(&user_id, now),
                AttendanceEvent::Delegated { unit, delegate, by: Some(by) } => {
                    self.tell(delegation(&unit, &delegate, true, Some(&by)), now);
                }
                AttendanceEvent::DelegationEnded { unit, delegate, by } => {
                    self.tell(delegation(&unit, &delegate, false, by.as_ref()), now);
                }
                AttendanceEvent::CallBegan(_) => self.quorum_told.edit().at = None,
                // The whole list is written down at once, and numbers are told below.
                AttendanceEvent::Delegated { by: None, .. } | AttendanceEvent::QuorumChanged(_) => {
                }
                AttendanceEvent::QuorumTurned(change) => {
                    let view = QuorumView {
                        call: change.call,
                        tally: change.tally,
                        reached: change.reached,
                        since: Some(change.at),
                        roll_known: true,
                    };
                    let turned =
                        QuorumState { turned: true, ..QuorumState::new(&self.attendance, &view) };
                    *self.quorum_told.edit() = QuorumTold { view: Some(view), at: Some(now) };
                    self.tell(Event::QuorumChanged(turned), now);
                }
            }
        }
        self.tell_quorum(now);
    }

    /// Tells the name and weight that another eligible list gives somebody.
    fn tell_correction(&mut self, user: &UserId, now: Timestamp) {
        let Some(person) = self.attendance.person(user) else { return };
        let proved = person.hall.map(|method| (method, Place::Hall));
        let proved = proved.or_else(|| person.remote.map(|method| (method, Place::Remote)));
        let Some(how) = person.intervals.back().map(known).or(proved) else { return };
        let mut view = self.attendance_view("corrected", user, how);
        view.present = self.attendance.is_present(user);
        self.tell(Event::AttendanceChanged(view), now);
    }

    /// Takes the rules of the session as they are now, and tells the quorum with
    /// what it needs by them.
    pub(super) fn follow_attendance_rules(&mut self, now: Timestamp) {
        if *self.attendance.rules() == self.info.attendance {
            return;
        }
        self.attendance.set_rules(self.info.attendance, now);
        self.attendance_version += 1;
        *self.quorum_told.edit() = QuorumTold::default();
        self.tell_attendance(now);
    }

    /// Tells the numbers, unless they were told just now.
    pub(super) fn tell_quorum(&mut self, now: Timestamp) {
        if self.quorum_due().is_some_and(|due| due <= now) {
            self.tell_quorum_at_once(now);
        }
    }

    /// Tells the numbers, unless they are as they were told.
    fn tell_quorum_at_once(&mut self, now: Timestamp) {
        if self.quorum_due().is_some() {
            let view = self.attendance.quorum();
            *self.quorum_told.edit() = QuorumTold { view: Some(view), at: Some(now) };
            self.tell(Event::QuorumChanged(QuorumState::new(&self.attendance, &view)), now);
        }
    }

    /// When the numbers are to be told; `None` when they were.
    pub(super) fn quorum_due(&self) -> Option<Timestamp> {
        let view = self.attendance.quorum();
        let told = self.quorum_told.view.unwrap_or_else(|| nobody(&view));
        let waits = told != view && !self.attendance.is_over();
        let long_ago = Timestamp::from_unix_us(0);
        waits.then(|| self.quorum_told.at.map_or(long_ago, |at| at.after(QUORUM_INTERVAL)))
    }

    /// These numbers were told before a restart; what has changed since is told.
    pub(super) fn quorum_was_told(&mut self, told: Option<(QuorumCall, Tally)>) {
        let now = self.attendance.quorum();
        let view = told.map(|(call, tally)| QuorumView { call, tally, ..now });
        *self.quorum_told.edit() = QuorumTold { view, at: None };
        self.quorum_told.stored();
    }

    /// The numbers that were told last, when they have to be stored.
    pub(super) fn quorum_to_store(&self) -> Option<(QuorumCall, Tally)> {
        let view = self.quorum_told.view.filter(|_| self.quorum_told.is_to_store())?;
        Some((view.call, view.tally))
    }

    fn attendance_view(
        &self,
        change: &str,
        user: &UserId,
        (method, place): (AttendanceMethod, Place),
    ) -> AttendanceView {
        let attendee = Attendee::of(&self.attendance, user);
        AttendanceView {
            change: change.to_owned(),
            user_id: user.as_str().to_owned(),
            weight: attendee.weight().to_string(),
            name: attendee.name,
            present: false,
            method: method.as_str().to_owned(),
            place: place.as_str().to_owned(),
            cause: None,
            by: None,
        }
    }
}

/// What a room begins with: nobody needs to be told that nobody is there.
fn nobody(view: &QuorumView) -> QuorumView {
    QuorumView {
        call: QuorumCall::First,
        tally: Tally::default(),
        reached: false,
        since: None,
        ..*view
    }
}

const fn known(interval: &Interval) -> (AttendanceMethod, Place) {
    (interval.method, interval.place)
}

fn delegation(unit: &UnitId, delegate: &UserId, represented: bool, by: Option<&UserId>) -> Event {
    Event::DelegationChanged {
        unit: unit.to_string(),
        delegate: delegate.as_str().to_owned(),
        represented,
        by: by.map(|by| by.as_str().to_owned()),
    }
}
