//! Brokers in memory that speak the protocol of Kafka.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cabildo::domain::kafka::Security;
use cabildo::kafka::{Connection, Producer, TlsFiles};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

/// Longer than brokers take for anything.
const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) struct Brokers {
    pub(crate) cluster: MockCluster<'static, DefaultProducerContext>,
    topics: BTreeMap<&'static str, i32>,
}

/// A message as somebody else reads it.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) partition: i32,
    pub(crate) key: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) value: Vec<u8>,
}

impl Brokers {
    /// One broker with topics of so many partitions.
    pub(crate) fn start(topics: &[(&'static str, i32)]) -> Self {
        let cluster = MockCluster::new(1).expect("brokers in memory");
        for (topic, partitions) in topics {
            cluster.create_topic(topic, *partitions, 1).expect("a topic");
        }
        Self { cluster, topics: topics.iter().copied().collect() }
    }

    pub(crate) fn connection(&self) -> Connection {
        Connection {
            brokers: self.cluster.bootstrap_servers().split(',').map(str::to_owned).collect(),
            security: Security::Plaintext,
            tls: TlsFiles::default(),
            login: None,
        }
    }

    pub(crate) fn producer(&self) -> Arc<Producer> {
        Arc::new(Producer::new(self.connection()).expect("a producer"))
    }

    /// Everything in a topic, by partition and in its order; waits for at least
    /// `count` messages.
    pub(crate) fn read(&self, topic: &str, count: usize) -> Vec<Received> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.cluster.bootstrap_servers())
            .set("group.id", "reader")
            .create()
            .expect("a consumer");
        let mut there = 0;
        let mut assigned = rdkafka::TopicPartitionList::new();
        for partition in 0..self.topics[topic] {
            let found = consumer.fetch_watermarks(topic, partition, PATIENCE);
            let (low, high) = found.expect("a partition");
            let from = rdkafka::Offset::Offset(low);
            assigned.add_partition_offset(topic, partition, from).expect("an offset");
            there += usize::try_from(high - low).expect("a count");
        }
        consumer.assign(&assigned).expect("assigned");
        let (began, mut messages) = (Instant::now(), Vec::new());
        while messages.len() < there.max(count) {
            // It also returns when the library had something else to tell.
            match consumer.poll(PATIENCE) {
                Some(message) => messages.push(Received::of(&message.expect("readable"))),
                None => assert!(began.elapsed() < PATIENCE, "a message in time"),
            }
        }
        messages
    }
}

impl Received {
    fn of(message: &BorrowedMessage<'_>) -> Self {
        let text = |bytes: Option<&[u8]>| {
            String::from_utf8(bytes.unwrap_or_default().to_vec()).expect("text")
        };
        let headers = message.headers().expect("headers");
        Self {
            partition: message.partition(),
            key: text(message.key()),
            headers: headers.iter().map(|it| (it.key.to_owned(), text(it.value))).collect(),
            value: message.payload().expect("a value").to_vec(),
        }
    }
}
