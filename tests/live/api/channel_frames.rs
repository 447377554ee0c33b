//! Frames of the moderation channel that are wrong, too many, or come twice, and
//! how a client leaves.

use serde_json::json;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};

use crate::api::channel_client::Channel;
use crate::api::person::Person;
use crate::api::server::Server;

#[tokio::test]
async fn a_text_that_is_not_utf8_closes_with_1007() {
    let server = Server::start().await;
    let session = server.create_active().await;
    let person = Person::with_role(&server, "participant").await;
    let (mut channel, _) = Channel::enter(&server, &session, &person).await;
    let bytes = vec![b'"', 0xff, 0xfe, b'"'];
    let frame = Frame::message(bytes, OpCode::Data(Data::Text), true);
    channel.say_raw(Message::Frame(frame)).await;
    assert_eq!(channel.hear_close().await, (vec![], 1007));
    server.app.stop().await;
}

#[tokio::test]
async fn a_message_above_the_limit_closes_with_1009() {
    let server = Server::start().await;
    let session = server.create_active().await;
    let person = Person::with_role(&server, "participant").await;
    for length in [96 * 1024 + 1, 380 * 1024] {
        let (mut channel, _) = Channel::enter(&server, &session, &person).await;
        channel.say_raw(Message::text("x".repeat(length))).await;
        assert_eq!(channel.hear_close().await, (vec![], 1009), "{length}");
    }
    server.app.stop().await;
}

#[tokio::test]
async fn pings_count_like_messages() {
    let server = Server::start().await;
    let session = server.create_active().await;
    let person = Person::with_role(&server, "participant").await;
    let (mut channel, _) = Channel::enter(&server, &session, &person).await;
    for _ in 0..2_000 {
        channel.say_raw(Message::Ping(Vec::new().into())).await;
    }
    assert_eq!(channel.hear_close().await, (vec![], 4408));
    server.app.stop().await;
}

#[tokio::test]
async fn a_key_that_is_named_twice_and_a_bad_seen_are_refused() {
    let server = Server::start().await;
    let session = server.create_active().await;
    let person = Person::with_role(&server, "participant").await;
    let (mut channel, _) = Channel::enter(&server, &session, &person).await;
    for text in [
        r#"{"type":"chat","text":"one","text":"two"}"#,
        r#"{"type":"chat","id":1,"id":2,"text":"one"}"#,
        r#"{"type":"chat","text":"one","seen":"now"}"#,
        r#"{"type":"ping","seen":1}"#,
    ] {
        channel.say_raw(Message::text(text)).await;
        assert_eq!(channel.hear_type("error").await["code"], "MALFORMED_REQUEST", "{text}");
    }
    assert!(channel.events.iter().all(|event| event["type"] != "chat"));
    server.app.stop().await;
}

#[tokio::test]
async fn the_same_id_is_the_same_request_also_after_resuming() {
    let server = Server::start().await;
    let session = server.create_active().await;
    let person = Person::with_role(&server, "moderator").await;
    let (mut channel, welcome) = Channel::enter(&server, &session, &person).await;
    let last_seq = welcome["seq"].as_u64().expect("a number");
    let once = json!({"type": "chat", "text": "once", "id": "the same"});
    for _ in 0..2 {
        channel.say(&once).await;
        assert_eq!(channel.hear_type("ack").await["ref"], "the same");
    }
    let token = channel.resume_token.clone();
    drop(channel);
    let mut channel = Channel::open(&server, &session).await;
    channel.say(&Channel::resumption(&token, last_seq)).await;
    channel.welcome().await;
    channel.say(&once).await;
    channel.hear_type("ack").await;
    // An answer may overtake the event that it is about.
    channel.say(&json!({"type": "chat", "text": "last"})).await;
    while channel.hear_type("chat").await["text"] != "last" {}
    let texts: Vec<&str> = channel
        .events
        .iter()
        .filter(|event| event["type"] == "chat")
        .map(|event| event["text"].as_str().expect("a text"))
        .collect();
    assert_eq!(texts, ["once", "last"]);
    server.app.stop().await;
}

#[tokio::test]
async fn a_decision_about_what_has_changed_is_refused() {
    let server = Server::start().await;
    let session = server.create_active().await;
    let chair = Person::with_role(&server, "moderator").await;
    let deputy = Person::with_role(&server, "moderator").await;
    let (mut first, _) = Channel::enter(&server, &session, &chair).await;
    let (mut second, welcome) = Channel::enter(&server, &session, &deputy).await;
    let seen = welcome["seq"].as_u64().expect("a number");
    first.done(json!({"type": "close_queue", "seen": seen})).await;
    let refused = second.refused(json!({"type": "open_queue", "seen": seen})).await;
    assert_eq!(refused, "DECISION_STALE");
    let closed = |event: &&serde_json::Value| event["open"] == false;
    let heard = second.events.iter().find(closed).cloned();
    let closed = match heard {
        Some(event) => event,
        None => second.hear_type("queue_updated").await,
    };
    let seen = closed["seq"].as_u64().expect("a number");
    second.done(json!({"type": "open_queue", "seen": seen})).await;
    server.app.stop().await;
}

#[tokio::test]
async fn whoever_closes_normally_leaves_and_whoever_is_cut_off_is_waited_for() {
    let server = Server::start().await;
    let session = server.create_active().await;
    let watcher = Person::with_role(&server, "participant").await;
    let (mut watching, _) = Channel::enter(&server, &session, &watcher).await;
    for (code, told) in [
        (CloseCode::Normal, "participant_left"),
        (CloseCode::Away, "participant_updated"),
        (CloseCode::Library(4000), "participant_updated"),
    ] {
        let person = Person::with_role(&server, "participant").await;
        let (mut channel, _) = Channel::enter(&server, &session, &person).await;
        watching.hear_type("participant_joined").await;
        let from = watching.events.len();
        let frame = CloseFrame { code, reason: "".into() };
        channel.say_raw(Message::Close(Some(frame))).await;
        let event = watching.hear_type(told).await;
        if told == "participant_left" {
            assert_eq!(event["reason"], "left");
        } else {
            assert_eq!(event["connections"], 0);
        }
        let mut later = watching.events[from..].iter().map(|event| &event["type"]);
        assert_eq!(later.rfind(|kind| *kind != "evidence_head"), Some(&json!(told)));
    }
    server.app.stop().await;
}
