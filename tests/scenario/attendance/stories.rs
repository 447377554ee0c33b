//! One story per rule.

use std::collections::BTreeSet;

use cabildo::attendance::{
    Admission, AttendanceError, AttendanceEvent, AttendanceRules, CoarseLocation, Consent,
    INTERVALS_PER_PERSON_MAX, Member, Proof, QuorumRule, QuorumRules, Roll, RollInvalid,
};
use cabildo::domain::attendance::{AttendanceMethod, Place, QuorumCall};

use crate::attendance::fixture::{
    Assembly, CHAIR, code, decision, member, qr, three_members, unit, user,
};

const PROOF_NEEDED: fn() -> AttendanceRules =
    || AttendanceRules { admission: Admission::Proof, ..AttendanceRules::default() };

#[test]
fn somebody_enters_the_hall_and_a_quorum_is_reached_and_lost() {
    let mut assembly = Assembly::new(AttendanceRules::default());
    assembly.enters("ana");
    assert_eq!(
        assembly.told(),
        ["validated ana qr hall", "entered ana qr hall", "quorum 1 heads 40"]
    );
    assembly.pass(60);
    assembly.registers("bea");
    assert_eq!(
        assembly.told(),
        [
            "validated bea manual hall",
            "entered bea manual hall",
            "quorum 2 heads 75",
            "reached on the first call",
        ]
    );
    let reached_at = assembly.now;
    assembly.pass(600);
    assembly.marked_left("ana");
    assert_eq!(
        assembly.told(),
        ["left ana marked_left", "quorum 1 heads 35", "lost on the first call"]
    );
    let history: Vec<_> = assembly.attendance.history().map(|it| (it.at, it.reached)).collect();
    assert_eq!(history, [(reached_at, true), (assembly.now, false)]);
    assert_eq!(assembly.attendance.quorum().since, Some(assembly.now));
}

#[test]
fn one_person_counts_once_across_devices_and_reconnects() {
    let mut assembly = Assembly::new(AttendanceRules::default());
    assembly.joins("ana", 1);
    assembly.joins("ana", 2);
    assembly.enters("ana");
    assert_eq!(assembly.counted(), "1 heads, 40");
    assert_eq!(assembly.intervals("ana"), 1);
    assembly.pass(10);
    assembly.disconnects("ana", 1);
    assembly.disconnects("ana", 2);
    assert_eq!(assembly.counted(), "1 heads, 40", "still in the hall");
    assembly.marked_left("ana");
    assembly.pass(100);
    assembly.joins("ana", 3);
    assembly.pass(5);
    assert_eq!(assembly.intervals("ana"), 2);
    assert_eq!(assembly.total_s("ana"), 15, "the time away does not count");
}

#[test]
fn a_proof_of_a_remote_person_holds_across_connections() {
    let mut assembly = Assembly::new(PROOF_NEEDED());
    assembly.joins("ana", 1);
    assert_eq!(assembly.counted(), "0 heads, 0", "connected without proof");
    let (ana, now) = (user("ana"), assembly.now);
    let taken = assembly.attendance.handle_validated(&ana, code("1"), Place::Remote, None, now);
    assert_eq!(taken, Ok(()));
    assert_eq!(assembly.counted(), "1 heads, 40");
    assembly.disconnects("ana", 1);
    assert_eq!(assembly.counted(), "0 heads, 0");
    assembly.joins("ana", 2);
    assert_eq!(assembly.counted(), "1 heads, 40", "no new proof is needed");
    assembly.marked_left("ana");
    assembly.joins("ana", 3);
    assert_eq!(assembly.counted(), "0 heads, 0", "now it is");
}

#[test]
fn a_proof_before_the_connection_counts_from_the_connection_on() {
    let mut assembly = Assembly::new(PROOF_NEEDED());
    let (ana, now) = (user("ana"), assembly.now);
    let taken = assembly.attendance.handle_validated(&ana, code("1"), Place::Remote, None, now);
    assert_eq!(taken, Ok(()));
    assert_eq!(assembly.counted(), "0 heads, 0");
    assembly.joins("ana", 1);
    assert_eq!(assembly.counted(), "1 heads, 40");
}

#[test]
fn a_qr_code_is_valid_once_whoever_presents_it() {
    let mut assembly = Assembly::new(AttendanceRules::default());
    let present = |who: &'static str| {
        move |attendance: &mut cabildo::attendance::Attendance, now| {
            attendance.handle_validated(&user(who), qr("one"), Place::Hall, None, now)
        }
    };
    let now = assembly.now;
    assert_eq!(present("ana")(&mut assembly.attendance, now), Ok(()));
    assert_eq!(assembly.refused(present("ana")), AttendanceError::Replayed);
    assert_eq!(assembly.refused(present("bea")), AttendanceError::Replayed);
    assembly.marked_left("ana");
    assert_eq!(assembly.refused(present("bea")), AttendanceError::Replayed, "as ever");
}

#[test]
fn who_was_marked_as_left_comes_back_by_the_same_proof() {
    for proof in [qr("one"), code("1")] {
        let mut assembly = Assembly::new(AttendanceRules::default());
        let present = |who: &'static str| {
            move |attendance: &mut cabildo::attendance::Attendance, now| {
                attendance.handle_validated(&user(who), proof, Place::Hall, None, now)
            }
        };
        present("ana")(&mut assembly.attendance, assembly.now).expect("taken");
        assembly.pass(10);
        let method = proof.method();
        assembly.marked_left("ana");
        assembly.told();
        assembly.pass(5);
        assert!(assembly.attendance.may_repeat(&user("ana"), &proof));
        assert!(!assembly.attendance.may_repeat(&user("bea"), &proof));
        present("ana")(&mut assembly.attendance, assembly.now).expect("taken again");
        assert_eq!(
            assembly.told(),
            [
                format!("validated ana {method} hall"),
                format!("entered ana {method} hall"),
                "quorum 1 heads 40".to_owned(),
            ]
        );
        assembly.pass(10);
        assert_eq!(assembly.total_s("ana"), 20, "the time marked as left does not count");
        let again = assembly.refused(present("ana"));
        assert_eq!(again, AttendanceError::Replayed, "it holds again");
        assert_eq!(assembly.attendance.snapshot().presented.len(), 1, "kept once");
    }
}

#[test]
fn two_people_may_be_sent_the_same_digits() {
    let mut assembly = Assembly::new(AttendanceRules::default());
    let now = assembly.now;
    let mut present = |who: &str| {
        let attendance = &mut assembly.attendance;
        attendance.handle_validated(&user(who), code("123456"), Place::Hall, None, now)
    };
    assert_eq!(present("ana"), Ok(()));
    assert_eq!(present("bea"), Ok(()));
    assert_eq!(present("ana"), Err(AttendanceError::Replayed));
}

#[test]
fn of_a_biometric_sample_nothing_is_kept() {
    let mut assembly = Assembly::new(AttendanceRules::default());
    let (ana, now) = (user("ana"), assembly.now);
    for _ in 0..2 {
        let proof = Proof::Biometric;
        let taken = assembly.attendance.handle_validated(&ana, proof, Place::Hall, None, now);
        assert_eq!(taken, Ok(()), "the same sample is not known again");
    }
    assert!(assembly.attendance.snapshot().presented.is_empty());
    while let Some(event) = assembly.attendance.poll_event() {
        if let AttendanceEvent::Validated { hash, .. } = event {
            assert_eq!(hash, None);
        }
    }
}

#[test]
fn a_location_is_told_with_the_validation_and_not_kept() {
    let mut assembly = Assembly::new(AttendanceRules::default());
    let location = CoarseLocation::new(4.711, -74.072, Consent::Given);
    let (ana, now) = (user("ana"), assembly.now);
    let attendance = &mut assembly.attendance;
    attendance.handle_validated(&ana, qr("one"), Place::Hall, location, now).expect("taken");
    let told = assembly.attendance.poll_event();
    assert!(
        matches!(told, Some(AttendanceEvent::Validated { location: it, .. }) if it == location)
    );
    assert!(location.is_some());
}

#[test]
fn who_is_not_eligible_is_not_taken_and_joining_does_not_count() {
    let mut assembly = Assembly::new(AttendanceRules::default());
    let stranger = user("zoe");
    assert_eq!(
        assembly.refused(|it, now| it.handle_validated(&stranger, qr("z"), Place::Hall, None, now)),
        AttendanceError::NotEligible
    );
    assert_eq!(
        assembly.refused(|it, now| it.register(
            &stranger,
            BTreeSet::new(),
            (decision(1), &user(CHAIR)),
            now
        )),
        AttendanceError::NotEligible
    );
    assembly.joins("zoe", 1);
    assert_eq!(assembly.counted(), "0 heads, 0");
    assert!(assembly.attendance.is_present(&stranger), "but it is noted that they were there");
}

#[test]
fn a_delegate_counts_for_several_units_and_no_unit_counts_twice() {
    let mut assembly = Assembly::new(AttendanceRules::default());
    assembly.delegates("103", "zoe");
    assembly.delegates("101", "zoe");
    assert_eq!(assembly.counted(), "0 heads, 0");
    assembly.enters("zoe");
    assert_eq!(assembly.counted(), "2 heads, 55", "Ana and Carl, with what is delegated");
    assert_eq!(assembly.attendance.representative(&unit("103")), Some(&user("zoe")));
    assembly.enters("carl");
    assert_eq!(assembly.counted(), "2 heads, 65", "Carl represents his units himself");
    assert_eq!(assembly.attendance.representative(&unit("103")), Some(&user("carl")));
    assembly.marked_left("carl");
    assembly.marked_left("zoe");
    assert_eq!(assembly.counted(), "0 heads, 0");
}

#[test]
fn delegations_have_a_limit_per_session_and_their_reasons_to_be_refused() {
    let rules = AttendanceRules { delegated_units_max: 1, ..AttendanceRules::default() };
    let mut assembly = Assembly::new(rules);
    assembly.delegates("103", "zoe");
    let chair = user(CHAIR);
    let mut refuses = |unit_id: &str, to: &str| {
        let (unit, to) = (unit(unit_id), user(to));
        assembly.refused(|it, now| it.delegate(&unit, &to, &chair, now))
    };
    assert_eq!(refuses("101", "zoe"), AttendanceError::DelegationLimitReached);
    assert_eq!(refuses("103", "bea"), AttendanceError::AlreadyDelegated);
    assert_eq!(refuses("101", "ana"), AttendanceError::OwnUnit);
    assert_eq!(refuses("101", "Cabildo:Recorder"), AttendanceError::NotEligible);
    assert_eq!(refuses("999", "bea"), AttendanceError::UnitNotFound);
    let now = assembly.now;
    assert_eq!(assembly.attendance.end_delegation(&unit("103"), &chair, now), Ok(()));
    assert_eq!(
        assembly.refused(|it, now| it.end_delegation(&unit("103"), &chair, now)),
        AttendanceError::NotDelegated
    );
    assembly.delegates("101", "zoe");
}

#[test]
fn a_delegation_that_ends_takes_its_weight_away() {
    let mut assembly = Assembly::new(AttendanceRules::default());
    assembly.delegates("101", "bea");
    assembly.enters("bea");
    assert_eq!(assembly.counted(), "2 heads, 75");
    assembly.told();
    let (chair, now) = (user(CHAIR), assembly.now);
    assembly.attendance.end_delegation(&unit("101"), &chair, now).expect("ended");
    assert_eq!(
        assembly.told(),
        ["delegation of 101 to bea ended", "quorum 1 heads 35", "lost on the first call"]
    );
}

/// Takes a decision back that is not the newest one.
fn stale(assembly: &mut Assembly, who: &str, number: u128) {
    let (who, made, chair) = (user(who), decision(number), user(CHAIR));
    let refused = assembly.refused(|it, now| it.take_back(&who, (made, &chair), now));
    assert_eq!(refused, AttendanceError::DecisionStale);
}

#[test]
fn a_registration_by_mistake_is_taken_back() {
    let mut assembly = Assembly::new(AttendanceRules::default());
    assembly.decides("ana", 1);
    assembly.decides("ana", 2);
    assert_eq!(assembly.intervals("ana"), 1, "registering twice is registering once");
    stale(&mut assembly, "ana", 2);
    assembly.takes_back("ana", 1);
    assert_eq!(assembly.counted(), "0 heads, 0");
    assert_eq!(assembly.told().last().map(String::as_str), Some("quorum 0 heads 0"));
    stale(&mut assembly, "ana", 1);
    stale(&mut assembly, "nobody", 1);
}

#[test]
fn what_somebody_proved_themselves_is_not_taken_back() {
    let mut assembly = Assembly::new(AttendanceRules::default());
    assembly.decides("bea", 1);
    assembly.enters("bea");
    stale(&mut assembly, "bea", 1);
    assembly.marked_left("bea");
    assembly.enters("bea");
    stale(&mut assembly, "bea", 2);
    assert_eq!(assembly.counted(), "1 heads, 35");
}

#[test]
fn a_decision_that_another_one_followed_is_not_taken_back() {
    let mut assembly = Assembly::new(AttendanceRules::default());
    assembly.decides("ana", 1);
    assembly.marked_left("ana");
    assembly.decides("ana", 3);
    for number in [1, 2] {
        stale(&mut assembly, "ana", number);
    }
    assert_eq!(assembly.counted(), "1 heads, 40");
    assembly.takes_back("ana", 3);
    assert_eq!(assembly.counted(), "0 heads, 0");
}

#[test]
fn whoever_was_marked_as_left_by_mistake_is_known_as_before() {
    let mut assembly = Assembly::new(AttendanceRules::default());
    assembly.enters("ana");
    assembly.joins("bea", 1);
    assembly.marked_left("ana");
    assembly.marked_left("bea");
    assert_eq!(assembly.counted(), "0 heads, 0");
    assembly.takes_back("ana", 2);
    assembly.takes_back("bea", 2);
    assert_eq!(assembly.counted(), "2 heads, 75");
    let person = |who| assembly.attendance.person(&user(who)).expect("there");
    let known = |who| person(who).intervals.back().map(|last| (last.method, last.place));
    assert_eq!(known("ana"), Some((AttendanceMethod::Qr, Place::Hall)));
    assert_eq!(known("bea"), Some((AttendanceMethod::Channel, Place::Remote)));
}

#[test]
fn only_what_a_registration_delegated_is_taken_back_with_it() {
    let mut assembly = Assembly::new(AttendanceRules::default());
    let (bea, chair) = (user("bea"), user(CHAIR));
    assembly.delegates("101", "bea");
    assembly.delegates("103", "bea");
    let delegated = BTreeSet::from([unit("101"), unit("103")]);
    let made = (decision(1), &chair);
    assembly.attendance.register(&bea, delegated, made, assembly.now).expect("registered");
    // Another desk has ended one of them since, and entered it anew.
    assembly.attendance.end_delegation(&unit("103"), &chair, assembly.now).expect("ended");
    assembly.delegates("103", "bea");
    assembly.takes_back("bea", 1);
    let left: Vec<_> = assembly.attendance.delegations().map(|(unit, _)| unit.clone()).collect();
    assert_eq!(left, [unit("103")]);
    assert!(!assembly.attendance.is_present(&bea));
}

#[test]
fn the_second_call_needs_less_and_begins_once() {
    let mut assembly = Assembly::new(AttendanceRules::default());
    assembly.enters("carl");
    assembly.told();
    assembly.pass(3_600);
    let now = assembly.now;
    assembly.attendance.begin_second_call(now).expect("begins");
    assert_eq!(assembly.told(), ["second call", "quorum 1 heads 25", "reached on the second call"]);
    assert_eq!(assembly.attendance.quorum().call, QuorumCall::Second);
    assert_eq!(
        assembly.refused(cabildo::attendance::Attendance::begin_second_call),
        AttendanceError::CallConflict
    );
    let first: QuorumRule = QuorumRules::default().first;
    let only_one = QuorumRules { first, second: None };
    let mut assembly =
        Assembly::new(AttendanceRules { quorum: only_one, ..AttendanceRules::default() });
    assert_eq!(
        assembly.refused(cabildo::attendance::Attendance::begin_second_call),
        AttendanceError::CallConflict
    );
}

#[test]
fn people_come_before_the_list_is_known_and_count_when_it_is() {
    let now = Assembly::new(AttendanceRules::default()).now;
    let mut assembly = Assembly::new(AttendanceRules::default());
    assembly.attendance = cabildo::attendance::Attendance::new(AttendanceRules::default(), now);
    assembly.enters("ana");
    assembly.joins("bea", 1);
    assert_eq!(
        assembly.refused(|it, now| it.register(
            &user("carl"),
            BTreeSet::new(),
            (decision(1), &user(CHAIR)),
            now
        )),
        AttendanceError::RollUnknown
    );
    assert!(!assembly.attendance.quorum().reached);
    assert!(!assembly.attendance.quorum().roll_known);
    assembly.told();
    assembly.attendance.set_roll(three_members(), [(unit("103"), user("bea"))], now);
    assert_eq!(
        assembly.told(),
        [
            "ana corrected",
            "bea corrected",
            "delegated 103 to bea",
            "quorum 3 heads 90",
            "reached on the first call"
        ]
    );
}

#[test]
fn a_new_list_ends_delegations_of_units_that_are_gone() {
    let mut assembly = Assembly::new(AttendanceRules::default());
    assembly.delegates("103", "ana");
    assembly.enters("ana");
    assembly.told();
    let roll = Roll::new([member("ana", &[("101", "1")]), member("bea", &[("102", "1")])]);
    let now = assembly.now;
    assembly.attendance.set_roll(roll.expect("a roll"), [], now);
    assert_eq!(
        assembly.told(),
        [
            "ana corrected",
            "delegation of 103 to ana ended",
            "quorum 1 heads 1",
            "lost on the first call",
        ]
    );
    assert!(!assembly.attendance.quorum().reached, "one of two is not more than half");
}

#[test]
fn a_new_list_ends_the_delegation_of_a_unit_that_is_the_delegates_own_now() {
    let mut assembly = Assembly::new(AttendanceRules::default());
    assembly.delegates("103", "ana");
    let roll = Roll::new([member("ana", &[("103", "1")])]).expect("a roll");
    let now = assembly.now;
    assembly.attendance.set_roll(roll, [], now);
    assert_eq!(assembly.attendance.delegations().count(), 0);
}

#[test]
fn a_list_that_would_count_something_twice_is_refused() {
    let twice: Vec<Member> = vec![member("ana", &[("101", "1")]), member("bea", &[("101", "1")])];
    assert_eq!(Roll::new(twice), Err(RollInvalid::UnitTwice));
    let twice = vec![member("ana", &[("101", "1")]), member("ana", &[("102", "1")])];
    assert_eq!(Roll::new(twice), Err(RollInvalid::MemberTwice));
}

#[test]
fn after_the_end_everybody_has_left_and_the_quorum_stays() {
    let mut assembly = Assembly::new(AttendanceRules::default());
    assembly.enters("ana");
    assembly.joins("bea", 1);
    assembly.told();
    assembly.pass(60);
    let now = assembly.now;
    assembly.attendance.handle_session_end(now);
    assert_eq!(assembly.told(), ["left ana session_ended", "left bea session_ended"]);
    assert!(assembly.attendance.quorum().reached);
    assert_eq!(assembly.counted(), "2 heads, 75");
    assert_eq!(assembly.total_s("bea"), 60);
    assembly.attendance.set_roll(three_members(), [], now);
    assembly.attendance.handle_joined(
        &user("carl"),
        crate::attendance::fixture::connection(9),
        now,
    );
    assert_eq!(assembly.told(), Vec::<String>::new());
    assert_eq!(assembly.counted(), "2 heads, 75");
    assert_eq!(
        assembly.refused(|it, now| it.register(
            &user("carl"),
            BTreeSet::new(),
            (decision(1), &user(CHAIR)),
            now
        )),
        AttendanceError::Over
    );
}

#[test]
fn a_rule_that_asks_for_proof_lets_go_of_who_has_none() {
    let mut assembly = Assembly::new(AttendanceRules::default());
    assembly.joins("ana", 1);
    assembly.enters("bea");
    assembly.told();
    let now = assembly.now;
    assembly.attendance.set_rules(PROOF_NEEDED(), now);
    assert_eq!(
        assembly.told(),
        ["left ana proof_required", "quorum 1 heads 35", "lost on the first call"]
    );
}

#[test]
fn old_intervals_become_a_sum_that_stays_right() {
    let mut assembly = Assembly::new(AttendanceRules::default());
    let rounds = INTERVALS_PER_PERSON_MAX + 10;
    for _ in 0..rounds {
        assembly.joins("ana", 1);
        assembly.pass(2);
        assembly.disconnects("ana", 1);
        assembly.pass(1);
    }
    assert_eq!(assembly.intervals("ana"), INTERVALS_PER_PERSON_MAX);
    assert_eq!(assembly.total_s("ana"), 2 * rounds as u64);
    let person = assembly.attendance.person(&user("ana")).expect("known");
    assert_eq!(person.earlier.count, 10);
}

#[test]
fn a_clock_that_is_set_back_makes_no_negative_interval() {
    let mut assembly = Assembly::new(AttendanceRules::default());
    assembly.enters("ana");
    let entered = assembly.now;
    assembly.now = entered.before(std::time::Duration::from_mins(10));
    assembly.marked_left("ana");
    let person = assembly.attendance.person(&user("ana")).expect("known");
    let (until, _) = person.intervals[0].ended.expect("ended");
    assert_eq!(until, entered);
}

#[test]
fn whoever_is_listed_otherwise_is_told_anew_and_keeps_a_name() {
    let mut assembly = Assembly::new(AttendanceRules::default());
    for who in ["ana", "bea", "carl"] {
        assembly.registers(who);
    }
    assembly.marked_left("carl");
    assembly.told();
    let corrected = Roll::new([
        member("ana", &[("101", "1")]),
        member("carl", &[("103", "15"), ("104", "10")]),
        member("dora", &[("105", "5")]),
    ]);
    assembly.attendance.set_roll(corrected.expect("a roll"), [], assembly.now);
    assert_eq!(
        assembly.told(),
        ["ana corrected", "bea corrected", "quorum 1 heads 1", "lost on the first call"]
    );
    let bea = assembly.attendance.person(&user("bea")).expect("somebody who was there");
    assert_eq!(bea.name, "name of bea", "she is on the list no more");
}
