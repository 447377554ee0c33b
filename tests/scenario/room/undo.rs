//! Decisions that are taken back: everything is as before, both are told, and
//! what others have decided since is left alone.

use std::time::Duration;

use cabildo::domain::floor::SpeechKind;
use cabildo::domain::id::{ActionId, ConnectionId, RequestId};
use cabildo::domain::role::Role;
use cabildo::domain::session::ModerationMode;
use cabildo::room::action::{Action, FloorAction, PeopleAction};
use cabildo::room::engine::UNDO_WINDOW;
use cabildo::room::error::RoomError;
use cabildo::room::event::{Event, FloorView};

use super::{Hall, user};

const SECOND: Duration = Duration::from_secs(1);

/// A moderated room with a chair and two people who may ask for the floor.
fn assembly() -> (Hall, ConnectionId, ConnectionId, ConnectionId) {
    let mut hall = Hall::new(ModerationMode::Moderated);
    let chair = hall.enter("chair", Role::Moderator);
    let ana = hall.enter("ana", Role::Participant);
    let boris = hall.enter("boris", Role::Participant);
    (hall, chair, ana, boris)
}

impl Hall {
    /// Decides something that can be taken back; what names it.
    fn named(&mut self, by: ConnectionId, action: impl Into<Action>) -> ActionId {
        self.decide(by, action).expect("may be done").action.expect("can be taken back")
    }

    fn undo(&mut self, by: ConnectionId, action: ActionId) -> Result<(), RoomError> {
        self.decide(by, Action::Undo(action)).map(|made| assert_eq!(made.action, None))
    }

    fn floor(&self, seen_by: ConnectionId) -> FloorView {
        self.view(seen_by).expect("in the room").floor
    }

    fn start(&mut self, chair: ConnectionId, request: RequestId) -> ActionId {
        self.named(chair, FloorAction::StartTurn { request: Some(request), limit: None })
    }

    fn ask_for(&mut self, by: ConnectionId, kind: SpeechKind) -> RequestId {
        let action = FloorAction::RequestSpeech { kind, stance: None, note: None };
        self.act(by, action).expect("may ask").expect("a request is made")
    }
}

fn order(floor: &FloorView) -> Vec<&str> {
    floor.queue.iter().map(|entry| entry.user_id.as_str()).collect()
}

#[test]
fn a_turn_that_was_started_by_mistake_gives_the_floor_back() {
    let (mut hall, chair, ana, boris) = assembly();
    let first = hall.ask(ana);
    hall.give_floor(chair, first);
    let second = hall.ask(boris);
    hall.act(chair, FloorAction::ApproveSpeech(second)).expect("approved");
    hall.pass(5 * SECOND);
    let before = hall.floor(chair);
    let mistake = hall.start(chair, second);
    assert!(hall.heard(boris) && !hall.heard(ana));
    hall.pass(4 * SECOND);
    let seq = hall.engine.seq();
    hall.undo(chair, mistake).expect("taken back");
    assert!(hall.heard(ana) && !hall.heard(boris));
    // The turn goes on where it was, and the four seconds are nobody's.
    let after = hall.floor(chair);
    assert_eq!(after, before);
    hall.pass(SECOND);
    let used = hall.floor(chair).turn.expect("a turn").used_ms;
    assert_eq!(used, before.turn.expect("a turn").used_ms + 1_000);
    let told = hall.kinds_since(seq);
    for kind in ["action_undone", "turn_ended", "turn_resumed", "queue_updated"] {
        assert!(told.contains(&kind), "{kind}: {told:?}");
    }
    let undone = hall.told.iter().find_map(|(_, event)| match event {
        Event::ActionUndone { action, by } => Some((action, by)),
        _ => None,
    });
    let (action, by) = undone.expect("told");
    assert_eq!((action.as_str(), by.as_str()), ("start_turn", "chair"));
    // What was taken back is there no more.
    assert_eq!(hall.undo(chair, mistake), Err(RoomError::ActionNotFound));
}

#[test]
fn a_turn_that_was_stopped_by_mistake_goes_on_above_the_one_it_interrupted() {
    let (mut hall, chair, ana, boris) = assembly();
    let first = hall.ask(ana);
    hall.give_floor(chair, first);
    let question = hall.ask_for(boris, SpeechKind::InterposedQuestion);
    hall.act(chair, FloorAction::ApproveSpeech(question)).expect("approved");
    hall.start(chair, question);
    hall.pass(3 * SECOND);
    let before = hall.floor(chair);
    let stopped = hall.named(chair, FloorAction::StopTurn);
    assert!(hall.heard(ana));
    hall.pass(2 * SECOND);
    hall.undo(chair, stopped).expect("taken back");
    assert!(hall.heard(boris) && !hall.heard(ana));
    let after = hall.floor(chair);
    assert_eq!(after.turn, before.turn);
    // Ana spoke for two seconds meanwhile.
    assert_eq!(after.interrupted.len(), 1);
    assert_eq!(after.interrupted[0].used_ms, before.interrupted[0].used_ms + 2_000);
    // The interrupted turn goes on when the question ends.
    hall.act(chair, FloorAction::StopTurn).expect("stopped");
    assert!(hall.heard(ana));
}

#[test]
fn a_turn_that_its_speaker_ended_by_a_slip_goes_on() {
    let (mut hall, chair, ana, boris) = assembly();
    let first = hall.ask(ana);
    hall.give_floor(chair, first);
    hall.pass(3 * SECOND);
    let before = hall.floor(chair);
    let ended = hall.named(ana, FloorAction::EndSpeech);
    hall.pass(2 * SECOND);
    assert_eq!(hall.undo(boris, ended), Err(RoomError::Forbidden));
    hall.undo(ana, ended).expect("taken back");
    assert!(hall.heard(ana));
    assert_eq!(hall.floor(chair).turn, before.turn, "the time between is nobody's");
    let ended = hall.named(ana, FloorAction::EndSpeech);
    hall.undo(chair, ended).expect("a moderator takes it back for her");
    assert!(hall.heard(ana));
}

#[test]
fn the_end_of_a_turn_is_not_taken_back_from_somebody_who_has_the_floor() {
    let (mut hall, chair, ana, boris) = assembly();
    let first = hall.ask(ana);
    hall.give_floor(chair, first);
    let question = hall.ask_for(boris, SpeechKind::InterposedQuestion);
    hall.act(chair, FloorAction::ApproveSpeech(question)).expect("approved");
    hall.start(chair, question);
    // Ana's turn goes on with the end of the question.
    let ended = hall.named(boris, FloorAction::EndSpeech);
    assert!(hall.heard(ana));
    assert_eq!(hall.undo(boris, ended), Err(RoomError::DecisionStale));
    assert!(hall.heard(ana));
}

#[test]
fn requests_stand_where_they_stood() {
    let (mut hall, chair, ana, boris) = assembly();
    let (first, second) = (hall.ask(ana), hall.ask(boris));
    let before = hall.floor(chair);
    for decision in [
        FloorAction::ApproveSpeech(first),
        FloorAction::DenySpeech { request: first, reason: Some("later".to_owned()) },
        FloorAction::CancelSpeech { request: Some(first) },
    ] {
        let decided = hall.named(chair, decision);
        assert_ne!(hall.floor(chair), before);
        hall.undo(chair, decided).expect("taken back");
        assert_eq!(hall.floor(chair), before);
    }
    for request in [first, second] {
        hall.act(chair, FloorAction::ApproveSpeech(request)).expect("approved");
    }
    let withdrawn = hall.named(ana, FloorAction::CancelSpeech { request: None });
    assert_eq!(order(&hall.floor(chair)), ["boris"]);
    assert_eq!(hall.undo(chair, withdrawn), Err(RoomError::Forbidden), "her own decision");
    hall.undo(ana, withdrawn).expect("taken back");
    assert_eq!(order(&hall.floor(chair)), ["ana", "boris"]);
}

#[test]
fn whoever_was_removed_by_mistake_may_come_back_to_their_place() {
    let (mut hall, chair, ana, boris) = assembly();
    let first = hall.ask(ana);
    hall.give_floor(chair, first);
    let second = hall.ask(boris);
    hall.act(chair, FloorAction::ApproveSpeech(second)).expect("approved");
    let of_boris = hall.named(chair, PeopleAction::Remove(user("boris")));
    let of_ana = hall.named(chair, PeopleAction::Remove(user("ana")));
    assert_eq!(hall.try_enter("ana", Role::Participant), Err(RoomError::Forbidden));
    hall.undo(chair, of_ana).expect("taken back");
    hall.undo(chair, of_boris).expect("taken back");
    let floor = hall.floor(chair);
    assert_eq!(floor.turn.as_ref().map(|turn| turn.user_id.as_str()), Some("ana"));
    assert_eq!(order(&floor), ["boris"]);
    let back = hall.enter("ana", Role::Participant);
    assert!(hall.heard(back));
}

#[test]
fn the_mode_is_as_before() {
    let (mut hall, chair, ana, _) = assembly();
    let opened = hall.named(chair, FloorAction::SetModeration(ModerationMode::Open));
    assert!(hall.heard(ana));
    let second = hall.enter("second", Role::Moderator);
    hall.undo(second, opened).expect("any moderator may");
    assert!(!hall.heard(ana));
    // What changes nothing has nothing to be taken back.
    let same = FloorAction::SetModeration(ModerationMode::Moderated);
    assert_eq!(hall.decide(chair, same).expect("done").action, None);
}

#[test]
fn what_cannot_be_taken_back_is_refused_and_changes_nothing() {
    let (mut hall, chair, ana, boris) = assembly();
    let (first, second) = (hall.ask(ana), hall.ask(boris));
    let approved = hall.named(chair, FloorAction::ApproveSpeech(first));
    hall.act(chair, FloorAction::ApproveSpeech(second)).expect("approved");
    assert_eq!(hall.undo(ana, approved), Err(RoomError::Forbidden));
    assert_eq!(hall.undo(chair, ActionId::generate()), Err(RoomError::ActionNotFound));
    // A turn that was started since rests on the approval.
    let started = hall.start(chair, first);
    let paused = hall.decide(chair, FloorAction::PauseTurn).expect("paused");
    assert_eq!(paused.action, None, "it has its own reverse");
    let before = (hall.floor(chair), hall.engine.seq());
    assert_eq!(hall.undo(chair, approved), Err(RoomError::DecisionStale));
    assert_eq!(hall.undo(chair, started), Err(RoomError::DecisionStale), "paused since");
    assert_eq!((hall.floor(chair), hall.engine.seq()), before);

    let denied = hall.ask_for(boris, SpeechKind::PointOfOrder);
    let deny = FloorAction::DenySpeech { request: denied, reason: None };
    let denial = hall.named(chair, deny);
    hall.ask_for(boris, SpeechKind::PointOfOrder);
    assert_eq!(hall.undo(chair, denial), Err(RoomError::DecisionStale), "asked anew");

    let removed = hall.named(chair, PeopleAction::Remove(user("boris")));
    hall.act(chair, PeopleAction::Admit(user("boris"))).expect("admitted");
    assert_eq!(hall.undo(chair, removed), Err(RoomError::DecisionStale));

    let opened = hall.named(chair, FloorAction::SetModeration(ModerationMode::Open));
    let closed = hall.named(chair, FloorAction::SetModeration(ModerationMode::Moderated));
    assert_eq!(hall.undo(chair, opened), Err(RoomError::DecisionStale));
    hall.now = hall.now.after(UNDO_WINDOW);
    let stopped = hall.named(chair, FloorAction::StopTurn);
    hall.undo(chair, closed).expect("ten seconds are not over");
    hall.now = hall.now.after(UNDO_WINDOW + Duration::from_micros(1));
    assert_eq!(hall.undo(chair, stopped), Err(RoomError::UndoTooLate));
    // Another process does not know what was decided before it.
    let last = hall.named(chair, FloorAction::SetModeration(ModerationMode::Moderated));
    hall.restart();
    let chair = hall.enter("chair", Role::Moderator);
    assert_eq!(hall.undo(chair, last), Err(RoomError::ActionNotFound));
}

#[test]
fn what_follows_from_a_decision_carries_its_name() {
    let (mut hall, chair, ana, _) = assembly();
    let request = hall.ask(ana);
    hall.store();
    let fresh = cabildo::room::action::FreshIds::generate();
    let approve = FloorAction::ApproveSpeech(request);
    hall.engine.handle_action(chair, approve.into(), None, fresh, hall.now).expect("approved");
    let named: Vec<_> = hall.engine.told().iter().map(|(told, _)| told.action_id.clone()).collect();
    assert_eq!(named, vec![Some(fresh.action.to_string()); 2]);
    let text = hall.engine.told()[0].0.to_json();
    assert!(text.contains(&format!("\"action_id\":\"{}\"", fresh.action)), "{text}");
    hall.drain();
    let chat = cabildo::room::action::ChatAction::Say { text: "hello".to_owned() };
    hall.engine.handle_action(ana, chat.into(), None, fresh, hall.now).expect("said");
    assert!(!hall.engine.told()[0].0.to_json().contains("action_id"));
}
