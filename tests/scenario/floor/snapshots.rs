//! A floor that is taken apart and put together again is the same floor; one
//! that can't have been is refused.

use std::time::Duration;

use cabildo::domain::error_code::ErrorCode;
use cabildo::domain::floor::SpeechKind::{InterposedQuestion, Intervention, Normal};
use cabildo::domain::id::RequestId;
use cabildo::domain::time::Timestamp;
use cabildo::floor::{
    ARRIVALS_MAX, ENTRIES_MAX, Floor, FloorError, FloorPolicy, FloorSnapshot, Microphone,
    NAME_LENGTH_MAX, NOTE_LENGTH_MAX, PEOPLE_COUNTED_MAX, STACKED_TURNS_MAX, TURN_LIMIT_MAX,
    TurnClock,
};
use proptest::prelude::*;

use crate::floor::fixture::{Meeting, POLICY, drain, request, request_id, turn_id, user};
use crate::floor::legality::assert_legal;
use crate::floor::properties::meetings;

/// A floor with something of everything.
fn busy() -> Meeting {
    let mut meeting = Meeting::new(POLICY);
    meeting.speaks("ana", Normal);
    meeting.pass(12_345);
    meeting.speaks("eva", InterposedQuestion);
    meeting.floor.pause_turn(meeting.now).expect("paused");
    meeting.speaks("eli", InterposedQuestion);
    meeting.waits("ben", Intervention);
    let guest = meeting.new_request("carla", Normal);
    meeting.floor.add_speaker(guest, Microphone::Hall, meeting.now).expect("added");
    meeting.asks("dan", Normal);
    meeting.asks("fay", Normal);
    meeting.forget();
    meeting
}

#[test]
fn a_busy_floor_is_restored_as_it_was() {
    let meeting = busy();
    let restored = Floor::restore(meeting.floor.snapshot(), POLICY).expect("restored");
    assert_eq!(restored, meeting.floor);
}

#[test]
fn a_shorter_policy_lets_a_longer_turn_finish() {
    let meeting = busy();
    let shorter = FloorPolicy { max_turn: Duration::from_secs(40), ..POLICY };
    let mut floor = Floor::restore(meeting.floor.snapshot(), shorter).expect("restored");
    assert_eq!(floor.current_turn(meeting.now).expect("a turn").limit, POLICY.default_turn);
    let error = floor.extend_turn(Duration::from_secs(1), meeting.now);
    assert_eq!(error, Err(FloorError::TurnLimitReached));
}

type Tampering = (&'static str, fn(&mut FloorSnapshot));

const TAMPERINGS: &[Tampering] = &[
    ("more entries than a list holds", |it| {
        let entry = it.requested[0].clone();
        it.requested.resize(ENTRIES_MAX + 1, entry);
    }),
    ("more arrivals than a list takes", |it| it.next_arrival = ARRIVALS_MAX + 1),
    ("an undecided entry is approved", |it| {
        it.requested[0].approved_at = Some(Timestamp::from_unix_us(0));
    }),
    ("an entry waits without approval", |it| it.waiting[0].approved_at = None),
    ("somebody without a device asked for the floor", |it| {
        it.requested[0].microphone = Microphone::Hall;
    }),
    ("undecided entries are not in order of arrival", |it| it.requested.swap(0, 1)),
    ("an entry has not arrived yet", |it| it.waiting[1].arrival = it.next_arrival),
    ("a name is too long", |it| it.waiting[0].name = "x".repeat(NAME_LENGTH_MAX + 1)),
    ("a name is too long", |it| it.stacked[0].name = "x".repeat(NAME_LENGTH_MAX + 1)),
    ("a note is too long", |it| it.waiting[0].note = Some("x".repeat(NOTE_LENGTH_MAX + 1))),
    ("more stacked turns than may nest", |it| {
        let turn = it.stacked[1].clone();
        it.stacked.resize(STACKED_TURNS_MAX + 1, turn);
    }),
    ("turns are stacked and nobody holds the floor", |it| it.current = None),
    ("a turn is interrupted by something else than a question", |it| {
        it.stacked[1].kind = Normal;
    }),
    ("a turn is interrupted by something else than a question", |it| {
        it.current.as_mut().expect("a turn").kind = Normal;
    }),
    ("the current turn is interrupted", |it| {
        it.current.as_mut().expect("a turn").clock = TurnClock::Interrupted;
    }),
    ("a stacked turn runs", |it| {
        it.stacked[0].clock = TurnClock::Running { counted_until: Timestamp::from_unix_us(0) };
    }),
    ("a turn is longer than any may be", |it| {
        it.stacked[0].limit = TURN_LIMIT_MAX + Duration::from_micros(1);
    }),
    ("a time is not in whole microseconds", |it| it.stacked[0].used = Duration::from_nanos(1)),
    ("a time is not in whole microseconds", |it| it.stacked[0].limit = Duration::from_nanos(1)),
    ("two requests share an id", |it| it.waiting[0].request_id = it.requested[0].request_id),
    ("two requests share an id", |it| it.waiting[0].request_id = it.stacked[0].request_id),
    ("two turns share an id", |it| it.stacked[0].turn_id = it.stacked[1].turn_id),
    ("two requests arrived as one", |it| it.waiting[0].arrival = it.waiting[1].arrival),
    ("somebody waits twice with one kind", |it| it.waiting[1].user_id = user("dan")),
    ("more people are counted than a floor counts", |it| {
        it.turns_started.extend((0..PEOPLE_COUNTED_MAX).map(|n| (user(&format!("x{n}")), 1)));
    }),
    ("somebody had no turn", |it| {
        it.turns_started.insert(user("ben"), 0);
    }),
    ("a turn is not counted", |it| {
        it.turns_started.remove(&user("ana"));
    }),
    ("a turn is not counted", |it| it.stacked[0].user_id = user("eva")),
];

#[test]
fn an_impossible_snapshot_is_refused_by_the_rule_it_breaks() {
    let snapshot = busy().floor.snapshot();
    for (rule, tamper) in TAMPERINGS {
        let mut tampered = snapshot.clone();
        tamper(&mut tampered);
        let error = Floor::restore(tampered, POLICY).expect_err(rule);
        assert_eq!(error, FloorError::SnapshotInvalid(rule));
        assert_eq!(error.code(), ErrorCode::Internal);
    }
}

#[test]
fn beyond_the_people_counted_everybody_still_speaks() {
    let mut meeting = Meeting::new(POLICY);
    let mut snapshot = meeting.floor.snapshot();
    snapshot.turns_started = (0..PEOPLE_COUNTED_MAX).map(|n| (user(&format!("x{n}")), 1)).collect();
    meeting.floor = Floor::restore(snapshot, POLICY).expect("restored");
    meeting.speaks("ana", Normal);
    assert_eq!(meeting.floor.turns_started(&user("ana")), 0);
    meeting.speaks("x7", Normal);
    assert_eq!(meeting.floor.turns_started(&user("x7")), 2);
    meeting.speaks("ana", InterposedQuestion);
    meeting.forget();
    let again = Floor::restore(meeting.floor.snapshot(), POLICY).expect("restored again");
    assert_eq!(again, meeting.floor);
}

#[test]
fn a_list_that_took_all_its_arrivals_is_full() {
    let mut meeting = Meeting::new(POLICY);
    let mut snapshot = meeting.floor.snapshot();
    snapshot.next_arrival = ARRIVALS_MAX;
    meeting.floor = Floor::restore(snapshot, POLICY).expect("restored");
    let late = meeting.new_request("late", Normal);
    let error = meeting.refused(|floor, now| floor.handle_request_speech(late, now));
    assert_eq!(error, FloorError::QueueFull);
}

/// Changes one thing of a snapshot, possible or not.
fn tamper(snapshot: &mut FloorSnapshot, what: u8, which: usize, value: u64) {
    let span = Duration::from_micros(value);
    let moment = Timestamp::from_unix_us(value.cast_signed());
    let clocks =
        [TurnClock::Running { counted_until: moment }, TurnClock::Paused, TurnClock::Interrupted];
    let id: RequestId = request_id((value % 12).into());
    let entries = snapshot.requested.len() + snapshot.waiting.len();
    let turns = snapshot.stacked.len() + usize::from(snapshot.current.is_some());
    let entry = snapshot
        .requested
        .iter_mut()
        .chain(&mut snapshot.waiting)
        .nth(which.checked_rem(entries).unwrap_or(0));
    let turn = snapshot
        .stacked
        .iter_mut()
        .chain(&mut snapshot.current)
        .nth(which.checked_rem(turns).unwrap_or(0));
    match (what, entry, turn) {
        (0, Some(entry), _) => entry.arrival = value,
        (1, Some(entry), _) => entry.request_id = id,
        (2, Some(entry), _) => entry.approved_at = Some(moment),
        (3, Some(entry), _) => entry.kind = InterposedQuestion,
        (4, _, Some(turn)) => turn.limit = span,
        (5, _, Some(turn)) => turn.used = span,
        (6, _, Some(turn)) => turn.clock = clocks[which % 3],
        (7, _, Some(turn)) => turn.turn_id = turn_id((value % 24).into()),
        (8, _, Some(turn)) => turn.used = Duration::MAX,
        (9, _, _) => snapshot.next_arrival = value,
        (10, _, _) => snapshot.waiting.reverse(),
        (11, _, _) => snapshot.stacked.reverse(),
        (12, _, _) => snapshot.current = None,
        (13, _, _) => snapshot.turns_started.values_mut().for_each(|count| *count = u32::MAX),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 200, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn a_floor_restored_after_every_command_tells_the_same((policy, commands) in meetings()) {
        let mut floor = Floor::new(policy);
        let mut restored = floor.clone();
        let mut now = Timestamp::from_unix_us(1_700_000_000_000_000);
        for (command, step_us) in commands {
            now = Timestamp::from_unix_us(now.unix_us() + step_us);
            prop_assert_eq!(command.run(&mut floor, now), command.run(&mut restored, now));
            prop_assert_eq!(drain(&mut floor), drain(&mut restored));
            prop_assert_eq!(floor.poll_timeout(), restored.poll_timeout());
            restored = Floor::restore(restored.snapshot(), policy).expect("it is legal");
            prop_assert_eq!(&restored, &floor);
        }
    }

    #[test]
    fn a_tampered_snapshot_is_refused_or_leads_to_a_legal_floor(
        (policy, commands) in meetings(),
        tamperings in prop::collection::vec((0..14_u8, 0..20_usize, any::<u64>()), 1..3),
        small in any::<bool>(),
    ) {
        let mut floor = Floor::new(policy);
        let mut now = Timestamp::from_unix_us(1_700_000_000_000_000);
        let (before, after) = commands.split_at(commands.len() / 2);
        for (command, step_us) in before {
            now = Timestamp::from_unix_us(now.unix_us() + step_us);
            let answer = command.run(&mut floor, now);
            prop_assert!(answer.is_ok() || floor.poll_event().is_none());
            drain(&mut floor);
        }
        let mut snapshot = floor.snapshot();
        for (what, which, value) in tamperings {
            tamper(&mut snapshot, what, which, if small { value % 100 } else { value });
        }
        let Ok(mut floor) = Floor::restore(snapshot, policy) else { return Ok(()) };
        assert_legal(&floor, TURN_LIMIT_MAX, now);
        for (command, step_us) in after {
            now = Timestamp::from_unix_us(now.unix_us() + step_us);
            let answer = command.run(&mut floor, now);
            prop_assert!(answer.is_ok() || floor.poll_event().is_none());
            drain(&mut floor);
            assert_legal(&floor, TURN_LIMIT_MAX, now);
        }
    }
}

#[test]
fn a_request_from_before_the_restart_can_still_be_decided() {
    let mut floor = Floor::new(POLICY);
    let now = Timestamp::from_unix_us(0);
    floor.handle_request_speech(request(1, "ana", Normal), now).expect("taken");
    drain(&mut floor);
    let mut floor = Floor::restore(floor.snapshot(), POLICY).expect("restored");
    floor.approve(request_id(1), turn_id(1), now).expect("approved");
    assert_eq!(floor.waiting().count(), 1);
}
