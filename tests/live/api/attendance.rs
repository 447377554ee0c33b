//! Attendance by REST: the list, the desk, the quorum, and what is refused.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use cabildo::domain::id::SessionKey;
use cabildo::domain::time::Timestamp;
use cabildo::recorder::repository::RecordingRepository as _;
use cabildo::verify::pdf::embedded_file;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::api::channel_client::Channel;
use crate::api::person::Person;
use crate::api::server::{Answer, Server};

/// How often the report is asked for until it is there, and how long.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(30);

struct Desk {
    server: Server,
    session: String,
    moderator: Person,
}

impl Desk {
    async fn open() -> Self {
        let server = Server::start().await;
        let session = server.create().await;
        let moderator = Person::with_role(&server, "moderator").await;
        let path = format!("/api/v1/sessions/{session}/start");
        let started = moderator.write(&server, Method::POST, &path, |it| it).await;
        assert_eq!(started.status, 200, "{started:?}");
        Self { server, session, moderator }
    }

    fn path(&self, rest: &str) -> String {
        format!("/api/v1/sessions/{}{rest}", self.session)
    }

    async fn write(&self, person: &Person, method: Method, rest: &str, body: &Value) -> Answer {
        person.write(&self.server, method, &self.path(rest), |it| it.json(body)).await
    }

    async fn register(&self, user: &str) -> Answer {
        let body = json!({"user_id": user});
        let path = "/attendance/register-attendee";
        self.write(&self.moderator, Method::POST, path, &body).await
    }

    async fn give(&self, list: &Value) -> Answer {
        self.write(&self.moderator, Method::PUT, "/attendance/eligible", list).await
    }

    async fn read(&self, rest: &str) -> Value {
        let answer = self.moderator.read(&self.server, Method::GET, &self.path(rest)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// Ends the session, and waits until its log is closed.
    async fn end(&self) {
        self.server.step(&self.session, "end").await;
        let closed = async {
            let path = self.path("/audit-proof");
            loop {
                // Until its first head is signed a log has no proof.
                let proof = self.moderator.read(&self.server, Method::GET, &path).await;
                if proof.status == 200 && proof.json()["status"] == "closed" {
                    return;
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        tokio::time::timeout(PATIENCE, closed).await.expect("closed in time");
    }
}

fn owners() -> Value {
    json!({
        "members": [
            {"user_id": "ana", "name": "Ana Ruíz", "units": [{"id": "Torre A 101", "weight": "60.5"}]},
            {"user_id": "bea", "name": "Bea Gil", "units": [{"id": "Torre A 102", "weight": 39.5}]},
        ],
        "delegations": [],
    })
}

#[tokio::test]
async fn a_desk_registers_a_quorum_and_takes_it_back() {
    let desk = Desk::open().await;
    assert_eq!(desk.register("ana").await.code(), "ELIGIBLE_LIST_UNKNOWN");
    let given = desk.give(&owners()).await;
    assert_eq!((given.status, &given.json()["heads_total"]), (200, &json!(2)), "{given:?}");
    let registered = desk.register("ana").await;
    assert_eq!(registered.status, 200, "{registered:?}");
    assert_eq!(registered.json()["present"], true);
    assert_eq!(registered.json()["method"], "manual");
    let quorum = desk.read("/attendance/quorum").await;
    assert_eq!((&quorum["reached"], &quorum["weight_present"]), (&json!(true), &json!("60.5")));
    let list = desk.read("/attendance").await;
    assert_eq!(list["items"][0]["name"], "Ana Ruíz");
    assert_eq!(list["items"][0]["intervals"][0]["until"], Value::Null);
    let made = registered.json()["decision"].clone();
    assert_eq!(made["action"], "register");
    let again = desk.register("ana").await;
    assert_eq!(again.json()["decision"], made, "nothing was decided a second time");
    let undo = "/attendance/ana/take-back";
    let made = json!({"decision": made["id"]});
    let stale = json!({"decision": uuid::Uuid::now_v7()});
    let stale = desk.write(&desk.moderator, Method::POST, undo, &stale).await;
    assert_eq!(stale.code(), "DECISION_STALE");
    let left = desk.write(&desk.moderator, Method::POST, undo, &made).await;
    assert_eq!((left.status, &left.json()["present"]), (200, &json!(false)), "{left:?}");
    assert_eq!(left.json()["decision"], Value::Null);
    let seq = |answer: &Answer| answer.json()["last_seq"].as_u64().expect("of an event");
    assert!(seq(&left) > seq(&registered), "the answer tells which of them is newer");
    let twice = desk.write(&desk.moderator, Method::POST, undo, &made).await;
    assert_eq!(twice.code(), "DECISION_STALE");
    let quorum = desk.read("/attendance/quorum").await;
    assert_eq!(quorum["history"].as_array().map(Vec::len), Some(2), "reached and lost");
    let again =
        desk.write(&desk.moderator, Method::POST, "/attendance/ana/mark-left", &json!({})).await;
    assert_eq!(again.code(), "NOT_PRESENT");
    let older = json!({"user_id": "bea", "represents": ["Torre A 101"]});
    let older = desk.write(&desk.moderator, Method::POST, "/register-attendee", &older).await;
    assert_eq!((older.status, &older.json()["represents"]), (200, &json!(["Torre A 101"])));
    let server = Box::pin(desk.server.restart()).await;
    let path = format!("/api/v1/sessions/{}/attendance/quorum", desk.session);
    let after = desk.moderator.read(&server, Method::GET, &path).await;
    assert_eq!(after.json()["weight_present"], "100", "{after:?}");
    server.app.stop().await;
}

#[tokio::test]
async fn the_list_is_searched_by_any_word_and_page_by_page() {
    let desk = Desk::open().await;
    let members: Vec<Value> = (0..5_000)
        .map(|number| {
            let units = json!([{"id": format!("T{} {number}", number % 10), "weight": "1"}]);
            json!({"user_id": format!("u{number}"), "name": format!("José Peña {number}"), "units": units})
        })
        .collect();
    let given = desk.give(&json!({"members": members})).await;
    assert_eq!(given.status, 200, "{given:?}");
    let found = desk.read("/attendance/eligible?q=jose%20pena%204321").await;
    assert_eq!(found["items"][0]["user_id"], "u4321");
    assert_eq!((&found["total"], &found["next_cursor"]), (&json!(5_000), &Value::Null));
    let mut seen = 0;
    let mut cursor = String::new();
    loop {
        let page = desk.read(&format!("/attendance/eligible?q=t3&limit=200{cursor}")).await;
        seen += page["items"].as_array().map_or(0, Vec::len);
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, 500, "each once");
    desk.server.app.stop().await;
}

#[tokio::test]
async fn the_whole_list_is_given_as_a_table_whose_hash_is_answered() {
    use sha2::Digest as _;

    let desk = Desk::open().await;
    assert_eq!(desk.give(&owners()).await.status, 200);
    assert_eq!(desk.register("ana").await.status, 200);
    let path = desk.path("/attendance?format=csv");
    let table = desk.moderator.read(&desk.server, Method::GET, &path).await;
    assert_eq!(table.status, 200, "{table:?}");
    let line = "\"ana\",\"Ana Ruíz\",\"yes\",\"Torre A 101\",\"60.5\",";
    assert!(table.text.lines().nth(1).is_some_and(|it| it.starts_with(line)), "{table:?}");
    let hash = sha2::Sha256::digest(table.text.as_bytes());
    let hash = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(hash);
    assert_eq!(table.header("cabildo-sha256"), hash);
    let ana = Person::with_role(&desk.server, "participant").await;
    assert_eq!(ana.read(&desk.server, Method::GET, &path).await.code(), "FORBIDDEN");
    // The log takes the events of the room soon after they are stored.
    let told = async {
        loop {
            let story = desk.read("/report?user_id=ana").await;
            if story["participants"][0].is_object() {
                return story;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    let story = tokio::time::timeout(PATIENCE, told).await.expect("told in time");
    let kinds: Vec<&str> = story["participants"][0]["entries"]
        .as_array()
        .expect("entries")
        .iter()
        .filter_map(|entry| entry["kind"].as_str())
        .collect();
    assert_eq!(kinds, ["attendance_validated"]);
    desk.server.app.stop().await;
}

/// Writes the bundle of a session, with texts disclosed, by the command that operators use.
fn bundle(desk: &Desk, disclose: &str, out: &Path) {
    let output = Command::new(env!("CARGO_BIN_EXE_cabildo"))
        .args(["evidence", "export", "--http", "127.0.0.1:0", "--data-dir"])
        .arg(desk.server.data_dir())
        .args(["--disclose", disclose, "--out"])
        .arg(out)
        .arg(&desk.session)
        .output()
        .expect("ran");
    assert!(output.status.success(), "{output:?}");
}

/// What `cabildo verify --attendance` says of a list, and how it ends.
fn compared(pdf: &[u8], bundle: &Path) -> (Option<i32>, String) {
    let directory = tempfile::tempdir().expect("a directory");
    let list = directory.path().join("list.pdf");
    std::fs::write(&list, pdf).expect("written");
    let output = Command::new(env!("CARGO_BIN_EXE_cabildo"))
        .args(["verify", "--attendance"])
        .arg(&list)
        .arg(bundle)
        .output()
        .expect("ran");
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

// The commands wait for the server, which goes on beside them.
#[tokio::test(flavor = "multi_thread")]
async fn the_list_is_given_as_a_document_that_is_compared_with_the_log() {
    use sha2::Digest as _;

    let desk = Desk::open().await;
    let scheduled = desk.server.create().await;
    let scheduled = format!("/api/v1/sessions/{scheduled}/attendance?format=pdf");
    let refused = desk.moderator.read(&desk.server, Method::GET, &scheduled).await;
    assert_eq!((refused.status, refused.code().as_str()), (409, "SESSION_STATE_CONFLICT"));
    assert_eq!(desk.give(&owners()).await.status, 200);
    assert_eq!(desk.register("ana").await.status, 200);
    // Whoever only looks on is a decision of the room that is not about attendance.
    let observer = Person::with_role(&desk.server, "observer").await;
    let (_channel, _) = Channel::enter(&desk.server, &desk.session, &observer).await;
    desk.end().await;
    let path = desk.path("/attendance?format=pdf");
    let ana = Person::with_role(&desk.server, "participant").await;
    assert_eq!(ana.read(&desk.server, Method::GET, &path).await.code(), "FORBIDDEN");
    let french = desk.path("/attendance?format=pdf&lang=fr");
    let french = desk.moderator.read(&desk.server, Method::GET, &french).await;
    assert_eq!(french.code(), "MALFORMED_REQUEST");

    let mut last = Vec::new();
    for language in ["es", "en", "pt"] {
        let path = format!("{path}&lang={language}");
        let list = desk.moderator.read(&desk.server, Method::GET, &path).await;
        assert_eq!((list.status, list.header("content-type")), (200, "application/pdf"));
        assert_eq!(list.header("content-language"), language);
        let hash = base64::engine::general_purpose::URL_SAFE_NO_PAD
            .encode(sha2::Sha256::digest(&list.bytes));
        assert_eq!(list.header("cabildo-sha256"), hash);
        last = list.bytes;
    }
    let data = embedded_file(&last, "attendance.json").expect("embedded");
    let data: Value = serde_json::from_slice(&data).expect("JSON");
    assert_eq!(data["figures"], json!({"people": 1, "present": 1, "intervals": 1}));
    let row = &data["rows"][0];
    assert_eq!((&row["user_id"], &row["units"]), (&json!("ana"), &json!(["Torre A 101"])));
    assert_eq!((&row["method"], &row["cause"]), (&json!("manual"), &json!("session_ended")));

    let bundles = tempfile::tempdir().expect("a directory");
    let (all, some) = (bundles.path().join("all"), bundles.path().join("some"));
    bundle(&desk, "decisions", &all);
    bundle(&desk, "attendance", &some);
    let (code, said) = compared(&last, &all);
    assert_eq!(code, Some(0), "{said}");
    for checked in ["rows of the attendance list: 1", "issue of the attendance list: 1"] {
        assert!(said.contains(checked), "{said}");
    }
    let (code, said) = compared(&last, &some);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("does not disclose their texts"), "{said}");
    for (pointer, lie) in [("/rows/0/name", json!("Eva Ruíz")), ("/figures/present", json!(2))] {
        let mut data = data.clone();
        *data.pointer_mut(pointer).expect("there") = lie;
        let (code, said) = compared(&forged(&data), &all);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("LIST_MISMATCH"), "{said}");
    }
    desk.server.app.stop().await;
}

/// A document with other data.
fn forged(data: &Value) -> Vec<u8> {
    use cabildo::documents::{Attachment, Document, Footer, Form, write};

    let document = Document {
        title: "Lista".to_owned(),
        language: "es",
        made_at: Timestamp::from_unix_us(0),
        id: "urn:uuid:0".to_owned(),
        form: Form::Landscape,
        blocks: Vec::new(),
        footer: Footer { lines: Vec::new(), page: "{page}", code: None },
        attachment: Attachment {
            name: "attendance.json",
            media_type: "application/json",
            description: "data".to_owned(),
            bytes: data.to_string().into_bytes(),
        },
    };
    write(&document).expect("written")
}

#[tokio::test]
async fn what_is_wrong_is_refused_with_its_code() {
    let desk = Desk::open().await;
    let ana = Person::with_role(&desk.server, "participant").await;
    let post = Method::POST;
    for (path, body, code) in [
        ("/attendance/validate-qr", json!({"token": ""}), "MALFORMED_REQUEST"),
        (
            "/attendance/validate-qr",
            json!({"token": "x".repeat(8 * 1024 + 1)}),
            "MALFORMED_REQUEST",
        ),
        ("/attendance/validate-qr", json!({"token": "x".repeat(1 << 20)}), "PAYLOAD_TOO_LARGE"),
        (
            "/attendance/validate-biometric",
            json!({"sample": "x".repeat(1 << 20)}),
            "PAYLOAD_TOO_LARGE",
        ),
        ("/attendance/validate-code", json!({"code": "1", "unknown": 1}), "MALFORMED_REQUEST"),
        (
            "/attendance/validate-code",
            json!({"code": "123456", "place": "moon"}),
            "MALFORMED_REQUEST",
        ),
        // This server was set up without an identity service.
        ("/attendance/validate-code", json!({"code": "123456"}), "DEPENDENCY_UNAVAILABLE"),
        ("/validate-code", json!({"code": "123456"}), "DEPENDENCY_UNAVAILABLE"),
        ("/validate-qr", json!({"token": "a"}), "DEPENDENCY_UNAVAILABLE"),
        ("/validate-biometric", json!({"sample": "YQ=="}), "DEPENDENCY_UNAVAILABLE"),
        ("/attendance/register-attendee", json!({"user_id": "ana"}), "FORBIDDEN"),
        ("/attendance/ana/mark-left", json!({}), "FORBIDDEN"),
        ("/attendance/second-call", json!({}), "FORBIDDEN"),
    ] {
        let answer = desk.write(&ana, post.clone(), path, &body).await;
        assert_eq!(answer.code(), code, "{path}: {}", answer.status);
    }
    for (list, code) in [
        (
            json!({"members": [owners()["members"][0], owners()["members"][0]]}),
            "UNPROCESSABLE_REQUEST",
        ),
        (
            json!({"members": [{"user_id": "a", "name": "A", "units": [{"id": "1", "weight": "-1"}]}]}),
            "MALFORMED_REQUEST",
        ),
    ] {
        assert_eq!(desk.give(&list).await.code(), code);
    }
    for rest in ["/attendance?limit=0", "/attendance/eligible?limit=201"] {
        let answer = desk.moderator.read(&desk.server, Method::GET, &desk.path(rest)).await;
        assert_eq!(answer.code(), "UNPROCESSABLE_REQUEST", "{rest}");
    }
    let path = desk.path("/attendance?cursor=!");
    let answer = desk.moderator.read(&desk.server, Method::GET, &path).await;
    assert_eq!(answer.code(), "MALFORMED_REQUEST");
    desk.server.app.stop().await;
}

#[tokio::test]
async fn the_rules_of_a_session_are_given_changed_and_then_settled() {
    let desk = Desk::open().await;
    let mut body = desk.server.new_session();
    body["attendance"] = json!({
        "admission": "proof",
        "quorum": {"first_call": {"heads": "1/2", "comparison": "at_least"}, "second_call": null},
    });
    let request = desk.server.govern(Method::POST, "/api/v1/sessions").json(&body);
    let created = crate::api::server::send(request).await.json();
    assert_eq!(created["attendance"]["admission"], "proof");
    assert_eq!(created["attendance"]["quorum"]["first_call"]["heads"], "1/2");
    assert_eq!(created["attendance"]["quorum"]["first_call"]["weight"], Value::Null);
    assert_eq!(created["attendance"]["quorum"]["second_call"], Value::Null);
    let path = format!("/api/v1/sessions/{}", created["id"].as_str().expect("an id"));
    let patch = json!({"attendance": {"quorum": {"first_call": {"weight": "2/3"}}}});
    let patched = desk
        .moderator
        .write(&desk.server, Method::PATCH, &path, |it| it.json(&patch).header("if-match", "\"1\""))
        .await;
    let rule = &patched.json()["attendance"]["quorum"]["first_call"];
    assert_eq!((&rule["heads"], &rule["weight"]), (&json!("1/2"), &json!("2/3")));
    let running = desk.path("");
    let refused = desk
        .moderator
        .write(&desk.server, Method::PATCH, &running, |it| it.json(&patch).header("if-match", "*"))
        .await;
    assert_eq!(refused.code(), "SESSION_STATE_CONFLICT", "{refused:?}");
    let share = json!({"attendance": {"quorum": {"first_call": {"weight": "3/2"}}}});
    let refused = desk
        .moderator
        .write(&desk.server, Method::PATCH, &path, |it| it.json(&share).header("if-match", "*"))
        .await;
    assert_eq!(refused.code(), "MALFORMED_REQUEST", "{refused:?}");
    desk.server.app.stop().await;
}

#[tokio::test]
async fn a_list_says_which_of_its_delegations_were_left_out() {
    let desk = Desk::open().await;
    let mut list = owners();
    list["delegations"] = json!([
        {"unit": "Torre A 101", "user_id": "bea"},
        {"unit": " Torre  A 101\u{200b}", "user_id": "lawyer"},
        {"unit": "Torre A 102", "user_id": "bea"},
        {"unit": "Torre B 1", "user_id": "ana"},
    ]);
    let given = desk.give(&list).await;
    assert_eq!(given.status, 200, "{given:?}");
    let left_out = given.json()["delegations_left_out"].clone();
    let codes: Vec<_> = left_out.as_array().expect("a list").iter().map(|it| &it["code"]).collect();
    assert_eq!(
        codes,
        ["DELEGATION_CONFLICT", "DELEGATION_CONFLICT", "UNIT_NOT_FOUND"],
        "{given:?}"
    );
    assert_eq!(left_out[0]["user_id"], "lawyer", "the same unit, to the eye");
    assert_eq!(left_out[1]["reason"], "own_unit");
    assert_eq!(desk.read("/attendance/eligible").await["delegations_left_out"], left_out);
    let bea = Person::named(&desk.server, "bea", "participant").await;
    let path = desk.path("/attendance/eligible");
    let page = bea.read(&desk.server, Method::GET, &path).await.json();
    assert_eq!(page["delegations_left_out"], json!([]), "for moderators and auditors");
    assert_eq!(left_out[1]["name"], "Bea Gil", "{given:?}");
    desk.server.app.stop().await;
}

#[tokio::test]
async fn after_an_erasure_nobody_is_told_who_came() {
    let desk = Desk::open().await;
    assert_eq!(desk.give(&owners()).await.status, 200);
    let (register, body) = ("/attendance/register-attendee", json!({"user_id": "ana"}));
    let keyed = async || {
        let path = desk.path(register);
        let adjust = |it: RequestBuilder| it.json(&body).header("idempotency-key", "desk-1");
        desk.moderator.write(&desk.server, Method::POST, &path, adjust).await
    };
    let registered = keyed().await;
    assert_eq!(registered.json()["name"], "Ana Ruíz", "{registered:?}");
    assert_eq!(keyed().await.header("idempotency-replayed"), "true");
    desk.end().await;
    let store = desk.server.store().await;
    let key = SessionKey::new(desk.server.tenant, desk.session.parse().expect("an id"));
    store.erased(key, Timestamp::from_unix_us(1_800_000_000_000_000)).await.expect("erased");
    for rest in ["", "?own=true", "?format=csv", "?format=pdf", "/quorum", "/eligible"] {
        let path = desk.path(&format!("/attendance{rest}"));
        let answer = desk.moderator.read(&desk.server, Method::GET, &path).await;
        let told = (answer.status, answer.code());
        assert_eq!(told, (410, "RECORDING_ERASED".to_owned()), "{rest}: {answer:?}");
    }
    let again = keyed().await;
    assert!(!again.text.contains("Ana"), "{again:?}");
    assert_eq!((again.status, again.code().as_str()), (410, "SESSION_OVER"), "{again:?}");
    desk.server.app.stop().await;
}
