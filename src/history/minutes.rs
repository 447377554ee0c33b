//! The draft of the minutes of a session: what its log and its transcript say, sentence by sentence,
//! each with the moment that it rests on. Nothing else is put in, and nothing is judged.

mod language;
mod markdown;
mod pages;

use std::collections::BTreeMap;

use crate::domain::time::Timestamp;
use crate::evidence::EventKind;
use crate::history::event::{JoinRefused, LogEvent};
use crate::history::transcript::{Piece, Said, Transcript};
use crate::room::event::{
    AttendanceView, Event, NewChairView, ParticipantView, QuorumState, VoteView,
};

pub use language::Language;
pub use markdown::{About, SignedHead};

/// Kinds of events that minutes are made of.
pub(super) const KINDS: &[EventKind] =
    &[EventKind::RoomEvent, EventKind::JoinRefused, EventKind::Correction];

/// What minutes say in one sentence.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// Somebody presided from then on.
    Presided {
        /// Who.
        name: String,
        /// Until when; `None` while they do.
        to: Option<Timestamp>,
    },
    /// A moderator entered.
    ModeratorEntered {
        /// Who.
        name: String,
    },
    /// A moderator left.
    ModeratorLeft {
        /// Who.
        name: String,
    },
    /// Somebody is present.
    Present {
        /// Who.
        name: String,
        /// How it is known.
        method: String,
        /// Where.
        place: String,
        /// Weight of their own units.
        weight: String,
    },
    /// Another eligible list has another name or weight for somebody.
    ListCorrected {
        /// Their name on it.
        name: String,
        /// Their name before, when it was another.
        formerly: Option<String>,
        /// Weight of their own units on it.
        weight: String,
    },
    /// Somebody is not present any more.
    Absent {
        /// Who.
        name: String,
    },
    /// Somebody represents a unit of somebody else.
    Represents {
        /// Who.
        name: String,
        /// The unit.
        unit: String,
    },
    /// They no longer do.
    RepresentsNoMore {
        /// Who.
        name: String,
        /// The unit.
        unit: String,
    },
    /// How many were present first, or last.
    Counted(Box<QuorumState>),
    /// The quorum was reached or lost.
    Quorum(Box<QuorumState>),
    /// Somebody got the floor.
    TurnStarted {
        /// Who.
        name: String,
        /// The kind of their request.
        kind: String,
    },
    /// Their turn is over.
    TurnEnded {
        /// Who.
        name: String,
        /// Time they used, seconds.
        used_s: u64,
        /// Whether the decision that gave it was taken back.
        is_undone: bool,
    },
    /// Somebody said something.
    Spoke {
        /// Who.
        name: String,
        /// What, as corrected last.
        text: String,
        /// Whether a moderator corrected it.
        is_corrected: bool,
    },
    /// Somebody said something of which there is no text.
    NotTranscribed {
        /// Who.
        name: String,
        /// Until when.
        to: Timestamp,
    },
    /// A vote was announced.
    Vote {
        /// What is voted on.
        title: String,
    },
    /// The floor decides who is heard from here on, or no longer does.
    Moderation {
        /// `open` or `moderated`.
        mode: String,
        /// The moderator.
        by: String,
    },
    /// A moderator muted somebody.
    Muted {
        /// Who.
        name: String,
        /// The moderator.
        by: String,
    },
    /// A moderator lifted a mute.
    Unmuted {
        /// Who.
        name: String,
        /// The moderator.
        by: String,
    },
    /// A moderator had nobody shown somebody's cameras and screens.
    PicturesStopped {
        /// Whose.
        name: String,
        /// The moderator.
        by: String,
    },
    /// A moderator lifted that.
    PicturesAllowed {
        /// Whose.
        name: String,
        /// The moderator.
        by: String,
    },
    /// A moderator refused a request to speak.
    Denied {
        /// Whose.
        name: String,
        /// Why, if that was said.
        reason: Option<String>,
    },
    /// A moderator sent somebody out.
    Removed {
        /// Who.
        name: String,
    },
    /// Somebody was refused at the door.
    Refused {
        /// Who.
        name: String,
        /// The code of the refusal.
        code: String,
    },
    /// The recording was started, paused or stopped.
    Recording {
        /// `recording`, `paused` or `stopped`.
        state: String,
    },
    /// People who are not in the session may watch it live, or no longer.
    LiveViewing {
        /// Whether they may.
        is_on: bool,
    },
    /// A decision was taken back.
    Undone {
        /// The moderator, or whose decision it was.
        by: String,
    },
    /// The clock of the server was set.
    ClockSet {
        /// By how many milliseconds.
        by_ms: i64,
    },
}

/// A fact and its moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Timed {
    /// The moment.
    pub at: Timestamp,
    /// The fact.
    pub fact: Fact,
}

/// The draft of the minutes of a session. Each part is in the order of time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Minutes {
    /// Who presided.
    pub presiding: Vec<Timed>,
    /// Who was present.
    pub attendance: Vec<Timed>,
    /// How many, and whether they were a quorum.
    pub quorum: Vec<Timed>,
    /// Turns, what was said, votes.
    pub proceedings: Vec<Timed>,
    /// What was out of the ordinary.
    pub incidents: Vec<Timed>,
}

impl Minutes {
    /// Whether minutes need this event.
    pub(super) const fn uses(event: &LogEvent) -> bool {
        match event {
            LogEvent::Room { event, .. } => !matches!(
                event,
                Event::ActiveSpeakers { .. }
                    | Event::ParticipantUpdated(_)
                    | Event::QueueUpdated { .. }
                    | Event::TrackPublished(_)
                    | Event::TrackUnpublished { .. }
                    | Event::TurnWarning { .. }
                    | Event::Chat { .. }
            ),
            LogEvent::JoinRefused(_) | LogEvent::Corrected(_) => true,
            _ => false,
        }
    }

    /// The minutes of these events, in the order of the log.
    #[must_use]
    pub fn of(events: &[LogEvent]) -> Self {
        let mut writer = Writer::default();
        for event in events {
            writer.handle_event(event);
        }
        writer.end(Transcript::of(events))
    }
}

#[derive(Default)]
struct Writer {
    minutes: Minutes,
    names: BTreeMap<String, String>,
    moderators: BTreeMap<String, String>,
    /// The numbers that were counted last, when they were no turn of the quorum.
    counted: Option<(Timestamp, Box<QuorumState>)>,
    has_counted: bool,
}

impl Writer {
    fn handle_event(&mut self, event: &LogEvent) {
        match event {
            LogEvent::Room { at, event, .. } => self.handle_room_event(event, *at),
            LogEvent::JoinRefused(JoinRefused { at, user, code }) => {
                let fact = Fact::Refused { name: self.name(user), code: code.clone() };
                self.minutes.incidents.push(Timed { at: *at, fact });
            }
            _ => {}
        }
    }

    fn handle_room_event(&mut self, event: &Event, at: Timestamp) {
        match event {
            Event::ParticipantJoined(person) => self.enter(person, at),
            Event::ParticipantLeft { user_id, reason } => self.leave(user_id, reason, at),
            Event::AttendanceChanged(view) => self.attend(view, at),
            Event::DelegationChanged { unit, delegate, represented, .. } => {
                self.represent(unit, delegate, *represented, at);
            }
            Event::QuorumChanged(state) => self.count(state, at),
            Event::TurnStarted(turn) => {
                self.names.insert(turn.user_id.clone(), turn.name.clone());
                let (name, kind) = (turn.name.clone(), turn.kind.clone());
                self.proceed(at, Fact::TurnStarted { name, kind });
            }
            Event::TurnEnded { turn, reason } => {
                let (name, used_s) = (turn.name.clone(), turn.used_ms / 1_000);
                let is_undone = reason == "undone";
                self.proceed(at, Fact::TurnEnded { name, used_s, is_undone });
            }
            Event::ChairChanged(NewChairView { chair, .. }) => {
                self.end_chair(at);
                let fact = Fact::Presided { name: chair.name.clone(), to: None };
                self.minutes.presiding.push(Timed { at, fact });
            }
            Event::SessionEnded { .. } => self.end_chair(at),
            Event::VoteAnnounced(VoteView { title, .. }) => {
                self.proceed(at, Fact::Vote { title: title.clone() });
            }
            Event::ModerationChanged { moderation, by } => {
                let fact = Fact::Moderation { mode: moderation.clone(), by: self.name(by) };
                self.proceed(at, fact);
            }
            Event::UserMuted { user_id, by } => {
                let fact = Fact::Muted { name: self.name(user_id), by: self.name(by) };
                self.note(at, fact);
            }
            Event::UserUnmuted { user_id, by } => {
                let fact = Fact::Unmuted { name: self.name(user_id), by: self.name(by) };
                self.note(at, fact);
            }
            Event::PicturesStopped { user_id, by } => {
                let fact = Fact::PicturesStopped { name: self.name(user_id), by: self.name(by) };
                self.note(at, fact);
            }
            Event::PicturesAllowed { user_id, by } => {
                let fact = Fact::PicturesAllowed { name: self.name(user_id), by: self.name(by) };
                self.note(at, fact);
            }
            Event::SpeechDenied { user_id, reason, .. } => {
                let fact = Fact::Denied { name: self.name(user_id), reason: reason.clone() };
                self.note(at, fact);
            }
            Event::RecordingState { state, .. } => {
                let fact = Fact::Recording { state: state.clone() };
                self.note(at, fact);
            }
            Event::LiveViewingChanged { live_viewing } => {
                self.note(at, Fact::LiveViewing { is_on: *live_viewing });
            }
            Event::ActionUndone { by, .. } => {
                let fact = Fact::Undone { by: self.name(by) };
                self.note(at, fact);
            }
            Event::ClockStepped { by_ms } => self.note(at, Fact::ClockSet { by_ms: *by_ms }),
            _ => {}
        }
    }

    fn enter(&mut self, person: &ParticipantView, at: Timestamp) {
        self.names.insert(person.user_id.clone(), person.name.clone());
        if person.roles.iter().any(|role| role == "moderator") {
            self.moderators.insert(person.user_id.clone(), person.name.clone());
            let fact = Fact::ModeratorEntered { name: person.name.clone() };
            self.minutes.presiding.push(Timed { at, fact });
        }
    }

    fn leave(&mut self, user: &str, reason: &str, at: Timestamp) {
        if let Some(name) = self.moderators.remove(user) {
            self.minutes.presiding.push(Timed { at, fact: Fact::ModeratorLeft { name } });
        }
        if reason == "removed" {
            let fact = Fact::Removed { name: self.name(user) };
            self.note(at, fact);
        }
    }

    /// Whoever presides does so until then.
    fn end_chair(&mut self, at: Timestamp) {
        for presiding in &mut self.minutes.presiding {
            if let Fact::Presided { to: to @ None, .. } = &mut presiding.fact {
                *to = Some(at);
            }
        }
    }

    fn attend(&mut self, view: &AttendanceView, at: Timestamp) {
        if view.change == "corrected" {
            return self.correct(view, at);
        }
        self.names.entry(view.user_id.clone()).or_insert_with(|| view.name.clone());
        let name = self.name(&view.user_id);
        let fact = match view.change.as_str() {
            "left" => Fact::Absent { name },
            // Whoever proved it and is not connected is present once they enter.
            _ if !view.present => return,
            _ => {
                let AttendanceView { method, place, weight, .. } = view.clone();
                Fact::Present { name, method, place, weight }
            }
        };
        let facts = &mut self.minutes.attendance;
        // Being registered in the hall is told as proving it and as entering.
        if facts.last().is_none_or(|last| last.fact != fact) {
            facts.push(Timed { at, fact });
        }
    }

    /// Nobody came or went; who is listed how is another matter.
    fn correct(&mut self, view: &AttendanceView, at: Timestamp) {
        let before = self.names.insert(view.user_id.clone(), view.name.clone());
        let formerly = before.filter(|before| !before.is_empty() && *before != view.name);
        let (name, weight) = (self.name(&view.user_id), view.weight.clone());
        let fact = Fact::ListCorrected { name, formerly, weight };
        self.minutes.attendance.push(Timed { at, fact });
    }

    /// Whoever is registered with units is named after them, and by `name_delegates` here.
    fn represent(&mut self, unit: &str, delegate: &str, represented: bool, at: Timestamp) {
        let (name, unit) = (delegate.to_owned(), unit.to_owned());
        let fact = if represented {
            Fact::Represents { name, unit }
        } else {
            Fact::RepresentsNoMore { name, unit }
        };
        self.minutes.attendance.push(Timed { at, fact });
    }

    fn count(&mut self, state: &QuorumState, at: Timestamp) {
        let state = Box::new(state.clone());
        if state.turned {
            self.counted = None;
            self.minutes.quorum.push(Timed { at, fact: Fact::Quorum(state) });
        } else if self.has_counted {
            self.counted = Some((at, state));
        } else {
            self.minutes.quorum.push(Timed { at, fact: Fact::Counted(state) });
        }
        self.has_counted = true;
    }

    fn proceed(&mut self, at: Timestamp, fact: Fact) {
        self.minutes.proceedings.push(Timed { at, fact });
    }

    fn note(&mut self, at: Timestamp, fact: Fact) {
        self.minutes.incidents.push(Timed { at, fact });
    }

    fn name(&self, user: &str) -> String {
        self.names.get(user).filter(|name| !name.is_empty()).map_or(user, String::as_str).to_owned()
    }

    /// Names those who represented units, by whatever the log has called them at last.
    fn name_delegates(&mut self) {
        let names = &self.names;
        for timed in &mut self.minutes.attendance {
            if let Fact::Represents { name, .. } | Fact::RepresentsNoMore { name, .. } =
                &mut timed.fact
                && let Some(known) = names.get(name).filter(|known| !known.is_empty())
            {
                name.clone_from(known);
            }
        }
    }

    /// Adds what was said where it was said, and the numbers that were counted last.
    fn end(mut self, transcript: Transcript) -> Minutes {
        self.name_delegates();
        for piece in transcript.by_time() {
            let name = self.name(&piece.participant);
            let Piece { from: at, to, .. } = piece;
            let fact = match (&piece.said, piece.text()) {
                (Said::Text { corrections, .. }, Some(text)) => {
                    let (text, is_corrected) = (text.to_owned(), !corrections.is_empty());
                    Fact::Spoke { name, text, is_corrected }
                }
                _ => Fact::NotTranscribed { name, to },
            };
            self.minutes.proceedings.push(Timed { at, fact });
        }
        if let Some((at, state)) = self.counted.take() {
            self.minutes.quorum.push(Timed { at, fact: Fact::Counted(state) });
        }
        let mut minutes = self.minutes;
        // Stable: a turn that started at the moment of a word comes before it.
        minutes.proceedings.sort_by_key(|timed| timed.at);
        minutes.incidents.sort_by_key(|timed| timed.at);
        minutes
    }
}
