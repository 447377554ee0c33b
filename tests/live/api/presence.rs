//! Presence that the identity service validates, of people whom the user-profiles
//! service lists: a whole server beside the stand-in for both.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::api::person::Person;
use crate::api::server::{Answer, Server, send};
use crate::platform::{Mood, Platform, code_of, face_of, qr_of};

/// How often the eligible list is looked for, and how long.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(30);

struct Assembly {
    server: Server,
    platform: Platform,
    session: String,
    moderator: Person,
}

impl Assembly {
    async fn open() -> Self {
        let assembly = Self::open_with(Mood::Well).await;
        assembly.listed().await;
        assembly
    }

    /// One whose user-profiles service is in this mood.
    async fn open_with(profiles: Mood) -> Self {
        let (platform, url) = super::services::platform().await;
        platform.set_mood("user_profiles", profiles);
        let server = Server::start_with(&[
            ("services.identity.url", &url),
            ("services.user_profiles.url", &url),
        ])
        .await;
        let session = server.create_active().await;
        let moderator = Person::with_role(&server, "moderator").await;
        Self { server, platform, session, moderator }
    }

    /// Ends when the list is taken. It is asked for when the room opens, which whoever asks has it
    /// do.
    async fn listed(&self) {
        let listed = async {
            while self.read("/attendance/eligible").await["total"] != 12 {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        tokio::time::timeout(PATIENCE, listed).await.expect("the list is taken");
    }

    async fn health(&self) -> Value {
        send(self.server.request(Method::GET, "/health/ready")).await.json()
    }

    fn path(&self, rest: &str) -> String {
        format!("/api/v1/sessions/{}{rest}", self.session)
    }

    async fn owner(&self, number: usize) -> Person {
        Person::named(&self.server, &format!("owner-{number}"), "participant").await
    }

    async fn present(&self, person: &Person, how: &str, body: Value) -> Answer {
        let path = self.path(&format!("/attendance/validate-{how}"));
        person.write(&self.server, Method::POST, &path, |it| it.json(&body)).await
    }

    async fn read(&self, rest: &str) -> Value {
        let answer = self.moderator.read(&self.server, Method::GET, &self.path(rest)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }
}

#[tokio::test]
async fn what_the_identity_service_validates_makes_people_present() {
    let assembly = Assembly::open().await;
    let session = &assembly.session;
    let (first, second, third) =
        (assembly.owner(1).await, assembly.owner(2).await, assembly.owner(3).await);
    let proven = [
        (&first, "qr", json!({ "token": qr_of(session, "owner-1", 1) })),
        (&second, "code", json!({ "code": code_of(session, "owner-2"), "channel": "email" })),
        (&third, "biometric", json!({ "sample": face_of("owner-3"), "kind": "face" })),
    ];
    for (person, how, body) in &proven {
        let answer = assembly.present(person, how, body.clone()).await;
        assert_eq!(answer.status, 200, "{how}: {answer:?}");
        assert_eq!(
            (&answer.json()["present"], &answer.json()["method"]),
            (&json!(true), &json!(how))
        );
    }
    let quorum = assembly.read("/attendance/quorum").await;
    // The first owner also represents the unit of the last one.
    assert_eq!((&quorum["heads_present"], &quorum["heads_total"]), (&json!(4), &json!(12)));
    for (person, how, body, code) in [
        (&second, "qr", json!({ "token": qr_of(session, "owner-1", 1) }), "PROOF_REPLAYED"),
        (&second, "qr", json!({ "token": qr_of(session, "owner-1", 2) }), "PROOF_WRONG_CONTEXT"),
        (&first, "qr", json!({ "token": "qr:another:owner-1:1" }), "PROOF_WRONG_CONTEXT"),
        (&first, "qr", json!({ "token": "expired" }), "PROOF_EXPIRED"),
        (&first, "code", json!({ "code": "000000x" }), "PROOF_INVALID"),
        (&first, "biometric", json!({ "sample": face_of("owner-2") }), "PROOF_INVALID"),
    ] {
        let answer = assembly.present(person, how, body).await;
        assert_eq!(answer.code(), code, "{how}: {answer:?}");
    }
    let asked = assembly.platform.calls();
    let asked = asked.iter().find(|call| call.path == "/v2/contextual-tokens/validate");
    let asked: Value = serde_json::from_slice(&asked.expect("it was asked").body).expect("JSON");
    let shown = assembly.read("").await;
    assert_eq!(asked["assembly_id"], shown["assembly_id"]);
    assembly.server.app.stop().await;
}

#[tokio::test]
async fn a_service_that_fails_validates_nobody_and_the_desk_goes_on() {
    let assembly = Assembly::open().await;
    let person = assembly.owner(4).await;
    let token = json!({ "token": qr_of(&assembly.session, "owner-4", 1) });
    for mood in [Mood::Failing(500), Mood::NotJson, Mood::WrongShape, Mood::Lying] {
        assembly.platform.set_mood("identity", mood.clone());
        let answer = assembly.present(&person, "qr", token.clone()).await;
        assert_eq!(answer.code(), "DEPENDENCY_UNAVAILABLE", "{mood:?}: {answer:?}");
    }
    let path = assembly.path("/attendance/register-attendee");
    let body = json!({ "user_id": "owner-4" });
    let registered =
        assembly.moderator.write(&assembly.server, Method::POST, &path, |it| it.json(&body)).await;
    assert_eq!(registered.status, 200, "{registered:?}");
    let list = assembly.read("/attendance").await;
    assert_eq!(list["items"].as_array().map(Vec::len), Some(1), "{list}");
    assembly.server.app.stop().await;
}

/// Who tried to prove that they are present and was refused, how, and why, as the report says.
async fn refused(assembly: &Assembly) -> BTreeSet<[String; 3]> {
    let report = assembly.read("/report").await;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let people = report["participants"].as_array().expect("people").iter();
    let entries = people.flat_map(|person| {
        let entries = person["entries"].as_array().expect("entries").iter();
        entries.map(move |entry| (&person["user_id"], entry))
    });
    entries
        .filter(|(_, entry)| entry["kind"] == "validation_refused")
        .map(|(user, entry)| [text(user), text(&entry["detail"]), text(&entry["cause"])])
        .collect()
}

#[tokio::test]
async fn every_refused_proof_is_counted_and_has_its_line_in_the_report() {
    let assembly = Assembly::open().await;
    let session = assembly.session.clone();
    let token = |owner: &str| json!({ "token": qr_of(&session, owner, 1) });
    let first = assembly.owner(1).await;
    assert_eq!(assembly.present(&first, "qr", token("owner-1")).await.status, 200);
    let mut wanted = BTreeSet::new();
    for (number, how, body, reason) in [
        (2, "qr", token("owner-1"), "replayed"),
        (3, "qr", json!({ "token": "qr:another:owner-3:1" }), "wrong_context"),
        (4, "qr", json!({ "token": "expired" }), "expired"),
        (5, "code", json!({ "code": "000000x" }), "invalid"),
        (6, "biometric", json!({ "sample": face_of("owner-2") }), "invalid"),
        (99, "qr", token("owner-99"), "not_eligible"),
    ] {
        let answer = assembly.present(&assembly.owner(number).await, how, body).await;
        assert!((400..500).contains(&answer.status), "{reason}: {answer:?}");
        wanted.insert([format!("owner-{number}"), how.to_owned(), reason.to_owned()]);
    }
    // The service has answers for somebody else, says nothing that can be read, or goes elsewhere.
    let elsewhere = Mood::Redirecting("http://127.0.0.1:1/inside".to_owned());
    for (number, mood) in [(7, Mood::Lying), (8, Mood::NotJson), (9, elsewhere)] {
        assembly.platform.set_mood("identity", mood);
        let owner = format!("owner-{number}");
        let answer = assembly.present(&assembly.owner(number).await, "qr", token(&owner)).await;
        assert_eq!(answer.code(), "DEPENDENCY_UNAVAILABLE", "{owner}: {answer:?}");
        wanted.insert([owner, "qr".to_owned(), "service_unavailable".to_owned()]);
    }
    // What is too long to be a proof is read no further, and asks nobody.
    let asked = assembly.platform.calls().len();
    let endless = json!({ "token": "q".repeat(128 << 10) });
    let answer = assembly.present(&first, "qr", endless).await;
    assert_eq!(answer.code(), "PAYLOAD_TOO_LARGE", "{answer:?}");
    assert_eq!(assembly.platform.calls().len(), asked);
    let told = async {
        while refused(&assembly).await != wanted {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, told).await;
    assert!(in_time.is_ok(), "{:?} is not {wanted:?}", refused(&assembly).await);
    let counts = send(assembly.server.request(Method::GET, "/metrics")).await;
    for (reason, count) in [
        ("replayed", 1),
        ("wrong_context", 1),
        ("expired", 1),
        ("invalid", 2),
        ("not_eligible", 1),
        ("service_unavailable", 3),
    ] {
        let line = format!("cabildo_attendance_refused_total{{reason=\"{reason}\"}} {count}\n");
        assert!(counts.text.contains(&line), "{line}");
    }
    assembly.server.app.stop().await;
}

#[tokio::test]
async fn a_list_that_is_refused_shows_in_the_health_and_at_the_desk_until_it_is_mended() {
    let assembly = Assembly::open_with(Mood::Lying).await;
    let path = assembly.path("/attendance/register-attendee");
    let register = async || {
        let body = json!({"user_id": "owner-1"});
        assembly.moderator.write(&assembly.server, Method::POST, &path, |it| it.json(&body)).await
    };
    let refused = async {
        while register().await.code() != "ELIGIBLE_LIST_REFUSED" {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    tokio::time::timeout(PATIENCE, refused).await.expect("the list is refused");
    let health = assembly.health().await;
    assert_eq!(health["status"], "degraded", "{health}");
    assert_eq!(health["services"]["user_profiles"], "degraded", "{health}");
    let problem = health["problems"]["user_profiles"].as_str().expect("a problem");
    assert!(problem.contains("refused"), "{health}");

    assembly.platform.set_mood("user_profiles", Mood::Well);
    assembly.listed().await;
    let health = assembly.health().await;
    assert_eq!(health["services"]["user_profiles"], "ok", "{health}");
    assert_eq!(health["problems"].get("user_profiles"), None, "{health}");
    assert_eq!(register().await.status, 200);
    assembly.server.app.stop().await;
}
