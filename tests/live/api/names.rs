//! What people write and others are shown: one rule at every door.

use reqwest::Method;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::api::channel_client::Channel;
use crate::api::person::Person;
use crate::api::server::{Server, send};

/// What is written, and what others are shown of it.
const TEXTS: &[(&str, &str)] = &[
    ("Ana\u{202e}anA\u{202c}", "AnaanA"),
    ("An\u{200b}a\u{0}\u{9b} \t Ruiz ", "Ana Ruiz"),
    ("Ana \u{2067}محمد", "Ana \u{2067}محمد\u{2069}"),
    ("Ana\u{2069}", "Ana"),
    ("👩‍👩‍👧‍👦 Ruiz", "👩‍👩‍👧‍👦 Ruiz"),
];

/// As long as is shown, then one more: cut, with a mark.
fn cut(graphemes_max: usize) -> (String, String) {
    let family = "👩‍👩‍👧‍👦";
    (family.repeat(graphemes_max + 1), format!("{}…", family.repeat(graphemes_max - 1)))
}

fn cases(graphemes_max: usize) -> Vec<(String, String)> {
    let texts = TEXTS.iter().map(|(given, shown)| ((*given).to_owned(), (*shown).to_owned()));
    texts.chain([cut(graphemes_max)]).collect()
}

fn described<'a>(welcome: &'a Value, user_id: &str) -> &'a Value {
    let people = welcome["participants"].as_array().expect("a list");
    people.iter().find(|one| one["user_id"] == user_id).expect("in the room")
}

#[tokio::test]
async fn names_of_tokens_are_cleaned_for_the_room_and_for_media_tokens() {
    let server = Server::start().await;
    let session = server.create_active().await;
    let tokens = format!("/api/v1/sessions/{session}/media-tokens");
    for (given, shown) in cases(100) {
        let person = Person::called(&server, &given, "participant").await;
        let (_channel, welcome) = Channel::enter(&server, &session, &person).await;
        assert_eq!(described(&welcome, &person.user_id)["name"], json!(shown), "{given:?}");
        let wanted = json!({"kind": "whep", "ttl_s": 60});
        let made =
            person.write(&server, Method::POST, &tokens, |request| request.json(&wanted)).await;
        assert_eq!(made.status, 201, "{made:?}");
        let listed = person.read(&server, Method::GET, &tokens).await.json();
        assert!(listed.to_string().contains(&json!(shown).to_string()), "{given:?}: {listed}");
    }
    let nameless = Person::called(&server, "\u{202e}\u{200b}", "participant").await;
    let (_channel, welcome) = Channel::enter(&server, &session, &nameless).await;
    assert_eq!(described(&welcome, &nameless.user_id)["name"], json!(nameless.user_id));
    server.app.stop().await;
}

#[tokio::test]
async fn what_is_written_in_the_channel_is_cleaned() {
    let server = Server::start().await;
    let session = server.create_active().await;
    let chair = Person::with_role(&server, "moderator").await;
    let ana = Person::with_role(&server, "participant").await;
    let (mut chair, _) = Channel::enter(&server, &session, &chair).await;
    let (mut ana, _) = Channel::enter(&server, &session, &ana).await;
    for (index, (given, shown)) in cases(500).into_iter().enumerate() {
        ana.done(json!({"type": "request_speech", "kind": "normal", "note": given})).await;
        let request = chair.hear_type("speech_request_received").await;
        assert_eq!(request["note"], json!(shown), "a note, {given:?}");
        let request = &request["request_id"];
        chair.done(json!({"type": "deny_speech", "request_id": request, "reason": given})).await;
        let denied = ana.hear_type("speech_denied").await;
        assert_eq!(denied["reason"], json!(shown), "a reason, {given:?}");
        if index < TEXTS.len() {
            ana.done(json!({"type": "chat", "text": given})).await;
            assert_eq!(chair.hear_type("chat").await["text"], json!(shown), "chat, {given:?}");
            let user_id = format!("hall-{index}");
            chair.done(json!({"type": "add_speaker", "user_id": user_id, "name": given})).await;
            let placed = ana.hear_type("queue_updated").await["placed"].clone();
            assert_eq!(placed[0]["request"]["name"], json!(shown), "hall, {given:?}: {placed}");
        }
    }
    server.app.stop().await;
}

#[tokio::test]
async fn titles_are_cleaned_and_cut() {
    let server = Server::start().await;
    for (given, shown) in cases(200) {
        let mut body = server.new_session();
        body["title"] = json!(given);
        let created = send(server.govern(Method::POST, "/api/v1/sessions").json(&body)).await;
        assert_eq!(created.status, 201, "{created:?}");
        assert_eq!(created.json()["title"], json!(shown), "{given:?}");
        let path = format!("/api/v1/sessions/{}", created.json()["id"].as_str().expect("an id"));
        let patch = json!({"title": format!("{given} bis")});
        let patched = send(
            server
                .govern(Method::PATCH, &path)
                .header("if-match", created.header("etag"))
                .json(&patch),
        )
        .await;
        assert_eq!(patched.status, 200, "{patched:?}");
        let title = patched.json()["title"].as_str().expect("a title").to_owned();
        assert!(!title.contains(['\u{202e}', '\u{200b}', '\0']), "{title:?}");
        assert!(title.ends_with(" bis") || title.ends_with(['…', '\u{2069}']), "{title:?}");
    }
    server.app.stop().await;
}

#[tokio::test]
async fn names_that_look_like_a_moderators_or_an_office_are_marked() {
    let server = Server::start().await;
    let session = server.create_active().await;
    let chair = Person::called(&server, "María Gómez", "moderator").await;
    let (mut chair, _) = Channel::enter(&server, &session, &chair).await;
    for (name, notice) in [
        ("Мaría Gómez", json!("moderator")),
        ("mari\u{301}a go\u{301}mez", json!("moderator")),
        ("MARÍA\u{202e} GÓMEZ", json!("moderator")),
        ("Cabi\u{200b}ldo", json!("reserved")),
        ("Presidenta", json!("reserved")),
        ("Ana Ruiz", json!(null)),
    ] {
        let person = Person::called(&server, name, "participant").await;
        let (_channel, welcome) = Channel::enter(&server, &session, &person).await;
        assert_eq!(described(&welcome, &person.user_id)["name_notice"], notice, "{name:?}");
        let joined = chair.hear_type("participant_joined").await;
        assert_eq!(joined["name_notice"], notice, "{name:?}");
    }
    server.app.stop().await;
}

#[tokio::test]
async fn half_of_a_character_is_replaced_and_refuses_nothing() {
    let server = Server::start().await;
    let session = server.create_active().await;
    let ana = Person::called(&server, "Ana", "participant").await;
    let eva = Person::called(&server, "Eva", "participant").await;
    let (mut ana, _) = Channel::enter(&server, &session, &ana).await;
    let (mut eva, _) = Channel::enter(&server, &session, &eva).await;
    let cases = [("hola \\ud83d", "hola \u{fffd}"), ("\\uDCA9 hola", "\u{fffd} hola")];
    for (id, (half, shown)) in cases.into_iter().enumerate() {
        let message = format!("{{\"type\":\"chat\",\"id\":{id},\"text\":\"{half}\"}}");
        ana.say_raw(Message::text(message)).await;
        assert_eq!(ana.hear_type("ack").await["ref"], json!(id), "{half}");
        assert_eq!(eva.hear_type("chat").await["text"], json!(shown), "{half}");
        let mut body = server.new_session();
        body["title"] = json!("HALF");
        let body = body.to_string().replace("HALF", half);
        let create = server.govern(Method::POST, "/api/v1/sessions");
        let create = create.header("content-type", "application/json").body(body);
        let created = send(create).await;
        assert_eq!(created.status, 201, "{created:?}");
        assert_eq!(created.json()["title"], json!(shown), "{half}");
    }
    server.app.stop().await;
}
