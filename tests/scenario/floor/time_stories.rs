//! The clock of turns: limits, warnings, pauses, and clocks that misbehave.

use std::time::Duration;

use cabildo::domain::error_code::ErrorCode;
use cabildo::domain::floor::SpeechKind::{InterposedQuestion, Normal};
use cabildo::domain::time::Timestamp;
use cabildo::floor::{Floor, FloorError};

use crate::floor::fixture::{Meeting, POLICY, turn_id, user};

#[test]
fn a_speaker_is_warned_at_thirty_and_ten_seconds_and_never_again() {
    let mut meeting = Meeting::new(POLICY);
    meeting.speaks("ana", Normal);
    meeting.forget();
    let start = meeting.now;
    assert_eq!(meeting.floor.poll_timeout(), Some(start.after(Duration::from_secs(30))));
    meeting.run(29_999);
    assert!(meeting.told().is_empty());
    meeting.run(1);
    assert_eq!(meeting.told(), ["warned ana 30 s"]);
    meeting.floor.handle_timeout(meeting.now);
    assert!(meeting.told().is_empty());
    assert_eq!(meeting.floor.poll_timeout(), Some(start.after(Duration::from_secs(50))));
    meeting.run(20_000);
    assert_eq!(meeting.told(), ["warned ana 10 s"]);
    assert_eq!(meeting.floor.poll_timeout(), None);
    meeting.run(60_000);
    assert!(meeting.told().is_empty(), "nobody is cut off");
    assert_eq!(meeting.turn().left_us(), -50_000_000);
    assert_eq!(meeting.heard(), "ana");
}

#[test]
fn a_late_command_gives_each_due_warning_once_and_first() {
    let mut meeting = Meeting::new(POLICY);
    meeting.speaks("ana", Normal);
    meeting.forget();
    meeting.pass(3_600_000);
    meeting.floor.pause_turn(meeting.now).expect("paused");
    assert_eq!(meeting.told(), ["warned ana 30 s", "warned ana 10 s", "paused ana Moderator"]);
    meeting.floor.resume_turn(meeting.now).expect("resumed");
    meeting.pass(3_600_000);
    meeting.floor.handle_timeout(meeting.now);
    assert_eq!(meeting.told(), ["resumed ana"]);
}

#[test]
fn a_turn_that_starts_below_a_warning_does_not_pass_it() {
    let mut meeting = Meeting::new(POLICY);
    meeting.waits("ana", Normal);
    let limit = Some(Duration::from_secs(30));
    meeting.floor.start_turn(None, turn_id(9), limit, meeting.now).expect("started");
    meeting.forget();
    meeting.run(60_000);
    assert_eq!(meeting.told(), ["warned ana 10 s"]);
}

#[test]
fn an_extension_above_a_warning_makes_it_due_again() {
    let mut meeting = Meeting::new(POLICY);
    meeting.speaks("ana", Normal);
    meeting.run(55_000);
    meeting.forget();
    meeting.floor.extend_turn(Duration::from_secs(10), meeting.now).expect("extended");
    assert_eq!(meeting.told(), ["extended ana to 70 s"]);
    meeting.run(5_000);
    assert_eq!(meeting.told(), ["warned ana 10 s"], "15 s were left, so only the second");
    meeting.floor.extend_turn(Duration::from_secs(20), meeting.now).expect("extended");
    meeting.forget();
    meeting.run(20_000);
    assert_eq!(meeting.told(), ["warned ana 10 s"], "30 s were left: at it, not above");
    meeting.floor.extend_turn(Duration::from_mins(1), meeting.now).expect("extended");
    meeting.forget();
    meeting.run(70_000);
    assert_eq!(meeting.told(), ["warned ana 30 s", "warned ana 10 s"]);
}

#[test]
fn no_turn_is_longer_than_the_session_allows() {
    let mut meeting = Meeting::new(POLICY);
    meeting.waits("ana", Normal);
    let error = meeting.refused(|floor, now| {
        floor.start_turn(None, turn_id(9), Some(Duration::from_micros(300_000_001)), now)
    });
    assert_eq!(error.code(), ErrorCode::TurnLimitReached);
    let error = meeting.refused(|floor, now| {
        floor.start_turn(None, turn_id(9), Some(Duration::from_nanos(999)), now)
    });
    assert_eq!(error.code(), ErrorCode::UnprocessableRequest);
    meeting.floor.start_turn(None, turn_id(9), None, meeting.now).expect("started");
    for by in [Duration::from_micros(240_000_001), Duration::MAX] {
        let error = meeting.refused(|floor, now| floor.extend_turn(by, now));
        assert_eq!(error.code(), ErrorCode::TurnLimitReached);
    }
    let error = meeting.refused(|floor, now| floor.extend_turn(Duration::ZERO, now));
    assert_eq!(error, FloorError::NoDuration);
    meeting.floor.extend_turn(Duration::from_mins(4), meeting.now).expect("just long enough");
    assert_eq!(meeting.turn().limit, POLICY.max_turn);
}

#[test]
fn a_pause_stops_the_time_and_silences_the_speaker() {
    let mut meeting = Meeting::new(POLICY);
    meeting.speaks("ana", Normal);
    meeting.pass(1_234);
    meeting.floor.pause_turn(meeting.now).expect("paused");
    assert_eq!((meeting.heard().as_str(), meeting.floor.poll_timeout()), ("-", None));
    meeting.pass(600_000);
    assert_eq!(meeting.turn().used, Duration::from_millis(1_234));
    meeting.floor.extend_turn(Duration::from_secs(1), meeting.now).expect("while paused");
    meeting.floor.resume_turn(meeting.now).expect("resumed");
    assert_eq!(meeting.heard(), "ana");
    meeting.now = Timestamp::from_unix_us(meeting.now.unix_us() + 1);
    meeting.forget();
    meeting.floor.end_speech(&user("ana"), meeting.now).expect("ended");
    let Some(cabildo::floor::FloorEvent::TurnEnded { turn, .. }) = meeting.floor.poll_event()
    else {
        panic!("the turn did not end")
    };
    assert_eq!(turn.used, Duration::from_micros(1_234_001), "to the microsecond");
    assert!(!turn.running);
}

#[test]
fn an_interposed_question_lends_the_time_of_nobody() {
    let mut meeting = Meeting::new(POLICY);
    let turn = meeting.speaks("ana", Normal);
    meeting.pass(20_000);
    let question = meeting.waits("eva", InterposedQuestion);
    meeting.forget();
    meeting.starts(question);
    assert_eq!(meeting.told(), ["paused ana Interposed", "queue", "started eva"]);
    assert_eq!(meeting.heard(), "eva");
    meeting.pass(45_000);
    meeting.floor.end_speech(&user("eva"), meeting.now).expect("ended");
    let told = ["warned eva 30 s", "ended eva ended_by_speaker 45000 ms", "resumed ana"];
    assert_eq!(meeting.told(), told);
    assert_eq!((meeting.turn().turn_id, meeting.heard().as_str()), (turn, "ana"));
    assert_eq!(meeting.turn().used, Duration::from_secs(20));
    meeting.run(10_000);
    assert_eq!(meeting.told(), ["warned ana 30 s"]);
}

#[test]
fn a_turn_that_a_moderator_paused_stays_paused_after_a_question() {
    let mut meeting = Meeting::new(POLICY);
    meeting.speaks("ana", Normal);
    meeting.speaks("q1", InterposedQuestion);
    meeting.floor.pause_turn(meeting.now).expect("paused");
    let question = meeting.waits("q2", InterposedQuestion);
    meeting.forget();
    meeting.starts(question);
    assert_eq!(meeting.told(), ["queue", "started q2"], "q1 did not run");
    meeting.floor.stop_turn(meeting.now).expect("stopped");
    assert_eq!(meeting.told(), ["ended q2 stopped 0 ms", "paused q1 StillPaused"]);
    assert_eq!(meeting.heard(), "-");
    meeting.pass(5_000);
    meeting.floor.stop_turn(meeting.now).expect("stopped");
    assert_eq!(meeting.told(), ["ended q1 stopped 0 ms", "resumed ana"]);
}

#[test]
fn a_clock_that_goes_backwards_takes_no_time_away_and_does_not_stand_still() {
    let mut meeting = Meeting::new(POLICY);
    meeting.speaks("ana", Normal);
    meeting.pass(20_000);
    meeting.floor.handle_timeout(meeting.now);
    let before = meeting.now;
    meeting.now = before.before(Duration::from_hours(1));
    assert_eq!(meeting.turn().used, Duration::from_secs(20), "what is counted stays");
    meeting.floor.handle_timeout(meeting.now);
    meeting.pass(5_000);
    assert_eq!(meeting.turn().used, Duration::from_secs(25), "an hour before, time runs on");
    assert_eq!(
        meeting.floor.poll_timeout(),
        Some(before.before(Duration::from_hours(1)).after(Duration::from_secs(10)))
    );
}

#[test]
fn time_runs_on_while_the_process_is_down() {
    let mut meeting = Meeting::new(POLICY);
    meeting.speaks("ana", Normal);
    meeting.pass(15_000);
    meeting.floor.handle_timeout(meeting.now);
    meeting.forget();
    let snapshot = meeting.floor.snapshot();
    meeting.floor = Floor::restore(snapshot, POLICY).expect("restored");
    meeting.pass(30_000);
    meeting.floor.handle_timeout(meeting.now);
    assert_eq!(meeting.told(), ["warned ana 30 s"]);
    assert_eq!(meeting.turn().used, Duration::from_secs(45));
}
