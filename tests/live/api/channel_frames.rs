//! Frames of the moderation channel that are wrong, too many, or come twice, and
//! how a client leaves.

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
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

/// Speaks WebSocket by hand to a socket that stays as the system gives it.
async fn by_hand(server: &Server, session: &str) -> TcpStream {
    let address = server.app.addresses().http;
    let mut socket = TcpStream::connect(address).await.expect("connected");
    let request = format!(
        "GET /moderation?session_id={session} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: cabildo.v1\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).await.expect("sent");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.expect("an answer"));
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    socket
}

/// A client that sends on and on after its mistake reads why it was closed, and
/// then the end: the socket is not reset under it.
#[tokio::test]
async fn a_close_code_arrives_although_the_client_goes_on_sending() {
    let server = Server::start().await;
    let session = server.create_active().await;
    // Masked text frames with a key of zeros: one of 10 MiB, and one that is not UTF-8.
    let too_large = [&[0x81, 0xff][..], &(10_u64 << 20).to_be_bytes(), &[0; 4]].concat();
    let not_utf8 = vec![0x81, 0x82, 0, 0, 0, 0, 0xff, 0xfe];
    for (begin, code) in [(too_large, 1009_u16), (not_utf8, 1007)] {
        let mut socket = by_hand(&server, &session).await;
        socket.write_all(&begin).await.expect("sent");
        socket.write_all(&vec![b'x'; 2 << 20]).await.expect("taken");
        let mut heard = Vec::new();
        socket.read_to_end(&mut heard).await.expect("ended, not reset");
        let close =
            heard.windows(4).rfind(|bytes| bytes[0] == 0x88 && bytes[2..] == code.to_be_bytes());
        assert!(close.is_some(), "{code} is missing in {heard:?}");
    }
    server.app.stop().await;
}

#[tokio::test]
async fn pings_count_like_messages() {
    let server = Server::start().await;
    let session = server.create_active().await;
    let person = Person::with_role(&server, "participant").await;
    let (mut channel, _) = Channel::enter(&server, &session, &person).await;
    channel.flood(&Message::Ping(Vec::new().into()), 2_000).await;
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
        r#"{"type":"chat","text":"one","more":[{"a":1,"a":2}]}"#,
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
