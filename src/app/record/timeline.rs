//! What happened when in a session, read from its record: for the time line
//! under a recording, and for whoever draws the combined picture.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::domain::time::Timestamp;
use crate::evidence::repository::StoredEvent;
use crate::recorder::repository::RecordedGap;

/// Events of the room, transcript and votes (`docs/EVIDENCE.md` §Entries).
pub(super) const ETYPES: &[u32] = &[ROOM, TRANSCRIPT, VOTE];
const ROOM: u32 = 3;
const TRANSCRIPT: u32 = 8;
const VOTE: u32 = 9;

/// Something that happened, or was the case for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Item {
    /// `turn`, `recording`, `gap`, `vote`, `transcript`, `joined`, `left` or
    /// `muted`.
    pub(super) kind: &'static str,
    /// Milliseconds since 1970; written as RFC 3339.
    #[serde(rename = "from", serialize_with = "moment")]
    pub(super) from_ms: i64,
    /// As `from_ms`; `None` for a moment, and for what had not ended.
    #[serde(rename = "to", serialize_with = "moment_or_null")]
    pub(super) to_ms: Option<i64>,
    /// Whose.
    pub(super) user_id: Option<String>,
    /// Their name then.
    pub(super) name: Option<String>,
    /// What was said or announced, or why.
    pub(super) text: Option<String>,
    /// The recorded track.
    pub(super) track: Option<String>,
}

/// Who was heard from a moment on, loudest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) at_ms: i64,
    pub(super) users: Vec<String>,
}

/// A session's time line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Timeline {
    /// By the moment they began.
    pub(super) items: Vec<Item>,
    /// Who was heard, by time.
    pub(super) heard: Vec<Heard>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands fields by reference")]
fn moment<S: serde::Serializer>(ms: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&Timestamp::from_unix_us(ms.saturating_mul(1_000)))
}

#[expect(clippy::ref_option, reason = "serde hands fields by reference")]
fn moment_or_null<S: serde::Serializer>(
    ms: &Option<i64>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match ms {
        Some(ms) => moment(ms, serializer),
        None => serializer.serialize_none(),
    }
}

/// Reads the events of a session, in the order of the log.
pub(super) fn read(events: &[StoredEvent], gaps: &[RecordedGap]) -> Timeline {
    let mut reader = Reader::default();
    for event in events {
        if let Ok(value) = serde_json::from_str::<Value>(&event.text) {
            reader.take(event.etype, &value);
        }
    }
    let mut timeline = reader.finish();
    timeline.items.extend(gaps.iter().map(|gap| Item {
        kind: "gap",
        from_ms: ms(gap.from_ms),
        to_ms: Some(ms(gap.to_ms)),
        user_id: None,
        name: None,
        text: Some(reason(gap.reason).to_owned()),
        track: Some(gap.track.to_string()),
    }));
    timeline.items.sort_by_key(|item| item.from_ms);
    timeline
}

fn ms(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

/// The words for reasons of gaps (`docs/EVIDENCE.md` §Entries).
const fn reason(reason: u32) -> &'static str {
    match reason {
        1 => "overload",
        2 => "disk_full",
        3 => "server_down",
        4 => "paused",
        5 => "lost_before_stored",
        _ => "unknown",
    }
}

/// What is open while events are read.
#[derive(Default)]
struct Reader {
    timeline: Timeline,
    /// Turns that run, by their id; places in `timeline.items`.
    turns: BTreeMap<String, usize>,
    /// Mutes that hold, by user.
    mutes: BTreeMap<String, usize>,
    recording: Option<usize>,
    names: BTreeMap<String, String>,
}

impl Reader {
    fn take(&mut self, etype: u32, event: &Value) {
        let Some(at_ms) = moment_of(event, "at") else { return };
        match etype {
            ROOM => self.take_decision(event, at_ms),
            TRANSCRIPT => {
                let from_ms = moment_of(event, "from").unwrap_or(at_ms);
                let mut item = item("transcript", from_ms, event);
                item.user_id = text_of(event, "participant");
                item.to_ms = moment_of(event, "to");
                item.text = text_of(event, "text");
                self.timeline.items.push(item);
            }
            VOTE => {
                let mut item = item("vote", at_ms, event);
                item.text = text_of(event, "title").or_else(|| text_of(event, "text"));
                self.timeline.items.push(item);
            }
            _ => {}
        }
    }

    fn take_decision(&mut self, event: &Value, at_ms: i64) {
        let user = text_of(event, "user_id");
        match event.get("type").and_then(Value::as_str).unwrap_or_default() {
            "participant_joined" => {
                if let (Some(user), Some(name)) = (user, text_of(event, "name")) {
                    self.names.insert(user, name);
                }
                self.push("joined", at_ms, event);
            }
            "participant_left" => {
                let place = self.push("left", at_ms, event);
                self.timeline.items[place].text = text_of(event, "reason");
            }
            "turn_started" => {
                let place = self.push("turn", at_ms, event);
                self.timeline.items[place].text = text_of(event, "kind");
                if let Some(turn) = text_of(event, "turn_id") {
                    self.turns.insert(turn, place);
                }
            }
            "turn_ended" => {
                let turn = text_of(event, "turn_id").and_then(|turn| self.turns.remove(&turn));
                self.end(turn, at_ms);
            }
            "user_muted" => {
                let place = self.push("muted", at_ms, event);
                if let Some(user) = user {
                    let before = self.mutes.insert(user, place);
                    self.end(before, at_ms);
                }
            }
            "user_unmuted" => {
                let mute = user.and_then(|user| self.mutes.remove(&user));
                self.end(mute, at_ms);
            }
            "recording_state" => self.take_recording(event, at_ms),
            "active_speakers" => self.take_speakers(event, at_ms),
            "session_ended" => self.end_all(at_ms),
            _ => {}
        }
    }

    fn take_recording(&mut self, event: &Value, at_ms: i64) {
        let before = self.recording.take();
        self.end(before, at_ms);
        if event.get("state").and_then(Value::as_str) == Some("recording") {
            let place = self.push("recording", at_ms, event);
            self.recording = Some(place);
        }
    }

    fn take_speakers(&mut self, event: &Value, at_ms: i64) {
        let speakers = event.get("speakers").and_then(Value::as_array);
        let users =
            speakers.into_iter().flatten().filter_map(|speaker| text_of(speaker, "user_id"));
        let mut heard: Vec<String> = Vec::new();
        for user in users {
            if !heard.contains(&user) {
                heard.push(user);
            }
        }
        self.timeline.heard.push(Heard { at_ms, users: heard });
    }

    /// Adds an item; names of people who are only known by their id are theirs
    /// as they entered.
    fn push(&mut self, kind: &'static str, at_ms: i64, event: &Value) -> usize {
        let mut item = item(kind, at_ms, event);
        if item.name.is_none() {
            item.name = item.user_id.as_ref().and_then(|user| self.names.get(user)).cloned();
        }
        self.timeline.items.push(item);
        self.timeline.items.len() - 1
    }

    fn end(&mut self, place: Option<usize>, at_ms: i64) {
        if let Some(item) = place.and_then(|place| self.timeline.items.get_mut(place)) {
            item.to_ms = Some(at_ms.max(item.from_ms));
        }
    }

    fn end_all(&mut self, at_ms: i64) {
        let open: Vec<usize> = std::mem::take(&mut self.turns)
            .into_values()
            .chain(std::mem::take(&mut self.mutes).into_values())
            .chain(self.recording.take())
            .collect();
        for place in open {
            self.end(Some(place), at_ms);
        }
    }

    fn finish(self) -> Timeline {
        self.timeline
    }
}

fn item(kind: &'static str, from_ms: i64, event: &Value) -> Item {
    Item {
        kind,
        from_ms,
        to_ms: None,
        user_id: text_of(event, "user_id"),
        name: text_of(event, "name"),
        text: None,
        track: None,
    }
}

fn text_of(event: &Value, field: &str) -> Option<String> {
    event.get(field).and_then(Value::as_str).map(str::to_owned)
}

fn moment_of(event: &Value, field: &str) -> Option<i64> {
    let text = event.get(field).and_then(Value::as_str)?;
    Timestamp::parse_rfc3339(text).map(Timestamp::unix_ms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::RecordedTrackId;
    use serde_json::json;

    fn event(etype: u32, text: &Value) -> StoredEvent {
        StoredEvent { seq: 0, etype, text: text.to_string() }
    }

    fn at(second: u32) -> String {
        format!("2026-03-01T10:00:{second:02}Z")
    }

    fn ms_at(second: u32) -> i64 {
        Timestamp::parse_rfc3339(&at(second)).expect("a moment").unix_ms()
    }

    #[test]
    fn a_turn_is_a_span_with_a_name() {
        let turn = json!({"turn_id": "t", "user_id": "ana", "name": "Ana", "kind": "normal"});
        let with = |kind: &str, second| {
            let mut event = turn.clone();
            event["type"] = kind.into();
            event["at"] = at(second).into();
            event
        };
        let events = [
            event(ROOM, &with("turn_started", 1)),
            event(ROOM, &with("turn_paused", 2)),
            event(ROOM, &with("turn_ended", 9)),
        ];
        let line = read(&events, &[]);
        assert_eq!(line.items.len(), 1);
        let item = &line.items[0];
        assert_eq!((item.kind, item.from_ms, item.to_ms), ("turn", ms_at(1), Some(ms_at(9))));
        assert_eq!(item.name.as_deref(), Some("Ana"));
        let text = serde_json::to_value(item).expect("JSON");
        assert_eq!(text["from"], "2026-03-01T10:00:01.000Z");
    }

    #[test]
    fn what_holds_at_the_end_ends_with_the_session() {
        let events = [
            event(
                ROOM,
                &json!({"type": "participant_joined", "at": at(0), "user_id": "bo", "name": "Bo"}),
            ),
            event(ROOM, &json!({"type": "recording_state", "at": at(1), "state": "recording"})),
            event(ROOM, &json!({"type": "user_muted", "at": at(2), "user_id": "bo", "by": "ana"})),
            event(ROOM, &json!({"type": "recording_state", "at": at(3), "state": "paused"})),
            event(ROOM, &json!({"type": "recording_state", "at": at(4), "state": "recording"})),
            event(ROOM, &json!({"type": "session_ended", "at": at(5), "reason": "completed"})),
        ];
        let line = read(&events, &[]);
        let spans: Vec<_> =
            line.items.iter().map(|item| (item.kind, item.from_ms, item.to_ms)).collect();
        assert_eq!(
            spans,
            [
                ("joined", ms_at(0), None),
                ("recording", ms_at(1), Some(ms_at(3))),
                ("muted", ms_at(2), Some(ms_at(5))),
                ("recording", ms_at(4), Some(ms_at(5))),
            ]
        );
        assert_eq!(line.items[2].name.as_deref(), Some("Bo"));
    }

    #[test]
    fn gaps_stand_in_their_place_with_their_reason() {
        let from_ms = u64::try_from(ms_at(2)).expect("after 1970");
        let gap = RecordedGap {
            track: RecordedTrackId::random(),
            from_ms,
            to_ms: from_ms + 500,
            reason: 2,
        };
        let vote = json!({"at": at(3), "title": "Budget"});
        let words =
            json!({"at": at(4), "participant": "ana", "from": at(1), "to": at(2), "text": "hi"});
        let line = read(&[event(VOTE, &vote), event(TRANSCRIPT, &words)], &[gap]);
        let kinds: Vec<_> = line.items.iter().map(|item| item.kind).collect();
        assert_eq!(kinds, ["transcript", "gap", "vote"]);
        assert_eq!(line.items[1].text.as_deref(), Some("disk_full"));
    }

    #[test]
    fn what_is_no_event_is_passed_over() {
        let broken = StoredEvent { seq: 0, etype: ROOM, text: "{".to_owned() };
        let strange = event(ROOM, &json!({"type": "turn_ended", "at": at(1)}));
        let timeless = event(ROOM, &json!({"type": "turn_started"}));
        assert_eq!(read(&[broken, strange, timeless], &[]), Timeline::default());
    }
}
