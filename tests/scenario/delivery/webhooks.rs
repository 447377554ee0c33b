//! Webhooks against an endpoint that does as it is told.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cabildo::claims::Claims;
use cabildo::clock::Clock;
use cabildo::delivery::{Pump, PumpOptions, PumpParts, Reach, RetryTimes, Webhook, WebhookOptions};
use cabildo::domain::id::{SessionId, SessionKey, TenantId};
use cabildo::domain::secret::Secret;
use cabildo::events::{Position, Scope};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;

use super::fixture::{Memory, feed};
use crate::claims::{MemoryClaims, of_a_new_process};

const SECRET: [u8; 32] = [7; 32];

/// How the endpoint answers the next request, before it says 204 again.
#[derive(Debug, Clone, Copy)]
enum Answer {
    Status(u16),
    /// A failure, once what a session told was erased.
    Erasing,
    Redirect,
    Never,
}

#[derive(Default)]
struct Endpoint {
    plan: Mutex<Vec<Answer>>,
    /// Requests that it took, by session.
    taken: Mutex<BTreeMap<String, Vec<String>>>,
    /// A session and a request of it that are not accepted.
    refuses: Mutex<Option<(String, String)>>,
    tries: Mutex<usize>,
    elsewhere: Mutex<usize>,
    /// What is erased by [`Answer::Erasing`].
    erases: Mutex<Option<(Arc<Memory>, SessionKey)>>,
}

impl Endpoint {
    async fn start(plan: Vec<Answer>) -> (Arc<Self>, SocketAddr) {
        drop(rustls::crypto::ring::default_provider().install_default());
        let endpoint = Arc::new(Self { plan: Mutex::new(plan), ..Self::default() });
        let routes = Router::new()
            .route("/hook", axum::routing::post(take))
            .route("/elsewhere", axum::routing::any(elsewhere))
            .with_state(endpoint.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move { axum::serve(listener, routes).await.expect("serves") });
        (endpoint, address)
    }

    fn tries(&self) -> usize {
        *self.tries.lock().expect("no panic")
    }
}

async fn elsewhere(State(endpoint): State<Arc<Endpoint>>) -> StatusCode {
    *endpoint.elsewhere.lock().expect("no panic") += 1;
    StatusCode::NO_CONTENT
}

async fn take(State(endpoint): State<Arc<Endpoint>>, headers: HeaderMap, body: String) -> Response {
    *endpoint.tries.lock().expect("no panic") += 1;
    let header = |name: &str| headers[name].to_str().expect("text").to_owned();
    let (id, sent_at) = (header("webhook-id"), header("webhook-timestamp"));
    let mut mac = Hmac::<Sha256>::new_from_slice(&SECRET).expect("a key");
    mac.update(format!("{id}.{sent_at}.{body}").as_bytes());
    let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    assert_eq!(header("webhook-signature"), expected);
    let event: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(event["id"], id);
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let told = (text(&event["subject"]), text(&event["data"]["request_id"]));
    if endpoint.refuses.lock().expect("no panic").as_ref() == Some(&told) {
        return StatusCode::UNPROCESSABLE_ENTITY.into_response();
    }
    let planned = {
        let mut plan = endpoint.plan.lock().expect("no panic");
        if plan.is_empty() { Answer::Status(204) } else { plan.remove(0) }
    };
    let answer = match planned {
        Answer::Status(status) => StatusCode::from_u16(status).expect("a status").into_response(),
        Answer::Erasing => {
            let erases = endpoint.erases.lock().expect("no panic");
            let (outbox, key) = erases.as_ref().expect("something to erase");
            outbox.erase(*key);
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
        Answer::Redirect => {
            let to = [(header::LOCATION, HeaderValue::from_static("/elsewhere"))];
            (StatusCode::TEMPORARY_REDIRECT, to).into_response()
        }
        Answer::Never => std::future::pending().await,
    };
    if answer.status().is_success() {
        let (session, request) = told;
        let mut taken = endpoint.taken.lock().expect("no panic");
        taken.entry(session).or_default().push(request);
    }
    answer
}

fn pump(outbox: &Arc<Memory>, tenant: TenantId, claims: Claims, endpoint: SocketAddr) -> Pump {
    let options = WebhookOptions {
        url: format!("http://{endpoint}/hook"),
        secret: Secret::new(SECRET.to_vec()),
        reach: Reach::Anywhere,
        // Longer than a busy machine stands still.
        answer_time_max: Duration::from_secs(10),
    };
    let webhook = Webhook::new(options, Clock::system()).expect("an endpoint");
    let parts = PumpParts {
        outbox: outbox.clone(),
        feed: feed(outbox.clone()),
        claims,
        clock: Clock::system(),
        destination: Arc::new(webhook),
    };
    let options = PumpOptions {
        name: "webhook.test".parse().expect("a name"),
        scope: Scope::Tenant(tenant),
        kinds: BTreeSet::new(),
        given_up_after: None,
        in_flight_max: 8,
        retry: RetryTimes {
            first: Duration::from_millis(5),
            max: Duration::from_millis(20),
            pause: Duration::from_millis(50),
        },
    };
    Pump::start(parts, options)
}

fn claims() -> Claims {
    of_a_new_process(Arc::new(MemoryClaims::default()))
}

/// Answers of an endpoint that is down, slow, redirects and is up again.
fn trouble() -> Vec<Answer> {
    let mut plan = vec![Answer::Status(503); 12];
    plan.extend([Answer::Redirect, Answer::Never, Answer::Status(400), Answer::Status(429)]);
    plan
}

#[tokio::test]
async fn an_endpoint_that_was_down_slow_and_wrong_gets_everything_in_order() {
    let outbox = Arc::new(Memory::default());
    let tenant = TenantId::generate();
    let sessions: Vec<SessionId> = (0..3).map(|_| SessionId::generate()).collect();
    for seq in 1..=20 {
        for session in &sessions {
            outbox.approve(SessionKey::new(tenant, *session), &[seq]);
        }
        outbox.approve(SessionKey::new(TenantId::generate(), SessionId::generate()), &[seq]);
    }
    let (endpoint, address) = Endpoint::start(trouble()).await;
    let pump = pump(&outbox, tenant, claims(), address);
    outbox.until_confirmed(80).await;
    pump.shutdown().await;
    let expected: Vec<String> = (1..=20).map(|seq| format!("r{seq}")).collect();
    let taken = endpoint.taken.lock().expect("no panic").clone();
    assert_eq!(taken.len(), 3, "of no other tenant");
    for (session, requests) in taken {
        assert_eq!(requests, expected, "{session}");
    }
    assert_eq!(*endpoint.elsewhere.lock().expect("no panic"), 0, "redirects are not followed");
    assert_eq!(endpoint.tries(), 60 + trouble().len());
}

#[tokio::test]
async fn the_next_instance_goes_on_where_the_one_before_has_come() {
    let outbox = Arc::new(Memory::default());
    let (tenant, session) = (TenantId::generate(), SessionId::generate());
    for seq in 1..=10 {
        outbox.approve(SessionKey::new(tenant, session), &[seq]);
    }
    let (endpoint, address) = Endpoint::start(Vec::new()).await;
    let repository = Arc::new(MemoryClaims::default());
    let first = pump(&outbox, tenant, of_a_new_process(repository.clone()), address);
    // A second instance waits until the first gives the work back.
    let second = pump(&outbox, tenant, of_a_new_process(repository), address);
    outbox.until_confirmed(10).await;
    first.shutdown().await;
    for seq in 11..=20 {
        outbox.approve(SessionKey::new(tenant, session), &[seq]);
    }
    outbox.until_confirmed(20).await;
    second.shutdown().await;
    let expected: Vec<String> = (1..=20).map(|seq| format!("r{seq}")).collect();
    let taken = endpoint.taken.lock().expect("no panic").clone();
    assert_eq!(taken[&session.to_string()], expected, "once each, by one instance at a time");
}

#[tokio::test]
async fn what_was_erased_while_it_waited_is_not_sent() {
    let outbox = Arc::new(Memory::default());
    let (tenant, erased, other) =
        (TenantId::generate(), SessionId::generate(), SessionId::generate());
    for seq in 1..=5 {
        outbox.approve(SessionKey::new(tenant, erased), &[seq]);
    }
    let (endpoint, address) = Endpoint::start(vec![Answer::Status(503), Answer::Erasing]).await;
    let erases = (outbox.clone(), SessionKey::new(tenant, erased));
    *endpoint.erases.lock().expect("no panic") = Some(erases);
    let pump = pump(&outbox, tenant, claims(), address);
    outbox.until_confirmed(5).await;
    assert_eq!(endpoint.tries(), 2, "before it was erased");
    outbox.approve(SessionKey::new(tenant, other), &[6]);
    outbox.until_confirmed(6).await;
    pump.shutdown().await;
    let taken = endpoint.taken.lock().expect("no panic").clone();
    assert_eq!(taken.into_iter().collect::<Vec<_>>(), [(other.to_string(), vec!["r6".to_owned()])]);
}

#[tokio::test]
async fn an_event_that_is_not_accepted_holds_up_its_session_and_no_other() {
    let outbox = Arc::new(Memory::default());
    let tenant = TenantId::generate();
    let (refused, later) = (SessionId::generate(), SessionId::generate());
    // More than a reader has in memory.
    for seq in 1..=1_500 {
        outbox.approve(SessionKey::new(tenant, refused), &[seq]);
    }
    outbox.approve(SessionKey::new(tenant, later), &[1]);
    let (endpoint, address) = Endpoint::start(Vec::new()).await;
    let refuses = |request: Option<&str>| {
        let refuses = request.map(|request| (refused.to_string(), request.to_owned()));
        *endpoint.refuses.lock().expect("no panic") = refuses;
    };
    let taken = |session: SessionId| {
        let taken = endpoint.taken.lock().expect("no panic");
        taken.get(&session.to_string()).cloned().unwrap_or_default()
    };
    let names = |range: std::ops::RangeInclusive<u64>| -> Vec<String> {
        range.map(|seq| format!("r{seq}")).collect()
    };
    refuses(Some("r3"));
    let repository = Arc::new(MemoryClaims::default());
    let first = pump(&outbox, tenant, of_a_new_process(repository.clone()), address);
    outbox.until_confirmed(1_501).await;
    assert_eq!((taken(refused), taken(later)), (names(1..=2), names(1..=1)));
    let parked = (SessionKey::new(tenant, refused), Position::new(2));
    assert_eq!(outbox.parked_now().into_iter().collect::<Vec<_>>(), [parked]);
    assert_eq!(first.refused().load(Ordering::Relaxed), 1);
    first.shutdown().await;
    // The next instance goes on there, and sends nothing of the others again.
    refuses(Some("r1400"));
    outbox.approve(SessionKey::new(tenant, refused), &[1_501]);
    let second = pump(&outbox, tenant, of_a_new_process(repository), address);
    outbox.until_parked_at(Some(Position::new(1_399))).await;
    refuses(None);
    outbox.until_parked_at(None).await;
    outbox.approve(SessionKey::new(tenant, later), &[2]);
    outbox.until_confirmed(1_503).await;
    second.shutdown().await;
    assert_eq!((taken(refused), taken(later)), (names(1..=1_501), names(1..=2)));
}
