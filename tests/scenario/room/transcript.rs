//! What was said, as text: whose it is, in which turn, and whose is not taken.

use std::time::Duration;

use cabildo::domain::floor::SpeechKind;
use cabildo::domain::id::{ConnectionId, TrackId};
use cabildo::domain::role::Role;
use cabildo::domain::session::{ModerationMode, TranscriptionPolicy};
use cabildo::domain::shown_text::ShownText;
use cabildo::domain::time::Timestamp;
use cabildo::domain::transcript::{GapCause, Transcribed, TranscriptChunk, TranscriptGap};
use cabildo::room::action::{FloorAction, PeopleAction, TranscriptAction};
use cabildo::room::engine::{Goodbye, LATE_MAX, SPEECH_MAX};
use cabildo::room::error::RoomError;
use cabildo::room::event::{Event, TranscriptChunkView};
use cabildo::sfu::plane::Gates;
use proptest::prelude::*;

use super::{Hall, user};

const SECOND: Duration = Duration::from_secs(1);

fn chunk(by: &str, text: &str, (from, to): (Timestamp, Timestamp)) -> TranscriptChunk {
    TranscriptChunk {
        user: user(by),
        track: TrackId::generate(),
        text: text.to_owned(),
        confidence: 0.875,
        from,
        to,
        is_final: true,
        engine: "whisper tiny".to_owned(),
        language: "es".to_owned(),
    }
}

impl Hall {
    /// A room whose session is transcribed.
    fn transcribed(moderation: ModerationMode) -> Self {
        let mut hall = Self::new(moderation);
        let language = Some("es".to_owned());
        hall.patch(|info| {
            info.transcription =
                TranscriptionPolicy { enabled: true, language, glossary: Vec::new() }
        });
        hall
    }

    fn take(&mut self, said: Transcribed) -> Result<(), RoomError> {
        let taken = self.engine.handle_transcribed(said, self.now);
        if taken.is_err() {
            self.engine.undo();
        }
        self.drain();
        taken.map(drop)
    }

    fn say(&mut self, by: &str, text: &str, span: (Timestamp, Timestamp)) -> Result<(), RoomError> {
        let chunk = chunk(by, text, span);
        self.take(Transcribed::Chunk(chunk))
    }

    /// What was told last of what was said.
    fn last_text(&self) -> TranscriptChunkView {
        let texts = self.texts();
        texts.into_iter().last().expect("something was said")
    }

    fn texts(&self) -> Vec<TranscriptChunkView> {
        let text = |(_, event): &(u64, Event)| match event {
            Event::TranscriptChunk(view) => Some(view.clone()),
            _ => None,
        };
        self.told.iter().filter_map(text).collect()
    }

    /// The turn that was started last.
    fn last_turn(&self) -> String {
        let turn = self.told.iter().rev().find_map(|(_, event)| match event {
            Event::TurnStarted(turn) => Some(turn.turn_id.clone()),
            _ => None,
        });
        turn.expect("a turn was started")
    }

    fn give_turn(&mut self, chair: ConnectionId, to: ConnectionId) -> String {
        let request = self.ask(to);
        self.give_floor(chair, request);
        self.last_turn()
    }

    /// Somebody in the hall who has no connection gets the floor.
    fn give_hall_turn(&mut self, chair: ConnectionId, name: &str) -> String {
        let shown = Some(name.to_owned());
        let add =
            FloorAction::AddSpeaker { user: user(name), name: shown, kind: SpeechKind::Normal };
        let request = self.act(chair, add).expect("added").expect("a request is made");
        let start = FloorAction::StartTurn { request: Some(request), limit: None };
        self.act(chair, start).expect("started");
        self.last_turn()
    }
}

fn whose(text: &TranscriptChunkView) -> (&str, Option<&str>) {
    (&text.participant, text.turn.as_deref())
}

#[test]
fn text_is_told_to_everybody_as_an_event_with_its_time_and_engine() {
    let mut hall = Hall::transcribed(ModerationMode::Open);
    hall.enter("ana", Role::Participant);
    let from = hall.now;
    hall.pass(3 * SECOND);
    let before = hall.engine.seq();
    hall.say("ana", " Buenas\u{202e}\n tardes. ", (from, hall.now)).expect("taken");
    assert_eq!(hall.kinds_since(before), ["transcript_chunk"]);
    let text = hall.last_text();
    assert_eq!(text.text, "Buenas tardes.", "cleaned like all text that people are shown");
    assert_eq!(whose(&text), ("ana", None), "nobody had a turn");
    assert_eq!((text.from, text.to), (from.to_string(), hall.now.to_string()));
    assert_eq!((text.confidence, text.r#final), (0.875, true));
    assert_eq!((text.engine.as_str(), text.language.as_str()), ("whisper tiny", "es"));
}

#[test]
fn text_at_the_border_of_two_turns_belongs_to_the_one_in_which_most_of_it_was_said() {
    let mut hall = Hall::transcribed(ModerationMode::Moderated);
    let chair = hall.enter("chair", Role::Moderator);
    let (ana, bea) = (hall.enter("ana", Role::Participant), hall.enter("bea", Role::Participant));
    let first = hall.give_turn(chair, ana);
    let begun = hall.now;
    hall.pass(10 * SECOND);
    let changed = hall.now;
    let second = hall.give_turn(chair, bea);
    hall.pass(10 * SECOND);
    let third = hall.give_turn(chair, ana);
    let again = hall.now;
    hall.pass(10 * SECOND);

    hall.say("ana", "todo", (begun.after(SECOND), begun.after(4 * SECOND))).expect("taken");
    assert_eq!(whose(&hall.last_text()), ("ana", Some(first.as_str())));
    // She went on for a moment when it was Bea's turn.
    let over = (changed.before(3 * SECOND), changed.after(SECOND));
    hall.say("ana", "casi todo", over).expect("taken");
    assert_eq!(whose(&hall.last_text()), ("ana", Some(first.as_str())));
    let early = (changed.before(SECOND), changed.after(4 * SECOND));
    hall.say("bea", "gracias", early).expect("taken");
    assert_eq!(whose(&hall.last_text()), ("bea", Some(second.as_str())));
    // Of both of Ana's turns, the one with the longer part.
    let both = (changed.before(SECOND), again.after(4 * SECOND));
    hall.say("ana", "de nuevo", both).expect("taken");
    assert_eq!(whose(&hall.last_text()), ("ana", Some(third.as_str())));
    // The chair speaks between them, and has no turn.
    hall.say("chair", "Tiene la palabra", over).expect("taken");
    assert_eq!(whose(&hall.last_text()), ("chair", None));
}

#[test]
fn text_that_comes_after_its_turn_has_ended_still_belongs_to_it() {
    let mut hall = Hall::transcribed(ModerationMode::Moderated);
    let chair = hall.enter("chair", Role::Moderator);
    let ana = hall.enter("ana", Role::Participant);
    let turn = hall.give_turn(chair, ana);
    hall.pass(5 * SECOND);
    let spoken = (hall.now.before(4 * SECOND), hall.now);
    hall.act(chair, FloorAction::StopTurn).expect("stopped");
    hall.pass(Duration::from_secs(90));
    hall.say("ana", "lo dicho", spoken).expect("the engine was slow");
    assert_eq!(whose(&hall.last_text()), ("ana", Some(turn.as_str())));
    hall.pass(LATE_MAX);
    let late = hall.say("ana", "otra vez", spoken).expect_err("too late");
    assert!(matches!(late, RoomError::Unprocessable(_)), "{late:?}");
}

#[test]
fn a_pause_within_a_turn_does_not_make_it_two() {
    let mut hall = Hall::transcribed(ModerationMode::Moderated);
    let chair = hall.enter("chair", Role::Moderator);
    let ana = hall.enter("ana", Role::Participant);
    let turn = hall.give_turn(chair, ana);
    let begun = hall.now;
    hall.pass(4 * SECOND);
    hall.act(chair, FloorAction::PauseTurn).expect("paused");
    let paused = hall.now;
    hall.pass(6 * SECOND);
    let silent = (paused.after(SECOND), paused.after(5 * SECOND));
    assert_eq!(hall.say("ana", "en la pausa", silent), Err(RoomError::NotHeard));
    hall.act(chair, FloorAction::ResumeTurn).expect("resumed");
    hall.pass(4 * SECOND);
    hall.say("ana", "antes y después", (begun, hall.now)).expect("taken");
    assert_eq!(whose(&hall.last_text()), ("ana", Some(turn.as_str())));
}

#[test]
fn text_of_the_hall_belongs_to_whoever_has_the_halls_turn() {
    let mut hall = Hall::transcribed(ModerationMode::Moderated);
    let chair = hall.enter("chair", Role::Moderator);
    hall.enter("hall-1", Role::Hall);
    let ana = hall.enter("ana", Role::Participant);
    let julio = hall.give_hall_turn(chair, "julio");
    let begun = hall.now;
    hall.pass(10 * SECOND);
    let rosa = hall.give_hall_turn(chair, "rosa");
    let changed = hall.now;
    hall.pass(10 * SECOND);
    let remote = hall.give_turn(chair, ana);
    let away = hall.now;
    hall.pass(10 * SECOND);

    hall.say("hall-1", "soy Julio", (begun, begun.after(3 * SECOND))).expect("taken");
    assert_eq!(whose(&hall.last_text()), ("julio", Some(julio.as_str())));
    let border = (changed.before(SECOND), changed.after(3 * SECOND));
    hall.say("hall-1", "soy Rosa", border).expect("taken");
    assert_eq!(whose(&hall.last_text()), ("rosa", Some(rosa.as_str())));
    hall.say("ana", "soy Ana", (away, hall.now)).expect("taken");
    assert_eq!(whose(&hall.last_text()), ("ana", Some(remote.as_str())));
    // The hall is closed while somebody who is connected has the floor.
    let within = (away.after(SECOND), away.after(4 * SECOND));
    assert_eq!(hall.say("hall-1", "¡mentira!", within), Err(RoomError::NotHeard));
    // Without a turn of the hall, what an open hall says is the hall's.
    hall.act(chair, FloorAction::StopTurn).expect("stopped");
    hall.act(chair, FloorAction::SetModeration(ModerationMode::Open)).expect("opened");
    let open = hall.now;
    hall.pass(3 * SECOND);
    hall.say("hall-1", "murmullo", (open, hall.now)).expect("taken");
    assert_eq!(whose(&hall.last_text()), ("hall-1", None));
}

#[test]
fn text_of_whoever_was_muted_or_had_no_floor_is_not_taken() {
    let mut hall = Hall::transcribed(ModerationMode::Moderated);
    let chair = hall.enter("chair", Role::Moderator);
    let ana = hall.enter("ana", Role::Participant);
    hall.enter("bea", Role::Participant);
    hall.enter("press", Role::Observer);
    hall.give_turn(chair, ana);
    hall.pass(5 * SECOND);
    hall.act(chair, PeopleAction::Mute(user("ana"))).expect("muted");
    let muted = hall.now;
    hall.pass(5 * SECOND);
    let before = hall.engine.seq();
    let span = (muted.after(SECOND), muted.after(4 * SECOND));
    for nobody in ["ana", "bea", "press", "nobody"] {
        let refused = hall.say(nobody, "a escondidas", span);
        assert_eq!(refused, Err(RoomError::NotHeard), "{nobody}");
        let (from, to) = span;
        let (user, track, cause) = (user(nobody), TrackId::generate(), GapCause::Overload);
        let gap = Transcribed::Gap(TranscriptGap { user, track, from, to, cause });
        assert_eq!(hall.take(gap), Err(RoomError::NotHeard), "{nobody}");
    }
    let close = (muted.after(Duration::from_millis(400)), muted.after(4 * SECOND));
    assert_eq!(hall.say("ana", "ya cerrado", close), Err(RoomError::NotHeard));
    assert_eq!(hall.engine.seq(), before, "nothing was written down");
    // What she said up to the mute counts.
    hall.say("ana", "hasta aquí", (muted.before(2 * SECOND), muted.after(SECOND))).expect("taken");
    hall.act(chair, PeopleAction::Unmute(user("ana"))).expect("unmuted");
    let unmuted = hall.now;
    hall.pass(3 * SECOND);
    hall.say("ana", "sigo", (unmuted, hall.now)).expect("taken");
}

#[test]
fn text_of_whoever_has_left_is_still_theirs() {
    let mut hall = Hall::transcribed(ModerationMode::Moderated);
    let chair = hall.enter("chair", Role::Moderator);
    let ana = hall.enter("ana", Role::Participant);
    let device = hall.enter("hall-1", Role::Hall);
    let julio = hall.give_hall_turn(chair, "julio");
    hall.pass(3 * SECOND);
    let in_hall = (hall.now.before(2 * SECOND), hall.now);
    let turn = hall.give_turn(chair, ana);
    hall.pass(5 * SECOND);
    let spoken = (hall.now.before(4 * SECOND), hall.now);
    for gone in [ana, device] {
        hall.engine.handle_leave(gone, Goodbye::Left, hall.now);
    }
    hall.drain();
    hall.pass(2 * SECOND);
    hall.say("ana", "me despido", spoken).expect("taken");
    assert_eq!(whose(&hall.last_text()), ("ana", Some(turn.as_str())));
    hall.say("hall-1", "y yo", in_hall).expect("taken");
    assert_eq!(whose(&hall.last_text()), ("julio", Some(julio.as_str())));
    let after = (hall.now.before(SECOND), hall.now);
    assert_eq!(hall.say("ana", "ya me fui", after), Err(RoomError::NotHeard));
}

#[test]
fn words_so_far_are_shown_only_of_whoever_is_heard_in_their_turn() {
    let mut hall = Hall::transcribed(ModerationMode::Moderated);
    let chair = hall.enter("chair", Role::Moderator);
    let ana = hall.enter("ana", Role::Participant);
    hall.enter("hall-1", Role::Hall);
    let shown = |hall: &Hall, by: &str, from: Timestamp| {
        let so_far = TranscriptChunk {
            is_final: false,
            ..chunk(by, "hasta \u{202e}aquí", (from, hall.now))
        };
        hall.engine.spoken_so_far(&so_far, hall.now)
    };
    hall.pass(3 * SECOND);
    assert_eq!(shown(&hall, "chair", hall.now.before(SECOND)), None, "a chair without a turn");
    assert_eq!(shown(&hall, "ana", hall.now.before(SECOND)), None, "without the floor");
    let turn = hall.give_turn(chair, ana);
    let begun = hall.now;
    hall.pass(3 * SECOND);
    let before = hall.engine.seq();
    let view = shown(&hall, "ana", begun).expect("she has the floor");
    assert_eq!(whose(&view), ("ana", Some(turn.as_str())));
    assert_eq!((view.text.as_str(), view.r#final), ("hasta aquí", false));
    assert_eq!((view.from, view.to), (begun.to_string(), hall.now.to_string()));
    for nobody in ["chair", "hall-1", "nobody"] {
        assert_eq!(shown(&hall, nobody, begun), None, "{nobody}");
    }
    assert_eq!(shown(&hall, "ana", hall.now.after(SECOND)), None, "time that can't be true");
    hall.act(chair, PeopleAction::Mute(user("ana"))).expect("muted");
    assert_eq!(shown(&hall, "ana", begun), None, "not even what was said before");
    hall.act(chair, PeopleAction::Unmute(user("ana"))).expect("unmuted");
    hall.pass(2 * SECOND);
    let muted =
        TranscriptChunk { is_final: false, ..chunk("ana", "antes", (begun, begun.after(SECOND))) };
    assert_eq!(hall.engine.spoken_so_far(&muted, hall.now), None, "nor when she is heard again");
    let again = hall.now.before(SECOND);
    assert!(shown(&hall, "ana", again).is_some());
    // What became text is not shown as unfinished any more.
    let whole = chunk("ana", "todo", (again, hall.now));
    hall.take(Transcribed::Chunk(whole.clone())).expect("taken");
    let late = TranscriptChunk { is_final: false, ..whole };
    assert_eq!(hall.engine.spoken_so_far(&late, hall.now), None);
    hall.act(chair, FloorAction::PauseTurn).expect("paused");
    assert_eq!(shown(&hall, "ana", again), None, "a turn that is paused");
    let julio = hall.give_hall_turn(chair, "julio");
    let begun = hall.now;
    hall.pass(2 * SECOND);
    let view = shown(&hall, "hall-1", begun).expect("the hall has the floor");
    assert_eq!(whose(&view), ("julio", Some(julio.as_str())));
    hall.patch(|info| info.transcription.enabled = false);
    assert_eq!(shown(&hall, "hall-1", begun), None);
    assert_eq!(hall.texts().len(), 1, "nothing of it is an event");
    assert!(hall.engine.seq() > before);
}

#[test]
fn what_can_not_be_true_or_shown_is_refused() {
    let mut hall = Hall::transcribed(ModerationMode::Open);
    hall.enter("ana", Role::Participant);
    hall.pass(Duration::from_mins(5));
    let now = hall.now;
    let spoken = (now.before(2 * SECOND), now);
    for span in [
        (now, now.before(SECOND)),
        (now.before(SPEECH_MAX).before(SECOND), now),
        (now, now.after(5 * SECOND)),
        (now.before(LATE_MAX).before(3 * SECOND), now.before(LATE_MAX).before(SECOND)),
    ] {
        let refused = hall.say("ana", "no", span).expect_err("refused");
        assert!(matches!(refused, RoomError::Unprocessable(_)), "{refused:?}");
    }
    for nothing in ["", " \u{200b}\n"] {
        let refused = hall.say("ana", nothing, spoken).expect_err("refused");
        assert!(matches!(refused, RoomError::Unprocessable(_)), "{refused:?}");
    }
    let partial = TranscriptChunk { is_final: false, ..chunk("ana", "a medias", spoken) };
    let refused = hall.take(Transcribed::Chunk(partial)).expect_err("refused");
    assert!(matches!(refused, RoomError::Unprocessable(_)), "{refused:?}");
    // A session that is not transcribed has no text, whoever brings it.
    hall.patch(|info| info.transcription.enabled = false);
    let refused = hall.say("ana", "no", spoken).expect_err("refused");
    assert!(matches!(refused, RoomError::Unprocessable(_)), "{refused:?}");
    assert!(hall.texts().is_empty());
}

#[test]
fn what_an_engine_says_of_itself_is_bounded() {
    let mut hall = Hall::transcribed(ModerationMode::Open);
    hall.enter("ana", Role::Participant);
    hall.pass(10 * SECOND);
    let spoken = (hall.now.before(2 * SECOND), hall.now);
    for (confidence, shown) in [(f32::NAN, 0.0), (-3.0, 0.0), (7.0, 1.0), (0.123_45, 0.123)] {
        let text = "palabra ".repeat(10_000);
        let chunk = TranscriptChunk {
            confidence,
            engine: "x".repeat(10_000),
            language: "español\n".to_owned(),
            ..chunk("ana", &text, spoken)
        };
        hall.take(Transcribed::Chunk(chunk)).expect("taken");
        let told = hall.last_text();
        assert!((told.confidence - shown).abs() < 0.000_1, "{}", told.confidence);
        assert!(told.text.len() <= ShownText::SPEECH_BYTES_MAX && told.text.ends_with('…'));
        assert!(told.engine.len() <= 64);
        assert_eq!(told.language, "und");
    }
}

#[test]
fn the_same_piece_is_told_once() {
    let mut hall = Hall::transcribed(ModerationMode::Open);
    hall.enter("ana", Role::Participant);
    hall.pass(10 * SECOND);
    let chunk = chunk("ana", "una vez", (hall.now.before(2 * SECOND), hall.now));
    for _ in 0..3 {
        hall.take(Transcribed::Chunk(chunk.clone())).expect("taken");
    }
    assert_eq!(hall.texts().len(), 1);
    // What could not be stored was not told, and may come again.
    let other = TranscriptChunk { track: TrackId::generate(), ..chunk };
    hall.engine.handle_transcribed(Transcribed::Chunk(other.clone()), hall.now).expect("taken");
    hall.engine.undo();
    hall.take(Transcribed::Chunk(other)).expect("taken");
    assert_eq!(hall.texts().len(), 2);
}

#[test]
fn more_than_anybody_can_say_becomes_a_gap_and_then_nothing() {
    let mut hall = Hall::transcribed(ModerationMode::Open);
    hall.enter("ana", Role::Participant);
    hall.enter("bea", Role::Participant);
    hall.pass(10 * SECOND);
    let spoken = (hall.now.before(2 * SECOND), hall.now);
    let text = "a".repeat(1_500);
    let mut refused = 0;
    for _ in 0..200 {
        refused += u32::from(hall.say("ana", &text, spoken) == Err(RoomError::TooMuch));
    }
    let gaps = hall.told.iter().filter(
        |(_, event)| matches!(event, Event::TranscriptGap { cause, .. } if cause == "overload"),
    );
    let (texts, gaps) = (hall.texts().len(), gaps.count());
    assert!((5..50).contains(&texts), "{texts} texts");
    assert!(gaps > 50 && refused > 50, "{gaps} gaps, {refused} refused");
    hall.say("bea", "no es culpa mía", spoken).expect("others are heard");
    hall.pass(Duration::from_mins(5));
    hall.say("ana", "otra vez", (hall.now.before(2 * SECOND), hall.now)).expect("a while later");
}

#[test]
fn a_correction_stands_beside_the_original_and_only_moderators_make_it() {
    let mut hall = Hall::transcribed(ModerationMode::Open);
    let chair = hall.enter("chair", Role::Moderator);
    let ana = hall.enter("ana", Role::Participant);
    hall.pass(10 * SECOND);
    hall.say("ana", "boto a favor", (hall.now.before(2 * SECOND), hall.now)).expect("taken");
    let of = hall.engine.seq();
    let correct = |text: &str| TranscriptAction::Correct { of, text: text.to_owned() };
    assert_eq!(hall.act(ana, correct("voto en contra")), Err(RoomError::Forbidden));
    let nothing = hall.act(chair, correct(" "));
    assert!(matches!(nothing, Err(RoomError::Unprocessable(_))), "{nothing:?}");
    let beyond = TranscriptAction::Correct { of: of + 9, text: "x".to_owned() };
    assert_eq!(hall.act(chair, beyond), Err(RoomError::ChunkNotFound));
    hall.act(chair, correct("Voto a favor.")).expect("corrected");
    let (seq, last) = hall.told.last().expect("told");
    let expected =
        Event::TranscriptCorrected { of, text: "Voto a favor.".to_owned(), by: "chair".to_owned() };
    assert_eq!((*seq, last), (of + 1, &expected));
    assert_eq!(hall.last_text().text, "boto a favor", "the original is as it was");
}

#[test]
fn members_are_told_whether_and_in_what_language_there_is_text() {
    let mut hall = Hall::new(ModerationMode::Open);
    let ana = hall.enter("ana", Role::Participant);
    let state = |hall: &Hall, is_available: bool| {
        let view = hall.view(ana).expect("in the room");
        let shown = view.transcription(is_available.then_some(&[]));
        (shown.state, shown.language)
    };
    assert_eq!(state(&hall, true), ("off".to_owned(), None));
    let language = Some("pt".to_owned());
    hall.patch(|info| {
        info.transcription = TranscriptionPolicy { enabled: true, language, glossary: Vec::new() }
    });
    assert_eq!(state(&hall, true), ("on".to_owned(), Some("pt".to_owned())));
    assert_eq!(state(&hall, false), ("unavailable".to_owned(), Some("pt".to_owned())));
}

proptest! {
    /// Whatever turns are given and whenever text comes, it belongs to a turn that its speaker or
    /// the hall had, or to none, and never to one that began after it was said.
    #[test]
    fn text_never_belongs_to_the_turn_of_somebody_else(
        steps in prop::collection::vec((0_u8..6, 1_u64..8), 1..40),
    ) {
        let mut hall = Hall::transcribed(ModerationMode::Moderated);
        let chair = hall.enter("chair", Role::Moderator);
        let people = [("ana", hall.enter("ana", Role::Participant)),
            ("bea", hall.enter("bea", Role::Participant))];
        hall.enter("hall-1", Role::Hall);
        let mut turns: Vec<(String, String, Timestamp)> = Vec::new();
        for (step, seconds) in steps {
            match step {
                0 | 1 => {
                    let (name, connection) = people[usize::from(step)];
                    let id = hall.give_turn(chair, connection);
                    turns.push((id, name.to_owned(), hall.now));
                }
                2 => {
                    let id = hall.give_hall_turn(chair, "julio");
                    turns.push((id, "julio".to_owned(), hall.now));
                }
                3 => drop(hall.act(chair, FloorAction::StopTurn)),
                4 => drop(hall.act(chair, FloorAction::PauseTurn)),
                _ => drop(hall.act(chair, FloorAction::ResumeTurn)),
            }
            hall.pass(Duration::from_secs(seconds));
            let span = (hall.now.before(Duration::from_secs(seconds)), hall.now);
            for by in ["ana", "bea", "hall-1", "chair"] {
                if hall.say(by, "palabras", span).is_err() {
                    continue;
                }
                let text = hall.last_text();
                let of = text.turn.as_ref().map(|turn| {
                    turns.iter().find(|(id, ..)| id == turn).expect("a turn that was given")
                });
                if let Some((_, holder, begun)) = of {
                    prop_assert_eq!(&text.participant, holder);
                    prop_assert_eq!(by == "hall-1", holder == "julio");
                    prop_assert!(*begun <= span.1);
                } else {
                    prop_assert_eq!(text.participant.as_str(), by);
                }
            }
        }
    }
}

#[test]
fn when_the_session_ends_nobody_is_heard_and_text_of_before_is_still_taken() {
    let mut hall = Hall::transcribed(ModerationMode::Moderated);
    let chair = hall.enter("chair", Role::Moderator);
    let ana = hall.enter("ana", Role::Participant);
    let turn = hall.give_turn(chair, ana);
    let from = hall.now;
    hall.pass(4 * SECOND);
    let (to, before) = (hall.now, hall.engine.seq());

    hall.engine.handle_session_ending(hall.now);
    hall.drain();

    assert_eq!(hall.kinds_since(before), ["turn_ended"], "the end itself is told once it is over");
    for connection in [chair, ana] {
        assert_eq!(hall.engine.gates(connection), Gates::CLOSED);
    }
    hall.pass(3 * SECOND);
    hall.say("ana", "Eso es todo.", (from, to)).expect("she was heard");
    assert_eq!(whose(&hall.last_text()), ("ana", Some(turn.as_str())));
    let later = (to.after(SECOND), to.after(3 * SECOND));
    assert_eq!(hall.say("ana", "¿Me oyen?", later), Err(RoomError::NotHeard));
    let chairs = (to.after(SECOND), to.after(3 * SECOND));
    assert_eq!(hall.say("chair", "¿Y a mí?", chairs), Err(RoomError::NotHeard));
    hall.engine.handle_session_over("completed", hall.now);
    hall.drain();
    let kinds = hall.kinds_since(before);
    assert_eq!(kinds[..2], ["turn_ended", "transcript_chunk"]);
    assert_eq!(kinds.last(), Some(&"session_ended"));
}
