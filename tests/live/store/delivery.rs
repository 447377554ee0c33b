//! Handing on the events of the outbox to an endpoint that refuses some, or does not answer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use cabildo::claims::{Claims, ClaimsParts, LeaseTimes};
use cabildo::clock::{BootClock, Clock};
use cabildo::delivery::{
    Feed, Origin, Pump, PumpOptions, PumpParts, Reach, RetryTimes, Tail, Webhook, WebhookOptions,
};
use cabildo::domain::id::{InstanceId, TenantId};
use cabildo::domain::secret::Secret;
use cabildo::domain::session::Session;
use cabildo::events::{Beginning, Outbox as _, ReaderName, Scope};
use cabildo::room::repository::{RoomRepository, StoredChange, ToldEvent};
use cabildo::store::Store;
use serde_json::Value;
use tokio::sync::watch;

use crate::store::fixture::{Fixture, NOW, cases};

cases!(a_session_whose_event_is_refused_or_not_answered_holds_up_no_other);

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_mins(1);
/// More than a reader holds.
const EVENTS: u64 = 1_200;
/// Told in one transaction.
const AT_ONCE: u64 = 10;

/// An endpoint that refuses the events of one session and does not answer those of another, until it
/// is mended.
struct Endpoint {
    refused: String,
    unanswered: String,
    is_mended: watch::Sender<bool>,
    /// The events that it took, by session.
    taken: watch::Sender<BTreeMap<String, Vec<String>>>,
}

async fn take(State(endpoint): State<Arc<Endpoint>>, body: String) -> StatusCode {
    let event: Value = serde_json::from_str(&body).expect("JSON");
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let session = text(&event["subject"]);
    let mut mended = endpoint.is_mended.subscribe();
    if session == endpoint.refused && !*mended.borrow() {
        return StatusCode::UNPROCESSABLE_ENTITY;
    }
    if session == endpoint.unanswered {
        mended.wait_for(|mended| *mended).await.expect("mended");
    }
    let request = text(&event["data"]["request_id"]);
    endpoint.taken.send_modify(|taken| taken.entry(session).or_default().push(request));
    StatusCode::NO_CONTENT
}

impl Endpoint {
    /// Ends when it took this many events of a session.
    async fn until_taken(&self, session: &Session, events: u64) {
        let (mut taken, session) = (self.taken.subscribe(), session.id.to_string());
        let events = usize::try_from(events).expect("small");
        let enough = |taken: &BTreeMap<String, Vec<String>>| {
            taken.get(&session).is_some_and(|taken| taken.len() >= events)
        };
        let reached = tokio::time::timeout(PATIENCE, taken.wait_for(enough)).await;
        drop(reached.expect("taken in time").expect("the endpoint is there"));
    }
}

async fn approve(store: &Store, session: &Session, first: u64, last: u64) {
    let event = |seq| ToldEvent {
        seq,
        at: NOW,
        kind: "speech_approved".to_owned(),
        payload: format!(
            r#"{{"seq":{seq},"at":"2027-01-15T08:00:00Z","type":"speech_approved","request_id":"r{seq}","user_id":"ana"}}"#
        ),
    };
    let record = StoredChange { seq: last, state: Some("{}".to_owned()), ..Default::default() };
    let events: Vec<_> = (first..=last).map(event).collect();
    RoomRepository::append(store, session.key(), &record, &events).await.expect("kept");
}

fn parts(store: &Store, url: String) -> PumpParts {
    let clock = Clock::from_fn(|| NOW);
    let options = WebhookOptions {
        url,
        secret: Secret::new(vec![7; 32]),
        reach: Reach::Anywhere,
        answer_time_max: PATIENCE,
    };
    let outbox = Arc::new(store.clone());
    let origin = Origin::new("https://cabildo.example");
    PumpParts {
        outbox: outbox.clone(),
        feed: Feed::new(outbox.clone(), origin, Tail::start(outbox)),
        claims: Claims::start(ClaimsParts {
            repository: Arc::new(store.clone()),
            instance: InstanceId::generate(),
            clock: BootClock::system(),
            times: LeaseTimes::default(),
        }),
        destination: Arc::new(Webhook::new(options, clock.clone()).expect("an endpoint")),
        clock,
    }
}

async fn a_session_whose_event_is_refused_or_not_answered_holds_up_no_other(fixture: Fixture) {
    drop(rustls::crypto::ring::default_provider().install_default());
    let (store, tenant) = (fixture.store(), TenantId::generate());
    let refused = fixture.session(tenant).await;
    let unanswered = fixture.session(tenant).await;
    let later = fixture.session(tenant).await;
    let endpoint = Arc::new(Endpoint {
        refused: refused.id.to_string(),
        unanswered: unanswered.id.to_string(),
        is_mended: watch::Sender::new(false),
        taken: watch::Sender::default(),
    });
    let routes = Router::new().route("/", axum::routing::post(take)).with_state(endpoint.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, routes).await.expect("serves") });

    let name: ReaderName = "webhook.test".parse().expect("a name");
    store.register(&name, Beginning::Newest).await.expect("registered");
    for first in (1..=EVENTS).step_by(usize::try_from(AT_ONCE).expect("small")) {
        for session in [&refused, &unanswered] {
            approve(store, session, first, first + AT_ONCE - 1).await;
        }
    }
    let options = PumpOptions {
        name,
        scope: Scope::Tenant(tenant),
        kinds: BTreeSet::new(),
        given_up_after: None,
        in_flight_max: 8,
        retry: RetryTimes {
            first: Duration::from_millis(50),
            max: Duration::from_millis(200),
            pause: PATIENCE,
        },
    };
    let first = Pump::start(parts(store, url.clone()), options.clone());
    approve(store, &later, 1, 1).await;
    endpoint.until_taken(&later, 1).await;
    assert_eq!(first.refused().load(Ordering::Relaxed), 1, "operators are told");
    first.shutdown().await;
    let parked = store.parked(&options.name).await.expect("read");
    let parked: BTreeSet<_> = parked.into_iter().map(|(key, _)| key).collect();
    assert_eq!(parked, BTreeSet::from([refused.key(), unanswered.key()]));

    // The next instance sends nothing again, and goes on with the others at once.
    let second = Pump::start(parts(&fixture.stores[1], url), options.clone());
    approve(store, &later, 2, 2).await;
    endpoint.until_taken(&later, 2).await;
    let taken = endpoint.taken.borrow().clone();
    let of_later = vec!["r1".to_owned(), "r2".to_owned()];
    assert_eq!(taken, BTreeMap::from([(later.id.to_string(), of_later)]), "the others wait");

    // Then everything comes, once and in order.
    endpoint.is_mended.send_replace(true);
    for session in [&refused, &unanswered] {
        endpoint.until_taken(session, EVENTS).await;
        let expected: Vec<String> = (1..=EVENTS).map(|seq| format!("r{seq}")).collect();
        assert_eq!(endpoint.taken.borrow()[&session.id.to_string()], expected);
    }
    let refusals = second.refused();
    second.shutdown().await;
    assert_eq!(refusals.load(Ordering::Relaxed), 0);
}
