//! Receiving messages, each until it is done with: the place is kept by the brokers
//! only after [`Consumer::done`].

use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{CommitMode, Consumer as _, ConsumerContext, StreamConsumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};

use super::connection::{Connection, KafkaProblem, code_of};

/// KiB of messages that the library reads ahead. Raising it raises the memory while
/// messages can't be done with.
const READ_AHEAD_KIB_MAX: &str = "4096";
/// Milliseconds between two times that the place is kept.
const COMMIT_INTERVAL_MS: &str = "1000";
/// Milliseconds after which the brokers give the partitions of a member that they hear nothing of to
/// another one, and how often a member is heard. Raising the first lets events wait longer after a
/// member was killed; brokers take 6,000 at least by default.
const SESSION_TIME_MS: &str = "10000";
const HEARTBEAT_EVERY_MS: &str = "3000";
/// How long the brokers may take to let this consumer go.
const LEFT_WITHIN: Duration = Duration::from_secs(3);

/// Where a message is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The number of the message in it.
    pub offset: i64,
}

/// A message that was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incoming {
    /// Where it is.
    pub place: Place,
    /// Its key; empty when it has none.
    pub key: Vec<u8>,
    /// Its content; empty when it has none.
    pub value: Vec<u8>,
    /// Its headers, in order.
    pub headers: Vec<(String, Vec<u8>)>,
}

impl Incoming {
    /// The header of this name, if it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.and_then(|(_, value)| std::str::from_utf8(value).ok())
    }

    /// Bytes of its key, content and headers.
    #[must_use]
    pub fn size(&self) -> usize {
        let headers = self.headers.iter().map(|(key, value)| key.len() + value.len());
        self.key.len() + self.value.len() + headers.sum::<usize>()
    }

    fn of(message: &BorrowedMessage<'_>) -> Self {
        let bytes = |bytes: Option<&[u8]>| bytes.unwrap_or_default().to_vec();
        let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
        Self {
            place: Place {
                topic: message.topic().to_owned(),
                partition: message.partition(),
                offset: message.offset(),
            },
            key: bytes(message.key()),
            value: bytes(message.payload()),
            headers: headers.map(|it| (it.key.to_owned(), bytes(it.value))).collect(),
        }
    }
}

/// Nothing can be received now; trying again may succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("nothing can be received from Kafka: {code}")]
pub struct NotReceived {
    /// The name of the error.
    pub code: String,
}

/// What the library reports.
struct Reports;

impl ClientContext for Reports {
    /// Its texts name addresses, so only what they are about is logged.
    fn log(&self, level: RDKafkaLogLevel, fac: &str, _message: &str) {
        tracing::debug!(?level, fac, "the Kafka library reports");
    }

    fn error(&self, error: KafkaError, _reason: &str) {
        tracing::debug!(code = code_of(&error), "the Kafka library reports an error");
    }
}

impl ConsumerContext for Reports {}

/// Receives the messages of a topic as a member of a group, whose members share
/// the partitions.
pub struct Consumer {
    inner: StreamConsumer<Reports>,
}

impl Consumer {
    /// A consumer that begins where its group has come, or with the oldest message.
    ///
    /// # Errors
    /// When a setting is refused or a file can't be read.
    pub fn new(connection: &Connection, group: &str, topic: &str) -> Result<Self, KafkaProblem> {
        let mut settings = connection.settings()?;
        settings
            .set("group.id", group)
            .set("auto.offset.reset", "earliest")
            // The place that is kept is that of messages that were done with.
            .set("enable.auto.offset.store", "false")
            .set("enable.auto.commit", "true")
            .set("auto.commit.interval.ms", COMMIT_INTERVAL_MS)
            .set("session.timeout.ms", SESSION_TIME_MS)
            .set("heartbeat.interval.ms", HEARTBEAT_EVERY_MS)
            .set("queued.max.messages.kbytes", READ_AHEAD_KIB_MAX);
        let made = settings.create_with_context(Reports);
        let inner: StreamConsumer<Reports> = made.map_err(|error| KafkaProblem::of(&error))?;
        inner.subscribe(&[topic]).map_err(|error| KafkaProblem::of(&error))?;
        Ok(Self { inner })
    }

    /// The next message. Nothing is lost when this is not awaited to its end.
    ///
    /// # Errors
    /// When the brokers can't be reached or refuse.
    pub async fn next(&self) -> Result<Incoming, NotReceived> {
        let received = self.inner.recv().await;
        received
            .map(|message| Incoming::of(&message))
            .map_err(|error| NotReceived { code: code_of(&error) })
    }

    /// A message, and all before it in its partition, are done with. If another
    /// member of the group has the partition by now, it receives them again.
    pub fn done(&self, place: &Place) {
        if let Err(error) = self.inner.store_offset(&place.topic, place.partition, place.offset) {
            tracing::debug!(code = code_of(&error), "the place of a message was not kept");
        }
    }

    /// Keeps the place and leaves the group.
    pub async fn end(self) {
        let left = tokio::task::spawn_blocking(move || {
            // Without it the messages since the last time are received again.
            if let Err(error) = self.inner.commit_consumer_state(CommitMode::Sync) {
                tracing::debug!(code = code_of(&error), "the place in a topic was not kept");
            }
            self.inner.unsubscribe();
            drop(self);
        });
        // The library waits for brokers that are away; its thread ends with the process.
        if tokio::time::timeout(LEFT_WITHIN, left).await.is_err() {
            tracing::warn!("the Kafka brokers did not let a consumer go in time");
        }
    }
}

impl std::fmt::Debug for Consumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Consumer")
    }
}
