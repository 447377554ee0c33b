//! The languages that people speak: who may say so, who is told, and what keeps them.

use std::time::Duration;

use cabildo::domain::language::LanguageTag;
use cabildo::domain::media::{Codec, TrackSource};
use cabildo::domain::role::Role;
use cabildo::domain::session::ModerationMode;
use cabildo::room::action::PeopleAction;
use cabildo::room::engine::{Goodbye, LANGUAGES_MAX, NewTrack, RESUME_GRACE, TrackChange};
use cabildo::room::error::RoomError;
use cabildo::room::event::Event;

use super::{Hall, user};

fn tag(text: &str) -> LanguageTag {
    text.parse().expect("a language tag")
}

/// `whose` speaks `language`; the member who says so when it is empty.
fn speaks(whose: &str, language: Option<&str>) -> PeopleAction {
    let user = (!whose.is_empty()).then(|| user(whose));
    PeopleAction::SetLanguage { user, language: language.map(tag) }
}

impl Hall {
    /// What everybody was told of languages after an event: whose, which, and by whom.
    fn languages_since(&self, seq: u64) -> Vec<(String, Option<String>, String)> {
        let told = self.told.iter().filter(|(at, _)| *at > seq);
        told.filter_map(|(_, event)| match event {
            Event::LanguageChanged { user_id, language, by } => {
                Some((user_id.clone(), language.clone(), by.clone()))
            }
            _ => None,
        })
        .collect()
    }

    /// What somebody speaks, as whoever enters is shown it.
    fn language_of(&mut self, who: &str) -> Option<String> {
        let moment = self.enter("onlooker", Role::Observer);
        let view = self.view(moment).expect("in the room");
        let shown = view.crowd.participants.iter().find(|one| one.user_id == who).cloned();
        self.engine.handle_leave(moment, Goodbye::Left, self.now);
        self.drain();
        shown.expect("a participant").language
    }
}

fn told(whose: &str, language: Option<&str>, by: &str) -> (String, Option<String>, String) {
    (whose.to_owned(), language.map(str::to_owned), by.to_owned())
}

#[test]
fn a_person_says_what_they_speak_and_everybody_is_told_once() {
    let mut hall = Hall::new(ModerationMode::Open);
    let ana = hall.enter("ana", Role::Participant);
    assert_eq!(hall.language_of("ana"), None, "that of the session");
    let before = hall.engine.seq();
    for _ in 0..3 {
        hall.act(ana, speaks("", Some("en"))).expect("their own");
    }
    assert_eq!(hall.languages_since(before), [told("ana", Some("en"), "ana")]);
    assert_eq!(hall.kinds_since(before), ["language_changed"]);
    assert_eq!(hall.language_of("ana").as_deref(), Some("en"));
    let before = hall.engine.seq();
    hall.act(ana, speaks("ana", Some("es-PY"))).expect("their own, by name");
    hall.act(ana, speaks("ana", Some("ES-py"))).expect("the same language");
    hall.act(ana, speaks("", None)).expect("that of the session again");
    hall.act(ana, speaks("", None)).expect("nothing to do");
    let expected = [told("ana", Some("es-PY"), "ana"), told("ana", None, "ana")];
    assert_eq!(hall.languages_since(before), expected);
    assert_eq!(hall.language_of("ana"), None);
}

#[test]
fn only_moderators_say_what_others_speak() {
    let mut hall = Hall::new(ModerationMode::Moderated);
    let chair = hall.enter("chair", Role::Moderator);
    let (ana, device) = (hall.enter("ana", Role::Participant), hall.enter("hall-1", Role::Hall));
    let press = hall.enter("press", Role::Observer);
    let before = hall.engine.seq();
    for (by, whose) in
        [(ana, "chair"), (ana, "hall-1"), (ana, "nobody"), (device, "ana"), (press, "ana")]
    {
        for language in [Some("en"), None] {
            assert_eq!(hall.act(by, speaks(whose, language)), Err(RoomError::Forbidden));
        }
    }
    for whose in ["", "press"] {
        let own = hall.act(press, speaks(whose, Some("en")));
        assert_eq!(own, Err(RoomError::Forbidden), "whoever only listens says nothing");
    }
    assert_eq!(hall.engine.seq(), before, "nothing has changed");
    hall.act(device, speaks("", Some("pt"))).expect("a device its own");
    hall.act(chair, speaks("hall-1", Some("en"))).expect("a moderator");
    hall.act(chair, speaks("", Some("pt-BR"))).expect("their own");
    let expected = [
        told("hall-1", Some("pt"), "hall-1"),
        told("hall-1", Some("en"), "chair"),
        told("chair", Some("pt-BR"), "chair"),
    ];
    assert_eq!(hall.languages_since(before), expected);
    for whose in ["nobody", "cabildo:recorder"] {
        for language in [Some("en"), None] {
            let unknown = hall.act(chair, speaks(whose, language));
            assert_eq!(unknown, Err(RoomError::ParticipantNotFound));
        }
    }
}

#[test]
fn parts_of_the_server_speak_no_language() {
    let mut hall = Hall::recorded();
    let chair = hall.enter("chair", Role::Moderator);
    let recorder = hall.act(chair, speaks("cabildo:recorder", Some("en")));
    assert_eq!(recorder, Err(RoomError::NotAPerson));
}

#[test]
fn a_language_lasts_through_reconnects_absences_and_restarts() {
    let mut hall = Hall::new(ModerationMode::Open);
    let ana = hall.enter("ana", Role::Participant);
    hall.act(ana, speaks("", Some("en"))).expect("their own");
    hall.restart();
    assert_eq!(hall.language_of("ana").as_deref(), Some("en"), "a restart keeps it");

    hall.engine.handle_lost(ana, hall.now);
    hall.pass(RESUME_GRACE + Duration::from_secs(1));
    hall.restart();
    let again = hall.enter("ana", Role::Participant);
    assert_eq!(hall.view(again).expect("there").you.language.as_deref(), Some("en"));

    hall.engine.handle_leave(again, Goodbye::Left, hall.now);
    hall.drain();
    let chair = hall.enter("chair", Role::Moderator);
    hall.act(chair, speaks("ana", None)).expect("of somebody who has left");
    let again = hall.act(chair, speaks("ana", None));
    assert_eq!(again, Err(RoomError::ParticipantNotFound));
    let absent = hall.act(chair, speaks("ana", Some("pt")));
    assert_eq!(absent, Err(RoomError::ParticipantNotFound));
    hall.restart();
    hall.enter("ana", Role::Participant);
    assert_eq!(hall.language_of("ana"), None);
    assert!(!hall.stored.parts.contains_key("language/ana"));

    hall.act(chair, speaks("chair", Some("en"))).expect("their own");
    hall.engine.handle_session_over("completed", hall.now);
    hall.drain();
    let kept = hall.stored.parts.keys().filter(|part| part.starts_with("language/"));
    assert_eq!(kept.count(), 0, "nothing about people stays");
}

#[test]
fn what_could_not_be_stored_is_not_told_and_changes_nothing() {
    let mut hall = Hall::new(ModerationMode::Open);
    let ana = hall.enter("ana", Role::Participant);
    hall.publish(ana, TrackSource::Microphone, Codec::Opus);
    let (seq, fresh) = (hall.engine.seq(), cabildo::room::action::FreshIds::generate());
    let action = speaks("", Some("en")).into();
    hall.engine.handle_action(ana, action, None, fresh, hall.now).expect("decided");
    hall.engine.undo();
    assert_eq!(hall.engine.seq(), seq);
    hall.tracks.clear();
    hall.drain();
    assert_eq!(hall.tracks, []);
    assert_eq!(hall.language_of("ana"), None);
}

#[test]
fn listeners_are_told_of_every_track_of_the_person() {
    let mut hall = Hall::new(ModerationMode::Open);
    let (ana, other) = (hall.enter("ana", Role::Participant), hall.enter("ana", Role::Participant));
    let bea = hall.enter("bea", Role::Participant);
    let first = hall.publish(ana, TrackSource::Microphone, Codec::Opus);
    let second = hall.publish(other, TrackSource::ScreenAudio, Codec::Opus);
    hall.publish(bea, TrackSource::Microphone, Codec::Opus);
    hall.tracks.clear();
    hall.act(ana, speaks("", Some("en"))).expect("their own");
    let told: std::collections::BTreeMap<_, _> = hall
        .tracks
        .iter()
        .map(|change| match change {
            TrackChange::Language(track, language) => (*track, language.clone()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(told, [(first, Some(tag("en"))), (second, Some(tag("en")))].into());

    // Tracks that come later have it from the beginning, and after a restart.
    hall.restart();
    hall.tracks.clear();
    let later = cabildo::domain::id::TrackId::generate();
    let (source, codec) = (TrackSource::Microphone, Codec::Opus);
    let new = NewTrack { track: later, source, codec, layers: 1 };
    hall.engine.handle_tracks(ana, vec![new], &[], hall.now);
    hall.drain();
    let [TrackChange::Published(track)] = hall.tracks.as_slice() else {
        panic!("{:?}", hall.tracks)
    };
    assert_eq!((track.track, track.language.as_ref()), (later, Some(&tag("en"))));
    hall.tracks.clear();
    hall.act(ana, speaks("", None)).expect("that of the session");
    assert_eq!(hall.tracks, [TrackChange::Language(later, None)]);
}

#[test]
fn who_changes_their_language_without_end_is_refused_and_moderators_are_not() {
    let mut hall = Hall::new(ModerationMode::Open);
    let (chair, ana) = (hall.enter("chair", Role::Moderator), hall.enter("ana", Role::Participant));
    let change = |number: usize| speaks("ana", Some(["en", "pt"][number % 2]));
    let taken = (0..100).filter(|number| hall.act(ana, change(*number)).is_ok()).count();
    assert_eq!(taken, 30, "as many as other changes of a person");
    assert_eq!(hall.act(ana, change(0)), Err(RoomError::TooMuch));
    hall.act(chair, change(0)).expect("of others");
    hall.pass(Duration::from_mins(1));
    hall.act(ana, change(1)).expect("a while later");
}

#[test]
fn languages_are_bounded_and_of_those_who_are_here_remembered() {
    let mut hall = Hall::new(ModerationMode::Open);
    let chair = hall.enter("a-chair", Role::Moderator);
    hall.act(chair, speaks("", Some("en"))).expect("their own");
    for number in 0..LANGUAGES_MAX + 3 {
        let name = format!("guest-{number:05}");
        let guest = hall.enter(&name, Role::Participant);
        // What a moderator says of others is not counted.
        hall.act(chair, speaks(&name, Some("pt"))).expect("of others");
        hall.engine.handle_leave(guest, Goodbye::Left, hall.now);
        hall.drain();
    }
    let stored = hall.stored.parts.keys().filter(|part| part.starts_with("language/"));
    assert_eq!(stored.count(), LANGUAGES_MAX);
    assert_eq!(hall.language_of("a-chair").as_deref(), Some("en"), "whoever is here");
    hall.enter("guest-00000", Role::Participant);
    assert_eq!(hall.language_of("guest-00000"), None, "whoever left first says it again");
}

#[test]
fn a_part_that_is_no_language_is_not_read() {
    let mut hall = Hall::new(ModerationMode::Open);
    let ana = hall.enter("ana", Role::Participant);
    hall.act(ana, speaks("", Some("en"))).expect("their own");
    hall.stored.parts.insert("language/ana".to_owned(), r#""no language""#.to_owned());
    let stored = hall.stored.clone();
    let recorder = cabildo::room::engine::Recorder::Present;
    let read = cabildo::room::engine::RoomEngine::from_stored(
        hall.info.clone(),
        recorder,
        stored,
        hall.now,
    );
    assert!(read.is_err(), "{read:?}");
}

#[test]
fn whoever_enters_is_told_what_can_be_said_while_there_is_text() {
    let mut hall = Hall::new(ModerationMode::Open);
    let ana = hall.enter("ana", Role::Participant);
    let known = [tag("es"), tag("en-US")];
    let shown = |hall: &Hall, known: Option<&[LanguageTag]>| {
        let view = hall.view(ana).expect("there").transcription(known);
        (view.state, view.languages)
    };
    assert_eq!(shown(&hall, Some(&known)), ("off".to_owned(), vec![]));
    hall.patch(|info| info.transcription.enabled = true);
    let languages = vec!["es".to_owned(), "en-US".to_owned()];
    assert_eq!(shown(&hall, Some(&known)), ("on".to_owned(), languages));
    assert_eq!(shown(&hall, None), ("unavailable".to_owned(), vec![]));
}
