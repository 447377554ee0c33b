//! A snapshot puts the same attendance together again, or is refused.

use std::time::Duration;

use cabildo::attendance::{Attendance, AttendanceError, AttendanceRules, AttendanceSnapshot};
use cabildo::domain::attendance::{AttendanceMethod, LeaveCause};
use cabildo::domain::time::Timestamp;
use proptest::prelude::*;

use crate::attendance::fixture::{Assembly, unit, user};
use crate::attendance::properties::{commands, roll, rules, rules_with};

proptest! {
    #[test]
    fn a_restored_attendance_goes_on_like_the_one_it_was_taken_of(
        before in commands(), after in commands(), ends in any::<bool>(),
    ) {
        let mut now = Timestamp::from_unix_us(1_700_000_000_000_000);
        let mut attendance = Attendance::new(rules(), now);
        attendance.set_roll(roll(), [], now);
        let mut rules = rules();
        for (command, pause_ms) in before {
            now = now.after(Duration::from_millis(pause_ms.into()));
            let _refused = command.run(&mut attendance, now).is_err();
            if let crate::attendance::properties::Command::AskForProof { needed } = command {
                rules = rules_with(needed);
            }
        }
        if ends {
            attendance.handle_session_end(now);
        }
        while attendance.poll_event().is_some() {}
        let mut restored = Attendance::restore(attendance.snapshot(), rules).expect("a snapshot");
        prop_assert_eq!(&restored, &attendance);
        for (command, pause_ms) in after {
            now = now.after(Duration::from_millis(pause_ms.into()));
            let (left, right) = (command.run(&mut attendance, now), command.run(&mut restored, now));
            prop_assert_eq!(left, right);
            prop_assert_eq!(&restored, &attendance);
        }
    }
}

fn refused(change: impl FnOnce(&mut AttendanceSnapshot)) -> &'static str {
    let mut assembly = Assembly::new(AttendanceRules::default());
    assembly.enters("ana");
    assembly.joins("bea", 1);
    assembly.delegates("103", "bea");
    assembly.pass(60);
    assembly.disconnects("bea", 1);
    assembly.told();
    let mut snapshot = assembly.attendance.snapshot();
    Attendance::restore(snapshot.clone(), AttendanceRules::default())
        .expect("unchanged, it is taken");
    change(&mut snapshot);
    match Attendance::restore(snapshot, AttendanceRules::default()) {
        Err(AttendanceError::SnapshotInvalid(rule)) => rule,
        other => panic!("taken: {other:?}"),
    }
}

#[test]
fn a_snapshot_that_contradicts_itself_is_refused() {
    let person = |it: &mut AttendanceSnapshot,
                  who: &str,
                  change: &dyn Fn(&mut cabildo::attendance::Person)| {
        change(it.people.get_mut(&user(who)).expect("known"));
    };
    let rules = [
        refused(|it| it.tally.heads_present += 1),
        refused(|it| person(it, "ana", &|ana| ana.hall = None)),
        refused(|it| person(it, "bea", &|bea| bea.hall = Some(AttendanceMethod::Manual))),
        refused(|it| {
            let until = it.last.after(Duration::from_secs(1));
            person(it, "bea", &|bea| {
                bea.intervals[0].ended = Some((until, LeaveCause::Disconnected));
            });
        }),
        refused(|it| {
            person(it, "bea", &|bea| {
                let from = bea.intervals[0].from.before(Duration::from_secs(1));
                bea.intervals[0].ended = Some((from, LeaveCause::Disconnected));
            });
        }),
        refused(|it| {
            person(it, "bea", &|bea| bea.intervals.push_front(bea.intervals[0]));
        }),
        refused(|it| {
            it.delegates.insert(unit("999"), user("ana"));
        }),
        refused(|it| {
            it.delegates.insert(unit("101"), user("ana"));
        }),
        refused(|it| it.history.extend(it.history.back().copied())),
        refused(|it| it.last = it.last.before(Duration::from_hours(1))),
        refused(|it| it.over = true),
    ];
    assert_eq!(rules[0], "the tally is not what people add up to");
    assert_eq!(rules[1], "somebody is present without a reason");
    assert_eq!(rules[2], "somebody is in the hall and not present");
    assert_eq!(rules[3], "an interval lies ahead");
    assert_eq!(rules[4], "an interval ends before it begins");
    assert_eq!(rules[5], "intervals overlap");
    assert_eq!(rules[6], "a delegation of no one's unit");
    assert_eq!(rules[7], "a delegation of no one's unit");
    assert!(rules[8].starts_with("a quorum was reached"), "{}", rules[8]);
    assert_eq!(rules[9], "an interval lies ahead");
    assert_eq!(rules[10], "somebody is there after the end");
}
