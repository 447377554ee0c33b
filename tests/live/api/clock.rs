//! The clock of the machine is set while a meeting runs.

use std::sync::atomic::Ordering;

use cabildo::domain::id::SessionKey;
use cabildo::room::repository::RoomRepository as _;
use reqwest::{Method, RequestBuilder};
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::{Rfc2822, Rfc3339};

use super::channel_client::{Channel, ask, event};
use super::media::offer;
use super::person::Person;
use super::playback::{Hall, text};
use super::server::{Answer, Server, send};
use crate::rtsp_camera::Behaviour;

/// How far clocks of clients are off, seconds: two days and ten minutes.
const OFF_S: [i64; 4] = [-172_800, -600, 600, 172_800];
/// How far the clock is set forward, seconds.
const SET_S: i64 = 300;

#[tokio::test]
async fn a_clock_that_is_set_is_no_speaking_time_and_everybody_is_told() {
    let server = Server::start().await;
    let session = server.create_active().await;
    let chair = Person::named(&server, "chair", "moderator").await;
    let ana = Person::named(&server, "ana", "participant").await;
    let (mut chair, _) = Channel::enter(&server, &session, &chair).await;
    let (mut ana, _) = Channel::enter(&server, &session, &ana).await;
    let wish = json!({"type": "request_speech", "kind": "normal"});
    let request = ask(&mut ana, wish, 1).await["request_id"].clone();
    let approve = json!({"type": "approve_speech", "request_id": request});
    assert_eq!(ask(&mut chair, approve, 1).await["type"], "ack");
    let start = json!({"type": "start_turn", "request_id": request});
    assert_eq!(ask(&mut chair, start, 2).await["type"], "ack");

    server.set_us.store(SET_S * 1_000_000, Ordering::SeqCst);
    let told = event(&mut ana, "clock_stepped").await;
    let by_ms = told["by_ms"].as_i64().expect("a number");
    assert!((by_ms - SET_S * 1_000).abs() < 1_000, "{told}");
    let health = send(server.request(Method::GET, "/health/ready")).await.json();
    assert_eq!(health["dependencies"]["clock"], "degraded", "{health}");

    assert_eq!(ask(&mut chair, json!({"type": "pause_turn"}), 3).await["type"], "ack");
    let paused = event(&mut ana, "turn_paused").await;
    let used_ms = paused["used_ms"].as_i64().expect("a number");
    assert!((0..SET_S * 1_000).contains(&used_ms), "{paused}");

    // Tokens are judged by the clock that the issuer has as well.
    let late = Person::with_role(&server, "observer").await;
    let (_late, welcome) = Channel::enter(&server, &session, &late).await;
    assert_eq!(welcome["floor"]["turn"]["used_ms"], paused["used_ms"]);

    // Once no session is open, the server takes on the time of the machine, but for a day nothing grows
    // old by it; set right again, it is a clock like any other.
    server.step(&session, "end").await;
    let problem = async || {
        let health = send(server.request(Method::GET, "/health/ready")).await.json();
        health["problems"]["clock"].as_str().map(str::to_owned)
    };
    while problem().await.is_some_and(|problem| problem.contains("open sessions")) {
        tokio::task::yield_now().await;
    }
    assert!(problem().await.is_some_and(|problem| problem.contains("stood for a day")));
    server.set_us.store(0, Ordering::SeqCst);
    while problem().await.is_some() {
        tokio::task::yield_now().await;
    }
    server.app.stop().await;
}

#[tokio::test]
async fn a_turn_keeps_its_time_when_the_clock_was_set_and_the_server_starts_again() {
    // How the clock is set while the session runs, and then while no process runs, seconds. Tokens are
    // judged by that clock, so it is not set back by more than they allow.
    for (by_s, then_s) in [(SET_S, 0), (SET_S, -SET_S), (-25, 0), (-25, 25)] {
        let server = Server::start().await;
        let session = server.create_active().await;
        let chair = Person::named(&server, "chair", "moderator").await;
        let ana = Person::named(&server, "ana", "participant").await;
        let (mut chair_channel, _) = Channel::enter(&server, &session, &chair).await;
        let (mut channel, _) = Channel::enter(&server, &session, &ana).await;
        let wish = json!({"type": "request_speech", "kind": "normal"});
        let request = ask(&mut channel, wish, 1).await["request_id"].clone();
        let approve = json!({"type": "approve_speech", "request_id": request});
        assert_eq!(ask(&mut chair_channel, approve, 1).await["type"], "ack");
        let start = json!({"type": "start_turn", "request_id": request});
        assert_eq!(ask(&mut chair_channel, start, 2).await["type"], "ack");
        let begun = event(&mut channel, "turn_started").await;

        server.set_us.store(by_s * 1_000_000, Ordering::SeqCst);
        event(&mut channel, "clock_stepped").await;
        let stopped = server.stop().await;
        stopped.set_us.fetch_add(then_s * 1_000_000, Ordering::SeqCst);
        let server = stopped.start_with(&[]).await;

        let (mut chair, welcome) = Channel::enter(&server, &session, &chair).await;
        assert_eq!(welcome["floor"]["turn"]["user_id"], "ana", "the turn goes on: {welcome}");
        assert_eq!(ask(&mut chair, json!({"type": "pause_turn"}), 3).await["type"], "ack");
        let paused = event(&mut chair, "turn_paused").await;
        let at = |event: &serde_json::Value| {
            OffsetDateTime::parse(event["at"].as_str().expect("a time"), &Rfc3339).expect("a time")
        };
        let passed = at(&paused) - at(&begun);
        assert!(
            (0..60).contains(&passed.whole_seconds()) && passed.is_positive(),
            "{by_s}, {then_s}: {begun}, {paused}"
        );
        let used_ms = paused["used_ms"].as_i64().expect("a number");
        assert!((1..60_000).contains(&used_ms), "{by_s}, {then_s}: {paused}");

        // Everybody was told once of each time that the clock was set.
        let told = clock_steps_of(&server, &session).await;
        let wanted = [by_s, then_s].into_iter().filter(|by_s| *by_s != 0);
        assert!(told.iter().map(|by_ms| by_ms / 1_000).eq(wanted), "{by_s}, {then_s}: {told:?}");

        server.step(&session, "end").await;
        server.app.stop().await;
    }
}

#[tokio::test]
async fn whoever_comes_back_after_the_clock_was_set_has_what_their_token_had_left() {
    // Two hours: development tokens live for one.
    for by_s in [7_200, -7_200] {
        let server = Server::start().await;
        let session = server.create_active().await;
        let ana = Person::with_role(&server, "participant").await;
        let (channel, welcome) = Channel::enter(&server, &session, &ana).await;
        // Half a minute before its end.
        server.ahead_us.store((3_600 - 30) * 1_000_000, Ordering::SeqCst);
        server.set_us.store(by_s * 1_000_000, Ordering::SeqCst);
        let mut back = Channel::open(&server, &session).await;
        back.say(&Channel::resumption(&channel.resume_token, 0)).await;
        let resumed = back.welcome().await;
        assert_eq!(resumed["you"]["connection_id"], welcome["you"]["connection_id"], "{by_s}");
        back.hear_type("token_expiring").await;
        let line = json!({"type": "chat", "text": "here"});
        assert_eq!(ask(&mut back, line, 1).await["type"], "ack", "{by_s}");
        server.app.stop().await;
    }
}

#[tokio::test]
async fn whoever_watches_a_camera_goes_on_when_the_clock_is_set() {
    // Two days are more than a stream session lasts.
    const DAYS_S: i64 = 2 * 86_400;
    // No meeting is open, so that the server takes on the time to which the clock is set.
    let hall = Hall::with(Behaviour::default()).await;
    let began = OffsetDateTime::now_utc();
    for set_s in [DAYS_S, 0] {
        let path = hall.watch(&hall.issue().await).await;
        assert_eq!(hall.get(&path).await.status, 200);
        hall.server.set_us.store(set_s * 1_000_000, Ordering::SeqCst);
        let is_taken_on = async || {
            let session = hall.issue().await;
            let expires_at = OffsetDateTime::parse(text(&session["expiresAt"]), &Rfc3339);
            let ahead = expires_at.expect("a time") - began;
            (ahead.whole_seconds() > DAYS_S) == (set_s > 0)
        };
        while !is_taken_on().await {
            tokio::task::yield_now().await;
        }
        // They end when they are not used for a minute, and not by the time of the clock.
        for seconds in [0, 20, 20, 20, 20, 59] {
            hall.server.ahead_us.fetch_add(seconds * 1_000_000, Ordering::SeqCst);
            let answer = hall.get(&path).await;
            assert_eq!(answer.status, 200, "{set_s}: {answer:?}");
        }
        hall.server.ahead_us.fetch_add(400 * 1_000_000, Ordering::SeqCst);
        let over = hall.get(&path).await;
        assert_eq!(over.code(), "PLAYBACK_SESSION_CLOSED", "{set_s}: {over:?}");
    }
    hall.stop().await;
}

/// By how much the clock was set in a session, rounded to seconds, in milliseconds.
async fn clock_steps_of(server: &Server, session: &str) -> Vec<i64> {
    let key = SessionKey::new(server.tenant, session.parse().expect("an id"));
    let events = server.store().await.events_after(key, 0, 1_000).await.expect("events");
    let steps = events.iter().filter(|event| event.kind == "clock_stepped").map(|event| {
        let event: serde_json::Value = serde_json::from_str(&event.payload).expect("JSON");
        let by_ms = event["by_ms"].as_i64().expect("a number");
        (by_ms + by_ms.signum() * 500) / 1_000 * 1_000
    });
    steps.collect()
}

/// A client whose clock is `off_s` seconds off, until the server tells it the time.
struct OffClient {
    person: Person,
    off_s: i64,
    nonce: Option<String>,
}

impl OffClient {
    /// Its time now, seconds since 1970.
    fn now_s(&self) -> u64 {
        let now_s = OffsetDateTime::now_utc().unix_timestamp() + self.off_s;
        now_s.try_into().expect("after 1970")
    }

    /// Calls with a proof; once more when it is refused, with the nonce and the time of the answer.
    async fn call(
        &mut self,
        server: &Server,
        method: Method,
        path: &str,
        adjust: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Answer {
        let mut answer = self.call_once(server, &method, path, &adjust).await;
        if answer.status == 401 {
            let date = OffsetDateTime::parse(answer.header("date"), &Rfc2822).expect("a date");
            self.off_s = date.unix_timestamp() - OffsetDateTime::now_utc().unix_timestamp();
            self.nonce = Some(answer.header("dpop-nonce").to_owned());
            answer = self.call_once(server, &method, path, &adjust).await;
        }
        answer
    }

    async fn call_once(
        &self,
        server: &Server,
        method: &Method,
        path: &str,
        adjust: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Answer {
        let url = format!("{}{path}", server.http);
        let proof = self.person.proof_at(self.now_s(), method, &url, self.nonce.as_deref());
        let request = server.request(method.clone(), path);
        let request = request.header("authorization", format!("DPoP {}", self.person.token));
        send(adjust(request.header("dpop", proof))).await
    }
}

#[tokio::test]
async fn a_client_whose_clock_is_wrong_gets_in_at_every_door() {
    let server = Server::start().await;
    let session = server.create_active().await;
    let of_session = |route: &str| format!("/api/v1/sessions/{session}{route}");
    let sdp = |kind: &'static str| {
        move |request: RequestBuilder| {
            request.header("content-type", "application/sdp").body(offer(kind))
        }
    };
    for off_s in OFF_S {
        // Every door is the first one that a client comes to.
        let client = async |role: &str| {
            let person = Person::with_role(&server, role).await;
            OffClient { person, off_s, nonce: None }
        };
        let whole = of_session("");
        let mut reader = client("participant").await;
        let read = reader.call(&server, Method::GET, &whole, |request| request).await;
        assert_eq!(read.status, 200, "a read, {off_s} s: {read:?}");
        let tag = read.header("etag");
        let change = json!({"title": "Assembly"});
        let mut chair = client("moderator").await;
        let patched = chair
            .call(&server, Method::PATCH, &whole, |request| {
                request.header("if-match", tag).json(&change)
            })
            .await;
        assert_eq!(patched.status, 200, "a write, {off_s} s: {patched:?}");
        for kind in ["whip", "whep"] {
            let path = of_session(&format!("/{kind}"));
            let mut encoder = client("moderator").await;
            let opened = encoder.call(&server, Method::POST, &path, sdp(kind)).await;
            assert_eq!(opened.status, 201, "{kind}, {off_s} s: {opened:?}");
        }
        let wanted = json!({"kind": "whip", "ttl_s": 60});
        let path = of_session("/media-tokens");
        let mut person = client("participant").await;
        let made = person.call(&server, Method::POST, &path, |request| request.json(&wanted)).await;
        assert_eq!(made.status, 201, "a media token, {off_s} s: {made:?}");
        let mut channel = Channel::open(&server, &session).await;
        let told = OffsetDateTime::parse(&channel.server_time, &Rfc3339).expect("a time");
        let entering = client("participant").await;
        // Minutes are no matter; of days, the time that the server has just told helps.
        let dated_s = if off_s.abs() < 86_400 {
            entering.now_s()
        } else {
            told.unix_timestamp().try_into().expect("after 1970")
        };
        let credentials = channel.credentials_at(&entering.person, dated_s);
        channel.say(&credentials).await;
        channel.welcome().await;
    }
    server.app.stop().await;
}
