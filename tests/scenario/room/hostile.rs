//! People who do all that they may for a while: how much they have written down.
//!
//!   `CABILDO_ATTACK=long`    thirty people for an hour instead of six for six minutes

use std::time::Duration;

use cabildo::domain::floor::SpeechKind;
use cabildo::domain::id::{ConnectionId, TrackId};
use cabildo::domain::media::{Codec, TrackSource};
use cabildo::domain::participant::Principal;
use cabildo::domain::role::Role;
use cabildo::domain::session::ModerationMode;
use cabildo::domain::transcript::{Transcribed, TranscriptChunk};
use cabildo::room::action::{Action, ChatAction, FloorAction, FreshIds, MediaFlags, PeopleAction};
use cabildo::room::engine::{ConnectionKind, Goodbye, NewTrack, written_bytes_max};
use cabildo::room::error::RoomError;

use super::{Hall, secret};

/// How often each of them does everything.
const STEP_S: u64 = 2;

/// People who do all that they may.
struct HostilePeople {
    hall: Hall,
    name: String,
    people: Vec<(Principal, ConnectionId, Vec<TrackId>)>,
    secrets: u64,
    bytes: u64,
}

impl HostilePeople {
    fn enter(name: &str, people: u64) -> Self {
        let mut hall = Hall::new(ModerationMode::Open);
        hall.patch(|info| {
            info.participants_max = 100;
            info.transcription.enabled = true;
        });
        let people = (0..people).map(|number| {
            let id = format!("guest-{number}");
            (Principal { name: name.to_owned(), ..hall.principal(&id, Role::Participant) }, id)
        });
        let people: Vec<_> = people.collect();
        let mut entered = Vec::new();
        for (mut principal, id) in people {
            principal.expires_at = hall.now.after(Duration::from_hours(2));
            let connection = ConnectionId::generate();
            let kind = ConnectionKind::Channel;
            hall.engine
                .handle_enter(connection, &principal, kind, secret(&id), hall.now)
                .expect("let in");
            entered.push((principal, connection, Vec::new()));
        }
        hall.drain();
        Self { hall, name: name.to_owned(), people: entered, secrets: 0, bytes: 0 }
    }

    /// Keeps or forgets what was decided, as a driver does.
    fn decided<T>(&mut self, outcome: &Result<T, RoomError>) {
        if outcome.is_ok() {
            self.hall.engine.accept();
        } else {
            self.hall.engine.undo();
        }
    }

    fn write(&mut self, connection: ConnectionId, step: u64) {
        // Characters that JSON writes with two bytes.
        let (text, note) = ("\"".repeat(2_000), Some("\\".repeat(500)));
        let (kind, stance) = (SpeechKind::Normal, None);
        let flags = MediaFlags { audio: step.is_multiple_of(2), ..MediaFlags::default() };
        // The longest tag.
        let language =
            format!("{}-x-abcdefgh-abcdefgh-abcdefg", ["es", "pt"][usize::from(flags.audio)]);
        let language = Some(language.parse().expect("a language tag"));
        for action in [
            Action::from(ChatAction::Say { text }),
            Action::from(FloorAction::RequestSpeech { kind, stance, note }),
            Action::from(FloorAction::CancelSpeech { request: None }),
            Action::from(PeopleAction::SetMedia(flags)),
            Action::from(PeopleAction::SetLanguage { user: None, language }),
        ] {
            let fresh = FreshIds::generate();
            let now = self.hall.now;
            let outcome = self.hall.engine.handle_action(connection, action, None, fresh, now);
            self.decided(&outcome);
        }
    }

    /// Says as much as engines would write down.
    fn speak(&mut self, person: usize) {
        let now = self.hall.now;
        let said = TranscriptChunk {
            user: self.people[person].0.user_id.clone(),
            track: TrackId::generate(),
            text: "\"".repeat(1_000),
            confidence: 0.5,
            from: now.before(Duration::from_secs(1)),
            to: now,
            is_final: true,
            engine: "whisper".to_owned(),
            language: "es".to_owned(),
        };
        for _ in 0..5 {
            let track = TrackId::generate();
            let said = Transcribed::Chunk(TranscriptChunk { track, ..said.clone() });
            let outcome = self.hall.engine.handle_transcribed(said, now).map(drop);
            self.decided(&outcome);
        }
    }

    /// Publishes two tracks and drops those of the second before.
    fn publish(&mut self, person: usize) {
        let (connection, now) = (self.people[person].1, self.hall.now);
        if self.hall.engine.check_offer(connection, now).is_err() {
            return;
        }
        let (source, codec) = (TrackSource::Microphone, Codec::Opus);
        let track = || NewTrack { track: TrackId::generate(), source, codec, layers: 1 };
        let new = vec![track(), track()];
        let dropped = std::mem::replace(
            &mut self.people[person].2,
            new.iter().map(|new| new.track).collect(),
        );
        self.hall.engine.handle_tracks(connection, new, &dropped, now);
        self.hall.engine.accept();
    }

    /// Leaves and enters again, when that is allowed.
    fn come_again(&mut self, person: usize) {
        self.secrets += 1;
        let (principal, before, _) = self.people[person].clone();
        let (connection, now) = (ConnectionId::generate(), self.hall.now);
        let resume = secret(&self.secrets.to_string());
        let kind = ConnectionKind::Channel;
        let entered = self.hall.engine.handle_enter(connection, &principal, kind, resume, now);
        self.decided(&entered);
        if entered.is_ok() {
            self.hall.engine.handle_lost(before, now);
            self.hall.engine.handle_leave(before, Goodbye::Left, now);
            self.hall.engine.accept();
            self.people[person] = (principal, connection, Vec::new());
        }
    }

    /// Counts what a driver stores now.
    fn store(&mut self) {
        let change = self.hall.engine.to_store();
        let part = |(name, value): &(String, Option<String>)| {
            name.len() + value.as_ref().map_or(0, String::len)
        };
        let parts: usize = change.parts.iter().map(part).sum();
        self.hall.engine.stored();
        let outputs = self.hall.engine.take_outputs();
        let events: usize = outputs.told.iter().map(|(told, _)| told.to_json().len()).sum();
        self.bytes += (parts + events) as u64;
    }

    /// What they have written down after so many minutes.
    fn act_for(mut self, minutes: u64) -> u64 {
        for step in 0..minutes * 60 / STEP_S {
            self.hall.now = self.hall.now.after(Duration::from_secs(STEP_S));
            for person in 0..self.people.len() {
                self.write(self.people[person].1, step);
                self.publish(person);
                self.speak(person);
                self.come_again(person);
            }
            self.store();
        }
        say(&format!("a name of {} bytes: {} bytes written", self.name.len(), self.bytes));
        self.bytes
    }
}

#[expect(clippy::print_stderr, reason = "what was measured belongs to the test's output")]
fn say(text: &str) {
    eprintln!("{text}");
}

/// `docs/THREATS.md` states the bound and what was measured.
#[test]
fn thirty_hostile_people_write_a_bounded_number_of_bytes_in_an_hour() {
    let long = std::env::var("CABILDO_ATTACK").is_ok_and(|form| form == "long");
    let (people, minutes) = if long { (30, 60) } else { (6, 6) };
    for name in ["Ana".to_owned(), "👩‍👩‍👧‍👦".repeat(100)] {
        let bytes = HostilePeople::enter(&name, people).act_for(minutes);
        let bound = written_bytes_max(people, minutes);
        say(&format!("the bound is {bound} bytes"));
        assert!(bytes < bound, "{bytes} bytes of {bound}");
        assert!(bytes > bound / 100, "{bytes} bytes: they were not let in at all");
    }
}

/// Whoever loses the connection again and again may come back as often as
/// networks are bad, and nobody is kept out by the arrivals of others.
#[test]
fn who_arrives_without_end_is_refused_and_others_are_not() {
    let mut hostile = HostilePeople::enter("Ana", 2);
    let (before, now) = (hostile.people[0].1, hostile.hall.now);
    for _ in 0..100 {
        hostile.come_again(0);
    }
    let principal = hostile.people[0].0.clone();
    let kind = ConnectionKind::Channel;
    let again = ConnectionId::generate();
    let engine = &mut hostile.hall.engine;
    let refused = engine.handle_enter(again, &principal, kind, secret("again"), now);
    assert_eq!(refused, Err(RoomError::TooMuch));
    assert_ne!(hostile.people[0].1, before, "the first times are allowed");
    hostile.hall.enter("honest", Role::Participant);
    let later = now.after(Duration::from_secs(15));
    let engine = &mut hostile.hall.engine;
    engine.handle_enter(again, &principal, kind, secret("again"), later).expect("a while later");
}

#[test]
fn who_publishes_without_end_is_refused_for_a_while() {
    let mut hostile = HostilePeople::enter("Ana", 1);
    for _ in 0..100 {
        hostile.publish(0);
    }
    let (connection, now) = (hostile.people[0].1, hostile.hall.now);
    let engine = &hostile.hall.engine;
    assert_eq!(engine.check_offer(connection, now), Err(RoomError::TooMuch));
    let later = now.after(Duration::from_mins(1));
    assert_eq!(engine.check_offer(connection, later), Ok(()));
}
