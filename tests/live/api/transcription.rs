//! Recorded speech, published to a whole server, becomes text in everybody's channel; and what a
//! server does whose model can't be used.

use std::time::{Duration, Instant, SystemTime};

use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::routing::post;
use cabildo::domain::id::TenantId;
use cabildo::load::client::{
    ClientEvent, ClientOptions, Identity, MediaClient, Profile, TrackOptions,
};
use cabildo::load::driver::{ClientHandle, Driver, Loss, Timed};
use cabildo::services::BREAKER_CALLS_MIN;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::mpsc::{Receiver, UnboundedReceiver, unbounded_channel};

use crate::api::channel_client::{Channel, Heard};
use crate::api::person::Person;
use crate::api::server::{Server, send};
use crate::api::services::platform;
use crate::speech::{PACKET, encode, model, samples, silence};

/// Long enough for any machine; nothing waits for it when all is well.
const PATIENCE: Duration = Duration::from_mins(1);
/// What the model of the tests is called in texts.
const LOCAL: &str = "whisper cabildo-micro.ggml";
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// How often something is said: a busy machine lets some of it go.
const TIMES: usize = 8;

/// A microphone that says these recordings again and again, with a second of silence behind each.
fn microphone(files: &[&str]) -> MediaClient {
    let once: Vec<i16> =
        files.iter().flat_map(|file| [samples(file), silence(1)].concat()).collect();
    microphone_with(once.repeat(TIMES))
}

/// Waits for these words, and answers what was told with them.
async fn reads(channel: &mut Channel, words: &str) -> Value {
    let told = async {
        loop {
            let chunk = channel.hear_type("transcript_chunk").await;
            if chunk["text"] == words {
                return chunk;
            }
        }
    };
    tokio::time::timeout(PATIENCE, told).await.unwrap_or_else(|_| panic!("{words}: not in time"))
}

/// A microphone that sends these samples, and silence behind them.
fn microphone_with(spoken: Vec<i16>) -> MediaClient {
    let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    let identity = Identity::generate(&[Profile::AeadAes128Gcm]).expect("an identity");
    let options = ClientOptions { identity, seed: 1, epoch: Instant::now(), epoch_unix: unix };
    let mut client = MediaClient::publisher(options, &[TrackOptions::microphone()]);
    // What is said before the connection stands is not sent.
    let spoken = [spoken, silence(120)].concat();
    let packets: Vec<Vec<u8>> = encode(&spoken).into_iter().map(|sound| sound.payload).collect();
    let (mid, _) = client.sources().first().cloned().expect("a section");
    client.say(&mid, &packets);
    client
}

/// The samples of a recording until its last word ends.
fn spoken(file: &str) -> Vec<i16> {
    let mut samples = samples(file);
    let end = samples.iter().rposition(|sample| sample.abs() > 600).expect("a word");
    samples.truncate(end + 1);
    samples
}

/// A session that is transcribed in Spanish.
async fn session(server: &Server) -> String {
    let mut session = server.new_session();
    session["transcription"] = json!({"enabled": true, "language": "es-PY"});
    let request = server.govern(Method::POST, "/api/v1/sessions").json(&session);
    let answer = send(request).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let session = answer.json()["id"].as_str().expect("an id").to_owned();
    server.step(&session, "start").await;
    session
}

/// Publishes by WHIP; resolves once the media is connected. A microphone is made before anybody
/// enters: that takes long on a busy machine, and whoever reads nothing meanwhile is sent away.
async fn publish(
    server: &Server,
    session: &str,
    person: &Person,
    driver: &Driver,
    microphone: MediaClient,
) {
    let (client, mut events) = connect(server, session, person, driver, microphone).await;
    // The handles end the client when they are dropped.
    tokio::spawn(async move {
        let _client = client;
        while events.recv().await.is_some() {}
    });
}

/// Publishes what a client says.
async fn connect(
    server: &Server,
    session: &str,
    person: &Person,
    driver: &Driver,
    mut client: MediaClient,
) -> (ClientHandle, Receiver<Timed>) {
    let request = person
        .prove(server.request(Method::POST, &format!("/api/v1/sessions/{session}/whip")))
        .header("content-type", "application/sdp")
        .body(client.offer());
    let created = send(request).await;
    assert_eq!(created.status, 201, "{created:?}");
    let (client, mut events) = driver.add(client);
    let answer = created.text.clone();
    let taken = client.call(move |client, now| client.handle_answer(&answer, now)).await;
    taken.expect("it lives").expect("a usable answer");
    let (_, event) = events.recv().await.expect("it lives");
    assert!(matches!(event, ClientEvent::Connected { .. }), "{event:?}");
    (client, events)
}

async fn health(server: &Server) -> Value {
    send(server.request(Method::GET, "/health/ready")).await.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_becomes_text_in_the_channel_of_others() {
    let path = model().display().to_string();
    let server = Server::start_with(&[("transcription.model", &path)]).await;
    assert_eq!(health(&server).await["dependencies"]["transcription"], "ok");
    let session = session(&server).await;
    let microphone = microphone(&["es-hay-quorum.wav", "es-voto-a-favor.wav"]);
    let listener = Person::with_role(&server, "participant").await;
    let (mut channel, _) = Channel::enter(&server, &session, &listener).await;
    let speaker = Person::with_role(&server, "moderator").await;
    let driver = Driver::start(1, None).expect("started");
    publish(&server, &session, &speaker, &driver, microphone).await;
    for text in ["hay quórum", "voto a favor"] {
        let chunk = reads(&mut channel, text).await;
        assert_eq!(chunk["participant"], speaker.user_id.as_str(), "{chunk}");
        assert_eq!(chunk["final"], true, "{chunk}");
        assert_eq!(chunk["language"], "es-PY", "{chunk}");
        assert_eq!(chunk["engine"], "whisper cabildo-micro.ggml", "{chunk}");
    }
    let metrics = send(server.request(Method::GET, "/metrics")).await.text;
    assert!(metrics.contains("cabildo_transcript_chunks_emitted_total"), "{metrics}");
    assert!(metrics.contains("cabildo_transcription_latency_seconds"), "{metrics}");
    drop(driver);
    server.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_person_is_written_down_in_the_language_that_they_speak() {
    let path = model().display().to_string();
    let server = Server::start_with(&[("transcription.model", &path)]).await;
    let session = session(&server).await;
    let microphones =
        ["en-point-of-order.wav", "es-hay-quorum.wav"].map(|file| microphone(&[file]));
    let listener = Person::with_role(&server, "participant").await;
    let (mut channel, welcome) = Channel::enter(&server, &session, &listener).await;
    let languages = welcome["transcription"]["languages"].as_array().expect("a list");
    assert_eq!(languages.len(), 99, "those of the model");
    assert!(["es", "en", "pt"].iter().all(|known| languages.contains(&json!(known))));
    let (english, spanish) = (
        Person::with_role(&server, "moderator").await,
        Person::with_role(&server, "moderator").await,
    );
    let (mut theirs, _) = Channel::enter(&server, &session, &english).await;
    theirs.done(json!({"type": "set_language", "language": "en"})).await;
    let told = channel.hear_type("language_changed").await;
    assert_eq!(
        (&told["user_id"], &told["language"], &told["by"]),
        (&json!(english.user_id), &json!("en"), &json!(english.user_id))
    );
    let driver = Driver::start(1, None).expect("started");
    let [in_english, in_spanish] = microphones;
    publish(&server, &session, &english, &driver, in_english).await;
    publish(&server, &session, &spanish, &driver, in_spanish).await;
    let expected =
        [[&*english.user_id, "point of order", "en"], [&*spanish.user_id, "hay quórum", "es-PY"]]
            .map(|one| one.map(|text| json!(text)));
    let mut said = Vec::new();
    let both = async {
        while !expected.iter().all(|one| said.contains(one)) {
            let chunk = channel.hear_type("transcript_chunk").await;
            said.push(["participant", "text", "language"].map(|name| chunk[name].clone()));
        }
    };
    let heard = tokio::time::timeout(PATIENCE, both).await;
    assert!(heard.is_ok(), "not in time: {said:?}");
    drop(driver);
    server.app.stop().await;
}

/// What is told to whoever enters of somebody.
async fn language_shown(server: &Server, session: &str, who: &Person) -> Value {
    let reader = Person::with_role(server, "participant").await;
    let (_channel, welcome) = Channel::enter(server, session, &reader).await;
    let participants = welcome["participants"].as_array().expect("a list");
    let shown = participants.iter().find(|one| one["user_id"] == who.user_id.as_str());
    shown.expect("a participant")["language"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_language_that_can_not_become_text_or_is_not_theirs_to_say_is_refused() {
    let path = model().display().to_string();
    let server = Server::start_with(&[("transcription.model", &path)]).await;
    let session = session(&server).await;
    let (ana, chair, press) = (
        Person::with_role(&server, "participant").await,
        Person::with_role(&server, "moderator").await,
        Person::with_role(&server, "observer").await,
    );
    let (mut channel, _) = Channel::enter(&server, &session, &ana).await;
    let (mut console, _) = Channel::enter(&server, &session, &chair).await;
    let (mut reader, _) = Channel::enter(&server, &session, &press).await;
    let long = format!("es{}", "-abcdefgh".repeat(4));
    let endless = "es-".repeat(20_000);
    for language in ["", "e", "es_PY", "es-", "español", "12", "es\u{0}", &long, &endless] {
        let message = json!({"type": "set_language", "language": language});
        assert_eq!(channel.refused(message).await, "MALFORMED_REQUEST", "{language}");
    }
    for message in [
        json!({"type": "set_language"}),
        json!({"type": "set_language", "language": 7}),
        json!({"type": "set_language", "language": ["es"]}),
        json!({"type": "set_language", "language": "es", "user_id": ""}),
        json!({"type": "set_language", "language": "es", "track": "x"}),
    ] {
        assert_eq!(channel.refused(message.clone()).await, "MALFORMED_REQUEST", "{message}");
    }
    for language in ["xx", "und", "tlh", "es2", "spanish"] {
        let message = json!({"type": "set_language", "language": language});
        let code = channel.refused(message).await;
        let expected = if language == "es2" { "MALFORMED_REQUEST" } else { "LANGUAGE_UNSUPPORTED" };
        assert_eq!(code, expected, "{language}");
    }
    for language in [json!("en"), json!("xx"), Value::Null] {
        let other = json!({"type": "set_language", "language": language, "user_id": chair.user_id});
        assert_eq!(channel.refused(other).await, "FORBIDDEN", "{language}");
        let own = json!({"type": "set_language", "language": language});
        assert_eq!(reader.refused(own).await, "FORBIDDEN", "{language}");
    }
    let nobody = json!({"type": "set_language", "language": "en", "user_id": "nobody"});
    assert_eq!(console.refused(nobody).await, "PARTICIPANT_NOT_FOUND");
    assert_eq!(language_shown(&server, &session, &ana).await, Value::Null, "nothing has changed");

    let other = json!({"type": "set_language", "language": "EN-gb", "user_id": ana.user_id});
    console.done(other).await;
    let told = channel.hear_type("language_changed").await;
    assert_eq!((&told["language"], &told["by"]), (&json!("en-GB"), &json!(chair.user_id)));
    assert_eq!(language_shown(&server, &session, &ana).await, "en-GB");
    channel.done(json!({"type": "set_language", "language": null})).await;
    assert_eq!(language_shown(&server, &session, &ana).await, Value::Null);
    server.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_engine_nobody_says_what_they_speak() {
    let server = Server::start().await;
    let session = session(&server).await;
    let ana = Person::with_role(&server, "participant").await;
    let (mut channel, welcome) = Channel::enter(&server, &session, &ana).await;
    let expected = json!({"state": "unavailable", "language": "es-PY", "languages": []});
    assert_eq!(welcome["transcription"], expected);
    let message = json!({"type": "set_language", "language": "es"});
    assert_eq!(channel.refused(message).await, "LANGUAGE_UNSUPPORTED");
    channel.done(json!({"type": "set_language", "language": null})).await;
    server.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_just_before_the_end_of_a_session_is_in_its_transcript() {
    let path = model().display().to_string();
    let server = Server::start_with(&[("transcription.model", &path)]).await;
    let session = session(&server).await;
    let speaker = Person::with_role(&server, "moderator").await;
    let driver = Driver::start(1, None).expect("started");
    let words = spoken("es-voto-a-favor.wav");
    let packets = words.len().div_ceil(PACKET) as u64;
    let microphone = microphone_with(words);
    let (client, _events) = connect(&server, &session, &speaker, &driver, microphone).await;
    // The session ends before the pause that ends a piece of speech is over.
    tokio::time::timeout(PATIENCE, async {
        while client.call(|client, _| client.counts()).await.expect("it lives").packets_sent
            < packets
        {
            // Whoever recognises it has little time and needs the processor.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("in time");
    server.step(&session, "end").await;
    let path = format!("/api/v1/sessions/{session}/transcript");
    // It is read from the log, which has the last events of the room a little later.
    let text = tokio::time::timeout(PATIENCE, async {
        loop {
            let transcript = speaker.read(&server, Method::GET, &path).await;
            assert_eq!(transcript.status, 200, "{transcript:?}");
            let text = transcript.json();
            if text["items"].as_array().is_some_and(|items| !items.is_empty()) {
                return text;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    })
    .await
    .expect("in time");
    assert_eq!(text["items"][0]["text"], "voto a favor", "{text}");
    drop(driver);
    server.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_not_transcribed_has_no_text() {
    let path = model().display().to_string();
    let server = Server::start_with(&[("transcription.model", &path)]).await;
    let silent = server.create_active().await;
    let transcribed = session(&server).await;
    let [unheard, other_microphone] = [(); 2].map(|()| microphone(&["es-hay-quorum.wav"]));
    let listener = Person::with_role(&server, "participant").await;
    let (mut channel, _) = Channel::enter(&server, &silent, &listener).await;
    let speaker = Person::with_role(&server, "moderator").await;
    let driver = Driver::start(1, Some(Loss { ratio: 0.05, seed: 1 })).expect("started");
    publish(&server, &silent, &speaker, &driver, unheard).await;
    let other = Person::with_role(&server, "moderator").await;
    let (mut heard, _) = Channel::enter(&server, &transcribed, &other).await;
    publish(&server, &transcribed, &other, &driver, other_microphone).await;
    let chunk = tokio::time::timeout(PATIENCE, heard.hear_type("transcript_chunk"));
    assert_eq!(chunk.await.expect("in time")["text"], "hay quórum", "with 5 % loss");
    // Whoever spoke first was not written down; what is told next is the chat.
    channel.done(json!({"type": "chat", "text": "hello"})).await;
    let metrics = send(server.request(Method::GET, "/metrics")).await.text;
    assert!(metrics.contains("cabildo_transcriber_tracks{engine=\"whisper\"} 1"), "{metrics}");
    drop(driver);
    server.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_model_can_not_be_used_starts_and_says_so() {
    let directory = tempfile::tempdir().expect("a directory");
    let whole = std::fs::read(model()).expect("the model");
    for (name, bytes, why) in [
        ("missing.bin", None, "can't be read"),
        ("other.bin", Some(&b"GGUF and so on"[..]), "not a ggml model"),
        ("cut.bin", Some(&whole[..whole.len() / 3]), "ends too early"),
    ] {
        let file = directory.path().join(name);
        if let Some(bytes) = bytes {
            std::fs::write(&file, bytes).expect("written");
        }
        let path = file.display().to_string();
        let server = Server::start_with(&[("transcription.model", &path)]).await;
        let health = health(&server).await;
        assert_eq!(health["status"], "degraded", "{health}");
        assert_eq!(health["dependencies"]["transcription"], "degraded", "{health}");
        let problem = health["problems"]["transcription"].as_str().expect("a problem");
        assert!(problem.contains(why), "{problem}");
        // The meeting takes place.
        let session = session(&server).await;
        let person = Person::with_role(&server, "participant").await;
        let (_channel, _) = Channel::enter(&server, &session, &person).await;
        server.app.stop().await;
    }
}

/// A server with OpenAI's interface that always answers so; its address.
async fn remote(status: u16, body: &'static str) -> String {
    let status = StatusCode::from_u16(status).expect("a status");
    // Reads what it is sent: a connection that is closed before that may take the answer with it.
    let answer = move |_sent: Bytes| async move { (status, body) };
    let routes = Router::new().route("/v1/audio/transcriptions", post(answer));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, routes).await.expect("served") });
    url
}

/// A server with OpenAI's interface; what it is told to expect with each piece.
async fn told_remote() -> (String, UnboundedReceiver<String>) {
    let (told, prompts) = unbounded_channel();
    let answer = move |body: Bytes| async move {
        let body = String::from_utf8_lossy(&body).into_owned();
        let prompt = body.split_once("name=\"prompt\"\r\n\r\n");
        let prompt = prompt.and_then(|(_, rest)| rest.split_once("\r\n")).map(|it| it.0);
        // A test that has ended wants no more.
        told.send(prompt.unwrap_or_default().to_owned()).ok();
        r#"{"text":"hay acuerdo"}"#
    };
    let routes = Router::new().route("/v1/audio/transcriptions", post(answer));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, routes).await.expect("served") });
    (url, prompts)
}

#[tokio::test(flavor = "multi_thread")]
async fn engines_are_told_names_of_the_eligible_list_when_the_tenant_allows_it() {
    let (_platform, profiles) = platform().await;
    let (remote, mut prompts) = told_remote().await;
    let tenant = TenantId::generate();
    let keys = [
        ("services.user_profiles.url", profiles.as_str()),
        ("transcription.openai.url", remote.as_str()),
        ("transcription.eligible_names", &tenant.to_string()),
    ];
    let mut server = Server::start_with(&keys).await;
    first_heard(&server, 2).await;
    while let Ok(prompt) = prompts.try_recv() {
        assert_eq!(prompt, "", "this tenant did not allow it");
    }
    server.tenant = tenant;
    let session = session(&server).await;
    let microphone = microphone(&["es-hay-quorum.wav"; 20]);
    let speaker = Person::with_role(&server, "moderator").await;
    let (_channel, _) = Channel::enter(&server, &session, &speaker).await;
    let driver = Driver::start(1, None).expect("started");
    publish(&server, &session, &speaker, &driver, microphone).await;
    let named = async {
        loop {
            let prompt = prompts.recv().await.expect("it is asked");
            // Pieces that were said before the list came have none.
            if !prompt.is_empty() {
                return prompt;
            }
        }
    };
    let prompt = tokio::time::timeout(PATIENCE, named).await.expect("in time");
    assert!(prompt.starts_with("Ana (unit 101), "), "{prompt}");
    assert!(prompt.len() <= 600, "{}", prompt.len());
    server.app.stop().await;
}

/// What the members of a session of the server's tenant are told first of what is said.
async fn first_heard(server: &Server, times: usize) -> Value {
    let session = session(server).await;
    let microphone = microphone(&vec!["es-hay-quorum.wav"; times]);
    let speaker = Person::with_role(server, "moderator").await;
    let (mut channel, welcome) = Channel::enter(server, &session, &speaker).await;
    assert_eq!(welcome["transcription"]["state"], "on", "{welcome}");
    let driver = Driver::start(1, None).expect("started");
    publish(server, &session, &speaker, &driver, microphone).await;
    let heard = async {
        let mut first = Value::Null;
        for _ in 0..times {
            loop {
                let Heard::Message(message) = channel.hear().await else { panic!("closed") };
                let kind = message["type"].as_str().unwrap_or_default();
                // A busy machine lets some of it go.
                if ["transcript_chunk", "transcript_gap"].contains(&kind)
                    && message["cause"] != "overload"
                {
                    first = message;
                    break;
                }
            }
        }
        first
    };
    tokio::time::timeout(PATIENCE, heard).await.expect("in time")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_may_have_an_engine_of_its_own_or_none() {
    let path = model().display().to_string();
    let (url, broken) = (remote(200, r#"{"text":"hay acuerdo"}"#).await, remote(500, "{}").await);
    let tenants = ["city", "broken", "covered", "none"].map(|name| (TenantId::generate(), name));
    let of_tenants =
        tenants.map(|(tenant, name)| (format!("transcription.tenants.{tenant}"), name));
    let mut keys = vec![
        ("transcription.model", path.as_str()),
        ("transcription.engines.city.url", &url),
        ("transcription.engines.broken.url", &broken),
        ("transcription.engines.broken.fallback", "false"),
        ("transcription.engines.covered.url", &broken),
    ];
    keys.extend(of_tenants.iter().map(|(key, name)| (key.as_str(), *name)));
    let mut server = Server::start_with(&keys).await;
    assert_eq!(health(&server).await["dependencies"]["transcription"], "ok");
    let said = first_heard(&server, 1).await;
    assert_eq!((&said["text"], &said["engine"]), (&json!("hay quórum"), &json!(LOCAL)));
    let [(city, _), (broken, _), (covered, _), (none, _)] = tenants;
    server.tenant = city;
    let said = first_heard(&server, 1).await;
    assert_eq!(
        (&said["text"], &said["engine"]),
        (&json!("hay acuerdo"), &json!("openai whisper-1"))
    );
    server.tenant = covered;
    let said = first_heard(&server, 1).await;
    assert_eq!((&said["text"], &said["engine"]), (&json!("hay quórum"), &json!(LOCAL)));
    server.tenant = broken;
    let said = first_heard(&server, BREAKER_CALLS_MIN).await;
    assert_eq!(
        (&said["type"], &said["cause"]),
        (&json!("transcript_gap"), &json!("engine_failed"))
    );
    let health = health(&server).await;
    let problem = health["problems"]["transcription"].as_str().expect("a problem");
    assert!(problem.starts_with("broken: ") && !problem.contains("city: "), "{problem}");
    server.tenant = none;
    let session = session(&server).await;
    let person = Person::with_role(&server, "participant").await;
    let (_channel, welcome) = Channel::enter(&server, &session, &person).await;
    assert_eq!(welcome["transcription"]["state"], "unavailable", "{welcome}");
    let metrics = send(server.request(Method::GET, "/metrics")).await.text;
    for name in ["city", "covered", "broken", "whisper"] {
        let pieces = format!("cabildo_transcriber_pieces_total{{engine=\"{name}\"}}");
        assert!(metrics.contains(&pieces), "{name}: {metrics}");
    }
    server.app.stop().await;
}
