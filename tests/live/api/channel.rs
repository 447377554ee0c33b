//! The moderation channel over real sockets, and those who attack it.

use std::net::Ipv4Addr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::api::channel_client::{Channel, Heard};
use crate::api::media::{offer, with_a_section_too_many};
use crate::api::person::Person;
use crate::api::server::{Server, send};

const NOBODYS: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

#[tokio::test]
async fn whoever_does_not_authenticate_is_shown_out() {
    let server = Server::start().await;
    let session = server.create_active().await;
    let person = Person::with_role(&server, "participant").await;
    for (first, code) in [
        (json!({"type": "ping"}), "CREDENTIALS_MISSING"),
        (json!({"type": "end_speech"}), "CREDENTIALS_MISSING"),
        (json!({"type": "dance"}), "MALFORMED_REQUEST"),
        (json!({"type": "authenticate", "token": "x", "dpop": "y"}), "TOKEN_INVALID"),
        (json!({"type": "authenticate", "token": person.token, "dpop": "y"}), "DPOP_PROOF_INVALID"),
        (json!({"type": "resume", "resume_token": "x", "last_seq": 0}), "RESUME_TOKEN_INVALID"),
    ] {
        let mut channel = Channel::open(&server, &session).await;
        channel.say(&first).await;
        assert_eq!(channel.hear_close().await, (vec![code.to_owned()], 4401), "{first}");
    }
    let mut silent = Channel::open(&server, &session).await;
    assert_eq!(silent.hear_close().await, (vec![], 4408));
    let mut binary = Channel::open(&server, &session).await;
    binary.say_raw(Message::binary(vec![0; 9])).await;
    assert_eq!(binary.hear_close().await, (vec![], 4401));
    let mut huge = Channel::open(&server, &session).await;
    huge.say_raw(Message::text("x".repeat(200_000))).await;
    assert_eq!(huge.hear_close().await.1, 1009);
    server.app.stop().await;
}

#[tokio::test]
async fn silent_sockets_of_eight_addresses_keep_nobody_out() {
    /// Together more than there are places.
    const SOCKETS: usize = 130;
    let server = Server::start().await;
    let session = server.create_active().await;
    let fill = |host| {
        let (server, session) = (&server, &session);
        async move {
            let mut held = Vec::with_capacity(SOCKETS);
            for _ in 0..SOCKETS {
                let from = Ipv4Addr::new(127, 0, 0, host);
                held.push(Channel::silent_from(server, session, from).await);
            }
            held
        }
    };
    let hostile = futures_util::future::join_all((2..10).map(fill)).await;
    for _ in 0..10 {
        let person = Person::with_role(&server, "participant").await;
        let (_, welcome) = Channel::enter(&server, &session, &person).await;
        assert_eq!(welcome["type"], "welcome");
    }
    drop(hostile);
    server.app.stop().await;
}

#[tokio::test]
async fn a_proof_is_good_for_its_own_connection_once() {
    let server = Server::start().await;
    let session = server.create_active().await;
    let person = Person::with_role(&server, "participant").await;
    let other = Channel::open(&server, &session).await;
    let mut channel = Channel::open(&server, &session).await;
    channel.say(&other.credentials(&person)).await;
    assert_eq!(channel.hear_close().await, (vec!["DPOP_PROOF_INVALID".to_owned()], 4401));
    let (mut channel, _) = Channel::enter(&server, &session, &person).await;
    let proof = person.proof(&Method::GET, &format!("{}/moderation", server.http), None);
    let renew = json!({"type": "renew_token", "token": person.token, "dpop": proof});
    assert_eq!(channel.refused(renew).await, "DPOP_PROOF_INVALID", "no nonce");
    let credentials = channel.credentials(&person);
    let renew = json!({"type": "renew_token", "token": person.token, "dpop": credentials["dpop"]});
    channel.say(&renew).await;
    channel.hear_type("token_renewed").await;
    assert_eq!(channel.refused(renew).await, "DPOP_PROOF_REPLAYED");
    let stranger = Person::with_role(&server, "participant").await;
    let theirs = channel.credentials(&stranger);
    let renew = json!({"type": "renew_token", "token": stranger.token, "dpop": theirs["dpop"]});
    assert_eq!(channel.refused(renew).await, "FORBIDDEN", "somebody else's token");
    server.app.stop().await;
}

#[tokio::test]
async fn only_members_of_an_active_session_of_their_own_tenant_get_in() {
    let server = Server::start().await;
    let (active, scheduled) = (server.create_active().await, server.create().await);
    let over = server.create_active().await;
    server.step(&over, "end").await;
    let elsewhere = cabildo::domain::id::TenantId::generate();
    let someone = Person::with_role(&server, "participant").await;
    let stranger = Person::of(&server, elsewhere, "moderator", None).await;
    let bound = Person::of(&server, server.tenant, "participant", Some(NOBODYS)).await;
    let operator = Person::with_role(&server, "operator").await;
    for (person, session, code, close) in [
        (&someone, NOBODYS, "SESSION_NOT_FOUND", 4404),
        (&stranger, active.as_str(), "SESSION_NOT_FOUND", 4404),
        (&bound, &active, "SESSION_NOT_FOUND", 4404),
        (&someone, &scheduled, "SESSION_STATE_CONFLICT", 4403),
        (&someone, &over, "SESSION_OVER", 4410),
        (&operator, &active, "FORBIDDEN", 4403),
    ] {
        let mut channel = Channel::open(&server, session).await;
        let credentials = channel.credentials(person);
        channel.say(&credentials).await;
        assert_eq!(channel.hear_close().await, (vec![code.to_owned()], close), "{code}");
    }
    // The tenant's own people are there, and still nobody else's.
    let (_inside, _) = Channel::enter(&server, &active, &someone).await;
    let mut channel = Channel::open(&server, &active).await;
    let credentials = channel.credentials(&stranger);
    channel.say(&credentials).await;
    assert_eq!(channel.hear_close().await, (vec!["SESSION_NOT_FOUND".to_owned()], 4404));
    for unreadable in ["7", "", "%00"] {
        let mut channel = Channel::open(&server, unreadable).await;
        let credentials = channel.credentials(&someone);
        channel.say(&credentials).await;
        assert_eq!(channel.hear_close().await.1, 4404, "{unreadable:?}");
    }
    server.app.stop().await;
}

#[tokio::test]
async fn nonsense_is_answered_and_harms_nobody() {
    let server = Server::start().await;
    let session = server.create_active().await;
    let person = Person::with_role(&server, "participant").await;
    let witness = Person::with_role(&server, "participant").await;
    let (mut channel, _) = Channel::enter(&server, &session, &person).await;
    let (mut beside, _) = Channel::enter(&server, &session, &witness).await;
    for text in ["", "[]", "{", "nonsense", r#"{"type":"ping","colour":"red"}"#, "\u{0}"] {
        channel.say_raw(Message::text(text)).await;
        let answer = channel.hear_type("error").await;
        assert_eq!(answer["code"], "MALFORMED_REQUEST", "{text:?}");
    }
    channel.say_raw(Message::binary(vec![1, 2, 3])).await;
    assert_eq!(channel.hear_type("error").await["code"], "MALFORMED_REQUEST");
    let track = "01890a5d-ac96-774b-bcce-b302099a8057";
    for (message, code) in [
        (json!({"type": "offer", "transport": "publish", "sdp": "v=0"}), "SDP_INVALID"),
        (json!({"type": "offer", "transport": "publish", "sdp": "\u{0}".repeat(9)}), "SDP_INVALID"),
        (
            json!({"type": "answer", "transport": "subscribe", "sdp": "v=0"}),
            "SIGNALLING_STATE_CONFLICT",
        ),
        (json!({"type": "subscribe", "track": track}), "TRACK_NOT_FOUND"),
        (json!({"type": "unsubscribe", "track": track}), "TRACK_NOT_FOUND"),
        (json!({"type": "restart_ice", "transport": "subscribe"}), "MEDIA_RESOURCE_NOT_FOUND"),
        (json!({"type": "authenticate", "token": "x", "dpop": "y"}), "SIGNALLING_STATE_CONFLICT"),
        (json!({"type": "cancel_speech", "request_id": track}), "REQUEST_NOT_FOUND"),
        (json!({"type": "end_speech"}), "NOT_YOUR_TURN"),
        (json!({"type": "chat", "text": " "}), "UNPROCESSABLE_REQUEST"),
        (json!({"type": "chat", "text": "\u{200b} \u{202e}"}), "UNPROCESSABLE_REQUEST"),
    ] {
        assert_eq!(channel.refused(message.clone()).await, code, "{message}");
    }
    channel.done(json!({"type": "candidate", "transport": "publish", "candidate": ""})).await;
    beside.done(json!({"type": "ping"})).await;
    channel.say_raw(Message::text("x".repeat(200_000))).await;
    assert_eq!(channel.hear_close().await.1, 1009);
    let left = beside.hear_type("participant_updated").await;
    assert_eq!(
        (left["user_id"].as_str(), &left["connections"]),
        (Some(&*person.user_id), &json!(0))
    );
    server.app.stop().await;
}

#[tokio::test]
async fn the_chair_runs_the_list_and_nobody_else_does() {
    let server = Server::start().await;
    let session = server.create_active().await;
    let (chair, ana) = (
        Person::with_role(&server, "moderator").await,
        Person::with_role(&server, "participant").await,
    );
    let (mut chair_channel, welcome) = Channel::enter(&server, &session, &chair).await;
    assert_eq!(welcome["floor"]["moderation"], "moderated");
    assert_eq!(welcome["you"]["may_be_heard"], true);
    let (mut ana_channel, welcome) = Channel::enter(&server, &session, &ana).await;
    assert_eq!(welcome["you"]["may_be_heard"], false);
    let asked = ana_channel.done(json!({"type": "request_speech", "kind": "normal"})).await;
    let request = asked["request_id"].as_str().expect("an id").to_owned();
    for message in [
        json!({"type": "approve_speech", "request_id": request}),
        json!({"type": "deny_speech", "request_id": request}),
        json!({"type": "start_turn"}),
        json!({"type": "pause_turn"}),
        json!({"type": "resume_turn"}),
        json!({"type": "extend_turn", "seconds": 30}),
        json!({"type": "stop_turn"}),
        json!({"type": "reorder_queue", "order": [request]}),
        json!({"type": "open_queue"}),
        json!({"type": "close_queue"}),
        json!({"type": "add_speaker", "user_id": "x"}),
        json!({"type": "set_moderation", "moderation": "open"}),
        json!({"type": "take_chair"}),
        json!({"type": "mute_user", "user_id": chair.user_id}),
        json!({"type": "unmute_user", "user_id": ana.user_id}),
        json!({"type": "remove_participant", "user_id": chair.user_id}),
        json!({"type": "admit", "user_id": ana.user_id}),
        json!({"type": "start_recording"}),
        json!({"type": "pause_recording"}),
        json!({"type": "stop_recording"}),
        json!({"type": "remove_participant", "user_id": "cabildo:recorder"}),
    ] {
        assert_eq!(ana_channel.refused(message.clone()).await, "FORBIDDEN", "{message}");
    }
    let received = chair_channel.hear_type("speech_request_received").await;
    assert_eq!((&received["request_id"], &received["kind"]), (&json!(request), &json!("normal")));
    chair_channel.done(json!({"type": "approve_speech", "request_id": request})).await;
    chair_channel.done(json!({"type": "start_turn", "limit_s": 60})).await;
    let started = ana_channel.hear_type("turn_started").await;
    assert_eq!((&started["user_id"], &started["limit_s"]), (&json!(ana.user_id), &json!(60)));
    chair_channel.done(json!({"type": "pause_turn"})).await;
    chair_channel.done(json!({"type": "resume_turn"})).await;
    let code = chair_channel.refused(json!({"type": "extend_turn", "seconds": 3_600})).await;
    assert_eq!(code, "TURN_LIMIT_REACHED");
    ana_channel.done(json!({"type": "end_speech"})).await;
    let ended = chair_channel.hear_type("turn_ended").await;
    assert_eq!(ended["reason"], "ended_by_speaker");
    chair_channel.done(json!({"type": "remove_participant", "user_id": ana.user_id})).await;
    assert_eq!(ana_channel.hear_close().await, (vec![], 4403));
    server.app.stop().await;
}

#[tokio::test]
async fn the_recorder_is_no_person_and_a_recording_is_acknowledged_once() {
    let server = Server::start().await;
    let session = server.create_active().await;
    let chair = Person::with_role(&server, "moderator").await;
    let (mut channel, welcome) = Channel::enter(&server, &session, &chair).await;
    let recording = json!({
        "state": "stopped", "enabled": false, "retention_days": 365, "acknowledged": false,
    });
    assert_eq!(welcome["recording"], recording);
    for (message, code) in [
        (json!({"type": "pause_recording"}), "RECORDING_STATE_CONFLICT"),
        (json!({"type": "stop_recording"}), "RECORDING_STATE_CONFLICT"),
        (
            json!({"type": "remove_participant", "user_id": "cabildo:recorder"}),
            "PARTICIPANT_NOT_FOUND",
        ),
        (json!({"type": "mute_user", "user_id": "cabildo:recorder"}), "PARTICIPANT_NOT_FOUND"),
        (json!({"type": "admit", "user_id": "cabildo:recorder"}), "PARTICIPANT_NOT_FOUND"),
        (json!({"type": "add_speaker", "user_id": "cabildo:recorder"}), "UNPROCESSABLE_REQUEST"),
        (json!({"type": "acknowledge_recording", "user_id": "x"}), "MALFORMED_REQUEST"),
    ] {
        assert_eq!(channel.refused(message.clone()).await, code, "{message}");
    }
    channel.done(json!({"type": "start_recording"})).await;
    let mute = json!({"type": "mute_user", "user_id": "cabildo:recorder"});
    assert_eq!(channel.refused(mute).await, "UNPROCESSABLE_REQUEST", "it is there, and not heard");
    channel.done(json!({"type": "stop_recording"})).await;
    for _ in 0..2 {
        channel.done(json!({"type": "acknowledge_recording"})).await;
    }
    let is_told = |event: &&Value| event["type"] == "recording_acknowledged";
    let told: Vec<&Value> = channel.events.iter().filter(is_told).collect();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["user_id"], json!(chair.user_id));
    let (_again, welcome) = Channel::enter(&server, &session, &chair).await;
    assert_eq!(welcome["recording"]["acknowledged"], true);
    let asked = json!({
        "tenant_id": server.tenant.to_string(), "user_id": "cabildo:recorder",
        "roles": ["moderator"],
    });
    let refused = send(server.request(Method::POST, "/dev/token").json(&asked)).await;
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (422, "UNPROCESSABLE_REQUEST"),
        "{refused:?}"
    );
    server.app.stop().await;
}

#[tokio::test]
async fn a_lost_connection_resumes_without_a_hole() {
    let server = Server::start().await;
    let session = server.create_active().await;
    let (ana, bea) = (
        Person::with_role(&server, "participant").await,
        Person::with_role(&server, "participant").await,
    );
    let (mut beside, _) = Channel::enter(&server, &session, &bea).await;
    let (channel, welcome) = Channel::enter(&server, &session, &ana).await;
    let (token, seen) = (channel.resume_token.clone(), welcome["seq"].as_u64().expect("a number"));
    // Gone without a word, as with a lost network.
    drop(channel);
    for line in ["one", "two", "three"] {
        beside.done(json!({"type": "chat", "text": line})).await;
    }
    let mut back = Channel::open(&server, &session).await;
    back.say(&Channel::resumption(&token, seen)).await;
    let resumed = back.welcome().await;
    assert_eq!(resumed["resumed"], true);
    assert_eq!(resumed["you"]["connection_id"], welcome["you"]["connection_id"]);
    beside.done(json!({"type": "chat", "text": "four"})).await;
    while back.events.last().is_none_or(|event| event["text"] != "four") {
        back.hear().await;
    }
    let seqs: Vec<u64> = back.events.iter().filter_map(|event| event["seq"].as_u64()).collect();
    let last = *seqs.last().expect("events");
    assert_eq!(seqs, (seen + 1..=last).collect::<Vec<_>>(), "a hole");
    let said: Vec<&Value> = back.events.iter().map(|event| &event["text"]).collect();
    let lines = ["one", "two", "three", "four"];
    assert!(lines.iter().all(|line| said.contains(&&json!(line))));

    // The same connection from another tab takes it over.
    let mut other = Channel::open(&server, &session).await;
    other.say(&Channel::resumption(&back.resume_token, last)).await;
    other.welcome().await;
    assert_eq!(back.hear_close().await, (vec![], 4409));
    for (token, last_seq) in [(token.as_str(), 0), (&other.resume_token, last + 1_000)] {
        let mut thief = Channel::open(&server, &session).await;
        thief.say(&Channel::resumption(token, last_seq)).await;
        assert_eq!(thief.hear_close().await, (vec!["RESUME_TOKEN_INVALID".to_owned()], 4401));
    }
    server.app.stop().await;
}

#[tokio::test]
async fn a_restart_of_the_server_continues_list_clock_and_seq() {
    let server = Server::start().await;
    let session = server.create_active().await;
    let (chair, ana) = (
        Person::with_role(&server, "moderator").await,
        Person::with_role(&server, "participant").await,
    );
    let (mut chair_channel, _) = Channel::enter(&server, &session, &chair).await;
    let (mut ana_channel, _) = Channel::enter(&server, &session, &ana).await;
    for kind in ["normal", "point_of_order"] {
        let asked = ana_channel.done(json!({"type": "request_speech", "kind": kind})).await;
        let approve = json!({"type": "approve_speech", "request_id": asked["request_id"]});
        chair_channel.done(approve).await;
    }
    chair_channel.done(json!({"type": "start_turn"})).await;
    let started = chair_channel.events.last().expect("told").clone();
    let seen = chair_channel.events.last().and_then(|event| event["seq"].as_u64()).expect("seq");
    let token = chair_channel.resume_token.clone();
    let server = Box::pin(server.restart()).await;
    assert_eq!(chair_channel.hear_close().await.1, 1001);
    server.ahead_us.store(20_000_000, Ordering::SeqCst);
    let mut back = Channel::open(&server, &session).await;
    back.say(&Channel::resumption(&token, seen)).await;
    let welcome = back.welcome().await;
    assert_eq!(welcome["resumed"], true);
    let turn = &welcome["floor"]["turn"];
    assert_eq!((&turn["kind"], &turn["running"]), (&json!("point_of_order"), &json!(true)));
    assert!(turn["used_ms"].as_u64() >= Some(20_000), "the clock ran on: {turn}");
    assert_eq!(welcome["floor"]["queue"].as_array().map(Vec::len), Some(1));
    assert!(started["seq"].as_u64() <= Some(seen));
    for transport in ["publish", "subscribe"] {
        let state = back.hear_type("transport_state").await;
        assert_eq!((&state["transport"], &state["state"]), (&json!(transport), &json!("lost")));
    }
    back.done(json!({"type": "chat", "text": "again"})).await;
    let seqs: Vec<u64> = back.events.iter().filter_map(|event| event["seq"].as_u64()).collect();
    assert_eq!(seqs, (seen + 1..=seen + seqs.len() as u64).collect::<Vec<_>>(), "a hole");
    server.app.stop().await;
}

#[tokio::test]
async fn a_token_that_runs_out_is_announced_and_ends_the_connection() {
    let server = Server::start().await;
    let session = server.create_active().await;
    let (ana, bea) = (
        Person::with_role(&server, "participant").await,
        Person::with_role(&server, "participant").await,
    );
    // Development tokens live for an hour; now it is 55 minutes and 50 seconds later.
    let ahead_s = 3_600 - 10;
    server.ahead_us.store(ahead_s * 1_000_000, Ordering::SeqCst);
    let ahead_s = ahead_s.unsigned_abs();
    let mut channel = Channel::open(&server, &session).await;
    let credentials = channel.credentials_ahead(&ana, ahead_s);
    channel.say(&credentials).await;
    channel.welcome().await;
    let expiring = channel.hear_type("token_expiring").await;
    assert_ne!(expiring["nonce"], json!(channel.nonce), "a nonce of its own");
    let old_nonce = channel.credentials_ahead(&ana, ahead_s);
    let renew = json!({"type": "renew_token", "token": ana.token, "dpop": old_nonce["dpop"]});
    assert_eq!(channel.refused(renew).await, "DPOP_PROOF_INVALID", "the nonce of hello is spent");
    let token = channel.resume_token.clone();
    assert_eq!(channel.hear_close().await, (vec![], 4401));
    let mut back = Channel::open(&server, &session).await;
    back.say(&Channel::resumption(&token, 1)).await;
    assert_eq!(back.hear_close().await, (vec!["RESUME_TOKEN_INVALID".to_owned()], 4401));
    server.ahead_us.store(3_700 * 1_000_000, Ordering::SeqCst);
    let mut late = Channel::open(&server, &session).await;
    let credentials = late.credentials_ahead(&bea, 3_700);
    late.say(&credentials).await;
    assert_eq!(late.hear_close().await, (vec!["TOKEN_EXPIRED".to_owned()], 4401));
    server.app.stop().await;
}

#[tokio::test]
async fn the_end_of_a_session_is_told_and_closes_the_room() {
    let server = Server::start().await;
    let session = server.create_active().await;
    let ana = Person::with_role(&server, "participant").await;
    let (mut channel, _) = Channel::enter(&server, &session, &ana).await;
    server.step(&session, "end").await;
    let told = channel.hear_type("session_ended").await;
    assert_eq!(told["reason"], "completed");
    assert_eq!(channel.hear_close().await, (vec![], 4410));
    let mut back = Channel::open(&server, &session).await;
    back.say(&Channel::resumption(&channel.resume_token, 0)).await;
    assert_eq!(back.hear_close().await, (vec!["SESSION_OVER".to_owned()], 4410));
    server.app.stop().await;
}

#[tokio::test]
async fn a_client_that_floods_is_slowed_and_then_shown_out() {
    let server = Server::start().await;
    let session = server.create_active().await;
    let (loud, calm) = (
        Person::with_role(&server, "participant").await,
        Person::with_role(&server, "participant").await,
    );
    let (mut channel, _) = Channel::enter(&server, &session, &loud).await;
    let (mut beside, _) = Channel::enter(&server, &session, &calm).await;
    channel.flood(&Message::text(json!({"type": "ping"}).to_string()), 1_000).await;
    let (errors, close) = channel.hear_close().await;
    assert_eq!(close, 4408);
    assert!(errors.len() > 100, "{}", errors.len());
    assert!(errors.iter().all(|code| code == "RATE_LIMITED"), "{errors:?}");
    beside.done(json!({"type": "chat", "text": "calm"})).await;
    server.app.stop().await;
}

/// Everybody hears the same events in the same order.
#[tokio::test]
async fn everybody_hears_the_same() {
    let server = Server::start().await;
    let session = server.create_active().await;
    let mut channels = Vec::new();
    for _ in 0..4 {
        let person = Person::with_role(&server, "participant").await;
        channels.push(Channel::enter(&server, &session, &person).await.0);
    }
    for channel in &mut channels {
        channel.say(&json!({"type": "request_speech", "kind": "normal"})).await;
        channel
            .say(&json!({"type": "set_media", "audio": true, "video": true, "screen": false}))
            .await;
    }
    channels[0].done(json!({"type": "chat", "text": "last"})).await;
    let mut heard = Vec::new();
    for channel in &mut channels {
        let told = async {
            while channel.events.last().is_none_or(|event| event["text"] != "last") {
                assert!(matches!(channel.hear().await, Heard::Message(_)));
            }
        };
        tokio::time::timeout(Duration::from_secs(30), told).await.expect("told");
        heard.push(channel.events.clone());
    }
    let tail = heard.iter().map(Vec::len).min().expect("four");
    for events in &heard {
        let common = |all: &Vec<Value>| all[all.len() - tail.min(8)..].to_vec();
        assert_eq!(common(events), common(&heard[0]));
    }
    server.app.stop().await;
}

#[tokio::test]
async fn a_section_of_an_offer_that_is_refused_is_named_in_the_answer() {
    let server = Server::start().await;
    let session = server.create_active().await;
    let person = Person::with_role(&server, "participant").await;
    let (mut channel, _) = Channel::enter(&server, &session, &person).await;
    let offered = |sdp: &str| json!({"type": "offer", "transport": "publish", "sdp": sdp, "id": 1});
    let whole = offer("whip");
    channel.say(&offered(&with_a_section_too_many(&whole))).await;
    let answer = channel.hear_type("answer").await;
    assert_eq!(answer["tracks"].as_array().map(Vec::len), Some(1), "{answer}");
    let [refused] = answer["refused"].as_array().expect("refused").as_slice() else {
        panic!("{answer}")
    };
    assert_eq!(
        (&refused["mid"], &refused["media"], &refused["code"]),
        (&json!("odd"), &json!("video"), &json!("CODEC_UNSUPPORTED"))
    );
    assert!(refused["message"].as_str().is_some_and(|it| it.contains("Opus")), "{refused}");
    let (mut plain, _) = Channel::enter(&server, &session, &person).await;
    plain.say(&offered(&offer("whip"))).await;
    assert_eq!(plain.hear_type("answer").await["refused"], Value::Null, "nothing was refused");
    server.app.stop().await;
}

#[tokio::test]
async fn who_presides_is_told_to_whoever_enters_and_kept_over_a_restart() {
    let server = Server::start().await;
    let session = server.create_active().await;
    let first = Person::named(&server, "first", "moderator").await;
    let vice = Person::named(&server, "vice", "moderator").await;
    let ana = Person::named(&server, "ana", "participant").await;
    let (mut ana_channel, welcome) = Channel::enter(&server, &session, &ana).await;
    assert_eq!(welcome["chair"], Value::Null);
    let (mut first_channel, welcome) = Channel::enter(&server, &session, &first).await;
    let presides = |who: &str| json!({"user_id": who, "name": "Somebody"});
    assert_eq!(welcome["chair"], presides("first"));
    let told = ana_channel.hear_type("chair_changed").await;
    assert_eq!((&told["user_id"], &told["by"]), (&json!("first"), &Value::Null));
    let (mut vice_channel, welcome) = Channel::enter(&server, &session, &vice).await;
    assert_eq!(welcome["chair"], presides("first"));
    let seen = welcome["seq"].clone();
    vice_channel.done(json!({"type": "take_chair", "seen": seen})).await;
    let told = ana_channel.hear_type("chair_changed").await;
    assert_eq!((&told["user_id"], &told["name"]), (&json!("vice"), &json!("Somebody")));
    assert_eq!(told["by"], "vice");
    // Whoever has not seen that does not take it back by accident.
    let stale = json!({"type": "take_chair", "seen": seen});
    assert_eq!(first_channel.refused(stale).await, "DECISION_STALE");
    for wrong in
        [json!({"type": "take_chair", "user_id": "ana"}), json!({"type": "take_chair", "seen": -1})]
    {
        assert_eq!(first_channel.refused(wrong).await, "MALFORMED_REQUEST");
    }
    let server = Box::pin(server.restart()).await;
    let late = Person::named(&server, "late", "moderator").await;
    let (_late_channel, welcome) = Channel::enter(&server, &session, &late).await;
    assert_eq!(welcome["chair"], presides("vice"));
    server.app.stop().await;
}
