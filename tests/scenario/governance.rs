//! What governance tells in Kafka, with a real database and real rooms.

use std::sync::Arc;
use std::time::Duration;

use cabildo::clock::Clock;
use cabildo::domain::id::{ActionId, AssemblyId, SessionId, SessionKey, TenantId};
use cabildo::domain::participant::Principal;
use cabildo::domain::role::{Role, Roles};
use cabildo::domain::session::{Modality, SessionStatus};
use cabildo::events::{EventSource, Outbox as _, Scope};
use cabildo::governance::payloads::{AssemblyActivated, AssemblyCompleted, VoteStarted};
use cabildo::governance::{EventsParts, GovernanceEvents, MESSAGE_BYTES_MAX, VoteHeard};
use cabildo::kafka::{Consumer, Outgoing, Producer};
use cabildo::room::action::AttendanceAction;
use cabildo::room::error::RoomError;
use cabildo::room::ports::RoomPorts;
use cabildo::room::repository::RoomRepository as _;
use cabildo::room::{Outbound, Rooms};
use cabildo::sessions::{FixedLimits, NewSession, SessionService, TenantLimits};
use cabildo::sfu::{Sfu, SfuOptions};
use cabildo::store::{Store, StoreOptions};
use prost::Message as _;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::brokers::{Brokers, Received};
use crate::claims::of_a_new_process;

const TOPIC: &str = "governance.events";
const DEAD: &str = "governance.events.dlq";
/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// One assembly of one tenant.
struct House {
    brokers: Brokers,
    /// Governance's own.
    producer: Arc<Producer>,
    store: Store,
    sessions: SessionService,
    rooms: Rooms,
    tenant: TenantId,
    assembly: AssemblyId,
    _data: tempfile::TempDir,
}

impl House {
    async fn build(max_active_sessions: u32) -> Self {
        let data = tempfile::tempdir().expect("a directory");
        let options = StoreOptions::sqlite_file(&data.path().join("cabildo.db"));
        let store = Store::connect(&options).await.expect("a store");
        let default = TenantLimits { max_active_sessions, ..TenantLimits::default() };
        let limits = Arc::new(FixedLimits { default, ..FixedLimits::default() });
        let rooms = rooms(&store, RoomPorts::default());
        let brokers = Brokers::start(&[(TOPIC, 1), (DEAD, 1)]);
        Self {
            producer: brokers.producer(),
            brokers,
            sessions: SessionService::new(Arc::new(store.clone()), limits, Vec::new()),
            store,
            rooms,
            tenant: TenantId::generate(),
            assembly: AssemblyId::generate(),
            _data: data,
        }
    }

    async fn session(&self, start_with_assembly: bool) -> SessionId {
        let wanted = NewSession {
            start_with_assembly: Some(start_with_assembly),
            ..NewSession::new(self.tenant, self.assembly, "Asamblea", Modality::Mixed)
        };
        self.sessions.create(wanted, Clock::system().now()).await.expect("created").id
    }

    /// A process that acts on what governance tells.
    fn process(&self) -> GovernanceEvents {
        let connection = self.brokers.connection();
        GovernanceEvents::start(EventsParts {
            consumer: Consumer::new(&connection, "cabildo", TOPIC).expect("a consumer"),
            producer: self.brokers.producer(),
            arrivals: Arc::new(self.store.clone()),
            sessions: self.sessions.clone(),
            rooms: self.rooms.clone(),
            clock: Clock::system(),
        })
    }

    /// Somebody who is told what happens in a session.
    async fn enter(&self, session: SessionId) -> mpsc::Receiver<Outbound> {
        let (sink, outbound) = mpsc::channel(64);
        self.rooms.enter(self.ana(), session, [1; 32], sink).await.expect("let in");
        outbound
    }

    async fn status(&self, session: SessionId) -> SessionStatus {
        self.sessions.find(SessionKey::new(self.tenant, session)).await.expect("there").status
    }

    async fn tell(&self, headers: &[(&str, &str)], value: &[u8]) {
        let headers: Vec<(&str, &[u8])> =
            headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
        let message = Outgoing { topic: TOPIC, key: b"a", value, headers: &headers, at_ms: None };
        self.producer.send(message).await.expect("sent");
    }

    async fn tell_protobuf(&self, id: &str, kind: &str, message: &impl prost::Message) {
        self.tell(&binary(id, kind, "application/protobuf"), &message.encode_to_vec()).await;
    }

    async fn activated(&self, id: &str) {
        let (tenant_id, assembly_id) = (self.tenant.to_string(), self.assembly.to_string());
        let told = AssemblyActivated { tenant_id, assembly_id, ..Default::default() };
        self.tell_protobuf(id, "assembly.activated.v1", &told).await;
    }

    /// Tells two events as lists in place of objects, in the order in which the members are declared.
    async fn tell_lists(&self) {
        let (tenant, assembly) = (self.tenant.to_string(), self.assembly.to_string());
        let headers = binary("x", "assembly.activated.v1", "application/json");
        let listed = json!([tenant, assembly, null, null]);
        self.tell(&headers, listed.to_string().as_bytes()).await;
        let data = json!({"tenant_id": tenant, "assembly_id": assembly});
        let listed =
            json!(["1.0", "v", "https://governance.example", "assembly.activated.v1", data]);
        let headers = [("content-type", "application/cloudevents+json")];
        self.tell(&headers, listed.to_string().as_bytes()).await;
    }

    fn ana(&self) -> Principal {
        Principal {
            tenant_id: self.tenant,
            user_id: "ana".parse().expect("a user id"),
            roles: Roles::of(&[Role::Participant]),
            name: "Ana".to_owned(),
            locale: None,
            session_id: None,
            key_thumbprint: None,
            expires_at: Clock::system().now().after(Duration::from_hours(1)),
            judged_at: Clock::system().now(),
        }
    }

    fn vote(&self) -> VoteStarted {
        VoteStarted {
            tenant_id: self.tenant.to_string(),
            assembly_id: self.assembly.to_string(),
            vote_id: "budget-2027".to_owned(),
            title: "¿Se aprueba el presupuesto?".to_owned(),
            started_at: Some("2027-01-15T08:00:00Z".to_owned()),
            ..VoteStarted::default()
        }
    }

    /// Ends when everything that was told is done with, since this is told after it;
    /// all dead letters but this one.
    async fn dead_letters(&self, earlier: usize) -> Vec<Received> {
        self.tell(&[], b"the last one").await;
        let mut letters = tokio::task::block_in_place(|| self.brokers.read(DEAD, earlier + 1));
        assert_eq!(letters.pop().expect("the last one").value, b"the last one");
        letters
    }
}

/// What was announced to somebody.
fn announced(outbound: &mut mpsc::Receiver<Outbound>) -> Vec<Value> {
    let mut announced = Vec::new();
    while let Ok(told) = outbound.try_recv() {
        if let Outbound::Told(texts) = told {
            for text in texts.iter() {
                let event: Value = serde_json::from_str(text).expect("JSON");
                announced.extend((event["type"] == "vote_announced").then_some(event));
            }
        }
    }
    announced
}

fn rooms(store: &Store, ports: RoomPorts) -> Rooms {
    let media = Sfu::start(SfuOptions { workers: 1, ..SfuOptions::default() });
    let media = media.expect("a media plane");
    Rooms::new(Arc::new(store.clone()), Arc::new(store.clone()), media, Clock::system(), ports)
}

/// The rooms of one of several instances.
fn rooms_of_an_instance(store: &Store) -> Rooms {
    let claims = Some(of_a_new_process(Arc::new(store.clone())));
    rooms(store, RoomPorts { claims, ..RoomPorts::default() })
}

fn binary<'a>(id: &'a str, kind: &'a str, content_type: &'a str) -> [(&'a str, &'a str); 5] {
    [
        ("ce_specversion", "1.0"),
        ("ce_id", id),
        ("ce_source", "https://governance.example"),
        ("ce_type", kind),
        ("content-type", content_type),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_say_so_start_with_their_assembly_and_all_end_with_it() {
    let house = House::build(9).await;
    let (starts, waits) = (house.session(true).await, house.session(false).await);
    let process = house.process();
    house.activated("1").await;
    assert!(house.dead_letters(0).await.is_empty());
    assert_eq!(house.status(starts).await, SessionStatus::Active);
    assert_eq!(house.status(waits).await, SessionStatus::Scheduled);

    let now = Clock::system().now();
    house
        .sessions
        .start(SessionKey::new(house.tenant, waits), None, now)
        .await
        .expect("started by hand");
    let completed = json!({
        "specversion": "1.0", "id": "2", "source": "https://governance.example",
        "type": "assembly.completed.v1", "datacontenttype": "application/json",
        "data": {"tenant_id": house.tenant.to_string(), "assembly_id": house.assembly.to_string()},
    });
    let structured = [("content-type", "application/cloudevents+json; charset=utf-8")];
    house.tell(&structured, completed.to_string().as_bytes()).await;
    house.dead_letters(1).await;
    for session in [starts, waits] {
        assert_eq!(house.status(session).await, SessionStatus::Completed);
    }
    process.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vote_is_announced_once_however_often_it_is_told() {
    let house = House::build(9).await;
    let session = house.session(true).await;
    let process = house.process();
    house.activated("1").await;
    house.dead_letters(0).await;
    let mut outbound = house.enter(session).await;
    let vote = house.vote();
    house.tell_protobuf("vote-1", "vote.started.v1", &vote).await;
    house.tell_protobuf("vote-1", "vote.started.v1", &vote).await;
    let letters = house.dead_letters(1).await;
    assert_eq!(letters.len(), 1, "what is told twice is no dead letter");
    process.shutdown().await;
    // The next process begins where this one has come, and knows what it has done.
    let process = house.process();
    house.tell_protobuf("vote-1", "vote.started.v1", &vote).await;
    house.dead_letters(2).await;
    process.shutdown().await;

    let announced = announced(&mut outbound);
    assert_eq!(announced.len(), 1);
    assert_eq!(announced[0]["title"], "¿Se aprueba el presupuesto?");
    assert_eq!(announced[0]["vote_id"], "budget-2027");
    assert_eq!(announced[0]["started_at"], "2027-01-15T08:00:00.000Z");
    // The log of the session is written from its room's events.
    let kept = house
        .store
        .events_after(SessionKey::new(house.tenant, session), 0, 99)
        .await
        .expect("kept");
    assert_eq!(kept.iter().filter(|event| event.kind == "vote_announced").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vote_told_under_another_event_id_is_announced_again_only_when_it_changed() {
    let house = House::build(9).await;
    let session = house.session(true).await;
    let process = house.process();
    house.activated("1").await;
    house.dead_letters(0).await;
    let mut outbound = house.enter(session).await;
    let vote = VoteStarted { started_at: None, ..house.vote() };
    let retitled = VoteStarted { title: "¿Se aprueba el acta?".to_owned(), ..vote.clone() };
    let ends_at = Some("2027-01-15T09:00:00Z".to_owned());
    let ending = VoteStarted { ends_at, ..retitled.clone() };
    for (number, told) in [&vote, &vote, &retitled, &retitled, &ending, &ending].iter().enumerate()
    {
        house.tell_protobuf(&format!("vote-{number}"), "vote.started.v1", *told).await;
    }
    assert_eq!(house.dead_letters(1).await.len(), 1, "none of them is a dead letter");
    process.shutdown().await;

    let announced = announced(&mut outbound);
    let said: Vec<_> = announced.iter().map(|it| (&it["title"], &it["ends_at"])).collect();
    let (first, second) = (json!("¿Se aprueba el presupuesto?"), json!("¿Se aprueba el acta?"));
    let until = json!("2027-01-15T09:00:00.000Z");
    assert_eq!(said, [(&first, &Value::Null), (&second, &Value::Null), (&second, &until)]);
    for again in &announced[1..] {
        assert_eq!(again["vote_id"], announced[0]["vote_id"]);
        assert_eq!(again["started_at"], announced[0]["started_at"], "it did not start anew");
    }
    let key = SessionKey::new(house.tenant, session);
    let kept = house.store.events_after(key, 0, 99).await.expect("kept");
    assert_eq!(kept.iter().filter(|event| event.kind == "vote_announced").count(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vote_that_another_instance_hears_of_is_announced_where_the_people_are() {
    let mut house = House::build(9).await;
    let here = rooms_of_an_instance(&house.store);
    house.rooms = rooms_of_an_instance(&house.store);
    let (session, store) = (house.session(true).await, house.store.clone());
    let key = SessionKey::new(house.tenant, session);
    let process = house.process();
    house.activated("1").await;
    house.dead_letters(0).await;
    let (sink, mut outbound) = mpsc::channel(64);
    here.enter(house.ana(), session, [1; 32], sink).await.expect("let in");

    let place = store.extent().await.expect("read").newest;
    house.tell_protobuf("vote-1", "vote.started.v1", &house.vote()).await;
    let heard = async {
        loop {
            let read = store.after(Scope::Everyone, place, 99).await.expect("read").events;
            let heard = read.into_iter().find(|event| event.source == EventSource::Governance);
            match heard {
                Some(heard) => return heard,
                None => tokio::task::yield_now().await,
            }
        }
    };
    let heard = tokio::time::timeout(PATIENCE, heard).await.expect("it is in the outbox");
    assert_eq!((heard.tenant, heard.session), (house.tenant, session));
    let VoteHeard { vote, arrival } = VoteHeard::read(&heard.payload).expect("a vote");
    here.announce_vote(key, vote, arrival).await.expect("announced");
    assert_eq!(house.dead_letters(1).await.len(), 1, "it is done with");
    let told = announced(&mut outbound);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["title"], "¿Se aprueba el presupuesto?");

    let refused = AttendanceAction::MarkLeft {
        user: house.ana().user_id,
        decision: ActionId::generate(),
        by: house.ana().user_id,
    };
    assert_eq!(house.rooms.attend(key, refused).await, Err(RoomError::Elsewhere));
    assert_eq!(house.rooms.count(), 0, "the room is not opened a second time");
    assert!(house.rooms.attendance(key).await.is_ok(), "who attends is stored");

    // Once that instance has gone, this one opens the room.
    here.shutdown().await;
    let another = VoteStarted { vote_id: "minutes-2026".to_owned(), ..house.vote() };
    house.tell_protobuf("vote-2", "vote.started.v1", &another).await;
    house.dead_letters(2).await;
    assert_eq!(house.rooms.count(), 1);
    let kept = store.events_after(key, 0, 99).await.expect("kept");
    assert_eq!(kept.iter().filter(|event| event.kind == "vote_announced").count(), 2);
    process.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_acted_on_is_put_aside_and_stops_nothing() {
    let house = House::build(1).await;
    let (first, second) = (house.session(true).await, house.session(true).await);
    let process = house.process();
    let (tenant_id, assembly_id) = (house.tenant.to_string(), house.assembly.to_string());
    let known = AssemblyActivated {
        tenant_id: tenant_id.clone(),
        assembly_id: assembly_id.clone(),
        ..AssemblyActivated::default()
    };
    let activated = |content_type| binary("x", "assembly.activated.v1", content_type);
    let protobuf = "application/protobuf";
    let bytes = known.encode_to_vec();

    house.tell(&[], b"what?").await;
    house.tell(&activated("text/plain"), &bytes).await;
    house.tell(&activated(protobuf), &[0xff; 40]).await;
    house.tell(&activated("application/json"), b"{\"tenant_id\":7}").await;
    house.tell(&activated(protobuf), &vec![0; MESSAGE_BYTES_MAX + 1]).await;
    house.tell(&binary("x", "assembly.moved.v1", protobuf), &bytes).await;
    house.tell(&binary("", "assembly.activated.v1", protobuf), &bytes).await;
    house.tell(&activated(protobuf)[..4], &bytes).await;
    let unreadable = AssemblyActivated { tenant_id: "nobody".to_owned(), ..known.clone() };
    house.tell(&activated(protobuf), &unreadable.encode_to_vec()).await;
    let foreign =
        AssemblyActivated { tenant_id: TenantId::generate().to_string(), ..known.clone() };
    house.tell(&activated(protobuf), &foreign.encode_to_vec()).await;
    let session_id = Some(SessionId::generate().to_string());
    let elsewhere = AssemblyCompleted { tenant_id, assembly_id, session_id, completed_at: None };
    house.tell_protobuf("y", "assembly.completed.v1", &elsewhere).await;
    house.tell_protobuf("z", "vote.started.v1", &house.vote()).await;
    house.tell_lists().await;
    // The tenant may have one active session, so one of the two is refused.
    house.activated("1").await;

    let letters = house.dead_letters(15).await;
    let errors: Vec<&str> = letters.iter().map(|it| it.headers["x-error"].as_str()).collect();
    assert_eq!(
        errors,
        [
            "CONTENT_TYPE_UNKNOWN",
            "CONTENT_TYPE_UNKNOWN",
            "CONTENT_UNREADABLE",
            "CONTENT_UNREADABLE",
            "MESSAGE_TOO_LARGE",
            "EVENT_TYPE_UNKNOWN",
            "ATTRIBUTE_INVALID",
            "CONTENT_TYPE_UNKNOWN",
            "FIELD_INVALID",
            "SESSION_NOT_FOUND",
            "SESSION_NOT_FOUND",
            "SESSION_STATE_CONFLICT",
            "CONTENT_UNREADABLE",
            "CONTENT_UNREADABLE",
            "SESSION_LIMIT_REACHED",
        ]
    );
    let typed = &letters[5];
    assert_eq!(typed.value, bytes);
    assert_eq!(typed.headers["ce_type"], "assembly.moved.v1");
    assert_eq!(typed.headers["x-attempts"], "1");
    assert_eq!(typed.headers["x-origin-topic"], TOPIC);
    assert_eq!(typed.headers["x-origin-partition"], "0");
    assert_eq!(typed.headers["x-origin-offset"], "5");
    let statuses = [house.status(first).await, house.status(second).await];
    assert!(statuses.contains(&SessionStatus::Active), "the one behind them was acted on");
    assert!(statuses.contains(&SessionStatus::Scheduled));
    process.shutdown().await;
}
