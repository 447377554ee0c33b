//! Lists of attendance against bundles: true ones, changed ones, and bundles that do not say enough.

use cabildo::documents::{Block, Form, Span, write};
use cabildo::verify::files::InMemory;
use cabildo::verify::{Code, Options, Report, Verdict, verify_attendance};
use serde_json::{Value, json};

use crate::documents::document;
use crate::verify::forge::{Forge, Key, LOG, SESSION, b64, root, sha256, uuid};
use crate::verify::genuine::assert_valid;

fn changed(at: &str, change: &str, user: &str, present: bool) -> Value {
    let cause = (change == "left").then_some("disconnected");
    json!({"seq": 1, "at": at, "type": "attendance_changed", "change": change, "user_id": user,
        "name": format!("Name of {user}"), "present": present, "method": "qr", "place": "hall",
        "cause": cause, "by": null, "weight": "60.5"})
}

fn quorum(at: &str, reached: bool, heads: u32) -> Value {
    json!({"seq": 2, "at": at, "type": "quorum_changed", "call": "first", "heads_present": heads,
        "heads_total": 2, "weight_present": "60.5", "weight_total": "100", "heads_needed": null,
        "weight_needed": "1/2", "comparison": "more_than", "reached": reached, "since": null,
        "roll_known": true, "turned": true})
}

fn quorum_at(at: &str, reached: bool, heads: u32) -> Value {
    json!({"at": at, "call": "first", "reached": reached, "heads_present": heads, "heads_total": 2,
        "weight_present": "60.5", "weight_total": "100"})
}

fn delegation(at: &str, unit: &str, represented: bool) -> Value {
    json!({"seq": 4, "at": at, "type": "delegation_changed", "unit": unit, "delegate": "bo",
        "represented": represented, "by": "chair"})
}

/// What a room told.
fn told() -> Vec<Value> {
    vec![
        changed("2026-03-01T10:00:00Z", "validated", "ana", true),
        quorum("2026-03-01T10:00:00Z", true, 1),
        json!({"seq": 3, "at": "2026-03-01T10:00:01Z", "type": "chat", "user_id": "ana", "name": "Ana", "text": "hi"}),
        delegation("2026-03-01T10:00:59Z", "A 107", true),
        changed("2026-03-01T10:01:00Z", "validated", "bo", true),
        delegation("2026-03-01T10:01:30Z", "A 107", false),
        delegation("2026-03-01T10:01:31Z", "A 108", false),
        changed("2026-03-01T10:02:00Z", "left", "bo", false),
        changed("2026-03-01T10:03:00Z", "validated", "eve", false),
        quorum("2026-03-01T10:04:00Z", false, 0),
        json!({"seq": 8, "at": "2026-03-01T10:05:00Z", "type": "session_ended", "reason": "completed"}),
    ]
}

fn row(user: &str, from: Option<&str>, until: Option<&str>, cause: Option<&str>) -> Value {
    json!({"user_id": user, "name": format!("Name of {user}"), "weight": "60.5", "units": ["A 101"],
        "represents": [], "from": from, "until": until, "method": "qr", "place": "hall", "cause": cause})
}

/// A closed log and the list of it.
struct Made {
    forge: Forge,
    list: Value,
}

fn made() -> Made {
    let mut forge = Forge::new(SESSION, Key::new(3));
    forge.sign_head();
    for told in told() {
        forge.event(3, &told.to_string());
    }
    forge.close();
    forge.sign_head();
    let list = json!({
        "v": 3, "kind": "attendance-list", "session": uuid(&SESSION), "assembly": "norte",
        "title": "Junta", "modality": "mixed", "started_at": null,
        "ended_at": "2026-03-01T10:05:00Z", "made_at": "2026-03-01T11:00:00Z",
        "log": {"id": b64(&LOG), "tree_size": forge.entries.len(), "root": b64(&root(&forge.entries)),
            "signed_at": "2026-03-01T10:05:01Z", "verify_at": "https://cabildo.example/x"},
        "figures": {"people": 2, "present": 1, "intervals": 2},
        "quorum": quorum_at("2026-03-01T10:04:00Z", false, 0),
        "quorum_turns": [
            quorum_at("2026-03-01T10:00:00Z", true, 1),
            quorum_at("2026-03-01T10:04:00Z", false, 0),
        ],
        "rows": [
            row("ana", Some("2026-03-01T10:00:00Z"), Some("2026-03-01T10:05:00Z"), Some("session_ended")),
            row("bo", Some("2026-03-01T10:01:00Z"), Some("2026-03-01T10:02:00Z"), Some("disconnected")),
            row("eve", None, None, None),
        ],
        "representations": [
            {"unit": "A 107", "user_id": "bo", "from": "2026-03-01T10:00:59Z",
                "until": "2026-03-01T10:01:30Z"},
            {"unit": "A 108", "user_id": "bo", "from": null, "until": "2026-03-01T10:01:31Z"},
        ],
        "representations_left_out": [{"unit": "A 109", "user_id": "bo", "reason": "limit_reached"}],
    });
    Made { forge, list }
}

fn pdf_of(list: &Value) -> Vec<u8> {
    let blocks = vec![Block::Paragraph(vec![Span::plain("the list")])];
    write(&document(Form::Landscape, blocks, list.to_string().as_bytes())).expect("written")
}

impl Made {
    /// Enters that this document was issued.
    fn issue(&mut self, pdf: &[u8], list: &Value) {
        let data = b64(&sha256(list.to_string().as_bytes()));
        let issued = json!({"type": "attendance_exported", "at": "2026-03-01T11:00:00Z",
            "user_id": "auditor", "format": "pdf", "sha256": b64(&sha256(pdf)), "data_sha256": data});
        self.forge.event(65, &issued.to_string());
        self.forge.sign_head();
    }

    /// The bundle, which discloses the texts of events that are `wanted`.
    fn bundle(&self, wanted: impl Fn(&str) -> bool) -> InMemory {
        let mut files = self.forge.full();
        let shown = self.forge.events.iter().filter(|(_, text)| wanted(text));
        let events: Vec<Value> = shown.map(|(seq, _)| self.forge.event_disclosure(*seq)).collect();
        let disclosures = json!({"v": 1, "events": events, "subjects": [], "segments": []});
        files.files.insert("disclosures.json".into(), disclosures.to_string().into_bytes());
        files
    }
}

fn is_of_attendance(text: &str) -> bool {
    let kinds = [
        "attendance_changed",
        "attendance_exported",
        "delegation_changed",
        "quorum_changed",
        "session_ended",
    ];
    kinds.iter().any(|kind| text.contains(kind))
}

fn check(pdf: &[u8], bundle: &InMemory) -> Report {
    verify_attendance(pdf, bundle, &Options::default())
}

fn count(report: &Report, what: &str) -> u64 {
    report.checked.iter().find(|check| check.what == what).map_or(0, |check| check.count)
}

#[test]
fn a_list_that_says_what_the_log_says_is_valid() {
    let mut made = made();
    let pdf = pdf_of(&made.list);
    made.issue(&pdf, &made.list.clone());
    let report = check(&pdf, &made.bundle(|_| true));
    assert_valid(&report);
    assert_eq!(count(&report, "rows of the attendance list"), 3);
    assert_eq!(count(&report, "figures of the attendance list"), 8);
    for what in ["root of the attendance list", "issue of the attendance list"] {
        assert_eq!(count(&report, what), 1, "{report}");
    }
    assert_eq!(count(&report, "representations of the attendance list"), 3);
    assert!(report.not_checked.iter().any(|line| line.contains("units")), "{report}");
}

#[test]
fn a_list_of_a_version_before_is_valid_and_says_less() {
    let mut made = made();
    let mut list = made.list.clone();
    list.as_object_mut().expect("an object").remove("representations_left_out");
    list["v"] = json!(2);
    let pdf = pdf_of(&list);
    made.issue(&pdf, &list);
    assert_valid(&check(&pdf, &made.bundle(|_| true)));

    list.as_object_mut().expect("an object").remove("representations");
    list["v"] = json!(1);
    let pdf = pdf_of(&list);
    made.issue(&pdf, &list);
    let report = check(&pdf, &made.bundle(|_| true));
    assert_valid(&report);
    let said = |line: &String| line.contains("who represented which unit");
    assert!(report.not_checked.iter().any(said), "{report}");
}

/// A lie, how it is told, and what is said of it.
type Lie = (&'static str, fn(&mut Value), &'static str);

const LIES: &[Lie] = &[
    ("a name", |list| list["rows"][0]["name"] = "Eva".into(), "“ana”: name is"),
    (
        "a weight",
        |list| list["rows"][1]["weight"] = "99".into(),
        "“bo”: weight is “60.5” in the log",
    ),
    ("a moment", |list| list["rows"][0]["from"] = "2026-03-01T09:00:00Z".into(), "“ana”: from"),
    ("an end", |list| list["rows"][1]["until"] = "2026-03-01T10:05:00Z".into(), "“bo”: until"),
    ("a cause", |list| list["rows"][1]["cause"] = "marked_left".into(), "“bo”: the cause"),
    ("a method", |list| list["rows"][0]["method"] = "manual".into(), "“ana”: method"),
    (
        "somebody new",
        |list| {
            let more = row("mallory", Some("2026-03-01T10:00:00Z"), None, None);
            list["rows"].as_array_mut().expect("rows").push(more);
            list["figures"] = json!({"people": 3, "present": 2, "intervals": 3});
        },
        "“mallory”: the log does not say",
    ),
    (
        "somebody less",
        |list| {
            list["rows"].as_array_mut().expect("rows").remove(1);
            list["figures"] = json!({"people": 1, "present": 1, "intervals": 1});
        },
        "“bo”: they are missing",
    ),
    (
        "a row twice",
        |list| {
            let again = list["rows"][1].clone();
            list["rows"].as_array_mut().expect("rows").push(again);
            list["figures"]["intervals"] = json!(3);
        },
        "“bo”: the log has 1 rows, and the list 2",
    ),
    ("people", |list| list["figures"]["people"] = json!(3), "states 3 people who were"),
    ("present", |list| list["figures"]["present"] = json!(2), "states 2 people who are"),
    ("intervals", |list| list["figures"]["intervals"] = json!(9), "states 9 intervals"),
    ("the quorum", |list| list["quorum"]["heads_present"] = json!(2), "counted last is another"),
    (
        "a turn",
        |list| list["quorum_turns"][1]["at"] = "2026-03-01T10:05:00Z".into(),
        "reached and lost is",
    ),
    ("the end", |list| list["ended_at"] = Value::Null, "session ended is another"),
    (
        "a representation less",
        |list| drop(list["representations"].as_array_mut().expect("a list").pop()),
        "who represented which unit",
    ),
    (
        "a longer representation",
        |list| list["representations"][0]["until"] = Value::Null,
        "who represented which unit",
    ),
];

#[test]
fn a_row_or_a_figure_that_was_changed_is_found() {
    for (what, lie, found) in LIES {
        let mut made = made();
        let genuine = made.list.clone();
        made.issue(&pdf_of(&genuine), &genuine);
        let mut changed = genuine;
        lie(&mut changed);
        let pdf = pdf_of(&changed);
        // Whether the bundle discloses every decision, or only what is about attendance.
        for bundle in [made.bundle(|_| true), made.bundle(is_of_attendance)] {
            let report = check(&pdf, &bundle);
            assert_eq!(report.verdict, Verdict::Invalid, "{what}: {report}");
            let problem = report.problems.iter().find(|it| it.message.contains(found));
            assert_eq!(problem.map(|it| it.code), Some(Code::ListMismatch), "{what}: {report}");
        }
    }
}

#[test]
fn a_list_of_another_log_or_root_is_found() {
    let made = made();
    for (pointer, value, code) in [
        ("/session", json!(uuid(&[9; 16])), Code::WrongSession),
        ("/log/id", json!(b64(&[9; 16])), Code::WrongSession),
        ("/log/root", json!(b64(&[9; 32])), Code::RootMismatch),
        ("/log/root", json!("x"), Code::RootMismatch),
        ("/log/tree_size", json!(4), Code::RootMismatch),
        ("/v", json!(1), Code::Malformed),
        ("/rows", json!("none"), Code::Malformed),
    ] {
        let mut list = made.list.clone();
        *list.pointer_mut(pointer).expect("there") = value;
        let report = check(&pdf_of(&list), &made.bundle(|_| true));
        assert_eq!(
            (report.verdict, report.has(code)),
            (Verdict::Invalid, true),
            "{pointer}: {report}"
        );
    }
    let report = check(b"%PDF-1.7 nothing", &made.bundle(|_| true));
    assert!(report.has(Code::Malformed), "{report}");
}

#[test]
fn pages_that_were_put_around_the_same_data_are_found() {
    let mut made = made();
    let list = made.list.clone();
    made.issue(&pdf_of(&list), &list);
    let blocks = vec![Block::Paragraph(vec![Span::plain("another list")])];
    let document = document(Form::Landscape, blocks, list.to_string().as_bytes());
    let report = check(&write(&document).expect("written"), &made.bundle(|_| true));
    assert_eq!(report.verdict, Verdict::Invalid, "{report}");
    assert!(report.problems[0].message.contains("its pages may show"), "{report}");
}

#[test]
fn what_is_not_disclosed_is_said_and_never_passes() {
    let mut made = made();
    let list = made.list.clone();
    let pdf = pdf_of(&list);
    made.issue(&pdf, &list);
    let lacks = |report: &Report, what: &str| {
        assert_eq!(report.verdict, Verdict::Incomplete, "{report}");
        assert!(report.not_checked.iter().any(|line| line.contains(what)), "{what}: {report}");
    };
    let nothing = check(&pdf, &made.bundle(|_| false));
    for what in ["11 of 11 decisions", "3 rows", "no disclosed entry names this document"] {
        lacks(&nothing, what);
    }
    assert_eq!(count(&nothing, "rows of the attendance list"), 0);
    assert_eq!(count(&nothing, "root of the attendance list"), 1);
    let attendance = check(&pdf, &made.bundle(is_of_attendance));
    lacks(&attendance, "1 of 11 decisions");
    assert_eq!(count(&attendance, "rows of the attendance list"), 3);
    assert_eq!(count(&attendance, "issue of the attendance list"), 1);
    // A part of somebody's story makes nobody a liar.
    let part = check(&pdf, &made.bundle(|text| text.contains("10:01:00")));
    lacks(&part, "“bo”: until");
    let unissued = check(&pdf, &made.bundle(|text| !text.contains("attendance_exported")));
    lacks(&unissued, "no disclosed entry names this document");
    // The list was made after the bundle.
    let mut later = list;
    later["log"]["tree_size"] = json!(99);
    lacks(&check(&pdf_of(&later), &made.bundle(|_| true)), "the bundle has fewer");
}
