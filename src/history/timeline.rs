//! The time line of a session: what began and ended when.

use std::collections::BTreeMap;

use crate::domain::floor::TurnEnd;
use crate::domain::id::{RecordedTrackId, UserId};
use crate::domain::named_values::named_values;
use crate::domain::time::Timestamp;
use crate::evidence::EventKind;
use crate::history::event::{LogEvent, TextCorrected};
use crate::recorder::repository::RecordedGap;
use crate::room::event::{
    ChairView, Event, NewChairView, SpeakerView, TranscriptChunkView, TurnView, VoteView,
};

/// Kinds of events that are used in a time line.
pub(super) const KINDS: &[EventKind] =
    &[EventKind::RoomEvent, EventKind::Transcript, EventKind::Vote, EventKind::Correction];

named_values!(
    /// The kind of an item of a time line.
    ItemKind {
        /// Somebody held the floor; the text is the kind of the request.
        Turn => "turn",
        /// A turn that ended because the decision that started it was taken back; the text as of
        /// a turn.
        UndoneTurn => "undone_turn",
        /// Somebody presided.
        Chair => "chair",
        /// The session was recorded.
        Recording => "recording",
        /// Nothing of a track was recorded; the text is the reason.
        Gap => "gap",
        /// A vote was announced; the text is its title.
        Vote => "vote",
        /// Something was said; the text is the transcript, as it was corrected last.
        Transcript => "transcript",
        /// Somebody entered.
        Joined => "joined",
        /// Somebody left; the text is why.
        Left => "left",
        /// A moderator muted somebody.
        Muted => "muted",
        /// A moderator had nobody shown somebody's cameras and screens.
        PicturesStopped => "pictures_stopped",
        /// Somebody took a decision back; the text is what had been asked for.
        Undone => "undone",
    }
);

/// Something that happened, or lasted for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its kind.
    pub kind: ItemKind,
    /// When it happened or began.
    pub from: Timestamp,
    /// When it ended; `None` for a moment, and for what has not ended.
    pub to: Option<Timestamp>,
    /// The person it is about.
    pub user: Option<UserId>,
    /// Their name at that time.
    pub name: Option<String>,
    /// The text that [`ItemKind`] describes.
    pub text: Option<String>,
    /// The recorded track it is about.
    pub track: Option<RecordedTrackId>,
    /// The entries of the log that say so: of what began, and of what ended it.
    pub entries: Vec<u64>,
}

/// Who was heard from a moment on, loudest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// The moment.
    pub at: Timestamp,
    /// The people.
    pub users: Vec<UserId>,
}

/// The time line of a session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Timeline {
    /// In order of their beginning.
    pub items: Vec<Item>,
    /// Who was heard, in order of time.
    pub heard: Vec<Heard>,
}

impl Timeline {
    /// The time line of these events, each with the number of its entry, in the order of the log,
    /// and of the gaps of the recording.
    #[must_use]
    pub fn of(events: &[(u64, LogEvent)], gaps: &[RecordedGap]) -> Self {
        let mut reader = Reader::default();
        for (entry, event) in events {
            reader.entry = *entry;
            reader.handle_event(event);
        }
        let mut timeline = reader.timeline;
        timeline.items.extend(gaps.iter().map(gap_item));
        timeline.items.sort_by_key(|item| item.from);
        timeline
    }
}

fn gap_item(gap: &RecordedGap) -> Item {
    let moment = |ms: u64| {
        Timestamp::from_unix_us(i64::try_from(ms).unwrap_or(i64::MAX).saturating_mul(1_000))
    };
    let mut item = item(ItemKind::Gap, moment(gap.from_ms));
    item.to = Some(moment(gap.to_ms));
    item.text = Some(gap_reason(gap.reason).to_owned());
    item.track = Some(gap.track);
    item
}

/// The texts of the reasons of gaps (`docs/EVIDENCE.md` §Entries).
const fn gap_reason(reason: u32) -> &'static str {
    match reason {
        1 => "overload",
        2 => "disk_full",
        3 => "server_down",
        4 => "paused",
        5 => "lost_before_stored",
        _ => "unknown",
    }
}

/// The items that have not ended while events are read.
#[derive(Default)]
struct Reader {
    timeline: Timeline,
    /// The entry that is read.
    entry: u64,
    /// Running turns by their id; values are indices in `timeline.items`.
    turns: BTreeMap<String, usize>,
    /// Mutes that have not been lifted, by user.
    mutes: BTreeMap<String, usize>,
    /// The same of stopped pictures.
    hidden: BTreeMap<String, usize>,
    recording: Option<usize>,
    /// Whoever presides.
    chair: Option<usize>,
    names: BTreeMap<String, String>,
    /// Texts of what was said, by the number of their event.
    texts: BTreeMap<u64, usize>,
}

impl Reader {
    fn handle_event(&mut self, event: &LogEvent) {
        match event {
            LogEvent::Room { seq, event: Event::TranscriptChunk(chunk), .. } => {
                self.handle_text(*seq, chunk);
            }
            LogEvent::Room { at, event, .. } => self.handle_room_event(event, *at),
            LogEvent::Spoken(spoken) => {
                let mut item = self.item(ItemKind::Transcript, spoken.from);
                item.to = spoken.to;
                item.user.clone_from(&spoken.user);
                item.text.clone_from(&spoken.text);
                self.timeline.items.push(item);
            }
            LogEvent::Vote(vote) => {
                let mut item = self.item(ItemKind::Vote, vote.at);
                item.text.clone_from(&vote.title);
                self.timeline.items.push(item);
            }
            LogEvent::Corrected(TextCorrected { of, text, .. }) => self.correct(*of, text),
            LogEvent::JoinRefused(_)
            | LogEvent::ConnectionLost(_)
            | LogEvent::ConnectionBad(_)
            | LogEvent::Attendance(_) => {}
        }
    }

    fn handle_room_event(&mut self, event: &Event, at: Timestamp) {
        match event {
            Event::ParticipantJoined(person) => {
                self.names.insert(person.user_id.clone(), person.name.clone());
                self.push(ItemKind::Joined, at, &person.user_id, None);
            }
            Event::ParticipantLeft { user_id, reason } => {
                self.push(ItemKind::Left, at, user_id, Some(reason));
            }
            Event::TurnStarted(turn) => self.begin_turn(turn, at),
            // What had ended it was taken back.
            Event::TurnResumed(turn) if !self.turns.contains_key(&turn.turn_id) => {
                self.begin_turn(turn, at);
            }
            Event::ActionUndone { action, by, .. } => {
                self.push(ItemKind::Undone, at, by, Some(action));
            }
            Event::TurnEnded { turn, reason } => {
                let begun = self.turns.remove(&turn.turn_id);
                self.end(begun, at);
                let undone = reason == TurnEnd::Undone.as_str();
                let item = begun.and_then(|place| self.timeline.items.get_mut(place));
                if let Some(item) = item.filter(|_| undone) {
                    item.kind = ItemKind::UndoneTurn;
                }
            }
            Event::UserMuted { user_id, .. } => {
                let place = self.push(ItemKind::Muted, at, user_id, None);
                let before = self.mutes.insert(user_id.clone(), place);
                self.end(before, at);
            }
            Event::UserUnmuted { user_id, .. } => {
                let mute = self.mutes.remove(user_id);
                self.end(mute, at);
            }
            Event::PicturesStopped { user_id, .. } => {
                let place = self.push(ItemKind::PicturesStopped, at, user_id, None);
                let before = self.hidden.insert(user_id.clone(), place);
                self.end(before, at);
            }
            Event::PicturesAllowed { user_id, .. } => {
                let stop = self.hidden.remove(user_id);
                self.end(stop, at);
            }
            Event::RecordingState { state, .. } => {
                let before = self.recording.take();
                self.end(before, at);
                if state == "recording" {
                    let item = self.item(ItemKind::Recording, at);
                    self.timeline.items.push(item);
                    self.recording = Some(self.timeline.items.len() - 1);
                }
            }
            Event::ChairChanged(NewChairView { chair, .. }) => self.preside(chair, at),
            Event::VoteAnnounced(VoteView { title, .. }) => {
                let mut item = self.item(ItemKind::Vote, at);
                item.text = Some(title.clone());
                self.timeline.items.push(item);
            }
            Event::TranscriptCorrected { of, text, .. } => self.correct(*of, text),
            Event::ActiveSpeakers { speakers } => self.hear(speakers, at),
            Event::SessionEnded { .. } => self.end_all(at),
            _ => {}
        }
    }

    fn handle_text(&mut self, seq: u64, chunk: &TranscriptChunkView) {
        let moment = |text: &str| Timestamp::parse_rfc3339(text);
        let Some((from, to)) = moment(&chunk.from).zip(moment(&chunk.to)) else { return };
        let place = self.push(ItemKind::Transcript, from, &chunk.participant, Some(&chunk.text));
        self.timeline.items[place].to = Some(to);
        self.texts.insert(seq, place);
    }

    fn correct(&mut self, of: u64, text: &str) {
        let place = self.texts.get(&of).copied();
        if let Some(item) = place.and_then(|place| self.timeline.items.get_mut(place)) {
            item.text = Some(text.to_owned());
            item.entries.push(self.entry);
        }
    }

    fn begin_turn(&mut self, turn: &TurnView, at: Timestamp) {
        let place = self.push(ItemKind::Turn, at, &turn.user_id, Some(&turn.kind));
        self.timeline.items[place].name = Some(turn.name.clone());
        self.names.entry(turn.user_id.clone()).or_insert_with(|| turn.name.clone());
        self.turns.insert(turn.turn_id.clone(), place);
    }

    fn preside(&mut self, chair: &ChairView, at: Timestamp) {
        let before = self.chair.take();
        self.end(before, at);
        let place = self.push(ItemKind::Chair, at, &chair.user_id, None);
        self.timeline.items[place].name = Some(chair.name.clone());
        self.chair = Some(place);
    }

    fn hear(&mut self, speakers: &[SpeakerView], at: Timestamp) {
        let mut users: Vec<UserId> = Vec::new();
        for speaker in speakers {
            if let Ok(user) = speaker.user_id.parse()
                && !users.contains(&user)
            {
                users.push(user);
            }
        }
        self.timeline.heard.push(Heard { at, users });
    }

    /// Adds an item about a person, with the name under which they entered; returns its index.
    fn push(&mut self, kind: ItemKind, at: Timestamp, user: &str, text: Option<&String>) -> usize {
        let mut item = self.item(kind, at);
        item.user = user.parse().ok();
        item.name = self.names.get(user).cloned();
        item.text = text.cloned();
        self.timeline.items.push(item);
        self.timeline.items.len() - 1
    }

    fn end(&mut self, place: Option<usize>, at: Timestamp) {
        if let Some(item) = place.and_then(|place| self.timeline.items.get_mut(place)) {
            item.to = Some(at.max(item.from));
            item.entries.push(self.entry);
        }
    }

    /// An item that the entry says which is read.
    fn item(&self, kind: ItemKind, from: Timestamp) -> Item {
        Item { entries: vec![self.entry], ..item(kind, from) }
    }

    fn end_all(&mut self, at: Timestamp) {
        let open: Vec<usize> = std::mem::take(&mut self.turns)
            .into_values()
            .chain(std::mem::take(&mut self.mutes).into_values())
            .chain(std::mem::take(&mut self.hidden).into_values())
            .chain(self.recording.take())
            .chain(self.chair.take())
            .collect();
        for place in open {
            self.end(Some(place), at);
        }
    }
}

const fn item(kind: ItemKind, from: Timestamp) -> Item {
    Item {
        kind,
        from,
        to: None,
        user: None,
        name: None,
        text: None,
        track: None,
        entries: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::room::event::{ParticipantView, Told};

    fn at(second: u32) -> Timestamp {
        Timestamp::parse_rfc3339(&text_at(second)).expect("a moment")
    }

    fn text_at(second: u32) -> String {
        format!("2026-03-01T10:00:{second:02}Z")
    }

    /// An event as a room sends it, parsed from its text.
    fn told(second: u32, event: Event) -> LogEvent {
        let told = Told { seq: 1, at: text_at(second), action_id: None, event };
        LogEvent::read(EventKind::RoomEvent, &told.to_json()).expect("what the room told")
    }

    fn line_of(events: &[LogEvent], gaps: &[RecordedGap]) -> Timeline {
        let events: Vec<_> = (10..).zip(events.iter().cloned()).collect();
        Timeline::of(&events, gaps)
    }

    fn turn() -> TurnView {
        TurnView {
            turn_id: "t".to_owned(),
            request_id: "r".to_owned(),
            user_id: "ana".to_owned(),
            name: "Ana".to_owned(),
            kind: "normal".to_owned(),
            limit_s: 180,
            used_ms: 0,
            running: true,
            in_hall: false,
        }
    }

    fn bo() -> ParticipantView {
        ParticipantView {
            user_id: "bo".to_owned(),
            name: "Bo".to_owned(),
            roles: vec!["participant".to_owned()],
            connections: 1,
            audio: false,
            video: false,
            screen: false,
            muted: false,
            may_be_heard: false,
            pictures_stopped: false,
            language: None,
            may_be_seen: false,
            joined_at: text_at(0),
            name_notice: None,
            media_fault: None,
        }
    }

    fn recording(state: &str) -> Event {
        Event::RecordingState { state: state.to_owned(), by: None, retention_days: 30 }
    }

    #[test]
    fn a_turn_is_a_span_with_a_name() {
        let ended = Event::TurnEnded { turn: turn(), reason: "stopped".to_owned() };
        let events = [
            told(1, Event::TurnStarted(turn())),
            told(2, Event::TurnPaused(turn())),
            told(9, ended),
        ];
        let line = line_of(&events, &[]);
        assert_eq!(line.items.len(), 1);
        let item = &line.items[0];
        assert_eq!((item.kind, item.from, item.to), (ItemKind::Turn, at(1), Some(at(9))));
        assert_eq!(item.name.as_deref(), Some("Ana"));
        assert_eq!(item.text.as_deref(), Some("normal"));
        assert_eq!(item.entries, [10, 12], "what started it and what ended it");
    }

    #[test]
    fn whoever_presides_does_until_another_takes_the_chair_or_the_session_ends() {
        let chair = |user_id: &str, name: &str, by: Option<&str>| {
            let chair = ChairView { user_id: user_id.to_owned(), name: name.to_owned() };
            Event::ChairChanged(NewChairView { chair, by: by.map(str::to_owned) })
        };
        let events = [
            told(1, chair("ana", "Ana", None)),
            told(5, chair("bo", "Bo", Some("bo"))),
            told(9, Event::SessionEnded { reason: "completed".to_owned() }),
        ];
        let items = line_of(&events, &[]).items;
        let shown: Vec<_> = items.iter().map(|it| (it.from, it.to, it.name.as_deref())).collect();
        assert_eq!(shown, [(at(1), Some(at(5)), Some("Ana")), (at(5), Some(at(9)), Some("Bo"))]);
        assert!(items.iter().all(|it| it.kind == ItemKind::Chair));
        assert_eq!(items[0].entries, [10, 11], "what began it and what ended it");
    }

    #[test]
    fn a_decision_that_was_taken_back_is_shown_with_what_it_had_made() {
        let question = TurnView { turn_id: "q".to_owned(), ..turn() };
        let ended = |turn: TurnView, reason: &str| Event::TurnEnded { turn, reason: reason.into() };
        let undone =
            Event::ActionUndone { action: "start_turn".to_owned(), by: "chair".to_owned() };
        let events = [
            told(1, Event::TurnStarted(turn())),
            told(2, ended(turn(), "replaced")),
            told(2, Event::TurnStarted(question.clone())),
            told(5, undone),
            told(5, ended(question, "undone")),
            told(5, Event::TurnResumed(turn())),
            told(9, ended(turn(), "stopped")),
        ];
        let line = line_of(&events, &[]);
        let spans: Vec<_> = line.items.iter().map(|item| (item.kind, item.from, item.to)).collect();
        assert_eq!(
            spans,
            [
                (ItemKind::Turn, at(1), Some(at(2))),
                (ItemKind::UndoneTurn, at(2), Some(at(5))),
                (ItemKind::Undone, at(5), None),
                (ItemKind::Turn, at(5), Some(at(9))),
            ]
        );
        assert_eq!(line.items[2].text.as_deref(), Some("start_turn"));
        assert_eq!(line.items[2].user.as_ref().map(UserId::as_str), Some("chair"));
    }

    #[test]
    fn what_holds_at_the_end_ends_with_the_session() {
        let muted = Event::UserMuted { user_id: "bo".to_owned(), by: "ana".to_owned() };
        let events = [
            told(0, Event::ParticipantJoined(bo())),
            told(1, recording("recording")),
            told(2, muted),
            told(3, recording("paused")),
            told(4, recording("recording")),
            told(5, Event::SessionEnded { reason: "completed".to_owned() }),
        ];
        let line = line_of(&events, &[]);
        let spans: Vec<_> = line.items.iter().map(|item| (item.kind, item.from, item.to)).collect();
        assert_eq!(
            spans,
            [
                (ItemKind::Joined, at(0), None),
                (ItemKind::Recording, at(1), Some(at(3))),
                (ItemKind::Muted, at(2), Some(at(5))),
                (ItemKind::Recording, at(4), Some(at(5))),
            ]
        );
        assert_eq!(line.items[2].name.as_deref(), Some("Bo"));
    }

    #[test]
    fn what_was_said_is_shown_as_it_was_corrected() {
        let chunk = TranscriptChunkView {
            participant: "ana".to_owned(),
            turn: None,
            text: "boto".to_owned(),
            confidence: 0.5,
            from: text_at(1),
            to: text_at(2),
            r#final: true,
            engine: "whisper".to_owned(),
            language: "es".to_owned(),
        };
        let corrected =
            Event::TranscriptCorrected { of: 1, text: "voto".to_owned(), by: "chair".to_owned() };
        let events = [
            told(0, Event::TurnStarted(turn())),
            told(4, Event::TranscriptChunk(chunk)),
            told(9, corrected),
        ];
        let line = line_of(&events, &[]);
        let item = &line.items[1];
        assert_eq!((item.kind, item.from, item.to), (ItemKind::Transcript, at(1), Some(at(2))));
        assert_eq!((item.text.as_deref(), item.name.as_deref()), (Some("voto"), Some("Ana")));
    }

    #[test]
    fn gaps_stand_in_their_place_with_their_reason() {
        let from_ms = u64::try_from(at(2).unix_ms()).expect("after 1970");
        let track = RecordedTrackId::random();
        let gap = RecordedGap { track, from_ms, to_ms: from_ms + 500, reason: 2 };
        let vote = json!({"at": text_at(3), "title": "Budget"});
        let spoken = json!({
            "at": text_at(4), "participant": "ana", "from": text_at(1), "to": text_at(2), "text": "hi",
        });
        let events = [
            LogEvent::read(EventKind::Vote, &vote.to_string()).expect("a vote"),
            LogEvent::read(EventKind::Transcript, &spoken.to_string()).expect("a transcript"),
        ];
        let line = line_of(&events, &[gap]);
        let kinds: Vec<_> = line.items.iter().map(|item| item.kind).collect();
        assert_eq!(kinds, [ItemKind::Transcript, ItemKind::Gap, ItemKind::Vote]);
        assert_eq!(line.items[1].text.as_deref(), Some("disk_full"));
    }

    #[test]
    fn who_is_heard_is_counted_once() {
        let speaker =
            |user: &str| SpeakerView { user_id: user.to_owned(), track: "x".to_owned(), level: 30 };
        let speakers = vec![speaker("ana"), speaker("bo"), speaker("ana")];
        let line = line_of(&[told(1, Event::ActiveSpeakers { speakers })], &[]);
        let users: Vec<_> = line.heard[0].users.iter().map(UserId::as_str).collect();
        assert_eq!(users, ["ana", "bo"]);
    }

    #[test]
    fn what_is_no_event_is_not_read() {
        let turn_without_fields = json!({"type": "turn_ended", "at": text_at(1)}).to_string();
        let timeless = json!({"seq": 1, "at": "soon", "type": "session_ended", "reason": "x"});
        for text in ["{", &turn_without_fields, &timeless.to_string()] {
            assert_eq!(LogEvent::read(EventKind::RoomEvent, text), None, "{text}");
        }
        assert_eq!(LogEvent::read(EventKind::Policy, "{}"), None);
    }

    #[test]
    fn an_end_without_a_beginning_shows_nothing() {
        let ended = Event::TurnEnded { turn: turn(), reason: "stopped".to_owned() };
        assert_eq!(line_of(&[told(1, ended)], &[]), Timeline::default());
    }
}
