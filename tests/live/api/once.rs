//! Nothing happens twice, and limits hold under races.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use reqwest::Method;
use sea_orm::{ConnectionTrait as _, Database};
use serde_json::json;

use crate::api::person::Person;
use crate::api::server::{Server, send};

const SESSIONS: &str = "/api/v1/sessions";

#[tokio::test]
async fn a_request_that_names_itself_is_carried_out_once() {
    let server = Server::start().await;
    let body = server.new_session();
    let create = |key: &'static str, body: &serde_json::Value| {
        server.govern(Method::POST, SESSIONS).header("idempotency-key", key).json(body)
    };
    let first = send(create("one", &body)).await;
    let again = send(create("one", &body)).await;
    assert_eq!((first.status, again.status), (201, 201));
    assert_eq!(first.text, again.text);
    assert_eq!(first.header("location"), again.header("location"));
    assert_eq!(again.header("etag"), "\"1\"");
    assert_eq!(again.header("idempotency-replayed"), "true");

    let mut other = body.clone();
    other["title"] = json!("Another");
    let reused = send(create("one", &other)).await;
    assert_eq!((reused.status, reused.code().as_str()), (422, "IDEMPOTENCY_KEY_REUSED"));
    for key in ["", "a b", &"k".repeat(129)] {
        let request = server.govern(Method::POST, SESSIONS).header("idempotency-key", key);
        assert_eq!(send(request.json(&body)).await.code(), "MALFORMED_REQUEST", "{key:?}");
    }
    // A refusal frees its key: the same request may be tried again.
    other["title"] = json!("");
    assert_eq!(send(create("two", &other)).await.status, 422);
    assert_eq!(send(create("two", &body)).await.status, 201);
    server.app.stop().await;
}

#[tokio::test]
async fn a_session_whose_process_died_before_it_answered_is_not_created_again() {
    let server = Server::start().await;
    let body = server.new_session();
    let create =
        || send(server.govern(Method::POST, SESSIONS).header("idempotency-key", "one").json(&body));
    let first = create().await;
    assert_eq!(first.status, 201);
    let path = server.data_dir().join("cabildo.sqlite");
    let database = Database::connect(format!("sqlite://{}", path.display())).await;
    let database = database.expect("a database");
    for (age_s, status) in [(0, 409), (61, 201)] {
        // What a process leaves that dies between the session's commit and that of its answer.
        let unanswered = format!(
            "UPDATE idempotency_keys SET status = NULL, headers = NULL, body = NULL,
             claimed_at = claimed_at - {age_s} * 1000000"
        );
        database.execute_unprepared(&unanswered).await.expect("an unanswered claim");
        let again = create().await;
        assert_eq!(again.status, status, "{again:?}");
        if status == 201 {
            assert_eq!(again.header("idempotency-replayed"), "");
            assert_eq!(again.json(), first.json());
        }
    }
    assert_eq!(create().await.header("idempotency-replayed"), "true");
    let person = Person::with_role(&server, "participant").await;
    let listed = person.read(&server, Method::GET, SESSIONS).await.json();
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(1));
    server.app.stop().await;
}

#[tokio::test]
async fn twenty_at_once_with_one_key_make_one_session() {
    let server = Server::start().await;
    let body = server.new_session();
    let requests = (0..20).map(|_| {
        send(server.govern(Method::POST, SESSIONS).header("idempotency-key", "same").json(&body))
    });
    let answers = join_all(requests).await;
    let mut ids = BTreeSet::new();
    for answer in &answers {
        match answer.status {
            201 => {
                ids.insert(answer.json()["id"].to_string());
            }
            409 => assert_eq!(answer.code(), "IDEMPOTENCY_KEY_IN_USE"),
            _ => panic!("{answer:?}"),
        }
    }
    assert_eq!(ids.len(), 1, "{answers:?}");
    let person = Person::with_role(&server, "participant").await;
    let listed = person.read(&server, Method::GET, SESSIONS).await.json();
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(1));
    server.app.stop().await;
}

#[tokio::test]
async fn a_hundred_starts_at_once_hold_the_limit_of_the_tenant() {
    let server = Server::start_with(&[("tenants.default.max_active_sessions", "7")]).await;
    let mut ids = Vec::new();
    for _ in 0..100 {
        ids.push(server.create().await);
    }
    let starts = ids.iter().map(|id| {
        let path = format!("{SESSIONS}/{id}/start");
        async { send(server.govern(Method::POST, &{ path })).await }
    });
    let answers = join_all(starts).await;
    let started = answers.iter().filter(|answer| answer.status == 200).count();
    let refused = answers.iter().filter(|answer| answer.code() == "SESSION_LIMIT_REACHED").count();
    assert_eq!((started, refused), (7, 93));
    let person = Person::with_role(&server, "participant").await;
    let active = person.read(&server, Method::GET, &format!("{SESSIONS}?status=active")).await;
    assert_eq!(active.json()["items"].as_array().map(Vec::len), Some(7));
    server.app.stop().await;
}

#[tokio::test]
async fn whoever_writes_or_knocks_too_often_is_told_when_to_come_back() {
    let server = Server::start_with(&[("limits.writes_per_user_per_min", "3")]).await;
    let person = Person::with_role(&server, "moderator").await;
    let mut codes = Vec::new();
    for _ in 0..4 {
        let path = format!("{SESSIONS}/{}/start", server.create().await);
        let answer = person.write(&server, Method::POST, &path, |request| request).await;
        if answer.status == 429 {
            assert!(answer.header("retry-after").parse::<u32>().is_ok_and(|wait_s| wait_s >= 1));
        }
        codes.push(answer.code());
    }
    assert_eq!(codes, ["", "", "", "RATE_LIMITED"]);
    let other = Person::with_role(&server, "moderator").await;
    let path = format!("{SESSIONS}/{}/start", server.create().await);
    assert_eq!(other.write(&server, Method::POST, &path, |request| request).await.status, 200);
    server.app.stop().await;

    let server = Server::start_with(&[("limits.requests_per_address_per_s", "1")]).await;
    let answers =
        join_all((0..40).map(|_| send(server.request(Method::GET, "/health/live")))).await;
    let limited = answers.iter().filter(|answer| answer.code() == "RATE_LIMITED").count();
    assert!((20..=30).contains(&limited), "{limited} of 40");
    server.app.stop().await;
}
