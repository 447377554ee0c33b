//! Who gets on the list, in which order, and who gets the floor.

use std::time::Duration;

use cabildo::domain::error_code::ErrorCode;
use cabildo::domain::floor::SpeechKind::{InterposedQuestion, Intervention, Normal, PointOfOrder};
use cabildo::domain::floor::{SpeechKind, Stance};
use cabildo::domain::session::SpeakingPolicy;
use cabildo::floor::{
    Canceller, ENTRIES_MAX, FloorError, FloorPolicy, Microphone, NAME_LENGTH_MAX, NOTE_LENGTH_MAX,
    NewRequest, QueueState, REASON_LENGTH_MAX, STACKED_TURNS_MAX, TURN_LIMIT_MAX,
};

use crate::floor::fixture::{Meeting, POLICY, request, request_id, turn_id, user};

#[test]
fn a_request_is_received_then_approved_then_spoken() {
    let mut meeting = Meeting::new(POLICY);
    let asked = NewRequest {
        stance: Some(Stance::Contra),
        note: Some("about the roof".to_owned()),
        ..meeting.new_request("ana", Normal)
    };
    let id = asked.id;
    meeting.floor.handle_request_speech(asked, meeting.now).expect("taken");
    assert_eq!(meeting.told(), ["received ana"]);
    assert_eq!(meeting.list(), "", "an undecided request does not wait in the list");
    let entry = meeting.floor.requested().next().expect("an entry").clone();
    assert_eq!(entry.note.as_deref(), Some("about the roof"));
    assert_eq!((entry.requested_at, entry.approved_at), (meeting.now, None));

    meeting.pass(1_000);
    meeting.approved(id);
    assert_eq!(meeting.told(), ["approved ana", "queue"]);
    assert_eq!(meeting.list(), "ana");
    assert_eq!(meeting.floor.requested().count(), 0);
    assert_eq!(meeting.floor.waiting().next().expect("waits").approved_at, Some(meeting.now));

    meeting.starts(id);
    assert_eq!(meeting.told(), ["queue", "started ana"]);
    let turn = meeting.turn();
    assert_eq!((turn.request_id, turn.kind, turn.stance), (id, Normal, Some(Stance::Contra)));
    assert_eq!(turn.limit, POLICY.default_turn);
    assert_eq!((meeting.list().as_str(), meeting.heard().as_str()), ("", "ana"));
}

#[test]
fn a_denied_request_is_gone_and_the_reason_is_told() {
    let mut meeting = Meeting::new(POLICY);
    let id = meeting.asks("ana", Normal);
    let too_long = "x".repeat(REASON_LENGTH_MAX + 1);
    let error = meeting.refused(|floor, _| floor.deny(id, Some(too_long)));
    assert_eq!(error.code(), ErrorCode::UnprocessableRequest);
    meeting.forget();
    meeting.floor.deny(id, Some("off topic".to_owned())).expect("denied");
    assert_eq!(meeting.told(), ["denied ana: off topic"]);
    let error = meeting.refused(|floor, now| floor.approve(id, turn_id(9), now));
    assert_eq!(error.code(), ErrorCode::RequestNotFound);
    meeting.asks("ana", Normal);
}

#[test]
fn one_live_request_per_person_and_kind() {
    let mut meeting = Meeting::new(POLICY);
    let id = meeting.asks("ana", Normal);
    for _ in ["while undecided", "while waiting"] {
        let again = meeting.new_request("ana", Normal);
        let error = meeting.refused(|floor, now| floor.handle_request_speech(again, now));
        assert_eq!(error.code(), ErrorCode::AlreadyWaiting);
        let again = meeting.new_request("ana", Normal);
        let error = meeting.refused(|floor, now| floor.add_speaker(again, Microphone::Hall, now));
        assert_eq!(error.code(), ErrorCode::AlreadyWaiting);
        if meeting.list().is_empty() {
            meeting.approved(id);
        }
    }
    meeting.asks("ana", PointOfOrder);
    meeting.asks("ben", Normal);
    meeting.starts(id);
    meeting.asks("ana", Normal);
}

#[test]
fn a_closed_list_takes_requests_from_moderators_only() {
    let mut meeting = Meeting::new(POLICY);
    let asked = meeting.asks("ana", Normal);
    meeting.forget();
    meeting.floor.set_queue(QueueState::Closed);
    meeting.floor.set_queue(QueueState::Closed);
    assert_eq!(meeting.told(), ["queue"], "closing twice changes nothing the second time");
    assert!(!meeting.floor.is_queue_open());
    let late = meeting.new_request("ben", Normal);
    let error = meeting.refused(|floor, now| floor.handle_request_speech(late, now));
    assert_eq!(error.code(), ErrorCode::QueueClosed);
    let guest = meeting.new_request("carla", Normal);
    meeting.floor.add_speaker(guest, Microphone::Hall, meeting.now).expect("added");
    assert_eq!(meeting.told(), ["approved carla", "queue"]);
    meeting.approved(asked);
    assert_eq!(meeting.list(), "ana carla", "who was on the list stays and can be approved");
    meeting.floor.set_queue(QueueState::Open);
    meeting.asks("ben", Normal);
}

#[test]
fn points_of_order_and_interposed_questions_pass_a_closed_list_unless_the_policy_says_otherwise() {
    for passes in [true, false] {
        let policy = FloorPolicy { points_of_order_pass_closed_list: passes, ..POLICY };
        let mut meeting = Meeting::new(policy);
        meeting.floor.set_queue(QueueState::Closed);
        for kind in SpeechKind::ALL.iter().copied() {
            let request = meeting.new_request("ana", kind);
            let taken = meeting.floor.handle_request_speech(request, meeting.now);
            let expected = passes && matches!(kind, PointOfOrder | InterposedQuestion);
            assert_eq!(taken.is_ok(), expected, "{kind}");
        }
    }
}

#[test]
fn who_was_added_from_the_hall_speaks_through_its_microphone() {
    let mut meeting = Meeting::new(POLICY);
    let guest = meeting.new_request("carla", Normal);
    let id = guest.id;
    meeting.floor.add_speaker(guest, Microphone::Hall, meeting.now).expect("added");
    meeting.starts(id);
    assert_eq!(meeting.heard(), "carla through the hall");
    assert_eq!(meeting.turn().microphone, Microphone::Hall);
    meeting.floor.pause_turn(meeting.now).expect("paused");
    assert_eq!(meeting.heard(), "-");
}

#[test]
fn the_list_has_room_for_so_many() {
    let mut meeting = Meeting::new(POLICY);
    for number in 0..ENTRIES_MAX {
        meeting.asks(&format!("u{number}"), Normal);
        meeting.forget();
    }
    let late = meeting.new_request("late", Normal);
    let error = meeting.refused(|floor, now| floor.handle_request_speech(late, now));
    assert_eq!(error.code(), ErrorCode::QueueFull);
    let late = meeting.new_request("late", Normal);
    let error = meeting.refused(|floor, now| floor.add_speaker(late, Microphone::Hall, now));
    assert_eq!(error.code(), ErrorCode::QueueFull);
    meeting.floor.deny(request_id(1), None).expect("denied");
    meeting.asks("late", Normal);
}

#[test]
fn a_note_that_is_too_long_is_refused_and_a_name_is_cut() {
    let mut meeting = Meeting::new(POLICY);
    let note = Some("é".repeat(NOTE_LENGTH_MAX + 1));
    let asked = NewRequest { note, ..meeting.new_request("ana", Normal) };
    let error = meeting.refused(|floor, now| floor.handle_request_speech(asked, now));
    assert_eq!(error, FloorError::NoteTooLong);
    let note = Some("é".repeat(NOTE_LENGTH_MAX));
    let name = "ñ".repeat(NAME_LENGTH_MAX + 1);
    let asked = NewRequest { note, name, ..meeting.new_request("ana", Normal) };
    meeting.floor.handle_request_speech(asked, meeting.now).expect("taken");
    let entry = meeting.floor.requested().next().expect("an entry");
    assert_eq!(entry.name, "ñ".repeat(NAME_LENGTH_MAX));
}

#[test]
fn people_take_back_their_own_requests_and_moderators_any() {
    let mut meeting = Meeting::new(POLICY);
    let (ana, ben) = (user("ana"), user("ben"));
    let undecided = meeting.asks("ana", Normal);
    let waiting = meeting.waits("ana", Intervention);
    let other = meeting.waits("carla", Normal);
    meeting.forget();
    for id in [undecided, waiting, request_id(99)] {
        let error =
            meeting.refused(|floor, _| floor.handle_cancel_speech(id, Canceller::Speaker(&ben)));
        assert_eq!(error.code(), ErrorCode::RequestNotFound);
    }
    meeting.floor.handle_cancel_speech(undecided, Canceller::Speaker(&ana)).expect("cancelled");
    assert_eq!(meeting.told(), ["cancelled ana by Speaker"]);
    meeting.floor.handle_cancel_speech(waiting, Canceller::Speaker(&ana)).expect("cancelled");
    assert_eq!(meeting.told(), ["cancelled ana by Speaker", "queue"]);
    meeting.floor.handle_cancel_speech(other, Canceller::Moderator).expect("cancelled");
    assert_eq!(meeting.told(), ["cancelled carla by Moderator", "queue"]);
    assert_eq!(meeting.list(), "");
}

#[test]
fn a_decision_is_made_once() {
    let mut meeting = Meeting::new(POLICY);
    let id = meeting.asks("ana", Normal);
    let error = meeting.refused(|floor, now| floor.start_turn(Some(id), turn_id(9), None, now));
    assert_eq!(error.code(), ErrorCode::RequestStateConflict, "not approved yet");
    meeting.approved(id);
    let error = meeting.refused(|floor, now| floor.approve(id, turn_id(9), now));
    assert_eq!(error.code(), ErrorCode::RequestStateConflict);
    let error = meeting.refused(|floor, _| floor.deny(id, None));
    assert_eq!(error.code(), ErrorCode::RequestStateConflict);
    meeting.starts(id);
    let error = meeting.refused(|floor, now| floor.approve(id, turn_id(9), now));
    assert_eq!(error.code(), ErrorCode::RequestNotFound);
}

#[test]
fn the_list_stands_by_kind_and_then_by_arrival_not_by_approval() {
    let mut meeting = Meeting::new(POLICY);
    let early = meeting.asks("early", Normal);
    meeting.waits("late", Normal);
    meeting.waits("order", PointOfOrder);
    let question = meeting.asks("question", InterposedQuestion);
    meeting.waits("reply", Intervention);
    meeting.waits("reply2", Intervention);
    meeting.approved(question);
    meeting.approved(early);
    assert_eq!(meeting.list(), "question reply reply2 order early late");
}

#[test]
fn a_given_order_stands_and_newcomers_go_behind_whom_the_rule_puts_ahead() {
    let mut meeting = Meeting::new(POLICY);
    let early = meeting.asks("early", Normal);
    let n1 = meeting.waits("n1", Normal);
    let n2 = meeting.waits("n2", Normal);
    let reply = meeting.waits("reply", Intervention);
    meeting.forget();
    meeting.floor.handle_reorder(&[n2, reply, n1]).expect("reordered");
    assert_eq!(meeting.told(), ["queue"]);
    assert_eq!(meeting.list(), "n2 reply n1");
    meeting.floor.handle_reorder(&[n2, reply, n1]).expect("the same order");
    assert!(meeting.told().is_empty(), "the same order changes nothing");

    meeting.waits("reply2", Intervention);
    assert_eq!(meeting.list(), "n2 reply reply2 n1", "n2, put first, stays first");
    meeting.approved(early);
    assert_eq!(meeting.list(), "n2 reply reply2 early n1");
    meeting.waits("n3", Normal);
    assert_eq!(meeting.list(), "n2 reply reply2 early n1 n3");
    meeting.waits("question", InterposedQuestion);
    assert_eq!(meeting.list(), "question n2 reply reply2 early n1 n3", "nobody precedes it");
}

#[test]
fn an_order_names_exactly_those_who_wait() {
    let mut meeting = Meeting::new(POLICY);
    let undecided = meeting.asks("undecided", Normal);
    let (a, b) = (meeting.waits("a", Normal), meeting.waits("b", Normal));
    for order in [&[][..], &[a], &[a, a], &[a, b, b], &[a, undecided], &[a, request_id(99)]] {
        let error = meeting.refused(|floor, _| floor.handle_reorder(order));
        assert_eq!(error.code(), ErrorCode::OrderInvalid);
    }
    assert_eq!(meeting.list(), "a b");
}

#[test]
fn the_next_one_is_the_first_of_the_list() {
    let mut meeting = Meeting::new(POLICY);
    let error = meeting.refused(|floor, now| floor.start_turn(None, turn_id(9), None, now));
    assert_eq!(error.code(), ErrorCode::QueueEmpty);
    meeting.asks("undecided", Intervention);
    let error = meeting.refused(|floor, now| floor.start_turn(None, turn_id(9), None, now));
    assert_eq!(error.code(), ErrorCode::QueueEmpty);
    meeting.waits("a", Normal);
    meeting.waits("b", PointOfOrder);
    meeting.floor.start_turn(None, turn_id(9), None, meeting.now).expect("started");
    assert_eq!((meeting.heard().as_str(), meeting.list().as_str()), ("b", "a"));
    let error =
        meeting.refused(|floor, now| floor.start_turn(Some(request_id(99)), turn_id(8), None, now));
    assert_eq!(error.code(), ErrorCode::RequestNotFound);
}

#[test]
fn an_approved_request_starts_at_once_when_the_session_says_so_and_the_floor_is_free() {
    let mut meeting = Meeting::new(FloorPolicy { auto_start: true, ..POLICY });
    let first = meeting.asks("ana", Normal);
    let second = meeting.asks("ben", Normal);
    meeting.forget();
    meeting.floor.approve(first, turn_id(50), meeting.now).expect("approved");
    assert_eq!(meeting.told(), ["approved ana", "started ana"], "it never waits");
    assert_eq!(meeting.turn().turn_id, turn_id(50));
    meeting.floor.pause_turn(meeting.now).expect("paused");
    meeting.forget();
    meeting.approved(second);
    assert_eq!(meeting.told(), ["approved ben", "queue"], "a paused turn holds the floor too");
    meeting.floor.stop_turn(meeting.now).expect("stopped");
    assert_eq!(meeting.list(), "ben", "the end of a turn starts nobody");
    meeting.waits("carla", Normal);
    assert_eq!((meeting.heard().as_str(), meeting.list().as_str()), ("carla", "ben"));
}

#[test]
fn any_other_start_ends_the_turn_and_every_stacked_one() {
    let mut meeting = Meeting::new(POLICY);
    meeting.speaks("ana", Normal);
    meeting.pass(2_000);
    meeting.speaks("q1", InterposedQuestion);
    meeting.pass(3_000);
    meeting.speaks("q2", InterposedQuestion);
    let reply = meeting.waits("reply", Intervention);
    meeting.forget();
    meeting.pass(4_000);
    meeting.starts(reply);
    let told = [
        "ended q2 replaced 4000 ms",
        "ended q1 replaced 3000 ms",
        "ended ana replaced 2000 ms",
        "queue",
        "started reply",
    ];
    assert_eq!(meeting.told(), told);
    assert_eq!(meeting.floor.stacked_turns(meeting.now).count(), 0);
}

#[test]
fn only_so_many_questions_nest() {
    let mut meeting = Meeting::new(POLICY);
    meeting.speaks("ana", Normal);
    for depth in 0..STACKED_TURNS_MAX {
        meeting.speaks(&format!("q{depth}"), InterposedQuestion);
    }
    let id = meeting.waits("deeper", InterposedQuestion);
    let error = meeting.refused(|floor, now| floor.start_turn(Some(id), turn_id(999), None, now));
    assert_eq!(error, FloorError::StackFull);
    assert_eq!(error.code(), ErrorCode::TurnStateConflict);
    let stacked = meeting.floor.stacked_turns(meeting.now);
    let names: Vec<_> = stacked.map(|turn| turn.user_id.as_str().to_owned()).collect();
    assert_eq!(names, ["ana", "q0", "q1", "q2"], "the next to go on is last");
}

#[test]
fn a_question_into_silence_is_a_turn_like_any_other() {
    let mut meeting = Meeting::new(POLICY);
    meeting.speaks("q1", InterposedQuestion);
    assert_eq!(meeting.floor.stacked_turns(meeting.now).count(), 0);
    meeting.floor.end_speech(&user("q1"), meeting.now).expect("ended");
    assert_eq!(meeting.floor.current_turn(meeting.now), None);
}

#[test]
fn the_floor_is_given_back_by_its_holder_only() {
    let mut meeting = Meeting::new(POLICY);
    let error = meeting.refused(|floor, now| floor.end_speech(&user("ana"), now));
    assert_eq!(error.code(), ErrorCode::NotYourTurn);
    meeting.speaks("ana", Normal);
    meeting.speaks("q1", InterposedQuestion);
    let error = meeting.refused(|floor, now| floor.end_speech(&user("ana"), now));
    assert_eq!(error.code(), ErrorCode::NotYourTurn, "her turn is stacked");
    meeting.floor.end_speech(&user("q1"), meeting.now).expect("ended");
    meeting.floor.pause_turn(meeting.now).expect("paused");
    meeting.floor.end_speech(&user("ana"), meeting.now).expect("a paused turn can be given back");
}

#[test]
fn without_a_turn_nothing_can_be_done_to_it() {
    let mut meeting = Meeting::new(POLICY);
    for error in [
        meeting.refused(cabildo::floor::Floor::pause_turn),
        meeting.refused(cabildo::floor::Floor::resume_turn),
        meeting.refused(cabildo::floor::Floor::stop_turn),
        meeting.refused(|floor, now| floor.extend_turn(Duration::from_secs(5), now)),
    ] {
        assert_eq!(error.code(), ErrorCode::NoTurn);
    }
    meeting.speaks("ana", Normal);
    let error = meeting.refused(cabildo::floor::Floor::resume_turn);
    assert_eq!(error.code(), ErrorCode::TurnStateConflict);
    meeting.floor.pause_turn(meeting.now).expect("paused");
    let error = meeting.refused(cabildo::floor::Floor::pause_turn);
    assert_eq!(error.code(), ErrorCode::TurnStateConflict);
}

#[test]
fn who_is_removed_loses_requests_and_turns() {
    let mut meeting = Meeting::new(POLICY);
    meeting.speaks("ana", Normal);
    meeting.speaks("eva", InterposedQuestion);
    meeting.speaks("ana", InterposedQuestion);
    meeting.asks("ana", Normal);
    meeting.waits("ana", PointOfOrder);
    meeting.waits("ben", Normal);
    meeting.forget();
    meeting.floor.handle_removed(&user("nobody"), meeting.now);
    assert!(meeting.told().is_empty());
    meeting.pass(500);
    meeting.floor.handle_removed(&user("ana"), meeting.now);
    let told = [
        "cancelled ana by Removed",
        "cancelled ana by Removed",
        "queue",
        "ended ana removed 0 ms",
        "ended ana removed 500 ms",
        "resumed eva",
    ];
    assert_eq!(meeting.told(), told);
    assert_eq!((meeting.heard().as_str(), meeting.list().as_str()), ("eva", "ben"));
    meeting.floor.stop_turn(meeting.now).expect("stopped");
    assert_eq!(meeting.floor.current_turn(meeting.now), None, "there is nothing to go back to");
}

#[test]
fn the_end_of_the_session_ends_every_turn_and_clears_the_list() {
    let mut meeting = Meeting::new(POLICY);
    meeting.speaks("ana", Normal);
    meeting.pass(1_000);
    meeting.speaks("eva", InterposedQuestion);
    meeting.asks("ben", Normal);
    meeting.waits("carla", Normal);
    meeting.forget();
    meeting.pass(250);
    meeting.floor.handle_session_end(meeting.now);
    let told = ["ended eva session_ended 250 ms", "ended ana session_ended 1000 ms", "queue"];
    assert_eq!(meeting.told(), told);
    assert_eq!(meeting.floor.requested().count() + meeting.floor.waiting().count(), 0);
    assert_eq!(meeting.floor.turns_started(&user("ana")), 1, "what was, was");
}

#[test]
fn turns_are_counted_per_person() {
    let mut meeting = Meeting::new(POLICY);
    meeting.speaks("ana", Normal);
    meeting.speaks("eva", InterposedQuestion);
    meeting.speaks("ana", PointOfOrder);
    assert_eq!(meeting.floor.turns_started(&user("ana")), 2);
    assert_eq!(meeting.floor.turns_started(&user("eva")), 1);
    assert_eq!(meeting.floor.turns_started(&user("ben")), 0);
}

#[test]
fn an_identifier_in_use_is_refused() {
    let mut meeting = Meeting::new(FloorPolicy { auto_start: true, ..POLICY });
    let id = meeting.asks("ana", Normal);
    meeting.floor.approve(id, turn_id(70), meeting.now).expect("approved");
    let asked = request(1, "ben", Normal);
    assert_eq!(asked.id, id);
    let error = meeting.refused(|floor, now| floor.handle_request_speech(asked, now));
    assert_eq!(error, FloorError::IdInUse, "the id of the request being spoken to");
    let waiting = meeting.waits("ben", Normal);
    let error =
        meeting.refused(|floor, now| floor.start_turn(Some(waiting), turn_id(70), None, now));
    assert_eq!(error, FloorError::IdInUse);
    let asked = NewRequest { id: waiting, ..request(0, "carla", Normal) };
    let error = meeting.refused(|floor, now| floor.add_speaker(asked, Microphone::Own, now));
    assert_eq!(error, FloorError::IdInUse);
}

#[test]
fn a_policy_that_changes_holds_for_what_comes() {
    let mut meeting = Meeting::new(POLICY);
    meeting.speaks("ana", Normal);
    meeting.forget();
    let shorter = Duration::from_secs(40);
    meeting.floor.set_policy(FloorPolicy {
        default_turn: Duration::MAX,
        max_turn: shorter,
        auto_start: true,
        ..POLICY
    });
    assert!(meeting.told().is_empty());
    assert_eq!(meeting.turn().limit, POLICY.default_turn, "her time is what she was given");
    let error = meeting.refused(|floor, now| floor.extend_turn(Duration::from_secs(1), now));
    assert_eq!(error.code(), ErrorCode::TurnLimitReached);
    meeting.floor.stop_turn(meeting.now).expect("stopped");
    meeting.waits("ben", Normal);
    assert_eq!((meeting.heard().as_str(), meeting.turn().limit), ("ben", shorter));
}

#[test]
fn a_policy_is_held_to_what_can_be() {
    let policy = SpeakingPolicy {
        default_turn_s: u32::MAX,
        max_turn_s: 60,
        auto_start: true,
        points_of_order_pass_closed_list: true,
    };
    let mut meeting = Meeting::new(policy.into());
    meeting.waits("ana", Normal);
    assert_eq!(meeting.turn().limit, Duration::from_mins(1), "no longer than the longest");

    let endless = FloorPolicy { default_turn: Duration::MAX, max_turn: Duration::MAX, ..POLICY };
    let mut meeting = Meeting::new(endless);
    meeting.speaks("ana", Normal);
    assert_eq!(meeting.turn().limit, TURN_LIMIT_MAX);
}
