//! What each person could and could not do, moment by moment: for whoever has to
//! say whether somebody was kept out.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::named_values::named_values;
use crate::domain::time::Timestamp;
use crate::evidence::EventKind;
use crate::history::event::{AttendanceNoted, LogEvent};
use crate::room::event::{AttendanceView, Event, TurnView};

/// Kinds of events that a report is made of.
pub(super) const KINDS: &[EventKind] = &[
    EventKind::RoomEvent,
    EventKind::JoinRefused,
    EventKind::ConnectionLost,
    EventKind::ConnectionBad,
    EventKind::Attendance,
];

named_values!(
    /// What an entry of a report is about.
    ReportKind {
        /// They entered the room.
        Joined => "joined",
        /// They left it; the cause says how.
        Left => "left",
        /// They were refused at the door; the cause is the code.
        JoinRefused => "join_refused",
        /// They lost a part of their connection, which the detail names.
        ConnectionLost => "connection_lost",
        /// Their connection was not good; the cause says why at worst, with its number, and the detail
        /// how bad it was.
        ConnectionBad => "connection_bad",
        /// They asked for the floor; the detail is the kind of the request.
        SpeechRequested => "speech_requested",
        /// Their request was taken into the list.
        SpeechApproved => "speech_approved",
        /// Their request was refused; the cause is what the moderator said.
        SpeechDenied => "speech_denied",
        /// Their request was withdrawn.
        SpeechCancelled => "speech_cancelled",
        /// They got the floor.
        TurnStarted => "turn_started",
        /// The clock of their turn stopped.
        TurnPaused => "turn_paused",
        /// It runs again.
        TurnResumed => "turn_resumed",
        /// Their turn is over; the cause says why.
        TurnEnded => "turn_ended",
        /// A moderator had the server mute them.
        Muted => "muted",
        /// A moderator lifted that.
        Unmuted => "unmuted",
        /// A moderator had nobody shown their cameras and screens.
        PicturesStopped => "pictures_stopped",
        /// A moderator lifted that.
        PicturesAllowed => "pictures_allowed",
        /// They proved that they are present or were registered; the detail is
        /// how.
        AttendanceValidated => "attendance_validated",
        /// They count as present from here on.
        AttendanceEntered => "attendance_entered",
        /// They do not count as present any more; the cause says why.
        AttendanceLeft => "attendance_left",
        /// What they presented was not taken; the cause is why, the detail how
        /// they tried.
        ValidationRefused => "validation_refused",
        /// They represent a unit of somebody else; the detail is which.
        Delegated => "delegated",
        /// They do not represent it any more.
        DelegationEnded => "delegation_ended",
    }
);

/// Something that happened to somebody, or that they did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportEntry {
    /// When.
    pub at: Timestamp,
    /// What.
    pub kind: ReportKind,
    /// Why, as [`ReportKind`] says.
    pub cause: Option<String>,
    /// More, as [`ReportKind`] says.
    pub detail: Option<String>,
    /// The number of the cause.
    pub value: Option<u32>,
    /// When it was over, of what lasts.
    pub until: Option<Timestamp>,
    /// The moderator who did it.
    pub by: Option<String>,
    /// The moderator who took the decision back that it follows from.
    pub undone_by: Option<String>,
}

/// One person's story.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonReport {
    /// Who, as their token named them.
    pub user_id: String,
    /// Their name when it was said last; empty when nobody said it.
    pub name: String,
    /// In the order of time.
    pub entries: Vec<ReportEntry>,
}

/// Every person's story, by user id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The people.
    pub people: Vec<PersonReport>,
}

impl Report {
    /// The report of these events, which are in the order of the log.
    #[must_use]
    pub fn of(events: &[LogEvent]) -> Self {
        let mut reader = Reader::default();
        for event in events {
            reader.handle_event(event);
        }
        let people = reader.people.into_iter().map(|(user_id, (name, mut entries))| {
            entries.sort_by_key(|entry| entry.at);
            PersonReport { user_id, name, entries }
        });
        Self { people: people.collect() }
    }
}

#[derive(Default)]
struct Reader {
    people: BTreeMap<String, (String, Vec<ReportEntry>)>,
    /// Who is in the room.
    here: BTreeSet<String>,
    /// Who counts as present.
    present: BTreeSet<String>,
    /// The decision that the event being read follows from, or is about.
    action: Option<String>,
    /// What follows from each decision: people, and the places of their entries.
    actions: BTreeMap<String, Vec<(String, usize)>>,
}

fn entry(at: Timestamp, kind: ReportKind) -> ReportEntry {
    let (cause, detail, value, until) = (None, None, None, None);
    ReportEntry { at, kind, cause, detail, value, until, by: None, undone_by: None }
}

impl Reader {
    fn add(&mut self, user: &str, entry: ReportEntry) {
        let entries = &mut self.people.entry(user.to_owned()).or_default().1;
        if let Some(action) = &self.action {
            let place = (user.to_owned(), entries.len());
            self.actions.entry(action.clone()).or_default().push(place);
        }
        entries.push(entry);
    }

    /// The decision that the event being read names was taken back.
    fn undo(&mut self, by: &str) {
        let action = self.action.take().unwrap_or_default();
        for (user, place) in self.actions.remove(&action).unwrap_or_default() {
            let entries = self.people.get_mut(&user).map(|(_, entries)| entries);
            if let Some(entry) = entries.and_then(|entries| entries.get_mut(place)) {
                entry.undone_by = Some(by.to_owned());
            }
        }
    }

    fn name(&mut self, user: &str, name: &str) {
        if !name.is_empty() {
            name.clone_into(&mut self.people.entry(user.to_owned()).or_default().0);
        }
    }

    fn handle_event(&mut self, event: &LogEvent) {
        match event {
            LogEvent::Room { at, event, action_id, .. } => {
                self.action.clone_from(action_id);
                self.handle_room_event(event, *at);
                self.action = None;
            }
            LogEvent::JoinRefused(refused) => {
                let cause = Some(refused.code.clone());
                let it = ReportEntry { cause, ..entry(refused.at, ReportKind::JoinRefused) };
                self.add(&refused.user, it);
            }
            LogEvent::ConnectionLost(lost) => {
                let (cause, detail) = (Some(lost.reason.clone()), Some(lost.part.clone()));
                let it =
                    ReportEntry { cause, detail, ..entry(lost.at, ReportKind::ConnectionLost) };
                self.add(&lost.user, it);
            }
            LogEvent::ConnectionBad(bad) => {
                let it = ReportEntry {
                    cause: bad.cause.clone(),
                    detail: Some(bad.level.clone()),
                    value: bad.value,
                    until: Some(bad.until),
                    ..entry(bad.at, ReportKind::ConnectionBad)
                };
                self.add(&bad.user, it);
            }
            LogEvent::Attendance(AttendanceNoted::Refused { at, user, method, reason }) => {
                let (cause, detail) = (Some(reason.clone()), Some(method.clone()));
                let it = ReportEntry { cause, detail, ..entry(*at, ReportKind::ValidationRefused) };
                self.add(user, it);
            }
            // What was taken is told in the room.
            LogEvent::Attendance(AttendanceNoted::Other)
            | LogEvent::Spoken(_)
            | LogEvent::Corrected(_)
            | LogEvent::Vote(_) => {}
        }
    }

    /// A moderator decided something about somebody.
    fn decide(&mut self, user_id: &str, by: &str, at: Timestamp, kind: ReportKind) {
        let by = Some(by.to_owned());
        self.add(user_id, ReportEntry { by, ..entry(at, kind) });
    }

    fn handle_room_event(&mut self, event: &Event, at: Timestamp) {
        match event {
            Event::ParticipantJoined(person) => {
                self.name(&person.user_id, &person.name);
                self.here.insert(person.user_id.clone());
                self.add(&person.user_id, entry(at, ReportKind::Joined));
            }
            Event::ParticipantLeft { user_id, reason } => {
                self.here.remove(user_id);
                let cause = Some(reason.clone());
                self.add(user_id, ReportEntry { cause, ..entry(at, ReportKind::Left) });
            }
            Event::SpeechRequestReceived(request) => {
                self.name(&request.user_id, &request.name);
                let detail = Some(request.kind.clone());
                let it = ReportEntry { detail, ..entry(at, ReportKind::SpeechRequested) };
                self.add(&request.user_id, it);
            }
            Event::SpeechApproved { user_id, .. } => {
                self.add(user_id, entry(at, ReportKind::SpeechApproved));
            }
            Event::SpeechDenied { user_id, reason, .. } => {
                let cause = reason.clone();
                self.add(user_id, ReportEntry { cause, ..entry(at, ReportKind::SpeechDenied) });
            }
            Event::SpeechCancelled { user_id, .. } => {
                self.add(user_id, entry(at, ReportKind::SpeechCancelled));
            }
            Event::TurnStarted(turn) => self.turn(turn, entry(at, ReportKind::TurnStarted)),
            Event::TurnPaused(turn) => self.turn(turn, entry(at, ReportKind::TurnPaused)),
            Event::TurnResumed(turn) => self.turn(turn, entry(at, ReportKind::TurnResumed)),
            Event::TurnEnded { turn, reason } => {
                let cause = Some(reason.clone());
                self.turn(turn, ReportEntry { cause, ..entry(at, ReportKind::TurnEnded) });
            }
            Event::UserMuted { user_id, by } => self.decide(user_id, by, at, ReportKind::Muted),
            Event::UserUnmuted { user_id, by } => self.decide(user_id, by, at, ReportKind::Unmuted),
            Event::PicturesStopped { user_id, by } | Event::PicturesAllowed { user_id, by } => {
                let is_stop = matches!(event, Event::PicturesStopped { .. });
                let [stopped, allowed] = [ReportKind::PicturesStopped, ReportKind::PicturesAllowed];
                self.decide(user_id, by, at, if is_stop { stopped } else { allowed });
            }
            Event::AttendanceChanged(view) => self.attendance(view, at),
            Event::DelegationChanged { unit, delegate, represented, by } => {
                self.delegate((unit.as_str(), delegate.as_str()), *represented, by.as_ref(), at);
            }
            Event::ActionUndone { by, .. } => self.undo(by),
            Event::SessionEnded { .. } => self.end(at),
            Event::ParticipantUpdated(_)
            | Event::QueueUpdated { .. }
            | Event::TurnExtended(_)
            | Event::TurnWarning { .. }
            | Event::LanguageChanged { .. }
            | Event::ActiveSpeakers { .. }
            | Event::TrackPublished(_)
            | Event::TrackUnpublished { .. }
            | Event::ModerationChanged { .. }
            | Event::ChairChanged(_)
            | Event::RecordingState { .. }
            | Event::LiveViewingChanged { .. }
            | Event::MeetingChanged { .. }
            | Event::RecordingAcknowledged { .. }
            | Event::ClockStepped { .. }
            | Event::QuorumChanged(_)
            | Event::VoteAnnounced(_)
            | Event::TranscriptChunk(_)
            | Event::TranscriptGap { .. }
            | Event::TranscriptCorrected { .. }
            | Event::Chat { .. } => {}
        }
    }

    /// Whoever is there leaves with the session.
    fn end(&mut self, at: Timestamp) {
        let left = std::mem::take(&mut self.present).into_iter();
        let left = left.map(|user| (user, ReportKind::AttendanceLeft));
        let gone = std::mem::take(&mut self.here).into_iter();
        for (user, kind) in left.chain(gone.map(|user| (user, ReportKind::Left))) {
            let cause = Some("session_ended".to_owned());
            self.add(&user, ReportEntry { cause, ..entry(at, kind) });
        }
    }

    fn turn(&mut self, turn: &TurnView, it: ReportEntry) {
        self.name(&turn.user_id, &turn.name);
        self.add(&turn.user_id, ReportEntry { detail: Some(turn.kind.clone()), ..it });
    }

    fn delegate(
        &mut self,
        (unit, delegate): (&str, &str),
        represented: bool,
        by: Option<&String>,
        at: Timestamp,
    ) {
        let kind = if represented { ReportKind::Delegated } else { ReportKind::DelegationEnded };
        let (detail, by) = (Some(unit.to_owned()), by.cloned());
        self.add(delegate, ReportEntry { detail, by, ..entry(at, kind) });
    }

    fn attendance(&mut self, view: &AttendanceView, at: Timestamp) {
        self.name(&view.user_id, &view.name);
        if view.present {
            self.present.insert(view.user_id.clone());
        } else {
            self.present.remove(&view.user_id);
        }
        let kind = match view.change.as_str() {
            "validated" => ReportKind::AttendanceValidated,
            "entered" => ReportKind::AttendanceEntered,
            "corrected" => return,
            _ => ReportKind::AttendanceLeft,
        };
        let it = ReportEntry {
            cause: view.cause.clone(),
            detail: Some(view.method.clone()),
            by: view.by.clone(),
            ..entry(at, kind)
        };
        self.add(&view.user_id, it);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::room::event::Told;

    fn text_at(second: u32) -> String {
        format!("2026-03-01T10:00:{second:02}Z")
    }

    fn told(second: u32, event: Event) -> LogEvent {
        told_of(None, second, event)
    }

    fn told_of(action: Option<&str>, second: u32, event: Event) -> LogEvent {
        let action_id = action.map(str::to_owned);
        let told = Told { seq: 1, at: text_at(second), action_id, event };
        LogEvent::read(EventKind::RoomEvent, &told.to_json()).expect("what the room told")
    }

    fn note(kind: EventKind, text: &serde_json::Value) -> LogEvent {
        LogEvent::read(kind, &text.to_string()).expect("what was written down")
    }

    #[test]
    fn one_persons_story_is_told_second_by_second() {
        let refused = json!({
            "type": "join_refused", "at": text_at(1), "user_id": "bo",
            "code": "PARTICIPANT_LIMIT_REACHED",
        });
        let proof = json!({
            "type": "validation_refused", "at": text_at(2), "user_id": "bo", "method": "qr",
            "reason": "replayed", "code": "PROOF_REPLAYED",
        });
        let lost = json!({
            "type": "connection_lost", "at": text_at(4), "user_id": "bo", "part": "publish",
            "reason": "consent_expired",
        });
        let bad = json!({
            "type": "connection_bad", "at": text_at(2), "until": text_at(4), "user_id": "bo",
            "level": "poor", "cause": "uplink_loss", "value": 12,
        });
        let muted = Event::UserMuted { user_id: "bo".to_owned(), by: "chair".to_owned() };
        let left =
            Event::ParticipantLeft { user_id: "bo".to_owned(), reason: "disconnected".to_owned() };
        let events = [
            note(EventKind::JoinRefused, &refused),
            note(EventKind::Attendance, &proof),
            told(3, muted),
            // The log takes it after what came later.
            told(5, left),
            note(EventKind::ConnectionLost, &lost),
            note(EventKind::ConnectionBad, &bad),
        ];
        let report = Report::of(&events);
        assert_eq!(report.people.len(), 1);
        let bad = report.people[0].entries.iter().find(|it| it.until.is_some()).expect("a span");
        let lasted = bad.until.map(|until| until.since(bad.at));
        assert_eq!((bad.value, lasted), (Some(12), Some(Duration::from_secs(2))));
        let story: Vec<String> = report.people[0]
            .entries
            .iter()
            .map(|it| {
                let word = |text: &Option<String>| text.clone().unwrap_or_default();
                format!("{} {} {} {}", it.kind, word(&it.cause), word(&it.detail), word(&it.by))
            })
            .collect();
        assert_eq!(
            story,
            [
                "join_refused PARTICIPANT_LIMIT_REACHED  ",
                "validation_refused replayed qr ",
                "connection_bad uplink_loss poor ",
                "muted   chair",
                "connection_lost consent_expired publish ",
                "left disconnected  ",
            ]
        );
    }

    #[test]
    fn what_was_taken_back_says_who_took_it_back() {
        let denied = |request: &str, user: &str| Event::SpeechDenied {
            request_id: request.to_owned(),
            user_id: user.to_owned(),
            reason: None,
        };
        let undone =
            Event::ActionUndone { action: "deny_speech".to_owned(), by: "chair".to_owned() };
        let events = [
            told_of(Some("first"), 1, denied("1", "bo")),
            told_of(Some("second"), 2, denied("2", "bo")),
            told_of(Some("first"), 3, undone),
        ];
        let report = Report::of(&events);
        let undone: Vec<Option<&str>> =
            report.people[0].entries.iter().map(|it| it.undone_by.as_deref()).collect();
        assert_eq!(undone, [Some("chair"), None]);
    }
}
