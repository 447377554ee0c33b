//! What holds for every sequence of commands, sensible or not.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cabildo::attendance::{
    Admission, Attendance, AttendanceError, AttendanceEvent, AttendanceRules, Member, Proof, Roll,
};
use cabildo::domain::attendance::{Place, UnitId, Weight};
use cabildo::domain::id::UserId;
use cabildo::domain::time::Timestamp;
use proptest::prelude::*;

use crate::attendance::fixture::{CHAIR, code, connection, decision, qr, unit, user};
use crate::attendance::model::{Made, Model};

const PEOPLE: u8 = 6;
const UNITS: u8 = 8;

/// A command; numbers name people, units, proofs and connections from small
/// sets, so that they hit, miss and collide.
#[derive(Debug, Clone)]
pub(crate) enum Command {
    Qr { who: u8, text: u8, hall: bool },
    Code { who: u8, text: u8, hall: bool },
    Biometric { who: u8, hall: bool },
    Register { who: u8 },
    TakeBack { who: u8, newest: bool },
    MarkLeft { who: u8 },
    Join { who: u8, connection: u8 },
    Disconnect { who: u8, connection: u8 },
    Delegate { unit: u8, to: u8 },
    EndDelegation { unit: u8 },
    SecondCall,
    AskForProof { needed: bool },
}

fn person(number: u8) -> UserId {
    user(&format!("u{number}"))
}

fn unit_of(number: u8) -> UnitId {
    unit(&format!("unit {number}"))
}

pub(crate) fn people() -> Vec<UserId> {
    (0..PEOPLE).map(person).collect()
}

/// Members u0 to u3 with two units each; u4 and u5 are not on the list.
pub(crate) fn roll() -> Roll {
    let members = (0..4).map(|number| Member {
        user_id: person(number),
        name: String::new(),
        units: (0..2)
            .map(|index| {
                (unit_of(number * 2 + index), Weight::from_millionths(1 << (number + index)))
            })
            .collect::<BTreeMap<_, _>>(),
    });
    Roll::new(members).expect("a roll")
}

pub(crate) fn rules() -> AttendanceRules {
    AttendanceRules { delegated_units_max: 2, ..AttendanceRules::default() }
}

/// The rules, with or without the need to prove presence.
pub(crate) fn rules_with(proof_needed: bool) -> AttendanceRules {
    let admission = if proof_needed { Admission::Proof } else { Admission::Channel };
    AttendanceRules { admission, ..rules() }
}

impl Command {
    /// Gives the command; the answer is `Ok` for those that can't be refused.
    pub(crate) fn run(
        &self,
        attendance: &mut Attendance,
        now: Timestamp,
    ) -> Result<(), AttendanceError> {
        let chair = user(CHAIR);
        let place = |hall: bool| if hall { Place::Hall } else { Place::Remote };
        match *self {
            Self::Qr { who, text, hall } => attendance.handle_validated(
                &person(who),
                qr(&text.to_string()),
                place(hall),
                None,
                now,
            ),
            Self::Code { who, text, hall } => attendance.handle_validated(
                &person(who),
                code(&text.to_string()),
                place(hall),
                None,
                now,
            ),
            Self::Biometric { who, hall } => {
                attendance.handle_validated(&person(who), Proof::Biometric, place(hall), None, now)
            }
            Self::Register { who } => {
                attendance.register(&person(who), BTreeSet::new(), (decision(1), &chair), now)
            }
            Self::TakeBack { who, newest } => {
                let made = if newest { decision(1) } else { decision(0) };
                attendance.take_back(&person(who), (made, &chair), now)
            }
            Self::MarkLeft { who } => {
                attendance.mark_left(&person(who), (decision(1), &chair), now)
            }
            Self::Join { who, connection: it } => {
                attendance.handle_joined(&person(who), connection(it.into()), now);
                Ok(())
            }
            Self::Disconnect { who, connection: it } => {
                attendance.handle_disconnected(&person(who), connection(it.into()), now);
                Ok(())
            }
            Self::Delegate { unit, to } => {
                attendance.delegate(&unit_of(unit), &person(to), &chair, now)
            }
            Self::EndDelegation { unit } => attendance.end_delegation(&unit_of(unit), &chair, now),
            Self::SecondCall => attendance.begin_second_call(now),
            Self::AskForProof { needed } => {
                attendance.set_rules(rules_with(needed), now);
                Ok(())
            }
        }
    }

    /// Tells the model of a command that succeeded.
    fn tell(&self, model: &mut Model, was_present: bool) {
        match *self {
            Self::Qr { who, hall, .. }
            | Self::Code { who, hall, .. }
            | Self::Biometric { who, hall } => {
                model.dismissed.remove(&person(who));
                if hall || matches!(model.made.get(&person(who)), Some(Made::MarkedLeft { .. })) {
                    model.made.remove(&person(who));
                }
                if hall { &mut model.hall } else { &mut model.proven }.insert(person(who));
            }
            Self::Register { who } => {
                if model.hall.insert(person(who)) {
                    model.dismissed.remove(&person(who));
                    model.made.insert(person(who), Made::Registered);
                }
            }
            Self::TakeBack { who, newest } => {
                assert!(newest, "only the newest decision is taken back");
                match model.made.remove(&person(who)).expect("something was decided") {
                    Made::Registered => {
                        model.hall.remove(&person(who));
                    }
                    Made::MarkedLeft { hall, proven } => {
                        model.hall.extend(hall.then(|| person(who)));
                        model.proven.extend(proven.then(|| person(who)));
                        model.dismissed.remove(&person(who));
                    }
                }
            }
            Self::MarkLeft { who } => {
                assert!(was_present, "only who is there can be marked as left");
                let hall = model.hall.remove(&person(who));
                let proven = model.proven.remove(&person(who));
                model.made.insert(person(who), Made::MarkedLeft { hall, proven });
                model.dismissed.insert(person(who));
            }
            Self::Join { who, connection: it } => {
                model.dismissed.remove(&person(who));
                model.connections.insert((person(who), connection(it.into())));
            }
            Self::Disconnect { who, connection: it } => {
                model.connections.remove(&(person(who), connection(it.into())));
            }
            Self::Delegate { unit, to } => {
                model.delegates.insert(unit_of(unit), person(to));
            }
            Self::EndDelegation { unit } => {
                model.delegates.remove(&unit_of(unit));
            }
            Self::SecondCall => {}
            Self::AskForProof { needed } => model.proof_needed = needed,
        }
    }

    const fn who(&self) -> Option<u8> {
        match self {
            Self::MarkLeft { who } => Some(*who),
            _ => None,
        }
    }
}

pub(crate) fn commands() -> impl Strategy<Value = Vec<(Command, u32)>> {
    let (who, text, link) = (0..PEOPLE, 0..12_u8, 0..3_u8);
    let command = prop_oneof![
        (who.clone(), text.clone(), any::<bool>()).prop_map(|(who, text, hall)| Command::Qr {
            who,
            text,
            hall
        }),
        (who.clone(), text, any::<bool>()).prop_map(|(who, text, hall)| Command::Code {
            who,
            text,
            hall
        }),
        (who.clone(), any::<bool>()).prop_map(|(who, hall)| Command::Biometric { who, hall }),
        who.clone().prop_map(|who| Command::Register { who }),
        (who.clone(), any::<bool>()).prop_map(|(who, newest)| Command::TakeBack { who, newest }),
        who.clone().prop_map(|who| Command::MarkLeft { who }),
        (who.clone(), link.clone()).prop_map(|(who, connection)| Command::Join { who, connection }),
        (who.clone(), link).prop_map(|(who, connection)| Command::Disconnect { who, connection }),
        (0..=UNITS, who).prop_map(|(unit, to)| Command::Delegate { unit, to }),
        (0..=UNITS).prop_map(|unit| Command::EndDelegation { unit }),
        Just(Command::SecondCall),
        any::<bool>().prop_map(|needed| Command::AskForProof { needed }),
    ];
    prop::collection::vec((command, 0..5_000_u32), 0..120)
}

/// What was told, held against what is.
#[derive(Default)]
struct Listener {
    present: BTreeSet<UserId>,
    reached: bool,
}

impl Listener {
    fn hears(&mut self, attendance: &mut Attendance) {
        let mut shown = None;
        while let Some(event) = attendance.poll_event() {
            match event {
                AttendanceEvent::Entered { user_id, interval, .. } => {
                    assert_eq!(interval.ended, None);
                    assert!(self.present.insert(user_id), "entered twice");
                }
                AttendanceEvent::Left { user_id, interval, .. } => {
                    assert!(interval.ended.is_some());
                    assert!(self.present.remove(&user_id), "left without having entered");
                }
                AttendanceEvent::QuorumChanged(view) => shown = Some(view),
                AttendanceEvent::QuorumTurned(change) => {
                    assert_ne!(change.reached, self.reached, "turned to what it was");
                    self.reached = change.reached;
                }
                _ => {}
            }
        }
        if let Some(shown) = shown {
            assert_eq!(shown, attendance.quorum(), "an old quorum was told");
        }
        assert_eq!(self.reached, attendance.quorum().reached);
        let present = attendance.people().filter(|(_, person)| person.is_present());
        assert!(present.map(|(user, _)| user).eq(&self.present));
    }
}

proptest! {
    #[test]
    fn every_sequence_counts_as_the_model_counts(commands in commands()) {
        let people = people();
        let mut now = Timestamp::from_unix_us(1_700_000_000_000_000);
        let mut attendance = Attendance::new(rules(), now);
        attendance.set_roll(roll(), [], now);
        let (mut model, mut listener) = (Model::default(), Listener::default());
        model.tick(now, &people);
        for (command, pause_ms) in commands {
            now = now.after(Duration::from_millis(pause_ms.into()));
            model.tick(now, &people);
            let was_present = command.who().is_some_and(|who| model.is_present(&person(who)));
            let before = attendance.clone();
            if command.run(&mut attendance, now).is_ok() {
                command.tell(&mut model, was_present);
            } else {
                prop_assert_eq!(&before, &attendance, "a refusal changed something");
            }
            listener.hears(&mut attendance);
            model.assert_shows(&attendance, &people, now);
            let held = |user| model.delegates.values().filter(|it| *it == user).count();
            prop_assert!(people.iter().all(|user| held(user) <= 2), "the limit of delegations");
        }
    }

    #[test]
    fn nothing_is_taken_twice_but_from_who_was_marked_as_left(commands in commands()) {
        let now = Timestamp::from_unix_us(1_700_000_000_000_000);
        let mut attendance = Attendance::new(rules(), now);
        attendance.set_roll(roll(), [], now);
        let mut model = Model::default();
        let mut presented = BTreeMap::new();
        for (command, _) in commands {
            let was_present = command.who().is_some_and(|who| model.is_present(&person(who)));
            let (who, once) = match command {
                Command::Qr { who, text, .. } => (who, Some((None, text))),
                Command::Code { who, text, .. } => (who, Some((Some(who), text))),
                _ => (0, None),
            };
            let stands = model.hall.contains(&person(who)) || model.proven.contains(&person(who));
            let answer = command.run(&mut attendance, now);
            if answer.is_ok() {
                command.tell(&mut model, was_present);
            }
            let Some(once) = once else { continue };
            if let Some(before) = presented.get(&once) {
                let replays = *before != who || stands;
                prop_assert!(!replays || answer.is_err(), "taken twice");
                prop_assert!(replays || answer != Err(AttendanceError::Replayed), "not taken back");
            } else {
                prop_assert!(answer != Err(AttendanceError::Replayed), "was never presented");
            }
            if answer.is_ok() {
                presented.insert(once, who);
            }
        }
    }
}
