//! Media tokens: what encoders and players are given that have no key.

use std::time::{Duration, Instant};

use cabildo::domain::id::TenantId;
use cabildo::domain::role::Role;
use cabildo::load::client::{MediaClient, TrackOptions};
use reqwest::Method;
use serde_json::{Value, json};

use crate::api::channel_client::Channel;
use crate::api::media::{client_options, offer};
use crate::api::person::{Person, ending_token, token};
use crate::api::server::{Answer, Server, send};

/// How often it is asked whether a connection has ended.
const ASK_EVERY: Duration = Duration::from_millis(50);
/// How often it is asked at most.
const ASKED_MAX: usize = 600;

fn tokens_of(session: &str) -> String {
    format!("/api/v1/sessions/{session}/media-tokens")
}

async fn ask(server: &Server, person: &Person, session: &str, wanted: Value) -> Answer {
    let path = tokens_of(session);
    person.write(server, Method::POST, &path, |request| request.json(&wanted)).await
}

/// A token, as it is answered.
async fn make(server: &Server, person: &Person, session: &str, wanted: Value) -> Value {
    let answer = ask(server, person, session, wanted).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.header("cache-control"), "no-store");
    answer.json()
}

fn text(made: &Value) -> &str {
    made["token"].as_str().expect("a token")
}

async fn revoke(server: &Server, person: &Person, session: &str, made: &Value) -> Answer {
    let path = format!("{}/{}", tokens_of(session), made["id"].as_str().expect("an id"));
    person.write(server, Method::DELETE, &path, |request| request).await
}

/// Publishes or plays with a bearer token.
async fn open(server: &Server, session: &str, kind: &str, bearer: &str) -> Answer {
    open_with(server, session, kind, bearer, offer(kind)).await
}

/// How long a token has to live for two connections to be opened with it on this machine, as busy as it
/// is now: one in another session is timed.
async fn life_for_two(server: &Server) -> Duration {
    let session = server.create_active().await;
    let token = token(server, server.tenant, ("timed", "observer"), None, None).await;
    let begun = Instant::now();
    let opened = open(server, &session, "whep", &token).await;
    assert_eq!(opened.status, 201, "{opened:?}");
    Duration::from_secs(2) + 5 * begun.elapsed()
}

async fn open_with(
    server: &Server,
    session: &str,
    kind: &str,
    bearer: &str,
    offer: String,
) -> Answer {
    let path = format!("/api/v1/sessions/{session}/{kind}");
    let request = server.request(Method::POST, &path).bearer_auth(bearer);
    send(request.header("content-type", "application/sdp").body(offer)).await
}

async fn delete(server: &Server, location: &str, bearer: &str) -> Answer {
    send(server.request(Method::DELETE, location).bearer_auth(bearer)).await
}

async fn patch(server: &Server, opened: &Answer, bearer: &str) -> Answer {
    let request = server.request(Method::PATCH, opened.header("location")).bearer_auth(bearer);
    let request = request.header("content-type", "application/trickle-ice-sdpfrag");
    send(request.header("if-match", opened.header("etag")).body("a=end-of-candidates\r\n")).await
}

#[tokio::test]
async fn a_media_token_is_for_one_session_person_and_direction() {
    let server = Server::start().await;
    let session = server.create_active().await;
    let elsewhere = server.create_active().await;
    let maria = Person::named(&server, "maria", "participant").await;
    let made = make(&server, &maria, &session, json!({"kind": "whip", "ttl_s": 3600})).await;
    let url = made["url"].as_str().expect("an address");
    assert_eq!(url, format!("{}/api/v1/sessions/{session}/whip", server.http));
    assert!(made["expires_at"].as_str().is_some_and(|at| at.ends_with('Z')), "{made}");

    let opened = open(&server, &session, "whip", text(&made)).await;
    assert_eq!(opened.status, 201, "{opened:?}");
    for (session, kind, status, code) in
        [(&session, "whep", 403, "FORBIDDEN"), (&elsewhere, "whip", 401, "TOKEN_INVALID")]
    {
        let refused = open(&server, session, kind, text(&made)).await;
        assert_eq!((refused.status, refused.code().as_str()), (status, code), "{refused:?}");
    }
    // It reads nothing, makes no tokens, and opens no other route.
    for (method, path) in [
        (Method::GET, "/api/v1/sessions".to_owned()),
        (Method::GET, format!("/api/v1/sessions/{session}")),
        (Method::GET, tokens_of(&session)),
        (Method::POST, tokens_of(&session)),
    ] {
        let request = server.request(method, &path).bearer_auth(text(&made));
        assert_eq!(send(request).await.status, 401, "{path}");
    }
    // Another person's token does not reach the resource.
    let ana = Person::named(&server, "ana", "moderator").await;
    let other = make(&server, &ana, &session, json!({"kind": "whip", "ttl_s": 60})).await;
    let refused = delete(&server, opened.header("location"), text(&other)).await;
    assert_eq!(refused.code(), "MEDIA_RESOURCE_NOT_FOUND", "{refused:?}");
    assert_eq!(delete(&server, opened.header("location"), text(&made)).await.status, 200);
    server.app.stop().await;
}

#[tokio::test]
async fn an_access_token_without_a_key_plays_and_does_not_publish() {
    let server = Server::start().await;
    let session = server.create_active().await;
    let unbound = token(&server, server.tenant, ("maria", "moderator"), None, None).await;
    let refused = open(&server, &session, "whip", &unbound).await;
    assert_eq!((refused.status, refused.code().as_str()), (403, "FORBIDDEN"), "{refused:?}");
    assert_eq!(open(&server, &session, "whep", &unbound).await.status, 201);
    let bound = Person::named(&server, "ana", "moderator").await;
    for kind in ["whip", "whep"] {
        let refused = open(&server, &session, kind, &bound.token).await;
        assert_eq!((refused.status, refused.code().as_str()), (401, "TOKEN_BOUND"), "{refused:?}");
    }
    server.app.stop().await;
}

#[tokio::test]
async fn revoking_a_media_token_ends_its_connection() {
    let server = Server::start().await;
    let session = server.create_active().await;
    let maria = Person::named(&server, "maria", "participant").await;
    let made = make(&server, &maria, &session, json!({"kind": "whip", "ttl_s": 3600})).await;
    let opened = open(&server, &session, "whip", text(&made)).await;
    assert_eq!(opened.status, 201, "{opened:?}");
    assert_eq!(patch(&server, &opened, text(&made)).await.status, 204);
    assert_eq!(revoke(&server, &maria, &session, &made).await.status, 204);
    let refused = patch(&server, &opened, text(&made)).await;
    assert_eq!((refused.status, refused.code().as_str()), (401, "TOKEN_EXPIRED"), "{refused:?}");
    let gone = delete(&server, opened.header("location"), text(&made)).await;
    assert_eq!((gone.status, gone.code().as_str()), (404, "MEDIA_RESOURCE_NOT_FOUND"), "{gone:?}");
    let refused = open(&server, &session, "whip", text(&made)).await;
    assert_eq!((refused.status, refused.code().as_str()), (401, "TOKEN_EXPIRED"), "{refused:?}");
    let twice = revoke(&server, &maria, &session, &made).await;
    assert_eq!((twice.status, twice.code().as_str()), (404, "MEDIA_TOKEN_NOT_FOUND"), "{twice:?}");
    server.app.stop().await;
}

/// Waits until a resource of a person is gone; asks in a way that renews nothing.
async fn until_gone(server: &Server, person: &Person, opened: &Answer) {
    for _ in 0..ASKED_MAX {
        let request = server.request(Method::PATCH, opened.header("location"));
        let request = request.header("content-type", "application/trickle-ice-sdpfrag");
        let request = request.header("if-match", opened.header("etag"));
        let answer = send(person.prove(request.body("a=end-of-candidates\r\n"))).await;
        if answer.code() == "MEDIA_RESOURCE_NOT_FOUND" {
            return;
        }
        assert_eq!(answer.status, 204, "{answer:?}");
        tokio::time::sleep(ASK_EVERY).await;
    }
    panic!("the connection outlives its token");
}

#[tokio::test]
async fn a_connection_ends_with_its_media_token_or_goes_on_with_another() {
    let server = Server::start().await;
    let session = server.create_active().await;
    let maria = Person::named(&server, "maria", "participant").await;
    let short = json!({"kind": "whip", "ttl_s": life_for_two(&server).await.as_secs()});
    let first = make(&server, &maria, &session, short).await;
    let ends = open(&server, &session, "whip", text(&first)).await;
    let renewed = open(&server, &session, "whip", text(&first)).await;
    assert_eq!((ends.status, renewed.status), (201, 201), "{ends:?} {renewed:?}");
    let long = json!({"kind": "whip", "ttl_s": 3600});
    let second = make(&server, &maria, &session, long).await;
    assert_eq!(patch(&server, &renewed, text(&second)).await.status, 204);
    until_gone(&server, &maria, &ends).await;
    let refused = open(&server, &session, "whip", text(&first)).await;
    assert_eq!(refused.code(), "TOKEN_EXPIRED", "{refused:?}");
    assert_eq!(patch(&server, &renewed, text(&second)).await.status, 204);
    // Whoever opened it may take it away after their token has ended.
    let deleted = delete(&server, renewed.header("location"), text(&first)).await;
    assert_eq!(deleted.status, 200, "{deleted:?}");
    server.app.stop().await;
}

#[tokio::test]
async fn a_connection_ends_with_its_access_token_or_goes_on_with_a_newer_one() {
    let server = Server::start().await;
    let session = server.create_active().await;
    let chair = Person::named(&server, "chair", "moderator").await;
    let (mut channel, _) = Channel::enter(&server, &session, &chair).await;
    let left = life_for_two(&server).await;
    let first = ending_token(&server, ("ends", Role::Observer), left).await;
    let second = ending_token(&server, ("stays", Role::Observer), left).await;
    let ends = open(&server, &session, "whep", &first).await;
    let stays = open(&server, &session, "whep", &second).await;
    assert_eq!((ends.status, stays.status), (201, 201), "{ends:?} {stays:?}");
    let newer = token(&server, server.tenant, ("stays", "observer"), None, None).await;
    assert_eq!(patch(&server, &stays, &newer).await.status, 204);
    let gone = channel.hear_type("participant_left").await;
    assert_eq!((&gone["user_id"], &gone["reason"]), (&json!("ends"), &json!("left")), "{gone}");
    let other = token(&server, server.tenant, ("ends", "observer"), None, None).await;
    assert_eq!(patch(&server, &ends, &other).await.code(), "MEDIA_RESOURCE_NOT_FOUND");
    // Its owner ends it with whatever token they have now.
    assert_eq!(patch(&server, &stays, &newer).await.status, 204);
    assert_eq!(delete(&server, stays.header("location"), &newer).await.status, 200);
    server.app.stop().await;
}

#[tokio::test]
async fn people_see_and_revoke_their_own_media_tokens_and_moderators_all() {
    let server = Server::start().await;
    let session = server.create_active().await;
    let maria = Person::named(&server, "maria", "participant").await;
    let ana = Person::named(&server, "ana", "participant").await;
    let chair = Person::named(&server, "chair", "moderator").await;
    let screen = json!({"kind": "whip", "source": "screen", "ttl_s": 3600});
    let of_maria = make(&server, &maria, &session, screen).await;
    let of_ana = make(&server, &ana, &session, json!({"kind": "whep", "ttl_s": 3600})).await;
    let list = tokens_of(&session);
    let listed = async |person: &Person| {
        let answer = person.read(&server, Method::GET, &list).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(!answer.text.contains("cbm_"), "{answer:?}");
        let items = answer.json()["items"].as_array().expect("a list").clone();
        items.into_iter().map(|item| item["id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(listed(&maria).await, [of_maria["id"].clone()]);
    assert_eq!(listed(&ana).await, [of_ana["id"].clone()]);
    assert_eq!(listed(&chair).await, [of_maria["id"].clone(), of_ana["id"].clone()]);
    let items = chair.read(&server, Method::GET, &list).await.json();
    assert_eq!(items["items"][0]["source"], "screen");
    assert_eq!(items["items"][0]["user_id"], "maria");

    let refused = revoke(&server, &ana, &session, &of_maria).await;
    assert_eq!(refused.code(), "MEDIA_TOKEN_NOT_FOUND", "{refused:?}");
    let stranger = Person::of(&server, TenantId::generate(), "moderator", None).await;
    let refused = revoke(&server, &stranger, &session, &of_maria).await;
    assert_eq!(refused.code(), "SESSION_NOT_FOUND", "{refused:?}");
    assert_eq!(revoke(&server, &chair, &session, &of_maria).await.status, 204);
    assert_eq!(listed(&chair).await, [of_ana["id"].clone()]);
    server.app.stop().await;
}

#[tokio::test]
async fn what_a_media_token_cannot_be_for_is_refused() {
    let server = Server::start().await;
    let session = server.create().await;
    let maria = Person::named(&server, "maria", "participant").await;
    let observer = Person::named(&server, "observer", "observer").await;
    for (wanted, status, code) in [
        (json!({"kind": "rtmp", "ttl_s": 60}), 422, "UNPROCESSABLE_REQUEST"),
        (json!({"kind": "whip", "ttl_s": 0}), 422, "UNPROCESSABLE_REQUEST"),
        (json!({"kind": "whip", "ttl_s": 86_401}), 422, "UNPROCESSABLE_REQUEST"),
        (json!({"kind": "whip", "ttl_s": 60, "source": "cellar"}), 422, "UNPROCESSABLE_REQUEST"),
        (json!({"kind": "whep", "ttl_s": 60, "source": "camera"}), 422, "UNPROCESSABLE_REQUEST"),
        (json!({"kind": "whip"}), 400, "MALFORMED_REQUEST"),
        (json!({"kind": "whip", "ttl_s": -1}), 400, "MALFORMED_REQUEST"),
        (json!({"kind": "whip", "ttl_s": 60, "room": 1}), 400, "MALFORMED_REQUEST"),
    ] {
        let answer = ask(&server, &maria, &session, wanted.clone()).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{wanted}: {answer:?}");
    }
    let publishes = json!({"kind": "whip", "ttl_s": 60});
    assert_eq!(ask(&server, &observer, &session, publishes.clone()).await.code(), "FORBIDDEN");
    // It can be made before the session starts, and serves from then on.
    let made = make(&server, &maria, &session, publishes.clone()).await;
    assert_eq!(open(&server, &session, "whip", text(&made)).await.code(), "SESSION_STATE_CONFLICT");
    server.step(&session, "start").await;
    assert_eq!(open(&server, &session, "whip", text(&made)).await.status, 201);
    server.step(&session, "end").await;
    assert_eq!(ask(&server, &maria, &session, publishes).await.code(), "SESSION_OVER");
    server.app.stop().await;
}

/// Whether people are heard, as somebody who enters is told.
async fn heard(server: &Server, session: &str, user: &str) -> bool {
    let viewer = Person::with_role(server, "observer").await;
    let (_channel, welcome) = Channel::enter(server, session, &viewer).await;
    let people = welcome["participants"].as_array().expect("a list");
    let found = people.iter().find(|person| person["user_id"] == user).expect("in the room");
    found["may_be_heard"].as_bool().expect("said")
}

#[tokio::test]
async fn a_media_token_carries_a_moderators_right_to_speak_only_when_asked_for() {
    let server = Server::start().await;
    let mut wanted = server.new_session();
    wanted["moderation"] = json!("moderated");
    let created = send(server.govern(Method::POST, "/api/v1/sessions").json(&wanted)).await;
    let session = created.json()["id"].as_str().expect("an id").to_owned();
    server.step(&session, "start").await;
    for (user, asked) in [("plain", false), ("asked", true)] {
        let person = Person::named(&server, user, "moderator").await;
        let wanted = json!({"kind": "whip", "ttl_s": 3600, "speak_without_turn": asked});
        let made = make(&server, &person, &session, wanted).await;
        let sound = MediaClient::publisher(client_options(), &[TrackOptions::microphone()]).offer();
        let opened = open_with(&server, &session, "whip", text(&made), sound).await;
        assert_eq!(opened.status, 201, "{opened:?}");
        assert_eq!(heard(&server, &session, user).await, asked, "{user}");
    }
    server.app.stop().await;
}

#[tokio::test]
async fn a_person_with_as_many_media_tokens_as_they_may_is_told_so() {
    let server = Server::start_with(&[("limits.writes_per_user_per_min", "1000")]).await;
    let session = server.create_active().await;
    let maria = Person::named(&server, "maria", "participant").await;
    let wanted = json!({"kind": "whep", "ttl_s": 3600});
    for _ in 0..cabildo::auth::TOKENS_PER_PERSON_MAX {
        make(&server, &maria, &session, wanted.clone()).await;
    }
    let refused = ask(&server, &maria, &session, wanted).await;
    assert_eq!(refused.code(), "MEDIA_TOKEN_LIMIT_REACHED", "{refused:?}");
    server.app.stop().await;
}
