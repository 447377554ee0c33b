//! Presence that the identity service validates, of people whom the user-profiles
//! service lists: a whole server beside the stand-in for both.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::api::person::Person;
use crate::api::server::{Answer, Server};
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
        let (platform, url) = super::services::platform().await;
        let server = Server::start_with(&[
            ("services.identity.url", &url),
            ("services.user_profiles.url", &url),
        ])
        .await;
        let session = server.create_active().await;
        let moderator = Person::with_role(&server, "moderator").await;
        let assembly = Self { server, platform, session, moderator };
        // The list is asked for when the room opens, which whoever asks has it do.
        let listed = async {
            while assembly.read("/attendance/eligible").await["total"] != 12 {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        tokio::time::timeout(PATIENCE, listed).await.expect("the list is taken");
        assembly
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
