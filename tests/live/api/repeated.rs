//! Requests whose answer was lost and that come again: with a token in the answer, with a password
//! in the body, and at the desk.

use std::collections::BTreeSet;

use cabildo::domain::id::TenantId;
use futures_util::future::join_all;
use reqwest::{Method, RequestBuilder};
use sea_orm::{ConnectionTrait as _, Database, DatabaseConnection, Statement};
use serde_json::{Value, json};

use crate::api::media::offer;
use crate::api::person::Person;
use crate::api::server::{Answer, Server, send};

const KEY: &str = "idempotency-key";

async fn database(server: &Server) -> DatabaseConnection {
    let path = server.data_dir().join("cabildo.sqlite");
    Database::connect(format!("sqlite://{}", path.display())).await.expect("a database")
}

/// Everything that is kept under keys.
async fn kept(server: &Server) -> String {
    let select = "SELECT group_concat(coalesce(headers, '') || coalesce(body, '')) AS kept
                  FROM idempotency_keys";
    let database = database(server).await;
    let statement = Statement::from_string(database.get_database_backend(), select);
    let row = database.query_one_raw(statement).await.expect("a row").expect("one");
    row.try_get("", "kept").expect("a text")
}

/// What a process leaves that died after it did something and before it answered, a minute later.
async fn lose_answers(server: &Server) {
    let unanswered = "UPDATE idempotency_keys SET status = NULL, headers = NULL, body = NULL,
                      claimed_at = claimed_at - 61 * 1000000";
    database(server).await.execute_unprepared(unanswered).await.expect("unanswered claims");
}

/// Of requests at once with one key some are answered, all with one id.
fn one_id(answers: &[Answer], id: &str) -> String {
    let mut ids = BTreeSet::new();
    for answer in answers {
        match answer.status {
            201 => {
                ids.insert(answer.json()[id].as_str().expect("an id").to_owned());
            }
            409 => assert_eq!(answer.code(), "IDEMPOTENCY_KEY_IN_USE"),
            _ => panic!("{answer:?}"),
        }
    }
    assert_eq!(ids.len(), 1, "{answers:?}");
    ids.pop_first().expect("an id")
}

async fn post(server: &Server, who: &Person, path: &str, (key, body): (&str, &Value)) -> Answer {
    let with = |it: RequestBuilder| it.header(KEY, key).json(body);
    who.write(server, Method::POST, path, with).await
}

fn is_replayed(answer: &Answer) -> bool {
    answer.header("idempotency-replayed") == "true"
}

#[tokio::test]
async fn a_media_token_that_is_asked_for_again_is_the_same_with_another_text() {
    let server = Server::start().await;
    let session = server.create_active().await;
    let path = format!("/api/v1/sessions/{session}/media-tokens");
    let maria = Person::named(&server, "maria", "participant").await;
    let body = json!({"kind": "whip", "ttl_s": 3600});
    let first = post(&server, &maria, &path, ("one", &body)).await;
    let again = post(&server, &maria, &path, ("one", &body)).await;
    assert_eq!((first.status, again.status), (201, 201), "{first:?} {again:?}");
    assert_eq!((is_replayed(&first), is_replayed(&again)), (false, true));
    assert_eq!(again.header("cache-control"), "no-store");
    let (first, again) = (first.json(), again.json());
    for same in ["id", "url", "expires_at"] {
        assert_eq!(first[same], again[same]);
    }
    let opens = async |made: &Value| {
        let request = server.request(Method::POST, &format!("/api/v1/sessions/{session}/whip"));
        let request = request.bearer_auth(made["token"].as_str().expect("a token"));
        send(request.header("content-type", "application/sdp").body(offer("whip"))).await
    };
    let refused = opens(&first).await;
    assert_eq!((refused.status, refused.code().as_str()), (401, "TOKEN_INVALID"), "{refused:?}");
    assert_eq!(opens(&again).await.status, 201);
    // A process that died after it made the token made no other one.
    lose_answers(&server).await;
    let after = post(&server, &maria, &path, ("one", &body)).await;
    assert_eq!((after.status, &after.json()["id"]), (201, &first["id"]), "{after:?}");
    assert!(!kept(&server).await.contains("cbm_"), "a token is kept nowhere");

    let other = post(&server, &maria, &path, ("one", &json!({"kind": "whep", "ttl_s": 60}))).await;
    assert_eq!((other.status, other.code().as_str()), (422, "IDEMPOTENCY_KEY_REUSED"));
    let ana = Person::named(&server, "ana", "participant").await;
    let of_ana = post(&server, &ana, &path, ("one", &body)).await;
    assert!(of_ana.status == 201 && of_ana.json()["id"] != first["id"], "{of_ana:?}");
    let at_once = (0..8).map(|_| post(&server, &maria, &path, ("two", &body)));
    one_id(&join_all(at_once).await, "id");
    let listed = maria.read(&server, Method::GET, &path).await.json();
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(2), "{listed}");

    // A token that was taken away is not given back.
    let one = format!("{path}/{}", first["id"].as_str().expect("an id"));
    for _ in 0..2 {
        let with = |it: RequestBuilder| it.header(KEY, "away");
        assert_eq!(maria.write(&server, Method::DELETE, &one, with).await.status, 204);
    }
    let gone = post(&server, &maria, &path, ("one", &body)).await;
    assert_eq!((gone.status, gone.code().as_str()), (404, "MEDIA_TOKEN_NOT_FOUND"), "{gone:?}");
    server.app.stop().await;
}

#[tokio::test]
async fn a_renewed_media_token_has_only_the_rights_that_its_person_still_has() {
    let server = Server::start().await;
    let session = server.create_active().await;
    let path = format!("/api/v1/sessions/{session}/media-tokens");
    let body = json!({"kind": "whip", "ttl_s": 3600, "speak_without_turn": true});
    for (role, speaks) in [("moderator", true), ("participant", false)] {
        let ana = Person::named(&server, "ana", role).await;
        let made = post(&server, &ana, &path, ("one", &body)).await;
        assert_eq!((made.status, is_replayed(&made)), (201, !speaks), "{made:?}");
        let listed = ana.read(&server, Method::GET, &path).await.json();
        assert_eq!(listed["items"].as_array().map(Vec::len), Some(1), "{listed}");
        assert_eq!(listed["items"][0]["speak_without_turn"], json!(speaks), "{listed}");
    }
    let nobody = Person::named(&server, "ana", "observer").await;
    let refused = post(&server, &nobody, &path, ("one", &body)).await;
    assert_eq!((refused.status, refused.code().as_str()), (403, "FORBIDDEN"), "{refused:?}");
    server.app.stop().await;
}

/// A session that may be watched.
async fn watchable(server: &Server) -> String {
    let mut body = server.new_session();
    body["live_viewing"] = json!(true);
    let answer = send(server.govern(Method::POST, "/api/v1/sessions").json(&body)).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()["id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn a_stream_session_that_is_asked_for_again_is_the_same_with_its_token() {
    let server = Server::start().await;
    let (session, other) = (watchable(&server).await, watchable(&server).await);
    let path = "/gateway/sessions";
    let tenant = server.tenant.to_string();
    let body = json!({"tenantId": tenant, "sessionId": session});
    let chair = Person::named(&server, "chair", "moderator").await;
    let first = post(&server, &chair, path, ("one", &body)).await;
    let again = post(&server, &chair, path, ("one", &body)).await;
    assert_eq!((first.status, again.status), (201, 201), "{first:?} {again:?}");
    assert_eq!((is_replayed(&first), is_replayed(&again)), (false, true));
    assert_eq!(again.header("cache-control"), "no-store");
    assert_eq!(first.json(), again.json(), "the same session and token");
    lose_answers(&server).await;
    let after = post(&server, &chair, path, ("one", &body)).await;
    assert_eq!(after.json(), first.json());
    let token = first.json()["token"].as_str().expect("a token").to_owned();
    assert!(!kept(&server).await.contains(&token), "a token is kept nowhere");

    let of_other = json!({"tenantId": tenant, "sessionId": other});
    let reused = post(&server, &chair, path, ("one", &of_other)).await;
    assert_eq!((reused.status, reused.code().as_str()), (422, "IDEMPOTENCY_KEY_REUSED"));
    let sid = first.json()["sid"].clone();
    let deputy = Person::named(&server, "deputy", "moderator").await;
    let of_deputy = post(&server, &deputy, path, ("one", &body)).await;
    assert!(of_deputy.status == 201 && of_deputy.json()["sid"] != sid, "{of_deputy:?}");
    let by_service = || send(server.govern(Method::POST, path).header(KEY, "one").json(&body));
    let at_once = one_id(&join_all((0..8).map(|_| by_service())).await, "sid");
    assert_ne!(json!(at_once), sid);
    let listed = send(server.govern(Method::GET, &format!("{path}?sessionId={session}"))).await;
    assert_eq!(listed.json()["sessions"].as_array().map(Vec::len), Some(3), "{listed:?}");

    let end = format!("{path}/{}/end", sid.as_str().expect("an id"));
    assert_eq!(send(server.govern(Method::POST, &end)).await.status, 200);
    let over = post(&server, &chair, path, ("one", &body)).await;
    assert_eq!((over.status, over.code().as_str()), (409, "SESSION_TRANSITION_INVALID"));
    server.app.stop().await;
}

#[tokio::test]
async fn a_stream_that_is_started_again_by_the_same_key_is_the_same() {
    let server = Server::start().await;
    let start = |(key, tenant): (&'static str, String), (camera, url): (&str, &str)| {
        let request = server.govern(Method::POST, "/api/streams/start").header(KEY, key);
        let body = json!({"camera_id": camera, "source_url": url});
        send(request.header("x-tenant-id", tenant).json(&body))
    };
    let own = |key| (key, server.tenant.to_string());
    let hall = ("hall", "rtsp://viewer:first@127.0.0.1:9/live");
    let first = start(own("one"), hall).await;
    let again = start(own("one"), hall).await;
    assert_eq!((first.status, again.status), (201, 201), "{first:?} {again:?}");
    assert_eq!((is_replayed(&first), is_replayed(&again)), (false, true));
    assert_eq!(first.text, again.text);
    lose_answers(&server).await;
    let after = start(own("one"), hall).await;
    let id = first.json()["id"].clone();
    assert_eq!((after.status, &after.json()["id"]), (201, &id), "{after:?}");
    // The password is no part of what the key names, and another address is.
    let password = start(own("one"), ("hall", "rtsp://viewer:second@127.0.0.1:9/live")).await;
    assert_eq!((password.status, &password.json()["id"]), (201, &id), "{password:?}");
    for other in [("door", hall.1), ("hall", "rtsp://viewer:first@127.0.0.1:9/other")] {
        let reused = start(own("one"), other).await;
        assert_eq!((reused.status, reused.code().as_str()), (422, "IDEMPOTENCY_KEY_REUSED"));
    }
    let busy = start(own("two"), hall).await;
    assert_eq!((busy.status, busy.code().as_str()), (409, "STREAM_ALREADY_ACTIVE"));
    let elsewhere = start(("one", TenantId::generate().to_string()), hall).await;
    assert!(elsewhere.status == 201 && elsewhere.json()["id"] != id, "{elsewhere:?}");
    let door = ("door", "rtsp://127.0.0.1:9/live");
    one_id(&join_all((0..8).map(|_| start(own("three"), door))).await, "id");
    server.app.stop().await;
}

#[tokio::test]
async fn a_desk_whose_answer_was_lost_asks_again() {
    let server = Server::start().await;
    let session = server.create_active().await;
    let chair = Person::named(&server, "chair", "moderator").await;
    let at = |rest: &str| format!("/api/v1/sessions/{session}/attendance/{rest}");
    let with = |key: &'static str| move |it: RequestBuilder| it.header(KEY, key);
    let list = json!({
        "members": [
            {"user_id": "ana", "name": "Ana", "units": [{"id": "101", "weight": "60"}]},
            {"user_id": "bea", "name": "Bea", "units": [{"id": "102", "weight": "40"}]},
        ],
        "delegations": [{"unit": "102", "user_id": "ana"}],
    });
    let give = |it: RequestBuilder| it.header(KEY, "list").json(&list);
    let given = chair.write(&server, Method::PUT, &at("eligible"), give).await;
    let twice = chair.write(&server, Method::PUT, &at("eligible"), give).await;
    assert_eq!((given.status, is_replayed(&twice)), (200, true), "{given:?} {twice:?}");
    assert_eq!(given.text, twice.text);

    for (method, rest, (key, another), code) in [
        (Method::POST, "second-call", ("call", "call-2"), "QUORUM_CALL_CONFLICT"),
        (Method::DELETE, "units/102/delegate", ("end", "end-2"), "DELEGATION_CONFLICT"),
    ] {
        let path = at(rest);
        let ask = |key| chair.write(&server, method.clone(), &path, with(key));
        let at_once = join_all((0..4).map(|_| ask(key))).await;
        let (done, waits): (Vec<&Answer>, Vec<&Answer>) =
            at_once.iter().partition(|answer| answer.status == 200);
        assert!(waits.iter().all(|it| it.code() == "IDEMPOTENCY_KEY_IN_USE"), "{waits:?}");
        assert_eq!(done.iter().filter(|it| !is_replayed(it)).count(), 1, "{done:?}");
        let again = ask(key).await;
        assert!(again.status == 200 && is_replayed(&again), "{again:?}");
        assert_eq!(again.text, done[0].text);
        let other = ask(another).await;
        assert_eq!(other.code(), code, "{other:?}");
    }
    server.app.stop().await;
}
