//! Compares a list of attendance (docs/EVIDENCE.md, "The attendance list") with what the log of a
//! bundle says, as far as its texts are disclosed.

mod list;

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::examination::Examination;
use super::keys::fixed_b64;
use super::pdf::embedded_file;
use super::proof::uuid;
use super::report::{Code, Finding, Place};
use super::tree::{Hash, sha256};
use list::{Figures, List, QuorumAt, Representation};

/// Name of the embedded file.
const FILE: &str = "attendance.json";
/// Kinds of events (docs/EVIDENCE.md, "Entries").
const ROOM: u64 = 3;
const DISCLOSURE: u64 = 65;
/// The cause of an interval that ended with the session.
const SESSION_ENDED: &str = "session_ended";

/// What a row says that the log says too.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Span {
    name: String,
    weight: String,
    from: Option<String>,
    until: Option<String>,
    method: String,
    place: String,
    cause: Option<String>,
}

/// An event of the room, as far as lists are made of it.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Event {
    AttendanceChanged(Change),
    DelegationChanged(Delegation),
    QuorumChanged(Counted),
    SessionEnded {
        at: String,
    },
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
struct Change {
    at: String,
    #[serde(rename = "change")]
    kind: String,
    user_id: String,
    name: String,
    weight: String,
    present: bool,
    method: String,
    place: String,
    cause: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Counted {
    at: String,
    call: String,
    reached: bool,
    heads_present: u32,
    heads_total: u32,
    weight_present: String,
    weight_total: String,
    turned: bool,
}

#[derive(Debug, Deserialize)]
struct Delegation {
    at: String,
    unit: String,
    delegate: String,
    represented: bool,
}

/// That a list was issued.
#[derive(Debug, Deserialize)]
struct Issued {
    r#type: String,
    format: String,
    sha256: String,
    data_sha256: String,
}

/// What the log says of one person.
#[derive(Debug, Default)]
struct Person {
    name: String,
    weight: String,
    spans: Vec<Span>,
    proved: Option<(String, String)>,
}

/// Whether the log says that the document was issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Issue {
    /// No entry about it is disclosed.
    #[default]
    Unknown,
    /// The disclosed entries are about other documents.
    Other,
    /// This entry is about another document with the same data.
    SameData(u64),
    /// It was.
    Found,
}

/// A list, and what the log says meanwhile.
#[derive(Debug)]
pub(super) struct Comparison {
    list: List,
    document: Hash,
    data: Hash,
    people: BTreeMap<String, Person>,
    counted: Option<QuorumAt>,
    turns: Vec<QuorumAt>,
    representations: Vec<Representation>,
    ended_at: Option<String>,
    /// Decisions of the room before the list's head, and how many of them are not disclosed.
    decisions: u64,
    hidden: u64,
    issue: Issue,
}

impl Comparison {
    /// Reads the list in a document.
    pub(super) fn of_document(pdf: &[u8]) -> Result<Self, Finding> {
        let data = embedded_file(pdf, FILE)?;
        let malformed = |why: String| Finding::new(Code::Malformed, format!("{FILE}: {why}"));
        let list: List =
            serde_json::from_slice(&data).map_err(|error| malformed(error.to_string()))?;
        let version = match (&list.representations, &list.representations_left_out) {
            (None, None) => 1,
            (Some(_), None) => 2,
            (_, Some(_)) => 3,
        };
        if (list.v, list.kind.as_str()) != (version, "attendance-list") {
            return Err(malformed("it is no list of attendance, or of another version".to_owned()));
        }
        Ok(Self {
            list,
            document: sha256(pdf),
            data: sha256(&data),
            people: BTreeMap::new(),
            counted: None,
            turns: Vec::new(),
            representations: Vec::new(),
            ended_at: None,
            decisions: 0,
            hidden: 0,
            issue: Issue::Unknown,
        })
    }

    /// The size of the log at which its root is needed.
    pub(super) const fn tree_size(&self) -> u64 {
        self.list.log.tree_size
    }

    /// Takes an event entry of the log; `text` when it is disclosed and is what the entry commits to.
    pub(super) fn handle_event(&mut self, seq: u64, etype: u64, text: Option<&str>) {
        if etype == DISCLOSURE && seq >= self.tree_size() {
            return self.handle_issue(seq, text);
        }
        if etype != ROOM || seq >= self.tree_size() {
            return;
        }
        self.decisions += 1;
        match text.map(serde_json::from_str::<Event>) {
            Some(Ok(event)) => self.handle_decision(event),
            // What can't be read says nothing.
            Some(Err(_)) | None => self.hidden += 1,
        }
    }

    fn handle_issue(&mut self, seq: u64, text: Option<&str>) {
        let issued = text.and_then(|text| serde_json::from_str::<Issued>(text).ok());
        let is_list = |it: &Issued| it.r#type == "attendance_exported" && it.format == "pdf";
        let Some(issued) = issued.filter(is_list) else { return };
        if fixed_b64(&issued.sha256) == Some(self.document) {
            self.issue = Issue::Found;
        } else if self.issue != Issue::Found {
            let has_data = fixed_b64(&issued.data_sha256) == Some(self.data);
            let is_known = matches!(self.issue, Issue::SameData(_));
            if has_data {
                self.issue = Issue::SameData(seq);
            } else if !is_known {
                self.issue = Issue::Other;
            }
        }
    }

    fn handle_decision(&mut self, event: Event) {
        match event {
            Event::AttendanceChanged(change) => self.handle_change(change),
            Event::DelegationChanged(delegation) => self.handle_delegation(delegation),
            Event::QuorumChanged(counted) => {
                let Counted { turned, at, call, reached, heads_present, heads_total, .. } = counted;
                let Counted { weight_present, weight_total, .. } = counted;
                let counted = QuorumAt {
                    at,
                    call,
                    reached,
                    heads_present,
                    heads_total,
                    weight_present,
                    weight_total,
                };
                if turned {
                    self.turns.push(counted.clone());
                }
                self.counted = Some(counted);
            }
            Event::SessionEnded { at } => {
                for span in self.people.values_mut().flat_map(|person| &mut person.spans) {
                    if span.until.is_none() {
                        span.until = Some(at.clone());
                        span.cause = Some(SESSION_ENDED.to_owned());
                    }
                }
                self.ended_at = Some(at);
            }
            Event::Other => {}
        }
    }

    fn handle_change(&mut self, change: Change) {
        let Change { at, kind, user_id, name, weight, present, method, place, cause } = change;
        let person = self.people.entry(user_id).or_default();
        let open = person.spans.last_mut().filter(|span| span.until.is_none());
        match (kind.as_str(), open) {
            ("left", Some(span)) => {
                span.until = Some(at);
                span.cause = Some(cause.unwrap_or_default());
            }
            ("left", None) => {}
            (_, None) if present => person.spans.push(Span {
                name: String::new(),
                weight: String::new(),
                from: Some(at),
                until: None,
                method,
                place,
                cause: None,
            }),
            _ => person.proved = Some((method, place)),
        }
        (person.name, person.weight) = (name, weight);
    }

    fn handle_delegation(&mut self, delegation: Delegation) {
        let Delegation { at, unit, delegate: user_id, represented } = delegation;
        let is_it = |one: &&mut Representation| {
            one.unit == unit && one.user_id == user_id && one.until.is_none()
        };
        let open = self.representations.iter_mut().rev().find(is_it);
        let (from, until) = match (represented, open) {
            (true, Some(_)) => return,
            (false, Some(open)) => return open.until = Some(at),
            (true, None) => (Some(at), None),
            // The eligible list had it.
            (false, None) => (None, Some(at)),
        };
        self.representations.push(Representation { unit, user_id, from, until });
    }

    /// Whether a difference is a problem: no text that is not disclosed could be its reason, or the
    /// server issued other lists and not this one.
    fn is_decided(&self) -> bool {
        self.hidden == 0 || self.issue == Issue::Other
    }

    /// What the log says of each person, as rows.
    fn told(&self) -> BTreeMap<&str, Vec<Span>> {
        let rows = |person: &Person| {
            let mut spans = person.spans.clone();
            if let Some((method, place)) = person.proved.clone().filter(|_| spans.is_empty()) {
                let (name, weight) = (String::new(), String::new());
                let (from, until, cause) = (None, None, None);
                spans.push(Span { name, weight, from, until, method, place, cause });
            }
            for span in &mut spans {
                span.name.clone_from(&person.name);
                span.weight.clone_from(&person.weight);
            }
            spans
        };
        let people = self.people.iter().map(|(user, person)| (user.as_str(), rows(person)));
        people.filter(|(_, rows)| !rows.is_empty()).collect()
    }

    /// What the list says of each person.
    fn listed(&self) -> BTreeMap<&str, Vec<Span>> {
        let mut listed: BTreeMap<&str, Vec<Span>> = BTreeMap::new();
        for row in &self.list.rows {
            listed.entry(&row.user_id).or_default().push(Span {
                name: row.name.clone(),
                weight: row.weight.clone(),
                from: row.from.clone(),
                until: row.until.clone(),
                method: row.method.clone(),
                place: row.place.clone(),
                cause: row.cause.clone(),
            });
        }
        listed
    }
}

/// The numbers that these rows give.
fn figures<'a>(rows: impl Iterator<Item = (&'a str, &'a Span)>) -> Figures {
    let mut people = BTreeSet::new();
    let mut figures = Figures { people: 0, present: 0, intervals: 0 };
    for (user, row) in rows.filter(|(_, row)| row.from.is_some()) {
        people.insert(user);
        figures.intervals += 1;
        figures.present += u64::from(row.cause.as_deref().is_none_or(|it| it == SESSION_ENDED));
    }
    figures.people = people.len() as u64;
    figures
}

impl Examination {
    /// Compares a list of attendance with the entries, which were all read.
    pub(super) fn check_list(&mut self) {
        let Some(comparison) = self.list.take() else { return };
        let log = &comparison.list.log;
        if uuid(&comparison.list.session) != Some(self.proof.session)
            || fixed_b64(&log.id) != Some(self.proof.log)
        {
            let text = "the attendance list is of another session or log";
            return self.finds(Finding::new(Code::WrongSession, text), Place::default());
        }
        let size = log.tree_size;
        if size > self.report.facts.entries {
            let text = format!(
                "the attendance list: it stands on {size} entries, and the bundle has fewer"
            );
            return self.report.lacks(text);
        }
        match (self.roots.get(&size), fixed_b64::<32>(&log.root)) {
            (Some(known), Some(root)) if *known == root => {
                self.report.count("root of the attendance list", 1);
            }
            _ => {
                let text = "the attendance list states another root than the log has";
                self.finds(Finding::new(Code::RootMismatch, text), Place::head(size));
            }
        }
        self.check_issue(&comparison);
        self.check_hidden(&comparison);
        self.check_rows(&comparison);
        self.check_representations(&comparison);
        self.check_figures(&comparison);
        self.report.leaves(
            "title, assembly, modality, start and units in the attendance list, and who represented \
             units by the eligible list: the log does not have them one by one",
        );
    }

    fn check_issue(&mut self, comparison: &Comparison) {
        match comparison.issue {
            Issue::Found => self.report.count("issue of the attendance list", 1),
            Issue::SameData(seq) => {
                let text = "the data of the attendance list were issued in another document: its pages \
                            may show something else";
                self.finds(Finding::new(Code::ListMismatch, text), Place::seq(seq));
            }
            Issue::Other | Issue::Unknown => self.report.lacks(
                "whether the server issued this attendance list, and what its pages show: no \
                 disclosed entry names this document",
            ),
        }
    }

    fn check_hidden(&mut self, comparison: &Comparison) {
        let Comparison { decisions, hidden, .. } = comparison;
        self.report.count("decisions read for the attendance list", decisions - hidden);
        if *hidden > 0 {
            self.report.lacks(format!(
                "{hidden} of {decisions} decisions of the room before the attendance list: the bundle \
                 does not disclose their texts, so somebody could be missing from the list"
            ));
        }
    }

    fn check_rows(&mut self, comparison: &Comparison) {
        let (told, listed) = (comparison.told(), comparison.listed());
        let users: BTreeSet<&str> = told.keys().chain(listed.keys()).copied().collect();
        let nothing = Vec::new();
        let mut unproven = 0;
        for user in users {
            let known = told.get(user).unwrap_or(&nothing);
            let rows = listed.get(user).unwrap_or(&nothing);
            if known == rows {
                self.report.count("rows of the attendance list", rows.len() as u64);
            } else if known.is_empty() && !comparison.is_decided() {
                unproven += rows.len();
            } else {
                let text = match (known.is_empty(), rows.is_empty()) {
                    (true, _) => "the log does not say that they were present".to_owned(),
                    (_, true) => "they are missing from the list".to_owned(),
                    _ => difference(known, rows),
                };
                self.differs(comparison, &format!("{}: {text}", clean(user)));
            }
        }
        if unproven > 0 {
            self.report.lacks(format!(
                "{unproven} rows of the attendance list: the bundle discloses nothing about them"
            ));
        }
    }

    fn check_figures(&mut self, comparison: &Comparison) {
        let Comparison { list, counted, turns, ended_at, .. } = comparison;
        let listed = comparison.listed();
        let rows = listed.iter().flat_map(|(user, rows)| rows.iter().map(|row| (*user, row)));
        let own = figures(rows);
        for (name, stated, counted) in [
            ("people who were present", list.figures.people, own.people),
            ("people who are present", list.figures.present, own.present),
            ("intervals", list.figures.intervals, own.intervals),
        ] {
            if stated == counted {
                self.report.count("figures of the attendance list", 1);
            } else {
                let text =
                    format!("the list states {stated} {name}, and its rows are {counted} of them");
                self.finds(Finding::new(Code::ListMismatch, text), Place::default());
            }
        }
        for (name, is_same, amount) in [
            ("the quorum as counted last", list.quorum == *counted, 1),
            ("when the quorum was reached and lost", list.quorum_turns == *turns, 1 + turns.len()),
            ("when the session ended", list.ended_at == *ended_at, 1),
        ] {
            if is_same {
                self.report.count("figures of the attendance list", amount as u64);
            } else {
                self.differs(comparison, &format!("{name} is another in the log"));
            }
        }
    }

    fn check_representations(&mut self, comparison: &Comparison) {
        let Some(listed) = &comparison.list.representations else {
            let text = "who represented which unit and when: this attendance list is of a version \
                        that does not say it";
            return self.report.leaves(text);
        };
        if *listed == comparison.representations {
            self.report.count("representations of the attendance list", 1 + listed.len() as u64);
        } else {
            self.differs(comparison, "who represented which unit, and when, is another in the log");
        }
    }

    /// The list says something else than the disclosed texts. That is a problem unless texts that are
    /// not disclosed could be the reason.
    fn differs(&mut self, comparison: &Comparison, what: &str) {
        if comparison.is_decided() {
            let finding = Finding::new(Code::ListMismatch, format!("the attendance list: {what}"));
            self.finds(finding, Place::default());
        } else {
            self.report.lacks(format!(
                "the attendance list: {what}, as far as it is disclosed; texts that are not could be \
                 the reason"
            ));
        }
    }
}

/// The first thing in which rows of one person differ.
fn difference(known: &[Span], rows: &[Span]) -> String {
    if known.len() != rows.len() {
        return format!("the log has {} rows, and the list {}", known.len(), rows.len());
    }
    let differs = known.iter().zip(rows).find(|(known, row)| known != row);
    let Some((known, row)) = differs else { return String::new() };
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    for (name, known, row) in [
        ("name", known.name.clone(), row.name.clone()),
        ("weight", known.weight.clone(), row.weight.clone()),
        ("from", text(&known.from), text(&row.from)),
        ("until", text(&known.until), text(&row.until)),
        ("method", known.method.clone(), row.method.clone()),
        ("place", known.place.clone(), row.place.clone()),
    ] {
        if known != row {
            return format!(
                "{name} is {} in the log and {} in the list",
                clean(&known),
                clean(&row)
            );
        }
    }
    let (known, row) = (text(&known.cause), text(&row.cause));
    format!("the cause is {} in the log and {} in the list", clean(&known), clean(&row))
}

/// A text of the input, quoted and shortened, without characters that could control a terminal.
fn clean(text: &str) -> String {
    let shown = text.chars().take(80).map(|it| if it.is_control() { '\u{FFFD}' } else { it });
    format!("“{}”", shown.collect::<String>())
}
