//! Who presides: who may, who is told, and what keeps it.

use std::time::Duration;

use cabildo::domain::id::ConnectionId;
use cabildo::domain::role::Role;
use cabildo::domain::session::ModerationMode;
use cabildo::room::action::{FreshIds, PeopleAction};
use cabildo::room::engine::{ConnectionKind, Goodbye, RESUME_GRACE, Recorder, RoomEngine};
use cabildo::room::error::RoomError;
use cabildo::room::event::{ChairView, Event};
use proptest::prelude::*;

use super::{Hall, secret, user};

impl Hall {
    /// Who presides, as whoever enters is shown it.
    fn chair(&mut self) -> Option<String> {
        // Each is somebody else, since a person can't enter as often as this asks.
        let moment = self.enter(&format!("onlooker-{}", self.engine.seq()), Role::Observer);
        let view = self.view(moment).expect("in the room");
        self.engine.handle_leave(moment, Goodbye::Left, self.now);
        self.drain();
        view.chair.map(|ChairView { user_id, .. }| user_id)
    }

    /// What everybody was told of the chair after an event: who, and by whom.
    fn chairs_since(&self, seq: u64) -> Vec<(String, Option<String>)> {
        let told = self.told.iter().filter(|(at, _)| *at > seq);
        told.filter_map(|(_, event)| match event {
            Event::ChairChanged(new) => Some((new.chair.user_id.clone(), new.by.clone())),
            _ => None,
        })
        .collect()
    }
}

fn told(who: &str, by: Option<&str>) -> (String, Option<String>) {
    (who.to_owned(), by.map(str::to_owned))
}

#[test]
fn the_first_moderator_presides_until_another_takes_the_chair() {
    let mut hall = Hall::new(ModerationMode::Open);
    let ana = hall.enter("ana", Role::Participant);
    assert_eq!(hall.chair(), None);
    hall.enter("first", Role::Moderator);
    let vice = hall.enter("vice", Role::Moderator);
    assert_eq!(hall.chair().as_deref(), Some("first"));
    assert_eq!(hall.act(ana, PeopleAction::TakeChair), Err(RoomError::Forbidden));
    hall.act(vice, PeopleAction::TakeChair).expect("taken");
    let after = hall.engine.seq();
    hall.act(vice, PeopleAction::TakeChair).expect("has it");
    assert_eq!(hall.engine.seq(), after, "nothing has changed");
    assert_eq!(hall.chair().as_deref(), Some("vice"));
    assert_eq!(hall.chairs_since(0), [told("first", None), told("vice", Some("vice"))]);
}

#[test]
fn whoever_is_there_by_media_alone_is_not_made_to_preside() {
    let mut hall = Hall::new(ModerationMode::Open);
    let encoder = ConnectionId::generate();
    let principal = hall.principal("encoder", Role::Moderator);
    let kind = ConnectionKind::MediaOnly;
    hall.engine
        .handle_enter(encoder, &principal, kind, secret("encoder"), hall.now)
        .expect("let in");
    hall.drain();
    assert_eq!(hall.chair(), None);
    // Nor whoever does not moderate, until their token says that they do.
    let eva = hall.enter("eva", Role::Participant);
    assert_eq!(hall.chair(), None);
    let renewed = hall.principal("eva", Role::Moderator);
    hall.engine.handle_renewal(eva, &renewed, secret("more"), hall.now).expect("renewed");
    hall.drain();
    assert_eq!(hall.chair().as_deref(), Some("eva"));
}

#[test]
fn the_chair_stays_with_whoever_has_left_and_over_restarts() {
    let mut hall = Hall::new(ModerationMode::Open);
    let first = hall.enter("first", Role::Moderator);
    let vice = hall.enter("vice", Role::Moderator);
    hall.act(vice, PeopleAction::TakeChair).expect("taken");
    hall.restart();
    assert_eq!(hall.chair().as_deref(), Some("vice"));
    let before = hall.engine.seq();
    hall.now = hall.now.after(RESUME_GRACE + Duration::from_secs(1));
    hall.engine.handle_timeout(hall.now);
    hall.drain();
    assert!(hall.view(first).is_none() && hall.view(vice).is_none(), "both have left");
    hall.enter("third", Role::Moderator);
    hall.restart();
    assert_eq!(hall.chair().as_deref(), Some("vice"), "nobody has said otherwise");
    assert_eq!(hall.chairs_since(before), []);
    hall.engine.handle_session_over("completed", hall.now);
    hall.drain();
    assert!(!hall.stored.parts.contains_key("chair"), "nothing about people stays");
}

#[test]
fn in_a_room_that_was_stored_without_a_chair_the_moderator_who_was_there_first_presides() {
    let mut hall = Hall::new(ModerationMode::Open);
    hall.enter("ana", Role::Participant);
    hall.enter("zoe", Role::Moderator);
    hall.now = hall.now.after(Duration::from_secs(1));
    hall.enter("bea", Role::Moderator);
    assert_eq!(
        hall.stored.parts.remove("chair").as_deref(),
        Some(r#"{"user":"zoe","name":"zoe"}"#)
    );
    let seq = hall.engine.seq();
    hall.restart();
    assert_eq!(hall.chairs_since(seq), [told("zoe", None)]);
    assert!(hall.stored.parts.contains_key("chair"), "it is stored from here on");
    // What is no chair is not read.
    for part in [r#"{"user":"","name":"x"}"#, r#"{"user":"a"}"#, "null"] {
        let mut stored = hall.stored.clone();
        stored.parts.insert("chair".to_owned(), part.to_owned());
        let (info, recorder) = (hall.info.clone(), Recorder::Present);
        let read = RoomEngine::from_stored(info, recorder, stored, hall.now);
        assert!(read.is_err(), "{part}");
    }
}

proptest! {
    /// Whatever happens, everybody is told of each change, and what is told last, what whoever
    /// enters is shown and what a restart reads are the same.
    #[test]
    fn what_was_told_of_the_chair_last_is_what_the_room_keeps(
        steps in prop::collection::vec((0_u8..7, 0_usize..3), 1..40),
    ) {
        let names = ["a", "b", "c"];
        let mut hall = Hall::new(ModerationMode::Open);
        let mut here: [Option<ConnectionId>; 3] = [None; 3];
        for (step, who) in steps {
            let before = (hall.chair(), hall.engine.seq());
            let name = names[who];
            match (step, here[who]) {
                (0, None) => here[who] = Some(hall.enter(name, Role::Moderator)),
                (1, None) => here[who] = Some(hall.enter(name, Role::Participant)),
                (2, Some(connection)) => {
                    hall.engine.handle_leave(connection, Goodbye::Left, hall.now);
                    hall.drain();
                    here[who] = None;
                }
                (3, Some(connection)) => {
                    let taken = hall.act(connection, PeopleAction::TakeChair);
                    if taken.is_ok() {
                        prop_assert_eq!(hall.chair(), Some(name.to_owned()));
                    }
                }
                (4, Some(connection)) => {
                    let fresh = FreshIds::generate();
                    let action = PeopleAction::TakeChair.into();
                    let (engine, now) = (&mut hall.engine, hall.now);
                    let _refused = engine.handle_action(connection, action, None, fresh, now);
                    engine.undo();
                    prop_assert_eq!(hall.chair(), before.0.clone(), "it could not be stored");
                }
                (5, _) => hall.restart(),
                (6, Some(connection)) => {
                    let _refused = hall.act(connection, PeopleAction::Mute(user("a")));
                }
                _ => {}
            }
            let told = hall.chairs_since(0).pop().map(|(who, _)| who);
            prop_assert_eq!(&told, &hall.chair());
            prop_assert!(told.is_some() || before.0.is_none(), "it is never nobody again");
            let changes = hall.chairs_since(before.1).len();
            prop_assert_eq!(changes, usize::from(hall.chair() != before.0));
        }
    }
}
