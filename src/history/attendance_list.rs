//! The list of those who attended, as the log of the session says it up to one of its signed heads.
//! Whoever has the log and the texts of its decisions can make the same list and compare.

mod pages;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::shown_text::order_of_name;
use crate::history::HistoryError;
use crate::history::minutes::{About, SignedHead};
use crate::room::event::{AttendanceView, Event, LeftOutView, QuorumState, Told};

/// Most rows of a list. Raising it raises the memory that one list takes.
const ROWS_MAX: usize = 50_000;
/// Most times that a quorum was reached or lost in one list.
const TURNS_MAX: usize = 10_000;
/// The cause of an interval that ended with the session.
const SESSION_ENDED: &str = "session_ended";

/// Reads the events of a room in the order of the log.
#[derive(Debug, Default)]
pub(super) struct ListReader {
    people: BTreeMap<String, Attended>,
    rows: usize,
    counted: Option<QuorumAt>,
    turns: Vec<QuorumAt>,
    representations: Vec<Representation>,
    ended_at: Option<String>,
}

/// The kind of an event, whatever else it says.
#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(rename = "type")]
    of: &'a str,
}

/// What the log says of one person.
#[derive(Debug, Default)]
struct Attended {
    name: String,
    weight: String,
    spans: Vec<Span>,
    /// How and where they proved to be present, if they did.
    proved: Option<(String, String)>,
}

/// A span of being present.
#[derive(Debug)]
struct Span {
    from: String,
    method: String,
    place: String,
    ended: Option<(String, String)>,
}

impl ListReader {
    /// The event of a text of the log, when the list is made of its kind.
    pub(super) fn read(text: &str) -> Option<serde_json::Result<Told>> {
        let kind: Kind<'_> = serde_json::from_str(text).ok()?;
        let is_used = matches!(
            kind.of,
            "attendance_changed" | "delegation_changed" | "quorum_changed" | "session_ended"
        );
        is_used.then(|| serde_json::from_str(text))
    }

    /// Takes the next event. A list that is too long is an error, never a part of it.
    pub(super) fn handle_event(&mut self, told: Told) -> Result<(), HistoryError> {
        let Told { at, event, .. } = told;
        match event {
            Event::AttendanceChanged(view) => self.attend(view, at),
            Event::DelegationChanged { unit, delegate, represented, .. } => {
                self.delegate(unit, delegate, represented, at);
            }
            Event::QuorumChanged(state) => self.count(&state, at),
            Event::SessionEnded { .. } => {
                for span in self.people.values_mut().flat_map(|it| &mut it.spans) {
                    let end = || (at.clone(), SESSION_ENDED.to_owned());
                    span.ended.get_or_insert_with(end);
                }
                self.ended_at = Some(at);
            }
            _ => {}
        }
        let most = self.rows.max(self.people.len()).max(self.representations.len());
        let fits = most <= ROWS_MAX && self.turns.len() <= TURNS_MAX;
        if fits { Ok(()) } else { Err(HistoryError::TooLong) }
    }

    fn attend(&mut self, view: AttendanceView, at: String) {
        let AttendanceView { user_id, name, weight, method, place, present, .. } = view;
        let person = self.people.entry(user_id).or_default();
        (person.name, person.weight) = (name, weight);
        let open = person.spans.last_mut().filter(|span| span.ended.is_none());
        match (view.change.as_str(), open) {
            ("left", Some(span)) => span.ended = Some((at, view.cause.unwrap_or_default())),
            ("left", None) => {}
            (_, None) if present => {
                person.spans.push(Span { from: at, method, place, ended: None });
                self.rows += 1;
            }
            _ => person.proved = Some((method, place)),
        }
    }

    /// A unit is represented from here on, or no longer. The log does not say when one was that the
    /// eligible list had.
    fn delegate(&mut self, unit: String, user_id: String, represented: bool, at: String) {
        let is_it = |one: &&mut Representation| {
            one.unit == unit && one.user_id == user_id && one.until.is_none()
        };
        let open = self.representations.iter_mut().rev().find(is_it);
        match (represented, open) {
            (true, Some(_)) => {}
            (true, None) => {
                let (from, until) = (Some(at), None);
                self.representations.push(Representation { unit, user_id, from, until });
            }
            (false, Some(open)) => open.until = Some(at),
            (false, None) => {
                let (from, until) = (None, Some(at));
                self.representations.push(Representation { unit, user_id, from, until });
            }
        }
    }

    fn count(&mut self, state: &QuorumState, at: String) {
        let counted = QuorumAt::new(state, at);
        if state.turned {
            self.turns.push(counted.clone());
        }
        self.counted = Some(counted);
    }

    /// The list.
    pub(super) fn end(self) -> Attendances {
        let mut rows = Vec::with_capacity(self.rows);
        for (user_id, person) in self.people {
            let row = |from, until, cause, (method, place)| AttendanceRow {
                user_id: user_id.clone(),
                name: person.name.clone(),
                weight: person.weight.clone(),
                units: Vec::new(),
                represents: Vec::new(),
                from,
                until,
                method,
                place,
                cause,
            };
            if let Some(known) = person.proved.filter(|_| person.spans.is_empty()) {
                rows.push(row(None, None, None, known));
            }
            for span in person.spans {
                let (until, cause) = span.ended.unzip();
                rows.push(row(Some(span.from), until, cause, (span.method, span.place)));
            }
        }
        // Stable: the rows of one person stay in the order of time.
        rows.sort_by_cached_key(|row| {
            (order_of_name(&row.name), row.name.to_lowercase(), row.user_id.clone())
        });
        let Self { counted: quorum, turns: quorum_turns, representations, ended_at, .. } = self;
        Attendances { rows, representations, quorum, quorum_turns, ended_at }
    }
}

/// Who attended, and the quorum.
#[derive(Debug)]
pub struct Attendances {
    rows: Vec<AttendanceRow>,
    representations: Vec<Representation>,
    quorum: Option<QuorumAt>,
    quorum_turns: Vec<QuorumAt>,
    ended_at: Option<String>,
}

/// A span of being present, or somebody who proved it and never was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct AttendanceRow {
    user_id: String,
    name: String,
    weight: String,
    units: Vec<String>,
    represents: Vec<String>,
    from: Option<String>,
    until: Option<String>,
    method: String,
    place: String,
    cause: Option<String>,
}

/// That somebody does not represent a unit, although the eligible list says so.
#[derive(Debug, Serialize)]
struct NotRepresented {
    unit: String,
    /// Who would have represented it.
    user_id: String,
    reason: String,
}

impl NotRepresented {
    fn new(left_out: LeftOutView) -> Self {
        let LeftOutView { unit, user_id, reason, .. } = left_out;
        Self { unit, user_id, reason }
    }
}

/// That somebody represented the unit of somebody else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Representation {
    unit: String,
    /// Who represented it.
    user_id: String,
    /// `None` when the eligible list had it.
    from: Option<String>,
    /// `None` while it holds, and when it held until the end.
    until: Option<String>,
}

/// The quorum at a moment, as members were told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct QuorumAt {
    at: String,
    call: String,
    reached: bool,
    heads_present: u32,
    heads_total: u32,
    weight_present: String,
    weight_total: String,
}

impl QuorumAt {
    fn new(state: &QuorumState, at: String) -> Self {
        Self {
            at,
            call: state.call.clone(),
            reached: state.reached,
            heads_present: state.heads_present,
            heads_total: state.heads_total,
            weight_present: state.weight_present.clone(),
            weight_total: state.weight_total.clone(),
        }
    }
}

/// The numbers of the whole list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct Figures {
    /// People who were present.
    people: usize,
    /// Those of them who are present, or were when the session ended.
    present: usize,
    /// Spans of being present.
    intervals: usize,
}

/// The log up to the head that the list stands on.
#[derive(Debug, Serialize)]
struct LogAt {
    id: String,
    tree_size: u64,
    root: String,
    signed_at: String,
    verify_at: String,
}

/// A list of those who attended, as it is given (docs/EVIDENCE.md, "The attendance list").
#[derive(Debug, Serialize)]
pub struct AttendanceList {
    v: u32,
    kind: &'static str,
    session: String,
    assembly: String,
    title: String,
    modality: &'static str,
    started_at: Option<String>,
    ended_at: Option<String>,
    made_at: String,
    log: LogAt,
    figures: Figures,
    quorum: Option<QuorumAt>,
    quorum_turns: Vec<QuorumAt>,
    rows: Vec<AttendanceRow>,
    representations: Vec<Representation>,
    representations_left_out: Vec<NotRepresented>,
}

impl AttendanceList {
    /// The list of a session. `units_of` tells the units of a user and those that they represent,
    /// which the log does not have one by one; `left_out` are delegations of the eligible list that
    /// do not hold.
    #[must_use]
    pub fn new(
        attendances: Attendances,
        about: &About,
        (log, head): (&str, &SignedHead),
        made_at: String,
        units_of: impl Fn(&str) -> (Vec<String>, Vec<String>),
        left_out: Vec<LeftOutView>,
    ) -> Self {
        let Attendances { mut rows, representations, quorum, quorum_turns, ended_at } = attendances;
        for row in &mut rows {
            (row.units, row.represents) = units_of(&row.user_id);
        }
        let is_there = |row: &&AttendanceRow| {
            row.from.is_some() && row.cause.as_deref().is_none_or(|it| it == SESSION_ENDED)
        };
        let mut people: Vec<&str> = Vec::new();
        for row in rows.iter().filter(|row| row.from.is_some()) {
            if people.last() != Some(&row.user_id.as_str()) {
                people.push(&row.user_id);
            }
        }
        let figures = Figures {
            people: people.len(),
            present: rows.iter().filter(is_there).count(),
            intervals: rows.iter().filter(|row| row.from.is_some()).count(),
        };
        Self {
            v: 3,
            kind: "attendance-list",
            session: about.session.clone(),
            assembly: about.assembly.clone(),
            title: about.title.clone(),
            modality: about.modality,
            started_at: about.started_at.map(|at| at.to_string()),
            ended_at,
            made_at,
            log: LogAt {
                id: log.to_owned(),
                tree_size: head.tree_size,
                root: head.root.clone(),
                signed_at: head.at.to_string(),
                verify_at: about.verify_at.clone(),
            },
            figures,
            quorum,
            quorum_turns,
            rows,
            representations,
            representations_left_out: left_out.into_iter().map(NotRepresented::new).collect(),
        }
    }

    /// The list as JSON.
    #[must_use]
    pub fn json(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).unwrap_or_default()
    }

    /// How many are or were present at last, and the weight that was told last.
    #[must_use]
    pub fn present(&self) -> (usize, Option<&str>, bool) {
        let quorum = self.quorum.as_ref();
        let weight = quorum.map(|quorum| quorum.weight_present.as_str());
        (self.figures.present, weight, quorum.is_some_and(|quorum| quorum.reached))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::documents::write;
    use crate::domain::time::Timestamp;
    use crate::history::Language;

    fn changed(at: &str, change: &str, user: &str, present: bool) -> Value {
        let cause = (change == "left").then_some("disconnected");
        json!({"seq": 1, "at": at, "type": "attendance_changed", "change": change, "user_id": user,
            "name": format!("Ñ {user}"), "present": present, "method": "qr", "place": "hall",
            "cause": cause, "by": null, "weight": "60.5"})
    }

    fn quorum(at: &str, reached: bool, turned: bool) -> Value {
        json!({"seq": 2, "at": at, "type": "quorum_changed", "call": "first", "heads_present": 1,
            "heads_total": 2, "weight_present": "60.5", "weight_total": "100", "heads_needed": null,
            "weight_needed": "1/2", "comparison": "more_than", "reached": reached, "since": null,
            "roll_known": true, "turned": turned})
    }

    fn read(told: &[Value]) -> Result<Attendances, HistoryError> {
        let mut reader = ListReader::default();
        for told in told {
            let told = ListReader::read(&told.to_string());
            if let Some(told) = told {
                reader.handle_event(told.map_err(|_| HistoryError::Unreadable(0))?)?;
            }
        }
        Ok(reader.end())
    }

    fn list(told: &[Value]) -> AttendanceList {
        let at = Timestamp::parse_rfc3339("2026-03-01T11:00:00Z").expect("a moment");
        let about = About {
            session: "018f".to_owned(),
            assembly: "norte".to_owned(),
            title: "Junta 张".to_owned(),
            modality: "mixed",
            started_at: Some(at),
            ended_at: None,
            is_transcribed: false,
            head: None,
            verify_at: "https://cabildo.example/x".to_owned(),
        };
        let head = SignedHead { tree_size: 9, root: "abc".to_owned(), at };
        let units = |user: &str| (vec![format!("unit of {user}")], Vec::new());
        let attendances = read(told).expect("a list");
        AttendanceList::new(attendances, &about, ("bG9n", &head), at.to_string(), units, Vec::new())
    }

    fn story() -> Vec<Value> {
        vec![
            changed("2026-03-01T10:00:00Z", "validated", "bo", true),
            changed("2026-03-01T10:00:30Z", "validated", "bo", true),
            quorum("2026-03-01T10:00:31Z", true, true),
            changed("2026-03-01T10:01:00Z", "left", "bo", false),
            changed("2026-03-01T10:02:00Z", "entered", "bo", true),
            changed("2026-03-01T10:03:00Z", "validated", "ana", true),
            changed("2026-03-01T10:04:00Z", "validated", "eve", false),
            changed("2026-03-01T10:04:30Z", "left", "nobody", false),
            quorum("2026-03-01T10:04:31Z", true, false),
            json!({"seq": 9, "at": "2026-03-01T10:05:00Z", "type": "session_ended", "reason": "completed"}),
        ]
    }

    #[test]
    fn a_list_says_who_was_there_from_when_until_when() {
        let list: Value = serde_json::from_slice(&list(&story()).json()).expect("JSON");
        let rows: Vec<[Option<&str>; 4]> = list["rows"]
            .as_array()
            .expect("rows")
            .iter()
            .map(|row| ["user_id", "from", "until", "cause"].map(|key| row[key].as_str()))
            .collect();
        let end = Some("2026-03-01T10:05:00Z");
        let ended = Some("session_ended");
        assert_eq!(
            rows,
            [
                [Some("ana"), Some("2026-03-01T10:03:00Z"), end, ended],
                [
                    Some("bo"),
                    Some("2026-03-01T10:00:00Z"),
                    Some("2026-03-01T10:01:00Z"),
                    Some("disconnected")
                ],
                [Some("bo"), Some("2026-03-01T10:02:00Z"), end, ended],
                [Some("eve"), None, None, None],
            ]
        );
        assert_eq!(list["figures"], json!({"people": 2, "present": 2, "intervals": 3}));
        assert_eq!(list["quorum_turns"].as_array().map(Vec::len), Some(1));
        assert_eq!(list["quorum"]["at"], "2026-03-01T10:04:31Z");
        assert_eq!(list["rows"][0]["units"], json!(["unit of ana"]));
        assert_eq!(list["ended_at"], "2026-03-01T10:05:00Z");
    }

    #[test]
    fn a_list_says_who_represented_which_unit_and_when() {
        let delegation = |at: &str, unit: &str, represented: bool| {
            json!({"seq": 3, "at": at, "type": "delegation_changed", "unit": unit, "delegate": "bo",
                "represented": represented, "by": "chair"})
        };
        let told = [
            delegation("2026-03-01T10:00:00Z", "107", true),
            delegation("2026-03-01T10:00:01Z", "108", true),
            delegation("2026-03-01T10:01:00Z", "107", false),
            delegation("2026-03-01T10:02:00Z", "109", false),
            delegation("2026-03-01T10:03:00Z", "107", true),
        ];
        let list = list(&told);
        let json: Value = serde_json::from_slice(&list.json()).expect("JSON");
        let row = |unit, from: Option<&str>, until: Option<&str>| {
            let at = |minute: Option<&str>| minute.map(|it| format!("2026-03-01T10:{it}Z"));
            json!({"unit": unit, "user_id": "bo", "from": at(from), "until": at(until)})
        };
        assert_eq!(
            json["representations"],
            json!([
                row("107", Some("00:00"), Some("01:00")),
                row("108", Some("00:01"), None),
                row("109", None, Some("02:00")),
                row("107", Some("03:00"), None),
            ])
        );
        let at = Timestamp::from_unix_us(0);
        let written = write(&list.document(Language::Spanish, at, list.json()));
        assert!(written.is_ok(), "{:?}", written.err());
    }

    #[test]
    fn who_is_there_now_is_present_and_a_list_of_nobody_is_a_list() {
        let now = list(&story()[..6]);
        assert_eq!(now.present(), (2, Some("60.5"), true));
        let nobody = list(&[]);
        assert_eq!(nobody.present(), (0, None, false));
        for language in Language::ALL {
            let at = Timestamp::from_unix_us(0);
            for list in [&now, &nobody] {
                let written = write(&list.document(*language, at, list.json()));
                assert!(written.is_ok(), "{language}: {:?}", written.err());
            }
        }
    }

    #[test]
    fn an_event_that_is_needed_and_can_t_be_read_is_no_list() {
        let broken = json!({"type": "attendance_changed", "user_id": "ana"});
        assert_eq!(read(&[broken]).err(), Some(HistoryError::Unreadable(0)));
        let unknown = json!({"type": "of a later version"});
        assert!(read(&[unknown]).is_ok());
    }
}
