//! Kafka against brokers in memory that speak its protocol.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use cabildo::claims::{Claims, LeaseTimes};
use cabildo::clock::Clock;
use cabildo::delivery::{KafkaTopic, Pump, PumpOptions, PumpParts, RetryTimes, payloads};
use cabildo::domain::id::{SessionId, SessionKey, TenantId};
use cabildo::events::Scope;
use cabildo::kafka::Producer;
use prost::Message as _;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use super::fixture::{Memory, feed};
use crate::brokers::{Brokers, Received};
use crate::claims::{MemoryClaims, of_a_new_process};

const TOPIC: &str = "cabildo.events";

fn brokers() -> Brokers {
    Brokers::start(&[(TOPIC, 3)])
}

fn approved(message: &Received) -> payloads::SpeechApproved {
    payloads::SpeechApproved::decode(message.value.as_slice()).expect("protobuf")
}

/// The requests that were told of each session, each once, in the order in which
/// they were told first.
fn told(messages: &[Received]) -> BTreeMap<String, Vec<String>> {
    let (mut known, mut told) = (BTreeSet::new(), BTreeMap::<String, Vec<String>>::new());
    for message in messages {
        if known.insert(message.headers["ce_id"].clone()) {
            told.entry(message.key.clone()).or_default().push(approved(message).request_id);
        }
    }
    told
}

fn requests(last: u64) -> Vec<String> {
    (1..=last).map(|seq| format!("r{seq}")).collect()
}

fn pump(outbox: &Arc<Memory>, claims: Claims, producer: Arc<Producer>) -> Pump {
    let parts = PumpParts {
        outbox: outbox.clone(),
        feed: feed(outbox.clone()),
        claims,
        clock: Clock::system(),
        destination: Arc::new(KafkaTopic::new(producer, TOPIC.to_owned())),
    };
    let options = PumpOptions {
        name: "kafka".parse().expect("a name"),
        scope: Scope::Everyone,
        kinds: BTreeSet::new(),
        given_up_after: None,
        in_flight_max: 64,
        retry: RetryTimes {
            first: Duration::from_millis(5),
            max: Duration::from_millis(50),
            pause: Duration::from_millis(100),
        },
    };
    Pump::start(parts, options)
}

fn claims() -> Claims {
    of_a_new_process(Arc::new(MemoryClaims::default()))
}

/// `rounds` events of each of `sessions` sessions, each in a transaction.
fn happen(outbox: &Memory, sessions: &[SessionId], rounds: std::ops::RangeInclusive<u64>) {
    for seq in rounds {
        for session in sessions {
            outbox.approve(SessionKey::new(TenantId::generate(), *session), &[seq]);
        }
    }
}

fn sessions(count: usize) -> Vec<SessionId> {
    (0..count).map(|_| SessionId::generate()).collect()
}

#[tokio::test]
async fn events_arrive_as_cloudevents_in_the_order_of_their_session() {
    let (brokers, outbox) = (brokers(), Arc::new(Memory::default()));
    let (tenant, session) = (TenantId::generate(), SessionId::generate());
    outbox.approve(SessionKey::new(tenant, session), &[1, 2]);
    let others = sessions(5);
    happen(&outbox, &others, 1..=20);
    let producer = brokers.producer();
    let pump = pump(&outbox, claims(), producer.clone());
    outbox.until_confirmed(101).await;
    assert!(producer.is_well());
    pump.shutdown().await;

    let messages = brokers.read(TOPIC, 0);
    assert_eq!(messages.len(), 102);
    let told = told(&messages);
    for other in &others {
        assert_eq!(told[&other.to_string()], requests(20));
    }
    let first = messages.iter().find(|it| it.key == session.to_string()).expect("it arrived");
    let (session, tenant) = (session.to_string(), tenant.to_string());
    let id = format!("{session}.room.1");
    let expected = [
        ("ce_specversion", "1.0"),
        ("ce_id", &id),
        ("ce_source", "https://cabildo.example"),
        ("ce_type", "speech.approved.v1"),
        ("ce_subject", &session),
        ("ce_time", "2027-01-15T08:00:00.000Z"),
        ("ce_partitionkey", &session),
        ("ce_tenantid", &tenant),
        ("content-type", "application/protobuf"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(first.headers, BTreeMap::from(expected));
    let approved = approved(first);
    assert_eq!((approved.session_id, approved.request_id), (session, "r1".to_owned()));
    let of_key = messages.iter().filter(|it| it.key == first.key);
    assert!(
        of_key.clone().count() == 2 && of_key.clone().all(|it| it.partition == first.partition)
    );
}

#[tokio::test]
async fn what_happens_while_the_brokers_are_away_arrives_when_they_are_back() {
    let (brokers, outbox) = (brokers(), Arc::new(Memory::default()));
    let sessions = sessions(10);
    happen(&outbox, &sessions, 1..=10);
    let pump = pump(&outbox, claims(), brokers.producer());
    outbox.until_confirmed(100).await;
    brokers.cluster.broker_down(-1).expect("down");
    // More than a reader holds.
    happen(&outbox, &sessions, 11..=300);
    brokers.cluster.broker_up(-1).expect("up");
    outbox.until_confirmed(3_000).await;
    pump.shutdown().await;
    let told = told(&brokers.read(TOPIC, 0));
    for session in &sessions {
        assert_eq!(told[&session.to_string()], requests(300));
    }
}

#[tokio::test]
async fn brokers_that_refuse_get_everything_in_order_once_they_take_it() {
    use RDKafkaRespErr::{
        RD_KAFKA_RESP_ERR__TRANSPORT as DISCONNECT,
        RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS as TEMPORARY,
        RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED as REFUSED,
    };
    let (brokers, outbox) = (brokers(), Arc::new(Memory::default()));
    let sessions = sessions(4);
    happen(&outbox, &sessions, 1..=25);
    let errors = [REFUSED, TEMPORARY, DISCONNECT, REFUSED, REFUSED, TEMPORARY, DISCONNECT];
    brokers.cluster.request_errors(RDKafkaApiKey::Produce, &errors);
    let pump = pump(&outbox, claims(), brokers.producer());
    outbox.until_confirmed(100).await;
    pump.shutdown().await;
    let told = told(&brokers.read(TOPIC, 0));
    for session in &sessions {
        assert_eq!(told[&session.to_string()], requests(25));
    }
}

#[tokio::test]
async fn a_producer_that_cannot_go_on_is_replaced() {
    use RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER as ENDED;
    let (brokers, outbox) = (brokers(), Arc::new(Memory::default()));
    let sessions = sessions(3);
    happen(&outbox, &sessions, 1..=10);
    let pump = pump(&outbox, claims(), brokers.producer());
    outbox.until_confirmed(30).await;
    brokers.cluster.request_errors(RDKafkaApiKey::Produce, &[ENDED]);
    happen(&outbox, &sessions, 11..=20);
    outbox.until_confirmed(60).await;
    pump.shutdown().await;
    let told = told(&brokers.read(TOPIC, 0));
    for session in &sessions {
        assert_eq!(told[&session.to_string()], requests(20));
    }
}

#[test]
fn what_a_suspended_process_had_queued_is_too_old_when_another_one_sends() {
    let LeaseTimes { length, renew_every, margin } = LeaseTimes::default();
    assert!(Producer::DELIVERY_MAX + renew_every <= length.saturating_sub(margin));
}

#[tokio::test]
async fn the_order_of_a_session_holds_when_another_instance_goes_on() {
    let (brokers, outbox) = (brokers(), Arc::new(Memory::default()));
    let sessions = sessions(6);
    let repository = Arc::new(MemoryClaims::default());
    let worker = || pump(&outbox, of_a_new_process(repository.clone()), brokers.producer());
    let (mut working, mut waiting) = (worker(), worker());
    for turn in 1..=4_u64 {
        let events = 50 * turn;
        happen(&outbox, &sessions, events - 49..=events);
        // The one that works is stopped in the middle, and started anew.
        outbox.until_confirmed(6 * (events - 25)).await;
        working.shutdown().await;
        working = std::mem::replace(&mut waiting, worker());
    }
    outbox.until_confirmed(1_200).await;
    working.shutdown().await;
    waiting.shutdown().await;
    let told = told(&brokers.read(TOPIC, 0));
    for session in &sessions {
        assert_eq!(told[&session.to_string()], requests(200));
    }
}
