//! Sessions whose meetings are with Google Meet and Zoom: a whole server beside the
//! stand-in for both.

use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cabildo::domain::id::TenantId;
use cabildo::services::BREAKER_WINDOW;
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::api::channel_client::Channel;
use crate::api::person::{Person, token};
use crate::api::server::{Answer, Server, send};
use crate::api::services::platform;
use crate::platform::providers::{
    ACCOUNT, CLIENT, CLIENT_SECRET, HOST, HOST_TOKEN, SUBJECT, google_credentials,
};
use crate::platform::{Mood, Platform};

const SESSIONS: &str = "/api/v1/sessions";
const WEBHOOK: &str = "/api/v1/providers/zoom/webhook";
const WEBHOOK_SECRET: &str = "webhook-secret";
/// How often something that the server does by itself is looked for, and how long.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_mins(1);

/// A server, the stand-in, and the keys of the configuration that join them.
struct World {
    server: Server,
    platform: Platform,
    keys: Vec<(String, String)>,
}

fn keys_for(url: &str) -> Vec<(String, String)> {
    let zoom = [
        ("account_id", ACCOUNT.to_owned()),
        ("client_id", CLIENT.to_owned()),
        ("client_secret", CLIENT_SECRET.to_owned()),
        ("host_user", HOST.to_owned()),
        ("webhook_secret", WEBHOOK_SECRET.to_owned()),
        ("api_url", format!("{url}/v2")),
        ("token_url", format!("{url}/oauth/token")),
    ];
    let google_meet = [
        ("credentials", google_credentials()),
        ("subject", SUBJECT.to_owned()),
        ("api_url", url.to_owned()),
        ("token_url", format!("{url}/token")),
    ];
    let zoom = zoom.into_iter().map(|(key, value)| (format!("providers.zoom.{key}"), value));
    let google_meet = google_meet.into_iter();
    let google_meet =
        google_meet.map(|(key, value)| (format!("providers.google_meet.{key}"), value));
    zoom.chain(google_meet).collect()
}

fn borrowed(keys: &[(String, String)]) -> Vec<(&str, &str)> {
    keys.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

impl World {
    async fn start() -> Self {
        let (platform, url) = platform().await;
        let keys = keys_for(&url);
        let server = Server::start_with(&borrowed(&keys)).await;
        Self { server, platform, keys }
    }

    async fn create(&self, provider: &str, key: Option<&str>) -> Answer {
        let mut body = self.server.new_session();
        body["provider"] = json!(provider);
        body["modality"] = json!("virtual");
        let mut request = self.server.govern(Method::POST, SESSIONS).json(&body);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        send(request).await
    }

    async fn active(&self, provider: &str) -> String {
        let created = self.create(provider, None).await;
        assert_eq!(created.status, 201, "{created:?}");
        let session = created.json()["id"].as_str().expect("an id").to_owned();
        self.server.step(&session, "start").await;
        session
    }

    async fn session(&self, id: &str) -> Value {
        self.read(&format!("{SESSIONS}/{id}")).await
    }

    async fn count(&self) -> usize {
        self.read(SESSIONS).await["items"].as_array().expect("items").len()
    }

    /// What a reader is told whose token needs no proof.
    async fn read(&self, path: &str) -> Value {
        let server = &self.server;
        let token = token(server, server.tenant, ("reader", "moderator"), None, None).await;
        let answer = send(server.request(Method::GET, path).bearer_auth(token)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    fn pass(&self, span: Duration) {
        let us = i64::try_from(span.as_micros()).expect("short");
        self.server.ahead_us.fetch_add(us, Ordering::SeqCst);
    }

    /// Seconds since 1970 by the server's clock.
    fn now_s(&self) -> i64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        let ahead = self.server.ahead_us.load(Ordering::SeqCst) / 1_000_000;
        i64::try_from(now).expect("soon") + ahead
    }

    async fn webhook(&self, signed_s: i64, secret: &str, body: &Value) -> Answer {
        let text = body.to_string();
        let signature = signature(signed_s, secret, &text);
        self.webhook_raw(&signed_s.to_string(), &signature, text).await
    }

    async fn webhook_raw(&self, signed: &str, signature: &str, body: String) -> Answer {
        let request = self.server.request(Method::POST, WEBHOOK).body(body);
        let request = request.header("x-zm-request-timestamp", signed);
        send(request.header("x-zm-signature", signature)).await
    }

    async fn has_status(&self, session: &str, status: &str) {
        let has = async {
            while self.session(session).await["status"] != status {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        tokio::time::timeout(PATIENCE, has).await.expect("it gets there");
    }
}

async fn becomes(holds: impl Fn() -> bool) {
    let holds = async {
        while !holds() {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    tokio::time::timeout(PATIENCE, holds).await.expect("it becomes so");
}

fn signature(signed_s: i64, secret: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length");
    mac.update(format!("v0:{signed_s}:{body}").as_bytes());
    let bytes = mac.finalize().into_bytes();
    let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("v0={}", digits.concat())
}

fn event(kind: &str, id: &str, at_ms: i64) -> Value {
    json!({
        "event": kind, "event_ts": at_ms,
        "payload": {
            "account_id": ACCOUNT,
            "object": { "id": id, "uuid": "/a//b==", "host_id": "h", "topic": "t" },
        },
    })
}

#[tokio::test]
async fn a_session_has_one_meeting_whose_link_is_for_participants() {
    let world = World::start().await;
    let zoom = world.create("zoom", Some("one")).await;
    assert_eq!(zoom.status, 201, "{zoom:?}");
    let again = world.create("zoom", Some("one")).await;
    assert_eq!(again.json()["id"], zoom.json()["id"]);
    let (id, meeting) = world.platform.meetings().into_iter().next().expect("made");
    assert_eq!(world.platform.meetings().len(), 1);
    assert_eq!(meeting.topic, "Ordinary general assembly");
    assert_eq!(zoom.json()["meeting"]["join_url"], format!("https://zoom.us/j/{id}?pwd=abc"));
    let page = zoom.json()["join_url"].as_str().expect("a page").to_owned();
    assert!(page.starts_with(&world.server.http) || page.contains("/join?session="), "{page}");
    let meet = world.create("google_meet", None).await;
    assert_eq!(meet.json()["meeting"]["join_url"], "https://meet.google.com/space-1");
    assert_eq!(world.platform.spaces()["Space-1"].access, "OPEN");
    let own = world.create("webrtc", None).await;
    assert_eq!(own.json()["meeting"], Value::Null);
    // What lets somebody in as the host is nowhere.
    let session = zoom.json()["id"].as_str().expect("an id").to_owned();
    world.server.step(&session, "start").await;
    let shown = world.session(&session).await;
    assert_eq!(shown["meeting"], zoom.json()["meeting"]);
    for text in [zoom.text, shown.to_string()] {
        assert!(!text.contains(HOST_TOKEN), "{text}");
    }
    let directory = world.server.data_dir().to_owned();
    world.server.app.stop().await;
    let mut files = 0;
    for entry in std::fs::read_dir(directory).expect("a directory").flatten() {
        let Ok(bytes) = std::fs::read(entry.path()) else { continue };
        files += 1;
        let has = bytes.windows(HOST_TOKEN.len()).any(|part| part == HOST_TOKEN.as_bytes());
        assert!(!has, "{:?}", entry.path());
    }
    assert!(files > 0, "the database is there");
}

#[tokio::test]
async fn a_provider_that_fails_is_an_error_of_the_caller_and_leaves_no_session() {
    let world = World::start().await;
    for (mood, code, wait_s) in [
        (Mood::Failing(403), "PROVIDER_REFUSED", Some("60")),
        (Mood::Limited("2126-11-29".to_owned()), "PROVIDER_LIMIT_REACHED", Some("86400")),
        (Mood::Lying, "PROVIDER_UNAVAILABLE", None),
        (Mood::Failing(500), "PROVIDER_UNAVAILABLE", None),
    ] {
        world.platform.set_mood("zoom", mood.clone());
        let refused = world.create("zoom", None).await;
        assert_eq!((refused.status, refused.code().as_str()), (503, code), "{mood:?}");
        let wait = refused.header("retry-after");
        assert!(!wait.is_empty() && wait_s.is_none_or(|wait_s| wait == wait_s), "{mood:?} {wait}");
    }
    assert_eq!(world.count().await, 0);
    let health = send(world.server.request(Method::GET, "/health/ready")).await;
    assert_eq!(health.json()["services"]["zoom"], "degraded");
    assert_eq!(health.json()["services"]["google_meet"], "ok");
    let metrics = send(world.server.request(Method::GET, "/metrics")).await.text;
    assert!(metrics.contains("cabildo_provider_meetings_total"), "{metrics}");
    // The other provider is not affected.
    assert_eq!(world.create("google_meet", None).await.status, 201);
    world.server.app.stop().await;
}

/// Zoom allows a hundred meetings a day, and then says so to every request until midnight.
#[tokio::test]
async fn a_limit_that_a_provider_has_reached_is_told_and_is_no_failure_of_it() {
    let world = World::start().await;
    let begun = world.active("zoom").await;
    // Both the interface and the place where tokens are given.
    for service in ["zoom", "zoom_token"] {
        world.platform.set_mood(service, Mood::Limited("2126-11-29".to_owned()));
    }
    for service in ["google_meet", "google_token"] {
        world.platform.set_mood(service, Mood::Limited("30".to_owned()));
    }
    let of_another_tenant = async |provider: &str| {
        let mut body = world.server.new_session();
        body["tenant_id"] = json!(TenantId::generate().to_string());
        body["provider"] = json!(provider);
        body["modality"] = json!("virtual");
        send(world.server.govern(Method::POST, SESSIONS).json(&body)).await
    };
    // More than a breaker looks at.
    for _ in 0..2 * BREAKER_WINDOW {
        for (provider, wait_s) in [("zoom", "86400"), ("google_meet", "30")] {
            let refused = of_another_tenant(provider).await;
            assert_eq!(
                (refused.status, refused.code().as_str()),
                (503, "PROVIDER_LIMIT_REACHED"),
                "{refused:?}"
            );
            assert_eq!(refused.header("retry-after"), wait_s);
        }
        // The token of Zoom is refused as well, so that both places were asked.
        world.platform.revoke_tokens();
    }
    let health = send(world.server.request(Method::GET, "/health/ready")).await;
    for service in ["zoom", "zoom_token", "google_meet", "google_token"] {
        assert_eq!(health.json()["services"][service], "ok", "{service}: {}", health.text);
    }
    // A session that has its meeting goes on.
    assert_eq!(world.session(&begun).await["status"], "active");
    // Whoever asks next gets a meeting as soon as the provider makes some.
    for service in ["zoom", "zoom_token", "google_meet", "google_token"] {
        world.platform.set_mood(service, Mood::Well);
    }
    for provider in ["zoom", "google_meet"] {
        let made = of_another_tenant(provider).await;
        assert_eq!(made.status, 201, "{made:?}");
    }
    world.server.app.stop().await;
}

#[tokio::test]
async fn what_no_meeting_can_do_is_refused_before_one_is_made() {
    let world = World::start().await;
    let mut body = world.server.new_session();
    body["provider"] = json!("zoom");
    body["recording"] = json!({ "enabled": true });
    body["transcription"] = json!({ "enabled": true });
    let refused = send(world.server.govern(Method::POST, SESSIONS).json(&body)).await;
    assert_eq!((refused.status, refused.code().as_str()), (422, "UNPROCESSABLE_REQUEST"));
    let fields = refused.json()["details"]["fields"].to_string();
    assert!(fields.contains("recording.enabled") && fields.contains("transcription.enabled"));
    assert_eq!(world.platform.meetings().len(), 0);
    world.server.app.stop().await;
    let server = Server::start().await;
    let mut body = server.new_session();
    body["provider"] = json!("google_meet");
    let refused = send(server.govern(Method::POST, SESSIONS).json(&body)).await;
    assert_eq!((refused.status, refused.code().as_str()), (422, "PROVIDER_NOT_CONFIGURED"));
    let unknown = send(server.request(Method::POST, WEBHOOK).body("{}")).await;
    assert_eq!((unknown.status, unknown.code().as_str()), (422, "PROVIDER_NOT_CONFIGURED"));
    server.app.stop().await;
}

#[tokio::test]
async fn a_lost_answer_leads_to_no_second_meeting_in_the_next_process_either() {
    let mut world = World::start().await;
    // Other people's meetings in the same account are none of ours, in whatever shape.
    world.platform.set_foreign_meetings(vec![
        json!({ "id": 1, "agenda": null, "join_url": null }),
        json!({ "id": "2", "topic": "no agenda" }),
        json!(null),
    ]);
    world.platform.set_mood("zoom", Mood::Unheard(500));
    let lost = world.create("zoom", Some("k")).await;
    assert_eq!((lost.status, lost.code().as_str()), (503, "PROVIDER_UNAVAILABLE"));
    assert_eq!(world.platform.meetings().len(), 1, "it was made, and nobody heard of it");
    world.platform.set_mood("zoom", Mood::Well);
    world.server = world.server.restart_with(&borrowed(&world.keys)).await;
    let made = world.create("zoom", Some("k")).await;
    assert_eq!(made.status, 201, "{made:?}");
    let id = *world.platform.meetings().keys().next().expect("made");
    assert_eq!(world.platform.meetings().len(), 1);
    assert_eq!(made.json()["meeting"]["join_url"], format!("https://zoom.us/j/{id}?pwd=abc"));
    assert_eq!(world.count().await, 1);
    // Spaces can't be listed: one stays unused, and nobody has its link.
    world.platform.set_mood("google_meet", Mood::Unheard(502));
    assert_eq!(world.create("google_meet", Some("m")).await.code(), "PROVIDER_UNAVAILABLE");
    world.platform.set_mood("google_meet", Mood::Well);
    let made = world.create("google_meet", Some("m")).await;
    assert_eq!(made.json()["meeting"]["join_url"], "https://meet.google.com/space-2");
    world.server.app.stop().await;
}

#[tokio::test]
async fn a_meeting_nobody_came_back_for_is_closed() {
    let world = World::start().await;
    world.platform.set_mood("zoom", Mood::Unheard(500));
    assert_eq!(world.create("zoom", None).await.status, 503);
    assert_eq!(world.platform.meetings().len(), 1);
    world.platform.set_mood("zoom", Mood::Well);
    world.pass(Duration::from_hours(2));
    becomes(|| world.platform.meetings().is_empty()).await;
    world.server.app.stop().await;
}

#[tokio::test]
async fn the_end_of_a_session_ends_its_call_and_its_link() {
    let world = World::start().await;
    let (zoom, meet) = (world.active("zoom").await, world.active("google_meet").await);
    let id = world.platform.meetings().keys().next().expect("made").to_string();
    world.platform.set_call(&id, true, None);
    world.platform.set_call("spaces/Space-1", true, None);
    world.server.step(&zoom, "end").await;
    world.server.step(&meet, "end").await;
    becomes(|| world.platform.meetings().is_empty()).await;
    becomes(|| {
        let space = &world.platform.spaces()["Space-1"];
        space.access == "RESTRICTED" && space.calls[0].1.is_some()
    })
    .await;
    // Without a call, and while the provider is down at first.
    let created = world.create("zoom", None).await.json();
    world.platform.set_mood("zoom", Mood::Failing(503));
    world.server.step(created["id"].as_str().expect("an id"), "cancel").await;
    assert_eq!(world.platform.meetings().len(), 1);
    world.platform.set_mood("zoom", Mood::Well);
    world.pass(Duration::from_mins(6));
    becomes(|| world.platform.meetings().is_empty()).await;
    world.server.app.stop().await;
}

#[tokio::test]
async fn polling_finds_that_everybody_has_left_and_ends_the_session_after_a_while() {
    let world = World::start().await;
    let session = world.active("google_meet").await;
    world.platform.set_call("spaces/Space-1", true, None);
    // A call that ended before the session began is none of it.
    world.platform.set_call("spaces/Space-1", false, Some("2020-01-01T00:00:00Z"));
    world.pass(Duration::from_mins(1));
    let asked = || {
        let calls = world.platform.calls();
        calls.iter().filter(|call| call.path == "/v2/conferenceRecords").count()
    };
    becomes(|| asked() > 0).await;
    world.pass(Duration::from_mins(30));
    let before = asked();
    becomes(|| asked() > before).await;
    assert_eq!(world.session(&session).await["status"], "active");
    // Everybody came, and left.
    world.platform.set_call("spaces/Space-1", true, None);
    world.pass(Duration::from_mins(1));
    let before = asked();
    becomes(|| asked() > before).await;
    let left_s = world.now_s();
    let left = cabildo::domain::time::Timestamp::from_unix_us(left_s * 1_000_000).to_string();
    world.platform.set_call("spaces/Space-1", false, Some(&left));
    world.pass(Duration::from_mins(1));
    let before = asked();
    becomes(|| asked() > before).await;
    assert_eq!(world.session(&session).await["status"], "active", "they may come back");
    world.pass(Duration::from_mins(10));
    world.has_status(&session, "completed").await;
    becomes(|| world.platform.spaces()["Space-1"].access == "RESTRICTED").await;
    world.server.app.stop().await;
}

#[tokio::test]
async fn a_meeting_that_was_deleted_before_the_start_is_made_anew() {
    let world = World::start().await;
    let mut sessions = Vec::new();
    for (provider, deleted) in [("zoom", "90000000001"), ("google_meet", "spaces/Space-1")] {
        let created = world.create(provider, None).await.json();
        world.platform.lose_meeting(deleted);
        let session = created["id"].as_str().expect("an id").to_owned();
        world.server.step(&session, "start").await;
        let link = world.session(&session).await["meeting"]["join_url"].clone();
        assert_ne!(link, created["meeting"]["join_url"], "{provider}");
        assert!(link.as_str().is_some_and(|link| link.contains('2')), "{provider} {link}");
        sessions.push(session);
    }
    // What is not answered does not keep a session from starting with the link it has.
    let created = world.create("zoom", None).await.json();
    world.platform.set_mood("zoom", Mood::Failing(503));
    let session = created["id"].as_str().expect("an id").to_owned();
    world.server.step(&session, "start").await;
    assert_eq!(world.session(&session).await["meeting"], created["meeting"]);
    world.server.app.stop().await;
}

/// Of Google nobody hears that a space is gone, but by asking for it, as a start does.
#[tokio::test]
async fn a_meeting_that_is_deleted_under_its_session_is_made_anew_and_everybody_is_told() {
    for people_were_in_it in [false, true] {
        let world = World::start().await;
        let session = world.active("zoom").await;
        let moderator = Person::with_role(&world.server, "moderator").await;
        let (mut chair, welcome) = Channel::enter(&world.server, &session, &moderator).await;
        let first = world.platform.meetings().keys().next().expect("made").to_string();
        let asked = || world.platform.calls().len();
        if people_were_in_it {
            world.platform.set_call(&first, true, None);
            let before = asked();
            world.pass(Duration::from_secs(40));
            becomes(|| asked() > before).await;
        }
        world.platform.lose_meeting(&first);
        world.pass(Duration::from_secs(40));
        let told = tokio::time::timeout(PATIENCE, chair.hear_type("meeting_changed")).await;
        let told = told.unwrap_or_else(|_| panic!("nobody is told, {people_were_in_it}"));
        let link = world.session(&session).await["meeting"]["join_url"].clone();
        assert_eq!(told["meeting_url"], link);
        assert_ne!(link, welcome["session"]["meeting_url"]);
        // Nobody has come into the new one yet, which is no end of the session.
        for _ in 0..2 {
            let before = asked();
            // From when on it is left alone is not seen from here, so time passes in steps.
            becomes(|| {
                world.pass(Duration::from_mins(1));
                asked() > before
            })
            .await;
        }
        assert_eq!(world.session(&session).await["status"], "active");
        assert_eq!(world.session(&session).await["meeting"]["join_url"], link);
        world.server.app.stop().await;
    }
}

#[tokio::test]
async fn a_provider_that_does_not_let_us_in_any_more_is_told_to_the_operator() {
    let world = World::start().await;
    for (service, of, status) in [
        ("zoom", "zoom", 401),
        ("google_meet", "google_meet", 403),
        ("zoom_token", "zoom", 400),
        ("google_token", "google_meet", 401),
    ] {
        let health = async || send(world.server.request(Method::GET, "/health/ready")).await.json();
        assert_eq!(world.create(of, None).await.status, 201, "{service}");
        assert_eq!(health().await["services"][service], "ok");
        // A token that was given before is good for an hour.
        world.platform.revoke_tokens();
        world.platform.set_mood(service, Mood::Failing(status));
        assert_eq!(world.create(of, None).await.code(), "PROVIDER_REFUSED", "{service}");
        let said = health().await;
        assert_eq!(
            (&said["status"], &said["services"][service]),
            (&json!("degraded"), &json!("degraded"))
        );
        let problem = said["problems"][service].as_str().unwrap_or_default();
        assert!(problem.contains(&status.to_string()), "{service} {said}");
        world.platform.set_mood(service, Mood::Well);
        assert_eq!(world.create(of, None).await.status, 201, "{service}");
        assert_eq!(health().await["problems"][service], Value::Null);
    }
    world.server.app.stop().await;
}

#[tokio::test]
async fn webhooks_tell_that_a_call_ended_and_a_new_one_keeps_the_session() {
    let world = World::start().await;
    let session = world.active("zoom").await;
    let id = world.platform.meetings().keys().next().expect("made").to_string();
    let tell = async |kind: &str, running: bool| {
        world.platform.set_call(&id, running, None);
        let now_s = world.now_s();
        let told = world.webhook(now_s, WEBHOOK_SECRET, &event(kind, &id, now_s * 1_000)).await;
        assert_eq!(told.status, 204, "{told:?}");
    };
    world.pass(Duration::from_secs(2));
    tell("meeting.started", true).await;
    world.pass(Duration::from_secs(2));
    tell("meeting.ended", false).await;
    world.pass(Duration::from_mins(2));
    tell("meeting.started", true).await;
    world.pass(Duration::from_mins(20));
    let asked = || world.platform.calls().len();
    let before = asked();
    becomes(|| asked() > before).await;
    assert_eq!(world.session(&session).await["status"], "active");
    tell("meeting.ended", false).await;
    world.pass(Duration::from_mins(10));
    world.has_status(&session, "completed").await;
    world.server.app.stop().await;
}

#[tokio::test]
async fn a_webhook_alone_ends_nothing() {
    let world = World::start().await;
    let session = world.active("zoom").await;
    let id = world.platform.meetings().keys().next().expect("made").to_string();
    world.platform.set_call(&id, true, None);
    world.pass(Duration::from_secs(2));
    let now_s = world.now_s();
    let lie = event("meeting.ended", &id, now_s * 1_000);
    assert_eq!(world.webhook(now_s, WEBHOOK_SECRET, &lie).await.status, 204);
    world.pass(Duration::from_mins(20));
    let asked = || world.platform.calls().len();
    let before = asked();
    becomes(|| asked() > before).await;
    assert_eq!(world.session(&session).await["status"], "active", "Zoom says that it runs");
    world.server.app.stop().await;
}

#[tokio::test]
async fn webhooks_that_are_forged_late_or_of_others_change_nothing() {
    let world = World::start().await;
    let session = world.active("zoom").await;
    let id = world.platform.meetings().keys().next().expect("made").to_string();
    let now_s = world.now_s();
    let ended = event("meeting.ended", &id, now_s * 1_000);
    let text = ended.to_string();
    let right = signature(now_s, WEBHOOK_SECRET, &text);
    let refused = |answer: Answer| (answer.status, answer.code());
    let unsigned = (401, "WEBHOOK_SIGNATURE_INVALID".to_owned());
    assert_eq!(refused(world.webhook(now_s, "another secret", &ended).await), unsigned);
    for (signed, signature, body) in [
        (now_s.to_string(), right.clone(), format!("{text} ")),
        ((now_s + 1).to_string(), right.clone(), text.clone()),
        (now_s.to_string(), right.replace("v0=", "v1="), text.clone()),
        (now_s.to_string(), right[..10].to_owned(), text.clone()),
        (now_s.to_string(), "v0=é".to_owned(), text.clone()),
        ("soon".to_owned(), right.clone(), text.clone()),
    ] {
        let answer = world.webhook_raw(&signed, &signature, body).await;
        assert_eq!(refused(answer), unsigned, "{signed} {signature}");
    }
    let bare = send(world.server.request(Method::POST, WEBHOOK).body(text.clone())).await;
    assert_eq!(refused(bare), unsigned);
    let late = (401, "WEBHOOK_EXPIRED".to_owned());
    for signed_s in [now_s - 600, now_s + 600] {
        assert_eq!(refused(world.webhook(signed_s, WEBHOOK_SECRET, &ended).await), late);
    }
    let mut other = ended.clone();
    other["payload"]["account_id"] = json!("another account");
    assert_eq!(refused(world.webhook(now_s, WEBHOOK_SECRET, &other).await), unsigned);
    for body in ["[]", "{}", "nothing", r#"{"event":"endpoint.url_validation","payload":{}}"#] {
        let signature = signature(now_s, WEBHOOK_SECRET, body);
        let answer = world.webhook_raw(&now_s.to_string(), &signature, body.to_owned()).await;
        assert_ne!(answer.status, 204, "{body}");
    }
    let form = world.server.request(Method::POST, WEBHOOK).body("a=b");
    let form = form.header("content-type", "application/x-www-form-urlencoded");
    assert_eq!(refused(send(form).await), (415, "UNSUPPORTED_MEDIA_TYPE".to_owned()));
    let large = "x".repeat(70_000);
    let answer = world.webhook_raw(&now_s.to_string(), &right, large).await;
    assert_eq!(refused(answer), (413, "PAYLOAD_TOO_LARGE".to_owned()));
    // Of a meeting that is not ours: taken, so that Zoom does not repeat it.
    let unknown = event("meeting.ended", "12345", now_s * 1_000);
    assert_eq!(world.webhook(now_s, WEBHOOK_SECRET, &unknown).await.status, 204);
    // Each was counted, by why it was refused.
    let metrics = send(world.server.request(Method::GET, "/metrics")).await.text;
    for (outcome, times) in
        [("unsigned", 9), ("expired", 2), ("malformed", 4), ("unknown_meeting", 1)]
    {
        let count = format!(r#"cabildo_provider_webhooks_total{{outcome="{outcome}"}} {times}"#);
        assert!(metrics.contains(&count), "{count} in {metrics}");
    }
    world.pass(Duration::from_mins(20));
    let asked = || world.platform.calls().len();
    let before = asked();
    becomes(|| asked() > before).await;
    assert_eq!(world.session(&session).await["status"], "active");
    world.server.app.stop().await;
}

#[tokio::test]
async fn a_webhook_that_comes_again_changes_nothing_back() {
    let world = World::start().await;
    let session = world.active("zoom").await;
    let id = world.platform.meetings().keys().next().expect("made").to_string();
    world.pass(Duration::from_secs(2));
    let now_s = world.now_s();
    let ended = event("meeting.ended", &id, now_s * 1_000);
    assert_eq!(world.webhook(now_s, WEBHOOK_SECRET, &ended).await.status, 204);
    world.pass(Duration::from_secs(2));
    let again_s = world.now_s();
    let started = event("meeting.started", &id, again_s * 1_000);
    world.platform.set_call(&id, true, None);
    assert_eq!(world.webhook(again_s, WEBHOOK_SECRET, &started).await.status, 204);
    assert_eq!(world.webhook(now_s, WEBHOOK_SECRET, &ended).await.status, 204);
    let metrics = send(world.server.request(Method::GET, "/metrics")).await.text;
    assert!(metrics.contains(r#"cabildo_provider_webhooks_total{outcome="known"}"#), "{metrics}");
    world.pass(Duration::from_mins(20));
    let asked = || world.platform.calls().len();
    let before = asked();
    becomes(|| asked() > before).await;
    assert_eq!(world.session(&session).await["status"], "active");
    world.server.app.stop().await;
}

#[tokio::test]
async fn the_challenge_of_zoom_is_answered() {
    let world = World::start().await;
    let plain = "qgg8vlvZRS6UYooatFL8Aw";
    let challenge = json!({
        "event": "endpoint.url_validation", "event_ts": 1, "payload": { "plainToken": plain },
    });
    let answer = world.webhook(world.now_s(), WEBHOOK_SECRET, &challenge).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let mut mac = Hmac::<Sha256>::new_from_slice(WEBHOOK_SECRET.as_bytes()).expect("any length");
    mac.update(plain.as_bytes());
    let digits: Vec<String> =
        mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let expected = json!({ "plainToken": plain, "encryptedToken": digits.concat() });
    assert_eq!(answer.json(), expected);
    assert_ne!(world.webhook(world.now_s(), "another", &challenge).await.status, 200);
    world.server.app.stop().await;
}

#[tokio::test]
async fn floor_and_attendance_work_beside_a_meeting_and_media_is_refused() {
    let world = World::start().await;
    let session = world.active("zoom").await;
    let link = world.session(&session).await["meeting"]["join_url"].clone();
    let moderator = Person::with_role(&world.server, "moderator").await;
    let owner = Person::named(&world.server, "owner-1", "participant").await;
    let (mut chair, welcome) = Channel::enter(&world.server, &session, &moderator).await;
    assert_eq!(welcome["session"]["provider"], "zoom");
    assert_eq!(welcome["session"]["meeting_url"], link);
    let (mut person, welcome) = Channel::enter(&world.server, &session, &owner).await;
    assert_eq!(welcome["session"]["meeting_url"], link);
    let offer = json!({"type": "offer", "transport": "publish", "sdp": "v=0"});
    assert_eq!(person.refused(offer).await, "PROVIDER_UNSUPPORTED");
    let made = person.done(json!({"type": "request_speech", "kind": "normal"})).await;
    let request = made["request_id"].clone();
    chair.done(json!({"type": "approve_speech", "request_id": request})).await;
    chair.done(json!({"type": "start_turn", "request_id": request})).await;
    let turn = person.hear_type("turn_started").await;
    assert_eq!(turn["user_id"], "owner-1");
    chair.done(json!({"type": "mute_user", "user_id": "owner-1"})).await;
    chair.done(json!({"type": "stop_turn"})).await;
    let path = format!("{SESSIONS}/{session}/attendance");
    let attendance = moderator.read(&world.server, Method::GET, &path).await;
    assert!(attendance.text.contains("owner-1"), "{attendance:?}");
    let path = format!("{SESSIONS}/{session}/media-tokens");
    let body = json!({ "kind": "whip", "ttl_s": 60 });
    let refused = owner.write(&world.server, Method::POST, &path, |it| it.json(&body)).await;
    assert_eq!((refused.status, refused.code().as_str()), (409, "PROVIDER_UNSUPPORTED"));
    // A lost connection comes back without media.
    let token = person.resume_token.clone();
    drop(person);
    let mut back = Channel::open(&world.server, &session).await;
    back.say(&Channel::resumption(&token, 0)).await;
    assert_eq!(back.welcome().await["resumed"], true);
    world.server.step(&session, "end").await;
    chair.hear_type("session_ended").await;
    world.server.app.stop().await;
}

#[tokio::test]
async fn a_session_goes_to_another_provider_when_the_first_refuses() {
    let world = World::start().await;
    let session = world.server.create().await;
    let path = format!("{SESSIONS}/{session}");
    let to = async |provider: &str| {
        let request = world.server.govern(Method::PATCH, &path).header("if-match", "\"1\"");
        send(request.json(&json!({ "provider": provider }))).await
    };
    world.platform.set_mood("zoom", Mood::Failing(403));
    assert_eq!(to("zoom").await.code(), "PROVIDER_REFUSED");
    world.platform.set_mood("zoom", Mood::Well);
    let moved = to("google_meet").await;
    assert_eq!(moved.status, 200, "{moved:?}");
    world.server.step(&session, "start").await;
    world.server.step(&session, "end").await;
    becomes(|| world.platform.spaces()["Space-1"].access == "RESTRICTED").await;
    world.server.app.stop().await;
}
