//! A whole server beside the stand-in for the platform's other services.

use cabildo::domain::id::{SessionKey, TenantId};
use std::sync::atomic::Ordering;
use std::time::Duration;

use cabildo::evidence::EventKind;
use cabildo::evidence::repository::EvidenceRepository as _;
use cabildo::verify::{Options, TrustedKeys, Verdict, verify_proof};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::api::server::{Answer, Server, send};
use crate::platform::{Mood, Platform};

const SESSIONS: &str = "/api/v1/sessions";

/// The stand-in on loopback, and its address.
pub(crate) async fn platform() -> (Platform, String) {
    let platform = Platform::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let router = platform.router();
    tokio::spawn(async move { axum::serve(listener, router).await });
    (platform, url)
}

/// Lets what is remembered of tenants grow old.
fn pass_minutes(server: &Server) {
    let us = i64::try_from(Duration::from_mins(2).as_micros()).expect("short");
    server.ahead_us.fetch_add(us, Ordering::SeqCst);
}

async fn create(server: &Server) -> Answer {
    send(server.govern(Method::POST, SESSIONS).json(&server.new_session())).await
}

async fn start(server: &Server, session: &str) -> Answer {
    send(server.govern(Method::POST, &format!("{SESSIONS}/{session}/start"))).await
}

#[tokio::test]
async fn a_suspended_tenant_neither_creates_nor_starts_sessions() {
    let (platform, url) = platform().await;
    let server = Server::start_with(&[("services.tenancy.url", &url)]).await;
    let running = server.create_active().await;
    let scheduled = server.create().await;
    let tenant = server.tenant.to_string();
    for status in ["suspended", "closed"] {
        platform.set_tenant(&tenant, json!({ "status": status }));
        pass_minutes(&server);
        for refused in [create(&server).await, start(&server, &scheduled).await] {
            assert_eq!((refused.status, refused.code().as_str()), (403, "TENANT_SUSPENDED"));
        }
    }
    let ended = send(server.govern(Method::POST, &format!("{SESSIONS}/{running}/end"))).await;
    assert_eq!(ended.status, 200, "what runs comes to its end");
    platform.set_tenant(&tenant, json!({}));
    pass_minutes(&server);
    assert_eq!(start(&server, &scheduled).await.status, 200);
    server.app.stop().await;
}

#[tokio::test]
async fn a_tenant_has_the_limits_that_tenancy_says() {
    let (platform, url) = platform().await;
    let server = Server::start_with(&[("services.tenancy.url", &url)]).await;
    platform.set_tenant(
        &server.tenant.to_string(),
        json!({ "max_active_sessions": 1, "max_participants_per_session": 40 }),
    );
    let (first, second) = (server.create().await, server.create().await);
    assert_eq!(start(&server, &first).await.status, 200);
    let refused = start(&server, &second).await;
    assert_eq!((refused.status, refused.code().as_str()), (409, "SESSION_LIMIT_REACHED"));
    let mut body = server.new_session();
    body["max_participants"] = json!(41);
    assert_eq!(send(server.govern(Method::POST, SESSIONS).json(&body)).await.status, 422);
    // It says something of another tenant: what it said before holds.
    platform.set_mood("tenancy", Mood::Lying);
    pass_minutes(&server);
    assert_eq!(start(&server, &second).await.code(), "SESSION_LIMIT_REACHED");
    server.app.stop().await;
}

#[tokio::test]
async fn a_limit_that_is_configured_for_a_tenant_leaves_the_others_to_tenancy() {
    let (platform, url) = platform().await;
    let tenant = TenantId::generate();
    let key = format!("tenants.overrides.{tenant}.max_participants");
    let keys = [("services.tenancy.url", url.as_str()), (key.as_str(), "60")];
    let mut server = Server::start_with(&keys).await;
    server.tenant = tenant;
    let stated = json!({
        "max_active_sessions": 1, "max_participants_per_session": 40, "streaming_entitled": false,
    });
    let tenant = tenant.to_string();
    platform.set_tenant(&tenant, stated);
    for (people, status) in [(41, 201), (60, 201), (61, 422)] {
        let mut body = server.new_session();
        body["max_participants"] = json!(people);
        let answer = send(server.govern(Method::POST, SESSIONS).json(&body)).await;
        assert_eq!(answer.status, status, "{people}: {answer:?}");
    }
    let (first, second) = (server.create().await, server.create().await);
    assert_eq!(start(&server, &first).await.status, 200);
    let refused = start(&server, &second).await;
    assert_eq!((refused.status, refused.code().as_str()), (409, "SESSION_LIMIT_REACHED"));
    let camera =
        json!({ "tenantId": tenant, "cameraId": "hall", "rtspUrl": "rtsp://127.0.0.1:9/live" });
    let provisioned = send(server.govern(Method::POST, "/gateway/provision").json(&camera)).await;
    assert_eq!(provisioned.status, 201, "{provisioned:?}");
    let stream = json!({ "tenantId": tenant, "cameraId": "hall" });
    let refused = send(server.govern(Method::POST, "/gateway/sessions").json(&stream)).await;
    assert_eq!((refused.status, refused.code().as_str()), (403, "STREAM_NOT_ENTITLED"));
    server.app.stop().await;
}

#[tokio::test]
async fn a_tenant_has_the_camera_streams_that_tenancy_says() {
    let (platform, url) = platform().await;
    let server = Server::start_with(&[("services.tenancy.url", &url)]).await;
    let tenant = server.tenant.to_string();
    let issue = async || {
        let body = json!({ "tenantId": tenant, "cameraId": "hall" });
        send(server.govern(Method::POST, "/gateway/sessions").json(&body)).await
    };
    let camera =
        json!({ "tenantId": tenant, "cameraId": "hall", "rtspUrl": "rtsp://127.0.0.1:9/live" });
    let provisioned = send(server.govern(Method::POST, "/gateway/provision").json(&camera)).await;
    assert_eq!(provisioned.status, 201, "{provisioned:?}");
    assert_eq!(issue().await.status, 201);
    platform.set_tenant(&tenant, json!({ "streaming_entitled": false }));
    pass_minutes(&server);
    let refused = issue().await;
    assert_eq!((refused.status, refused.code().as_str()), (403, "STREAM_NOT_ENTITLED"));
    server.app.stop().await;
}

#[tokio::test]
async fn sessions_go_on_without_the_services_and_health_says_which_fail() {
    let (platform, url) = platform().await;
    let keys = ["identity", "tenancy", "user_profiles"].map(|name| format!("services.{name}.url"));
    let keys: Vec<(&str, &str)> = keys.iter().map(|key| (key.as_str(), url.as_str())).collect();
    let server = Server::start_with(&keys).await;
    let health = async || send(server.request(Method::GET, "/health/ready")).await;
    let well = json!({
        "identity": "ok", "tenancy": "ok", "user_profiles": "ok",
        "recorder": "ok", "evidence_log": "ok",
    });
    assert_eq!(health().await.json()["services"], well);
    for mood in [
        Mood::Failing(500),
        Mood::NotJson,
        Mood::WrongShape,
        Mood::Lying,
        Mood::Endless,
        Mood::Redirecting(format!("{}/health", server.http)),
    ] {
        platform.set_mood("tenancy", mood.clone());
        pass_minutes(&server);
        server.create_active().await;
        let answer = health().await;
        assert_eq!(answer.status, 200, "{mood:?}");
        let services = &answer.json()["services"];
        assert_eq!(services["tenancy"], "degraded", "{mood:?}");
        assert_eq!(services["identity"], "ok", "others are not affected");
    }
    let metrics = send(server.request(Method::GET, "/metrics")).await.text;
    assert!(metrics.contains("cabildo_service_breaker_state{service=\"tenancy\""), "{metrics}");
    let refused = "cabildo_service_calls_total{service=\"tenancy\",outcome=\"contradicts\"}";
    assert!(metrics.contains(refused), "{metrics}");
    platform.set_mood("tenancy", Mood::Well);
    pass_minutes(&server);
    server.create().await;
    assert_eq!(health().await.json()["services"], well);
    server.app.stop().await;
}

/// How long governance may take to be called.
const PATIENCE: Duration = Duration::from_mins(1);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// What of governance is bound into a session's log.
async fn bound(server: &Server, session: &str) -> Vec<Value> {
    let (store, session) = (server.store().await, session.parse().expect("an id"));
    let events = store
        .events(SessionKey::new(server.tenant, session), &[EventKind::GovernanceData], 0, 10)
        .await;
    let texts = events.expect("a log").into_iter();
    texts.map(|event| serde_json::from_str(&event.text).expect("JSON")).collect()
}

/// Waits until governance was told of `sessions`, start and end, and what it
/// holds about each is bound.
async fn until_done(server: &Server, platform: &Platform, sessions: &[&str]) {
    let done = async {
        loop {
            let mut bounds = 0;
            for session in sessions {
                bounds += bound(server, session).await.len();
            }
            if platform.written().len() >= 2 * sessions.len() && bounds >= 2 * sessions.len() {
                return;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, done).await;
    assert!(in_time.is_ok(), "told: {:?}", platform.written());
}

#[tokio::test]
async fn governance_is_told_of_a_session_and_what_it_holds_is_bound_into_the_log() {
    let (platform, url) = platform().await;
    let server = Server::start_with(&[("services.governance.url", &url)]).await;
    let session = server.create_active().await;
    server.step(&session, "end").await;
    let never_started = server.create().await;
    server.step(&never_started, "cancel").await;
    until_done(&server, &platform, &[&session]).await;
    let told = [format!("session-started:{session}"), format!("session-ended:{session}")];
    assert_eq!(platform.written(), told, "in order, and of no session that never was");
    let call = platform.calls().into_iter().find(|call| call.path.ends_with("event-data"));
    let held = Sha256::digest(&call.expect("it was asked").answer);
    let held = cabildo::domain::hex::hex(&held);
    let mut steps = Vec::new();
    for text in bound(&server, &session).await {
        assert_eq!(text["sha256"], held);
        steps.push(text["type"].as_str().expect("text").to_owned());
    }
    steps.sort();
    assert_eq!(steps, ["data_at_end", "data_at_start"]);
    let path = format!("{SESSIONS}/{session}/audit-proof");
    let keys = send(server.request(Method::GET, "/.well-known/cabildo-evidence-keys.json")).await;
    let options =
        Options { keys: TrustedKeys::Independent(keys.text.into_bytes()), held_heads: None };
    let proof = send(server.request(Method::GET, &path)).await;
    assert_eq!(verify_proof(proof.text.as_bytes(), &options).verdict, Verdict::Valid);
    server.app.stop().await;
}

#[tokio::test]
async fn an_outage_of_governance_delays_its_calls_and_loses_none() {
    let (platform, url) = platform().await;
    let keys = [("services.governance.url", url.as_str())];
    let mut server = Server::start_with(&keys).await;
    let mut sessions = Vec::new();
    for mood in [Mood::Failing(503), Mood::NotJson, Mood::Lying] {
        platform.set_mood("governance", mood);
        let session = server.create_active().await;
        server.step(&session, "end").await;
        sessions.push(session);
        // What was left undone is done by the next process.
        server = server.restart_with(&keys).await;
    }
    platform.set_mood("governance", Mood::Well);
    pass_minutes(&server);
    let sessions: Vec<&str> = sessions.iter().map(String::as_str).collect();
    until_done(&server, &platform, &sessions).await;
    let told = platform.written();
    for session in &sessions {
        let place = |what: &str| told.iter().position(|it| *it == format!("{what}:{session}"));
        assert!(place("session-started") < place("session-ended"), "{told:?}");
        assert_eq!(bound(&server, session).await.len(), 2, "bound, though its log is closed");
    }
    assert_eq!(told.len(), 2 * sessions.len(), "nothing twice: {told:?}");
    server.app.stop().await;
}
