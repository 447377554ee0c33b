//! The life of a session over HTTP.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::api::person::Person;
use crate::api::server::{Server, send};

const SESSIONS: &str = "/api/v1/sessions";

#[tokio::test]
async fn a_session_has_exactly_the_promised_fields() {
    let server = Server::start().await;
    let answer = send(server.govern(Method::POST, SESSIONS).json(&server.new_session())).await;
    let session = answer.json();
    let fields: BTreeSet<&str> =
        session.as_object().expect("an object").keys().map(String::as_str).collect();
    let promised = "id tenant_id assembly_id title modality provider status scheduled_start_at \
        scheduled_end_at started_at ended_at max_participants moderation media_policy recording \
        transcription speaking attendance start_with_assembly live_viewing \
        join_url meeting version created_at";
    assert_eq!(fields, promised.split_whitespace().collect());
    assert_eq!(session["recording"], json!({"enabled": false, "retention_days": 365}));
    assert_eq!(
        session["transcription"],
        json!({"enabled": false, "language": null, "glossary": []})
    );
    let speaking = json!({
        "default_turn_s": 180, "max_turn_s": 600, "auto_start": false,
        "points_of_order_pass_closed_list": true,
    });
    assert_eq!(session["speaking"], speaking);
    assert_eq!(session["media_policy"], "floor", "as the moderation of the session");
    let (id, port) = (session["id"].as_str().expect("id"), server.app.addresses().http.port());
    let join = format!("http://localhost:{port}/join?session={id}&tenant={}", server.tenant);
    assert_eq!(session["join_url"], json!(join));
    assert_eq!(answer.header("location"), format!("{SESSIONS}/{id}"));
    assert_eq!(answer.header("etag"), "\"1\"");
    server.app.stop().await;
}

#[tokio::test]
async fn a_session_goes_from_scheduled_to_completed() {
    let server = Server::start().await;
    let moderator = Person::with_role(&server, "moderator").await;
    let path = format!("{SESSIONS}/{}", server.create().await);
    let started = moderator.write(&server, Method::POST, &format!("{path}/start"), |it| it).await;
    assert_eq!(started.json()["status"], "active");
    assert_eq!(started.header("etag"), "\"2\"");
    let twice = moderator.write(&server, Method::POST, &format!("{path}/start"), |it| it).await;
    assert_eq!((twice.status, twice.code().as_str()), (409, "SESSION_STATE_CONFLICT"));
    let stale = server.govern(Method::POST, &format!("{path}/end")).header("if-match", "\"1\"");
    assert_eq!(send(stale).await.status, 412);
    let ended = send(server.govern(Method::POST, &format!("{path}/end"))).await;
    assert_eq!(ended.json()["status"], "completed");
    assert!(ended.json()["ended_at"].as_str().is_some_and(|at| at.ends_with('Z')));
    let cancelled =
        moderator.write(&server, Method::POST, &format!("{path}/cancel"), |it| it).await;
    assert_eq!(cancelled.code(), "SESSION_STATE_CONFLICT");
    server.app.stop().await;
}

#[tokio::test]
async fn a_merge_patch_changes_what_it_names() {
    let server = Server::start().await;
    let moderator = Person::with_role(&server, "moderator").await;
    let path = format!("{SESSIONS}/{}", server.create().await);
    let change = json!({
        "title": "Another", "scheduled_start_at": "2030-01-01T10:00:00+02:00",
        "speaking": {"default_turn_s": 60}, "transcription": {
            "enabled": true, "language": "es", "glossary": ["Ñemby", " Ñemby", "calle Palma"],
        },
    });
    let answer = moderator
        .write(&server, Method::PATCH, &path, |request| {
            request
                .header("content-type", "application/merge-patch+json")
                .header("if-match", "\"1\"")
                .body(change.to_string())
        })
        .await;
    let session = answer.json();
    assert_eq!(answer.header("etag"), "\"2\"");
    assert_eq!(session["title"], "Another");
    assert_eq!(session["scheduled_start_at"], "2030-01-01T08:00:00.000Z");
    assert_eq!(session["speaking"]["default_turn_s"], 60);
    assert_eq!(session["speaking"]["max_turn_s"], 600);
    assert_eq!(session["transcription"]["glossary"], json!(["Ñemby", "calle Palma"]));
    let many: Vec<String> = (0..101).map(|number| format!("calle {number}")).collect();
    for (glossary, code) in [
        (json!(many), "UNPROCESSABLE_REQUEST"),
        (json!(["ñ".repeat(51)]), "UNPROCESSABLE_REQUEST"),
        (json!("Ñemby"), "MALFORMED_REQUEST"),
        (json!([7]), "MALFORMED_REQUEST"),
    ] {
        let wrong = json!({"transcription": {"glossary": glossary}});
        let answer = moderator
            .write(&server, Method::PATCH, &path, |it| it.header("if-match", "\"2\"").json(&wrong))
            .await;
        assert_eq!(answer.code(), code, "{wrong}");
    }
    let clear = json!({"scheduled_start_at": null, "transcription": null});
    let answer = moderator
        .write(&server, Method::PATCH, &path, |it| it.header("if-match", "\"2\"").json(&clear))
        .await;
    assert_eq!(answer.json()["scheduled_start_at"], Value::Null);
    assert_eq!(
        answer.json()["transcription"],
        json!({"enabled": false, "language": null, "glossary": []})
    );
    server.app.stop().await;
}

#[tokio::test]
async fn pages_stay_the_same_while_sessions_are_created() {
    let server = Server::start().await;
    let person = Person::with_role(&server, "participant").await;
    let mut created = BTreeSet::new();
    for _ in 0..12 {
        created.insert(server.create().await);
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("{SESSIONS}?limit=5{cursor}");
        let page = person.read(&server, Method::GET, &path).await.json();
        for session in page["items"].as_array().expect("items") {
            seen.push(session["id"].as_str().expect("id").to_owned());
        }
        // Newer sessions come before the first page and are not seen.
        server.create().await;
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen.len(), 12, "none twice");
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), created, "none missing");
    server.app.stop().await;
}

#[tokio::test]
async fn the_governance_page_does_what_the_service_does() {
    let server = Server::start().await;
    let created =
        send(server.request(Method::POST, "/dev/sessions").json(&server.new_session())).await;
    assert_eq!(created.status, 201, "{created:?}");
    let id = created.json()["id"].as_str().expect("id").to_owned();
    for (step, status) in [("start", "active"), ("end", "completed")] {
        let answer =
            send(server.request(Method::POST, &format!("/dev/sessions/{id}/{step}"))).await;
        assert_eq!(answer.json()["status"], status, "{answer:?}");
    }
    let list = format!("/dev/sessions?tenant_id={}", server.tenant);
    let listed = send(server.request(Method::GET, &list)).await.json();
    assert_eq!(listed["items"][0]["id"], json!(id));
    let foreign = server
        .request(Method::POST, &format!("/dev/sessions/{id}/start"))
        .header("sec-fetch-site", "cross-site");
    assert_eq!(send(foreign).await.status, 403);
    server.app.stop().await;
}
